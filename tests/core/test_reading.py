"""A streamed answer: who may read it when, and what becomes of its connection."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.sse import TURN as LINES
from cartesia_proto.config import Config
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import (
    ConnectionLost,
    IncompleteStream,
    LocalProtocolError,
    ServerError,
)
from cartesia_proto.flow import Decoder
from cartesia_proto.http import Headers, Response
from cartesia_proto.performing import (
    Performance,
    Receive,
    Send,
    Step,
    Steps,
)
from cartesia_proto.reading import Reading
from cartesia_proto.testing import half
from cartesia_proto.wire.chunked import TURN
from tests.core.conftest import Connection, World, performed

T = TypeVar("T")
CONFIG = Config(base_url="http://peer.test", credentials=ApiKey("key"), max_retries=1)
ADA = Response(200, body=b'{"id": "a", "name": "Ada"}')


CHUNKS = [b"ab", b"cd"]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nTransfer-Encoding: chunked\r\n\r\n"
CUT = len(HEAD) + len(b"2\r\nab\r\n2")


def spoken(*pieces: bytes, cut: int | None = None, portion: int | None = None) -> Connection:
    """A connection on which speech is streamed, one chunk for each piece."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return Connection(HEAD + body, cut=cut, portion=portion)


def stream() -> tuple[Performance[Decoder[bytes], Connection], Reading[bytes, Connection]]:
    """A stream that was not sent yet."""
    call = TTS.stream(model_id="m", transcript="t", voice="v", output_format=RawFormat("pcm_s16le", 8000))
    performance = performed(call.operation(CONFIG, half))
    return performance, Reading(performance)


def read(world: World, reading: Reading[bytes, Connection], steps: Callable[[], Steps[Connection, object]]) -> None:
    """One read, as a transport does it."""
    with reading:
        try:
            world.take(steps())
        except BaseException:
            world.perform(reading.abort())
            raise


def test_a_stream() -> None:
    """Its values come as they arrive; at the end the connection is kept or closed, once, and then there are none."""
    connection = spoken(*CHUNKS)
    world, (_, reading) = World(connection), stream()
    read(world, reading, reading.opened)
    read(world, reading, reading.opened)  # it has begun
    read(world, reading, reading.filled)
    assert b"".join(reading.batch()) == b"abcd"
    assert not reading.closed
    read(world, reading, reading.filled)
    assert reading.batch() == []
    assert reading.closed
    assert connection.released == [True]
    world.perform(reading.release())
    assert connection.released == [True]
    with pytest.raises(LocalProtocolError, match="was read to its end, or closed"):
        reading.check_not_over()


def test_a_stream_whose_head_comes_alone() -> None:
    """What follows is read for."""
    world, (_, reading) = World(spoken(*CHUNKS, portion=len(HEAD))), stream()
    read(world, reading, reading.filled)
    assert b"".join(reading.batch()) == b"abcd"
    assert world.taken.count("Receive") == 2


def test_values_are_taken_before_more_is_read() -> None:
    """While there are some, a read does nothing."""
    world, (_, reading) = World(spoken(*CHUNKS)), stream()
    read(world, reading, reading.filled)
    taken = list(world.taken)
    read(world, reading, reading.filled)
    assert world.taken == taken
    reading.check_not_over()


def test_a_stream_that_breaks_off() -> None:
    """What came before is handed out, then the error comes, once; the connection is closed."""
    connection = spoken(
        b"ab", b"cd", cut=len(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nTransfer-Encoding: ") + 20
    )
    world, (_, reading) = World(connection), stream()
    read(world, reading, reading.filled)
    assert reading.batch() == [b"ab"]
    with pytest.raises(IncompleteStream):
        read(world, reading, reading.filled)
    assert reading.closed
    assert not reading.interrupted
    assert connection.released == [False]
    read(world, reading, reading.filled)
    assert reading.batch() == []


def test_a_stream_that_is_refused() -> None:
    """The error of the call, and nothing in use."""
    world, (_, reading) = World(Connection(Response(500)), Connection(Response(500))), stream()
    with pytest.raises(ServerError):
        read(world, reading, reading.opened)
    assert reading.closed


def test_a_read_that_the_driver_cannot_make() -> None:
    """Its error ends the stream."""
    connection = spoken(*CHUNKS, portion=len(HEAD))
    world, (_, reading) = World(connection), stream()
    read(world, reading, reading.opened)

    def fail(step: Step[Connection]) -> None:
        if isinstance(step, Receive):
            raise ConnectionLost("closed from elsewhere")

    world.before = fail
    with pytest.raises(ConnectionLost):
        read(world, reading, reading.filled)
    assert connection.released == [False]


def test_one_reader_at_a_time() -> None:
    """Another is refused; in a child process, where the one there was is not, nobody reads."""
    _, reading = stream()
    with reading:
        with pytest.raises(LocalProtocolError, match="another task is reading"), reading:
            pass
        reading.begin_anew()
        with reading:
            pass


def test_an_interrupted_read() -> None:
    """Values may be lost, so that the stream is over and says why."""
    connection = spoken(*CHUNKS)
    world, (_, reading) = World(connection), stream()

    def interrupt(step: Step[Connection]) -> None:
        if isinstance(step, Receive):
            raise KeyboardInterrupt

    world.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        read(world, reading, reading.filled)
    assert reading.interrupted
    with pytest.raises(LocalProtocolError, match="was cancelled"):
        read(world, reading, reading.filled)
    reading.check_not_over()


def test_closing_while_another_task_opens() -> None:
    """The request is made to its end, and then its connection closed; nothing is handed out."""
    connection = spoken(*CHUNKS)
    world, (_, reading) = World(connection), stream()

    def close(step: Step[Connection]) -> None:
        if isinstance(step, Send):
            reading.close()
            assert reading.release() is None

    world.before = close
    read(world, reading, reading.filled)
    assert connection.released == [False]
    assert reading.batch() == []


def test_closing_a_stream_in_the_middle() -> None:
    """Its connection cannot carry another request."""
    connection = spoken(*CHUNKS, cut=CUT)
    world, (_, reading) = World(connection), stream()
    read(world, reading, reading.opened)
    reading.close()
    world.perform(reading.release())
    assert connection.released == [False]


def test_a_stream_in_tiny_chunks() -> None:
    """Others have a turn after every so many, without another read; nothing is lost."""
    world, (_, reading) = World(spoken(*[b"a"] * (4 * TURN))), stream()
    batches: list[bytes] = []
    while not reading.closed:
        read(world, reading, reading.filled)
        batches += reading.batch()
    assert b"".join(batches) == b"a" * (4 * TURN)
    assert max(map(len, batches)) <= TURN
    assert world.taken.count("Receive") == 1
    assert world.taken.count("Sleep") > 3


def test_a_turn_that_brings_no_value() -> None:
    """The next follows, and still nothing is read."""
    call = TTS.sse(model_id="m", transcript="t", voice="v", output_format=RawFormat("pcm_s16le", 8000))
    body = b":\n" * (3 * LINES) + b'data: {"type":"done","done":true,"status_code":200}\n\n'
    connection = Connection(Response(200, Headers([("Content-Type", "text/event-stream")]), body))
    world, performance = World(connection), performed(call.operation(CONFIG, half))
    reading = Reading(performance)
    with reading:
        world.take(reading.filled())
    assert reading.batch() == []
    assert world.taken.count("Receive") == 1
    assert world.taken.count("Sleep") >= 3
