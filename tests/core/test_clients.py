"""What clients share: how one is derived from another, and what hangs on it."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Never, TypeVar, final

import pytest

from cartesia_proto.api import Status
from cartesia_proto.api.voices import Voices
from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.awaiting import AsyncTTSWebSocket, AsyncTTSWebSocketContext
from cartesia_proto.blocking import Ready, Taking, TTSWebSocket, TTSWebSocketContext
from cartesia_proto.blocking import Saying as BlockingSaying
from cartesia_proto.call import AsyncStream, Awaiting, Call, PageCall, Stream, StreamCall
from cartesia_proto.clients import AwaitingClient, BlockingClient, PageList, Shared, check_opener, check_ways_out
from cartesia_proto.config import Config
from cartesia_proto.contexts import Alone
from cartesia_proto.conversation import TTSConversation, WebSocketOptions
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.lines import Saying, Step
from cartesia_proto.pages import AsyncPages
from cartesia_proto.testing import half

E = TypeVar("E")
T = TypeVar("T")


class _AskedError(Exception):
    """The client was asked to do this."""


@final
class _Multiplexer:
    """One that does nothing."""

    async def run(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError

    async def say(
        self, id: str, ready: Callable[[], TTSConversation | None], say: Saying, check: Callable[[], None]
    ) -> None:
        raise NotImplementedError

    async def change(self, change: Callable[[float], set[str]]) -> None:
        raise NotImplementedError

    async def next(self, id: str, take: Callable[[], T | None], alone: Alone, first: Step[None] | None) -> T:
        raise NotImplementedError

    async def at_hand(self, taken: deque[T], alone: Alone, otherwise: Step[T]) -> T:
        raise NotImplementedError

    async def in_steps(self, steps: Awaitable[T]) -> T:
        raise NotImplementedError


@final
class _Client(AwaitingClient):
    """One that says what it is asked.

    Attributes:
        closed: how often it was.
    """

    __slots__ = ("closed", "connections", "options")

    def __init__(self, config: Config) -> None:
        super().__init__(config, half)
        self.closed = 0
        self.connections = object()
        self.options: list[WebSocketOptions] = []

    @property
    def config(self) -> Config:
        """What holds for its calls."""
        return self._config

    def run_call(self, call: Call[T]) -> Coroutine[object, Never, T]:
        raise _AskedError(call)

    def run_stream(self, call: StreamCall[E]) -> AsyncStream[E]:
        raise _AskedError(call)

    def run_pages(self, call: PageCall[T]) -> AsyncPages[T]:
        raise _AskedError(call)

    async def aclose(self) -> None:
        self.closed += 1

    def _multiplexer(self, options: WebSocketOptions) -> _Multiplexer:
        self.options.append(options)
        return _Multiplexer()


@final
class _BlockingMultiplexer:
    """One that does nothing."""

    def connect(self) -> None:
        raise NotImplementedError

    def run(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def say(self, id: str, ready: Ready, say: BlockingSaying, check: Callable[[], None]) -> None:
        raise NotImplementedError

    def change(self, change: Callable[[float], set[str]]) -> None:
        raise NotImplementedError

    def next(self, id: str, take: Taking[T], alone: Alone, first: Callable[[], None] | None) -> T:
        raise NotImplementedError


@final
class _BlockingClient(BlockingClient):
    """One that says what it is asked.

    Attributes:
        closed: how often it was.
    """

    __slots__ = ("closed", "options")

    def __init__(self, config: Config) -> None:
        super().__init__(config, half)
        self.closed = 0
        self.options: list[WebSocketOptions] = []

    def run_call(self, call: Call[T]) -> T:
        raise _AskedError(call)

    def run_stream(self, call: StreamCall[E]) -> Stream[E]:
        raise _AskedError(call)

    def close(self) -> None:
        self.closed += 1

    def _multiplexer(self, options: WebSocketOptions) -> _BlockingMultiplexer:
        self.options.append(options)
        return _BlockingMultiplexer()


def test_a_blocking_client() -> None:
    """It is its own runner, leaving it closes it, its WebSockets have its version and chance."""
    with _BlockingClient(Config(version="2024-06-10")) as client:
        assert client.runner is client
        assert client.voices.runner is client
        call: Call[Status] = _BlockingClient.status()
        with pytest.raises(_AskedError) as caught:
            client.call(call)
        assert caught.value.args == (call,)
        ws = client.with_options(timeout=5.0).tts.websocket(inbox_limit=5)
        assert isinstance(ws, TTSWebSocket)
        assert client.options == [WebSocketOptions(inbox_limit=5)]
        context = ws.context(model_id="m", voice="v", output_format=RawFormat("pcm_s16le", 8000))
        assert isinstance(context, TTSWebSocketContext)
        assert context.id == "80008000-8000-4000-8000-800080008000"
        assert client.closed == 0
    assert client.closed == 1


def test_a_client_is_its_own_runner() -> None:
    """Its resources run their calls on it."""
    client = _Client(Config())
    assert client.runner is client
    assert client.voices.runner is client
    call: Call[Status] = _Client.status()
    with pytest.raises(_AskedError) as caught:
        _ = client.call(call)
    assert caught.value.args == (call,)
    with pytest.raises(_AskedError) as caught:
        _ = client.voices.list()
    assert caught.value.args == (Voices.list(),)


def test_leaving_an_awaiting_client() -> None:
    """It is closed."""
    client = _Client(Config())
    with pytest.raises(StopIteration):
        client.__aexit__(None, None, None).__await__().__next__()
    assert client.closed == 1


def test_other_defaults_on_the_same_connections() -> None:
    """What is not given stays; the first client is as it was."""
    client = _Client(Config(timeout=5.0))
    other = client.with_options(max_retries=0, version="2025-04-16", headers={"X-A": "1"})
    assert type(other) is _Client
    assert (other.config.timeout, other.config.max_retries, other.config.version) == (5.0, 0, "2025-04-16")
    assert other.config.headers.get("x-a") == "1"
    assert other.connections is client.connections
    assert client.config == Config(timeout=5.0)
    with pytest.raises(LocalProtocolError, match="max_retries"):
        client.with_options(max_retries=-1)


def test_a_websocket() -> None:
    """Its options reach the transport, its contexts have the client's version and chance."""
    client = _Client(Config(version="2024-06-10"))
    ws = client.tts.websocket(inbox_limit=5)
    assert isinstance(ws, AsyncTTSWebSocket)
    assert client.options == [WebSocketOptions(inbox_limit=5)]
    context = ws.context(model_id="m", voice="v", output_format=RawFormat("pcm_s16le", 8000))
    assert isinstance(context, AsyncTTSWebSocketContext)
    assert context.id == "80008000-8000-4000-8000-800080008000"


