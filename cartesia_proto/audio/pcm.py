"""Whole samples from bytes cut anywhere, and how long they last.

This module knows that a sample is a fixed number of bytes. It must not know containers (`wav`) nor what a sample means.
"""

from typing import final

from cartesia_proto.audio.formats import SAMPLE_WIDTHS, RawFormat, WavFormat
from cartesia_proto.errors import LocalProtocolError


@final
class SampleAligner:
    """Hands on bytes in whole samples and carries what is left of one to the next call.

    Args:
        frame_size: bytes of one sample, at least 1.
    """

    def __init__(self, frame_size: int) -> None:
        self._frame_size = frame_size
        self._carried = b""

    def align(self, data: bytes) -> bytes:
        """The whole samples so far; the same object, not a copy, where it is whole and nothing was carried."""
        if self._carried:
            data = self._carried + data
            self._carried = b""
        excess = len(data) % self._frame_size
        if excess:
            self._carried = data[-excess:]
            data = data[:-excess]
        return data

    def flush(self) -> bytes:
        """The incomplete sample that is left at the end, if any; nothing is carried any more."""
        carried, self._carried = self._carried, b""
        return carried


def duration(byte_count: int, format: RawFormat | WavFormat) -> float:
    """How long that many bytes of samples last, in seconds; an incomplete last sample does not count.

    Args:
        byte_count: without any header.

    Raises:
        LocalProtocolError: the width of the encoding's samples is not known.
    """
    width = SAMPLE_WIDTHS.get(format.encoding)
    if width is None:
        raise LocalProtocolError(f"the duration is unknown: nothing says how wide a sample of {format.encoding!r} is")
    return byte_count // width / format.sample_rate
