"""Answers that are read while they come."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.call import Call, StreamCall
from cartesia_proto.codecs.sse import TURN as LINES
from cartesia_proto.errors import (
    ApiError,
    ConnectionLost,
    IncompleteStream,
    LocalProtocolError,
    NotFoundError,
    RemoteProtocolError,
    TimeoutError,
)
from tests.conftest import WAIT

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import AwaitingShell, Shell

RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPEAK = TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
EVENTS = TTS.sse(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
GET = Call.json("GET", "/thing")

AUDIO = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
SPOKEN = b'data: {"type": "chunk", "data": "AAAAAA==", "done": false, "status_code": 206, "step_time": 1}\n\n'
DONE = b'data: {"type": "done", "done": true, "status_code": 200}\n\n'
SHORT = 0.5
"""Seconds: a timeout that is meant to be met, and not before what comes at once."""


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_pieces_arrive_as_they_come(shell: Shell, net: Net) -> None:
    """The first piece is there before the server has sent the second; the connection is kept at the end."""
    heard = threading.Event()

    def speak(connection: Connection) -> None:
        connection.answer(AUDIO + chunk(b"\1\0\2\0"))
        assert heard.wait(WAIT), "the first piece was held back"
        connection.send(chunk(b"\3\0") + END)
        connection.answer(net.response(200, b"2"))

    server = net.serve(speak)
    client = shell.client(server)
    pieces: list[bytes] = []
    with client.stream(SPEAK) as stream:
        for piece in stream:
            pieces.append(piece)
            heard.set()
    assert b"".join(pieces) == b"\1\0\2\0\3\0"
    assert client.call(GET) == 2
    assert server.opened == 1


def test_batches(shell: Shell, net: Net) -> None:
    """Everything that has arrived at once, waiting for the first alone; then nothing, as often as it is asked."""
    heard = threading.Event()

    def speak(connection: Connection) -> None:
        connection.answer(EVENT_STREAM + chunk(SPOKEN * 3))
        assert heard.wait(WAIT), "the first batch was held back"
        connection.send(chunk(SPOKEN) + chunk(DONE) + END)

    with shell.client(net.serve(speak)).stream(EVENTS) as stream:
        first = stream.receive_batch()
        heard.set()
        rest = [batch for _ in range(3) for batch in stream.receive_batch()]
        assert len(first) == 3
        assert [event.audio for event in (*first, *rest)] == [bytes(4)] * 4
        assert list(stream.receive_batch()) == []


def test_a_batch_after_single_values(shell: Shell, net: Net) -> None:
    """It begins where iterating has stopped; after a close there is none."""
    server = net.serve([EVENT_STREAM + chunk(SPOKEN * 3), EVENT_STREAM + chunk(SPOKEN * 3)])
    stream = shell.client(server).stream(EVENTS)
    with stream:
        assert next(stream).audio == bytes(4)
        assert len(stream.receive_batch()) == 2
    assert stream.receive_batch() == []


def test_a_batch_before_a_failure(shell: Shell, net: Net) -> None:
    """What came before it is delivered, then the failure is raised, once."""
    bad = b'data: {"type": "error", "message": "no", "status_code": 500}\n\n'
    with shell.client(net.serve([EVENT_STREAM + chunk(SPOKEN * 2 + bad) + END])).stream(EVENTS) as stream:
        assert len(stream.receive_batch()) == 2
        with pytest.raises(ApiError, match="no"):
            stream.receive_batch()
        assert stream.receive_batch() == []


def test_a_batch_for_a_second_reader(awaiting: AwaitingShell, net: Net) -> None:
    """It is refused, and the first reader gets everything; a read that is cancelled closes the stream."""
    heard = threading.Event()

    def speak(connection: Connection) -> None:
        connection.answer(EVENT_STREAM + chunk(SPOKEN))
        assert heard.wait(WAIT), "the first event was held back"
        connection.send(chunk(SPOKEN * 2))
        connection.wait_until_left()

    server = net.serve(speak)
    stream = awaiting.client(server).native.call(EVENTS)

    def intrude() -> None:
        with pytest.raises(LocalProtocolError, match="another task is reading"):
            awaiting.loop.run(stream.receive_batch())

    async def read() -> int:
        return len(await stream.receive_batch())

    assert awaiting.loop.run(read()) == 1
    heard.set()
    received = awaiting.loop.run(read())
    while received < 2:
        received += awaiting.loop.run(read())
    awaiting.loop.cancel(stream.receive_batch(), intrude)
    server.wait_until_left()
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="was cancelled"):
            awaiting.loop.run(stream.receive_batch())
    awaiting.loop.run(stream.aclose())


def test_the_connection_of_a_stream_that_was_read_to_its_end(shell: Shell, net: Net) -> None:
    """It may be another's at once: whoever asks the first stream for more takes nothing from the other."""
    more, sent = threading.Event(), threading.Event()

    def speak(connection: Connection) -> None:
        connection.answer(EVENT_STREAM + chunk(SPOKEN + DONE) + END)
        connection.answer(AUDIO + chunk(b"\1\0"))
        assert more.wait(WAIT)
        connection.send(chunk(b"\2\0") + END)
        sent.set()

    server = net.serve(speak)
    client = shell.client(server)
    first, second = client.stream(EVENTS), client.stream(SPEAK)
    assert next(iter(first)).audio == bytes(4)
    assert next(iter(second)) == b"\1\0"
    more.set()
    assert sent.wait(WAIT)
    assert list(first) == []
    assert list(second) == [b"\2\0"]
    assert server.opened == 1


