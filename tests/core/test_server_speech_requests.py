"""What may be asked to be spoken."""

import pytest

from cartesia_proto.audio.formats import Mp3Format, RawFormat, WavFormat
from cartesia_proto.errors import JsonValue
from cartesia_proto.http import ContentPart
from cartesia_proto.server.bodies import ReceivedForm
from cartesia_proto.server.fields import Fields, Texts
from cartesia_proto.server.problems import Problem
from cartesia_proto.server.speech_requests import (
    BytesRequest,
    GenerationConfig,
    InfillRequest,
    Speech,
    SSERequest,
    read_bytes_request,
    read_infill_request,
    read_sse_request,
)
from cartesia_proto.server.voice_forms import Controls, IdVoice

NEWEST = "2026-08-14"
RAW: JsonValue = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}


def body(**fields: JsonValue) -> Fields:
    """The least there must be, and more."""
    least: dict[str, JsonValue] = {
        "model_id": "sonic-3",
        "transcript": "Hi.",
        "voice": {"mode": "id", "id": "v"},
        "output_format": RAW,
    }
    return Fields(least | fields)


LEAST = Speech("sonic-3", "Hi.", IdVoice("v"), RawFormat("pcm_s16le", 8000))


@pytest.mark.parametrize("version", ["2024-06-10", "2025-04-16", NEWEST])
def test_the_least_there_must_be_will_do(version: str) -> None:
    """For audio as for events, with nulls and unknown fields besides."""
    given = body(language=None, save=None, add_timestamps=None, stream=True)
    assert read_bytes_request(given, version) == BytesRequest(LEAST)
    assert read_sse_request(given, version) == SSERequest(LEAST)


def test_everything_is_read() -> None:
    """All that the newest version has."""
    given = body(
        locale="en-GB",
        normalization="off",
        generation_config={"volume": 0.5, "speed": 1.5, "emotion": "calm"},
        speed="fast",
        pronunciation_dict_id="p",
        save=True,
        context_id="c",
        add_timestamps=True,
        add_phoneme_timestamps=True,
        use_normalized_timestamps=True,
    )
    speech = read_bytes_request(given, NEWEST).speech
    assert (speech.language, speech.locale, speech.normalization) == (None, "en-GB", "off")
    assert speech.generation_config == GenerationConfig(0.5, 1.5, "calm")
    assert (speech.speed, speech.pronunciation_dict_id) == ("fast", "p")
    assert read_bytes_request(given, NEWEST).save
    assert read_sse_request(given, NEWEST) == SSERequest(
        speech,
        "c",
        add_timestamps=True,
        add_phoneme_timestamps=True,
        use_normalized_timestamps=True,
    )


@pytest.mark.parametrize(("normalization", "fine"), [("auto", True), ("off", True), ("fr-FR", True), ("loud", False)])
def test_normalization_is_a_word_or_a_locale(normalization: str, fine: bool) -> None:
    """From the version on that has it."""
    if fine:
        assert read_bytes_request(body(normalization=normalization), NEWEST).speech.normalization == normalization
    else:
        with pytest.raises(Problem, match="normalization 'loud'"):
            read_bytes_request(body(normalization=normalization), NEWEST)
    assert read_bytes_request(body(normalization=normalization), "2026-03-01").speech.normalization is None


def test_language_and_locale_exclude_each_other() -> None:
    """From the version on that has both; before, a locale is an unknown field."""
    given = body(language="en", locale="en-GB")
    with pytest.raises(Problem, match="exclude each other"):
        read_bytes_request(given, NEWEST)
    assert read_bytes_request(given, "2026-03-01").speech.locale is None


def test_duration_is_read_while_it_exists() -> None:
    """Up to 2025-04-16; later it is an unknown field."""
    assert read_bytes_request(body(duration=1.1), "2025-04-16").speech.duration == 1.1
    assert read_bytes_request(body(duration="x"), "2025-11-04").speech.duration is None


