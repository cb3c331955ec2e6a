"""Sessions carried by someone else's WebSocket: each recipe is the ten lines that aiohttp, a browser or another needs.

The WebSockets here are fakes which have no more than every library has: `send` for a text, and messages one after the
other, to iterate over or handed to a callback.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from random import Random
from typing import Protocol, final

import pytest

from cartesia_proto import (
    AccessToken,
    ApiKey,
    CartesiaError,
    Config,
    ConnectionLost,
    ContextEnded,
    ContextEvent,
    Failed,
    Inboxes,
    JsonValue,
    RawFormat,
    State,
    TTSContext,
    TTSSession,
)
from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.errors import RateLimitError
from cartesia_proto.testing import Clock

FORMAT = RawFormat("pcm_s16le", 24000)
TEXTS = ("Hello, ", "world.")


# The recipes.


class WebSocket(Protocol):
    """What the first recipe needs of a WebSocket: that of aiohttp, `websockets` or any other."""

    async def send(self, message: str) -> None:
        """Send one text message."""
        ...

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The peer's messages, until the connection ends."""
        ...


async def speak(websocket: WebSocket, session: TTSSession, texts: tuple[str, ...], now: Callable[[], float]) -> bytes:
    """One context over a connection that is open; its audio, or its error."""
    context, audio = session.context(model_id="sonic-3", voice="a0e9", output_format=FORMAT), b""
    for text in texts:
        await websocket.send(context.push(text, now()))
    await websocket.send(context.finish(now()))
    async for message in websocket:
        audio += b"".join(event.audio for event in session.receive(message, now()))
        if context.terminal is not None:
            break
    session.connection_lost(None, "", now())  # ends what is still open; here the connection serves one context
    if isinstance(context.terminal, Failed):
        raise context.terminal.error
    return audio


class BrowserSocket(Protocol):
    """What the second recipe needs: callbacks, as a browser's `WebSocket` has them."""

    onmessage: Callable[[str], None]
    onclose: Callable[[int, str], None]

    def send(self, message: str) -> None:
        """Send one text message."""
        ...


def carry(socket: BrowserSocket, session: TTSSession, inboxes: Inboxes, now: Callable[[], float]) -> None:
    """Any number of contexts over one connection; whoever reads one takes its events from its inbox."""

    def file(events: list[ContextEvent]) -> None:
        overflowed = inboxes.put(events)
        for context in session.open_contexts:
            if context.id in overflowed and (message := context.overflow(now())[0]) is not None:
                socket.send(message)

    socket.onmessage = lambda message: file(session.receive(message, now()))
    socket.onclose = lambda code, reason: file(session.connection_lost(code, reason, now()))


# A peer.


def _answers(fields: dict[str, JsonValue]) -> Iterator[str]:
    """What a server says to a message: the text in UTF-16 for audio, and the end after the last."""
    id, text = fields["context_id"], str(fields.get("transcript", ""))
    if text:
        data = encode_base64(text.encode("utf-16-le"))
        yield json.dumps({"type": "chunk", "context_id": id, "data": data, "done": False, "status_code": 206})
    if fields.get("continue") is False:
        yield json.dumps({"type": "done", "context_id": id, "done": True, "status_code": 200})


@final
class FakeWebSocket:
    """A peer to iterate over. It ends the connection after a number of messages."""

    def __init__(self, messages: int = 1000) -> None:
        self.sent: list[dict[str, JsonValue]] = []
        self.answers: list[str] = []
        self._messages = messages

    async def send(self, message: str) -> None:
        self.sent.append(json.loads(message))
        self.answers += _answers(self.sent[-1])

    async def __aiter__(self) -> AsyncIterator[str]:
        for answer in self.answers[: self._messages]:
            yield answer


def _ignore(*_: object) -> None:
    """The callback of one who sets none."""


@final
class FakeBrowserSocket:
    """A peer that calls back, whenever the test says so."""

    def __init__(self) -> None:
        self.sent: list[dict[str, JsonValue]] = []
        self.onmessage: Callable[[str], None] = _ignore
        self.onclose: Callable[[int, str], None] = _ignore

    def send(self, message: str) -> None:
        self.sent.append(json.loads(message))

    def answer(self) -> None:
        """Answer all that was sent."""
        for fields in self.sent:
            for message in _answers(fields):
                self.onmessage(message)


def _session() -> TTSSession:
    return TTSSession(Config(credentials=ApiKey("sk_car_x")), Random(1).random)


def _now() -> float:
    return Clock().now


# Iterated over.


