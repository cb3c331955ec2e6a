"""WAV files: written with a right header, read by walking chunks, repaired where they were streamed.

This module knows what the `fmt `, `fact` and `data` chunks say ("Multimedia Programming Interface and Data
Specifications 1.0", 1991, and its revision 3.0 of 1994 for formats other than PCM), and the `ds64` chunk of files with
sizes over 32 bits (EBU Tech 3306; ITU-R BS.2088). Where chunks stand is for `riff` to find. It must not know endpoints,
and it never opens a file: what is to be changed in one is told as patches.

A server that streams does not know the length when it writes the header (protocol section 7.3), so both sizes are
placeholders. Everything here trusts a data size that can be true, and else takes the data to last to the end.
"""

import struct
from collections.abc import Mapping
from itertools import pairwise
from typing import Final, final

from attrs import frozen

from cartesia_proto.audio.formats import Encoding, RawFormat, WavFormat
from cartesia_proto.audio.pcm import SampleAligner
from cartesia_proto.audio.riff import CHUNK_HEADER, ChunkWalk, padding_is_missing
from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError

PLACEHOLDER: Final = 0xFFFFFFFF
"""The size of what is being streamed (protocol section 7.3); also the largest that 32 bits can say."""

PCM: Final = 1
IEEE_FLOAT: Final = 3
ALAW: Final = 6
MULAW: Final = 7
EXTENSIBLE: Final = 0xFFFE
"""Format tags (RFC 2361); the true tag of an extensible format stands at the start of its SubFormat."""

FORMAT_TAGS: Final[Mapping[str, tuple[int, int]]] = {
    "pcm_s16le": (PCM, 16),
    "pcm_f32le": (IEEE_FLOAT, 32),
    "pcm_alaw": (ALAW, 8),
    "pcm_mulaw": (MULAW, 8),
}
"""Format tag and bits per sample of each encoding of speech output."""

_ENCODINGS: Final[Mapping[tuple[int, int], str]] = {
    description: encoding for encoding, description in FORMAT_TAGS.items()
}
_SUBFORMAT: Final = 24  # where the SubFormat of an extensible format begins in its chunk
_DS64: Final = 24  # bytes of a `ds64` chunk up to its table: sizes of RIFF and data, number of samples


@frozen
class WavInfo:
    """What the header of a WAV file says, with the data size that holds.

    Attributes:
        format_tag: as in RFC 2361.
        encoding: the name it has in this API, or None.
        sample_rate: in Hz.
        frame_size: bytes of one sample of all channels together.
        data_offset, data_size: where the samples stand, in bytes.
        size_declared: whether the size is the one in the file; else the data last to the end, in whole samples.
    """

    format_tag: int
    encoding: Encoding | None
    sample_rate: int
    channels: int
    frame_size: int
    data_offset: int
    data_size: int
    size_declared: bool

    @property
    def duration(self) -> float:
        """In seconds; an incomplete last sample does not count."""
        return self.data_size // self.frame_size / self.sample_rate


def wav_header(format: RawFormat | WavFormat, data_size: int | None) -> bytes:
    """Everything before the samples.

    Args:
        data_size: bytes of samples that will follow, or None for the placeholder of a stream. What does not fit into 32
            bits becomes the placeholder too, which readers take as "to the end of the file".

    Raises:
        LocalProtocolError: no WAV file can hold this encoding.
    """
    tag, bits = _format_tag(format.encoding)
    frame_size = bits // 8
    fmt = struct.pack("<HHIIHH", tag, 1, format.sample_rate, format.sample_rate * frame_size, frame_size, bits)
    chunks = _chunk(b"fmt ", fmt)
    if tag != PCM:  # the size of an extension there is not, and the number of samples: both required (revision 3.0)
        frames = PLACEHOLDER if data_size is None else data_size // frame_size
        chunks = _chunk(b"fmt ", fmt + bytes(2)) + _chunk(b"fact", _size(frames))
    before_data = b"WAVE" + chunks + b"data"
    if data_size is None:
        return b"RIFF" + _size(PLACEHOLDER) + before_data + _size(PLACEHOLDER)
    return b"RIFF" + _size(len(before_data) + 4 + data_size + data_size % 2) + before_data + _size(data_size)


