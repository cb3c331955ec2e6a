"""What a client may ask to be spoken: speech as audio or as events, and infill.

This module knows the fields of protocol sections 2.3 and 2.4 under every version, and refuses what breaks their rules.
It must not know models or voices: whether one exists is for who serves the request. Fields that a version does not
know are ignored, as the service tolerates them.
"""

from typing import Final, TypeAlias

from attrs import field, frozen

from cartesia_proto.audio.formats import OutputFormat
from cartesia_proto.server.bodies import ReceivedForm
from cartesia_proto.server.fields import Fields
from cartesia_proto.server.formats import (
    CONTAINERS,
    SSE_CONTAINERS,
    check_language,
    read_form_output_format,
    read_output_format,
)
from cartesia_proto.server.problems import invalid
from cartesia_proto.server.voice_forms import (
    EMBEDDINGS_UNTIL,
    Controls,
    IdVoice,
    VoiceForm,
    check_emotion,
    form_control_speed,
    read_voice,
)

LOCALE_SINCE: Final = "2026-08-14"
"""First version with `locale` and `normalization` (protocol section 2.3)."""

DURATION_UNTIL: Final = "2025-04-16"
"""Last version with `duration` (protocol section 2.3)."""

SPEEDS: Final = ("slow", "normal", "fast")
"""The deprecated `speed` (protocol section 8.3)."""


@frozen
class GenerationConfig:
    """How to speak (protocol section 2.3).

    Attributes:
        volume: factor from 0.5 to 2.
        speed: factor from 0.6 to 1.5.
        emotion: a word; the set is open.
    """

    volume: float = 1.0
    speed: float = 1.0
    emotion: str | None = None


@frozen
class Speech:
    """What is to be spoken, and how; the part all generation requests share.

    Attributes:
        duration: seconds after which the audio is cut, or None.
        locale, normalization, pronunciation_dict_id: as they came, checked for their form only.
    """

    model_id: str
    transcript: str = field(repr=False)
    voice: VoiceForm
    output_format: OutputFormat
    language: str | None = None
    locale: str | None = None
    normalization: str | None = None
    generation_config: GenerationConfig = GenerationConfig()
    speed: str | None = None
    duration: float | None = None
    pronunciation_dict_id: str | None = None


@frozen
class BytesRequest:
    """``POST /tts/bytes``."""

    speech: Speech
    save: bool = False


@frozen
class SSERequest:
    """``POST /tts/sse``."""

    speech: Speech
    context_id: str | None = None
    add_timestamps: bool = False
    add_phoneme_timestamps: bool = False
    use_normalized_timestamps: bool = False


@frozen
class InfillRequest:
    """``POST /infill/bytes``."""

    speech: Speech
    left_audio: bytes | None = field(default=None, repr=False)
    right_audio: bytes | None = field(default=None, repr=False)


SpeechRequest: TypeAlias = BytesRequest | SSERequest | InfillRequest


def read_bytes_request(fields: Fields, version: str) -> BytesRequest:
    """A request for audio.

    Raises:
        Problem: 400; a field is missing, of a wrong kind, or out of its bounds.
    """
    speech = read_speech(fields, version, _transcript(fields.required_text("transcript")), CONTAINERS)
    return BytesRequest(speech, fields.boolean("save") or False)


def read_sse_request(fields: Fields, version: str) -> SSERequest:
    """A request for events.

    Raises:
        Problem: as `read_bytes_request`; also where the container is not raw.
    """
    return SSERequest(
        speech=read_speech(fields, version, _transcript(fields.required_text("transcript")), SSE_CONTAINERS),
        context_id=fields.text("context_id"),
        add_timestamps=fields.boolean("add_timestamps") or False,
        add_phoneme_timestamps=fields.boolean("add_phoneme_timestamps") or False,
        use_normalized_timestamps=fields.boolean("use_normalized_timestamps") or False,
    )


def read_speech(fields: Fields, version: str, transcript: str, containers: tuple[str, ...]) -> Speech:
    """The fields that say how something is to be spoken; whether it may be empty depends on where it stands.

    Raises:
        Problem: as `read_bytes_request`.
    """
    language, locale, normalization = _languages(fields, version)
    return Speech(
        model_id=fields.required_text("model_id"),
        transcript=transcript,
        voice=read_voice(fields, version),
        output_format=read_output_format(fields, containers),
        language=language,
        locale=locale,
        normalization=normalization,
        generation_config=_generation_config(fields.object("generation_config")),
        speed=fields.choice("speed", SPEEDS),
        duration=_duration(fields) if version <= DURATION_UNTIL else None,
        pronunciation_dict_id=fields.text("pronunciation_dict_id"),
    )


def _transcript(text: str) -> str:
    if not text.strip():
        raise invalid("transcript must not be empty")
    return text


def _languages(fields: Fields, version: str) -> tuple[str | None, str | None, str | None]:
    """`language`, and from 2026-08-14 `locale`, which excludes it, and `normalization`."""
    language = check_language("language", fields.text("language"))
    if version < LOCALE_SINCE:
        return language, None, None
    locale = check_language("locale", fields.text("locale"))
    if language is not None and locale is not None:
        raise invalid("language and locale exclude each other: send one of them")
    normalization = fields.text("normalization")
    if normalization not in ("auto", "off"):
        check_language("normalization", normalization)
    return language, locale, normalization


def _generation_config(given: Fields | None) -> GenerationConfig:
    if given is None:
        return GenerationConfig()
    volume = given.number_between("volume", 0.5, 2.0)
    speed = given.number_between("speed", 0.6, 1.5)
    return GenerationConfig(
        volume=1.0 if volume is None else volume, speed=1.0 if speed is None else speed, emotion=given.text("emotion")
    )


def _duration(fields: Fields) -> float | None:
    duration = fields.number("duration")
    if duration is not None and duration <= 0:
        raise invalid(f"duration must be above 0 seconds, not {duration:g}")
    return duration


def read_infill_request(form: ReceivedForm, version: str) -> InfillRequest:
    """A request for the audio between two others.

    Raises:
        Problem: 400; a field is missing, of a wrong kind, or out of its bounds, or there is audio on neither side.
    """
    left, right = form.file("left_audio"), form.file("right_audio")
    if left is None and right is None:
        raise invalid("left_audio or right_audio is required")
    texts = form.texts
    return InfillRequest(
        speech=Speech(
            model_id=texts.required_text("model_id"),
            transcript=_transcript(texts.required_text("transcript")),
            voice=IdVoice(texts.required_text("voice_id"), _form_controls(form, version)),
            output_format=read_form_output_format(texts, CONTAINERS),
            language=check_language("language", texts.required_text("language")),
        ),
        left_audio=left,
        right_audio=right,
    )


def _form_controls(form: ReceivedForm, version: str) -> Controls | None:
    """Experimental controls in brackets, as long as they exist (protocol section 2.4)."""
    path = "voice[__experimental_controls]"
    speed, emotion = form.texts.text(f"{path}[speed]"), form.texts.texts(f"{path}[emotion][]")
    if version > EMBEDDINGS_UNTIL or (speed is None and not emotion):
        return None
    return Controls(form_control_speed(speed, f"{path}[speed]"), check_emotion(emotion, f"{path}."))
