"""What leaves trio's nurseries while a connection is made: one exception, and a cancellation as what it is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
import trio

from cartesia_proto.call import Call
from cartesia_proto.errors import ConnectError, TimeoutError
from cartesia_trio import AsyncCartesia
from tests.conftest import WAIT

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Never

    from cartesia_trio.connection import Connect

GET = Call.json("GET", "/thing")


@pytest.fixture
def silent() -> Iterator[str]:
    """The base URL of a name with two silent addresses: the queues of their listeners are full."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        first = stack.enter_context(closing(socket.create_server(("127.0.0.7", 0), backlog=0)))
        port: int = first.getsockname()[1]
        stack.enter_context(closing(socket.create_server(("127.0.0.8", port), backlog=0)))
        for host in ("127.0.0.7", "127.0.0.8"):
            for _ in range(4):
                one = stack.enter_context(closing(socket.socket()))
                one.settimeout(0)
                one.connect_ex((host, port))

        def find(*_: object, **__: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.7", "127.0.0.8")]

        patch.setattr(socket, "getaddrinfo", find)
        yield f"http://silent.test:{port}"


def making(what: str) -> Callable[[AsyncCartesia], Coroutine[object, Never, object]]:
    """A call, or the connection of a WebSocket."""
    if what == "call":
        return lambda client: client.call(GET)
    return lambda client: client.tts.websocket().connect()


async def left_by(client: AsyncCartesia, what: str, seconds: float) -> BaseException | None:
    """What leaves it when it is cancelled after so many seconds."""
    left: BaseException | None = None
    with trio.move_on_after(seconds):
        try:
            await making(what)(client)
        except BaseException as error:
            left = error
            raise
    return left


@pytest.mark.parametrize("what", ["call", "websocket"])
@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.5])
def test_a_cancellation(silent: str, what: str, seconds: float) -> None:
    """While nothing, one address or two are tried."""

    async def main() -> None:
        async with AsyncCartesia(api_key="k", base_url=silent, proxy="", timeout=WAIT) as client:
            left = await left_by(client, what, seconds)
        assert type(left) is trio.Cancelled

    trio.run(main)


@pytest.mark.parametrize("what", ["call", "websocket"])
def test_a_timeout(silent: str, what: str) -> None:
    """Is told as ever."""

    async def main() -> None:
        async with AsyncCartesia(api_key="k", base_url=silent, proxy="", timeout=0.6, max_retries=0) as client:
            with pytest.raises(TimeoutError, match="could not connect to silent.test"):
                await making(what)(client)

    trio.run(main)


async def fail() -> None:
    """Fail as a user's function may."""
    raise OSError("no way")


async def interrupt() -> None:
    """As Ctrl-C."""
    raise KeyboardInterrupt


def in_a_nursery(first: Callable[[], Coroutine[object, Never, None]]) -> Connect:
    """A function of the user's that connects in two tasks."""

    async def connect(host: str, port: int) -> trio.abc.Stream:
        del host, port
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            nursery.start_soon(trio.sleep_forever)
        raise AssertionError("a nursery that never ends")

    return connect


@pytest.mark.parametrize("what", ["call", "websocket"])
def test_a_function_with_a_nursery(what: str) -> None:
    """Its failure is told as any, its cancellation and Ctrl-C are what they are."""

    async def left(first: Callable[[], Coroutine[object, Never, None]], seconds: float = WAIT) -> BaseException | None:
        async with AsyncCartesia(api_key="k", connect=in_a_nursery(first), proxy="", max_retries=0) as client:
            return await left_by(client, what, seconds)

    async def main() -> None:
        with pytest.raises(ConnectError, match="no way"):
            await left(fail)
        assert type(await left(trio.sleep_forever, 0.1)) is trio.Cancelled
        with pytest.raises(KeyboardInterrupt):
            await left(interrupt)

    trio.run(main)