def test_pieces_are_whole_samples(shell: Shell, net: Net) -> None:
    """However the network cuts them."""
    server = net.serve([AUDIO + chunk(b"\1") + chunk(b"\0\2") + chunk(b"\0") + END])
    with shell.client(server).stream(SPEAK) as stream:
        pieces = list(stream)
    assert b"".join(pieces) == b"\1\0\2\0"
    assert all(len(piece) % 2 == 0 for piece in pieces)


def test_a_stream_is_sent_at_its_first_item(shell: Shell, net: Net) -> None:
    """Making one sends nothing; no context manager is needed."""
    server = net.serve([AUDIO + chunk(b"\1\0") + END])
    stream = shell.client(server).stream(SPEAK)
    assert server.opened == 0
    assert b"".join(stream) == b"\1\0"
    assert list(stream.receive_batch()) == []
    stream.close()


def test_a_stream_is_sent_on_entering(shell: Shell, net: Net) -> None:
    """Its errors come there, not later."""
    server = net.serve([net.response(404, b"no such voice")])
    with pytest.raises(NotFoundError, match="no such voice"), shell.client(server).stream(SPEAK):
        raise AssertionError("entered")


def test_a_stream_that_is_never_begun(shell: Shell, net: Net) -> None:
    """Closing it opens nothing."""
    server = net.serve()
    stream = shell.client(server).stream(SPEAK)
    stream.close()
    assert list(stream.receive_batch()) == []
    assert server.opened == 0


def test_leaving_early_closes_the_connection(shell: Shell, net: Net) -> None:
    """At once: the server, which goes on speaking, sees it."""

    def speak(connection: Connection) -> None:
        connection.answer(AUDIO + chunk(b"\1\0"))
        while True:
            connection.send(chunk(b"\2\0" * 4096))

    server = net.serve(speak, [net.response(200, b"2")])
    client = shell.client(server)
    with client.stream(SPEAK) as stream:
        for _ in stream:
            break
    server.wait_until_left()
    assert client.call(GET) == 2


def test_leaving_a_silent_server_closes_the_connection(shell: Shell, net: Net) -> None:
    """Nothing need arrive for it."""
    server = net.serve([AUDIO + chunk(b"\1\0")])
    with shell.client(server).stream(SPEAK) as stream:
        assert next(iter(stream)) == b"\1\0"
    server.wait_until_left()


def test_an_exception_inside_closes_the_connection(shell: Shell, net: Net) -> None:
    """The exception goes its way."""
    server = net.serve([AUDIO + chunk(b"\1\0")])
    with pytest.raises(ZeroDivisionError), shell.client(server).stream(SPEAK):
        raise ZeroDivisionError
    server.wait_until_left()


def test_break_without_with_and_close(shell: Shell, net: Net) -> None:
    """A break alone keeps the connection; reading goes on where it stopped; close ends it, twice is once."""
    server = net.serve([AUDIO + chunk(b"\1\0")])
    stream = shell.client(server).stream(SPEAK)
    for _ in stream:
        break
    assert server.opened == 1
    stream.close()
    server.wait_until_left()
    stream.close()
    assert list(stream.receive_batch()) == []


