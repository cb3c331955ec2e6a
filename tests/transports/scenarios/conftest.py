"""The three shells behind one blocking face, so that a scenario is written once.

`shell` makes clients: the blocking one as it is, the awaiting ones driven from outside on a loop of their own. It knows
the constructor of each shell and nothing else of it. What blocking code cannot say, cancelling, `awaiting` can.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import pickle
import signal
import socket
import ssl
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Generic, Literal, Never, Self, TypedDict, TypeVar, Unpack

import pytest
import trio

from cartesia_asyncio import AsyncCartesia as AsyncioCartesia
from cartesia_trio import AsyncCartesia as TrioCartesia
from cartesia_urllib import Cartesia
from tests.conftest import WAIT

if TYPE_CHECKING:
    from types import TracebackType

    from cartesia_proto.call import AsyncStream, Call, PageCall, Stream, StreamCall
    from tests.transports.conftest import Net, Server

T = TypeVar("T")
E = TypeVar("E")


class Defaults(TypedDict, total=False):
    """What `with_options` takes."""

    version: str | None
    timeout: float | None
    max_retries: int | None
    headers: Mapping[str, str] | None


class Options(Defaults, total=False):
    """What every shell's constructor takes, but for `connect`, which is each shell's own."""

    api_key: str | None
    token: str | None
    base_url: str | None
    ssl_context: ssl.SSLContext | None
    proxy: str | None
    local_address: str | None


Connect = Literal["theirs", "ours", "stuck", "nonsense", "failing", "narrow"]
"""How a client connects: by itself; by a function of ours, which notes what it is asked; by one that first hangs;
by one that answers with None; by one that raises `KeyError`; by one whose sockets are narrow, so soon full."""

NARROW: Final = 16 * 1024
"""Bytes of a socket's buffer that is soon full; Linux doubles it, for what it needs itself."""


class Client(ABC):
    """Any shell's client, seen from blocking code."""

    @property
    @abstractmethod
    def native(self) -> Cartesia | AsyncioCartesia | TrioCartesia:
        """The client itself."""

    @abstractmethod
    def call(self, call: Call[T], /) -> T:
        """Make one request."""

    @abstractmethod
    def stream(self, call: StreamCall[E], /) -> Stream[E]:
        """A stream not yet sent."""

    @abstractmethod
    def items(self, call: PageCall[T], /) -> list[T]:
        """Walk all pages."""

    @abstractmethod
    def with_options(self, **defaults: Unpack[Defaults]) -> Client:
        """The same connections, other defaults."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections."""


class Direct(Client):
    """The blocking client as it is."""

    def __init__(self, native: Cartesia) -> None:
        self._native = native

    @property
    def native(self) -> Cartesia:
        return self._native

    def call(self, call: Call[T], /) -> T:
        return self.native.call(call)

    def stream(self, call: StreamCall[E], /) -> Stream[E]:
        return self.native.call(call)

    def items(self, call: PageCall[T], /) -> list[T]:
        return list(self.native.call(call))

    def with_options(self, **defaults: Unpack[Defaults]) -> Client:
        return Direct(self.native.with_options(**defaults))

    def close(self) -> None:
        self.native.close()


class Loop(ABC):
    """A running event loop that blocking code sends coroutines to."""

    def __init__(self) -> None:
        self.start()

    @abstractmethod
    def start(self) -> None:
        """Start a loop; in a child process, another one for all that use this."""

    @abstractmethod
    def run(self, coroutine: Coroutine[object, Never, T]) -> T:
        """Run a coroutine to its end."""

    @abstractmethod
    def cancel(self, coroutine: Coroutine[object, Never, object], when: Callable[[], object]) -> None:
        """Run a coroutine, cancel it once a function run in a thread has returned; fails where it ends by itself."""

    @abstractmethod
    def cancel_first(self, coroutine: Coroutine[object, Never, object]) -> None:
        """Run a coroutine that is cancelled before it begins to wait."""

    @abstractmethod
    def close(self) -> None:
        """Stop the loop."""


class AsyncioLoop(Loop):
    """One asyncio loop, in a thread of its own."""

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="event loop")
        self._thread.start()

    def run(self, coroutine: Coroutine[object, Never, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(coroutine, WAIT), self._loop).result()

    def cancel(self, coroutine: Coroutine[object, Never, object], when: Callable[[], object]) -> None:
        async def cancelled() -> None:
            task = asyncio.create_task(coroutine)
            try:
                await asyncio.to_thread(when)
            finally:
                task.cancel()
                await asyncio.wait([task])
            assert task.cancelled(), f"the task was not cancelled: {task!r}"

        self.run(cancelled())

    def cancel_first(self, coroutine: Coroutine[object, Never, object]) -> None:
        async def cancelled() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await coroutine
                await asyncio.sleep(0)  # where the coroutine had nothing to wait for
            task.uncancel()

        self.run(cancelled())

    def close(self) -> None:
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT)
        self._loop.close()


