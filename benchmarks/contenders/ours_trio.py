"""This library on trio, `cartesia_trio`, through the interface that users have."""

import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import trio

from benchmarks.contenders.asking import SETTINGS, VOICE
from benchmarks.plans import BodyChecker, Checker, Job, Plan, Point
from benchmarks.timing import Stopwatch, Window, memory_point, paced_plan, repeat_awaiting, request_point, traced
from cartesia_proto import AsyncTTSWebSocket
from cartesia_trio import AsyncCartesia


def _run(job: Job, measure: Callable[[AsyncCartesia], Awaitable[list[Point]]]) -> list[Point]:
    async def main() -> list[Point]:
        async with AsyncCartesia(api_key="sk_car_benchmark", base_url=job.origin) as client:
            return await measure(client)

    return trio.run(main)


async def _hear(ws: AsyncTTSWebSocket, plan: Plan, checker: Checker) -> None:
    async with ws.send(transcript=plan.command, **SETTINGS) as context:
        async for event in context:
            checker.check(event.audio)
    checker.finish()


def websocket(job: Job) -> list[Point]:
    """Iterating over a context."""

    async def measure(client: AsyncCartesia) -> list[Point]:
        async with client.tts.websocket() as ws:
            return await repeat_awaiting(job, lambda plan: _hear(ws, plan, Checker(plan)))

    return _run(job, measure)


def websocket_batches(job: Job) -> list[Point]:
    """`receive_batch` of a context."""

    async def measure(client: AsyncCartesia) -> list[Point]:
        async with client.tts.websocket() as ws:

            async def speak(plan: Plan) -> None:
                checker = Checker(plan)
                async with ws.send(transcript=plan.command, **SETTINGS) as context:
                    while batch := await context.receive_batch():
                        for event in batch:
                            checker.check(event.audio)
                checker.finish()

            return await repeat_awaiting(job, speak)

    return _run(job, measure)


def gathered(job: Job) -> list[Point]:
    """Many contexts on one connection, a task for each."""

    async def measure(client: AsyncCartesia) -> list[Point]:
        async with client.tts.websocket() as ws:

            async def speak(plan: Plan) -> None:
                async with trio.open_nursery() as nursery:
                    for _ in range(plan.contexts):
                        nursery.start_soon(_hear, ws, plan, Checker(plan))

            return await repeat_awaiting(job, speak)

    return _run(job, measure)


def paced(job: Job) -> list[Point]:
    """Paced contexts, a task for each."""

    async def measure(client: AsyncCartesia) -> list[Point]:
        return [await _paced(client, plan, job.seconds) for plan in job.plans]

    return _run(job, measure)


async def _paced(client: AsyncCartesia, plan: Plan, seconds: float) -> Point:
    full = paced_plan(plan, seconds)
    checkers = [Checker(full) for _ in range(plan.contexts)]
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(client.tts.websocket()) for _ in range(plan.connections)]
        for ws in sockets:
            await ws.connect()
        async with trio.open_nursery() as nursery:
            for index, checker in enumerate(checkers):
                nursery.start_soon(_hear, sockets[index % plan.connections], full, checker)
            return await Window(plan, seconds, checkers).look_awaiting(trio.sleep)


def sse(job: Job) -> list[Point]:
    """Iterating over server-sent events."""

    async def measure(client: AsyncCartesia) -> list[Point]:
        async def speak(plan: Plan) -> None:
            checker = Checker(plan)
            async with client.tts.sse(transcript=plan.command, **SETTINGS) as events:
                async for event in events:
                    checker.check(event.audio)
            checker.finish()

        return await repeat_awaiting(job, speak)

    return _run(job, measure)


def sse_batches(job: Job) -> list[Point]:
    """`receive_batch` of server-sent events."""

    async def measure(client: AsyncCartesia) -> list[Point]:
        async def speak(plan: Plan) -> None:
            checker = Checker(plan)
            async with client.tts.sse(transcript=plan.command, **SETTINGS) as events:
                while batch := await events.receive_batch():
                    for event in batch:
                        checker.check(event.audio)
            checker.finish()

        return await repeat_awaiting(job, speak)

    return _run(job, measure)


def body(job: Job) -> list[Point]:
    """Iterating over pieces of audio."""

    async def measure(client: AsyncCartesia) -> list[Point]:
        async def speak(plan: Plan) -> None:
            checker = BodyChecker(plan)
            async with client.tts.stream(transcript=plan.command, **SETTINGS) as pieces:
                async for piece in pieces:
                    checker.check(piece)
            checker.finish()

        return await repeat_awaiting(job, speak)

    return _run(job, measure)


def requests(job: Job) -> list[Point]:
    """One request after the other on one connection."""

    async def measure(client: AsyncCartesia) -> list[Point]:
        async def get() -> int:
            began = time.monotonic_ns()
            return int((await client.voices.get(VOICE)).description) - began

        for _ in range(10):
            await get()
        watch = Stopwatch()
        return [request_point(watch, [await get() for _ in range(job.plans[0].count)])]

    return _run(job, measure)


def memory(job: Job) -> list[Point]:
    """What connections and contexts hold on to."""
    (plan,) = job.plans

    async def measure(client: AsyncCartesia) -> list[Point]:
        async with AsyncExitStack() as stack:
            warm = await stack.enter_async_context(client.tts.websocket())
            await warm.context(**SETTINGS).push(plan.command)
            tracemalloc.start()
            before = traced()
            sockets = [await stack.enter_async_context(client.tts.websocket()) for _ in range(plan.connections)]
            for ws in sockets:
                await ws.connect()
            connected = traced()
            contexts = [warm.context(**SETTINGS) for _ in range(plan.contexts)]
            for context in contexts:
                await context.push(plan.command)
            point = memory_point(before, connected, plan.connections, traced(), plan.contexts)
            tracemalloc.stop()
            return [point]

    return _run(job, measure)
