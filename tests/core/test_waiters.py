"""Threads that wait for one another: who leads, who is woken, and who takes over."""

# Only the inside can be left as an interruption leaves it.
# pyright: reportPrivateUsage=false

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.waiters import NO_CONTEXT, Waiters, Waiting


class Bell:
    """A lock that is never waited for."""

    def __init__(self) -> None:
        self._locked = False

    def acquire(self) -> None:
        """Lock it."""
        assert not self._locked, "this would wait"
        self._locked = True

    def release(self) -> None:
        """Unlock it."""
        assert self._locked, "it is unlocked"
        self._locked = False

    def locked(self) -> bool:
        """Whether it is locked."""
        return self._locked


class Crowd:
    """Threads that wait for words.

    Attributes:
        words: what is there, by the id it is for.
        woken: leaders that were woken.
    """

    def __init__(self) -> None:
        self.me = 0
        self.words: dict[str, str] = {}
        self.woken: list[str] = []
        self.led: list[str] = []
        self._bells: dict[str, Bell] = {}
        self._made: list[Bell] = []
        self.waiters = Waiters(lambda: self.me, self._bell)

    def _bell(self) -> Bell:
        self._made.append(Bell())
        return self._made[-1]

    def waiting(self, id: str) -> Waiting[str]:
        """A thread of its own that waits, with one step taken."""
        self.me += 1
        steps = self.waiters.wait(lambda: self.words.get(id), id, lambda: self.lead(id), lambda: self.woken.append(id))
        next(steps)
        self._bells[id] = self._made[-1]
        return steps

    def lead(self, id: str) -> Waiting[None]:
        """A leader's work."""
        self.led.append(id)
        with self._leading(id):
            yield lambda: None

    @contextmanager
    def _leading(self, id: str) -> Generator[None, None, None]:
        try:
            yield
        finally:
            self.led.remove(id)

    def rung(self, id: str) -> bool:
        """Whether a thread was called since its last turn."""
        return not self._bells[id].locked()

    def turn(self, id: str, steps: Waiting[str]) -> None:
        """Let a thread that was called take a turn."""
        self._bells[id].acquire()
        next(steps)


def never_woken() -> None:
    """What wakes a leader that there will not be."""
    raise AssertionError


def outcome(steps: Waiting[str]) -> str:
    """What waiting comes to with its next step."""
    with pytest.raises(StopIteration) as stop:
        next(steps)
    value: str = stop.value.value
    return value


def test_what_is_there_is_not_waited_for() -> None:
    """Nobody joins for that."""
    crowd = Crowd()
    crowd.words["a"] = "there"
    assert (
        outcome(crowd.waiters.wait(lambda: crowd.words.get("a"), "a", lambda: crowd.lead("a"), never_woken)) == "there"
    )


def test_the_first_leads_and_wakes_the_others() -> None:
    """One at a time; whoever was called gets a turn before the leader goes on."""
    crowd = Crowd()
    leader, follower = crowd.waiting("a"), crowd.waiting("b")
    assert (crowd.led, crowd.rung("b")) == (["a"], False)
    crowd.words["b"] = "for b"
    crowd.waiters.call({"b", "nobody's"})
    crowd.waiters.call({"b"})
    assert crowd.rung("b")
    next(leader)  # steps back, and waits until it is called
    assert crowd.led == []
    assert outcome(follower) == "for b"
    assert crowd.rung("a")
    crowd.words["a"] = "for a"
    assert outcome(leader) == "for a"


def test_a_leader_is_woken_in_its_own_way() -> None:
    """Once; afterwards it leads again, if there is nothing for it."""
    crowd = Crowd()
    leader = crowd.waiting("a")
    crowd.waiters.call({"a"})
    crowd.waiters.call({"a"})
    assert crowd.woken == ["a"]
    next(leader)
    assert crowd.led == ["a"]
    crowd.waiters.call_all()
    assert crowd.woken == ["a", "a"]


def test_a_leader_goes_on_while_nobody_was_called() -> None:
    """Whoever leaves need not call anybody then."""
    crowd = Crowd()
    leader, follower, other = crowd.waiting("a"), crowd.waiting("b"), crowd.waiting("c")
    next(leader)
    crowd.words["b"] = "for b"
    crowd.waiters.call({"b"})
    assert outcome(follower) == "for b"
    assert not crowd.rung("c")
    assert crowd.led == ["a"]
    other.close()
    leader.close()


@pytest.mark.parametrize("how", ["done", "closed"])
def test_whoever_leaves_calls_another(how: str) -> None:
    """Also where an exception met it, in the lead or behind."""
    crowd = Crowd()
    leader, second, third = crowd.waiting("a"), crowd.waiting("b"), crowd.waiting("c")
    if how == "done":
        crowd.words["a"] = "for a"
        assert outcome(leader) == "for a"
    else:
        leader.close()
    assert crowd.led == []
    assert (crowd.rung("b"), crowd.rung("c")) == (True, False)
    second.close()
    assert crowd.rung("c")
    crowd.turn("c", third)
    assert crowd.led == ["c"]


def test_called_twice_before_its_turn() -> None:
    """A bell that is rung is not rung again."""
    crowd = Crowd()
    leader, follower = crowd.waiting("a"), crowd.waiting("b")
    crowd.waiters.call({"b"})
    leader.close()
    crowd.turn("b", follower)
    assert crowd.led == ["b"]
    late = crowd.waiting("c")
    crowd.waiters.call({"c"})
    next(late)  # a turn that it had not waited for: its bell is still unlocked
    crowd.waiters.call({"c"})
    assert crowd.rung("c")


def test_a_thread_waits_once() -> None:
    """Whatever interrupted its wait must not wait too, and does not disturb it."""
    crowd = Crowd()
    leader = crowd.waiting("a")
    steps: Waiting[str] = crowd.waiters.wait(lambda: None, NO_CONTEXT, lambda: crowd.lead("b"), never_woken)
    with pytest.raises(LocalProtocolError, match="it may cancel and close now"):
        next(steps)
    next(leader)
    assert crowd.led == ["a"]


def test_called_anew() -> None:
    """Whoever was called but, after an interruption, not woken, is woken now; so is everybody."""
    crowd = Crowd()
    leader, follower, other = crowd.waiting("a"), crowd.waiting("b"), crowd.waiting("c")
    crowd.waiters.call({"b"})
    crowd._bells["b"].acquire()  # as if it had not been rung
    crowd.waiters.call_all()
    assert not crowd.rung("b")
    crowd.waiters.call_anew()
    assert (crowd.rung("b"), crowd.rung("c")) == (True, True)
    assert crowd.woken == ["a", "a"]
    for steps in (leader, follower, other):
        steps.close()
