"""The bytes of the wire, made beforehand: frames and events as the service sends them (protocol sections 3.2 and 4.4).

This module knows messages, WebSocket frames and HTTP chunks as far as the server and the bare loops need them. It must
not know sockets. Context ids have 36 characters, as every client makes them, so that one fits into finished bytes.
"""

import base64
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from benchmarks.plans import Plan, chunks

PLACEHOLDER: Final = "#" * 36
"""Stands in the bytes where a context's id belongs."""

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What is hashed with the client's key (RFC 6455 section 1.3)."""

STEP_TIME: Final = 38.2
"""Milliseconds; the service says them with each chunk."""


def accept_value(key: bytes) -> bytes:
    """The ``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key``."""
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


def text_frame(payload: bytes) -> bytes:
    """A whole text message of the server's (RFC 6455 section 5.2)."""
    size = len(payload)
    if size <= 125:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def masked_text_frame(payload: bytes) -> bytes:
    """A whole text message of the client's; its mask is zero, which changes nothing."""
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size <= 125 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + bytes(4) + payload


def http_chunk(payload: bytes) -> bytes:
    """One chunk of a chunked body (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


LAST_HTTP_CHUNK: Final = b"0\r\n\r\n"
"""Ends a chunked body."""


def _written(fields: dict[str, object], *, spaced: bool) -> bytes:
    return json.dumps(fields, separators=None if spaced else (",", ":")).encode()


def _data(size: int) -> tuple[str, ...]:
    return tuple(base64.b64encode(chunk).decode() for chunk in chunks(size))


@lru_cache(maxsize=8)
def chunk_frames(size: int, *, spaced: bool) -> tuple[bytes, ...]:
    """Frames that follow each other round and round, with the placeholder for an id."""
    fields: Iterator[dict[str, object]] = (
        {
            "type": "chunk",
            "context_id": PLACEHOLDER,
            "data": data,
            "done": False,
            "status_code": 206,
            "step_time": STEP_TIME,
            "flush_id": 1,
        }
        for data in _data(size)
    )
    return tuple(text_frame(_written(message, spaced=spaced)) for message in fields)


def done_frame(*, spaced: bool) -> bytes:
    """The frame that ends a context."""
    fields: dict[str, object] = {"type": "done", "context_id": PLACEHOLDER, "done": True, "status_code": 200}
    return text_frame(_written(fields, spaced=spaced))


BLOCK: Final = 1 << 18
"""Bytes that are sent at once, about: few enough to stay in the processor's cache."""


def _round_and_round(pieces: Sequence[bytes], count: int) -> Iterator[bytes]:
    """So many pieces in few blocks: one again and again, and what is left."""
    rounds = max(BLOCK // sum(map(len, pieces)), 1)
    blocks, left = divmod(count, rounds * len(pieces))
    yield from itertools.repeat(b"".join([*pieces] * rounds), blocks)
    yield b"".join(pieces[index % len(pieces)] for index in range(left))


def websocket_answer(plan: Plan, id: str) -> Iterator[bytes]:
    """Everything that is said in a context."""
    frames = [addressed(frame, id) for frame in chunk_frames(plan.size, spaced=plan.spaced)]
    yield from _round_and_round(frames, plan.count)
    yield addressed(done_frame(spaced=plan.spaced), id)


def addressed(data: bytes, id: str) -> bytes:
    """The same bytes for a context.

    Raises:
        ValueError: the id has another length than the placeholder, so frames would end elsewhere.
    """
    if len(id) != len(PLACEHOLDER):
        raise ValueError(f"context ids of {len(PLACEHOLDER)} characters are needed, not {id!r}")
    return data.replace(PLACEHOLDER.encode(), id.encode())


@lru_cache(maxsize=8)
def chunk_events(size: int, *, spaced: bool) -> tuple[bytes, ...]:
    """Server-sent events that follow each other round and round, each with the blank line that ends it."""
    fields: Iterator[dict[str, object]] = (
        {
            "type": "chunk",
            "data": data,
            "done": False,
            "status_code": 206,
            "step_time": STEP_TIME,
            "context_id": PLACEHOLDER,
        }
        for data in _data(size)
    )
    return tuple(b"data: %b\n\n" % _written(message, spaced=spaced) for message in fields)


def done_event(*, spaced: bool) -> bytes:
    """The event that ends a stream."""
    fields: dict[str, object] = {"type": "done", "done": True, "status_code": 200, "context_id": PLACEHOLDER}
    return b"data: %b\n\n" % _written(fields, spaced=spaced)


def sse_answer(plan: Plan) -> Iterator[bytes]:
    """A whole answer of ``POST /tts/sse``: each event a chunk of the body, as they come from a server that streams."""
    yield _head(b"text/event-stream")
    yield from _round_and_round([*map(http_chunk, chunk_events(plan.size, spaced=plan.spaced))], plan.count)
    yield http_chunk(done_event(spaced=plan.spaced)) + LAST_HTTP_CHUNK


def bytes_answer(plan: Plan) -> Iterator[bytes]:
    """A whole answer of ``POST /tts/bytes``: each piece of audio a chunk of the body."""
    yield _head(b"audio/wav")
    yield from _round_and_round([*map(http_chunk, chunks(plan.size))], plan.count)
    yield LAST_HTTP_CHUNK


def _head(content_type: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % content_type


def request(*, transcript: str, context_id: str | None = None) -> dict[str, object]:
    """What a hand-written client asks (protocol section 4.2)."""
    fields: dict[str, object] = {
        "model_id": "sonic-3",
        "transcript": transcript,
        "voice": {"mode": "id", "id": "a0e99841-438c-4a64-b679-ae501e7d6091"},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000},
    }
    return fields if context_id is None else {**fields, "context_id": context_id, "continue": False}