class TrioLoop(Loop):
    """One trio run, in a thread of its own."""

    def start(self) -> None:
        self._tokens = SimpleQueue[trio.lowlevel.TrioToken]()
        self._thread = threading.Thread(target=trio.run, args=(self._main,), name="event loop")
        self._thread.start()
        self._token = self._tokens.get(timeout=WAIT)

    async def _main(self) -> None:
        self._stop = trio.Event()
        self._tokens.put(trio.lowlevel.current_trio_token())
        await self._stop.wait()

    def run(self, coroutine: Coroutine[object, Never, T]) -> T:
        async def bounded() -> T:
            with trio.fail_after(WAIT):
                return await coroutine

        return trio.from_thread.run(bounded, trio_token=self._token)

    def cancel(self, coroutine: Coroutine[object, Never, object], when: Callable[[], object]) -> None:
        async def work(scope: trio.CancelScope) -> None:
            with scope:
                await coroutine

        async def cancelled() -> None:
            scope = trio.CancelScope()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work, scope)
                try:
                    await trio.to_thread.run_sync(when)
                finally:
                    scope.cancel()
            assert scope.cancelled_caught, "the scope was not cancelled"

        self.run(cancelled())

    def cancel_first(self, coroutine: Coroutine[object, Never, object]) -> None:
        async def cancelled() -> None:
            with trio.CancelScope() as scope:
                scope.cancel()
                await coroutine
            assert scope.cancelled_caught, "no checkpoint"

        self.run(cancelled())

    def close(self) -> None:
        trio.from_thread.run_sync(self._stop.set, trio_token=self._token)
        self._thread.join(WAIT)
        assert not self._thread.is_alive()


