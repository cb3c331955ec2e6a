"""Speech events from JSON objects, typed, legacy and typeless."""

import pickle

import pytest
from attrs import evolve
from attrs.exceptions import FrozenInstanceError

from cartesia_proto.codecs.events import (
    AudioChunk,
    Done,
    ErrorEvent,
    FlushDone,
    PhonemeTimestamps,
    TTSEvent,
    UnknownEvent,
    WordTimestamps,
    audio_chunk,
    build_events,
    parse_events,
)
from cartesia_proto.errors import BadRequestError, JsonValue, RemoteProtocolError, ServerError

EVENTS: list[tuple[dict[str, JsonValue], tuple[TTSEvent, ...]]] = [
    (
        {
            "type": "chunk",
            "data": "AAEC",
            "done": False,
            "status_code": 206,
            "step_time": 41,
            "context_id": "c",
            "x": 1,
        },
        (AudioChunk(b"\0\1\2", "c", 41.0, 206, extra={"x": 1}),),
    ),
    ({"type": "chunk", "data": "", "step_time": 38.2, "flush_id": 2}, (AudioChunk(b"", step_time=38.2, flush_id=2),)),
    (
        {"type": "chunk", "data": "AAEC", "done": True, "context_id": "c", "status_code": 200},
        (AudioChunk(b"\0\1\2", "c", None, 200), Done("c", 200)),
    ),
    ({"type": "chunk", "done": True}, (AudioChunk(b""), Done())),
    ({"data": "AAEC", "sample_rate": 8000}, (AudioChunk(b"\0\1\2", extra={"sample_rate": 8000}),)),
    ({"data": "AAEC", "done": True}, (AudioChunk(b"\0\1\2"), Done())),
    (
        {
            "type": "timestamps",
            "word_timestamps": {"words": ["Hi", "you"], "start": [0, 0.3], "end": [0.25, 0.7], "more": 1},
            "context_id": "c",
            "done": False,
            "status_code": 206,
            "flush_id": 1,
            "x": None,
        },
        (WordTimestamps(("Hi", "you"), (0.0, 0.3), (0.25, 0.7), "c", 206, 1, {"x": None}),),
    ),
    ({"type": "timestamps"}, (WordTimestamps((), (), ()),)),
    ({"type": "timestamps", "word_timestamps": None, "done": None}, (WordTimestamps((), (), ()),)),
    ({"type": "timestamps", "word_timestamps": {"words": None, "end": []}}, (WordTimestamps((), (), ()),)),
    ({"type": "timestamps", "done": True, "context_id": "c"}, (WordTimestamps((), (), (), "c"), Done("c"))),
    (
        {"type": "phoneme_timestamps", "phoneme_timestamps": {"phonemes": ["h"], "start": [0], "end": [1]}, "x": 1},
        (PhonemeTimestamps(("h",), (0.0,), (1.0,), extra={"x": 1}),),
    ),
    (
        {"type": "flush_done", "context_id": "c", "done": False, "flush_done": True, "flush_id": 1, "data": ""},
        (FlushDone(1, "c", extra={"data": ""}),),
    ),
    ({"type": "done", "done": True, "status_code": 200, "context_id": "c"}, (Done("c", 200),)),
    ({"type": "done", "x": 1}, (Done(extra={"x": 1}),)),
    ({"done": True}, (Done(),)),
    ({"type": "", "done": True, "status_code": 200}, (Done(None, 200),)),
    ({"type": None, "done": True, "error": None, "data": None}, (Done(extra={"error": None, "data": None}),)),
    (
        {"type": "later", "done": False, "context_id": "c"},
        (UnknownEvent("later", "c", {"type": "later", "done": False, "context_id": "c"}),),
    ),
    ({"type": "later", "done": True}, (UnknownEvent("later", None, {"type": "later", "done": True}), Done())),
    ({}, (UnknownEvent(None),)),
    ({"word": 1}, (UnknownEvent(None, None, {"word": 1}),)),
]


@pytest.mark.parametrize(("fields", "events"), EVENTS)
def test_build_events(fields: dict[str, JsonValue], events: tuple[TTSEvent, ...]) -> None:
    """Each object gives these events: by its type, else by what it has, and never without its end."""
    built = build_events(fields)
    assert built == events
    assert [type(event) for event in built] == [type(event) for event in events]


