"""A stream's values come once: whoever iterates over it a second time is told so, and does not find it empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.errors import IncompleteStream, LocalProtocolError

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell

RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPEAK = TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
OVER = "the stream was read to its end, or closed"


def test_read_to_its_end(shell: Shell, net: Net) -> None:
    """By iterating or in batches, entered or not."""
    client = shell.client(net.serve([net.response(200, b"12345678")] * 3))
    stream = client.stream(SPEAK)
    assert b"".join(stream) == b"12345678"
    with pytest.raises(LocalProtocolError, match=OVER):
        list(stream)
    assert list(stream.receive_batch()) == []
    with pytest.raises(LocalProtocolError, match=OVER), stream:
        pass
    with client.stream(SPEAK) as stream:
        assert b"".join(stream) == b"12345678"
        with pytest.raises(LocalProtocolError, match=OVER):
            list(stream)
    stream = client.stream(SPEAK)
    while stream.receive_batch():
        pass
    assert list(stream.receive_batch()) == []
    with pytest.raises(LocalProtocolError, match=OVER):
        list(stream)


def test_interrupted_and_gone_on_with(shell: Shell, net: Net) -> None:
    """A loop that was left early is no end; one that finds the end just there is quietly over."""

    def script(connection: Connection) -> None:
        connection.request()
        connection.send(net.response(200, b"12345678")[:-4])
        sent.wait_for_requests(1)
        connection.send(b"5678")

    sent = net.serve(script)
    received = b""
    with shell.client(sent).stream(SPEAK) as stream:
        for piece in stream:
            received += piece
            break
        for piece in stream:
            received += piece
    assert received == b"12345678"


@pytest.mark.parametrize("begun", [False, True])
def test_closed(shell: Shell, net: Net, begun: bool) -> None:
    """Before it was read, or while."""
    client = shell.client(net.serve(*[[net.response(200, b"12345678")]] * begun))
    stream = client.stream(SPEAK)
    if begun:
        next(stream)
    stream.close()
    with pytest.raises(LocalProtocolError, match=OVER):
        list(stream)
    assert list(stream.receive_batch()) == []


def test_failed(shell: Shell, net: Net) -> None:
    """The failure comes once as well."""

    def script(connection: Connection) -> None:
        connection.answer(net.response(200, b"12345678")[:-1])
        connection.finish()

    stream = shell.client(net.serve(script)).stream(SPEAK)
    with pytest.raises(IncompleteStream):
        list(stream)
    with pytest.raises(LocalProtocolError, match=OVER):
        list(stream)
    assert list(stream.receive_batch()) == []
