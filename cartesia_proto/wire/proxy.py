"""HTTP proxies: how one is named, when it is used, and the CONNECT handshake with it.

This module knows proxy URLs, the proxy variables (as a mapping: the transports pass the environment in) and RFC 9110
section 9.3.6. It must not know what travels through the tunnel. User name and password of a proxy are secrets: no
repr, message or exception of this module repeats them, nor any part of a URL that could not be read.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Final, TypeAlias, final
from urllib.parse import SplitResult, unquote, urlsplit

import h11
from attrs import frozen

from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.config import Limits
from cartesia_proto.credentials import Secret
from cartesia_proto.errors import (
    RETRYABLE_STATUSES,
    ConnectError,
    LocalProtocolError,
    TimeoutError,
    TransportError,
)
from cartesia_proto.http import DEFAULT_PORTS
from cartesia_proto.wire.link import HttpLink, LinkFailed

_OTHER_SCHEMES: Final = frozenset({"https", "socks", "socks4", "socks4a", "socks5", "socks5h"})
"""Schemes of proxies of other kinds, known only to name them in an error."""

_HOST: Final = re.compile(r"[!-~]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")  # RFC 7617 section 2


@final
@frozen
class Proxy:
    """An HTTP proxy that is spoken to in clear; with a user and password it refuses pickling.

    Attributes:
        host: name or address, without brackets.
        port: the TCP port.
        userinfo: ``user:password``, percent-decoded, or None. A proxy with other userinfo is another proxy.
    """

    host: str
    port: int
    userinfo: Secret | None = None

    @classmethod
    def from_url(cls, url: str, *, source: str = "the proxy URL") -> "Proxy":
        """Read ``http://user:password@host:port``; the scheme may be missing, the port is then 80 if missing too.

        Port 80 is the default of the scheme (RFC 9110 section 4.2.1). Special characters in user name and password are
        percent-encoded (RFC 3986 section 3.2.1).

        Args:
            source: what the messages call the URL.

        Raises:
            LocalProtocolError: it is no such URL, or of a proxy of another kind.
        """
        scheme, separator, _ = url.strip().partition("://")
        if not separator:
            scheme, url = "http", f"http://{url.strip()}"
        if scheme.lower() != "http":
            kind = f"{scheme.lower()}://" if scheme.lower() in _OTHER_SCHEMES else "another scheme"
            raise LocalProtocolError(f"{source} has {kind}: only http:// proxies are supported")
        proxy = _read(url.strip())
        if proxy is None:
            raise LocalProtocolError(
                f"{source} is not of the form http://user:password@host:port; "
                "special characters in user name and password must be percent-encoded"
            )
        return proxy

    def headers(self) -> tuple[tuple[str, Secret], ...]:
        """The header that proves who is asking: Basic, in UTF-8 (RFC 7617), or none."""
        if self.userinfo is None:
            return ()
        encoded = encode_base64(self.userinfo.reveal().encode("utf-8"))
        return (("Proxy-Authorization", Secret(f"Basic {encoded}")),)


def _read(url: str) -> Proxy | None:
    try:
        parts = urlsplit(url)
        port = DEFAULT_PORTS["http"] if parts.port is None else parts.port
        userinfo = _userinfo(parts)
    except ValueError:  # a bracket that does not close, a port that is no number, bytes that are no UTF-8
        return None
    if parts.path not in ("", "/") or parts.query or parts.fragment or port == 0:
        return None
    if not _HOST.fullmatch(parts.hostname or ""):
        return None
    return Proxy(parts.hostname or "", port, userinfo)


def _userinfo(parts: SplitResult) -> Secret | None:
    """User name and password as Basic joins them; ValueError where it cannot (RFC 7617 section 2)."""
    if parts.username is None:
        return None
    user = unquote(parts.username, errors="strict")
    password = unquote(parts.password or "", errors="strict")
    if ":" in user or _CONTROL.search(user + password):
        raise ValueError("Basic cannot carry a colon in the user name, nor control characters")
    return Secret(f"{user}:{password}")


def proxy_from_environment(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that the usual variables name for an origin, or None; by the rules of urllib and curl.

    ``https_proxy`` or ``http_proxy`` by the origin's scheme, else ``all_proxy``. Each is also read in upper case where
    it is not set in lower case; a variable that is set but empty means no proxy. Under CGI (`REQUEST_METHOD` is set)
    ``HTTP_PROXY`` is ignored, because there the client's header ``Proxy`` arrives under this name ("httpoxy",
    CVE-2016-1000110). ``no_proxy`` is a list, separated by commas or blanks, of names (which stand for their
    subdomains too, with or without a leading dot), addresses (which match exactly), each with or without a port, or
    ``*``.

    Raises:
        LocalProtocolError: the variable that holds names no usable proxy; the message names the variable.
    """
    if _bypassed(host, port, _variable("no_proxy", environ)[1] or ""):
        return None
    for wanted in (f"{scheme}_proxy", "all_proxy"):
        name, url = _variable(wanted, environ)
        if url is not None:
            return Proxy.from_url(url, source=f"the environment variable {name}") if url.strip() else None
    return None


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str | None]:
    if name in environ or (name == "http_proxy" and "REQUEST_METHOD" in environ):
        return name, environ.get(name)
    return name.upper(), environ.get(name.upper())


