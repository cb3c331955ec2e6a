"""A context before it is opened on a connection, afterwards, and what its reader is told."""

import gc
import json
import math
from collections import deque
from collections.abc import Callable
from typing import TypedDict, final

import pytest

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.events import AudioChunk, Done, SpeechEvent
from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.config import Config, Limits
from cartesia_proto.contexts import Alone, ConversationContext
from cartesia_proto.conversation import TTSConversation, WebSocketOptions, handshake_outcome
from cartesia_proto.errors import ConnectionLost, JsonValue, LocalProtocolError
from cartesia_proto.flow import Attempt
from cartesia_proto.http import Headers, Request
from cartesia_proto.sessions.context import TTSContext
from cartesia_proto.sessions.events import Cancelled, ContextEnded, Failed, Timing, UnspokenPlan
from cartesia_proto.sessions.settings import ContextSettings
from cartesia_proto.sessions.states import State
from cartesia_proto.speech import VoiceLike
from cartesia_proto.testing import half
from cartesia_proto.wire.frames import TextMessage
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.websocket import ServerWebSocketLink

RAW = RawFormat("pcm_s16le", 8000)


class _Settings(TypedDict):
    model_id: str
    voice: VoiceLike
    output_format: RawFormat


SETTINGS: _Settings = {"model_id": "sonic-3", "voice": "v", "output_format": RAW}


@final
class Context(ConversationContext):
    """What a transport's own class does, each step by itself."""

    def __init__(self, transcript: str | None = None, **more: object) -> None:
        settings: ContextSettings = {**SETTINGS, **more}  # type: ignore[typeddict-item]  # what tests give is right
        super().__init__(Config(), half, settings, transcript)

    def open(self, conversation: TTSConversation) -> TTSConversation:
        """Open it."""
        self._check_not_over()
        return self._open(conversation)

    def push(self, conversation: TTSConversation, transcript: str, now: float = 101.0) -> None:
        """Say something."""
        self.open(conversation).push(self._context, transcript, now)
        self._check_sent()

    def cancel(self) -> set[str]:
        """Cancel it."""
        return self._cancel(102.0)

    def leave(self) -> set[str]:
        """Leave it."""
        return self._leave(102.0)

    @property
    def inner(self) -> TTSContext:
        """What sessions know of it."""
        return self._context

    @property
    def ready(self) -> tuple[TTSConversation | None, TTSConversation | None]:
        """What it is on, for whoever says the text that was known from the beginning, and for whoever says more."""
        return self._ready_to_begin(), self._ready()

    @property
    def begun(self) -> bool:
        """Whether it can be read."""
        return self._begun

    def begin(self, conversation: TTSConversation) -> bool:
        """Say the text that was known from the beginning."""
        return self._begin(conversation, 101.0)

    def leave_begun(self) -> set[str]:
        """Leave it, if it can be read."""
        return self._leave_begun(102.0)

    def check_done(self) -> None:
        """Ask whether all was heard."""
        self._check_done()

    @property
    def alone(self) -> Alone:
        """What keeps other readers out."""
        return self._alone

    def at_hand(self) -> SpeechEvent | None:
        """What a reader need not wait for."""
        return self._at_hand()

    def tell_end(self) -> bool:
        """Tell the reader that there is no more, if so."""
        return self._tell_end()

    def check_end_untold(self) -> None:
        """Begin to iterate."""
        self._check_end_untold()

    def check_sent(self) -> None:
        """What is done once it was written."""
        self._check_sent()

    def take(self) -> SpeechEvent | None:
        """Read, as transports do it."""
        return self._taken.popleft() if self._arrived() else None

    def take_all(self) -> list[SpeechEvent]:
        """Read everything."""
        return self._take_all()

    @property
    def heard_out(self) -> bool:
        """Whether its reader is at the end."""
        return self._heard_out

    @property
    def transcript(self) -> str | None:
        """What was known from the beginning."""
        return self._transcript


def _conversation() -> tuple[TTSConversation, ServerWebSocketLink]:
    """A conversation at 100 seconds, and its server."""
    attempt = Attempt(Request("GET", "https://api.test/ws", Headers()), 0.0, 10.0, "upgrade", 1000, 1000)
    link = WebSocketOptions().link(attempt, Limits(), 100.0)
    http = ServerLink(10.0, Limits())
    http.receive_data(link.data_to_send(), 100.0)
    head = http.next_event()
    assert isinstance(head, RequestHead)
    server = ServerWebSocketLink(http, head, limits=Limits(), ping_interval=math.inf, now=100.0)
    link.receive_data(server.data_to_send(), 100.0)
    assert handshake_outcome(link) is not None
    return TTSConversation(Config(), half, link), server


