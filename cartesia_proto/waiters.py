"""Threads that wait for the same thing, one of which does the work for all: who leads, and who is to be woken.

This module keeps the books and knows the order of things. It must not know locks, clocks, or what is waited for: a
thread is a number to it, which waits on a bell; and it never waits itself, but yields what is to be waited for.

Theory of operation. All is done in turns, one thread at a time; to yield is to leave the turn, and to wait outside it.
Who waits and finds nobody leading leads: it works until there is something for it, and what it finds for others wakes
them. While nobody leads, one of those who wait has been called: it will lead, or leave and so call the next. A leader
steps back while somebody who was called has not had a turn, so that each gets one even while more keeps coming.
"""

from collections.abc import Callable, Collection, Generator
from typing import Final, Protocol, TypeAlias, TypeVar, final

from attrs import define

from cartesia_proto.errors import LocalProtocolError

T = TypeVar("T")

NO_CONTEXT: Final = ""
"""What those wait for who wait for no context: for their bytes to leave, for a connection, or for its end."""

NO_WAITING: Final = "this thread was interrupted where it used the WebSocket: it may cancel and close now, nothing else"
"""What a signal handler or a finaliser is told that would have to wait for the thread it runs in."""

Wait: TypeAlias = Callable[[], object]
"""Waits, when it is called."""

Waiting: TypeAlias = Generator[Wait, None, T]
"""Comes to something in steps, between which it has what it yields called. It is closed where that raises."""


class Bell(Protocol):
    """A lock, as `threading` has them. Unlike a condition's, a signal handler can unlock that of its own thread."""

    def acquire(self) -> object:
        """Lock it; wait while it is locked."""
        ...

    def release(self) -> None:
        """Unlock it."""
        ...

    def locked(self) -> bool:
        """Whether it is locked."""
        ...


@define(eq=False)
class _Waiter:
    """A thread that waits, until it is woken, for what has an id."""

    id: str
    wake: Callable[[], None]


@final
class Waiters:
    """Those who wait. Not for two threads at once, nor are the steps of `wait`.

    Args:
        thread: the number of the calling thread.
        bell: makes a lock.
    """

    def __init__(self, thread: Callable[[], int], bell: Callable[[], Bell]) -> None:
        self._thread = thread
        self._bell = bell
        self._waiting: dict[int, _Waiter] = {}
        self._called: set[_Waiter] = set()
        self._leader: _Waiter | None = None

    def wait(
        self, get: Callable[[], T | None], id: str, lead: Callable[[], Waiting[None]], wake: Callable[[], None]
    ) -> Waiting[T]:
        """What `get` answers once it is something; it is asked whenever something was done, or the id was called.

        Args:
            lead: does a bit of the work for all, and calls those whom it concerns.
            wake: ends what `lead` waits for.

        Raises:
            LocalProtocolError: the thread waits already: it was interrupted, and the one would wait for the other.
        """
        if (got := get()) is not None:
            return got
        me, bell = self._thread(), self._bell()
        if me in self._waiting:
            raise LocalProtocolError(NO_WAITING)
        waiter = self._waiting[me] = _Waiter(id, lambda: _ring(bell))
        try:
            bell.acquire()
            while (got := get()) is None:
                self._called.discard(waiter)
                if self._leader is None and not self._called:
                    yield from self._lead(waiter, lead, wake)
                else:
                    yield bell.acquire
            return got
        finally:
            del self._waiting[me]
            self._called.discard(waiter)
            if self._leader is None and not self._called:
                self._call([*self._waiting.values()][:1])

    def call(self, ids: Collection[str]) -> None:
        """Wake those who wait for one of these; each once, until it has had a turn."""
        self._call([waiter for waiter in self._waiting.values() if waiter.id in ids])

    def call_all(self) -> None:
        """Wake everybody, likewise."""
        self._call([*self._waiting.values()])

    def call_anew(self) -> None:
        """Wake everybody, those too who were called: an interruption may have struck before they were woken."""
        self._called.clear()
        self.call_all()

    def _lead(self, waiter: _Waiter, lead: Callable[[], Waiting[None]], wake: Callable[[], None]) -> Waiting[None]:
        self._leader, follow = waiter, waiter.wake
        waiter.wake = wake
        try:
            yield from lead()
        finally:
            self._leader, waiter.wake = None, follow

    def _call(self, waiters: list[_Waiter]) -> None:
        for waiter in waiters:
            if waiter not in self._called:
                self._called.add(waiter)
                waiter.wake()


def _ring(bell: Bell) -> None:
    if bell.locked():
        bell.release()
