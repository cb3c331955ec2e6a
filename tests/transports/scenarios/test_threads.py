"""One blocking client, several threads."""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.call import Call
from cartesia_proto.errors import CartesiaError, LocalProtocolError
from tests.conftest import WAIT

if TYPE_CHECKING:
    from types import FrameType

    from _typeshed import TraceFunction

    from cartesia_proto.call import Stream
    from cartesia_proto.codecs.events import SpeechEvent
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell

T = TypeVar("T")

pytestmark = pytest.mark.parametrize("shell", ["urllib"], indirect=True)

GET = Call.json("GET", "/thing")
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPEAK = TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
EVENTS = TTS.sse(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
SPOKEN = b'data: {"type": "chunk", "data": "%s", "done": false, "status_code": 206, "step_time": 1}\n\n'
DONE = b'data: {"type": "done", "done": true, "status_code": 200}\n\n'
EVENT_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
AUDIO = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nContent-Length: 1000\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


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
    net.wait_until_blocked(reader)
    stream.close()
    reader.join(WAIT)
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
    net.wait_until_blocked(caller)
    client.close()
    caller.join(WAIT)
    assert not caller.is_alive()
    assert len(caught) == 1
    server.wait_until_left()


def test_a_client_is_closed_under_a_stream(shell: Shell, net: Net) -> None:
    """Whoever waits for more is told that it was."""
    server = net.serve([AUDIO + b"\1\0"])
    client = shell.client(server)
    stream = client.stream(SPEAK)
    assert next(iter(stream)) == b"\1\0"
    reading = net.start(stream.receive_batch).wait_until_blocked()
    client.close()
    with pytest.raises(LocalProtocolError, match="the client is closed"):
        reading.result()
    server.wait_until_left()


Read = Callable[["Stream[SpeechEvent]"], Sequence["SpeechEvent"]]


def one(stream: Stream[SpeechEvent]) -> Sequence[SpeechEvent]:
    """The next event, or none."""
    return [event for _, event in zip(range(1), stream, strict=False)]


def batch(stream: Stream[SpeechEvent]) -> Sequence[SpeechEvent]:
    """All that has arrived."""
    return stream.receive_batch()


def between(step: int, work: Callable[[], T], intrude: Callable[[], object]) -> tuple[T, bool]:
    """What work comes to, and whether another did something before this step of what it does with a stream."""
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> TraceFunction | None:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        if steps == step and event == "opcode":
            sys.settrace(None)
            intrude()
        return trace

    def begin(frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        return trace(frame, event, argument) if frame.f_code.co_filename.endswith("stream.py") else None

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # pyright: ignore[reportPrivateUsage]  # 3.12 looks for one at `settrace`
    sys.settrace(begin)
    try:
        result = work()
    finally:
        sys.settrace(before)
    return result, steps >= step


@pytest.mark.parametrize("net", ["clear"], indirect=True)
@pytest.mark.parametrize("read", [0, 1])
@pytest.mark.parametrize("other", [one, batch])
@pytest.mark.parametrize("first", [one, batch])
def test_two_readers_of_a_stream(shell: Shell, net: Net, first: Read, other: Read, read: int) -> None:
    """Wherever the second comes between, it is refused or gets what nobody else does; the first is told no false end.

    The second has its turn before each step of the first, one in each run. That both are the same thread makes no
    difference to a lock that is not reentrant.
    """
    events = [chunk(SPOKEN % base64.b64encode(bytes([number] * 2))) for number in range(6)]
    more = threading.Event()

    def speak(connection: Connection) -> None:
        while True:
            connection.answer(EVENT_STREAM + b"".join(events[:3]))
            assert more.wait(WAIT)
            more.clear()
            connection.send(b"".join(events[3:]) + chunk(DONE) + b"0\r\n\r\n")

    server = net.serve(speak)
    client = shell.client(server)
    step, intruded = 0, True
    while intruded:
        step += 1
        stream = client.stream(EVENTS)
        heard = [next(iter(stream)) for _ in range(read)]

        def intrude(stream: Stream[SpeechEvent] = stream, heard: list[SpeechEvent] = heard) -> None:
            more.set()
            with suppress(LocalProtocolError):
                heard += other(stream)

        result, intruded = between(step, partial(first, stream), intrude)
        if not intruded:
            more.set()
        rest: list[SpeechEvent] = []
        with suppress(LocalProtocolError):  # it was told its end
            rest += stream
        assert result or not rest, f"a false end, where the other came before step {step}"
        audio = sorted(event.audio for event in (*heard, *result, *rest))
        assert audio == [bytes([number] * 2) for number in range(6)], step
    assert step > 5


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
