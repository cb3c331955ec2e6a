"""Cancelling and leaving: whoever reads is released at once, and nothing of the past is heard by anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import pytest

from cartesia_proto.codecs.events import Done
from cartesia_proto.errors import ConnectionLost, LocalProtocolError
from cartesia_proto.sessions.events import Cancelled, ContextEnded, Failed
from cartesia_proto.sessions.states import State
from cartesia_standin import DEFAULT_VOICE_ID, StaleFrames, spoken_audio
from tests.conftest import WAIT

CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)
"""For what TLS makes no difference to."""
Verb: TypeAlias = Callable[[], None]

if TYPE_CHECKING:
    from cartesia_proto.errors import JsonValue
    from cartesia_standin import StandIn
    from tests.transports.conftest import Net
    from tests.transports.scenarios.conftest import Shell
    from tests.transports.scenarios.websockets.conftest import Peer, Stage

CANCEL_A: dict[str, JsonValue] = {"context_id": "a", "cancel": True}


def answering(stage: Stage, peer: Peer, id: str) -> None:
    """Let a context, which must be the next to speak, say everything, and answer it."""
    assert peer.hear()["context_id"] == id
    peer.say(stage.chunk(id, f"{id}1".encode()), stage.done(id))


def test_a_reader_that_waits(stage: Stage, net: Net) -> None:
    """Released before the peer says another word; forty late chunks, and their done, are nobody's."""
    released = threading.Event()

    def script(peer: Peer) -> None:
        peer.hear()
        assert peer.hear() == CANCEL_A
        assert released.wait(WAIT)
        peer.say(*[stage.chunk("a", b"late")] * 40, stage.done("a"))
        answering(stage, peer, "b")

    server = stage.serve(script)
    with stage.meet(server) as ws:
        context = ws.context(context_id="a")
        context.push("Hello")
        reader = net.start(partial(stage.listen, context)).wait_until_blocked()
        context.cancel()
        heard = reader.result()
        released.set()
        assert (heard.events, heard.error) == ((), None)
        assert context.terminal == Cancelled("a")
        assert stage.listen(ws.send("Hello", context_id="b")).audio == b"b1"
    assert server.opened == 1


def test_a_reader_in_the_middle(stage: Stage, net: Net) -> None:
    """What was heard stays heard; what waits unread is dropped; other readers notice nothing."""

    def script(peer: Peer) -> None:
        peer.hear_finished(2)
        peer.say(stage.chunk("a", b"a1"), stage.chunk("a", b"a2"), stage.chunk("b", b"b1"))
        assert peer.hear() == CANCEL_A
        peer.say(stage.chunk("a", b"a3"), stage.done("a"), stage.chunk("b", b"b2"), stage.done("b"))

    with stage.meet(stage.serve(script)) as ws:
        context, other = ws.context(context_id="a"), ws.context(context_id="b")
        for one in (context, other):
            one.finish("Hello")
        first = next(iter(other))  # after it, everything before it has arrived
        assert next(iter(context)).audio == b"a1"
        reader = net.start(lambda: stage.listen(other)).wait_until_blocked()
        context.cancel()
        assert stage.listen(context).events == ()
        assert first.audio + reader.result().audio == b"b1b2"
        assert isinstance(other.terminal, Done)


@CLEAR_ONLY
def test_before_anything_was_said(stage: Stage) -> None:
    """Nothing is sent, not even a connection made; the context stays cancelled."""
    server = stage.serve(lambda peer: answering(stage, peer, "b"))
    with stage.meet(server) as ws:
        context = ws.context(context_id="a")
        context.cancel()
        assert stage.listen(context).events == ()
        assert (context.state, context.terminal) == (State.CANCELLED, Cancelled("a"))
        verbs: list[Verb] = [lambda: context.push("Hello"), context.flush, context.finish]
        for verb in verbs:
            with pytest.raises(ContextEnded):
                verb()
        assert server.opened == 0
        assert stage.listen(ws.send("Hello", context_id="b")).audio == b"b1"


@CLEAR_ONLY
def test_a_whole_text_that_was_never_sent(stage: Stage) -> None:
    """Cancelled before it was read: it is not sent by reading it."""
    server = stage.serve()
    with stage.meet(server) as ws:
        context = ws.send("Hello")
        context.cancel()
        assert stage.listen(context).events == ()
    assert server.opened == 0


def test_a_reader_of_what_was_never_said(stage: Stage, net: Net) -> None:
    """It waits for somebody to begin, and is released by a cancel, of which the peer need not hear."""
    server = stage.serve(lambda peer: answering(stage, peer, "b"))
    with stage.meet(server) as ws:
        context = ws.context(context_id="a")
        reader = net.start(partial(stage.listen, context)).wait_until_blocked()
        context.cancel()
        assert reader.result().events == ()
        assert stage.listen(ws.send("Hello", context_id="b")).audio == b"b1"
    assert server.opened == 1


