"""A scripted server in a thread, in clear and over TLS, for everything that is tested over real sockets.

A script says what the server does on each connection, byte for byte; the server records what it was sent. Nothing here
knows the library. Nothing sleeps: every wait is for an event, and one that lasts `WAIT` seconds fails. After each test
everything that was opened must have been closed.

Test files see these names only while they are type-checked; at run time all of it reaches them as the fixture `net`.
"""

from __future__ import annotations

import gc
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from time import monotonic
from typing import Final, Generic, Never, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

import pytest
import trustme
from attrs import frozen

from tests.conftest import WAIT

T = TypeVar("T")


STILL: Final = 20
"""Looks at a thread, a millisecond apart, that must find it at the same instruction before it counts as waiting."""


LOOP: Final = "event loop"
"""The name of threads that run one."""


class ClientLeft(Exception):  # noqa: N818 - a state, not a kind of error
    """The client closed its end while the script expected more."""


@frozen
class Seen:
    """One request as it stood on the wire."""

    line: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The one value of a header; a header that stands twice fails."""
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None


class Connection:
    """The server's end of one connection, for the script that runs it in a thread of its own."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server = server
        self.socket = sock
        self._buffer = b""

    def _more(self) -> None:
        try:
            data = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        if not data:
            raise ClientLeft
        self._buffer += data

    def request(self) -> Seen:
        """Read one whole request and record it."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        line, *lines = head.decode("ascii").split("\r\n")
        fields = tuple((name, value.strip()) for name, _, value in (one.partition(":") for one in lines))
        length = int(Seen(line, fields, b"").header("content-length") or 0)
        while len(self._buffer) < length:
            self._more()
        seen = Seen(line, fields, self._buffer[:length])
        self._buffer = self._buffer[length:]
        self._server.note(seen)
        return seen

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self.socket.sendall(data)
        except (ConnectionError, ssl.SSLError):
            raise ClientLeft from None

    def answer(self, data: bytes) -> Seen:
        """Read one request, then send bytes as they are."""
        seen = self.request()
        self.send(data)
        return seen

    def wait_until_left(self) -> Never:
        """Wait for the client to close its end, whatever it sends until then."""
        while True:
            self._more()

    def finish(self) -> None:
        """End as a well-behaved server does: in TLS, say so first."""
        if isinstance(self.socket, ssl.SSLSocket):
            with suppress(OSError):
                self.socket.settimeout(0)
                self.socket.unwrap()
        self.close()

    def close(self) -> None:
        """Close without a word, in TLS too."""
        self.socket.close()


Script: TypeAlias = "Sequence[bytes] | Callable[[Connection], None]"
"""What a server does on one connection: answer request after request with these bytes, or whatever a function does.
Unless the function closes it, the connection then stays open until the client leaves."""


class Server:
    """A listening socket on the loopback interface; the nth connection runs the nth script.

    Attributes:
        requests: all requests of all connections, in the order they were complete.
        opened: connections accepted, with completed handshake or without.
    """

    def __init__(self, scripts: Sequence[Script], context: ssl.SSLContext | None) -> None:
        self._scripts = scripts
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [threading.Thread(target=self._accept)]
        self._open = 0
        self._problems: list[BaseException] = []
        self.opened = 0
        self.requests: list[Seen] = []
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self._threads[0].start()

    def note(self, seen: Seen) -> None:
        """Record a request."""
        with self._changed:
            self.requests.append(seen)
            self._changed.notify_all()

    def wait_until(self, what: Callable[[], bool]) -> None:
        """Wait for something about this server to become true."""
        with self._changed:
            assert self._changed.wait_for(what, WAIT), "waited in vain"

    def wait_for_requests(self, count: int) -> None:
        """Wait until this many requests have arrived in all."""
        self.wait_until(lambda: len(self.requests) >= count)

    def wait_until_opened(self, count: int) -> None:
        """Wait until this many connections have been accepted in all."""
        self.wait_until(lambda: self.opened >= count)

    def wait_until_left(self) -> None:
        """Wait until no connection is open."""
        self.wait_until(lambda: self._open == 0)

    def stop(self) -> None:
        """Wait until every client has left, stop listening, and fail where a script failed."""
        try:
            self.wait_until_left()
        finally:
            self._stopping = True
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), WAIT).close()
            for thread in self._threads:
                thread.join(WAIT)
            self._listener.close()
        assert not self._problems, self._problems

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._stopping:
                sock.close()
                return
            sock.settimeout(WAIT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what was sent has arrived
            with self._changed:
                self._open += 1
                self.opened += 1
                script = self._scripts[self.opened - 1] if self.opened <= len(self._scripts) else _unexpected
                self._changed.notify_all()
            thread = threading.Thread(target=self._run, args=(script, sock))
            self._threads.append(thread)
            thread.start()

    def _run(self, script: Script, sock: socket.socket) -> None:
        try:
            with closing(sock), suppress(ClientLeft, ConnectionError):
                self._serve(script, sock)
        except BaseException as problem:  # noqa: BLE001 - carried to the test
            self._problems.append(problem)
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def _serve(self, script: Script, sock: socket.socket) -> None:
        if self._context is not None:
            try:
                sock = self._context.wrap_socket(sock, server_side=True)
            except (ssl.SSLError, OSError):  # the client refused the certificate, or left
                return
        with closing(sock):
            connection = Connection(self, sock)
            if callable(script):
                script(connection)
            else:
                for data in script:
                    connection.answer(data)
            if sock.fileno() >= 0:
                connection.wait_until_left()


def _unexpected(connection: Connection) -> None:
    raise AssertionError("a connection more than the scenario has scripts for")


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Carry bytes one way until either end is gone, then end both."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _tunnel(connection: Connection) -> None:
    """The script of an honest proxy: wherever it is asked to, by CONNECT, or for each resource in absolute form."""
    asked = connection.request()
    method, target, _ = asked.line.split()
    host, _, port = (target if method == "CONNECT" else urlsplit(target).netloc).rpartition(":")
    with socket.create_connection((host, int(port)), WAIT) as origin:
        if method == "CONNECT":
            connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=_pump, args=(origin, connection.socket))
        back.start()
        if method == "CONNECT":
            _pump(connection.socket, origin)
        else:
            _forward(asked, connection, origin)
        back.join(WAIT)
    connection.close()


def _wait_until_blocked(thread: threading.Thread, but_in: str = "") -> None:
    """Wait until a thread waits, and so do the event loops that it may wait for: all of them sleep, and stand still.

    Args:
        but_in: the file of a test, in whose own code it does not wait.
    """
    places: list[list[tuple[int, int]]] = []
    end, pause = monotonic() + WAIT, threading.Event()
    while len(places) < STILL:
        assert monotonic() < end, "the thread never waited"
        pause.wait(0.001)
        assert thread.is_alive(), "the thread ended instead of waiting"
        every = [thread, *(other for other in threading.enumerate() if other.name == LOOP)]
        frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # the one way in
        place = [(id(frames[one.ident or 0]), frames[one.ident or 0].f_lasti) for one in every]
        still = places[-1:] in ([], [place]) and frames[thread.ident or 0].f_code.co_filename != but_in
        places = ([*places, place] if still else [place]) if all(map(_sleeps, every)) else []


def _sleeps(thread: threading.Thread) -> bool:
    """Whether a thread waits for something else than the processor, as far as can be known (proc(5))."""
    try:
        status = Path(f"/proc/self/task/{thread.native_id}/stat").read_text("utf-8")
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "S"


def _forward(asked: Seen, connection: Connection, origin: socket.socket) -> None:
    """Send requests on as the origin wants them, without what was meant for the proxy, until either end is gone."""
    with suppress(ClientLeft, OSError):
        while True:
            method, target, version = asked.line.split()
            fields = [f"{name}: {value}" for name, value in asked.fields if name.lower() != "proxy-authorization"]
            line = f"{method} {urlsplit(target)._replace(scheme='', netloc='').geturl()} {version}"
            origin.sendall("\r\n".join([line, *fields, "", ""]).encode("ascii") + asked.body)
            asked = connection.request()
    with suppress(OSError):
        origin.shutdown(socket.SHUT_RDWR)


class Job(Generic[T]):
    """What a thread of its own does."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - carried to whoever asks
            self._errors.append(error)

    def result(self) -> T:
        """What came of it."""
        self._thread.join(WAIT)
        assert not self._thread.is_alive(), "waited in vain"
        for error in self._errors:
            raise error
        return self._results[0]

    def wait_until_blocked(self) -> Self:
        """Wait until it waits."""
        _wait_until_blocked(self._thread)
        return self


