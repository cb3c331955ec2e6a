"""One context: what it is told, what it answers, how it ends, and what it remembers."""

import gc
import json
import math
from collections.abc import Callable
from typing import cast

import pytest

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.events import AudioChunk, Done, FlushDone, PhonemeTimestamps, UnknownEvent, WordTimestamps
from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.config import DEFAULT_VERSION, Config
from cartesia_proto.errors import (
    ApiError,
    BadRequestError,
    JsonValue,
    LocalProtocolError,
    RateLimitError,
    RemoteProtocolError,
    TimeoutError,
)
from cartesia_proto.sessions.context import TTSContext
from cartesia_proto.sessions.events import Cancelled, ContextEnded, ContextEvent, Failed, SpokenInput, Timing
from cartesia_proto.sessions.states import Input, State
from cartesia_proto.sessions.tts import TTSSession
from cartesia_proto.speech import GenerationConfig, VoiceByEmbedding, VoiceById, VoiceLike
from cartesia_proto.testing import half

S16 = RawFormat("pcm_s16le", 8000)
SETTINGS: dict[str, JsonValue] = {
    "model_id": "sonic-3",
    "voice": {"id": "v"},
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
    "context_id": "c",
}
"""What every message of `_context` carries under the newest version."""


def _session(version: str = DEFAULT_VERSION) -> TTSSession:
    return TTSSession(Config(version=version), half)


def _context(
    session: TTSSession | None = None,
    *,
    format: RawFormat = S16,
    stall_timeout: float | None = None,
    max_buffer_delay_ms: int | None = None,
    generation_config: GenerationConfig | None = None,
) -> TTSContext:
    return (session or _session()).context(
        model_id="sonic-3",
        voice="v",
        output_format=format,
        context_id="c",
        stall_timeout=stall_timeout,
        max_buffer_delay_ms=max_buffer_delay_ms,
        generation_config=generation_config,
    )


def _said(message: str) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = json.loads(message)
    return fields


def _hear(context: TTSContext, now: float = 0.0, **fields: JsonValue) -> list[ContextEvent]:
    return context.receive({"context_id": "c", **fields}, now)


def _audio(context: TTSContext, audio: bytes, now: float = 0.0) -> list[ContextEvent]:
    return _hear(context, now, type="chunk", data=encode_base64(audio), done=False, status_code=206)


def test_changing_its_session() -> None:
    """What is said on it is the other's affair from then on; it can be done before the first word alone."""
    before, session = _session(), _session()
    context = _context(before)
    context.join(session)
    assert before.idle
    session.adopt(context)
    context.push("Hello", 0.0)
    with pytest.raises(LocalProtocolError, match="c is open: only a new one can change its session"):
        context.join(before)
    assert session.open_contexts == (context,)


def test_a_text_is_checked_before_its_turn() -> None:
    """As `push` and `finish` would do it; nothing else changes."""
    context = _context()
    context.check("Hello")
    with pytest.raises(LocalProtocolError, match="lone surrogate"):
        context.check("\ud800")
    assert context.state is State.NEW


def test_a_chunk_that_was_read_already() -> None:
    """It is taken as its message would be: whole samples, under this context's id, and it is a sign of life."""
    context = _context(stall_timeout=5.0)
    context.push("Hello", 0.0)
    chunk = AudioChunk(b"\0\1", "c")
    assert context.receive_chunk(chunk, 2.0) is chunk
    assert context.deadline() == 7.0
    assert context.receive_chunk(AudioChunk(b"\2", "c"), 3.0) == AudioChunk(b"", "c")
    assert context.receive_chunk(AudioChunk(b"\3", "c"), 3.0) == AudioChunk(b"\2\3", "c")
    assert context.timing.first_audio_at == 2.0
    assert context.unspoken().audio_bytes == 4


# What it says.


def test_the_messages_of_a_conversation() -> None:
    """Every input repeats every setting, and says whether more follows."""
    context = _context()
    assert _said(context.push("Hello, ", 0.0)) == {**SETTINGS, "transcript": "Hello, ", "continue": True}
    assert _said(context.flush(0.0)) == {**SETTINGS, "transcript": "", "continue": True, "flush": True}
    assert _said(context.push("world.", 0.0)) == {**SETTINGS, "transcript": "world.", "continue": True}
    assert _said(context.finish(0.0)) == {**SETTINGS, "transcript": "", "continue": False}


