"""HTTP/1.1 as a byte link, from both sides: `ClientLink` and `ServerLink`.

This module knows heads: what is added to one on its way out, and what one that came in means. It must not know sockets,
retries, what a body means or how much of one is wanted (`bodies`). What both sides share is in `link`.
"""

import re
from collections.abc import Iterable
from typing import Final, TypeAlias, final

import h11
from attrs import evolve, field, frozen

from cartesia_proto.config import Limits
from cartesia_proto.credentials import Secret
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.wire.link import HttpLink, LinkFailed
from cartesia_proto.wire.proxy import Proxy

_NO_LENGTH_WHEN_EMPTY: Final = frozenset({"GET", "HEAD", "DELETE"})
"""Methods whose request without a body says nothing about a length (RFC 9110 section 8.6)."""

_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
"""Headers that say where a body ends (RFC 9112 section 6); they are the link's to set."""

_BODILESS: Final = frozenset({204, 304})
"""Statuses whose response never has a body, nor, here, a Content-Length (RFC 9110 sections 6.4.1 and 8.6)."""

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_VISIBLE: Final = re.compile(r"[!-~]+")  # what a request line can carry (RFC 9112 section 3)
_FIELD_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")  # RFC 9110 section 5.5


@final
@frozen
class ResponseHead:
    """Status and headers of the response; its body is empty. After a 101 the link is `switched`."""

    response: Response


@final
@frozen
class RequestHead:
    """Method, target (as the request line carries it) and headers of a request, for a server."""

    method: str
    target: str = field(repr=False)  # a query may carry a token
    headers: Headers


@final
@frozen
class BodyData:
    """Some bytes of the body, never empty."""

    data: bytes = field(repr=lambda data: f"<{len(data)} bytes>")


@final
@frozen
class EndOfBody:
    """The body is complete, or there was none. Every head is followed by one, unless the link fails or switches."""


ClientEvent: TypeAlias = ResponseHead | BodyData | EndOfBody | LinkFailed
ServerEvent: TypeAlias = RequestHead | BodyData | EndOfBody | LinkFailed


@final
class ClientLink(HttpLink[ResponseHead | BodyData | EndOfBody]):
    """The client's end of one connection; made by a shell for each connection, and used for one request after another.

    Events: `ResponseHead`, any number of `BodyData`, `EndOfBody`; or `LinkFailed` at any point, holding

    * `ConnectionLost`: the connection ended before the response's head was complete;
    * `IncompleteStream`: it ended before the body's declared end;
    * `TimeoutError` (phase ``read``): nothing arrived for `timeout` seconds;
    * `RemoteProtocolError`: what arrived is no HTTP/1.1, was not asked for, or its head is over the limit.

    Interim responses (1xx) are skipped, except 101, which comes as a `ResponseHead` and ends HTTP on this link.
    """

    _peer = "server"
    _message = "response"

    def __init__(self, timeout: float, limits: Limits) -> None:
        super().__init__(h11.Connection(h11.CLIENT, limits.head), timeout, limits)
        self._method = ""
        self.asked: Request | None = None  # as it was sent, with what only a proxy is told
        self._ambiguous = False  # two things said where a body ends

    @property
    def reusable(self) -> bool:
        """Whether the connection is between two exchanges and good for another.

        Never after a response with both Transfer-Encoding and Content-Length: the former holds, but who thinks of the
        latter takes the body for another response (RFC 9112 section 6.3).
        """
        return super().reusable and not self._ambiguous

    @property
    def response_started(self) -> bool:
        """Whether a byte of the awaited response has arrived: what `pool.replace_stale` asks when a link failed."""
        return self._started

    @property
    def error_status(self) -> int | None:
        """The status of an error whose head is malformed behind its first line; None of any other head."""
        status = int(self._lines.status or 0)
        return status if self._failed and not self._in_body and status >= 400 else None

    def without_secrets(self, text: str) -> str:
        """A text in which the secrets of the last request show as ``***``, as do those that only a proxy was told."""
        return text if self.asked is None else self.asked.without_secrets(text)

    def send(self, request: Request, now: float) -> None:
        """Queue a whole request whose body is bytes; a long one is better sent in pieces, each written before the next.

        Raises:
            LocalProtocolError: as `send_request`; or the body is an `Upload`.
        """
        if not isinstance(request.body, bytes):
            raise LocalProtocolError("an Upload is sent in pieces: use send_request, send_body and end_request")
        self.send_request(request, len(request.body), now)
        self.send_body(request.body)
        self.end_request()

    def send_request(self, request: Request, content_length: int, now: float, *, through: Proxy | None = None) -> None:
        """Queue a request's head; the body follows by `send_body` and `end_request`. `request.body` is not looked at.

        Adds Host, Content-Length, and ``Accept-Encoding: identity`` where the request names none.

        Args:
            content_length: the body's length in bytes, see `Upload.length`.
            through: the proxy at the other end, which is asked in absolute form (RFC 9112 section 3.2.2).

        Raises:
            LocalProtocolError: a request is under way or the connection is at its end; or the request cannot be sent
                as it is. Nothing was queued.
        """
        self._require("send_request", legal=self.reusable)
        if through is not None:  # another proxy or none may carry it the next time, so these are not the caller's
            request = evolve(request, headers=request.headers.merged(through.headers()))
        head = _request_head(request, content_length, through)
        self._peer = "server" if through is None else str(through).removeprefix("the ")
        self._method = request.method
        self.asked = request
        self._begin_message(now, content_length)
        self._queue(head)

    def end_request(self) -> None:
        """Say that the body is complete.

        Raises:
            LocalProtocolError: no request is being sent; or its body is shorter than declared, and the link is of no
                further use.
        """
        self._end("end_request")

    def _is_chunked(self, event: h11.Request | h11.Response) -> bool:
        """As RFC 9112 section 6.3 has it; h11 has refused every transfer coding but this."""
        bodiless = self._method == "HEAD" or (isinstance(event, h11.Response) and event.status_code in _BODILESS)
        return not bodiless and any(name == b"transfer-encoding" for name, _ in event.headers)

    def _received(self, event: h11.Event) -> ResponseHead | BodyData | EndOfBody | None:
        match event:
            case h11.Response(status_code=status) | h11.InformationalResponse(status_code=101 as status):
                self._ambiguous = self._ambiguous or _framings(event.headers) == _FRAMING
                head = Response(status, _headers(event.headers.raw_items()))
                return ResponseHead(head if self.asked is None else self.asked.without_echo(head))
            case _:
                return _body_event(event)


