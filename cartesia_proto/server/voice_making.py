"""What a client may ask for to get a new voice or embedding: create, clone, mix, localize.

This module knows the fields of protocol sections 2.5.4, 2.5.7 and 2.5.8 under every version, and refuses what breaks
their rules: every reader raises `Problem` 400 where a field is missing, of a wrong kind, or out of its bounds. It must
not know any voice. Fields that a version does not know are ignored, as the service tolerates them.
"""

from typing import Final, TypeAlias

from attrs import field, frozen

from cartesia_proto.errors import JsonValue
from cartesia_proto.server.bodies import ReceivedForm
from cartesia_proto.server.fields import Fields, check_choice, kind_of
from cartesia_proto.server.formats import LOCALIZE_LANGUAGES, check_language
from cartesia_proto.server.problems import invalid
from cartesia_proto.server.voice_requests import ACCENTS_SINCE, PAGES_SINCE

LANGUAGE_CHECKED_SINCE: Final = "2026-03-01"
"""First version that validates the language of a new voice (protocol section 1.5)."""

MAX_TAGLINE: Final = 32
"""Characters of a tagline (protocol section 1.5)."""

DIALECTS: Final = ("au", "in", "so", "uk", "us", "mx", "pe", "br", "eu", "ca")
"""Of en, es, pt and fr together (protocol section 8.3)."""

_DIALECTS_BY_LANGUAGE: Final = (
    ("en", ("au", "in", "so", "uk", "us")),
    ("es", ("mx", "pe")),
    ("pt", ("br", "eu")),
    ("fr", ("eu", "ca")),
)


@frozen
class CreateVoice:
    """``POST /voices``, up to 2024-11-13."""

    name: str
    description: str
    embedding: tuple[float, ...] = field(repr=False)
    language: str = "en"
    base_voice_id: str | None = None


@frozen
class CloneVoice:
    """``POST /voices/clone``."""

    clip: bytes = field(repr=False)
    name: str
    language: str
    description: str = ""
    mode: str | None = None
    enhance: bool | None = None
    base_voice_id: str | None = None
    accent: str | None = None


@frozen
class CloneClip:
    """``POST /voices/clone/clip``, under 2024-06-10."""

    clip: bytes = field(repr=False)
    enhance: bool = True


@frozen
class Ingredient:
    """One voice of a mix, by id or by embedding; the weight is from 0 to 1."""

    weight: float
    id: str | None = None
    embedding: tuple[float, ...] | None = field(default=None, repr=False)


@frozen
class MixVoices:
    """``POST /voices/mix``, up to 2024-11-13."""

    voices: tuple[Ingredient, ...]


@frozen
class LocalizeVoice:
    """``POST /voices/localize``."""

    voice_id: str
    name: str
    description: str = ""
    language: str | None = None
    original_speaker_gender: str | None = None
    dialect: str | None = None
    accent: str | None = None
    tagline: str = ""


@frozen
class LocalizeEmbedding:
    """``POST /voices/localize`` in its first form, under 2024-06-10."""

    embedding: tuple[float, ...] = field(repr=False)
    language: str
    original_speaker_gender: str
    dialect: str | None = None


MakingRequest: TypeAlias = CreateVoice | CloneVoice | CloneClip | MixVoices | LocalizeVoice | LocalizeEmbedding


def read_create_voice(fields: Fields) -> CreateVoice:
    """A request for a voice made from an embedding."""
    return CreateVoice(
        name=fields.required_text("name"),
        description=_required(fields, "description"),
        embedding=fields.embedding("embedding"),
        language=fields.text("language") or "en",
        base_voice_id=fields.text("base_voice_id"),
    )


def _required(fields: Fields, name: str) -> str:
    """A string that must be there and may be empty."""
    value = fields.text(name)
    if value is None:
        raise invalid(f"{name} is required")
    return value


