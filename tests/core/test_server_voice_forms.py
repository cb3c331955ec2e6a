"""The voice of a request, in the forms each version takes."""

import pytest

from cartesia_proto.errors import JsonValue
from cartesia_proto.server.fields import Fields
from cartesia_proto.server.problems import Problem
from cartesia_proto.server.versions import VERSIONS
from cartesia_proto.server.voice_forms import (
    Controls,
    EmbeddingVoice,
    IdVoice,
    VoiceForm,
    control_speed,
    form_control_speed,
    read_voice,
)

NUMBERS: list[JsonValue] = [0.25] * 192
EMBEDDING = EmbeddingVoice((0.25,) * 192)
FORMS: dict[str, tuple[JsonValue, VoiceForm, set[str]]] = {
    "id with mode": ({"mode": "id", "id": "v"}, IdVoice("v"), set(VERSIONS)),
    "id without mode": ({"id": "v"}, IdVoice("v"), {"2024-06-10", "2026-08-14"}),
    "bare string": ("v", IdVoice("v"), {"2026-08-14"}),
    "embedding with mode": (
        {"mode": "embedding", "embedding": NUMBERS},
        EMBEDDING,
        {"2024-06-10", "2024-11-13"},
    ),
    "embedding without mode": ({"embedding": NUMBERS}, EMBEDDING, {"2024-06-10"}),
    "both": ({"mode": "id", "id": "v", "embedding": NUMBERS}, EMBEDDING, set()),
    "neither": ({}, EMBEDDING, set()),
    "unknown mode": ({"mode": "name", "id": "v"}, EMBEDDING, set()),
    "empty id": ({"mode": "id", "id": ""}, EMBEDDING, set()),
    "empty string": ("", EMBEDDING, set()),
    "number": (5, EMBEDDING, set()),
    "absent": (None, EMBEDDING, set()),
    "short embedding": ({"mode": "embedding", "embedding": [0.1]}, EMBEDDING, set()),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("form", FORMS)
def test_each_version_takes_its_own_forms(form: str, version: str) -> None:
    """The table of protocol section 2.3.1; everything else is a 400."""
    voice, expected, versions = FORMS[form]
    fields = Fields({"voice": voice})
    if version in versions:
        assert read_voice(fields, version) == expected
    else:
        with pytest.raises(Problem) as refused:
            read_voice(fields, version)
        assert refused.value.status == 400
        assert "voice" in refused.value.message


def controlled(controls: JsonValue, version: str = "2024-11-13") -> Controls | None:
    """The controls of a voice by id."""
    voice: JsonValue = {"mode": "id", "id": "v", "__experimental_controls": controls}
    return read_voice(Fields({"voice": voice}), version).controls


def test_experimental_controls_are_read_while_they_exist() -> None:
    """Both parts optional; later versions ignore them as any extra field."""
    both: JsonValue = {"speed": "fast", "emotion": ["anger", "sadness:low"]}
    assert controlled(both) == Controls("fast", ("anger", "sadness:low"))
    assert controlled({"speed": -0.5}) == Controls(-0.5)
    assert controlled({"emotion": []}) == Controls()
    assert controlled(None) is None
    assert controlled({"speed": "nonsense"}, "2025-04-16") is None


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        ("fast", "voice.__experimental_controls must be an object"),
        ({"speed": "warp"}, "voice.__experimental_controls.speed must be one of"),
        ({"speed": True}, "voice.__experimental_controls.speed must be a number"),
        ({"emotion": "anger"}, "voice.__experimental_controls.emotion must be an array"),
        ({"emotion": ["joy"]}, "voice.__experimental_controls.emotion must be one of"),
    ],
)
def test_wrong_controls_are_a_bad_request(controls: JsonValue, said: str) -> None:
    """The message names the place."""
    with pytest.raises(Problem, match=said):
        controlled(controls)


@pytest.mark.parametrize(("given", "meant"), [(1.1, 1.0), (-3, -1.0), (0, 0.0), (None, None), ("slowest", "slowest")])
def test_a_speed_beyond_its_bounds_is_the_nearest(given: JsonValue, meant: str | float | None) -> None:
    """The service's own examples go beyond them."""
    assert control_speed(given, "speed") == meant


@pytest.mark.parametrize(("text", "meant"), [(None, None), ("0.5", 0.5), ("9", 1.0), ("slow", "slow")])
def test_a_form_says_a_speed_in_text(text: str | None, meant: str | float | None) -> None:
    """A number in digits, or a name."""
    assert form_control_speed(text, "speed") == meant


def test_an_embedding_is_not_shown() -> None:
    """192 numbers help nobody."""
    assert "0.25" not in repr(EMBEDDING)
