"""Many contexts on one connection, by threads and by tasks: each hears its own audio, all of it, and nothing stays."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, suppress
from functools import cache, partial
from random import Random
from typing import TYPE_CHECKING, TypeAlias, cast
from weakref import ref

import pytest
import trio

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.events import Done
from cartesia_proto.conversation import TTSConversation
from cartesia_proto.sessions.context import TTSContext
from cartesia_proto.sessions.events import Cancelled, ContextEnded
from cartesia_standin import DEFAULT_VOICE_ID, spoken_audio
from tests.conftest import WAIT

if TYPE_CHECKING:
    from cartesia_proto.awaiting import AsyncTTSWebSocket, AsyncTTSWebSocketContext
    from cartesia_proto.sessions.events import ContextEvent
    from cartesia_standin import StandIn
    from tests.transports.conftest import Net
    from tests.transports.scenarios.websockets.conftest import (
        Context,
        DrivenSocket,
        Peer,
        Settings,
        Stage,
    )

CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)
CONTEXTS = 200
THREADS = 4
SEED = 20240610
TEXTS = ("Hi. ", "Yes. ", "Go on. ", "No. ", "Oh. ", "Well. ", "So. ")
FORMAT = RawFormat("pcm_s16le", 8000)

AWAITING = pytest.mark.parametrize("shell", ["asyncio", "trio"], indirect=True)
SETTINGS: Settings = {"model_id": "sonic-3", "voice": DEFAULT_VOICE_ID, "output_format": FORMAT}

Work: TypeAlias = Callable[[], Coroutine[object, object, None]]
Cancel: TypeAlias = Callable[[], object]


def texts(number: int) -> tuple[str, str]:
    """What a context says, in two pieces."""
    return TEXTS[number % len(TEXTS)], TEXTS[number // len(TEXTS) % len(TEXTS)]


@cache
def audio(pieces: tuple[str, str]) -> bytes:
    """What must be heard of them."""
    return spoken_audio(*pieces, output_format=FORMAT)


# Threads.


@pytest.mark.parametrize("shell", ["urllib"], indirect=True)
def test_threads(stage: Stage, net: Net, standin: StandIn) -> None:
    """Four threads, each with fifty contexts that are open at the same time, on one connection."""

    def talk(thread: int) -> None:
        numbers = range(thread, CONTEXTS, THREADS)
        with ExitStack() as stack:
            contexts = [ws.context(context_id=f"c{number}") for number in numbers]
            for context in contexts:
                stack.enter_context(context)
            for number, context in zip(numbers, contexts, strict=True):
                context.push(texts(number)[0])
            for number, context in zip(numbers, contexts, strict=True):
                context.finish(texts(number)[1])
            for number, context in zip(numbers, contexts, strict=True):
                heard = stage.listen(context)
                assert heard.error is None
                assert heard.audio == audio(texts(number))

    with stage.meet(standin) as ws:
        for job in [net.start(partial(talk, thread)) for thread in range(THREADS)]:
            job.result()
        assert standin.open_contexts == 0
    assert standin.connections == 1


@pytest.mark.parametrize("shell", ["urllib"], indirect=True)
def test_threads_that_cancel_each_other(stage: Stage, net: Net, standin: StandIn) -> None:
    """A third of the contexts is cancelled by other threads, at any moment; the others hear everything."""
    random = Random(SEED)
    victims = set(random.sample(range(CONTEXTS), CONTEXTS // 3))
    with stage.meet(standin) as ws:
        contexts = [ws.context(context_id=f"c{number}") for number in range(CONTEXTS)]
        order = random.sample(sorted(victims), len(victims))
        left = threading.Semaphore(0)

        def talk(thread: int) -> None:
            for number in range(thread, CONTEXTS, THREADS):
                context = contexts[number]
                if number not in victims:
                    for piece in texts(number):
                        context.push(piece)
                    context.finish()
                    left.release()
                    assert stage.listen(context).audio == audio(texts(number))
                else:
                    hear_some(context, number)

        def hear_some(context: Context, number: int) -> None:
            pieces = texts(number)
            with suppress(ContextEnded):
                context.push(pieces[0])
                context.finish(pieces[1])
            left.release()
            assert audio(pieces).startswith(stage.listen(context).audio)
            assert isinstance(context.terminal, Done | Cancelled)

        def disturb() -> None:
            for number in order:
                assert left.acquire(timeout=WAIT)
                contexts[number].cancel()

        jobs = [net.start(partial(talk, thread)) for thread in range(THREADS)]
        net.start(disturb).result()
        for job in jobs:
            job.result()
        assert ws.whole("Hi. ").data == spoken_audio("Hi. ", output_format=FORMAT)
    assert standin.connections == 1


# Tasks.


async def together(work: list[Work], take: Callable[[list[Cancel]], None]) -> None:
    """Do all of it at once, and let `take` have what cancels each."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        await together_on_trio(work, take)
    else:
        await together_on_asyncio(work, take)


