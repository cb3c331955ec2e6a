"""A session: who a message is for, which ids may be used, and what ends everything at once."""

import json
import math
import sys
import tracemalloc
from collections.abc import Callable
from typing import Final, TypedDict, cast

import pytest
from attrs import evolve

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.events import AudioChunk, Done, UnknownEvent
from cartesia_proto.config import Config
from cartesia_proto.credentials import AccessToken, ApiKey
from cartesia_proto.errors import (
    ApiError,
    CartesiaError,
    ConnectionLost,
    JsonValue,
    LocalProtocolError,
    RateLimitError,
    RemoteProtocolError,
    TimeoutError,
)
from cartesia_proto.sessions.context import TTSContext
from cartesia_proto.sessions.events import Cancelled, ContextEnded, ContextEvent, Failed
from cartesia_proto.sessions.states import State
from cartesia_proto.sessions.tts import RETIRED_IDS, TTSSession
from cartesia_proto.speech import GenerationConfig, VoiceLike
from cartesia_proto.testing import half

S16 = RawFormat("pcm_s16le", 8000)


class _Settings(TypedDict):
    model_id: str
    voice: VoiceLike
    output_format: RawFormat


SETTINGS: _Settings = {"model_id": "sonic-3", "voice": "v", "output_format": S16}


def _session() -> TTSSession:
    return TTSSession(Config(), half)


def _speaking(session: TTSSession, *ids: str, stall_timeout: float | None = None) -> list[TTSContext]:
    contexts = [session.context(**SETTINGS, context_id=id, stall_timeout=stall_timeout) for id in ids]
    for context in contexts:
        context.push("Hello", 0.0)
    return contexts


def _frame(**fields: JsonValue) -> str:
    return json.dumps(fields)


def _chunk(context_id: str, data: str = "AAA=") -> str:
    return _frame(type="chunk", data=data, context_id=context_id)


USUAL = AudioChunk(b"\0\0", "a", 1.5, 206)


def _usual(context_id: str | None) -> str:
    """A chunk of exactly the shape that the hot path takes."""
    return _frame(type="chunk", data="AAA=", done=False, status_code=206, step_time=1.5, context_id=context_id)


def _failure(event: ContextEvent) -> CartesiaError:
    assert isinstance(event, Failed)
    return event.error


# Who a message is for.


FORMS: list[Callable[[str], str | bytes | memoryview]] = [
    lambda text: text,
    lambda text: text.encode(),
    lambda text: memoryview(text.encode()),
]


@pytest.mark.parametrize("form", FORMS)
def test_messages_in_any_form(form: Callable[[str], str | bytes | memoryview]) -> None:
    """As text, as bytes, and as a view into a buffer."""
    session = _session()
    _speaking(session, "a")
    assert session.receive(form(_chunk("a")), 0.0) == [AudioChunk(b"\0\0", "a")]
    assert session.receive(form(_usual("a")), 0.0) == [USUAL]
    assert session.receive(form(_frame(type="done", done=True, context_id="a")), 0.0) == [Done("a")]


def test_contexts_interleave() -> None:
    """Each hears its own and nothing else."""
    session = _session()
    first, second = _speaking(session, "a", "b")
    assert list(session.open_contexts) == [first, second]
    assert not session.idle
    assert session.receive(_chunk("b"), 0.0) == [AudioChunk(b"\0\0", "b")]
    assert session.receive(_chunk("a", "AQE="), 0.0) == [AudioChunk(b"\1\1", "a")]
    assert session.receive(_frame(done=True, context_id="a"), 0.0) == [Done("a")]
    assert list(session.open_contexts) == [second]
    assert session.receive(_frame(error="no", context_id="b"), 0.0) == [second.terminal]
    assert list(session.open_contexts) == []
    assert session.idle
    assert session.dropped_frames == 0


def test_usual_chunks_find_their_context() -> None:
    """The hot path and the plain one agree on who a chunk is for, and that late ones are counted and dropped."""
    session = _session()
    first, second = _speaking(session, "a", "b")
    session.context(**SETTINGS, context_id="new")
    assert session.receive(_usual("b"), 1.0) == [evolve(USUAL, context_id="b")]
    assert second.timing.first_audio_at == 1.0
    assert session.receive(_usual(None), 1.0) == []
    assert session.receive(_usual("new"), 1.0) == []
    assert session.dropped_frames == 2
    first.cancel(1.0)
    assert session.receive(_usual("a"), 1.0) == []
    assert session.dropped_frames == 3
    assert session.receive(_usual(None), 1.0) == [evolve(USUAL, context_id="b")]
    assert session.receive(_usual(""), 1.0) == [evolve(USUAL, context_id="b")]


