"""A context's events come once: whoever iterates over it a second time is told so, and does not find it empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cartesia_proto.errors import CartesiaError, LocalProtocolError

if TYPE_CHECKING:
    from tests.transports.scenarios.conftest import Shell
    from tests.transports.scenarios.websockets.conftest import Peer, Stage

OVER = "was read to its end, or left"


def test_read_to_its_end(shell: Shell, stage: Stage) -> None:
    """A loop that was left early is no end, and batches say it as often as they are asked."""

    def script(peer: Peer) -> None:
        for _ in range(2):
            id = str(peer.hear()["context_id"])
            peer.say(stage.chunk(id, b"abcd"), stage.chunk(id, b"efgh"), stage.done(id))

    with stage.websocket(shell.client(stage.serve(script))) as ws:
        context = ws.send("Hello")
        audio = b""
        for event in context:
            audio += event.audio
            break
        audio += b"".join(event.audio for event in context)
        assert audio == b"abcdefgh"
        with pytest.raises(LocalProtocolError, match=OVER):
            list(context)
        assert list(context.receive_batch()) == []
        again = ws.send("Hello")
        while again.receive_batch():
            pass
        with pytest.raises(LocalProtocolError, match=OVER):
            list(again)


def test_cancelled_and_left(shell: Shell, stage: Stage) -> None:
    """Whoever did not know yet is told quietly, once."""

    def script(peer: Peer) -> None:
        id = str(peer.hear()["context_id"])
        peer.say(stage.chunk(id, b"abcd"))
        peer.hear()

    with stage.websocket(shell.client(stage.serve(script))) as ws:
        context = ws.send("Hello")
        assert next(iter(context)).audio == b"abcd"
        context.cancel()
        assert list(context) == []
        with pytest.raises(LocalProtocolError, match=OVER):
            list(context)
        unsaid = ws.context()
        with unsaid:
            pass
        with pytest.raises(LocalProtocolError, match=OVER):
            list(unsaid)


def test_failed(shell: Shell, stage: Stage) -> None:
    """The failure comes once as well."""

    def script(peer: Peer) -> None:
        peer.hear()
        peer.close(1011, "no")

    with stage.websocket(shell.client(stage.serve(script))) as ws:
        context = ws.send("Hello")
        with pytest.raises(CartesiaError, match="no"):
            list(context)
        with pytest.raises(LocalProtocolError, match=OVER):
            list(context)
