"""Sessions: every context ends in exactly one terminal event, whatever anyone says or leaves unsaid."""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from typing import TypeAlias, final

import pytest
from attrs import Factory, define, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from cartesia_proto.audio.formats import SAMPLE_WIDTHS, RawFormat
from cartesia_proto.codecs.events import AudioChunk, Done
from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.config import Config
from cartesia_proto.errors import (
    ConnectionLost,
    JsonValue,
    LocalProtocolError,
    TimeoutError,
)
from cartesia_proto.sessions.context import TTSContext
from cartesia_proto.sessions.events import Cancelled, ContextEnded, ContextEvent, Failed, TerminalEvent
from cartesia_proto.sessions.inboxes import EVENT_BYTES, Inboxes
from cartesia_proto.sessions.states import OVER, State
from cartesia_proto.sessions.tts import RETIRED_IDS, TTSSession
from cartesia_proto.testing import every_split, half

EXAMPLES = settings(max_examples=100, deadline=None)
S16 = RawFormat("pcm_s16le", 8000)


def _open(
    session: TTSSession, id: str | None = None, stall_timeout: float | None = None, format: RawFormat = S16
) -> TTSContext:
    return session.context(model_id="m", voice="v", output_format=format, context_id=id, stall_timeout=stall_timeout)


def _text(**fields: JsonValue) -> str:
    return json.dumps(fields)


def _chunk(id: str, audio: bytes) -> str:
    return _text(type="chunk", data=encode_base64(audio), done=False, status_code=206, context_id=id)


def _frame(kind: str, id: str, audio: bytes) -> str:
    return _text(type=kind, context_id=id, data=encode_base64(audio), done=kind == "done")


# A book of what was told, which finds every second end, every late event and every stranger.


@final
@define
class Book:
    """What a session told about each context.

    Attributes:
        contexts: those that were opened, by id.
        ends: the terminal event of each that has ended.
    """

    session: TTSSession
    contexts: dict[str, TTSContext] = Factory(dict[str, TTSContext])
    ends: dict[str, TerminalEvent] = Factory(dict[str, TerminalEvent])
    audio: dict[str, bytes] = Factory(dict[str, bytes])

    def note(self, events: list[ContextEvent]) -> None:
        """Enter events; each must be of a context that was opened and has not ended."""
        for event in events:
            id = event.context_id
            assert id is not None
            assert id in self.contexts
            assert id not in self.ends
            if isinstance(event, Done | Cancelled | Failed):
                self.ends[id] = event
            self.audio[id] = self.audio.get(id, b"") + event.audio

    def check(self) -> None:
        """The session, its contexts and the book agree on who is open."""
        assert [context.id for context in self.session.open_contexts] == [
            id for id in self.contexts if id not in self.ends
        ]
        for id, context in self.contexts.items():
            assert context.terminal is self.ends.get(id)
            assert (context.state in OVER) is (id in self.ends)
        deadlines = [context.deadline() for context in self.session.open_contexts]
        assert self.session.deadline() == min((when for when in deadlines if when is not None), default=None)


# Random scripts.

IDS = ("a", "b", "c", "d")
"""Contexts of a script; it also speaks of some that were never opened."""


@frozen
class Opens:
    """Open a context."""

    id: str
    stall_timeout: float | None


@frozen
class Says:
    """Call a verb of a context."""

    verb: str
    id: str
    text: str


@frozen
class Hears:
    """Receive a message."""

    message: str | bytes


@frozen
class Waits:
    """Let time pass, and handle the deadline."""

    seconds: float


@frozen
class Loses:
    """Lose the connection."""

    code: int | None


Action: TypeAlias = Opens | Says | Hears | Waits | Loses

