"""The table of a context's life, compared entry by entry with one written down independently."""

import pytest

from cartesia_proto.sessions.states import OVER, SAID_BY_USER, TRANSITIONS, Input, State, step

GRID = """
            new        open       finishing  done  cancelled  failed
push        open       open       illegal    =     =          =
flush       open       open       illegal    =     =          =
finish      finishing  finishing  illegal    =     =          =
cancel      cancelled  cancelled  cancelled  =     =          =
frame       =          open       finishing  =     =          =
end         =          done       done       =     =          =
error       failed     failed     failed     =     =          =
lost        failed     failed     failed     =     =          =
stall       =          failed     failed     =     =          =
overflow    =          failed     failed     =     =          =
"""
"""What follows what: ``=`` changes nothing, ``illegal`` is what the user must not say."""


def _cells() -> list[tuple[State, Input, State | None]]:
    header, *rows = (line.split() for line in GRID.strip().splitlines())
    cells: list[tuple[State, Input, State | None]] = []
    for name, *row in rows:
        input = Input(name)
        for column, cell in zip(header, row, strict=True):
            state = State(column)
            said_too_late = state in OVER and input in SAID_BY_USER
            unchanged = cell == "=" and not said_too_late
            after = state if unchanged else None if cell == "illegal" or said_too_late else State(cell)
            cells.append((state, input, after))
    return cells


CELLS = _cells()


@pytest.mark.parametrize(("state", "input", "after"), CELLS, ids=str)
def test_every_cell(state: State, input: Input, after: State | None) -> None:
    """Every state and every input; None is what the user may not say."""
    assert step(state, input) is after


def test_the_grid_is_whole() -> None:
    """It has every state and every input once."""
    assert len(CELLS) == len(State) * len(Input)
    assert {(state, input) for state, input, _ in CELLS} == {(state, input) for state in State for input in Input}
    assert TRANSITIONS.keys() == set(State)


def test_what_is_over_stays_over() -> None:
    """No way leads out of the three last states, and every other has one into each failure and into a cancel."""
    for state in State:
        reached = set(TRANSITIONS[state].values())
        if state in OVER:
            assert reached == set()
        else:
            assert reached >= {State.CANCELLED, State.FAILED}
