"""Where received WebSocket bytes lie until they are whole frames, and the fast lane for the frames that matter most.

This module knows frame headers (RFC 6455 section 5.2) as far as to say where a frame ends, and one kind of frame
completely: the whole text message in a single plain frame, as every audio chunk is. It must not know the state of the
connection, nor what any other frame means: wsproto is given those, and judges them.

Theory of operation. A shell receives straight into the buffer. Frames are taken from its front, so what remains is at
most one frame that is not whole. When room runs short behind it, it is moved to the front, which happens to a frame
once, or into a buffer twice as large; so moving is linear in what is received. The buffer grows with what arrived,
never with what was declared, and shrinks when a large frame has gone. A text may be read where it lies, by whoever
finds out by that whether it is UTF-8; all else is handed out as copies, which need no rule for how long they stand.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, final

from attrs import field, frozen

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.wire.link import BUSY

ROOM: Final = 16 * 1024
"""The least that is offered to be received into: the most a TLS record holds (RFC 8446 section 5.1), 16 KiB."""

CAPACITY: Final = 2 * ROOM
"""Bytes of the buffer to begin with, so what an idle connection holds: room for a record behind a frame that is not yet
whole, if that is no longer than a record; of a peer that fills it, the buffer doubles up to `BUSY`."""

KEPT: Final = 1024 * 1024
"""A buffer grown larger than this is let go once it is no longer needed; our choice."""

LONGEST_HEADER: Final = 14
"""Two bytes, eight of extended length, four of mask (RFC 6455 section 5.2)."""

Front: TypeAlias = Literal["incomplete", "other", "not utf-8", "unread"]
"""What stands at the front of the buffer when the fast lane ends: a frame that may yet become one for it, one that is
none for it, one whose text is no UTF-8, or anything, where as many frames were taken as may be."""

Place: TypeAlias = tuple[int, int]
"""Where a text lies in a buffer: from the first of its bytes to the one behind its last."""

InPlace: TypeAlias = Callable[[bytearray, memoryview, list[Place], int], int]
"""Reads texts where they lie: in a buffer, of which there is a view, at these places, from one of them on.

It answers with the first place whose text it did not read, which is then told as a copy; the number of places if there
is none. What it read is UTF-8. It keeps neither buffer nor view."""

UNBOUNDED: Final = 1 << 62
"""More frames than anybody sends."""

CONTINUATION: Final = 0x00
PING: Final = 0x89
PONG: Final = 0x8A
"""First bytes of frames: a part of a message that does not end it, and control frames (RFC 6455 section 5.2)."""

_LONGEST_CONTROL: Final = 125
"""Bytes of a control frame's payload (RFC 6455 section 5.5)."""

AT_ONCE: Final = 64
"""How many texts are found before they are read, so that a buffer full of tiny ones does not cost much more than
itself: about as many audio chunks as a buffer of `BUSY` holds."""


@final
@frozen
class TextMessage:
    """A whole text message, as UTF-8: it was checked."""

    data: bytes = field(repr=lambda data: f"<{len(data)} bytes>")

    @property
    def text(self) -> str:
        """The message, decoded."""
        return self.data.decode()


@final
@frozen
class BinaryMessage:
    """A whole binary message."""

    data: bytes = field(repr=lambda data: f"<{len(data)} bytes>")


@final
@frozen
class FrameHeader:
    """What a frame says of itself; whether it may say so is for wsproto to judge.

    Attributes:
        control: it is a control frame by its opcode, so no part of a message.
        size: bytes of the header itself.
        payload: bytes that follow it.
    """

    control: bool
    size: int
    payload: int


