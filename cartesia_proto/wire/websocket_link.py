"""What both ends of a WebSocket share once the handshake is done: sending, keep-alive, and every way of ending.

This module knows who may say what when. It must not know the handshake, sockets, nor what a message means. `messages`
knows what arrives; wsproto makes the frames that leave.

What ends a link is told by one last event, after everything that came before it; nothing is read after it. Whoever
closes is answered at once, whoever breaks the protocol is told how.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Final, Generic, Literal, TypeAlias, TypeVar, assert_never, final

import wsproto.events as heard
from attrs import frozen
from wsproto.connection import CLIENT, Connection, ConnectionType
from wsproto.extensions import Extension

from cartesia_proto.config import Limits, check_timeout
from cartesia_proto.discretion import Unshown
from cartesia_proto.errors import (
    ConnectionLost,
    LocalProtocolError,
    RemoteProtocolError,
    TimeoutError,
    TransportError,
)
from cartesia_proto.wire.deflate import Deflate
from cartesia_proto.wire.frames import ROOM, FrameBuffer, InPlace, TextMessage
from cartesia_proto.wire.messages import TURN, Message, MessageReader, PeerClosed, Told, Violation, none_in_place

CLOSE_TIMEOUT: Final = 10.0
"""Seconds a link that closes waits for the peer's close frame; the default of the `websockets` library."""

_SENDABLE: Final = (frozenset(range(1000, 1014)) - {1004, 1005, 1006}) | frozenset(range(3000, 5000))
"""Close codes that may be sent (RFC 6455 section 7.4, and 1012 and 1013 of the registry it founds)."""

_LONGEST_PING: Final = 125
_LONGEST_REASON: Final = 123
"""Bytes: a control frame carries 125, of a close frame two are the code (RFC 6455 section 5.5)."""

State: TypeAlias = Literal["handshake", "open", "closing", "closed"]
"""``closing``: our close frame is queued or sent, the peer's is awaited. After ``closed`` nothing is read, and nothing
sent but what `data_to_send` still holds."""

_READING: Final = ("open", "closing")
"""States in which what the peer sends is looked at."""

EventT = TypeVar("EventT")


@final
@frozen
class Closed:
    """The link has ended: its last event. Write what `data_to_send` still answers, then close the connection.

    Attributes:
        code: of the close frame that ended it, the peer's or (where the peer broke the protocol) ours; 1005 for a
            peer's without a code; None where the connection ended without one (RFC 6455 section 7.1.5).
        reason: the peer's text, or why we gave the connection up.
        error: None after a closing handshake, whoever began it; else why there was none.
    """

    code: int | None
    reason: str
    error: TransportError | RemoteProtocolError | None

    @property
    def clean(self) -> bool:
        """Whether both sides said goodbye."""
        return self.error is None


