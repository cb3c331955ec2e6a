"""What the blocking client does with openers: a user's own, and in its own opener more strictly than `http.client`."""

from __future__ import annotations

import builtins
import http.client
import io
import os
import signal
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from http.client import HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.api.voices import Voices
from cartesia_proto.call import Call
from cartesia_proto.errors import (
    AuthenticationError,
    BadRequestError,
    CartesiaError,
    ConnectError,
    ConnectionLost,
    IncompleteStream,
    LocalProtocolError,
    RemoteProtocolError,
    TimeoutError,
)
from cartesia_proto.wire.uploads import Recording
from cartesia_urllib import Cartesia
from tests.conftest import WAIT

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net, Server

KEY: Final = "sk_car_canary"
GET: Final = Call.json("GET", "/thing")
POST: Final = Call.json("POST", "/thing", body={"a": 1})
RAW: Final = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPEAK: Final = TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
EVENTS: Final = TTS.sse(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT: Final = 0.5
"""Seconds: a timeout that is meant to be met."""


class Raiser(urllib.request.BaseHandler):
    """A handler of a user's own, which raises instead of answering."""

    handler_order = 0

    def __init__(self, error: Exception) -> None:
        self._error = error

    def default_open(self, request: urllib.request.Request) -> None:
        raise self._error


class Canned(urllib.request.BaseHandler):
    """A handler of a user's own, which answers from memory."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        class Socket:
            def makefile(self, mode: str) -> io.BytesIO:
                return io.BytesIO(body)

        body = self._body
        response = HTTPResponse(Socket())  # type: ignore[arg-type]  # as http.client's own tests do
        response.begin()
        return response

    https_open = http_open


def opener_for(net: Net, *handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """An opener with all of the standard library's handlers, which trusts our authority."""
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=net.trust), *handlers
    )


@pytest.fixture
def clients(net: Net) -> Iterator[list[Cartesia]]:
    """Clients to close at the end, before the servers stop."""
    del net
    clients: list[Cartesia] = []
    yield clients
    for client in clients:
        client.close()


@pytest.fixture(params=["own", "user's"])
def openers(request: pytest.FixtureRequest) -> str:
    """Whose opener is used."""
    which: str = request.param
    return which


def client_of(clients: list[Cartesia], net: Net, server: Server, openers: str = "own") -> Cartesia:
    """A client of a server."""
    if openers == "own":
        client = Cartesia(api_key=KEY, base_url=server.url, max_retries=0, ssl_context=net.trust, proxy="")
    else:
        client = Cartesia(api_key=KEY, base_url=server.url, max_retries=0, opener=opener_for(net))
    clients.append(client)
    return client


def test_a_users_opener_carries_requests(clients: list[Cartesia], net: Net) -> None:
    """Headers, body and credentials arrive; an error status, which such an opener raises, is an ordinary answer."""
    server = net.serve([net.response(200, b'{"b": 2}')], [net.response(401, b"no such key")])
    client = client_of(clients, net, server, "user's")
    assert client.call(POST) == {"b": 2}
    [seen] = server.requests
    assert (seen.line, seen.body) == ("POST /thing HTTP/1.1", b'{"a":1}')
    assert seen.header("Authorization") == f"Bearer {KEY}"
    assert seen.header("Content-Type") == "application/json"
    assert seen.header("Content-Length") == "7"
    assert seen.header("Accept-Encoding") == "identity"
    assert (seen.header("User-Agent") or "").startswith("cartesia-proto/")
    with pytest.raises(AuthenticationError, match="no such key"):
        client.call(GET)


def test_credentials_do_not_follow_redirects(clients: list[Cartesia], net: Net) -> None:
    """A user's opener follows where we would not; the key stays behind."""
    elsewhere = net.serve([net.response(200, b"1")])
    server = net.serve([net.response(302, b"", f"Location: {elsewhere.url}/there")])
    assert client_of(clients, net, server, "user's").call(GET) == 1
    assert server.requests[0].header("Authorization") == f"Bearer {KEY}"
    assert elsewhere.requests[0].header("Authorization") is None


