"""What is settled when a context is opened, and locked for its life (protocol sections 4.2 and 4.5).

This module knows the settings' names, and how they stand in every message under an API version. It must not know
contexts, ids in use or messages.
"""

from collections.abc import Mapping
from typing import NotRequired, Required, TypedDict, cast, final

from attrs import frozen

from cartesia_proto.audio.formats import Mp3Format, RawFormat, WavFormat, parse_output_format
from cartesia_proto.errors import JsonValue, LocalProtocolError
from cartesia_proto.parameters import Parameters
from cartesia_proto.speech import GenerationConfig, VoiceLike, check_voice, voice_on_wire


class ContextSettings(TypedDict):
    """The keyword arguments that open a context.

    Keys:
        model_id, voice: who speaks; `voice` as in `TTS.bytes`.
        output_format: its container must be raw.
        language, locale, normalization, pronunciation_dict_id, speed, duration: as in `TTS.bytes`.
        generation_config: for every input that brings none of its own.
        add_timestamps, add_phoneme_timestamps, use_normalized_timestamps: as in `TTS.sse`.
        max_buffer_delay_ms: how long the server may wait for more text before it speaks, in milliseconds. Its default
            is 3000 from version 2025-11-04 on; send 0 when you hand over whole sentences.
        context_id: by default a random UUID.
        stall_timeout: seconds without a frame, since the context's last input or frame, after which it fails with a
            `TimeoutError`; by default the client's `timeout`, ``math.inf`` for never. They do not run while nothing is
            owed: before the first input, and, until `finish`, while every input is known to be spoken.
    """

    model_id: Required[str]
    voice: Required[VoiceLike]
    output_format: Required[RawFormat | Mapping[str, object]]
    language: NotRequired[str | None]
    locale: NotRequired[str | None]
    normalization: NotRequired[str | None]
    generation_config: NotRequired[GenerationConfig | Mapping[str, object] | None]
    add_timestamps: NotRequired[bool | None]
    add_phoneme_timestamps: NotRequired[bool | None]
    use_normalized_timestamps: NotRequired[bool | None]
    max_buffer_delay_ms: NotRequired[int | None]
    pronunciation_dict_id: NotRequired[str | None]
    speed: NotRequired[str | None]
    duration: NotRequired[float | None]
    context_id: NotRequired[str | None]
    stall_timeout: NotRequired[float | None]


@final
@frozen
class LockedSettings:
    """Settings once they are locked.

    Attributes:
        version: the API version they are written for.
        fields: what every message of the context repeats.
        format: of its audio.
        context_id: the one asked for, or None.
        stall_timeout: seconds, or None for the default.
    """

    version: str
    fields: Mapping[str, JsonValue]
    format: RawFormat
    context_id: str | None
    stall_timeout: float | None


def lock_settings(version: str, settings: Mapping[str, object]) -> LockedSettings:
    """Check settings and write them as an API version understands them.

    Raises:
        LocalProtocolError: one is missing, unknown or malformed; the message names it.
    """
    _check_names(settings)
    format = _raw_format(settings["output_format"])
    voice = check_voice(cast("VoiceLike", settings["voice"]))
    given = Parameters({name: value for name, value in settings.items() if name not in ("output_format", "voice")})
    fields = {
        **given.without("context_id", "stall_timeout").as_json(),
        "voice": voice_on_wire(voice, version),
        "output_format": format.as_wire(),
    }
    context_id = None if given.get("context_id") is None else given.text("context_id")
    return LockedSettings(version, fields, format, context_id, _stall_timeout(given))


def _check_names(settings: Mapping[str, object]) -> None:
    known = ContextSettings.__annotations__
    missing = [name for name in known if name in ContextSettings.__required_keys__ and name not in settings]
    if missing:
        raise LocalProtocolError(f"a context needs {missing[0]}")
    unknown = sorted(settings.keys() - known.keys())
    if unknown:
        raise LocalProtocolError(f"a context has no setting {unknown[0]!r}; it has {', '.join(known)}")


def _raw_format(asked: object) -> RawFormat:
    format = asked
    if not isinstance(asked, RawFormat | WavFormat | Mp3Format):
        format = parse_output_format(Parameters(output_format=asked).mapping("output_format"))
    if not isinstance(format, RawFormat):
        raise LocalProtocolError("a WebSocket context speaks container raw only (protocol section 4.2)")
    return format


def _stall_timeout(given: Parameters) -> float | None:
    seconds = given.get("stall_timeout")
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise LocalProtocolError(f"stall_timeout must be above 0 seconds, not {seconds!r}")
    return float(seconds)
