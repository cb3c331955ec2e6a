"""Output formats and languages, strictly."""

import pytest

from cartesia_proto.audio.formats import (
    BIT_RATES,
    ENCODINGS,
    SAMPLE_RATES,
    Mp3Format,
    OutputFormat,
    RawFormat,
    WavFormat,
)
from cartesia_proto.errors import JsonValue
from cartesia_proto.server.fields import Fields, Texts
from cartesia_proto.server.formats import (
    CONTAINERS,
    LANGUAGES,
    LOCALIZE_LANGUAGES,
    SSE_CONTAINERS,
    audio_content_type,
    check_language,
    read_form_output_format,
    read_output_format,
)
from cartesia_proto.server.problems import Problem


def read(**fields: JsonValue) -> OutputFormat:
    """The output format of a JSON body."""
    return read_output_format(Fields({"output_format": fields}), CONTAINERS)


@pytest.mark.parametrize("rate", SAMPLE_RATES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_raw_and_wav_come_in_every_encoding_and_rate(encoding: str, rate: int) -> None:
    """A bit rate beside them is ignored."""
    assert read(container="raw", encoding=encoding, sample_rate=rate) == RawFormat(encoding, rate)
    assert read(container="wav", encoding=encoding, sample_rate=rate, bit_rate=1) == WavFormat(encoding, rate)


@pytest.mark.parametrize("bit_rate", BIT_RATES)
def test_mp3_comes_in_every_bit_rate(bit_rate: int) -> None:
    """An encoding beside it is ignored, an empty one too."""
    assert read(container="mp3", encoding="", sample_rate=44100, bit_rate=bit_rate) == Mp3Format(44100, bit_rate)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "output_format.container is required"),
        ({"container": "flac"}, "container must be one of raw, wav, mp3 here, not 'flac'"),
        ({"container": "raw", "encoding": "pcm_s16le"}, "sample_rate is required"),
        ({"container": "raw", "sample_rate": 8000}, "encoding is required"),
        ({"container": "raw", "encoding": "pcm_s24le", "sample_rate": 8000}, "encoding must be one of"),
        ({"container": "wav", "encoding": "pcm_s16le", "sample_rate": 11025}, "sample_rate must be one of"),
        ({"container": "wav", "encoding": "pcm_s16le", "sample_rate": "8000"}, "must be an integer"),
        ({"container": "mp3", "sample_rate": 8000}, "bit_rate is required"),
        ({"container": "mp3", "sample_rate": 8000, "bit_rate": 1}, "bit_rate must be one of"),
    ],
)
def test_anything_else_is_a_bad_request(fields: dict[str, JsonValue], said: str) -> None:
    """400, and the message names the field."""
    with pytest.raises(Problem, match=said) as refused:
        read(**fields)
    assert refused.value.status == 400


def test_containers_depend_on_the_endpoint() -> None:
    """An event stream carries raw samples alone."""
    wav: JsonValue = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 8000}
    with pytest.raises(Problem, match="one of raw here"):
        read_output_format(Fields({"output_format": wav}), SSE_CONTAINERS)


def test_the_whole_object_is_required() -> None:
    """There are no defaults."""
    with pytest.raises(Problem, match="output_format is required"):
        read_output_format(Fields({}), CONTAINERS)


def test_a_form_says_the_same_in_brackets() -> None:
    """Numbers are digits there."""
    wav = Texts(
        (
            ("output_format[container]", "wav"),
            ("output_format[encoding]", "pcm_s16le"),
            ("output_format[sample_rate]", "8000"),
        )
    )
    assert read_form_output_format(wav, CONTAINERS) == WavFormat("pcm_s16le", 8000)
    with pytest.raises(Problem, match=r"output_format\[container\] is required"):
        read_form_output_format(Texts(()), CONTAINERS)


@pytest.mark.parametrize(
    ("output_format", "content_type"),
    [
        (RawFormat("pcm_s16le", 8000), "application/octet-stream"),
        (WavFormat("pcm_s16le", 8000), "audio/wav"),
        (Mp3Format(8000, 32000), "audio/mpeg"),
    ],
)
def test_each_container_has_its_content_type(output_format: OutputFormat, content_type: str) -> None:
    """As protocol section 7.1 guesses."""
    assert audio_content_type(output_format) == content_type


@pytest.mark.parametrize("language", [None, "en", "ur", "en-GB", "pt-br"])
def test_known_languages_and_their_locales_pass(language: str | None) -> None:
    """None is no language."""
    assert check_language("language", language) == language


@pytest.mark.parametrize("language", ["", "xx", "english", "EN", "en_GB", "xx-GB"])
def test_other_languages_do_not(language: str) -> None:
    """400 names the value."""
    with pytest.raises(Problem, match=f"language '{language}' is not a supported language"):
        check_language("language", language)


def test_there_are_as_many_languages_as_documented() -> None:
    """44 to speak, 20 to localize to, the latter among the former."""
    assert (len(LANGUAGES), len(LOCALIZE_LANGUAGES)) == (44, 20)
    assert LOCALIZE_LANGUAGES < LANGUAGES
