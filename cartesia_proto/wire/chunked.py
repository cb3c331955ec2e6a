"""Chunked bodies (RFC 9112 section 7.1), split where they lie: what arrives in many small pieces is handed on as one.

This module knows chunks as servers write them: a size in hexadecimal, the data, a line end. It must not know heads,
trailers, extensions or states: it takes plain chunks from the front of what arrives, and at the first thing that is
anything else, the last chunk included, it steps aside for h11, which finds itself at the beginning of a chunk and never
learns of those that were taken. A property test holds the two equal.

Theory of operation. Between the data of two chunks stand a line end, a size and a line end again, which are read in one
step. So that this holds for the first chunk too, one without data is taken to have come before it.
"""

import re
from typing import Final, Literal, TypeAlias, final

_LINE_END: Final = b"\r\n"

_BETWEEN: Final = re.compile(rb"\r\n(?!0+\r)([0-9A-Fa-f]{1,16})\r\n")
_PART_OF_BETWEEN: Final = re.compile(rb"\r?|\r\n[0-9A-Fa-f]{0,16}\r?")
"""The end of a chunk and the first line of the next, which is not the last chunk and has no extension; more than 64
bits of size are for h11 to judge."""

Front: TypeAlias = Literal["incomplete", "other", "malformed"]
"""What stands at the front once no more can be taken: part of a plain chunk, something that is none, or bytes where the
line end after a chunk's data has to be."""


@final
class ChunkSplitter:
    """Takes the data out of one chunked body; made when its head has been read.

    Attributes:
        front: see `Front`; once it is not ``incomplete``, there is nothing more to be taken.
    """

    __slots__ = ("_left", "_rest", "front")

    def __init__(self) -> None:
        self.front: Front = "incomplete"
        self._left = 0  # bytes of the present chunk's data that are still to come,
        self._rest = _LINE_END  # and if there are none, what was received behind it

    @property
    def rest(self) -> bytes:
        """What was received and not taken, from the beginning of a chunk."""
        return self._rest[len(_LINE_END) :]

    def take(self, received: bytes | bytearray | memoryview) -> bytes:
        """Take what can be understood; answer with the data in it, of however many chunks."""
        if self._rest:
            received = self._rest + bytes(received)
        pieces: list[memoryview] = []
        view = memoryview(received)
        start, end, size = 0, self._left, len(view)
        while end < size:
            pieces.append(view[start:end])
            between = _BETWEEN.match(view, end)
            if between is None:
                self._left = 0
                self._judge(bytes(view[end:]))
                break
            start = between.end()
            end = start + int(between[1], 16)
        else:
            self._left, self._rest = end - size, b""
            pieces.append(view[start:])
        return b"".join(pieces)

    def _judge(self, rest: bytes) -> None:
        """Say what follows a chunk's data, where that is no plain chunk, or not yet."""
        self._rest = rest
        if _PART_OF_BETWEEN.fullmatch(rest) is None:
            self.front = "other" if rest.startswith(_LINE_END) else "malformed"
