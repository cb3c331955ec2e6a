"""Files that are sent, and lists that are walked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.api.voices import Voices
from cartesia_proto.errors import ApiError, ConnectionLost, LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell

CONTENT = bytes(range(256)) * 1200
VOICE = b'{"id": "v1", "name": "n", "description": "d", "is_owner": true, "language": "en"}'


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file of 300 kB."""
    path = tmp_path / "clip.wav"
    path.write_bytes(CONTENT)
    return path


def test_a_file_is_sent_whole_on_every_attempt(shell: Shell, net: Net, clip: Path) -> None:
    """A retry sends the same form again, byte for byte."""
    server = net.serve([net.response(503, b"", "Retry-After: 0"), net.response(200, VOICE)])
    shell.client(server).call(Voices.clone(clip=clip, name="n", language="en"))
    first, second = server.requests
    assert first.body == second.body
    assert first.body.count(CONTENT) == 1
    assert b'filename="clip.wav"' in first.body
    assert (first.header("content-type") or "").startswith("multipart/form-data; boundary=")
    assert first.header("content-length") == str(len(first.body))


def test_a_file_is_sent_whole_on_a_fresh_connection(shell: Shell, net: Net, clip: Path) -> None:
    """Replacing a stale connection sends everything again."""

    def stale(connection: Connection) -> None:
        connection.answer(net.response(404, b"no"))
        connection.request()
        connection.close()

    server = net.serve(stale, [net.response(200, VOICE)])
    client = shell.client(server, max_retries=0)
    call = Voices.clone(clip=clip, name="n", language="en")
    with pytest.raises(ApiError):
        client.call(call)
    client.call(call)
    assert [seen.body.count(CONTENT) for seen in server.requests] == [1, 1, 1]


def test_a_missing_file_is_found_before_connecting(shell: Shell, net: Net, tmp_path: Path) -> None:
    """The builtin error, naming the path; nothing was sent."""
    server = net.serve()
    with pytest.raises(FileNotFoundError, match="missing.wav"):
        shell.client(server).call(Voices.clone(clip=tmp_path / "missing.wav", name="n", language="en"))
    assert server.opened == 0


def test_a_server_that_leaves_while_a_file_is_sent(shell: Shell, net: Net, clip: Path) -> None:
    """The connection is lost; the file is closed."""
    clip.write_bytes(CONTENT * 40)

    def leave(connection: Connection) -> None:
        connection.socket.recv(10)
        connection.close()

    with pytest.raises(ConnectionLost):
        shell.client(net.serve(leave)).call(Voices.clone(clip=clip, name="n", language="en"))


def test_bytes_are_sent_as_a_file(shell: Shell, net: Net) -> None:
    """A clip need not be a path."""
    server = net.serve([net.response(200, VOICE)])
    shell.client(server).call(Voices.clone(clip=CONTENT, name="n", language="en"))
    assert CONTENT in server.requests[0].body


def page(*ids: str, more: bool) -> bytes:
    """One page of a list of voices."""
    items = ", ".join(f'{{"id": "{id}", "name": "n"}}' for id in ids)
    return f'{{"data": [{items}], "has_more": {str(more).lower()}}}'.encode()


def test_all_pages_are_walked(shell: Shell, net: Net) -> None:
    """Each page is fetched when it is reached, on one connection."""
    server = net.serve([net.response(200, page("a", "b", more=True)), net.response(200, page("c", more=False))])
    assert [voice.id for voice in shell.client(server).items(Voices.list(limit=2))] == ["a", "b", "c"]
    assert [seen.line for seen in server.requests] == [
        "GET /voices?limit=2 HTTP/1.1",
        "GET /voices?limit=2&starting_after=b HTTP/1.1",
    ]
    assert server.opened == 1


def test_an_error_on_a_later_page(shell: Shell, net: Net) -> None:
    """It ends the walk."""
    server = net.serve([net.response(200, page("a", more=True)), net.response(400, b"no")])
    with pytest.raises(ApiError):
        shell.client(server).items(Voices.list(limit=1))


def test_pages_that_point_at_each_other(shell: Shell, net: Net) -> None:
    """They are not walked for ever."""
    pages = [net.response(200, page(id, more=True)) for id in "aba"]
    server = net.serve(pages)
    with pytest.raises(RemoteProtocolError, match="goes in circles"):
        shell.client(server).items(Voices.list())
    assert len(server.requests) == len(pages)


def test_a_header_that_would_split_the_request(shell: Shell, net: Net) -> None:
    """Refused before anything is sent, by a message that shows where and not what."""
    server = net.serve()
    with pytest.raises(LocalProtocolError, match="X-Mine"):
        shell.client(server, headers={"X-Mine": "a\r\nX-Other: b"})
    assert server.opened == 0
