"""Tasks that share a connection: a leader follows another, one sends at a time, changes end waits."""

import pytest

from cartesia_proto.sharing import Readers, Sending, Standing


class Event:
    """Whether it was set."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        """Note it."""
        self.is_set = True


def test_a_leader() -> None:
    """It leads until its block ends, however that ends."""
    readers = Readers(Event)
    with readers.lead("a"):
        assert readers.leader == "a"
        assert readers.wake(["b", "a"])
        assert not readers.wake(["b"])
    with pytest.raises(ZeroDivisionError), readers.lead("a"):
        raise ZeroDivisionError
    assert readers.leader is None


def test_followers_are_woken_by_key() -> None:
    """Those it is for, and nobody who has ceased to wait."""
    readers = Readers(Event)
    with readers.lead("a"), readers.follow("b") as second:
        with readers.follow("c") as third:
            assert not readers.wake(["b"])
            assert second.is_set
            assert not third.is_set
        readers.wake(["c"])
        assert not third.is_set


def test_one_successor_at_a_time() -> None:
    """Nobody while somebody leads, else one; the next when that one has ceased to wait without leading."""
    readers = Readers(Event)
    with readers:
        pass
    with readers.follow("c") as third:
        with readers.follow("b") as second:
            with readers.lead("a"), readers:
                pass
            assert not third.is_set
            with readers:
                pass
            assert third.is_set
            with readers:
                pass
            assert not second.is_set
        with readers:
            pass
        assert not second.is_set
    with readers.follow("b") as second:
        with readers:
            pass
        assert second.is_set


def test_one_sends() -> None:
    """Others wait for its end, and learn whether everything was sent."""
    sending = Sending(Event)
    with sending.alone(draining=True):
        ended = sending.ended
        assert ended is not None
        assert not ended.is_set
        assert sending.draining
        assert sending.drains == 0
    assert ended.is_set
    assert (sending.ended, sending.draining, sending.drains) == (None, False, 1)
    with sending.alone(draining=False):
        assert not sending.draining
    assert sending.drains == 1


def test_a_send_that_fails() -> None:
    """Others go on, and not everything was sent."""
    sending = Sending(Event)
    ended: list[Event] = []
    with pytest.raises(ZeroDivisionError), sending.alone(draining=True):
        assert sending.ended is not None
        ended.append(sending.ended)
        raise ZeroDivisionError
    assert ended[0].is_set
    assert (sending.ended, sending.draining, sending.drains) == (None, False, 0)


def test_standing_waits() -> None:
    """They are found by their ids for as long as they last."""
    standing: Standing[str] = Standing()
    with standing.during("first", "a"), standing.during("second", "b"):
        assert standing.of({"b", "c"}) == ["second"]
        assert standing.of() == ["first", "second"]
    with pytest.raises(ZeroDivisionError), standing.during("third", "a"):
        raise ZeroDivisionError
    assert standing.of() == []
