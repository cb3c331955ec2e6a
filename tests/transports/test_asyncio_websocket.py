"""What is asyncio's own about WebSockets: pausing, writing without waiting, one timer. Over pairs of sockets.

Time passes only where nothing else can be done, and then at once: so timeouts depend on nothing, and cost nothing.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import selectors
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Final, Never, TypedDict, TypeVar, final

import pytest

import cartesia_asyncio.multiplexer
from cartesia_asyncio import AsyncCartesia
from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.awaiting import AsyncTTSWebSocket, AsyncTTSWebSocketContext
from cartesia_proto.codecs.events import Done
from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.config import Limits
from cartesia_proto.errors import ConnectError, ConnectionLost, JsonValue, LocalProtocolError, TransportError
from cartesia_proto.sessions.events import Cancelled, ContextEnded, Failed
from cartesia_proto.speech import VoiceLike
from cartesia_proto.wire.frames import TextMessage
from cartesia_proto.wire.http1 import EndOfBody, RequestHead, ServerLink
from cartesia_proto.wire.websocket import ServerWebSocketLink
from cartesia_proto.wire.websocket_link import Closed
from tests.conftest import WAIT

T = TypeVar("T")


SHORT: Final = 0.05
"""Seconds for what is to time out."""

LONG: Final = "x" * 4_000_000
"""A text that no pair of sockets holds."""


class Settings(TypedDict):
    """What every context needs."""

    model_id: str
    voice: VoiceLike
    output_format: RawFormat


SETTINGS: Final[Settings] = {"model_id": "sonic-3", "voice": "v", "output_format": RawFormat("pcm_s16le", 8000)}


@final
class Idle(selectors.SelectSelector):
    """Does not wait for a time to come, but lets it have come where nothing can be read or written.

    Both ends of every connection are on one loop, and a pair of sockets needs no time: nothing comes later.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout if timeout is None else 0)
        if not ready and timeout is not None:
            self.now += timeout
        return ready


@final
class Loop(asyncio.SelectorEventLoop):
    """A loop with the time of `Idle`."""

    def __init__(self) -> None:
        self._idle = Idle()
        super().__init__(self._idle)

    def time(self) -> float:
        return self._idle.now

    def be_late(self, seconds: float) -> None:
        """Let time pass as if a task had kept the loop busy."""
        self._idle.now += seconds


def be_late(seconds: float) -> None:
    """Keep the running loop busy for so long."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    loop.be_late(seconds)


@final
class Peer:
    """The server's end of one connection, on the same loop."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.last = b""  # what was received last
        self.link: ServerWebSocketLink

    async def receive(self) -> bytes:
        """The next bytes, none at the end."""
        self.last = b""
        with suppress(ConnectionResetError):
            self.last = await asyncio.get_running_loop().sock_recv(self.end, 65536)
        return self.last

    async def accept(self) -> None:
        """Say yes."""
        http = ServerLink(math.inf, Limits())
        while (head := http.next_event()) is None:
            data = await self.receive()
            assert data, "the client left"
            http.receive_data(data, 0.0)
        assert isinstance(head, RequestHead)
        assert isinstance(http.next_event(), EndOfBody)
        self.link = ServerWebSocketLink(http, head, limits=Limits(), ping_interval=math.inf, now=0.0)
        await self.flush()

    async def flush(self) -> None:
        """Send what is queued."""
        await asyncio.get_running_loop().sock_sendall(self.end, self.link.data_to_send())

    async def say(self, *messages: dict[str, JsonValue]) -> None:
        """Send messages, in one piece."""
        for message in messages:
            self.link.send_text(json.dumps(message))
        await self.flush()

    async def hear(self, count: int) -> list[tuple[str, str]]:
        """So many messages of the client: of each its context, and its text or ``cancel``."""
        told: list[tuple[str, str]] = []
        while len(told) < count:
            event = self.link.next_event()
            if event is None:
                data = await self.receive()
                assert data, told
                self.link.receive_data(data, 0.0)
            elif isinstance(event, Closed):
                told.append(("", "closed"))
            else:
                assert isinstance(event, TextMessage)
                fields = json.loads(event.data)
                told.append((fields["context_id"], fields.get("transcript", "cancel")))
        return told


