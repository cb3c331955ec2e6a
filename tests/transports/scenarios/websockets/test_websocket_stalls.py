"""Peers that fall silent: who waits is told in time, and why; whoever speaks is told the same as who reads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.codecs.events import FlushDone
from cartesia_proto.errors import CartesiaError, ConnectionLost, TimeoutError
from cartesia_proto.sessions.events import ContextEnded, Failed
from cartesia_proto.sessions.states import State
from tests.conftest import WAIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.transports.conftest import Net
    from tests.transports.scenarios.conftest import Shell
    from tests.transports.scenarios.websockets.conftest import Context, Peer, Stage

CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)

SHORT = 0.6
"""A timeout in seconds that is waited out, but not for a connection, nor for what the peer says at once."""


def told(context: Context) -> list[ContextEnded]:
    """What each verb raises on a context that is over."""
    verbs: list[Callable[[], None]] = [lambda: context.push("more"), context.flush, context.finish]
    raised: list[ContextEnded] = []
    for verb in verbs:
        with pytest.raises(ContextEnded) as caught:
            verb()
        raised.append(caught.value)
    return raised


@CLEAR_ONLY
def test_a_forgotten_finish(shell: Shell, net: Net, stage: Stage) -> None:
    """The reader is told after the client's timeout, the peer to stop, and whoever says more is told the same."""
    heard: list[object] = []

    def script(peer: Peer) -> None:
        peer.hear()
        peer.say(stage.chunk("a", b"a1"))
        heard.append(peer.hear())

    client = shell.client(stage.serve(script), timeout=SHORT)
    with stage.websocket(client) as ws:
        context = ws.context(context_id="a")
        context.push("Hello")
        ended = stage.listen(context)
        assert ended.audio == b"a1"
        assert isinstance(ended.error, TimeoutError)
        assert (ended.error.phase, ended.error.scope) == ("stall", "context")
        assert "not finished" in str(ended.error)
        for error in told(context):
            assert error.__cause__ is ended.error
            assert error.retryable
    assert heard == [{"context_id": "a", "cancel": True}]


@CLEAR_ONLY
def test_a_text_that_is_long_in_the_making(shell: Shell, net: Net, stage: Stage) -> None:
    """Where all that was flushed is spoken, its reader waits for longer than any timeout; then it goes on."""
    thought = threading.Event()

    def script(peer: Peer) -> None:
        assert [peer.hear().get("flush") for _ in range(2)] == [None, True]
        peer.say(stage.chunk("a", b"a1"), stage.message("flush_done", "a", flush_done=True))
        for _ in range(6):  # of silence, each a good part of the timeout
            peer.hear_control(0x9)
        thought.set()
        peer.hear_finished(1)
        peer.say(stage.chunk("a", b"a2"), stage.done("a"))

    client = shell.client(stage.serve(script), timeout=SHORT)
    with stage.websocket(client, ping_interval=SHORT / 3, ping_timeout=WAIT) as ws:
        context = ws.context(context_id="a")
        context.push("Hello")
        context.flush()
        reader = net.start(lambda: stage.listen(context))
        assert thought.wait(WAIT)
        assert context.state is State.OPEN
        context.finish("world")
        ended = reader.result()
        assert (ended.audio, ended.error) == (b"a1a2", None)
        assert any(isinstance(event, FlushDone) for event in ended.events)


@CLEAR_ONLY
def test_a_done_that_never_comes(shell: Shell, net: Net, stage: Stage) -> None:
    """What is finished is owed its end, however much of it was confirmed."""

    def script(peer: Peer) -> None:
        peer.hear_finished(1)
        peer.say(stage.chunk("a", b"a1"), stage.message("flush_done", "a", flush_done=True))

    client = shell.client(stage.serve(script), timeout=SHORT)
    with stage.websocket(client) as ws:
        context = ws.context(context_id="a")
        context.push("Hello")
        context.flush()
        context.finish()
        assert isinstance(stage.listen(context).error, TimeoutError)


def drop(peer: Peer) -> None:
    """End without a word."""
    peer.drop()


def close(peer: Peer) -> None:
    """Say goodbye."""
    peer.close(1011, "broken")


def garble(peer: Peer) -> None:
    """Say what is no event."""
    peer.say("Internal error")


def fail(peer: Peer) -> None:
    """Say that the server failed."""
    peer.say('{"type": "error", "status_code": 503, "title": "Overloaded", "done": true}')


@pytest.mark.parametrize("end", [drop, close, garble, fail])
@pytest.mark.parametrize("reads", [True, False], ids=["read", "unread"])
def test_who_speaks_is_told_what_who_reads_is(
    stage: Stage, net: Net, end: Callable[[Peer], None], *, reads: bool
) -> None:
    """Whichever comes first: the reader's error is the cause of the speaker's, which says the same of retrying."""

    def script(peer: Peer) -> None:
        peer.hear()
        peer.hear()
        end(peer)
        if end in (garble, fail):
            peer.wait_until_closed()

    with stage.meet(stage.serve(script)) as ws:
        context, other = ws.context(context_id="a"), ws.context(context_id="b")
        context.push("Hello")
        other.push("Hello")
        reader = net.start(lambda: stage.listen(context))
        assert isinstance(stage.listen(other).error, CartesiaError)
        if reads:
            assert reader.result().error is not None
        raised = told(context)
        ended = reader.result()
        assert isinstance(context.terminal, Failed)
        assert ended.error is context.terminal.error
        for error in raised:
            assert error.__cause__ is ended.error
            assert (error.retryable, error.scope) == (ended.error.retryable, ended.error.scope)
        assert isinstance(ended.error, ConnectionLost) is (end in (drop, close))