@final
class FrameBuffer:
    """Received bytes that are not yet taken.

    Args:
        limit: the longest payload in bytes that is waited for; whoever takes frames refuses longer ones.

    Attributes:
        budget: how many more frames may be taken, about; whoever takes them sets it, and takes no more than `AT_ONCE`
            beyond it.
    """

    __slots__ = ("_brimful", "_buffer", "_end", "_limit", "_start", "_view", "budget")

    def __init__(self, limit: int) -> None:
        self.budget: int = UNBOUNDED
        self._limit = limit
        self._buffer = bytearray(CAPACITY)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._brimful = False  # the last read took all the space there was

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def capacity(self) -> int:
        """Bytes of memory it holds."""
        return len(self._buffer)

    def space(self, least: int = ROOM) -> memoryview:
        """Where to receive into, at least so many bytes. It stands until the next call."""
        if self._start == self._end:
            self._start = self._end = 0
        if len(self._buffer) > KEPT and len(self) + least <= CAPACITY:
            self._move_to(CAPACITY)
        elif self._brimful and len(self._buffer) < BUSY:
            self._move_to(max(2 * len(self._buffer), len(self) + least))
        elif len(self._buffer) - self._end < least:
            self._make_room(least)
        return self._view[self._end :]

    def filled(self, count: int) -> None:
        """Note that so many bytes were received into `space`.

        Raises:
            LocalProtocolError: there was not so much space.
        """
        if not 0 <= count <= len(self._buffer) - self._end:
            raise LocalProtocolError(f"{count} bytes cannot have been received: there was no space for them")
        self._end += count
        self._brimful = self._end == len(self._buffer)

    def clear(self) -> None:
        """Forget everything that was received."""
        self._start = self._end = 0

    def take(self, count: int) -> bytes:
        """Take bytes from the front; as many as there are, if there are fewer."""
        start = self._start
        self._start = min(start + count, self._end)
        return bytes(self._view[start : self._start])

    def take_texts(self, read: InPlace, tell: Callable[[bytes], None]) -> Front:
        """Take every text from the front that is whole, final, unmasked, uncompressed, minimal in length, and UTF-8.

        This is the path of every audio chunk.

        Args:
            read: is asked to read them where they lie.
            tell: is told those that were not, in their turn.
        """
        while True:
            places, front = self._find_texts()
            self.budget -= len(places)
            if not self._hand_over(places, read, tell):
                return "not utf-8"
            if len(places) < AT_ONCE:
                return front
            if self.budget <= 0:
                return "unread"

    def _hand_over(self, places: list[Place], read: InPlace, tell: Callable[[bytes], None]) -> bool:
        """Have texts read or told, in order; False if one is no UTF-8."""
        index = 0
        while index < len(places):
            index = read(self._buffer, self._view, places, index)
            for start, end in places[index : index + 1]:
                data = bytes(self._view[start:end])
                if not (data.isascii() or is_utf8(data)):
                    return False
                tell(data)
            index += 1
        return True

    def _find_texts(self) -> tuple[list[Place], Front]:
        """Take `AT_ONCE` texts from the front, or as many as there are, and what comes then.

        It does in one loop, without a call of ours, what can be done so.
        """
        buffer, limit, end = self._buffer, self._limit, self._end
        start = self._start
        places: list[Place] = []
        front: Front = "incomplete"
        while end - start >= 2 and len(places) < AT_ONCE:
            if buffer[start] != 0x81:  # FIN and opcode 1
                front = "other"
                break
            size = buffer[start + 1]  # its highest bit says that the frame is masked
            payload = start + 2
            shortest = 0
            if size == 126 and end - start >= 4:
                payload = start + 4
                size = buffer[start + 2] << 8 | buffer[start + 3]
                shortest = 126
            elif size == 127 and end - start >= 10:
                payload = start + 10
                size = int.from_bytes(buffer[start + 2 : payload])
                shortest = 1 << 16
            elif size > 125:
                front = "incomplete" if size < 128 else "other"
                break
            if not shortest <= size <= limit:
                front = "other"
                break
            if end < payload + size:
                break
            start = payload + size
            places.append((payload, start))
        self._start = start
        return places, front

    def take_trifle(self) -> tuple[int, bytes] | None:
        """Take a whole ping or pong, or a part of a message without content, unmasked, if one stands at the front.

        Returns:
            Its first byte and its payload. Whether a part of a message may stand there, the caller knows.
        """
        start, first = self._start, -1
        if self._end - start >= 2:
            first, size = self._buffer[start : start + 2]
            if first in {PING, PONG} and size <= min(_LONGEST_CONTROL, self._end - start - 2):
                return first, self.take(2 + size)[2:]
            if first == CONTINUATION and not size:
                return first, self.take(2)[2:]
        return None

    def header(self) -> FrameHeader | None:
        """What the frame at the front says of itself, or None while its header is not whole."""
        if len(self) < 2:
            return None
        first, second = self._view[self._start : self._start + 2]
        code = second & 0x7F
        extended = {126: 2, 127: 8}.get(code, 0)
        size = 2 + extended + (4 if second & 0x80 else 0)
        if len(self) < size:
            return None
        length = self._view[self._start + 2 : self._start + 2 + extended]
        return FrameHeader(bool(first & 0x08), size, int.from_bytes(length) if extended else code)

    def _make_room(self, least: int) -> None:
        waiting = len(self)
        if waiting + least > len(self._buffer):
            self._move_to(max(min(2 * len(self._buffer), self._limit + LONGEST_HEADER + CAPACITY), waiting + least))
        else:
            self._view[:waiting] = self._view[self._start : self._end]
            self._start, self._end = 0, waiting

    def _move_to(self, capacity: int) -> None:
        """Into a new buffer: one that somebody still has a view of cannot be resized."""
        waiting = len(self)
        buffer = bytearray(capacity)
        buffer[:waiting] = self._view[self._start : self._end]
        self._buffer, self._view = buffer, memoryview(buffer)
        self._start, self._end = 0, waiting


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8, in the strict sense of RFC 3629."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
