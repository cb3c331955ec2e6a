"""What is trio's own about WebSockets: who reads for whom, shields, checkpoints. In memory, on a clock that jumps."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Awaitable, Callable
from typing import Final, TypedDict, final

import pytest
import trio
import trio.testing
from trio.testing import MemorySendStream, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.awaiting import AsyncTTSWebSocket, AsyncTTSWebSocketContext
from cartesia_proto.codecs.events import AudioChunk, Done
from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.config import Limits
from cartesia_proto.conversation import CLOSING_SECONDS
from cartesia_proto.errors import ConnectError, ConnectionLost, JsonValue, LocalProtocolError
from cartesia_proto.sessions.events import Cancelled, ContextEnded
from cartesia_proto.sessions.inboxes import EVENT_BYTES
from cartesia_proto.speech import VoiceLike
from cartesia_proto.wire.frames import TextMessage
from cartesia_proto.wire.http1 import EndOfBody, RequestHead, ServerLink
from cartesia_proto.wire.websocket import ServerWebSocketLink
from cartesia_proto.wire.websocket_link import Closed
from cartesia_trio import AsyncCartesia

TIMEOUT: Final = 7.0
"""Seconds, of a clock that jumps, for each single write."""

CONNECTING: Final = 1.0
"""Seconds until a connection is made."""

Pair = Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]]


def sockets() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Two ends of one socket, which holds little of what we say."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    return (
        trio.SocketStream(trio.socket.from_stdlib_socket(ours)),
        trio.SocketStream(trio.socket.from_stdlib_socket(theirs)),
    )


class Settings(TypedDict):
    """What every context needs."""

    model_id: str
    voice: VoiceLike
    output_format: RawFormat


SETTINGS: Final[Settings] = {"model_id": "sonic-3", "voice": "v", "output_format": RawFormat("pcm_s16le", 8000)}


@final
class Sips(trio.abc.Stream):
    """A stream that is read in small pieces, as a cipher gives them."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """The next few."""
        del max_bytes
        return await self.stream.receive_some(20)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """All of it."""
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """At once."""
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close."""
        await self.stream.aclose()


def sips() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Two ends, of which ours is read in small pieces."""
    ours, theirs = memory_stream_pair()
    return Sips(ours), theirs


@final
class Peer:
    """The server's end of one connection."""

    def __init__(self, end: trio.abc.Stream) -> None:
        self.end = end
        self.link: ServerWebSocketLink

    async def accept(self) -> None:
        """Say yes."""
        http = ServerLink(math.inf, Limits())
        while (head := http.next_event()) is None:
            http.receive_data(await self.end.receive_some(), 0.0)
        assert isinstance(head, RequestHead)
        assert isinstance(http.next_event(), EndOfBody)
        self.link = ServerWebSocketLink(http, head, limits=Limits(), ping_interval=math.inf, now=0.0)
        await self.flush()

    async def flush(self) -> None:
        """Send what is queued."""
        await self.end.send_all(self.link.data_to_send())

    async def say(self, *messages: dict[str, JsonValue]) -> None:
        """Send messages, in one piece."""
        for message in messages:
            self.link.send_text(json.dumps(message))
        await self.flush()

    async def hear(self, within: float = 0.5) -> list[tuple[str, str]]:
        """What the client has sent so far: of each message its context, and its text or ``cancel``."""
        told: list[tuple[str, str]] = []
        with trio.move_on_after(within):
            while data := await self.end.receive_some():
                self.link.receive_data(data, 0.0)
        while (event := self.link.next_event()) is not None:
            if isinstance(event, Closed):
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
    """A client's WebSocket, and the peers of its connections in the order they were made."""

    def __init__(self, *, refuse: int = 0, pair: Pair = memory_stream_pair, timeout: float = TIMEOUT) -> None:
        self.peers: list[Peer] = []
        self.ours: list[trio.abc.Stream] = []
        self.refuse = refuse
        self.pair = pair
        self.asked = 0
        self.client = AsyncCartesia(
            api_key="k", base_url="http://api.test", proxy="", connect=self.connect, timeout=timeout, max_retries=0
        )

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        """What makes connections."""
        self.asked += 1
        await trio.sleep(CONNECTING)
        if self.asked <= self.refuse:
            raise OSError("nobody there")
        ours, theirs = self.pair()
        self.peers.append(Peer(theirs))
        self.ours.append(ours)
        return ours

    async def open(self, nursery: trio.Nursery, ws: AsyncTTSWebSocket) -> Peer:
        """Connect."""
        count = len(self.peers)
        nursery.start_soon(ws.connect)
        await trio.sleep(1.5)
        assert len(self.peers) == count + 1
        await self.peers[-1].accept()
        await wait_all_tasks_blocked()
        return self.peers[-1]


