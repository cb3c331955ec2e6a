"""One call as steps: in which order they come, what becomes of each connection."""

from pathlib import Path
from typing import TypeVar

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
    TimeoutError,
)
from cartesia_proto.http import Response
from cartesia_proto.performing import (
    Origin,
    Performance,
    Receive,
    Step,
)
from cartesia_proto.testing import ScriptedPeer, half
from cartesia_proto.wire.chunked import TURN
from cartesia_proto.wire.pool import IDLE_SECONDS, Pool
from tests.core.conftest import ORIGIN, Connection, World, opened, performed

T = TypeVar("T")
CONFIG = Config(base_url="http://peer.test", credentials=ApiKey("key"), max_retries=1)
ADA = Response(200, body=b'{"id": "a", "name": "Ada"}')


def get(*idle: Connection) -> Performance[Voice, Connection]:
    """A call for one value."""
    return performed(Voices.get("a").operation(CONFIG, half), *idle)


def test_a_call() -> None:
    """A connection is made where none is idle, and kept for the next request."""
    connection = Connection(ADA)
    world, performance = World(connection), get()
    world.take(performance.steps())
    value, line = performance.result()
    assert value.name == "Ada"
    assert world.taken == ["Sleep", "Connect", "Send", "Receive", "Release"]
    assert (connection.released, line.over) == ([True], True)
    performance.end()
    assert performance.abort() is None


def test_an_idle_connection() -> None:
    """It is taken, and nothing is made."""
    idle = Connection(ADA)
    world, performance = World(), get(idle)
    world.take(performance.steps())
    assert "Connect" not in world.taken
    assert idle.released == [True]


def test_a_stale_connection() -> None:
    """One that ended before it answered is replaced at once, which is no retry."""
    idle, fresh = Connection(b""), Connection(ADA)
    world, performance = World(fresh), get(idle)
    world.take(performance.steps())
    assert world.taken.count("Sleep") == 1
    assert (idle.released, fresh.released) == ([False], [True])


def test_an_idle_connection_on_which_something_arrived() -> None:
    """Nobody asked for it: the connection is closed, and the next one looked at."""
    touched, idle = Connection(ADA, untouched=False), Connection(ADA)
    world, performance = World(), get(idle, touched)
    world.take(performance.steps())
    assert (touched.released, idle.released) == ([False], [True])
    assert world.taken[:4] == ["Sleep", "Probe", "Release", "Probe"]


def test_an_idle_connection_that_expired() -> None:
    """It is closed unseen."""
    old, fresh = Connection(ADA), Connection(ADA)
    pool: Pool[Origin, Connection] = Pool()
    pool.give_back(ORIGIN, old, -IDLE_SECONDS)
    operation = Voices.get("a").operation(CONFIG, half)
    performance: Performance[Voice, Connection] = Performance(operation, pool, Limits(), None, opened, lambda: 1.0)
    world = World(fresh)
    world.take(performance.steps())
    assert (old.released, fresh.released) == ([False], [True])


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
        assert isinstance(connection.peer, ScriptedPeer)
        assert b"\r\n\r\nabc\r\n" in connection.peer.received[0].body
    (file,) = performance.result()[1].files
    performance.end()
    with pytest.raises(ValueError, match="closed"):
        file.rewind()


def test_a_stream_keeps_its_connection() -> None:
    """The line is the caller's, and is released by it."""
    connection = Connection(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n\r\nabcd")
    call = TTS.stream(model_id="m", transcript="t", voice="v", output_format=RawFormat("pcm_s16le", 8000))
    world, performance = World(connection), performed(call.operation(CONFIG, half))
    world.take(performance.steps())
    line = performance.result()[1]
    assert (line.over, connection.released) == (False, [])
    world.perform(performance.abort())
    assert (line.over, connection.released) == (True, [False])


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


def test_a_body_in_tiny_chunks() -> None:
    """Others have a turn after every so many, without another read."""
    body = b'{"id": "a", "name": "Ada"}' + b" " * (4 * TURN)
    chunked = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    world, performance = World(Connection(head + chunked)), get()
    world.take(performance.steps())
    assert performance.result()[0].name == "Ada"
    assert world.taken[:5] == ["Sleep", "Connect", "Send", "Receive", "Sleep"]
    assert world.taken.count("Receive") == 1
    assert world.taken.count("Sleep") > 4