class DrivenStream(Generic[E]):
    """An awaiting stream, driven from outside."""

    def __init__(self, native: AsyncStream[E], loop: Loop) -> None:
        self._native = native
        self._loop = loop

    def __enter__(self) -> Self:
        self._loop.run(self._native.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self._loop.run(self._native.__aexit__(kind, error, traceback))

    def __iter__(self) -> Iterator[E]:
        aiter(self._native)
        return self

    def __next__(self) -> E:
        try:
            return self._loop.run(self._native.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def receive_batch(self) -> Sequence[E]:
        """Everything that has arrived."""
        return self._loop.run(self._native.receive_batch())

    def close(self) -> None:
        """Close the stream."""
        self._loop.run(self._native.aclose())


class Driven(Client):
    """An awaiting client, driven from outside."""

    def __init__(self, native: AsyncioCartesia | TrioCartesia, loop: Loop) -> None:
        self._native = native
        self._loop = loop

    @property
    def native(self) -> AsyncioCartesia | TrioCartesia:
        return self._native

    def call(self, call: Call[T], /) -> T:
        return self._loop.run(self.native.call(call))

    def stream(self, call: StreamCall[E], /) -> Stream[E]:
        return DrivenStream(self.native.call(call), self._loop)

    def items(self, call: PageCall[T], /) -> list[T]:
        async def walk() -> list[T]:
            return [item async for item in self.native.call(call)]

        return self._loop.run(walk())

    def with_options(self, **defaults: Unpack[Defaults]) -> Client:
        return Driven(self.native.with_options(**defaults), self._loop)

    def close(self) -> None:
        self._loop.run(self.native.aclose())


class Shell(ABC):
    """Makes clients of one transport and closes them after the test.

    Attributes:
        asked: the hosts and ports that our own `connect` functions were called with.
        connecting: set when one of them is called.
        made: the descriptors of the sockets that one of them made narrow.
    """

    def __init__(self, net: Net) -> None:
        self._net = net
        self._clients: list[Client] = []
        self.asked: list[tuple[str, int]] = []
        self.connecting = threading.Event()
        self.made: list[int] = []

    def client(self, server: Server | None = None, how: Connect = "theirs", /, **options: Unpack[Options]) -> Client:
        """A client of a server, which trusts our authority and knows no proxy unless told otherwise."""
        given = Options(api_key="sk_car_test", timeout=WAIT, ssl_context=self._net.trust, proxy="")
        if server is not None:
            given["base_url"] = server.url
        self._clients.append(self._make(how, {**given, **options}))
        return self._clients[-1]

    def begin_anew(self) -> None:  # noqa: B027 - a shell without a loop need do nothing
        """Be usable in a child process."""

    def in_child(self, work: Callable[[], object]) -> object:
        """Fork, do something in the child and end it; answers with what came of it, or the error as text.

        It also ends, as everything of the child is collected, so that what warns of anything is an error.
        """
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # of Python 3.12 on: there are threads, which is the point
            child = os.fork()
        if not child:
            _be_child(self, work, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as said:
            result: object = pickle.loads(said.read())
        os.waitpid(child, 0)
        return result

    def _note(self, host: str, port: int, how: Connect) -> None:
        self.asked.append((host, port))
        self.connecting.set()
        if how == "failing":
            raise KeyError(host)

    def _narrow(self, sock: socket.socket | trio.SocketStream, how: Connect) -> None:
        """Let a socket take little, if it is to be so."""
        if how == "narrow":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, NARROW)
            self.made.append((sock if isinstance(sock, socket.socket) else sock.socket).fileno())

    @abstractmethod
    def _make(self, how: Connect, options: Options) -> Client:
        """A client of this shell."""

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.close()


def _be_child(shell: Shell, work: Callable[[], object], writing: int) -> Never:
    """Do what a child is for, say what came of it, and end without any of the parent's clean-up."""
    signal.alarm(math.ceil(WAIT))  # a hang ends the child, and so the test
    problems: list[object] = []
    sys.unraisablehook = lambda problem: problems.append(str(problem.exc_value))
    result: object
    try:
        shell.begin_anew()
        result = work()
        gc.collect()
    except BaseException as error:  # noqa: BLE001 - carried to the parent
        result = f"{type(error).__name__}: {error}"
    with os.fdopen(writing, "wb") as said:
        said.write(pickle.dumps(problems or result))
    os._exit(0)


class BlockingShell(Shell):
    """cartesia_urllib."""

    def _make(self, how: Connect, options: Options) -> Client:
        def ours(host: str, port: int) -> socket.socket:
            self._note(host, port, how)
            if how == "nonsense":
                return None  # type: ignore[return-value]  # pyright: ignore[reportReturnType]  # the mistake
            made = socket.create_connection((host, port), WAIT)
            self._narrow(made, how)
            return made

        return Direct(Cartesia(**options, connect=None if how == "theirs" else ours))


class AwaitingShell(Shell):
    """An awaiting shell, and the loop its clients live on."""

    def __init__(self, net: Net, loop: Loop) -> None:
        super().__init__(net)
        self.loop = loop

    def begin_anew(self) -> None:
        """Have another loop in a child process."""
        self.loop.start()

    def client(self, server: Server | None = None, how: Connect = "theirs", /, **options: Unpack[Options]) -> Driven:
        client = super().client(server, how, **options)
        assert isinstance(client, Driven)
        return client

    def close(self) -> None:
        with closing(self.loop):
            super().close()


class AsyncioShell(AwaitingShell):
    """cartesia_asyncio."""

    def _make(self, how: Connect, options: Options) -> Client:
        async def ours(host: str, port: int) -> socket.socket:
            self._note(host, port, how)
            if how == "stuck" and len(self.asked) == 1:
                await asyncio.Event().wait()
            if how == "nonsense":
                return None  # type: ignore[return-value]  # pyright: ignore[reportReturnType]  # the mistake
            made = socket.create_connection((host, port), WAIT)  # on the loopback interface this does not wait
            made.settimeout(0)
            self._narrow(made, how)
            return made

        return Driven(AsyncioCartesia(**options, connect=None if how == "theirs" else ours), self.loop)


class TrioShell(AwaitingShell):
    """cartesia_trio."""

    def _make(self, how: Connect, options: Options) -> Client:
        async def ours(host: str, port: int) -> trio.abc.Stream:
            self._note(host, port, how)
            if how == "stuck" and len(self.asked) == 1:
                await trio.sleep_forever()
            if how == "nonsense":
                return None  # type: ignore[return-value]  # pyright: ignore[reportReturnType]  # the mistake
            made = await trio.open_tcp_stream(host, port)
            self._narrow(made, how)
            return made

        return Driven(TrioCartesia(**options, connect=None if how == "theirs" else ours), self.loop)


@pytest.fixture(params=["urllib", "asyncio", "trio"])
def shell(request: pytest.FixtureRequest, net: Net) -> Iterator[Shell]:
    """Clients of each transport in turn."""
    with closing(BlockingShell(net) if request.param == "urllib" else _awaiting(request.param, net)) as made:
        yield made


@pytest.fixture(params=["asyncio", "trio"])
def awaiting(request: pytest.FixtureRequest, net: Net) -> Iterator[AwaitingShell]:
    """Clients of each awaiting transport in turn."""
    with closing(_awaiting(request.param, net)) as made:
        yield made


def _awaiting(name: str, net: Net) -> AwaitingShell:
    return AsyncioShell(net, AsyncioLoop()) if name == "asyncio" else TrioShell(net, TrioLoop())