def wrap(data: bytes, format: RawFormat | WavFormat) -> bytes:
    """Raw samples as a WAV file; an incomplete last sample is dropped.

    Raises:
        LocalProtocolError: as `wav_header`.
    """
    _, bits = _format_tag(format.encoding)
    size = len(data) - len(data) % (bits // 8)
    return wav_header(format, size) + data[:size] + bytes(size % 2)


def _format_tag(encoding: str) -> tuple[int, int]:
    if encoding not in FORMAT_TAGS:
        raise LocalProtocolError(
            f"no WAV header can be written for {encoding!r}: ask for one of {', '.join(FORMAT_TAGS)}, or keep it raw"
        )
    return FORMAT_TAGS[encoding]


def _chunk(identifier: bytes, content: bytes) -> bytes:
    return identifier + _size(len(content)) + content


def _size(value: int) -> bytes:
    return struct.pack("<I", min(value, PLACEHOLDER))


def parse_wav(data: bytes | bytearray) -> WavInfo:
    """Read the header of a whole WAV file, whatever its sizes say.

    Raises:
        RemoteProtocolError: it is no WAV file, has no usable `fmt ` chunk before a `data` chunk, has no
            data chunk where `riff` looks for it, or is an RF64 file without a usable `ds64` chunk.
    """
    return _info(data, len(data))[0]


def _info(prefix: bytes | bytearray, total: int) -> tuple[WavInfo, ChunkWalk]:
    """As `parse_wav`, for a file of which only the beginning and the length are at hand."""
    walk = ChunkWalk()
    walk.walk(prefix)
    if not walk.done:
        raise RemoteProtocolError("the WAV file ends before its data chunk")
    return _describe(prefix, total, walk), walk


def _describe(prefix: bytes | bytearray, total: int, walk: ChunkWalk) -> WavInfo:
    """What the chunks say, once `data` was found."""
    data_offset, declared = walk.found[b"data"]
    tag, channels, sample_rate, frame_size, bits = _read_fmt(prefix, *walk.found.get(b"fmt ", (0, 0)))
    (riff_size,) = struct.unpack_from("<I", prefix, 4)
    if prefix[:4] != b"RIFF":
        riff_size, declared = _read_ds64(prefix, declared, *walk.found.get(b"ds64", (0, 0)))
    available = total - data_offset
    possible = declared <= available and (declared > 0 or riff_size == total - CHUNK_HEADER)
    return WavInfo(
        format_tag=tag,
        encoding=_ENCODINGS.get((tag, bits)),
        sample_rate=sample_rate,
        channels=channels,
        frame_size=frame_size,
        data_offset=data_offset,
        data_size=declared if possible else available - available % frame_size,
        size_declared=possible,
    )


def _read_fmt(prefix: bytes | bytearray, offset: int, size: int) -> tuple[int, int, int, int, int]:
    """Format tag, channels, sample rate, bytes of a sample of all channels, bits of one of one."""
    if size < 16:
        raise RemoteProtocolError("the WAV file has no complete fmt chunk before its data chunk")
    tag, channels, sample_rate, _, frame_size, bits = struct.unpack_from("<HHIIHH", prefix, offset)
    if tag == EXTENSIBLE and size >= _SUBFORMAT + 2:
        (tag,) = struct.unpack_from("<H", prefix, offset + _SUBFORMAT)
    if not channels or not sample_rate or not frame_size:
        raise RemoteProtocolError("the fmt chunk of the WAV file says 0 channels, 0 Hz or 0 bytes per sample")
    return tag, channels, sample_rate, frame_size, bits


def _read_ds64(prefix: bytes | bytearray, declared: int, offset: int, size: int) -> tuple[int, int]:
    """Size of RIFF, and size of the data unless the data chunk itself declares one (EBU Tech 3306 section 3)."""
    if size < _DS64:
        raise RemoteProtocolError("the RF64 file has no complete ds64 chunk before its data chunk")
    riff_size, data_size = struct.unpack_from("<QQ", prefix, offset)
    return riff_size, data_size if declared == PLACEHOLDER else declared


def size_patches(prefix: bytes | bytearray, total: int) -> list[tuple[int, bytes]]:
    """What to write where, so that the sizes in a WAV file become true: pairs of offset and bytes.

    The sizes of RIFF and data are set, and the number of samples where there is a `fact` chunk. Data of an odd size get
    their padding byte, which may be one more at the end of the file; an incomplete last sample stays there, beyond
    what the sizes cover. A file over 4 GiB keeps placeholders.

    Args:
        prefix: the file's beginning, at least up to the size of its data chunk.
        total: the file's length in bytes.

    Raises:
        RemoteProtocolError: as `parse_wav`.
    """
    return _repairs(prefix, total)[1]


def _repairs(prefix: bytes | bytearray, total: int) -> tuple[int, list[tuple[int, bytes]]]:
    """Where the file ends once it is repaired, and the patches."""
    info, walk = _info(prefix, total)
    data_end = info.data_offset + info.data_size
    padding = bytes(info.data_size % 2)
    follows = info.size_declared and data_end + len(padding) <= total  # the padding, and maybe other chunks, are there
    end = total if follows else data_end + len(padding)
    frames = info.data_size // info.frame_size
    if prefix[:4] == b"RIFF":
        patches = [(4, _size(end - CHUNK_HEADER)), (info.data_offset - 4, _size(info.data_size))]
    else:  # where both sizes are placeholders, those of the ds64 chunk hold
        patches = [(4, _size(PLACEHOLDER)), (info.data_offset - 4, _size(PLACEHOLDER))]
        sizes = struct.pack("<QQQ", end - CHUNK_HEADER, info.data_size, frames)
        patches.append((walk.found[b"ds64"][0], sizes))
    fact, size = walk.found.get(b"fact", (0, 0))
    if size >= 4:
        patches.append((fact, _size(frames)))
    if padding and not follows:
        patches.append((data_end, padding))
    return end, patches


def repair(data: bytes) -> bytes:
    """The same WAV file with true sizes and all padding bytes, without an incomplete last sample.

    Raises:
        RemoteProtocolError: as `parse_wav`.
    """
    data = _padded(data)
    end, patches = _repairs(data, len(data))
    repaired = bytearray(data)
    for offset, patch in patches:
        repaired[offset : offset + len(patch)] = patch
    return bytes(memoryview(repaired)[:end])


def _padded(data: bytes) -> bytes:
    """The same file with the padding bytes that are missing up to the chunk behind the samples."""
    info, walk = _info(data, len(data))
    places = walk.unpadded
    end = info.data_offset + info.data_size
    if info.data_size % 2 and end + CHUNK_HEADER <= len(data) and padding_is_missing(data, end):
        places = [*places, end]
    if not places:
        return data
    bounds = [0, *places, len(data)]
    padded = b"\0".join(data[start:stop] for start, stop in pairwise(bounds))
    (riff_size,) = struct.unpack_from("<I", data, 4)
    true_size = riff_size == len(data) - CHUNK_HEADER  # stays so, because it may say that there are no samples
    return padded[:4] + _size(len(padded) - CHUNK_HEADER) + padded[CHUNK_HEADER:] if true_size else padded


@final
class WavAligner:
    """Hands on a WAV file that arrives in pieces: first its header in one piece, then whole samples.

    All that `align` and `flush` return, joined, is what was put in.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self._walk = ChunkWalk()
        self._samples: SampleAligner | None = None

    def align(self, data: bytes) -> bytes:
        """The header with the whole samples after it once it is complete, before that nothing, then whole samples.

        Raises:
            RemoteProtocolError: as `parse_wav`, as soon as what has arrived says so.
        """
        if self._samples is not None:
            return self._samples.align(data)
        self._header += data
        self._walk.walk(self._header)
        return self._begin() if self._walk.done else b""

    def _begin(self) -> bytes:
        info = _describe(self._header, len(self._header), self._walk)
        self._samples = SampleAligner(info.frame_size)
        header, samples = bytes(self._header[: info.data_offset]), bytes(self._header[info.data_offset :])
        self._header.clear()
        return header + self._samples.align(samples)

    def flush(self) -> bytes:
        """What is left at the end: an incomplete sample, or an incomplete header."""
        if self._samples is not None:
            return self._samples.flush()
        header = bytes(self._header)
        self._header.clear()
        return header
