"""What only the blocking shell does with a WebSocket: threads, turns, signals, and a socket that never blocks."""

# Only the inside shows that something was let go, or whose turn it is.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import errno
import json
import math
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import pytest

from cartesia_proto import exclusion
from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.events import Done
from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.config import Limits
from cartesia_proto.errors import (
    AuthenticationError,
    CartesiaError,
    ConnectError,
    ConnectionLost,
    JsonValue,
    LocalProtocolError,
)
from cartesia_proto.multiplexer import Multiplexer
from cartesia_proto.sessions.events import Cancelled, ContextEnded, Failed
from cartesia_proto.sessions.settings import ContextSettings
from cartesia_proto.sessions.states import State
from cartesia_proto.wire.http1 import EndOfBody, RequestHead, ServerLink
from cartesia_proto.wire.websocket import ServerWebSocketLink
from cartesia_proto.wire.websocket_link import Closed
from cartesia_urllib import Cartesia
from cartesia_urllib.dialling import turns as new_turns
from cartesia_urllib.pump import Pump
from cartesia_urllib.sockets import Interrupter
from tests.conftest import WAIT

if TYPE_CHECKING:
    from types import FrameType

    from cartesia_proto.blocking import TTSWebSocket, TTSWebSocketContext
    from cartesia_proto.traffic import Traffic
    from cartesia_proto.waiters import Waiting
    from tests.transports.conftest import Connection, Net, Server

T = TypeVar("T")


SETTINGS: Final[ContextSettings] = {
    "model_id": "sonic-3",
    "voice": "v",
    "output_format": RawFormat("pcm_s16le", 8000),
}
PATIENT: Final[ContextSettings] = {**SETTINGS, "stall_timeout": math.inf}
HASTY: Final[ContextSettings] = {**SETTINGS, "stall_timeout": 0.05}

Clients: TypeAlias = Callable[..., Cartesia]
"""Makes clients of a server, with a timeout and a number of retries."""

REPEATED: Final = 40
"""How often a text is repeated as its own audio."""