scalars = st.none() | st.booleans() | st.integers(-5, 600) | st.floats(allow_nan=False) | st.text(max_size=5)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
ids = st.sampled_from([*IDS, "stranger", ""]) | scalars
kinds = st.sampled_from(["chunk", "timestamps", "phoneme_timestamps", "flush_done", "done", "error", "later", ""])
timings = st.fixed_dictionaries(
    {},
    optional={
        name: st.lists(st.text(max_size=3) | st.integers(0, 3), max_size=2) | scalars
        for name in ("words", "phonemes", "start", "end")
    },
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "type": kinds | scalars,
        "context_id": ids,
        "data": st.binary(max_size=7).map(encode_base64) | values,
        "done": st.booleans() | scalars,
        "status_code": st.sampled_from([200, 206, 400, 429, 500]) | scalars,
        "step_time": st.floats(0, 10) | scalars,
        "flush_id": st.integers(0, 3) | scalars,
        "flush_done": st.booleans(),
        "word_timestamps": timings | values,
        "phoneme_timestamps": timings | values,
        "error": values,
        "title": values,
        "message": values,
        "new": values,
    },
)
likely = st.builds(
    _frame,
    st.sampled_from(["chunk", "chunk", "flush_done", "timestamps", "done", "error"]),
    st.sampled_from(IDS),
    st.binary(max_size=7),
)
garbage = st.text(max_size=8) | st.binary(max_size=8) | values.map(json.dumps)
actions: st.SearchStrategy[Action] = (
    st.builds(Opens, st.sampled_from(IDS), st.none() | st.floats(0.5, 5))
    | st.builds(Opens, st.sampled_from(IDS), st.none())
    | st.builds(
        Says,
        st.sampled_from(["push", "push", "flush", "finish", "cancel", "overflow", "unspoken"]),
        st.sampled_from(IDS),
        st.text(max_size=3) | st.just("\ud800"),
    )
    | st.builds(Hears, likely)
    | st.builds(Hears, fields.map(json.dumps) | fields.map(json.dumps).map(str.encode))
    | st.builds(Waits, st.floats(0, 3))
)
scripts = st.lists(actions | st.builds(Hears, garbage), max_size=40) | st.lists(
    actions | st.builds(Loses, st.none() | st.integers(1000, 4999)), max_size=40
)


def _say(context: TTSContext, action: Says, now: float) -> list[ContextEvent]:
    match action.verb:
        case "push":
            assert action.text in json.loads(context.push(action.text, now))["transcript"]
        case "flush":
            context.flush(now)
        case "finish":
            context.finish(now, action.text)
        case "unspoken":
            context.unspoken()
        case _:
            message, event = context.cancel(now) if action.verb == "cancel" else context.overflow(now)
            assert message is None or json.loads(message) == {"context_id": context.id, "cancel": True}
            return [] if event is None else [event]
    return []


def _memory(context: TTSContext) -> object:
    return context.state, context.timing, context.deadline(), context.unspoken()


def _play(book: Book, action: Action, now: float) -> None:
    """Perform an action; what it may not raise fails the test."""
    session = book.session
    match action:
        case Opens(id, stall_timeout):
            with suppress(LocalProtocolError):
                book.contexts[id] = _open(session, id, stall_timeout)
        case Says(id=id):
            context = book.contexts.get(id)
            if context is None:
                return
            before = _memory(context)
            refused = True
            with suppress(LocalProtocolError, *([ContextEnded] if context.state in OVER else [])):
                book.note(_say(context, action, now))
                refused = False
            assert not refused or (action.verb in ("push", "flush", "finish") and _memory(context) == before)
        case Hears(message):
            book.note(session.receive(message, now))
        case Waits():
            book.note(session.handle_deadline(now))
        case Loses(code):
            book.note(session.connection_lost(code, "", now))


@EXAMPLES
@given(script=scripts)
def test_any_script_ends_every_context_once(script: list[Action]) -> None:
    """Events, None, `LocalProtocolError` or `ContextEnded`, and nothing else; one end for each context."""
    book = Book(TTSSession(Config(), half))
    now = 0.0
    for action in script:
        now += action.seconds if isinstance(action, Waits) else 0.0
        _play(book, action, now)
        book.check()
    book.note(book.session.connection_lost(1006, "", now))
    book.check()
    assert book.ends.keys() == book.contexts.keys()
    assert book.session.open_contexts == ()
    assert book.session.deadline() is None
    for context in book.contexts.values():
        with pytest.raises(ContextEnded):
            context.push("more", now)
        assert context.cancel(now) == (None, None)
    with pytest.raises(LocalProtocolError):
        _open(book.session)


