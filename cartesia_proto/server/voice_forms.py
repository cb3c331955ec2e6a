"""The `voice` of a generation request, in the forms each API version takes.

This module knows protocol section 2.3.1. It must not know whether such a voice exists.

What the table leaves open, and our choice for it: `mode` is required from 2024-11-13 to 2026-03-01, and tolerated as an
extra field from 2026-08-14 on; embeddings end with 2024-11-13.
"""

from typing import Final, TypeAlias

from attrs import field, frozen

from cartesia_proto.errors import JsonValue
from cartesia_proto.server.fields import Fields, check_choice, number
from cartesia_proto.server.problems import invalid

MODELESS_UNTIL: Final = "2024-06-10"
"""The version that infers `mode` (protocol section 2.3.1)."""

EMBEDDINGS_UNTIL: Final = "2024-11-13"
"""The last version with embeddings and experimental controls (protocol section 1.5)."""

BARE_SINCE: Final = "2026-08-14"
"""The first version where a voice is a plain id (protocol section 1.5)."""

CONTROL_SPEEDS: Final = ("slowest", "slow", "normal", "fast", "fastest")
"""Protocol section 8.3."""

_EMOTIONS: Final = ("anger", "positivity", "surprise", "sadness", "curiosity")
_LEVELS: Final = ("lowest", "low", "high", "highest")

CONTROL_EMOTIONS: Final = (*_EMOTIONS, *(f"{emotion}:{level}" for emotion in _EMOTIONS for level in _LEVELS))
"""Protocol section 2.3.1."""


@frozen
class Controls:
    """Experimental controls.

    Attributes:
        speed: a name, or a number from -1 to 1.
        emotion: tags, ``name`` or ``name:level``.
    """

    speed: str | float | None = None
    emotion: tuple[str, ...] = ()


@frozen
class IdVoice:
    """A voice by its id."""

    id: str
    controls: Controls | None = None


@frozen
class EmbeddingVoice:
    """A voice by its 192 numbers."""

    embedding: tuple[float, ...] = field(repr=False)
    controls: Controls | None = None


VoiceForm: TypeAlias = IdVoice | EmbeddingVoice


def read_voice(fields: Fields, version: str) -> VoiceForm:
    """The required `voice` of a JSON body.

    Raises:
        Problem: 400; it has no form that this version takes.
    """
    bare = fields.values.get("voice")
    if not isinstance(bare, str):
        return _voice_object(fields.required_object("voice"), version)
    if version < BARE_SINCE:
        raise invalid(f"under version {version} voice must be an object, not a string")
    return IdVoice(fields.required_text("voice"))


def _voice_object(voice: Fields, version: str) -> VoiceForm:
    if voice.has("id") and voice.has("embedding"):
        raise invalid("voice has both an id and an embedding: send one of them")
    mode = _mode(voice, version)
    controls = _controls(voice.object("__experimental_controls")) if version <= EMBEDDINGS_UNTIL else None
    if mode == "id":
        return IdVoice(voice.required_text("id"), controls)
    if version > EMBEDDINGS_UNTIL:
        raise invalid(f"voice embeddings do not exist under version {version}: send the id of a voice")
    return EmbeddingVoice(voice.embedding("embedding"), controls)


def _mode(voice: Fields, version: str) -> str:
    mode = voice.choice("mode", ("id", "embedding"))
    if mode is not None:
        return mode
    if MODELESS_UNTIL < version < BARE_SINCE:
        raise invalid("voice.mode is required: id or embedding")
    return "embedding" if voice.has("embedding") else "id"


def _controls(given: Fields | None) -> Controls | None:
    """Both fields optional, as in the first definition; later ones type both as required."""
    if given is None:
        return None
    emotion = given.texts("emotion") if given.values.get("emotion") else ()
    return Controls(control_speed(given.values.get("speed"), f"{given.path}speed"), check_emotion(emotion, given.path))


def control_speed(value: JsonValue, path: str) -> str | float | None:
    """A speed of the experimental controls.

    A number beyond -1 to 1 is taken as the nearest of these (our choice: the service's own examples send 1.1).

    Raises:
        Problem: 400; it is neither a number nor a known name.
    """
    if value is None or isinstance(value, str):
        return check_choice(path, value, CONTROL_SPEEDS)
    return max(-1.0, min(1.0, number(value, path)))


def form_control_speed(text: str | None, path: str) -> str | float | None:
    """The same from the text of a form.

    Raises:
        Problem: as `control_speed`.
    """
    try:
        return control_speed(None if text is None else float(text), path)
    except ValueError:
        return control_speed(text, path)


def check_emotion(tags: tuple[str, ...], path: str) -> tuple[str, ...]:
    """Emotion tags, if all of them are known.

    Raises:
        Problem: 400; one is not.
    """
    for tag in tags:
        check_choice(f"{path}emotion", tag, CONTROL_EMOTIONS)
    return tags