def test_closing_the_client_ends_its_streams(shell: Shell, net: Net) -> None:
    """No connection outlives its client; the reader is told why, once; the stream can still be closed."""
    server = net.serve([AUDIO + chunk(b"\1\0")])
    client = shell.client(server)
    stream = client.stream(SPEAK)
    assert next(iter(stream)) == b"\1\0"
    client.close()
    server.wait_until_left()
    with pytest.raises(LocalProtocolError, match="the client is closed"):
        next(iter(stream))
    assert list(stream.receive_batch()) == []
    stream.close()


def test_a_closed_client_begins_no_stream(shell: Shell, net: Net) -> None:
    """A mistake of the caller, as for calls."""
    server = net.serve()
    client = shell.client(server)
    client.close()
    with pytest.raises(LocalProtocolError, match="closed"), client.stream(SPEAK):
        raise AssertionError("entered")


def test_a_stream_retries_before_its_first_byte(shell: Shell, net: Net) -> None:
    """The status decides, as for calls."""
    server = net.serve([net.response(503, b"", "Retry-After: 0"), AUDIO + chunk(b"\1\0") + END])
    with shell.client(server).stream(SPEAK) as stream:
        assert b"".join(stream) == b"\1\0"
    assert len(server.requests) == 2


def test_a_cut_stream_gives_what_came(shell: Shell, net: Net) -> None:
    """Values first, then the error; the same error again when asked again; nothing is repeated."""

    def cut(connection: Connection) -> None:
        connection.answer(AUDIO + chunk(b"\1\0"))
        connection.close()

    server = net.serve(cut)
    with shell.client(server).stream(SPEAK) as stream:
        assert next(iter(stream)) == b"\1\0"
        with pytest.raises((IncompleteStream, ConnectionLost)):
            list(stream)
    assert len(server.requests) == 1


