"""Event loops that lack something, as those of GUI toolkits do, and loops at their very end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Never, TypeVar

import pytest

from cartesia_asyncio import AsyncCartesia
from cartesia_proto import RawFormat
from cartesia_proto.call import Call
from cartesia_proto.errors import ConnectError
from cartesia_standin import StandIn
from tests.conftest import WAIT

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from tests.transports.conftest import Net

T = TypeVar("T")
GET = Call.json("GET", "/thing")


class WithoutLookUp(asyncio.SelectorEventLoop):
    """As Qt's own loop for asyncio."""

    async def getaddrinfo(self, *_: object, **__: object) -> Never:
        """Is not there."""
        raise NotImplementedError


class WithoutTLS(asyncio.SelectorEventLoop):
    """A loop of a toolkit."""

    async def start_tls(self, *_: object, **__: object) -> Never:
        """Is not there."""
        raise NotImplementedError


class WithoutSockets(asyncio.SelectorEventLoop):
    """A loop that has timers and tasks alone."""

    async def sock_connect(self, *_: object, **__: object) -> Never:
        """Is not there."""
        raise NotImplementedError


class Handle:
    """What qasync's timers answer: it can be cancelled, and knows no more."""

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self._timer = timer
        self._source_traceback: list[object] = []  # asyncio's own loop looks at it

    def cancel(self) -> None:
        """Take the timer back."""
        self._timer.cancel()


class OddTimers(asyncio.SelectorEventLoop):
    """A loop as qasync's."""

    def call_at(self, *given: object, **named: object) -> Handle:  # type: ignore[override]  # the oddity
        """As every loop, but for the answer."""
        return Handle(super().call_at(*given, **named))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # as given


def run(loop: Callable[[], asyncio.AbstractEventLoop], main: Callable[[], Coroutine[object, Never, T]]) -> T:
    """Run on such a loop."""
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main())


def refused(loop: Callable[[], asyncio.AbstractEventLoop], url: str, trust: ssl.SSLContext | None = None) -> str:
    """The message of the one error that a call and a WebSocket end in, which is not tried again."""

    async def main() -> str:
        async with AsyncCartesia(api_key="k", base_url=url, timeout=WAIT, proxy="", ssl_context=trust) as client:
            with pytest.raises(ConnectError) as caught:
                await client.call(GET)
            with pytest.raises(ConnectError) as again:
                await client.tts.websocket().connect()
        assert str(caught.value) == str(again.value)
        assert not caught.value.retryable
        return str(caught.value)

    return run(loop, main)


def test_a_loop_without_look_up() -> None:
    """The name is named, and what is missing."""
    message = refused(WithoutLookUp, "http://voice.test")
    assert "could not look up voice.test" in message
    assert "NotImplementedError" in message


def test_a_loop_without_sockets(net: Net) -> None:
    """As above; an address is not looked up."""
    assert "NotImplementedError" in refused(WithoutSockets, f"http://127.0.0.1:{net.unused_port()}")


@pytest.mark.parametrize("net", ["tls"], indirect=True)
def test_a_loop_without_tls(net: Net) -> None:
    """As above; the connection is closed."""
    server = net.serve([], [])
    assert "NotImplementedError" in refused(WithoutTLS, server.url, net.trust)
    server.wait_until_opened(2)
    server.wait_until_left()


def without_threads() -> asyncio.AbstractEventLoop:
    """A loop at the end of its program."""
    made, executor = asyncio.SelectorEventLoop(), ThreadPoolExecutor(1)
    made.set_default_executor(executor)
    executor.shutdown()
    return made


def test_threads_that_are_gone() -> None:
    """A look-up needs one: at the end of a program there is none any more."""
    assert "cannot schedule new futures after shutdown" in refused(without_threads, "http://voice.test")


@pytest.mark.parametrize("net", ["tls"], indirect=True)
def test_what_needs_no_threads(net: Net, tmp_path: Path) -> None:
    """Files are read, and TLS contexts made, without."""
    (tmp_path / "clip.wav").write_bytes(b"RIFF")
    server = net.serve([net.response(200, b'{"id": "v", "name": "Ada"}')], [])

    async def main() -> str:
        async with AsyncCartesia(api_key="k", base_url=server.url, proxy="", ssl_context=net.trust) as client:
            voice = await client.voices.clone(clip=tmp_path / "clip.wav", name="Ada", language="en")
        async with AsyncCartesia(api_key="k", base_url=server.url, proxy="", max_retries=0) as stranger:
            with pytest.raises(ConnectError, match="(?i)certificate"):
                await stranger.call(GET)
        return voice.name

    assert run(without_threads, main) == "Ada"


def test_timers_that_do_not_know_when_they_are_due() -> None:
    """A WebSocket keeps that itself."""

    async def main() -> int:
        with StandIn() as standin:
            url, key = standin.base_url, standin.api_key
            async with AsyncCartesia(api_key=key, base_url=url, timeout=WAIT, proxy="") as client:
                async with client.tts.websocket() as ws:
                    spoken = 0
                    for _ in range(2):
                        async with ws.send(
                            model_id="sonic-3",
                            voice="a0e99841-438c-4a64-b679-ae501e7d6091",
                            output_format=RawFormat("pcm_s16le", 8000),
                            transcript="Hello",
                        ) as context:
                            spoken += len([event async for event in context])
        return spoken

    assert run(OddTimers, main) > 0


@pytest.mark.parametrize("answer", ["socket", "nothing"])
def test_a_function_that_is_none_of_asyncio(net: Net, answer: str) -> None:
    """A plain function in place of a coroutine's: what it answered is closed."""
    listener = net.serve_clear(lambda connection: connection.wait_until_left())
    made: list[socket.socket] = []

    def connect(host: str, port: int) -> socket.socket | None:
        made.append(socket.create_connection((host, port), WAIT))
        if answer == "socket":
            return made[-1]
        made[-1].close()
        return None

    async def main() -> None:
        async with AsyncCartesia(
            api_key="k",
            base_url=f"http://127.0.0.1:{listener.port}",
            proxy="",
            connect=connect,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the mistake
        ) as client:
            with pytest.raises(Exception, match="connect= answered with") as caught:
                await client.call(GET)
        assert type(caught.value).__name__ == "LocalProtocolError"

    run(asyncio.SelectorEventLoop, main)
    assert [sock.fileno() for sock in made] == [-1]