def test_uploads_through_a_users_opener(clients: list[Cartesia], net: Net, tmp_path: Path) -> None:
    """A file is streamed with its length, and sent whole again on a retry."""
    path = tmp_path / "clip.wav"
    path.write_bytes(b"clip" * 50_000)
    voice = net.response(200, b'{"id": "v"}')
    server = net.serve([net.response(503, b"", "Retry-After: 0")], [voice])
    client = client_of(clients, net, server, "user's").with_options(max_retries=1)
    client.call(Voices.clone(clip=path, name="n", language="en"))
    first, second = server.requests
    assert path.read_bytes() in first.body
    assert first.body == second.body
    assert first.header("Content-Length") == str(len(first.body))


@pytest.mark.parametrize("change", [-1, 1, 1000])
def test_a_file_that_changes_under_an_opener(
    clients: list[Cartesia], net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: int
) -> None:
    """The server gets no whole request, and no second one."""
    path = tmp_path / "clip.wav"
    path.write_bytes(b"clip" * 50_000)
    fstat = os.fstat

    def changing(fd: int) -> os.stat_result:
        found = fstat(fd)
        if found.st_size == 200_000:
            os.truncate(path, 200_000 + change)
        return found

    monkeypatch.setattr(os, "fstat", changing)
    server = net.serve([])
    with pytest.raises(LocalProtocolError, match=f"became {'longer' if change > 0 else 'shorter'}"):
        client_of(clients, net, server, "user's").call(Voices.clone(clip=path, name="n", language="en"))
    server.wait_until_opened(1)
    server.wait_until_left()
    assert server.requests == []


def test_a_pipe_under_an_opener(clients: list[Cartesia], net: Net, tmp_path: Path) -> None:
    """It has the length that was read, and is sent again on a retry; an empty one is refused."""
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    server = net.serve([net.response(503, b"", "Retry-After: 0")], [net.response(200, b'{"id": "v"}')])
    client = client_of(clients, net, server, "user's").with_options(max_retries=1)
    writing = net.start(lambda: path.write_bytes(b"RIFFpipe"))
    client.call(Voices.clone(clip=path, name="n", language="en"))
    writing.result()
    assert all(b"\r\n\r\nRIFFpipe\r\n--" in seen.body for seen in server.requests)
    with pytest.raises(LocalProtocolError, match="is empty"):
        client.call(Voices.clone(clip=Path(os.devnull), name="n", language="en"))
    assert len(server.requests) == 2