class Peer:
    """The server's end, once a client has asked for a WebSocket on it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what was sent can be read
        http = ServerLink(math.inf, Limits())
        while not isinstance(head := http.next_event(), RequestHead):
            http.receive_data(self.received(), 0.0)
        assert http.next_event() == EndOfBody()
        self.link = ServerWebSocketLink(http, head, limits=Limits(), now=0.0)
        self.flush()

    def received(self) -> bytes:
        """Bytes as they stand on the wire."""
        self._connection._more()
        data, self._connection._buffer = self._connection._buffer, b""
        return data

    def flush(self) -> None:
        """Send what the link has to send."""
        self._connection.send(self.link.data_to_send())

    def receive(self) -> dict[str, JsonValue] | None:
        """The next message, None where the client has said goodbye."""
        while (event := self.link.next_event()) is None:
            self.flush()
            self.link.receive_data(self.received(), 0.0)
        if isinstance(event, Closed):
            self.flush()
            return None
        fields: dict[str, JsonValue] = json.loads(event.data)
        return fields

    def audio(self, id: JsonValue, audio: bytes) -> None:
        """Queue a chunk."""
        data = encode_base64(audio)
        fields = {"type": "chunk", "context_id": id, "data": data, "done": False, "status_code": 206}
        self.link.send_text(json.dumps(fields))

    def done(self, id: JsonValue) -> None:
        """Queue the end of a context."""
        self.link.send_text(json.dumps({"type": "done", "context_id": id, "done": True, "status_code": 200}))

    def answer(self, fields: dict[str, JsonValue]) -> None:
        """Queue the audio of one message, and the end after the last."""
        if "cancel" in fields or self.link.state != "open":
            return
        if fields["transcript"]:
            self.audio(fields["context_id"], audio_of(str(fields["transcript"])))
        if not fields["continue"]:
            self.done(fields["context_id"])

    def speak(self) -> None:
        """Answer every message until the client says goodbye."""
        while (fields := self.receive()) is not None:
            self.answer(fields)


def audio_of(text: str) -> bytes:
    """What the server makes of a text."""
    return text.encode("utf-16-le") * REPEATED


def speak(connection: Connection) -> None:
    """A server that answers until the client says goodbye."""
    Peer(connection).speak()


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Do something in a thread of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - carried to the test
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def heard(context: TTSWebSocketContext) -> bytes:
    """All audio of a context."""
    return b"".join(event.audio for event in context)


@pytest.fixture
def clients(net: Net) -> Iterator[Clients]:
    """Makes clients, to be closed before the servers stop."""
    made: list[Cartesia] = []

    def make(server: Server, timeout: float = WAIT, max_retries: int = 0) -> Cartesia:
        made.append(
            Cartesia(
                api_key="k",
                base_url=server.url,
                timeout=timeout,
                max_retries=max_retries,
                ssl_context=net.trust,
                proxy="",
            )
        )
        return made[-1]

    yield make
    for client in made:
        client.close()


def test_whole_and_piece_by_piece(net: Net, clients: Clients) -> None:
    """Both values of ``stream``, on one connection, which is made for the first of them."""
    server = net.serve(speak)
    with clients(server).tts.websocket() as ws:
        output = ws.send(transcript="Hello", **SETTINGS)
        assert server.opened == 0
        assert heard(output) == audio_of("Hello")
        assert isinstance(output.terminal, Done)
        audio = ws.send(transcript="whole", stream=False, **SETTINGS)
        assert (audio.data, audio.format) == (audio_of("whole"), SETTINGS["output_format"])
    assert server.opened == 1
    with pytest.raises(LocalProtocolError, match="the WebSocket is closed"):
        ws.connect()


def test_pieces_of_text_and_batches(net: Net, clients: Clients) -> None:
    """A context that is told bit by bit; everything that has arrived at once; and what comes after the end."""
    with clients(net.serve(speak)).tts.websocket(deflate=True) as ws, ws.context(**SETTINGS) as context:
        assert context.state is State.NEW
        context.push("a")
        context.push("b", generation_config={"speed": 1.0})
        context.flush()
        context.finish("c")
        batches = list(iter(context.receive_batch, []))
        audio = b"".join(event.audio for batch in batches for event in batch)
        assert audio == audio_of("a") + audio_of("b") + audio_of("c")
        assert context.receive_batch() == context.receive_batch() == []
        assert context.timing.done_at is not None
        with pytest.raises(ContextEnded):
            context.push("more")


def test_many_contexts_on_many_threads(net: Net, clients: Clients) -> None:
    """Two hundred on four threads over one connection, a fifth of them cancelled; each hears its own and no other."""
    server = net.serve(speak)
    with clients(server).tts.websocket() as ws:

        def several(thread: int) -> None:
            for number in range(10):
                texts = [f"{thread}.{number}.{one} " for one in range(5)]
                contexts = [ws.context(**SETTINGS) for _ in texts]
                for context, text in zip(contexts, texts, strict=True):
                    context.push(text)
                contexts[number % 5].cancel()
                for context, text in zip(contexts, texts, strict=True):
                    if context is not contexts[number % 5]:
                        context.finish("end")
                        assert heard(context) == audio_of(text) + audio_of("end")
                    else:
                        assert list(context) == []

        for work in [in_thread(partial(several, thread)) for thread in range(4)]:
            work.result(60)
    assert server.opened == 1


@pytest.mark.parametrize("messages", range(7))
def test_a_connection_that_drops(net: Net, clients: Clients, messages: int) -> None:
    """After each number of messages: three contexts read by three threads end once each, and nobody waits."""

    def drop(connection: Connection) -> None:
        peer = Peer(connection)
        asked = [peer.receive() or {} for _ in range(3)]
        answers = [partial(peer.audio, one["context_id"], b"ab") for one in asked]
        answers += [partial(peer.done, one["context_id"]) for one in asked]
        for answer in answers[:messages]:
            answer()
        peer.flush()
        connection.finish()

    with clients(net.serve(drop)).tts.websocket() as ws:
        contexts = [ws.send(transcript="text", **SETTINGS) for _ in range(3)]
        for context in contexts:
            context.__enter__()
        readers = [in_thread(partial(heard, context)) for context in contexts]
        for reader, context in zip(readers, contexts, strict=True):
            error = reader.exception(WAIT)
            if error is None:
                assert isinstance(context.terminal, Done)
                assert reader.result() == b"ab"
            else:
                assert isinstance(error, ConnectionLost)
                assert isinstance(context.terminal, Failed)
                assert context.unspoken().transcript == "text"
            assert context.receive_batch() == []
    done = sum(isinstance(context.terminal, Done) for context in contexts)
    assert done == max(0, messages - 3)


def test_a_silent_peer(net: Net, clients: Clients) -> None:
    """A peer that says nothing, and does not close either, is given up, by whoever leads, for all who wait."""

    def silence(connection: Connection) -> None:
        Peer(connection)
        connection.wait_until_left()

    with clients(net.serve(silence)).tts.websocket(ping_interval=0.05, ping_timeout=0.05) as ws:
        readers = [in_thread(lambda: heard(ws.send(transcript="text", **SETTINGS))) for _ in range(3)]
        for reader in readers:
            with pytest.raises(ConnectionLost, match="within 0.05 seconds of a ping"):
                reader.result(WAIT)


def test_a_context_that_stalls(net: Net, clients: Clients) -> None:
    """The silence of one context ends that one, even where its reader follows one with no such limit."""

    def silence(connection: Connection) -> None:
        peer = Peer(connection)
        while peer.receive() is not None:
            pass

    with clients(net.serve(silence)).tts.websocket() as ws:
        patient, hasty = ws.context(**SETTINGS), ws.context(**HASTY)
        patient.push("a")
        reader = in_thread(lambda: heard(patient))
        hasty.push("b")
        with pytest.raises(TimeoutError, match="no frame for context"):
            heard(hasty)
        patient.cancel()
        assert reader.result(WAIT) == b""


def test_barge_in(net: Net, clients: Clients) -> None:
    """A reader is released at once, forty late chunks are swallowed, a new context hears only its own."""
    cancelled = threading.Event()

    def late(connection: Connection) -> None:
        peer = Peer(connection)
        asked, cancel = peer.receive(), peer.receive()
        assert asked is not None
        assert cancel == {"context_id": asked["context_id"], "cancel": True}
        assert cancelled.wait(WAIT)
        for _ in range(40):
            peer.audio(asked["context_id"], b"late")
        peer.speak()

    with clients(net.serve(late)).tts.websocket() as ws:
        context = ws.send(transcript="long", **SETTINGS)
        context.__enter__()
        reader = in_thread(lambda: heard(context))
        context.cancel()
        context.cancel()
        assert reader.result(WAIT) == b""
        assert isinstance(context.terminal, Cancelled)
        cancelled.set()
        assert ws.send(transcript="new", stream=False, **SETTINGS).data == audio_of("new")
        assert traffic_of(ws).conversation.session.dropped_frames == 40


def multiplexer_of(ws: TTSWebSocket) -> Multiplexer:
    """What is behind a WebSocket."""
    assert isinstance(ws._multiplexer, Multiplexer)
    return ws._multiplexer


def traffic_of(ws: TTSWebSocket) -> Traffic:
    """The books of the connection that a WebSocket has."""
    pump = multiplexer_of(ws)._pump
    assert isinstance(pump, Pump)
    return pump.traffic


def test_a_follower_is_released_too(net: Net, clients: Clients) -> None:
    """Whoever reads for all goes on when another's context is cancelled, and leads on when its own is."""
    go = threading.Event()

    def second_only(connection: Connection) -> None:
        peer = Peer(connection)
        contexts = [peer.receive() or {} for _ in range(3)]
        assert go.wait(WAIT)
        peer.answer(contexts[2])
        peer.speak()

    with clients(net.serve(second_only)).tts.websocket() as ws:
        contexts = [ws.send(transcript=text, **SETTINGS) for text in "abc"]
        for context in contexts:
            context.__enter__()
        readers = [in_thread(partial(heard, context)) for context in contexts]
        contexts[1].cancel()
        assert readers[1].result(WAIT) == b""
        contexts[0].cancel()
        assert readers[0].result(WAIT) == b""
        go.set()
        assert readers[2].result(WAIT) == audio_of("c")


