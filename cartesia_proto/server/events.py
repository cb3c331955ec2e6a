"""Speech events as an event stream and a WebSocket carry them, in each API version's shape.

This module knows protocol sections 3.1 to 3.3 and 4.4. It must not know what is being said. It takes the same
values that the client's side reads (`codecs.events`), so that what is written here reads back as it was.

What the old versions sent is uncertain; our choice, in keeping with what the official SDKs of their time could read:
under 2024-06-10 chunks have no `type`, and the terminal event has none up to 2024-11-13.
"""

from typing import Final, TypeAlias, assert_never

from cartesia_proto.codecs import json
from cartesia_proto.codecs.events import AudioChunk, Done, FlushDone, PhonemeTimestamps, WordTimestamps
from cartesia_proto.errors import JsonValue
from cartesia_proto.server.problems import STRUCTURED_SINCE, Problem, structured

CONTENT_TYPE: Final = "text/event-stream"
"""Protocol section 3.1."""

CHUNK_STATUS: Final = 206
"""What events before the end say of themselves (protocol section 3.2)."""

DONE_STATUS: Final = 200
"""What the end says of itself (protocol section 3.2)."""

WrittenEvent: TypeAlias = AudioChunk | WordTimestamps | PhonemeTimestamps | Done
"""What an event stream may carry, errors aside."""

ContextEvent: TypeAlias = WrittenEvent | FlushDone
"""What the context of a WebSocket may carry, errors aside."""


def sse_event(event: WrittenEvent, version: str) -> bytes:
    """One event, framed: a single ``data:`` line and a blank one."""
    return b"data: " + json.dumps(event_object(event, version)) + b"\n\n"


def sse_error(problem: Problem, version: str, request_id: str, context_id: str | None) -> bytes:
    """The event that ends a stream by an error; from 2026-03-01 on it is labelled ``event: error`` as well."""
    label = b"event: error\n" if version >= STRUCTURED_SINCE else b""
    return label + b"data: " + json.dumps(error_object(problem, version, request_id, context_id)) + b"\n\n"


def context_message(event: ContextEvent, version: str) -> str:
    """One event as the text message it is on a WebSocket."""
    return json.dumps(event_object(event, version)).decode()


def context_error(problem: Problem, version: str, request_id: str, context_id: str | None) -> str:
    """The message that ends a context by an error; without a context, it concerns the whole connection.

    Args:
        request_id: see `context_request_id`.
    """
    return json.dumps(error_object(problem, version, request_id, context_id)).decode()


def context_request_id(socket_id: str, context_id: str | None, input_id: str) -> str:
    """What an error on a WebSocket names: socket, context and input (protocol section 4.4); or the socket alone."""
    return socket_id if context_id is None else f"{socket_id}:{context_id}:{input_id}"


def event_object(event: ContextEvent, version: str) -> dict[str, JsonValue]:
    """An event as the JSON object it is on the wire."""
    named: dict[str, JsonValue] = {} if _typeless(event, version) else {"type": event.type}
    context: dict[str, JsonValue] = {} if event.context_id is None else {"context_id": event.context_id}
    flush_id = None if isinstance(event, Done) else event.flush_id
    return named | _content(event) | context | ({} if flush_id is None else {"flush_id": flush_id})


def _typeless(event: ContextEvent, version: str) -> bool:
    match event:
        case AudioChunk():
            return version == "2024-06-10"
        case Done():
            return version <= "2024-11-13"
        case _:
            return False


def _content(event: ContextEvent) -> dict[str, JsonValue]:
    match event:
        case AudioChunk():
            data = json.encode_base64(event.audio)
            return {"data": data, "done": False, "status_code": CHUNK_STATUS, "step_time": event.step_time or 0.0}
        case WordTimestamps():
            words: JsonValue = {"words": list(event.words), "start": list(event.start), "end": list(event.end)}
            return {"done": False, "status_code": CHUNK_STATUS, "word_timestamps": words}
        case PhonemeTimestamps():
            phonemes: JsonValue = {
                "phonemes": list(event.phonemes),
                "start": list(event.start),
                "end": list(event.end),
            }
            return {"done": False, "status_code": CHUNK_STATUS, "phoneme_timestamps": phonemes}
        case FlushDone():
            return {"done": False, "status_code": CHUNK_STATUS, "flush_done": True}
        case Done():
            return {"done": True, "status_code": DONE_STATUS}
        case _:
            assert_never(event)


def error_object(problem: Problem, version: str, request_id: str, context_id: str | None) -> dict[str, JsonValue]:
    """An error event as the JSON object it is on the wire (protocol section 6.1)."""
    context: dict[str, JsonValue] = {} if context_id is None else {"context_id": context_id}
    end: dict[str, JsonValue] = {"type": "error", "done": True, "status_code": problem.status, **context}
    if version >= STRUCTURED_SINCE:
        return end | structured(problem, request_id)
    return end | {"error": f"{problem.title}: {problem.message}"}