@EXAMPLES
@given(message=garbage | fields.map(json.dumps), state=st.sampled_from(State))
def test_any_state_hears_anything(message: str | bytes, state: State) -> None:
    """One context in each state, and one message of any shape: events, at most one of them an end."""
    book = Book(TTSSession(Config(), half))
    context = book.contexts["a"] = _open(book.session, "a")
    if state is not State.NEW:
        context.push("Hello", 0.0)
    match state:
        case State.FINISHING:
            context.finish(0.0)
        case State.DONE:
            book.note(book.session.receive(_text(context_id="a", done=True), 0.0))
        case State.FAILED:
            book.note(book.session.receive(_text(context_id="a", error="no"), 0.0))
        case State.CANCELLED:
            book.note([event for event in context.cancel(0.0) if isinstance(event, Cancelled)])
        case State.NEW | State.OPEN:
            pass
    assert context.state is state
    book.note(book.session.receive(message, 1.0))
    book.check()


@EXAMPLES
@given(
    lives=st.lists(
        st.tuples(st.integers(1, 50), st.sampled_from(["hears", "ends", "ends", "stays"]), st.integers(0, 60)),
        max_size=30,
    )
)
def test_the_earliest_deadline_is_told(lives: list[tuple[int, str, int]]) -> None:
    """Whoever is opened, heard of or ends in whatever order: the deadline is the earliest of those that are open."""
    book = Book(TTSSession(Config(), half))
    for number, (stall_timeout, fate, which) in enumerate(lives):
        book.contexts[str(number)] = _open(book.session, str(number), stall_timeout)
        book.contexts[str(number)].push("Hello", 0.0)
        context = book.contexts[str(which % (number + 1))]
        if fate == "hears":
            book.session.receive(_chunk(context.id, b""), 0.5 + number)
        elif fate == "ends":
            book.note([event for event in context.cancel(0.0) if isinstance(event, Cancelled)])
        if number % 3 == 0:
            book.check()
    book.check()
    while (when := book.session.deadline()) is not None:
        book.note(book.session.handle_deadline(when))
        book.check()


# One long conversation, cut everywhere.

Step: TypeAlias = Callable[[Book], list[ContextEvent]]


def _hear(message: str) -> Step:
    return lambda book: book.session.receive(message, 1.0)


def _tell(id: str, verb: Callable[[TTSContext], object]) -> Step:
    def tell(book: Book) -> list[ContextEvent]:
        with suppress(ContextEnded):
            verb(book.contexts[id])
        return []

    return tell


def _cancel(id: str) -> Step:
    def cancel(book: Book) -> list[ContextEvent]:
        _, event = book.contexts[id].cancel(1.0)
        return [] if event is None else [event]

    return cancel


def _conversation() -> Iterator[Step]:
    """Three contexts interleaved: one to its end, one cancelled with frames still coming, one failed by the server."""
    for id in IDS[:3]:
        yield _tell(id, lambda context: context.push("Hello, ", 1.0))
    for part in range(6):
        for id in IDS[:3]:
            yield _hear(_chunk(id, bytes([part]) * 3))
            yield _tell(id, lambda context: context.push("more. ", 1.0))
        yield _hear(_text(type="timestamps", context_id="a", word_timestamps={"words": [], "start": [], "end": []}))
        yield _hear(_text(type="later", context_id="stranger"))
        yield _tell("a", lambda context: context.flush(1.0))
        yield _hear(_text(type="flush_done", context_id="a", flush_id=part, flush_done=True))
    yield _cancel("b")
    for part in range(4):
        yield _hear(_chunk("b", b"late"))
        yield _hear(_chunk("a", bytes([part]) * 2))
    yield _hear(_text(type="done", context_id="b", done=True))
    yield _hear(_text(type="error", context_id="c", status_code=500, message="m", done=True))
    yield _tell("a", lambda context: context.finish(1.0, "world."))
    yield _hear(_chunk("a", b"last"))
    yield _hear(_text(type="done", context_id="a", done=True))