def test_structured_error() -> None:
    """A structured error is its `ApiError` with the scope it was told, and its context."""
    fields: dict[str, JsonValue] = {"type": "error", "done": True, "status_code": 400, "title": "T", "context_id": "c"}
    (event,) = build_events(fields, "context")
    assert isinstance(event, ErrorEvent)
    assert type(event.error) is BadRequestError
    assert (event.context_id, event.error.context_id, event.error.scope) == ("c", "c", "context")


@pytest.mark.parametrize(
    "fields",
    [
        {"error": "Title: Message"},
        {"type": "", "error": "Title: Message", "done": True, "data": "AAAA"},
        {"type": "error", "error": "Title: Message", "done": "yes", "context_id": 5, "status_code": "x"},
    ],
)
def test_legacy_error(fields: dict[str, JsonValue]) -> None:
    """An ``error`` key without a type is an error, and no field of a wrong type hides one."""
    (event,) = build_events(fields)
    assert isinstance(event, ErrorEvent)
    assert type(event.error) is ServerError
    assert (event.error.title, event.error.message, event.error.scope) == ("Title", "Message", "request")
    assert event.context_id is None


WORDS: dict[str, JsonValue] = {"words": ["a"], "start": [0], "end": [1]}


def _odd_phonemes(given: JsonValue) -> PhonemeTimestamps:
    return PhonemeTimestamps((), (), (), extra={"phoneme_timestamps": given})


ODD: list[tuple[dict[str, JsonValue], tuple[TTSEvent, ...]]] = [
    ({"type": 5}, (UnknownEvent(None, None, {"type": 5}),)),
    ({"type": 5, "error": "?"}, (UnknownEvent(None, None, {"type": 5, "error": "?"}),)),
    ({"type": "chunk"}, (AudioChunk(b""),)),
    ({"type": "chunk", "data": None, "done": False}, (AudioChunk(b""),)),
    ({"type": "chunk", "data": "", "context_id": 5}, (AudioChunk(b"", extra={"context_id": 5}),)),
    ({"type": "chunk", "data": "", "step_time": "5"}, (AudioChunk(b"", extra={"step_time": "5"}),)),
    ({"type": "chunk", "data": "", "step_time": True}, (AudioChunk(b"", extra={"step_time": True}),)),
    ({"type": "chunk", "data": "", "status_code": 206.0}, (AudioChunk(b"", status_code=206),)),
    ({"type": "chunk", "data": "", "status_code": 1.5}, (AudioChunk(b"", extra={"status_code": 1.5}),)),
    ({"type": "chunk", "data": "", "flush_id": True}, (AudioChunk(b"", extra={"flush_id": True}),)),
    ({"type": "chunk", "data": "", "flush_id": 1e300}, (AudioChunk(b"", flush_id=int(1e300)),)),
    ({"type": "chunk", "data": "", "done": 1}, (AudioChunk(b""), Done())),
    ({"type": "chunk", "data": "", "done": 0}, (AudioChunk(b""),)),
    ({"done": "true"}, (Done(),)),
    ({"type": "done", "status_code": []}, (Done(extra={"status_code": []}),)),
    ({"type": "flush_done", "flush_id": "1"}, (FlushDone(extra={"flush_id": "1"}),)),
    ({"type": "later", "context_id": 5}, (UnknownEvent("later", None, {"type": "later", "context_id": 5}),)),
    ({"type": "phoneme_timestamps", "phoneme_timestamps": WORDS}, (_odd_phonemes(WORDS),)),
]


@pytest.mark.parametrize(("fields", "events"), ODD)
def test_wrong_types(fields: dict[str, JsonValue], events: tuple[TTSEvent, ...]) -> None:
    """A field that an event can do without costs nothing; one of a wrong type is kept as it came."""
    built = build_events(fields)
    assert built == events
    assert [type(event) for event in built] == [type(event) for event in events]


@pytest.mark.parametrize(
    "timings",
    [
        [],
        5,
        {"words": "a", "start": [0], "end": [1]},
        {"words": ["a"], "start": [], "end": [1]},
        {"words": ["a"], "end": [1]},
    ],
)
def test_timings_of_which_nothing_fits(timings: JsonValue) -> None:
    """They have no word, and are kept as they came."""
    (event,) = build_events({"type": "timestamps", "word_timestamps": timings})
    assert event == WordTimestamps((), (), (), extra={"word_timestamps": timings})


