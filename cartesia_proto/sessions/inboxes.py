"""Events waiting for whoever reads a context.

This module knows queues with a bound in bytes, one for each context. It must not know where events come from or who
waits: a shell fills and empties it. Bounded, because a reader that falls behind must cost its own context, not the
process.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, final

from attrs import define, field

from cartesia_proto.codecs.events import AudioChunk
from cartesia_proto.config import INBOX_BYTES
from cartesia_proto.sessions.events import TERMINAL, ContextEvent, Failed, overflow_error

EVENT_BYTES: Final = 256
"""What an event counts for beside what it carries, so that endless empty ones are bounded too; our choice."""


@define
class _Inbox:
    events: deque[ContextEvent] = field(factory=deque[ContextEvent])
    size: int = 0
    ended: bool = False  # its terminal event was put: nothing follows


def _cost(event: ContextEvent) -> int:
    """Bytes that an event keeps from being freed: text and numbers about as they were written.

    A terminal event counts without its error: there is one for each context, and all may share what that holds.
    """
    if type(event) is AudioChunk and not event.extra:  # nearly every one
        return EVENT_BYTES + len(event.audio)
    if isinstance(event, TERMINAL):
        return EVENT_BYTES + len(event.context_id or "")
    return EVENT_BYTES + len(event.audio) + len(repr(event))


@final
class Inboxes:
    """One bounded queue for each context that is being read.

    Args:
        limit: bytes that may wait in one of them.
    """

    def __init__(self, limit: int = INBOX_BYTES) -> None:
        self._limit = limit
        self._inboxes: dict[str, _Inbox] = {}
        self._waiting = 0

    def open(self, context_id: str) -> None:
        """Begin to collect for a context; what waits for an earlier one of its id is dropped."""
        self.close(context_id)
        self._inboxes[context_id] = _Inbox()

    def close(self, context_id: str) -> None:
        """Stop collecting for a context, and drop what waits. Legal for one that is not open."""
        inbox = self._inboxes.pop(context_id, None)
        if inbox is not None:
            self._waiting -= inbox.size

    def put(self, events: Iterable[ContextEvent]) -> list[str]:
        """File events under their contexts; those for a context not open here are dropped.

        Where a queue would grow over the limit, the context's terminal event is put in their place: everything queued
        is still delivered, then that failure, and nothing after it.

        Args:
            events: not to be changed while they wait: what each counts for is found out again when it is taken.

        Returns:
            The contexts to which that happened: tell the session with `TTSContext.overflow`.
        """
        overflowed: list[str] = []
        for event in events:
            id = event.context_id or ""
            inbox = self._inboxes.get(id)
            if inbox is None or inbox.ended:
                continue
            if type(event) is not AudioChunk:
                inbox.ended = isinstance(event, TERMINAL)
            cost = _cost(event)
            if inbox.size + cost > self._limit and not inbox.ended:
                overflowed.append(id)
                inbox.ended = True
                event = Failed(id, overflow_error(id))  # noqa: PLW2901 - this is what is filed in its place
                cost = _cost(event)
            inbox.events.append(event)
            inbox.size += cost
            self._waiting += cost
        return overflowed

    def take(self, context_id: str) -> ContextEvent | None:
        """The next event of a context, None while there is none."""
        inbox = self._inboxes.get(context_id)
        if inbox is None or not inbox.events:
            return None
        event = inbox.events.popleft()
        cost = _cost(event)
        inbox.size -= cost
        self._waiting -= cost
        return event

    def take_all(self, context_id: str) -> list[ContextEvent]:
        """Everything that waits for a context."""
        inbox = self._inboxes.get(context_id)
        if inbox is None:
            return []
        events = list(inbox.events)
        inbox.events.clear()
        self._waiting -= inbox.size
        inbox.size = 0
        return events

    def hand_over(self, context_id: str, keep: Callable[[deque[ContextEvent]], object]) -> bool:
        """Give away the queue of a context, unless it is empty, and collect in another; whether all is in it.

        Args:
            keep: takes the queue, which is let go of only afterwards: where an interruption strikes, no event is lost,
                and none comes twice.
        """
        inbox = self._inboxes.get(context_id)
        if inbox is None or not inbox.events:
            return False
        keep(inbox.events)
        inbox.events = deque()
        self._waiting -= inbox.size
        inbox.size = 0
        return inbox.ended

    def drop(self, context_id: str) -> None:
        """Drop what waits for a context, but for its terminal event, as barge-in does: nothing stale is played."""
        inbox = self._inboxes.get(context_id)
        if inbox is not None:
            inbox.events = deque(event for event in inbox.events if isinstance(event, TERMINAL))
            self._waiting -= inbox.size
            inbox.size = sum(map(_cost, inbox.events))
            self._waiting += inbox.size

    @property
    def waiting(self) -> int:
        """Bytes that wait in all of them, however many there are: it is kept, not counted."""
        return self._waiting

    def __len__(self) -> int:
        return len(self._inboxes)
