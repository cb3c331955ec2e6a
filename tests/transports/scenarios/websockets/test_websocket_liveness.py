"""Nobody waits in vain: for bytes that a full socket refused, in floods of trifles, for others who open contexts."""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

import pytest
import trio

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.errors import ConnectError, ConnectionLost
from cartesia_proto.sessions.events import ContextEnded
from cartesia_standin import DEFAULT_VOICE_ID
from tests.conftest import WAIT

if TYPE_CHECKING:
    from cartesia_proto.awaiting import AsyncTTSWebSocket, AsyncTTSWebSocketContext
    from tests.transports.conftest import Net
    from tests.transports.scenarios.conftest import AwaitingShell, Shell
    from tests.transports.scenarios.websockets.conftest import Context, Peer, Settings, Stage

SETTINGS: Settings = {
    "model_id": "sonic-3",
    "voice": DEFAULT_VOICE_ID,
    "output_format": RawFormat("pcm_s16le", 8000),
}
PONG: Final = 0xA
SOON: Final = 3.0  # seconds that bytes may be stuck; connecting takes as long at most
TURN: Final = 600  # messages handed over at once: the library's own 256, twice for asyncio's TLS may call twice
CONTEXTS: Final = 300


def fill(shell: Shell, context: Context) -> None:
    """Push until the socket is full, each text as a whole: then there is nothing left to be sent."""
    poll = select.poll()
    poll.register(shell.made[-1], select.POLLOUT)
    while poll.poll(0):
        context.push("y" * 300)


def frames(peer: Peer) -> Iterator[tuple[int, int]]:
    """The opcode and the length of each frame that the client sends."""
    received = b""

    def take(size: int) -> bytes:
        nonlocal received
        while len(received) < size:
            received += (more := peer.connection.socket.recv(65536))
            assert more, "the client left"
        taken, received = received[:size], received[size:]
        return taken

    while True:
        first, second = take(2)
        length = second & 0x7F
        length = int.from_bytes(take(2)) if length == 126 else length
        take(4 + length)
        yield first & 0x0F, length


def test_a_pong_that_finds_the_socket_full(shell: Shell, stage: Stage) -> None:
    """It leaves while anyone reads, without anything else being sent; so do more of them, each in its turn."""
    full, refused = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.hear()
        assert full.wait(WAIT)
        for length in (5, 6, 7):
            peer.link.ping(b"x" * length)
        peer.say(stage.chunk("a", b"a1"))
        assert refused.wait(WAIT)
        pongs: list[int] = []
        for opcode, length in frames(peer):
            pongs += [length] if opcode == PONG else []
            if len(pongs) == 3:
                break
        assert pongs == [5, 6, 7]
        peer.say(stage.done("a"))
        peer.drop()

    client = shell.client(stage.serve(script), "narrow")
    with stage.websocket(client) as ws:
        context = ws.context(context_id="a")
        context.push("Hello")
        fill(shell, context)
        full.set()
        assert [event.audio for event in context.receive_batch()] == [b"a1"]
        refused.set()
        assert stage.listen(context).error is None


def test_a_cancel_that_finds_the_socket_full(shell: Shell, stage: Stage) -> None:
    """The cancel of a context that stalled leaves while somebody else reads."""
    full, refused = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.hear()
        peer.hear()
        assert full.wait(WAIT)
        assert refused.wait(WAIT)
        while "cancel" not in (heard := peer.hear()):
            pass
        assert heard["context_id"] == "stalled"
        peer.say(stage.done("a"))

    client = shell.client(stage.serve(script), "narrow")
    with stage.websocket(client) as ws:
        stalled = ws.context(context_id="stalled", stall_timeout=0.001)
        context = ws.context(context_id="a")
        context.push("Hello")
        stalled.finish("Hello")
        fill(shell, context)
        full.set()
        heard = stage.listen(stalled)
        assert heard.error is not None
        refused.set()
        assert stage.listen(context).error is None


def test_bytes_that_never_leave(shell: Shell, stage: Stage) -> None:
    """A peer that talks and does not read is no peer: pongs that do not leave in time lose the connection."""
    full, over, again = threading.Event(), threading.Event(), threading.Semaphore()

    def script(peer: Peer) -> None:
        peer.hear()
        assert full.wait(WAIT)
        while again.acquire(timeout=WAIT) and not over.is_set():
            for _ in range(100):
                peer.link.ping(b"x" * 125)
            peer.say(stage.chunk("a", b"a1"))
        peer.drop()

    client = shell.client(stage.serve(script), "narrow", timeout=SOON)
    with stage.websocket(client) as ws:
        context = ws.context(context_id="a")
        context.push("Hello")
        fill(shell, context)
        full.set()
        end = monotonic() + WAIT
        with pytest.raises(ConnectionLost, match="could not be sent"):
            for _ in context:
                again.release()
                assert monotonic() < end, "nothing gives up"
        over.set()
        again.release()


