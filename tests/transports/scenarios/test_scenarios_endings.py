"""How an answer ends: nothing of a whole one is lost, and one that was cut is never taken for a whole one."""

from __future__ import annotations

import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.call import Call
from cartesia_proto.errors import IncompleteStream, TransportError
from tests.conftest import WAIT

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell

GET = Call.json("GET", "/thing", request_options={"max_retries": 0})
SPEAK = TTS.stream(model_id="m", transcript="t", voice="v", output_format=RawFormat("pcm_s16le", 8000))
LONG = bytes(range(256)) * 1000
"""Several times what a client holds before somebody reads."""
UNTIL_THE_END = b"HTTP/1.1 200 OK\r\n\r\n"
TLS_ONLY = pytest.mark.parametrize("net", ["tls"], indirect=True)


@pytest.mark.parametrize(
    "head",
    [UNTIL_THE_END, f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(LONG)}\r\n\r\n".encode()],
    ids=["until the end", "length"],
)
def test_a_server_that_closes_before_all_is_read(shell: Shell, net: Net, head: bytes) -> None:
    """What had arrived is there for a reader who takes his time."""

    def speak(connection: Connection) -> None:
        connection.answer(head + LONG)
        connection.finish()

    server = net.serve(speak)
    with shell.client(server).stream(SPEAK) as pieces:
        received = next(pieces)
        server.wait_until_left()
        received += b"".join(pieces)
    assert received == LONG


@TLS_ONLY
def test_tls_that_ends_without_a_farewell(shell: Shell, net: Net) -> None:
    """Anybody on the way can end a connection: without its close_notify a body is not whole (RFC 9112 section 9.8)."""

    def cut(connection: Connection) -> None:
        connection.answer(UNTIL_THE_END + b"[1, 2]")
        connection.close()

    with pytest.raises(IncompleteStream):
        shell.client(net.serve(cut)).call(GET)


@TLS_ONLY
def test_tls_that_ends_without_a_farewell_behind_much(shell: Shell, net: Net) -> None:
    """Nothing of what was sent is lost, and the cut is seen, however many records are read at once."""

    def cut(connection: Connection) -> None:
        connection.answer(UNTIL_THE_END + LONG)
        connection.close()

    pieces: list[bytes] = []
    with shell.client(net.serve(cut)).stream(SPEAK) as stream, pytest.raises(IncompleteStream):
        pieces.extend(stream)
    assert b"".join(pieces) == LONG


def test_a_reset_is_no_end(shell: Shell, net: Net) -> None:
    """A connection that breaks does not complete the body that would last to its end."""
    read = threading.Event()

    def reset(connection: Connection) -> None:
        connection.answer(UNTIL_THE_END + b"1234")
        read.wait(WAIT)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    with shell.client(net.serve(reset)).stream(SPEAK) as pieces:
        assert next(pieces) == b"1234"
        read.set()
        with pytest.raises(TransportError):
            next(pieces)
