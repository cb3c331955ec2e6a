"""Sockets to a server: made by name, through a proxy, under TLS; and how another thread ends a wait on one.

This module knows addresses, the CONNECT tunnel and TLS, and which failure means what. It must not know HTTP beyond that
tunnel, nor pools, requests or retries. Every name that gevent patches is looked up when it is called.
"""

import builtins
import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, final

from attrs import define, field

from cartesia_proto.config import Limits
from cartesia_proto.errors import CartesiaError, ConnectionLost
from cartesia_proto.wire.exchange import could_not_connect, timed_out
from cartesia_proto.wire.link import LinkFailed
from cartesia_proto.wire.proxy import ConnectLink, Proxy

if TYPE_CHECKING:
    import ssl

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port, as `Request.origin` answers them."""

Connect: TypeAlias = Callable[[str, int], socket.socket]
"""A user's way to a connected, unencrypted socket."""

RECEIVE_SIZE: Final = 64 * 1024
"""Bytes asked of a socket at once; the usual receive buffer of a loopback or wide-area connection holds more."""

LONGEST_WAIT: Final = 1_000_000.0
"""Seconds (eleven days) from which on a timeout is none: the system's own clocks refuse values not far above."""


def socket_timeout(seconds: float) -> float | None:
    """A timeout as sockets take it; ``math.inf`` becomes None."""
    return None if seconds > LONGEST_WAIT else seconds


@final
class Interrupter:
    """Lets any thread end what one thread is blocked in: a delay, or a use of the attached socket.

    A use is a ``with`` block. While one lasts, an interruption shuts the descriptor down and the user closes the
    socket, because a TLS object must never be touched by two threads at once; otherwise the interruption closes it.
    """

    def __init__(self) -> None:
        # Reentrant, because a signal handler may interrupt the very thread that is attaching.
        self._lock = threading.RLock()
        self._event = threading.Event()
        self._socket: socket.socket | None = None
        self._in_use = False

    @property
    def interrupted(self) -> bool:
        """Whether `interrupt` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Begin nothing new after an interruption.

        Raises:
            ConnectionLost: it was interrupted.
        """
        if self.interrupted:
            raise ConnectionLost("the connection was closed from another thread")

    def attach(self, sock: socket.socket) -> None:
        """From now on it is this socket that is used."""
        with self._lock:
            self._socket = sock
            if self.interrupted:
                self._end()

    def detach(self) -> None:
        """Let go of the socket; call it before closing the socket, whose descriptor may then be another's."""
        with self._lock:
            self._socket = None

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

    def sleep(self, seconds: float) -> None:
        """Wait, unless interrupted."""
        self._event.wait(seconds)

    def interrupt(self) -> None:
        """End the present wait, and every later one. Never raises, from any thread."""
        with self._lock:
            self._event.set()
            self._end()

    def _end(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(OSError):  # it is not connected any more
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        if not self._in_use:
            self._socket.close()


@final
@define(eq=False, repr=False)
class Connector:
    """How one client makes its connections; used by all its threads.

    Attributes:
        proxy: speak through it, to http and https origins alike.
        ssl_context: None makes one that verifies, when it is first needed.
        local_address: the address to connect from.
        connect: makes the unencrypted connection in place of `socket.create_connection`.
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
        interrupter.check()
        with interrupter:
            return self._opened(origin, timeout, interrupter)

    def _opened(self, origin: Origin, timeout: float, interrupter: Interrupter) -> socket.socket:
        scheme, host, port = origin
        sock = self._connected(*((self.proxy.host, self.proxy.port) if self.proxy else (host, port)), timeout)
        try:
            interrupter.attach(sock)
            if self.proxy is not None:
                tunnel(sock, ConnectLink(self.proxy, host, port, timeout, self.limits, time.monotonic()))
            return self._secured(sock, host, port, timeout, interrupter) if scheme == "https" else sock
        except BaseException:
            interrupter.detach()
            sock.close()  # does nothing where TLS has taken it over
            raise

    def _connected(self, host: str, port: int, timeout: float) -> socket.socket:
        try:
            if self.connect is not None:
                sock = self.connect(host, port)
            else:
                source = None if self.local_address is None else (self.local_address, 0)
                sock = socket.create_connection((host, port), socket_timeout(timeout), source)
        except CartesiaError:  # a user's own connect may raise what it likes
            raise
        except builtins.TimeoutError as error:
            raise timed_out("connect", host, port, timeout) from error
        except (OSError, UnicodeError) as error:
            raise could_not_connect(host, port, error) from error
        sock.settimeout(socket_timeout(timeout))
        with contextlib.suppress(OSError):  # a user's socket need not be TCP
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _secured(
        self, sock: socket.socket, host: str, port: int, timeout: float, interrupter: Interrupter
    ) -> socket.socket:
        try:
            return self._agreed(sock, host, interrupter)
        except builtins.TimeoutError as error:
            raise timed_out("handshake", host, port, timeout) from error
        except (OSError, UnicodeError) as error:
            raise could_not_connect(host, port, error) from error
        except ValueError as error:  # a name that no certificate can hold
            raise could_not_connect(host, port, UnicodeError(str(error))) from error

    def _agreed(self, sock: socket.socket, host: str, interrupter: Interrupter) -> socket.socket:
        """The socket under TLS, which takes it over; on failure it is closed."""
        # A connection that ends without TLS's own farewell may have been cut by anybody, so it must show.
        secured = self._context().wrap_socket(
            sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        try:
            interrupter.attach(secured)
            secured.do_handshake()
        except BaseException:
            interrupter.detach()
            secured.close()
            raise
        return secured

    def _context(self) -> "ssl.SSLContext":
        import ssl  # noqa: PLC0415 - some Pythons have none, and plain connections need none

        with self._lock:
            if self.ssl_context is None:
                self.ssl_context = ssl.create_default_context()
                self.ssl_context.set_alpn_protocols(["http/1.1"])
            return self.ssl_context


def tunnel(sock: socket.socket, link: ConnectLink) -> None:
    """Let a proxy connect the socket to the origin.

    Raises:
        ConnectError: the proxy refused, closed the connection, or answered with something else.
        TimeoutError: it took too long; the phase is ``handshake``.
    """
    while (event := link.next_event()) is None:
        try:
            sock.sendall(link.data_to_send())
            data = sock.recv(RECEIVE_SIZE)
        except builtins.TimeoutError:
            link.handle_deadline(math.inf)
        except OSError:
            link.receive_eof(time.monotonic())
        else:
            link.receive_data(data, time.monotonic()) if data else link.receive_eof(time.monotonic())
    if isinstance(event, LinkFailed):
        raise event.error
