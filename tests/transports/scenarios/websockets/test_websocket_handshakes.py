"""How a WebSocket comes about, or why it does not."""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.errors import (
    ApiError,
    AuthenticationError,
    CartesiaError,
    ConnectError,
    ConnectionLost,
    LocalProtocolError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TimeoutError,
)
from cartesia_proto.sessions.states import State
from tests.conftest import WAIT

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell
    from tests.transports.scenarios.websockets.conftest import Peer, Socket, Stage

CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)
TLS_ONLY = pytest.mark.parametrize("net", ["tls"], indirect=True)
SHORT = 0.5
"""Seconds: a timeout that is meant to be met, and not before there is a connection."""
REFUSAL = b'{"title": "No", "message": "not you", "error_code": "nope", "request_id": "r-1"}'


def answer_all(stage: Stage) -> Callable[[Peer], None]:
    """The script of a peer that answers every finished context, until the client leaves."""

    def script(peer: Peer) -> None:
        while True:
            fields = peer.hear()
            if fields.get("continue") is False:
                id = str(fields["context_id"])
                peer.say(stage.chunk(id, b"audio."), stage.done(id))

    return script


def speak(ws: Socket) -> bytes:
    """One text, spoken."""
    return ws.whole("Hello").data


def refused(ws: Socket, kind: type[CartesiaError]) -> CartesiaError:
    """Why there is no connection; each way to ask for one tells it, and nothing has begun."""
    with pytest.raises(kind) as caught:
        ws.connect()
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationError),
        (402, PaymentRequiredError),
        (403, PermissionDeniedError),
        (429, RateLimitError),
        (503, ServerError),
    ],
)
def test_rejections(shell: Shell, net: Net, stage: Stage, status: int, kind: type[ApiError]) -> None:
    """The error says what any other request's would: status, body and request id."""
    server = net.serve([net.response(status, REFUSAL, "Content-Type: application/json", "Connection: close")])
    with stage.websocket(shell.client(server, max_retries=0)) as ws:
        error = refused(ws, kind)
    assert isinstance(error, ApiError)
    assert (error.status_code, error.title, error.message) == (status, "No", "not you")
    assert (error.error_code, error.request_id) == ("nope", "r-1")
    assert isinstance(error.body, dict)
    server.wait_until_left()


@CLEAR_ONLY
def test_a_rejection_in_plain_text(shell: Shell, net: Net, stage: Stage) -> None:
    """As the older versions have it; the request id stands in a header, and the end of the body is that of all."""
    head = b"HTTP/1.1 401 No\r\nX-Request-Id: r-2\r\n\r\n"

    def script(connection: Connection) -> None:
        connection.answer(head + b"Unauthorized: who are you?")
        connection.finish()

    with stage.websocket(shell.client(net.serve(script))) as ws:
        error = refused(ws, AuthenticationError)
    assert isinstance(error, AuthenticationError)
    assert error.request_id == "r-2"
    assert error.body == "Unauthorized: who are you?"


@CLEAR_ONLY
def test_what_asks_for_a_connection(shell: Shell, net: Net, stage: Stage) -> None:
    """Whatever is first: each tells why there is none, the next one tries again, and then it works."""
    no = net.response(401, b"no", "Connection: close")
    server = net.serve(*[[no]] * 4, stage.script(answer_all(stage)))
    with stage.websocket(shell.client(server)) as ws:
        context = ws.context()
        whole = ws.send("Hello")
        verbs: list[Callable[[], object]] = [
            ws.run,
            lambda: context.push("Hello"),
            lambda: next(iter(whole)),
            lambda: speak(ws),
        ]
        for verb in verbs:
            with pytest.raises(AuthenticationError):
                verb()
        assert context.state is State.NEW
        context.push("Hello")
        context.finish()
        assert stage.listen(context).audio == b"audio."
        heard = stage.listen(whole)
        assert (heard.audio, heard.error) == (b"audio.", None)
        assert speak(ws) == b"audio."
    assert server.opened == 5


def test_one_connection_for_all_who_ask(stage: Stage, net: Net) -> None:
    """Contexts that begin at the same time wait for the same handshake."""
    server = stage.serve(answer_all(stage))
    with stage.meet(server) as ws:
        jobs = [net.start(lambda: speak(ws)) for _ in range(8)]
        assert [job.result() for job in jobs] == [b"audio."] * 8
    assert server.opened == 1


