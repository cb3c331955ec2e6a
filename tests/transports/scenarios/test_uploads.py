"""What a clip may be: a plain file, one without a length, a pipe, one that changes; the same on every transport."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.api.voices import Voices
from cartesia_proto.errors import LocalProtocolError, ServerError

if TYPE_CHECKING:
    from cartesia_proto.api.voice_models import VoiceMetadata
    from cartesia_proto.call import Call
    from cartesia_proto.parameters import FileInput
    from tests.transports.conftest import Connection, Net, Seen
    from tests.transports.scenarios.conftest import AwaitingShell, Shell

VOICE = b'{"id": "v1", "name": "Ada"}'
RECORDING = b"RIFF" + bytes(range(256)) * 1200
SIZE = len(RECORDING)


def cloning(clip: FileInput) -> Call[VoiceMetadata]:
    """The call."""
    return Voices.clone(clip=clip, name="Ada", language="en")


def clip_of(seen: Seen) -> bytes:
    """The recording in a request."""
    assert int(seen.header("content-length") or "") == len(seen.body)
    found = re.search(rb'name="clip".*?\r\n\r\n(.*)\r\n--', seen.body, re.DOTALL)
    assert found is not None
    return found[1]


def pipe(folder: Path, content: bytes) -> Path:
    """A named pipe that something is written into, once somebody reads."""
    path = folder / "pipe.wav"
    os.mkfifo(path)
    threading.Thread(target=path.write_bytes, args=(content,), daemon=True).start()
    return path


def test_a_plain_file(shell: Shell, net: Net, tmp_path: Path) -> None:
    """Whole, whatever pieces it is read in."""
    path = tmp_path / "clip.wav"
    path.write_bytes(RECORDING)
    server = net.serve([net.response(200, VOICE)])
    assert shell.client(server).call(cloning(path)).name == "Ada"
    assert clip_of(server.requests[0]) == RECORDING


def test_a_file_without_a_length(shell: Shell, net: Net) -> None:
    """The system says 0 of it, and it has bytes: they are sent."""
    server = net.serve([net.response(200, VOICE)])
    assert shell.client(server).call(cloning(Path("/proc/self/status"))).name == "Ada"
    assert b"Pid:" in clip_of(server.requests[0])


def test_a_pipe(shell: Shell, net: Net, tmp_path: Path) -> None:
    """It can be read once, and is sent again after a failure, and after a redirect."""
    moved = net.response(307, b"", "Location: /elsewhere")
    server = net.serve([net.response(500, b"", "Retry-After: 0"), moved, net.response(200, VOICE)])
    assert shell.client(server).call(cloning(pipe(tmp_path, RECORDING))).name == "Ada"
    assert [clip_of(seen) for seen in server.requests] == [RECORDING] * 3


@pytest.mark.parametrize("kind", ["file", "pipe", "bytes"])
def test_an_empty_recording(shell: Shell, net: Net, tmp_path: Path, kind: str) -> None:
    """It is refused, and nothing is sent."""
    server = net.serve()
    (tmp_path / "empty.wav").touch()
    client = shell.client(server)
    with pytest.raises(LocalProtocolError, match="is empty"):
        match kind:
            case "file":
                client.call(cloning(tmp_path / "empty.wav"))
            case "pipe":
                client.call(cloning(pipe(tmp_path, b"")))
            case _:
                client.call(cloning(("empty.wav", b"")))
    assert server.opened == 0


@pytest.mark.parametrize("by", [-SIZE + 1, -1, 1, 30, 1000])
def test_a_file_that_changes(shell: Shell, net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: int) -> None:
    """Just after its size was asked for. The server never gets a whole request, and gets no second one."""
    server = net.serve([net.response(200, VOICE)])
    path = tmp_path / "clip.wav"
    path.write_bytes(RECORDING)
    fstat = os.fstat

    def changing(fd: int) -> os.stat_result:
        found = fstat(fd)
        if found.st_size == SIZE:
            with path.open("r+b") as file:
                file.truncate(SIZE + by)
        return found

    monkeypatch.setattr(os, "fstat", changing)
    with pytest.raises(LocalProtocolError, match=f"became {'longer' if by > 0 else 'shorter'} than the {SIZE} bytes"):
        shell.client(server).call(cloning(path))
    server.wait_until_opened(1)
    server.wait_until_left()
    assert server.requests == []


def test_what_cannot_be_opened(shell: Shell, net: Net, tmp_path: Path) -> None:
    """The system's own error, before anything is sent."""
    server = net.serve()
    with pytest.raises(IsADirectoryError):
        shell.client(server).call(cloning(tmp_path))
    with pytest.raises(FileNotFoundError):
        shell.client(server).call(cloning(tmp_path / "nothing.wav"))
    assert server.opened == 0


def test_again_on_a_fresh_connection(shell: Shell, net: Net, tmp_path: Path) -> None:
    """A pipe is sent from its beginning on the connection that replaces a stale one."""

    def answer_and_leave(connection: Connection) -> None:
        connection.answer(net.response(200, VOICE))
        connection.request()  # and no answer: to the client the connection was stale
        connection.close()

    server = net.serve(answer_and_leave, [net.response(200, VOICE)])
    client = shell.client(server)
    client.call(cloning(b"RIFF"))
    assert client.call(cloning(pipe(tmp_path, RECORDING))).name == "Ada"
    assert [clip_of(seen) for seen in server.requests[1:]] == [RECORDING] * 2


def test_a_file_that_is_replaced_between_attempts(shell: Shell, net: Net, tmp_path: Path) -> None:
    """Every attempt sends the file that the first one opened."""
    path = tmp_path / "clip.wav"
    path.write_bytes(RECORDING)

    def refuse(connection: Connection) -> None:
        connection.request()
        path.unlink()
        connection.send(net.response(500, b"", "Retry-After: 0"))
        connection.answer(net.response(500))

    server = net.serve(refuse)
    with pytest.raises(ServerError):
        shell.client(server, max_retries=1).call(cloning(path))
    assert [clip_of(seen) for seen in server.requests] == [RECORDING] * 2


def test_cancelled_while_a_pipe_is_read(awaiting: AwaitingShell, net: Net, tmp_path: Path) -> None:
    """Its writer writes nothing: nobody waits for it any more, and the file is closed once the writer has left."""
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    client = awaiting.client(net.serve())
    writers: list[int] = []
    awaiting.loop.cancel(client.native.call(cloning(path)), lambda: writers.append(os.open(path, os.O_WRONLY)))
    os.write(writers[0], RECORDING[:100])
    os.close(writers[0])
