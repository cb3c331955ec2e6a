"""What a request looks like on the wire, and which connection carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cartesia_proto.call import Call
from cartesia_proto.config import DEFAULT_VERSION, USER_AGENT
from cartesia_proto.errors import ApiError, LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell

GET = Call.json("GET", "/thing")
POST = Call.json("POST", "/things", body={"a": [1, "é"]})


def test_a_call_answers_with_its_value(shell: Shell, net: Net) -> None:
    """A value goes out, a value comes back."""
    server = net.serve([net.response(200, b'{"b": 2}')])
    assert shell.client(server).call(POST) == {"b": 2}
    assert server.requests[0].body == '{"a":[1,"é"]}'.encode()


def test_a_request_on_the_wire(shell: Shell, net: Net) -> None:
    """Method, target and every header the protocol asks for, each once, and none that tells of the runtime."""
    server = net.serve([net.response(200, b"{}")])
    options = {"additional_query_parameters": {"q": "a b"}, "additional_headers": {"X-Trace": "7"}}
    call = Call.json("POST", "/things", body={}, request_options=options)  # type: ignore[arg-type]  # a plain dict
    shell.client(server, headers={"X-Mine": "1"}).call(call)
    (seen,) = server.requests
    assert seen.line == "POST /things?q=a%20b HTTP/1.1"
    assert {name.lower(): value for name, value in seen.fields if name.lower() != "connection"} == {
        "host": f"127.0.0.1:{server.port}",
        "authorization": "Bearer sk_car_test",
        "cartesia-version": DEFAULT_VERSION,
        "content-type": "application/json",
        "content-length": "2",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": USER_AGENT,
        "x-mine": "1",
        "x-trace": "7",
    }


def test_a_get_has_no_body(shell: Shell, net: Net) -> None:
    """No content type, and no length but perhaps zero."""
    server = net.serve([net.response(200, b"{}")])
    shell.client(server).call(GET)
    (seen,) = server.requests
    assert seen.line == "GET /thing HTTP/1.1"
    assert seen.header("content-type") is None
    assert seen.header("content-length") in (None, "0")
    assert seen.header("transfer-encoding") is None


def test_an_old_version_takes_the_key_in_its_own_header(shell: Shell, net: Net) -> None:
    """Before 2025-04-16 the key goes as X-API-Key and not as Bearer."""
    server = net.serve([net.response(200, b"{}")])
    shell.client(server, version="2024-06-10").call(GET)
    (seen,) = server.requests
    assert seen.header("x-api-key") == "sk_car_test"
    assert seen.header("authorization") is None
    assert seen.header("cartesia-version") == "2024-06-10"


def test_a_token_goes_as_bearer(shell: Shell, net: Net) -> None:
    """Under every version."""
    server = net.serve([net.response(200, b"{}")])
    shell.client(server, api_key=None, token="tok", version="2024-06-10").call(GET)
    assert server.requests[0].header("authorization") == "Bearer tok"
    assert server.requests[0].header("x-api-key") is None


def test_the_environment_names_key_and_server(shell: Shell, net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """`CARTESIA_API_KEY` and `CARTESIA_BASE_URL` hold where nothing explicit is given."""
    server = net.serve([net.response(200, b"{}")])
    monkeypatch.setenv("CARTESIA_API_KEY", "sk_car_environment")
    monkeypatch.setenv("CARTESIA_BASE_URL", f"{server.url}/base/")
    shell.client(api_key=None).call(GET)
    assert server.requests[0].line == "GET /base/thing HTTP/1.1"
    assert server.requests[0].header("authorization") == "Bearer sk_car_environment"


def test_a_call_without_credentials_is_refused_before_it_is_sent(shell: Shell, net: Net) -> None:
    """The message names the ways out; no connection is made."""
    server = net.serve()
    with pytest.raises(LocalProtocolError, match="api_key="):
        shell.client(server, api_key=None).call(GET)
    assert server.opened == 0


def test_a_key_and_a_token_are_refused(shell: Shell) -> None:
    """One of them must go."""
    with pytest.raises(LocalProtocolError, match="both"):
        shell.client(api_key="sk_car_test", token="tok")


def test_names_are_looked_up(shell: Shell, net: Net) -> None:
    """A host name works as an address does, and TLS is checked against it."""
    server = net.serve([net.response(200, b"{}")])
    server.url = server.url.replace("127.0.0.1", "localhost")
    assert shell.client(server).call(GET) == {}
    assert server.requests[0].header("host") == f"localhost:{server.port}"


def test_a_connection_is_kept(shell: Shell, net: Net) -> None:
    """Three calls, one connection."""
    server = net.serve([net.response(200, b"%d" % number) for number in range(3)])
    client = shell.client(server)
    assert [client.call(POST) for _ in range(3)] == [0, 1, 2]
    assert server.opened == 1


def test_a_connection_is_kept_after_an_error_status(shell: Shell, net: Net) -> None:
    """An error that was read whole spoils nothing."""
    server = net.serve([net.response(404, b"no"), net.response(200, b"{}")])
    client = shell.client(server)
    with pytest.raises(ApiError):
        client.call(GET)
    assert client.call(GET) == {}
    assert server.opened == 1


def test_chunked_bodies_are_put_together(shell: Shell, net: Net) -> None:
    """Chunks, extensions and trailers leave no trace, and the connection is kept."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n[1,\r\n2\r\n2]\r\n0\r\nT: 1\r\n\r\n"
    server = net.serve([chunked, net.response(200, b"3")])
    client = shell.client(server)
    assert client.call(GET) == [1, 2]
    assert client.call(GET) == 3
    assert server.opened == 1