def run(
    main: Callable[[Stage, trio.Nursery], Awaitable[None]],
    *,
    refuse: int = 0,
    pair: Pair = memory_stream_pair,
    timeout: float = TIMEOUT,
) -> Stage:
    """Run on a clock that jumps; no task may be left, and none is started behind the scenes."""
    stage = Stage(refuse=refuse, pair=pair, timeout=timeout)

    async def bounded() -> None:
        with trio.fail_after(100):
            try:
                async with stage.client, trio.open_nursery() as nursery:
                    await main(stage, nursery)
            finally:
                for peer in stage.peers:
                    await trio.aclose_forcefully(peer.end)

    trio.run(bounded, clock=trio.testing.MockClock(autojump_threshold=0))
    return stage


@final
class Reader:
    """A task that reads one context to its end."""

    def __init__(self, nursery: trio.Nursery, context: AsyncTTSWebSocketContext) -> None:
        self.context = context
        self.heard: list[bytes] = []
        self.error: Exception | None = None
        self.over = False
        self.scope = trio.CancelScope()
        nursery.start_soon(self._read)

    async def _read(self) -> None:
        with self.scope:
            try:
                async for event in self.context:
                    self.heard.append(event.audio)
            except ConnectionLost as error:
                self.error = error
        self.over = True


async def readers(stage: Stage, nursery: trio.Nursery, ws: AsyncTTSWebSocket, ids: str) -> list[Reader]:
    """Readers of as many contexts, in the order they began to wait: the first leads."""
    made: list[Reader] = []
    for id in ids:
        context = ws.context(**SETTINGS, context_id=id, stall_timeout=math.inf)
        await context.finish("Hello")
        made.append(Reader(nursery, context))
        await wait_all_tasks_blocked()
    return made


# Who reads for whom.


def test_one_reads_for_all() -> None:
    """Whoever came first; a read wakes those it concerns."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            a, b, c = await readers(stage, nursery, ws, "abc")
            await peer.say(chunk("b"))
            await wait_all_tasks_blocked()
            assert (a.heard, b.heard, c.heard) == ([], [b"ab"], [])
            await peer.say(chunk("c"), done("c"), done("b"), chunk("a"), done("a"))
            await wait_all_tasks_blocked()
            assert (a.heard, b.heard, c.heard) == ([b"ab"], [b"ab"], [b"ab"])
            assert all(isinstance(one.context.terminal, Done) for one in (a, b, c))

    run(main)


@pytest.mark.parametrize("gone", [["a"], ["a", "b"], ["b", "a"], ["b", "a", "c"]], ids="-".join)
def test_leadership_is_passed_on(gone: list[str]) -> None:
    """Also where whoever was chosen leaves at the same moment."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            reading = {one.context.id: one for one in await readers(stage, nursery, ws, "abcd")}
            for id in gone:
                reading[id].scope.cancel()
            await wait_all_tasks_blocked()
            left = [one for id, one in reading.items() if id not in gone]
            await peer.say(*(message for id in reading for message in (chunk(id), done(id))))
            await wait_all_tasks_blocked()
            assert all(one.heard == [b"ab"] for one in left)
            assert all(reading[id].heard == [] for id in gone)

    run(main)


