"""Closing elsewhere than on the loop that something was used on: whatever it is, it is closed, quietly.

So do fixtures of test runners, and programs that call ``asyncio.run`` for each step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Never

import pytest
import trio

from cartesia_asyncio import AsyncCartesia as AsyncioCartesia
from cartesia_proto.api.tts import TTS
from cartesia_proto.call import Call
from cartesia_proto.errors import CartesiaError
from tests.conftest import WAIT

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import AwaitingShell
    from tests.transports.scenarios.websockets.conftest import Peer, Stage

GET = Call.json("GET", "/thing")
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPEAK = TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nContent-Length: 1000\r\n\r\n\1\0"

Closing = Callable[[], Coroutine[object, Never, None]]
Run = Callable[["AwaitingShell", Closing], None]


def by_hand(closing: Closing) -> None:
    """Step by step, with no loop at all: nothing is waited for."""
    coroutine = closing()
    for _ in coroutine.__await__():
        pytest.fail("it waits, and nobody is there to wake it")


def on_another_loop(shell: AwaitingShell, closing: Closing) -> None:
    """On one of the same kind, while its own runs in another thread."""
    del shell
    asyncio.run(closing())


def on_another_run(shell: AwaitingShell, closing: Closing) -> None:
    """In a run of trio, whatever its own is."""
    del shell
    trio.run(closing)


def with_no_loop(shell: AwaitingShell, closing: Closing) -> None:
    """Its own runs in another thread."""
    del shell
    by_hand(closing)


def after_its_loop(shell: AwaitingShell, closing: Closing) -> None:
    """Its own has been closed."""
    shell.loop.close()
    asyncio.run(closing())
    shell.loop.start()


def after_its_run(shell: AwaitingShell, closing: Closing) -> None:
    """The same, in another run of trio."""
    shell.loop.close()
    trio.run(closing)
    shell.loop.start()


def after_all_loops(shell: AwaitingShell, closing: Closing) -> None:
    """There is no loop at all any more."""
    shell.loop.close()
    by_hand(closing)
    shell.loop.start()


ELSEWHERE = pytest.mark.parametrize(
    "elsewhere",
    [
        on_another_loop,
        on_another_run,
        with_no_loop,
        after_its_loop,
        after_its_run,
        after_all_loops,
    ],
    ids=lambda run: run.__name__,
)


ON_ITS_STAGE = pytest.mark.parametrize("shell", ["urllib"], indirect=True)
"""Of the stage the peer alone is wanted, once."""


@ELSEWHERE
@pytest.mark.parametrize("uses", [0, 1, 2])
def test_a_client(awaiting: AwaitingShell, net: Net, elsewhere: Run, uses: int) -> None:
    """Unused, with an idle connection, and with a stream that is open."""

    def speak(connection: Connection) -> None:
        connection.answer(net.response(200, b"1"))
        connection.answer(HEAD)

    server = net.serve(*[speak] * min(uses, 1))
    client = awaiting.client(server)
    if uses:
        client.call(GET)
    if uses > 1:
        client.stream(SPEAK).__enter__()
    elsewhere(awaiting, client.native.aclose)
    elsewhere(awaiting, client.native.aclose)
    server.wait_until_left()


@ELSEWHERE
def test_a_stream(awaiting: AwaitingShell, net: Net, elsewhere: Run) -> None:
    """Left with ``async with``; nothing more comes of it."""
    server = net.serve([HEAD])
    client = awaiting.client(server)
    stream = client.native.call(SPEAK)
    awaiting.loop.run(stream.__aenter__())

    async def leave() -> None:
        await stream.__aexit__(None, None, None)

    elsewhere(awaiting, leave)
    server.wait_until_left()


@ON_ITS_STAGE
@ELSEWHERE
@pytest.mark.parametrize("whole", [False, True])
def test_a_websocket(awaiting: AwaitingShell, stage: Stage, elsewhere: Run, whole: bool) -> None:
    """With a context that is open: it ends, alone or with the whole WebSocket."""

    def script(peer: Peer) -> None:
        peer.hear()
        with suppress(ConnectionError):
            while True:
                peer.hear()
        peer.connection.close()

    server = stage.serve(script)
    client = awaiting.client(server)
    ws = client.native.tts.websocket()
    context = ws.context(**stage.settings)
    awaiting.loop.run(context.push("Hello"))

    async def leave() -> None:
        await context.aclose()
        if whole:
            await ws.aclose()
            await ws.aclose()
        else:
            await client.native.aclose()

    elsewhere(awaiting, leave)
    server.wait_until_left()


MEANWHILE = pytest.mark.parametrize(
    "elsewhere", [on_another_loop, on_another_run, with_no_loop], ids=lambda run: run.__name__
)


@MEANWHILE
@pytest.mark.parametrize("all_of_it", [False, True])
def test_whoever_reads_a_stream(awaiting: AwaitingShell, net: Net, elsewhere: Run, all_of_it: bool) -> None:
    """Is woken where it waits, and reads no more."""
    server = net.serve([HEAD])
    client = awaiting.client(server)
    native = client.native.call(SPEAK)

    async def read() -> object:
        return [piece async for piece in native]

    assert awaiting.loop.run(native.receive_batch()) == [b"\1\0"]
    reading = net.start(lambda: awaiting.loop.run(read()))
    reading.wait_until_blocked()
    elsewhere(awaiting, client.native.aclose if all_of_it else native.aclose)
    with suppress(CartesiaError):
        assert reading.result() == []
    server.wait_until_left()


@ON_ITS_STAGE
@MEANWHILE
@pytest.mark.parametrize("whole", [False, True])
def test_whoever_reads_a_context(awaiting: AwaitingShell, stage: Stage, net: Net, elsewhere: Run, whole: bool) -> None:
    """Is woken where it waits; the context is over."""

    def script(peer: Peer) -> None:
        peer.hear()

    client = awaiting.client(stage.serve(script))
    ws = client.native.tts.websocket()
    native = ws.context(**stage.settings)
    awaiting.loop.run(native.push("Hello"))

    async def read() -> object:
        return [event async for event in native]

    reading = net.start(lambda: awaiting.loop.run(read()))
    reading.wait_until_blocked()
    elsewhere(awaiting, ws.aclose if whole else native.aclose)
    with suppress(CartesiaError):
        assert reading.result() == []
    assert native.terminal is not None
    awaiting.loop.run(ws.aclose())


@ON_ITS_STAGE
@pytest.mark.parametrize("uses", [1, 2, 3])
def test_a_loop_that_stands_still(net: Net, stage: Stage, uses: int) -> None:
    """On asyncio one may run by fits and starts: what is closed meanwhile is closed at once, and it finds it so."""

    def speak(connection: Connection) -> None:
        connection.answer(net.response(200, b"1"))
        if uses == 2:
            connection.answer(HEAD)

    server = net.serve(speak, *[stage.script(lambda peer: None)] * (uses == 3))  # noqa: ARG005 - it says nothing
    loop = asyncio.new_event_loop()
    client = AsyncioCartesia(api_key="k", base_url=server.url, ssl_context=net.trust, proxy="", timeout=WAIT)
    stream, ws = client.call(SPEAK), client.tts.websocket()

    async def use() -> None:
        await client.call(GET)
        if uses == 2:
            await stream.__aenter__()
        if uses == 3:
            await ws.connect()

    async def close() -> None:
        await stream.aclose()
        await ws.aclose()
        await client.aclose()

    loop.run_until_complete(use())
    asyncio.run(close())
    server.wait_until_left()
    loop.run_until_complete(close())
    loop.close()
