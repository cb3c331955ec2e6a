"""Session, link and inboxes as one: who is to be woken, and what the server hears."""

import gc
import json
import math
import sys
import threading
import tracemalloc
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import TypedDict, final

import pytest

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.events import AudioChunk, Done, FlushDone
from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.config import INBOX_BYTES, Config, Limits
from cartesia_proto.conversation import TTSConversation, WebSocketOptions, handshake_outcome
from cartesia_proto.errors import ConnectionLost, JsonValue, LocalProtocolError, TimeoutError
from cartesia_proto.flow import Attempt, Failure
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.sessions.context import TTSContext
from cartesia_proto.sessions.events import Cancelled, ContextEnded, ContextEvent, Failed
from cartesia_proto.sessions.inboxes import EVENT_BYTES
from cartesia_proto.sessions.states import State
from cartesia_proto.sessions.tts import RETIRED_IDS, TTSSession
from cartesia_proto.speech import VoiceLike
from cartesia_proto.testing import half
from cartesia_proto.wire.forks import INHERITED
from cartesia_proto.wire.frames import TextMessage
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.link import BUSY
from cartesia_proto.wire.websocket import ClientWebSocketLink, ServerWebSocketLink
from cartesia_proto.wire.websocket_link import Closed

ATTEMPT = Attempt(Request("GET", "https://api.test/ws", Headers()), 0.0, 10.0, "upgrade", 1000, 1000)


class _Settings(TypedDict):
    model_id: str
    voice: VoiceLike
    output_format: RawFormat


SETTINGS: _Settings = {"model_id": "sonic-3", "voice": "v", "output_format": RawFormat("pcm_s16le", 8000)}


def _answered(link: ClientWebSocketLink) -> ServerWebSocketLink:
    """The server's end, which has said yes; nobody has read that yet."""
    http = ServerLink(10.0, Limits())
    http.receive_data(link.data_to_send(), 0.0)
    head = http.next_event()
    assert isinstance(head, RequestHead)
    return ServerWebSocketLink(http, head, limits=Limits(), ping_interval=math.inf, now=0.0)


@final
class Reader:
    """Whoever reads a context: there, or gone."""


class Talk:
    """A conversation at 100 seconds, and its server."""

    def __init__(self, options: WebSocketOptions | None = None) -> None:
        options = options or WebSocketOptions()
        link = options.link(ATTEMPT, Limits(), 100.0)
        self.server = _answered(link)
        link.receive_data(self.server.data_to_send(), 100.0)
        outcome = handshake_outcome(link)
        assert isinstance(outcome, Response)
        assert outcome.status == 101
        self.conversation = TTSConversation(Config(), half, link, options.inbox_limit)

    def begin(self, *ids: str, stall_timeout: float | None = None) -> list[TTSContext]:
        """Contexts that have said something."""
        contexts = [self.conversation.open(self, **SETTINGS, context_id=id, stall_timeout=stall_timeout) for id in ids]
        for context in contexts:
            self.conversation.push(context, "Hello", 100.0)
        self.heard()
        return contexts

    def heard(self) -> list[dict[str, JsonValue]]:
        """What the server hears."""
        self.server.receive_data(self.conversation.link.data_to_send(), 100.0)
        told = list(iter(self.server.next_event, None))
        return [json.loads(message.data) for message in told if isinstance(message, TextMessage)]

    def said(self, *messages: dict[str, JsonValue], now: float = 101.0) -> set[str]:
        """Who is woken when the server says something, received in place."""
        for message in messages:
            self.server.send_text(json.dumps(message))
        data = self.server.data_to_send()
        space = self.conversation.link.receive_space(len(data))
        space[: len(data)] = data
        return self.conversation.received(len(data), now)


def _chunk(id: str, audio: bytes = b"ab") -> dict[str, JsonValue]:
    """A chunk of the usual shape, so it is read where it lies."""
    data = encode_base64(audio)
    return {"type": "chunk", "context_id": id, "data": data, "done": False, "status_code": 206, "step_time": 1.5}


def _audio(id: str, audio: bytes = b"ab") -> AudioChunk:
    """The same, as its reader gets it."""
    return AudioChunk(audio, id, 1.5, 206)


def _done(id: str) -> dict[str, JsonValue]:
    return {"type": "done", "done": True, "context_id": id}


