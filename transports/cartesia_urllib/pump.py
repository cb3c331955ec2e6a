"""One open WebSocket, on which any number of threads wait, and one of them reads for all.

This module knows a socket that never blocks, and how a thread waits on it. It must not know how the connection came
about, what is said on it, nor who waits and is woken: the core's `Traffic` and `Waiters` do. Names are looked up when
they are called, for gevent.

Everything here runs in a turn of one `Exclusion`, which ends where anybody waits: two threads inside one TLS object
crash the interpreter. Bytes leave as they are queued; what the socket does not take at once leaves while anybody waits.
While more and more arrives, the turn ends all the same from time to time.
"""

import contextlib
import errno
import selectors
import socket
import time
from collections.abc import Callable
from typing import Final, TypeVar, final

from cartesia_proto.traffic import Traffic
from cartesia_proto.waiters import NO_CONTEXT, Waiting
from cartesia_proto.wire.forks import FORKS
from cartesia_urllib.sockets import TLS_RECORD, WANT_READ, receive, socket_timeout

T = TypeVar("T")

# SSL_ERROR_WANT_WRITE, as WANT_READ; as the system's own error the number is a process that is not there.
_WANT_WRITE: Final = 3
_WOULD_BLOCK: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, WANT_READ, _WANT_WRITE})


PAUSE: Final = 0.0002
"""Seconds between two turns of a thread that has more to do: others wake up, who would find the lock taken again."""


@final
class Pump:
    """Moves bytes between a socket and a conversation. Each method is to be called in a turn.

    Args:
        sock: connected, under TLS or not; it is closed once the conversation's link is.

    Attributes:
        traffic: the books; `flush` after telling them anything.

    Raises:
        OSError: there are too many descriptors; the socket is closed.
    """

    def __init__(self, sock: socket.socket, traffic: Traffic) -> None:
        self.traffic: Traffic = traffic
        self._blocked = False  # until the socket can be written to
        self._asleep = False  # whether a thread waits on the socket just now
        self._sleeps_until = 0.0
        self._rung = False
        with contextlib.ExitStack() as stack:
            self._socket = stack.enter_context(sock)
            self._alarm, self._bell = (stack.enter_context(end) for end in socket.socketpair())
            self._selector = stack.enter_context(selectors.DefaultSelector())
            for end in (sock, self._alarm):
                end.settimeout(0)
                self._selector.register(end, selectors.EVENT_READ)
            self._resources: contextlib.ExitStack = stack.pop_all()
        FORKS.watch(self, Pump._disown)

    def wait(self, get: Callable[[], T | None], id: str = NO_CONTEXT) -> Waiting[T]:
        """What `get` answers once it is something; when the connection has ended, it must. See `Waiters.wait`."""
        return self.traffic.waiters.wait(get, id, self._lead, self._wake)

    def flush(self) -> int:
        """Send what can be sent; how many bytes are to have left in all."""
        target = self.traffic.queue(time.monotonic())
        self._write()
        if self._blocked or self.traffic.due() < self._sleeps_until:
            self._wake()
        if self.traffic.over and not self._asleep:
            self._resources.close()
        return target

    def read(self) -> bool:
        """Read what has arrived, or go on with it; False if there is nothing to be read now."""
        if self.traffic.over:
            return False
        if self.traffic.go_on(time.monotonic()):
            return True
        try:
            count = receive(self._socket, self.traffic.conversation.link.receive_space())
        except OSError as error:
            if error.errno in _WOULD_BLOCK:
                self._blocked = self._blocked or error.errno == _WANT_WRITE
                return False
            count = 0
        self.traffic.received(count, time.monotonic())
        return True

    def _disown(self) -> None:
        """Let go in a child process, by closing alone: the bell and what the selector looks at are its parent's too."""
        self._resources.close()
        self._asleep = False
        self.traffic.disown(time.monotonic())

    def _lead(self) -> Waiting[None]:
        """Read; or do what is due; or wait."""
        try:
            if self.traffic.turn_is_long():
                yield lambda: time.sleep(PAUSE)
                self.traffic.handle_overdue(time.monotonic())
            if not self.read():
                now, due = time.monotonic(), self.traffic.due()
                if now < due:
                    yield from self._sleep(now, due)
                else:
                    self.traffic.handle_due(now)
        finally:
            self.flush()

    def _sleep(self, now: float, due: float) -> Waiting[None]:
        self._selector.modify(self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if self._blocked else 0))
        self._asleep, self._sleeps_until = True, due
        try:
            yield lambda: self._selector.select(socket_timeout(due - now))
        finally:
            self._asleep = False
            if self._rung:
                self._alarm.recv(1)
                self._rung = False

    def _wake(self) -> None:
        if self._asleep and not self._rung:
            self._rung = True
            self._bell.send(b"!")

    def _write(self) -> None:
        self._blocked = False
        try:
            while self.traffic.unsent:
                # TLS tells of no byte of what it was given before all has left, so it is given a record at a time.
                with memoryview(self.traffic.unsent)[:TLS_RECORD] as piece:
                    count = self._socket.send(piece)
                self.traffic.sent(count, time.monotonic())
        except OSError as error:
            self._blocked = error.errno in _WOULD_BLOCK and error.errno != WANT_READ
            if error.errno not in _WOULD_BLOCK:
                while self.read():  # it may say why
                    pass
                self.traffic.fail(time.monotonic())
