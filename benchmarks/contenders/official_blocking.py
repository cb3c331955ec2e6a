"""The official SDK's blocking client, used as its README shows."""

import time
import tracemalloc
from contextlib import ExitStack, closing

from benchmarks.contenders.paced import Connection, paced_in_threads
from benchmarks.messages import request
from benchmarks.peers import OfficialConnection, official_client
from benchmarks.plans import BodyChecker, Checker, Job, Plan, Point
from benchmarks.timing import Stopwatch, memory_point, repeat, request_point, traced


def _hear(connection: OfficialConnection, plan: Plan, checker: Checker) -> None:
    context = connection.context()
    context.send(**request(transcript=plan.command), continue_=False)
    for event in context.receive():
        if event.type == "chunk":
            checker.check(event.audio)
    checker.finish()


def websocket(job: Job) -> list[Point]:
    """Iterating over a context."""
    with closing(official_client(job)) as client, client.tts.websocket_connect() as connection:
        return repeat(job, lambda plan: _hear(connection, plan, Checker(plan)))


def paced(job: Job) -> list[Point]:
    """Paced contexts, a thread for each."""
    with closing(official_client(job)) as client:

        def connect(stack: ExitStack) -> Connection:
            connection = stack.enter_context(client.tts.websocket_connect())
            return lambda plan, checker: _hear(connection, plan, checker)

        return paced_in_threads(job, connect)


def sse(job: Job) -> list[Point]:
    """Iterating over server-sent events."""
    with closing(official_client(job)) as client:

        def speak(plan: Plan) -> None:
            checker = Checker(plan)
            for event in client.tts.generate_sse(**request(transcript=plan.command)):
                if event.type == "chunk":
                    checker.check(event.audio)
            checker.finish()

        return repeat(job, speak)


def body(job: Job) -> list[Point]:
    """Iterating over pieces of audio."""
    with closing(official_client(job)) as client:

        def speak(plan: Plan) -> None:
            checker = BodyChecker(plan)
            with client.tts.with_streaming_response.generate(**request(transcript=plan.command)) as response:
                for piece in response.iter_bytes():
                    checker.check(piece)
            checker.finish()

        return repeat(job, speak)


def requests(job: Job) -> list[Point]:
    """One request after the other on one connection."""
    with closing(official_client(job)) as client:

        def get() -> int:
            began = time.monotonic_ns()
            return int(client.voices.get("a0e99841-438c-4a64-b679-ae501e7d6091").description) - began

        for _ in range(10):
            get()
        watch = Stopwatch()
        return [request_point(watch, [get() for _ in range(job.plans[0].count)])]


def memory(job: Job) -> list[Point]:
    """What connections and contexts hold on to."""
    (plan,) = job.plans
    asked = request(transcript=plan.command)
    with closing(official_client(job)) as client, ExitStack() as stack:
        warm = stack.enter_context(client.tts.websocket_connect())
        warm.context().send(**asked, continue_=True)
        tracemalloc.start()
        before = traced()
        connections = [stack.enter_context(client.tts.websocket_connect()) for _ in range(plan.connections)]
        connected = traced()
        contexts = [warm.context() for _ in range(plan.contexts)]
        for context in contexts:
            context.send(**asked, continue_=True)
        point = memory_point(before, connected, len(connections), traced(), plan.contexts)
        tracemalloc.stop()
        return [point]