@pytest.mark.parametrize("id", ["other", "A", 5, True, ["a"], {"id": "a"}, 0, False, "new", "ended"])
@pytest.mark.parametrize("fields", [{"type": "chunk", "data": "AAA="}, {"type": "later"}, {"done": True}, {"data": 5}])
def test_frames_for_nobody(id: JsonValue, fields: dict[str, JsonValue]) -> None:
    """For an id that is unknown, over, no id at all, or of a context that has not spoken: counted and dropped."""
    session = _session()
    (context,) = _speaking(session, "a")
    session.context(**SETTINGS, context_id="new")
    _speaking(session, "ended")[0].cancel(0.0)
    assert session.receive(_frame(context_id=id, **fields), 0.0) == []
    assert session.dropped_frames == 1
    assert context.state is State.OPEN


@pytest.mark.parametrize("id", ["other", "A", "new", "ended"])
def test_an_error_for_nobody(id: str) -> None:
    """An error for a context that is not open concerns no other."""
    session = _session()
    (context,) = _speaking(session, "a")
    session.context(**SETTINGS, context_id="new")
    _speaking(session, "ended")[0].cancel(0.0)
    assert session.receive(_frame(context_id=id, type="error"), 0.0) == []
    assert session.dropped_frames == 1
    assert context.state is State.OPEN


@pytest.mark.parametrize("id", [5, True, ["a"], {"id": "a"}, 0, False])
def test_an_error_whose_id_is_none(id: JsonValue) -> None:
    """It may concern any context, so it ends them all: none may wait for what will not come."""
    session = _session()
    first, second = _speaking(session, "a", "b")
    events = session.receive(_frame(type="error", message="Broken", context_id=id), 0.0)
    assert events == [first.terminal, second.terminal]
    assert ["Broken" in str(_failure(event)) for event in events] == [True, True]


def test_cancel_swallows_what_comes_late() -> None:
    """Forty late chunks and a late end: the reader hears none of them, and a new context only its own."""
    session = _session()
    (old,) = _speaking(session, "old")
    assert session.receive(_chunk("old"), 0.0)
    message, event = old.cancel(0.0)
    assert message is not None
    assert event == Cancelled("old")
    (new,) = _speaking(session, "new")
    heard: list[ContextEvent] = []
    for _ in range(40):
        heard += session.receive(_chunk("old", "////"), 1.0)
        heard += session.receive(_chunk("new", "AQE="), 1.0)
    heard += session.receive(_frame(done=True, context_id="old"), 2.0)
    heard += session.receive(_frame(done=True, context_id="new"), 2.0)
    assert heard == [AudioChunk(b"\1\1", "new")] * 40 + [Done("new")]
    assert session.dropped_frames == 41
    assert (old.terminal, new.terminal) == (Cancelled("old"), Done("new"))


NO_ID: list[dict[str, JsonValue]] = [{}, {"context_id": None}, {"context_id": ""}]


@pytest.mark.parametrize("no_id", NO_ID)
def test_frames_without_an_id(no_id: dict[str, JsonValue]) -> None:
    """They belong to the only context the server has heard of; with none or several they are dropped."""
    session = _session()
    chunk, end = _frame(type="chunk", data="AAA=", **no_id), _frame(done=True, **no_id)
    session.context(**SETTINGS, context_id="new")
    assert session.receive(chunk, 0.0) == []
    assert session.dropped_frames == 1
    _speaking(session, "a")
    assert session.receive(chunk, 0.0) == [AudioChunk(b"\0\0", "a")]
    (second,) = _speaking(session, "b")
    assert session.receive(chunk, 0.0) == []
    assert session.receive(end, 0.0) == []
    assert session.dropped_frames == 3
    second.cancel(0.0)
    assert session.receive(end, 0.0) == [Done("a")]