class WebSocketLink(Generic[EventT]):
    """What both roles share; see `ClientWebSocketLink` and `ServerWebSocketLink`.

    A shell receives into `receive_space` and says how much with `received`, or hands bytes to `receive_data`; after
    either it empties `next_event`, then writes `data_to_send` and says `data_sent`. Before it calls `handle_deadline`
    it reads what is readable: a pong that nobody has read yet must not be taken for a missing one. While bytes that
    `data_to_send` answered wait for the socket, it says so with `data_waits`, and takes no more of them.
    """

    _peer: ClassVar[str]
    _role: ClassVar[ConnectionType]

    def __init__(self, limits: Limits, ping_interval: float, ping_timeout: float, now: float) -> None:
        self._limit = limits.message
        self._inflated = min(limits.message, limits.inflated)
        self._interval = check_timeout(ping_interval)
        self._patience = check_timeout(ping_timeout)
        self._state: State = "handshake"
        self._buffer = FrameBuffer(limits.message)
        self._events: deque[EventT | Told | Closed] = deque()
        self._outbox = bytearray()
        self._heard = now
        self._pinged: float | None = None  # when the ping was sent that is unanswered
        self._ping_queued = False
        self._write_due = math.inf
        self._closing_since = now
        self._taking = False  # events were taken since bytes were received

    def _begin(self, deflate: Deflate | None) -> None:
        """Open the link; now it is known what was agreed on."""
        extensions: list[Extension] = []
        if deflate is not None:
            deflate.limit = self._inflated
            extensions.append(deflate)
        tell, fast_lane = self._events.append, self._role is CLIENT
        self._connection = Connection(self._role, extensions)
        self._reader = MessageReader(self._connection, self._buffer, self._limit, tell, fast_lane=fast_lane)
        self._reader.untaken = self._events
        self._state = "open"

    # What the shell calls.

    @property
    def state(self) -> State:
        """Where the link stands."""
        return self._state

    def receive_space(self, least: int = ROOM) -> memoryview:
        """Where to receive into: at least so many bytes, good until the next call. `received` follows with the count.

        Args:
            least: more than the default only for what must be taken at once, such as what TLS has decrypted.
        """
        return self._buffer.space(least)

    def received(self, count: int, now: float) -> None:
        """Note that so many bytes were received into `receive_space`; none are no end of input.

        With none it goes on with what is `unread`. What a peer may send never raises; what it means comes from
        `next_event`.

        Raises:
            LocalProtocolError: there was not so much space.
        """
        self._buffer.filled(count)
        self._taking = False
        if self._state == "closed":
            self._buffer.clear()
        elif count or self.unread:
            self._heard, self._pinged = (now, None) if count else (self._heard, self._pinged)
            self._read(now)

    def receive_data(self, data: bytes | bytearray | memoryview, now: float) -> None:
        """Take bytes that were received elsewhere: `received`, with a copy. Never raises."""
        rest = memoryview(data)
        while rest:
            space = self._buffer.space()
            count = min(len(space), len(rest))
            space[:count] = rest[:count]
            rest = rest[count:]
            self.received(count, now)
            while self.unread:
                self._read(now)

    def receive_eof(self, now: float) -> None:
        """Note that the peer will send nothing more. Without a close frame the connection is lost."""
        del now
        self._lose("", ConnectionLost(f"the {self._peer} ended the connection without a closing handshake"))

    @property
    def unread(self) -> bool:
        """Whether as many frames were read as one turn takes, and there may be more: then ``received(0)`` goes on.

        So it is only where messages are delivered. Let others have their turn, then go on, and only then read more.
        """
        return self._state in _READING and self._reader.unread

    def next_event(self) -> EventT | Message | Closed | None:
        """The next thing the peer said, or None until more bytes arrive; `Rejected` or `Closed` comes once, last.

        What came behind it is looked at later, so an answer to it leaves before one to a ping or a close behind it.
        """
        self._taking = True
        self._look_ahead()
        event = self._events.popleft() if self._events else None
        return TextMessage(event) if isinstance(event, bytes) else event

    def deliver_to(self, read: InPlace, take: Callable[[Told], None]) -> None:
        """From now on hand messages over as they arrive, and not to `next_event`.

        All else, the end included, is told by `next_event` as before, after the messages that came before it. What one
        call hands over is bounded: see `unread`.

        Args:
            read: is asked to read texts where they lie. It may send.
            take: is given every other message, of texts their UTF-8 alone. So each is let go before the next is copied,
                and none is wrapped in an object. It may send.

        Raises:
            LocalProtocolError: the handshake is not done.
        """
        if self._state == "handshake":
            self._require("deliver_to")
        if self._state != "closed":
            self._reader.read_in_place, self._reader.tell, self._reader.turn = read, take, TURN

    @property
    def has_data_to_send(self) -> bool:
        """Whether `data_to_send` would answer with anything."""
        self._look_ahead()
        return bool(self._outbox) or (self._state == "open" and bool(self._reader.pongs))

    @property
    def owes_only_a_pong(self) -> bool:
        """Whether all that `data_to_send` would answer with is pongs; left here, they become one when they are many."""
        return not self._outbox and self.has_data_to_send

    def data_to_send(self) -> bytes:
        """Everything queued for the wire since the last call."""
        self._look_ahead()
        self._queue_pongs()
        data = Unshown(self._outbox) if self._state == "handshake" else bytes(self._outbox)
        self._outbox.clear()
        return data

    def data_waits(self, due: float, *, moved: bool = False) -> None:
        """Have the link be lost if no byte leaves until then; an earlier time stands, unless some have `moved`."""
        self._write_due = due if moved else min(self._write_due, due)

    def data_sent(self, now: float) -> None:
        """Note that what `data_to_send` answered has left: the wait for a pong counts anew from here."""
        self._write_due = math.inf
        if self._ping_queued and self._pinged is not None:
            self._pinged = now
        self._ping_queued = False

    def send_failed(self) -> None:
        """Note that bytes did not go out: the connection is lost. Read what is readable first: it may say why."""
        self._lose("bytes could not be sent", ConnectionLost("the connection broke while bytes were being sent"))
        self._outbox.clear()

    def deadline(self) -> float | None:
        """When `handle_deadline` wants to be called while anyone reads, in monotonic seconds; None if never."""
        due = self._due()
        return None if due == math.inf else due

    def _due(self) -> float:
        match self._state:
            case "open":
                silent = self._heard + self._interval if self._pinged is None else self._pinged + self._patience
                return min(silent, self._write_due)
            case "closing":
                return min(self._closing_since + CLOSE_TIMEOUT, self._write_due)
            case _:
                return math.inf

    def handle_deadline(self, now: float) -> None:
        """Ping, or end the link, if `deadline` has come; do nothing if it has not."""
        if now >= self._due():
            self._out_of_time(now)

    def _out_of_time(self, now: float) -> None:
        if now >= self._write_due:
            self.send_failed()
        elif self._state == "closing":
            words = f"no close frame from the {self._peer} within {CLOSE_TIMEOUT:g} seconds of ours"
            self._lose(words, TimeoutError(words, scope="connection"))
        elif self._pinged is None:
            self._queue(heard.Ping())
            self._pinged = now
            self._ping_queued = True
        else:
            words = f"no byte from the {self._peer} within {self._patience:g} seconds of a ping"
            self._lose(words, ConnectionLost(words))

    # Sending. Each verb raises LocalProtocolError unless the link is open.

    def send_text(self, text: str) -> None:
        """Queue a text message.

        Raises:
            LocalProtocolError: the link is not open; or the text has a lone surrogate, which UTF-8 cannot carry.
        """
        self.send_fragments(text)

    def send_fragments(self, *fragments: str) -> None:
        """Queue one text message in several frames (RFC 6455 section 5.4), such as a text that is made bit by bit.

        Raises:
            LocalProtocolError: as `send_text`; or there is no fragment.
        """
        self._require("sending")
        if not fragments:
            raise LocalProtocolError("a message has at least one fragment, which may be empty")
        try:
            "".join(fragments).encode()
        except UnicodeEncodeError:
            raise LocalProtocolError("the text has a lone surrogate, which UTF-8 cannot carry") from None
        for index, fragment in enumerate(fragments, 1):
            self._queue(heard.TextMessage(fragment, message_finished=index == len(fragments)))

    def send_bytes(self, data: bytes) -> None:
        """Queue a binary message.

        Raises:
            LocalProtocolError: the link is not open.
        """
        self._require("sending")
        self._queue(heard.BytesMessage(data))

    def ping(self, payload: bytes = b"") -> None:
        """Queue a ping; keep-alive needs none. Its pong is not told.

        Raises:
            LocalProtocolError: the link is not open; or the payload has more than 125 bytes (RFC 6455 section 5.5).
        """
        self._require("ping")
        if len(payload) > _LONGEST_PING:
            raise LocalProtocolError(f"a ping carries at most {_LONGEST_PING} bytes, not {len(payload)}")
        self._queue(heard.Ping(payload))

    def close(self, code: int, reason: str, now: float) -> None:
        """Begin the closing handshake; messages that still arrive are dropped. `Closed` comes within `CLOSE_TIMEOUT`.

        Args:
            code: 1000 (all is well), another of RFC 6455 section 7.4 that may be sent, or 3000 to 4999.
            reason: at most 123 bytes in UTF-8.

        Raises:
            LocalProtocolError: the link is not open; or code or reason cannot be sent.
        """
        self._require("close")
        if code not in _SENDABLE:
            raise LocalProtocolError(f"{code} is no close code that may be sent (RFC 6455 section 7.4)")
        if not _fits_a_close_frame(reason):
            raise LocalProtocolError(f"a close reason has at most {_LONGEST_REASON} bytes of UTF-8")
        self._queue(heard.CloseConnection(code, reason))
        self._reader.drop_messages()
        self._state = "closing"
        self._closing_since = now

    def _require(self, verb: str) -> None:
        if self._state != "open":
            raise LocalProtocolError(f"{verb} is illegal now: the state of the link is {self._state!r}")

    def _queue(self, event: heard.Event) -> None:
        """Queue a frame, behind the pongs that were owed before it."""
        self._queue_pongs()
        self._outbox += self._connection.send(event)

    def _queue_pongs(self) -> None:
        if self._state == "open" and self._reader.pongs:
            self._outbox += self._reader.take_pongs()

    # Receiving.

    def _read(self, now: float) -> None:
        """Take everything that is whole out of the buffer."""
        del now
        ending = self._reader.read()
        match ending:
            case None:
                pass
            case PeerClosed(code=code, reason=reason):
                if self._state == "open":
                    self._queue(heard.CloseConnection(code))
                self._end(Closed(code, reason, None))
            case Violation(code=code, words=words):
                if self._state == "open":
                    self._queue(heard.CloseConnection(code, words))
                error = RemoteProtocolError(
                    f"the {self._peer} broke the WebSocket protocol: {words}", scope="connection"
                )
                self._end(Closed(code, words, error))
            case _:
                assert_never(ending)

    def _look_ahead(self, *, anyway: bool = False) -> None:
        """Look at what stands behind the last event, where that was taken, or nobody takes any, or anyway."""
        patient = self._taking and not anyway
        if self._state in _READING and self._reader.paused and not (patient and self._events):
            self._reader.untaken = self._events if patient else ()
            self._read(self._heard)
            self._reader.untaken = self._events

    def _lose(self, reason: str, error: TransportError | RemoteProtocolError) -> None:
        self._look_ahead(anyway=True)  # what came before is told before
        while self.unread:
            self._read(self._heard)
        if self._state != "closed":
            self._end(Closed(None, reason, error))

    def _end(self, event: EventT | Closed) -> None:
        if self._state != "handshake":
            self._reader.read_in_place = none_in_place  # nothing more comes, and whoever took it is let go
            self._reader.tell = self._events.append
        self._state = "closed"
        self._buffer.clear()
        self._events.append(event)


def _fits_a_close_frame(reason: str) -> bool:
    try:
        return len(reason.encode()) <= _LONGEST_REASON
    except UnicodeEncodeError:
        return False
