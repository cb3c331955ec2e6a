"""Tasks of one event loop that share one connection: who reads for all, who sends for all, and who is woken.

Actors: the leader, who reads for all; followers, who wait to be woken; whoever sends just now. Rules:

* A task that waits while nobody leads becomes the leader. What it reads wakes the followers it is for.
* A task that stops waiting while nobody leads wakes exactly one follower, which then leads or appoints the next one.
  So somebody reads while anybody waits.
* One task sends at a time. All who wait for it go on at once, because a lock would let them go one after another.

This module must not know how a task waits: a transport's own events and scopes do. Threads have `waiters` instead.
"""

from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar, final


class Event(Protocol):
    """What one task waits for and another sets."""

    def set(self) -> object:
        """Wake whoever waits."""
        ...


EventT = TypeVar("EventT", bound=Event)
ScopeT = TypeVar("ScopeT")


@final
class Readers(Generic[EventT]):
    """The leader and its followers. As a ``with`` block around waiting, it appoints a successor at the end.

    Args:
        event: makes what a follower waits for.

    Attributes:
        leader: the key of the task that reads for all, None while there is none. A key is what a task waits for: the
            id of a context, or anything of its own.
    """

    __slots__ = ("_event", "_followers", "_successor", "leader")

    def __init__(self, event: Callable[[], EventT]) -> None:
        self.leader: object | None = None
        self._event = event
        self._followers: dict[object, EventT] = {}
        self._successor: EventT | None = None  # of the follower that was appointed and has not had its turn

    def lead(self, key: object) -> "_Leading[EventT]":
        """Lead in a ``with`` block, where nobody does."""
        return _Leading(self, key)

    @contextmanager
    def follow(self, key: object) -> Generator[EventT, None, None]:
        """Follow in a ``with`` block: wait there for the event it gives."""
        woken = self._followers[key] = self._event()
        try:
            yield woken
        finally:
            del self._followers[key]
            if self._successor is woken:
                self._successor = None

    def wake(self, keys: Iterable[object]) -> bool:
        """Wake the followers with these keys; return whether the leader's is one of them, whose wait is to end too."""
        concerns_leader = False
        for key in keys:
            if key == self.leader:
                concerns_leader = True
            elif key in self._followers:
                self._followers[key].set()
        return concerns_leader

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """Wake one follower where nobody leads, unless one was woken for that and has not had its turn."""
        if self.leader is None and self._successor is None and self._followers:
            self._successor = next(iter(self._followers.values()))
            self._successor.set()


@final
class _Leading(Generic[EventT]):
    """The time of one leader: entered for every read, so it is no generator."""

    __slots__ = ("_key", "_readers")

    def __init__(self, readers: Readers[EventT], key: object) -> None:
        self._readers = readers
        self._key = key

    def __enter__(self) -> None:
        self._readers.leader = self._key

    def __exit__(self, *_: object) -> None:
        self._readers.leader = None


@final
class Sending(Generic[EventT]):
    """Which task sends.

    Args:
        event: makes what others wait for meanwhile.

    Attributes:
        ended: set once whoever sends has ended; None while nobody does.
        draining: whoever sends sends everything.
        drains: how often everything was sent.
    """

    __slots__ = ("_event", "draining", "drains", "ended")

    def __init__(self, event: Callable[[], EventT]) -> None:
        self.ended: EventT | None = None
        self.draining: bool = False
        self.drains: int = 0
        self._event = event

    @contextmanager
    def alone(self, *, draining: bool) -> Generator[None, None, None]:
        """Keep others from sending in a ``with`` block: until all was sent, or as long as it takes."""
        self.ended = ended = self._event()
        self.draining = draining
        try:
            yield
            self.drains += draining
        finally:
            self.ended, self.draining = None, False
            ended.set()


@final
class Standing(Generic[ScopeT]):
    """The waits that a change may end: each is made for an id, and a transport's scope can cancel it."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: dict[ScopeT, str] = {}

    @contextmanager
    def during(self, scope: ScopeT, id: str) -> Generator[None, None, None]:
        """Wait in a ``with`` block."""
        self._ids[scope] = id
        try:
            yield
        finally:
            del self._ids[scope]

    def of(self, ids: Collection[str] | None = None) -> list[ScopeT]:
        """The scopes of these ids, or of all."""
        return [scope for scope, id in self._ids.items() if ids is None or id in ids]
