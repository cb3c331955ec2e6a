"""Where the chunks of a WAV file stand, found in a beginning of it that may grow.

This module knows the RIFF container ("Multimedia Programming Interface and Data Specifications 1.0", 1991) and its
forms for sizes over 32 bits, RF64 and BW64 (EBU Tech 3306; ITU-R BS.2088). It must not know what a chunk says: `wav`
does.

Chunks of an odd size are followed by a padding byte, which some writers leave out. The byte is zero, and an identifier
never begins with zero, so what stands there tells the two apart.
"""

import re
import struct
from typing import Final, final

from cartesia_proto.errors import RemoteProtocolError

MAX_HEADER: Final = 16 * 1024 * 1024
"""Bytes before the samples, whether the file is read whole or in pieces. Encoders write under a kilobyte, but tags with
a picture (`id3 `, `LIST`) may have megabytes. Our choice: as much as one line of an event stream may have."""

MAX_CHUNKS: Final = 1024
"""Chunks before the samples; our choice, fifty times what any writer makes. Each costs a step, however short it is."""

FORMS: Final = (b"RIFF", b"RF64", b"BW64")
"""How a WAV file may begin; the last two have a `ds64` chunk."""

KNOWN_CHUNKS: Final = frozenset(
    {
        b"fmt ",
        b"data",
        b"fact",
        b"ds64",
        b"LIST",
        b"JUNK",
        b"bext",
        b"id3 ",
        b"ID3 ",
        b"iXML",
        b"cue ",
        b"PEAK",
        b"FLLR",
    }
)
"""Chunks that a padding byte other than zero is recognised by: those of the standards above, of EBU Tech 3285 (`bext`),
and what is met in the field (tags, and the fillers of editors and of macOS)."""

CHUNK_HEADER: Final = 8
"""Bytes of identifier and size."""

_RIFF_HEADER: Final = 12  # RIFF, size, WAVE
_NEEDED: Final = frozenset({b"fmt ", b"fact", b"ds64", b"data"})  # others are not remembered: no memory for each
_IDENTIFIER: Final = re.compile(rb"[ -~]{4}")


@final
class ChunkWalk:
    """Walks the chunks of a file whose beginning is at hand, up to `data`; each is looked at once.

    Attributes:
        found: offset of the content and declared size of `fmt `, `fact`, `ds64` and `data`; the last of a name counts.
        unpadded: where padding bytes are missing.
    """

    __slots__ = ("_chunks", "_odd", "_position", "found", "unpadded")

    def __init__(self) -> None:
        self.found: dict[bytes, tuple[int, int]] = {}
        self.unpadded: list[int] = []
        self._position = _RIFF_HEADER  # of the next chunk, which may be beyond what is at hand
        self._odd = False  # the chunk that ends there has an odd size, so padding may come first
        self._chunks = 0

    @property
    def done(self) -> bool:
        """Whether `data` was found."""
        return b"data" in self.found

    def walk(self, beginning: bytes | bytearray) -> None:
        """Go on through a longer beginning of the same file.

        Raises:
            RemoteProtocolError: it is no WAV file, or its data chunk does not begin within `MAX_HEADER` bytes and
                `MAX_CHUNKS` chunks.
        """
        if not self._chunks:
            _check_form(beginning)
        while not self.done:
            self._check_limits()
            if self._position + CHUNK_HEADER > len(beginning):
                break
            padded = self._odd and not padding_is_missing(beginning, self._position)
            if self._position + padded + CHUNK_HEADER > len(beginning):
                break
            self._step(beginning, padded=padded)

    def _step(self, beginning: bytes | bytearray, *, padded: bool) -> None:
        if self._odd and not padded:
            self.unpadded.append(self._position)
        self._position += padded
        identifier, size = struct.unpack_from("<4sI", beginning, self._position)
        self._position += CHUNK_HEADER
        if identifier in _NEEDED:
            self.found[identifier] = self._position, size
        self._position += size
        self._odd = size % 2 == 1
        self._chunks += 1

    def _check_limits(self) -> None:
        if self._position + CHUNK_HEADER > MAX_HEADER:
            raise RemoteProtocolError(f"the WAV file has no data chunk in its first {MAX_HEADER} bytes")
        if self._chunks == MAX_CHUNKS:
            raise RemoteProtocolError(f"the WAV file has no data chunk among its first {MAX_CHUNKS}")


def _check_form(beginning: bytes | bytearray) -> None:
    form, kind = bytes(beginning[:4]), beginning[8:_RIFF_HEADER]
    if form == b"RIFX":
        raise RemoteProtocolError("this is no WAV file that can be read: it is RIFX, whose numbers are big-endian")
    if not any(known.startswith(form) for known in FORMS) or not b"WAVE".startswith(kind):
        raise RemoteProtocolError("this is no WAV file: it does not begin with RIFF (or RF64, BW64) and WAVE")


def padding_is_missing(file: bytes | bytearray, end: int) -> bool:
    """Whether the next chunk begins at once where one of an odd size ends; eight bytes of the file stand there.

    A byte other than zero is taken for padding only where a chunk that is known begins behind it.
    """
    if file[end] == 0 or _IDENTIFIER.match(file, end) is None:
        return False
    return bytes(file[end + 1 : end + 5]) not in KNOWN_CHUNKS
