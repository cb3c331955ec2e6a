"""One call on asyncio: how each of its steps is taken.

This module knows how to sleep, open files, connect, write and read. It must not know in which order (the core's
`Performance` does), nor what a request asks, when it is made again or what an answer means.
"""

import asyncio
import os
from typing import BinaryIO, TypeVar, assert_never

from cartesia_asyncio.connection import Connection
from cartesia_asyncio.network import Network, in_thread
from cartesia_proto import performing
from cartesia_proto.flow import Operation

T = TypeVar("T")


def performance(network: Network, operation: Operation[T]) -> performing.Performance[T, Connection]:
    """An operation that is to be run on this client's connections."""
    return performing.Performance(operation, network.pool, network.limits, network.proxy, _open, _now)


async def run(network: Network, operation: Operation[T]) -> T:
    """Run an operation to its result.

    Raises:
        CartesiaError: the call's final error. As after any exception or cancellation, no connection is in use.
        OSError: a file to be sent cannot be opened or read.
    """
    performed = performance(network, operation)
    try:
        await take(network, performed.steps())
        return performed.result()[0]
    except BaseException:
        await perform(network, performed.abort())
        raise
    finally:
        performed.end()


async def take(network: Network, steps: performing.Steps[Connection, object]) -> None:
    """Take steps to their end."""
    for step in steps:
        with step:
            await perform(network, step)


async def perform(network: Network, step: performing.Step[Connection] | None) -> None:  # noqa: C901 - an arm for each kind of step
    """Take one step, if it is one.

    Raises:
        CartesiaError: what went wrong; or the client was closed meanwhile (`LocalProtocolError`).
        OSError: a file cannot be opened or read.
    """
    match step:
        case None:
            pass
        case performing.Sleep(seconds=seconds):
            await asyncio.sleep(seconds)
        case performing.UseFile():
            await in_thread(step.take)
        case performing.Connect(attempt=attempt):
            step.connection = await network.fresh(attempt)
        case performing.Send(line=line):
            step.sent = await line.connection.flush(line.link, line.attempt.timeout, line.phase)
        case performing.Receive(line=line):
            await line.connection.read(line.link)
            network.check()
        case performing.Probe(line=line):
            step.untouched = await line.connection.quiet()
        case performing.Discard(connection=connection):
            network.abort(connection)
        case performing.Release(line=line, keep=True):
            network.give_back(line.attempt.request, line.connection)
        case performing.Release(line=line):
            network.abort(line.connection)
        case _:
            assert_never(step)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _open(path: str) -> tuple[BinaryIO, int]:
    file = open(path, "rb")  # noqa: PTH123, SIM115 - pathlib takes milliseconds to import; its recording closes it
    return file, os.fstat(file.fileno()).st_size