# How it begins.


@pytest.mark.parametrize("options", [{"ping_interval": 0.0}, {"ping_timeout": -1.0}, {"inbox_limit": 0}])
def test_options_that_cannot_be(options: dict[str, float]) -> None:
    """Every one is above zero."""
    with pytest.raises(LocalProtocolError, match="above 0"):
        WebSocketOptions(**options)  # type: ignore[arg-type]  # each is of the kind its name asks for


def test_options_reach_the_link() -> None:
    """Keep-alive, compression and the time for the handshake."""
    link = WebSocketOptions(ping_interval=5.0, ping_timeout=7.0, deflate=True).link(ATTEMPT, Limits(), 100.0)
    assert link.deadline() == 110.0
    http = ServerLink(10.0, Limits())
    http.receive_data(link.data_to_send(), 0.0)
    head = http.next_event()
    assert isinstance(head, RequestHead)
    assert "permessage-deflate" in (head.headers.get("sec-websocket-extensions") or "")
    link.receive_data(ServerWebSocketLink(http, head, limits=Limits(), now=0.0).data_to_send(), 100.0)
    assert link.deadline() == 105.0
    link.handle_deadline(105.0)
    assert link.deadline() == 112.0


def test_handshakes() -> None:
    """Nothing yet; refused; nothing usable."""
    link = WebSocketOptions().link(ATTEMPT, Limits(), 100.0)
    assert handshake_outcome(link) is None
    link.receive_data(b"HTTP/1.1 402 Pay\r\nContent-Length: 2\r\n\r\nno", 100.0)
    refusal = handshake_outcome(link)
    assert isinstance(refusal, Response)
    assert (refusal.status, refusal.body) == (402, b"no")
    link = WebSocketOptions().link(ATTEMPT, Limits(), 100.0)
    link.receive_eof(100.0)
    failure = handshake_outcome(link)
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, ConnectionLost)


def test_yes_and_goodbye_in_one_breath() -> None:
    """However it is cut: the connection was accepted, and has ended."""
    link = WebSocketOptions().link(ATTEMPT, Limits(), 100.0)
    server = _answered(link)
    server.close(1013, "later", 100.0)
    link.receive_data(server.data_to_send(), 100.0)
    assert isinstance(handshake_outcome(link), Response)
    conversation = TTSConversation(Config(), half, link)
    assert not conversation.over
    assert conversation.received(0, 100.0) == set()
    assert conversation.over
    lost = conversation.session.lost
    assert lost is not None
    assert (lost.code, lost.reason) == (1013, "later")


# What users say.


def test_a_context_from_end_to_end() -> None:
    """Every verb reaches the server; every event its reader, and wakes nobody else."""
    talk = Talk()
    conversation = talk.conversation
    assert conversation.idle
    context, other = (conversation.open(talk, **SETTINGS, context_id=id) for id in "ab")
    assert not conversation.idle
    conversation.push(context, "Hello, ", 100.0, generation_config={"speed": 1.5})
    conversation.flush(context, 100.0)
    conversation.finish(context, 100.0, "world.", generation_config={"volume": 1.5})
    conversation.finish(other, 100.0)
    said = [(one["context_id"], one["transcript"], one["continue"], one.get("flush")) for one in talk.heard()]
    assert said == [
        ("a", "Hello, ", True, None),
        ("a", "", True, True),
        ("a", "world.", False, None),
        ("b", "", False, None),
    ]
    assert conversation.take_all(context) == []
    assert talk.said(_chunk("a"), {"type": "flush_done", "context_id": "a", "flush_done": True}) == {"a"}
    assert conversation.waiting_bytes > 0
    audio, flushed = conversation.take_all(context)
    assert audio == _audio("a")
    assert isinstance(flushed, FlushDone)
    assert talk.said(_chunk("b"), _done("a")) == {"a", "b"}
    assert conversation.take_all(context) == [Done("a")]
    assert conversation.take_all(context) == []
    assert talk.said(_done("b"), _chunk("a")) == {"b"}
    assert conversation.take_all(other) == [_audio("b"), Done("b")]
    assert conversation.take_all(other) == []
    assert (conversation.waiting_bytes, conversation.idle, conversation.over) == (0, True, False)