def test_an_idle_close(net: Net, clients: Clients) -> None:
    """The next context gets a fresh connection; one that is open when the connection ends does not."""
    closing, closed = threading.Event(), threading.Event()

    def idle(connection: Connection) -> None:
        peer = Peer(connection)
        peer.answer(peer.receive() or {})
        peer.flush()
        assert closing.wait(WAIT)
        peer.link.close(1000, "connection idle timeout", 0.0)
        peer.flush()
        closed.set()
        assert peer.receive() is None

    server = net.serve(idle, idle, speak)
    with clients(server).tts.websocket() as ws:
        assert ws.send(transcript="one", stream=False, **SETTINGS).data == audio_of("one")
        closing.set()
        assert closed.wait(WAIT)
        closing.clear()
        closed.clear()
        context = ws.context(**SETTINGS)
        context.push("two")
        assert server.opened == 2
        assert next(context).audio == audio_of("two")
        closing.set()
        with pytest.raises(ConnectionLost, match="code 1000 .connection idle timeout") as caught:
            next(context)
        assert (caught.value.code, caught.value.reason) == (1000, "connection idle timeout")
        assert ws.send(transcript="three", stream=False, **SETTINGS).data == audio_of("three")
    assert server.opened == 3


def test_closing_from_another_thread(net: Net, clients: Clients) -> None:
    """A reader learns of it at once; the server hears a goodbye; to close again does nothing."""
    goodbyes: list[object] = []

    def polite(connection: Connection) -> None:
        peer = Peer(connection)
        assert peer.receive() is not None
        goodbyes.append(peer.receive())

    server = net.serve(polite)
    ws = clients(server).tts.websocket()
    context = ws.send(transcript="text", **SETTINGS)
    context.__enter__()
    reader = in_thread(lambda: heard(context))
    running = in_thread(ws.run)
    closers = [in_thread(ws.close) for _ in range(2)]
    for closer in closers:
        closer.result(WAIT)
    with pytest.raises(ConnectionLost, match="closed by this side"):
        reader.result(WAIT)
    assert isinstance(running.exception(WAIT), LocalProtocolError | None)
    ws.close()
    server.wait_until_left()
    assert goodbyes == [None]
    with pytest.raises(LocalProtocolError, match="the WebSocket is closed"):
        ws.context(**SETTINGS).push("more")


