"""Every state of a text-to-speech context, and everything that changes one.

This module is data: two enumerations and one table. It must not know messages, audio or time; `context` does, and
changes no state but through `step`.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

# Theory of operation. A context is one voice saying one text, which may be handed over in pieces. Its life has three
# stretches:
#
# * While it is **open**, the user says more (`PUSH`, `FLUSH`) until `FINISH`. ``NEW`` is an open context of which the
#   server has not heard yet: cancelling it sends nothing, and nothing the server says can be about it alone.
# * Then it is **finishing**: everything was said, and the rest of the audio is awaited. Saying more is the user's
#   mistake.
# * It is **over** in exactly one of three ways, and stays so: ``DONE``, ``CANCELLED`` or ``FAILED``. Entering one of
#   these is what produces the context's single terminal event, so a second one cannot exist.
#
# Two kinds of input meet here, and conflicts between them resolve by who may know. The peer's inputs (`FRAME`, `END`,
# `ERROR`), the connection's (`LOST`) and the clock's (`STALL`, `OVERFLOW`) are legal in every state: when the context
# is over already they change nothing, because the peer could not know. The user's own inputs are legal while the
# context is open. When it is over *for a reason outside the user or by a cancel*, they raise `ContextEnded`, since
# another thread's cancel or the peer's end may have come first; saying more after `FINISH` raises
# `LocalProtocolError`, since the user alone did that. `CANCEL` is legal always: barge-in must never have to ask.
#
# An `END` before `FINISH` is an end all the same: the server closes contexts whose input stalls (protocol section 4.5).


class State(Enum):
    """Where a context stands."""

    NEW = "new"
    OPEN = "open"
    FINISHING = "finishing"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Input(Enum):
    """What can happen to a context: said by the user, by the peer, by the connection or by the clock."""

    PUSH = "push"
    FLUSH = "flush"
    FINISH = "finish"
    CANCEL = "cancel"
    FRAME = "frame"
    END = "end"
    ERROR = "error"
    LOST = "lost"
    STALL = "stall"
    OVERFLOW = "overflow"


OVER: Final = frozenset({State.DONE, State.CANCELLED, State.FAILED})
"""States without a way out; entering one is the terminal event."""

SAID_BY_USER: Final = frozenset({Input.PUSH, Input.FLUSH, Input.FINISH})
"""Inputs that are illegal where the table has no entry for them; all others then change nothing."""

_LIVING: Final[Mapping[Input, State]] = {
    Input.CANCEL: State.CANCELLED,
    Input.ERROR: State.FAILED,
    Input.LOST: State.FAILED,
}

_HEARD_OF: Final[Mapping[Input, State]] = {
    **_LIVING,
    Input.END: State.DONE,
    Input.STALL: State.FAILED,
    Input.OVERFLOW: State.FAILED,
}

TRANSITIONS: Final[Mapping[State, Mapping[Input, State]]] = {
    State.NEW: {**_LIVING, Input.PUSH: State.OPEN, Input.FLUSH: State.OPEN, Input.FINISH: State.FINISHING},
    State.OPEN: {
        **_HEARD_OF,
        Input.PUSH: State.OPEN,
        Input.FLUSH: State.OPEN,
        Input.FINISH: State.FINISHING,
        Input.FRAME: State.OPEN,
    },
    State.FINISHING: {**_HEARD_OF, Input.FRAME: State.FINISHING},
    State.DONE: {},
    State.CANCELLED: {},
    State.FAILED: {},
}
"""What follows what. An input without an entry is illegal when the user said it, and changes nothing otherwise."""


LISTENING: Final = tuple(state for state in State if Input.FRAME in TRANSITIONS[state])
"""States in which a frame may be for the context: the server has heard of it, and it is not over. A tuple, because
looking into one asks no enumeration for its hash, which is slow; this is done for every frame."""


def step(state: State, input: Input) -> State | None:
    """The state after an input, or None where the user may not say it.

    A frame for a context that is new (the peer invented it) or over (it came late) changes nothing.
    """
    after = TRANSITIONS[state].get(input)
    if after is None and input not in SAID_BY_USER:
        return state
    return after