def test_everything_that_waits_at_once() -> None:
    """Also where the end is not yet among it."""
    talk = Talk()
    (context,) = talk.begin("a")
    talk.said(_chunk("a"), _chunk("a"))
    assert talk.conversation.take_all(context) == [_audio("a")] * 2
    talk.said(_done("a"))
    assert talk.conversation.take_all(context) == [Done("a")]


def test_handing_over() -> None:
    """As taking, but the reader has the events before they are let go of here; nothing is handed over in vain."""
    talk, handed = Talk(), list[list[ContextEvent]]()
    conversation = talk.conversation
    (context,) = talk.begin("a")

    def keep(events: deque[ContextEvent]) -> None:
        assert conversation.waiting_bytes > 0
        handed.append([*events])

    conversation.hand_over(context, keep)
    talk.said(_chunk("a"))
    conversation.hand_over(context, keep)
    assert (handed, conversation.waiting_bytes) == ([[_audio("a")]], 0)
    talk.said(_chunk("a"), _done("a"))
    conversation.hand_over(context, keep)
    conversation.hand_over(context, keep)
    assert (handed[1:], conversation.waiting_bytes) == ([[_audio("a"), Done("a")]], 0)
    with pytest.raises(LocalProtocolError, match="was used before"):  # and not that it was not read to its end
        conversation.open(talk, **SETTINGS, context_id="a")


def test_received_elsewhere() -> None:
    """Bytes that lie somewhere else are copied."""
    talk = Talk()
    (context,) = talk.begin("a")
    talk.server.send_text(json.dumps(_chunk("a")))
    talk.server.send_bytes(json.dumps(_done("a")).encode())
    assert talk.conversation.receive_data(talk.server.data_to_send(), 101.0) == {"a"}
    assert talk.conversation.take_all(context) == [_audio("a"), Done("a")]


def test_misuse_sends_nothing() -> None:
    """An empty text, and a context that is finished: nothing is queued."""
    talk = Talk()
    (context,) = talk.begin("a")
    talk.conversation.finish(context, 100.0)
    talk.heard()
    with pytest.raises(LocalProtocolError):
        talk.conversation.push(context, "more", 100.0)
    with pytest.raises(LocalProtocolError):
        talk.conversation.flush(context, 100.0)
    with pytest.raises(LocalProtocolError):
        talk.conversation.push(talk.conversation.open(talk, **SETTINGS), "", 100.0)
    with pytest.raises(LocalProtocolError, match="in use"):
        talk.conversation.open(talk, **SETTINGS, context_id="a")
    assert not talk.conversation.link.has_data_to_send


def test_cancelling() -> None:
    """What waits is dropped, what comes late too, and the server hears of it once."""
    talk = Talk()
    (context,) = talk.begin("a")
    talk.said(_chunk("a"), _chunk("a"))
    assert talk.conversation.cancel(context, 102.0) == {"a"}
    assert talk.conversation.cancel(context, 102.0) == set()
    assert talk.heard() == [{"context_id": "a", "cancel": True}]
    assert talk.said(*[_chunk("a")] * 40, _done("a")) == set()
    assert talk.conversation.session.dropped_frames == 41
    assert talk.conversation.take_all(context) == []
    assert context.terminal == Cancelled("a")


def test_cancelling_what_has_ended() -> None:
    """What waits is dropped all the same, and the server need not hear of it."""
    talk = Talk()
    (context,) = talk.begin("a")
    talk.said(_chunk("a"), _done("a"))
    assert talk.conversation.cancel(context, 102.0) == set()
    assert talk.heard() == []
    assert talk.conversation.waiting_bytes == 0
    assert talk.conversation.take_all(context) == []
    assert context.terminal == Done("a")


def test_cancelling_what_was_never_said() -> None:
    """The server need not hear of it."""
    talk = Talk()
    context = talk.conversation.open(talk, **SETTINGS)
    assert talk.conversation.cancel(context, 100.0) == {context.id}
    assert talk.heard() == []


def test_a_reader_too_slow() -> None:
    """Its context ends, after what was queued; the server hears of it, and other contexts go on."""
    talk = Talk(WebSocketOptions(inbox_limit=2 * (EVENT_BYTES + 100)))
    slow, quick = talk.begin("a", "b")
    assert talk.said(*[_chunk("a", bytes(100))] * 3, _chunk("b")) == {"a", "b"}
    assert talk.heard() == [{"context_id": "a", "cancel": True}]
    *before, last = talk.conversation.take_all(slow)
    assert before == [_audio("a", bytes(100))] * 2
    assert isinstance(last, Failed)
    assert "inbox" in str(last.error)
    assert talk.conversation.take_all(quick) == [_audio("b")]
    assert quick.state is State.OPEN