def chunk(id: str, audio: bytes = b"ab") -> dict[str, JsonValue]:
    """A piece of audio."""
    return {"type": "chunk", "context_id": id, "data": encode_base64(audio)}


def done(id: str) -> dict[str, JsonValue]:
    """The end of a context."""
    return {"type": "done", "done": True, "context_id": id}


@final
class Stage:
    """A client, and the peers of its connections in the order they were made."""

    def __init__(self, *, timeout: float = WAIT, refuse: int = 0) -> None:
        self.peers: list[Peer] = []
        self.asked = 0
        self._refuse = refuse
        self._connected = asyncio.Condition()
        self.client = AsyncCartesia(
            api_key="k", base_url="http://api.test", proxy="", connect=self._connect, timeout=timeout, max_retries=0
        )

    async def _connect(self, host: str, port: int) -> socket.socket:
        self.asked += 1
        await asyncio.sleep(0)
        if self.asked <= self._refuse:
            raise OSError("nobody there")
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)  # noqa: FBT003 - so it is called
        self.peers.append(Peer(theirs))
        async with self._connected:
            self._connected.notify_all()
        return ours

    async def peer(self, number: int = 0) -> Peer:
        """The peer of a connection, once it is made."""
        async with self._connected:
            await self._connected.wait_for(lambda: len(self.peers) > number)
        return self.peers[number]

    async def open(self, ws: AsyncTTSWebSocket) -> Peer:
        """Connect."""
        connecting = asyncio.create_task(ws.connect())
        peer = await self.peer()
        await peer.accept()
        await connecting
        return peer


def run(main: Callable[[Stage], Coroutine[object, Never, None]], *, timeout: float = WAIT, refuse: int = 0) -> None:
    """Run on a loop of its own; no task and no connection may be left."""

    async def bounded() -> None:
        stage = Stage(timeout=timeout, refuse=refuse)
        try:
            async with asyncio.timeout(WAIT), stage.client:
                await main(stage)
        finally:
            for peer in stage.peers:
                peer.end.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(bounded())
    gc.collect()


async def turns(count: int = 20) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def listen(context: AsyncTTSWebSocketContext) -> bytes:
    """Everything that is heard."""
    return b"".join([event.audio async for event in context])


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers here do not answer a goodbye; it is not waited for as long as it would be otherwise."""
    monkeypatch.setattr(cartesia_asyncio.multiplexer, "CLOSING_SECONDS", SHORT)


# Reading.


def test_nobody_waits_and_events_do() -> None:
    """Then nothing more is read, so the peer must wait; whoever comes back hears everything."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            context = ws.context(**SETTINGS, context_id="a")
            await context.finish("Hello")
            pieces = [bytes([number]) * 50_000 for number in range(100)]
            speaking = asyncio.create_task(peer.say(*(chunk("a", piece) for piece in pieces), done("a")))
            await turns(500)
            assert not speaking.done()
            assert await listen(context) == b"".join(pieces)
            await speaking

    run(main)


def test_somebody_waits() -> None:
    """Then everything is read, for readers who come later too; so does `run`."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            contexts = [ws.context(**SETTINGS, context_id=id) for id in "ab"]
            for context in contexts:
                await context.finish("Hello")
            other = asyncio.create_task(listen(contexts[1]))
            running = asyncio.create_task(ws.run())
            await turns()
            await peer.say(*(chunk("a", bytes(50_000)) for _ in range(100)), done("a"), done("b"))
            assert await other == b""
            assert await listen(contexts[0]) == bytes(5_000_000)
        await running

    run(main)


def test_pings_are_answered_by_themselves() -> None:
    """While nothing waits to be read, nobody need wait either."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            peer.link.ping(b"there?")
            await peer.flush()
            assert (await peer.receive())[0] == 0x8A

    run(main)


