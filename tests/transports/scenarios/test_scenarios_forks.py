"""A client that was used before a fork, and is used by both processes after it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.call import Call
from cartesia_proto.errors import CartesiaError
from tests.conftest import WAIT

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import AwaitingShell, Connect, Shell

pytestmark = pytest.mark.skipif("not hasattr(__import__('os'), 'fork')", reason="this system does not fork")

GET = Call.json("GET", "/thing")
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPEAK = TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
EVENTS = TTS.sse(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nContent-Length: %d\r\n\r\n"
EVENT_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
SPOKEN = b'data: {"type": "chunk", "data": "AAAAAA==", "done": false, "status_code": 206, "step_time": 1}\n\n'
DONE = b'data: {"type": "done", "done": true, "status_code": 200}\n\n'


@pytest.mark.parametrize("how", ["theirs", "ours"])
def test_each_process_has_connections_of_its_own(shell: Shell, net: Net, how: Connect) -> None:
    """The parent's go on as if nothing were, and carry not a byte of the child's, nor a goodbye when that closes."""

    def work() -> object:
        answers = [client.call(GET), client.call(GET)]
        client.close()
        return answers

    server = net.serve([net.response(200, b"1"), net.response(200, b"2")], [net.response(200, b"3")] * 2)
    client = shell.client(server, how)
    assert client.call(GET) == 1
    assert shell.in_child(work) == [3, 3]
    assert client.call(GET) == 2
    assert server.opened == 2


def test_a_child_that_uses_nothing_keeps_nothing_open(shell: Shell, net: Net) -> None:
    """What the parent closes is closed, though the child lives on."""
    server = net.serve([net.response(200, b"1")])
    client = shell.client(server)
    client.call(GET)
    (listening, up), (reading, writing) = os.pipe(), os.pipe()
    forked = net.start(lambda: shell.in_child(lambda: os.write(up, b"!") and os.read(reading, 1)))
    assert os.read(listening, 1) == b"!"
    client.close()
    server.wait_until_left()
    os.write(writing, b"?")
    assert forked.result() == b"?"
    for end in (listening, up, reading, writing):
        os.close(end)


def test_through_a_proxy(shell: Shell, net: Net) -> None:
    """Tunnels too are each process's own."""
    server = net.serve([net.response(200, b"1"), net.response(200, b"2")], [net.response(200, b"3")])
    proxy = net.serve_clear(net.tunnel, net.tunnel)
    client = shell.client(server, proxy=proxy.url)
    assert client.call(GET) == 1
    assert shell.in_child(lambda: client.call(GET)) == 3
    assert client.call(GET) == 2


@pytest.mark.parametrize("events", [False, True])
def test_an_open_stream_is_its_parents(shell: Shell, net: Net, events: bool) -> None:
    """Reading it in the child fails at once and takes nothing; closing it there says nothing."""
    may_end, sent = threading.Event(), threading.Event()
    head, first, rest = (EVENT_HEAD, SPOKEN, DONE) if events else (HEAD, b"\1\0\2\0", b"\3\0\4\0")

    def speak(connection: Connection) -> None:
        connection.answer(head % len(first + rest) + first)
        assert may_end.wait(WAIT)
        connection.send(rest)
        sent.set()
        connection.answer(net.response(200, b"2"))

    def work() -> object:
        failure = ""
        try:
            list(stream)
        except CartesiaError as error:
            failure = type(error).__name__
        stream.close()
        return failure, client.call(GET)

    client = shell.client(net.serve(speak, [net.response(200, b"3")]))
    with client.stream(EVENTS if events else SPEAK) as stream:
        pieces: list[object] = [next(iter(stream))]
        may_end.set()
        assert sent.wait(WAIT)
        assert shell.in_child(work) in (("ConnectionLost", 3), ("IncompleteStream", 3))
        pieces += stream
    assert len(pieces) == (1 if events else 2)
    assert client.call(GET) == 2


def test_a_stream_that_another_thread_reads(shell: Shell, net: Net) -> None:
    """In the child nobody reads it, so it fails there as one that is lost; the thread of the parent reads on."""
    may_end = threading.Event()

    def speak(connection: Connection) -> None:
        connection.answer(HEAD % 4)
        assert may_end.wait(WAIT)
        connection.send(b"\1\0\2\0")

    def work() -> object:
        try:
            list(stream)
        except CartesiaError as error:
            return type(error).__name__
        return "no error"

    with shell.client(net.serve(speak)).stream(SPEAK) as stream:
        reading = net.start(lambda: list(stream))
        reading.wait_until_blocked()
        lost = shell.in_child(work)
        may_end.set()
        assert reading.result() == [b"\1\0\2\0"]
    assert lost in ("ConnectionLost", "IncompleteStream")


def test_while_another_thread_waits_for_its_answer(shell: Shell, net: Net) -> None:
    """It gets it; the child waits for nothing that this thread holds, not even to close the client."""
    may_answer = threading.Event()

    def answer(connection: Connection) -> None:
        connection.request()
        assert may_answer.wait(WAIT)
        connection.send(net.response(200, b"1"))

    def work() -> object:
        value = client.call(GET)
        client.close()
        return value

    server = net.serve(answer, [net.response(200, b"3")])
    client = shell.client(server)
    asked = net.start(lambda: client.call(GET))
    server.wait_for_requests(1)
    assert shell.in_child(work) == 3
    may_answer.set()
    assert asked.result() == 1


@pytest.mark.parametrize("net", ["clear"], indirect=True)
def test_while_another_thread_agrees_on_tls(shell: Shell, net: Net) -> None:
    """Its half-made connection is the parent's alone too."""
    server = net.serve_clear([])
    client = shell.client(base_url=server.url.replace("http:", "https:"), max_retries=0)
    asked = net.start(lambda: client.call(GET))
    server.wait_until_opened(1)
    asked.wait_until_blocked()
    assert shell.in_child(client.close) is None
    client.close()
    server.wait_until_left()
    with pytest.raises(CartesiaError):
        asked.result()


def test_inside_a_coroutine(awaiting: AwaitingShell, net: Net) -> None:
    """The child has a loop of its own; the one it was forked in goes on in the parent, which waits meanwhile."""
    server = net.serve([net.response(200, b"1"), net.response(200, b"2")], [net.response(200, b"3")])
    client = awaiting.client(server)

    async def fork() -> object:
        return awaiting.in_child(lambda: net.start(lambda: client.call(GET)).result())

    assert client.call(GET) == 1
    assert awaiting.loop.run(fork()) == 3
    assert client.call(GET) == 2


def test_a_child_of_a_child(shell: Shell, net: Net) -> None:
    """Each has connections of its own."""
    server = net.serve(*([net.response(200, b"1")] * 2, [net.response(200, b"2")], [net.response(200, b"3")]))
    client = shell.client(server)

    def work() -> object:
        return client.call(GET), shell.in_child(lambda: client.call(GET))

    client.call(GET)
    assert shell.in_child(work) == (2, 3)
    assert client.call(GET) == 1
