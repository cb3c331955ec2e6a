"""What arrives on an open WebSocket, made whole: messages, and the one thing that ends them.

This module knows when wsproto is fed and what it means by what it tells, how long a message may become, and when the
fast lane may be taken. It must not know the handshake, time, nor what is sent: the link answers what it is told here.

Theory of operation.

* A frame is looked at when its header is whole and again when all of it is, never in between; so no event depends on
  how the bytes were cut. wsproto is given a header at once, so that it can refuse the frame before its payload is
  waited for, and the payload in slices, so that no second copy of all of it is made.
* The fast lane takes whole text messages past wsproto. It is open to a client while no fragmented message is open and
  no close was sent or seen. A property test holds it equal to wsproto.
* Pings, pongs and empty parts of a message, of which a peer can send very many, are taken past wsproto as well: they
  change nothing in it. And where others share the thread, one turn takes a bounded number of frames (`TURN`).
* wsproto tells a peer's violation as if the peer had closed, but stays open: that is how the two are told apart.
* What stands behind a message that was told, but not taken yet, is not looked at: an answer to the message then leaves
  before the answer to a ping, a close frame or a violation that follows it.
"""

from collections import deque
from collections.abc import Callable, Sized
from typing import Final, TypeAlias, final

import wsproto.events as heard
from attrs import frozen
from wsproto.connection import Connection, ConnectionState

from cartesia_proto.wire.frames import (
    CONTINUATION,
    PING,
    UNBOUNDED,
    BinaryMessage,
    FrameBuffer,
    FrameHeader,
    InPlace,
    Place,
    TextMessage,
)
from cartesia_proto.wire.link import BUSY

NOT_UTF8: Final = 1007
TOO_BIG: Final = 1009
"""Close codes of RFC 6455 section 7.4.1."""

_SLICE: Final = 16 * 1024
"""Bytes fed to wsproto at once; our choice."""

TURN: Final = 256
"""How many frames are taken in one turn, about. Our choice: the dearest cost some 20 microseconds each, so a turn lasts
a few milliseconds, which nobody hears in audio; a full buffer (`BUSY`) of audio chunks is one turn."""

_FRAME_SIZED: Final = 4 * 1024
"""So many bytes that a frame inflates to count as one frame more; about an audio chunk."""

MOST_PONGS: Final = 2 * TURN
"""Pongs that may wait; of more, only the last is sent, as RFC 6455 section 5.5.3 allows. Our choice: at most 66 KiB, so
that a peer who pings and does not read costs no more, and those of one turn leave before the next where it reads."""

Message: TypeAlias = TextMessage | BinaryMessage

Told: TypeAlias = bytes | BinaryMessage
"""A message as it is told: of a text, which is nearly every one, its UTF-8 alone."""


@final
@frozen
class PeerClosed:
    """The peer sent a close frame; the code is 1005 where it gave none."""

    code: int
    reason: str


@final
@frozen
class Violation:
    """The peer broke the protocol; the code is the one to close with."""

    code: int
    words: str


Ending: TypeAlias = PeerClosed | Violation


def none_in_place(buffer: bytearray, view: memoryview, places: list[Place], first: int) -> int:
    """Read no text where it lies: each is told."""
    del buffer, view, places
    return first


