"""How a connection comes about: TLS, proxies, addresses and connections of the caller's own making."""

from __future__ import annotations

import base64
import ssl
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.call import Call
from cartesia_proto.errors import (
    ConnectError,
    ConnectionLost,
    LocalProtocolError,
    PermissionDeniedError,
    RemoteProtocolError,
    TimeoutError,
)

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net, Server
    from tests.transports.scenarios.conftest import Shell

GET = Call.json("GET", "/thing")
POST = Call.json("POST", "/things", body={"a": 1})
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPEAK = TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)
TLS_ONLY = pytest.mark.parametrize("net", ["tls"], indirect=True)
SHORT = 0.5
"""Seconds: a timeout that is meant to be met, and not before there is a connection."""


def through(proxy: Server, userinfo: str = "") -> str:
    """The URL of a proxy."""
    return f"http://{userinfo}{'@' if userinfo else ''}127.0.0.1:{proxy.port}"


@TLS_ONLY
def test_an_unknown_authority_is_refused(shell: Shell, net: Net) -> None:
    """Certificates are verified by default; nothing of the request is sent, and it is not tried again."""
    server = net.serve([])
    with pytest.raises(ConnectError, match="(?i)certificate"):
        shell.client(server, ssl_context=None).call(POST)
    assert server.requests == []
    assert server.opened == 1


@TLS_ONLY
def test_another_host_is_refused(shell: Shell, net: Net) -> None:
    """A valid certificate of somebody else proves nothing."""
    server = net.serve([])
    server.url = server.url.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(ConnectError):
        shell.client(base_url=f"https://127.0.0.2:{server.port}", max_retries=0, proxy="").call(POST)
    assert server.requests == []


@TLS_ONLY
def test_a_context_of_ones_own(shell: Shell, net: Net) -> None:
    """What the caller's context allows holds, here: a server without a certificate that anyone could check."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    server = net.serve([net.response(200, b"1")])
    assert shell.client(server, ssl_context=trusting).call(GET) == 1


@TLS_ONLY
def test_a_proxy(shell: Shell, net: Net) -> None:
    """CONNECT for TLS: the proxy learns where to, and no credential of ours."""
    server = net.serve([net.response(200, b"1"), net.response(200, b"2")])
    proxy = net.proxy()
    client = shell.client(server, proxy=through(proxy))
    assert [client.call(POST), client.call(POST)] == [1, 2]
    (asked,) = proxy.requests
    assert asked.line == f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"
    assert asked.header("host") == f"127.0.0.1:{server.port}"
    assert asked.header("proxy-authorization") is None
    assert asked.header("authorization") is None
    assert server.requests[0].header("host") == f"127.0.0.1:{server.port}"


@CLEAR_ONLY
def test_a_proxy_in_clear(shell: Shell, net: Net) -> None:
    """It is asked for each resource itself, in absolute form, on one connection (RFC 9112 section 3.2.2)."""
    server = net.serve([net.response(200, b"1"), net.response(200, b"2")])
    proxy = net.proxy()
    client = shell.client(server, proxy=through(proxy, "me:pass"))
    assert [client.call(POST), client.call(GET)] == [1, 2]
    place = f"127.0.0.1:{server.port}"
    assert [asked.line.split()[:2] for asked in proxy.requests] == [
        ["POST", f"http://{place}/things"],
        ["GET", f"http://{place}/thing"],
    ]
    assert {asked.header("host") for asked in proxy.requests} == {place}
    basic = f"Basic {base64.b64encode(b'me:pass').decode()}"
    assert {asked.header("proxy-authorization") for asked in proxy.requests} == {basic}
    assert proxy.opened == 1


def test_a_proxy_that_wants_a_password(shell: Shell, net: Net) -> None:
    """Basic, percent-decoded, in UTF-8; and only the proxy sees it."""
    server = net.serve([net.response(200, b"1")])
    proxy = net.proxy()
    assert shell.client(server, proxy=through(proxy, "me:p%40ss%C3%A9")).call(POST) == 1
    expected = base64.b64encode("me:p@ssé".encode()).decode()
    assert proxy.requests[0].header("proxy-authorization") == f"Basic {expected}"
    assert server.requests[0].header("proxy-authorization") is None


def test_a_proxy_from_the_environment(shell: Shell, net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual variables; `no_proxy` and an empty `proxy` go past it."""
    server = net.serve(*[[net.response(200, b"1")]] * 3)
    proxy = net.proxy()
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", through(proxy))
    assert shell.client(server, proxy=None).call(GET) == 1
    assert proxy.opened == 1
    assert shell.client(server, proxy="").call(GET) == 1
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert shell.client(server, proxy=None).call(GET) == 1
    assert proxy.opened == 1


