"""Verbs, reading and leaving on a multiplexer that never waits: what is said, and in which order."""

import json
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Never, TypedDict, TypeVar, final

import pytest

from cartesia_proto.audio.audio import Audio
from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.awaiting import AsyncTTSWebSocket, AsyncTTSWebSocketContext
from cartesia_proto.codecs.events import AudioChunk, Done, SpeechEvent
from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.config import Config, Limits
from cartesia_proto.contexts import Alone
from cartesia_proto.conversation import TTSConversation, WebSocketOptions, handshake_outcome
from cartesia_proto.errors import ApiError, ConnectError, ConnectionLost, JsonValue, LocalProtocolError
from cartesia_proto.flow import Attempt
from cartesia_proto.http import Headers, Request
from cartesia_proto.lines import Saying, Step
from cartesia_proto.sessions.events import Cancelled, ContextEnded, Failed
from cartesia_proto.sessions.states import State
from cartesia_proto.speech import VoiceLike
from cartesia_proto.testing import half
from cartesia_proto.wire.frames import TextMessage
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.websocket import ServerWebSocketLink

T = TypeVar("T")
RAW = RawFormat("pcm_s16le", 8000)


class _Settings(TypedDict):
    model_id: str
    voice: VoiceLike
    output_format: RawFormat


SETTINGS: _Settings = {"model_id": "sonic-3", "voice": "v", "output_format": RAW}


def run(coroutine: Coroutine[object, Never, T]) -> T:
    """Run what never waits."""
    try:
        coroutine.send(None)  # type: ignore[arg-type]  # how every coroutine begins
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("it waits")


class UnreachableError(ConnectError):
    """No connection is to be had."""


@final
class Loopback:
    """A multiplexer with a server in memory, which says the next of its messages whenever somebody would wait."""

    def __init__(self, *messages: dict[str, JsonValue]) -> None:
        self.messages = deque(messages)
        self.conversation: TTSConversation | None = None
        self.server: ServerWebSocketLink
        self.reachable = True
        self.closed = False
        self.runs = 0
        self.meanwhile: Callable[[], object] = lambda: None  # what happens while something is written or awaited
        self.noticing: Callable[[], object] | None = None  # what happens before a context is opened, once

    def connected(self) -> TTSConversation:
        """The conversation, made when it is first needed."""
        if not self.reachable:
            raise UnreachableError("nobody there")
        if self.conversation is None:
            attempt = Attempt(Request("GET", "https://api.test/ws", Headers()), 0.0, 10.0, "upgrade", 1000, 1000)
            link = WebSocketOptions().link(attempt, Limits(), 100.0)
            http = ServerLink(10.0, Limits())
            http.receive_data(link.data_to_send(), 100.0)
            head = http.next_event()
            assert isinstance(head, RequestHead)
            self.server = ServerWebSocketLink(http, head, limits=Limits(), ping_interval=math.inf, now=100.0)
            link.receive_data(self.server.data_to_send(), 100.0)
            assert handshake_outcome(link) is not None
            self.conversation = TTSConversation(Config(), half, link)
        return self.conversation

    def heard(self) -> list[tuple[JsonValue, ...]]:
        """What the server hears: the text, whether more follows, and what it is beside that."""
        if self.conversation is None:
            return []
        self.server.receive_data(self.conversation.link.data_to_send(), 100.0)
        told = [json.loads(one.data) for one in iter(self.server.next_event, None) if isinstance(one, TextMessage)]
        return [tuple(one[key] for key in ("transcript", "continue", "flush", "cancel") if key in one) for one in told]

    async def run(self) -> None:
        self.runs += 1

    async def aclose(self) -> None:
        self.closed = True
        if not self.reachable:
            raise UnreachableError("nobody to say goodbye to")

    async def say(
        self, id: str, ready: Callable[[], TTSConversation | None], say: Saying, check: Callable[[], None]
    ) -> None:
        noticing, self.noticing = self.noticing, None
        if noticing is not None:
            noticing()
        if say(ready() or self.connected(), 101.0):
            self.meanwhile()
        check()

    async def change(self, change: Callable[[float], set[str]]) -> None:
        change(102.0)

    async def next(self, id: str, take: Callable[[], T | None], alone: Alone, first: Step[None] | None) -> T:
        with alone:
            if first is not None:
                with suppress(ContextEnded):
                    await first()
            self.meanwhile()
            while (taken := take()) is None:
                self.server.send_text(json.dumps(self.messages.popleft()))
                assert self.connected().receive_data(self.server.data_to_send(), 101.0) == {id}
            return taken

    async def at_hand(self, taken: deque[T], alone: Alone, otherwise: Step[T]) -> T:
        if taken:
            self.meanwhile()
        return taken.popleft() if taken and not alone.taken else await otherwise()

    async def in_steps(self, steps: Awaitable[T]) -> T:
        return await steps


