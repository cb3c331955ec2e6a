"""Paced contexts: many at a time, each with a chunk now and then, as a host of voice agents has them.

This module knows how connections and contexts are opened and looked at, on asyncio and in threads. It must not know any
library: that hands over how it connects.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from typing import Final, TypeAlias

from benchmarks.plans import Checker, Job, Plan, Point
from benchmarks.timing import Window, paced_plan

AsyncConnection: TypeAlias = Callable[[Plan, Checker], Awaitable[None]]
"""A connection: opens a context on it and hears it to its end, counting."""

Connection: TypeAlias = Callable[[Plan, Checker], None]
"""The same, blocking."""

STACK: Final = 256 * 1024
"""Bytes of stack for each of many threads."""


async def paced_on_asyncio(job: Job, connect: Callable[[AsyncExitStack], Awaitable[AsyncConnection]]) -> list[Point]:
    """A task for each context."""
    points: list[Point] = []
    for plan in job.plans:
        full = paced_plan(plan, job.seconds)
        checkers = [Checker(full) for _ in range(plan.contexts)]
        async with AsyncExitStack() as stack:
            connections = [await connect(stack) for _ in range(plan.connections)]
            async with asyncio.TaskGroup() as group:
                for index, checker in enumerate(checkers):
                    group.create_task(_hear(connections[index % plan.connections], full, checker))
                points.append(await Window(plan, job.seconds, checkers).look_awaiting(asyncio.sleep))
    return points


async def _hear(connection: AsyncConnection, plan: Plan, checker: Checker) -> None:
    await connection(plan, checker)


def paced_in_threads(job: Job, connect: Callable[[ExitStack], Connection]) -> list[Point]:
    """A thread for each context."""
    points: list[Point] = []
    threading.stack_size(STACK)
    for plan in job.plans:
        full = paced_plan(plan, job.seconds)
        checkers = [Checker(full) for _ in range(plan.contexts)]
        with ExitStack() as stack:
            connections = [connect(stack) for _ in range(plan.connections)]
            threads = [
                threading.Thread(target=connections[index % plan.connections], args=(full, checker))
                for index, checker in enumerate(checkers)
            ]
            for thread in threads:
                thread.start()
            points.append(Window(plan, job.seconds, checkers).look())
            for thread in threads:
                thread.join()
        for checker in checkers:  # a thread that failed has told nobody
            checker.finish()
    return points
