"""Output formats as values."""

import pickle
from collections.abc import Callable

import pytest

from cartesia_proto.audio.formats import (
    ENCODINGS,
    SAMPLE_WIDTHS,
    Mp3Format,
    OutputFormat,
    RawFormat,
    WavFormat,
    frame_size,
    get_output_format,
    parse_output_format,
)
from cartesia_proto.errors import JsonValue, LocalProtocolError

FORMATS: list[tuple[OutputFormat, dict[str, JsonValue], int]] = [
    (RawFormat("pcm_f32le", 44100), {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100}, 4),
    (RawFormat("pcm_mulaw", 8000), {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}, 1),
    (WavFormat("pcm_s16le", 24000), {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 24000}, 2),
    (WavFormat("of_tomorrow", 96000), {"container": "wav", "encoding": "of_tomorrow", "sample_rate": 96000}, 1),
    (RawFormat("of_tomorrow", 96000), {"container": "raw", "encoding": "of_tomorrow", "sample_rate": 96000}, 1),
    (Mp3Format(44100, 128000), {"container": "mp3", "sample_rate": 44100, "bit_rate": 128000}, 1),
]


@pytest.mark.parametrize(("format", "wire", "size"), FORMATS)
def test_formats(format: OutputFormat, wire: dict[str, JsonValue], size: int) -> None:
    """A format writes the documented object, is read from it, knows its frame size, and is a proper value."""
    assert format.as_wire() == wire
    assert parse_output_format(wire) == format
    assert format.container == wire["container"]
    assert format.frame_size == size
    assert pickle.loads(pickle.dumps(format)) == format
    assert hash(format) == hash(parse_output_format(wire))


def test_raw_is_not_wav() -> None:
    """Two containers of the same samples are different formats."""
    formats: set[OutputFormat] = {RawFormat("pcm_s16le", 8000), WavFormat("pcm_s16le", 8000)}
    assert len(formats) == 2


def test_ignored_fields() -> None:
    """What old versions allowed and ignored is dropped; None counts as absent."""
    raw = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000, "bit_rate": 128000}
    assert parse_output_format(raw) == RawFormat("pcm_s16le", 8000)
    mp3 = {"container": "mp3", "encoding": "", "sample_rate": 8000, "bit_rate": 128000, "speed": None}
    assert parse_output_format(mp3) == Mp3Format(8000, 128000)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "output_format lacks the field 'container'"),
        ({"container": None}, "output_format lacks the field 'container'"),
        ({"container": 5}, "output_format.container must be a string that is not empty, not 5"),
        ({"container": "ogg"}, "output_format.container is 'ogg': expected raw, wav or mp3"),
        (
            {"container": "raw", "rate": 1},
            "unknown field 'rate': it may have container, encoding, sample_rate, bit_rate",
        ),
        (
            {"container": "raw", "encoding": "pcm_s16le"},
            "output_format of container 'raw' lacks the field 'sample_rate'",
        ),
        ({"container": "wav", "sample_rate": 8000}, "output_format of container 'wav' lacks the field 'encoding'"),
        ({"container": "mp3", "sample_rate": 8000}, "output_format of container 'mp3' lacks the field 'bit_rate'"),
        ({"container": "raw", "encoding": "", "sample_rate": 8000}, "output_format.encoding must be a string"),
        ({"container": "raw", "encoding": 1, "sample_rate": 8000}, "output_format.encoding must be a string"),
        (
            {"container": "raw", "encoding": "x", "sample_rate": "8000"},
            "sample_rate must be an integer above 0, not '8000'",
        ),
        (
            {"container": "raw", "encoding": "x", "sample_rate": True},
            "sample_rate must be an integer above 0, not True",
        ),
        ({"container": "mp3", "sample_rate": 8000, "bit_rate": 0}, "bit_rate must be an integer above 0, not 0"),
    ],
)
def test_bad_mappings(fields: dict[str, object], message: str) -> None:
    """A mapping that is no format is refused with the field it lacks, has too much, or has wrong."""
    with pytest.raises(LocalProtocolError) as caught:
        parse_output_format(fields)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RawFormat("", 8000),
        lambda: RawFormat("pcm_s16le", 0),
        lambda: WavFormat("", 8000),
        lambda: WavFormat("pcm_s16le", -1),
        lambda: Mp3Format(0, 128000),
        lambda: Mp3Format(8000, 0),
    ],
)
def test_bad_values(make: Callable[[], OutputFormat]) -> None:
    """A format that makes no sense cannot be constructed."""
    with pytest.raises(LocalProtocolError, match="output_format"):
        make()


def test_frame_sizes() -> None:
    """Every documented encoding has its width; an unknown one may be cut anywhere."""
    assert [frame_size(encoding) for encoding in ENCODINGS] == [4, 2, 1, 1]
    assert set(ENCODINGS) <= set(SAMPLE_WIDTHS)
    assert frame_size("of_tomorrow") == 1


def test_named_formats() -> None:
    """The names of the official SDKs give the formats they gave there; another name lists them."""
    assert get_output_format("raw_pcm_f32le_44100") == RawFormat("pcm_f32le", 44100)
    assert get_output_format("raw_pcm_s16le_22050") == RawFormat("pcm_s16le", 22050)
    assert get_output_format("raw_pcm_mulaw_8000") == RawFormat("pcm_mulaw", 8000)
    assert get_output_format("raw_pcm_alaw_8000") == RawFormat("pcm_alaw", 8000)
    with pytest.raises(LocalProtocolError) as caught:
        get_output_format("raw_pcm_alaw_44100")
    assert str(caught.value).count("raw_pcm_") == 13