@pytest.mark.parametrize("no_id", NO_ID)
@pytest.mark.parametrize("fields", [{"type": "error", "message": "m"}, {"error": "m"}, {"error": "m", "done": True}])
def test_an_error_without_an_id(fields: dict[str, JsonValue], no_id: dict[str, JsonValue]) -> None:
    """It concerns the connection, and ends every open context, also those that have not spoken."""
    session = _session()
    contexts = [*_speaking(session, "a", "b"), session.context(**SETTINGS, context_id="new")]
    events = session.receive(_frame(**fields, **no_id), 0.0)
    assert [event.context_id for event in events] == ["a", "b", "new"]
    assert [context.terminal for context in contexts] == events
    for event in events:
        error = _failure(event)
        assert isinstance(error, ApiError)
        assert (error.message, error.scope) == ("m", "connection")
    assert session.receive(_frame(**fields, **no_id), 0.0) == []
    assert _speaking(session, "later")[0].state is State.OPEN


def test_a_malformed_frame_without_an_id() -> None:
    """It fails the only context it can be about; among several nobody knows, so it is dropped."""
    session = _session()
    _speaking(session, "a", "b")
    assert session.receive(_frame(type="chunk", data=5), 0.0) == []
    assert session.receive(_frame(type=5, error="?"), 0.0) == []
    assert session.receive(_frame(type="chunk", error="?", data=5), 0.0) == []
    assert session.dropped_frames == 3
    session.open_contexts[0].cancel(0.0)
    (event,) = session.receive(_frame(type="chunk", data=5), 0.0)
    assert isinstance(_failure(event), RemoteProtocolError)
    assert event.context_id == "b"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Internal error", "'Internal error'"),
        (b"Internal error", "'Internal error'"),
        (memoryview(b"\xff\xfe garbage"), "'\ufffd\ufffd garbage'"),
        ("[]", "it is no JSON object"),
        ('"text"', "it is no JSON object"),
        ("null", "it is no JSON object"),
        ('{"type":"chunk"', "no acceptable JSON"),
        ('{"context_id":"a","x":{"context_id":"b"}', "no acceptable JSON"),
        ("[" * 1000, "nested more than"),
        ("x" * 1000, "'" + "x" * 200 + "…'"),
        ("\ud800", "'\ufffd\ufffd\ufffd'"),
    ],
)
def test_what_is_no_event(message: str | bytes | memoryview, shown: str) -> None:
    """A bare error text, as the first versions sent, or garbage: it ends every open context, and is shown in part."""
    session = _session()
    contexts = [*_speaking(session, "a", "b"), session.context(**SETTINGS)]
    events = session.receive(message, 0.0)
    assert [context.terminal for context in contexts] == events
    for event in events:
        error = _failure(event)
        assert isinstance(error, RemoteProtocolError)
        assert (error.path, error.scope) == ("$", "connection")
        assert shown in str(error)
        assert len(str(error)) < 1000


@pytest.mark.parametrize("message", ["", b"", memoryview(b""), " ", "\r\n\t"])
def test_an_empty_message(message: str | bytes | memoryview) -> None:
    """It is nothing, and ends nothing."""
    session = _session()
    _speaking(session, "a", "b")
    assert session.receive(message, 0.0) == []
    assert session.dropped_frames == 0


DAMAGED = [
    b'{"type":"timestamps","context_id":"a","word_timestamps":{"words":["\\ud83d"],"start":[0],"end":[1]}}',
    b'{"type":"timestamps","context_id":"a","word_timestamps":{"words":["x"],"start":[NaN],"end":[1]}}',
    b'{"type":"timestamps","context_id":"a","word_timestamps":{"words":["x","y"],"start":[1],"end":[1]}}',
    b'{"type":"chunk","context_id":"a","data":null,"status_code":206.0}',
    b'{"type":"chunk","context_id":"a","data":"","step_time":1e400,"flush_id":"1"}',
    b'{"type":"later","context_id":"a","x":"\xff"}',
    b'\xef\xbb\xbf{"type":"later","context_id":"a"}',
    b'{"context_id":"a","x":' + b"[" * 200 + b"]" * 200 + b"}",
]