def _bypassed(host: str, port: int, no_proxy: str) -> bool:
    return any(_matches(host, port, entry) for entry in re.split(r"[,\s]+", no_proxy) if entry)


def _matches(host: str, port: int, entry: str) -> bool:
    if entry == "*":
        return True
    name, only_port = _split_port(entry)
    if only_port not in ("", str(port)):
        return False
    address = _address(host)
    if address is not None:
        return _address(name) == address
    domain = name.lower().removeprefix("*").strip(".")
    return bool(domain) and f".{host.lower().rstrip('.')}".endswith(f".{domain}")


def _split_port(entry: str) -> tuple[str, str]:
    """An entry of ``no_proxy`` as name and port; an IPv6 address has a port only if it stands in brackets."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    return (entry, "") if entry.count(":") > 1 else (entry.partition(":")[0], entry.partition(":")[2])


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@final
@frozen
class Tunnelled:
    """The proxy connected us: from here on the connection carries what the origin says. The link is `switched`."""


ConnectEvent: TypeAlias = Tunnelled | LinkFailed


@final
class ConnectLink(HttpLink[Tunnelled]):
    """The CONNECT handshake with a proxy (RFC 9110 section 9.3.6); made by a shell on a fresh connection to the proxy.

    The request is queued at once. One event comes: `Tunnelled`, or `LinkFailed` holding a `ConnectError` (the proxy
    refused, closed, or answered something else than HTTP/1.1) or a `TimeoutError` of phase ``handshake``. In all
    cases no byte has reached the origin. A refusal that the same request would meet again is not `retryable`.

    Args:
        host, port: of the origin; an IPv6 address without brackets.
        timeout: seconds without a byte from the proxy before the link fails.
        limits: of them, `head` bounds the proxy's answer.
        now: monotonic seconds.

    Raises:
        LocalProtocolError: the host cannot stand in a request.
    """

    _peer = "proxy"
    _message = "response"

    def __init__(self, proxy: Proxy, host: str, port: int, timeout: float, limits: Limits, now: float) -> None:
        super().__init__(h11.Connection(h11.CLIENT, limits.head), timeout, limits)
        self._proxy = proxy
        self._begin_message(now, 0)
        if not _HOST.fullmatch(host):
            raise LocalProtocolError("the host is empty or has a character that no request can carry")
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        fields = [("Host", authority), *((name, secret.reveal()) for name, secret in proxy.headers())]
        self._queue(h11.Request(method="CONNECT", target=authority, headers=fields))
        self._queue(h11.EndOfMessage())

    @property
    def _where(self) -> str:
        return f"the proxy {self._proxy.host}:{self._proxy.port}"

    def _received(self, event: h11.Event) -> Tunnelled | None:
        if not isinstance(event, h11.Response):  # an interim response
            return None
        if not 200 <= event.status_code < 300:
            self._fail(self._refused(event.status_code))
            return None
        if self.trailing_data():
            self._fail(ConnectError(f"{self._where} sent bytes before the origin was spoken to"))
            return None
        return Tunnelled()

    def _refused(self, status: int) -> ConnectError:
        if status != 407:
            error = ConnectError(f"{self._where} refused to connect: status {status}")
        elif self._proxy.userinfo is None:
            error = ConnectError(f"{self._where} asks for a user name and password (status 407): put them into its URL")
        else:
            error = ConnectError(f"{self._where} refused its user name and password (status 407)")
        error.retryable = status in RETRYABLE_STATUSES or status >= 500
        return error

    def _malformed(self, what: str) -> TransportError:
        return ConnectError(f"{self._where} answered CONNECT with something that is no HTTP/1.1: {what}")

    def _cut(self) -> TransportError:
        return ConnectError(f"{self._where} closed the connection instead of answering CONNECT")

    def _timed_out(self) -> TransportError:
        return TimeoutError(
            f"no byte from {self._where} for {self._timeout:g} seconds", phase="handshake", scope="connection"
        )
