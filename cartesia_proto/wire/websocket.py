"""A WebSocket as a byte link, from both sides: `ClientWebSocketLink` and `ServerWebSocketLink` (RFC 6455).

This module knows how each side comes to an open connection. It must not know sockets, nor what a message means. What
both sides share from there on is in `websocket_link`, the handshake itself in `upgrade`.
"""

from typing import Never, TypeAlias, assert_never, final

from attrs import frozen
from wsproto.connection import CLIENT, SERVER

from cartesia_proto.config import PING_INTERVAL, PING_TIMEOUT, Limits, check_timeout
from cartesia_proto.errors import LocalProtocolError, TimeoutError
from cartesia_proto.flow import Failure
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.messages import Message
from cartesia_proto.wire.upgrade import (
    Agreement,
    ClientHandshake,
    HandshakeOutcome,
    acceptance,
    choose_compression,
    refuse_upgrade,
)
from cartesia_proto.wire.websocket_link import Closed, WebSocketLink


@final
@frozen
class Accepted:
    """The handshake is done and the link open; the response is the server's 101."""

    response: Response


@final
@frozen
class Rejected:
    """The server answered the handshake with another response: the last event of a link.

    The response has its body, to the limit for errors. Answer the ``upgrade`` attempt with it, as with the 101.
    """

    response: Response


ClientWebSocketEvent: TypeAlias = Accepted | Rejected | Message | Closed
ServerWebSocketEvent: TypeAlias = Message | Closed


@final
class ClientWebSocketLink(WebSocketLink[Accepted | Rejected]):
    """The client's end; made by a shell for each connection, once it stands (TLS included).

    The handshake is queued at once. Events: `Accepted`, any number of messages, `Closed`; or `Rejected` or `Closed` in
    place of `Accepted`. Neither credentials nor the URL appear in any of them.

    Args:
        request: the signed ``upgrade`` request, an http or https URL; the headers of the handshake are added.
        timeout: seconds for the whole handshake; ``math.inf`` for ever.
        limits: `head` and `error` bound the server's answer, `message` each message.
        ping_interval: seconds without a byte after which a ping is sent; ``math.inf`` for no keep-alive.
        ping_timeout: seconds without a byte after a ping after which the connection is lost; ``math.inf`` for never.
        deflate: offer to compress messages (RFC 7692).
        now: monotonic seconds.

    Raises:
        LocalProtocolError: the request cannot be sent as it is, or a time is not above zero.
    """

    _peer = "server"
    _role = CLIENT

    def __init__(
        self,
        request: Request,
        *,
        timeout: float,
        limits: Limits,
        ping_interval: float = PING_INTERVAL,
        ping_timeout: float = PING_TIMEOUT,
        deflate: bool = False,
        now: float,
    ) -> None:
        super().__init__(limits, ping_interval, ping_timeout, now)
        self._timeout = check_timeout(timeout)
        self._began = now
        self._handshake = ClientHandshake(request, limits, deflate=deflate, now=now)
        self._outbox += self._handshake.data_to_send()

    def receive_eof(self, now: float) -> None:
        """Note that the server will send nothing more. Without a close frame the connection is lost."""
        if self._state == "handshake":
            self._conclude(self._handshake.receive_eof(now), now)
        else:
            super().receive_eof(now)

    def _due(self) -> float:
        return self._began + self._timeout if self._state == "handshake" else super()._due()

    def _out_of_time(self, now: float) -> None:
        if self._state == "handshake":
            self._handshake_timed_out(now)
        else:
            super()._out_of_time(now)

    def _handshake_timed_out(self, now: float) -> None:
        """A refusal that had begun still says more than the time that ran out."""
        outcome = self._handshake.receive_eof(now)
        if isinstance(outcome, Failure):
            words = f"no answer to the WebSocket handshake within {self._timeout:g} seconds"
            outcome = Failure(TimeoutError(words, phase="handshake", scope="connection"))
        self._conclude(outcome, now)

    def _read(self, now: float) -> None:
        if self._state == "handshake":
            self._conclude(self._handshake.receive_data(self._buffer.take(len(self._buffer)), now), now)
        else:
            super()._read(now)

    def _conclude(self, outcome: HandshakeOutcome | None, now: float) -> None:
        match outcome:
            case None:
                pass
            case Agreement():
                self._agree(outcome, now)
            case Response():
                self._end(Rejected(outcome))
            case Failure(error=error):
                self._lose("", error)
            case _:
                assert_never(outcome)

    def _agree(self, agreement: Agreement, now: float) -> None:
        self._begin(agreement.deflate)
        self._events.append(Accepted(agreement.response))
        self.receive_data(agreement.trailing, now)


@final
class ServerWebSocketLink(WebSocketLink[Never]):
    """The server's end, over an HTTP link whose client asked for an upgrade; open at once, with the 101 queued.

    Events: any number of messages, `Closed`. The HTTP link is `switched` and of no further use.

    Args:
        link: it told `head` and the end of its body, and `refuse_upgrade` had no objection.
        headers: what the 101 says beside the handshake itself.
        deflate: agree to compress messages (RFC 7692) where the client offers it.
        The rest: see `ClientWebSocketLink`.

    Raises:
        LocalProtocolError: the request is no handshake, or already answered; or a time is not above zero.
    """

    _peer = "client"
    _role = SERVER

    def __init__(
        self,
        link: ServerLink,
        head: RequestHead,
        *,
        headers: Headers = Headers(),
        limits: Limits,
        ping_interval: float = PING_INTERVAL,
        ping_timeout: float = PING_TIMEOUT,
        deflate: bool = False,
        now: float,
    ) -> None:
        super().__init__(limits, ping_interval, ping_timeout, now)
        if refuse_upgrade(head) is not None:
            raise LocalProtocolError("the request is no WebSocket handshake: answer what refuse_upgrade says")
        agreed = choose_compression(head) if deflate else None
        link.switch_protocols(headers.merged(acceptance(head, agreed)))
        self._begin(agreed)
        self._outbox += link.data_to_send()
        self.receive_data(link.trailing_data(), now)