def test_the_request(shell: Shell, stage: Stage) -> None:
    """Path, version and key in the headers, whichever header it is; nothing of it in the URL."""
    server = stage.serve(*[answer_all(stage)] * 3)
    for client in (
        shell.client(server, api_key="sk_car_x"),
        shell.client(server, api_key=None, token="eyJ.t"),
        shell.client(server, version="2024-06-10"),
    ):
        with stage.websocket(client) as ws:
            ws.connect()
    key, token, old = server.requests
    assert all(seen.line == "GET /tts/websocket HTTP/1.1" for seen in server.requests)
    assert key.header("authorization") == "Bearer sk_car_x"
    assert token.header("authorization") == "Bearer eyJ.t"
    assert (key.header("cartesia-version"), old.header("cartesia-version")) == ("2026-08-14", "2024-06-10")
    assert (old.header("x-api-key"), old.header("authorization")) == ("sk_car_test", None)
    assert key.header("sec-websocket-extensions") is None


def test_compression_is_asked_for(stage: Stage) -> None:
    """Only where the caller wants it; it changes nothing that is heard."""
    server = stage.serve(answer_all(stage), deflate=True)
    with stage.meet(server, deflate=True) as ws:
        assert speak(ws) == b"audio."
    assert "permessage-deflate" in (server.requests[0].header("sec-websocket-extensions") or "")


@CLEAR_ONLY
def test_no_credentials(shell: Shell, stage: Stage) -> None:
    """Said before anything is sent."""
    server = stage.serve()
    with stage.websocket(shell.client(server, api_key=None)) as ws:
        with pytest.raises(LocalProtocolError, match="credentials"):
            ws.connect()
    assert server.opened == 0


def test_too_many_sockets(shell: Shell, net: Net, stage: Stage) -> None:
    """429 is tried again after as long as the server says."""
    busy = net.response(429, b"", "retry-after-ms: 1", "Connection: close")
    server = net.serve([busy], [busy], stage.script(answer_all(stage)))
    with stage.websocket(shell.client(server, max_retries=2)) as ws:
        assert speak(ws) == b"audio."
    assert server.opened == 3


@CLEAR_ONLY
def test_too_many_sockets_for_long(shell: Shell, net: Net, stage: Stage) -> None:
    """Longer than anyone would wait: not tried again, and the error says for how long."""
    busy = net.response(429, b"", "Retry-After: 90", "Connection: close")
    with stage.websocket(shell.client(net.serve([busy]))) as ws:
        error = refused(ws, RateLimitError)
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 90


@pytest.mark.parametrize(
    "answer",
    [
        b"\0garbage\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 204 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n" + b"x" * 70_000,
    ],
    ids=["bytes", "accept", "bare", "ok", "empty", "endless"],
)
@CLEAR_ONLY
def test_an_answer_that_is_none(shell: Shell, net: Net, stage: Stage, answer: bytes) -> None:
    """What no WebSocket server says; the connection is closed."""
    server = net.serve([answer])
    with stage.websocket(shell.client(server)) as ws:
        refused(ws, RemoteProtocolError)
        server.wait_until_left()
    assert server.opened == 1