@pytest.mark.parametrize(
    "timings",
    [
        {"words": ["a", "b"], "start": [0], "end": [1, 2]},
        {"words": ["a", 5], "start": [0, 1], "end": [1, 2]},
        {"words": ["a", "b"], "start": [0, None], "end": [1, 2]},
        {"words": ["a", "b"], "start": [0, 1], "end": [1, "2"]},
        {"words": ["a"], "start": [0], "end": [1, 2]},
        {"words": [None, "a"], "start": [0, 0], "end": [1, 1]},
    ],
)
def test_timings_that_fit_in_part(timings: JsonValue) -> None:
    """What pairs is kept."""
    (event,) = build_events({"type": "timestamps", "word_timestamps": timings, "flush_id": 1})
    assert event == WordTimestamps(("a",), (0.0,), (1.0,), flush_id=1, extra={"word_timestamps": timings})


@pytest.mark.parametrize("data", [5, "A", "é", ["AAEC"], "\ufffd"])
def test_audio_that_is_none(data: JsonValue) -> None:
    """A chunk whose audio cannot be had is the server's fault, and the error names where it is."""
    with pytest.raises(RemoteProtocolError) as caught:
        build_events({"type": "chunk", "data": data})
    assert caught.value.path == "$.data"
    assert str(caught.value).startswith("$.data")


@pytest.mark.parametrize("message", ['{"type":"chunk","data":"AAEC"}', b'{"type":"chunk","data":"AAEC"}'])
def test_parse_events(message: str | bytes) -> None:
    """A message is parsed whether it comes as text, bytes or a view of them."""
    assert parse_events(message) == (AudioChunk(b"\0\1\2"),)
    if isinstance(message, bytes):
        assert parse_events(memoryview(message)) == (AudioChunk(b"\0\1\2"),)


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (b'{"type":"chunk","data":"AAEC","x":"\\ud83d"}', AudioChunk(b"\0\1\2", extra={"x": "\ufffd"})),
        (b'{"type":"chunk","data":"AAEC","step_time":NaN}', AudioChunk(b"\0\1\2")),
        (b'\xef\xbb\xbf{"type":"chunk","data":"AAEC","flush_id":1e400}', AudioChunk(b"\0\1\2")),
    ],
)
def test_parse_events_of_damaged_messages(message: bytes, event: TTSEvent) -> None:
    """What is no text or number costs no event."""
    assert parse_events(message) == (event,)


def test_parse_events_scope() -> None:
    """The scope of an error is the one the reader of the message tells."""
    (event,) = parse_events('{"error":"x"}', "connection")
    assert isinstance(event, ErrorEvent)
    assert event.error.scope == "connection"


@pytest.mark.parametrize("message", ["[]", "null", '"Title: Message"', "5"])
def test_no_object(message: str) -> None:
    """A message that is JSON but no object is no event."""
    with pytest.raises(RemoteProtocolError, match="must be a JSON object") as caught:
        parse_events(message)
    assert caught.value.path == "$"


def test_every_event_has_type_and_audio() -> None:
    """Every event has its wire name and its audio, empty unless it is a chunk; each can be copied and hashed."""
    error = ErrorEvent(BadRequestError(status_code=400))
    events = [event for _, built in EVENTS for event in built]
    assert {event.type for event in [*events, error]} == {
        "chunk", "timestamps", "phoneme_timestamps", "flush_done", "done", "later", None, "error",
    }  # fmt: skip
    for event in events:
        assert (event.audio != b"") == (isinstance(event, AudioChunk) and event.audio == b"\0\1\2")
        assert pickle.loads(pickle.dumps(event)) == event
        assert hash(event) == hash(evolve(event))
    assert error.audio == b""


def test_repr_has_no_audio() -> None:
    """A chunk shows how many bytes it has, not the bytes."""
    assert "<3 bytes>" in repr(AudioChunk(b"abc"))
    assert "abc" not in repr(AudioChunk(b"abc"))


def test_a_chunk_made_the_short_way() -> None:
    """It is the chunk that calling the class makes, with every one of its fields, and as frozen."""
    short, usual = audio_chunk(b"ab", "c", 1.5, 206, 3), AudioChunk(b"ab", "c", 1.5, 206, 3)
    assert short == usual
    assert (repr(short), hash(short), pickle.loads(pickle.dumps(short))) == (repr(usual), hash(usual), usual)
    assert evolve(short, flush_id=None) == AudioChunk(b"ab", "c", 1.5, 206)
    assert short.extra is not audio_chunk(b"ab", "c", 1.5, 206, 3).extra
    with pytest.raises(FrozenInstanceError):
        short.audio = b""  # type: ignore[misc]  # it is what must fail