@pytest.mark.parametrize("kind", ["chunk", "other"])
def test_one_turn_takes_so_many_messages(stage: Stage, kind: str) -> None:
    """A flood of small messages is handed over bit by bit, with turns for others between, and whole in the end."""
    number = 6000

    def script(peer: Peer) -> None:
        peer.hear()
        for index in range(number):
            peer.link.send_text(stage.chunk("a", b"%04d" % index) if kind == "chunk" else stage.message("new", "a"))
        peer.say(stage.done("a"))

    with stage.meet(stage.serve(script)) as ws:
        sizes = list(map(len, stage.batches(ws.send("Hello", context_id="a"))))
        assert sum(sizes) == number
        assert max(sizes) <= TURN


@pytest.mark.parametrize("shell", ["urllib"], indirect=True)
def test_a_cancel_in_a_flood_of_trifles(stage: Stage, net: Net) -> None:
    """Another thread has its turn, although there is always more for the one that reads."""
    flooding, over = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.hear()
        peer.connection.send(b"\x89\x00" * 20_000)
        flooding.set()
        while not over.is_set():
            peer.connection.send(b"\x89\x00" * 20_000)
        peer.drop()

    with stage.meet(stage.serve(script)) as ws:
        context = ws.context(context_id="a")
        context.finish("Hello")
        reading = net.start(partial(stage.listen, context))
        assert flooding.wait(WAIT)
        context.cancel()
        assert reading.result().error is None
        over.set()


# Opening.


async def turns_of_opening(ws: AsyncTTSWebSocket) -> int:
    """How many turns of the loop it takes until very many tasks have said something, each on a context of its own."""
    await ws.connect()
    contexts = [ws.context(**SETTINGS, context_id=f"c{number}") for number in range(CONTEXTS)]
    done: list[None] = []
    turns = 0

    async def open_one(context: AsyncTTSWebSocketContext) -> None:
        await context.finish("Hello")
        done.append(None)

    async def count(pause: Callable[[], Awaitable[object]]) -> None:
        nonlocal turns
        while len(done) < CONTEXTS:
            turns += 1
            await pause()

    if trio.lowlevel.in_trio_run():
        async with trio.open_nursery() as nursery:
            for context in contexts:
                nursery.start_soon(open_one, context)
            await count(trio.lowlevel.checkpoint)
    else:
        async with asyncio.TaskGroup() as group:
            for context in contexts:
                group.create_task(open_one(context))
            await count(partial(asyncio.sleep, 0))
    for context in contexts:
        await context.cancel()
    return turns


def test_many_contexts_are_opened_at_once(awaiting: AwaitingShell, awaiting_stage: Stage) -> None:
    """They do not queue behind each other: one look at the socket serves all, and all leave together."""

    def script(peer: Peer) -> None:
        peer.hear_finished(CONTEXTS)

    client = awaiting.client(awaiting_stage.serve(script)).native
    ws = client.tts.websocket()
    try:
        assert awaiting.loop.run(turns_of_opening(ws)) < CONTEXTS // 2
    finally:
        awaiting.loop.run(ws.aclose())


def test_many_contexts_without_a_connection(awaiting: AwaitingShell, net: Net) -> None:
    """One attempt serves all who wait for it, and its failure is everybody's."""
    client = awaiting.client(base_url=f"http://127.0.0.1:{net.unused_port()}", max_retries=0).native
    ws = client.tts.websocket()

    async def fail_one(context: AsyncTTSWebSocketContext, failed: list[BaseException]) -> None:
        try:
            await context.finish("Hello")
        except ConnectError as error:
            failed.append(error)

    async def all_of_them() -> int:
        failed: list[BaseException] = []
        contexts = [ws.context(**SETTINGS, context_id=f"c{number}") for number in range(CONTEXTS)]
        if trio.lowlevel.in_trio_run():
            async with trio.open_nursery() as nursery:
                for context in contexts:
                    nursery.start_soon(fail_one, context, failed)
        else:
            async with asyncio.TaskGroup() as group:
                for context in contexts:
                    group.create_task(fail_one(context, failed))
        return len(set(map(id, failed)))

    assert awaiting.loop.run(all_of_them()) == CONTEXTS


def test_one_write_that_never_leaves(shell: Shell, stage: Stage) -> None:
    """The first bytes that are stuck have their time as all have, although nothing is written after them."""
    over = threading.Event()

    def script(peer: Peer) -> None:
        assert over.wait(WAIT)
        peer.drop()

    with stage.websocket(shell.client(stage.serve(script), "narrow", timeout=SOON)) as ws:
        context = ws.context(context_id="a")
        with pytest.raises((ContextEnded, ConnectionLost), match="lost|could not be sent"):
            context.push("y" * 20_000_000)
        over.set()