def _said(conversation: TTSConversation, server: ServerWebSocketLink, *messages: dict[str, JsonValue]) -> set[str]:
    """Who is woken when the server says something."""
    for message in messages:
        server.send_text(json.dumps(message))
    return conversation.receive_data(server.data_to_send(), 101.0)


def _chunk(id: str, audio: bytes = b"ab") -> dict[str, JsonValue]:
    return {"type": "chunk", "context_id": id, "data": encode_base64(audio)}


def _done(id: str) -> dict[str, JsonValue]:
    return {"type": "done", "done": True, "context_id": id}


# Before it is opened.


def test_a_context_without_a_connection() -> None:
    """It has an id, a state and checked settings, and its reader hears nothing yet."""
    context = Context()
    assert len(context.id) == 36
    assert Context(context_id="mine").id == "mine"
    assert (context.format, context.state, context.timing, context.terminal) == (RAW, State.NEW, Timing(), None)
    assert context.unspoken() == UnspokenPlan((), finished=False, audio_bytes=0, audio_seconds=0.0)
    assert (context.take(), context.take_all(), context.heard_out) == (None, [], False)
    context.check_sent()


def test_settings_are_checked_at_once() -> None:
    """Before anything is connected."""
    with pytest.raises(LocalProtocolError, match="stall_timeout"):
        Context(stall_timeout="soon")
    with pytest.raises(LocalProtocolError, match="no setting 'modle'"):
        Context(modle="sonic-3")
    with pytest.raises(LocalProtocolError, match="transcript is empty"):
        Context(transcript="")


def test_settings_hold_from_the_beginning() -> None:
    """Whatever becomes of what was given before it is opened."""
    voice: dict[str, object] = {"id": "v"}
    context = Context(voice=voice)
    voice.update(id=5, style=object())
    conversation, server = _conversation()
    context.push(conversation, "Hello")
    server.receive_data(conversation.link.data_to_send(), 101.0)
    message = server.next_event()
    assert isinstance(message, TextMessage)
    assert json.loads(message.data)["voice"] == {"id": "v"}


@pytest.mark.parametrize("end", [Context.cancel, Context.leave])
def test_over_before_it_began(end: Callable[[Context], set[str]]) -> None:
    """Its reader is at the end, and it is never opened."""
    context = Context(context_id="a", transcript="Hello")
    assert context.transcript == "Hello"
    assert end(context) == {"a"}
    assert (context.state, context.terminal) == (State.CANCELLED, Cancelled("a"))
    assert (context.take(), context.heard_out) == (None, True)
    conversation, server = _conversation()
    for _ in range(2):
        with pytest.raises(ContextEnded, match="before it began") as caught:
            context.open(conversation)
        assert caught.value.event == Cancelled("a")
    assert conversation.idle
    assert server.next_event() is None


# Opened.


def test_opening() -> None:
    """With its id and its settings, once."""
    conversation, server = _conversation()
    context = Context()
    id = context.id
    assert context.open(conversation) is conversation
    assert context.open(_conversation()[0]) is conversation
    context.push(conversation, "Hello")
    assert (context.id, context.state, context.timing.sent_at) == (id, State.OPEN, 101.0)
    assert context.unspoken().transcript == "Hello"
    assert _said(conversation, server, _chunk(id), _chunk(id), _done(id)) == {id}
    assert context.take() == AudioChunk(b"ab", id)
    assert (context.take_all(), context.heard_out) == ([AudioChunk(b"ab", id)], True)
    assert (context.take(), context.take_all()) == (None, [])
    assert context.terminal == Done(id)
    assert context.cancel() == set()


def test_an_id_that_is_taken() -> None:
    """It stays unopened, and may be opened elsewhere."""
    conversation, _ = _conversation()
    context = Context(context_id="a")
    first = Context(context_id="a")
    first.open(conversation)
    with pytest.raises(LocalProtocolError, match="in use"):
        context.open(conversation)
    assert context.state is State.NEW
    other, _ = _conversation()
    assert context.open(other) is other
    assert first.state is State.NEW


