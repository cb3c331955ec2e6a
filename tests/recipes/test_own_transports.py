"""The README's transports on other people's I/O do what the library's own do: every call, every failure.

The programs are executed as they stand there. `http.client` is the real one; of aiohttp, which the tests do without,
there is a fake that has what the recipe uses, and fails as the real one does.
"""

import asyncio
import builtins
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import pytest

from cartesia_proto import (
    TTS,
    ApiKey,
    AuthenticationError,
    CartesiaError,
    Config,
    ConnectError,
    ConnectionLost,
    IncompleteStream,
    LocalProtocolError,
    RemoteProtocolError,
    ServerError,
    TimeoutError,
    TTSSession,
    Voices,
)
from cartesia_proto.call import Plan
from cartesia_proto.testing import half
from cartesia_standin import ContentType, CutAfter, FailMidway, Fault, Garbage, StandIn, Status

README: Final = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
RAW: Final = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
VOICE: Final = "a0e99841-438c-4a64-b679-ae501e7d6091"


def program(having: str) -> dict[str, Any]:
    """The names of the README's one program that has this in it, once it has run."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    (code,) = (block for block in blocks if having in block)
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - our own document
    return names


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    """A stand-in that the environment names, and an empty directory."""
    monkeypatch.chdir(tmp_path)
    with StandIn() as standin:
        monkeypatch.setenv("CARTESIA_BASE_URL", standin.base_url)
        monkeypatch.setenv("CARTESIA_API_KEY", standin.api_key)
        yield standin


# http.client


@pytest.fixture
def recipe(server: StandIn) -> dict[str, Any]:
    """What the program over `http.client` defines."""
    assert server.api_key
    names = program("def perform(call, stack)")
    names["time"] = SimpleNamespace(sleep=names.setdefault("waits", []).append)
    return names


SPEAK: Final = TTS.stream(model_id="sonic-3", transcript="Hello", voice=VOICE, output_format=RAW)
EVENTS: Final = TTS.sse(model_id="sonic-3", transcript="Hello", voice=VOICE, output_format=RAW)
GET: Final = Voices.get(VOICE)


def test_every_kind_of_call(server: StandIn, recipe: dict[str, Any]) -> None:
    """Values, audio piece by piece, and events; retried where the core says so."""
    before = len(server.requests)
    server.script(Status(503, {"Retry-After": "0"}))
    assert recipe["run"](GET).id == VOICE
    assert len(server.requests) == before + 2
    audio = b"".join(recipe["stream"](SPEAK))
    assert len(audio) > 1000
    assert b"".join(event.audio for event in recipe["stream"](EVENTS)) == audio


def test_uploads(server: StandIn, recipe: dict[str, Any], tmp_path: Path) -> None:
    """Bytes, files and pipes, whole, also when they are sent again; an empty one is refused."""
    clip = (tmp_path / "hello.wav").read_bytes()
    os.mkfifo(tmp_path / "pipe.wav")
    writing = threading.Thread(target=(tmp_path / "pipe.wav").write_bytes, args=(clip,))
    writing.start()
    for given in (clip, tmp_path / "hello.wav", tmp_path / "pipe.wav"):
        server.script(Status(503, {"Retry-After": "0"}))
        assert recipe["run"](Voices.clone(clip=given, name="Ada", language="en")).name == "Ada"
        assert all(clip in request.body for request in server.requests[-2:])
    writing.join()
    (tmp_path / "empty.wav").touch()
    with pytest.raises(LocalProtocolError, match="empty"):
        recipe["run"](Voices.clone(clip=tmp_path / "empty.wav", name="Ada", language="en"))


@pytest.mark.parametrize(
    ("fault", "call", "kind"),
    [
        (Status(401), GET, AuthenticationError),
        (CutAfter(5), GET, IncompleteStream),
        (Garbage(b"\0garbage\r\n\r\n"), GET, RemoteProtocolError),
        (Garbage(), GET, ConnectionLost),
        (CutAfter(500), SPEAK, IncompleteStream),
        (CutAfter(500), EVENTS, IncompleteStream),
        (FailMidway(1), EVENTS, ServerError),
        (Status(401), SPEAK, AuthenticationError),
        (ContentType("text/html"), EVENTS, RemoteProtocolError),
        (Status(200, {"Content-Encoding": "gzip"}, b"x"), GET, RemoteProtocolError),
    ],
)
def test_failures(
    server: StandIn, recipe: dict[str, Any], fault: Fault, call: "Plan[Any, Any]", kind: type[CartesiaError]
) -> None:
    """Each becomes the error that it is on the library's own transports."""
    server.script(*[fault] * 3)
    with pytest.raises(kind):
        recipe["run"](call) if call is GET else list(recipe["stream"](call))


