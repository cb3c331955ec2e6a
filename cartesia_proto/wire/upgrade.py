"""The handshake of a WebSocket, from both sides (RFC 6455 section 4): what is asked, and what makes an answer a yes.

This module knows the headers of the handshake and that an answer other than a good 101 is an HTTP response like any
other. It must not know frames, nor when time has run out: the link does.

wsproto's own handshake is not used: it takes any interim response for a refusal, bounds heads as h11 happens to, and
lets exceptions out where a header has other than ASCII text. Ours is the HTTP link with a few headers.
"""

import math
from typing import Final, TypeAlias, final

from attrs import evolve, frozen
from wsproto.utilities import generate_accept_token, generate_nonce

from cartesia_proto.codecs.json import decode_base64
from cartesia_proto.config import Limits
from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError
from cartesia_proto.flow import Attempt, Failure
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.wire.deflate import NAME, Deflate, accept_offer, read_answer
from cartesia_proto.wire.exchange import Exchange
from cartesia_proto.wire.http1 import RequestHead

VERSION: Final = "13"
"""RFC 6455 section 4.1, item 9."""

_KEY_BYTES: Final = 16  # RFC 6455 section 4.1, item 7


@final
@frozen
class Agreement:
    """The server said yes.

    Attributes:
        response: its 101.
        deflate: the compression agreed on, if any.
        trailing: what it already sent behind the handshake.
    """

    response: Response
    deflate: Deflate | None
    trailing: bytes


HandshakeOutcome: TypeAlias = Agreement | Response | Failure
"""A response is a refusal, read whole or to the limit for errors; a failure means that there was no usable answer."""


@final
class ClientHandshake:
    """The client's handshake; made by the link, and over once it has an outcome.

    Args:
        request: absolute and signed; its headers for the handshake itself are set here.
        limits: of them, `head` and `error` bound the answer.
        deflate: offer permessage-deflate.
        now: monotonic seconds.

    Raises:
        LocalProtocolError: the request is no GET without a body, or cannot be sent as it is.
    """

    def __init__(self, request: Request, limits: Limits, *, deflate: bool, now: float) -> None:
        if request.method != "GET" or request.body:
            raise LocalProtocolError("a WebSocket is asked for with a GET without a body (RFC 6455 section 4.1)")
        self._nonce = generate_nonce()
        self._deflate = deflate
        self._subprotocols = _tokens(request.headers, "sec-websocket-protocol")
        asking = evolve(request, headers=request.headers.merged(self._headers()))
        attempt = Attempt(asking, 0.0, math.inf, "upgrade", limits.error, limits.error)
        self._exchange = Exchange(attempt, limits)
        self._exchange.begin((), now)
        self._exchange.link.end_request()

    def _headers(self) -> list[tuple[str, str]]:
        fields = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", VERSION),
            ("Sec-WebSocket-Key", self._nonce.decode("ascii")),
        ]
        return [*fields, ("Sec-WebSocket-Extensions", NAME)] if self._deflate else fields

    def data_to_send(self) -> bytes:
        """What is queued for the wire."""
        return self._exchange.link.data_to_send()

    def receive_data(self, data: bytes, now: float) -> HandshakeOutcome | None:
        """Take bytes that arrived; the outcome, or None while more are needed. Never raises."""
        self._exchange.link.receive_data(data, now)
        return self._outcome()

    def receive_eof(self, now: float) -> HandshakeOutcome | None:
        """Note that nothing more will arrive, or be waited for; there is an outcome then."""
        self._exchange.link.receive_eof(now)
        return self._outcome()

    def _outcome(self) -> HandshakeOutcome | None:
        while (outcome := self._exchange.outcome()) is None and self._exchange.link.laden:
            pass
        if not isinstance(outcome, Response) or outcome.status != 101:
            return outcome
        try:
            deflate = self._check(outcome.headers)
        except RemoteProtocolError as error:
            return Failure(error)
        return Agreement(outcome, deflate, self._exchange.link.trailing_data())

    def _check(self, answer: Headers) -> Deflate | None:
        """RFC 6455 section 4.1, the six things a client must validate; the status is known to be 101."""
        if "websocket" not in _tokens(answer, "upgrade") or "upgrade" not in _tokens(answer, "connection"):
            raise _bad_answer("does not say Upgrade: websocket and Connection: Upgrade")
        if _value(answer, "sec-websocket-accept") != generate_accept_token(self._nonce).decode("ascii"):
            raise _bad_answer("has a Sec-WebSocket-Accept that does not fit the key")
        if not _tokens(answer, "sec-websocket-protocol") <= self._subprotocols:
            raise _bad_answer("has a subprotocol that was not asked for")
        extensions = _value(answer, "sec-websocket-extensions")
        if not extensions:
            return None
        if not self._deflate:
            raise _bad_answer("has an extension that was not offered")
        return read_answer(extensions)


def _bad_answer(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"the server's answer to the WebSocket handshake {what}", scope="connection")


def refuse_upgrade(head: RequestHead) -> Response | None:
    """The response for a request that is no WebSocket handshake a server can say yes to; None where it is one.

    400, or 426 where another version or no WebSocket at all was asked for (RFC 6455 section 4.2.2, RFC 9110 section
    15.5.22). The body says what is wrong, as plain text.
    """
    asked = head.headers
    if "websocket" not in _tokens(asked, "upgrade") or "upgrade" not in _tokens(asked, "connection"):
        return _refusal(426, "this path speaks WebSocket: ask for an upgrade", ("Upgrade", "websocket"))
    if _value(asked, "sec-websocket-version") != VERSION:
        return _refusal(426, f"only WebSocket version {VERSION} is spoken", ("Sec-WebSocket-Version", VERSION))
    if head.method != "GET":
        return _refusal(400, "a WebSocket is asked for with GET")
    if not _good_key(_value(asked, "sec-websocket-key")):
        return _refusal(400, f"Sec-WebSocket-Key must be {_KEY_BYTES} bytes in base64")
    return None


def _refusal(status: int, text: str, *fields: tuple[str, str]) -> Response:
    return Response(status, Headers([("Content-Type", "text/plain"), *fields]), text.encode("ascii"))


def _good_key(key: str) -> bool:
    try:
        return len(decode_base64(key)) == _KEY_BYTES
    except RemoteProtocolError:
        return False


def choose_compression(head: RequestHead) -> Deflate | None:
    """The first of the client's offers of permessage-deflate that can be met, or None."""
    return accept_offer(_value(head.headers, "sec-websocket-extensions"))


def acceptance(head: RequestHead, deflate: Deflate | None) -> Headers:
    """The headers of the 101 (RFC 6455 section 4.2.2, item 5).

    Args:
        head: a request that `refuse_upgrade` does not refuse.
        deflate: what `choose_compression` answered, or None to leave messages as they are.
    """
    key = _value(head.headers, "sec-websocket-key").encode("ascii")
    accept = generate_accept_token(key).decode("ascii")
    fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
    return Headers(fields if deflate is None else [*fields, ("Sec-WebSocket-Extensions", deflate.answer)])


def _value(headers: Headers, name: str) -> str:
    """The true values of all fields of a name as one (RFC 9110 section 5.3), empty where there is none."""
    return ", ".join(value for key, value in headers.reveal() if key.lower() == name)


def _tokens(headers: Headers, name: str) -> frozenset[str]:
    return frozenset(token.strip(" \t").lower() for token in _value(headers, name).split(",")) - {""}
