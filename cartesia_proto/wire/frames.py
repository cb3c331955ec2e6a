"""Where received WebSocket bytes lie until they are whole frames, and the fast lane for the frames that matter most.

This module knows frame headers (RFC 6455 section 5.2) as far as to say where a frame ends, and one kind of frame
completely: the whole text message in a single plain frame, as every audio chunk is. It must not know the state of the
connection, nor what any other frame means: wsproto is given those, and judges them.

Theory of operation. A shell receives straight into the buffer. Frames are taken from its front, so what remains is at
most one frame that is not whole. When room runs short behind it, it is moved to the front, which happens to a frame
once, or into a buffer twice as large; so moving is linear in what is received. The buffer grows with what arrived,
never with what was declared, and shrinks when a large frame has gone. What is handed out are copies: a text must be
read once anyway to know that it is UTF-8, and a copy that is checked costs no more than a view that is.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, final

from attrs import field, frozen

from cartesia_proto.errors import LocalProtocolError

CAPACITY: Final = 64 * 1024
"""Bytes of the buffer to begin with: as much as asyncio and trio read at once, and ten audio chunks."""

BUSY: Final = 256 * 1024
"""Bytes of the buffer of a peer that fills it: a quarter of the reads that `CAPACITY` needs. Our choice: on asyncio a
chunk of 4 KiB took 14 µs instead of 18, measured once, and larger ones were not tried."""

ROOM: Final = 16 * 1024
"""The least that is offered to be received into: the most a TLS record holds (RFC 8446 section 5.1), 16 KiB."""

KEPT: Final = 1024 * 1024
"""A buffer grown larger than this is let go once it is no longer needed; our choice."""

LONGEST_HEADER: Final = 14
"""Two bytes, eight of extended length, four of mask (RFC 6455 section 5.2)."""

Front: TypeAlias = Literal["incomplete", "other", "not utf-8"]
"""What stands at the front of the buffer when the fast lane ends: a frame that may yet become one for it, one that is
none for it, or one whose text is no UTF-8."""


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
    """

    __slots__ = ("_brimful", "_buffer", "_end", "_limit", "_start", "_view")

    def __init__(self, limit: int) -> None:
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

    def take_texts(self, tell: Callable[[bytes], None]) -> Front:
        """Take every text from the front that is whole, final, unmasked, uncompressed, minimal in length, and UTF-8.

        This is the path of every audio chunk; it does in one loop, without a call of ours, what can be done so.
        """
        buffer, view, limit, end = self._buffer, self._view, self._limit, self._end
        start = self._start
        front: Front = "incomplete"
        while end - start >= 2:
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
            data = bytes(view[payload : payload + size])
            if not (data.isascii() or is_utf8(data)):
                front = "not utf-8"
                break
            tell(data)
            start = payload + size
        self._start = start
        return front

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
