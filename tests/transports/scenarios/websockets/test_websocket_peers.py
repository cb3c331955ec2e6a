"""Peers that say what they should not, or say it oddly: each costs what it must and no more."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.codecs.events import Done, FlushDone, UnknownEvent, WordTimestamps
from cartesia_proto.errors import (
    BadRequestError,
    CartesiaError,
    ConnectionLost,
    LocalProtocolError,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TimeoutError,
)
from cartesia_proto.sessions.events import Cancelled, Failed
from cartesia_proto.sessions.states import State
from tests.conftest import WAIT

if TYPE_CHECKING:
    from cartesia_proto.errors import JsonValue
    from tests.transports.conftest import Net
    from tests.transports.scenarios.websockets.conftest import Context, Peer, Socket, Stage

CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)


def two(ws: Socket) -> tuple[Context, Context]:
    """Two contexts that have said everything."""
    first, second = ws.context(context_id="a"), ws.context(context_id="b")
    for context in (first, second):
        context.finish("Hello")
    return first, second


def saying(stage: Stage, *messages: str) -> Callable[[Peer], None]:
    """The script of a peer that hears two contexts out and then says this; a third one it just answers."""

    def script(peer: Peer) -> None:
        peer.hear_finished(2)
        peer.say(*messages)
        while peer.hear()["context_id"] != "c":  # what was left was cancelled
            pass
        peer.say(stage.chunk("c", b"c1"), stage.done("c"))

    return script


@CLEAR_ONLY
def test_no_done(stage: Stage) -> None:
    """A context that hears nothing for too long fails; the next one has a connection of its own."""

    def script(peer: Peer) -> None:
        peer.hear_finished(1)
        peer.say(stage.chunk("a", b"a1"))

    def fresh(peer: Peer) -> None:
        peer.hear_finished(1)
        peer.say(stage.chunk("b", b"b1"), stage.done("b"))

    server = stage.serve(script, fresh)
    with stage.meet(server) as ws:
        context = ws.send("Hello", context_id="a", stall_timeout=1.0)
        heard = stage.listen(context)
        assert heard.audio == b"a1"
        assert isinstance(heard.error, TimeoutError)
        assert (heard.error.phase, heard.error.scope) == ("stall", "context")
        assert stage.listen(ws.send("Hello", context_id="b", stall_timeout=WAIT)).audio == b"b1"
    assert server.opened == 2


def test_no_done_while_others_are_read(stage: Stage, net: Net) -> None:
    """Its time runs out under somebody else's reading, and while that one is waiting, too."""

    def script(peer: Peer) -> None:
        peer.hear_finished(2)
        peer.say(stage.chunk("a", b"a1"), stage.chunk("b", b"b1"))
        assert peer.hear() == {"context_id": "b", "cancel": True}
        peer.say(stage.done("a"))

    with stage.meet(stage.serve(script)) as ws:
        lasting, stalled = ws.send("Hello", context_id="a"), ws.send("Hello", context_id="b", stall_timeout=0.2)
        with lasting, stalled:
            reader = net.start(lambda: stage.listen(lasting)).wait_until_blocked()
            assert isinstance(stage.listen(stalled).error, TimeoutError)
            assert reader.result().audio == b"a1"


