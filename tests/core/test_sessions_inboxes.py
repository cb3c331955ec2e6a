"""Events waiting for readers: bounded in bytes, in order, and never without an end."""

from collections import deque

import pytest

from cartesia_proto.codecs.events import AudioChunk, Done, FlushDone, PhonemeTimestamps, UnknownEvent, WordTimestamps
from cartesia_proto.config import INBOX_BYTES
from cartesia_proto.errors import ApiError, ConnectionLost, LocalProtocolError, twin
from cartesia_proto.sessions.events import Cancelled, ContextEvent, Failed
from cartesia_proto.sessions.inboxes import EVENT_BYTES, Inboxes


def _chunk(size: int, context_id: str = "a") -> AudioChunk:
    return AudioChunk(bytes(size), context_id)


def _inboxes(limit: int = 1000, *context_ids: str) -> Inboxes:
    inboxes = Inboxes(limit)
    for context_id in context_ids or ("a",):
        inboxes.open(context_id)
    return inboxes


def test_each_context_has_its_own() -> None:
    """Events are filed under their contexts and taken in order; None means that nothing waits."""
    inboxes = _inboxes(1000, "a", "b")
    assert inboxes.put([_chunk(1), _chunk(2, "b"), _chunk(3), Done("b")]) == []
    assert (inboxes.take("a"), inboxes.take("a"), inboxes.take("a")) == (_chunk(1), _chunk(3), None)
    assert inboxes.take_all("b") == [_chunk(2, "b"), Done("b")]
    assert inboxes.take_all("b") == []
    assert inboxes.take("b") is None
    assert inboxes.waiting == 0


def test_what_nobody_reads_is_not_kept() -> None:
    """Events of contexts not open here, or closed, are dropped; taking from them gives nothing."""
    inboxes = _inboxes()
    assert inboxes.put([_chunk(1, "other"), Done("other"), AudioChunk(b"x")]) == []
    assert (len(inboxes), inboxes.waiting) == (1, 0)
    assert inboxes.take("other") is None
    assert inboxes.take_all("other") == []
    inboxes.drop("other")
    inboxes.put([_chunk(5)])
    inboxes.close("a")
    inboxes.close("a")
    assert inboxes.put([_chunk(1)]) == []
    assert (len(inboxes), inboxes.waiting, inboxes.take("a")) == (0, 0, None)


def test_the_bound() -> None:
    """A queue holds exactly as many bytes as its limit, and taking makes room."""
    inboxes = _inboxes(2 * (EVENT_BYTES + 10))
    assert inboxes.put([_chunk(10), _chunk(10)]) == []
    assert inboxes.waiting == 2 * (EVENT_BYTES + 10)
    inboxes.take("a")
    assert inboxes.waiting == EVENT_BYTES + 10
    assert inboxes.put([_chunk(10)]) == []
    assert inboxes.put([_chunk(0)]) == ["a"]


def test_handing_over() -> None:
    """A queue is given away whole, before it is let go of; the next one begins at nothing."""
    inboxes, handed = _inboxes(2 * (EVENT_BYTES + 10)), list[deque[ContextEvent]]()

    def keep(events: deque[ContextEvent]) -> None:
        assert inboxes.waiting > 0
        handed.append(events)

    assert not inboxes.hand_over("other", keep)
    assert not inboxes.hand_over("a", keep)
    inboxes.put([_chunk(10), _chunk(10)])
    assert not inboxes.hand_over("a", keep)
    assert inboxes.put([_chunk(10), _chunk(9), Done("a")]) == []
    assert [[*events] for events in handed] == [[_chunk(10), _chunk(10)]]
    assert inboxes.hand_over("a", keep)
    assert [*handed[1]] == [_chunk(10), _chunk(9), Done("a")]
    assert inboxes.waiting == 0


def test_opening_anew() -> None:
    """An id that is used again begins with nothing."""
    inboxes = _inboxes(10_000, "a", "b")
    inboxes.put([_chunk(10), Done("a"), _chunk(20, "b")])
    inboxes.open("a")
    assert (inboxes.take("a"), inboxes.waiting) == (None, EVENT_BYTES + 20)
    inboxes.close("b")
    assert inboxes.waiting == 0


def test_overflow() -> None:
    """What was queued is delivered, then one failure, and nothing else; other contexts know nothing of it."""
    inboxes = _inboxes(2 * EVENT_BYTES + 10, "a", "b")
    over: list[ContextEvent] = [_chunk(4), _chunk(6), _chunk(1), _chunk(0), Done("a"), _chunk(1, "b"), Done("b")]
    assert inboxes.put(over) == ["a"]
    assert inboxes.put([_chunk(0), Cancelled("a")]) == []
    first, second, last = inboxes.take_all("a")
    assert (first, second) == (_chunk(4), _chunk(6))
    assert isinstance(last, Failed)
    assert last.context_id == "a"
    assert isinstance(last.error, LocalProtocolError)
    assert "more was left unread than its inbox holds" in str(last.error)
    assert inboxes.put([_chunk(0), Done("a")]) == []
    assert inboxes.take("a") is None
    assert inboxes.take_all("b") == [_chunk(1, "b"), Done("b")]
    assert inboxes.waiting == 0


