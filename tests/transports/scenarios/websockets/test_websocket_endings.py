"""However a connection ends, every context on it ends in exactly one terminal event, and nobody waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from cartesia_proto.blocking import TTSWebSocketContext
from cartesia_proto.codecs.events import Done
from cartesia_proto.errors import ConnectionLost, ServerError
from cartesia_proto.sessions.events import ContextEnded, Failed
from cartesia_proto.sessions.states import State
from cartesia_standin import CloseFrameAfter, DropAfter, Fault, SilenceAfter
from tests.conftest import WAIT

if TYPE_CHECKING:
    from cartesia_proto.errors import JsonValue
    from cartesia_standin import StandIn
    from tests.transports.conftest import Net
    from tests.transports.scenarios.websockets.conftest import Context, Heard, Peer, Socket, Stage

CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)
IDS = ("a", "b", "c")


@frozen
class Line:
    """Something the peer says to a context."""

    id: str
    text: str
    audio: bytes = b""
    last: bool = False


def conversation(stage: Stage) -> list[Line]:
    """What the peer says to three contexts."""

    def chunk(id: str, audio: bytes) -> Line:
        return Line(id, stage.chunk(id, audio), audio)

    def done(id: str) -> Line:
        return Line(id, stage.done(id), last=True)

    words: JsonValue = {"words": ["Hi"], "start": [0.0], "end": [1.0]}
    return [
        chunk("a", b"a1"),
        chunk("b", b"b1"),
        Line("a", stage.message("timestamps", "a", word_timestamps=words)),
        done("b"),
        chunk("a", b"a2"),
        chunk("c", b"c1"),
        Line("a", stage.message("flush_done", "a", flush_done=True, flush_id=1)),
        done("a"),
        chunk("c", b"c2"),
        done("c"),
    ]


def listen_to_three(ws: Socket, net: Net, stage: Stage) -> list[tuple[Context, Heard]]:
    """Say everything on three contexts, and read each in a thread of its own."""
    contexts = [ws.context(context_id=id) for id in IDS]
    for context in contexts:
        context.push("Hello, ")
    for context in contexts:
        context.finish("world.")
    jobs = [net.start(partial(stage.listen, context)) for context in contexts]
    return [(context, job.result()) for context, job in zip(contexts, jobs, strict=True)]


def assert_ended(context: Context, heard: Heard, *, done: bool) -> None:
    """It is done, or lost with its connection, and stays so."""
    terminal = context.terminal
    if done:
        assert isinstance(terminal, Done)
        assert heard.error is None
    else:
        assert isinstance(terminal, Failed)
        assert isinstance(heard.error, ConnectionLost)
        assert heard.error.scope == "connection"
    with pytest.raises(ContextEnded) as caught:
        context.push("more")
    assert caught.value.event is terminal
    context.cancel()
    context.close()
    assert context.terminal is terminal


def replay(stage: Stage, net: Net, ws: Socket, lines: list[Line]) -> None:
    """Three contexts on a connection that ends after these lines."""
    with ws:
        for context, heard in listen_to_three(ws, net, stage):
            own = [line for line in lines if line.id == context.id]
            assert heard.audio == b"".join(line.audio for line in own)
            assert_ended(context, heard, done=any(line.last for line in own))


def saying(lines: list[Line], end: Callable[[Peer], None]) -> Callable[[Peer], None]:
    """The script of a peer that says so much and then ends the connection."""

    def script(peer: Peer) -> None:
        peer.hear_finished(len(IDS))
        peer.say(*(line.text for line in lines))
        end(peer)

    return script


def test_dropped_after_every_message(stage: Stage, net: Net) -> None:
    """Without a close frame: what arrived before is heard."""
    lines = conversation(stage)
    cuts = [lines[:count] for count in range(len(lines) + 1)]
    server = stage.serve(*(saying(cut, lambda peer: peer.drop()) for cut in cuts))
    for cut in cuts:
        replay(stage, net, stage.meet(server), cut)
    assert server.opened == len(cuts)


def test_dropped_after_every_message_while_one_is_never_read(stage: Stage) -> None:
    """Whatever it left unread: who is read ends, and the next context has a connection of its own."""
    lines = [line for line in conversation(stage) if line.id != "c"]
    cuts = [lines[:count] for count in range(len(lines) + 1)]
    dropped = threading.Semaphore(0)

    def script(cut: list[Line], peer: Peer) -> None:
        id = str(peer.hear()["context_id"])
        peer.say(stage.chunk(id, b"new..."), stage.done(id))
        peer.hear_finished(2)
        peer.say(*(line.text for line in cut))
        peer.drop()
        dropped.release()

    server = stage.serve(*(partial(script, cut) for cut in cuts), partial(script, []))
    with stage.meet(server) as ws:
        kept: list[Context] = []
        for cut in cuts:
            assert ws.whole("Hello").data == b"new..."
            unread, read = ws.context(context_id="a"), ws.context(context_id="b")
            for context in (unread, read):
                context.finish("Hello")
            heard = stage.listen(read)
            assert heard.audio == b"".join(line.audio for line in cut if line.id == "b")
            assert_ended(read, heard, done=any(line.last for line in cut if line.id == "b"))
            assert dropped.acquire(timeout=WAIT)
            kept.append(unread)
        assert ws.whole("Hello").data == b"new..."
        for cut, unread in zip(cuts, kept, strict=True):
            assert stage.listen(unread).audio == b"".join(line.audio for line in cut if line.id == "a")
    assert server.opened == len(cuts) + 1


def test_closed_after_every_message(stage: Stage, net: Net) -> None:
    """With a close frame: no other end than without one."""
    lines = conversation(stage)
    cuts = [lines[:count] for count in range(len(lines) + 1)]
    server = stage.serve(*(saying(cut, lambda peer: peer.close(1011, "broken")) for cut in cuts))
    for cut in cuts:
        replay(stage, net, stage.meet(server), cut)


@CLEAR_ONLY
def test_silent_after_some_messages(stage: Stage, net: Net) -> None:
    """A peer that stays and says nothing, not even to a ping."""
    lines = conversation(stage)
    cuts = [lines[:count] for count in (0, 4, 9)]
    server = stage.serve(*(saying(cut, lambda peer: peer.connection.wait_until_left()) for cut in cuts))
    for cut in cuts:
        replay(stage, net, stage.meet(server, ping_interval=0.3, ping_timeout=0.3), cut)


def test_silent_over_tls(stage: Stage, net: Net) -> None:
    """The time of a single reader runs out as well, whatever it reads."""

    def mute(peer: Peer) -> None:
        peer.hear()
        peer.connection.wait_until_left()

    with stage.meet(stage.serve(mute), ping_interval=0.1, ping_timeout=0.1) as ws:
        context = ws.context(context_id="a")
        context.push("Hello")
        assert_ended(context, stage.listen(context), done=False)


def test_alive_though_nobody_speaks(stage: Stage) -> None:
    """Pongs are enough: a peer that answers pings is waited for, however long it takes to think."""
    pings = 3

    def slow(peer: Peer) -> None:
        peer.hear()
        for _ in range(pings):
            peer.hear_control(0x9)
        peer.say(stage.chunk("a", b"a1"), stage.done("a"))

    with stage.meet(stage.serve(slow), ping_interval=0.05, ping_timeout=WAIT) as ws:
        context = ws.send("Hello", context_id="a")
        assert stage.listen(context).audio == b"a1"


@pytest.mark.parametrize("heard", range(3, 9))
@CLEAR_ONLY
def test_dropped_while_it_is_said_to(stage: Stage, net: Net, heard: int) -> None:
    """The peer leaves after so many messages, by a reset: whoever says more is told, and so is every reader."""

    def script(peer: Peer) -> None:
        for _ in range(heard):
            peer.hear()
        peer.reset()

    def talk(context: Context) -> None:
        for word in ("Hello, ", "world, ", "and all."):
            context.push(word)
        context.finish()

    with stage.meet(stage.serve(script)) as ws:
        contexts = [ws.context(context_id=id) for id in IDS]
        for context in contexts:
            context.push("Well, ")
        talking = [net.start(partial(talk, context)) for context in contexts]
        listening = [net.start(partial(stage.listen, context)) for context in contexts]
        for saying_more in talking:
            with suppress(ContextEnded):
                saying_more.result()
        for context, job in zip(contexts, listening, strict=True):
            assert_ended(context, job.result(), done=False)


def all_at_once(context: Context) -> bytes:
    """All of the audio, as a shell has it."""
    if isinstance(context, TTSWebSocketContext):
        return b"".join(event.audio for event in context)
    return context.whole().data


@pytest.mark.parametrize("read", [None, all_at_once, list])
def test_failed_together_with_the_last_of_the_audio(stage: Stage, read: Callable[[Context], object] | None) -> None:
    """In one segment: whoever wants the whole, by whatever verb, is told why there is none."""

    def script(peer: Peer) -> None:
        peer.hear_finished(1)
        peer.say(stage.chunk("a", b"a1"), stage.message("error", "a", status_code=500, title="Broken", message="no"))

    with stage.meet(stage.serve(script)) as ws, pytest.raises(ServerError, match="500 Broken: no"):
        _ = read(ws.send("Hello", context_id="a")) if read else ws.whole("Hello", context_id="a")


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (1001, ""), (1011, "überlastet"), (4000, "mine")])
def test_what_the_peer_said_of_it(stage: Stage, code: int, reason: str) -> None:
    """Code and reason are told; the peer gets the same code back."""
    answered: list[int | None] = []

    def script(peer: Peer) -> None:
        peer.hear()
        peer.close(code, reason)
        answered.append(peer.wait_until_closed().code)

    server = stage.serve(script)
    with stage.meet(server) as ws:
        context = ws.send("Hello")
        error = stage.listen(context).error
        assert isinstance(error, ConnectionLost)
        assert (error.code, error.reason) == (code, reason)
        server.wait_until_left()
    assert answered == [code]


def test_what_was_not_said(stage: Stage) -> None:
    """The plan for a replay: the inputs that no flush had confirmed, and the audio that had come."""

    def script(peer: Peer) -> None:
        for _ in range(3):
            peer.hear()
        peer.say(stage.chunk("a", bytes(1600)), stage.message("flush_done", "a", flush_done=True, flush_id=1))
        peer.drop()

    with stage.meet(stage.serve(script)) as ws:
        context = ws.context(context_id="a")
        context.push("Hello, ")
        context.flush()
        context.push("world.")
        stage.listen(context)
        plan = context.unspoken()
    assert plan.transcript == "world."
    assert (plan.finished, plan.audio_bytes, plan.audio_seconds) == (False, 1600, 0.1)


@CLEAR_ONLY
@pytest.mark.parametrize("fault", [DropAfter, CloseFrameAfter], ids=lambda fault: fault.__name__)
def test_the_stand_in_leaves_after_every_message(
    stage: Stage, net: Net, standin: StandIn, fault: Callable[[int], Fault]
) -> None:
    """The same from a server that speaks for itself. A context that comes too late has a connection of its own."""
    for count in range(1, 12):
        standin.script(fault(count))
        with stage.meet(standin) as ws:
            contexts = [ws.context(context_id=id) for id in IDS]
            jobs = [net.start(partial(say_and_listen, stage, context)) for context in contexts]
            for job in jobs:
                job.result()


def say_and_listen(stage: Stage, context: Context) -> None:
    """Say all and hear all, or hear why not."""
    with suppress(ContextEnded, ConnectionLost):
        context.push("Hi. ")
        context.finish()
    if context.state is State.NEW:  # the connection was lost before it could begin
        return
    heard = stage.listen(context)
    assert_ended(context, heard, done=heard.error is None)


@CLEAR_ONLY
def test_the_stand_in_falls_silent(stage: Stage, net: Net, standin: StandIn) -> None:
    """It neither speaks nor answers pings."""
    standin.script(SilenceAfter(2))
    with stage.meet(standin, ping_interval=0.1, ping_timeout=0.1) as ws:
        over = listen_to_three(ws, net, stage)
    for context, heard in over:
        assert_ended(context, heard, done=False)
