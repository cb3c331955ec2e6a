"""Turns: one within another, what is left meanwhile, and interruptions at any place."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import FrameType

import pytest

from cartesia_proto import exclusion
from cartesia_proto.errors import ConnectionLost, LocalProtocolError
from cartesia_proto.exclusion import Exclusion
from cartesia_proto.waiters import NO_WAITING, Waiting


class Stage:
    """Turns, and what was done in them."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.turns = Exclusion(self.act("mended"), nullcontext())

    def act(self, what: str) -> Callable[[], None]:
        """Do something."""
        return lambda: self.done.append(what)

    def cut(self, error: BaseException) -> Callable[[], None]:
        """A step that is cut short."""

        def step() -> None:
            self.done.append("half")
            raise error

        return step


def test_what_an_interruption_asks_for_in_the_middle_of_a_turn() -> None:
    """It is done before the turn ends, in order; what would have to wait is refused."""
    stage = Stage()
    turns = stage.turns

    def work() -> Waiting[str]:
        turns.soon(stage.act("first"))
        turns.soon(stage.act("second"))
        with pytest.raises(LocalProtocolError, match="it may cancel and close now"):
            turns.run(work())
        stage.done.append("turn")
        yield stage.act("wait")
        turns.soon(lambda: turns.soon(stage.act("last")))
        return "over"

    assert turns.run(work()) == "over"
    turns.soon(stage.act("at once"))
    assert stage.done == ["turn", "first", "second", "wait", "last", "at once"]


def test_a_wait_that_raises() -> None:
    """The work is closed, in a turn, and nothing else; the next one begins as if nothing had been."""
    stage = Stage()

    def wait() -> None:
        raise KeyboardInterrupt

    def work() -> Waiting[None]:
        try:
            yield wait
        finally:
            stage.turns.soon(stage.act("left"))
            stage.done.append("closed")

    with pytest.raises(KeyboardInterrupt):
        stage.turns.run(work())
    stage.turns.soon(stage.act("at once"))
    assert stage.done == ["closed", "left", "at once"]


def test_closing_is_put_off_while_no_turn_is_to_be_had() -> None:
    """Interrupted once more where it waits for its turn, work is closed in whoever's turn is next."""
    stage = Stage()
    strikes = [False, True]  # the step's turn is had, the one for closing is not

    class Lock:
        """One that is waited for, and whose wait may be interrupted."""

        def __enter__(self) -> None:
            if strikes and strikes.pop(0):
                raise KeyboardInterrupt("again")

        def __exit__(self, *_: object) -> None:
            pass

    turns = Exclusion(stage.act("mended"), Lock())

    def work() -> Waiting[None]:
        try:
            yield stage.cut(KeyboardInterrupt())
            yield list
        finally:
            stage.done.append("closed")

    kept = work()  # as whoever keeps the exception keeps it
    with pytest.raises(KeyboardInterrupt, match="again"):
        turns.run(kept)
    assert stage.done == ["half"]
    turns.turn(stage.act("somebody's step"))
    assert stage.done == ["half", "closed", "somebody's step"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("raised by a handler")])
def test_a_step_that_is_cut_short(error: BaseException) -> None:
    """It is mended at once, whatever the exception; after the library's own there is nothing to be mended."""
    stage = Stage()
    with pytest.raises(type(error)):
        stage.turns.turn(stage.cut(error))
    assert stage.done == ["half", "mended"]
    with pytest.raises(ConnectionLost):
        stage.turns.turn(stage.cut(ConnectionLost("told")))
    assert stage.done == ["half", "mended", "half"]


def test_a_handler_that_is_refused_and_fails() -> None:
    """What it was told is an error of the library's own, and cuts the step short all the same."""
    stage = Stage()
    with pytest.raises(LocalProtocolError, match=NO_WAITING):
        stage.turns.turn(lambda: stage.turns.turn(stage.act("never")))
    assert stage.done == ["mended"]


def test_an_interruption_while_things_are_mended() -> None:
    """No step is taken before that was done, and what was asked for is not forgotten."""
    stage, strikes = Stage(), [KeyboardInterrupt("first"), KeyboardInterrupt("second")]

    def mend() -> None:
        if strikes:
            raise strikes.pop()
        stage.done.append("mended")

    stage.turns = Exclusion(mend, nullcontext())

    def step() -> None:
        stage.turns.soon(stage.act("left"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="second"):
        stage.turns.turn(step)
    with pytest.raises(KeyboardInterrupt, match="first"):
        stage.turns.turn(stage.act("too early"))
    stage.turns.turn(stage.act("next"))
    assert stage.done[-2:] == ["left", "next"]
    assert set(stage.done[:-2]) == {"mended"}


def test_interrupted_anywhere() -> None:
    """Wherever a handler raises, no turn stays taken, work that began was closed, and a step half taken was mended."""
    number = 0
    while strike_once(number := number + 1):
        pass
    assert number > 20


def strike_once(number: int) -> bool:
    """Do some work, interrupted at the so-manieth place; False if there are not so many.

    As CPython handles signals: where a function begins, and after one of C has returned.
    """
    stage, places = Stage(), 0
    books = {"told": 0, "noted": 0, "open": 0}

    def mend() -> None:
        books["told"] = books["noted"]

    stage.turns = Exclusion(mend, nullcontext())

    def tell() -> None:
        books["told"] += 1
        list[int]()
        abs(0)
        books["noted"] += 1

    def work() -> Waiting[str]:
        books["open"] += 1
        try:
            stage.turns.soon(list)
            tell()
            yield list
            tell()
            return "over"
        finally:
            books["open"] -= 1

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal places
        if frame.f_code.co_filename in (exclusion.__file__, __file__) and event in ("call", "c_return"):
            places += 1
            if places == number:
                raise KeyboardInterrupt

    before = sys.getprofile()
    struck = False
    sys.setprofile(profile)
    try:
        stage.turns.run(work())
    except KeyboardInterrupt:
        struck = True
    finally:
        sys.setprofile(before)

    def look() -> None:
        assert books["told"] == books["noted"]
        assert books["open"] == 0

    stage.turns.turn(look)
    assert stage.turns.run(work()) == "over"
    return struck


def test_a_handler_does_what_was_left_while_nobody_s_turn_it_is() -> None:
    """Between two things left it finds no turn taken; what it did is not done again."""
    stage = Stage()
    struck = False

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal struck
        if not struck and event == "call" and frame.f_code.co_name == "_take":
            struck = True
            sys.setprofile(before)
            stage.turns.soon(stage.act("handler's"))

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        stage.turns.soon(stage.act("left"))
    finally:
        sys.setprofile(before)
    assert struck
    assert stage.done == ["left", "handler's"]