def test_leaders_leave_one_after_another() -> None:
    """Each when its context is done."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            for one in await readers(stage, nursery, ws, "abc"):
                await peer.say(chunk(one.context.id), done(one.context.id))
                await wait_all_tasks_blocked()
                assert one.over

    run(main)


@pytest.mark.parametrize("cancelled", ["a", "b"])
def test_cancel_releases_a_reader(cancelled: str) -> None:
    """The one that leads as well as one that follows; the others go on."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            reading = {one.context.id: one for one in await readers(stage, nursery, ws, "ab")}
            began = trio.current_time()
            await reading[cancelled].context.cancel()
            await wait_all_tasks_blocked()
            assert reading[cancelled].over
            assert trio.current_time() == began
            assert await peer.hear() == [("a", "Hello"), ("b", "Hello"), (cancelled, "cancel")]
            await peer.say(chunk("a"), chunk("b"))
            await wait_all_tasks_blocked()
            assert {id: one.heard for id, one in reading.items()} == {"a": [b"ab"], "b": [b"ab"]} | {cancelled: []}

    run(main)


def test_two_who_iterate() -> None:
    """Over one context, while there are events at hand: one of them is told that it has one reader at a time."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            context = ws.context(**SETTINGS, context_id="a")
            await context.push("Hello")
            await peer.say(*(chunk("a", bytes([number, 0])) for number in range(9)))
            heard, refused = [(await anext(context)).audio[0]], list[LocalProtocolError]()

            async def read() -> None:
                try:
                    while len(heard) < 9:
                        heard.append((await anext(context)).audio[0])
                except LocalProtocolError as error:
                    refused.append(error)

            async with trio.open_nursery() as reading:
                reading.start_soon(read)
                reading.start_soon(read)
            assert heard == [*range(9)]
            assert ["one reader at a time" in str(error) for error in refused] == [True]
            await context.cancel()

    run(main)


def test_cancelled_with_events_at_hand() -> None:
    """In the checkpoint before one of them, or just after it, as chance has it: that one is heard, or none."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            for number in range(20):
                context = ws.context(**SETTINGS, context_id=str(number))
                await context.push("Hello")
                await peer.say(*[chunk(context.id)] * 3)
                await anext(context)
                async with trio.open_nursery() as reading:
                    reading.start_soon(context.cancel)
                    assert await anext(context, None) in (AudioChunk(b"ab", context.id), None)
                assert await context.receive_batch() == []

    run(main)


def test_run_reads_for_all() -> None:
    """It answers pings while nobody waits, and ends with the connection."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            async with trio.open_nursery() as running:
                running.start_soon(ws.run)
                await wait_all_tasks_blocked()
                peer.link.ping(b"there?")
                await peer.flush()
                assert (await peer.end.receive_some())[0] == 0x8A
                (reader,) = await readers(stage, nursery, ws, "a")
                await peer.say(chunk("a"), done("a"))
                await wait_all_tasks_blocked()
                assert reader.heard == [b"ab"]
                await peer.end.aclose()

    run(main)


def test_run_follows() -> None:
    """Where somebody else reads for all; it ends with the connection, and not before."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            (reader,) = await readers(stage, nursery, ws, "a")
            async with trio.open_nursery() as running:
                running.start_soon(ws.run)
                await wait_all_tasks_blocked()
                await peer.say(chunk("a"))
                await wait_all_tasks_blocked()
                assert not reader.over
                assert len(running.child_tasks) == 1
                await peer.end.aclose()
            assert isinstance(reader.error, ConnectionLost)

    run(main)


# Time.


def test_a_silent_peer() -> None:
    """It is pinged, then given up; everybody is told, at the moment that was asked for."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket(ping_interval=3.0, ping_timeout=4.0) as ws:
            await stage.open(nursery, ws)
            began = trio.current_time()
            reading = await readers(stage, nursery, ws, "ab")
            for late in (False, True):
                await trio.sleep_until(began + 7.0 + (0.01 if late else -0.01))
                await wait_all_tasks_blocked()
                assert all(isinstance(one.error, ConnectionLost) is late for one in reading)

    run(main)


def test_what_is_readable_is_read_first() -> None:
    """A pong that nobody has read for long is none that is missing."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket(ping_interval=3.0, ping_timeout=4.0) as ws:
            peer = await stage.open(nursery, ws)
            (reader,) = await readers(stage, nursery, ws, "a")
            await trio.sleep(3.5)
            reader.scope.cancel()
            assert await peer.hear() == [("a", "Hello")]  # the ping too, which it answers
            await peer.flush()
            await trio.sleep(50)
            again = Reader(nursery, reader.context)
            await wait_all_tasks_blocked()
            assert not again.over
            await peer.say(done("a"))
            await wait_all_tasks_blocked()
            assert (again.over, again.error) == (True, None)

    run(main)


