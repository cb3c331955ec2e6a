"""This library on blocking sockets, `cartesia_urllib`, through the interface that users have."""

import time
import tracemalloc
from contextlib import ExitStack

from benchmarks.contenders.asking import SETTINGS, VOICE
from benchmarks.contenders.paced import Connection, paced_in_threads
from benchmarks.plans import BodyChecker, Checker, Job, Plan, Point
from benchmarks.timing import Stopwatch, memory_point, repeat, request_point, traced
from cartesia_urllib import Cartesia


def _client(job: Job) -> Cartesia:
    return Cartesia(api_key="sk_car_benchmark", base_url=job.origin)


def websocket(job: Job) -> list[Point]:
    """Iterating over a context."""
    with _client(job) as client, client.tts.websocket() as ws:

        def speak(plan: Plan) -> None:
            checker = Checker(plan)
            with ws.send(transcript=plan.command, **SETTINGS) as context:
                for event in context:
                    checker.check(event.audio)
            checker.finish()

        return repeat(job, speak)


def websocket_batches(job: Job) -> list[Point]:
    """`receive_batch` of a context."""
    with _client(job) as client, client.tts.websocket() as ws:

        def speak(plan: Plan) -> None:
            checker = Checker(plan)
            with ws.send(transcript=plan.command, **SETTINGS) as context:
                while batch := context.receive_batch():
                    for event in batch:
                        checker.check(event.audio)
            checker.finish()

        return repeat(job, speak)


def gathered(job: Job) -> list[Point]:
    """Many contexts on one connection, read one after the other."""
    with _client(job) as client, client.tts.websocket() as ws:

        def speak(plan: Plan) -> None:
            contexts = [ws.context(**SETTINGS) for _ in range(plan.contexts)]
            for context in contexts:
                context.finish(plan.command)
            for context in contexts:
                checker = Checker(plan)
                for event in context:
                    checker.check(event.audio)
                checker.finish()

        return repeat(job, speak)


def paced(job: Job) -> list[Point]:
    """Paced contexts, a thread for each."""
    with _client(job) as client:

        def connect(stack: ExitStack) -> Connection:
            ws = stack.enter_context(client.tts.websocket())
            ws.connect()

            def hear(plan: Plan, checker: Checker) -> None:
                for event in ws.send(transcript=plan.command, **SETTINGS):
                    checker.check(event.audio)

            return hear

        return paced_in_threads(job, connect)


def sse(job: Job) -> list[Point]:
    """Iterating over server-sent events."""
    with _client(job) as client:

        def speak(plan: Plan) -> None:
            checker = Checker(plan)
            with client.tts.sse(transcript=plan.command, **SETTINGS) as events:
                for event in events:
                    checker.check(event.audio)
            checker.finish()

        return repeat(job, speak)


def body(job: Job) -> list[Point]:
    """Iterating over pieces of audio."""
    with _client(job) as client:

        def speak(plan: Plan) -> None:
            checker = BodyChecker(plan)
            with client.tts.stream(transcript=plan.command, **SETTINGS) as pieces:
                for piece in pieces:
                    checker.check(piece)
            checker.finish()

        return repeat(job, speak)


def requests(job: Job) -> list[Point]:
    """One request after the other on one connection."""
    with _client(job) as client:

        def get() -> int:
            began = time.monotonic_ns()
            return int(client.voices.get(VOICE).description) - began

        for _ in range(10):
            get()
        watch = Stopwatch()
        return [request_point(watch, [get() for _ in range(job.plans[0].count)])]


def memory(job: Job) -> list[Point]:
    """What connections and contexts hold on to."""
    (plan,) = job.plans
    with _client(job) as client, ExitStack() as stack:
        warm = stack.enter_context(client.tts.websocket())
        warm.context(**SETTINGS).push(plan.command)
        tracemalloc.start()
        before = traced()
        sockets = [stack.enter_context(client.tts.websocket()) for _ in range(plan.connections)]
        for ws in sockets:
            ws.connect()
        connected = traced()
        contexts = [warm.context(**SETTINGS) for _ in range(plan.contexts)]
        for context in contexts:
            context.push(plan.command)
        point = memory_point(before, connected, plan.connections, traced(), plan.contexts)
        tracemalloc.stop()
        return [point]
