"""What every HTTP/1.1 link shares, over h11: bytes and times go in, events and bytes come out.

This module knows when h11 is fed, what its failures mean, when an exchange ends and how long the peer may be silent. It
must not know which side it is on beyond what h11 asks, nor what an event means to its user: `http1` and `tunnel` do.

Theory of operation. h11 owns the states; this module owns what h11 leaves open:

* Everything received is parsed at once into a queue of events, so an error found later can only be due to the end of
  the input, and no event depends on how the bytes were cut. h11 looks at its size limit only when it starves;
  therefore it is fed no more than the limit at a time, and an event that is not complete within the limit fails, in
  any segmentation.
* h11 is given a head alone, and what comes behind it later, so that a chunked body can be split past h11, for which
  every chunk is several events: services send each event in a chunk of its own. `chunked` says how.
* Of tiny chunks so many are taken at once; `next_event` goes on. Who lets others have their turn asks `laden` first.
* A head or trailer goes to h11 line by line, each once it is whole, so that what can be none is refused at once and not
  waited out: see `heads`.
* When both sides are done with one exchange, the next cycle begins by itself. Bytes a client did not ask for fail it.
* h11's own messages may repeat what was received or sent: only the words before the first quotation are passed on.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from typing import ClassVar, Final, Generic, Literal, TypeAlias, TypeVar, final

import h11
from attrs import frozen

from cartesia_proto.config import Limits
from cartesia_proto.discretion import Unshown
from cartesia_proto.errors import (
    ConnectionLost,
    IncompleteStream,
    LocalProtocolError,
    RemoteProtocolError,
    TimeoutError,
    TransportError,
)
from cartesia_proto.wire.chunked import ChunkSplitter
from cartesia_proto.wire.heads import HeadLines, in_words

State: TypeAlias = Literal["idle", "request", "response", "body", "switched", "closed", "failed"]
"""Where an exchange stands, seen from either side: between two exchanges; the request is under way; its response is
awaited; the response's body is under way; the connection speaks another protocol; it is at its end; it failed."""

SPACE: Final = 16 * 1024
"""Bytes that are offered to be received into at first: most answers fit, and a TLS record (RFC 8446 section 5.1)."""

BUSY: Final = 256 * 1024
"""Bytes that are offered to a peer that fills what it is given, here and on a WebSocket (`frames`). Waking up and
reading cost the same however much there is, so more at once costs less for each byte; asyncio itself reads no more."""

_LAST_CHUNK: Final = b"0\r\n"  # its first line


@final
@frozen
class LinkFailed:
    """The peer can be read no further; the last event of a link. The connection must be closed."""

    error: TransportError | RemoteProtocolError


EventT = TypeVar("EventT")


