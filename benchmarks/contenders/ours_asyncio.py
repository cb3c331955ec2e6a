"""This library on asyncio, `cartesia_asyncio`, through the interface that users have."""

import asyncio
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from benchmarks.contenders.asking import SETTINGS, VOICE
from benchmarks.contenders.paced import AsyncConnection, paced_on_asyncio
from benchmarks.plans import BodyChecker, Checker, Job, Plan, Point
from benchmarks.timing import Stopwatch, memory_point, repeat_awaiting, request_point, traced
from cartesia_asyncio import AsyncCartesia
from cartesia_proto import AsyncTTSWebSocket


def _run(job: Job, measure: Callable[[AsyncCartesia], Awaitable[list[Point]]]) -> list[Point]:
    async def main() -> list[Point]:
        async with AsyncCartesia(api_key="sk_car_benchmark", base_url=job.origin) as client:
            return await measure(client)

    return asyncio.run(main())


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
                async with asyncio.TaskGroup() as group:
                    for _ in range(plan.contexts):
                        group.create_task(_hear(ws, plan, Checker(plan)))

            return await repeat_awaiting(job, speak)

    return _run(job, measure)


def paced(job: Job) -> list[Point]:
    """Paced contexts, a task for each."""

    async def measure(client: AsyncCartesia) -> list[Point]:
        async def connect(stack: AsyncExitStack) -> AsyncConnection:
            ws = await stack.enter_async_context(client.tts.websocket())
            await ws.connect()
            return lambda plan, checker: _hear(ws, plan, checker)

        return await paced_on_asyncio(job, connect)

    return _run(job, measure)


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