def test_a_reader_is_released() -> None:
    """By another task's cancel, at once: before anything else has its turn."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            context = ws.context(**SETTINGS, context_id="a")
            await context.finish("Hello")
            reading = asyncio.create_task(listen(context))
            await turns()
            await context.cancel()
            assert isinstance(context.terminal, Cancelled)
            await turns(1)
            assert reading.done()
            assert await peer.hear(2) == [("a", "Hello"), ("a", "cancel")]

    run(main)


# Writing.


def test_a_peer_that_does_not_read() -> None:
    """Whoever says something waits; what was said by those who were cancelled meanwhile arrives whole, and in order."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            contexts = [ws.context(**SETTINGS, context_id=id) for id in "abc"]
            saying = [asyncio.create_task(context.push(LONG)) for context in contexts]
            await turns()
            assert not any(task.done() for task in saying)
            saying[0].cancel()
            saying[1].cancel()
            await turns()
            assert [task.cancelled() for task in saying] == [True, True, False]
            assert await peer.hear(1) == [("a", LONG)]
            await turns(3)
            assert not saying[2].done()  # though what was before it has left
            assert await peer.hear(2) == [("b", LONG), ("c", LONG)]
            await saying[2]
            for context in contexts:
                await context.cancel()

    run(main)


def test_reading_goes_on_while_bytes_do_not_leave() -> None:
    """Pongs wait behind them, each in its turn."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            context, other = (ws.context(**SETTINGS, context_id=id) for id in "ab")
            await context.push("Hello")
            saying = asyncio.create_task(other.push(LONG))
            await turns()
            for number in range(3):
                peer.link.ping(b"%d" % number)
                await peer.say(chunk("a"))
                assert len(await context.receive_batch()) == 1
            assert not saying.done()
            assert await peer.hear(2) == [("a", "Hello"), ("b", LONG)]
            await saying
            tail = peer.last
            while [tail[at : at + 2] for at in (-21, -14, -7)] != [b"\x8a\x81"] * 3:  # pongs with one byte, masked
                assert await peer.receive()
                tail += peer.last
            await context.cancel()
            await other.cancel()

    run(main)


def test_bytes_that_never_leave() -> None:
    """The connection is lost: whoever said something is told, and so is every reader."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            await stage.open(ws)
            context, other = (ws.context(**SETTINGS, context_id=id, stall_timeout=math.inf) for id in "ab")
            await context.finish("Hello")
            reading = asyncio.create_task(listen(context))
            with pytest.raises(ContextEnded) as caught:
                await other.push(LONG)
            assert isinstance(caught.value.__cause__, ConnectionLost)
            assert caught.value.retryable
            with pytest.raises(ConnectionLost):
                await reading

    run(main, timeout=SHORT)


def test_a_reader_is_released_though_its_text_did_not_leave() -> None:
    """By another task's cancel, at once, and so is who said something; it arrives all the same."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            context = ws.send(**SETTINGS, transcript=LONG, context_id="a")
            other = ws.context(**SETTINGS, context_id="b")
            reading = asyncio.create_task(listen(context))
            saying = asyncio.create_task(other.push("Hello"))
            await turns()
            await context.cancel()
            await turns()
            assert reading.done()
            assert await reading == b""
            assert not saying.done()
            await other.cancel()
            await turns()
            assert saying.done()
            await saying
            assert await peer.hear(4) == [("a", LONG), ("b", "Hello"), ("a", "cancel"), ("b", "cancel")]

    run(main)


def test_a_peer_that_speaks_before_it_reads() -> None:
    """Whoever waits to say something reads meanwhile: else both would wait for each other."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            context = ws.context(**SETTINGS, context_id="a")
            await context.push("Hello")
            speech = [chunk("a", bytes(20_000)) for _ in range(100)]
            speaking = asyncio.create_task(peer.say(*speech))
            await turns()
            saying = asyncio.create_task(context.push(LONG))
            await speaking
            assert not saying.done()
            assert await peer.hear(2) == [("a", "Hello"), ("a", LONG)]
            await saying
            await peer.say(done("a"))
            assert await listen(context) == bytes(2_000_000)

    run(main)