def _loopback(*messages: dict[str, JsonValue]) -> tuple[AsyncTTSWebSocket, Loopback]:
    multiplexer = Loopback(*messages)
    return AsyncTTSWebSocket(multiplexer, Config(), half), multiplexer


def _chunk(audio: bytes, id: str = "a") -> dict[str, JsonValue]:
    return {"type": "chunk", "context_id": id, "data": encode_base64(audio)}


def _done(id: str = "a") -> dict[str, JsonValue]:
    return {"type": "done", "done": True, "context_id": id}


async def _listen(context: AsyncTTSWebSocketContext) -> list[SpeechEvent]:
    return [event async for event in context]


# WebSockets.


def test_a_websocket() -> None:
    """What is the multiplexer's business is asked of it; a WebSocket and its contexts are context managers."""
    ws, multiplexer = _loopback()

    async def main() -> None:
        async with AsyncExitStack() as stack:
            assert await stack.enter_async_context(ws) is ws
            assert multiplexer.conversation is None
            await ws.connect()
            assert multiplexer.conversation is not None
            await ws.run()
            context = ws.context(**SETTINGS)
            assert await stack.enter_async_context(context) is context
            assert context.state is State.NEW
        assert context.terminal == Cancelled(context.id)

    run(main())
    assert (multiplexer.runs, multiplexer.closed, multiplexer.heard()) == (1, True, [])


# Contexts.


def test_every_verb() -> None:
    """In order; what the reader hears, and the end."""
    ws, multiplexer = _loopback(_chunk(b"ab"), _chunk(b"cd"), _done())
    context = ws.context(**SETTINGS, context_id="a")
    run(context.push("Hello, ", generation_config={"speed": 1.5}))
    run(context.flush())
    run(context.finish("world."))
    assert multiplexer.heard() == [("Hello, ", True), ("", True, True), ("world.", False)]
    assert run(_listen(context)) == [AudioChunk(b"ab", "a"), AudioChunk(b"cd", "a")]
    assert run(context.receive_batch()) == []
    assert run(context.receive_batch()) == []
    assert context.terminal == Done("a")
    run(context.aclose())
    assert multiplexer.heard() == []


def test_batches() -> None:
    """What has arrived, then nothing."""
    ws, _ = _loopback(_chunk(b"ab"), _done())
    context = ws.send(**SETTINGS, transcript="Hello", context_id="a")
    assert run(context.receive_batch()) == [AudioChunk(b"ab", "a")]
    assert run(context.receive_batch()) == []


def test_events_at_hand() -> None:
    """They are taken when they are awaited, not before; one that is cancelled meanwhile is not heard."""
    ws, multiplexer = _loopback({})
    context = ws.context(**SETTINGS, context_id="a")
    run(context.finish("Hello"))
    for message in (_chunk(b"ab"), _chunk(b"cd"), _chunk(b"ef")):
        multiplexer.server.send_text(json.dumps(message))
    multiplexer.connected().receive_data(multiplexer.server.data_to_send(), 101.0)
    assert run(context.__anext__()) == AudioChunk(b"ab", "a")
    context.__anext__().close()
    assert run(context.__anext__()) == AudioChunk(b"cd", "a")
    multiplexer.meanwhile = lambda: run(context.cancel())
    assert run(_listen(context)) == []