@final
class ServerLink(HttpLink[RequestHead | BodyData | EndOfBody]):
    """The server's end of one connection: `RequestHead`, `BodyData` and `EndOfBody` come in, then a response goes out.

    After `EndOfBody` the next request is read once the response is complete: do not read on before. After a
    `LinkFailed` with a `RemoteProtocolError` one last response may be sent. Where `reusable` is false after a response,
    the connection must be closed. A client that waits for ``100 Continue`` gets it at once. The deadline stands while
    a request has begun and is not complete.
    """

    _peer = "client"
    _message = "request"

    def __init__(self, timeout: float, limits: Limits) -> None:
        super().__init__(h11.Connection(h11.SERVER, limits.head), timeout, limits)
        self._method = ""

    def send(self, response: Response) -> None:
        """Queue a whole response; to HEAD, without its body.

        Raises:
            LocalProtocolError: as `send_head`; or a 204 or 304 has a body.
        """
        self.send_head(response, len(response.body))
        self.send_body(response.body)
        self.end_response()

    def send_body(self, data: bytes) -> None:
        """Queue bytes of the body; to HEAD they are left out.

        Raises:
            LocalProtocolError: as `HttpLink.send_body`.
        """
        super().send_body(b"" if self._method == "HEAD" else data)

    def send_head(self, response: Response, content_length: int | None) -> None:
        """Queue a response's head; the body follows by `send_body` and `end_response`.

        Args:
            content_length: the body's length in bytes; None sends it chunked (to an HTTP/1.0 client: until the close).

        Raises:
            LocalProtocolError: no request awaits a response; or the response cannot be sent as it is.
        """
        unread = self._failed and self._connection.our_state is h11.IDLE
        self._require("send_head", legal=unread or self._connection.our_state is h11.SEND_RESPONSE)
        if not 200 <= response.status < 1000:
            raise LocalProtocolError(f"{response.status} is no status of a final response")
        _check_fields(response.headers, _FRAMING)
        fields = _wire_fields(response.headers)
        if content_length is not None and response.status not in _BODILESS:
            fields.append((b"Content-Length", b"%d" % content_length))
        if self._failed:
            fields.append((b"Connection", b"close"))
        if unread:  # what there is of a method is the last request's
            self._method = ""
        bodiless = self._method == "HEAD" or response.status in _BODILESS
        self._declared = 0 if bodiless else content_length or 0
        self._queue(h11.Response(status_code=response.status, headers=fields))

    def switch_protocols(self, headers: Headers) -> None:
        """Queue a 101, which ends HTTP on this link; `trailing_data` then has what the client sent behind it.

        Raises:
            LocalProtocolError: no whole request that asks for an upgrade awaits a response; or a header cannot be sent.
        """
        proposed = h11.MIGHT_SWITCH_PROTOCOL  # type: ignore[attr-defined] # h11 documents it and leaves it out of __all__
        self._require("switch_protocols", legal=self._connection.their_state is proposed)
        _check_fields(headers, _FRAMING)
        fields = _wire_fields(headers)
        self._queue(h11.InformationalResponse(status_code=101, headers=fields, reason="Switching Protocols"))

    def end_response(self) -> None:
        """Say that the body is complete.

        Raises:
            LocalProtocolError: no response is being sent; or its body is shorter than declared, and the link is of no
                further use.
        """
        self._end("end_response")

    def _is_chunked(self, event: h11.Request | h11.Response) -> bool:
        """As RFC 9112 section 6.3 has it; h11 has refused every transfer coding but this."""
        return any(name == b"transfer-encoding" for name, _ in event.headers)

    def _received(self, event: h11.Event) -> RequestHead | BodyData | EndOfBody | None:
        if not isinstance(event, h11.Request):
            return _body_event(event)
        if _framings(event.headers) == _FRAMING:  # as request smuggling has: RFC 9112 section 6.3 lets us refuse it
            self._fail(self._malformed("a request has both Transfer-Encoding and Content-Length"))
            return None
        if self._connection.they_are_waiting_for_100_continue:
            self._queue(h11.InformationalResponse(status_code=100, headers=[]))
        self._method = event.method.decode("ascii")
        return RequestHead(self._method, event.target.decode("ascii"), _headers(event.headers.raw_items()))


