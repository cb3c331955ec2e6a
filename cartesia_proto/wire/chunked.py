"""Chunked bodies (RFC 9112 section 7.1), split where they lie: what arrives in many small pieces is handed on as one.

This module knows the lines of chunks in every form that a recipient must accept: leading zeros, white space before an
extension, and extensions, which are ignored. It must not know heads or trailers: at the last chunk it ends, and h11,
which never learns of the chunks before it, is given that one and reads the trailer. A property test holds the two
equal in what both accept.

Theory of operation. Between the data of two chunks stand a line end, a size and a line end again, which are read in one
step. So that this holds for the first chunk too, one without data is taken to have come before it. A line that has not
arrived whole is judged as far as it goes, so what cannot become one is refused when that is seen; and it is kept in its
shortest form, so that judging it again with every byte stays cheap, however long it is.
"""

import re
from typing import Final, Literal, TypeAlias, final

_LINE_END: Final = b"\r\n"

_BETWEEN: Final = re.compile(rb"\r\n(?!0+\r)([0-9A-Fa-f]{1,16})\r\n")
"""The end of a chunk and the first line of the next, as nearly all are."""

_ANY_BETWEEN: Final = re.compile(rb"\r\n0*([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t -~\x80-\xff]*)?\r\n")
"""The same with all that may be there, and of the last chunk as well. No chunk has a size of more than 64 bits."""

PART_OF_BETWEEN: Final = re.compile(
    rb"\r?|\r\n(?P<zeros>0*)(?P<size>[0-9A-Fa-f]{1,16})(?P<more>[ \t]*)(?P<extension>;[\t -~\x80-\xff]*)?(?P<end>\r?)"
)

_ZEROS: Final = 17
"""How many leading zeros are kept of a line that is not whole: so many that `_BETWEEN` does not take it for one whose
length was counted."""

TURN: Final = 2000
"""How many chunks are taken at once. Our choice: a few milliseconds of work, and more than one read of a usual body
holds. Each chunk costs the same however small it is, so the bytes of one read are no bound."""

Front: TypeAlias = Literal["incomplete", "last", "malformed"]
"""What stands at the front once no more can be taken: part of a chunk, what follows the first line of the last chunk,
or what is no chunk."""


@final
class ChunkSplitter:
    """Takes the data out of one chunked body; made when its head has been read.

    Args:
        limit: bytes that the first line of a chunk may have, with its extensions.

    Attributes:
        front: see `Front`; once it is not ``incomplete``, there is nothing more to be taken.
        fault: in words, what is wrong with what is malformed.
        untaken: what was received and is left for another turn, which the next `take` is.
    """

    __slots__ = ("_dropped", "_left", "_limit", "_rest", "fault", "front", "untaken")

    def __init__(self, limit: int) -> None:
        self.front: Front = "incomplete"
        self.fault: str = ""
        self.untaken: bytes = b""
        self._limit = limit
        self._left = 0  # bytes of the present chunk's data that are still to come,
        self._rest = _LINE_END  # and if there are none, what was received behind it, in short;
        self._dropped = 0  # so many bytes more were received

    @property
    def rest(self) -> bytes:
        """What was received behind the first line of the last chunk."""
        return self._rest

    def take(self, received: bytes | bytearray | memoryview) -> bytes:
        """Take what can be understood, of `TURN` chunks at most; answer with the data in it."""
        if self._rest or self.untaken:
            received, self.untaken = self.untaken + self._rest + bytes(received), b""
        pieces: list[memoryview] = []
        view = memoryview(received)
        start, end, size = 0, self._left, len(view)
        while end < size:
            pieces.append(view[start:end])
            between = _BETWEEN.match(view, end) or self._match(view, end)
            if between is None:
                self._left = 0
                break
            start = between.end()
            end = start + int(between[1], 16)
            if len(pieces) == TURN:
                self._left, self._rest, self.untaken = end - start, b"", bytes(view[start:])
                break
        else:
            self._left, self._rest = end - size, b""
            pieces.append(view[start:])
        return b"".join(pieces)

    def _match(self, view: memoryview, end: int) -> re.Match[bytes] | None:
        """What stands between two chunks in an unusual form, or None where it is not whole, or ends the taking."""
        if bytes(view[end : end + 3]) == _LINE_END:  # the end of a chunk, as is read with most of them
            self._rest = _LINE_END
            return None
        found = _ANY_BETWEEN.match(view, end)
        if found is None:
            self._wait(bytes(view[end:]))
        elif found.end() - end - len(_LINE_END) + self._dropped > self._limit:
            self._refuse(f"a chunk header or trailer longer than the limit of {self._limit} bytes")
        elif int(found[1], 16) == 0:
            self.front = "last"
            self._rest = bytes(view[found.end() :])
        else:
            self._dropped = 0
            return found
        return None

    def _wait(self, part: bytes) -> None:
        """Keep what is not whole, in its shortest form, unless it cannot become anything."""
        found = PART_OF_BETWEEN.fullmatch(part)
        if found is None:
            self._refuse("illegal chunk header" if part.startswith(_LINE_END) else "malformed chunk footer")
            return
        if found["size"] is None:
            self._rest = part
        else:
            more = b";" if found["extension"] else found["more"][:1]
            self._rest = _LINE_END + found["zeros"][:_ZEROS] + found["size"] + more + found["end"]
        self._dropped += len(part) - len(self._rest)
        if len(self._rest) - len(_LINE_END) + self._dropped > self._limit:
            self._refuse(f"a chunk header or trailer longer than the limit of {self._limit} bytes")

    def _refuse(self, fault: str) -> None:
        self.front = "malformed"
        self.fault = fault
        self._rest = b""