def test_reading_opens() -> None:
    """A context of which nothing was said is opened, and waits for what is said elsewhere."""
    ws, multiplexer = _loopback(_chunk(b"ab"))
    context = ws.context(**SETTINGS, context_id="a")
    talking = iter([context.push("Hello")])
    multiplexer.meanwhile = lambda: [run(push) for push in talking]
    assert run(context.receive_batch()) == [AudioChunk(b"ab", "a")]
    assert multiplexer.heard() == [("Hello", True)]


def test_a_whole_text() -> None:
    """It is sent when the context is entered, or first read, and once; nothing can be said besides."""
    for enter in (True, False):
        ws, multiplexer = _loopback(_chunk(b"ab"), _done())
        context = ws.send(**SETTINGS, transcript="Hello", stream=True, context_id="a")
        with pytest.raises(LocalProtocolError, match="was given"):
            run(context.push("more"))
        assert multiplexer.heard() == []
        if enter:
            run(context.__aenter__())
            assert multiplexer.heard() == [("Hello", False)]
        assert run(_listen(context)) == [AudioChunk(b"ab", "a")]
        assert multiplexer.heard() == ([] if enter else [("Hello", False)])
        with pytest.raises(ContextEnded):
            run(context.push("more"))


def test_the_whole_audio() -> None:
    """Joined, with its format."""
    ws, multiplexer = _loopback(_chunk(b"ab"), _chunk(b"cd"), _done())
    speaking = ws.send(**SETTINGS, transcript="Hello", stream=False, context_id="a")
    assert multiplexer.conversation is None
    assert run(speaking) == Audio(b"abcd", RAW)


def test_the_whole_audio_and_nothing_less() -> None:
    """Where the context is cancelled, or had failed before, what was heard is not all there was to be heard."""
    ws, _ = _loopback(_chunk(b"ab"), {"type": "error", "message": "Broken", "context_id": "a"})
    failed, cancelled = ws.context(**SETTINGS, context_id="a"), ws.context(**SETTINGS, context_id="b")
    run(failed.finish("Hello"))
    with pytest.raises(ApiError):
        run(failed.whole())
    for context, end in ((failed, Failed), (cancelled, Cancelled)):
        run(context.cancel())
        with pytest.raises(ContextEnded) as raised:
            run(context.whole())
        assert isinstance(raised.value.event, end)


def test_the_whole_audio_of_a_failure() -> None:
    """It is raised, and what was begun is left."""
    ws, multiplexer = _loopback(_chunk(b"ab"), {"type": "chunk", "context_id": "a", "data": 5})
    context = ws.context(**SETTINGS, context_id="a")
    run(context.finish("Hello"))
    multiplexer.heard()
    with pytest.raises(Exception, match="data"):
        run(context.whole())
    assert multiplexer.heard() == []


def test_the_whole_audio_of_a_failure_that_comes_with_it() -> None:
    """Together with the last of the audio: what is raised is why it failed, and not only that it is over."""
    ws, multiplexer = _loopback()
    context = ws.context(**SETTINGS, context_id="a")
    run(context.finish("Hello"))
    for message in (_chunk(b"ab"), {"type": "error", "message": "Broken", "context_id": "a"}):
        multiplexer.server.send_text(json.dumps(message))
    multiplexer.connected().receive_data(multiplexer.server.data_to_send(), 101.0)
    with pytest.raises(ApiError, match="Broken"):
        run(context.whole())


def test_the_rest_of_the_audio() -> None:
    """What was read before is not among it."""
    ws, _ = _loopback(_chunk(b"ab"), _chunk(b"cd"), _done())
    context = ws.send(**SETTINGS, transcript="Hello", context_id="a")
    assert run(context.__anext__()).audio == b"ab"
    assert run(context.whole()) == Audio(b"cd", RAW)