def test_a_client_closes_its_websockets(net: Net, clients: Clients) -> None:
    """Those of the clients made of it as well; afterwards none can be connected."""
    client = clients(net.serve(speak, speak))
    first, second = client.tts.websocket(), client.with_options(max_retries=1).tts.websocket()
    first.connect()
    second.connect()
    unused = client.tts.websocket()
    client.close()
    for ws in (first, second, unused):
        with pytest.raises(LocalProtocolError, match="closed"):
            ws.connect()


def test_closing_while_connecting(net: Net, clients: Clients) -> None:
    """Whoever waits for the handshake is told so."""

    def silence(connection: Connection) -> None:
        connection.request()
        connection.wait_until_left()

    server = net.serve(silence)
    ws = clients(server, timeout=60.0, max_retries=2).tts.websocket()
    connecting = in_thread(ws.connect)
    server.wait_for_requests(1)
    ws.close()
    with pytest.raises(CartesiaError, match="closed"):
        connecting.result(WAIT)


def test_one_reader_at_a_time(net: Net, clients: Clients) -> None:
    """A second one is refused, and does not disturb the first."""
    reading = threading.Event()

    def wait(connection: Connection) -> None:
        peer = Peer(connection)
        fields = peer.receive() or {}
        peer.audio(fields["context_id"], b"ab")
        peer.flush()
        assert reading.wait(WAIT)
        peer.done(fields["context_id"])
        peer.speak()

    with clients(net.serve(wait)).tts.websocket() as ws:
        context = ws.send(transcript="text", **SETTINGS)
        assert next(context).audio == b"ab"
        readers = [in_thread(lambda: list(context)) for _ in range(2)]
        done = threading.Event()
        for reader in readers:
            reader.add_done_callback(lambda _: done.set())
        assert done.wait(WAIT)
        reading.set()
        refused = [reader.exception(WAIT) for reader in readers]
        assert [type(error) for error in refused if error is not None] == [LocalProtocolError]


def test_leaving_cancels_and_breaking_does_not(net: Net, clients: Clients) -> None:
    """A ``with`` block cancels what is not over, once; without one, the rest can be heard later."""
    cancelled: list[JsonValue] = []

    def note(connection: Connection) -> None:
        peer = Peer(connection)
        while (fields := peer.receive()) is not None:
            peer.answer(fields)
            if "cancel" in fields:
                cancelled.append(fields["context_id"])

    with clients(net.serve(note)).tts.websocket() as ws:
        with ws.send(transcript="a", **SETTINGS) as left:
            pass
        with ws.send(transcript="b", **SETTINGS) as heard_out:
            list(heard_out)
        with ws.context(**SETTINGS) as unsaid:
            pass
        broken = ws.send(transcript="c", **SETTINGS)
        for _ in broken:
            break
        assert list(broken) == []
        assert isinstance(broken.terminal, Done)
        assert left.receive_batch() == unsaid.receive_batch() == []
    assert cancelled == [left.id]


