"""One open WebSocket, on which any number of threads wait, and one of them reads for all.

This module knows a socket that never blocks, and how a thread waits on it, or for the one that does. It must not know
how the connection came about, what is said on it, nor who is to be woken: `Traffic` does. Names are looked up when they
are called, for gevent.

Everything here runs in a turn of one `Exclusion`, which ends where anybody waits: two threads inside one TLS object
crash the interpreter. Bytes leave as they are queued; what the socket does not take at once leaves while anybody waits.
"""

import contextlib
import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar, final

from cartesia_proto.traffic import NO_CONTEXT, Traffic
from cartesia_urllib.exclusion import Exclusion
from cartesia_urllib.sockets import socket_timeout

T = TypeVar("T")

MOST_READS: Final = 100
"""How often at most a socket is read before a context is opened: at 64 KiB each, that empties the largest buffer which
Linux gives one by itself (6 MiB, ``tcp_rmem``)."""

# SSL_ERROR_WANT_READ and SSL_ERROR_WANT_WRITE of OpenSSL, which TLS errors have for `errno`; as the system's own errors
# these numbers are a file that is not there and a process that is not there.
_WANT_READ: Final = 2
_WANT_WRITE: Final = 3
_WOULD_BLOCK: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, _WANT_READ, _WANT_WRITE})


@final
class Pump:
    """Moves bytes between a socket and a conversation. Each method is to be called in a turn.

    Args:
        turn: which turn.
        sock: connected, under TLS or not; it is closed once the conversation's link is.

    Attributes:
        traffic: the books; `flush` after telling them anything.
    """

    def __init__(self, turn: Exclusion, sock: socket.socket, traffic: Traffic) -> None:
        self.traffic: Traffic = traffic
        self._turn = turn
        self._blocked = False  # until the socket can be written to
        # Of those who wait; locked until they are called. Unlike a condition's, a signal handler can unlock that of the
        # very thread it interrupted.
        self._locks: dict[int, threading.Lock] = {}
        self._leader: int | None = None  # which thread waits on the socket just now
        self._leader_due = 0.0
        self._rung = False
        with contextlib.ExitStack() as stack:
            self._socket = stack.enter_context(sock)
            self._alarm, self._bell = (stack.enter_context(end) for end in socket.socketpair())
            self._selector = stack.enter_context(selectors.DefaultSelector())
            for end in (sock, self._alarm):
                end.settimeout(0)
                self._selector.register(end, selectors.EVENT_READ)
            self._resources: contextlib.ExitStack = stack.pop_all()

    def usable(self) -> bool:
        """Whether a context may be opened. Where none is open, what is readable is read first: it may be the end."""
        for _ in range(MOST_READS if self.traffic.conversation.idle else 0):
            if not self._read():
                break
        self.flush()
        return not self.traffic.conversation.over

    def wait(self, get: Callable[[], T | None], id: str = NO_CONTEXT) -> T:
        """What `get` answers once it is something; it is called in a turn, whenever there is news for `id`.

        When the connection has ended, it must answer.

        Raises:
            LocalProtocolError: this thread waits already: it was interrupted, and the one would wait for the other.
        """
        if (got := get()) is not None:
            return got
        me, called = threading.get_ident(), threading.Lock()
        self.traffic.join(me, id)
        self._locks[me] = called
        called.acquire()
        try:
            while (got := get()) is None:
                if self._leader is None and self.traffic.may_lead(me):
                    self._lead(me)
                else:
                    self._turn.outside(called.acquire)
                self.traffic.had_turn(me)
            return got
        finally:
            del self._locks[me]
            self._call(self.traffic.leave(me, led=self._leader is not None))

    def drain(self) -> None:
        """Send what is queued, and wait until it has left or the connection has ended."""
        target = self.flush()
        self.wait(lambda: self.traffic.has_left(target) or None)

    def flush(self) -> int:
        """Send what can be sent, and wake whom anything concerns; how many bytes are to have left in all."""
        target = self.traffic.queue(time.monotonic())
        self._write()
        if self._leader is not None and (self._blocked or self.traffic.due() < self._leader_due):
            self._ring()
        self._call(self.traffic.to_call())
        return target

    def abandon(self) -> None:
        """End every context and let go of the socket; a thread that waits on it does so when it has noticed."""
        self.traffic.close(time.monotonic())
        self.flush()
        self.traffic.fail(time.monotonic())
        self.flush()

    def close(self) -> None:
        """End every context and wait for the peer's goodbye, as long as is usual; then `abandon`."""
        try:
            self.traffic.close(time.monotonic())
            self.flush()
            self.wait(lambda: self.traffic.over or None)
        finally:
            self.abandon()

    def _lead(self, me: int) -> None:
        """Read; or do what is due; or wait."""
        if not self._read():
            now, due = time.monotonic(), self.traffic.due()
            if now < due:
                self._sleep(me, now, due)
            else:
                self.traffic.handle_due(now)
        self.flush()

    def _sleep(self, me: int, now: float, due: float) -> None:
        self._selector.modify(self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if self._blocked else 0))
        self._leader, self._leader_due = me, due
        try:
            self._turn.outside(lambda: self._selector.select(socket_timeout(due - now)))
        finally:
            self._leader = None
            if self._rung:
                self._alarm.recv(1)
                self._rung = False

    def _read(self) -> bool:
        """Read once; False if there is nothing to be read now."""
        if self.traffic.over:
            return False
        try:
            count = self._socket.recv_into(self.traffic.conversation.link.receive_space())
        except OSError as error:
            if error.errno in _WOULD_BLOCK:
                self._blocked = self._blocked or error.errno == _WANT_WRITE
                return False
            count = 0
        self.traffic.received(count, time.monotonic())
        return True

    def _write(self) -> None:
        self._blocked = False
        try:
            while self.traffic.unsent:
                self.traffic.sent(self._socket.send(self.traffic.unsent), time.monotonic())
        except OSError as error:
            self._blocked = error.errno in _WOULD_BLOCK and error.errno != _WANT_READ
            if error.errno not in _WOULD_BLOCK:
                while self._read():  # it may say why
                    pass
                self.traffic.fail(time.monotonic())

    def _call(self, threads: list[int]) -> None:
        """Wake threads, and close the socket once there is nothing more to do with it."""
        for thread in threads:
            if thread == self._leader:
                self._ring()
            elif self._locks[thread].locked():
                self._locks[thread].release()
        if self.traffic.over and self._leader is None:
            self._resources.close()

    def _ring(self) -> None:
        if not self._rung:
            self._rung = True
            self._bell.send(b"!")
