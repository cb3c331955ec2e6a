"""Small steps of tasks: to give others their turn, and to do one thing beside another.

A client belongs to one run of trio, and may be closed in another, or in none at all. This module knows nothing of
connections.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from cartesia_proto.wire.homes import running

T = TypeVar("T")


async def checkpoint() -> None:
    """A checkpoint, if this is a run of trio: things may be closed from anywhere."""
    if running(trio.lowlevel.current_trio_token) is not None:
        await trio.lowlevel.checkpoint()


async def checkpoints(count: int) -> None:
    """Give others so many turns."""
    for _ in range(count):
        await trio.lowlevel.checkpoint()


async def beside(other: Callable[[], Awaitable[object]], step: Callable[[], Awaitable[T]]) -> T:
    """Return what a step comes to; something else is done while it lasts. What either raises leaves in no group."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            result = await step()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        failures = group.split(trio.Cancelled)[1] or group
        failure = failures.exceptions[0]
    else:
        return result
    try:
        raise failure
    finally:
        del failure, failures  # which the traceback would hold