@CLEAR_ONLY
def test_no_answer_at_all(shell: Shell, net: Net, stage: Stage) -> None:
    """The connection ends before, or in the middle of, the answer: a connection lost, and tried again."""

    def leave(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 101 Swi")
        connection.finish()

    with stage.websocket(shell.client(net.serve(leave), max_retries=0)) as ws:
        refused(ws, ConnectionLost)
    server = net.serve(leave, stage.script(answer_all(stage)))
    with stage.websocket(shell.client(server, max_retries=1)) as ws:
        assert speak(ws) == b"audio."


def test_a_goodbye_with_the_answer(stage: Stage) -> None:
    """A connection that was never one: tried again, or, where it was one for a moment, lost; then it works."""
    server = stage.serve(lambda peer: peer.close(1013, "later"), answer_all(stage))
    with stage.meet(server) as ws:
        with suppress(ConnectionLost):
            assert speak(ws) == b"audio."
        assert speak(ws) == b"audio."
    assert server.opened == 2


def test_an_answer_that_never_comes(shell: Shell, net: Net, stage: Stage) -> None:
    """The timeout holds for the handshake as a whole, however slowly the server speaks."""
    server = net.serve([b"HTTP/1.1 101 Switching\r\n"])
    with stage.websocket(shell.client(server, timeout=SHORT, max_retries=0)) as ws:
        error = refused(ws, TimeoutError)
        assert isinstance(error, TimeoutError)
        assert (error.phase, error.scope) == ("handshake", "connection")
        server.wait_until_left()


@CLEAR_ONLY
def test_the_timeout_is_not_for_reading(shell: Shell, net: Net, stage: Stage) -> None:
    """Once connected, a peer may think for longer than the timeout, where a context says so."""

    def script(peer: Peer) -> None:
        peer.hear()
        for _ in range(4):  # of silence, each a good part of the timeout
            peer.hear_control(0x9)
        peer.say(stage.chunk("a", b"a1"), stage.done("a"))

    client = shell.client(stage.serve(script), timeout=2 * SHORT)
    with stage.websocket(client, ping_interval=0.7 * SHORT, ping_timeout=WAIT) as ws:
        assert stage.listen(ws.send("Hello", context_id="a", stall_timeout=math.inf)).audio == b"a1"


@CLEAR_ONLY
def test_nobody_listens(shell: Shell, net: Net, stage: Stage) -> None:
    """No connection, and no guess why."""
    client = shell.client(base_url=f"http://127.0.0.1:{net.unused_port()}", max_retries=0)
    with stage.websocket(client) as ws:
        refused(ws, ConnectError)


@TLS_ONLY
def test_an_unknown_authority(shell: Shell, stage: Stage) -> None:
    """Certificates are verified; nothing of the request is sent."""
    server = stage.serve(lambda _: None)
    with stage.websocket(shell.client(server, ssl_context=None)) as ws:
        with pytest.raises(ConnectError, match="(?i)certificate"):
            ws.connect()
    assert server.requests == []


@TLS_ONLY
def test_a_context_of_ones_own(shell: Shell, stage: Stage) -> None:
    """What the caller's TLS context allows holds."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    with stage.websocket(shell.client(stage.serve(answer_all(stage)), ssl_context=trusting)) as ws:
        assert speak(ws) == b"audio."


def test_a_proxy(shell: Shell, net: Net, stage: Stage) -> None:
    """CONNECT, in clear and for TLS alike: the proxy learns where to, and no credential of ours."""
    server, proxy = stage.serve(answer_all(stage)), net.proxy()
    with stage.websocket(shell.client(server, proxy=f"http://me:secret@127.0.0.1:{proxy.port}")) as ws:
        assert speak(ws) == b"audio."
    (asked,) = proxy.requests
    assert asked.line == f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"
    assert asked.header("authorization") is None
    assert server.requests[0].header("proxy-authorization") is None


def test_a_proxy_that_refuses(shell: Shell, net: Net, stage: Stage) -> None:
    """Nothing was sent to the server."""
    server = stage.serve()
    proxy = net.serve_clear([net.response(407, b"", "Connection: close")])
    with stage.websocket(shell.client(server, proxy=f"http://127.0.0.1:{proxy.port}", max_retries=0)) as ws:
        refused(ws, ConnectError)
    assert server.opened == 0


def test_a_connection_of_ones_own(shell: Shell, stage: Stage) -> None:
    """Called once for each connection; TLS is ours."""

    def leave(peer: Peer) -> None:
        peer.link.ping()
        peer.flush()
        peer.hear_control(0xA)
        peer.close()

    server = stage.serve(leave, answer_all(stage))
    with stage.websocket(shell.client(server, "ours")) as ws:
        ws.run()
        assert speak(ws) == b"audio."
    assert shell.asked == [("127.0.0.1", server.port)] * 2


def test_an_address_of_ones_own(shell: Shell, stage: Stage) -> None:
    """The address that connections leave from."""
    hosts: list[str] = []

    def script(peer: Peer) -> None:
        hosts.append(peer.connection.socket.getpeername()[0])

    with stage.websocket(shell.client(stage.serve(script), local_address="127.0.0.2")) as ws:
        ws.connect()
    assert hosts == ["127.0.0.2"]
