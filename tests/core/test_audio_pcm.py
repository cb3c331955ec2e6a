"""Whole samples, and how long they last."""

import pytest

from cartesia_proto.audio.formats import RawFormat, WavFormat
from cartesia_proto.audio.pcm import SampleAligner, duration
from cartesia_proto.errors import LocalProtocolError


def test_aligner_carries() -> None:
    """What is left of a sample comes before the next bytes."""
    aligner = SampleAligner(4)
    assert [aligner.align(data) for data in (b"abcde", b"", b"fg", b"hi")] == [b"abcd", b"", b"", b"efgh"]
    assert aligner.flush() == b"i"
    assert aligner.flush() == b""
    assert aligner.align(b"abcd") == b"abcd"


def test_aligner_copies_nothing() -> None:
    """Bytes that are whole samples are handed on as the object they are."""
    data = b"abcdefgh"
    assert SampleAligner(4).align(data) is data
    assert SampleAligner(1).align(data) is data


@pytest.mark.parametrize(
    ("byte_count", "format", "seconds"),
    [
        (176400, RawFormat("pcm_f32le", 44100), 1.0),
        (12001, WavFormat("pcm_s16le", 24000), 0.25),
        (4000, RawFormat("pcm_mulaw", 8000), 0.5),
        (0, RawFormat("pcm_alaw", 8000), 0.0),
    ],
)
def test_duration(byte_count: int, format: RawFormat | WavFormat, seconds: float) -> None:
    """Seconds follow from bytes, width and rate; an incomplete sample does not count."""
    assert duration(byte_count, format) == seconds


def test_unknown_duration() -> None:
    """Of samples of unknown width there is no duration, and the message says why."""
    with pytest.raises(LocalProtocolError, match="how wide a sample of 'of_tomorrow' is"):
        duration(100, RawFormat("of_tomorrow", 8000))
