"""What goes wrong under way: stalls, cuts, garbage and answers without end."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.call import Call
from cartesia_proto.errors import (
    ApiError,
    BadRequestError,
    CartesiaError,
    ConnectError,
    ConnectionLost,
    IncompleteStream,
    RemoteProtocolError,
    TimeoutError,
    TransportError,
)

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell

GET = Call.json("GET", "/thing")
POST = Call.json("POST", "/things", body={"a": 1})
CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)
"""For what TLS makes no difference to, or gets in the way of."""
SILENCE = b""
"""The answer of a server that takes a request and then says nothing until the client leaves."""
SHORT = 0.2
"""Seconds: a timeout that is meant to be met. Where a busy machine might meet it too early, a request goes before."""
LONGER = 1.0
"""Seconds: a timeout that is meant to be met once, and not by what follows."""


def test_a_server_that_never_answers(shell: Shell, net: Net) -> None:
    """The wait for the head is bounded; the connection is closed at once, the client stays usable."""
    server = net.serve([net.response(200, b"1"), SILENCE], [net.response(200, b"2")])
    client = shell.client(server)
    assert client.call(POST) == 1
    with pytest.raises(TimeoutError) as caught:
        client.with_options(timeout=SHORT, max_retries=0).call(POST)
    assert isinstance(caught.value, builtins.TimeoutError)
    assert caught.value.phase == "read"
    server.wait_until_left()
    assert client.call(POST) == 2


def test_a_server_that_stops_in_the_middle(shell: Shell, net: Net) -> None:
    """Each single read is bounded, not the whole."""

    def stop(connection: Connection) -> None:
        connection.answer(net.response(200, b"1"))
        connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")

    server = net.serve(stop)
    client = shell.client(server)
    assert client.call(GET) == 1
    with pytest.raises(TimeoutError):
        client.with_options(timeout=LONGER).call(GET)
    assert len(server.requests) == 2, "nothing is repeated after the first byte of a success"
    server.wait_until_left()


@CLEAR_ONLY
def test_a_timed_out_get_is_tried_again(shell: Shell, net: Net) -> None:
    """On a fresh connection."""
    server = net.serve([SILENCE], [net.response(200, b"2")])
    assert shell.client(server, timeout=LONGER, max_retries=1).call(GET) == 2
    assert server.opened == 2


def test_the_timeout_is_the_callers(shell: Shell, net: Net) -> None:
    """Per call, as the older SDK wrote it."""
    server = net.serve([SILENCE])
    call = Call.json("GET", "/thing", request_options={"timeout_in_seconds": SHORT, "max_retries": 0})
    with pytest.raises(TimeoutError, match="0.2"):
        shell.client(server).call(call)


@pytest.mark.parametrize("call", [GET, POST], ids=["GET", "POST"])
def test_a_body_short_of_its_length(shell: Shell, net: Net, call: Call[object]) -> None:
    """A cut body is never taken for a whole one, and after its first byte nothing is repeated."""

    def cut(connection: Connection) -> None:
        connection.answer(net.response(200, b"12345")[:-1])
        connection.finish()

    server = net.serve(cut, [net.response(200, b"2")])
    client = shell.client(server)
    with pytest.raises(IncompleteStream):
        client.call(call)
    assert client.call(call) == 2


def test_a_cut_before_the_first_body_byte(shell: Shell, net: Net) -> None:
    """A head alone is no answer."""

    def cut(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        connection.close()

    with pytest.raises(IncompleteStream):
        shell.client(net.serve(cut), max_retries=0).call(GET)


@pytest.mark.parametrize("tail", [b"", b"0\r\n", b"5\r\n12", b"5\r\n12345"])
def test_a_chunked_body_without_its_end(shell: Shell, net: Net, tail: bytes) -> None:
    """Wherever it is cut."""

    def cut(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n12\r\n" + tail)
        connection.close()

    with pytest.raises(IncompleteStream):
        shell.client(net.serve(cut)).call(GET)


def test_a_head_that_is_cut(shell: Shell, net: Net) -> None:
    """The connection is lost in the middle of the head."""

    def cut(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 200 OK\r\nContent-Le")
        connection.close()

    with pytest.raises(ConnectionLost):
        shell.client(net.serve(cut)).call(POST)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\x00\xff garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ],
    ids=["binary", "ssh", "status", "length", "chunk", "header"],
)
def test_garbage(shell: Shell, net: Net, garbage: bytes) -> None:
    """What is no HTTP ends as the one kind of error that says so, is not repeated, and its connection is not kept."""

    def babble(connection: Connection) -> None:
        connection.answer(garbage)
        connection.finish()

    server = net.serve(babble, [net.response(200, b"2")])
    client = shell.client(server)
    with pytest.raises(RemoteProtocolError):
        client.call(GET)
    server.wait_until_left()
    assert client.call(GET) == 2


def test_bytes_that_nobody_asked_for(shell: Shell, net: Net) -> None:
    """What follows a complete answer never becomes the answer to the next request."""

    def chatter(connection: Connection) -> None:
        connection.answer(net.response(200, b"1") + net.response(200, b"666"))

    server = net.serve(chatter, [net.response(200, b"2")])
    client = shell.client(server, max_retries=0)
    assert client.call(GET) == 1
    assert client.call(GET) == 2


@pytest.mark.parametrize("head", [b"X-Long: " + b"x" * 200_000, b"X-Many: 1\r\n" * 20_000], ids=["long", "many"])
def test_a_head_without_end(shell: Shell, net: Net, head: bytes) -> None:
    """A head over the limit is refused, and no more of it is read."""

    def bomb(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 200 OK\r\n" + head)

    server = net.serve(bomb)
    with pytest.raises(RemoteProtocolError, match="65536|limit"):
        shell.client(server).call(GET)
    server.wait_until_left()


def test_a_long_error_keeps_its_status(shell: Shell, net: Net) -> None:
    """An error body is cut at its limit, however long it says it is; the status is what counts."""

    def flood(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 400 Bad\r\nContent-Length: 100000000000\r\n\r\n" + b"x" * 300_000)

    server = net.serve(flood)
    with pytest.raises(BadRequestError) as caught:
        shell.client(server).call(GET)
    assert caught.value.body == "x" * 65536
    server.wait_until_left()


def test_an_error_without_end_keeps_its_status(shell: Shell, net: Net) -> None:
    """The same in chunks."""

    def flood(connection: Connection) -> None:
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        connection.answer(b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 3)

    server = net.serve(flood)
    with pytest.raises(BadRequestError):
        shell.client(server).call(GET)
    server.wait_until_left()


def test_the_page_of_a_gateway(shell: Shell, net: Net) -> None:
    """HTML becomes one sentence."""
    page = b"<html><head><title>502 Bad Gateway</title></head><body>" + b"x" * 5000 + b"</body></html>"
    server = net.serve([net.response(502, page, "Content-Type: text/html")])
    with pytest.raises(ApiError, match="502 Bad Gateway") as caught:
        shell.client(server, max_retries=0).call(GET)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("size", [0, 1, 17, 40, 63])
def test_whatever_is_cut_ends_as_one_of_ours(shell: Shell, net: Net, size: int) -> None:
    """Wherever an answer ends too early: a transport error, never another exception."""

    def cut(connection: Connection) -> None:
        connection.answer(net.response(200, b'{"a": 1}', "X-Filler: filler")[:size])
        connection.close()

    with pytest.raises(TransportError):
        shell.client(net.serve(cut), max_retries=0).call(POST)


@CLEAR_ONLY
def test_tls_against_a_server_in_clear(shell: Shell, net: Net) -> None:
    """The server answers the handshake with an HTTP error; nothing of the request is sent."""

    def clear(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = net.serve_clear(clear)
    with pytest.raises(ConnectError):
        shell.client(base_url=server.url.replace("http:", "https:"), max_retries=0).call(POST)
    assert server.requests == []


@CLEAR_ONLY
def test_clear_against_a_server_that_wants_tls(shell: Shell, net: Net) -> None:
    """An alert is no HTTP."""

    def alert(connection: Connection) -> None:
        connection.answer(b"\x15\x03\x01\x00\x02\x02\x46")
        connection.close()

    with pytest.raises(CartesiaError):
        shell.client(net.serve_clear(alert), max_retries=0).call(POST)


@CLEAR_ONLY
def test_a_handshake_that_never_ends(shell: Shell, net: Net) -> None:
    """The TLS handshake has its own bound."""
    server = net.serve_clear([])
    with pytest.raises(TimeoutError) as caught:
        shell.client(base_url=server.url.replace("http:", "https:"), timeout=LONGER, max_retries=0).call(POST)
    assert caught.value.phase == "handshake"
    server.wait_until_left()