def test_cancelling_says_two_fields() -> None:
    """The id and the word, as protocol section 4.3 has it."""
    context = _context()
    context.push("Hello", 0.0)
    message, _ = context.cancel(0.0)
    assert message is not None
    assert _said(message) == {"context_id": "c", "cancel": True}


def test_saying_all_at_once() -> None:
    """A first input that is also the last, with text and a configuration of its own."""
    context = _context()
    said = _said(context.finish(0.0, "Hello", generation_config=GenerationConfig(speed=1.2)))
    assert said == {**SETTINGS, "transcript": "Hello", "continue": False, "generation_config": {"speed": 1.2}}
    assert context.state is State.FINISHING


@pytest.mark.parametrize(
    "transcript", [" ", "\n", " a ", "a  b", "é", "e\u0301", "你好", "<break time='1s'/>", '"\\', "\0"]
)
def test_transcripts_are_never_edited(transcript: str) -> None:
    """Not stripped, joined or normalised, be they white space alone."""
    assert _said(_context().push(transcript, 0.0))["transcript"] == transcript
    assert _said(_context().finish(0.0, transcript))["transcript"] == transcript


def test_the_configuration_of_one_input() -> None:
    """Given with an input it holds for that input alone; the context's own holds for all others."""
    context = _context(generation_config=GenerationConfig(volume=0.5))
    assert _said(context.push("a", 0.0))["generation_config"] == {"volume": 0.5}
    assert _said(context.push("b", 0.0, generation_config={"emotion": "calm"}))["generation_config"] == {
        "emotion": "calm"
    }
    assert _said(context.flush(0.0))["generation_config"] == {"volume": 0.5}
    assert _said(context.finish(0.0))["generation_config"] == {"volume": 0.5}


VOICES: list[tuple[str, VoiceLike, JsonValue]] = [
    ("2024-06-10", "v", {"mode": "id", "id": "v"}),
    ("2026-03-01", VoiceById("v"), {"mode": "id", "id": "v"}),
    (DEFAULT_VERSION, {"mode": "id", "id": "v"}, {"id": "v"}),
    ("2024-11-13", VoiceByEmbedding([0.5, 1.0]), {"mode": "embedding", "embedding": [0.5, 1.0]}),
    (
        "2024-11-13",
        {"id": "v", "experimental_controls": {"speed": "fast", "emotion": "anger:low"}},
        {"mode": "id", "id": "v", "__experimental_controls": {"speed": "fast", "emotion": ["anger:low"]}},
    ),
]


@pytest.mark.parametrize(("version", "voice", "on_wire"), VOICES)
def test_voices_are_written_as_the_version_has_them(version: str, voice: VoiceLike, on_wire: JsonValue) -> None:
    """On every single message, also those that say nothing."""
    context = _session(version).context(model_id="m", voice=voice, output_format=S16)
    for message in (context.push("a", 0.0), context.flush(0.0), context.finish(0.0)):
        assert _said(message)["voice"] == on_wire


Verb = Callable[[TTSContext], object]

VERBS: dict[Input, Verb] = {
    Input.PUSH: lambda context: context.push("more", 1.0),
    Input.FLUSH: lambda context: context.flush(1.0),
    Input.FINISH: lambda context: context.finish(1.0),
}


def _new() -> TTSContext:
    return _context(stall_timeout=5.0)


def _open() -> TTSContext:
    context = _new()
    context.push("Hello", 0.0)
    return context


def _finishing() -> TTSContext:
    context = _open()
    context.finish(0.0)
    return context


def _done() -> TTSContext:
    context = _open()
    _hear(context, type="done", done=True)
    return context


def _cancelled() -> TTSContext:
    context = _open()
    context.cancel(0.0)
    return context


def _failed() -> TTSContext:
    context = _open()
    _hear(context, type="error", status_code=400, message="m")
    return context