@pytest.mark.parametrize("message", DAMAGED)
def test_a_damaged_message(message: bytes) -> None:
    """What is wrong with a field that nobody needs costs nothing."""
    session = _session()
    first, second = _speaking(session, "a", "b")
    (event,) = session.receive(message, 0.0)
    assert (event.context_id, event.audio) == ("a", b"")
    assert list(session.open_contexts) == [first, second]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b'{"type":"chunk","context_id":"a","data":"A"}', "base64"),
        (b'{"type":"chunk","context_id":"a","data":"\\ud83d"}', "base64"),
        (b'{"type":"chunk","context_id":"a","data":"AAA=', "no acceptable JSON"),
        (b'{"context_id" : "a","x":\xff}', "no acceptable JSON"),
        (b'{"context_id":"a","context_id":"a"', "no acceptable JSON"),
        (b'[{"type":"chunk","context_id":"a"}]', "it is no JSON object"),
        (b'{"context_id":"a","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "more than 131072 containers"),
    ],
)
def test_a_broken_message_for_one(message: bytes, words: str) -> None:
    """It costs that context alone; for an id that is not open, nobody."""
    session = _session()
    _, second = _speaking(session, "a", "b")
    (event,) = session.receive(message, 0.0)
    error = _failure(event)
    assert isinstance(error, RemoteProtocolError)
    assert (event.context_id, error.scope) == ("a", "context")
    assert words in str(error)
    assert list(session.open_contexts) == [second]
    assert session.receive(message, 0.0) == []
    assert session.dropped_frames == 1


@pytest.mark.parametrize(
    "message",
    [
        b'{"type":"error","context_id":"a","status_code":429,"error_code":"c","message":"half \\ud83d","x":NaN}',
        b'{"type":"error","context_id":"a","status_code":429,"error_code":"c","message":"half \\ud83d","x":',
    ],
)
def test_a_damaged_error(message: bytes) -> None:
    """It says what can be read of it, to the context that it is for."""
    session = _session()
    _, second = _speaking(session, "a", "b")
    (event,) = session.receive(message, 0.0)
    error = _failure(event)
    assert isinstance(error, RateLimitError)
    assert (error.error_code, error.message, error.context_id) == ("c", "half \ufffd", "a")
    assert list(session.open_contexts) == [second]


def test_a_damaged_error_for_all() -> None:
    """Without an id it ends every open context, with what can be read of it."""
    session = _session()
    _speaking(session, "a", "b")
    events = session.receive('{"error":"Too many: wait","status_code":429,"x":', 0.0)
    assert [event.context_id for event in events] == ["a", "b"]
    for event in events:
        error = _failure(event)
        assert isinstance(error, RateLimitError)
        assert (error.title, error.message, error.scope) == ("Too many", "wait", "connection")


# What ends everything.


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (1000, "connection idle timeout", "the connection ended with code 1000 (connection idle timeout)"),
        (1006, "", "the connection ended with code 1006"),
        (None, "", "the connection ended without a closing handshake"),
        (None, "reset by peer", "the connection ended without a closing handshake (reset by peer)"),
    ],
)
def test_a_lost_connection(code: int | None, reason: str, words: str) -> None:
    """Every open context ends, once; nothing can be opened any more, and what was open says why."""
    session = _session()
    contexts = [*_speaking(session, "a", "b"), session.context(**SETTINGS, context_id="new")]
    contexts[1].finish(0.0)
    events = session.connection_lost(code, reason, 5.0)
    assert [context.terminal for context in contexts] == events
    for event in events:
        error = _failure(event)
        assert error is not session.lost
        assert isinstance(error, ConnectionLost)
        assert (str(error), error.code, error.reason) == (words, code, reason)
        assert (error.scope, error.retryable) == ("connection", True)
    assert session.connection_lost(1001, "again", 6.0) == []
    assert session.lost is not None
    assert session.lost.code == code
    assert session.open_contexts == ()
    with pytest.raises(LocalProtocolError, match="the connection is lost: open the context on a new session"):
        session.context(**SETTINGS)
    for context in contexts:
        assert context.timing.done_at == 5.0
        with pytest.raises(ContextEnded) as caught:
            context.push("more", 7.0)
        assert caught.value.event is context.terminal
    assert session.receive(_chunk("a"), 8.0) == []
    assert session.dropped_frames == 1


@pytest.mark.parametrize("message", [_frame(type="error", message="m"), "garbage", None])
def test_every_context_has_an_error_of_its_own(message: str | None) -> None:
    """One that readers in several threads may raise at the same time."""
    session = _session()
    _speaking(session, "a", "b", "c")
    events = session.connection_lost(1006, "", 0.0) if message is None else session.receive(message, 0.0)
    errors = [_failure(event) for event in events]
    assert len({id(error) for error in errors}) == 3
    assert len({(type(error), str(error), error.scope) for error in errors}) == 1


