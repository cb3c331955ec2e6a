"""The stand-in as a server in a thread, for tests and for trying things out.

This module knows the thread, the event loop in it and the listening socket on 127.0.0.1. It must not know what is
answered. One event loop thread serves all connections.
"""

import asyncio
import math
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Final, Self, final

from cartesia_proto.config import check_timeout
from cartesia_proto.errors import LocalProtocolError
from cartesia_standin.application import ACCESS_TOKEN, ANY_KEY, Application, SocketRules
from cartesia_standin.connection import Connection, ReceivedRequest, Records
from cartesia_standin.faults import Fault, FaultQueue
from cartesia_standin.websocket import ReceivedMessage

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
        context_expiry: seconds without anything to say after which an open context is done; ``math.inf`` for never.
        idle_timeout: seconds without a message after which a WebSocket is closed; pings do not count.
        max_contexts, max_sockets: how many each key may have open at once; more are refused with 429. None is any.

    Raises:
        LocalProtocolError: the key is no API key (the message does not show it), the port is no port, a time is not
            above zero, a limit is no count, or `ssl_context` is none for servers.
        OSError: on entering, where the port is taken.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        key: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        context_expiry: float = math.inf,
        idle_timeout: float = 300.0,
        max_contexts: int | None = None,
        max_sockets: int | None = None,
    ) -> None:
        if port not in range(MAX_PORT + 1):
            raise LocalProtocolError(f"port {port!r} must be an integer from 0 to {MAX_PORT}")
        expiry, idle = check_timeout(context_expiry), check_timeout(idle_timeout)
        for name, limit in (("max_contexts", max_contexts), ("max_sockets", max_sockets)):
            _check_limit(name, limit)
        _check_tls(ssl_context)
        self._application = Application(key, SocketRules(expiry, idle, max_contexts, max_sockets))
        self._port = port
        self._key = key
        self._ssl_context = ssl_context
        self._faults = FaultQueue()
        self._change = threading.Condition()
        self._records = Records(self._note_change)
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
        """Let requests to come go wrong, one for each fault, in order; None lets one pass.

        Raises:
            LocalProtocolError: one of them is no fault; none was taken. (A fault whose attributes make no sense is
                refused where it is made.)
        """
        self._faults.add(faults)

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Every request so far, in the order they were complete; recorded before they are answered."""
        return tuple(self._records.requests)

    @property
    def messages(self) -> tuple[ReceivedMessage, ...]:
        """Every message that came on a WebSocket so far; recorded when it has taken effect."""
        return tuple(self._records.messages)

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._connections

    @property
    def open_connections(self) -> int:
        """How many connections are open now, those that became WebSockets included."""
        return len(self._tasks)

    @property
    def open_contexts(self) -> int:
        """How many contexts are open now, on all WebSockets."""
        return self._application.contexts.total

    def wait_until(self, what: Callable[[], bool], timeout: float = 10.0) -> None:
        """Wait for something here to become true, such as ``lambda: not server.open_contexts``.

        Args:
            what: asked again whenever anything above has changed.
            timeout: seconds.

        Raises:
            TimeoutError: it did not in time.
        """
        with self._change:
            if not self._change.wait_for(what, timeout):
                raise TimeoutError(f"waited in vain for {timeout:g} seconds")

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
        except BaseException:
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
        try:
            asyncio.run(self._serve(listening))
        except BaseException as error:
            if listening.done():
                raise
            listening.set_exception(error)  # it is raised where somebody waits for it

    async def _serve(self, listening: "Future[int]") -> None:
        """Listen, until told to stop. Every accepted socket belongs to a task at once, so that none can be lost."""
        listener = socket.create_server((HOST, self._port))
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
        task.add_done_callback(lambda _: self._note_change())
        self._note_change()

    def _note_change(self) -> None:
        with self._change:
            self._change.notify_all()

    async def _converse(self, sock: socket.socket, number: int) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=self._ssl_context)
        except OSError:  # no TLS came about
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        await Connection(number, reader, writer, self._application, self._faults, self._records).run()


def _check_limit(name: str, limit: object) -> None:
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
        raise LocalProtocolError(f"{name} must be a count or None, not {limit!r}")


def _check_tls(context: object) -> None:
    """Refuse what would only fail when the first client connects."""
    if context is not None and (not isinstance(context, ssl.SSLContext) or context.protocol == ssl.PROTOCOL_TLS_CLIENT):
        raise LocalProtocolError("ssl_context must be an ssl.SSLContext for servers (PROTOCOL_TLS_SERVER), or None")