LIVES = {
    State.NEW: _new,
    State.OPEN: _open,
    State.FINISHING: _finishing,
    State.DONE: _done,
    State.CANCELLED: _cancelled,
    State.FAILED: _failed,
}


@pytest.mark.parametrize("state", LIVES)
def test_every_state_is_reached(state: State) -> None:
    """By the shortest way there is; in two of them frames may be for the context."""
    context = LIVES[state]()
    assert context.state is state
    assert context.listening is (state in (State.OPEN, State.FINISHING))


@pytest.mark.parametrize("input", VERBS)
@pytest.mark.parametrize("state", [State.NEW, State.OPEN])
def test_saying_more_while_open(state: State, input: Input) -> None:
    """Everything may be said; what follows is as the table has it."""
    context = LIVES[state]()
    assert isinstance(VERBS[input](context), str)
    assert context.state is (State.FINISHING if input is Input.FINISH else State.OPEN)
    assert context.terminal is None


@pytest.mark.parametrize("input", VERBS)
def test_saying_more_after_finish(input: Input) -> None:
    """The user's own mistake; nothing changes."""
    context = _finishing()
    with pytest.raises(LocalProtocolError, match=f"{input.value} on context c, which is finishing: it was finished"):
        VERBS[input](context)
    assert context.state is State.FINISHING
    assert context.unspoken().inputs == (SpokenInput("Hello"),)


@pytest.mark.parametrize("input", VERBS)
@pytest.mark.parametrize("state", [State.DONE, State.CANCELLED, State.FAILED])
def test_saying_more_when_it_is_over(state: State, input: Input) -> None:
    """Another thread or the peer may have ended it: `ContextEnded`, with the terminal event in it."""
    context = LIVES[state]()
    plan = context.unspoken()
    with pytest.raises(ContextEnded, match=f"{input.value} on context c, which is {state.value}") as caught:
        VERBS[input](context)
    assert caught.value.event is context.terminal
    assert (context.state, context.unspoken()) == (state, plan)


@pytest.mark.parametrize("state", [State.NEW, State.OPEN, State.FINISHING])
def test_cancel(state: State) -> None:
    """Over at once for its reader; the server is told if it ever heard of the context."""
    context = LIVES[state]()
    message, event = context.cancel(3.0)
    assert (message is None) is (state is State.NEW)
    assert event == Cancelled("c")
    assert context.terminal is event
    assert context.timing.done_at == 3.0
    assert context.state is State.CANCELLED


@pytest.mark.parametrize("state", [State.DONE, State.CANCELLED, State.FAILED])
def test_cancelling_what_is_over(state: State) -> None:
    """Nothing to send, nothing to tell, no error."""
    context = LIVES[state]()
    terminal = context.terminal
    assert context.cancel(3.0) == (None, None)
    assert (context.state, context.terminal) == (state, terminal)


@pytest.mark.parametrize("state", State)
def test_overflow(state: State) -> None:
    """A reader that left too much unread ends what the server is speaking, and the server is told."""
    context = LIVES[state]()
    message, event = context.overflow(3.0)
    if state in (State.OPEN, State.FINISHING):
        assert message is not None
        assert _said(message) == {"context_id": "c", "cancel": True}
        assert isinstance(event, Failed)
        assert isinstance(event.error, LocalProtocolError)
        assert event.error.scope == "context"
        assert context.terminal is event
        assert context.state is State.FAILED
    else:
        assert (message, event, context.state) == (None, None, state)


CANNOT_BE_SAID: list[tuple[Verb, str]] = [
    (lambda context: context.push("", 0.0), "the transcript is empty: only flush and finish may say nothing"),
    (lambda context: context.push("\ud800", 0.0), "lone surrogate"),
    (lambda context: context.finish(0.0, "a\udfff"), "lone surrogate"),
    (lambda context: context.push(cast("str", b"a"), 0.0), "transcript must be a string, not bytes"),
    (lambda context: context.push(cast("str", None), 0.0), "transcript must be a string, not NoneType"),
    (lambda context: context.finish(0.0, cast("str", 5)), "transcript must be a string, not int"),
    (lambda context: context.push("a", 0.0, generation_config={"speed": float("nan")}), "speed is nan"),
    (lambda context: context.finish(0.0, generation_config={"speed": 2**70}), "outside 64 bits"),
    (
        lambda context: context.push("a", 0.0, generation_config=cast("GenerationConfig", "fast")),
        "generation_config must be a mapping, not str",
    ),
    (
        lambda context: context.finish(0.0, generation_config={"speed": {1}}),
        "generation_config is a set|speed is a set",
    ),
]