def test_cancelled_before_it_began(net: Net, clients: Clients) -> None:
    """There is nothing to hear and nothing to be said, and no connection is made for that."""
    with clients(net.serve()).tts.websocket() as ws:
        context = ws.context(**SETTINGS)
        context.cancel()
        assert list(context) == []
        assert isinstance(context.terminal, Cancelled)
        with pytest.raises(ContextEnded, match="before it began"):
            context.push("text")


def test_read_before_anything_was_said(net: Net, clients: Clients) -> None:
    """A reader may come first; it hears what another thread says then."""
    server = net.serve(speak)
    with clients(server).tts.websocket() as ws:
        context = ws.context(**SETTINGS)
        reader = in_thread(lambda: heard(context))
        server.wait_until_opened(1)
        context.finish("text")
        assert reader.result(WAIT) == audio_of("text")
    assert server.opened == 1


def test_run_answers_pings(net: Net, clients: Clients) -> None:
    """A thread that reads keeps an idle connection alive, and hears of its end."""

    def ping(connection: Connection) -> None:
        peer = Peer(connection)
        peer.link.ping(b"still there?")
        peer.flush()
        assert b"still there?" in bytes(a ^ b for a, b in masked(peer.received()))
        peer.link.close(1000, "", 0.0)
        assert peer.receive() is None

    with clients(net.serve(ping)).tts.websocket() as ws:
        in_thread(ws.run).result(WAIT)


def masked(frame: bytes) -> Iterator[tuple[int, int]]:
    """The payload of a short frame, with its mask."""
    mask = frame[2:6]
    return ((byte, mask[place % 4]) for place, byte in enumerate(frame[6:]))


def test_a_handshake_that_is_refused(net: Net, clients: Clients) -> None:
    """Whoever waited for it learns why; the next one tries again."""
    refusal = net.response(401, b'{"message": "no such key"}')
    server = net.serve([refusal], speak)
    with clients(server).tts.websocket() as ws:
        context = ws.context(**SETTINGS)
        with pytest.raises(AuthenticationError, match="no such key"):
            context.push("text")
        context.finish("text")
        assert heard(context) == audio_of("text")
    assert server.opened == 2


def test_a_handshake_that_is_tried_again(net: Net, clients: Clients) -> None:
    """As any request is, by the retry policy."""
    server = net.serve([net.response(503, b"", "Retry-After: 0")], speak)
    with clients(server, max_retries=1).tts.websocket() as ws:
        ws.connect()
        ws.connect()
    assert server.opened == 2


def test_failures_are_shared(net: Net, clients: Clients) -> None:
    """One thread connects for all who wait; what it fails by, all fail by."""
    asked = threading.Event()

    def refuse(connection: Connection) -> None:
        connection.request()
        assert asked.wait(WAIT)
        connection.send(net.response(402, b"{}"))

    server = net.serve(refuse, refuse, refuse, refuse)
    with clients(server).tts.websocket() as ws:
        connecting = [in_thread(ws.connect) for _ in range(4)]
        server.wait_for_requests(1)
        asked.set()
        assert {type(one.exception(WAIT)).__name__ for one in connecting} == {"PaymentRequiredError"}


def test_nobody_listens(net: Net, clients: Clients) -> None:
    """A connection that cannot be made is an error of whoever needed it."""
    client = Cartesia(api_key="k", base_url=f"http://127.0.0.1:{net.unused_port()}", max_retries=0, proxy="")
    with client, client.tts.websocket() as ws, pytest.raises(ConnectError):
        ws.send(transcript="text", stream=False, **SETTINGS)


def test_a_write_that_does_not_leave(net: Net, clients: Clients) -> None:
    """A peer that reads nothing is given up after the write timeout."""
    left = threading.Event()

    def deaf(connection: Connection) -> None:
        Peer(connection)
        assert left.wait(WAIT)

    try:
        with (
            clients(net.serve(deaf), timeout=1.0).tts.websocket() as ws,
            ws.context(**PATIENT) as context,
        ):
            with pytest.raises(ContextEnded, match="lost while it was sent to") as caught:
                context.push("x" * 30_000_000)
            assert isinstance(caught.value.__cause__, ConnectionLost)
            assert caught.value.retryable
            with pytest.raises(ConnectionLost, match="could not be sent|closing handshake"):
                list(context)
    finally:
        left.set()


