"""One call as steps: in which order they come, what becomes of each connection, and who may read a stream when."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeVar, assert_never

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.api.voice_models import Voice, VoiceMetadata
from cartesia_proto.api.voices import Voices
from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.config import Config, Limits
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import (
    ConnectError,
    ConnectionLost,
    IncompleteStream,
    LocalProtocolError,
    ServerError,
    TimeoutError,
)
from cartesia_proto.flow import Decoder, Operation
from cartesia_proto.http import Response
from cartesia_proto.performing import (
    Connect,
    Performance,
    Reading,
    Receive,
    Release,
    Send,
    Sleep,
    Step,
    Steps,
    Take,
    UseFile,
)
from cartesia_proto.testing import ScriptedPeer, half

T = TypeVar("T")
CONFIG = Config(base_url="http://peer.test", credentials=ApiKey("key"), max_retries=1)
ADA = Response(200, body=b'{"id": "a", "name": "Ada"}')


class Connection:
    """A connection to a peer in memory, which sends what it answers when it is read.

    Args:
        answers: of the peer.
        cut: bytes after which the connection breaks.
        portion: bytes that the first read gets.
        send_error: what each write ends in; False where it takes nothing.
    """

    def __init__(
        self, *answers: Response | bytes, cut: int | None = None, portion: int | None = None, send_error: object = None
    ) -> None:
        self.peer = ScriptedPeer(answers)
        self.cut = cut
        self.portion = portion
        self.send_error = send_error
        self.waiting = b""
        self.released: list[bool] = []


class World:
    """A driver that takes steps on such connections, and notes them by name."""

    def __init__(self, *fresh: Connection | ConnectError, idle: Connection | None = None) -> None:
        self.fresh = list(fresh)
        self.idle = idle
        self.taken: list[str] = []
        self.before: Callable[[Step[Connection]], object] = type

    def take(self, steps: Steps[Connection, object]) -> None:
        """Take all of them."""
        for step in steps:
            with step:
                self.perform(step)

    def perform(self, step: Step[Connection] | None) -> None:  # noqa: C901 - an arm for each kind of step
        """Take one."""
        if step is None:
            return
        self.taken.append(type(step).__name__)
        self.before(step)
        match step:
            case Sleep():
                pass
            case UseFile():
                step.take()
            case Take():
                step.connection, self.idle = self.idle, None
            case Connect():
                made = self.fresh.pop(0)
                if isinstance(made, ConnectError):
                    raise made
                step.connection = made
            case Send(line=line):
                step.sent = self.send(line.connection, line.exchange.link.data_to_send())
            case Receive(line=line):
                connection, link = line.connection, line.exchange.link
                portion, connection.portion = connection.portion, None
                data, connection.waiting = connection.waiting[:portion], connection.waiting[portion or 1 << 30 :]
                if data:
                    link.receive_data(data[: connection.cut], 0.0)
                if not data or connection.cut is not None:
                    link.connection_lost(0.0)
            case Release(line=line, keep=keep):
                line.connection.released.append(keep)
            case _:
                assert_never(step)

    @staticmethod
    def send(connection: Connection, data: bytes) -> bool:
        """Let the peer have it, if it takes it."""
        if isinstance(connection.send_error, Exception):
            raise connection.send_error
        connection.waiting += connection.peer.receive_data(data)
        return connection.send_error is None


def opened(path: str) -> tuple[BinaryIO, int]:
    """A file of three bytes."""
    assert path == "clip.wav"
    return BytesIO(b"abc"), 3


def performed(operation: Operation[T]) -> Performance[T, Connection]:
    """An operation on its way."""
    return Performance(operation, Limits(), None, opened, lambda: 0.0)


def get() -> Performance[Voice, Connection]:
    """A call for one value."""
    return performed(Voices.get("a").operation(CONFIG, half))


def test_a_call() -> None:
    """A connection is made where none is idle, and kept for the next request."""
    connection = Connection(ADA)
    world, performance = World(connection), get()
    world.take(performance.steps())
    value, line = performance.result()
    assert value.name == "Ada"
    assert world.taken == ["Sleep", "Take", "Connect", "Send", "Receive", "Release"]
    assert (connection.released, line.over) == ([True], True)
    performance.end()
    assert performance.abort() is None


def test_an_idle_connection() -> None:
    """It is taken, and nothing is made."""
    idle = Connection(ADA)
    world, performance = World(idle=idle), get()
    world.take(performance.steps())
    assert "Connect" not in world.taken
    assert idle.released == [True]


def test_a_stale_connection() -> None:
    """One that ended before it answered is replaced at once, which is no retry."""
    idle, fresh = Connection(b""), Connection(ADA)
    world, performance = World(fresh, idle=idle), get()
    world.take(performance.steps())
    assert world.taken.count("Sleep") == 1
    assert (idle.released, fresh.released) == ([False], [True])


def test_connecting_fails() -> None:
    """The operation is told, and tries again after a delay."""
    world, performance = World(ConnectError("no"), Connection(ADA)), get()
    world.take(performance.steps())
    assert world.taken.count("Sleep") == 2


def test_connecting_fails_for_good() -> None:
    """The call ends in that error, and nothing is left to be closed."""
    world, performance = World(ConnectError("no"), ConnectError("no more")), get()
    with pytest.raises(ConnectError, match="no more"):
        world.take(performance.steps())
    assert performance.abort() is None


@pytest.mark.parametrize("error", [TimeoutError("slow", phase="write"), ConnectionLost("gone")])
def test_sending_fails(error: Exception) -> None:
    """The connection is closed, and the attempt failed."""
    first, second = Connection(send_error=error), Connection(ADA)
    world, performance = World(first, second), get()
    world.take(performance.steps())
    assert (first.released, second.released) == ([False], [True])


def test_a_peer_that_takes_no_more() -> None:
    """It may have answered all the same: that is read, and no more is sent."""
    clone = Voices.clone(clip=b"x" * 200_000, name="Ada", language="en")
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    connection = Connection(send_error=False)
    connection.waiting = refusal
    world = World(connection)
    with pytest.raises(Exception, match="413") as caught:
        world.take(performed(clone.operation(CONFIG, half)).steps())
    assert getattr(caught.value, "status_code", None) == 413
    assert world.taken.count("Send") == 1
    assert connection.released == [False]


def test_reading_fails() -> None:
    """As an answer that the driver could not read, the connection is closed."""
    first, second = Connection(ADA), Connection(ADA)
    world, performance = World(first, second), get()

    def interrupt(step: Step[Connection]) -> None:
        if isinstance(step, Receive) and step.line.connection is first:
            raise ConnectionLost("closed from another thread")

    world.before = interrupt
    world.take(performance.steps())
    assert (first.released, second.released) == ([False], [True])


def test_files() -> None:
    """They are opened before anything else, sent from their beginning each time, and closed at the end."""
    call = Voices.clone(clip=Path("clip.wav"), name="Ada", language="en")
    busy = Response(503)
    connections = Connection(busy), Connection(ADA)
    world, performance = World(*connections), performed(call.operation(CONFIG, half))
    world.take(performance.steps())
    assert isinstance(performance.result()[0], VoiceMetadata)
    assert world.taken[:2] == ["UseFile", "Sleep"]
    for connection in connections:
        assert b"\r\n\r\nabc\r\n" in connection.peer.received[0].body
    (file,) = performance.result()[1].files
    performance.end()
    with pytest.raises(ValueError, match="closed"):
        file.rewind()


def test_what_the_library_does_not_know_leaves_at_once() -> None:
    """Such as a cancellation: no step is taken any more, and the connection in use is for the driver to close."""
    connection = Connection(ADA)
    world, performance = World(connection), get()

    def interrupt(step: Step[Connection]) -> None:
        if isinstance(step, Receive):
            raise KeyboardInterrupt

    world.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.take(performance.steps())
    world.before = type
    world.perform(performance.abort())
    assert connection.released == [False]
    assert performance.abort() is None


# Streams.

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
