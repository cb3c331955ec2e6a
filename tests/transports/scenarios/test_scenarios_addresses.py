"""Names, addresses and what a TLS context says: how a connection finds its way on every transport."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.call import Call
from cartesia_proto.errors import BadRequestError, ConnectError, LocalProtocolError, ServerError
from tests.conftest import WAIT

if TYPE_CHECKING:
    from pathlib import Path

    import trustme

    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell

GET = Call.json("GET", "/thing")
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPEAK = TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)
TLS_ONLY = pytest.mark.parametrize("net", ["tls"], indirect=True)
GOOD, REFUSING, ALSO_REFUSING, SILENT, NOWHERE = "127.0.0.1", "127.0.0.9", "127.0.0.8", "127.0.0.7", "ff0e::1"
"""NOWHERE is a group (RFC 4291 section 2.7): the system refuses at once to connect to it, if it has IPv6 at all."""


class Names:
    """What a look-up finds, and which were made."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.asked: list[str] = []

    def find(self, host: str | bytes, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        """In place of `socket.getaddrinfo`."""
        name = host.decode() if isinstance(host, bytes) else host
        self.asked.append(name)
        if name not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        families = [(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in self.known[name]]
        return [
            (family, socket.SOCK_STREAM, 6, "", (one, port, 0, 0) if ":" in one else (one, port))
            for family, one in families
        ]


@pytest.fixture
def names() -> Iterator[Names]:
    """A resolver that knows what it is told; it is gone before servers are stopped."""
    made = Names()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", made.find)
        yield made


@pytest.fixture
def silence() -> Iterator[Callable[[int], None]]:
    """Makes a port of SILENT silent: the queue of a listener is full."""
    with ExitStack() as stack:

        def fill(port: int) -> None:
            full = stack.enter_context(closing(socket.socket()))
            full.bind((SILENT, port))
            full.listen(0)
            for _ in range(4):
                one = stack.enter_context(closing(socket.socket()))
                one.settimeout(0)
                one.connect_ex((SILENT, port))

        yield fill


@pytest.mark.parametrize(
    "addresses",
    [
        (REFUSING, GOOD),
        (REFUSING, GOOD, REFUSING),
        (GOOD, REFUSING, GOOD),
        (REFUSING, ALSO_REFUSING, REFUSING, GOOD),
        (NOWHERE, GOOD),
        (NOWHERE, NOWHERE, GOOD),
    ],
)
def test_every_address_is_tried(shell: Shell, net: Net, names: Names, addresses: tuple[str, ...]) -> None:
    """Until one answers, whatever the others do."""
    server = net.serve([net.response(200, b"1")])
    names.known["localhost"] = [*addresses]
    url = server.url.replace("127.0.0.1", "localhost")
    assert shell.client(base_url=url, max_retries=0).call(GET) == 1


def test_a_family_that_the_machine_lacks(shell: Shell, net: Net, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a socket can be made: that is one failed attempt."""

    class Lacking(socket.socket):
        """Knows IPv4 alone."""

        def __init__(self, family: int = -1, *given: int, **named: int | None) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *given, **named)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # as given

    server = net.serve([net.response(200, b"1")])
    names.known["localhost"] = ["::1", GOOD]
    url = server.url.replace("127.0.0.1", "localhost")
    client = shell.client(base_url=url, max_retries=0)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Lacking)
        assert client.call(GET) == 1


def test_a_silent_address(shell: Shell, net: Net, names: Names, silence: Callable[[int], None]) -> None:
    """It does not cost its whole timeout: the next is tried beside it."""
    server = net.serve([net.response(200, b"1")])
    silence(server.port)
    names.known["localhost"] = [SILENT, GOOD]
    url = server.url.replace("127.0.0.1", "localhost")
    began = monotonic()
    assert shell.client(base_url=url, max_retries=0).call(GET) == 1
    assert monotonic() - began < WAIT / 2


def test_closing_while_addresses_are_tried(
    shell: Shell, net: Net, names: Names, silence: Callable[[int], None]
) -> None:
    """Nothing is left open of several attempts, whoever gives up: here, the time that there is for all of them."""
    server = net.serve()
    silence(server.port)
    names.known["localhost"] = [SILENT, REFUSING]
    client = shell.client(base_url=server.url.replace("127.0.0.1", "localhost"), timeout=0.5, max_retries=0)
    with pytest.raises(TimeoutError, match=f"within 0.5 seconds.*{REFUSING}.*refused"):
        client.call(GET)


def test_what_is_said_of_a_refusal(shell: Shell, net: Net, names: Names) -> None:
    """What became of each address, the most telling first."""
    names.known["localhost"] = [NOWHERE, REFUSING, ALSO_REFUSING]
    client = shell.client(base_url=f"http://localhost:{net.unused_port()}", max_retries=0)
    with pytest.raises(ConnectError, match=r"localhost:\d+: Connection refused") as caught:
        client.call(GET)
    assert all(one in str(caught.value) for one in (NOWHERE, REFUSING, ALSO_REFUSING))


def test_a_name_that_nobody_knows(shell: Shell, names: Names) -> None:
    """Is named."""
    with pytest.raises(ConnectError, match=r"nobody\.test:443: .*not known"):
        shell.client(base_url="https://nobody.test", max_retries=0).call(GET)
    assert "nobody.test" in names.asked


def test_an_address_is_not_looked_up(shell: Shell, net: Net, names: Names) -> None:
    """There is nothing to be found."""
    server = net.serve([net.response(200, b"1")])
    assert shell.client(server).call(GET) == 1
    assert names.asked == []


def test_a_local_address_has_one_family(shell: Shell, net: Net, names: Names) -> None:
    """Addresses of the other are not tried."""
    server = net.serve([net.response(200, b"1")])
    names.known["localhost"] = [NOWHERE, GOOD]
    url = server.url.replace("127.0.0.1", "localhost")
    assert shell.client(base_url=url, local_address="127.0.0.3", max_retries=0).call(GET) == 1
    client = shell.client(base_url=url, local_address="::1", max_retries=0)
    names.known["localhost"] = [GOOD]
    with pytest.raises(ConnectError, match="family of local_address"):
        client.call(GET)


def test_a_name_with_a_final_dot(shell: Shell, net: Net, names: Names) -> None:
    """It is looked up with the dot, and neither asked for nor checked with it in TLS (RFC 6066 section 3)."""
    server = net.serve([net.response(200, b"1")])
    names.known["localhost."] = [GOOD]
    url = server.url.replace("127.0.0.1", "LocalHost.")
    assert shell.client(base_url=url, max_retries=0).call(GET) == 1
    assert server.requests[0].header("host") == f"localhost.:{server.port}"


@CLEAR_ONLY
@pytest.mark.parametrize("zone", ["%lo0", "%25lo0"])
def test_an_address_with_a_zone(shell: Shell, net: Net, names: Names, zone: str) -> None:
    """The zone is for the look-up alone (RFC 6874 section 4)."""
    server = net.serve([net.response(200, b"1")])
    names.known["fe80::1%lo0"] = [GOOD]
    assert shell.client(base_url=f"http://[FE80::1{zone}]:{server.port}", max_retries=0).call(GET) == 1
    assert server.requests[0].header("host") == f"[fe80::1]:{server.port}"


@CLEAR_ONLY
def test_a_name_that_is_not_ascii(shell: Shell, net: Net, names: Names) -> None:
    """It is asked for by its A-labels."""
    server = net.serve([net.response(200, b"1")])
    names.known["xn--bcher-kva.test"] = [GOOD]
    assert shell.client(base_url=f"http://B\u00fccher.test:{server.port}", max_retries=0).call(GET) == 1
    assert server.requests[0].header("host") == f"xn--bcher-kva.test:{server.port}"


def test_a_redirect_to_the_same_origin_in_other_words(shell: Shell, net: Net, names: Names) -> None:
    """Case and final dot make no other origin; the connection is used again."""
    names.known["localhost"] = names.known["localhost."] = [GOOD]
    ports: list[int] = []

    def answer(connection: Connection) -> None:
        where = f"Location: {server.url.replace('127.0.0.1', 'LOCALHOST.')}/x"
        connection.answer(net.response(308, b"", where))
        connection.answer(net.response(200, b"1"))
        ports.append(server.port)

    server = net.serve(answer)
    assert shell.client(base_url=server.url.replace("127.0.0.1", "localhost"), max_retries=0).call(GET) == 1


@pytest.mark.parametrize("no_proxy", ["127.0.0.0/8", "127.0.0.1:{port}", "*:{port}", "::1,[::1],127.0.0.1"])
def test_no_proxy(shell: Shell, net: Net, monkeypatch: pytest.MonkeyPatch, no_proxy: str) -> None:
    """Networks and ports go past the proxy."""
    server = net.serve([net.response(200, b"1")])
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{net.unused_port()}")
    monkeypatch.setenv("no_proxy", no_proxy.format(port=server.port))
    assert shell.client(server, proxy=None, max_retries=0).call(GET) == 1


@CLEAR_ONLY
def test_a_proxy_that_repeats_its_password(shell: Shell, net: Net) -> None:
    """In an error page, and in an error within a stream; it shows nowhere."""
    said = b'{"title": "who is canary-user:canary-password?", "message": "canary-password", "error": "canary-password"}'
    event = b'data: {"type": "error", "status_code": 500, "done": true, "message": "canary-password"}\n\n'
    stream = net.response(200, event, "Content-Type: text/event-stream")
    proxy = net.serve_clear([net.response(502, said), net.response(400, said), stream])
    url = f"http://canary-user:canary-password@127.0.0.1:{proxy.port}"
    client = shell.client(base_url="http://voice.test", proxy=url, max_retries=0)
    for kind in (ServerError, BadRequestError):
        with pytest.raises(kind) as caught:
            client.call(GET)
        assert "canary" not in repr(caught.value) + str(caught.value) + repr(caught.value.__dict__)
    events = client.stream(TTS.sse(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW))
    with pytest.raises(ServerError) as caught, events:
        list(events)
    assert "canary" not in repr(caught.value) + str(caught.value) + repr(caught.value.__dict__)


@CLEAR_ONLY
def test_a_stream_through_a_proxy_in_clear(shell: Shell, net: Net) -> None:
    """It is asked for in absolute form, as all else."""
    server = net.serve([net.response(200, b"\1\0", "Content-Type: audio/pcm")])
    proxy = net.proxy()
    client = shell.client(server, proxy=f"http://127.0.0.1:{proxy.port}")
    with client.stream(SPEAK) as stream:
        assert b"".join(stream) == b"\1\0"
    assert proxy.requests[0].line.startswith(f"POST {server.url}/tts/bytes ")


@TLS_ONLY
def test_a_log_of_keys_that_cannot_be_written(
    shell: Shell, net: Net, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file is named; nothing is connected, and nothing tried again."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "nowhere" / "keys.log"))
    server = net.serve()
    client = shell.client(server, ssl_context=None)
    for call in (lambda: client.call(GET), client.stream(SPEAK).__enter__):
        with pytest.raises(ConnectError, match=r"keys\.log") as caught:
            call()
        assert not caught.value.retryable
    assert server.opened == 0


@pytest.fixture
def speaking_h2(authority: trustme.CA) -> ssl.SSLContext:
    """TLS of a server that prefers HTTP/2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]  # OpenSSL
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@TLS_ONLY
def test_a_context_for_servers(shell: Shell, net: Net) -> None:
    """TLS refuses it before a byte is sent, and would do so again."""
    server = net.serve()
    with pytest.raises(ConnectError, match="PROTOCOL_TLS_SERVER") as caught:
        shell.client(server, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)).call(GET)
    assert not caught.value.retryable
    server.wait_until_opened(1)
    server.wait_until_left()
    assert server.opened == 1


@TLS_ONLY
def test_a_context_that_agrees_on_http_2(
    shell: Shell, net: Net, authority: trustme.CA, speaking_h2: ssl.SSLContext
) -> None:
    """It is told as that, at once, and the context is left as it is."""
    context = ssl.create_default_context()
    authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]  # OpenSSL
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = net.serve_with(speaking_h2, [])
    with pytest.raises(ConnectError, match="'h2'.*ALPN.*ssl_context") as caught:
        shell.client(server, ssl_context=context).call(GET)
    assert not caught.value.retryable
    assert (server.opened, server.requests) == (1, [])