@pytest.mark.parametrize(("verb", "message"), CANNOT_BE_SAID)
@pytest.mark.parametrize("state", [State.NEW, State.OPEN])
def test_what_cannot_be_said(state: State, verb: Verb, message: str) -> None:
    """The error names what is wrong, and nothing has changed: not the state, the times, the plan or the deadline."""
    context = LIVES[state]()
    before = (context.state, context.timing, context.unspoken(), context.deadline())
    with pytest.raises(LocalProtocolError, match=message):
        verb(context)
    assert (context.state, context.timing, context.unspoken(), context.deadline()) == before
    assert isinstance(context.push("a", 0.0), str)


# What it hears.


def test_every_kind_of_event() -> None:
    """Each under its context's id, whatever the frame said of it."""
    context = _open()
    assert _audio(context, b"\0\1") == [AudioChunk(b"\0\1", "c", status_code=206)]
    assert _hear(
        context, type="timestamps", word_timestamps={"words": ["a"], "start": [0], "end": [1]}, flush_id=1
    ) == [WordTimestamps(("a",), (0.0,), (1.0,), "c", flush_id=1)]
    assert _hear(
        context, type="phoneme_timestamps", phoneme_timestamps={"phonemes": ["a"], "start": [0], "end": [1]}
    ) == [PhonemeTimestamps(("a",), (0.0,), (1.0,), "c")]
    assert _hear(context, type="flush_done", flush_done=True, flush_id=1, data="") == [
        FlushDone(1, "c", extra={"data": ""})
    ]
    fields: dict[str, JsonValue] = {"type": "later", "context_id": "c", "new": {"deep": [None]}}
    assert context.receive(fields, 0.0) == [UnknownEvent("later", "c", fields)]
    assert _hear(context, type="done", done=True, status_code=200, new=1) == [Done("c", 200, {"new": 1})]


@pytest.mark.parametrize("context_id", [{}, {"context_id": None}, {"context_id": ""}])
def test_frames_that_name_no_context(context_id: dict[str, JsonValue]) -> None:
    """The session knows whose they are; the events say it."""
    context = _open()
    frames: list[dict[str, JsonValue]] = [
        {"type": "chunk", "data": "AAAA"},
        {"type": "chunk", "data": "AAA="},
        {"type": "timestamps"},
        {"type": "phoneme_timestamps"},
        {"type": "flush_done"},
        {"type": "later"},
        {"done": True},
    ]
    events = [event for frame in frames for event in context.receive({**frame, **context_id}, 0.0)]
    assert [event.context_id for event in events] == ["c"] * len(frames)


def test_an_early_done_is_a_done() -> None:
    """The server ends contexts whose input stalls, and so do frames of old without a type."""
    for state in (State.OPEN, State.FINISHING):
        context = LIVES[state]()
        assert _hear(context, 7.0, done=True) == [Done("c")]
        assert (context.state, context.terminal) == (State.DONE, Done("c"))
        assert context.timing.done_at == 7.0


def test_a_chunk_that_is_also_the_end() -> None:
    """Its audio, then the end."""
    context = _open()
    assert _hear(context, type="chunk", data="AAA=", done=True) == [AudioChunk(b"\0\0", "c"), Done("c")]
    assert context.state is State.DONE


