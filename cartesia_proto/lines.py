"""The connections of one awaiting WebSocket: one for new contexts, and earlier ones whose contexts go on.

This module knows which multiplexer a context belongs to. It must not know verbs, nor what is said on a connection.

Theory of operation. A multiplexer has one connection at a time. While that is `retired`, because something stalled on
it, its contexts go on there, and new ones have another multiplexer. Only when a context is opened is it certain that
the connection is not retired: reading what has arrived, which comes before, may find out what is late. Then it is tried
again, on another. Steps that follow from each other so, on one multiplexer or two, are generators here, as a transport
has no part in them: Python awaits those too, on any event loop.
"""

import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from typing import Any, Never, Protocol, TypeAlias, TypeVar, final

from attrs import define

from cartesia_proto.contexts import Alone
from cartesia_proto.conversation import TTSConversation

T = TypeVar("T")

Saying: TypeAlias = Callable[[TTSConversation, float], bool]
"""Says something on a conversation, at a time in monotonic seconds; False if there was nothing to be said."""

Ready: TypeAlias = Callable[[], TTSConversation | None]
"""The conversation that a context is on, None before it is on one; raises where it was over before."""

Step: TypeAlias = Callable[[], Coroutine[object, Never, T]]
"""Something to be awaited at its turn."""

Check: TypeAlias = Callable[[], None]
"""Raises where what was said has not arrived."""


class Multiplexer(Protocol):
    """What a transport makes of connections, one after another, for the contexts of one WebSocket."""

    def run(self) -> Coroutine[object, Never, None]:
        """Connect, unless there is a connection, and read until it has ended."""
        ...

    def aclose(self) -> Coroutine[object, Never, None]:
        """End every context, say goodbye, and connect no more."""
        ...

    def say(self, id: str, ready: Ready, say: Saying, check: Callable[[], None]) -> Coroutine[object, Never, None]:
        """Say something on the conversation that is ready, or on a new connection's; once that is written, check.

        Where a change concerns the id while a connection is being made, that is waited for no longer, if what is
        `ready` then raises.
        """
        ...

    def change(self, change: Callable[[float], set[str]]) -> Coroutine[object, Never, None]:
        """Do at once what ends a context, and what follows from it. Never raises; cancelling it is no hindrance."""
        ...

    def next(
        self, id: str, take: Callable[[], T | None], alone: Alone, first: Step[None] | None
    ) -> Coroutine[object, Never, T]:
        """Take the first step, then wait until something is taken; try when something comes for the id.

        A first step that raises `ContextEnded` is no failure: what is taken tells how it ended.
        """
        ...

    def at_hand(self, taken: deque[T], alone: Alone, otherwise: Step[T]) -> Coroutine[object, Never, T]:
        """The first of what was taken already; where there is none any more, what that step comes to.

        Where somebody is reading, it is refused as by `next`, which the step may be left to do.
        """
        ...

    def in_steps(self, steps: Awaitable[T]) -> Coroutine[object, Never, T]:
        """Await what takes several steps, as one coroutine of the transport's own: loops and nurseries want those."""
        ...


@final
@define(eq=False)
class Line:
    """A multiplexer, and the last conversation that a context was to be opened on there."""

    multiplexer: Multiplexer
    conversation: TTSConversation | None = None

    @property
    def retired(self) -> bool:
        """Whether it takes no new context just now."""
        return self.conversation is not None and self.conversation.retired


@final
class Lines:
    """Every multiplexer that a WebSocket needs.

    Args:
        first: the one for the first context.
        another: makes one more; where it is None, contexts are opened on the first, whatever happened there.
    """

    def __init__(self, first: Multiplexer, another: Callable[[], Multiplexer] | None) -> None:
        self._lines = [Line(first)]
        self._another = another

    def current(self) -> Line:
        """The one for new contexts.

        Raises:
            LocalProtocolError: there must be a new one, and the client is closed.
        """
        if self._another is not None and self._lines[-1].retired:
            line = Line(self._another())
            self._lines = [*(earlier for earlier in self._lines if earlier.retired), line]
        return self._lines[-1]

    @property
    def last(self) -> Multiplexer:
        """The multiplexer that was needed last; asking makes none."""
        return self._lines[-1].multiplexer

    def takes(self, line: Line, conversation: TTSConversation) -> bool:
        """Whether a new context may be opened on a conversation of a line."""
        line.conversation = conversation
        return self._another is None or not line.retired

    def close(self) -> list[Multiplexer]:
        """Make no more; answers with all there are, the last one first."""
        self._another = None
        return [line.multiplexer for line in reversed(self._lines)]


def in_steps(multiplexer: Multiplexer, steps: Callable[[], Generator[Any, Any, T]]) -> Coroutine[object, Never, T]:
    """What takes several steps, of one multiplexer or of two, as one coroutine.

    Args:
        steps: makes a generator that awaits each with ``yield from step().__await__()``.
    """
    return multiplexer.in_steps(_awaitable(steps))


@types.coroutine
def _awaitable(steps: Callable[[], Generator[Any, Any, T]]) -> Generator[Any, Any, T]:
    return (yield from steps())


def close_all(multiplexers: Sequence[Multiplexer]) -> Coroutine[object, Never, None]:
    """Close each, also where closing one before it fails or is cancelled."""
    if len(multiplexers) == 1:
        return multiplexers[0].aclose()
    return in_steps(multiplexers[0], lambda: _close_each(multiplexers))


def _close_each(multiplexers: Sequence[Multiplexer]) -> Generator[Any, Any, None]:
    try:
        yield from multiplexers[0].aclose().__await__()
    finally:
        if len(multiplexers) > 1:
            yield from _close_each(multiplexers[1:])
