"""What users of blocking clients say and hear, over a multiplexer that waits for nothing."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from itertools import islice
from random import Random
from types import FrameType
from typing import Final, TypeVar

import pytest

from cartesia_proto import contexts, conversation
from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.blocking import Ready, Saying, Step, Taking, TTSWebSocket
from cartesia_proto.codecs.events import AudioChunk, Done
from cartesia_proto.codecs.json import dumps, encode_base64, loads
from cartesia_proto.config import Config, Limits
from cartesia_proto.contexts import Alone
from cartesia_proto.conversation import TTSConversation, handshake_outcome
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import ConnectError, ConnectionLost, JsonValue, LocalProtocolError
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.sessions import inboxes
from cartesia_proto.sessions.events import Cancelled, ContextEnded
from cartesia_proto.sessions.settings import ContextSettings
from cartesia_proto.sessions.states import State
from cartesia_proto.wire.frames import TextMessage
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.websocket import ClientWebSocketLink, ServerWebSocketLink

T = TypeVar("T")

WHERE_EVENTS_PASS: Final = {contexts.__file__, conversation.__file__, inboxes.__file__}
"""The files of what takes them, apart from turns and waiting."""

FORMAT: Final = RawFormat("pcm_s16le", 8000)
SETTINGS: Final[ContextSettings] = {"model_id": "sonic-3", "voice": "v", "output_format": FORMAT}


def connection() -> tuple[ClientWebSocketLink, ServerWebSocketLink]:
    """Two open links."""
    link = ClientWebSocketLink(Request("GET", "http://api.test/", Headers()), timeout=10.0, limits=Limits(), now=0.0)
    http = ServerLink(10.0, Limits())
    http.receive_data(link.data_to_send(), 0.0)
    head = http.next_event()
    assert isinstance(head, RequestHead)
    http.next_event()
    server = ServerWebSocketLink(http, head, limits=Limits(), now=0.0)
    link.receive_data(server.data_to_send(), 0.0)
    assert isinstance(handshake_outcome(link), Response)
    return link, server


class FakeMultiplexer:
    """One connection, whose other end answers before anybody waits.

    Attributes:
        done: what was called that a context does not call.
        said: what the server heard.
        refusals: errors of attempts to connect, before there is a connection.
        drops: the connection ends with whatever is said next.
        interrupts: a signal comes with whatever is said next.
        meanwhile: what happens while the next connection is made.
    """

    def __init__(self) -> None:
        self.done: list[str] = []
        self.said: list[dict[str, JsonValue]] = []
        self.refusals: list[ConnectError] = []
        self.drops = False
        self.interrupts = False
        self.meanwhile: Callable[[], object] = lambda: None
        self._link, self._server = connection()
        self._conversation = TTSConversation(Config(credentials=ApiKey("k")), Random(2).random, self._link)

    def connect(self) -> None:
        self.done.append("connect")

    def run(self) -> None:
        self.done.append("run")

    def close(self) -> None:
        self.done.append("close")

    def say(self, id: str, ready: Ready, say: Saying, check: Step) -> None:
        if ready() is None:
            if self.refusals:
                raise self.refusals.pop()
            meanwhile, self.meanwhile = self.meanwhile, lambda: None
            meanwhile()
            ready()
        say(self._conversation, 1.0)
        if self.drops:
            self._conversation.receive_eof(1.0)
        if self.interrupts:
            raise KeyboardInterrupt
        self._exchange()
        check()

    def change(self, change: Callable[[float], set[str]]) -> None:
        change(2.0)
        self._exchange()

    def next(self, id: str, take: Taking[T], alone: Alone, first: Step | None) -> T:
        alone.__enter__()
        try:
            if first is not None:
                first()
            taken = take()
            assert taken is not None, "nobody will ever say more"
            return taken
        finally:
            alone.taken = False

    def tear(self) -> None:
        """Give the connection up, as after an interruption in a turn."""
        self._conversation.close(1.0)
        self._conversation.send_failed(1.0)

    def _exchange(self) -> None:
        self._server.receive_data(self._link.data_to_send(), 1.0)
        while isinstance(event := self._server.next_event(), TextMessage):
            fields = loads(event.data)
            assert isinstance(fields, dict)
            self.said.append(fields)
            if fields.get("transcript"):
                audio = encode_base64(str(fields["transcript"]).encode("utf-16-le"))
                self._server.send_text(
                    dumps({"type": "chunk", "context_id": fields["context_id"], "data": audio, "done": False}).decode()
                )
            if fields.get("continue") is False:
                done = {"type": "done", "context_id": fields["context_id"], "done": True}
                self._server.send_text(dumps(done).decode())
        self._conversation.receive_data(self._server.data_to_send(), 1.0)


@pytest.fixture
def multiplexer() -> FakeMultiplexer:
    """What is behind the WebSocket."""
    return FakeMultiplexer()


@pytest.fixture
def websocket(multiplexer: FakeMultiplexer) -> TTSWebSocket:
    """The WebSocket."""
    return TTSWebSocket(multiplexer, Config(credentials=ApiKey("k")), Random(1).random)


def audio_of(text: str) -> bytes:
    """What the server makes of a text."""
    return text.encode("utf-16-le")


def test_the_websocket_itself(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """Entering does nothing, leaving closes."""
    with websocket as entered:
        assert entered is websocket
        assert multiplexer.done == []
        websocket.connect()
        websocket.run()
    websocket.close()
    assert multiplexer.done == ["connect", "run", "close", "close"]


def test_piece_by_piece(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """Verbs in order, then events in order, then the end, as often as asked."""
    with websocket.context(**SETTINGS) as context:
        assert context.state is State.NEW
        assert multiplexer.said == []
        context.push("a", generation_config={"speed": 1.5})
        context.flush()
        context.finish("b", generation_config={"speed": 0.5})
        assert [said["transcript"] for said in multiplexer.said] == ["a", "", "b"]
        configs = [said.get("generation_config") for said in multiplexer.said]
        assert configs == [{"speed": 1.5}, None, {"speed": 0.5}]
        assert [event.audio for event in context] == [audio_of("a"), audio_of("b")]
        assert context.receive_batch() == []
        assert isinstance(context.terminal, Done)
        with pytest.raises(ContextEnded):
            context.push("more")
    assert len(multiplexer.said) == 3


def test_batches(websocket: TTSWebSocket) -> None:
    """All that has arrived, then none."""
    context = websocket.context(**SETTINGS)
    context.push("a")
    context.finish("b")
    batch = context.receive_batch()
    assert all(isinstance(event, AudioChunk) for event in batch)
    assert [event.audio for event in batch] == [audio_of("a"), audio_of("b")]
    assert context.receive_batch() == []


def test_a_whole_text(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """Sent when entered, when read, or at once, in one message."""
    entered = websocket.send(transcript="one", **SETTINGS)
    assert multiplexer.said == []
    with entered:
        assert len(multiplexer.said) == 1
        assert [event.audio for event in entered] == [audio_of("one")]
    read = websocket.send(transcript="two", stream=True, **SETTINGS)
    assert [event.audio for event in read] == [audio_of("two")]
    audio = websocket.send(transcript="three", stream=False, **SETTINGS)
    assert (audio.data, audio.format) == (audio_of("three"), FORMAT)
    assert [said["continue"] for said in multiplexer.said] == [False] * 3


def test_a_whole_text_is_all_there_is_to_say(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """Nothing can be said besides, before it was sent or afterwards; it is not sent for that."""
    context = websocket.send(transcript="one", **SETTINGS)
    verbs: list[Callable[[], None]] = [lambda: context.push("two"), context.flush, context.finish]
    for verb in verbs:
        with pytest.raises(LocalProtocolError, match=f"the whole text of context {context.id} was given: nothing can"):
            verb()
    assert multiplexer.said == []
    assert [event.audio for event in context] == [audio_of("one")]
    with pytest.raises(ContextEnded, match="which is done"):
        context.push("two")


def test_cancelled_while_a_connection_is_made(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """Reading ends, entering says nothing, a verb tells; nothing is sent."""
    read, entered = websocket.send(transcript="one", **SETTINGS), websocket.send(transcript="two", **SETTINGS)
    multiplexer.meanwhile = read.cancel
    assert list(read) == []
    multiplexer.meanwhile = entered.cancel
    with entered:
        assert list(entered) == []
    told = websocket.context(**SETTINGS)
    multiplexer.meanwhile = told.cancel
    with pytest.raises(ContextEnded, match="before it began"):
        told.push("three")
    assert multiplexer.said == []


def test_entering_what_was_cancelled(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """No connection is made for that."""
    multiplexer.refusals = [ConnectError("refused")]
    context = websocket.send(transcript="one", **SETTINGS)
    context.cancel()
    with context:
        assert list(context) == []
    assert len(multiplexer.refusals) == 1


def test_interrupted_while_entering(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """A context that has begun is left: it is cancelled, and there is nothing to hear."""
    multiplexer.interrupts = True
    context = websocket.send(transcript="one", **SETTINGS)
    with pytest.raises(KeyboardInterrupt), context:
        pytest.fail("it was not entered")
    assert isinstance(context.terminal, Cancelled)
    assert context.receive_batch() == []
    assert multiplexer.said[-1] == {"context_id": context.id, "cancel": True}


def test_cancelling(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """At any moment: while it speaks, when it is over, and before it began, where nothing is sent for it."""
    context = websocket.context(**SETTINGS)
    context.push("a")
    context.cancel()
    context.cancel()
    assert list(context) == []
    assert isinstance(context.terminal, Cancelled)
    assert multiplexer.said[1:] == [{"context_id": context.id, "cancel": True}]
    unsaid = websocket.send(transcript="b", **SETTINGS)
    unsaid.cancel()
    assert list(unsaid) == []
    with pytest.raises(ContextEnded, match="before it began"):
        unsaid.flush()
    assert len(multiplexer.said) == 2


def test_leaving(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """It cancels what is not over; there is nothing to hear afterwards."""
    with websocket.context(**SETTINGS) as context:
        context.push("a")
    assert context.receive_batch() == []
    assert multiplexer.said[1:] == [{"context_id": context.id, "cancel": True}]


@pytest.mark.parametrize("done", [True, False])
def test_reading_that_is_interrupted(*, done: bool) -> None:
    """Wherever it is: nothing comes twice, and at most the event is lost that was just being handed out."""
    place = 0
    while read_interrupted(place, done=done) is not None:
        place += 1
    assert place > 20


def read_interrupted(place: int, *, done: bool) -> str | None:
    """Read what arrived at once, interrupted at one place; answers as `strike`."""
    multiplexer = FakeMultiplexer()
    context = TTSWebSocket(multiplexer, Config(credentials=ApiKey("k")), Random(1).random).context(**SETTINGS)
    for text in "abcd":
        context.push(text)
    if done:
        context.finish()
    heard: list[bytes] = []
    after = strike(lambda: heard.extend(event.audio for event in islice(context, 4)), place)
    multiplexer.tear()
    with nullcontext() if done else pytest.raises(ConnectionLost):
        heard.extend(event.audio for event in context)
    expected = [audio_of(text) for text in "abcd"]
    assert heard == [audio for audio in expected if audio in heard]
    assert len(expected) - len(heard) == (after == "popleft")
    assert isinstance(context.terminal, Done) is done
    return after


def strike(work: Callable[[], object], place: int) -> str | None:
    """Do some work, interrupted at one place where events pass; after what, if it is C's, or None without such a place.

    As CPython handles signals: where a function begins, and after one of C has returned.
    """
    places, after = 0, ""

    def profile(frame: FrameType, event: str, function: object) -> None:
        nonlocal places, after
        if frame.f_code.co_filename in WHERE_EVENTS_PASS and event in ("call", "c_return"):
            places += 1
            if places > place:
                after = getattr(function, "__name__", "")
                raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    except KeyboardInterrupt:
        return after
    finally:
        sys.setprofile(before)
    return None


def test_no_connection(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """Whatever needed one says so, and can be tried again."""
    multiplexer.refusals = [ConnectError("refused") for _ in range(3)]
    context = websocket.context(**SETTINGS)
    with pytest.raises(ConnectError):
        context.push("a")
    whole = websocket.send(transcript="b", **SETTINGS)
    with pytest.raises(ConnectError), whole:
        pass
    with pytest.raises(ConnectError):
        next(whole)
    assert [event.audio for event in whole] == [audio_of("b")]
    context.finish("a")
    assert [event.audio for event in context] == [audio_of("a")]


def test_a_connection_lost_while_something_is_said(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """The verb says so; where a whole text was sent, reading does."""
    multiplexer.drops = True
    context = websocket.context(**SETTINGS)
    with pytest.raises(ContextEnded, match="lost while it was sent to"):
        context.push("a")
    with pytest.raises(ConnectionLost):
        next(context)
    assert context.receive_batch() == []


def test_a_whole_text_on_a_connection_that_is_lost(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """Reading tells."""
    multiplexer.drops = True
    with websocket.send(transcript="a", **SETTINGS) as context, pytest.raises(ConnectionLost):
        next(context)


def test_reading_before_anything_was_said(multiplexer: FakeMultiplexer, websocket: TTSWebSocket) -> None:
    """It opens the context, so that the reader hears of the connection's end."""
    multiplexer.drops = True
    context = websocket.context(**SETTINGS)
    with pytest.raises(ConnectionLost):
        next(context)
    assert multiplexer.said == []


def test_one_reader_at_a_time(websocket: TTSWebSocket) -> None:
    """A second one is refused."""
    context = websocket.context(**SETTINGS)
    with context._alone, pytest.raises(LocalProtocolError, match="one reader at a time"):  # pyright: ignore[reportPrivateUsage]  # another thread
        next(context)
