"""What clients share, beside the calls that each has: configuration, WebSockets, and how one is made of another.

This module knows how a client is derived from another, and what its resources are. It must not know how anything
travels: each transport's own client, which stands on this, does. None of them imports with itself what carries a
request: that (h11, the sockets) costs a program's start more than a client, and comes with the first call.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Generic, Self, TypeVar, final

from cartesia_proto.api import Api
from cartesia_proto.call import AsyncStream, Awaiting, Blocking, C_co, Call, PageCall, Plan, Stream, StreamCall
from cartesia_proto.config import Config
from cartesia_proto.discretion import discreet
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.pages import AsyncPages, Page

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator
    from typing import Never

    from cartesia_proto.awaiting import AsyncTTSWebSocket
    from cartesia_proto.blocking import Multiplexer as BlockingMultiplexer
    from cartesia_proto.blocking import TTSWebSocket
    from cartesia_proto.conversation import WebSocketOptions
    from cartesia_proto.lines import Multiplexer as AwaitingMultiplexer
    from cartesia_proto.websocket_tts import WebSocketTTS

A = TypeVar("A")
B = TypeVar("B")
E = TypeVar("E")
T = TypeVar("T")


def check_ways_out(local_address: str | None, connect: object | None) -> None:
    """Refuse two ways of connecting at once.

    Raises:
        LocalProtocolError: a local address was given beside a function that makes the connections itself.
    """
    if local_address is not None and connect is not None:
        raise LocalProtocolError("local_address and connect exclude each other: let connect bind to the address itself")


def check_opener(**others: object) -> None:
    """Refuse other ways of connecting beside a user's own opener.

    Raises:
        LocalProtocolError: one of these arguments was given; the message names it.
    """
    for name, value in others.items():
        if value is not None:
            raise LocalProtocolError(f"{name} and opener exclude each other: how to connect is the opener's business")


@final
class PageList(Generic[T]):
    """A list not yet fetched: ``async for`` walks the items of all pages, ``await`` fetches the first page alone.

    Either may be done again, and fetches anew. Both raise what any call raises.

    Args:
        walk: makes a walk over the items from the first page on.
    """

    def __init__(
        self, client: Awaiting, call: PageCall[T], walk: Callable[[Awaiting, PageCall[T]], AsyncIterator[T]]
    ) -> None:
        self._client = client
        self._call = call
        self._walk = walk

    def __aiter__(self) -> AsyncIterator[T]:
        """Walk all items, fetching pages as they are reached."""
        return self._walk(self._client, self._call)

    def __await__(self) -> "Generator[object, Never, Page[T]]":
        """Fetch the first page."""
        return self._client.run_call(self._call.page()).__await__()


@final
class Shared(Generic[T]):
    """What a client and all that `with_options` made of it share: called for, and made at the first call.

    There is no lock that a signal handler or a fork could find held. Where threads come first at the same time, each
    makes one and all get the one that was kept: `dict.setdefault` is a single step. It is kept before anybody looks
    whether the client was closed meanwhile, and closing says so before it looks what is kept: one sees the other.

    Args:
        make: has no effect but its answer.
    """

    __slots__ = ("_closed", "_kept", "_make")

    def __init__(self, make: Callable[[], T]) -> None:
        self._closed = False
        self._kept: dict[None, T] = {}
        self._make = make

    def __call__(self) -> T:
        """The one there is.

        Raises:
            LocalProtocolError: the client is closed.
        """
        if not (self._kept or self._closed):
            self._kept.setdefault(None, self._make())
        if self._closed:
            raise LocalProtocolError("the client is closed: make another")
        return self._kept[None]

    def close(self) -> T | None:
        """From now on there is none; answers with the one there was, which is for the caller to close.

        Makes nothing. Idempotent, from any thread and any signal handler.
        """
        self._closed = True
        return self._kept.get(None)


class Client(Api[C_co]):
    """The base of every client that a transport makes.

    Args:
        config: holds for every request.
        random: chance in [0, 1).
    """

    __slots__ = ("_config", "_random")

    def __init__(self, config: Config, random: Callable[[], float]) -> None:
        super().__init__()
        self._config = config
        self._random = random

    @discreet
    def with_options(
        self,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """A client like this one with other defaults, on the same connections: closing either closes both.

        Args:
            timeout, max_retries, version: None keeps what holds here.
            headers: added to those sent with every request.

        Raises:
            LocalProtocolError: a value is malformed.
        """
        other = copy(self)
        other._config = self._config.with_options(  # noqa: SLF001 - of the same class
            timeout=timeout, max_retries=max_retries, version=version, headers=headers
        )
        return other


class BlockingClient(Client[Blocking]):
    """The base of every client whose answers are values."""

    __slots__ = ()

    @property
    def runner(self) -> Blocking:
        """The client itself."""
        return self

    @property
    def tts(self) -> "WebSocketTTS[Blocking, TTSWebSocket]":
        """Text to speech."""
        from cartesia_proto.websocket_tts import WebSocketTTS  # noqa: PLC0415 - on first access, as every resource

        return WebSocketTTS(self, self._websocket)

    def call(self, plan: Plan[B, object]) -> B:
        """Run any call: what ``client.voices.get(…)`` does with the value that ``Voices.get(…)`` makes.

        Raises:
            CartesiaError: the call's final error; the client stays usable.
            LocalProtocolError: the client is closed, or the call lacks something it needs.
            OSError: a file to be sent cannot be opened or read.
        """
        return plan.run_blocking(self)

    @abstractmethod
    def run_call(self, call: Call[T]) -> T:
        """Make one request and answer with its value. Raises as `call`."""

    @abstractmethod
    def run_stream(self, call: StreamCall[E]) -> Stream[E]:
        """Answer with a stream that has not been sent yet.

        Raises:
            LocalProtocolError: the client is closed, or the call lacks something it needs.
        """

    @abstractmethod
    def close(self) -> None:
        """Close every connection, those in use too: their calls and streams fail. Idempotent, from any thread.

        From now on every call raises `LocalProtocolError`.
        """

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    @abstractmethod
    def _multiplexer(self, options: "WebSocketOptions") -> "BlockingMultiplexer":
        """The connections of one WebSocket, none of which is made yet."""

    def _websocket(self, options: "WebSocketOptions") -> "TTSWebSocket":
        from cartesia_proto.blocking import TTSWebSocket  # noqa: PLC0415 - wsproto is not needed before

        return TTSWebSocket(self._multiplexer(options), self._config, self._random)


class AwaitingClient(Client[Awaiting]):
    """The base of every client whose answers are awaited."""

    __slots__ = ()

    @property
    def runner(self) -> Awaiting:
        """The client itself."""
        return self

    @property
    def tts(self) -> "WebSocketTTS[Awaiting, AsyncTTSWebSocket]":
        """Text to speech."""
        from cartesia_proto.websocket_tts import WebSocketTTS  # noqa: PLC0415 - on first access, as every resource

        return WebSocketTTS(self, self._websocket)

    def call(self, plan: Plan[object, A]) -> A:
        """Run any call: what ``client.voices.get(…)`` does with the value that ``Voices.get(…)`` makes."""
        return plan.run_awaiting(self)

    @abstractmethod
    def run_call(self, call: Call[T]) -> "Coroutine[object, Never, T]":
        """Make one request and answer with its value.

        Raises:
            CartesiaError: no usable answer came; the client stays usable, unless it is closed.
            OSError: a file to be sent cannot be opened or read.
        """

    @abstractmethod
    def run_stream(self, call: StreamCall[E]) -> AsyncStream[E]:
        """Answer with a stream that has not been sent yet.

        Raises:
            LocalProtocolError: the client is closed, there are no credentials, or the parameters do not fit the
                version.
        """

    @abstractmethod
    def run_pages(self, call: PageCall[T]) -> AsyncPages[T]:
        """Answer with a list that has not been fetched yet."""

    @abstractmethod
    def aclose(self) -> "Coroutine[object, Never, None]":
        """Close every connection at once, those of running calls and open streams too. Idempotent, never raises.

        Every later call on this client, or on one that shares its connections, raises `LocalProtocolError`.
        """

    def __aexit__(self, *_: object) -> "Coroutine[object, Never, None]":
        """Close."""
        return self.aclose()

    @abstractmethod
    def _multiplexer(self, options: "WebSocketOptions") -> "AwaitingMultiplexer":
        """The connections of one WebSocket, none of which is made yet."""

    def _websocket(self, options: "WebSocketOptions") -> "AsyncTTSWebSocket":
        from cartesia_proto.awaiting import AsyncTTSWebSocket  # noqa: PLC0415 - wsproto is not needed before

        another = partial(self._multiplexer, options)
        return AsyncTTSWebSocket(another(), self._config, self._random, another)