def test_a_deadline_that_comes_nearer() -> None:
    """Somebody reads already when a context begins that is less patient."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            await stage.open(nursery, ws)
            (patient,) = await readers(stage, nursery, ws, "a")
            hasty = ws.context(**SETTINGS, context_id="b", stall_timeout=2.0)
            await hasty.push("Hello")
            began = trio.current_time()
            with pytest.raises(TimeoutError):
                await hasty.receive_batch()
            assert trio.current_time() - began == pytest.approx(2.0)
            assert not patient.over
            await patient.context.cancel()

    run(main)


def test_what_is_readable_is_read_first_whoever_interferes() -> None:
    """Something that happens while a read has just begun does not cut it short."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket(ping_interval=3.0, ping_timeout=4.0) as ws:
            peer = await stage.open(nursery, ws)
            (reader,) = await readers(stage, nursery, ws, "a")
            await trio.sleep(3.5)
            reader.scope.cancel()
            assert await peer.hear() == [("a", "Hello")]
            await peer.flush()
            await trio.sleep(50)
            again = Reader(nursery, reader.context)
            for _ in range(8):
                await ws.context(**SETTINGS).cancel()
            await peer.say(done("a"))
            await wait_all_tasks_blocked()
            assert (again.over, again.error) == (True, None)

    run(main)


@pytest.mark.parametrize(("pair", "late"), [(sockets, 0.002), (memory_stream_pair, 0.06)], ids=["socket", "own"])
def test_a_silent_context_among_others(pair: Pair, late: float) -> None:
    """It is told while others are spoken without a gap: at once, or when what may have arrived in time was read."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            (loud,) = await readers(stage, nursery, ws, "a")
            silent = ws.context(**SETTINGS, context_id="b", stall_timeout=2.0)
            await silent.push("Hello")
            began = trio.current_time()
            told: list[float] = []

            async def listen() -> None:
                with pytest.raises(TimeoutError):
                    await silent.receive_batch()
                told.append(trio.current_time() - began)

            nursery.start_soon(listen)
            await trio.sleep(1.99)
            while trio.current_time() < began + 2.2:
                await peer.say(chunk("a", bytes(50_000)))
                await trio.sleep(0.0005)
            assert told == [pytest.approx(2.0, abs=late)]
            await loud.context.cancel()

    run(main, pair=pair)


# Writing.


def stuck(stage: Stage) -> trio.Event:
    """From now on nothing that is sent has left, until the event."""
    free = trio.Event()
    ours = stage.ours[-1]
    stream: object = getattr(ours, "send_stream", None)
    assert isinstance(stream, MemorySendStream)
    deliver = stream.send_all_hook
    assert deliver is not None

    async def hook() -> None:
        await deliver()
        await free.wait()

    stream.send_all_hook = hook
    return free


def test_a_cancelled_writer() -> None:
    """What was begun is sent whole; what waited for it is sent by whoever writes; nobody else is disturbed."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            contexts = [ws.context(**SETTINGS, context_id=id) for id in "abc"]
            for context in contexts:
                await context.push("Hello")
            assert len(await peer.hear()) == 3
            free = stuck(stage)
            scopes = [trio.CancelScope() for _ in contexts]
            left: list[int] = []

            async def push(number: int) -> None:
                with scopes[number]:
                    await contexts[number].push("more")
                left.append(number)

            for number in range(3):
                nursery.start_soon(push, number)
                await wait_all_tasks_blocked()
            for scope in scopes[:2]:
                scope.cancel()
            await wait_all_tasks_blocked()
            assert left == [1]  # the other's bytes are on their way
            free.set()
            await wait_all_tasks_blocked()
            assert sorted(left) == [0, 1, 2]
            assert await peer.hear() == [(id, "more") for id in "abc"]
            for context in contexts:
                await context.cancel()

    run(main)