def test_what_is_shared_is_made_once() -> None:
    """Not before it is asked for; those who come first at the same time get the same one."""
    made: list[object] = []

    def make() -> object:
        one = object()
        made.append(one)
        if len(made) == 1:  # another comes meanwhile: a thread, or a signal handler
            assert shared() is made[1]
        return one

    shared: Shared[object] = Shared(make)
    assert not made
    assert [shared(), shared()] == [made[1]] * 2
    assert len(made) == 2


def test_what_is_shared_is_closed() -> None:
    """Whoever closes gets what there is to be closed, and nobody anything later."""
    shared: Shared[object] = Shared(object)
    one = shared()
    for _ in range(2):
        assert shared.close() is one
        with pytest.raises(LocalProtocolError, match="the client is closed: make another"):
            shared()


def test_what_is_shared_is_closed_before_it_is_made() -> None:
    """Then it never is."""
    made: list[int] = []
    shared: Shared[None] = Shared(lambda: made.append(1))
    for _ in range(2):
        assert shared.close() is None
        with pytest.raises(LocalProtocolError, match="the client is closed: make another"):
            shared()
    assert not made


def test_what_is_shared_is_closed_while_it_is_made() -> None:
    """By another thread or a signal handler: nobody gets it."""

    def make() -> object:
        assert shared.close() is None
        return object()

    shared: Shared[object] = Shared(make)
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="the client is closed: make another"):
            shared()


def test_a_list_of_pages() -> None:
    """Iterating it begins a walk, each time anew; awaiting it fetches the first page."""
    client = _Client(Config())
    call = Voices.list()
    walks: list[tuple[Awaiting, object]] = []

    async def walk(client: Awaiting, call: PageCall[T]) -> AsyncIterator[T]:
        walks.append((client, call))
        return
        yield

    pages = PageList(client, call, walk)
    for number in range(2):
        with pytest.raises(StopAsyncIteration):
            aiter(pages).__anext__().__await__().__next__()
        assert walks[number] == (client, call)
    with pytest.raises(_AskedError) as caught:
        pages.__await__()
    assert caught.value.args == (call.page(),)


def test_an_opener_and_ways_out() -> None:
    """An opener connects by itself; the message names what excludes it."""
    check_opener(proxy=None, connect=None)
    with pytest.raises(LocalProtocolError, match="proxy and opener exclude each other"):
        check_opener(connect=None, proxy="")


def test_two_ways_out() -> None:
    """They exclude each other; either alone is fine."""
    with pytest.raises(LocalProtocolError, match="local_address and connect"):
        check_ways_out("127.0.0.1", print)
    check_ways_out("127.0.0.1", None)
    check_ways_out(None, print)