def test_an_mp3_can_be_asked_for() -> None:
    """Where bytes are answered."""
    mp3: JsonValue = {"container": "mp3", "sample_rate": 44100, "bit_rate": 128000}
    assert read_bytes_request(body(output_format=mp3), NEWEST).speech.output_format == Mp3Format(44100, 128000)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model_id": None}, "model_id is required"),
        ({"transcript": None}, "transcript is required"),
        ({"transcript": ""}, "transcript must not be empty"),
        ({"transcript": " \n"}, "transcript must not be empty"),
        ({"voice": None}, "voice is required"),
        ({"output_format": None}, "output_format is required"),
        ({"language": "xx"}, "language 'xx'"),
        ({"language": 5}, "language must be a string"),
        ({"generation_config": {"volume": 2.1}}, "generation_config.volume must be from 0.5 to 2"),
        ({"generation_config": {"speed": 0.5}}, "generation_config.speed must be from 0.6 to 1.5"),
        ({"generation_config": {"emotion": 1}}, "generation_config.emotion must be a string"),
        ({"generation_config": "fast"}, "generation_config must be an object"),
        ({"speed": "warp"}, "speed must be one of"),
        ({"duration": 0}, "duration must be above 0"),
        ({"pronunciation_dict_id": 1}, "pronunciation_dict_id must be a string"),
        ({"save": "yes"}, "save must be true or false"),
    ],
)
def test_anything_wrong_is_named(fields: dict[str, JsonValue], said: str) -> None:
    """400."""
    with pytest.raises(Problem, match=said) as refused:
        read_bytes_request(body(**fields), "2025-04-16")
    assert refused.value.status == 400


def test_events_carry_raw_samples_alone() -> None:
    """A wav or mp3 is refused."""
    wav: JsonValue = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 8000}
    with pytest.raises(Problem, match="container must be one of raw"):
        read_sse_request(body(output_format=wav), NEWEST)


INFILL = (
    ("model_id", "sonic-2"),
    ("language", "en"),
    ("transcript", "middle"),
    ("voice_id", "v"),
    ("output_format[container]", "wav"),
    ("output_format[sample_rate]", "8000"),
    ("output_format[encoding]", "pcm_s16le"),
)
CONTROLS = (
    ("voice[__experimental_controls][speed]", "slow"),
    ("voice[__experimental_controls][emotion][]", "anger"),
    ("voice[__experimental_controls][emotion][]", "surprise:low"),
)
LEFT = (ContentPart("left_audio", b"l"),)


def test_infill_is_read_from_a_form() -> None:
    """With audio on either side, or on both."""
    right = ContentPart("right_audio", b"r")
    speech = Speech("sonic-2", "middle", IdVoice("v"), WavFormat("pcm_s16le", 8000), "en")
    assert read_infill_request(ReceivedForm(Texts(INFILL), LEFT), NEWEST) == InfillRequest(speech, b"l")
    both = ReceivedForm(Texts(INFILL), (*LEFT, right))
    assert read_infill_request(both, NEWEST) == InfillRequest(speech, b"l", b"r")


@pytest.mark.parametrize(
    ("texts", "controls"),
    [
        (CONTROLS, Controls("slow", ("anger", "surprise:low"))),
        (CONTROLS[:1], Controls("slow")),
        (CONTROLS[1:], Controls(None, ("anger", "surprise:low"))),
        ((), None),
    ],
)
def test_infill_reads_controls_while_they_exist(texts: tuple[tuple[str, str], ...], controls: Controls | None) -> None:
    """Up to 2024-11-13."""
    form = ReceivedForm(Texts((*INFILL, *texts)), LEFT)
    assert read_infill_request(form, "2024-11-13").speech.voice == IdVoice("v", controls)
    assert read_infill_request(form, "2025-04-16").speech.voice == IdVoice("v")


def test_infill_needs_audio_on_one_side() -> None:
    """Else there is no gap to fill."""
    with pytest.raises(Problem, match="left_audio or right_audio is required"):
        read_infill_request(ReceivedForm(Texts(INFILL), ()), NEWEST)


@pytest.mark.parametrize("name", ["model_id", "language", "transcript", "voice_id", "output_format[container]"])
def test_infill_names_what_is_missing(name: str) -> None:
    """400."""
    texts = tuple(pair for pair in INFILL if pair[0] != name)
    with pytest.raises(Problem) as refused:
        read_infill_request(ReceivedForm(Texts(texts), LEFT), NEWEST)
    assert refused.value.message == f"{name} is required"


def test_a_transcript_is_not_shown() -> None:
    """Nor the audio."""
    assert "Hi." not in repr(LEAST)
