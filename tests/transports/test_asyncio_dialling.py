"""Several addresses for one name: which one answers, and that no socket is left of the others."""

from __future__ import annotations

import asyncio
import gc
import math
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, closing
from typing import Never, TypeVar

import pytest

from cartesia_asyncio.dialling import dial
from cartesia_proto.wire.dialling import Race
from tests.conftest import WAIT

T = TypeVar("T")


def run(coroutine: Coroutine[object, Never, T]) -> T:
    """Run on a loop of its own; no socket may be left."""
    with asyncio.Runner() as runner:
        result = runner.run(asyncio.wait_for(coroutine, WAIT))
    gc.collect()
    return result


@pytest.fixture
def listen() -> Iterator[Callable[[], socket.socket]]:
    """Makes listening sockets."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))


def refusing() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port: int = gone.getsockname()[1]
        return port


async def dialled(*ports: int) -> int:
    """The port that was reached in the end; the same address with other ports stands in for several addresses."""
    sock = await dial(Race([("127.0.0.1", port) for port in ports], math.inf), None)
    with closing(sock):
        port: int = sock.getpeername()[1]
        return port


def test_the_first_address_that_answers_wins(listen: Callable[[], socket.socket]) -> None:
    """One that refuses gives way to the next at once."""
    port = listen().getsockname()[1]
    assert run(dialled(refusing(), port)) == port


def test_the_first_failure_is_told() -> None:
    """When none answers."""
    with pytest.raises(ConnectionRefusedError):
        run(dialled(refusing(), refusing()))


def test_a_silent_address_does_not_hold_up_the_next(listen: Callable[[], socket.socket]) -> None:
    """The next one is tried beside it; what came of the silent one is closed."""
    with ExitStack() as stack:
        full = stack.enter_context(closing(socket.socket()))
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        stack.enter_context(closing(socket.create_connection(full.getsockname())))  # the only place in the queue
        port = listen().getsockname()[1]
        assert run(dialled(full.getsockname()[1], port)) == port


def test_cancelling_leaves_no_socket(listen: Callable[[], socket.socket]) -> None:
    """However far it has come: also when it has just connected."""
    listener = listen()
    listener.settimeout(WAIT)

    async def cancelled(steps: int, port: int) -> None:
        task = asyncio.create_task(dialled(port))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    for steps in range(8):
        run(cancelled(steps, listener.getsockname()[1]))
    run(dialled(listener.getsockname()[1]))
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        while True:
            accepted, _ = listener.accept()
            with closing(accepted):
                accepted.settimeout(WAIT)
                assert accepted.recv(1) == b""