class HttpLink(ABC, Generic[EventT]):
    """What both roles share; see `ClientLink` and `ServerLink`.

    Args:
        timeout: seconds without progress, while the peer owes bytes, after which the link fails; ``math.inf`` for none.
        limits: of them, `head` bounds a message's head (with the interim responses before it), and within a chunked
            body everything that stands between two pieces of data.
    """

    _peer: str  # how messages call it
    _message: ClassVar[str]

    def __init__(self, connection: h11.Connection, timeout: float, limits: Limits) -> None:
        self._connection = connection
        self._timeout = timeout
        self._limit = limits.head
        self._events: deque[EventT | LinkFailed] = deque()
        self._outbox = bytearray()
        self._backlog = bytearray()  # received, not yet given to h11
        self._unparsed = 0  # bytes given to h11 since its last event
        self._parsed = False  # an event came out of h11 since _unparsed was counted
        self._lines = HeadLines(request=connection.our_role is h11.SERVER)
        self._chunks: ChunkSplitter | None = None  # while it takes the body past h11
        self._eof = False
        self._eof_told = False
        self._broken = False  # the input has no end, it merely stopped
        self._failed = False
        self._started = False  # a byte of the present message has arrived
        self._in_body = False
        self._in_trailer = False
        self._body_bytes = 0
        self._declared = 0  # bytes of the body being sent, where its length was declared
        self._progress = 0.0
        self._space: memoryview
        self._full: bool  # the last read took all the space there was
        self._let_go_of_space()

    # What the shell calls.

    def receive_space(self) -> memoryview:
        """Where to receive into, good until the next call; larger for a peer that fills it. `received` follows."""
        if self._full:
            self._space = memoryview(bytearray(min(max(SPACE, 4 * len(self._space)), BUSY)))
            self._full = False
        return self._space

    def received(self, count: int, now: float) -> None:
        """Take so many bytes that were received into `receive_space`, as `receive_data`.

        Raises:
            LocalProtocolError: there was not so much space.
        """
        if not 0 <= count <= len(self._space):
            raise LocalProtocolError(f"{count} bytes cannot have been received: there was no space for them")
        self._full = count == len(self._space) < BUSY
        self.receive_data(self._space[:count], now)

    def _let_go_of_space(self) -> None:
        """Hold none while none is needed; the next begins small."""
        self._space = memoryview(b"")
        self._full = True

    def receive_data(self, data: bytes | bytearray | memoryview, now: float) -> None:
        """Take bytes that arrived; none are no end of input. Never raises; what they mean comes from `next_event`."""
        if data and not self._failed and not self._eof:
            self._progress = now
            self._started = True
            self._take(data)

    def receive_eof(self, now: float) -> None:
        """Note that the peer will send nothing more. Where it owed bytes, the link fails."""
        self._progress = now
        self._eof = True
        self._take(b"")

    def connection_lost(self, now: float) -> None:
        """Note that the connection broke, which is no end: it was reset, or TLS ended without a close_notify.

        A body that lasts to the end of the connection is cut by it (RFC 9112 section 9.8), and the link fails; in all
        other cases this is as `receive_eof`.
        """
        self._broken = True
        self.receive_eof(now)

    def next_event(self) -> EventT | LinkFailed | None:
        """The next thing the peer said, or None until more bytes arrive."""
        if self.laden:
            self._take(b"")
        return self._events.popleft() if self._events else None

    @property
    def laden(self) -> bool:
        """Whether `next_event` would first take more of what arrived, which is work for another turn."""
        return self._chunks is not None and bool(self._chunks.untaken) and not self._events

    def data_to_send(self) -> bytes:
        """Everything queued for the wire since the last call, in bytes that do not show themselves."""
        data = Unshown(self._outbox)
        self._outbox.clear()
        return data

    def data_sent(self, now: float) -> None:
        """Note that what `data_to_send` answered has left: the read timeout counts anew from here."""
        self._progress = now

    def send_failed(self) -> None:
        """Note that bytes did not go out. Nothing more can be sent; a response already on its way can still be read."""
        self._outbox.clear()
        self._connection.send_failed()

    def deadline(self) -> float | None:
        """When the read timeout ends, in monotonic seconds; None while the peer owes nothing."""
        if self._failed or self.laden or self._timeout == math.inf:
            return None
        owing = self._connection.their_state
        owes = owing in (h11.SEND_RESPONSE, h11.SEND_BODY) or (owing is h11.IDLE and self._started)
        return self._progress + self._timeout if owes else None

    def handle_deadline(self, now: float) -> None:
        """Fail with `TimeoutError` if `deadline` has come; do nothing if it has not."""
        deadline = self.deadline()
        if deadline is not None and now >= deadline:
            self._fail(self._timed_out())

    @property
    def state(self) -> State:
        """Where the exchange stands."""
        if self._failed:
            return "failed"
        match self._connection.states[h11.SERVER], self._connection.states[h11.CLIENT]:
            case (h11.SWITCHED_PROTOCOL, _):
                return "switched"
            case (h11.SEND_BODY, _):
                return "body"
            case (_, h11.SEND_BODY):
                return "request"
            case (h11.SEND_RESPONSE, _):
                return "response"
            case (h11.IDLE, h11.IDLE):
                return "idle"
            case _:
                return "closed"

    @property
    def reusable(self) -> bool:
        """Whether the connection is between two exchanges and good for another."""
        return self.state == "idle"

    def trailing_data(self) -> bytes:
        """What was received after the head that switched protocols.

        Raises:
            LocalProtocolError: the link is not `switched`.
        """
        self._require("trailing_data", legal=self.state == "switched")
        return self._connection.trailing_data[0] + bytes(self._backlog)

    # Sending.

    def _require(self, verb: str, *, legal: bool) -> None:
        if not legal:
            raise LocalProtocolError(f"{verb} is illegal now: the state of the link is {self.state!r}")

    def _queue(self, event: h11.Event) -> None:
        self._outbox += self._connection.send(event) or b""

    def send_body(self, data: bytes) -> None:
        """Queue bytes of the body. Write them before queueing more, so that no more than one piece is held.

        Raises:
            LocalProtocolError: no body is being sent; or the body is longer than declared, and the link is of no
                further use.
        """
        self._require("send_body", legal=self._connection.our_state is h11.SEND_BODY)
        self._queue_body(h11.Data(data=data), "longer")

    def _end(self, verb: str) -> None:
        self._require(verb, legal=self._connection.our_state is h11.SEND_BODY)
        self._queue_body(h11.EndOfMessage(), "shorter")
        self._pump()

    def _begin_message(self, now: float, declared: int) -> None:
        self._progress = now
        self._declared = declared
        self._started = self._in_body = False

    def _queue_body(self, event: h11.Event, fault: str) -> None:
        try:
            return self._queue(event)
        except h11.LocalProtocolError:
            self._failed = True
        raise LocalProtocolError(
            f"the body is {fault} than the {self._declared} bytes declared (a file that changed while it was sent?)"
        )

    # Receiving.

    @abstractmethod
    def _received(self, event: h11.Event) -> EventT | None:
        """What h11's event means to the user of this link, or None."""

    def _is_chunked(self, event: h11.Request | h11.Response) -> bool:
        """Whether the body behind this head is chunked, and may be split here; h11 can do it always."""
        del event
        return False

    def _fail(self, error: TransportError | RemoteProtocolError) -> None:
        self._failed = True
        self._let_go_of_space()
        self._backlog.clear()
        self._events.append(LinkFailed(error))
        if self._connection.our_role is h11.CLIENT:  # a server may still answer what it could not read
            self._connection.send_failed()

    def _malformed(self, what: str) -> TransportError | RemoteProtocolError:
        return RemoteProtocolError(f"what the {self._peer} sent is no HTTP/1.1: {what}", scope="connection")

    def _cut(self) -> TransportError:
        ended = f"the {self._peer} closed the connection"
        if self._in_body:
            got = self._body_bytes
            return IncompleteStream(f"{ended} {got} bytes into a {self._message} body and before its end")
        if self._started:
            return ConnectionLost(f"{ended} in the middle of the head of its {self._message}")
        return ConnectionLost(f"{ended} before any byte of its {self._message}")

    def _timed_out(self) -> TransportError:
        return TimeoutError(f"no byte from the {self._peer} for {self._timeout:g} seconds", phase="read")

    def _pump(self) -> None:
        """Parse until h11 starves, pauses or fails, or a body is split past it."""
        done = (h11.MUST_CLOSE, h11.CLOSED)
        while not self._failed and self._chunks is None and self._connection.their_state not in done:
            if not self._begin_cycle():
                return
            try:
                event = self._connection.next_event()
            except h11.RemoteProtocolError as error:
                self._fail(self._cut() if self._eof_told else self._malformed(in_words(error)))
                return
            if isinstance(event, h11.Event):
                self._handle(event)
                if self._chunks is not None:
                    behind, self._backlog = self._backlog, bytearray()
                    self._split(self._chunks, behind)
            elif event is h11.PAUSED or not self._feed():
                return

    def _begin_cycle(self) -> bool:
        """Turn to the next exchange if both sides are done with one; False if this failed the link."""
        if self._connection.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            self._connection.start_next_cycle()
            self._started = bool(self._backlog or self._connection.trailing_data[0])
            self._in_body = False
        if self._connection.our_role is h11.CLIENT and self._connection.our_state is h11.IDLE and self._started:
            self._fail(self._malformed("bytes that no request asked for"))
        return not self._failed

    def _feed(self) -> bool:
        """Give h11 what it may hold of the backlog, or the end of the input; False if there is nothing to give."""
        if self._parsed:
            self._unparsed = len(self._connection.trailing_data[0])
            self._parsed = False
        room = self._limit - self._unparsed
        if room <= 0:
            part = "chunk header or trailer" if self._in_body else "head"
            self._fail(self._malformed(f"a {part} longer than the limit of {self._limit} bytes"))
        elif self._backlog:
            if self._connection.their_state is h11.DONE:  # it is the next message's, whose turn has not come
                return False
            in_lines = self._in_trailer or not self._in_body
            belonging = self._lines.measure(self._backlog[:room]) if in_lines else room
            piece = bytes(self._backlog[:belonging])
            del self._backlog[: len(piece)]
            self._unparsed += len(piece)
            self._give(self._lines.take(piece) if in_lines else piece)
        elif self._eof and not self._eof_told:
            self._eof_told = True
            self._give(self._lines.flush())
            if self._broken and self._connection.their_state is h11.SEND_BODY:
                self._fail(self._cut())
            else:
                self._connection.receive_data(b"")
        else:
            return False
        return True

    def _give(self, data: bytes) -> None:
        """Give h11 bytes, if any: none would be the end of the input."""
        if self._lines.fault:
            self._fail(self._malformed(self._lines.fault))
        elif data:
            self._connection.receive_data(data)

    def _take(self, data: bytes | bytearray | memoryview) -> None:
        if self._chunks is None:
            self._backlog += data
        else:
            self._split(self._chunks, data)
        self._pump()

    def _split(self, chunks: ChunkSplitter, received: bytes | bytearray | memoryview) -> None:
        """Take chunks past h11, and leave the last one and the trailer to it."""
        if data := chunks.take(received):
            self._handle(h11.Data(data=data))
        if chunks.untaken or (chunks.front == "incomplete" and not self._eof):
            return
        self._chunks = None
        if chunks.front == "malformed":
            self._fail(self._malformed(chunks.fault))
        elif chunks.front == "last":
            self._give(_LAST_CHUNK)
            self._lines.begin(start_line=False)
            self._in_trailer = True
            self._backlog += chunks.rest

    def _handle(self, event: h11.Event) -> None:
        # Interim responses do not reset the count: however many there are, the limit holds for all of them together.
        self._parsed = self._parsed or not isinstance(event, h11.InformationalResponse)
        if isinstance(event, h11.Data):
            self._body_bytes += len(event.data)
        else:
            self._lines.begin(start_line=True, interim=isinstance(event, h11.InformationalResponse))
            self._in_trailer = False
        if isinstance(event, h11.Request | h11.Response):
            self._in_body = True
            self._body_bytes = 0
            if self._is_chunked(event) and not self._connection.trailing_data[0]:
                self._chunks = ChunkSplitter(self._limit)
        elif isinstance(event, h11.EndOfMessage):
            self._let_go_of_space()
        meaning = self._received(event)
        if meaning is not None:
            self._events.append(meaning)
