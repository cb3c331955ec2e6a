"""Cancelling an asyncio task or a trio scope: wherever it was, no socket stays open and the client stays usable."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.api.voices import Voices
from cartesia_proto.call import Call
from tests.conftest import WAIT

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import AwaitingShell

GET = Call.json("GET", "/thing")
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPEAK = TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
AUDIO = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nContent-Length: 1000\r\n\r\n"
CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)


def test_while_connecting(awaiting: AwaitingShell, net: Net) -> None:
    """The caller's own `connect` is cancelled with the rest."""
    server = net.serve([net.response(200, b"2")])
    client = awaiting.client(server, "stuck")
    awaiting.loop.cancel(client.native.call(GET), lambda: awaiting.connecting.wait(WAIT))
    assert server.opened == 0
    assert client.call(GET) == 2


@CLEAR_ONLY
def test_in_the_tls_handshake(awaiting: AwaitingShell, net: Net) -> None:
    """The connection under the handshake is closed."""
    server = net.serve_clear([], [])
    client = awaiting.client(base_url=server.url.replace("http:", "https:"))
    awaiting.loop.cancel(client.native.call(GET), lambda: server.wait_until_opened(1))
    server.wait_until_left()
    awaiting.loop.cancel(client.native.call(GET), lambda: server.wait_until_opened(2))
    server.wait_until_left()


def test_in_the_proxys_handshake(awaiting: AwaitingShell, net: Net) -> None:
    """The connection to the proxy is closed."""
    server = net.serve([net.response(200, b"2")])
    proxy = net.serve_clear([b""], net.tunnel)
    client = awaiting.client(server, proxy=f"http://127.0.0.1:{proxy.port}")
    awaiting.loop.cancel(client.native.call(GET), lambda: proxy.wait_for_requests(1))
    proxy.wait_until_left()
    assert client.call(GET) == 2


def test_while_sending(awaiting: AwaitingShell, net: Net, tmp_path: Path) -> None:
    """A server that does not read; the file is closed too."""
    clip = tmp_path / "clip.wav"
    clip.write_bytes(bytes(16_000_000))
    over = threading.Event()

    def stare(connection: Connection) -> None:
        assert over.wait(WAIT)

    server = net.serve(stare, [net.response(200, b"2")])
    client = awaiting.client(server)
    upload = client.native.call(Voices.clone(clip=clip, name="n", language="en"))
    awaiting.loop.cancel(upload, lambda: server.wait_until_opened(1))
    over.set()
    server.wait_until_left()
    assert server.requests == []
    assert client.call(GET) == 2


def test_while_waiting_for_the_head(awaiting: AwaitingShell, net: Net) -> None:
    """The connection cannot be used again: an answer is on its way."""
    server = net.serve([net.response(200, b"1"), b""], [net.response(200, b"2")])
    client = awaiting.client(server)
    client.call(GET)
    awaiting.loop.cancel(client.native.call(GET), lambda: server.wait_for_requests(2))
    server.wait_until_left()
    assert client.call(GET) == 2
    assert server.opened == 2


def test_in_the_body(awaiting: AwaitingShell, net: Net) -> None:
    """The rest of the body is nobody's answer."""
    server = net.serve([net.response(200, b"12345")[:-1]], [net.response(200, b"2")])
    client = awaiting.client(server)
    awaiting.loop.cancel(client.native.call(GET), lambda: server.wait_for_requests(1))
    server.wait_until_left()
    assert client.call(GET) == 2


def test_while_waiting_to_try_again(awaiting: AwaitingShell, net: Net) -> None:
    """Nothing is tried any more."""
    busy = net.response(429, b"", "Retry-After: 50", "Connection: close")
    server = net.serve([busy], [net.response(200, b"2")])
    client = awaiting.client(server)

    def answered() -> None:
        server.wait_for_requests(1)
        server.wait_until_left()

    awaiting.loop.cancel(client.native.call(GET), answered)
    assert len(server.requests) == 1
    assert client.call(GET) == 2


def test_while_entering_a_stream(awaiting: AwaitingShell, net: Net) -> None:
    """A stream that was not entered is not left either; its connection is closed all the same."""
    server = net.serve([b""], [net.response(200, b"2")])
    client = awaiting.client(server)

    async def enter() -> None:
        async with client.native.call(SPEAK):
            raise AssertionError("entered")

    awaiting.loop.cancel(enter(), lambda: server.wait_for_requests(1))
    server.wait_until_left()
    assert client.call(GET) == 2


def test_while_reading_a_stream(awaiting: AwaitingShell, net: Net) -> None:
    """Leaving the block under cancellation closes the connection."""
    server = net.serve([AUDIO + b"\1\0"], [net.response(200, b"2")])
    client = awaiting.client(server)
    heard = threading.Event()

    async def listen() -> None:
        async with client.native.call(SPEAK) as stream:
            async for _ in stream:
                heard.set()

    awaiting.loop.cancel(listen(), lambda: heard.wait(WAIT))
    server.wait_until_left()
    assert client.call(GET) == 2


def test_a_stream_without_a_block(awaiting: AwaitingShell, net: Net) -> None:
    """A cancelled read breaks the stream: its connection is closed at once, and it has nothing more to give."""
    server = net.serve([AUDIO + b"\1\0"], [net.response(200, b"2")])
    client = awaiting.client(server)
    stream = client.native.call(SPEAK)
    assert awaiting.loop.run(stream.__anext__()) == b"\1\0"
    awaiting.loop.cancel(stream.__anext__(), lambda: None)
    server.wait_until_left()
    awaiting.loop.run(stream.aclose())
    assert client.call(GET) == 2


def test_in_closing_a_stream(awaiting: AwaitingShell, net: Net) -> None:
    """Closing closes even when cancelled."""
    server = net.serve([AUDIO + b"\1\0"], [net.response(200, b"2")])
    client = awaiting.client(server)
    stream = client.native.call(SPEAK)
    assert awaiting.loop.run(stream.__anext__()) == b"\1\0"
    awaiting.loop.cancel_first(stream.aclose())
    server.wait_until_left()
    assert client.call(GET) == 2


def test_in_closing_a_client(awaiting: AwaitingShell, net: Net) -> None:
    """All connections are closed even when closing is cancelled."""
    server = net.serve([net.response(200, b"1")], [AUDIO + b"\1\0"])
    client = awaiting.client(server)
    stream = client.native.call(SPEAK)
    client.call(GET)
    awaiting.loop.cancel_first(client.native.aclose())
    server.wait_until_left()
    awaiting.loop.run(stream.aclose())


def test_before_a_call_begins(awaiting: AwaitingShell, net: Net) -> None:
    """A call begins with a checkpoint or gets as far as one; either way it ends and leaves nothing open."""
    server = net.serve([net.response(200, b"2")], [net.response(200, b"2")])
    client = awaiting.client(server)
    awaiting.loop.cancel_first(client.native.call(GET))
    server.wait_until_left()
    assert client.call(GET) == 2
