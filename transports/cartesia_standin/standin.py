"""The stand-in as a server in a thread, for tests and for trying things out.

This module knows the thread, the event loop in it and the listening socket on 127.0.0.1. It must not know what is
answered. One event loop thread serves all connections.
"""

import asyncio
import socket
import ssl
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Final, Self, final

from cartesia_proto.errors import LocalProtocolError
from cartesia_standin.application import ACCESS_TOKEN, ANY_KEY, Application
from cartesia_standin.connection import Connection, ReceivedRequest
from cartesia_standin.faults import Fault, FaultQueue

HOST: Final = "127.0.0.1"
"""The only address the stand-in listens on."""

MAX_PORT: Final = 65535
"""RFC 9293 section 3.1."""


@final
class StandIn:
    """A stand-in for the Cartesia service: a development server, never the real voice.

    A context manager: it listens once entered and is gone when left. All attributes may be used from any thread.

        with StandIn() as server:
            client = Cartesia(api_key=server.api_key, base_url=server.base_url)
            server.script(Status(429, {"Retry-After": "0"}))
            ...
            assert server.requests[-1].method == "POST"

    Args:
        port: 0 takes any that is free.
        key: the one API key that is right; None accepts every well-formed one, and every access token.
        ssl_context: for TLS, with a certificate for 127.0.0.1; None serves in clear.

    Raises:
        LocalProtocolError: the key is no API key (the message does not show it), or the port is no port.
        OSError: on entering, where the port is taken.
    """

    def __init__(self, *, port: int = 0, key: str | None = None, ssl_context: ssl.SSLContext | None = None) -> None:
        if not 0 <= port <= MAX_PORT:
            raise LocalProtocolError(f"port {port} must be from 0 to {MAX_PORT}")
        self._application = Application(key)
        self._port = port
        self._key = key
        self._ssl_context = ssl_context
        self._faults = FaultQueue()
        self._requests: list[ReceivedRequest] = []
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    # What a test uses.

    @property
    def base_url(self) -> str:
        """Where it is reached, such as ``http://127.0.0.1:8765``; the port is known once it was entered."""
        return f"{'http' if self._ssl_context is None else 'https'}://{HOST}:{self._port}"

    @property
    def api_key(self) -> str:
        """An API key that is accepted."""
        return ANY_KEY if self._key is None else self._key

    @property
    def access_token(self) -> str:
        """An access token that is accepted."""
        return ACCESS_TOKEN

    def script(self, *faults: Fault | None) -> None:
        """Let requests to come go wrong, one for each fault, in order; None lets one pass."""
        self._faults.add(faults)

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Every request so far, in the order they were complete; recorded before they are answered."""
        return tuple(self._requests)

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._connections

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._tasks)

    # Its life.

    def __enter__(self) -> Self:
        """Listen. A stand-in can be entered once."""
        if self._thread is not None:
            raise RuntimeError("a stand-in can be entered only once: make another")
        listening: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(listening,), name="cartesia-standin", daemon=True)
        self._thread.start()
        try:
            self._port = listening.result()
        except OSError:
            self._thread.join()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Drop every connection and stop listening."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _run(self, listening: "Future[int]") -> None:
        asyncio.run(self._serve(listening))

    async def _serve(self, listening: "Future[int]") -> None:
        """Listen, until told to stop. Every accepted socket belongs to a task at once, so that none can be lost."""
        try:
            listener = socket.create_server((HOST, self._port))
        except OSError as error:
            listening.set_exception(error)
            return
        listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listener, self._accept, listener)
        listening.set_result(listener.getsockname()[1])
        await self._stop.wait()
        self._loop.remove_reader(listener)
        listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:  # the client has left again, or there are too many
            return
        sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._connections += 1
        task = asyncio.get_running_loop().create_task(self._converse(sock, self._connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: sock.close())

    async def _converse(self, sock: socket.socket, number: int) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=self._ssl_context)
        except OSError:  # no TLS came about
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        await Connection(number, reader, writer, self._application, self._faults, self._requests.append).run()