def test_a_connection_that_is_torn_while_a_context_is_opened() -> None:
    """Its reader hears of it, and it is not taken for one that was cancelled."""
    conversation, _ = _conversation()
    context = Context(context_id="a")
    conversation.adopt(context, context.inner)
    conversation.close(101.0)
    with pytest.raises(ContextEnded, match="a is failed: it was over before it began"):
        context.open(conversation)
    with pytest.raises(ConnectionLost):
        context.take_all()
    assert (context.take_all(), context.heard_out) == ([], True)


def test_a_context_that_its_user_drops() -> None:
    """Without a word: what waits for it is dropped with it, and what still comes too."""
    conversation, server = _conversation()
    unread, speaking, kept = Context(context_id="a"), Context(context_id="b"), Context(context_id="c")
    for context in (unread, speaking, kept):
        context.push(conversation, "Hello")
    assert _said(conversation, server, _chunk("a"), _done("a"), _chunk("b"), _chunk("c")) == {"a", "b", "c"}
    waiting = conversation.waiting_bytes
    del unread, speaking, context
    gc.collect()
    assert 0 < conversation.waiting_bytes < waiting / 2
    assert _said(conversation, server, _chunk("b"), _done("b"), _done("c")) == {"b", "c"}
    assert kept.take_all() == [AudioChunk(b"ab", "c")]
    assert (conversation.waiting_bytes, conversation.idle) == (0, True)


def test_a_connection_that_has_ended() -> None:
    """It stays unopened, and is told why."""
    conversation, server = _conversation()
    server.close(1013, "later", 100.0)
    _said(conversation, server)
    context = Context()
    for _ in range(2):
        with pytest.raises(ConnectionLost, match="later") as caught:
            context.open(conversation)
        assert caught.value.code == 1013
    assert context.state is State.NEW


def test_cancelling_and_leaving() -> None:
    """Its reader is released at once, and hears nothing more."""
    conversation, server = _conversation()
    cancelled, left = Context(context_id="a"), Context(context_id="b")
    for context in (cancelled, left):
        context.push(conversation, "Hello")
    assert _said(conversation, server, _chunk("a"), _chunk("b")) == {"a", "b"}
    assert (cancelled.cancel(), cancelled.cancel(), left.leave(), left.leave()) == ({"a"}, set(), {"b"}, set())
    for context in (cancelled, left):
        assert (context.take(), context.heard_out) == (None, True)
        with pytest.raises(ContextEnded):
            context.push(conversation, "more")


def test_a_reader_who_was_told_the_end() -> None:
    """Nobody iterates again; before that was told, there is an end to be told."""
    context = Context()
    context.cancel()
    context.check_end_untold()
    assert context.take() is None
    context.check_end_untold()
    assert context.tell_end()
    for over in (context, Context()):
        over.leave()
        with pytest.raises(LocalProtocolError, match="was read to its end, or left: its events come once"):
            over.check_end_untold()


def test_one_reader() -> None:
    """A second is told so; after the first, another may."""
    context = Context()
    for _ in range(2):
        with context.alone:
            assert context.alone.taken
            with pytest.raises(LocalProtocolError, match="one reader at a time"), context.alone:
                raise AssertionError("a second reader was let in")
            assert context.alone.taken
        assert not context.alone.taken


def test_a_text_that_is_known() -> None:
    """It is said once, when it begins; nothing else can be."""
    conversation, _ = _conversation()
    context = Context("Hello", context_id="a")
    assert not context.begun
    with pytest.raises(LocalProtocolError, match="nothing can be said besides"):
        print(context.ready)
    assert context.leave_begun() == set()
    assert context.begin(conversation)
    assert not context.begin(conversation)
    assert context.begun
    assert context.ready == (conversation, conversation)
    assert context.leave_begun() == {"a"}
    with pytest.raises(ContextEnded, match="not complete"):
        context.check_done()


def test_what_is_known_of_one_that_is_pushed_to() -> None:
    """It is ready once it was opened, begun then too, and complete once it is done."""
    conversation, server = _conversation()
    context = Context(context_id="a")
    assert context.ready == (None, None)
    assert not context.begun
    context.push(conversation, "Hello")
    assert context.begun
    _said(conversation, server, {"type": "done", "done": True, "context_id": "a"})
    context.check_done()