CONVERSATION = tuple(_conversation())


def _played(steps: int, stall_timeout: float | None = None) -> Book:
    book = Book(TTSSession(Config(), half))
    for id in IDS[:3]:
        book.contexts[id] = _open(book.session, id, stall_timeout)
    for step in CONVERSATION[:steps]:
        book.note(step(book))
        book.check()
    return book


def test_the_whole_conversation() -> None:
    """Uncut, it ends in the three ways there are."""
    book = _played(len(CONVERSATION))
    assert {id: type(end) for id, end in book.ends.items()} == {"a": Done, "b": Cancelled, "c": Failed}
    assert book.session.dropped_frames == 6 + 5
    assert book.audio["a"].endswith(b"last")
    assert b"late" not in book.audio["b"]


@pytest.mark.parametrize("steps", range(len(CONVERSATION) + 1))
def test_dropped_after_every_step(steps: int) -> None:
    """One terminal event for each context; those that had ended keep theirs."""
    book = _played(steps)
    ended = dict(book.ends)
    book.note(book.session.connection_lost(1006, "", 2.0))
    book.check()
    assert book.ends.keys() == set(IDS[:3])
    assert {id: book.ends[id] for id in ended} == ended
    for id, end in book.ends.items():
        lost = isinstance(end, Failed) and isinstance(end.error, ConnectionLost)
        assert lost is (id not in ended)
    for step in CONVERSATION[steps:]:
        assert step(book) == []


@pytest.mark.parametrize("steps", range(3, len(CONVERSATION) + 1))
def test_silent_after_every_step(steps: int) -> None:
    """The peer says no more and does not close: each context that is owed more ends in time, and none before."""
    book = _played(steps, stall_timeout=5.0)
    ended = dict(book.ends)
    spoken = {id for id, one in book.contexts.items() if one.state is State.OPEN and not one.unspoken().inputs}
    assert book.session.handle_deadline(5.999) == []
    book.note(book.session.handle_deadline(6.0))
    book.check()
    assert book.ends.keys() == set(IDS[:3]) - spoken
    for id, end in book.ends.items():
        stalled = isinstance(end, Failed) and isinstance(end.error, TimeoutError)
        assert stalled is (id not in ended)


# Whole samples.


@pytest.mark.parametrize("encoding", [*SAMPLE_WIDTHS, "pcm_f64le"])
def test_whole_samples_at_every_split(encoding: str) -> None:
    """Audio cut anywhere over its chunks comes out in whole samples, in order and complete."""
    width = SAMPLE_WIDTHS.get(encoding, 1)
    audio = bytes(range(6 * width))
    for pieces in every_split(audio):
        session = TTSSession(Config(), half)
        _open(session, "a", format=RawFormat(encoding, 8000)).push("Hello", 0.0)
        events = [event for piece in pieces for event in session.receive(_chunk("a", piece), 0.0)]
        assert len(events) == len(pieces)
        assert all(isinstance(event, AudioChunk) and len(event.audio) % width == 0 for event in events)
        assert b"".join(event.audio for event in events) == audio


