"""Sockets to a server: made by name, through a proxy, under TLS; read and written for a byte link; interrupted.

This module knows how each step to a connection is done, how a blocking socket waits, and which failure means what. It
must not know HTTP, the order of the steps, nor pools or retries: the core does. Every name that gevent patches is
looked up when it is called.
"""

import builtins
import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, assert_never, cast, final

from attrs import define, field

from cartesia_proto import Attempt, ConnectionLost, Limits
from cartesia_proto.errors import Phase
from cartesia_proto.wire import steps
from cartesia_proto.wire.dialling import Race, SocketAddress
from cartesia_proto.wire.exchange import ByteLink, connection_broke, note_read, read_deadline, timed_out
from cartesia_proto.wire.forks import FORKS
from cartesia_proto.wire.proxy import Proxy

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


WANT_READ: Final = 2
"""SSL_ERROR_WANT_READ of OpenSSL, which TLS errors have for `errno`; as the system's it is a file that is not there."""


def socket_timeout(seconds: float) -> float | None:
    """A timeout as sockets take it; ``math.inf`` becomes None."""
    return None if seconds > LONGEST_WAIT else seconds


@final
class Interrupter:
    """Lets any thread end what one thread is blocked in: a delay, or a use of the attached sockets.

    A use is a ``with`` block. While one lasts, an interruption shuts the descriptors down and the user closes the
    sockets, because a TLS object must never be touched by two threads at once; otherwise the interruption closes them.

    Attributes:
        interrupted: whether it was.
        sockets: those that are attached; several only while it is not known which of them will connect.
    """

    def __init__(self) -> None:
        # A plain lock, held until then: a signal handler can release what its own thread waits for, which it cannot do
        # in the middle of an event's wait.
        self._bell = threading.Lock()
        self._bell.acquire()
        self.interrupted: bool = False
        self.sockets: tuple[socket.socket, ...] = ()
        self._begin_anew()
        FORKS.watch(self, Interrupter._begin_anew)

    def _begin_anew(self) -> None:
        """Nobody is at it: so at first, and in a child process, where whoever was is not."""
        # Reentrant, because a signal handler may interrupt the very thread that is attaching.
        self._lock = threading.RLock()
        self._in_use = False

    def check(self) -> None:
        """Begin nothing new after an interruption.

        Raises:
            ConnectionLost: it was interrupted.
        """
        if self.interrupted:
            raise ConnectionLost("the connection was closed from another thread")

    def attach(self, *sockets: socket.socket) -> None:
        """From now on it is these sockets that are used.

        None lets go of those there were: do so before closing them, because a descriptor may then be another's.
        """
        with self._lock:
            self.sockets = sockets
            for sock in sockets:
                FORKS.watch(sock, _drop)
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

    def close(self, *kept: socket.socket) -> None:
        """Let go of the sockets but those kept, and close them; for the thread that uses them."""
        gone = [sock for sock in self.sockets if sock not in kept]
        self.attach(*kept)
        for sock in gone:
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
        for sock in self.sockets:
            with contextlib.suppress(OSError):  # it is not connected any more
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            if not self._in_use:
                sock.close()


def _drop(sock: socket.socket) -> None:
    """Close the descriptor and no more, in a child process: a user's own kind of socket may have a goodbye to say.

    It is not detached: TLS would go on with the number, which the next connection gets.
    """
    socket.socket.close(sock)


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
        note_read(link, count, deadline, time.monotonic())


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
    _lock: threading.Lock = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Nobody is at it: so at first, and in a child process, where whoever was is not."""
        self._lock = threading.Lock()

    def open(self, attempt: Attempt, interrupter: Interrupter) -> socket.socket:
        """A socket on which the attempt can be made; `interrupter` holds it.

        Raises:
            ConnectError: name, TCP, proxy or TLS failed.
            TimeoutError: connecting (phase ``connect``) or agreeing with proxy or server (``handshake``) took too long.
            ConnectionLost: interrupted. In all cases no socket is left open.
        """
        interrupter.check()
        with interrupter:
            try:
                now, local = time.monotonic, self.local_address
                for step in steps.connecting(attempt, self.proxy, self.limits, now, local, self.connect):
                    with step:
                        self._take(step, interrupter)
                return interrupter.sockets[0]
            except BaseException:
                interrupter.close()
                raise

    def _take(self, step: steps.Step, interrupter: Interrupter) -> None:
        """Do what a step asks for."""
        match step:
            case steps.Prepare():
                import ssl  # noqa: PLC0415 - some Pythons have none, and plain connections need none

                with self._lock:
                    step.context = self.ssl_context = self.ssl_context or steps.own_context(ssl.create_default_context)
            case steps.LookUp():
                step.found = socket.getaddrinfo(step.host, step.port, type=socket.SOCK_STREAM)
            case steps.Dial():
                self._dial(step.race, interrupter)
            case steps.Own():
                interrupter.attach(step.call("settimeout", "recv_into", "fileno"))
                _send_at_once(interrupter.sockets[0])
            case steps.Send(link=link):
                flush(interrupter.sockets[0], link, (step.host, step.port), step.seconds, "handshake")
            case steps.Receive(link=link):
                read(interrupter.sockets[0], link)
            case steps.Secure():
                step.protocol = self._secure(step, interrupter)
            case _:
                assert_never(step)

    def _dial(self, race: Race, interrupter: Interrupter) -> None:
        """Attach a socket that is connected to the first address that answers; of the others, none is left open."""
        with selectors.DefaultSelector() as selector:
            while True:
                interrupter.check()
                if (address := race.next(time.monotonic())) is not None:
                    self._begin(race, address, interrupter, selector)
                    continue
                for key, _ in selector.select(socket_timeout(race.pause(time.monotonic()))):
                    interrupter.check()
                    sock = cast("socket.socket", key.fileobj)
                    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not number:
                        interrupter.close(sock)
                        _send_at_once(sock)
                        return
                    selector.unregister(sock)
                    interrupter.close(*(other for other in interrupter.sockets if other is not sock))
                    race.failed(key.data, OSError(number, os.strerror(number)))

    def _begin(
        self, race: Race, address: SocketAddress, interrupter: Interrupter, selector: selectors.BaseSelector
    ) -> None:
        """Begin an attempt, which may fail at once."""
        others = interrupter.sockets
        try:
            sock = socket.socket(socket.AF_INET6 if len(address) == 4 else socket.AF_INET, socket.SOCK_STREAM)
            interrupter.attach(*others, sock)
            sock.settimeout(0)
            if self.local_address is not None:
                sock.bind((self.local_address, 0))
            with contextlib.suppress(BlockingIOError):
                sock.connect(address)
            selector.register(sock, selectors.EVENT_WRITE, address)
        except OSError as error:
            interrupter.close(*others)
            race.failed(address, error)

    def _secure(self, step: steps.Secure, interrupter: Interrupter) -> str | None:
        """Put the socket under TLS, which takes it over; the protocol that was agreed on, if any."""
        # A connection that ends without TLS's own farewell may have been cut by anybody, so it must show.
        # Shut down just now, it would be left to the garbage collector by `ssl` (of Python 3.11 to 3.13).
        context: ssl.SSLContext = step.context
        wrap = partial(context.wrap_socket, do_handshake_on_connect=False, suppress_ragged_eofs=False)
        sock = interrupter.sockets[0]
        secured = interrupter.replace(lambda: wrap(sock, server_hostname=step.server_name))
        secured.settimeout(socket_timeout(step.seconds))
        secured.do_handshake()
        return secured.selected_alpn_protocol()


def _send_at_once(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # a user's socket need not be TCP
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