def test_a_stream_short_of_its_length(shell: Shell, net: Net) -> None:
    """A declared length is held to."""

    def cut(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nContent-Length: 8\r\n\r\n\1\0\2\0")
        connection.finish()

    with shell.client(net.serve(cut)).stream(SPEAK) as stream:
        assert next(iter(stream)) == b"\1\0\2\0"
        with pytest.raises(IncompleteStream):
            next(iter(stream))


def test_a_stalled_stream_times_out(shell: Shell, net: Net) -> None:
    """Each read is bounded; the connection is closed with the error."""
    server = net.serve([net.response(200, b"1"), AUDIO + chunk(b"\1\0")])
    client = shell.client(server)
    assert client.call(GET) == 1
    stream = client.with_options(timeout=SHORT).stream(SPEAK)
    assert next(iter(stream)) == b"\1\0"
    with pytest.raises(TimeoutError):
        next(iter(stream))
    server.wait_until_left()
    stream.close()


def test_a_stalled_head_of_a_stream_times_out(shell: Shell, net: Net) -> None:
    """Before the first byte, too; a POST is not repeated."""
    server = net.serve([net.response(200, b"1"), b""])
    client = shell.client(server)
    assert client.call(GET) == 1
    with pytest.raises(TimeoutError), client.with_options(timeout=SHORT).stream(SPEAK):
        raise AssertionError("entered")
    server.wait_until_left()
    assert server.opened == 1


def test_garbage_in_a_stream(shell: Shell, net: Net) -> None:
    """Values first, then the error that says what was wrong; the connection is closed."""
    server = net.serve([AUDIO + chunk(b"\1\0") + b"zz\r\n"])
    stream = shell.client(server).stream(SPEAK)
    assert next(iter(stream)) == b"\1\0"
    with pytest.raises(RemoteProtocolError):
        next(iter(stream))
    server.wait_until_left()
    stream.close()


def test_events(shell: Shell, net: Net) -> None:
    """Typed events until done; what follows is of no interest, and the connection is kept where the body ended."""
    body = EVENT_STREAM + chunk(SPOKEN + SPOKEN[:20]) + chunk(SPOKEN[20:] + DONE) + END
    server = net.serve([body, net.response(200, b"2")])
    client = shell.client(server)
    with client.stream(EVENTS) as stream:
        assert [event.audio for event in stream] == [b"\0\0\0\0", b"\0\0\0\0"]
    assert client.call(GET) == 2


def test_events_arrive_as_they_come(shell: Shell, net: Net) -> None:
    """An event is there with its last byte."""
    heard = threading.Event()

    def speak(connection: Connection) -> None:
        connection.answer(EVENT_STREAM + chunk(SPOKEN))
        assert heard.wait(WAIT), "the first event was held back"
        connection.send(chunk(DONE) + END)

    with shell.client(net.serve(speak)).stream(EVENTS) as stream:
        for _ in stream:
            heard.set()


def test_a_done_ends_the_events_before_the_body(shell: Shell, net: Net) -> None:
    """A server that keeps the body open after its last word holds nobody up."""
    server = net.serve([EVENT_STREAM + chunk(SPOKEN + DONE)])
    with shell.client(server).stream(EVENTS) as stream:
        assert len(list(stream)) == 1
    server.wait_until_left()


def test_an_error_event_ends_the_events(shell: Shell, net: Net) -> None:
    """What came before is delivered, then the error with what it carried."""
    error = b'data: {"type": "error", "status_code": 400, "title": "Bad", "message": "no such language"}\n\n'
    server = net.serve([EVENT_STREAM + chunk(SPOKEN + error) + END])
    with shell.client(server).stream(EVENTS) as stream:
        assert next(iter(stream)).audio == b"\0\0\0\0"
        with pytest.raises(ApiError, match="no such language") as caught:
            next(iter(stream))
    assert caught.value.status_code == 400


def test_events_without_a_done_are_incomplete(shell: Shell, net: Net) -> None:
    """A clean end of the body is none of the speech."""
    server = net.serve([EVENT_STREAM + chunk(SPOKEN) + END])
    with shell.client(server).stream(EVENTS) as stream:
        assert len([next(iter(stream))]) == 1
        with pytest.raises(IncompleteStream):
            next(iter(stream))


def test_two_streams_at_once(shell: Shell, net: Net) -> None:
    """Each has a connection of its own."""
    server = net.serve(*[[AUDIO + chunk(b"%d\0" % number) + END] for number in range(2)])
    client = shell.client(server)
    with client.stream(SPEAK) as one, client.stream(SPEAK) as other:
        assert {b"".join(one), b"".join(other)} == {b"0\0", b"1\0"}
    assert server.opened == 2


def test_a_stream_of_another_kind_of_call(shell: Shell, net: Net) -> None:
    """The value is comparable and may be sent again and again."""
    again = TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
    assert isinstance(again, StreamCall)
    assert again == SPEAK
    server = net.serve([AUDIO + chunk(b"\1\0") + END] * 2)
    client = shell.client(server)
    assert [b"".join(client.stream(call)) for call in (SPEAK, again)] == [b"\1\0"] * 2
    assert server.requests[0].body == server.requests[1].body


FLOODS = {
    "events": (SPOKEN * 5000, 5000),
    "comments": (b":\n\n" * 50_000 + SPOKEN, 1),
    "lines": (b"id\n" * 50_000 + SPOKEN, 1),
}


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("size", [1 << 20, 1], ids=["large chunks", "tiny chunks"])
def test_one_turn_reads_so_many_trifles(shell: Shell, net: Net, kind: str, size: int) -> None:
    """A flood of small things is handed over bit by bit, with turns for others between, and whole in the end."""
    flood, number = FLOODS[kind]
    flood = flood[: 4000 * len(SPOKEN)] if size > 1 else flood[-20_000:]
    number = flood.count(SPOKEN)
    body = b"".join(chunk(flood[start : start + size]) for start in range(0, len(flood), size))
    server = net.serve([EVENT_STREAM + body + chunk(b"\n\n" + DONE) + END, net.response(200, b"2")])
    client = shell.client(server)
    with client.stream(EVENTS) as stream:
        sizes: list[int] = []
        while batch := stream.receive_batch():
            sizes.append(len(batch))
    assert number <= sum(sizes) <= number + 1  # one may have been cut at the front
    assert max(sizes) <= LINES


def test_a_body_of_very_many_tiny_chunks(shell: Shell, net: Net) -> None:
    """It is taken in many turns, and whole; the connection is kept."""
    text = b"[" + b"1," * 20_000 + b"2]"
    body = b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in text) + END
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = net.serve([head + body, net.response(200, b"2")])
    client = shell.client(server)
    assert client.call(GET) == [1] * 20_000 + [2]
    assert client.call(GET) == 2
    assert server.opened == 1
