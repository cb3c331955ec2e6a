"""Connections that idled out: the next context has a fresh one, and an open one never loses its own unnoticed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

from cartesia_proto.errors import ConnectionLost
from cartesia_proto.sessions.events import ContextEnded, Failed
from cartesia_standin import IDLE_REASON, StandIn
from tests.conftest import WAIT

Verb: TypeAlias = Callable[[], None]

if TYPE_CHECKING:
    import ssl

    from tests.transports.conftest import Net
    from tests.transports.scenarios.websockets.conftest import Context, Peer, Stage


def idling(stage: Stage, left: threading.Event, end: Callable[[Peer], None]) -> Callable[[Peer], None]:
    """The script of a peer that answers one context and then ends the connection."""

    def script(peer: Peer) -> None:
        id = str(peer.hear()["context_id"])
        peer.say(stage.chunk(id, b"audio."), stage.done(id))
        end(peer)
        left.set()

    return script


def close_for_idleness(peer: Peer) -> None:
    """As the service does (protocol section 4.6)."""
    peer.close(1000, IDLE_REASON)


def close_after_much_else(peer: Peer) -> None:
    """Behind pings, and audio that is nobody's: more than one read brings."""
    for _ in range(100):
        peer.link.ping(b"x" * 100)
        peer.link.send_text('{"type": "chunk", "context_id": "gone", "data": "' + "A" * 1000 + '"}')
    close_for_idleness(peer)


def leave(peer: Peer) -> None:
    """Without a word."""
    peer.drop()


@pytest.mark.parametrize("end", [close_for_idleness, close_after_much_else, leave], ids=lambda end: end.__name__)
def test_a_new_context_has_a_new_connection(stage: Stage, end: Callable[[Peer], None]) -> None:
    """Again and again, as long as none was open; no context notices."""
    events = [threading.Event() for _ in range(4)]
    server = stage.serve(*(idling(stage, event, end) for event in events))
    with stage.meet(server) as ws:
        for event in events:
            assert stage.listen(ws.send("Hello")).audio == b"audio."
            assert event.wait(WAIT)
    assert server.opened == len(events)


@pytest.mark.parametrize("end", [close_for_idleness, close_after_much_else, leave], ids=lambda end: end.__name__)
@pytest.mark.parametrize("kept", [True, False])
def test_a_new_context_though_the_last_was_never_read(stage: Stage, end: Callable[[Peer], None], kept: bool) -> None:
    """It was done, and then the connection ended: nothing is lost by connecting anew, nor of what it had to say."""
    events = [threading.Event() for _ in range(2)]
    server = stage.serve(*(idling(stage, event, end) for event in events))
    with stage.meet(server) as ws:
        unread: Context | None = ws.context(context_id="a")
        assert unread is not None
        unread.finish("Hello")
        assert events[0].wait(WAIT)
        if not kept:
            unread = None
        assert ws.whole("Hello").data == b"audio."
        if unread is not None:
            assert stage.listen(unread).audio == b"audio."
    assert server.opened == 2


def test_connecting_ahead_again(stage: Stage, net: Net) -> None:
    """`connect` and `run` notice it as well; while there is a connection, `connect` does nothing."""
    events = [threading.Event() for _ in range(3)]
    server = stage.serve(*(idling(stage, event, close_for_idleness) for event in events))
    with stage.meet(server) as ws:
        ws.connect()
        ws.connect()
        assert ws.whole("Hello").data == b"audio."
        assert events[0].wait(WAIT)
        ws.connect()
        assert server.opened == 2
        assert ws.whole("Hello").data == b"audio."
        assert events[1].wait(WAIT)
        running = net.start(ws.run)
        server.wait_until_opened(3)
        assert ws.whole("Hello").data == b"audio."
        running.result()
    assert server.opened == 3


def test_never_behind_the_back_of_an_open_context(stage: Stage) -> None:
    """It fails with its connection; what it says then goes nowhere, and only another context connects anew."""
    closed, left = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.hear()
        close_for_idleness(peer)
        closed.set()

    server = stage.serve(script, idling(stage, left, close_for_idleness))
    with stage.meet(server) as ws:
        context, unborn = ws.context(context_id="a"), ws.context(context_id="b")
        context.push("Hello, ")
        assert closed.wait(WAIT)
        error = stage.listen(context).error
        assert isinstance(error, ConnectionLost)
        assert (error.code, error.reason) == (1000, IDLE_REASON)
        verbs: list[Verb] = [lambda: context.push("world."), context.flush, context.finish]
        for verb in verbs:
            with pytest.raises(ContextEnded) as caught:
                verb()
            assert caught.value.event == Failed("a", error)
        assert server.opened == 1
        assert context.unspoken().transcript == "Hello, "
        unborn.push("Hello")
        assert stage.listen(unborn).audio == b"audio."
    assert server.opened == 2


def test_an_id_is_good_again_on_a_new_connection(stage: Stage) -> None:
    """The caller's own ids: used twice on one connection they are refused, on another they are fine."""
    events = [threading.Event() for _ in range(2)]
    server = stage.serve(*(idling(stage, event, close_for_idleness) for event in events))
    with stage.meet(server) as ws:
        for event in events:
            assert stage.listen(ws.send("Hello", context_id="mine")).audio == b"audio."
            assert event.wait(WAIT)


def test_the_stand_in_idles_out(stage: Stage, net: Net, server_context: ssl.SSLContext) -> None:
    """A server that keeps time: its idle sockets close, and nobody who speaks notices."""
    with StandIn(ssl_context=server_context if net.secure else None, idle_timeout=0.5) as standin:
        with stage.meet(standin) as ws:
            for count in range(1, 3):
                assert ws.whole("Hi.").data
                assert standin.connections == count
                running = net.start(ws.run)
                running.result()
