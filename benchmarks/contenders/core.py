"""The core alone, without sockets: bytes of the wire in, events out; and the floor of the same.

This module knows how the core is fed: in pieces, as a socket gives them. What is measured is only the feeding; making
the bytes and opening the context is not.
"""

import random
import time
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.contenders.asking import SETTINGS
from benchmarks.messages import accept_value, chunk_events, done_event, websocket_answer
from benchmarks.plans import VARIETY, Checker, Job, Plan, Point
from benchmarks.timing import CPU
from cartesia_proto import ApiKey, Attempt, Config
from cartesia_proto.codecs.speech import TTSDecoder
from cartesia_proto.config import Limits
from cartesia_proto.conversation import TTSConversation, WebSocketOptions, handshake_outcome
from cartesia_proto.sessions.handshake import connecting

PIECE: Final = 64 * 1024
"""Bytes that come at once: what a fast connection has ready."""


def pieces(data: bytes) -> Iterator[memoryview]:
    """What is received, one after the other."""
    view = memoryview(data)
    for start in range(0, len(view), PIECE):
        yield view[start : start + PIECE]


def measure(job: Job, run: Callable[[Plan, Checker], float]) -> list[Point]:
    """Repeat what says itself how long it took."""
    points: list[Point] = []
    for plan in job.plans:
        run(plan, Checker(plan))
        spent, times, began = 0.0, 0, time.perf_counter()
        while not times or time.perf_counter() - began < job.seconds:
            checker = Checker(plan)
            spent += run(plan, checker)
            checker.finish()
            times += 1
        points.append(Point(str(plan.size), {CPU: spent / (times * plan.count) * 1e6}))
    return points


def _conversation() -> TTSConversation:
    """A conversation on a link whose handshake is done."""
    config = Config(credentials=ApiKey("sk_car_benchmark"))
    attempt = connecting(config, random.random).start()
    if not isinstance(attempt, Attempt):
        raise TypeError("connecting begins with an attempt")
    link = WebSocketOptions().link(attempt, Limits(), 0.0)
    head = link.data_to_send().decode("latin-1").split("\r\n")
    key = next(line.partition(": ")[2] for line in head if line.lower().startswith("sec-websocket-key:"))
    link.receive_data(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_value(key.encode()),
        0.0,
    )
    if handshake_outcome(link) is None:
        raise AssertionError("the handshake is whole")
    return TTSConversation(config, random.random, link)


def websocket(job: Job) -> list[Point]:
    """Frames through link, session and inboxes, taken as batches."""
    conversation = _conversation()
    link = conversation.link

    def run(plan: Plan, checker: Checker) -> float:
        context = conversation.open(link, **SETTINGS)
        conversation.finish(context, 0.0, plan.command)
        link.data_to_send()
        received = list(pieces(b"".join(websocket_answer(plan, context.id))))
        check = checker.check
        began = time.process_time()
        for piece in received:
            size = len(piece)
            link.receive_space(size)[:size] = piece
            conversation.received(size, 0.0)
            for event in conversation.take_all(context):
                if event.type == "chunk":
                    check(event.audio)
        return time.process_time() - began

    return measure(job, run)


def sse(job: Job) -> list[Point]:
    """The body of an answer through the decoder of its call."""

    def run(plan: Plan, checker: Checker) -> float:
        decoder = TTSDecoder(Limits(), Config().version, SETTINGS["output_format"].frame_size)
        received = [bytes(piece) for piece in pieces(event_stream(plan))]
        check = checker.check
        began = time.process_time()
        for piece in received:
            for event in decoder.receive_data(piece):
                check(event.audio)
        return time.process_time() - began

    return measure(job, run)


def event_stream(plan: Plan) -> bytes:
    """The body of an answer, without chunks."""
    sent = chunk_events(plan.size, spaced=plan.spaced)
    return b"".join(sent[index % VARIETY] for index in range(plan.count)) + done_event(spaced=plan.spaced)