@CLEAR_ONLY
def test_events_of_tomorrow(stage: Stage) -> None:
    """Unknown types, unknown fields, no type at all: kept, and nobody stumbles."""
    words: JsonValue = {"words": ["Hi"], "start": [0.0], "end": [0.5]}
    messages = (
        stage.message("sentiment", "a", mood="good"),
        stage.message("timestamps", "a", word_timestamps=words, confidence=1),
        stage.message("flush_done", "a", flush_done=True),
        '{"context_id": "a", "data": "YTE="}',
        '{"context_id": "stranger", "type": "chunk", "data": "YTE="}',
        '{"context_id": "a", "done": true}',
        stage.done("b"),
    )
    with stage.meet(stage.serve(saying(stage, *messages))) as ws:
        first, second = two(ws)
        unknown, timed, flushed, chunk = stage.listen(first).events
        assert isinstance(unknown, UnknownEvent)
        assert (unknown.type, unknown.fields["mood"]) == ("sentiment", "good")
        assert isinstance(timed, WordTimestamps)
        assert (timed.words, timed.extra) == (("Hi",), {"confidence": 1})
        assert isinstance(flushed, FlushDone)
        assert chunk.audio == b"a1"
        assert stage.listen(second).events == ()
        assert isinstance(first.terminal, Done)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Internal error", RemoteProtocolError),
        ("[1]", RemoteProtocolError),
        ('{"type": "error", "status_code": 429, "title": "Too many", "done": true}', RateLimitError),
        ('{"error": "Bad: nope", "status_code": 400, "done": true}', BadRequestError),
    ],
    ids=["text", "array", "error", "untyped"],
)
def test_what_concerns_everybody(stage: Stage, net: Net, message: str, kind: type[CartesiaError]) -> None:
    """It ends every open context, each with an error of its own; the connection stays."""
    server = stage.serve(saying(stage, stage.chunk("a", b"a1"), message))
    with stage.meet(server) as ws:
        contexts = two(ws)
        jobs = [net.start(partial(stage.listen, context)) for context in contexts]
        first, second = (job.result() for job in jobs)
        assert (first.audio, second.audio) == (b"a1", b"")
        for heard in (first, second):
            assert isinstance(heard.error, kind)
            assert heard.error.scope == "connection"
        assert first.error is not second.error
        assert stage.listen(ws.send("Hello", context_id="c")).audio == b"c1"
    assert server.opened == 1


@CLEAR_ONLY
@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('{"type": "error", "status_code": 500, "context_id": "a", "done": true, "request_id": "r"}', ServerError),
        ('{"type": "chunk", "context_id": "a", "data": "no base64!"}', RemoteProtocolError),
        ('{"type": "chunk", "context_id": "a", "data": 7}', RemoteProtocolError),
    ],
    ids=["error", "base64", "type"],
)
def test_what_concerns_one(stage: Stage, message: str, kind: type[CartesiaError]) -> None:
    """The others go on."""
    with stage.meet(stage.serve(saying(stage, message, stage.chunk("b", b"b1"), stage.done("b")))) as ws:
        first, second = two(ws)
        error = stage.listen(first).error
        assert isinstance(error, kind)
        assert error.scope == "context"
        assert stage.listen(second).audio == b"b1"
        assert stage.listen(ws.send("Hello", context_id="c")).audio == b"c1"


@CLEAR_ONLY
def test_an_early_done(stage: Stage) -> None:
    """The peer ends a context that was not finished: that is its end, and whoever says more is told."""

    def script(peer: Peer) -> None:
        peer.hear()
        peer.say(stage.chunk("a", b"a1"), stage.done("a"))

    with stage.meet(stage.serve(script)) as ws:
        context = ws.context(context_id="a")
        context.push("Hello")
        assert stage.listen(context).audio == b"a1"
        assert context.state is State.DONE
        with pytest.raises(CartesiaError, match="which is done"):
            context.push("more")


def test_fragments_and_pings(stage: Stage) -> None:
    """Messages in many frames, pings in between and bytes one by one are the same messages."""

    def script(peer: Peer) -> None:
        peer.hear()
        text = stage.chunk("a", bytes(range(256)))
        peer.link.send_fragments(text[:7], text[7:8], "", text[8:])
        peer.link.ping(b"still there?")
        peer.link.send_text(stage.chunk("a", b"a2"))
        peer.link.send_bytes(stage.done("a").encode())
        for byte in peer.link.data_to_send():
            peer.connection.send(bytes([byte]))
        assert peer.hear_control(0xA) == b"still there?"

    with stage.meet(stage.serve(script)) as ws:
        context = ws.send("Hello", context_id="a")
        assert stage.listen(context).audio == bytes(range(256)) + b"a2"
        ws.close()


