"""Which event loop a client belongs to: the first it is used on. It may be closed on any other, or on none.

Actors: the home, which is that loop (for trio, one of its runs); elsewhere, which is any other loop, or none. A loop's
own objects must not be touched elsewhere. So whatever uses a client checks first that it is at home, and whatever
closes one asks. This module must not know how anything is done on a loop: a transport does.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from attrs import define, field

from cartesia_proto.errors import LocalProtocolError

LoopT = TypeVar("LoopT")


def running(current: Callable[[], LoopT]) -> LoopT | None:
    """The loop that runs here, None if none does.

    Args:
        current: the runtime's own function, which raises RuntimeError then.
    """
    try:
        return current()
    except RuntimeError:
        return None


@define(eq=False)
class Home(Generic[LoopT]):
    """The base of what belongs to one event loop and can be closed.

    Attributes:
        kind: what the runtime calls its loops, in an error message.
        loop: the one that this was first used on, None before.
    """

    kind: ClassVar[str]
    loop: LoopT | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)

    @staticmethod
    @abstractmethod
    def current() -> LoopT:
        """The loop that runs here.

        Raises:
            RuntimeError: none does.
        """

    def leave(self) -> None:
        """Belong to no loop, as before the first use: in a child process, where that loop does not run."""
        self.loop = None

    @property
    def here(self) -> bool:
        """Whether the loop that runs here is the one that this was first used on, or will have been."""
        return (here := running(self.current)) is not None and self.loop in (None, here)

    def check_loop(self) -> LoopT:
        """Return the running loop, if it is the one that this was first used on.

        Raises:
            LocalProtocolError: it is another.
        """
        here = self.current()
        self.loop = self.loop or here
        if self.loop is not here:
            raise LocalProtocolError(f"the client belongs to another {self.kind}: make one client for each")
        return here

    def check(self) -> LoopT:
        """Return the running loop, once it is certain that the client can be used on it.

        Raises:
            LocalProtocolError: the client is closed, or belongs to another loop.
        """
        if self._closed:
            raise LocalProtocolError("the client is closed")
        return self.check_loop()
