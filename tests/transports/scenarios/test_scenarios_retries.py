"""What is tried again and what is not; where redirects lead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cartesia_proto.call import Call
from cartesia_proto.errors import (
    ApiError,
    BadRequestError,
    ConnectError,
    ConnectionLost,
    LocalProtocolError,
    RateLimitError,
    ServerError,
)

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell

GET = Call.json("GET", "/thing")
POST = Call.json("POST", "/things", body={"a": 1})
NOW = "Retry-After: 0"


def drop(connection: Connection) -> None:
    """Take a request and close without a word."""
    connection.request()
    connection.close()


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_passes_is_tried_again(shell: Shell, net: Net, status: int) -> None:
    """The same request, whole, for every method, on the same connection."""
    server = net.serve(
        [net.response(status, b"busy", NOW), net.response(status, b"", "retry-after-ms: 1"), net.response(200, b"3")]
    )
    assert shell.client(server).call(POST) == 3
    assert [seen.body for seen in server.requests] == [b'{"a":1}'] * 3
    assert server.opened == 1


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimitError), (503, ServerError)])
def test_retries_run_out(shell: Shell, net: Net, status: int, kind: type[ApiError]) -> None:
    """The last answer is the error."""
    server = net.serve([net.response(status, b"busy", NOW, f"X-Request-Id: {number}") for number in range(3)])
    with pytest.raises(kind, match="busy") as caught:
        shell.client(server).call(GET)
    assert caught.value.status_code == status
    assert caught.value.request_id == "2"
    assert caught.value.retry_after == 0


def test_the_number_of_retries_is_the_callers(shell: Shell, net: Net) -> None:
    """Per client and per call; the call wins."""
    server = net.serve([net.response(503, b"", NOW)] * 3)
    client = shell.client(server, max_retries=0)
    with pytest.raises(ServerError):
        client.call(GET)
    assert len(server.requests) == 1
    with pytest.raises(ServerError):
        client.call(Call.json("GET", "/thing", request_options={"max_retries": 1}))
    assert len(server.requests) == 3


def test_what_does_not_pass_is_final(shell: Shell, net: Net) -> None:
    """A mistake stays a mistake."""
    server = net.serve([net.response(400, b'{"title": "Bad", "message": "no voice", "error_code": "x"}')])
    with pytest.raises(BadRequestError, match="no voice") as caught:
        shell.client(server).call(GET)
    assert caught.value.error_code == "x"
    assert len(server.requests) == 1


def test_a_wait_of_over_a_minute_is_left_to_the_caller(shell: Shell, net: Net) -> None:
    """The error says how long."""
    server = net.serve([net.response(429, b"", "Retry-After: 3600")])
    with pytest.raises(RateLimitError) as caught:
        shell.client(server).call(GET)
    assert caught.value.retry_after == 3600


def test_a_get_survives_a_lost_connection(shell: Shell, net: Net) -> None:
    """Asking twice changes nothing on the server, so it is asked again."""
    server = net.serve(drop, [net.response(200, b"2")])
    assert shell.client(server, max_retries=1).call(GET) == 2
    assert server.opened == 2


def test_a_post_does_not(shell: Shell, net: Net) -> None:
    """The server may have acted; the caller decides."""
    server = net.serve(drop)
    with pytest.raises(ConnectionLost):
        shell.client(server).call(POST)
    assert len(server.requests) == 1


def test_a_replaced_connection_is_fresh(shell: Shell, net: Net) -> None:
    """A stale connection is replaced once: when the fresh one is lost too, that counts as what it is."""

    def stale(connection: Connection) -> None:
        connection.answer(net.response(200, b"1"))
        drop(connection)

    server = net.serve(stale, drop)
    client = shell.client(server, max_retries=0)
    client.call(POST)
    with pytest.raises(ConnectionLost):
        client.call(POST)
    assert server.opened == 2


def test_nobody_listens(shell: Shell, net: Net) -> None:
    """Nothing was sent; the message names the address."""
    port = net.unused_port()
    with pytest.raises(ConnectError, match=str(port)):
        shell.client(base_url=f"http://127.0.0.1:{port}", max_retries=0).call(POST)


def test_a_name_that_is_none(shell: Shell) -> None:
    """A name that can be none is refused before anything is asked (RFC 1035 section 2.3.4: 63 characters a label)."""
    with pytest.raises(LocalProtocolError, match="63 characters"):
        shell.client(base_url=f"https://{'x' * 64}.invalid")


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_keeps_method_and_body(shell: Shell, net: Net, status: int) -> None:
    """On the same origin, with the credential, and it is no retry."""
    server = net.serve([net.response(status, b"", "Location: /v2/things?x=1"), net.response(200, b"2")])
    assert shell.client(server, max_retries=0).call(POST) == 2
    assert [seen.line for seen in server.requests] == ["POST /things HTTP/1.1", "POST /v2/things?x=1 HTTP/1.1"]
    assert server.requests[1].body == b'{"a":1}'
    assert server.requests[1].header("authorization") == "Bearer sk_car_test"


def test_old_redirects_are_followed_for_get_alone(shell: Shell, net: Net) -> None:
    """301 to 303 would turn a POST into something else."""
    server = net.serve([net.response(302, b"", "Location: other"), net.response(200, b"2"), net.response(303, b"")])
    client = shell.client(server)
    assert client.call(GET) == 2
    assert server.requests[1].line == "GET /other HTTP/1.1"
    with pytest.raises(ApiError) as caught:
        client.call(POST)
    assert caught.value.status_code == 303
    assert len(server.requests) == 3


def test_the_credential_stays_at_home(shell: Shell, net: Net) -> None:
    """A redirect to another origin is not followed: nobody even connects there."""
    stranger = net.serve()
    server = net.serve([net.response(307, b"", f"Location: {stranger.url}/things")])
    with pytest.raises(ApiError, match="same origin") as caught:
        shell.client(server).call(POST)
    assert caught.value.status_code == 307
    assert stranger.opened == 0


def test_five_redirects_and_no_more(shell: Shell, net: Net) -> None:
    """A loop ends."""
    server = net.serve([net.response(307, b"", "Location: /thing")] * 6)
    with pytest.raises(ApiError, match="at most 5"):
        shell.client(server).call(GET)
    assert len(server.requests) == 6


@pytest.mark.parametrize("status", [300, 304, 399])
def test_other_answers_of_its_kind_are_errors(shell: Shell, net: Net, status: int) -> None:
    """Nobody asked a question that 3xx could answer."""
    server = net.serve([f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n".encode()])
    with pytest.raises(ApiError) as caught:
        shell.client(server).call(GET)
    assert caught.value.status_code == status