@CLEAR_ONLY
def test_twice_and_after_the_end(stage: Stage) -> None:
    """Once is enough, and what is done stays done: the peer hears of neither."""

    def script(peer: Peer) -> None:
        answering(stage, peer, "a")
        peer.hear()
        assert peer.hear() == {"context_id": "b", "cancel": True}
        answering(stage, peer, "c")

    with stage.meet(stage.serve(script)) as ws:
        context = ws.send("Hello", context_id="a")
        assert stage.listen(context).audio == b"a1"
        context.cancel()
        assert isinstance(context.terminal, Done)
        second = ws.context(context_id="b")
        second.push("Hello")
        second.cancel()
        terminal = second.terminal
        second.cancel()
        assert second.terminal is terminal == Cancelled("b")
        assert stage.listen(ws.send("Hello", context_id="c")).audio == b"c1"


@CLEAR_ONLY
def test_an_end_that_nobody_has_read(stage: Stage) -> None:
    """Cancelled when its done waits unread: what waits is dropped, the end is the one that came."""

    def script(peer: Peer) -> None:
        peer.hear_finished(2)
        peer.say(stage.chunk("a", b"a1"), stage.done("a"), stage.chunk("b", b"b1"), stage.done("b"))

    with stage.meet(stage.serve(script)) as ws:
        context, other = ws.context(context_id="a"), ws.context(context_id="b")
        for one in (context, other):
            one.finish("Hello")
        assert stage.listen(other).audio == b"b1"
        context.cancel()
        assert stage.listen(context).events == ()
        assert isinstance(context.terminal, Done)


@pytest.mark.parametrize("finished", [False, True])
def test_leaving_early(stage: Stage, finished: bool) -> None:
    """Leaving a context before its end was received cancels it, whether everything was said or not."""

    def script(peer: Peer) -> None:
        peer.hear()
        peer.say(stage.chunk("a", b"a1"))
        assert peer.hear() == CANCEL_A
        peer.say(stage.chunk("a", b"a2"), stage.done("a"))
        answering(stage, peer, "b")

    with stage.meet(stage.serve(script)) as ws:
        with ws.context(context_id="a") as context:
            if finished:
                context.finish("Hello")
            else:
                context.push("Hello")
            assert next(iter(context)).audio == b"a1"
        assert context.terminal == Cancelled("a")
        assert list(context.receive_batch()) == []
        assert stage.listen(ws.send("Hello", context_id="b")).audio == b"b1"


@CLEAR_ONLY
def test_leaving_by_an_error(stage: Stage) -> None:
    """The error goes on its way."""

    def script(peer: Peer) -> None:
        peer.hear()
        assert peer.hear() == CANCEL_A

    with stage.meet(stage.serve(script)) as ws:
        with pytest.raises(KeyError):
            with ws.send("Hello", context_id="a"):
                raise KeyError("mine")


def test_leaving_late(stage: Stage) -> None:
    """Nothing is said of a context whose end was received; `close` does what leaving does."""

    def script(peer: Peer) -> None:
        answering(stage, peer, "a")
        peer.hear()
        assert peer.hear() == {"context_id": "b", "cancel": True}
        answering(stage, peer, "c")

    with stage.meet(stage.serve(script)) as ws:
        with ws.send("Hello", context_id="a") as context:
            assert stage.listen(context).audio == b"a1"
        assert isinstance(context.terminal, Done)
        left = ws.context(context_id="b")
        left.push("Hello")
        left.close()
        left.close()
        assert left.terminal == Cancelled("b")
        assert stage.listen(ws.send("Hello", context_id="c")).audio == b"c1"


@CLEAR_ONLY
def test_a_break_cancels_nothing(stage: Stage) -> None:
    """Reading goes on where it stopped, event by event or by all that has arrived."""

    def script(peer: Peer) -> None:
        peer.hear()
        peer.say(*(stage.chunk("a", audio) for audio in (b"a1", b"a2", b"a3", b"a4")), stage.done("a"))

    with stage.meet(stage.serve(script)) as ws:
        context = ws.send("Hello", context_id="a")
        audio = b""
        for event in islice(context, 2):
            audio += event.audio
        while batch := context.receive_batch():
            audio += b"".join(event.audio for event in batch)
        assert audio == b"a1a2a3a4"
        assert isinstance(context.terminal, Done)
        assert list(context.receive_batch()) == []
        timing = context.timing
        assert timing.sent_at is not None
        assert timing.first_audio_at is not None
        assert timing.done_at is not None
        assert timing.sent_at <= timing.first_audio_at <= timing.done_at