def test_a_reader_too_slow_when_all_ends() -> None:
    """Nothing can be sent any more."""
    talk = Talk(WebSocketOptions(inbox_limit=EVENT_BYTES + 100))
    (slow,) = talk.begin("a")
    talk.server.send_text(json.dumps(_chunk("a", bytes(100))))
    talk.server.send_text(json.dumps(_chunk("a", bytes(100))))
    talk.server.close(1000, "", 101.0)
    assert talk.conversation.receive_data(talk.server.data_to_send(), 101.0) == {"a"}
    assert [type(event) for event in talk.conversation.take_all(slow)] == [AudioChunk, Failed]


# Readers that are gone.


def test_an_abandoned_context() -> None:
    """Nothing is kept for a reader that is gone; what still comes is dropped, and nothing is cancelled."""
    talk = Talk()
    conversation, reader = talk.conversation, Reader()
    context = conversation.open(reader, **SETTINGS, context_id="a")
    conversation.push(context, "Hello", 100.0)
    talk.heard()
    talk.said(_chunk("a", bytes(1000)))
    assert conversation.waiting_bytes > 1000
    del reader
    gc.collect()
    assert conversation.waiting_bytes == 0
    assert talk.said(*[_chunk("a", bytes(1000))] * 3) == {"a"}
    assert (conversation.waiting_bytes, conversation.take_all(context)) == (0, [])
    assert talk.heard() == []
    assert not conversation.idle
    talk.said(_done("a"))
    assert conversation.idle
    assert context.terminal == Done("a")


CALLS: list[Callable[[Talk], object]] = [
    lambda talk: talk.said(_chunk("b")),
    lambda talk: talk.conversation.received(0, 101.0),
    lambda talk: talk.conversation.receive_data(b"", 101.0),
    lambda talk: talk.conversation.receive_eof(101.0),
    lambda talk: talk.conversation.send_failed(101.0),
    lambda talk: talk.conversation.handle_deadline(101.0),
    lambda talk: talk.conversation.open(talk, **SETTINGS),
    lambda talk: talk.conversation.idle,
    lambda talk: talk.conversation.waiting_bytes,
]


@pytest.mark.parametrize("call", CALLS)
def test_when_it_is_forgotten(call: Callable[[Talk], object]) -> None:
    """At the next call, of whatever kind: a context nobody could speak on any more is over then."""
    talk, reader = Talk(), Reader()
    context = talk.conversation.open(reader, **SETTINGS)
    del reader
    gc.collect()
    assert context.terminal is None
    call(talk)
    assert context.terminal is not None
    assert talk.heard() == []


def test_gone_in_another_thread() -> None:
    """The last reference may be anybody's."""
    talk = Talk()
    readers = [Reader()]
    talk.conversation.push(talk.conversation.open(readers[0], **SETTINGS, context_id="a"), "Hello", 100.0)
    talk.said(_chunk("a"))
    thread = threading.Thread(target=readers.clear)
    thread.start()
    thread.join()
    gc.collect()
    assert talk.conversation.waiting_bytes == 0


def test_gone_after_the_end() -> None:
    """Whoever has read to the end, or cancelled, is not asked after."""
    talk = Talk()
    conversation, readers = talk.conversation, [Reader(), Reader()]
    read, cancelled = (conversation.open(reader, **SETTINGS) for reader in readers)
    conversation.push(read, "Hello", 100.0)
    conversation.cancel(cancelled, 100.0)
    talk.said(_done(read.id))
    assert conversation.take_all(read) == [Done(read.id)]
    readers.clear()
    gc.collect()
    assert conversation.idle
    assert (read.terminal, cancelled.terminal) == (Done(read.id), Cancelled(cancelled.id))