def test_reading_goes_on_while_bytes_do_not_leave() -> None:
    """Pongs wait; events do not. In the end everything arrives, each pong in its place."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            (reader,) = await readers(stage, nursery, ws, "a")
            await peer.hear()
            free = stuck(stage)
            other = ws.context(**SETTINGS, context_id="b")
            nursery.start_soon(other.push, "Hello")
            await wait_all_tasks_blocked()
            for number in range(3):
                peer.link.ping(b"%d" % number)
                await peer.say(chunk("a"))
                await wait_all_tasks_blocked()
            assert reader.heard == [b"ab"] * 3
            free.set()
            await wait_all_tasks_blocked()
            sent = bytes(await peer.end.receive_some())
            assert sent.count(b"\x8a\x81") == 3  # pongs with one byte, masked
            peer.link.receive_data(sent, 0.0)
            await reader.context.cancel()
            await other.cancel()

    run(main)


def test_cancelled_while_another_writes() -> None:
    """A reader whose own text waits behind another's bytes is told at once; its text goes out with them."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            free = stuck(stage)
            other = ws.context(**SETTINGS, context_id="b")
            nursery.start_soon(other.push, "Hello")
            await trio.sleep(0.5)
            reader = Reader(nursery, ws.send(**SETTINGS, context_id="a", transcript="Hi"))
            await trio.sleep(0.5)
            began = trio.current_time()
            await reader.context.cancel()
            await wait_all_tasks_blocked()
            assert (reader.over, reader.heard, reader.error) == (True, [], None)
            assert trio.current_time() == began
            free.set()
            assert await peer.hear() == [("b", "Hello"), ("a", "Hi"), ("a", "cancel")]
            await other.cancel()

    run(main)


def test_one_run_of_trio() -> None:
    """A WebSocket that stands belongs to its run: in another one it says so, where it would hear nothing."""
    stage = Stage()

    async def first() -> None:
        async with trio.open_nursery() as nursery:
            await stage.open(nursery, ws)

    async def second() -> None:
        with pytest.raises(LocalProtocolError, match="another run"):
            await ws.context(**SETTINGS).push("Hello")
        with pytest.raises(LocalProtocolError, match="another run"):
            await ws.connect()

    async def last() -> None:
        for end in (*stage.ours, *(peer.end for peer in stage.peers)):
            await trio.aclose_forcefully(end)

    ws = stage.client.tts.websocket()
    for each in (first, second, last):
        trio.run(each, clock=trio.testing.MockClock(autojump_threshold=0))


def test_bytes_that_never_leave() -> None:
    """The connection is lost when their time is up: whoever sent them is told, and so is every reader."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            await stage.open(nursery, ws)
            (reader,) = await readers(stage, nursery, ws, "a")
            context = ws.context(**SETTINGS, stall_timeout=math.inf)
            stuck(stage)
            began = trio.current_time()
            with pytest.raises(ContextEnded) as caught:
                await context.push("Hello")
            assert isinstance(caught.value.__cause__, ConnectionLost)
            assert caught.value.retryable
            assert trio.current_time() - began == TIMEOUT
            await wait_all_tasks_blocked()
            assert isinstance(reader.error, ConnectionLost)

    run(main)


@pytest.mark.parametrize("pair", [lockstep_stream_pair, sockets])
def test_much_is_said_before_anything_is_heard(pair: Pair) -> None:
    """To a peer that listens no more before it is heard: whoever waits to write reads meanwhile."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)

            async def speak_first() -> None:
                for _ in range(40):
                    await peer.say(chunk("a", bytes(50_000)))
                heard = list[tuple[str, str]]()
                while ("a", "end") not in heard:
                    heard += await peer.hear()
                assert sum(len(text) for _, text in heard) == 30 * 100_000 + len("end")
                await peer.say(done("a"))

            context = ws.context(**SETTINGS, context_id="a")
            nursery.start_soon(peer.hear)
            await context.push("Hello")
            await trio.sleep(1)
            nursery.start_soon(speak_first)
            for _ in range(30):
                await context.push("x" * 100_000)
            await context.finish("end")
            assert len(await context.whole()) == 40 * 50_000

    run(main, pair=pair)