@pytest.mark.parametrize(
    ("fields", "kind", "text"),
    [
        ({"type": "error", "status_code": 400, "title": "T", "message": "m"}, BadRequestError, "T: m"),
        ({"type": "error", "status_code": 429, "error_code": "concurrency_limited"}, RateLimitError, "concurrency"),
        ({"error": "Title: Message"}, ApiError, "Title: Message"),
    ],
)
def test_an_error_of_the_server(fields: dict[str, JsonValue], kind: type[ApiError], text: str) -> None:
    """The end, by that error, for this context alone."""
    context = _finishing()
    (event,) = _hear(context, 7.0, **fields)
    assert isinstance(event, Failed)
    assert isinstance(event.error, kind)
    assert text in str(event.error)
    assert (event.error.context_id, event.error.scope) == ("c", "context")
    assert context.terminal is event
    assert context.timing.done_at == 7.0


def test_a_frame_that_makes_no_sense() -> None:
    """The end, by an error that names the field, for this context alone, and without the frames that found it."""
    context = _open()
    (event,) = _hear(context, type="chunk", data=5)
    assert isinstance(event, Failed)
    assert isinstance(event.error, RemoteProtocolError)
    assert (event.error.path, event.error.scope) == ("$.data", "context")
    assert "$.data must be a base64 string" in str(event.error)
    assert event.error.__traceback__ is None


def test_an_ended_context_is_freed_at_once() -> None:
    """However it ended, no reference leads back to it."""
    session = _session()
    gc.collect()
    gc.disable()
    try:
        for life in (_done, _cancelled, _failed):
            life()
        context = _context(session)
        context.push("a", 0.0)
        _hear(context, type="chunk", data="???")
        del context
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_nothing_is_told_after_the_end() -> None:
    """Not even by a method that only a session calls."""
    for state in (State.DONE, State.CANCELLED, State.FAILED):
        context = LIVES[state]()
        terminal = context.terminal
        assert _hear(context, type="done", done=True) == []
        assert _hear(context, type="error") == []
        assert context.fail(Input.LOST, RemoteProtocolError("late"), 9.0) == []
        assert context.stall(1e9) == []
        assert context.terminal is terminal


# Audio.


@pytest.mark.parametrize("size", range(7))
def test_whole_samples(size: int) -> None:
    """What is left of a sample is put before the next chunk; a chunk may so come to be empty, but is not left out."""
    context = _context(format=RawFormat("pcm_f32le", 8000))
    context.push("a", 0.0)
    data = bytes(range(12))
    pieces = [data[start : start + (size or 12)] for start in range(0, 12, size or 12)]
    events = [event for piece in pieces for event in _audio(context, piece)]
    assert len(events) == len(pieces)
    assert all(len(event.audio) % 4 == 0 for event in events)
    assert b"".join(event.audio for event in events) == data


def test_an_incomplete_last_sample_is_dropped() -> None:
    """It is half a number; it counts among the bytes that had arrived."""
    context = _open()
    assert [event.audio for event in _audio(context, b"\0\1\2")] == [b"\0\1"]
    assert context.unspoken().audio_bytes == 3
    assert context.unspoken().audio_seconds == 1 / 8000


def test_times() -> None:
    """First input, first audio that is not empty, end; each once."""
    context = _context()
    assert context.timing == Timing()
    context.push("a", 1.0)
    context.push("b", 2.0)
    _hear(context, 2.5, type="timestamps")
    _audio(context, b"", 3.0)
    _audio(context, b"\0", 3.5)
    assert context.timing == Timing(sent_at=1.0)
    _audio(context, b"\0", 4.0)
    _audio(context, b"\0\0", 5.0)
    assert context.timing == Timing(1.0, 4.0)
    _hear(context, 6.0, done=True)
    context.cancel(7.0)
    assert context.timing == Timing(1.0, 4.0, 6.0)


def test_times_of_a_context_that_never_spoke() -> None:
    """Only its end."""
    context = _new()
    context.cancel(4.0)
    assert context.timing == Timing(None, None, 4.0)


# Stalls.


