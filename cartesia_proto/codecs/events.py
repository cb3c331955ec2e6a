"""What a server says while it speaks: text-to-speech events, built from JSON objects.

This module knows the shapes of protocol sections 3.2 and 4.4 under every API version, the ones without a `type`
included. It must not know which stream or context an event belongs to, nor what comes after it.

One JSON object may be two events: a chunk that also says ``done: true`` is its audio, then `Done`, so neither is lost.
Fields of no known meaning are kept in `extra`; optional ones may be absent or null; one of a wrong type is a
`RemoteProtocolError` that names its path.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Literal, TypeAlias, cast

from attrs import field, frozen

from cartesia_proto.codecs.failures import error_from_event
from cartesia_proto.codecs.json import decode_base64, loads
from cartesia_proto.errors import ApiError, JsonValue, RemoteProtocolError, Scope


@frozen
class AudioChunk:
    """A piece of audio, in the format that was asked for.

    Attributes:
        audio: the decoded bytes.
        step_time: milliseconds the server took for it.
        flush_id: which flush it belongs to; an opaque number, on WebSockets only.
        extra: fields of no known meaning.
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
        RemoteProtocolError: it is no JSON object, or a known field has a wrong type.
    """
    fields = loads(message)
    if not isinstance(fields, dict):
        raise RemoteProtocolError("an event must be a JSON object", path="$")
    return build_events(fields, scope)


def build_events(fields: Mapping[str, JsonValue], scope: Scope = "request") -> tuple[TTSEvent, ...]:
    """The events of one JSON object, told apart by `type`, else by what it has (protocol section 4.4).

    Args:
        scope: how far an error in it reaches.

    Raises:
        RemoteProtocolError: a known field has a wrong type, or a chunk no data.
    """
    kind = _optional_string(fields, "type") or _kind(fields)
    if kind == "error":
        error = error_from_event(fields, scope)
        return (ErrorEvent(error, error.context_id),)
    if kind == "done":
        return (_done(fields),)
    if not _boolean(fields, "done"):
        return (_speech(kind, fields),)
    end = Done(_optional_string(fields, "context_id"), _integer(fields, "status_code"))
    return (_speech(kind, fields), end)


def _kind(fields: Mapping[str, JsonValue]) -> str | None:
    """What an object without a type is."""
    if fields.get("error") is not None:
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
            return UnknownEvent(kind, _optional_string(fields, "context_id"), dict(fields))


def _chunk(fields: Mapping[str, JsonValue]) -> AudioChunk:
    return AudioChunk(
        audio=_audio(fields),
        context_id=_optional_string(fields, "context_id"),
        step_time=_number(fields.get("step_time"), "$.step_time"),
        status_code=_integer(fields, "status_code"),
        flush_id=_integer(fields, "flush_id"),
        extra=_extra(fields, _CHUNK),
    )


def _audio(fields: Mapping[str, JsonValue]) -> bytes:
    data = fields.get("data")
    if data is None and fields.get("done"):
        return b""
    if not isinstance(data, str):
        raise _wrong("$.data", "a base64 string", data)
    try:
        return decode_base64(data)
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"$.data: {error}", path="$.data") from None


def _words(fields: Mapping[str, JsonValue]) -> WordTimestamps:
    words, start, end = _timings(fields, "word_timestamps", "words")
    return WordTimestamps(
        words=words,
        start=start,
        end=end,
        context_id=_optional_string(fields, "context_id"),
        status_code=_integer(fields, "status_code"),
        flush_id=_integer(fields, "flush_id"),
        extra=_extra(fields, _WORDS),
    )


def _phonemes(fields: Mapping[str, JsonValue]) -> PhonemeTimestamps:
    phonemes, start, end = _timings(fields, "phoneme_timestamps", "phonemes")
    return PhonemeTimestamps(
        phonemes=phonemes,
        start=start,
        end=end,
        context_id=_optional_string(fields, "context_id"),
        status_code=_integer(fields, "status_code"),
        flush_id=_integer(fields, "flush_id"),
        extra=_extra(fields, _PHONEMES),
    )


def _flush(fields: Mapping[str, JsonValue]) -> FlushDone:
    return FlushDone(
        flush_id=_integer(fields, "flush_id"),
        context_id=_optional_string(fields, "context_id"),
        status_code=_integer(fields, "status_code"),
        extra=_extra(fields, _FLUSH),
    )


def _done(fields: Mapping[str, JsonValue]) -> Done:
    return Done(
        context_id=_optional_string(fields, "context_id"),
        status_code=_integer(fields, "status_code"),
        extra=_extra(fields, _COMMON),
    )


def _timings(
    fields: Mapping[str, JsonValue], name: str, labels: str
) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
    path = f"$.{name}"
    timings = fields.get(name)
    if timings is None:
        return (), (), ()
    if not isinstance(timings, dict):
        raise _wrong(path, "an object", timings)
    texts = tuple(_string(item, where) for item, where in _items(timings, labels, path))
    start = tuple(_required_number(item, where) for item, where in _items(timings, "start", path))
    end = tuple(_required_number(item, where) for item, where in _items(timings, "end", path))
    if not len(texts) == len(start) == len(end):
        raise RemoteProtocolError(
            f"{path}: {len(texts)} {labels}, {len(start)} starts and {len(end)} ends do not match", path=path
        )
    return texts, start, end


def _items(timings: Mapping[str, JsonValue], name: str, path: str) -> list[tuple[JsonValue, str]]:
    """The items of an array, each with its path; an absent one has none."""
    items = timings.get(name)
    if items is None:
        return []
    if not isinstance(items, list):
        raise _wrong(f"{path}.{name}", "an array", items)
    return [(item, f"{path}.{name}[{index}]") for index, item in enumerate(items)]


def _extra(fields: Mapping[str, JsonValue], known: frozenset[str]) -> dict[str, JsonValue]:
    return {name: value for name, value in fields.items() if name not in known}


def _boolean(fields: Mapping[str, JsonValue], name: str) -> bool:
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return value is True
    raise _wrong(f"$.{name}", "true or false", value)


def _optional_string(fields: Mapping[str, JsonValue], name: str) -> str | None:
    value = fields.get(name)
    return None if value is None else _string(value, f"$.{name}")


def _string(value: JsonValue, path: str) -> str:
    if isinstance(value, str):
        return value
    raise _wrong(path, "a string", value)


def _integer(fields: Mapping[str, JsonValue], name: str) -> int | None:
    value = fields.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise _wrong(f"$.{name}", "an integer", value)


def _number(value: JsonValue, path: str) -> float | None:
    return None if value is None else _required_number(value, path)


def _required_number(value: JsonValue, path: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise _wrong(path, "a number", value)


def _wrong(path: str, expected: str, value: JsonValue) -> RemoteProtocolError:
    found = "null or absent" if value is None else f"of type {type(value).__name__}"
    return RemoteProtocolError(f"{path} must be {expected}, but is {found}", path=path)