def test_writing_to_a_peer_that_writes(net: Net, clients: Clients) -> None:
    """Who waits to write reads meanwhile: a peer that sends before it reads is no deadlock."""

    def talkative(connection: Connection) -> None:
        peer = Peer(connection)
        first = peer.receive() or {}
        for _ in range(100):
            peer.audio(first["context_id"], bytes(200_000))
            peer.flush()
        second = peer.receive() or {}
        assert len(str(second["transcript"])) == 10_000_000
        peer.done(first["context_id"])
        peer.speak()

    with clients(net.serve(talkative)).tts.websocket() as ws, ws.context(**SETTINGS) as context:
        context.push("go")
        context.finish("x" * 10_000_000)
        assert len(heard(context)) == 20_000_000


def test_a_reader_that_falls_behind(net: Net, clients: Clients) -> None:
    """Its own context ends, once it has heard what was kept; the one whose reader read for it goes on."""

    def flood(connection: Connection) -> None:
        peer = Peer(connection)
        slow, other = peer.receive() or {}, peer.receive() or {}
        for _ in range(20):
            peer.audio(slow["context_id"], bytes(1000))
        peer.answer(other)
        peer.speak()

    with clients(net.serve(flood)).tts.websocket(inbox_limit=10_000) as ws:
        slow, other = ws.send(transcript="s", **SETTINGS), ws.send(transcript="o", **SETTINGS)
        slow.__enter__()
        assert heard(other) == audio_of("o")
        for _ in range(5):
            assert next(slow).audio == bytes(1000)
        with pytest.raises(CartesiaError, match="read faster"):
            list(slow)


def test_a_signal_handler_may_cancel_and_close(net: Net, clients: Clients) -> None:
    """It runs in the thread that waits, which goes on at once."""
    ready = threading.Event()

    def silence(connection: Connection) -> None:
        peer = Peer(connection)
        while (fields := peer.receive()) is not None:
            if "cancel" not in fields:
                ready.set()

    def interrupt() -> None:
        assert ready.wait(WAIT)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    with clients(net.serve(silence)).tts.websocket() as ws:
        context = ws.send(transcript="text", **SETTINGS)
        before = signal.signal(signal.SIGUSR1, lambda _, __: context.cancel())
        try:
            interrupting = in_thread(interrupt)
            assert list(context) == []
            interrupting.result(WAIT)
            ready.clear()
            second = ws.send(transcript="text", **SETTINGS)
            signal.signal(signal.SIGUSR1, lambda _, __: ws.close())
            interrupting = in_thread(interrupt)
            with pytest.raises(ConnectionLost, match="closed by this side"):
                list(second)
            interrupting.result(WAIT)
        finally:
            signal.signal(signal.SIGUSR1, before)


def test_interrupted_anywhere() -> None:
    """Wherever a signal handler raises, no turn stays taken and no lock held; work that had begun was closed."""
    number, turns, open_works = 0, new_turns(lambda: None), 0

    def work() -> Waiting[str]:
        nonlocal open_works
        open_works += 1
        try:
            turns.soon(list)
            yield list
            return "over"
        finally:
            open_works -= 1

    def once() -> str:
        return turns.run(work())

    while strike(once, (number := number + 1)):
        assert in_thread(once).result(WAIT) == "over"
        assert open_works == 0
        turns = new_turns(lambda: None)
    assert number > 10


def strike(work: Callable[[], object], number: int) -> bool:
    """Do some work, interrupted where `exclusion` is for the so-manieth time; False if it is not there so often.

    As CPython handles signals: where a function begins, and after one of C has returned.
    """
    places = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal places
        if frame.f_code.co_filename == exclusion.__file__ and event in ("call", "c_return"):
            places += 1
            if places == number:
                raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(before)
    return False