def test_the_deadline_moves_with_every_input_and_frame() -> None:
    """Counted from the last of either; there is none before the first input, and none after the end."""
    context = _new()
    assert context.deadline() is None
    context.push("a", 1.0)
    assert context.deadline() == 6.0
    context.flush(2.0)
    assert context.deadline() == 7.0
    _hear(context, 3.0, type="later")
    assert context.deadline() == 8.0
    context.finish(4.0)
    assert context.deadline() == 9.0
    assert context.stall(8.999) == []
    (event,) = context.stall(9.0)
    assert isinstance(event, Failed)
    assert isinstance(event.error, TimeoutError)
    assert (event.error.phase, event.error.scope, event.error.retryable) == ("stall", "context", True)
    assert str(event.error) == "no frame for context c for 5 seconds"
    assert context.deadline() is None


def test_a_finish_that_is_forgotten() -> None:
    """It is found out after the client's timeout, and the error says so."""
    context = _context(TTSSession(Config(timeout=7.0), half))
    context.push("a", 1.0)
    _audio(context, b"\0\0", 2.0)
    assert context.deadline() == 9.0
    (event,) = context.stall(9.0)
    assert isinstance(event, Failed)
    assert str(event.error) == "no frame for context c for 7 seconds, and it was not finished"


@pytest.mark.parametrize(("timeout", "stall_timeout"), [(60.0, math.inf), (math.inf, None)])
def test_never_stalling(timeout: float, stall_timeout: float | None) -> None:
    """An infinite one, of the context or by default, is none."""
    context = _context(TTSSession(Config(timeout=timeout), half), stall_timeout=stall_timeout)
    context.finish(1.0, "a")
    assert context.deadline() is None
    assert context.stall(1e9) == []


def test_the_deadline_waits_while_everything_is_spoken() -> None:
    """Who flushed all may take his time; with the next input, or with `finish`, something is owed again."""
    context = _context(stall_timeout=5.0)
    context.push("a", 1.0)
    context.flush(1.0)
    context.push("b", 2.0)
    _hear(context, 3.0, type="flush_done")
    assert context.deadline() == 8.0
    context.flush(4.0)
    _hear(context, 5.0, type="flush_done")
    assert context.deadline() is None
    _audio(context, b"", 6.0)
    assert context.deadline() is None
    assert context.stall(1e9) == []
    context.flush(100.0)
    assert context.deadline() == 105.0
    _hear(context, 101.0, type="flush_done")
    assert context.deadline() is None
    context.push("c", 200.0)
    assert context.deadline() == 205.0
    context.flush(201.0)
    _hear(context, 202.0, type="flush_done")
    context.finish(300.0)
    assert context.deadline() == 305.0
    assert len(context.stall(305.0)) == 1


def test_the_deadline_waits_where_each_input_is_confirmed() -> None:
    """As with a buffer delay of 0: the last confirmation says that nothing is owed."""
    context = _context(stall_timeout=5.0, max_buffer_delay_ms=0)
    context.push("a", 1.0)
    context.push("b", 1.0)
    _hear(context, 2.0, type="flush_done")
    assert context.deadline() == 7.0
    _hear(context, 3.0, type="flush_done")
    assert context.deadline() is None


def test_an_input_that_is_refused_is_not_owed() -> None:
    """Nothing changed, so nothing is waited for."""
    context = _finishing()
    with pytest.raises(LocalProtocolError):
        context.push("more", 1.0)
    assert context.unspoken().inputs == (SpokenInput("Hello"),)


@pytest.mark.parametrize("life", [_open, _finishing])
@pytest.mark.parametrize("how", ["stall", "overflow"])
def test_the_server_can_be_told_to_stop(life: Callable[[], TTSContext], how: str) -> None:
    """A context that we ended is over, but the server does not know: `cancel` answers with the message, once."""
    context = life()
    event = context.stall(1e9)[0] if how == "stall" else context.overflow(1.0)[1]
    message, nothing = context.cancel(2.0)
    assert message is not None
    assert _said(message) == {"context_id": "c", "cancel": True}
    assert nothing is None
    assert context.terminal is event
    assert context.cancel(3.0) == (None, None)


# What is not known to be spoken.