class Net:
    """Servers for one test, in clear or over TLS."""

    def __init__(self, trust: ssl.SSLContext, context: ssl.SSLContext, secure: bool) -> None:
        self.trust = trust
        self.secure = secure
        self._context = context
        self._servers: list[Server] = []

    def serve(self, *scripts: Script) -> Server:
        """A server, in clear or over TLS as the test is run."""
        return self._start(scripts, self._context if self.secure else None)

    def serve_clear(self, *scripts: Script) -> Server:
        """A server in clear whatever the test is run with; a proxy, too."""
        return self._start(scripts, None)

    def serve_with(self, context: ssl.SSLContext, *scripts: Script) -> Server:
        """A server with a TLS context of its own."""
        return self._start(scripts, context)

    def proxy(self) -> Server:
        """A proxy that connects wherever it is asked to, once."""
        return self.serve_clear(self.tunnel)

    def _start(self, scripts: Sequence[Script], context: ssl.SSLContext | None) -> Server:
        self._servers.append(Server(scripts, context))
        return self._servers[-1]

    def close(self) -> None:
        """Stop all servers; fails where a connection is left open."""
        with ExitStack() as stack:
            for server in self._servers:
                stack.callback(server.stop)

    tunnel = staticmethod(_tunnel)
    wait_until_blocked = staticmethod(_wait_until_blocked)

    @staticmethod
    def start(work: Callable[[], T]) -> Job[T]:
        """Do something in a thread of its own."""
        return Job(work)

    @staticmethod
    def response(status: int, body: bytes = b"", *fields: str) -> bytes:
        """A whole response with its length."""
        head = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *fields, "", ""]
        return "\r\n".join(head).encode("ascii") + body

    @staticmethod
    def unused_port() -> int:
        """A port nobody listens on."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
            return port


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts unless told to."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """TLS for servers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]  # OpenSSL
    return context


@pytest.fixture(scope="session")
def trust(authority: trustme.CA) -> ssl.SSLContext:
    """TLS for clients that trust the authority and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]  # OpenSSL
    return context


@pytest.fixture(params=["clear", "tls"])
def net(
    request: pytest.FixtureRequest,
    trust: ssl.SSLContext,
    server_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Net]:
    """Servers, in clear and over TLS; after the test, everything that was opened must have been closed."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "cartesia_api_key", "cartesia_base_url"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    net = Net(trust, server_context, request.param == "tls")
    gc.freeze()  # what was there before need not be looked at after each test
    try:
        with closing(net):
            yield net
        gc.collect()  # a socket that was forgotten instead of closed warns here, and a warning is an error
    finally:
        gc.unfreeze()