def test_an_id_whose_events_wait() -> None:
    """However long ago the context ended: its reader must not hear another."""
    talk = Talk()
    conversation, reader = talk.conversation, Reader()
    context = conversation.open(reader, **SETTINGS, context_id="a")
    conversation.push(context, "Hello", 100.0)
    talk.said(_done("a"))
    for _ in range(RETIRED_IDS):
        conversation.cancel(conversation.open(talk, **SETTINGS), 100.0)
    with pytest.raises(LocalProtocolError, match="'a' is in use: it was not yet read"):
        conversation.open(talk, **SETTINGS, context_id="a")
    assert conversation.take_all(context) == [Done("a")]
    assert conversation.open(talk, **SETTINGS, context_id="a").state is State.NEW


def test_a_context_of_another_session() -> None:
    """It is heard like one that was opened here; one whose id is not heard out stays where it was."""
    talk = Talk()
    context, again = (TTSSession(Config(), half).context(**SETTINGS, context_id="a") for _ in range(2))
    talk.conversation.adopt(talk, context)
    talk.conversation.finish(context, 100.0, "Hello")
    assert talk.said(_chunk("a"), _done("a")) == {"a"}
    with pytest.raises(LocalProtocolError, match="'a' is in use: it was not yet read"):
        talk.conversation.adopt(talk, again)
    assert talk.conversation.take_all(context) == [_audio("a"), Done("a")]
    assert again.state is State.NEW


def test_an_id_whose_reader_is_gone() -> None:
    """It is free again at once, and its next reader is not taken for the one that is gone."""
    talk = Talk()
    conversation, reader = talk.conversation, Reader()
    conversation.push(conversation.open(reader, **SETTINGS, context_id="a"), "Hello", 100.0)
    talk.said(_done("a"))
    for _ in range(RETIRED_IDS):
        conversation.cancel(conversation.open(talk, **SETTINGS), 100.0)
    del reader
    gc.collect()
    (again,) = talk.begin("a")
    talk.said(_chunk("a"))
    assert conversation.take_all(again) == [_audio("a")]


def test_messages_that_come_with_the_handshake() -> None:
    """They are for no context yet: counted and dropped, or for nobody."""
    link = WebSocketOptions().link(ATTEMPT, Limits(), 100.0)
    server = _answered(link)
    server.send_text(json.dumps(_chunk("a")))
    server.send_bytes(b"garbage")
    link.receive_data(server.data_to_send(), 100.0)
    assert isinstance(handshake_outcome(link), Response)
    conversation = TTSConversation(Config(), half, link)
    assert conversation.received(0, 100.0) == set()
    assert conversation.session.dropped_frames == 1
    assert not conversation.over


def test_an_id_that_is_used_again() -> None:
    """What its earlier context says and asks for does not concern the later one."""
    talk = Talk()
    conversation = talk.conversation
    (early,) = talk.begin("a")
    talk.said(_done("a"))
    assert conversation.take_all(early) == [Done("a")]
    for _ in range(RETIRED_IDS):
        conversation.cancel(conversation.open(talk, **SETTINGS), 100.0)
    (late,) = talk.begin("a")
    assert talk.said(_chunk("a")) == {"a"}
    assert conversation.take_all(early) == []
    assert conversation.cancel(early, 102.0) == set()
    assert talk.said(_done("a")) == {"a"}
    assert conversation.take_all(late) == [_audio("a"), Done("a")]


def _work(ask: Callable[[Talk], object], talk: Talk) -> tuple[int, int]:
    """What something costs: calls of Python's and bytes of memory, by which it would grow."""
    calls: list[str] = []

    def count(frame: FrameType, event: str, argument: object) -> None:
        del argument
        calls.append(f"{event} {frame.f_code.co_qualname}")

    ask(talk)
    before = sys.getprofile()
    tracemalloc.start()
    try:
        ask(talk)
        peak = tracemalloc.get_traced_memory()[1]
        sys.setprofile(count)
        try:
            ask(talk)
        finally:
            sys.setprofile(before)
    finally:
        tracemalloc.stop()
    return len(calls), peak


def test_what_a_context_costs() -> None:
    """The same, however many there are on a connection."""
    asking: list[Callable[[Talk], object]] = [
        lambda talk: talk.conversation.idle,
        lambda talk: talk.conversation.waiting_bytes,
        lambda talk: talk.conversation.deadline(),
        lambda talk: talk.said(_chunk("a")),
        lambda talk: talk.conversation.cancel(talk.conversation.open(talk, **SETTINGS), 101.0),
    ]
    few, many = Talk(), Talk()
    for talk, count in ((few, 10), (many, 10_000)):
        talk.begin("a")
        for number in range(count):
            talk.conversation.open(talk, **SETTINGS, context_id=f"c{number}")
    for ask in asking:
        calls, size = _work(ask, few)
        more_calls, more_size = _work(ask, many)
        assert more_calls == calls
        assert more_size < size + 10_000  # a pointer to each would be more