def test_one_context() -> None:
    """Every text goes out as it was given, and all of the audio comes back."""
    websocket = FakeWebSocket()
    audio = asyncio.run(speak(websocket, _session(), TEXTS, _now))
    assert audio.decode("utf-16-le") == "Hello, world."
    said = [(fields["transcript"], fields["continue"]) for fields in websocket.sent]
    assert said == [("Hello, ", True), ("world.", True), ("", False)]


@pytest.mark.parametrize("messages", range(4))
def test_a_connection_that_ends(messages: int) -> None:
    """After any number of messages: the whole audio, or an error, and never a wait."""
    session = _session()
    if messages == 3:
        assert asyncio.run(speak(FakeWebSocket(messages), session, TEXTS, _now)).decode("utf-16-le") == "Hello, world."
    else:
        with pytest.raises(ConnectionLost):
            asyncio.run(speak(FakeWebSocket(messages), session, TEXTS, _now))
    assert session.open_contexts == ()


@pytest.mark.parametrize(
    ("message", "kind"),
    [('{"type":"error","status_code":429,"title":"Too many"}', RateLimitError), ("Internal error", CartesiaError)],
)
def test_an_error_is_raised(message: str, kind: type[CartesiaError]) -> None:
    """Whatever the server says instead of speaking."""
    websocket = FakeWebSocket()
    websocket.answers.append(message)
    with pytest.raises(kind):
        asyncio.run(speak(websocket, _session(), TEXTS, _now))


# Called back.


def _opened(session: TTSSession, inboxes: Inboxes, socket: FakeBrowserSocket, text: str) -> TTSContext:
    context = session.context(model_id="sonic-3", voice="a0e9", output_format=FORMAT)
    inboxes.open(context.id)
    socket.send(context.push(text, _now()))
    return context


def _heard(inboxes: Inboxes, context: TTSContext) -> str:
    return b"".join(event.audio for event in inboxes.take_all(context.id)).decode("utf-16-le")


def test_a_browser_needs_a_url_alone() -> None:
    """Version and access token stand in it, and nothing of it in what is shown."""
    session = TTSSession(Config(credentials=AccessToken("eyJ.x")), Random(1).random)
    request = session.handshake(credentials="query")
    assert request.url.endswith("?cartesia_version=2026-08-14&access_token=eyJ.x")
    assert len(request.headers) == 0
    assert "eyJ" not in repr(request)


def test_many_contexts_and_barge_in() -> None:
    """A cancelled context is over at once; the peer's late audio is dropped, the others go on."""
    socket, session, inboxes = FakeBrowserSocket(), _session(), Inboxes()
    carry(socket, session, inboxes, _now)
    first, second = (_opened(session, inboxes, socket, text) for text in ("first", "second"))
    message, event = first.cancel(_now())
    assert message is not None
    assert event is not None
    inboxes.drop(first.id)
    inboxes.put([event])
    socket.send(message)
    socket.send(second.finish(_now()))
    socket.answer()
    assert inboxes.take_all(first.id) == [event]
    assert _heard(inboxes, second) == "second"
    assert (first.state, second.state) == (State.CANCELLED, State.DONE)
    assert session.dropped_frames == 1


def test_a_reader_that_falls_behind() -> None:
    """Its own context alone ends, and the server is told."""
    socket, session, inboxes = FakeBrowserSocket(), _session(), Inboxes(limit=1000)
    carry(socket, session, inboxes, _now)
    slow, other = (_opened(session, inboxes, socket, text) for text in ("x" * 1000, "other"))
    socket.answer()
    assert socket.sent[-1] == {"context_id": slow.id, "cancel": True}
    (event,) = inboxes.take_all(slow.id)
    assert isinstance(event, Failed)
    assert "read faster" in str(event.error)
    assert (slow.state, other.state) == (State.FAILED, State.OPEN)
    assert _heard(inboxes, other) == "other"


def test_a_connection_that_closes() -> None:
    """Every context hears of it, and says it again to whoever goes on."""
    socket, session, inboxes = FakeBrowserSocket(), _session(), Inboxes()
    carry(socket, session, inboxes, _now)
    contexts = [_opened(session, inboxes, socket, text) for text in TEXTS]
    socket.onclose(1000, "connection idle timeout")
    for context, text in zip(contexts, TEXTS, strict=True):
        (event,) = inboxes.take_all(context.id)
        assert event is context.terminal
        with pytest.raises(ContextEnded, match="which is failed"):
            context.push("more", _now())
        assert context.unspoken().transcript == text
