"""An audio body as it arrives: whole samples from bytes cut anywhere, and no error page taken for audio."""

import pytest

from cartesia_proto.audio.formats import Mp3Format, OutputFormat, RawFormat, WavFormat
from cartesia_proto.audio.pieces import AudioPieces, check_audio
from cartesia_proto.audio.wav import wav_header
from cartesia_proto.errors import RemoteProtocolError
from cartesia_proto.http import Headers, Response
from cartesia_proto.testing import every_split

FORMATS: list[tuple[OutputFormat, bytes, int, int]] = [
    (RawFormat("pcm_s16le", 8000), bytes(range(12)), 0, 2),
    (RawFormat("pcm_f32le", 8000), bytes(range(12)), 0, 4),
    (RawFormat("pcm_mulaw", 8000), bytes(range(12)), 0, 1),
    (RawFormat("opus_of_tomorrow", 8000), bytes(range(12)), 0, 1),
    (Mp3Format(44100, 128000), bytes(range(12)), 0, 1),
    (WavFormat("pcm_s16le", 8000), wav_header(WavFormat("pcm_s16le", 8000), None) + bytes(range(12)), 44, 2),
    (WavFormat("pcm_f32le", 8000), wav_header(WavFormat("pcm_f32le", 8000), None) + bytes(range(12)), 58, 4),
]


@pytest.mark.parametrize(("format", "body", "header", "frame_size"), FORMATS)
def test_whole_samples_from_any_cut(format: OutputFormat, body: bytes, header: int, frame_size: int) -> None:
    """Joined the pieces are the body; each ends on a sample, and none is empty."""
    for pieces in every_split(body):
        decoder = AudioPieces(format)
        out = [piece for data in pieces for piece in decoder.receive_data(data)]
        assert not decoder.finished
        assert decoder.receive_eof() == []
        assert b"".join(out) == body
        assert all(out)
        position = 0
        for piece in out:
            position += len(piece)
            assert position >= header
            assert (position - header) % frame_size == 0


def test_an_incomplete_sample_is_not_lost() -> None:
    """What is left at the end is handed on, once."""
    decoder = AudioPieces(RawFormat("pcm_f32le", 8000))
    assert decoder.receive_data(b"abcdef") == [b"abcd"]
    assert decoder.receive_data(b"") == []
    assert decoder.receive_eof() == [b"ef"]
    assert decoder.receive_eof() == []


def test_an_incomplete_header_is_not_lost() -> None:
    """A body that ends inside its header is handed on as it is."""
    decoder = AudioPieces(WavFormat("pcm_s16le", 8000))
    assert decoder.receive_data(b"RIFF\0\0\0\0WAVE") == []
    assert decoder.receive_eof() == [b"RIFF\0\0\0\0WAVE"]


def test_no_wav() -> None:
    """What is no WAV file where one was asked for fails, and keeps failing."""
    decoder = AudioPieces(WavFormat("pcm_s16le", 8000))
    for data in (b"ID3\x04 no wav", b""):
        with pytest.raises(RemoteProtocolError, match="no WAV file"):
            decoder.receive_data(data)


@pytest.mark.parametrize(
    "media_type",
    [
        "text/html; charset=utf-8",
        "TEXT/PLAIN",
        "application/json",
        "text/event-stream",
        "application/xml",
        "Application/Problem+JSON ; charset=utf-8",
        "application/xhtml+xml",
    ],
)
def test_a_text_is_no_audio(media_type: str) -> None:
    """A page of a gateway with status 200 is refused by its media type."""
    with pytest.raises(RemoteProtocolError, match="expected audio, but the server sent"):
        check_audio(Response(200, Headers([("Content-Type", media_type)])))


@pytest.mark.parametrize(
    "media_type", ["audio/wav", "audio/mpeg", "application/octet-stream", "audio/of-tomorrow", "audio/x; y=+xml"]
)
def test_everything_else_may_be_audio(media_type: str) -> None:
    """The API promises no media type, so none is needed."""
    check_audio(Response(200, Headers([("Content-Type", media_type)])))
    check_audio(Response(200))
