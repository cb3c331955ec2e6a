"""The floor of the core: frames split in place and read as JSON, events split and read as JSON; no sockets."""

import time

import orjson
import pybase64

from benchmarks.contenders.core import event_stream, measure, pieces
from benchmarks.contenders.floor import Decode, Splitter, read_json, search
from benchmarks.messages import PLACEHOLDER, websocket_answer
from benchmarks.plans import Checker, Job, Plan, Point


def _websocket(job: Job, decode: Decode) -> list[Point]:
    def run(plan: Plan, checker: Checker) -> float:
        splitter = Splitter(decode)
        received = list(pieces(b"".join(websocket_answer(plan, PLACEHOLDER))))
        check = checker.check
        began = time.process_time()
        for piece in received:
            size = len(piece)
            splitter.space()[:size] = piece
            splitter.received(size, check)
        return time.process_time() - began

    return measure(job, run)


def websocket(job: Job) -> list[Point]:
    """Frames, JSON by orjson."""
    return _websocket(job, read_json)


def websocket_search(job: Job) -> list[Point]:
    """Frames, no JSON."""
    return _websocket(job, search)


def sse(job: Job) -> list[Point]:
    """Events, JSON by orjson."""

    def run(plan: Plan, checker: Checker) -> float:
        received = [bytes(piece) for piece in pieces(event_stream(plan))]
        began = time.process_time()
        left = b""
        for piece in received:
            *sent, left = (left + piece).split(b"\n\n")
            for event in sent:
                fields = orjson.loads(event[6:])  # without "data: "
                if fields["type"] == "chunk":
                    checker.check(pybase64.b64decode(fields["data"], validate=True))
        return time.process_time() - began

    return measure(job, run)
