"""WebSockets of the three shells behind one blocking face, and a scripted peer at their other end.

`stage` gives a test both: `websocket` asks a client for one, `serve` runs scripts that speak as a server does, one for
each connection. The awaiting shells are driven from outside, so that each thread of a test is a task of theirs. Every
wait is bounded, and for something that happens; nothing sleeps.
"""

from __future__ import annotations

import json
import math
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import monotonic
from typing import (
    TYPE_CHECKING,
    ClassVar,
    Final,
    Protocol,
    Self,
    TypeAlias,
    TypedDict,
    Unpack,
    final,
    runtime_checkable,
)

import pytest
from attrs import frozen

import cartesia_asyncio.multiplexer
import cartesia_trio.multiplexer
import cartesia_trio.sender
from cartesia_proto import traffic
from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.config import Limits
from cartesia_proto.errors import CartesiaError, JsonValue
from cartesia_proto.sessions.events import TerminalEvent, Timing
from cartesia_proto.sessions.states import State
from cartesia_proto.wire.frames import TextMessage
from cartesia_proto.wire.http1 import EndOfBody, RequestHead, ServerLink
from cartesia_proto.wire.websocket import ServerWebSocketLink
from cartesia_proto.wire.websocket_link import Closed
from cartesia_standin import DEFAULT_VOICE_ID, StandIn
from cartesia_urllib import Cartesia
from tests.conftest import WAIT

if TYPE_CHECKING:
    from types import TracebackType

    from cartesia_proto.audio.audio import Audio
    from cartesia_proto.awaiting import AsyncTTSWebSocket, AsyncTTSWebSocketContext
    from cartesia_proto.blocking import TTSWebSocket, TTSWebSocketContext
    from cartesia_proto.codecs.events import SpeechEvent
    from cartesia_proto.speech import VoiceLike
    from tests.transports.conftest import Connection, Net, Script, Server
    from tests.transports.scenarios.conftest import AwaitingShell, Client, Loop, Shell

Socket: TypeAlias = "DirectSocket | DrivenSocket"
Context: TypeAlias = "TTSWebSocketContext | DrivenContext"


class Settings(TypedDict):
    """What every context needs."""

    model_id: str
    voice: VoiceLike
    output_format: RawFormat


class More(TypedDict, total=False):
    """What a scenario may set beside that."""

    context_id: str
    add_timestamps: bool
    max_buffer_delay_ms: int
    stall_timeout: float


class Keeping(TypedDict, total=False):
    """What `websocket` takes on every shell."""

    ping_interval: float
    ping_timeout: float
    deflate: bool
    inbox_limit: int


SETTINGS: Final[Settings] = {
    "model_id": "sonic-3",
    "voice": DEFAULT_VOICE_ID,
    "output_format": RawFormat("pcm_s16le", 8000),
}