@pytest.mark.parametrize("transcript", ["\ud800", 5])
def test_a_text_that_cannot_be_said(transcript: str) -> None:
    """It is refused where it is given, and not by what would have said it."""
    with pytest.raises(LocalProtocolError):
        Context(transcript)


def test_what_is_at_hand() -> None:
    """What arrived together is taken together; it goes to the one reader, in order, and to nobody after a cancel."""
    conversation, server = _conversation()
    context = Context(context_id="a")
    context.push(conversation, "Hello")
    assert (context.at_hand(), context.take()) == (None, None)
    _said(conversation, server, _chunk("a"), _chunk("a"), _chunk("a"))
    assert context.at_hand() is None
    assert context.take() == AudioChunk(b"ab", "a")
    with context.alone:
        assert context.at_hand() is None
    assert context.at_hand() == AudioChunk(b"ab", "a")
    assert context.take() == AudioChunk(b"ab", "a")
    _said(conversation, server, _chunk("a"), _chunk("a"))
    assert context.take() == AudioChunk(b"ab", "a")
    context.cancel()
    assert context.at_hand() is None
    assert context.take() is None


def test_cancelling_in_the_middle_of_taking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may cancel between looking and taking."""

    class Emptied(deque[SpeechEvent]):
        def popleft(self) -> SpeechEvent:
            self.clear()
            return super().popleft()

    context = Context(context_id="a")
    monkeypatch.setattr(context, "_taken", Emptied([AudioChunk(b"ab", "a")]))
    assert context.at_hand() is None


@pytest.mark.parametrize("end", [Context.cancel, Context.leave])
def test_what_it_said_before_its_end_was_dropped(end: Callable[[Context], set[str]]) -> None:
    """Cancelled or left when it was done but unread: the end is the one that came, but not all of it was heard."""
    conversation, server = _conversation()
    context = Context(context_id="a")
    context.push(conversation, "Hello")
    assert _said(conversation, server, _chunk("a"), _done("a")) == {"a"}
    end(context)
    assert (context.take_all(), context.heard_out) == ([], True)
    assert context.terminal == Done("a")
    with pytest.raises(ContextEnded, match="not complete") as caught:
        context.check_done()
    assert caught.value.event == Done("a")


def test_a_failure_is_raised_once() -> None:
    """After the events before it, however they are taken."""
    conversation, server = _conversation()
    contexts = [Context(context_id=id) for id in "abc"]
    for context in contexts:
        context.push(conversation, "Hello")
    _said(conversation, server, _chunk("a"), _chunk("b"))
    conversation.receive_eof(102.0)
    one, several, none = contexts
    assert one.take() == AudioChunk(b"ab", "a")
    assert several.take_all() == [AudioChunk(b"ab", "b")]
    for context in (one, several):
        with pytest.raises(ConnectionLost):
            context.take()
        assert (context.take(), context.heard_out) == (None, True)
    with pytest.raises(ConnectionLost):
        none.take_all()
    assert none.take_all() == []


@pytest.mark.parametrize("reading", [True, False])
def test_leaving_before_a_failure_was_heard(*, reading: bool) -> None:
    """Whoever has left hears nothing more, whether the events before it had been taken or not."""
    conversation, server = _conversation()
    context = Context(context_id="a")
    context.push(conversation, "Hello")
    _said(conversation, server, _chunk("a"), _chunk("a"))
    conversation.receive_eof(102.0)
    if reading:
        assert context.take() == AudioChunk(b"ab", "a")
    assert context.leave() == set()
    for _ in range(2):
        assert (context.take_all(), context.take(), context.heard_out) == ([], None, True)
    assert isinstance(context.terminal, Failed)


def test_lost_while_it_was_sent_to() -> None:
    """That is told to who said it; an end of another kind is not its affair."""
    conversation, server = _conversation()
    fine, failed = Context(context_id="a"), Context(context_id="b")
    for context in (fine, failed):
        context.push(conversation, "Hello")
        context.check_sent()
    error: dict[str, JsonValue] = {"type": "error", "context_id": "b", "status_code": 400, "title": "no"}
    _said(conversation, server, _done("a"), error)
    assert isinstance(failed.terminal, Failed)
    failed.check_sent()
    conversation.send_failed(103.0)
    fine.check_sent()
    with pytest.raises(ContextEnded, match="while it was sent to"):
        failed.check_sent()
