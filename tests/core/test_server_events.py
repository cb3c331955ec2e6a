"""Speech events as an event stream carries them."""

import pytest
from attrs import evolve

from cartesia_proto.codecs import json
from cartesia_proto.codecs.events import (
    AudioChunk,
    Done,
    ErrorEvent,
    FlushDone,
    PhonemeTimestamps,
    WordTimestamps,
    parse_events,
)
from cartesia_proto.codecs.sse import SSEDecoder
from cartesia_proto.server.events import (
    CHUNK_STATUS,
    DONE_STATUS,
    ContextEvent,
    WrittenEvent,
    context_error,
    context_message,
    context_request_id,
    event_object,
    sse_error,
    sse_event,
)
from cartesia_proto.server.problems import Problem
from cartesia_proto.server.versions import VERSIONS

EVENTS: list[WrittenEvent] = [
    AudioChunk(b"\x00\x01", "c", 1.5),
    AudioChunk(b"\x00\x01", None, 0.0),
    WordTimestamps(("a", "b"), (0.0, 0.5), (0.25, 0.75), "c"),
    PhonemeTimestamps(("a",), (0.0,), (0.25,), "c"),
    Done("c"),
    Done(),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_what_is_written_reads_back(event: WrittenEvent, version: str) -> None:
    """Under every version, by the client's own decoder."""
    [framed] = SSEDecoder(1000, 1000).receive_data(sse_event(event, version))
    status = DONE_STATUS if isinstance(event, Done) else CHUNK_STATUS
    assert framed.event == "message"
    assert parse_events(framed.data) == (evolve(event, status_code=status),)


@pytest.mark.parametrize(
    ("version", "chunk_typed", "done_typed"),
    [
        ("2024-06-10", False, False),
        ("2024-11-13", True, False),
        ("2025-04-16", True, True),
        ("2026-08-14", True, True),
    ],
)
def test_old_versions_leave_types_out(version: str, chunk_typed: bool, done_typed: bool) -> None:
    """Which of them is our choice."""
    assert ("type" in event_object(AudioChunk(b""), version)) is chunk_typed
    assert ("type" in event_object(Done(), version)) is done_typed
    assert event_object(WordTimestamps((), (), ()), version)["type"] == "timestamps"


def test_a_chunk_says_nothing_more_than_it_should() -> None:
    """The fields of protocol section 3.2."""
    assert event_object(AudioChunk(b"\x00", "c", 2.0), "2026-08-14") == {
        "type": "chunk",
        "data": "AA==",
        "done": False,
        "status_code": 206,
        "step_time": 2.0,
        "context_id": "c",
    }


PROBLEM = Problem(429, "Too many", "wait a little", "concurrency_limited")


@pytest.mark.parametrize(("version", "label"), [("2025-11-04", "message"), ("2026-03-01", "error")])
@pytest.mark.parametrize("context_id", ["c", None])
def test_an_error_reads_back(version: str, label: str, context_id: str | None) -> None:
    """In one line of text, or with every field; labelled from 2026-03-01 on."""
    [framed] = SSEDecoder(1000, 1000).receive_data(sse_error(PROBLEM, version, "r", context_id))
    [event] = parse_events(framed.data)
    assert isinstance(event, ErrorEvent)
    assert framed.event == label
    assert (event.error.status_code, event.error.title, event.error.message) == (429, "Too many", "wait a little")
    assert event.context_id == context_id
    structured = (event.error.error_code, event.error.request_id)
    assert structured == (("concurrency_limited", "r") if version == "2026-03-01" else (None, None))
    fields = json.loads(framed.data)
    assert isinstance(fields, dict)
    assert fields["done"] is True


IN_CONTEXT: list[ContextEvent] = [
    *EVENTS,
    AudioChunk(b"\x00\x01", "c", 1.5, flush_id=1),
    WordTimestamps(("a",), (0.0,), (0.25,), "c", flush_id=2),
    PhonemeTimestamps(("a",), (0.0,), (0.25,), "c", flush_id=3),
    FlushDone(4, "c"),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("event", IN_CONTEXT, ids=lambda event: type(event).__name__)
def test_what_a_context_says_reads_back(event: ContextEvent, version: str) -> None:
    """Under every version, with the segment it belongs to."""
    status = DONE_STATUS if isinstance(event, Done) else CHUNK_STATUS
    assert parse_events(context_message(event, version), "context") == (evolve(event, status_code=status),)


def test_a_flush_is_told_as_the_protocol_has_it() -> None:
    """The fields of protocol section 4.4."""
    assert event_object(FlushDone(1, "c"), "2026-08-14") == {
        "type": "flush_done",
        "done": False,
        "flush_done": True,
        "status_code": 206,
        "context_id": "c",
        "flush_id": 1,
    }


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2025-11-04", {"error": "Too many: wait a little"}),
        (
            "2026-03-01",
            {
                "error_code": "concurrency_limited",
                "title": "Too many",
                "message": "wait a little",
                "request_id": "s:c:i",
            },
        ),
    ],
)
@pytest.mark.parametrize("context_id", ["c", None])
def test_an_error_of_a_context_has_both_shapes(
    version: str, expected: dict[str, object], context_id: str | None
) -> None:
    """With the context, unless it concerns the connection."""
    fields = json.loads(context_error(PROBLEM, version, "s:c:i", context_id))
    context = {"context_id": context_id} if context_id else {}
    assert fields == {"type": "error", "done": True, "status_code": 429, **context, **expected}


def test_request_ids_of_a_context_are_composite() -> None:
    """Of the connection, they are one id."""
    assert context_request_id("s", "c", "i") == "s:c:i"
    assert context_request_id("s", None, "i") == "s"