def test_contexts_share_what_an_error_holds() -> None:
    """Its body is cleaned of secrets once, and kept once."""
    session = TTSSession(Config(credentials=ApiKey("sk_car_canary42")), half)
    _speaking(session, *(str(number) for number in range(40)))
    words: list[JsonValue] = ["sk_car_canary42", "word"]
    message = _frame(type="error", title="no sk_car_canary42", detail=words * 20_000)
    tracemalloc.start()
    try:
        events = session.receive(message, 0.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(events) == 40
    assert peak < 20 * len(message)
    errors = [_failure(event) for event in events]
    bodies = [error.body for error in errors if isinstance(error, ApiError)]
    assert all(body is bodies[0] for body in bodies)
    assert all("canary" not in str(error) and "no ***" in str(error) for error in errors)


@pytest.mark.parametrize("message", ["{}", _frame(type="later"), _frame(type="chunk", data="AAA=")])
def test_a_frame_without_an_id_asks_no_context(message: str) -> None:
    """It costs the same however many there are."""
    calls: list[int] = []
    for count in (2, 200):
        session = _session()
        _speaking(session, *(str(number) for number in range(count)))
        calls.append(0)

        def count_one(*_: object) -> None:
            calls[-1] += 1

        sys.setprofile(count_one)
        try:
            session.receive(message, 0.0)
        finally:
            sys.setprofile(None)
        assert session.dropped_frames == 1
    assert calls[0] == calls[1]


DEEP: Final = '"later":[' + "[]," * 100_000 + "[]]"


@pytest.mark.parametrize("text", [f'{{"context_id":"gone",{DEEP}}}', f'{{{DEEP}, "context_id" : "gone"}}'])
def test_a_long_message_for_nobody_is_not_parsed(text: str) -> None:
    """It is dropped for little more memory than it has itself, as it may be made of tiny values."""
    session = _session()
    (context,) = _speaking(session, "a")
    tracemalloc.start()
    try:
        assert session.receive(text.encode(), 0.0) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(text)
    assert session.dropped_frames == 1
    assert context.state is State.OPEN


def test_a_long_message_for_somebody_is_parsed() -> None:
    """As any other, to its end."""
    session = _session()
    _speaking(session, "a", "b")
    (event,) = session.receive(f'{{"context_id":"a",{DEEP}}}', 0.0)
    assert isinstance(event, UnknownEvent)
    assert len(session.receive(f'{{{DEEP},"error":"for all"}}', 0.0)) == 2


def test_a_lost_connection_spares_what_is_over() -> None:
    """A context that ended before has had its end."""
    session = _session()
    done, cancelled = _speaking(session, "a", "b")
    assert session.lost is None
    session.receive(_frame(done=True, context_id="a"), 0.0)
    cancelled.cancel(0.0)
    assert session.connection_lost(1006, "", 1.0) == []
    assert (done.terminal, cancelled.terminal) == (Done("a"), Cancelled("b"))


def test_deadlines() -> None:
    """The earliest is told; those that have come end their contexts, in order, and no other."""
    session = _session()
    assert session.deadline() is None
    (slow,) = _speaking(session, "slow", stall_timeout=9.0)
    (fast,) = _speaking(session, "fast", stall_timeout=2.0)
    (never,) = _speaking(session, "never", stall_timeout=math.inf)
    silent = session.context(**SETTINGS, stall_timeout=1.0)
    assert session.deadline() == 2.0
    assert session.handle_deadline(1.9) == []
    session.receive(_chunk("fast"), 1.9)
    assert session.deadline() == 3.9
    assert session.handle_deadline(2.0) == []
    assert session.handle_deadline(3.9) == [fast.terminal]
    assert session.deadline() == 9.0
    slow.push("more", 8.0)
    assert session.deadline() == 17.0
    assert session.handle_deadline(100.0) == [slow.terminal]
    assert session.deadline() is None
    for context in (fast, slow):
        assert context.terminal is not None
        assert isinstance(_failure(context.terminal), TimeoutError)
    assert session.open_contexts == (never, silent)
    assert session.receive(_chunk("fast"), 101.0) == []


def test_a_deadline_that_moved_makes_room_for_the_next() -> None:
    """A context that was heard of waits behind one that was not."""
    session = _session()
    _speaking(session, "heard", stall_timeout=2.0)
    _speaking(session, "silent", stall_timeout=3.0)
    session.receive(_chunk("heard"), 1.9)
    assert session.deadline() == 3.0
    assert [event.context_id for event in session.handle_deadline(3.5)] == ["silent"]
    assert session.deadline() == 3.9


def test_a_deadline_that_rests() -> None:
    """It is forgotten while nothing is owed, and watched again afterwards, with one timer for each context."""
    session = _session()
    resting, other = _speaking(session, "a", "b", stall_timeout=5.0)
    for now in (1.0, 2.0, 3.0):
        for context in (resting, other):
            context.flush(now)
        session.receive(_frame(type="flush_done", context_id="a"), now)
        assert len(session._timers) <= 2  # pyright: ignore[reportPrivateUsage]  # only the inside shows it
        assert session.deadline() == now + 5.0  # of the other one
    for _ in range(3):
        session.receive(_frame(type="flush_done", context_id="b"), 4.0)
    assert session.deadline() is None
    assert session.handle_deadline(1e9) == []
    resting.push("more", 100.0)
    assert session.deadline() == 105.0
    assert session.handle_deadline(105.0) == [resting.terminal]
    other.finish(200.0)
    assert session.handle_deadline(205.0) == [other.terminal]


def test_a_timer_of_an_earlier_context_of_the_same_id() -> None:
    """It takes no place from the later one's, which may be due before it."""
    session = _session()
    _speaking(session, "x", stall_timeout=1e6)[0].cancel(0.0)
    _speaking(session, *(f"keeps timers {number}" for number in range(10)))
    for number in range(RETIRED_IDS):
        session.context(**SETTINGS, context_id=f"retired {number}").cancel(0.0)
    (later,) = _speaking(session, "x", stall_timeout=1.0)
    assert session.deadline() == 1.0
    assert session.handle_deadline(1.0) == [later.terminal]


def test_the_client_s_timeout_is_the_stall_timeout() -> None:
    """Unless the context has its own: 60 seconds, or what the client was made with."""
    for config, due in ((Config(), 60.0), (Config(timeout=3.0), 3.0), (Config(timeout=math.inf), None)):
        session = TTSSession(config, half)
        _speaking(session, "a")
        assert session.deadline() == due


def test_stopping_the_server_after_a_stall() -> None:
    """What `handle_deadline` ends, the server goes on with until it has the message that `cancel` answers with."""
    session = _session()
    (context,) = _speaking(session, "a", stall_timeout=5.0)
    (event,) = session.handle_deadline(5.0)
    message, nothing = context.cancel(5.0)
    assert (json.loads(message or ""), nothing) == ({"context_id": "a", "cancel": True}, None)
    assert context.terminal is event


def test_several_deadlines_at_once() -> None:
    """Each context that was silent for too long ends, in the order of the deadlines."""
    session = _session()
    for position, id in enumerate("abc"):
        _speaking(session, id, stall_timeout=5.0 - position)
    assert [event.context_id for event in session.handle_deadline(10.0)] == ["c", "b", "a"]


def test_timers_do_not_outnumber_contexts() -> None:
    """Contexts that ended long before their deadline leave nothing behind, while others go on."""
    session = _session()
    (living,) = _speaking(session, "living", stall_timeout=1.0)
    for number in range(500):
        (context,) = _speaking(session, str(number), stall_timeout=1e6)
        context.cancel(0.0)
        assert len(session._timers) <= 4  # pyright: ignore[reportPrivateUsage]  # only the inside shows it
    assert session.deadline() == 1.0
    living.cancel(0.0)
    assert session.deadline() is None
    assert session._timers == []  # pyright: ignore[reportPrivateUsage]  # only the inside shows it


# Opening.


def test_settings_are_sent_as_they_were_given() -> None:
    """All of them; what was left out is not sent."""
    session = TTSSession(Config(version="2026-03-01"), half)
    context = session.context(
        **SETTINGS,
        language="de",
        locale="de-AT",
        normalization="off",
        generation_config=GenerationConfig(speed=0.9),
        add_timestamps=True,
        add_phoneme_timestamps=False,
        use_normalized_timestamps=True,
        max_buffer_delay_ms=0,
        pronunciation_dict_id="p",
        speed="slow",
        duration=2.5,
        context_id="c",
    )
    assert json.loads(context.push("Servus", 0.0)) == {
        "model_id": "sonic-3",
        "voice": {"mode": "id", "id": "v"},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
        "language": "de",
        "locale": "de-AT",
        "normalization": "off",
        "generation_config": {"speed": 0.9},
        "add_timestamps": True,
        "add_phoneme_timestamps": False,
        "use_normalized_timestamps": True,
        "max_buffer_delay_ms": 0,
        "pronunciation_dict_id": "p",
        "speed": "slow",
        "duration": 2.5,
        "context_id": "c",
        "transcript": "Servus",
        "continue": True,
    }


def test_settings_are_locked() -> None:
    """What the caller does to its mappings later is no concern of the context."""
    voice = {"id": "v"}
    wanted: dict[str, object] = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
    context = _session().context(model_id="m", voice=voice, output_format=wanted, context_id="c")
    first = context.push("a", 0.0)
    voice["id"] = "other"
    wanted["sample_rate"] = 44100
    assert context.push("a", 0.0) == first
    assert context.format == S16


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"voice": ""}, "voice names neither"),
        ({"duration": float("nan")}, "duration is nan"),
        ({"model_id": "\ud800"}, "lone surrogate"),
        ({"context_id": "\ud800"}, "lone surrogate"),
        ({"context_id": ""}, "context_id is empty: leave it out to have one made"),
        ({"context_id": 5}, "context_id must be a string, not int"),
        ({"context_id": "used"}, "context_id 'used' is in use"),
        ({"context_id": "ended"}, "context_id 'ended' was used before on this connection"),
    ],
)
def test_what_cannot_be_opened(changed: dict[str, object], message: str) -> None:
    """The error names the setting; no context is opened."""
    session = _session()
    session.context(**SETTINGS, context_id="used")
    _speaking(session, "ended")[0].cancel(0.0)
    settings = cast("_Settings", {**SETTINGS, **changed})
    with pytest.raises(LocalProtocolError, match=message):
        session.context(**settings)
    assert [context.id for context in session.open_contexts] == ["used"]


