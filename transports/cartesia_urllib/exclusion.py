"""One thread at a time, never while anybody waits; and what to do for those who cannot wait for their turn.

This module knows locks. It must not know what they guard. A signal handler or a finaliser may interrupt the very thread
whose turn it is; waiting for that thread would last for ever, and going ahead would find everything half done. What is
asked of it then is left for the interrupted thread, which does it before its turn ends.

An exception out of a signal handler, such as KeyboardInterrupt, may strike anywhere. It leaves no lock held: locks are
taken by ``with`` alone, at which CPython handles no signals. What is left is that one which strikes within a turn may
cut short what is done there, one which strikes while work is being closed leaves that to the garbage collector, and one
which strikes at the end of a turn leaves what was left for this thread to the next turn.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar, cast, final

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.waiters import NO_WAITING, Waiters, Waiting

T = TypeVar("T")


@final
class Exclusion:
    """Gives turns. One within another, which only an interruption can ask for, is refused."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._taken = False
        self._left: deque[Callable[[], object]] = deque()

    def run(self, work: Waiting[T]) -> T:
        """What work comes to: each step of it is taken in a turn, each wait between two turns.

        Raises:
            LocalProtocolError: this thread was interrupted in the middle of a turn; nothing is done.
        """
        try:
            while True:
                self.turn(work.__next__)()
        except StopIteration as stop:
            return cast("T", stop.value)
        except BaseException:
            with contextlib.suppress(LocalProtocolError):  # no turn is to be had, and no step was taken
                self.turn(work.close)
            raise

    def turn(self, step: Callable[[], T]) -> T:
        """Take a step in a turn of its own, and do what was left for this thread meanwhile. Raises as `run`."""
        with self._lock:
            if self._taken:
                raise LocalProtocolError(NO_WAITING)
            try:
                self._taken = True
                return step()
            finally:
                self._taken = False
                self._catch_up()

    def soon(self, action: Callable[[], object]) -> None:
        """Do something in a turn of its own, or leave it for the thread that was interrupted in one."""
        self._left.append(action)
        with self._lock:
            if not self._taken:
                self._catch_up()

    def _catch_up(self) -> None:
        """More may be left at any moment until the lock is released, and an interruption after the turn does it all."""
        while self._left:
            self._taken = True
            try:
                if self._left:
                    self._left.popleft()()
            finally:
                self._taken = False


def waiters() -> Waiters:
    """Nobody yet; threads wait on locks."""
    return Waiters(threading.get_ident, threading.Lock)