def test_flushes_are_confirmed_in_order() -> None:
    """Each confirmation takes the inputs up to its flush; one too many takes nothing."""
    context = _context()
    for text in ("a", "b"):
        context.push(text, 0.0)
    context.flush(0.0)
    context.push("c", 0.0, generation_config={"emotion": "calm"})
    context.flush(0.0)
    context.push("d", 0.0)
    rest = (SpokenInput("c", {"emotion": "calm"}), SpokenInput("d"))
    assert context.unspoken().inputs == (SpokenInput("a"), SpokenInput("b"), *rest)
    _hear(context, type="flush_done")
    assert context.unspoken().inputs == rest
    _hear(context, type="flush_done")
    assert context.unspoken().inputs == rest[1:]
    _hear(context, type="flush_done")
    assert context.unspoken().inputs == rest[1:]
    assert context.unspoken().transcript == "d"
    assert not context.unspoken().finished


def test_without_a_buffer_every_input_is_confirmed() -> None:
    """With a buffer delay of 0 the server confirms each input by itself, and a flush as well."""
    context = _context(max_buffer_delay_ms=0)
    context.push("a", 0.0)
    context.push("b", 0.0)
    context.flush(0.0)
    context.finish(0.0, "c")
    left: list[str] = []
    for _ in range(5):
        _hear(context, type="flush_done")
        left.append(context.unspoken().transcript)
    assert left == ["bc", "c", "c", "", ""]
    assert context.unspoken().finished


def test_what_a_finish_says_is_an_input() -> None:
    """Unless it says nothing."""
    context = _context()
    context.push("a", 0.0)
    context.finish(0.0, "b", generation_config=GenerationConfig(speed=1.5))
    plan = context.unspoken()
    assert plan.inputs == (SpokenInput("a"), SpokenInput("b", {"speed": 1.5}))
    assert plan.finished
    assert _finishing().unspoken().inputs == (SpokenInput("Hello"),)


def test_the_plan_after_the_end() -> None:
    """Done means spoken; after a cancel or a failure all that was not confirmed is kept."""
    assert _done().unspoken().inputs == ()
    for life in (_cancelled, _failed):
        assert life().unspoken().inputs == (SpokenInput("Hello"),)


@pytest.mark.parametrize(
    ("encoding", "sizes", "seconds"),
    [
        ("pcm_s16le", [16000, 1, 15999], 2.0),
        ("pcm_mulaw", [4000], 0.5),
        ("pcm_f64le", [8, 8], None),
        ("pcm_alaw", [], 0.0),
    ],
)
def test_how_much_had_arrived(encoding: str, sizes: list[int], seconds: float | None) -> None:
    """In bytes, and in seconds where the width of a sample is known; a replay may go by it."""
    context = _context(format=RawFormat(encoding, 8000))
    context.push("a", 0.0)
    for size in sizes:
        _audio(context, bytes(size))
    context.cancel(0.0)
    plan = context.unspoken()
    assert (plan.audio_bytes, plan.audio_seconds) == (sum(sizes), seconds)


def test_a_replay() -> None:
    """A plan can be said again on another context, input by input, word for word."""
    lost = _context()
    first = [lost.push("a ", 0.0), lost.push("b", 0.0, generation_config={"speed": 1.1}), lost.finish(0.0)]
    lost.fail(Input.LOST, RemoteProtocolError("cut"), 0.0)
    plan = lost.unspoken()
    again = _context()
    messages = [again.push(said.transcript, 0.0, generation_config=said.generation_config) for said in plan.inputs]
    assert [*messages, again.finish(0.0)] == first


def test_a_configuration_is_frozen_when_it_is_given() -> None:
    """What the caller does to its mapping later is no concern of the plan."""
    config: dict[str, object] = {"emotion": "calm"}
    context = _context()
    context.push("a", 0.0, generation_config=config)
    config["emotion"] = "angry"
    assert context.unspoken().inputs == (SpokenInput("a", {"emotion": "calm"}),)


def test_nobody_is_told_to_stop_on_a_lost_connection() -> None:
    """What a stall left unsaid is not said any more."""
    session = TTSSession(Config(), half)
    context = _context(session, stall_timeout=5.0)
    context.finish(0.0, "Hello")
    assert len(session.handle_deadline(6.0)) == 1
    session.connection_lost(1006, "", 7.0)
    assert context.cancel(8.0) == (None, None)
