"""What a server says while it speaks: text-to-speech events, built from JSON objects.

This module knows the shapes of protocol sections 3.2 and 4.4 under every API version, the ones without a `type`
included. It must not know which stream or context an event belongs to, nor what comes after it.

One JSON object may be two events: a chunk that also says ``done: true`` is its audio, then `Done`, so neither is lost.
Fields of no known meaning are kept in `extra`. One of a wrong type is taken as absent, and is kept there as it came: no
event is lost for a field that it can do without. The one field that has no substitute is the audio of a chunk: where it
is no base64, that is a `RemoteProtocolError` that names its path.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Literal, TypeAlias, TypeGuard, cast

from attrs import field, frozen

from cartesia_proto.codecs.failures import error_from_event
from cartesia_proto.codecs.json import decode_base64, read_lenient
from cartesia_proto.errors import ApiError, JsonValue, RemoteProtocolError, Scope


@frozen
class AudioChunk:
    """A piece of audio, in the format that was asked for.

    Attributes:
        audio: the decoded bytes.
        step_time: milliseconds the server took for it.
        flush_id: which flush it belongs to; an opaque number, on WebSockets only.
        extra: fields of no known meaning, and known ones of a wrong type.
    """

    type: ClassVar[Literal["chunk"]] = "chunk"

    audio: bytes = field(repr=lambda audio: f"<{len(audio)} bytes>")
    context_id: str | None = None
    step_time: float | None = None
    status_code: int | None = None
    flush_id: int | None = None
    extra: Mapping[str, JsonValue] = field(factory=dict[str, JsonValue], hash=False)


# A frozen class sets each field by its name, past its own refusal; what Python keeps for each slot does so faster.
_new_chunk: Final = AudioChunk.__new__
_set_audio, _set_context_id, _set_step_time, _set_status_code, _set_flush_id, _set_extra = (
    cast("Callable[[AudioChunk, object], None]", vars(AudioChunk)[name].__set__)
    for name in ("audio", "context_id", "step_time", "status_code", "flush_id", "extra")
)


def audio_chunk(
    audio: bytes, context_id: str | None, step_time: float, status_code: int | None, flush_id: int | None
) -> AudioChunk:
    """An `AudioChunk` without `extra`, for the hot path: made in 0.7 of the time that calling the class takes."""
    chunk = _new_chunk(AudioChunk)
    _set_audio(chunk, audio)
    _set_context_id(chunk, context_id)
    _set_step_time(chunk, step_time)
    _set_status_code(chunk, status_code)
    _set_flush_id(chunk, flush_id)
    _set_extra(chunk, {})
    return chunk


@frozen
class WordTimestamps:
    """When words are spoken: three tuples of one length.

    What has no word, start and end is left out; `extra` then has the whole field as it came.

    Attributes:
        words: the words; for Chinese and Japanese, characters.
        start, end: seconds from the start of the generation, on a WebSocket from the context's first audio.
        flush_id, extra: as `AudioChunk`.
    """

    type: ClassVar[Literal["timestamps"]] = "timestamps"
    audio: ClassVar[bytes] = b""

    words: tuple[str, ...]
    start: tuple[float, ...]
    end: tuple[float, ...]
    context_id: str | None = None
    status_code: int | None = None
    flush_id: int | None = None
    extra: Mapping[str, JsonValue] = field(factory=dict[str, JsonValue], hash=False)


@frozen
class PhonemeTimestamps:
    """When phonemes are spoken: three tuples of one length.

    Attributes:
        phonemes: the phonemes, in the spelling of the server.
        start, end, flush_id, extra: as `WordTimestamps`.
    """

    type: ClassVar[Literal["phoneme_timestamps"]] = "phoneme_timestamps"
    audio: ClassVar[bytes] = b""

    phonemes: tuple[str, ...]
    start: tuple[float, ...]
    end: tuple[float, ...]
    context_id: str | None = None
    status_code: int | None = None
    flush_id: int | None = None
    extra: Mapping[str, JsonValue] = field(factory=dict[str, JsonValue], hash=False)


@frozen
class FlushDone:
    """Everything up to a flush has been spoken; on WebSockets only (protocol section 4.5)."""

    type: ClassVar[Literal["flush_done"]] = "flush_done"
    audio: ClassVar[bytes] = b""

    flush_id: int | None = None
    context_id: str | None = None
    status_code: int | None = None
    extra: Mapping[str, JsonValue] = field(factory=dict[str, JsonValue], hash=False)


@frozen
class UnknownEvent:
    """An event of tomorrow, or one without a type that fits nothing known.

    Attributes:
        type: its wire name, or None where it has none.
        fields: the whole JSON object.
    """

    audio: ClassVar[bytes] = b""

    type: str | None
    context_id: str | None = None
    fields: Mapping[str, JsonValue] = field(factory=dict[str, JsonValue], hash=False)


@frozen
class Done:
    """The end: nothing more comes for this stream or context."""

    type: ClassVar[Literal["done"]] = "done"
    audio: ClassVar[bytes] = b""

    context_id: str | None = None
    status_code: int | None = None
    extra: Mapping[str, JsonValue] = field(factory=dict[str, JsonValue], hash=False)


@frozen
class ErrorEvent:
    """The end, by an error: of the context it names, or of the whole stream or connection.

    Attributes:
        error: what the server said, ready to be raised.
    """

    type: ClassVar[Literal["error"]] = "error"
    audio: ClassVar[bytes] = b""

    error: ApiError
    context_id: str | None = None


SpeechEvent: TypeAlias = AudioChunk | WordTimestamps | PhonemeTimestamps | FlushDone | UnknownEvent
"""What comes before the end."""

TTSEvent: TypeAlias = SpeechEvent | Done | ErrorEvent
"""Everything that a JSON object of the server can be."""

_COMMON: Final = frozenset({"type", "done", "context_id", "status_code"})
_CHUNK: Final = _COMMON | {"data", "step_time", "flush_id"}
_WORDS: Final = _COMMON | {"word_timestamps", "flush_id"}
_PHONEMES: Final = _COMMON | {"phoneme_timestamps", "flush_id"}
_FLUSH: Final = _COMMON | {"flush_done", "flush_id"}


def parse_events(message: bytes | memoryview | str, scope: Scope = "request") -> tuple[TTSEvent, ...]:
    """The events of one message: one as a rule, two where it is also the end.

    Args:
        scope: how far an error in it reaches.

    Raises:
        RemoteProtocolError: it is no JSON object, or the audio of a chunk is no base64.
    """
    fields = read_lenient(message)
    if not isinstance(fields, dict):
        raise RemoteProtocolError("an event must be a JSON object", path="$")
    return build_events(fields, scope)


def build_events(fields: Mapping[str, JsonValue], scope: Scope = "request") -> tuple[TTSEvent, ...]:
    """The events of one JSON object, told apart by `type`, else by what it has (protocol section 4.4).

    Args:
        scope: how far an error in it reaches.

    Raises:
        RemoteProtocolError: the audio of a chunk is no base64.
    """
    kind = _string(fields, "type") or _kind(fields)
    if kind == "error":
        error = error_from_event(fields, scope)
        return (ErrorEvent(error, error.context_id),)
    if kind == "done":
        return (_done(fields),)
    if not _boolean(fields, "done"):
        return (_speech(kind, fields),)
    end = Done(_string(fields, "context_id"), _integer(fields, "status_code"))
    return (_speech(kind, fields), end)


def _kind(fields: Mapping[str, JsonValue]) -> str | None:
    """What an object without a type is; one of a wrong type is no error, which could end more than its own context."""
    if fields.get("error") is not None and not fields.get("type"):
        return "error"
    if fields.get("data") is not None:
        return "chunk"
    return "done" if _boolean(fields, "done") else None


def _speech(kind: str | None, fields: Mapping[str, JsonValue]) -> SpeechEvent:
    match kind:
        case "chunk":
            return _chunk(fields)
        case "timestamps":
            return _words(fields)
        case "phoneme_timestamps":
            return _phonemes(fields)
        case "flush_done":
            return _flush(fields)
        case _:
            return UnknownEvent(kind, _string(fields, "context_id"), dict(fields))


def _chunk(fields: Mapping[str, JsonValue]) -> AudioChunk:
    return AudioChunk(
        audio=_audio(fields),
        context_id=_string(fields, "context_id"),
        step_time=_number(fields, "step_time"),
        status_code=_integer(fields, "status_code"),
        flush_id=_integer(fields, "flush_id"),
        extra=_extra(fields, _CHUNK),
    )


def _audio(fields: Mapping[str, JsonValue]) -> bytes:
    data = fields.get("data")
    if data is None:
        return b""
    if not isinstance(data, str):
        raise RemoteProtocolError(
            f"$.data must be a base64 string, but is of type {type(data).__name__}", path="$.data"
        )
    try:
        return decode_base64(data)
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"$.data: {error}", path="$.data") from None


def _words(fields: Mapping[str, JsonValue]) -> WordTimestamps:
    words, start, end, odd = _timings(fields, "word_timestamps", "words")
    return WordTimestamps(
        words=words,
        start=start,
        end=end,
        context_id=_string(fields, "context_id"),
        status_code=_integer(fields, "status_code"),
        flush_id=_integer(fields, "flush_id"),
        extra={**_extra(fields, _WORDS), **odd},
    )


def _phonemes(fields: Mapping[str, JsonValue]) -> PhonemeTimestamps:
    phonemes, start, end, odd = _timings(fields, "phoneme_timestamps", "phonemes")
    return PhonemeTimestamps(
        phonemes=phonemes,
        start=start,
        end=end,
        context_id=_string(fields, "context_id"),
        status_code=_integer(fields, "status_code"),
        flush_id=_integer(fields, "flush_id"),
        extra={**_extra(fields, _PHONEMES), **odd},
    )


def _flush(fields: Mapping[str, JsonValue]) -> FlushDone:
    return FlushDone(
        flush_id=_integer(fields, "flush_id"),
        context_id=_string(fields, "context_id"),
        status_code=_integer(fields, "status_code"),
        extra=_extra(fields, _FLUSH),
    )


def _done(fields: Mapping[str, JsonValue]) -> Done:
    return Done(
        context_id=_string(fields, "context_id"),
        status_code=_integer(fields, "status_code"),
        extra=_extra(fields, _COMMON),
    )


def _timings(
    fields: Mapping[str, JsonValue], name: str, labels: str
) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...], dict[str, JsonValue]]:
    """Labels, starts and ends as far as they belong together; and the whole field, unless that is all it has."""
    given = fields.get(name)
    timings = given if isinstance(given, dict) else {}
    columns = [timings.get(part) or [] for part in (labels, "start", "end")]
    texts: list[str] = []
    starts: list[float] = []
    ends: list[float] = []
    for text, start, end in zip(*(column if isinstance(column, list) else [] for column in columns), strict=False):
        if isinstance(text, str) and _is_number(start) and _is_number(end):
            texts.append(text)
            starts.append(float(start))
            ends.append(float(end))
    odd = (given is not None and given is not timings) or any(
        not isinstance(column, list) or len(column) != len(texts) for column in columns
    )
    return tuple(texts), tuple(starts), tuple(ends), {name: given} if odd else {}


def _extra(fields: Mapping[str, JsonValue], known: frozenset[str]) -> dict[str, JsonValue]:
    """What is of no known meaning, or of a wrong type."""
    return {name: value for name, value in fields.items() if name not in known or _is_wrong(name, value)}


def _is_wrong(name: str, value: JsonValue) -> bool:
    match name:
        case "context_id":
            return not isinstance(value, str | None)
        case "step_time" | "status_code" | "flush_id":
            return value is not None and not (_is_number(value) and (name == "step_time" or float(value).is_integer()))
        case _:
            return False


def _boolean(fields: Mapping[str, JsonValue], name: str) -> bool:
    """Whether a field is true, however it is written: an end that is overlooked is waited for."""
    return fields.get(name) in (True, "true")


def _string(fields: Mapping[str, JsonValue], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _integer(fields: Mapping[str, JsonValue], name: str) -> int | None:
    """An integer; JSON has one kind of number alone, so it may be written with a point (RFC 8259 section 6)."""
    value = fields.get(name)
    return int(value) if _is_number(value) and float(value).is_integer() else None


def _number(fields: Mapping[str, JsonValue], name: str) -> float | None:
    value = fields.get(name)
    return float(value) if _is_number(value) else None


def _is_number(value: JsonValue) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
