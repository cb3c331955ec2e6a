"""One thread at a time, never while anybody waits; and what to do for those who cannot wait for their turn.

This module knows the order of turns. It must not know threads, nor what is done in a turn.

A signal handler or a finaliser may interrupt the very thread whose turn it is; waiting for that thread would last for
ever, and going ahead would find everything half done. What is asked of it then is left for the interrupted thread,
which does it before its turn ends.

An exception out of a signal handler, such as KeyboardInterrupt, may strike anywhere. It leaves no lock held: locks are
taken by ``with`` alone, which waits either till it has one or till it raises. Between two turns it costs nobody else
anything. Within one it may leave what is done there half done: then that is mended before anybody's next step. Work
that was interrupted is closed in a turn of its own, after a second interruption in whoever's turn is next.
"""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar, cast, final

from cartesia_proto.errors import CartesiaError, LocalProtocolError
from cartesia_proto.waiters import NO_WAITING, Waiting

T = TypeVar("T")


class InterruptedTurnError(LocalProtocolError):
    """A turn was asked for in the middle of one. Where nothing catches it, that one was cut short."""


@final
class Exclusion:
    """Gives turns. One within another, which only an interruption can ask for, is refused.

    Args:
        mend: makes good what a step may have left half done, which was cut short by anything but an error of its own
            (a CartesiaError): called in a turn, before any other step, perhaps twice.
        lock: a reentrant one.
    """

    def __init__(self, mend: Callable[[], object], lock: AbstractContextManager[object]) -> None:
        self._mend = mend
        self._lock = lock
        self._taken = False
        self._left: deque[Callable[[], object]] = deque()

    def run(self, work: Waiting[T]) -> T:
        """What work comes to: each step of it is taken in a turn, each wait between two turns.

        Raises:
            LocalProtocolError: this thread was interrupted in the middle of a turn; nothing is done.
        """
        try:
            while True:
                wait = self.turn(work.__next__)
                wait()
        except StopIteration as stop:
            return cast("T", stop.value)
        except BaseException:
            self.soon(work.close)
            raise

    def turn(self, step: Callable[[], T]) -> T:
        """Take a step in a turn of its own, and do what was left for this thread meanwhile. Raises as `run`."""
        with self._lock:
            if self._taken:
                raise InterruptedTurnError(NO_WAITING)
            self._catch_up()
            try:
                return self._take(step)
            finally:
                self._catch_up()

    def soon(self, action: Callable[[], object]) -> None:
        """Do something in a turn of its own, or leave it for the thread that was interrupted in one.

        Args:
            action: may be called again where it was interrupted. No other thread's turn may wait for this one's: two
                that do this to one another's turns, each in its own, wait for ever.
        """
        self._left.append(action)
        with self._lock:
            self._catch_up()

    def _take(self, step: Callable[[], T]) -> T:
        self._taken = True
        try:
            return step()
        except BaseException as error:
            if isinstance(error, InterruptedTurnError) or not isinstance(error, (StopIteration, CartesiaError)):
                self._left.appendleft(self._mend)
            raise
        finally:
            self._taken = False

    def _catch_up(self) -> None:
        """More may be left at any moment until the lock is released, and an interruption after the turn does it all."""
        while self._left and not self._taken:
            self._take(self._do_first)

    def _do_first(self) -> None:
        """Do it, and only then forget it."""
        if self._left:
            self._left[0]()
            self._left.popleft()
