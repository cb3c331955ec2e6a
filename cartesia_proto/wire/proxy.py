"""HTTP proxies: how one is named, and when it is used.

This module knows proxy URLs and the proxy variables (as a mapping: the transports pass the environment in). It must not
know how a proxy is spoken to: `tunnel` does, with h11, which is not imported here because every client is made with
this module. User name and password of a proxy are secrets: no repr, message or exception of this module repeats them,
nor any part of a URL that could not be read.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final, final
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import frozen

from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.credentials import Secret
from cartesia_proto.discretion import discreet, holds_secrets
from cartesia_proto.errors import RETRYABLE_STATUSES, ConnectError, LocalProtocolError
from cartesia_proto.flow import Attempt
from cartesia_proto.hosts import bracketed, host_of, read_address, read_host
from cartesia_proto.http import DEFAULT_PORTS

_OTHER_SCHEMES: Final = frozenset({"https", "socks", "socks4", "socks4a", "socks5", "socks5h"})
"""Schemes of proxies of other kinds, known only to name them in an error."""

_FORM: Final = (
    "is not of the form http://user:password@host:port; "
    "special characters in user name and password must be percent-encoded"
)

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")  # RFC 7617 section 2


@final
@holds_secrets
@frozen
class Proxy:
    """An HTTP proxy that is spoken to in clear; with a user and password it refuses pickling.

    Attributes:
        host: name or address to look up, without brackets.
        port: the TCP port.
        userinfo: ``user:password``, percent-decoded, or None. A proxy with other userinfo is another proxy.
    """

    host: str
    port: int
    userinfo: Secret | None = None

    @classmethod
    @discreet
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
        if isinstance(proxy, str):
            raise LocalProtocolError(f"{source} {proxy}")
        return proxy

    def __str__(self) -> str:
        """How messages call it."""
        return f"the proxy {bracketed(self.host)}:{self.port}"

    def refusal(self, status: int) -> ConnectError:
        """What an answer says by which the proxy refused to reach the origin; 407 is never `retryable`."""
        if status != 407:
            error = ConnectError(f"{self} refused to connect: status {status}")
        elif self.userinfo is None:
            error = ConnectError(f"{self} asks for a user name and password (status 407): put them into its URL")
        else:
            error = ConnectError(f"{self} refused its user name and password (status 407)")
        error.retryable = status in RETRYABLE_STATUSES or status >= 500
        return error

    def headers(self) -> tuple[tuple[str, Secret], ...]:
        """The header that proves who is asking: Basic, in UTF-8 (RFC 7617), or none."""
        if self.userinfo is None:
            return ()
        encoded = encode_base64(self.userinfo.reveal().encode("utf-8"))
        return (("Proxy-Authorization", Secret(f"Basic {encoded}")),)


def forwarding(attempt: Attempt, proxy: Proxy | None) -> Proxy | None:
    """The proxy, if it is asked for the resource itself, in absolute form (RFC 9112 section 3.2.2); else None.

    That is how plain HTTP is asked for: proxies refuse CONNECT to ports other than 443 by default. TLS needs a tunnel,
    and so does a WebSocket, in clear too (RFC 6455 section 4.1).
    """
    return None if attempt.request.secure or attempt.how == "upgrade" else proxy


def _read(url: str) -> Proxy | str:
    """The proxy, or what is wrong with its URL."""
    try:
        parts = urlsplit(url)
        port = DEFAULT_PORTS["http"] if parts.port is None else parts.port
        userinfo = _userinfo(parts)
    except ValueError:  # a bracket that does not close, a port that is no number, bytes that are no UTF-8
        return _FORM
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment or port == 0:
        return _FORM
    try:
        return Proxy(host_of(url).lookup, port, userinfo)
    except LocalProtocolError as error:
        return f"is none: {error}"


def _userinfo(parts: SplitResult) -> Secret | None:
    """User name and password as Basic joins them; ValueError where it cannot (RFC 7617 section 2)."""
    if parts.username is None:
        return None
    user = unquote(parts.username, errors="strict")
    password = unquote(parts.password or "", errors="strict")
    if ":" in user or _CONTROL.search(user + password):
        raise ValueError("Basic cannot carry a colon in the user name, nor control characters")
    return Secret(f"{user}:{password}")


@discreet
def choose_proxy(proxy: str | None, base_url: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that holds for a client: the explicit one, none if that is empty, else what the environment names.

    Raises:
        LocalProtocolError: it is no usable proxy; the message names where it stands and never repeats it.
    """
    if proxy is not None:
        return Proxy.from_url(proxy) if proxy else None
    parts = urlsplit(base_url)
    return proxy_from_environment(
        parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme], environ
    )


@discreet
def proxy_from_environment(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that the usual variables name for an origin, or None; by the rules of urllib and curl.

    ``https_proxy`` or ``http_proxy`` by the origin's scheme, else ``all_proxy``. Each is also read in upper case where
    it is not set in lower case; a variable that is set but empty means no proxy. Under CGI (`REQUEST_METHOD` is set)
    ``HTTP_PROXY`` is ignored, because there the client's header ``Proxy`` arrives under this name ("httpoxy",
    CVE-2016-1000110). ``no_proxy`` is a list, separated by commas or blanks, of names (which stand for their
    subdomains too, with or without a leading dot), addresses and networks (``10.0.0.0/8``), or ``*``, each with or
    without a port. Case, final dots, zones and the two ways to write a name that is not ASCII make no difference.

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
    entries = [entry for entry in re.split(r"[,\s]+", no_proxy) if entry]
    if not entries:
        return False
    try:
        name = read_host(host).name
    except LocalProtocolError:  # no request can be made to it
        return False
    return any(_matches(name, port, entry) for entry in entries)


def _matches(host: str, port: int, entry: str) -> bool:
    name, only_port = _split_port(entry)
    if only_port not in ("", str(port)):
        return False
    if name == "*":
        return True
    address = read_address(host)
    if address is not None:
        mapped = getattr(address, "ipv4_mapped", None)  # RFC 4291 section 2.5.5.2: the same host
        return any(one in network for one in (address, mapped) if one for network in _networks(name))
    try:
        domain = read_host(name.removeprefix("*").removeprefix(".")).name
    except LocalProtocolError:
        return False
    return bool(domain) and f".{host}".endswith(f".{domain}")


def _networks(name: str) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The network that an entry names, which an address is as well; none where it is no address."""
    address, slash, length = name.partition("/")
    with suppress(ValueError):
        bare = address.partition("%")[0].removesuffix(".")
        yield ipaddress.ip_network(f"{bare}{slash}{length}", strict=False)


def _split_port(entry: str) -> tuple[str, str]:
    """An entry of ``no_proxy`` as name and port; an IPv6 address has a port only if it stands in brackets."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        length, _, port = rest.partition(":")
        return name + length, port
    return (entry, "") if entry.count(":") > 1 else (entry.partition(":")[0], entry.partition(":")[2])