async def together_on_asyncio(work: list[Work], take: Callable[[list[Cancel]], None]) -> None:
    """As `together`; nothing else is left running."""
    before = asyncio.all_tasks()
    tasks = [asyncio.create_task(do()) for do in work]
    take([task.cancel for task in tasks])
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
    assert asyncio.all_tasks() == before


async def together_on_trio(work: list[Work], take: Callable[[list[Cancel]], None]) -> None:
    """As `together`."""

    async def one(do: Work, scope: trio.CancelScope) -> None:
        with scope:
            await do()

    scopes = [trio.CancelScope() for _ in work]
    take([scope.cancel for scope in scopes])
    async with trio.open_nursery() as nursery:
        for do, scope in zip(work, scopes, strict=True):
            nursery.start_soon(one, do, scope)


class Crowd:
    """Tasks with a context each, some of which are cancelled whenever so much has happened in all."""

    def __init__(self, ws: AsyncTTSWebSocket, victims: int, moments: int) -> None:
        random = Random(SEED)
        self._ws = ws
        self._cancels: list[Cancel] = []
        self._moments = Counter(random.randrange(moments) for _ in range(victims))
        self._order = random.sample(range(CONTEXTS), victims)
        self._happened = 0
        self.victims = frozenset(self._order)
        self.heard = [b""] * CONTEXTS
        self.contexts: list[AsyncTTSWebSocketContext] = []
        self.begun: set[int] = set()

    def take(self, cancels: list[Cancel]) -> None:
        """What cancels each task."""
        self._cancels = cancels

    def happens(self) -> None:
        """Something did: perhaps it is somebody's moment."""
        for _ in range(self._moments[self._happened]):
            self._cancels[self._order.pop()]()
        self._happened += 1

    async def run(self) -> None:
        """Let all of them talk, and check what they heard: everything, or where cancelled nothing but their own."""
        self.contexts = [self._ws.context(**SETTINGS, context_id=f"c{number}") for number in range(CONTEXTS)]
        work: list[Work] = [partial(self.talk, number) for number in range(CONTEXTS)]
        await together(work, self.take)
        assert not self._order, "the moments of some never came"
        for number, context in enumerate(self.contexts):
            whole = audio(texts(number))
            if number in self.victims:
                assert whole.startswith(self.heard[number])
                assert isinstance(context.terminal, Done | Cancelled) or number not in self.begun
            else:
                assert self.heard[number] == whole
                assert isinstance(context.terminal, Done)

    async def talk(self, number: int) -> None:
        """One context from its beginning to its end."""
        first, second = texts(number)
        async with self.contexts[number] as context:
            self.begun.add(number)
            self.happens()
            await context.push(first)
            self.happens()
            await context.finish(second)
            self.happens()
            async for event in context:
                self.heard[number] += event.audio
                self.happens()


