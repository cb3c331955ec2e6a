"""One blocking client, several threads."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.call import Call
from cartesia_proto.errors import CartesiaError

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell

pytestmark = pytest.mark.parametrize("shell", ["urllib"], indirect=True)

GET = Call.json("GET", "/thing")
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPEAK = TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
AUDIO = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nContent-Length: 1000\r\n\r\n"
STILL = 20
"""Looks at a thread, a millisecond apart, that must find it at the same instruction before it counts as waiting."""


def wait_until_blocked(thread: threading.Thread) -> None:
    """Wait until a thread waits for bytes: it stands still. Should it only have been slow, the test tests less."""
    places: list[tuple[int, int]] = []
    end = monotonic() + 10
    while len(places) < STILL:
        assert monotonic() < end, "the thread never waited for bytes"
        thread.join(0.001)
        assert thread.is_alive(), "the thread ended instead of waiting"
        frame = sys._current_frames()[thread.ident or 0]  # pyright: ignore[reportPrivateUsage]  # the one way in
        place = (id(frame), frame.f_lasti)
        places = [*places, place] if places[-1:] in ([], [place]) else [place]


def test_two_threads_share_a_client(shell: Shell, net: Net) -> None:
    """Requests travel at the same time, each on a connection of its own; afterwards the connections are shared."""

    def both_first(connection: Connection) -> None:
        connection.request()
        server.wait_for_requests(2)
        connection.send(net.response(200, b"1"))
        for _ in range(20):
            connection.answer(net.response(200, b"1"))

    server = net.serve(both_first, both_first)
    client = shell.client(server)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(client.call, [GET] * 12)) == [1] * 12
    assert server.opened == 2
    assert len(server.requests) == 12


def test_a_stream_is_closed_from_another_thread(shell: Shell, net: Net) -> None:
    """A read that waits ends at once, as the stream's end."""
    server = net.serve([AUDIO + b"\1\0"], [net.response(200, b"2")])
    client = shell.client(server)
    stream = client.stream(SPEAK)
    pieces = [next(iter(stream))]
    reader = threading.Thread(target=lambda: pieces.extend(stream))
    reader.start()
    wait_until_blocked(reader)
    stream.close()
    reader.join(10)
    assert not reader.is_alive()
    assert pieces == [b"\1\0"]
    server.wait_until_left()
    assert client.call(GET) == 2


def test_a_client_is_closed_from_another_thread(shell: Shell, net: Net) -> None:
    """A call under way ends with an error of ours; no connection stays open."""
    server = net.serve([b""])
    client = shell.client(server, max_retries=0)
    caught: list[BaseException] = []

    def call() -> None:
        try:
            client.call(GET)
        except CartesiaError as error:
            caught.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    server.wait_for_requests(1)
    wait_until_blocked(caller)
    client.close()
    caller.join(10)
    assert not caller.is_alive()
    assert len(caught) == 1
    server.wait_until_left()


def test_threads_that_leave_streams(shell: Shell, net: Net) -> None:
    """Streams of one client know nothing of each other."""
    server = net.serve(*[[AUDIO + b"\1\0"]] * 8)
    client = shell.client(server)

    def listen(_: int) -> bytes:
        with client.stream(SPEAK) as stream:
            return next(iter(stream))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(listen, range(8))) == [b"\1\0"] * 8
    server.wait_until_left()