@EXAMPLES
@given(cuts=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), max_size=30))
def test_interleaved_contexts_share_no_sample(cuts: list[tuple[str, int]]) -> None:
    """What is left of one context's sample never meets another's, in whatever order the chunks come."""
    session = TTSSession(Config(), half)
    for id in "ab":
        _open(session, id, format=RawFormat("pcm_f32le", 8000)).push("Hello", 0.0)
    sent, heard = {"a": b"", "b": b""}, {"a": b"", "b": b""}
    for number, (id, size) in enumerate(cuts):
        piece = bytes([number]) * size
        sent[id] += piece
        (event,) = session.receive(_chunk(id, piece), 0.0)
        assert event.context_id == id
        assert len(event.audio) % 4 == 0
        heard[id] += event.audio
    assert heard == {id: audio[: len(audio) // 4 * 4] for id, audio in sent.items()}


# Inboxes.


@EXAMPLES
@given(
    sizes=st.lists(st.integers(0, 40), max_size=30),
    end=st.sampled_from([Done("a"), Cancelled("a"), Failed("a", ConnectionLost("cut")), None]),
    limit=st.integers(0, 20 * EVENT_BYTES),
    takes=st.randoms(use_true_random=False),
)
def test_an_inbox_delivers_a_prefix_and_one_end(
    sizes: list[int], end: TerminalEvent | None, limit: int, takes: Random
) -> None:
    """Whoever reads however slowly gets what was put, in order, up to one end; the bytes stay within the limit."""
    inboxes = Inboxes(limit)
    inboxes.open("a")
    chunks = [AudioChunk(bytes([number]) * size, "a") for number, size in enumerate(sizes)]
    heard: list[ContextEvent] = []
    overflowed = False
    for event in [*chunks, *([] if end is None else [end]), *chunks]:
        overflowed = bool(inboxes.put([event])) or overflowed
        assert inboxes.waiting <= limit + 2 * EVENT_BYTES
        if takes.random() < 0.3 and (taken := inboxes.take("a")) is not None:
            heard.append(taken)
    heard += inboxes.take_all("a")
    assert inboxes.waiting == 0
    ends = [event for event in heard if isinstance(event, Done | Cancelled | Failed)]
    pieces = heard[: len(heard) - len(ends)]
    assert pieces == [*chunks, *chunks][: len(pieces)]
    assert len(ends) <= 1
    if overflowed:
        assert isinstance(ends[0], Failed)
        assert isinstance(ends[0].error, LocalProtocolError)
    else:
        assert ends == ([] if end is None else [end])
        assert len(pieces) == len(chunks) * (2 if end is None else 1)


# Memory.


def _live(session: TTSSession, inboxes: Inboxes, number: int) -> None:
    """One short life, of four kinds; every second context is cancelled and never answered."""
    context = _open(session, stall_timeout=1e6)
    inboxes.open(context.id)
    context.push("Hello", 0.0)
    inboxes.put(session.receive(_chunk(context.id, b"\0\0\0"), 0.0))
    match number % 4:
        case 0:
            context.finish(0.0)
            inboxes.put(session.receive(_text(context_id=context.id, done=True), 0.0))
        case 2:
            inboxes.put(session.receive(_text(context_id=context.id, type="chunk", data=number), 0.0))
        case _:
            _, event = context.cancel(0.0)
            inboxes.drop(context.id)
            inboxes.put([] if event is None else [event])
    session.receive(_chunk(context.id, b"late"), 0.0)
    assert isinstance(inboxes.take_all(context.id)[-1], Done | Cancelled | Failed)
    inboxes.close(context.id)


def test_two_thousand_contexts_leave_nothing() -> None:
    """Not an object, not a byte, not a timer; and what they leave is freed without the garbage collector."""
    session, inboxes = TTSSession(Config(), Random(1).random), Inboxes()
    staying = _open(session, "staying", stall_timeout=1.0)
    staying.push("Hello", 0.0)
    for number in range(RETIRED_IDS):
        _live(session, inboxes, number)
    gc.collect()
    before = len(gc.get_objects())
    gc.disable()
    try:
        for number in range(2000):
            _live(session, inboxes, number)
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert len(gc.get_objects()) - before < 20
    assert session.open_contexts == (staying,)
    assert session.dropped_frames == RETIRED_IDS + 2000
    kept = session._retired, session._retired_ids  # pyright: ignore[reportPrivateUsage]  # only the inside shows it
    assert [len(ids) for ids in kept] == [RETIRED_IDS, RETIRED_IDS]
    assert len(session._timers) <= 2  # pyright: ignore[reportPrivateUsage]  # only the inside shows it
    assert (len(inboxes), inboxes.waiting) == (0, 0)
    assert session.deadline() == 1.0