def test_bytes_for_a_connection_that_is_lost() -> None:
    """Whoever waits for them to leave waits no longer, and never for those of the connection that came after it."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            context, other = (ws.context(**SETTINGS, context_id=id) for id in "ab")
            saying = asyncio.create_task(context.push(LONG))
            await turns()
            peer.end.close()
            with pytest.raises(ContextEnded):
                await saying
            saying = asyncio.create_task(other.push(LONG))
            another = await stage.peer(1)
            await another.accept()
            await turns()
            for leave in (context.cancel, context.aclose):
                await asyncio.wait_for(leave(), SHORT)
            assert not saying.done()
            assert await another.hear(1) == [("b", LONG)]
            await saying
            await other.cancel()

    run(main)


def test_leaving_does_not_wait() -> None:
    """Not even where nothing leaves: what is cancelled is over, and told when there is room."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)

            async def talk() -> None:
                async with ws.context(**SETTINGS, context_id="a") as context:
                    contexts.append(context)
                    await context.push(LONG)

            contexts: list[AsyncTTSWebSocketContext] = []
            talking = asyncio.create_task(talk())
            await turns()
            talking.cancel()
            await turns()
            assert talking.done()
            assert isinstance(contexts[0].terminal, Cancelled)
            assert await peer.hear(2) == [("a", LONG), ("a", "cancel")]
            await asyncio.gather(talking, return_exceptions=True)

    run(main)


# Time.


def test_a_silent_peer() -> None:
    """It is pinged, then given up, and everybody is told."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket(ping_interval=SHORT, ping_timeout=SHORT) as ws:
            await stage.open(ws)
            contexts = [ws.context(**SETTINGS, context_id=id) for id in "ab"]
            for context in contexts:
                await context.finish("Hello")
            ends = await asyncio.gather(*(listen(context) for context in contexts), return_exceptions=True)
            assert all(isinstance(end, ConnectionLost) for end in ends)

    run(main)


def test_what_is_readable_is_read_first() -> None:
    """However late a loop looks: a pong that has arrived is none that is missing."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket(ping_interval=0.001, ping_timeout=SHORT) as ws:
            peer = await stage.open(ws)
            context = ws.context(**SETTINGS, context_id="a", stall_timeout=math.inf)
            await context.finish("Hello")
            reading = asyncio.create_task(listen(context))
            for _ in range(3):
                peer.link.receive_data(await peer.receive(), 0.0)  # a ping among it
                await peer.flush()
                be_late(2 * SHORT)
            assert not reading.done()
            await peer.say(done("a"))
            await reading

    run(main)


def test_a_backlog_is_read_first() -> None:
    """All of it, however many reads that takes: what is in it for a context is not late."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            context, other = (ws.context(**SETTINGS, context_id=id, stall_timeout=SHORT) for id in "ab")
            await context.finish("Hello")
            reading = asyncio.create_task(listen(context))
            await turns()
            await other.finish("Hello")
            await peer.say(chunk("b", bytes(40_000)), chunk("b", bytes(40_000)), done("a"), done("b"))
            be_late(2 * SHORT)
            await reading
            assert isinstance(context.terminal, Done)

    run(main)


def test_a_deadline_that_a_read_brings_nearer() -> None:
    """Who answers is asked again after the interval between pings, however long the answer might have taken."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket(ping_interval=SHORT, ping_timeout=2 * WAIT) as ws:
            peer = await stage.open(ws)
            running = asyncio.create_task(ws.run())
            for _ in range(3):
                assert await peer.receive()
                await peer.flush()
                peer.link.ping(b"there?")
                await peer.flush()
                assert (await peer.receive())[0] == 0x8A
        await running

    run(main)


def test_a_deadline_nearer_than_that_of_who_waited_last() -> None:
    """Nobody waits any longer when a context begins that is less patient than who did."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            await stage.open(ws)
            running = asyncio.create_task(ws.run())
            await turns()
            running.cancel()
            await asyncio.wait([running])
            hasty = ws.context(**SETTINGS, stall_timeout=SHORT)
            await hasty.push("Hello")
            with pytest.raises(TimeoutError):
                await listen(hasty)

    run(main)


def test_events_at_hand() -> None:
    """They are there at once, one for each that is awaited; a reader who waits keeps others out."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            context = ws.context(**SETTINGS, context_id="a")
            await context.finish("Hello")
            await peer.say(chunk("a", b"ab"), chunk("a", b"cd"), chunk("a", b"ef"))
            assert (await anext(context)).audio == b"ab"
            unused = anext(context)
            with pytest.raises(StopIteration) as answered:
                next(anext(context).__await__())
            assert answered.value.value.audio == b"cd"
            assert (await unused).audio == b"ef"
            waiting = asyncio.ensure_future(anext(context))
            await turns()
            with pytest.raises(LocalProtocolError, match="one reader"):
                await anext(context)
            await peer.say(done("a"))
            with pytest.raises(StopAsyncIteration):
                await waiting

    run(main)


