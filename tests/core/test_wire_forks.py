"""What a child process lets go of; the fork itself is played."""

import gc
from collections.abc import Callable

from cartesia_proto.wire.forks import FORKS, Forks


class Owner:
    """What somebody holds.

    Attributes:
        calls: how often it was let go of.
    """

    def __init__(self) -> None:
        self.calls = 0

    def let_go(self) -> None:
        """Let go of it."""
        self.calls += 1


class Weakless:
    """What cannot be referred to weakly."""

    __slots__ = ()

    def let_go(self) -> None:
        """Never called."""
        raise AssertionError


class Half:
    """What another thread was just changing."""

    def let_go(self) -> None:
        """Fail."""
        raise RuntimeError("half done")


class System:
    """What tells of forks, as `os` does."""

    def __init__(self) -> None:
        self.told: list[Callable[[], object]] = []

    def __call__(self, *, after_in_child: Callable[[], object]) -> None:
        """Note what is to be called."""
        self.told.append(after_in_child)


def test_everything_that_lives_is_let_go_of() -> None:
    """Each once for each fork, also behind one that fails; what is gone or cannot be watched is left alone."""
    forks, system = Forks(), System()
    forks.arm(system)
    forks.arm(system)
    (forked,) = system.told
    first, half, gone = forks.watch(Owner(), Owner.let_go), forks.watch(Half(), Half.let_go), Owner()
    weakless = forks.watch(Weakless(), Weakless.let_go)
    second = forks.watch(Owner(), Owner.let_go)
    calls = gone.calls
    forks.watch(gone, Owner.let_go)
    del gone
    gc.collect()
    forked()
    forked()
    assert (first.calls, second.calls, calls) == (2, 2, 0)
    del half, weakless


def test_what_is_watched_again_is_let_go_of_once() -> None:
    """A socket is attached for each request that it carries."""
    forks = Forks()
    owner = Owner()
    for _ in range(3):
        assert forks.watch(owner, Owner.let_go) is owner
    forks.forked()
    assert owner.calls == 1


def test_a_system_without_forks() -> None:
    """Nothing is asked of it, and it may be told later that there is one after all."""
    forks, system = Forks(), System()
    forks.arm(None)
    forks.arm(system)
    assert system.told == [forks.forked]
    assert isinstance(FORKS, Forks)