def test_deflated(stage: Stage) -> None:
    """Compressed both ways, in one frame or several."""
    heard: list[object] = []

    def script(peer: Peer) -> None:
        heard.append(peer.hear()["transcript"])
        text = stage.chunk("a", bytes(5000))
        peer.link.send_fragments(text[:3000], text[3000:])
        data = peer.link.data_to_send()
        assert len(data) < 500
        peer.connection.send(data)
        peer.say(stage.chunk("a", b"a2"), stage.done("a"))

    with stage.meet(stage.serve(script, deflate=True), deflate=True) as ws:
        assert stage.listen(ws.send("Hello, " * 1000, context_id="a")).audio == bytes(5000) + b"a2"
    assert heard == ["Hello, " * 1000]


def bomb() -> bytes:
    """A compressed frame of some 64 KiB that inflates to 65 MiB (RFC 7692 section 7.2.1)."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = press.compress(bytes(65 * 1024 * 1024)) + press.flush(zlib.Z_SYNC_FLUSH)
    payload = data.removesuffix(b"\0\0\xff\xff")
    return b"\xc1\x7f" + len(payload).to_bytes(8, "big") + payload


@CLEAR_ONLY
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), 1009),
        (b"\x01\x02{}\x80\x7f" + (1 << 26).to_bytes(8, "big"), 1009),
        (bomb(), 1009),
        (b"\x81\x02\xff\xff", 1007),
        (b"\x81\x82\0\0\0\0{}", 1002),
        (b"\x83\x00", 1002),
        (b"\x80\x02{}", 1002),
        (b"\x89\x7e\x00\x80" + bytes(128), 1002),
    ],
    ids=["huge", "endless", "bomb", "utf-8", "masked", "opcode", "continuation", "ping"],
)
def test_violations(stage: Stage, frame: bytes, code: int) -> None:
    """Told with the right close code; what came before is heard, the contexts are lost, the next one connects anew."""
    codes: list[int | None] = []

    def script(peer: Peer) -> None:
        peer.hear_finished(2)
        peer.say(stage.chunk("a", b"a1"))
        peer.connection.send(frame)
        codes.append(peer.wait_until_closed().code)

    def fresh(peer: Peer) -> None:
        peer.hear()
        peer.say(stage.chunk("c", b"c1"), stage.done("c"))

    server = stage.serve(script, fresh, deflate=True)
    with stage.meet(server, deflate=True) as ws:
        first, second = two(ws)
        heard = stage.listen(first)
        assert heard.audio == b"a1"
        for error in (heard.error, stage.listen(second).error):
            assert isinstance(error, ConnectionLost)
            assert error.code == code
        assert stage.listen(ws.send("Hello", context_id="c")).audio == b"c1"
    server.wait_until_left()
    assert codes == [code]


def test_a_reader_that_falls_behind(stage: Stage) -> None:
    """What fitted is heard, then its context fails, alone; the peer is told to stop."""
    told: list[object] = []

    def script(peer: Peer) -> None:
        peer.hear_finished(2)
        peer.say(*[stage.chunk("a", bytes(1000))] * 5, stage.chunk("b", b"b1"), stage.done("b"))
        told.append(peer.hear())
        peer.hear_finished(1)
        peer.say(stage.chunk("c", b"c1"), stage.done("c"))

    with stage.meet(stage.serve(script), inbox_limit=4000) as ws:
        slow, other = two(ws)
        assert stage.listen(other).audio == b"b1"
        heard = stage.listen(slow)
        assert heard.audio == bytes(3000)
        assert isinstance(heard.error, LocalProtocolError)
        assert heard.error.scope == "context"
        assert isinstance(slow.terminal, Failed)
        assert stage.listen(ws.send("Hello", context_id="c")).audio == b"c1"
    assert told == [{"context_id": "a", "cancel": True}]


@CLEAR_ONLY
def test_nothing_is_read_that_nobody_wants(stage: Stage) -> None:
    """A context that was cancelled does not count: no limit is met by what nobody will read."""

    def script(peer: Peer) -> None:
        peer.hear_finished(2)
        assert peer.hear() == {"context_id": "a", "cancel": True}
        peer.say(*[stage.chunk("a", bytes(1000))] * 40, stage.chunk("b", b"b1"), stage.done("b"))

    with stage.meet(stage.serve(script), inbox_limit=2000) as ws:
        first, second = two(ws)
        first.cancel()
        assert stage.listen(second).audio == b"b1"
        assert first.terminal == Cancelled("a")
