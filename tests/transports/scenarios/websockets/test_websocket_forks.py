"""A WebSocket that was used before a fork, and is used by both processes after it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.errors import CartesiaError, ConnectionLost
from cartesia_proto.sessions.events import ContextEnded, Failed
from tests.conftest import WAIT

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell
    from tests.transports.scenarios.websockets.conftest import Context, Peer, Stage

pytestmark = pytest.mark.skipif("not hasattr(__import__('os'), 'fork')", reason="this system does not fork")


def answering(stage: Stage, audio: bytes, count: int) -> Callable[[Peer], None]:
    """The script of a peer that answers so many contexts."""

    def script(peer: Peer) -> None:
        for _ in range(count):
            id = str(peer.hear()["context_id"])
            peer.say(stage.chunk(id, audio), stage.done(id))

    return script


def failure(context: Context) -> str:
    """What reading a context comes to."""
    try:
        list(context)
    except CartesiaError as error:
        return type(error).__name__
    return "no error"


def test_each_process_has_a_connection_of_its_own(shell: Shell, stage: Stage) -> None:
    """The parent's goes on; the child's end, also with a goodbye, is that of its own."""

    def work() -> object:
        with ws:
            return [ws.whole("Hello").data for _ in range(2)]

    server = stage.serve(answering(stage, b"mine", 2), answering(stage, b"your", 2))
    with stage.meet(server) as ws:
        assert ws.whole("Hello").data == b"mine"
        assert shell.in_child(work) == [b"your", b"your"]
        assert ws.whole("Hello").data == b"mine"
    assert server.opened == 2


def test_open_contexts_are_the_parents(shell: Shell, stage: Stage) -> None:
    """In the child they are lost, whatever they are asked; in the parent they end as they should."""
    said, may_end = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        ids = [str(peer.hear()["context_id"]) for _ in range(2)]
        peer.say(*(stage.chunk(id, b"mine") for id in ids))
        said.set()
        assert may_end.wait(WAIT)
        peer.say(*(stage.done(id) for id in ids))

    def work() -> object:
        lost = failure(first)
        assert isinstance(first.terminal, Failed)
        assert isinstance(first.terminal.error, ConnectionLost)
        with pytest.raises(ContextEnded):
            second.push("more")
        second.cancel()
        second.close()
        return lost, ws.whole("Hello").data

    with stage.meet(stage.serve(script, answering(stage, b"your", 1))) as ws:
        first, second = ws.context(), ws.context()
        first.push("Hello")
        second.push("Hello")
        assert said.wait(WAIT)
        assert shell.in_child(work) == ("ConnectionLost", b"your")
        may_end.set()
        assert stage.listen(first).audio == b"mine"
        assert stage.listen(second).audio == b"mine"


def test_while_others_read_and_connect(shell: Shell, stage: Stage, net: Net) -> None:
    """A thread that reads for all, and holds whatever that takes, is not in the child, and is not waited for."""
    may_end = threading.Event()

    def script(peer: Peer) -> None:
        id = str(peer.hear()["context_id"])
        assert may_end.wait(WAIT)
        peer.say(stage.chunk(id, b"mine"), stage.done(id))

    def work() -> object:
        return failure(context), ws.whole("Hello").data

    server = stage.serve(script, answering(stage, b"your", 1))
    with stage.meet(server) as ws:
        context = ws.context()
        context.push("Hello")
        reading = net.start(lambda: stage.listen(context))
        reading.wait_until_blocked()
        assert shell.in_child(work) == ("ConnectionLost", b"your")
        may_end.set()
        assert reading.result().audio == b"mine"


def test_while_another_connects(shell: Shell, stage: Stage, net: Net) -> None:
    """The child makes a connection of its own, and does not wait for the one that is being made."""
    may_accept = threading.Event()

    def slow(connection: Connection) -> None:
        assert may_accept.wait(WAIT)
        script = stage.script(answering(stage, b"mine", 1))
        assert callable(script)
        script(connection)

    server = net.serve(slow, stage.script(answering(stage, b"your", 1)))
    with stage.meet(server) as ws:
        connecting = net.start(lambda: ws.whole("Hello"))
        server.wait_until_opened(1)
        connecting.wait_until_blocked()
        assert shell.in_child(lambda: ws.whole("Hello").data) == b"your"
        may_accept.set()
        assert connecting.result().data == b"mine"


def test_closed_in_the_child(shell: Shell, stage: Stage) -> None:
    """Of client, WebSocket and context nothing is heard in the parent; nor when they are collected."""

    def work() -> object:
        context.close()
        ws.close()
        return None

    with stage.meet(stage.serve(answering(stage, b"mine", 2))) as ws:
        context = ws.context()
        assert ws.whole("Hello").data == b"mine"
        assert shell.in_child(work) is None
        assert shell.in_child(lambda: None) is None
        assert ws.whole("Hello").data == b"mine"