def test_what_an_error_holds_is_not_counted() -> None:
    """Each context has one at most, and all may share what it holds."""
    inboxes = _inboxes(10 * EVENT_BYTES, "a", "b")
    error = ApiError(status_code=500, body={"detail": "x" * 10**6}, title="x" * 10**6)
    assert inboxes.put([Failed("a", error), Failed("b", twin(error))]) == []
    assert inboxes.waiting < 4 * EVENT_BYTES


def test_what_waits_after_an_overflow() -> None:
    """The failure counts like any event, and nothing is left of it once it is taken, one by one or at once."""
    inboxes = _inboxes(EVENT_BYTES + 10, "a", "b")
    waiting = [inboxes.waiting]
    for id in "ab":
        assert inboxes.put([_chunk(10, id)] * 2) == [id]
        waiting.append(inboxes.waiting)
    first, both = waiting[1:]
    assert first > 2 * EVENT_BYTES + 10
    assert both == 2 * first
    assert inboxes.take("a") == _chunk(10)
    assert inboxes.waiting == both - (EVENT_BYTES + 10)
    assert isinstance(inboxes.take("a"), Failed)
    assert inboxes.waiting == first
    inboxes.take_all("b")
    assert inboxes.waiting == 0


@pytest.mark.parametrize("end", [Done("a"), Cancelled("a"), Failed("a", ConnectionLost("cut"))])
def test_the_end_always_fits(end: ContextEvent) -> None:
    """A full queue takes the terminal event all the same, and nothing after it."""
    inboxes = _inboxes(EVENT_BYTES)
    assert inboxes.put([_chunk(0), end, _chunk(0), Done("a")]) == []
    assert inboxes.take_all("a") == [_chunk(0), end]
    assert inboxes.waiting == 0


TEXT = "x" * 10_000


@pytest.mark.parametrize(
    "event",
    [
        UnknownEvent("later", "a", {"text": TEXT}),
        AudioChunk(b"", "a", extra={"text": TEXT}),
        FlushDone(1, "a", extra={"text": TEXT}),
        WordTimestamps((TEXT,), (0.0,), (1.0,), "a"),
        PhonemeTimestamps(("p",) * 1000, (0.0,) * 1000, (1.0,) * 1000, "a"),
    ],
    ids=lambda event: event.type,
)
def test_not_only_audio_counts(event: ContextEvent) -> None:
    """Text and numbers fill a queue too: a peer cannot hide what it sends from the bound."""
    inboxes = _inboxes(25_000)
    assert inboxes.put([event]) == []
    assert inboxes.waiting > 10_000
    assert inboxes.put([event] * 5) == ["a"]
    assert len(inboxes.take_all("a")) <= 3
    assert inboxes.waiting == 0


def test_empty_events_are_bounded_too() -> None:
    """Endless events without content fill a queue as well."""
    inboxes = _inboxes(10 * EVENT_BYTES)
    assert inboxes.put([_chunk(0)] * 11) == ["a"]


def test_barge_in() -> None:
    """Dropping leaves nothing to be played; the cancel that follows is delivered."""
    inboxes = _inboxes(10_000)
    inboxes.put([_chunk(10), _chunk(20)])
    inboxes.drop("a")
    assert (inboxes.waiting, inboxes.take("a")) == (0, None)
    inboxes.put([Cancelled("a")])
    assert inboxes.take_all("a") == [Cancelled("a")]


def test_dropping_never_loses_the_end() -> None:
    """Barge-in on a context that is over, but not read to its end: no audio is left, and the reader is released."""
    inboxes = _inboxes(10_000)
    inboxes.put([_chunk(10), _chunk(20), Done("a")])
    inboxes.drop("a")
    assert inboxes.take("a") == Done("a")
    assert inboxes.waiting == 0
    inboxes.drop("a")
    assert inboxes.take("a") is None


def test_the_default_bound() -> None:
    """64 MiB for each context."""
    inboxes = Inboxes()
    inboxes.open("a")
    half = _chunk(INBOX_BYTES // 2 - EVENT_BYTES)
    assert INBOX_BYTES == 64 * 1024 * 1024
    assert inboxes.put([half, half]) == []
    assert inboxes.put([_chunk(0)]) == ["a"]
