"""Messages that are damaged: each costs the context that it is for at most, and mostly nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.errors import CartesiaError, NotFoundError, RateLimitError, RemoteProtocolError

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell
    from tests.transports.scenarios.websockets.conftest import Heard, Peer, Stage

DEEP = "[" * 300 + "]" * 300


def hear_both(stage: Stage, net: Net, message: str) -> tuple[Heard, Heard]:
    """What two contexts hear whose peer sends a message amid sound ones."""

    def script(peer: Peer) -> None:
        peer.hear_finished(2)
        peer.say(stage.chunk("a", b"a1"), stage.chunk("b", b"b1"), message)
        peer.say(stage.chunk("b", b"b2"), stage.chunk("a", b"a2"), stage.done("b"), stage.done("a"))

    server = stage.serve(script)
    with stage.meet(server) as ws:
        contexts = ws.context(context_id="a"), ws.context(context_id="b")
        for context in contexts:
            context.finish("Hello")
        first, second = (net.start(partial(stage.listen, context)) for context in contexts)
        heard = first.result(), second.result()
    assert server.opened == 1
    return heard


@pytest.mark.parametrize(
    "message",
    [
        "",
        " \r\n",
        '{"type":"timestamps","context_id":"a","word_timestamps":{"words":["\\ud83d"],"start":[0],"end":[1]}}',
        '{"type":"timestamps","context_id":"a","word_timestamps":{"words":["x"],"start":[NaN],"end":[1]}}',
        '{"type":"timestamps","context_id":"a","word_timestamps":{"words":["x"],"start":[],"end":[1]}}',
        '{"type":"chunk","context_id":"a","data":null,"status_code":206.0,"step_time":1e400}',
        '{"type":"later","context_id":"a","x":' + DEEP + "}",
        '\ufeff{"type":"flush_done","context_id":"a","flush_id":"1"}',
    ],
    ids=["empty", "blank", "surrogate", "NaN", "lengths", "null", "depth", "mark"],
)
def test_what_costs_nothing(stage: Stage, net: Net, message: str) -> None:
    """Nobody needs what is wrong with it."""
    first, second = hear_both(stage, net, message)
    assert (first.audio, first.error, second.audio, second.error) == (b"a1a2", None, b"b1b2", None)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('{"type":"chunk","context_id":"a","data":"\\ud83d"}', RemoteProtocolError),
        ('{"type":"chunk","context_id":"a","data":"AAAA', RemoteProtocolError),
        ('{"context_id":"a","x":' + "[" * 200_000 + "]" * 200_000 + "}", RemoteProtocolError),
        ('{"type":"error","context_id":"a","status_code":429,"message":"m","x":', RateLimitError),
        ('{"type":"error","context_id":"a","status_code":429,"message":"m","x":"\\ud83d","y":NaN}', RateLimitError),
    ],
    ids=["base64", "cut", "wide", "cut error", "damaged error"],
)
def test_what_costs_one_context(stage: Stage, net: Net, message: str, kind: type[CartesiaError]) -> None:
    """The other one goes on."""
    first, second = hear_both(stage, net, message)
    assert first.audio == b"a1"
    assert isinstance(first.error, kind)
    assert first.error.scope == "context"
    assert (second.audio, second.error) == (b"b1b2", None)


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Encoding: gzip\r\nContent-Length: 48\r\n\r\n",
        b"Content-Type: text/html; charset=utf-16\r\nContent-Length: 9999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n30\r\n",
    ],
    ids=["coding", "length", "chunks"],
)
def test_an_odd_refusal(shell: Shell, net: Net, stage: Stage, answer: bytes) -> None:
    """A handshake that is refused says why, however oddly."""

    def script(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 404 No\r\n" + answer + b'{"message":"m","error_code":"c","request_id":"r"}')
        connection.finish()

    with stage.websocket(shell.client(net.serve(script), max_retries=0)) as ws, pytest.raises(NotFoundError) as caught:
        ws.connect()
    error = caught.value
    assert (error.message, error.error_code, error.request_id) == ("m", "c", "r")