# How it ends.


def _lost(conversation: TTSConversation, context: TTSContext) -> ConnectionLost:
    """Why a context ended, after nothing; its verbs say so too."""
    (last,) = conversation.take_all(context)
    assert isinstance(last, Failed)
    assert isinstance(last.error, ConnectionLost)
    with pytest.raises(ContextEnded):
        conversation.push(context, "more", 200.0)
    assert conversation.cancel(context, 200.0) == set()
    assert conversation.over
    return last.error


def test_the_server_closes() -> None:
    """With code and reason; it is answered."""
    talk = Talk()
    contexts = talk.begin("a", "b")
    talk.server.close(1000, "connection idle timeout", 101.0)
    assert talk.said() == {"a", "b"}
    for context in contexts:
        error = _lost(talk.conversation, context)
        assert (error.code, error.reason) == (1000, "connection idle timeout")
    talk.server.receive_data(talk.conversation.link.data_to_send(), 101.0)
    assert talk.server.next_event() == Closed(1000, "", None)


def test_the_connection_ends() -> None:
    """Without a word, or because bytes did not go out."""
    for end in (TTSConversation.receive_eof, TTSConversation.send_failed):
        talk = Talk()
        contexts = talk.begin("a", "b")
        assert end(talk.conversation, 101.0) == {"a", "b"}
        assert end(talk.conversation, 102.0) == set()
        assert [_lost(talk.conversation, context).code for context in contexts] == [None, None]
        with pytest.raises(LocalProtocolError, match="lost"):
            talk.conversation.open(talk, **SETTINGS)


def test_closing() -> None:
    """Every context ends at once; the server hears of it, and its goodbye is the last event."""
    talk = Talk()
    (context,) = talk.begin("a")
    assert talk.conversation.close(102.0) == {"a"}
    assert talk.conversation.close(102.0) == set()
    assert _lost(talk.conversation, context).reason == "closed by this side"
    talk.server.receive_data(talk.conversation.link.data_to_send(), 102.0)
    assert talk.server.next_event() == Closed(1000, "", None)
    assert talk.conversation.link.deadline() is not None
    assert talk.conversation.receive_data(talk.server.data_to_send(), 103.0) == set()
    assert talk.conversation.link.deadline() is None
    assert talk.conversation.close(104.0) == set()


# Time.


def test_silence() -> None:
    """The link's pings and a context's patience, whichever comes first."""
    talk = Talk(WebSocketOptions(ping_interval=20.0, ping_timeout=15.0))
    patient, hasty = *talk.begin("a"), *talk.begin("b", stall_timeout=5.0)
    assert talk.conversation.deadline() == 105.0
    assert talk.conversation.handle_deadline(104.0) == set()
    assert talk.conversation.handle_deadline(105.0) == {"b"}
    (event,) = talk.conversation.take_all(hasty)
    assert isinstance(event, Failed)
    assert isinstance(event.error, TimeoutError)
    talk.conversation.cancel(hasty, 106.0)
    assert talk.heard() == [{"context_id": "b", "cancel": True}]
    assert talk.conversation.deadline() == 120.0
    assert talk.conversation.handle_deadline(120.0) == set()
    assert talk.conversation.link.has_data_to_send
    assert talk.conversation.deadline() == 135.0
    assert talk.conversation.handle_deadline(135.0) == {"a"}
    assert "ping" in _lost(talk.conversation, patient).reason
    assert talk.conversation.deadline() is None