def test_a_deadline_that_comes_nearer() -> None:
    """Somebody waits already when a context begins that is less patient."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            await stage.open(ws)
            patient, hasty = (
                ws.context(**SETTINGS, context_id="a"),
                ws.context(**SETTINGS, context_id="b", stall_timeout=SHORT),
            )
            await patient.push("Hello")
            reading = asyncio.create_task(listen(patient))
            await turns()
            await hasty.push("Hello")
            await asyncio.wait([reading], timeout=4 * SHORT)
            assert isinstance(hasty.terminal, Failed)
            assert isinstance(hasty.terminal.error, TimeoutError)
            assert not reading.done()
            await patient.cancel()
            await reading

    run(main)


@pytest.mark.parametrize("size", [100, 30_000])
def test_one_context_is_silent_while_another_speaks(size: int) -> None:
    """Without a pause, in every turn of the loop: it is late for all that."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            silent = ws.context(**SETTINGS, context_id="a", stall_timeout=SHORT)
            speaking = ws.context(**SETTINGS, context_id="b")
            for context in (silent, speaking):
                await context.finish("Hello")
            ends = [asyncio.create_task(listen(context)) for context in (silent, speaking)]
            while not ends[0].done():  # if it never is, the test ends after `WAIT` of these seconds
                be_late(0.001)
                await peer.say(chunk("b", bytes(size)))
                await asyncio.sleep(0)
            with pytest.raises(TimeoutError):
                await ends[0]
            await peer.say(done("b"))
            assert await ends[1]

    run(main)


# Closing.


@pytest.mark.parametrize("writing", [False, True])
def test_a_goodbye_that_is_not_answered(writing: bool) -> None:
    """Or does not even leave: contexts end at once, the connection soon."""

    async def main(stage: Stage) -> None:
        ws = stage.client.tts.websocket()
        peer = await stage.open(ws)
        context = ws.context(**SETTINGS, context_id="a")
        saying = asyncio.create_task(context.finish(LONG if writing else "Hello"))
        reading = asyncio.create_task(listen(context))
        await turns()
        closing = asyncio.create_task(ws.aclose())
        await turns(3)
        assert reading.done()
        assert not closing.done()
        with pytest.raises(ConnectionLost):
            await reading
        await closing
        await asyncio.gather(saying, return_exceptions=True)
        while await peer.receive():
            pass

    run(main)


def test_a_goodbye_that_is_cancelled() -> None:
    """The connection is closed all the same; later there is none."""

    async def main(stage: Stage) -> None:
        ws = stage.client.tts.websocket()
        peer = await stage.open(ws)
        context = ws.context(**SETTINGS, context_id="a")
        closing = asyncio.create_task(ws.aclose())
        await turns()
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        assert closing.cancelled()
        assert await peer.hear(1) == [("", "closed")]
        assert await peer.receive() == b""
        await ws.aclose()
        for verb in (ws.connect, ws.run, context.finish, context.receive_batch):
            with pytest.raises(LocalProtocolError, match="closed"):
                await verb()

    run(main)


def test_the_client_is_closed() -> None:
    """Its WebSockets' connections are too, under whoever reads."""

    async def main(stage: Stage) -> None:
        ws = stage.client.tts.websocket()
        await stage.open(ws)
        context = ws.context(**SETTINGS)
        await context.finish("Hello")
        reading = asyncio.create_task(listen(context))
        await turns()
        await stage.client.aclose()
        with pytest.raises(ConnectionLost):
            await reading
        with pytest.raises(LocalProtocolError, match="client is closed"):
            await ws.connect()

    run(main)


# Connecting.


