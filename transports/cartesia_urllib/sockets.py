"""Sockets to a server: made by name, through a proxy, under TLS; read and written for a byte link; interrupted.

This module knows addresses, the CONNECT tunnel and TLS, how a blocking socket waits, and which failure means what. It
must not know HTTP, nor pools, requests or retries: links of the core do. Every name that gevent patches is looked up
when it is called.
"""

import builtins
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, final

from attrs import define, field

from cartesia_proto.config import Limits
from cartesia_proto.errors import CartesiaError, ConnectionLost, Phase
from cartesia_proto.wire.exchange import (
    ByteLink,
    connection_broke,
    could_not_connect,
    read_deadline,
    timed_out,
)
from cartesia_proto.wire.link import LinkFailed
from cartesia_proto.wire.proxy import Proxy
from cartesia_proto.wire.tunnel import ConnectLink

if TYPE_CHECKING:
    import ssl

SocketT = TypeVar("SocketT", bound=socket.socket)

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port, as `Request.origin` answers them."""

Connect: TypeAlias = Callable[[str, int], socket.socket]
"""A user's way to a connected, unencrypted socket."""

Place: TypeAlias = tuple[str, int]
"""Host and port."""

LONGEST_WAIT: Final = 1_000_000.0
"""Seconds (eleven days) from which on a timeout is none: the system's own clocks refuse values not far above."""

MOMENT: Final = 0.001
"""Seconds that a read is given at the least, so that what is readable is read before anything is said to be late."""

TLS_RECORD: Final = 16 * 1024
"""Bytes of a full record (RFC 8446 section 5.1): its sender had more to say, where a shorter one is all there was."""


def socket_timeout(seconds: float) -> float | None:
    """A timeout as sockets take it; ``math.inf`` becomes None."""
    return None if seconds > LONGEST_WAIT else seconds