def test_a_connection_on_which_something_stalled() -> None:
    """It is to take no new context; those that are open go on, and it ends with the last of them."""
    talk = Talk()
    lasting, other = talk.begin("a", "b")
    (stalled,) = talk.begin("c", stall_timeout=5.0)
    assert not talk.conversation.retired
    assert talk.conversation.handle_deadline(105.0) == {"c"}
    assert stalled.state is State.FAILED
    assert (talk.conversation.retired, talk.conversation.over) == (True, False)
    assert talk.said(_chunk("a"), _done("b"), now=106.0) == {"a", "b"}
    assert talk.conversation.take_all(other) == [Done("b")]
    assert talk.conversation.retired
    assert talk.said(_done("a"), now=107.0) == {"a"}
    assert (talk.conversation.retired, talk.conversation.over) == (False, True)
    assert talk.conversation.link.state == "closed"
    assert talk.conversation.take_all(lasting) == [_audio("a"), Done("a")]
    talk.server.receive_data(talk.conversation.link.data_to_send(), 107.0)
    cancel, goodbye = list(iter(talk.server.next_event, None))
    assert isinstance(cancel, TextMessage)
    assert json.loads(cancel.data) == {"context_id": "c", "cancel": True}
    assert goodbye == Closed(1000, "", None)


def test_a_connection_on_which_the_only_context_stalled() -> None:
    """It ends at once: it may be dead."""
    talk = Talk()
    (context,) = talk.begin("a", stall_timeout=5.0)
    assert talk.conversation.handle_deadline(105.0) == {"a"}
    assert talk.conversation.over
    (event,) = talk.conversation.take_all(context)
    assert isinstance(event, Failed)
    assert isinstance(event.error, TimeoutError)


def test_leaving_the_last_context_beside_one_that_stalled() -> None:
    """With it the connection ends; who dropped a context unread does not keep it."""
    for leave in (True, False):
        talk, reader = Talk(), Reader()
        left = talk.conversation.open(reader, **SETTINGS, context_id="a")
        talk.conversation.push(left, "Hello", 100.0)
        talk.begin("c", stall_timeout=5.0)
        talk.conversation.handle_deadline(105.0)
        assert talk.conversation.retired
        if leave:
            assert talk.conversation.cancel(left, 106.0) == {"a"}
        del reader
        gc.collect()
        talk.conversation.received(0, 107.0)
        assert talk.conversation.over
        assert left.terminal is not None


def test_nothing_is_timed() -> None:
    """Without keep-alive and without stall timeouts."""
    talk = Talk(WebSocketOptions(ping_interval=math.inf))
    talk.begin("a", stall_timeout=math.inf)
    assert talk.conversation.deadline() is None


def test_the_default_limit() -> None:
    """As the inboxes have it."""
    assert WebSocketOptions().inbox_limit == INBOX_BYTES


def test_turns() -> None:
    """What arrives at once and is very much is taken in several turns; who reads is told that there is more."""
    talk = Talk()
    (context,) = talk.begin("a")
    woken = talk.said(*[_chunk("a")] * 500)
    assert (woken, talk.conversation.unread) == ({"a"}, True)
    assert 0 < len(talk.conversation.take_all(context)) < 500
    while talk.conversation.unread:
        assert talk.conversation.received(0, 101.0) == {"a"}
    assert talk.conversation.take_all(context)[-1] == _audio("a")


def test_very_much_in_one_breath_with_the_handshake() -> None:
    """More than waits unread behind it: no context is open, so it concerns nobody."""
    link = WebSocketOptions().link(ATTEMPT, Limits(), 100.0)
    server = _answered(link)
    for _ in range(2):
        server.send_text(json.dumps(_chunk("a", bytes(BUSY))))
        server.send_bytes(json.dumps(_chunk("a", bytes(BUSY))).encode())
    link.receive_data(server.data_to_send(), 100.0)
    assert isinstance(handshake_outcome(link), Response)
    conversation = TTSConversation(Config(), half, link)
    assert conversation.received(0, 100.0) == set()
    assert (conversation.over, conversation.unread) == (False, False)


def test_disowned_in_a_child_process() -> None:
    """Not a byte is sent, also not one that was queued; every open context has failed, and what had come stays."""
    talk = Talk()
    (context,) = talk.begin("a")
    talk.said(_chunk("a"))
    talk.conversation.flush(context, 101.0)
    assert talk.conversation.disown(102.0) == {"a"}
    assert talk.conversation.over
    assert talk.conversation.link.data_to_send() == b""
    audio, end = talk.conversation.take_all(context)
    assert audio == _audio("a")
    assert isinstance(end, Failed)
    assert isinstance(end.error, ConnectionLost)
    assert INHERITED in str(end.error)
    assert talk.conversation.disown(103.0) == set()
