"""Chunked bodies (RFC 9112 section 7.1), split where they lie: what arrives in many small pieces is handed on as one.

This module knows chunks as servers write them: a size in hexadecimal, the data, a line end. It must not know heads,
trailers, extensions or states: it takes plain chunks from the front of what arrived, and at the first thing that is
anything else, the last chunk included, it steps aside for h11, which finds itself at the beginning of a chunk and never
learns of those that were taken. A property test holds the two equal.
"""

import re
from typing import Final, Literal, TypeAlias, final

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_PART_OF_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{0,16}\r?")
"""A chunk's first line without extensions; more than 64 bits of size are for h11 to judge."""

_LINE_END: Final = b"\r\n"

Front: TypeAlias = Literal["incomplete", "other", "malformed"]
"""What stands at the front once no more can be taken: part of a plain chunk, something that is none, or bytes where the
line end after a chunk's data has to be."""


@final
class ChunkSplitter:
    """Takes the data out of one chunked body; made when its head has been read.

    Attributes:
        front: see `Front`; once it is not ``incomplete``, nothing more is taken.
    """

    __slots__ = ("_left", "_line_end", "front")

    def __init__(self) -> None:
        self.front: Front = "incomplete"
        self._left = 0  # bytes of the present chunk's data
        self._line_end = b""  # what has yet to come of the line end behind it

    def take(self, received: bytearray) -> bytes:
        """Remove what can be understood from the front; answer with the data in it, of however many chunks."""
        pieces: list[memoryview] = []
        position = 0
        with memoryview(received) as view:
            while self.front == "incomplete" and position < len(received):
                if self._left:
                    piece = view[position : position + self._left]
                    pieces.append(piece)
                    self._left -= len(piece)
                    position += len(piece)
                elif self._line_end:
                    position = self._pass_line_end(received, position)
                elif (size := _SIZE.match(received, position)) is not None:
                    position = self._begin(size, position)
                elif _PART_OF_SIZE.fullmatch(received, position) is not None:
                    break
                else:
                    self.front = "other"
            data = b"".join(pieces)
            for piece in pieces:
                piece.release()
        del received[:position]
        return data

    def _begin(self, size: re.Match[bytes], position: int) -> int:
        self._left = int(size[1], 16)
        if not self._left:
            self.front = "other"
            return position
        self._line_end = _LINE_END
        return size.end()

    def _pass_line_end(self, received: bytearray, position: int) -> int:
        seen = received[position : position + len(self._line_end)]
        if not self._line_end.startswith(seen):
            self.front = "malformed"
            return position
        self._line_end = self._line_end[len(seen) :]
        return position + len(seen)
