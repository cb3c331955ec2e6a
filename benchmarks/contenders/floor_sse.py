"""The floor of streamed answers: a blocking socket and one large buffer.

This module knows that the server makes one HTTP chunk of each event; it goes from chunk to chunk and reads each as
JSON. What any client costs above this is what its guarantees and its interface cost.
"""

import json
import socket
from collections.abc import Callable
from typing import final

import orjson
import pybase64

from benchmarks.contenders.floor import CAPACITY, connect
from benchmarks.messages import request
from benchmarks.plans import BodyChecker, Checker, Job, Plan, Point
from benchmarks.timing import repeat


@final
class ChunkedBody:
    """Goes from chunk to chunk of an answer's body."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray(CAPACITY)
        self._view = memoryview(self._buffer)

    def read(self, take: Callable[[memoryview], None]) -> None:
        """Hand on every chunk of one answer, which is all that the socket has to say."""
        buffer, view, sock = self._buffer, self._view, self._socket
        start, end, body = 0, 0, False
        while True:
            if start > CAPACITY // 2:
                left = end - start
                buffer[:left] = buffer[start:end]
                start, end = 0, left
            end += sock.recv_into(view[end:])
            if not body:
                body = (found := buffer.find(b"\r\n\r\n", 0, end)) >= 0
                start = found + 4
            while body:
                line = buffer.find(b"\r\n", start, end)
                if line < 0:
                    break
                size = int(buffer[start:line], 16)
                if line + 4 + size > end:
                    break
                if not size:
                    return
                take(view[line + 2 : line + 2 + size])
                start = line + 4 + size


def _ask(job: Job, path: str, plan: Plan) -> bytes:
    host, port = job.address
    body = json.dumps(request(transcript=plan.command)).encode()
    return f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def sse(job: Job) -> list[Point]:
    """Server-sent events, JSON by orjson."""
    with connect(job) as sock:
        answer = ChunkedBody(sock)

        def speak(plan: Plan) -> None:
            checker = Checker(plan)

            def take(event: memoryview) -> None:
                fields = orjson.loads(event[6:-2])  # without "data: " and the blank line
                if fields["type"] == "chunk":
                    checker.check(pybase64.b64decode(fields["data"], validate=True))

            sock.sendall(_ask(job, "/tts/sse", plan))
            answer.read(take)
            checker.finish()

        return repeat(job, speak)


def body(job: Job) -> list[Point]:
    """Pieces of audio."""
    with connect(job) as sock:
        answer = ChunkedBody(sock)

        def speak(plan: Plan) -> None:
            checker = BodyChecker(plan)
            sock.sendall(_ask(job, "/tts/bytes", plan))
            answer.read(lambda piece: checker.check(bytes(piece)))
            checker.finish()

        return repeat(job, speak)