def test_interrupted_between_reading_and_noting(net: Net, clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that nobody was told of are missing: whoever else waits on the connection is told, and hears no gap."""
    go = threading.Event()

    def late(connection: Connection) -> None:
        peer = Peer(connection)
        asked = [peer.receive() or {} for _ in range(2)]
        assert go.wait(WAIT)
        for one in asked:
            peer.answer(one)
        peer.flush()
        connection.wait_until_left()

    def received(count: int, now: float) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    with clients(net.serve(late, speak)).tts.websocket() as ws:
        contexts = [ws.send(transcript="text", **SETTINGS) for _ in range(2)]
        for context in contexts:
            context.__enter__()
        monkeypatch.setattr(traffic_of(ws), "received", received)
        readers = [in_thread(partial(heard, context)) for context in contexts]
        go.set()
        errors = [reader.exception(WAIT) for reader in readers]
        assert {type(error) for error in errors} == {KeyboardInterrupt, ConnectionLost}
        assert ws.send(transcript="next", stream=False, **SETTINGS).data == audio_of("next")


@pytest.mark.parametrize("doing", ["pausing", "interrupting"])
def test_a_pause_is_ended_by_its_own_thread(doing: str) -> None:
    """A signal handler may interrupt anywhere in it, or in an interruption, and neither waits for ever nor fails."""
    number = 1

    def once() -> bool:
        interrupter, places = Interrupter(), 0

        def profile(_: FrameType, event: str, __: object) -> None:
            nonlocal places
            if event in ("call", "return", "c_call", "c_return"):
                places += 1
                if places == number:
                    interrupter.interrupt()

        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            interrupter.pause(0.0) if doing == "pausing" else interrupter.interrupt()
        finally:
            sys.setprofile(before)
        if places >= number:
            interrupter.pause(2 * WAIT)  # every later one ends at once, too
        return places >= number

    while in_thread(once).result(WAIT):
        number += 1
    assert number > 2


def test_closing_in_the_middle_of_a_turn(net: Net, clients: Clients) -> None:
    """A finaliser may do so; the goodbye is said and not waited for."""
    server = net.serve(speak)
    ws = clients(server).tts.websocket()
    context = ws.context(**SETTINGS)
    context.push("text")

    def work() -> Waiting[None]:
        context.close()
        ws.close()
        assert context.terminal is None
        yield list

    multiplexer_of(ws)._turns.run(work())
    assert isinstance(context.terminal, Cancelled)
    server.wait_until_left()


def test_an_idle_close_behind_a_context_that_nobody_reads(net: Net, clients: Clients) -> None:
    """Its end is read before the next one is opened, which gets a fresh connection."""
    closed = threading.Event()

    def idle(connection: Connection) -> None:
        peer = Peer(connection)
        peer.answer(peer.receive() or {})
        peer.link.close(1000, "connection idle timeout", 0.0)
        peer.flush()
        closed.set()
        assert peer.receive() is None

    server = net.serve(idle, speak)
    with clients(server).tts.websocket() as ws:
        abandoned = ws.send(transcript="unread", **SETTINGS)
        abandoned.__enter__()
        assert closed.wait(WAIT)
        assert ws.send(transcript="heard", stream=False, **SETTINGS).data == audio_of("heard")
        assert heard(abandoned) == audio_of("unread")
    assert server.opened == 2


@pytest.mark.parametrize("role", ["dials", "waits"])
@pytest.mark.parametrize("verb", ["read", "push"])
def test_a_cancel_while_connecting(net: Net, clients: Clients, role: str, verb: str) -> None:
    """It ends the wait of its own thread at once, whoever connects; others get their connection."""
    answer = threading.Event()

    def silence(connection: Connection) -> None:
        connection.wait_until_left()

    def late(connection: Connection) -> None:
        assert answer.wait(WAIT)
        speak(connection)

    scripts = [silence, late] if role == "dials" else [late]
    server = net.serve(*scripts)
    with clients(server).tts.websocket() as ws:
        cancelled, other = ws.context(**SETTINGS), ws.send(transcript="other", **SETTINGS)

        def mine() -> bytes:
            if verb == "push":
                cancelled.push("text")
            return heard(cancelled)

        def others() -> bytes:
            return heard(other)

        first, second = (mine, others) if role == "dials" else (others, mine)
        dialling = net.start(first)
        server.wait_until_opened(1)
        dialling.wait_until_blocked()
        waiting = net.start(second).wait_until_blocked()
        released, unharmed = (dialling, waiting) if role == "dials" else (waiting, dialling)
        cancelled.cancel()
        if verb == "read":
            assert released.result() == b""
        else:
            with pytest.raises(ContextEnded, match="before it began"):
                released.result()
        server.wait_until_opened(len(scripts))
        answer.set()
        assert unharmed.result() == audio_of("other")


def test_a_cancel_while_nobody_answers_a_call(net: Net) -> None:
    """A server whose queue is full lets even TCP wait; a cancel ends that, too."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        client = Cartesia(api_key="k", base_url=f"http://127.0.0.1:{full.getsockname()[1]}", timeout=60.0, proxy="")
        context = stack.enter_context(client).tts.websocket().context(**SETTINGS)
        reading = net.start(lambda: heard(context)).wait_until_blocked()
        context.cancel()
        assert reading.result() == b""


def test_no_descriptors_left(net: Net, clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a failure to connect, which is tried again; the socket is closed."""
    server = net.serve(speak, speak, speak)
    left = [OSError(errno.EMFILE, "Too many open files") for _ in range(3)]
    socketpair = socket.socketpair

    def scarce() -> tuple[socket.socket, socket.socket]:
        if left:
            raise left.pop()
        return socketpair()

    monkeypatch.setattr(socket, "socketpair", scarce)
    with clients(server).tts.websocket() as ws, pytest.raises(ConnectError, match="Too many open files") as caught:
        ws.connect()
    assert isinstance(caught.value.__cause__, OSError)
    server.wait_until_left()
    left.pop()
    with clients(server, max_retries=1).tts.websocket() as ws:
        ws.connect()
    assert server.opened == 3


def test_closing_while_tls_is_agreed_on(net: Net) -> None:
    """Whoever waits for that is told at once; the socket is closed, and not left to the garbage collector."""
    hello = threading.Event()

    def deaf(connection: Connection) -> None:
        connection._more()
        hello.set()
        connection.wait_until_left()

    server = net.serve_clear(deaf)
    client = Cartesia(
        api_key="k", base_url=f"https://127.0.0.1:{server.port}", ssl_context=net.trust, max_retries=0, proxy=""
    )
    connecting = in_thread(client.tts.websocket().connect)
    assert hello.wait(WAIT)
    client.close()
    with pytest.raises(CartesiaError, match="closed"):
        connecting.result(WAIT)


def test_closing_before_tls_begins(net: Net) -> None:
    """The plain socket is closed; `ssl` would lose it, shut down as it is and reset by the peer."""
    server = net.serve_clear(lambda connection: connection.wait_until_left())

    def connect(host: str, port: int) -> socket.socket:
        sock = socket.create_connection((host, port), WAIT)
        in_thread(client.close).result(WAIT)
        return sock

    client = Cartesia(
        api_key="k",
        base_url=f"https://127.0.0.1:{server.port}",
        ssl_context=net.trust,
        max_retries=0,
        proxy="",
        connect=connect,
    )
    with pytest.raises(CartesiaError, match="closed"):
        client.tts.websocket().connect()


def test_a_user_s_own_sockets(net: Net) -> None:
    """Connections are made by whoever the client says."""
    server = net.serve(speak)
    asked: list[tuple[str, int]] = []

    def connect(host: str, port: int) -> socket.socket:
        asked.append((host, port))
        return socket.create_connection((host, port), WAIT)

    client = Cartesia(api_key="k", base_url=server.url, ssl_context=net.trust, proxy="", connect=connect)
    with client, client.tts.websocket() as ws:
        assert ws.send(transcript="text", stream=False, **SETTINGS).data == audio_of("text")
    assert asked == [("127.0.0.1", server.port)]


def test_a_proxy(net: Net) -> None:
    """Through a tunnel, as HTTP goes."""
    server, proxy = net.serve(speak), net.proxy()
    client = Cartesia(api_key="k", base_url=server.url, ssl_context=net.trust, proxy=proxy.url)
    with client, client.tts.websocket() as ws:
        assert ws.send(transcript="text", stream=False, **SETTINGS).data == audio_of("text")


def test_nothing_is_kept(net: Net, clients: Clients) -> None:
    """Of contexts that are over nothing remains but the last ids; a third of these is never answered."""

    def mute(connection: Connection) -> None:
        peer, count = Peer(connection), 0
        while (fields := peer.receive()) is not None:
            count += 1
            if fields.get("transcript") != "mute":
                peer.answer(fields)

    with clients(net.serve(mute)).tts.websocket() as ws:
        for number in range(300):
            if number % 3:
                ws.send(transcript="text", stream=False, **SETTINGS)
            else:
                with ws.send(transcript="mute", **SETTINGS):
                    pass
        traffic = traffic_of(ws)
        assert traffic.waiters._waiting == {}
        assert traffic.waiters._called == set()
        assert traffic.unsent == b""
        assert traffic.conversation.waiting_bytes == 0
        assert traffic.conversation.session.open_contexts == ()
