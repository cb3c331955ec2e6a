"""One thread at a time, never while anybody waits; and what to do for those who cannot wait for their turn.

This module knows locks. It must not know what they guard. A signal handler or a finaliser may interrupt the very thread
whose turn it is; waiting for that thread would last for ever, and going ahead would find everything half done. What is
asked of it then is left for the interrupted thread, which does it before its turn ends.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import final

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.traffic import NO_WAITING


@final
class Exclusion:
    """A turn is a ``with`` block. Taken again within itself, which only an interruption can do, it raises."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._taken = False
        self._left: deque[Callable[[], object]] = deque()

    def __enter__(self) -> None:
        """Begin a turn.

        Raises:
            LocalProtocolError: this thread was interrupted in the middle of one.
        """
        self._lock.acquire()
        if self._taken:
            self._lock.release()
            raise LocalProtocolError(NO_WAITING)
        self._taken = True

    def __exit__(self, *_: object) -> None:
        """Do what was left for this thread, and end the turn."""
        try:
            self._end()
        finally:
            self._lock.release()

    def soon(self, action: Callable[[], object]) -> bool:
        """Do something in a turn of its own; True if it is done, False if it was left for the interrupted thread."""
        with self._lock:
            self._left.append(action)
            if self._taken:
                return False
            self._end()
            return True

    def outside(self, wait: Callable[[], object]) -> None:
        """Wait between two turns: this one ends, another begins."""
        self.__exit__()
        try:
            wait()
        finally:
            self.__enter__()

    def _end(self) -> None:
        """More may be left at any moment until the lock is released, and an interruption after the turn does it all."""
        self._taken = False
        while self._left:
            self._taken = True
            try:
                if self._left:
                    self._left.popleft()()
            finally:
                self._taken = False