@pytest.mark.parametrize("pair", [lockstep_stream_pair, sockets])
def test_a_peer_that_hears_nothing(pair: Pair) -> None:
    """However patient one is, the connection is kept alive while one waits to write, or else lost."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket(ping_interval=0.03, ping_timeout=0.04) as ws:
            await stage.open(nursery, ws)
            context = ws.context(**SETTINGS)
            began = trio.current_time()
            with pytest.raises(ContextEnded) as caught:
                await context.push("x" * 1_000_000)
            assert "of a ping" in repr(caught.value.event)
            assert trio.current_time() - began < 0.08

    run(main, pair=pair, timeout=math.inf)


def test_reading_goes_on_where_much_is_to_be_answered() -> None:
    """Contexts that nobody reads are cancelled, many at once: whoever reads does not wait until all that has left."""
    ids = [f"{number:0100}" for number in range(200)]

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket(inbox_limit=EVENT_BYTES + 10) as ws:
            peer = await stage.open(nursery, ws)
            (reader,) = await readers(stage, nursery, ws, "a")
            assert await peer.hear() == [("a", "Hello")]
            unread = [ws.context(**SETTINGS, context_id=id) for id in ids]
            for context in unread:
                await context.push("Hello")
                assert await peer.hear(0.01) == [(context.id, "Hello")]
            began = trio.current_time()
            await peer.say(*(chunk(id, bytes(60)) for id in ids), chunk("a"))
            await wait_all_tasks_blocked()
            assert (reader.heard, trio.current_time()) == ([b"ab"], began)
            heard: list[tuple[str, str]] = []
            while len(heard) < len(ids):
                heard += await peer.hear()
                await peer.say(chunk("a"))
            assert heard == [(id, "cancel") for id in ids]
            await reader.context.cancel()

    run(main, pair=sockets)


def test_a_peer_that_left() -> None:
    """Noticed by writing, where nobody reads: what it still said is read first."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            context = ws.context(**SETTINGS)
            await context.push("Hello")
            peer.link.close(1001, "bye", 0.0)
            await peer.flush()
            await peer.end.aclose()
            with pytest.raises(ContextEnded) as caught:
                await context.push("more")
            assert "1001 (bye)" in repr(caught.value.event)

    run(main)


def test_cancelling_is_not_cancelled() -> None:
    """In a scope that is cancelled already, and by leaving for that very reason: the server hears of it."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            context = ws.context(**SETTINGS, context_id="a")
            await context.push("Hello")
            with trio.CancelScope() as scope:
                scope.cancel()
                await context.cancel()
            assert scope.cancelled_caught
            other = ws.context(**SETTINGS, context_id="b")
            with trio.CancelScope() as scope:
                async with other:
                    await other.push("Hello")
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
            assert isinstance(other.terminal, Cancelled)
            assert await peer.hear() == [("a", "Hello"), ("a", "cancel"), ("b", "Hello"), ("b", "cancel")]

    run(main)


# Closing.


@pytest.mark.parametrize("writing", [False, True])
def test_a_goodbye_that_is_not_answered(writing: bool) -> None:
    """Or does not even leave: contexts end at once, the connection after a few seconds."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        ws = stage.client.tts.websocket()
        peer = await stage.open(nursery, ws)
        (reader,) = await readers(stage, nursery, ws, "a")
        if writing:
            stuck(stage)
        began = trio.current_time()
        async with trio.open_nursery() as closing:
            closing.start_soon(ws.aclose)
            await wait_all_tasks_blocked()
            assert isinstance(reader.error, ConnectionLost)
            assert await peer.hear() == [("a", "Hello"), ("", "closed")]
        assert trio.current_time() - began == pytest.approx(CLOSING_SECONDS)

    run(main)


