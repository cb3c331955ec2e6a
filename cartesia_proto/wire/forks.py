"""What a child process lets go of after a fork.

Actors: the parent, whose connections stay as they are, and the child, which has a copy of every object and of every
descriptor. A byte that the child sent or took would be one of the parent's. Rules:

* The child closes its descriptors and nothing else: no goodbye, no shutdown, for these reach the server.
* It begins with new locks and new books, because the threads and tasks that held the old ones are not in the child.
* All of this is done at the fork, before the child runs anything else; so no call has to look for a fork.

This module keeps the list of what is to be let go of, by weak references. It must not know processes: a shell hands
over what the system offers to be told of forks, and says of each object how it is let go of.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol, TypeVar, cast, final
from weakref import WeakKeyDictionary

T = TypeVar("T")

INHERITED: Final = "it belongs to the process that this one was forked from"
"""Why a child's contexts and streams end."""


class RegisterAtFork(Protocol):
    """`os.register_at_fork`, as far as it is used here."""

    def __call__(self, *, after_in_child: Callable[[], object]) -> None:
        """From now on, call this in each child process."""
        ...


@final
class Forks:
    """Everything of this process that a child must let go of."""

    def __init__(self) -> None:
        self._watched: WeakKeyDictionary[object, Callable[[object], object]] = WeakKeyDictionary()
        self._armed = False

    def arm(self, register: RegisterAtFork | None) -> None:
        """Be told of forks from now on; once is enough. None means that this system has no forks."""
        if register is not None and not self._armed:
            self._armed = True
            register(after_in_child=self.forked)

    def watch(self, heir: T, let_go: Callable[[T], object]) -> T:
        """Let go of this object in each child, while it lives; answers with it.

        What cannot be referred to weakly, as a user's own kind of socket may be, is not watched.
        """
        with suppress(TypeError):
            self._watched[heir] = cast("Callable[[object], object]", let_go)
        return heir

    def forked(self) -> None:
        """Let go of everything: called in the child, by its only thread."""
        for heir, let_go in [*self._watched.items()]:
            with suppress(Exception):  # another thread may have been changing it, and is not here to finish that
                let_go(heir)


FORKS: Final = Forks()
"""Those of this process: a fork concerns all of it, and what the system was asked to call it calls for ever."""
