"""Inputs that were made to cost more than they weigh, each fed to the core as a transport would feed it.

    python -I benchmarks/contenders/hostile.py NAME

This program is run by `benchmarks.hostile`, in a process of its own for each input, and prints as JSON the seconds of
processor time and the bytes of memory that the input took beside itself, and how it ended. It uses nothing of the other
modules here, so that an older state of the library, in another environment, can be measured by the same program. Memory
is the peak of the process as Linux tells it in ``/proc``; making the input is not counted.
"""

import base64
import hashlib
import json
import random
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from time import process_time
from typing import Final, TypeAlias

from cartesia_proto import TTS, ApiKey, Attempt, CartesiaError, Config, Headers, Response, Voices
from cartesia_proto.call import StreamCall
from cartesia_proto.codecs.multipart import MultipartDecoder
from cartesia_proto.config import Limits
from cartesia_proto.conversation import TTSConversation, WebSocketOptions, handshake_outcome
from cartesia_proto.sessions.handshake import connecting
from cartesia_proto.testing import half

PIECE: Final = 64 * 1024
"""Bytes that come at once: what a fast connection has ready."""

MEGA: Final = 1024 * 1024

CONFIG: Final = Config(credentials=ApiKey("sk_car_benchmark"), max_retries=0)

RAW: Final = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
WAV: Final = {**RAW, "container": "wav"}

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What a server adds to the key of a handshake (RFC 6455 section 1.3)."""

Feed: TypeAlias = Callable[[], object]
"""What is measured; it answers with how it ended."""


class _Reader:
    """Somebody who would read a context, and never does."""


def _pieces(data: bytes, size: int = PIECE) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def _stream(call: StreamCall[object], content_type: str, pieces: Iterable[bytes]) -> Feed:
    """Feed the body of a streamed answer."""

    def feed() -> object:
        operation = call.operation(CONFIG, half)
        operation.start()
        done = operation.resume(Response(200, Headers([("Content-Type", content_type)])))
        if isinstance(done, Attempt):
            raise TypeError("a success is the end of an operation")
        count = 0
        for piece in pieces:
            count += len(done.value.receive_data(piece))
        return f"{count} values"

    return feed


def _conversation(contexts: int, *, deflate: bool = False) -> TTSConversation:
    """A conversation on an open link, with contexts that each have said a word."""
    attempt = connecting(CONFIG, random.random).start()
    if not isinstance(attempt, Attempt):
        raise TypeError("connecting begins with an attempt")
    link = WebSocketOptions(deflate=deflate).link(attempt, Limits(), 0.0)
    head = link.data_to_send().decode("latin-1").split("\r\n")
    key = next(line.partition(": ")[2] for line in head if line.lower().startswith("sec-websocket-key:"))
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest())  # noqa: S324 - RFC 6455 has it so
    extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else b""
    link.receive_data(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n" + extension + b"\r\n",
        0.0,
    )
    handshake_outcome(link)
    conversation = TTSConversation(CONFIG, random.random, link)
    for number in range(contexts):
        reader = _Reader()
        READERS.append(reader)
        context = conversation.open(reader, model_id="m", voice="v", output_format=RAW, context_id=str(number))
        conversation.push(context, "Hello", 0.0)
        link.data_to_send()
    return conversation


READERS: Final[list[_Reader]] = []
"""They are kept: a context whose reader is gone is forgotten."""


def _frame(text: bytes, first: int = 0x81) -> bytes:
    size = len(text)
    if size < 126:
        return bytes([first, size]) + text
    return bytes([first, 126 if size < 1 << 16 else 127]) + size.to_bytes(2 if size < 1 << 16 else 8) + text


def _received(conversation: TTSConversation, data: bytes) -> Feed:
    """Feed what a socket gives, and answer as a shell does."""

    def feed() -> object:
        for piece in _pieces(data):
            conversation.receive_data(piece, 1.0)
            conversation.link.data_to_send()
        return f"link {conversation.link.state}"

    return feed


def deep_json() -> Feed:
    """20 MiB of objects within objects, as the body of an answer."""
    body = b'{"a":' * (4 * MEGA)

    def feed() -> object:
        operation = Voices.get("v").operation(CONFIG, half)
        operation.start()
        return operation.resume(Response(200, body=body))

    return feed


def one_error() -> Feed:
    """900 KB of error without a context id, for 40 contexts."""
    text = b'{"type":"error","done":true,"status_code":500,"error":"no","more":[' + b"[]," * 300_000 + b"[]]}"
    return _received(_conversation(40), _frame(text))


def short_lines() -> Feed:
    """A server-sent event whose 96 MiB are data lines of two bytes."""
    block = b"data:ab\n" * (PIECE // 8)
    return _stream(
        TTS.sse(model_id="m", transcript="t", voice="v", output_format=RAW),
        "text/event-stream",
        (block for _ in range(96 * MEGA // len(block))),
    )


def tiny_parts() -> Feed:
    """A form of 32 MiB in parts of two bytes, to the server half."""
    block = b'--x\r\nContent-Disposition: form-data; name="ab"\r\n\r\ncd\r\n' * 1200

    def feed() -> object:
        decoder = MultipartDecoder("multipart/form-data; boundary=x", limit=32 * MEGA)
        parts: list[object] = []
        for _ in range(32 * MEGA // len(block)):
            parts += decoder.receive_data(block)
        return f"{len(parts)} parts"

    return feed


def wav_bytes() -> Feed:
    """A WAV header with 1,000 chunks of nothing before the audio, a byte at a time."""
    fmt = b"fmt \x10\0\0\0\x01\0\x01\0" + (8000).to_bytes(4, "little") + (16000).to_bytes(4, "little") + b"\x02\0\x10\0"
    data = b"RIFF\xff\xff\xff\xffWAVE" + fmt + b"junk\0\0\0\0" * 1000 + b"data\xff\xff\xff\xff" + bytes(1000)
    return _stream(
        TTS.stream(model_id="m", transcript="t", voice="v", output_format=WAV), "audio/wav", _pieces(data, 1)
    )


def unknown_id() -> Feed:
    """60 MiB of JSON for a context that nobody opened, in some 60 KB of deflate."""
    text = b'{"type":"chunk","context_id":"nobody","data":[' + b"0," * (30 * MEGA) + b"0]}"
    deflater = zlib.compressobj(9, wbits=-15)
    data = (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")
    return _received(_conversation(1, deflate=True), _frame(data, 0xC1))


def without_id() -> Feed:
    """2,000 frames that name no context, with 2,000 contexts open."""
    return _received(_conversation(2000), _frame(b'{"type":"chunk","data":"AAAA"}') * 2000)


def pings() -> Feed:
    """1 MB of empty pings."""
    return _received(_conversation(1), b"\x89\x00" * (MEGA // 2))


def continuations() -> Feed:
    """1 MB of empty fragments of one message."""
    return _received(_conversation(1), b"\x01\x00" + b"\x00\x00" * (MEGA // 2))


def empty_objects() -> Feed:
    """1 MB of messages that say nothing."""
    return _received(_conversation(1), b"\x81\x02{}" * (MEGA // 4))


INPUTS: Final[dict[str, Callable[[], Feed]]] = {
    "JSON, 20 MiB deep": deep_json,
    "one error, 40 contexts": one_error,
    "event of short lines": short_lines,
    "form of tiny parts": tiny_parts,
    "WAV byte by byte": wav_bytes,
    "unknown id, deflated": unknown_id,
    "frames without an id": without_id,
    "1 MB of pings": pings,
    "1 MB of fragments": continuations,
    "1 MB of {}": empty_objects,
}


def _memory(name: str) -> int:
    """Bytes of memory, as the kernel counts them."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def measure(name: str) -> dict[str, object]:
    """Feed one input: what it cost, and how it ended."""
    feed = INPUTS[name]()
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak counts anew from here (proc(5))
    before, began = _memory("VmRSS"), process_time()
    try:
        ended = str(feed())
    except CartesiaError as error:
        ended = f"{type(error).__name__}: {error}"
    return {"seconds": process_time() - began, "bytes": max(_memory("VmHWM") - before, 0), "ended": ended[:120]}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