def test_a_goodbye_that_is_cancelled() -> None:
    """The connection is closed all the same, and at once; later there is none."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        ws = stage.client.tts.websocket()
        peer = await stage.open(nursery, ws)
        context = ws.context(**SETTINGS, context_id="a")
        with trio.CancelScope() as scope:
            scope.cancel()
            await ws.aclose()
        assert scope.cancelled_caught
        assert await peer.hear() == [("", "closed")]
        with pytest.raises(trio.BrokenResourceError):
            await peer.end.send_all(b"x")
        await ws.aclose()
        for verb in (ws.connect, ws.run, context.finish, context.receive_batch):
            with pytest.raises(LocalProtocolError, match="closed"):
                await verb()

    run(main)


def test_the_client_is_closed() -> None:
    """Its WebSockets' connections are too, under whoever reads."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        ws = stage.client.tts.websocket()
        await stage.open(nursery, ws)
        reading = await readers(stage, nursery, ws, "ab")
        await stage.client.aclose()
        await wait_all_tasks_blocked()
        assert all(isinstance(one.error, ConnectionLost) for one in reading)
        with pytest.raises(LocalProtocolError, match="client is closed"):
            await ws.connect()

    run(main)


# Connecting.


def test_one_failure_for_all_who_wait() -> None:
    """Not each for itself, one after another; the next one tries again."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            failed: list[int] = []

            async def push(number: int) -> None:
                with pytest.raises(ConnectError):
                    await ws.context(**SETTINGS).push("Hello")
                failed.append(number)

            async with trio.open_nursery() as all_of_them:
                for number in range(20):
                    all_of_them.start_soon(push, number)
            assert (len(failed), stage.asked) == (20, 1)
            await stage.open(nursery, ws)

    run(main, refuse=1)


def test_connecting_is_cancelled() -> None:
    """Whoever waits next connects instead."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            scope = trio.CancelScope()

            async def connect() -> None:
                with scope:
                    await ws.connect()

            nursery.start_soon(connect)
            await wait_all_tasks_blocked()
            nursery.start_soon(ws.connect)
            await wait_all_tasks_blocked()
            scope.cancel()
            await trio.sleep(3)
            await stage.peers[-1].accept()
            await wait_all_tasks_blocked()
            assert stage.asked == 2

    run(main)


@pytest.mark.parametrize("after", [0.5, 1.5], ids=["unconnected", "unanswered"])
def test_closed_while_it_connects(after: float) -> None:
    """Whoever waits for the connection is told at once; it is closed again."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        ws = stage.client.tts.websocket()
        told: list[float] = []

        async def connect() -> None:
            with pytest.raises(LocalProtocolError, match="closed"):
                await ws.connect()
            told.append(trio.current_time())

        for _ in range(2):
            nursery.start_soon(connect)
        await trio.sleep(after)
        closed = trio.current_time()
        await ws.aclose()
        await wait_all_tasks_blocked()
        assert told == [closed, closed]
        for peer in stage.peers:
            assert await peer.end.receive_some() != b""  # the handshake
            assert await peer.end.receive_some() == b""

    run(main)


@pytest.mark.parametrize("gone", [0, 1], ids=["who connects", "who waits"])
def test_cancelled_while_it_connects(gone: int) -> None:
    """To a peer that never answers: its reader is told at once; another one goes on, on a connection of its own."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            reading: list[Reader] = []
            for id in "ab":
                reading.append(Reader(nursery, ws.send(**SETTINGS, context_id=id, transcript="Hello")))
                await wait_all_tasks_blocked()  # so the first of them connects
            await trio.sleep(0.5)
            left = reading[1 - gone]
            await reading[gone].context.cancel()
            await wait_all_tasks_blocked()
            assert [one.over for one in reading] == [one is not left for one in reading]
            await trio.sleep(CONNECTING + 0.5)
            await stage.peers[-1].accept()
            await wait_all_tasks_blocked()
            await stage.peers[-1].say(chunk(left.context.id), done(left.context.id))
            await wait_all_tasks_blocked()
            assert (left.over, left.heard, left.error) == (True, [b"ab"], None)

    run(main)