def test_one_failure_for_all_who_wait() -> None:
    """Not each for itself, one after another; the next one tries again."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            contexts = [ws.context(**SETTINGS) for _ in range(20)]
            ends = await asyncio.gather(*(context.push("Hello") for context in contexts), return_exceptions=True)
            assert [type(end) for end in ends] == [ConnectError] * 20
            assert stage.asked == 1
            await stage.open(ws)

    run(main, refuse=1)


def test_connecting_is_cancelled() -> None:
    """Whoever waits next connects instead, and nothing is left of the first."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            first, second = (asyncio.create_task(ws.connect()) for _ in range(2))
            peer = await stage.peer()
            first.cancel()
            await (await stage.peer(1)).accept()
            await second
            while await peer.receive():
                pass
            assert first.cancelled()

    run(main)


def test_closed_while_it_connects() -> None:
    """Whoever makes the connection is told, and whoever waits for it, at once; nothing is left of it."""

    async def main(stage: Stage) -> None:
        ws = stage.client.tts.websocket()
        context = ws.context(**SETTINGS)
        waiting = [asyncio.create_task(verb()) for verb in (ws.connect, ws.run, context.finish, context.receive_batch)]
        peer = await stage.peer()
        await turns()
        await ws.aclose()
        await turns()
        assert all(task.done() for task in waiting)
        for task in waiting:
            with pytest.raises(LocalProtocolError, match="closed"):
                await task
        assert await peer.receive()  # the handshake
        assert await peer.receive() == b""
        assert stage.asked == 1

    run(main)


@pytest.mark.parametrize("number", range(6))
def test_closed_about_the_moment_it_is_connected(number: int) -> None:
    """The answer is not there, or nobody looked at it, or all is well: nothing is left of the connection."""

    async def main(stage: Stage) -> None:
        ws = stage.client.tts.websocket()
        connecting = asyncio.create_task(ws.connect())
        peer = await stage.peer()
        await peer.accept()
        await turns(number)
        await ws.aclose()
        with suppress(LocalProtocolError):
            await connecting
        while await peer.receive():
            pass

    run(main)


def test_cancelled_while_it_connects() -> None:
    """Its reader's iteration ends at once and who says something is told; whoever else waits goes on, anew."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            context, other = (ws.send(**SETTINGS, transcript="Hello", context_id=id) for id in "ab")
            spoken = ws.context(**SETTINGS, context_id="c")
            reading = asyncio.create_task(listen(context))
            saying = asyncio.create_task(spoken.push("Hello"))
            another = asyncio.create_task(listen(other))
            peer = await stage.peer()
            await turns()
            for cancelled in (context, spoken, context):
                await cancelled.cancel()
                await cancelled.cancel()
            await turns()
            assert reading.done()
            assert saying.done()
            assert await reading == b""
            with pytest.raises(ContextEnded) as caught:
                await saying
            assert isinstance(caught.value.event, Cancelled)
            assert await peer.receive()  # the handshake
            assert await peer.receive() == b""
            assert not another.done()
            second = await stage.peer(1)
            await second.accept()
            assert await second.hear(1) == [("b", "Hello")]
            await second.say(chunk("b"), done("b"))
            assert await another == b"ab"
            assert stage.asked == 2

    run(main)


def test_left_while_it_connects() -> None:
    """By another task: that is no different; who reads may have come first or second."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            context = ws.context(**SETTINGS, context_id="a")
            connecting = asyncio.create_task(ws.connect())
            reading = asyncio.create_task(context.whole())
            peer = await stage.peer()
            await turns()
            await context.aclose()
            await turns()
            with pytest.raises(ContextEnded):
                await reading
            assert not connecting.done()
            await peer.accept()
            await connecting
            assert stage.asked == 1

    run(main)


def test_connecting_fails_with_a_timeout() -> None:
    """Which is told as such, to whoever made the connection and whoever waited."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            contexts = [ws.context(**SETTINGS) for _ in range(2)]
            ends = await asyncio.gather(*(listen(context) for context in contexts), return_exceptions=True)
            assert all(isinstance(end, TimeoutError) and isinstance(end, TransportError) for end in ends)
            assert stage.asked == 1

    run(main, timeout=SHORT)


# Before a context is opened.


def test_a_goodbye_behind_much_else() -> None:
    """All of it is read before a context is opened, so that this one has a connection of its own."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            context = ws.context(**SETTINGS, context_id="a")
            await context.push("Hello")
            await context.cancel()
            peer.link.send_text(json.dumps(chunk("a", bytes(50_000))))
            peer.link.close(1000, "connection idle timeout", 0.0)
            await peer.flush()
            speaking = asyncio.create_task(ws.send(**SETTINGS, transcript="Hello", context_id="b", stream=False))
            another = await stage.peer(1)
            await another.accept()
            assert await another.hear(1) == [("b", "Hello")]
            await another.say(chunk("b"), done("b"))
            assert (await speaking).data == b"ab"
            assert isinstance(context.terminal, Cancelled | Done)

    run(main)