def test_ids_are_random_uuids() -> None:
    """Of version 4 (RFC 9562 section 5.4), as the official SDKs make them."""
    numbers = iter(range(10**6))
    session = TTSSession(Config(), lambda: (next(numbers) * 0.618034) % 1)
    ids = [session.context(**SETTINGS).id for _ in range(100)]
    assert len(set(ids)) == 100
    for id in ids:
        assert [len(part) for part in id.split("-")] == [8, 4, 4, 4, 12]
        assert set(id) <= set("0123456789abcdef-")
        assert (id[14], id[19] in "89ab") == ("4", True)


@pytest.mark.parametrize("chance", [0.0, 0.5, 1 - 2**-53])
def test_ids_differ_whatever_chance_says(chance: float) -> None:
    """A constant in the place of chance, as tests have it, hangs nothing and repeats nothing."""
    session = TTSSession(Config(), lambda: chance)
    ids = [session.context(**SETTINGS).id for _ in range(50)]
    assert len(set(ids)) == 50
    session.open_contexts[0].cancel(0.0)
    assert session.context(**SETTINGS).id not in ids


def test_ids_are_good_for_once() -> None:
    """The last 1,024 that ended are refused, however they ended; older ones are forgotten."""
    session = _session()
    for number in range(RETIRED_IDS + 1):
        session.context(**SETTINGS, context_id=str(number)).cancel(0.0)
    assert RETIRED_IDS == 1024
    assert session.context(**SETTINGS, context_id="0").id == "0"
    for number in (1, RETIRED_IDS):
        with pytest.raises(LocalProtocolError, match="was used before"):
            session.context(**SETTINGS, context_id=str(number))