@AWAITING
def test_tasks(stage: Stage, standin: StandIn) -> None:
    """Two hundred, a third of them cancelled at random moments of talking and reading; the connection stays whole."""
    driven = cast("DrivenSocket", stage.meet(standin))

    async def main() -> None:
        async with driven.native as ws:
            await Crowd(ws, CONTEXTS // 3, 5 * CONTEXTS).run()
            again = await ws.send(**SETTINGS, transcript="Hi. ", stream=False)
            assert again.data == spoken_audio("Hi. ", output_format=FORMAT)

    driven.loop.run(main())
    standin.wait_until(lambda: not standin.open_contexts)
    standin.wait_until(lambda: not standin.open_connections)
    assert standin.connections == 1


@AWAITING
def test_tasks_whose_words_cannot_leave(stage: Stage) -> None:
    """The peer does not read until a third of those that want to say something long were cancelled while they waited.

    What was begun is said whole: no message is torn, and nobody else's is lost.
    """
    long = "x" * 200_000
    reading = threading.Event()
    said: dict[str, int] = {}
    count = 60

    def script(peer: Peer) -> None:
        assert reading.wait(WAIT)
        while True:
            fields = peer.hear()
            id = str(fields["context_id"])
            if "transcript" in fields:
                said[id] = said.get(id, 0) + len(str(fields["transcript"]))
            if fields.get("continue") is False:
                peer.say(stage.chunk(id, id.encode() * 2), stage.done(id))

    driven = cast("DrivenSocket", stage.meet(stage.serve(script)))
    victims = frozenset(Random(SEED).sample(range(count), count // 3))
    cancels: list[Cancel] = []
    talking: list[int] = []
    heard: dict[int, bytes] = {}

    async def talk(ws: AsyncTTSWebSocket, number: int) -> None:
        async with ws.context(**SETTINGS, context_id=f"{number:03}") as context:
            talking.append(number)
            if len(talking) == count:
                for victim in victims:
                    cancels[victim]()
                reading.set()
            await context.push(long)
            await context.finish()
            heard[number] = b"".join([event.audio async for event in context])

    async def main() -> None:
        async with driven.native as ws:
            work: list[Work] = [partial(talk, ws, number) for number in range(count)]
            await together(work, cancels.extend)

    driven.loop.run(main())
    assert heard == {number: f"{number:03}".encode() * 2 for number in range(count) if number not in victims}
    assert all(said[f"{number:03}"] == len(long) for number in heard)


# What it costs.


@CLEAR_ONLY
def test_nobody_is_woken_for_another(stage: Stage, net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody reads for all, a reader looks for news of its own context, not for every message."""
    looks: Counter[str] = Counter()
    hand_over = TTSConversation.hand_over

    def counting(
        conversation: TTSConversation, context: TTSContext, keep: Callable[[deque[ContextEvent]], object]
    ) -> None:
        looks[context.id] += 1
        hand_over(conversation, context, keep)

    monkeypatch.setattr(TTSConversation, "hand_over", counting)
    messages, heard = 100, threading.Semaphore(0)

    def script(peer: Peer) -> None:
        peer.hear_finished(2)
        for _ in range(messages):
            peer.say(stage.chunk("busy", b"b1"))
            assert heard.acquire(timeout=WAIT)  # so each message is read by itself
        peer.say(stage.done("busy"), stage.chunk("idle", b"i1"), stage.done("idle"))

    def listen(context: Context) -> None:
        for _ in context:
            heard.release()

    with stage.meet(stage.serve(script)) as ws:
        ws.connect()
        running = net.start(ws.run).wait_until_blocked()
        idle = ws.send("Hello", context_id="idle")
        reader = net.start(lambda: stage.listen(idle)).wait_until_blocked()
        listen(ws.send("Hello", context_id="busy"))
        assert reader.result().audio == b"i1"
    running.result()
    assert looks["idle"] < 10 < messages <= looks["busy"]


def answering(stage: Stage, peer: Peer) -> None:
    """Answer every context that says all it has to say."""
    while True:
        fields = peer.hear()
        if fields.get("continue") is False:
            id = str(fields["context_id"])
            peer.say(stage.chunk(id, bytes(1000)), stage.done(id))


def assert_nothing_is_left(talk: Callable[[int], None]) -> None:
    """Neither an object nor a byte of three thousand contexts.

    A third was cancelled and never answered, a third answered and never read.
    """
    talk(100)
    before = live()
    talk(3000)
    after = live()
    (conversation,) = (thing for thing in gc.get_objects() if isinstance(thing, TTSConversation))
    assert (conversation.waiting_bytes, conversation.session.open_contexts) == (0, ())
    assert conversation.session.dropped_frames == 0
    assert {kind: count for kind, count in (after - before).items() if count > 50} == {}


@CLEAR_ONLY
@pytest.mark.parametrize("shell", ["urllib"], indirect=True)
def test_nothing_is_left_of_contexts_past(stage: Stage) -> None:
    """On one connection, in a thread."""
    with stage.meet(stage.serve(partial(answering, stage))) as ws:

        def talk(count: int) -> None:
            for _ in range(count // 3):
                gone = ws.context()
                gone.push("Hello")
                gone.cancel()
                gone = ws.context()
                gone.finish("Hello")
                del gone
                assert len(ws.whole("Hello").data) == 1000

        assert_nothing_is_left(talk)


@CLEAR_ONLY
@AWAITING
def test_nothing_is_left_of_contexts_past_on_a_loop(stage: Stage) -> None:
    """On one connection, in a task."""
    driven = cast("DrivenSocket", stage.meet(stage.serve(partial(answering, stage))))

    async def converse(count: int) -> None:
        for _ in range(count // 3):
            gone = driven.native.context(**SETTINGS)
            await gone.push("Hello")
            await gone.cancel()
            gone = driven.native.context(**SETTINGS)
            await gone.finish("Hello")
            del gone
            whole = await driven.native.send(**SETTINGS, transcript="Hello", stream=False)
            assert len(whole.data) == 1000

    with driven:
        assert_nothing_is_left(lambda count: driven.loop.run(converse(count)))


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Objects go when the last reference to them goes, or not at all."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@CLEAR_ONLY
@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("shell", ["urllib"], indirect=True)
def test_a_context_that_is_dropped_goes_at_once(stage: Stage) -> None:
    """What waits for it must not wait for the garbage collector: it may be much."""
    with stage.meet(stage.serve(partial(answering, stage))) as ws:
        gone = ws.context()
        gone.finish("Hello")
        assert next(gone).audio == bytes(1000)
        watch = ref(gone)
        del gone
        assert watch() is None
        assert len(ws.whole("Hello").data) == 1000


@CLEAR_ONLY
@pytest.mark.usefixtures("without_collector")
@AWAITING
def test_a_context_that_is_dropped_goes_at_once_on_a_loop(stage: Stage) -> None:
    """The same in a task."""
    driven = cast("DrivenSocket", stage.meet(stage.serve(partial(answering, stage))))

    async def converse() -> bool:
        gone = driven.native.context(**SETTINGS)
        await gone.finish("Hello")
        assert (await anext(gone)).audio == bytes(1000)
        watch = ref(gone)
        del gone
        await driven.native.send(**SETTINGS, transcript="Hello", stream=False)
        return watch() is None

    with driven:
        assert driven.loop.run(converse())


def live() -> Counter[str]:
    """How many objects there are of each class."""
    gc.collect()
    return Counter(type(thing).__qualname__ for thing in gc.get_objects())