@final
class Interrupter:
    """Lets any thread end what one thread is blocked in: a delay, or a use of the attached socket.

    A use is a ``with`` block. While one lasts, an interruption shuts the descriptor down and the user closes the
    socket, because a TLS object must never be touched by two threads at once; otherwise the interruption closes it.

    Attributes:
        interrupted: whether it was.
    """

    def __init__(self) -> None:
        # Reentrant, because a signal handler may interrupt the very thread that is attaching.
        self._lock = threading.RLock()
        # A plain lock, held until then: a signal handler can release what its own thread waits for, which it cannot do
        # in the middle of an event's wait.
        self._bell = threading.Lock()
        self._bell.acquire()
        self.interrupted: bool = False
        self._socket: socket.socket | None = None
        self._in_use = False

    def check(self) -> None:
        """Begin nothing new after an interruption.

        Raises:
            ConnectionLost: it was interrupted.
        """
        if self.interrupted:
            raise ConnectionLost("the connection was closed from another thread")

    def attach(self, sock: socket.socket | None) -> None:
        """From now on it is this socket that is used.

        None lets go of the one there was: do so before closing it, because its descriptor may then be another's.
        """
        with self._lock:
            self._socket = sock
            if self.interrupted:
                self._end()

    def replace(self, make: Callable[[], SocketT]) -> SocketT:
        """Attach the socket that takes over the one there is, which is not shut down while that is made.

        Raises:
            ConnectionLost: it was interrupted before.
        """
        with self._lock:
            self.check()
            sock = make()
            self.attach(sock)
        return sock

    def close(self) -> None:
        """Let go of the socket, if there is one, and close it; for the thread that uses it."""
        sock = self._socket
        self.attach(None)
        if sock is not None:
            sock.close()

    def __enter__(self) -> None:
        """Begin a use of the socket."""
        with self._lock:
            self._in_use = True

    def __exit__(self, *_: object) -> None:
        """End it."""
        with self._lock:
            self._in_use = False
            if self.interrupted:
                self._end()

    def pause(self, seconds: float) -> None:
        """Wait so long, or until it is interrupted; for the thread that uses it."""
        if not self.interrupted:
            self._bell.acquire(timeout=seconds)

    def interrupt(self) -> None:
        """End the present wait, and every later one. Never raises, from any thread."""
        with self._lock:
            self.interrupted = True
            with contextlib.suppress(RuntimeError):  # it is released already
                self._bell.release()
            self._end()

    def _end(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(OSError):  # it is not connected any more
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        if not self._in_use:
            self._socket.close()


def flush(sock: socket.socket, link: ByteLink, place: Place, seconds: float, phase: Phase = "write") -> bool:
    """Write all that a link has to send; False where the peer takes no more, of which the link tells when read.

    Raises:
        TimeoutError: a single write took longer than so many seconds.
    """
    rest = memoryview(link.data_to_send())
    try:
        sock.settimeout(socket_timeout(seconds))
        while rest:
            rest = rest[sock.send(rest) :]
    except builtins.TimeoutError as error:
        raise timed_out(phase, *place, seconds) from error
    except OSError:
        link.send_failed()
        return False
    return True


def receive(sock: socket.socket, space: memoryview) -> int:
    """Receive what fits; 0 at the end. TLS hands over one record at a time: behind a full one, all that are there.

    Only the first is waited for, by a socket that waits; what goes wrong behind it, the next call tells.

    Raises:
        OSError: as ``recv_into``, before anything is received.
    """
    count = sock.recv_into(space)
    if count == TLS_RECORD and hasattr(sock, "pending"):
        sock.settimeout(0)
        with contextlib.suppress(OSError):
            while count < len(space) and (more := sock.recv_into(space[count:])):
                count += more
    return count


def read(sock: socket.socket, link: ByteLink) -> None:
    """Feed a link once: with what arrived, with the end, or with the news that nothing came in time."""
    now = time.monotonic()
    deadline = read_deadline(link, now)
    try:
        sock.settimeout(socket_timeout(max(deadline - now, MOMENT)))
        count = receive(sock, link.receive_space())
    except builtins.TimeoutError:
        link.handle_deadline(deadline)
    except OSError:
        connection_broke(link, time.monotonic())
    else:
        now = time.monotonic()
        link.received(count, now) if count else link.receive_eof(now)


def feed(link: ByteLink, data: bytes) -> None:
    """Give a link what a read answered: no bytes are the end."""
    now = time.monotonic()
    link.receive_data(data, now) if data else link.receive_eof(now)


@final
@define(eq=False, repr=False)
class Connector:
    """How one client makes its connections; used by all its threads.

    Attributes:
        proxy: speak through it, to http and https origins alike.
        ssl_context: None makes one that verifies, when it is first needed.
        local_address: the address to connect from.
        connect: makes the unencrypted connection in place of this; it cannot be interrupted, nor can finding a name.
        limits: of them, `head` bounds a proxy's answer.
    """

    proxy: Proxy | None
    ssl_context: "ssl.SSLContext | None"
    local_address: str | None
    connect: Connect | None
    limits: Limits
    _lock: threading.Lock = field(factory=lambda: threading.Lock(), init=False)  # noqa: PLW0108 - looked up when called

    def open(self, origin: Origin, timeout: float, interrupter: Interrupter) -> socket.socket:
        """A socket on which the origin can be spoken to; `interrupter` holds it.

        Raises:
            ConnectError: name, TCP, proxy or TLS failed.
            TimeoutError: connecting (phase ``connect``) or agreeing with proxy or server (``handshake``) took too long.
            ConnectionLost: interrupted. In all cases no socket is left open.
        """
        place = origin[1:]
        interrupter.check()
        with interrupter:
            try:
                sock = self._connected(
                    (self.proxy.host, self.proxy.port) if self.proxy else place, timeout, interrupter
                )
                if self.proxy is not None:
                    link = ConnectLink(self.proxy, *place, timeout, self.limits, time.monotonic())
                    _tunnel(sock, link, place, timeout)
                return self._secured(sock, place, timeout, interrupter) if origin[0] == "https" else sock
            except BaseException:
                interrupter.close()
                raise

    def _connected(self, place: Place, timeout: float, interrupter: Interrupter) -> socket.socket:
        with _failing("connect", place, timeout):
            if self.connect is not None:
                sock = self.connect(*place)
                interrupter.attach(sock)
            else:
                sock = self._reached(place, timeout, interrupter)
        sock.settimeout(socket_timeout(timeout))
        with contextlib.suppress(OSError):  # a user's socket need not be TCP
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _reached(self, place: Place, timeout: float, interrupter: Interrupter) -> socket.socket:
        """The first address of a place that answers; as `socket.create_connection`, which cannot be interrupted."""
        found = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            interrupter.attach(sock)
            try:
                sock.settimeout(socket_timeout(timeout))
                if self.local_address is not None:
                    sock.bind((self.local_address, 0))
                sock.connect(address)
                return sock
            except OSError:
                interrupter.close()
                interrupter.check()
                if address == found[-1][-1]:
                    raise
        raise OSError("the name has no address")

    def _secured(self, sock: socket.socket, place: Place, timeout: float, interrupter: Interrupter) -> socket.socket:
        """The socket under TLS, which takes it over."""
        import ssl  # noqa: PLC0415 - some Pythons have none, and plain connections need none

        with self._lock:
            if self.ssl_context is None:
                self.ssl_context = ssl.create_default_context()
                self.ssl_context.set_alpn_protocols(["http/1.1"])
        with _failing("handshake", place, timeout):
            # A connection that ends without TLS's own farewell may have been cut by anybody, so it must show.
            # Shut down just now, it would be left to the garbage collector by `ssl` (of Python 3.11 to 3.13).
            wrap = partial(self.ssl_context.wrap_socket, do_handshake_on_connect=False, suppress_ragged_eofs=False)
            secured = interrupter.replace(lambda: wrap(sock, server_hostname=place[0]))
            secured.settimeout(socket_timeout(timeout))
            secured.do_handshake()
        return secured


@contextlib.contextmanager
def _failing(phase: Phase, place: Place, timeout: float) -> Generator[None, None, None]:
    """Say what the system's errors mean in this phase."""
    try:
        yield
    except CartesiaError:  # a user's own connect may raise what it likes
        raise
    except builtins.TimeoutError as error:
        raise timed_out(phase, *place, timeout) from error
    except (OSError, ValueError) as error:  # a name that cannot be asked for, or that no certificate can hold
        raise could_not_connect(*place, error) from error


def _tunnel(sock: socket.socket, link: ConnectLink, place: Place, timeout: float) -> None:
    """Let a proxy connect the socket to the origin, or raise why not."""
    flush(sock, link, place, timeout, "handshake")
    while (event := link.next_event()) is None:
        read(sock, link)
    if isinstance(event, LinkFailed):
        raise event.error