def test_nobody_listens(recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent, so it is tried again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("CARTESIA_BASE_URL", f"http://127.0.0.1:{port}")
    recipe["waits"].clear()
    with pytest.raises(ConnectError):
        recipe["run"](GET)
    assert len(recipe["waits"]) == 3


# aiohttp


class ClientError(Exception):
    """The base of aiohttp's exceptions."""


class ClientResponseError(ClientError):
    """What came is no response to be used."""


class WSServerHandshakeError(ClientResponseError):
    """The server answered with something else than a 101."""

    def __init__(self, status: int, headers: dict[str, str] | None) -> None:
        super().__init__("Invalid response status")
        self.status = status
        self.headers = headers


class ClientConnectorError(ClientError, OSError):
    """Nobody there."""


class Type:
    """A message type, as an enum has it."""

    def __init__(self, name: str) -> None:
        self.name = name


class Message:
    """What `receive` answers with."""

    def __init__(self, name: str, data: object = None, extra: str | None = None) -> None:
        self.type = Type(name)
        self.data = data
        self.extra = extra


class WebSocket:
    """Answers with messages, one after the other; a callable raises or makes one of the id of the context."""

    def __init__(self, *answers: Message | Exception | Callable[[str], Message]) -> None:
        self._answers = list(answers)
        self._id = ""
        self.sent: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.closed = False

    async def send_str(self, text: str) -> None:
        """Take a text."""
        if self.closed:
            raise ConnectionResetError("Cannot write to closing transport")
        self.sent.append(json.loads(text))
        self._id = self.sent[-1]["context_id"]

    async def receive(self, timeout: float | None) -> Message:  # noqa: ASYNC109 - as aiohttp has it
        """The next message."""
        assert timeout is not None
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        message = answer if isinstance(answer, Message) else answer(self._id)
        if message.type.name == "CLOSE":
            self.close_code = int(str(message.data))
            self.closed = True
        return message


class Session:
    """Opens WebSockets, or fails to."""

    def __init__(self, *outcomes: WebSocket | Exception) -> None:
        self._outcomes = list(outcomes)
        self.asked: list[dict[str, str]] = []

    async def ws_connect(self, url: str, *, headers: dict[str, str], **_: object) -> WebSocket:
        """The next outcome."""
        assert url == "https://api.cartesia.ai/tts/websocket"
        self.asked.append(headers)
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


CONFIG: Final = Config(credentials=ApiKey("sk_car_test"), max_retries=1)


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the program over aiohttp defines, and as much of aiohttp as it needs."""
    module = ModuleType("aiohttp")
    for kind in (ClientError, ClientResponseError, WSServerHandshakeError, ClientConnectorError):
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "aiohttp", module)
    names = program("attempt_to_connect")
    names["asyncio"] = asyncio
    return names


def chunk(id: str) -> Message:
    """Audio."""
    return Message("TEXT", json.dumps({"type": "chunk", "context_id": id, "data": "AAECAw==", "status_code": 206}))


def done(id: str) -> Message:
    """The end."""
    return Message("TEXT", json.dumps({"type": "done", "context_id": id, "done": True, "status_code": 200}))


def error(id: str) -> Message:
    """Another end."""
    return Message("TEXT", json.dumps({"type": "error", "context_id": id, "status_code": 500, "title": "No"}))


async def spoken(carried: dict[str, Any], websocket: WebSocket, heard: list[bytes]) -> None:
    """Speak over a WebSocket."""
    session = TTSSession(CONFIG, half)
    async for audio in carried["speak"](websocket, session, "Hello"):
        heard += [audio] if audio else []


def test_speaking(carried: dict[str, Any]) -> None:
    """All audio; where the reader leaves, the server is told to stop."""
    heard: list[bytes] = []
    websocket = WebSocket(chunk, chunk, done)
    asyncio.run(spoken(carried, websocket, heard))
    assert heard == [b"\0\1\2\3"] * 2
    assert [message.get("cancel") for message in websocket.sent] == [None]
    leaving = WebSocket(chunk, chunk)

    async def leave() -> None:
        speaking = carried["speak"](leaving, TTSSession(CONFIG, half), "Hello")
        await anext(speaking)
        await speaking.aclose()

    asyncio.run(leave())
    assert [message.get("cancel") for message in leaving.sent] == [None, True]


@pytest.mark.parametrize(
    ("answers", "kind", "words"),
    [
        ([error], ServerError, "500 No"),
        ([chunk, Message("CLOSE", 1011, "broken")], ConnectionLost, r"1011 \(broken\)"),
        ([Message("CLOSED")], ConnectionLost, "without a closing handshake"),
        ([Message("ERROR", ValueError("frame"))], ConnectionLost, "ended"),
        ([Message("TEXT", "no event")], RemoteProtocolError, "no event"),
    ],
)
def test_speaking_in_vain(carried: dict[str, Any], answers: list[Any], kind: type[CartesiaError], words: str) -> None:
    """Whatever ends a context early is raised, after the audio that came before."""
    heard: list[bytes] = []
    with pytest.raises(kind, match=words):
        asyncio.run(spoken(carried, WebSocket(*answers), heard))
    assert len(heard) == answers.count(chunk)


def test_speaking_to_nobody(carried: dict[str, Any]) -> None:
    """A WebSocket that is closed already."""
    websocket = WebSocket()
    websocket.closed = True
    with pytest.raises(ConnectionLost):
        asyncio.run(spoken(carried, websocket, []))


def test_a_server_that_stalls(carried: dict[str, Any]) -> None:
    """The context ends by its deadline, and the server is told to stop."""
    times = iter([0.0, 0.0, 61.0, 61.0, 61.0, 61.0])
    carried["monotonic"] = lambda: next(times)
    websocket = WebSocket(builtin_timeout())
    with pytest.raises(TimeoutError, match="no frame"):
        asyncio.run(spoken(carried, websocket, []))
    assert websocket.sent[-1]["cancel"] is True


def builtin_timeout() -> Exception:
    """What aiohttp raises."""
    return builtins.TimeoutError()


def test_connecting(carried: dict[str, Any]) -> None:
    """With the credentials, and again where that may help."""
    websocket = WebSocket()
    http = Session(WSServerHandshakeError(503, {"Retry-After": "0"}), websocket)
    assert asyncio.run(carried["connect"](http, CONFIG)) is websocket
    assert [headers["Authorization"] for headers in http.asked] == ["Bearer sk_car_test"] * 2


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (WSServerHandshakeError(401, None), AuthenticationError),
        (ClientResponseError("400, bad HTTP"), RemoteProtocolError),
        (ClientConnectorError("no such name"), ConnectError),
        (ClientError("disconnected"), ConnectionLost),
        (ConnectionResetError("reset"), ConnectionLost),
        (builtin_timeout(), TimeoutError),
    ],
)
def test_connecting_in_vain(carried: dict[str, Any], outcome: Exception, kind: type[CartesiaError]) -> None:
    """Each failure is the error that it is on the library's own transports."""
    config = CONFIG.with_options(max_retries=0)
    with pytest.raises(kind):
        asyncio.run(carried["connect"](Session(outcome), config))