def test_nobody_there() -> None:
    """Whatever comes first tells; nothing has begun, so it can be tried again."""
    ws, multiplexer = _loopback(_chunk(b"ab"), _done())
    context = ws.send(**SETTINGS, transcript="Hello", context_id="a")
    multiplexer.reachable = False
    for first in (ws.connect(), context.__aenter__(), _listen(context), context.whole()):
        with pytest.raises(UnreachableError):
            run(first)
    assert context.state is State.NEW
    multiplexer.reachable = True
    assert run(_listen(context)) == [AudioChunk(b"ab", "a")]


def test_cancelling() -> None:
    """Before it began, nobody hears of it and nothing is connected; afterwards the server does."""
    ws, multiplexer = _loopback()
    early, whole = ws.context(**SETTINGS), ws.send(**SETTINGS, transcript="Hello")
    for context in (early, whole):
        run(context.cancel())
        assert run(context.__aenter__()) is context
        assert run(_listen(context)) == []
        with pytest.raises(ContextEnded):
            run(context.finish())
    assert multiplexer.conversation is None
    late = ws.context(**SETTINGS)
    run(late.push("Hello"))
    run(late.cancel())
    assert multiplexer.heard() == [("Hello", True), (True,)]
    assert run(_listen(late)) == []
    assert late.terminal == Cancelled(late.id)


def test_cancelled_while_it_connects() -> None:
    """Who wanted to say something is told; who reads is at the end; nothing is said."""
    ws, multiplexer = _loopback()
    one, other = ws.context(**SETTINGS), ws.send(**SETTINGS, transcript="Hello")
    connected = multiplexer.connected

    def cancelling() -> TTSConversation:
        run(one.cancel())
        run(other.cancel())
        return connected()

    multiplexer.connected = cancelling  # type: ignore[method-assign]  # as if another task did
    with pytest.raises(ContextEnded):
        run(one.push("Hello"))
    other = ws.send(**SETTINGS, transcript="Hello")
    assert run(_listen(other)) == []
    assert multiplexer.heard() == []


def test_leaving() -> None:
    """Before its end was received a context is cancelled; ``break`` alone cancels nothing."""
    ws, multiplexer = _loopback(_chunk(b"ab"), _chunk(b"cd"))

    async def main() -> None:
        async with ws.context(**SETTINGS, context_id="a") as context:
            await context.finish("Hello")
            for _ in range(2):
                async for event in context:
                    assert event.audio
                    break
            assert context.terminal is None
        assert context.state is State.CANCELLED

    run(main())
    assert multiplexer.heard() == [("Hello", False), (True,)]


def test_lost_while_it_is_said_to() -> None:
    """Its bytes did not leave: whoever said them is told, and so is the reader, of a whole text the reader alone."""
    ws, multiplexer = _loopback()
    context, whole = ws.context(**SETTINGS), ws.send(**SETTINGS, transcript="Hello")
    multiplexer.meanwhile = lambda: multiplexer.connected().send_failed(101.0)
    with pytest.raises(ContextEnded, match="while it was sent to"):
        run(context.push("Hello"))
    with pytest.raises(ConnectionLost):
        run(_listen(context))
    multiplexer.conversation = None
    with pytest.raises(ConnectionLost):
        run(_listen(whole))


def _stall(multiplexer: Loopback) -> None:
    """Let a context stall on its connection, beside another."""
    conversation = multiplexer.connected()
    for id, stall_timeout in (("stays", None), ("stalls", 1.0)):
        context = conversation.open(multiplexer, **SETTINGS, context_id=id, stall_timeout=stall_timeout)
        conversation.push(context, "text", 101.0)
    conversation.handle_deadline(102.0)
    multiplexer.heard()


def _lines(*multiplexers: Loopback) -> AsyncTTSWebSocket:
    """A WebSocket that has these, one after another."""
    rest = deque(multiplexers)
    return AsyncTTSWebSocket(rest.popleft(), Config(), half, rest.popleft)


