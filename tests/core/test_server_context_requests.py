"""Messages on a WebSocket, as a server reads them."""

import pytest

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.errors import JsonValue
from cartesia_proto.server.context_requests import (
    ContextCancel,
    ContextInput,
    ContextRequest,
    read_context_id,
    read_context_request,
    read_object,
)
from cartesia_proto.server.fields import Fields
from cartesia_proto.server.problems import Problem
from cartesia_proto.server.speech_requests import GenerationConfig, Speech
from cartesia_proto.server.versions import VERSIONS
from cartesia_proto.server.voice_forms import IdVoice

NEWEST = VERSIONS[-1]
CONTINUE: dict[str, JsonValue] = {"continue": True}
LEAST: dict[str, JsonValue] = {
    "model_id": "sonic-3",
    "transcript": "Hi. ",
    "voice": {"mode": "id", "id": "v"},
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
}
SPEECH = Speech("sonic-3", "Hi. ", IdVoice("v"), RawFormat("pcm_s16le", 8000))


def read(version: str = NEWEST, /, **fields: JsonValue) -> ContextRequest:
    """The least there must be, and more."""
    return read_context_request(Fields({**LEAST, **fields}), "c", version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_least_there_must_be_will_do(version: str) -> None:
    """With nulls and unknown fields besides; the transcript verbatim."""
    assert read(version, flush=None, cancel=False, stream=True) == ContextInput("c", SPEECH)


def test_everything_is_read() -> None:
    """All that an input may have."""
    config: JsonValue = {"speed": 1.5}
    given = read(
        **CONTINUE,
        flush=True,
        add_timestamps=True,
        add_phoneme_timestamps=True,
        use_normalized_timestamps=True,
        max_buffer_delay_ms=5000,
        generation_config=config,
        locale="en-GB",
    )
    assert isinstance(given, ContextInput)
    assert (given.continues, given.flush, given.max_buffer_delay_ms) == (True, True, 5000)
    assert (given.add_timestamps, given.add_phoneme_timestamps, given.use_normalized_timestamps) == (True, True, True)
    assert given.speech.generation_config == GenerationConfig(speed=1.5)
    assert given.speech.locale == "en-GB"


@pytest.mark.parametrize("more", [{"flush": True, "continue": True}, {"continue": False}, {}])
@pytest.mark.parametrize("transcript", ["", " "])
def test_an_input_that_flushes_or_finishes_may_say_nothing(more: dict[str, JsonValue], transcript: str) -> None:
    """Or white space."""
    given = read(**{**more, "transcript": transcript})
    assert isinstance(given, ContextInput)
    assert given.speech.transcript == transcript


def test_white_space_is_text() -> None:
    """It parts words, so it may stand alone."""
    assert isinstance(read(transcript=" ", **CONTINUE), ContextInput)


@pytest.mark.parametrize(
    ("version", "fields", "said"),
    [
        (NEWEST, {"transcript": None}, "transcript is required"),
        (NEWEST, {"transcript": 5}, "transcript must be a string"),
        (NEWEST, {"transcript": "", "continue": True}, "neither flushes nor finishes"),
        (NEWEST, {"model_id": None}, "model_id is required"),
        (NEWEST, {"voice": None}, "voice is required"),
        (NEWEST, {"output_format": {"container": "wav"}}, "container must be one of raw"),
        (NEWEST, {"continue": "yes"}, "continue must be true or false"),
        (NEWEST, {"flush": 1}, "flush must be true or false"),
        (NEWEST, {"cancel": 1}, "cancel must be true or false"),
        (NEWEST, {"max_buffer_delay_ms": 5001}, "from 0 to 5000, not 5001"),
        ("2025-04-16", {"max_buffer_delay_ms": 1001}, "from 0 to 1000, not 1001"),
        (NEWEST, {"max_buffer_delay_ms": -1}, "from 0 to 5000, not -1"),
        (NEWEST, {"max_buffer_delay_ms": 0.5}, "must be an integer"),
        (NEWEST, {"language": "en", "locale": "en-GB"}, "exclude each other"),
    ],
)
def test_anything_wrong_is_named(version: str, fields: dict[str, JsonValue], said: str) -> None:
    """400."""
    with pytest.raises(Problem, match=said) as refused:
        read(version, **fields)
    assert refused.value.status == 400


def test_a_cancellation_needs_an_id_alone() -> None:
    """Whatever else it says."""
    assert read_context_request(Fields({"cancel": True}), "c", NEWEST) == ContextCancel("c")
    with pytest.raises(Problem, match="context_id is required"):
        read_context_request(Fields({"cancel": True}), None, "2024-06-10")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_id_is_a_string(version: str) -> None:
    """That is not empty."""
    assert read_context_id(Fields({"context_id": "turn_1-A"}), version) == "turn_1-A"
    with pytest.raises(Problem, match="context_id must not be empty"):
        read_context_id(Fields({"context_id": ""}), version)
    with pytest.raises(Problem, match="context_id must be a string"):
        read_context_id(Fields({"context_id": 5}), version)


def test_an_id_may_be_left_out_before_2025_11_04() -> None:
    """Later it is required."""
    assert read_context_id(Fields({}), "2025-04-16") is None
    with pytest.raises(Problem, match="context_id is required"):
        read_context_id(Fields({}), "2025-11-04")


def test_an_id_has_an_alphabet_under_the_first_version() -> None:
    """Later any characters will do."""
    assert read_context_id(Fields({"context_id": "a.b"}), "2024-11-13") == "a.b"
    with pytest.raises(Problem, match="letters, digits"):
        read_context_id(Fields({"context_id": "a.b"}), "2024-06-10")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"{}", "not binary"),
        ("nonsense", "must be a JSON object: "),
        ("[]", "must be a JSON object$"),
        ('"\\ud800"', "must be a JSON object: "),
    ],
)
def test_a_message_is_a_json_object(message: str | bytes, said: str) -> None:
    """In a text message."""
    with pytest.raises(Problem, match=said) as refused:
        read_object(message)
    assert refused.value.status == 400


def test_a_message_is_read() -> None:
    """As its fields."""
    assert read_object('{"context_id":"c"}').values == {"context_id": "c"}


def test_what_is_locked_tells_inputs_apart() -> None:
    """All but the text, what ends it, and how it is said."""
    free: dict[str, JsonValue] = {
        "transcript": "more",
        "continue": True,
        "flush": True,
        "duration": 2.0,
        "generation_config": {"volume": 0.5},
    }
    first, second = read("2025-04-16"), read("2025-04-16", **free)
    assert isinstance(first, ContextInput)
    assert isinstance(second, ContextInput)
    assert first != second
    assert first.locked() == second.locked()


@pytest.mark.parametrize(
    "changed",
    [
        {"model_id": "sonic-2"},
        {"voice": {"id": "w"}},
        {"output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}},
        {"language": "fr"},
        {"locale": "en-GB"},
        {"normalization": "off"},
        {"speed": "fast"},
        {"pronunciation_dict_id": "p"},
        {"add_timestamps": True},
        {"add_phoneme_timestamps": True},
        {"use_normalized_timestamps": True},
        {"max_buffer_delay_ms": 0},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_every_other_field_is_locked(changed: dict[str, JsonValue]) -> None:
    """Each by its name on the wire."""
    first, second = read(), read(**changed)
    assert isinstance(first, ContextInput)
    assert isinstance(second, ContextInput)
    different = {name for name, value in second.locked().items() if value != first.locked()[name]}
    assert different == set(changed)