def test_a_file_that_cannot_be_read_under_an_opener(
    clients: list[Cartesia], net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's error goes on; an opener would have it that the connection failed."""

    def fail(_: Recording) -> bytes:
        raise OSError(5, "Input/output error")

    path = tmp_path / "clip.wav"
    path.write_bytes(b"clip")
    monkeypatch.setattr(Recording, "read", fail)
    with pytest.raises(OSError, match="Input/output error"):
        client_of(clients, net, net.serve([]), "user's").call(Voices.clone(clip=path, name="n", language="en"))


def test_what_an_opener_excludes() -> None:
    """How to connect is the opener's business; the message names the argument and no value."""
    opener = urllib.request.build_opener()
    with pytest.raises(LocalProtocolError, match="^proxy") as caught:
        Cartesia(opener=opener, proxy="http://me:pass@p")
    assert "pass" not in str(caught.value)
    with pytest.raises(LocalProtocolError, match="^proxy"):
        Cartesia(opener=opener, proxy="")
    with pytest.raises(LocalProtocolError, match="^local_address"):
        Cartesia(opener=opener, local_address="127.0.0.1")
    with pytest.raises(LocalProtocolError, match="^ssl_context"):
        Cartesia(opener=opener, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with pytest.raises(LocalProtocolError, match="^connect"):
        Cartesia(opener=opener, connect=lambda host, port: socket.create_connection((host, port)))


def test_cut_bodies(clients: list[Cartesia], net: Net, openers: str) -> None:
    """`http.client` takes a body short of its Content-Length for complete; we do not, whoever opened."""

    def cut(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[1, 2]")
        connection.finish()

    def cut_chunk(connection: Connection) -> None:
        connection.answer(CHUNKED + b"10\r\n[1, 2]")
        connection.finish()

    def cut_trailer(connection: Connection) -> None:
        connection.answer(CHUNKED + b"1\r\n1\r\n0\r\nX: y")
        connection.finish()

    server = net.serve(*[cut, cut_chunk, cut_trailer][: 3 if openers == "own" else 2])
    client = client_of(clients, net, server, openers)
    for _ in range(3 if openers == "own" else 2):
        with pytest.raises(IncompleteStream):
            client.call(GET)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"garbage\r\n\r\n", RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n11", RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", RemoteProtocolError),
        (b"", ConnectionLost),
    ],
    ids=["binary", "negative length", "two lengths", "coding", "many", "long", "nothing"],
)
def test_garbage(clients: list[Cartesia], net: Net, openers: str, answer: bytes, expected: type[CartesiaError]) -> None:
    """What is no HTTP ends as the error that says so, whoever opened; nothing that was received is chained."""

    def babble(connection: Connection) -> None:
        connection.answer(answer)
        connection.finish()

    with pytest.raises(expected) as caught:
        client_of(clients, net, net.serve(babble), openers).call(GET)
    chained: BaseException | None = caught.value
    while chained is not None:
        assert not isinstance(chained, http.client.HTTPException)
        chained = chained.__cause__ or chained.__context__