def read_clone_voice(form: ReceivedForm, version: str) -> CloneVoice:
    """A request for a voice made from a clip; `mode` is required up to 2024-11-13 and gone later."""
    texts = form.texts
    mode = texts.choice("mode", ("similarity", "stability")) if version <= "2024-11-13" else None
    if version <= "2024-11-13" and mode is None:
        raise invalid(f"under version {version} mode is required: similarity or stability")
    language = texts.required_text("language")
    if version >= LANGUAGE_CHECKED_SINCE:
        check_language("language", language)
    return CloneVoice(
        clip=form.required_file("clip"),
        name=texts.required_text("name"),
        language=language,
        description=texts.text("description") or "",
        mode=mode,
        enhance=texts.boolean("enhance") if version <= "2025-04-16" else None,
        base_voice_id=texts.text("base_voice_id"),
        accent=texts.text("accent") if version >= ACCENTS_SINCE else None,
    )


def read_clone_clip(form: ReceivedForm) -> CloneClip:
    """A request for the embedding of a clip."""
    enhance = form.texts.boolean("enhance")
    return CloneClip(form.required_file("clip"), True if enhance is None else enhance)


def read_mix_voices(fields: Fields) -> MixVoices:
    """A request for a mixed embedding; weights need not sum to 1, but not all may be 0."""
    voices = fields.array("voices")
    if not voices:
        raise invalid("voices must not be empty")
    mixed = tuple(_ingredient(Fields(_object(item, index), f"voices[{index}].")) for index, item in enumerate(voices))
    if not any(voice.weight for voice in mixed):
        raise invalid("the weights of voices are all 0")
    return MixVoices(mixed)


def _object(item: JsonValue, index: int) -> dict[str, JsonValue]:
    if isinstance(item, dict):
        return item
    raise invalid(f"voices[{index}] must be an object, not {kind_of(item)}")


def _ingredient(voice: Fields) -> Ingredient:
    if voice.has("id") == voice.has("embedding"):
        raise invalid(f"{voice.path[:-1]} must have either an id or an embedding")
    weight = voice.number_between("weight", 0.0, 1.0)
    if weight is None:
        raise invalid(f"{voice.path}weight is required")
    if voice.has("id"):
        return Ingredient(weight, id=voice.required_text("id"))
    return Ingredient(weight, embedding=voice.embedding("embedding"))


def read_localize_voice(fields: Fields, version: str) -> LocalizeVoice | LocalizeEmbedding:
    """A request for a voice in another language or accent; under 2024-06-10 also one for an embedding."""
    if version >= ACCENTS_SINCE:
        return _localize_to_accent(fields)
    language = fields.required_text("language")
    check_language("language", language, LOCALIZE_LANGUAGES)
    gender = fields.choice("original_speaker_gender", ("male", "female"))
    if gender is None:
        raise invalid("original_speaker_gender is required: male or female")
    dialect = _dialect(fields, language)
    if version < PAGES_SINCE and fields.has("embedding"):
        return LocalizeEmbedding(fields.embedding("embedding"), language, gender, dialect)
    return LocalizeVoice(
        voice_id=fields.required_text("voice_id"),
        name=fields.required_text("name"),
        description=_required(fields, "description"),
        language=language,
        original_speaker_gender=gender,
        dialect=dialect,
    )


def _dialect(fields: Fields, language: str) -> str | None:
    choices = next((dialects for code, dialects in _DIALECTS_BY_LANGUAGE if code == language), ())
    dialect = fields.text("dialect")
    if dialect is not None and not choices:
        raise invalid(f"there are no dialects of {language}")
    return check_choice("dialect", dialect, choices)


def _localize_to_accent(fields: Fields) -> LocalizeVoice:
    tagline = fields.text("tagline") or ""
    if len(tagline) > MAX_TAGLINE:
        raise invalid(f"tagline must have at most {MAX_TAGLINE} characters, not {len(tagline)}")
    return LocalizeVoice(
        voice_id=fields.required_text("voice_id"),
        name=fields.required_text("name"),
        description=fields.text("description") or "",
        language=check_language("language", fields.text("language"), LOCALIZE_LANGUAGES),
        original_speaker_gender=fields.choice("original_speaker_gender", ("male", "female")),
        dialect=fields.choice("dialect", DIALECTS),
        accent=fields.required_text("accent"),
        tagline=tagline,
    )