def test_another_connection_after_a_stall() -> None:
    """A context that is open stays where it is; the next one is opened elsewhere, and said and read there."""
    old, new = Loopback(_chunk(b"ab"), _done()), Loopback(_chunk(b"cd", "b"), _done("b"))
    ws = _lines(old, new)
    first, second = ws.context(**SETTINGS, context_id="a"), ws.send(**SETTINGS, transcript="Hi", context_id="b")
    run(first.push("Hello, "))
    _stall(old)
    run(ws.connect())
    assert run(_listen(second)) == [AudioChunk(b"cd", "b")]
    run(first.finish("world."))
    assert old.heard() == [("world.", False)]
    assert new.heard() == [("Hi", False)]
    assert run(_listen(first)) == [AudioChunk(b"ab", "a")]
    run(ws.aclose())
    assert (old.closed, new.closed) == (True, True)


def test_a_stall_that_is_noticed_while_a_context_is_opened() -> None:
    """It is opened on another connection, whatever opens it, and left there if that fails."""
    for verb in ("push", "read", "whole", "enter"):
        old, new = Loopback(), Loopback(_chunk(b"ab"), _done())
        old.noticing = lambda: _stall(old)  # noqa: B023 - it is called in this round
        ws = _lines(old, new)
        if verb == "push":
            context = ws.context(**SETTINGS, context_id="a")
            run(context.push("Hello"))
            run(context.finish())
            assert run(_listen(context)) == [AudioChunk(b"ab", "a")]
        elif verb == "read":
            assert run(_listen(ws.send(**SETTINGS, transcript="Hello", context_id="a"))) == [AudioChunk(b"ab", "a")]
        elif verb == "whole":
            assert run(ws.send(**SETTINGS, transcript="Hello", context_id="a", stream=False)).data == b"ab"
        else:
            context = ws.send(**SETTINGS, transcript="Hello", context_id="a")
            run(context.__aenter__())
            run(context.cancel())
            assert new.heard() == [("Hello", False), (True,)]
        assert old.heard() == []


def test_two_verbs_open_a_context_at_once() -> None:
    """Where one has opened it, the other says its part there too."""
    old, new = Loopback(), Loopback()
    ws = _lines(old, new)
    context = ws.context(**SETTINGS, context_id="a")

    def meanwhile() -> None:
        _stall(old)
        run(context.push("first"))

    old.noticing = meanwhile
    run(context.push("second"))
    assert (old.heard(), new.heard()) == ([], [("first", True), ("second", True)])


def test_leaving_what_failed_on_another_connection() -> None:
    """The context is cancelled there; one that has not begun can be tried again."""
    old, new = Loopback(), Loopback(_chunk(b"ab"))
    old.noticing = lambda: _stall(old)
    ws = _lines(old, new)
    with pytest.raises(IndexError):  # it has no more to say
        run(ws.send(**SETTINGS, transcript="Hello", context_id="a", stream=False))
    assert new.heard() == [("Hello", False), (True,)]


def test_closing_two_connections_though_one_fails() -> None:
    """Both are closed."""
    old, new = Loopback(), Loopback()
    ws = _lines(old, new)
    first, second = ws.context(**SETTINGS, context_id="a"), ws.context(**SETTINGS, context_id="b")
    run(first.push("Hello"))
    _stall(old)
    run(second.push("Hello"))
    new.reachable = False
    with pytest.raises(UnreachableError):
        run(ws.aclose())
    assert (old.closed, new.closed) == (True, True)


def test_one_reader() -> None:
    """Another, meanwhile, is told so."""
    ws, multiplexer = _loopback(_chunk(b"ab"))
    context = ws.send(**SETTINGS, transcript="Hello", context_id="a")

    def other() -> None:
        with pytest.raises(LocalProtocolError, match="one reader"):
            run(context.__anext__())

    multiplexer.meanwhile = other
    assert run(context.receive_batch()) == [AudioChunk(b"ab", "a")]


def test_arguments_are_checked_at_once() -> None:
    """Before anything is awaited."""
    ws, _ = _loopback()
    with pytest.raises(LocalProtocolError, match="empty"):
        ws.send(**SETTINGS, transcript="")
    with pytest.raises(LocalProtocolError, match="container raw"):
        ws.context(model_id="m", voice="v", output_format={"container": "mp3", "sample_rate": 1, "bit_rate": 1})