def test_a_context_of_another_session() -> None:
    """It is open here from then on, and the session that made it has forgotten it, id and all."""
    before, session = _session(), _session()
    context = before.context(**SETTINGS, context_id="a")
    session.adopt(context)
    assert (before.open_contexts, session.open_contexts) == ((), (context,))
    assert json.loads(context.push("Hello", 0.0))["context_id"] == "a"
    assert session.receive(_usual("a"), 1.0) == [USUAL]
    assert context.cancel(2.0)[1] == Cancelled("a")
    assert session.idle
    assert before.context(**SETTINGS, context_id="a").id == "a"


def _lost() -> TTSSession:
    session = _session()
    session.connection_lost(None, "", 0.0)
    return session


def _using() -> TTSSession:
    session = _session()
    session.context(**SETTINGS, context_id="a")
    return session


def _having_used() -> TTSSession:
    session = _using()
    session.open_contexts[0].cancel(0.0)
    return session


@pytest.mark.parametrize(
    ("session", "message"),
    [
        (_lost(), "the connection is lost"),
        (_using(), "'a' is in use"),
        (_having_used(), "'a' was used before"),
    ],
)
def test_a_context_that_is_not_adopted(session: TTSSession, message: str) -> None:
    """It stays where it is."""
    before, count = _session(), len(session.open_contexts)
    context = before.context(**SETTINGS, context_id="a")
    with pytest.raises(LocalProtocolError, match=message):
        session.adopt(context)
    assert before.open_contexts == (context,)
    assert len(session.open_contexts) == count