@CLEAR_ONLY
def test_a_second_reader_is_refused(stage: Stage, net: Net) -> None:
    """The first one notices nothing."""

    def script(peer: Peer) -> None:
        peer.hear()
        peer.hear_finished(1)
        peer.say(stage.chunk("a", b"a1"), stage.done("a"))

    with stage.meet(stage.serve(script)) as ws:
        context = ws.context(context_id="a")
        context.push("Hello")
        reader = net.start(partial(stage.listen, context)).wait_until_blocked()
        for read in (lambda: next(iter(context)), context.receive_batch):
            with pytest.raises(LocalProtocolError, match="one reader"):
                read()
        context.finish()
        assert reader.result().audio == b"a1"


@CLEAR_ONLY
def test_more_after_the_last_word(stage: Stage) -> None:
    """Refused before it is sent; the context goes on."""
    refused = threading.Event()

    def script(peer: Peer) -> None:
        peer.hear_finished(1)
        assert refused.wait(WAIT)
        peer.say(stage.chunk("a", b"a1"), stage.done("a"))

    with stage.meet(stage.serve(script)) as ws:
        context = ws.context(context_id="a")
        with pytest.raises(LocalProtocolError, match="empty"):
            context.push("")
        context.push("Hello")
        context.finish()
        verbs: list[Verb] = [lambda: context.push("more"), context.flush, context.finish]
        for verb in verbs:
            with pytest.raises(LocalProtocolError, match="finished"):
                verb()
        refused.set()
        assert stage.listen(context).audio == b"a1"


def test_closing_with_open_contexts(stage: Stage, net: Net) -> None:
    """Every reader is released; the peer is told with code 1000; nothing more can be said. Twice is once."""
    codes: list[int | None] = []

    def script(peer: Peer) -> None:
        for _ in range(3):
            peer.hear()
        codes.append(peer.wait_until_closed().code)

    server = stage.serve(script)
    ws = stage.meet(server)
    contexts = [ws.context() for _ in range(3)]
    for context in contexts:
        context.push("Hello")
    contexts.append(ws.context())  # nothing is said on it, but somebody waits for an answer
    readers = [net.start(partial(stage.listen, one)).wait_until_blocked() for one in contexts]
    ws.close()
    for context, reader in zip(contexts, readers, strict=True):
        assert isinstance(reader.result().error, ConnectionLost)
        assert isinstance(context.terminal, Failed)
    server.wait_until_left()
    assert codes == [1000]
    ws.close()
    for verb in (ws.connect, ws.run, lambda: ws.context().push("Hello"), lambda: ws.whole("Hello")):
        with pytest.raises(LocalProtocolError, match="closed"):
            verb()


def test_closing_the_client(shell: Shell, stage: Stage, net: Net) -> None:
    """It closes its WebSockets, and releases whoever reads them."""
    server = stage.serve(lambda _: None)
    client = shell.client(server)
    ws = stage.websocket(client)
    context = ws.context()
    context.push("Hello")
    reader = net.start(partial(stage.listen, context)).wait_until_blocked()
    client.close()
    assert isinstance(reader.result().error, ConnectionLost)
    server.wait_until_left()
    with pytest.raises(LocalProtocolError, match="closed"):
        ws.context().push("Hello")
    ws.close()


def test_run_keeps_an_idle_connection(stage: Stage, net: Net) -> None:
    """It answers pings while nobody waits for anything, and returns when the connection has ended."""
    server = stage.serve(ping)
    with stage.meet(server) as ws:
        running = net.start(ws.run)
        server.wait_until_left()
        running.result()
    assert server.opened == 1


def ping(peer: Peer) -> None:
    """Ping three times, await each pong, and leave."""
    for payload in (b"one", b"two", b""):
        peer.link.ping(payload)
        peer.flush()
        assert peer.hear_control(0xA) == payload
    peer.close()


def test_the_stand_ins_stale_frames(stage: Stage, standin: StandIn) -> None:
    """Forty chunks before anything else, and forty for every context that is cancelled: none is heard."""
    standin.script(StaleFrames(40))
    expected = spoken_audio("Hello. ", output_format=stage.settings["output_format"], voice_id=DEFAULT_VOICE_ID)
    with stage.meet(standin) as ws:
        for _ in range(3):
            with ws.context() as context:
                context.push("Hello. ")
                assert next(iter(context)).audio == expected[:1600]
            assert stage.listen(ws.send("Hello. ")).audio == expected
    assert standin.connections == 1
