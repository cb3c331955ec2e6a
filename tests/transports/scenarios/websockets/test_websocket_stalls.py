"""Peers that fall silent: who waits is told in time, and why; whoever speaks is told the same as who reads."""

from __future__ import annotations

import threading
from contextlib import suppress
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

SHORT = 1.0
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
    stopped = threading.Event()

    def script(peer: Peer) -> None:
        peer.hear()
        peer.say(stage.chunk("a", b"a1"))
        assert peer.hear() == {"context_id": "a", "cancel": True}
        stopped.set()

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
        assert stopped.wait(WAIT)


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
        assert ended.error is not None
        assert ended.error is context.terminal.error
        for error in raised:
            assert error.__cause__ is ended.error
            assert (error.retryable, error.scope) == (ended.error.retryable, ended.error.scope)
        assert isinstance(ended.error, ConnectionLost) is (end in (drop, close))


AT_ONCE = 1e-9
"""A stall timeout in seconds that is over as soon as anybody looks."""


def silent(peer: Peer) -> None:
    """Hear everything and say nothing."""
    with suppress(ConnectionError):
        while True:
            peer.hear()


def answering(stage: Stage) -> Callable[[Peer], None]:
    """The script of a peer that speaks for every context that is finished."""

    def script(peer: Peer) -> None:
        with suppress(ConnectionError):
            while True:
                message = peer.hear()
                if message.get("continue") is False:
                    id = str(message["context_id"])
                    peer.say(stage.chunk(id, id.encode() * 2), stage.done(id))

    return script


def test_a_dead_connection_is_used_once(stage: Stage) -> None:
    """The context that stalls on it is the last; the next one has a connection of its own, however often."""
    server = stage.serve(silent, silent, answering(stage))
    with stage.meet(server) as ws:
        for number in (1, 2):
            assert isinstance(stage.listen(ws.send("Hello", stall_timeout=AT_ONCE)).error, TimeoutError)
            assert server.opened == number
        assert stage.listen(ws.send("Hello", context_id="a")).audio == b"aa"
        assert stage.listen(ws.send("Hello", context_id="b")).audio == b"bb"
    assert server.opened == 3


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_contexts_go_on_beside_one_that_stalled(stage: Stage, net: Net, *, known: bool) -> None:
    """On their connection, which ends with the last of them; new ones have another, though nobody knew of the stall."""
    go_on, ended, codes = threading.Event(), threading.Event(), list[int | None]()

    def script(peer: Peer) -> None:
        peer.hear_finished(1)
        peer.say(stage.chunk("a", b"a1"))
        assert go_on.wait(WAIT)
        peer.say(stage.chunk("a", b"a2"), stage.done("a"))
        codes.append(peer.wait_until_closed().code)
        ended.set()

    server = stage.serve(script, answering(stage))
    with stage.meet(server) as ws:
        lasting, stalled = ws.context(context_id="a"), ws.context(context_id="b", stall_timeout=AT_ONCE)
        lasting.finish("Hello")
        assert next(iter(lasting)).audio == b"a1"
        stalled.push("Hello")
        if known:
            assert isinstance(stage.listen(stalled).error, TimeoutError)
        assert stage.listen(ws.send("Hello", context_id="c")).audio == b"cc"
        assert isinstance(stalled.terminal, Failed)
        ws.connect()
        assert server.opened == 2
        reader = net.start(lambda: stage.listen(lasting))
        other = ws.context(context_id="d")
        other.push("Hello")
        go_on.set()
        assert (reader.result().audio, reader.result().error) == (b"a2", None)
        other.finish()
        assert stage.listen(other).audio == b"dd"
        assert stage.listen(ws.send("Hello", context_id="e")).audio == b"ee"
        assert server.opened == 2
    assert ended.wait(WAIT)
    assert codes == [1000]


@CLEAR_ONLY
@pytest.mark.parametrize("how", ["cancel", "close"])
def test_leaving_the_last_context_of_such_a_connection(stage: Stage, how: str) -> None:
    """It ends at once, though nobody reads."""
    ended = threading.Event()

    def script(peer: Peer) -> None:
        with suppress(ConnectionError):
            peer.wait_until_closed()
        ended.set()

    server = stage.serve(script, answering(stage))
    with stage.meet(server) as ws:
        lasting, stalled = ws.context(context_id="a"), ws.context(context_id="b", stall_timeout=AT_ONCE)
        lasting.push("Hello")
        stalled.push("Hello")
        assert isinstance(stage.listen(stalled).error, TimeoutError)
        assert lasting.state is State.OPEN
        getattr(lasting, how)()
        assert ended.wait(WAIT)
        assert stage.listen(ws.send("Hello", context_id="c")).audio == b"cc"
    assert server.opened == 2


def test_closing_a_websocket_with_two_connections(stage: Stage) -> None:
    """Both end, and every context on them."""
    ended, codes = threading.Semaphore(0), list[int | None]()

    def script(peer: Peer) -> None:
        codes.append(peer.wait_until_closed().code)
        ended.release()

    with stage.meet(stage.serve(script, script)) as ws:
        contexts = [ws.context(context_id=id) for id in "abc"]
        stalled = ws.context(context_id="x", stall_timeout=AT_ONCE)
        contexts[0].push("Hello")
        contexts[1].push("Hello")
        stalled.push("Hello")
        assert isinstance(stage.listen(stalled).error, TimeoutError)
        contexts[2].push("Hello")
        contexts[1].cancel()
    for context in (contexts[0], contexts[2]):
        error = stage.listen(context).error
        assert isinstance(error, ConnectionLost)
        assert error.code == 1000
        assert told(context)[0].__cause__ is error
    assert all(ended.acquire(timeout=WAIT) for _ in range(2))
    assert codes == [1000, 1000]
