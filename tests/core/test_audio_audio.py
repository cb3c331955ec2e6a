"""Finished audio: its length, its WAV file, and what it shows."""

import pickle

import pytest

from cartesia_proto.audio.audio import Audio
from cartesia_proto.audio.formats import Mp3Format, OutputFormat, RawFormat, WavFormat
from cartesia_proto.audio.wav import wav_header, wrap
from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError

RAW = RawFormat("pcm_s16le", 8000)
WAV = WavFormat("pcm_s16le", 8000)


@pytest.mark.parametrize(
    ("data", "format", "seconds"),
    [
        (bytes(8001), RAW, 0.5),
        (b"", RAW, 0.0),
        (bytes(100), RawFormat("of_tomorrow", 8000), None),
        (wav_header(WAV, None) + bytes(8001), WAV, 0.5),
        (b"<html>", WAV, None),
        (b"", WAV, None),
        (bytes(100), Mp3Format(44100, 128000), None),
    ],
)
def test_duration(data: bytes, format: OutputFormat, seconds: float | None) -> None:
    """Seconds where the bytes tell them, else None."""
    assert Audio(data, format).duration == seconds


def test_wav() -> None:
    """Raw samples are wrapped, a streamed WAV file is repaired; an incomplete sample is dropped from both."""
    assert Audio(b"1234567", RAW).wav() == wrap(b"123456", RAW)
    assert Audio(wav_header(WAV, None) + b"1234567", WAV).wav() == wrap(b"123456", RAW)


def test_no_wav() -> None:
    """What cannot become a WAV file says why, and what to do."""
    with pytest.raises(LocalProtocolError, match=r"this audio is mp3: write \.data to a file"):
        Audio(b"x", Mp3Format(44100, 128000)).wav()
    with pytest.raises(LocalProtocolError, match="'of_tomorrow'"):
        Audio(b"x", RawFormat("of_tomorrow", 8000)).wav()
    with pytest.raises(RemoteProtocolError, match="no WAV file"):
        Audio(b"<html>", WAV).wav()


def test_value() -> None:
    """Audio is a value that is its bytes, and shows how many there are instead of them."""
    audio = Audio(b"abcd", RAW, file_id="file_1")
    assert bytes(audio) == audio.data == b"abcd"
    assert len(audio) == 4
    assert audio.file_id == "file_1"
    assert "<4 bytes>" in repr(audio)
    assert "abcd" not in repr(audio)
    assert pickle.loads(pickle.dumps(audio)) == audio
    assert audio != Audio(b"abcd", RAW)
