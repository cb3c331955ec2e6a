"""The official SDK's asyncio client, used as its README shows."""

import asyncio
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from benchmarks.contenders.paced import AsyncConnection, paced_on_asyncio
from benchmarks.messages import request
from benchmarks.peers import AsyncOfficialClient, AsyncOfficialConnection, async_official_client
from benchmarks.plans import BodyChecker, Checker, Job, Plan, Point
from benchmarks.timing import Stopwatch, memory_point, repeat_awaiting, request_point, traced


def _run(job: Job, measure: Callable[[AsyncOfficialClient], Awaitable[list[Point]]]) -> list[Point]:
    async def main() -> list[Point]:
        client = async_official_client(job)
        try:
            return await measure(client)
        finally:
            await client.close()

    return asyncio.run(main())


async def _hear(connection: AsyncOfficialConnection, plan: Plan, checker: Checker) -> None:
    context = connection.context()
    await context.send(**request(transcript=plan.command), continue_=False)
    async for event in context.receive():
        if event.type == "chunk":
            checker.check(event.audio)
    checker.finish()


def websocket(job: Job) -> list[Point]:
    """Iterating over a context."""

    async def measure(client: AsyncOfficialClient) -> list[Point]:
        async with client.tts.websocket_connect() as connection:
            return await repeat_awaiting(job, lambda plan: _hear(connection, plan, Checker(plan)))

    return _run(job, measure)


def gathered(job: Job) -> list[Point]:
    """Many contexts on one connection, a task for each."""

    async def measure(client: AsyncOfficialClient) -> list[Point]:
        async with client.tts.websocket_connect() as connection:

            async def speak(plan: Plan) -> None:
                async with asyncio.TaskGroup() as group:
                    for _ in range(plan.contexts):
                        group.create_task(_hear(connection, plan, Checker(plan)))

            return await repeat_awaiting(job, speak)

    return _run(job, measure)


def paced(job: Job) -> list[Point]:
    """Paced contexts, a task for each."""

    async def measure(client: AsyncOfficialClient) -> list[Point]:
        async def connect(stack: AsyncExitStack) -> AsyncConnection:
            connection = await stack.enter_async_context(client.tts.websocket_connect())
            return lambda plan, checker: _hear(connection, plan, checker)

        return await paced_on_asyncio(job, connect)

    return _run(job, measure)


def sse(job: Job) -> list[Point]:
    """Iterating over server-sent events."""

    async def measure(client: AsyncOfficialClient) -> list[Point]:
        async def speak(plan: Plan) -> None:
            checker = Checker(plan)
            async for event in await client.tts.generate_sse(**request(transcript=plan.command)):
                if event.type == "chunk":
                    checker.check(event.audio)
            checker.finish()

        return await repeat_awaiting(job, speak)

    return _run(job, measure)


def body(job: Job) -> list[Point]:
    """Iterating over pieces of audio."""

    async def measure(client: AsyncOfficialClient) -> list[Point]:
        async def speak(plan: Plan) -> None:
            checker = BodyChecker(plan)
            streaming = client.tts.with_streaming_response
            async with streaming.generate(**request(transcript=plan.command)) as response:
                async for piece in response.iter_bytes():
                    checker.check(piece)
            checker.finish()

        return await repeat_awaiting(job, speak)

    return _run(job, measure)


def requests(job: Job) -> list[Point]:
    """One request after the other on one connection."""

    async def measure(client: AsyncOfficialClient) -> list[Point]:
        async def get() -> int:
            began = time.monotonic_ns()
            return int((await client.voices.get("a0e99841-438c-4a64-b679-ae501e7d6091")).description) - began

        for _ in range(10):
            await get()
        watch = Stopwatch()
        return [request_point(watch, [await get() for _ in range(job.plans[0].count)])]

    return _run(job, measure)


def memory(job: Job) -> list[Point]:
    """What connections and contexts hold on to."""
    (plan,) = job.plans
    asked = request(transcript=plan.command)

    async def measure(client: AsyncOfficialClient) -> list[Point]:
        async with AsyncExitStack() as stack:
            warm = await stack.enter_async_context(client.tts.websocket_connect())
            await warm.context().send(**asked, continue_=True)
            tracemalloc.start()
            before = traced()
            connections = [
                await stack.enter_async_context(client.tts.websocket_connect()) for _ in range(plan.connections)
            ]
            connected = traced()
            contexts = [warm.context() for _ in range(plan.contexts)]
            for context in contexts:
                await context.send(**asked, continue_=True)
            point = memory_point(before, connected, len(connections), traced(), plan.contexts)
            tracemalloc.stop()
            return [point]

    return _run(job, measure)
