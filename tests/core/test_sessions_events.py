"""How a context ends, told in values that travel to other processes."""

import pickle
from copy import copy, deepcopy

import pytest

from cartesia_proto.codecs.events import AudioChunk, Done, FlushDone, PhonemeTimestamps, UnknownEvent, WordTimestamps
from cartesia_proto.errors import (
    CartesiaError,
    ConnectionLost,
    RateLimitError,
    RemoteProtocolError,
    TimeoutError,
)
from cartesia_proto.sessions.events import (
    Cancelled,
    ContextEnded,
    ContextEvent,
    Failed,
    SpokenInput,
    TerminalEvent,
    Timing,
    UnspokenPlan,
    overflow_error,
)

EVENTS: list[ContextEvent] = [
    AudioChunk(b"\0\1", "c", 1.5, 206, 1, {"new": [1]}),
    WordTimestamps(("a",), (0.0,), (0.5,), "c"),
    PhonemeTimestamps(("a",), (0.0,), (0.5,), "c"),
    FlushDone(1, "c"),
    UnknownEvent("later", "c", {"type": "later"}),
    Done("c", 200),
    Cancelled("c"),
]

ERRORS: list[CartesiaError] = [
    ConnectionLost("the connection ended", code=1006),
    TimeoutError("no frame", phase="stall", scope="context"),
    RateLimitError(status_code=429, message="m", error_code="concurrency_limited", context_id="c", scope="context"),
    RemoteProtocolError("odd", path="$.data", scope="context"),
    overflow_error("c"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_events_are_values(event: ContextEvent) -> None:
    """Every event survives a pickle, knows its context, and has audio, which is empty unless it is a chunk."""
    again = pickle.loads(pickle.dumps(event))
    assert again == event
    assert hash(again) == hash(event)
    assert again.type == event.type
    assert event.context_id == "c"
    assert event.audio == (b"\0\1" if isinstance(event, AudioChunk) else b"")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_failures_survive_a_pickle(error: CartesiaError) -> None:
    """With their error: its class, its words, and what it says of retrying and of how far it reaches."""
    event = Failed("c", error)
    again = pickle.loads(pickle.dumps(event))
    assert (again.type, again.audio, again.context_id) == ("failed", b"", "c")
    assert type(again.error) is type(error)
    assert str(again.error) == str(error)
    assert (again.error.retryable, again.error.scope) == (error.retryable, error.scope)


@pytest.mark.parametrize("event", [Done("c"), Cancelled("c"), *(Failed("c", error) for error in ERRORS)])
def test_having_missed_the_end(event: TerminalEvent) -> None:
    """`ContextEnded` says its sentence, holds the terminal event and what it failed by, and keeps them in a pickle."""
    cause = event.error if isinstance(event, Failed) else None
    scope, retryable = ("context", False) if cause is None else (cause.scope, cause.retryable)
    error = ContextEnded("push on context c, which is over", event)
    assert error.event is event
    assert error.__cause__ is cause
    for each in (error, pickle.loads(pickle.dumps(error)), copy(error), deepcopy(error)):
        assert isinstance(each, ContextEnded)
        assert str(each) == "push on context c, which is over"
        assert (each.scope, each.retryable) == (scope, retryable)
        assert type(each.event) is type(event)
        assert each.event.context_id == "c"
        assert type(each.__cause__) is type(cause)
        assert str(each.__cause__) == str(cause)


def test_the_cause_is_kept_while_another_error_is_handled() -> None:
    """Raised without a cause in words, it has the true one."""
    lost = ConnectionLost("cut", code=1001)
    with pytest.raises(ContextEnded) as caught:
        try:
            raise KeyError
        except KeyError:
            raise ContextEnded("push", Failed("c", lost))  # noqa: B904 - that is what is tested
    assert caught.value.__cause__ is lost


def test_what_was_left_unread_ends_one_context_alone() -> None:
    """The error of an overflow says so, and what to do."""
    error = overflow_error("c-1")
    assert "c-1" in str(error)
    assert "read faster, or raise the limit" in str(error)
    assert error.scope == "context"


def test_plans_and_times_are_values() -> None:
    """They compare, hash and survive a pickle; a plan joins its inputs verbatim."""
    inputs = (SpokenInput("Hello, "), SpokenInput("world.", {"emotion": "calm"}), SpokenInput("  "))
    plan = UnspokenPlan(inputs, finished=True, audio_bytes=8, audio_seconds=0.5)
    assert plan.transcript == "Hello, world.  "
    for value in (plan, Timing(1.0, 2.0, 3.0), *inputs):
        assert pickle.loads(pickle.dumps(value)) == value
        assert hash(pickle.loads(pickle.dumps(value))) == hash(value)
    assert Timing() == Timing(None, None, None)
    assert UnspokenPlan((), finished=False, audio_bytes=0, audio_seconds=None).transcript == ""