@pytest.mark.parametrize(
    "line",
    [
        *(b"no header", b": x", b"na me: x", b"X: a\rb", b"From here: x"),  # taken for the end of the headers
        *(b"content-length: -1", b"Content-Length: 1_0", b"Content-Length: 2", b"Content-Length:"),
        *(b"Transfer-Encoding: gzip, chunked", b"transfer-encoding: identity"),
    ],
)
def test_headers_are_read_strictly(clients: list[Cartesia], net: Net, line: bytes) -> None:
    """The standard library's parser would make something of such a line."""
    server = net.serve([b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n" + line + b"\r\nContent-Length: 1\r\n\r\n1"])
    with pytest.raises(RemoteProtocolError, match=r"no HTTP/1\.1"):
        client_of(clients, net, server).call(GET)
    server.wait_until_left()


@pytest.mark.parametrize(
    "body",
    [b"-1\r\nabc", b"1\r\n12\r\n0\r\n\r\n", b"1\r\n1\r\n0\r\n" + b"X: y\r\n" * 20_000, b"1;" + b"x" * 70_000],
    ids=["negative", "longer", "trailer", "extension"],
)
def test_chunks_are_read_strictly(clients: list[Cartesia], net: Net, body: bytes) -> None:
    """Our own opener takes no nonsense that `http.client` would take."""
    server = net.serve([CHUNKED + body])
    with pytest.raises(RemoteProtocolError, match=r"no HTTP/1\.1"):
        client_of(clients, net, server).call(GET)
    server.wait_until_left()


def test_a_body_that_only_the_end_would_end(clients: list[Cartesia], net: Net) -> None:
    """Where TLS is cut without a farewell, anybody may have cut it: such a body is never taken for whole."""
    if not net.secure:
        pytest.skip("without TLS there is no farewell")

    def cut(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 200 OK\r\n\r\n[1]")
        connection.close()

    def end(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 200 OK\r\n\r\n[1]")
        connection.finish()

    client = client_of(clients, net, net.serve(cut, end))
    with pytest.raises(IncompleteStream):
        client.call(GET)
    assert client.call(GET) == [1]


def test_interim_responses_are_skipped(clients: list[Cartesia], net: Net) -> None:
    """All of them, and the connection is kept."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    server = net.serve([hints + net.response(200, b"1"), net.response(200, b"2")])
    client = client_of(clients, net, server)
    assert [client.call(GET), client.call(GET)] == [1, 2]
    assert server.opened == 1


def test_an_upgrade_nobody_asked_for(clients: list[Cartesia], net: Net) -> None:
    """A 101 is an error, and the connection is not used again."""
    server = net.serve([b"HTTP/1.1 101 Switching Protocols\r\n\r\n"], [net.response(200, b"2")])
    client = client_of(clients, net, server)
    with pytest.raises(CartesiaError):
        client.call(GET)
    assert client.call(GET) == 2


def test_nobody_listens(clients: list[Cartesia], net: Net, openers: str) -> None:
    """Nothing was sent, so it is a `ConnectError`."""
    opener = None if openers == "own" else opener_for(net)
    client = Cartesia(api_key=KEY, base_url=f"127.0.0.1:{net.unused_port()}", max_retries=0, opener=opener)
    clients.append(client)
    with pytest.raises(ConnectError, match="refused"):
        client.call(POST)


def test_an_unknown_authority(net: Net) -> None:
    """A certificate that does not hold is a `ConnectError` with a user's opener, too."""
    if not net.secure:
        pytest.skip("without TLS there is none")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    server = net.serve([])
    with Cartesia(api_key=KEY, base_url=server.url, opener=opener) as client, pytest.raises(ConnectError) as caught:
        client.call(POST)
    assert not caught.value.retryable
    assert server.opened == 1


def test_silence(clients: list[Cartesia], net: Net, openers: str) -> None:
    """Each wait is bounded, for the head and within the body."""
    server = net.serve([b""], [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1"])
    client = client_of(clients, net, server, openers).with_options(timeout=SHORT)
    for _ in range(2):
        with pytest.raises(TimeoutError) as caught:
            client.call(GET)
        assert caught.value.phase == "read"
    server.wait_until_left()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (urllib.error.URLError(f"http://me:{KEY}@proxy"), ConnectionLost),
        (urllib.error.URLError(builtins.TimeoutError(f"slow {KEY}")), TimeoutError),
        (urllib.error.URLError(OSError(f"Tunnel connection failed: {KEY}")), ConnectionLost),
        (ValueError(f"odd {KEY}"), RemoteProtocolError),
        (http.client.BadStatusLine(f"odd {KEY}"), RemoteProtocolError),
    ],
)
def test_errors_of_a_users_handler(error: Exception, expected: type[CartesiaError]) -> None:
    """Whatever it raises becomes one of ours, which neither repeats nor chains what was said."""
    with (
        Cartesia(api_key=KEY, base_url="localhost", opener=urllib.request.build_opener(Raiser(error))) as client,
        pytest.raises(expected) as caught,
    ):
        client.call(POST)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_an_error_without_a_body() -> None:
    """A user's handler may raise an `HTTPError` that has none."""
    error = urllib.error.HTTPError("http://x", 400, "Bad", Message(), None)
    with (
        Cartesia(api_key=KEY, base_url="localhost", opener=urllib.request.build_opener(Raiser(error))) as client,
        pytest.raises(BadRequestError),
    ):
        client.call(POST)


def test_an_opener_without_handlers() -> None:
    """It says what is missing."""
    with (
        Cartesia(api_key=KEY, opener=urllib.request.OpenerDirector()) as client,
        pytest.raises(LocalProtocolError, match="no handler"),
    ):
        client.call(GET)


def test_an_answer_from_memory() -> None:
    """A user's handler need not have a socket."""
    opener = urllib.request.OpenerDirector()
    opener.add_handler(Canned(CHUNKED + b"1\r\n1\r\n0\r\n\r\n"))
    with Cartesia(api_key=KEY, opener=opener) as client:
        assert client.call(GET) == 1
        client.close()
        with pytest.raises(LocalProtocolError, match="closed"):
            client.call(GET)


def test_a_stream_is_closed_from_another_thread(clients: list[Cartesia], net: Net, openers: str) -> None:
    """A read that waits ends at once, whoever opened."""
    server = net.serve([b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nContent-Length: 100\r\n\r\n\1\0"])
    stream = client_of(clients, net, server, openers).call(SPEAK)
    assert next(stream) == b"\1\0"
    ended = threading.Event()

    def read() -> None:
        assert list(stream) == []
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    stream.close()
    assert ended.wait(WAIT)
    reader.join(WAIT)
    server.wait_until_left()


def test_a_client_is_closed_while_a_stream_rests(clients: list[Cartesia], net: Net, openers: str) -> None:
    """Its connection is closed at once, and the stream says why it does not come to its end."""
    server = net.serve([b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nContent-Length: 100\r\n\r\n\1\0"])
    client = client_of(clients, net, server, openers)
    with client.call(SPEAK) as stream:
        assert next(stream) == b"\1\0"
        client.close()
        if openers == "own":
            server.wait_until_left()
        with pytest.raises(LocalProtocolError, match="the client is closed"):
            next(stream)


def test_a_finished_stream_gives_its_connection_back(clients: list[Cartesia], net: Net) -> None:
    """After the terminal event, what is left of the body is read if it is there."""
    events = b'data: {"type": "chunk", "data": "AAA=", "done": false}\n\ndata: {"type": "done", "done": true}\n\n'
    whole = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Type: text/event-stream\r\n\r\n")
    whole += b"%x\r\n%s\r\n0\r\n\r\n" % (len(events), events)
    server = net.serve([whole, net.response(200, b"2")])
    client = client_of(clients, net, server)
    with client.call(EVENTS) as stream:
        assert b"".join(event.audio for event in stream) == b"\0\0"
    assert client.call(GET) == 2
    assert server.opened == 1


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals are others there")
@pytest.mark.usefixtures("ctrl_c")
def test_interrupted_by_the_keyboard(clients: list[Cartesia], net: Net, openers: str) -> None:
    """Ctrl-C in the middle of a read leaves no connection open, and the client usable."""
    server = net.serve(
        [b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nContent-Length: 100\r\n\r\n\1\0"], [net.response(200, b"2")]
    )
    client = client_of(clients, net, server, openers)
    stream = client.call(SPEAK)
    assert next(stream) == b"\1\0"
    reader = threading.current_thread()

    def press() -> None:
        net.wait_until_blocked(reader, __file__)
        signal.pthread_kill(reader.ident or 0, signal.SIGINT)

    pressing = net.start(press)
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    pressing.result()
    server.wait_until_left()
    assert client.call(GET) == 2


def test_a_file_that_shrinks(clients: list[Cartesia], net: Net, tmp_path: Path) -> None:
    """The length was told already, so the request cannot be finished; the connection is closed."""
    path = tmp_path / "clip.wav"
    path.write_bytes(b"clip" * 100_000)

    def shrink(host: str, port: int) -> socket.socket:
        path.write_bytes(b"clip")
        return socket.create_connection((host, port), WAIT)

    server = net.serve([])
    with (
        Cartesia(api_key=KEY, base_url=server.url, ssl_context=net.trust, proxy="", connect=shrink) as client,
        pytest.raises(LocalProtocolError, match="shorter"),
    ):
        client.call(Voices.clone(clip=path, name="n", language="en"))
    server.wait_until_left()


def test_the_server_answers_before_it_was_asked_in_full(clients: list[Cartesia], net: Net, tmp_path: Path) -> None:
    """A refusal that comes while an upload is under way is told, rather than the broken connection."""
    path = tmp_path / "clip.wav"
    path.write_bytes(b"clip" * 4_000_000)

    def refuse(connection: Connection) -> None:
        connection.socket.recv(1000)
        connection.send(net.response(400, b"too large", "Connection: close"))
        connection.socket.shutdown(socket.SHUT_WR)
        connection.wait_until_left()

    with pytest.raises(BadRequestError, match="too large"):
        client_of(clients, net, net.serve(refuse)).call(Voices.clone(clip=path, name="n", language="en"))