@final
class MessageReader:
    """Reads what one peer says; made once the handshake is done.

    Args:
        connection: wsproto's; the link sends through it, nothing else receives through it.
        buffer: what was received.
        limit: bytes that a message may have, inflated.
        fast_lane: whole text frames may go past wsproto. Never for a server: it must refuse what is not masked.

    Attributes:
        read_in_place: asked to read texts where they lie, before they are told.
        tell: called with every other message, once it is whole.
        untaken: what was told and is to be taken before anything that follows is looked at.
        paused: `read` stopped for that reason.
        pongs: the first answers to pings, as frames, until `take_pongs`.
        turn: how many frames `read` takes at most, about.
    """

    def __init__(
        self,
        connection: Connection,
        buffer: FrameBuffer,
        limit: int,
        tell: Callable[[Told], None],
        *,
        fast_lane: bool,
    ) -> None:
        self.pongs: deque[bytes] = deque()
        self._last_ping: heard.Ping | None = None  # of more than can be answered
        self.turn: int = UNBOUNDED
        self.untaken: Sized = ()
        self.paused: bool = False
        self._connection = connection
        self._buffer = buffer
        self._limit = limit
        self.read_in_place: InPlace = none_in_place
        self.tell: Callable[[Told], None] = tell
        self._fast_lane = fast_lane
        self._frame: FrameHeader | None = None  # wsproto has its header, the payload is awaited
        self._fragmented = False
        self._dropping = False
        self._message = bytearray()
        self._ending: Ending | None = None

    def take_pongs(self) -> bytes:
        """Take the pongs that are to be sent, as frames; of more than `MOST_PONGS` the last alone."""
        pongs, last = b"".join(self.pongs), self._last_ping
        self.pongs.clear()
        self._last_ping = None
        if last is None or self._connection.state is not ConnectionState.OPEN:
            return pongs
        return self._connection.send(last.response())

    def drop_messages(self) -> None:
        """Tell no more messages: we have closed, and await the peer's close frame alone."""
        self._dropping = True
        self._message = bytearray()

    def read(self) -> Ending | None:
        """Tell every message that is whole; answer with what ended them, if anything, after which nothing is read."""
        self._buffer.budget = self.turn
        while not self._pauses() and self._ending is None:
            if self._fast_lane and self._frame is None and not (self._fragmented or self._dropping):
                front = self._buffer.take_texts(self.read_in_place, self.tell)
                if front == "incomplete":
                    return None
                if front == "not utf-8":
                    self._end(_NOT_UTF8)
                if self._pauses() or self._ending is not None:
                    break
            if self.unread:
                return None
            self._buffer.budget -= 1
            if not (self._take_front() if self._frame is None else self._take_payload(self._frame)):
                return None
        return None if self.paused else self._ending

    @property
    def unread(self) -> bool:
        """Whether `read` has taken all that one turn takes, and there may be more."""
        return self._buffer.budget <= 0 and self._ending is None

    def _take_front(self) -> bool:
        """Take a trifle whole, or give wsproto the next header; False if that is not whole."""
        if not self._fast_lane or (trifle := self._buffer.take_trifle()) is None:
            return self._take_header()
        first, payload = trifle
        if first == CONTINUATION and not self._fragmented:
            self._feed(bytes([CONTINUATION, 0]))  # which is refused
        elif first == PING:
            self._take_ping(heard.Ping(payload))
        return True

    def _pauses(self) -> bool:
        self.paused = bool(self.untaken) and len(self._buffer) < BUSY  # behind so much nothing waits
        return self.paused

    def _take_header(self) -> bool:
        """Give wsproto the next header; False if it is not whole."""
        header = self._buffer.header()
        if header is None:
            return False
        self._frame = header
        self._feed(self._buffer.take(header.size))
        if not header.control and len(self._message) + header.payload > self._limit:
            self._end(self._too_big)
        return True

    def _take_payload(self, frame: FrameHeader) -> bool:
        """Give wsproto the payload that belongs to its header; False if it is not whole."""
        if len(self._buffer) < frame.payload:
            return False
        self._frame = None
        for start in range(0, frame.payload, _SLICE):
            self._feed(self._buffer.take(min(_SLICE, frame.payload - start)))
        return True

    def _feed(self, data: bytes) -> None:
        if self._ending is not None:
            return
        self._connection.receive_data(data)
        for event in self._connection.events():
            match event:
                case heard.TextMessage() | heard.BytesMessage():
                    self._take_piece(event)
                case heard.Ping():
                    self._take_ping(event)
                case heard.CloseConnection():
                    self._take_close(event)
                case _:  # a pong: like every byte, it was a sign of life
                    pass

    def _take_piece(self, piece: heard.TextMessage | heard.BytesMessage) -> None:
        """A piece of a message: wsproto tells what it makes of each slice."""
        self._fragmented = not piece.message_finished
        self._buffer.budget -= len(piece.data) // _FRAME_SIZED
        if self._dropping:
            return
        self._message += piece.data.encode() if isinstance(piece, heard.TextMessage) else piece.data
        if len(self._message) > self._limit:
            self._end(self._too_big)
        elif piece.message_finished:
            whole, self._message = bytes(self._message), bytearray()
            self.tell(whole if isinstance(piece, heard.TextMessage) else BinaryMessage(whole))

    def _take_ping(self, ping: heard.Ping) -> None:
        """Answer at once: behind a close frame wsproto would not. After ours nothing is answered."""
        if self._connection.state is ConnectionState.OPEN:
            if len(self.pongs) < MOST_PONGS:
                self.pongs.append(self._connection.send(ping.response()))
            else:
                self._last_ping = ping

    def _take_close(self, event: heard.CloseConnection) -> None:
        code, words = int(event.code), event.reason or ""
        if self._connection.state in {ConnectionState.REMOTE_CLOSING, ConnectionState.CLOSED}:
            self._end(PeerClosed(code, words))
        else:
            self._end(_NOT_UTF8 if code == NOT_UTF8 else Violation(code, words))

    def _end(self, ending: Ending) -> None:
        self._ending = self._ending or ending
        self._message = bytearray()

    @property
    def _too_big(self) -> Violation:
        return Violation(TOO_BIG, f"a message is longer than the limit of {self._limit} bytes")


_NOT_UTF8: Final = Violation(NOT_UTF8, "a text is no UTF-8")
"""In these words on both paths: wsproto's depend on how it was fed."""