def test_a_response_in_single_bytes(shell: Shell, net: Net) -> None:
    """However the network cuts a response, it means the same."""

    def dribble(connection: Connection) -> None:
        connection.request()
        for byte in net.response(200, b'{"a": 1}', "X-Request-Id: r"):
            connection.send(bytes([byte]))

    server = net.serve(dribble)
    assert shell.client(server).call(GET) == {"a": 1}


def test_connection_close_is_honoured(shell: Shell, net: Net) -> None:
    """The server says that it closes: the client leaves, and the next call makes a new connection."""
    server = net.serve([net.response(200, b"1", "Connection: close")], [net.response(200, b"2")])
    client = shell.client(server)
    assert client.call(GET) == 1
    server.wait_until_left()
    assert client.call(GET) == 2
    assert server.opened == 2


def test_a_body_may_end_with_the_connection(shell: Shell, net: Net) -> None:
    """Without length and chunks the end of the connection is the end of the body; it is not used again."""

    def until_the_end(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 200 OK\r\n\r\n[1, 2]")
        connection.finish()

    server = net.serve(until_the_end, [net.response(200, b"3")])
    client = shell.client(server)
    assert client.call(GET) == [1, 2]
    assert client.call(GET) == 3


@pytest.mark.parametrize("call", [GET, POST], ids=["GET", "POST"])
def test_a_stale_connection_is_replaced(shell: Shell, net: Net, call: Call[object]) -> None:
    """A kept connection that the server closes on the next request is replaced once; this is no retry."""

    def once_only(connection: Connection) -> None:
        connection.answer(net.response(200, b"1"))
        connection.request()
        connection.close()

    server = net.serve(once_only, [net.response(200, b"2")])
    client = shell.client(server, max_retries=0)
    assert client.call(call) == 1
    assert client.call(call) == 2
    assert server.opened == 2
    assert len(server.requests) == 3


def test_an_idle_connection_that_ended_is_replaced(shell: Shell, net: Net) -> None:
    """A server that closes between two requests is not noticed by the caller."""

    def leave(connection: Connection) -> None:
        connection.answer(net.response(200, b"1"))
        connection.close()

    server = net.serve(leave, [net.response(200, b"2")])
    client = shell.client(server, max_retries=0)
    assert client.call(POST) == 1
    server.wait_until_left()
    assert client.call(POST) == 2


def test_an_interim_response_is_skipped(shell: Shell, net: Net) -> None:
    """1xx before the answer means nothing here."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    server = net.serve([interim + net.response(200, b"1"), net.response(200, b"2")])
    client = shell.client(server)
    assert [client.call(GET), client.call(GET)] == [1, 2]
    assert server.opened == 1


def test_no_content_has_no_body(shell: Shell, net: Net) -> None:
    """After a 204 the next response begins at once."""
    server = net.serve([b"HTTP/1.1 204 No Content\r\n\r\n", net.response(200, b"2")])
    client = shell.client(server)
    assert client.call(Call.json("DELETE", "/thing")) is None
    assert client.call(GET) == 2
    assert server.opened == 1


def test_a_head_request_has_no_answer_body(shell: Shell, net: Net) -> None:
    """The length tells of a body that does not come."""
    server = net.serve([b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", net.response(200, b"2")])
    client = shell.client(server)
    assert client.call(Call.json("HEAD", "/thing")) is None
    assert client.call(GET) == 2
    assert server.opened == 1


def test_a_compressed_body_is_refused(shell: Shell, net: Net) -> None:
    """Nothing but identity was asked for; the message names what came."""
    server = net.serve([net.response(200, b"\x1f\x8b", "Content-Encoding: gzip")])
    with pytest.raises(RemoteProtocolError, match="gzip"):
        shell.client(server).call(GET)


def test_a_body_that_is_no_json_is_refused(shell: Shell, net: Net) -> None:
    """The connection was read to the end and is kept."""
    server = net.serve([net.response(200, b"<html>"), net.response(200, b"2")])
    client = shell.client(server)
    with pytest.raises(RemoteProtocolError):
        client.call(GET)
    assert client.call(GET) == 2
    assert server.opened == 1


def test_other_defaults_use_the_same_connections(shell: Shell, net: Net) -> None:
    """`with_options` changes what is asked, not how it travels; the first client is as it was."""
    server = net.serve([net.response(200, b"1")] * 3)
    client = shell.client(server, headers={"X-A": "1"})
    other = client.with_options(version="2025-04-16", headers={"X-B": "2"})
    for each in (client, other, client):
        each.call(GET)
    assert [seen.header("cartesia-version") for seen in server.requests] == [
        DEFAULT_VERSION,
        "2025-04-16",
        DEFAULT_VERSION,
    ]
    assert [seen.header("x-a") for seen in server.requests] == ["1", "1", "1"]
    assert [seen.header("x-b") for seen in server.requests] == [None, "2", None]
    assert server.opened == 1


def test_a_closed_client_refuses_calls(shell: Shell, net: Net) -> None:
    """Closing leaves no connection open; a call after it is the caller's mistake. Closing again does nothing."""
    server = net.serve([net.response(200, b"1")])
    client = shell.client(server)
    client.call(GET)
    client.close()
    server.wait_until_left()
    with pytest.raises(LocalProtocolError, match="closed"):
        client.call(GET)
    client.close()
    assert server.opened == 1