def test_a_context_of_another_version() -> None:
    """What it says was written for that one, and would not be understood here: it stays where it is."""
    before, session = TTSSession(Config(version="2024-06-10"), half), TTSSession(Config(version="2026-08-14"), half)
    context = before.context(**SETTINGS)
    assert context.version == "2024-06-10"
    with pytest.raises(LocalProtocolError, match="of API version 2024-06-10, the session of 2026-08-14"):
        session.adopt(context)
    assert (before.open_contexts, session.open_contexts) == ((context,), ())


@pytest.mark.parametrize("end", [False, True])
def test_a_context_that_has_begun_is_not_adopted(*, end: bool) -> None:
    """Its session alone knows what was said on it, or that it is over."""
    session = _session()
    (context,) = _speaking(_session(), "a")
    if end:
        context.cancel(1.0)
    with pytest.raises(LocalProtocolError, match="only a new one can change its session"):
        session.adopt(context)
    assert session.idle


def test_a_context_whose_opening_was_interrupted() -> None:
    """Between two sessions, in neither's books: the next one takes it."""
    before, session = _session(), _session()
    context = before.context(**SETTINGS)
    context.join(session)
    later = _session()
    later.adopt(context)
    assert (before.idle, session.idle, later.open_contexts) == (True, True, (context,))


def test_cancelling_a_context_whose_opening_was_interrupted() -> None:
    """Cancelling never raises; the id is used up in the session that it belongs to."""
    before, session = _session(), _session()
    context = before.context(**SETTINGS, context_id="a")
    context.join(session)
    assert context.cancel(1.0) == (None, Cancelled("a"))
    with pytest.raises(LocalProtocolError, match="'a' was used before"):
        session.context(**SETTINGS, context_id="a")


def test_the_handshake() -> None:
    """As `websocket_request` makes it."""
    session = TTSSession(Config(credentials=AccessToken("t")), half)
    assert session.handshake().headers.get("Authorization") == "***"
    assert session.handshake(credentials="query").url.endswith("access_token=t")


def test_a_key_that_the_server_repeats_is_not_shown() -> None:
    """Neither an error event nor a text that is no event carries the session's key into what readers are told."""
    for said in (
        '{"type":"error","context_id":"a","status_code":401,"title":"Bad","message":"no key sk_car_canary42"}',
        '{"type":"error","status_code":401,"error":"Bad: no key sk_car_canary42"}',
        "no key sk_car_canary42",
    ):
        session = TTSSession(Config(credentials=ApiKey("sk_car_canary42")), half)
        context = session.context(model_id="m", voice="v", output_format=RawFormat("pcm_s16le", 8000), context_id="a")
        context.push("Hi", 0.0)
        (event,) = session.receive(said, 1.0)
        assert isinstance(event, Failed)
        assert "***" in str(event.error)
        assert "canary" not in f"{event!r}{event.error!r}{event.error.__dict__}"


def test_a_key_in_a_close_reason_is_not_shown() -> None:
    """A server that gives the key as its reason for closing does not put it into what readers are told."""
    session = TTSSession(Config(credentials=ApiKey("sk_car_canary42")), half)
    context = session.context(model_id="m", voice="v", output_format=RawFormat("pcm_s16le", 8000))
    context.push("Hi", 0.0)
    (event,) = session.connection_lost(1008, "bad key sk_car_canary42", 1.0)
    assert isinstance(event, Failed)
    assert isinstance(event.error, ConnectionLost)
    assert event.error.reason == "bad key ***"
    assert "canary" not in f"{event!r}{event.error}{session.lost!r}{context.terminal!r}"