def test_a_peer_that_never_answers() -> None:
    """Whoever says or reads what is cancelled is told at once; others begin anew, and that is no failure."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            context = ws.context(**SETTINGS, context_id="a")

            async def push() -> None:
                with pytest.raises(ContextEnded):
                    await context.push("Hello")

            reader = Reader(nursery, context)
            await wait_all_tasks_blocked()
            other = Reader(nursery, ws.send(**SETTINGS, context_id="b", transcript="Hello"))
            async with trio.open_nursery() as pushing:
                pushing.start_soon(push)
                await trio.sleep(CONNECTING + 0.5)
                began = trio.current_time()
                await context.cancel()
            await wait_all_tasks_blocked()
            assert (reader.over, reader.heard, reader.error, other.over) == (True, [], None, False)
            assert trio.current_time() == began
            assert await stage.peers[0].end.receive_some() != b""  # the handshake
            assert await stage.peers[0].end.receive_some() == b""
            await trio.sleep(CONNECTING + 0.5)
            await stage.peers[1].accept()
            await wait_all_tasks_blocked()
            await stage.peers[1].say(chunk("b"), done("b"))
            await wait_all_tasks_blocked()
            assert (other.over, other.heard, other.error) == (True, [b"ab"], None)

    run(main)


@pytest.mark.parametrize("pair", [memory_stream_pair, sockets])
def test_a_context_that_nobody_read(pair: Pair) -> None:
    """Its end, and the connection's behind it, is known before another is opened; it can be read all the same."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            unread = ws.context(**SETTINGS, context_id="a")
            await unread.finish("Hello")
            await peer.say(chunk("a"), done("a"))
            peer.link.close(1000, "idle", 0.0)
            await peer.flush()
            assert (await stage.open(nursery, ws)) is not peer
            assert (await unread.whole()).data == b"ab"

    run(main, pair=pair)


@pytest.mark.parametrize("pair", [memory_stream_pair, sockets, sips])
def test_a_connection_that_ends_while_a_context_is_opened(pair: Pair) -> None:
    """Where somebody else reads for all, that is waited for: the context is opened on another."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        async with stage.client.tts.websocket() as ws:
            peer = await stage.open(nursery, ws)
            (reader,) = await readers(stage, nursery, ws, "a")
            await peer.say(chunk("a"), done("a"))
            peer.link.close(1000, "idle", 0.0)
            await peer.flush()
            nursery.start_soon(ws.context(**SETTINGS, context_id="b").finish, "Hello")
            await trio.sleep(CONNECTING + 0.5)
            assert (reader.over, reader.heard, reader.error) == (True, [b"ab"], None)
            await stage.peers[1].accept()
            assert await stage.peers[1].hear() == [("b", "Hello")]

    run(main, pair=pair)


# Checkpoints.


def test_every_await_is_a_checkpoint() -> None:
    """Whether or not there is anything to wait for."""

    async def main(stage: Stage, nursery: trio.Nursery) -> None:
        ws = stage.client.tts.websocket()
        peer = await stage.open(nursery, ws)
        context = ws.context(**SETTINGS, context_id="a")
        steps = (
            ws.__aenter__,
            ws.connect,
            context.__aenter__,
            lambda: context.push("Hello"),
            context.flush,
            context.finish,
        )
        for step in steps:
            with trio.testing.assert_checkpoints():
                await step()
        await peer.say(chunk("a"), chunk("a"), chunk("a"), done("a"))
        async for event in context:
            assert isinstance(event, AudioChunk)
            break
        for batch in (2, 0):
            with trio.testing.assert_checkpoints():
                assert len(await context.receive_batch()) == batch
        with trio.testing.assert_checkpoints(), pytest.raises(StopAsyncIteration):
            await context.__anext__()
        await peer.end.aclose()
        for step in (context.cancel, context.aclose, ws.aclose, ws.aclose):
            with trio.testing.assert_checkpoints():
                await step()

    run(main)