@final
class DrivenContext:
    """An awaiting context, driven from outside."""

    def __init__(self, native: AsyncTTSWebSocketContext, loop: Loop) -> None:
        self._native = native
        self._loop = loop
        self.id = native.id
        self.unspoken = native.unspoken

    @property
    def terminal(self) -> TerminalEvent | None:
        return self._native.terminal

    @property
    def state(self) -> State:
        return self._native.state

    @property
    def timing(self) -> Timing:
        return self._native.timing

    def push(self, transcript: str) -> None:
        self._loop.run(self._native.push(transcript))

    def flush(self) -> None:
        self._loop.run(self._native.flush())

    def finish(self, transcript: str = "") -> None:
        self._loop.run(self._native.finish(transcript))

    def cancel(self) -> None:
        self._loop.run(self._native.cancel())

    def close(self) -> None:
        self._loop.run(self._native.aclose())

    def whole(self) -> Audio:
        return self._loop.run(self._native.whole())

    def receive_batch(self) -> Sequence[SpeechEvent]:
        return self._loop.run(self._native.receive_batch())

    def batches(self) -> list[Sequence[SpeechEvent]]:
        """All of them, by one task."""

        async def receive() -> list[Sequence[SpeechEvent]]:
            batches: list[Sequence[SpeechEvent]] = []
            while batch := await self._native.receive_batch():
                batches.append(batch)
            return batches

        return self._loop.run(receive())

    def __enter__(self) -> Self:
        self._loop.run(self._native.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self._loop.run(self._native.__aexit__(kind, error, traceback))

    def __iter__(self) -> Iterator[SpeechEvent]:
        aiter(self._native)
        return self

    def __next__(self) -> SpeechEvent:
        try:
            return self._loop.run(self._native.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None


@final
class DirectSocket:
    """The blocking shell's."""

    def __init__(self, native: TTSWebSocket) -> None:
        self._native = native
        self.connect, self.run, self.close = native.connect, native.run, native.close

    def context(self, **more: Unpack[More]) -> Context:
        return self._native.context(**SETTINGS, **more)

    def send(self, transcript: str, **more: Unpack[More]) -> Context:
        return self._native.send(**SETTINGS, **more, transcript=transcript, stream=True)

    def whole(self, transcript: str, **more: Unpack[More]) -> Audio:
        return self._native.send(**SETTINGS, **more, transcript=transcript, stream=False)

    def __enter__(self) -> Self:
        self._native.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._native.__exit__(None, None, None)


@final
class DrivenSocket:
    """An awaiting shell's, driven from outside."""

    def __init__(self, native: AsyncTTSWebSocket, loop: Loop) -> None:
        self.native = self._native = native
        self.loop = self._loop = loop

    def connect(self) -> None:
        self._loop.run(self._native.connect())

    def run(self) -> None:
        self._loop.run(self._native.run())

    def close(self) -> None:
        self._loop.run(self._native.aclose())

    def context(self, **more: Unpack[More]) -> Context:
        return DrivenContext(self._native.context(**SETTINGS, **more), self._loop)

    def send(self, transcript: str, **more: Unpack[More]) -> Context:
        native = self._native.send(**SETTINGS, **more, transcript=transcript, stream=True)
        return DrivenContext(native, self._loop)

    def whole(self, transcript: str, **more: Unpack[More]) -> Audio:
        return self._loop.run(self._native.send(**SETTINGS, **more, transcript=transcript, stream=False))

    def __enter__(self) -> Self:
        self._loop.run(self._native.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._native.__aexit__(None, None, None))


@runtime_checkable
class OnLoop(Protocol):
    """A shell with a loop."""

    loop: Loop


class Peer:
    """The server's end of one WebSocket, for the script that runs in a thread of its own."""

    def __init__(self, connection: Connection, *, deflate: bool = False) -> None:
        self.connection = connection
        seen, http = connection.request(), ServerLink(WAIT, Limits())
        lines = [seen.line, *(f"{name}: {value}" for name, value in seen.fields), "", ""]
        http.receive_data("\r\n".join(lines).encode("ascii"), monotonic())
        head, end = http.next_event(), http.next_event()
        assert isinstance(head, RequestHead)
        assert isinstance(end, EndOfBody)
        self.link = ServerWebSocketLink(
            http, head, limits=Limits(), ping_interval=math.inf, deflate=deflate, now=monotonic()
        )

    def flush(self) -> None:
        """Send what the link has queued."""
        self.connection.send(self.link.data_to_send())

    def hear(self) -> dict[str, JsonValue]:
        """The client's next message; where it says goodbye or leaves, the script is over."""
        event = self._next_event()
        if isinstance(event, Closed):
            raise ConnectionError("the client left")
        assert isinstance(event, TextMessage)
        fields: dict[str, JsonValue] = json.loads(event.text)
        return fields

    def hear_finished(self, count: int) -> None:
        """Listen until so many contexts have said everything."""
        while count:
            count -= self.hear().get("continue") is False

    def hear_control(self, opcode: int) -> bytes:
        """The payload of the next frame, which has this opcode and is short; it is answered as it should be."""
        frame = b""
        while len(frame) < 6 or len(frame) < 6 + (frame[1] & 0x7F):  # a head of two bytes and a mask of four
            frame += self.connection.socket.recv(1)
        assert frame[0] == 0x80 | opcode
        self.link.receive_data(frame, monotonic())
        self.flush()
        return bytes(byte ^ frame[2 + index % 4] for index, byte in enumerate(frame[6:]))

    def say(self, *messages: str) -> None:
        """Send texts."""
        for message in messages:
            self.link.send_text(message)
        self.flush()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye."""
        self.link.close(code, reason, monotonic())
        self.flush()

    def drop(self) -> None:
        """End the connection without a word."""
        self.connection.finish()

    def reset(self) -> None:
        """End the connection by a reset."""
        self.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def wait_until_closed(self) -> Closed:
        """Answer the client, whatever it says, until it says goodbye; that is recorded."""
        while not isinstance(event := self._next_event(), Closed):
            pass
        return event

    def _next_event(self) -> object:
        while (event := self.link.next_event()) is None:
            data = b""
            with suppress(ssl.SSLError):
                data = self.connection.socket.recv(65536)
            if not data:
                raise ConnectionError("the client left")
            self.link.receive_data(data, monotonic())
            self.flush()
        return event


@frozen
class Heard:
    """What a reader got until its context's end."""

    events: tuple[SpeechEvent, ...]
    error: CartesiaError | None

    @property
    def audio(self) -> bytes:
        """All of the audio."""
        return b"".join(event.audio for event in self.events)


@final
class Stage:
    """Where a shell and a scripted peer meet."""

    settings: ClassVar[Settings] = SETTINGS

    def __init__(self, shell: Shell, net: Net) -> None:
        self._shell = shell
        self._net = net

    def websocket(self, client: Client, **keeping: Unpack[Keeping]) -> Socket:
        """A client's WebSocket."""
        if isinstance(client.native, Cartesia):
            return DirectSocket(client.native.tts.websocket(**keeping))
        assert isinstance(self._shell, OnLoop)
        return DrivenSocket(client.native.tts.websocket(**keeping), self._shell.loop)

    def meet(self, server: Server | StandIn, **keeping: Unpack[Keeping]) -> Socket:
        """A WebSocket of a client of a server."""
        if isinstance(server, StandIn):
            return self.websocket(self._shell.client(base_url=server.base_url, api_key=server.api_key), **keeping)
        return self.websocket(self._shell.client(server), **keeping)

    def serve(self, *scripts: Callable[[Peer], None], deflate: bool = False, at_once: bool = False) -> Server:
        """A server; the nth connection runs the nth script, whose first words may go out at once with the 101."""
        return self._net.serve(*(self.script(script, deflate=deflate, at_once=at_once) for script in scripts))

    @staticmethod
    def script(script: Callable[[Peer], None], *, deflate: bool = False, at_once: bool = False) -> Script:
        """What a peer does; unless it ends the connection, it then waits for the client's goodbye."""

        def run(connection: Connection) -> None:
            peer = Peer(connection, deflate=deflate)
            if not at_once:
                peer.flush()
            script(peer)
            if connection.socket.fileno() >= 0 and peer.link.state != "closed":
                peer.wait_until_closed()

        return run

    @staticmethod
    def listen(context: Context) -> Heard:
        """Read a context to its end, and make sure that nothing follows."""
        events: list[SpeechEvent] = []
        failure: CartesiaError | None = None
        try:
            events.extend(context)
        except CartesiaError as error:
            failure = error
        assert context.terminal is not None, f"it never began: {failure!r}"
        assert list(context.receive_batch()) == []
        return Heard(tuple(events), failure)

    @staticmethod
    def batches(context: Context) -> list[Sequence[SpeechEvent]]:
        """Every batch, to the end."""
        if isinstance(context, DrivenContext):
            return context.batches()
        return list(iter(context.receive_batch, []))

    @staticmethod
    def message(kind: str, id: str | None = None, **fields: JsonValue) -> str:
        """A message of the server."""
        context: dict[str, JsonValue] = {} if id is None else {"context_id": id}
        return json.dumps({"type": kind, "done": kind in ("done", "error"), "status_code": 206, **context, **fields})

    def chunk(self, id: str, audio: bytes) -> str:
        """A piece of audio."""
        return self.message("chunk", id, data=encode_base64(audio), step_time=1.0)

    def done(self, id: str) -> str:
        """The end of a context."""
        return self.message("done", id, status_code=200)


@pytest.fixture
def stage(shell: Shell, net: Net, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Each shell in turn, and a scripted peer, whose goodbye is waited for as long as anything here."""
    for module in (traffic, cartesia_asyncio.multiplexer, cartesia_trio.multiplexer, cartesia_trio.sender):
        monkeypatch.setattr(module, "CLOSING_SECONDS", WAIT)
    return Stage(shell, net)


@pytest.fixture
def awaiting_stage(awaiting: AwaitingShell, net: Net) -> Stage:
    """The same for awaiting shells alone."""
    return Stage(awaiting, net)


@pytest.fixture
def standin(net: Net, server_context: ssl.SSLContext) -> Iterator[StandIn]:
    """A stand-in, in clear or over TLS."""
    with StandIn(ssl_context=server_context if net.secure else None) as standin:
        yield standin