@pytest.mark.parametrize("end", ["goodbye", "end"])
@pytest.mark.parametrize("size", [100, 15_000, 50_000, 150_000])
def test_a_context_that_nobody_read(size: int, end: str) -> None:
    """What it has to say keeps nobody from noticing that the connection is at its end; nor is it lost."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            unread = ws.context(**SETTINGS, context_id="a")
            await unread.finish("Hello")
            await peer.say(chunk("a", bytes(100)))
            await turns()  # from now on reading is paused
            if end == "goodbye":
                peer.link.send_text(json.dumps(chunk("a", bytes(size))))
                peer.link.send_text(json.dumps(done("a")))
                peer.link.close(1000, "connection idle timeout", 0.0)
                await peer.flush()
            else:
                await peer.say(chunk("a", bytes(size)), done("a"))
                peer.end.shutdown(socket.SHUT_WR)
            speaking = asyncio.create_task(ws.send(**SETTINGS, transcript="Hello", context_id="b", stream=False))
            another = await stage.peer(1)
            await another.accept()
            assert await another.hear(1) == [("b", "Hello")]
            await another.say(chunk("b"), done("b"))
            assert (await speaking).data == b"ab"
            assert await listen(unread) == bytes(100 + size)
            assert isinstance(unread.terminal, Done)

    run(main)


def test_opening_many_on_a_busy_connection() -> None:
    """Takes a few turns of the loop, however much arrives meanwhile, and not so many for each."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            busy = ws.context(**SETTINGS, context_id="busy")
            await busy.finish("Hello")
            reading = asyncio.create_task(listen(busy))
            contexts = [ws.context(**SETTINGS, context_id=str(number)) for number in range(100)]
            saying = [asyncio.create_task(context.push("Hello")) for context in contexts]
            for _ in range(10):
                await peer.say(chunk("busy"))
                await asyncio.sleep(0)
            assert all(task.done() for task in saying)
            assert await peer.hear(101) == [("busy", "Hello"), *((str(number), "Hello") for number in range(100))]
            await peer.say(done("busy"))
            await reading
            for context in contexts:
                await context.cancel()

    run(main)


def test_an_id_is_used_again() -> None:
    """On the next connection; what ends the last one is not meant for who waits for that."""

    async def main(stage: Stage) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(ws)
            first, again = (ws.context(**SETTINGS, context_id="a") for _ in range(2))
            await first.finish("Hello")
            reading = asyncio.create_task(listen(first))
            await turns()
            peer.link.close(1000, "", 0.0)
            await peer.flush()
            saying = asyncio.create_task(again.push("Hello"))
            another = await stage.peer(1)
            with pytest.raises(ConnectionLost):
                await reading
            await first.cancel()
            await turns()
            await another.accept()
            assert await another.hear(1) == [("a", "Hello")]
            await saying
            await again.cancel()

    run(main)


def test_one_event_loop() -> None:
    """A WebSocket that stands belongs to its loop: on another one it says so, where it would hear nothing."""
    stage = Stage(timeout=WAIT)
    ws = stage.client.tts.websocket()

    async def first() -> None:
        connecting = asyncio.create_task(ws.connect())
        peer = await stage.peer()
        await peer.accept()
        await connecting

    async def second() -> None:
        with pytest.raises(LocalProtocolError, match="another event loop"):
            await ws.context(**SETTINGS).push("Hello")
        with pytest.raises(LocalProtocolError, match="another event loop"):
            await ws.connect()

    with asyncio.Runner() as one:
        one.run(first())
        with asyncio.Runner() as two:
            two.run(second())
        one.run(ws.aclose())
        for peer in stage.peers:
            peer.end.close()