def _framings(fields: Iterable[tuple[bytes, bytes]]) -> frozenset[str]:
    """Which headers say where a body ends; h11 has made names lower-case."""
    return _FRAMING.intersection(name.decode("ascii") for name, _ in fields)


def _body_event(event: h11.Event) -> BodyData | EndOfBody | None:
    match event:
        case h11.Data():
            return BodyData(bytes(event.data))
        case h11.EndOfMessage():
            return EndOfBody()
        case _:  # an interim response, or the connection's end where nothing was owed
            return None


def _request_head(request: Request, length: int, through: Proxy | None) -> h11.Request:
    if not _TOKEN.fullmatch(request.method):
        raise LocalProtocolError(f"{request.method!r} is no HTTP method")
    if not _VISIBLE.fullmatch(request.target) or not _VISIBLE.fullmatch(request.authority):
        raise LocalProtocolError("the URL has no host, or a character that must be percent-encoded")
    _check_fields(request.headers, _FRAMING | {"host"})
    host, framing = (b"Host", request.authority.encode("ascii")), list[tuple[bytes, bytes]]()
    if "accept-encoding" not in request.headers:  # without it any coding would be acceptable: RFC 9110 section 12.5.3
        framing.append((b"Accept-Encoding", b"identity"))
    if length or request.method not in _NO_LENGTH_WHEN_EMPTY:
        framing.append((b"Content-Length", b"%d" % length))
    fields = [host, *_wire_fields(request.headers), *framing]
    target = request.target if through is None else f"http://{request.authority}{request.target}"
    try:
        return h11.Request(method=request.method, target=target, headers=fields)
    finally:
        del fields  # no local holds the true values where h11 raises


def _check_fields(headers: Headers, reserved: frozenset[str]) -> None:
    """Refuse headers that cannot be sent.

    Raises:
        LocalProtocolError: a header is one the link sets itself, or has a value that cannot be sent; the message names
            the header, never its value.
    """
    for name, value in headers:
        if name.lower() in reserved:
            raise LocalProtocolError(f"header {name} is set by the link: leave it out")
        if not _TOKEN.fullmatch(name) or not _FIELD_VALUE.fullmatch(
            value.reveal() if isinstance(value, Secret) else value
        ):
            raise LocalProtocolError(f"header {name!r} cannot be sent: its name or value has a forbidden character")


def _wire_fields(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers that were checked, with their true values, as h11 takes them."""
    return [(name.encode("ascii"), value.strip(" \t").encode("latin-1")) for name, value in headers.reveal()]


def _headers(fields: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers as they were received, in Latin-1 (RFC 9110 section 5.5), with secret-looking ones wrapped."""
    return Headers.received((name.decode("ascii"), value.decode("latin-1")) for name, value in fields)
