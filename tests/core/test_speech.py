"""Voices in every spelling, in the shape that each API version understands."""

import pytest
from attrs import frozen

from cartesia_proto.api.voice_models import Voice, VoiceMetadata
from cartesia_proto.errors import JsonValue, LocalProtocolError
from cartesia_proto.parameters import Parameters
from cartesia_proto.speech import (
    ExperimentalControls,
    GenerationConfig,
    VoiceByEmbedding,
    VoiceById,
    VoiceLike,
    check_voice,
    controls_on_wire,
    voice_on_wire,
)

OLD = ["2024-06-10", "2024-11-13", "2025-04-16", "2025-11-04", "2026-03-01", "2026-08-13"]
NEW = ["2026-08-14", "2027-01-01"]


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize("voice", ["v-1", VoiceById("v-1"), {"id": "v-1"}, {"mode": "id", "id": "v-1"}])
def test_id_before_2026_08_14(voice: VoiceLike, version: str) -> None:
    """An id goes with its mode, however it was given."""
    assert voice_on_wire(check_voice(voice), version) == {"mode": "id", "id": "v-1"}


@pytest.mark.parametrize("version", NEW)
@pytest.mark.parametrize(
    "voice", ["v-1", VoiceById("v-1"), {"id": "v-1"}, {"mode": "id", "id": "v-1", "embedding": None}]
)
def test_id_from_2026_08_14(voice: VoiceLike, version: str) -> None:
    """An id goes alone, however it was given."""
    assert voice_on_wire(check_voice(voice), version) == {"id": "v-1"}


@pytest.mark.parametrize("version", OLD + NEW)
@pytest.mark.parametrize(
    "voice",
    [VoiceByEmbedding([0.5, 1]), {"embedding": (0.5, 1)}, {"mode": "embedding", "embedding": [0.5, 1], "id": None}],
)
def test_embedding(voice: VoiceLike, version: str) -> None:
    """An embedding always says its mode."""
    assert voice_on_wire(check_voice(voice), version) == {"mode": "embedding", "embedding": [0.5, 1]}


@pytest.mark.parametrize(
    "spelling",
    ["__experimental_controls", "experimental_controls", "_experimental_voice_controls", "experimental_voice_controls"],
)
@pytest.mark.parametrize(
    ("controls", "wire"),
    [
        (
            {"speed": "fast", "emotion": ["anger:high", "curiosity"]},
            {"speed": "fast", "emotion": ["anger:high", "curiosity"]},
        ),
        ({"speed": 1.1, "emotion": "anger:lowest"}, {"speed": 1.1, "emotion": ["anger:lowest"]}),
        ({"speed": None, "emotion": "sadness"}, {"emotion": ["sadness"]}),
        ("anger:lowest", {"emotion": ["anger:lowest"]}),
        (ExperimentalControls(speed=-0.5), {"speed": -0.5}),
        (ExperimentalControls(emotion="surprise"), {"emotion": ["surprise"]}),
    ],
)
def test_experimental_controls(spelling: str, controls: object, wire: dict[str, JsonValue]) -> None:
    """Every SDK's spelling becomes the wire's own key; a lone emotion becomes a list of one."""
    by_id = voice_on_wire(check_voice({"id": "v", spelling: controls}), "2024-11-13")
    assert by_id == {"mode": "id", "id": "v", "__experimental_controls": wire}
    by_embedding = voice_on_wire(check_voice({"embedding": [1.0], spelling: controls}), "2024-06-10")
    assert by_embedding == {"mode": "embedding", "embedding": [1.0], "__experimental_controls": wire}


def test_controls_of_our_values() -> None:
    """Our own values spell it for you; controls that are None are left out."""
    controls = ExperimentalControls(speed="slowest", emotion=["curiosity"])
    wire = {"speed": "slowest", "emotion": ["curiosity"]}
    for voice in (VoiceById("v", controls), VoiceByEmbedding([1.0], controls)):
        assert voice_on_wire(check_voice(voice), "2024-11-13")["__experimental_controls"] == wire
    silent = voice_on_wire(check_voice({"id": "v", "experimental_controls": None}), "2024-11-13")
    assert silent == {"mode": "id", "id": "v"}


@frozen
class Answered:
    """A voice as the voice endpoints answer it, and as their metadata are."""

    id: str
    name: str = "Ada"
    embedding: tuple[float, ...] | None = (0.5, 1.0)


@pytest.mark.parametrize("answered", [Answered("v-1"), Voice("v-1", "Ada", embedding=(0.5,)), VoiceMetadata("v-1")])
def test_a_voice_that_was_answered(answered: VoiceLike) -> None:
    """Its id alone is sent: the rest describes it, and says nothing more."""
    assert voice_on_wire(check_voice(answered), "2026-08-14") == {"id": "v-1"}
    assert voice_on_wire(check_voice(answered), "2024-11-13") == {"mode": "id", "id": "v-1"}


def test_a_voice_whose_id_is_none() -> None:
    """What names nothing is refused, whatever else it has."""
    with pytest.raises(LocalProtocolError, match="neither an id"):
        check_voice(Answered(""))
    with pytest.raises(LocalProtocolError, match="id must be a string, not int"):
        check_voice(Answered(5))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the mistake


def test_unknown_fields_pass() -> None:
    """A field of tomorrow is sent as it is."""
    assert voice_on_wire(check_voice({"id": "v", "style": {"a": 1}}), "2026-08-14") == {"id": "v", "style": {"a": 1}}


@pytest.mark.parametrize(
    "voice", ["", {}, {"mode": "id"}, {"id": None}, {"id": ""}, {"embedding": []}, VoiceById(""), VoiceByEmbedding([])]
)
def test_no_voice(voice: VoiceLike) -> None:
    """A voice that names nothing is refused before anything is sent."""
    with pytest.raises(LocalProtocolError, match="neither an id nor an embedding"):
        check_voice(voice)


def test_two_voices() -> None:
    """An id and an embedding together have no meaning."""
    with pytest.raises(LocalProtocolError, match="both an id and an embedding"):
        check_voice({"id": "v", "embedding": [1.0]})


def test_no_mapping() -> None:
    """Anything else is refused by name."""
    with pytest.raises(LocalProtocolError, match="voice must be a mapping, not int"):
        check_voice(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the mistake under test


def test_controls_of_another_kind() -> None:
    """Controls are a mapping or one emotion."""
    with pytest.raises(LocalProtocolError, match="experimental_controls must be a mapping, not int"):
        controls_on_wire(5)


def test_a_voice_is_frozen() -> None:
    """Later changes do not reach it."""
    numbers = [1.0]
    given: dict[str, object] = {"embedding": numbers}
    voice = check_voice(given)
    numbers.append(2.0)
    given["id"] = "x"
    assert voice_on_wire(voice, "2024-06-10") == {"mode": "embedding", "embedding": [1.0]}


def test_generation_config_is_a_parameter() -> None:
    """What is not set is not sent."""
    parameters = Parameters(generation_config=GenerationConfig(speed=1.1, emotion="calm"))
    assert parameters.as_json() == {"generation_config": {"speed": 1.1, "emotion": "calm"}}
