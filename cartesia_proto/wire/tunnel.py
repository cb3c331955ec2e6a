"""The CONNECT handshake with a proxy, after which its connection is one to the origin.

This module knows RFC 9110 section 9.3.6, and which answers of a proxy will be no better the next time. It must not know
how a proxy is named or when it is used (`proxy` does), nor what travels through the tunnel. User name and password
of a proxy are secrets: no message or exception of this module repeats them.
"""

import re
from typing import Final, TypeAlias, final

import h11
from attrs import frozen

from cartesia_proto.config import Limits
from cartesia_proto.errors import (
    ConnectError,
    LocalProtocolError,
    TimeoutError,
    TransportError,
)
from cartesia_proto.hosts import bracketed
from cartesia_proto.wire.link import HttpLink, LinkFailed
from cartesia_proto.wire.proxy import Proxy

_HOST: Final = re.compile(r"[!-~]+")  # what a request can carry as the name of a host, whatever else may be wrong


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
        authority = f"{bracketed(host.partition('%')[0])}:{port}"  # a zone means something on this machine alone
        fields = [("Host", authority), *((name, secret.reveal()) for name, secret in proxy.headers())]
        self._queue(h11.Request(method="CONNECT", target=authority, headers=fields))
        self._queue(h11.EndOfMessage())

    def _received(self, event: h11.Event) -> Tunnelled | None:
        if not isinstance(event, h11.Response):  # an interim response
            return None
        if not 200 <= event.status_code < 300:
            self._fail(self._proxy.refusal(event.status_code))
            return None
        if self.trailing_data():
            self._fail(ConnectError(f"{self._proxy} sent bytes before the origin was spoken to"))
            return None
        return Tunnelled()

    def _malformed(self, what: str) -> TransportError:
        status = int(self._lines.status or 0)
        if status >= 400:  # whatever is wrong behind its first line, it is a refusal
            return self._proxy.refusal(status)
        return ConnectError(f"{self._proxy} answered CONNECT with something that is no HTTP/1.1: {what}")

    def _cut(self) -> TransportError:
        return ConnectError(f"{self._proxy} closed the connection instead of answering CONNECT")

    def _timed_out(self) -> TransportError:
        return TimeoutError(
            f"no byte from {self._proxy} for {self._timeout:g} seconds", phase="handshake", scope="connection"
        )