def test_a_stream_through_a_proxy(shell: Shell, net: Net) -> None:
    """Leaving early closes both halves of the way."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nContent-Length: 100\r\n\r\n"
    server = net.serve([head + b"\1\0"])
    proxy = net.proxy()
    with shell.client(server, proxy=through(proxy)).stream(SPEAK) as stream:
        assert next(iter(stream)) == b"\1\0"
    server.wait_until_left()
    proxy.wait_until_left()


@pytest.mark.parametrize(
    ("userinfo", "status", "message"),
    [("", 407, "URL"), ("me:wrong", 407, "refused its user name"), ("", 403, "403")],
    ids=["none", "wrong", "forbidden"],
)
def test_a_proxy_that_refuses(shell: Shell, net: Net, userinfo: str, status: int, message: str) -> None:
    """The message says what to do; what would be refused again is not tried again, and the proxy is left."""
    server = net.serve()
    proxy = net.serve_clear([net.response(status, b"go away", "Proxy-Authenticate: Basic")])
    # In clear it is asked for the resource itself, and a refusal other than 407 might be the origin's.
    expected = ConnectError if net.secure or status == 407 else PermissionDeniedError
    with pytest.raises(expected, match=message) as caught:
        shell.client(server, proxy=through(proxy, userinfo)).call(POST)
    assert not caught.value.retryable
    assert (proxy.opened, server.opened) == (1, 0)
    if expected is ConnectError:
        proxy.wait_until_left()


@CLEAR_ONLY
def test_a_proxy_that_is_busy(shell: Shell, net: Net) -> None:
    """Nothing has reached the server, so even a POST is tried again."""
    server = net.serve([net.response(200, b"1")])
    busy = [net.response(503, b"later", "Connection: close")]
    proxy = net.serve_clear(busy, net.tunnel)
    assert shell.client(server, proxy=through(proxy), max_retries=1).call(POST) == 1


@pytest.mark.parametrize("garbage", [b"\0\xff\0\xff\r\n\r\n", b"SSH-2.0-x\r\n", b""], ids=["binary", "ssh", "nothing"])
def test_a_proxy_that_speaks_no_http(shell: Shell, net: Net, garbage: bytes) -> None:
    """The proxy is named, not the server; in clear, the request may have reached it."""

    def babble(connection: Connection) -> None:
        connection.answer(garbage)
        connection.close()

    proxy = net.serve_clear(babble)
    expected = ConnectError if net.secure else (ConnectionLost, RemoteProtocolError)
    with pytest.raises(expected, match=f"proxy.*{proxy.port}"):
        shell.client(net.serve(), proxy=through(proxy), max_retries=0).call(POST)


def test_a_proxy_that_never_answers(shell: Shell, net: Net) -> None:
    """Bounded as every handshake."""
    proxy = net.serve_clear([b""])
    with pytest.raises(TimeoutError) as caught:
        shell.client(net.serve(), proxy=through(proxy), timeout=SHORT, max_retries=0).call(POST)
    assert caught.value.phase == ("handshake" if net.secure else "read")
    assert str(proxy.port) in str(caught.value)
    proxy.wait_until_left()


def test_a_proxy_that_is_not_there(shell: Shell, net: Net) -> None:
    """A failure to connect, which names the proxy."""
    port = net.unused_port()
    with pytest.raises(ConnectError, match=str(port)):
        shell.client(net.serve(), proxy=f"http://127.0.0.1:{port}", max_retries=0).call(POST)


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://", "http://a:b:c"])
def test_a_proxy_that_is_none(shell: Shell, net: Net, url: str) -> None:
    """A mistake of the caller, found before anything is sent."""
    server = net.serve()
    with pytest.raises(LocalProtocolError, match="(?i)proxy|proxies"):
        shell.client(server, proxy=url).call(POST)
    assert server.opened == 0


def test_a_local_address(shell: Shell, net: Net) -> None:
    """The connection comes from where the caller says."""
    peers: list[str] = []

    def note(connection: Connection) -> None:
        peers.append(connection.socket.getpeername()[0])
        connection.answer(net.response(200, b"1"))

    server = net.serve(note)
    assert shell.client(server, local_address="127.0.0.3").call(GET) == 1
    assert peers == ["127.0.0.3"]


def test_a_local_address_that_is_not_ours(shell: Shell, net: Net) -> None:
    """A failure to connect (RFC 5737 section 3: nobody has this address)."""
    with pytest.raises(ConnectError):
        shell.client(net.serve(), local_address="192.0.2.1", max_retries=0).call(GET)


def test_a_connection_of_ones_own(shell: Shell, net: Net) -> None:
    """Called for each new connection, with host and port; TLS is ours on top, and the connection is kept as any."""
    last = net.response(200, b"2", "Connection: close")
    server = net.serve([net.response(200, b"1"), last], [net.response(200, b"3")])
    client = shell.client(server, "ours")
    assert [client.call(GET) for _ in range(3)] == [1, 2, 3]
    assert shell.asked == [("127.0.0.1", server.port)] * 2


def test_a_connection_of_ones_own_to_a_proxy(shell: Shell, net: Net) -> None:
    """With a proxy, the proxy is what is connected to."""
    server = net.serve([net.response(200, b"1")])
    proxy = net.proxy()
    assert shell.client(server, "ours", proxy=through(proxy)).call(GET) == 1
    assert shell.asked == [("127.0.0.1", proxy.port)]


def test_a_connection_of_ones_own_that_fails(shell: Shell, net: Net) -> None:
    """What the operating system says becomes one of our errors."""
    port = net.unused_port()
    with pytest.raises(ConnectError):
        shell.client(None, "ours", base_url=f"http://127.0.0.1:{port}", max_retries=0).call(GET)
    assert shell.asked == [("127.0.0.1", port)]