@TLS_ONLY
def test_our_own_context_offers_what_we_speak(
    shell: Shell,
    net: Net,
    authority: trustme.CA,
    speaking_h2: ssl.SSLContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On every transport alike."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    chosen: list[str | None] = []

    def note(connection: Connection) -> None:
        assert isinstance(connection.socket, ssl.SSLSocket)
        chosen.append(connection.socket.selected_alpn_protocol())
        connection.answer(net.response(200, b"1"))

    server = net.serve_with(speaking_h2, note)
    assert shell.client(server, ssl_context=None).call(GET) == 1
    assert chosen == ["http/1.1"]


def test_a_function_that_connects_to_nothing(shell: Shell, net: Net) -> None:
    """What it answered is named; it is not asked again."""
    with pytest.raises(LocalProtocolError, match="connect= answered with 'NoneType'"):
        shell.client(net.serve(), "nonsense").call(GET)
    assert len(shell.asked) == 1


def test_a_function_that_fails_to_connect(shell: Shell, net: Net) -> None:
    """Its error is named and the cause; what is no error of the system's would be met again."""
    with pytest.raises(ConnectError, match="connect= failed.*KeyError") as caught:
        shell.client(net.serve(), "failing").call(GET)
    assert isinstance(caught.value.__cause__, KeyError)
    assert len(shell.asked) == 1
