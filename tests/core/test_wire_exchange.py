"""One attempt on one connection: what leaves, what is taken of the answer, and when it is over."""

import gzip
import math
from collections.abc import Sequence
from io import BytesIO

import pytest

from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.config import Limits
from cartesia_proto.credentials import Secret
from cartesia_proto.errors import (
    ApiError,
    CartesiaError,
    ConnectError,
    ConnectionLost,
    IncompleteStream,
    LocalProtocolError,
    RemoteProtocolError,
    TimeoutError,
)
from cartesia_proto.flow import Attempt, Done, Failure, How
from cartesia_proto.http import FilePart, Headers, Method, Request, Response, Upload
from cartesia_proto.wire.chunked import TURN
from cartesia_proto.wire.exchange import (
    Exchange,
    StreamedBody,
    check_not_over,
    connection_broke,
    could_not_connect,
    files_to_open,
    note_read,
    read_deadline,
    timed_out,
)
from cartesia_proto.wire.link import LinkFailed
from cartesia_proto.wire.proxy import Proxy
from cartesia_proto.wire.tunnel import ConnectLink
from cartesia_proto.wire.uploads import PIECE, Recording

URL = "https://api.test/thing"
FILE = FilePart("clip", "/tmp/clip.wav")


def exchange(
    how: How = "whole",
    *,
    method: Method = "POST",
    body: bytes | Upload = b"",
    headers: Headers | None = None,
    success_limit: int = 100,
    error_limit: int = 10,
) -> Exchange:
    """An attempt about to be made."""
    request = Request(method, URL, headers or Headers(), body)
    return Exchange(Attempt(request, 0.0, 5.0, how, success_limit, error_limit), Limits())


def opened(content: bytes) -> Recording:
    """A file of this content."""
    recording = Recording(FILE, lambda _: (BytesIO(content), len(content)))
    recording.open()
    return recording


def asked(made: Exchange, files: Sequence[Recording] = ()) -> bytes:
    """Send the request of an exchange; answers what went over the wire."""
    wire = b""
    for piece in made.begin(files, 0.0):
        made.link.send_body(piece if isinstance(piece, bytes) else piece.read())
        wire += made.link.data_to_send()
    made.link.end_request()
    return wire + made.link.data_to_send()


def answered(made: Exchange, response: bytes, *, end: bool = False) -> Response | Failure | None:
    """Send the request, receive bytes, maybe the end, and ask for the outcome."""
    asked(made)
    made.link.receive_data(response, 1.0)
    if end:
        made.link.receive_eof(1.0)
    return made.outcome()


def reply(status: int, body: bytes = b"", *, length: int | None = None, fields: str = "") -> bytes:
    """A response on the wire."""
    declared = len(body) if length is None else length
    return f"HTTP/1.1 {status} Whatever\r\nContent-Length: {declared}\r\n{fields}\r\n".encode() + body


# What leaves.


def test_a_request_without_a_body() -> None:
    """Its head is all there is to write, and it comes with the end."""
    made = exchange(method="GET")
    assert list(made.begin((), 0.0)) == []
    made.link.end_request()
    assert made.link.data_to_send().endswith(b"\r\n\r\n")


def test_bytes_leave_in_pieces() -> None:
    """The write timeout holds for each piece, so none is long; joined, they are the body."""
    body = bytes(range(256)) * 600
    pieces = list(exchange(body=body).begin((), 0.0))
    assert [len(piece) for piece in pieces if isinstance(piece, bytes)] == [PIECE, PIECE, len(body) - 2 * PIECE]
    assert b"".join(piece for piece in pieces if isinstance(piece, bytes)) == body


def test_files_stand_where_they_belong() -> None:
    """The length counts them, and the shell reads them between the other pieces."""
    made = exchange(body=Upload((b"before", FILE, b"after")))
    wire = asked(made, [opened(bytes(7))])
    assert b"Content-Length: 18\r\n" in wire
    assert wire.endswith(b"\r\n\r\nbefore" + bytes(7) + b"after")


def test_the_files_of_any_operation() -> None:
    """A body of bytes has none, nor has an operation that is done before its first attempt."""
    asking = [Request("POST", URL, Headers(), body) for body in (b"body", Upload((FILE,)))]
    first, second = (Attempt(request, 0.0, 5.0, "whole", 100, 10) for request in asking)
    assert files_to_open(first) == files_to_open(Done(None)) == ()
    assert files_to_open(second) == (FILE,)


def test_what_cannot_be_sent() -> None:
    """The link refuses it before anything is queued."""
    made = exchange(headers=Headers([("Content-Length", "1")]))
    with pytest.raises(LocalProtocolError, match="Content-Length"):
        made.begin((), 0.0)
    assert made.link.data_to_send() == b""


# What is taken of the answer.


def test_a_success_read_whole() -> None:
    """The outcome comes with the last byte, and the connection may go on."""
    made = exchange()
    assert answered(made, reply(200, b"body")[:-1]) is None
    assert not made.reusable
    made.link.receive_data(b"y", 2.0)
    outcome = made.outcome()
    assert isinstance(outcome, Response)
    assert (outcome.status, outcome.body) == (200, b"body")
    assert made.reusable
    assert not made.streaming


def test_a_server_that_closes() -> None:
    """A whole answer is an answer; the connection is not used again."""
    made = exchange()
    outcome = answered(made, reply(200, b"body", fields="Connection: close\r\n"))
    assert isinstance(outcome, Response)
    assert not made.reusable


def test_a_success_over_its_limit() -> None:
    """It is refused; what had arrived is counted."""
    made = exchange(success_limit=3)
    outcome = answered(made, reply(200, b"body"))
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, RemoteProtocolError)
    assert outcome.received == 4


def test_a_success_that_breaks_off() -> None:
    """How much had arrived decides that it is not asked for again."""
    outcome = answered(exchange(), reply(200, b"bo", length=4), end=True)
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, IncompleteStream)
    assert outcome.received == 2


def test_a_compressed_success() -> None:
    """Nobody asked for it."""
    outcome = answered(exchange(), reply(200, b"body", fields="Content-Encoding: gzip\r\n"))
    assert isinstance(outcome, Failure)
    assert "gzip" in str(outcome.error)


def test_an_error_is_cut() -> None:
    """Its status is never lost, however long it is; the rest is not waited for."""
    made = exchange(error_limit=3)
    outcome = answered(made, reply(500, b"body", length=4000))
    assert outcome == Response(500, Headers.received([("Content-Length", "4000")]), b"bod")
    assert not made.reusable


def test_an_error_that_breaks_off() -> None:
    """Its status says more than what cut it."""
    outcome = answered(exchange(), reply(401, b"no", length=4), end=True)
    assert isinstance(outcome, Response)
    assert (outcome.status, outcome.body) == (401, b"no")


@pytest.mark.parametrize("how", ["whole", "stream", "upgrade"])
@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: x\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 5\r\nContent-Length: 7\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"no colon\r\n",
        b"X Y: z\r\n",
        b"X: " + b"y" * 70_000 + b"\r\n",
    ],
)
def test_an_error_with_a_malformed_head(how: How, fields: bytes) -> None:
    """Its status is never lost, however the head is cut; where its body ends is not known."""
    head = b"HTTP/1.1 429 Too Many\r\nX-Request-Id: r\r\n" + fields + b"\r\nbody"
    for size in (1, len(head)) if len(head) < 1000 else (len(head),):
        made = exchange(how)
        asked(made)
        for start in range(0, len(head), size):
            made.link.receive_data(head[start : start + size], 1.0)
        assert made.outcome() == Response(429)
        assert not made.reusable


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nno colon\r\n",
        b"HTTP/1.1 302 Found\r\nno colon\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 4x9 Too Many\r\n",
        b"429 Too Many\r\n",
    ],
)
def test_other_malformed_heads(head: bytes) -> None:
    """They are no answer."""
    outcome = answered(exchange(), head)
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, RemoteProtocolError)


def test_an_error_whose_head_is_cut() -> None:
    """The connection was lost, and that may pass."""
    outcome = answered(exchange(), b"HTTP/1.1 429 Too Many\r\nX: y\r\n", end=True)
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, ConnectionLost)


def test_a_compressed_error() -> None:
    """It is read as far as it can be."""
    for body, read in ((b"plain", b"plain"), (b"\x1b\0\0\0\0", b""), (gzip.compress(b"plain", mtime=0), b"plain")):
        made = exchange(error_limit=100)
        outcome = answered(made, reply(502, body, fields="Content-Encoding: br\r\n"))
        assert isinstance(outcome, Response)
        assert (outcome.status, outcome.body) == (502, read)
        assert made.reusable


def test_no_answer() -> None:
    """What the link says is the failure."""
    outcome = answered(exchange(), b"", end=True)
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, ConnectionLost)
    assert outcome.received == 0


def test_the_head_of_a_stream() -> None:
    """It is the outcome; the body is left where it is."""
    made = exchange("stream")
    outcome = answered(made, reply(200, b"body"))
    assert outcome == Response(200, Headers.received([("Content-Length", "4")]))
    assert made.streaming
    assert not made.reusable


def test_a_compressed_stream() -> None:
    """It is no stream."""
    made = exchange("stream")
    outcome = answered(made, reply(200, b"body", fields="Content-Encoding: gzip\r\n"))
    assert isinstance(outcome, Failure)
    assert not made.streaming


def test_a_stream_that_is_refused() -> None:
    """Any other status is read whole."""
    made = exchange("stream")
    outcome = answered(made, reply(429, b"later"))
    assert isinstance(outcome, Response)
    assert outcome.body == b"later"
    assert not made.streaming
    assert made.reusable


def test_an_upgrade() -> None:
    """A 101 hands the connection over."""
    made = exchange("upgrade", method="GET", headers=Headers([("Connection", "Upgrade"), ("Upgrade", "websocket")]))
    outcome = answered(made, b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nrest")
    assert isinstance(outcome, Response)
    assert outcome.status == 101
    assert made.streaming
    assert made.link.trailing_data() == b"rest"


def test_an_upgrade_that_is_refused() -> None:
    """Any other status is read whole, a success too."""
    made = exchange("upgrade", method="GET", headers=Headers([("Connection", "Upgrade"), ("Upgrade", "websocket")]))
    outcome = answered(made, reply(200, b"no"))
    assert isinstance(outcome, Response)
    assert outcome.body == b"no"
    assert not made.streaming


# Stale connections.


PROXY = Proxy("proxy.test", 3128, Secret("canary-user:canary-password"))


def forwarded(how: How = "whole") -> Exchange:
    """An exchange in clear on a connection to a proxy."""
    request = Request("GET", "http://API.test:80/x?y=z", Headers([("Authorization", "Bearer canary-key-1")]))
    return Exchange(Attempt(request, 0.0, 5.0, how, 1000, 1000), Limits(), PROXY)


def test_a_proxy_is_asked_in_absolute_form() -> None:
    """With our name and password for it, which are no part of the request; RFC 9112 section 3.2.2."""
    made = forwarded()
    head = asked(made)
    assert head.startswith(b"GET http://api.test/x?y=z HTTP/1.1\r\nHost: api.test\r\n")
    basic = encode_base64(b"canary-user:canary-password").encode()
    assert b"\r\nProxy-Authorization: Basic " + basic + b"\r\n" in head


def test_what_goes_through_a_tunnel_is_asked_as_ever() -> None:
    """The origin learns nothing of the proxy."""
    made = Exchange(Attempt(Request("GET", "https://api.test/x", Headers()), 0.0, 5.0, "whole", 9, 9), Limits(), PROXY)
    head = asked(made)
    assert head.startswith(b"GET /x HTTP/1.1\r\n")
    assert b"Proxy-Authorization" not in head


@pytest.mark.parametrize("how", ["whole", "stream"])
def test_a_proxy_that_wants_to_know_us(how: How) -> None:
    """407 is the proxy's, and no answer of the API; the connection is not used again."""
    made = forwarded(how)
    failure = answered(made, reply(407, b"who is canary-user:canary-password?"))
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, ConnectError)
    assert not failure.error.retryable
    assert "status 407" in str(failure.error)
    assert not made.reusable


def test_an_error_page_of_a_proxy() -> None:
    """What it repeats of our name and password is hidden; a success is left as it is."""
    page = b"canary-user:canary-password"
    made = forwarded()
    answer = answered(made, reply(502, page))
    assert isinstance(answer, Response)
    assert answer.body == b"***"
    made = forwarded()
    answer = answered(made, reply(200, page))
    assert isinstance(answer, Response)
    assert answer.body == page


def test_a_stale_connection() -> None:
    """Only an end before any byte of the answer says that the peer had closed the connection before."""
    made = exchange()
    outcome = answered(made, b"", end=True)
    assert outcome is not None
    assert made.stale(outcome)


def test_an_answer_that_began() -> None:
    """Then the connection was not stale."""
    made = exchange()
    outcome = answered(made, b"HTTP/1.1 2", end=True)
    assert isinstance(outcome, Failure)
    assert not made.stale(outcome)
    made = exchange()
    outcome = answered(made, reply(200))
    assert outcome is not None
    assert not made.stale(outcome)


# Streamed bodies.


class Words:
    """Decodes words that end in a blank; ``!`` is an error, ``.`` the end, and a word must not be cut by the end."""

    def __init__(self) -> None:
        self.finished = False
        self._rest = b""
        self._failure: CartesiaError | None = None

    def receive_data(self, data: bytes) -> list[str]:
        """The words completed."""
        if self._failure is not None:
            raise self._failure
        *words, self._rest = (self._rest + data).split(b" ")
        if b"!" in words:
            self._failure = ApiError(status_code=500)
            words = words[: words.index(b"!")]
        if b"." in words:
            self.finished = True
            words = words[: words.index(b".")]
        return [word.decode() for word in words]

    def receive_eof(self) -> list[str]:
        """The last word."""
        if self._rest == b"?":
            raise IncompleteStream("a question remains")
        return [self._rest.decode()] if self._rest else []


def streamed(body: bytes, *, end: bool = False, length: int | None = None) -> tuple[Exchange, StreamedBody[str]]:
    """A streamed answer of which a body, or its beginning, has arrived."""
    made = exchange("stream")
    assert isinstance(answered(made, reply(200, body, length=length), end=end), Response)
    return made, StreamedBody(made.link, Words())


def test_values_as_they_arrive() -> None:
    """None at first, then some, then the last; then there are none, and the connection may go on."""
    made, body = streamed(b"", length=8)
    assert (body.receive(), body.over) == ([], False)
    made.link.receive_data(b"one two", 2.0)
    assert (body.receive(), body.over) == (["one"], False)
    assert not body.reusable
    made.link.receive_data(b"!", 3.0)
    assert (body.receive(), body.over) == (["two!"], True)
    assert body.receive() == []
    assert body.reusable


def test_the_end_without_a_last_value() -> None:
    """The end alone is no value."""
    _, body = streamed(b"one ")
    assert (body.receive(), body.over) == (["one"], True)
    assert body.receive() == []


def test_a_failure_comes_after_the_values_before_it() -> None:
    """It is raised once, by the next call, however the bytes were cut; the connection may go on."""
    _, body = streamed(b"one ! two ")
    assert (body.receive(), body.over) == (["one"], True)
    with pytest.raises(ApiError):
        body.receive()
    assert body.receive() == []
    assert body.reusable


def test_a_failure_without_values() -> None:
    """It is raised at once."""
    _, body = streamed(b"! ", length=100)
    with pytest.raises(ApiError):
        body.receive()
    assert body.over
    assert not body.reusable


def test_an_end_that_must_not_be() -> None:
    """The decoder says so."""
    _, body = streamed(b"one ?")
    assert (body.receive(), body.over) == (["one"], True)
    with pytest.raises(IncompleteStream, match="question"):
        body.receive()


def test_a_body_that_breaks_off() -> None:
    """What had arrived comes first."""
    _, body = streamed(b"one ", end=True, length=100)
    assert (body.receive(), body.over) == (["one"], True)
    with pytest.raises(IncompleteStream, match="4 bytes"):
        body.receive()
    assert not body.reusable


def test_the_last_word_was_said() -> None:
    """Nothing after it matters, but whether the body ended decides about the connection."""
    made, body = streamed(b"one . ", length=10)
    assert (body.receive(), body.over) == (["one"], True)
    assert not body.reusable
    made.link.receive_data(b"two ", 2.0)
    assert body.receive() == []
    assert body.reusable


def test_a_break_after_the_last_word() -> None:
    """It is nobody's failure."""
    _, body = streamed(b"one . ", end=True, length=10)
    assert (body.receive(), body.over) == (["one"], True)
    assert body.receive() == []
    assert not body.reusable


# Reading.


def test_a_read_may_wait_from_now_on() -> None:
    """However long ago the last byte came."""
    made = exchange("stream")
    answered(made, reply(200, length=1))
    assert read_deadline(made.link, 1000.0) == 1005.0
    made.link.handle_deadline(1005.0)
    body = StreamedBody(made.link, Words())
    with pytest.raises(TimeoutError, match="5 seconds"):
        body.receive()


def test_a_read_that_nothing_bounds() -> None:
    """The peer owes nothing."""
    made = exchange()
    answered(made, reply(200))
    assert read_deadline(made.link, 2.0) == math.inf


def test_how_a_read_ended() -> None:
    """With bytes, with the end, or with neither in time."""
    data = b"HTTP/1.1 200 OK\r\n\r\nhello"
    made = exchange()
    asked(made)
    made.link.receive_space()[: len(data)] = data
    note_read(made.link, len(data), 5.0, 1.0)
    assert made.outcome() is None
    note_read(made.link, 0, 5.0, 1.0)
    outcome = made.outcome()
    assert isinstance(outcome, Response)
    assert outcome.body == b"hello"
    late = exchange()
    asked(late)
    note_read(late.link, None, 5.0, 5.0)
    failure = late.outcome()
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, TimeoutError)


def test_a_connection_that_breaks() -> None:
    """A body that lasts to the end of the connection is cut by it; elsewhere there is no difference."""
    made = exchange()
    asked(made)
    made.link.receive_data(b"HTTP/1.1 200 OK\r\n\r\nhello", 1.0)
    connection_broke(made.link, 2.0)
    failure = made.outcome()
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, IncompleteStream)
    tunnel = ConnectLink(Proxy("proxy.test", 1), "api.test", 443, 5.0, Limits(), 0.0)
    connection_broke(tunnel, 2.0)
    event = tunnel.next_event()
    assert isinstance(event, LinkFailed)
    assert "closed the connection instead of answering CONNECT" in str(event.error)


class RefusedError(OSError, ValueError):
    """As ssl.SSLCertVerificationError."""


@pytest.mark.parametrize(
    ("reason", "said", "retryable"),
    [
        (OSError(111, "Connection refused"), "Connection refused", True),
        (OSError("no route"), "no route", True),
        (ConnectionResetError(), "ConnectionResetError", True),
        (RefusedError(1, "certificate verify failed"), "certificate verify failed", False),
        (UnicodeError("label too long"), "label too long", False),
    ],
)
def test_a_connection_that_could_not_be_made(reason: OSError | ValueError, said: str, retryable: bool) -> None:
    """Where to and why; whether it may be better the next time; the system's error is the cause."""
    error = could_not_connect("api.test", 443, reason)
    assert str(error) == f"could not connect to api.test:443: {said}"
    assert error.retryable is retryable
    assert error.__cause__ is reason


def test_time_that_ran_out() -> None:
    """What was being done, and how far the failure reaches."""
    assert str(timed_out("connect", "api.test", 443, 0.5)) == "could not connect to api.test:443 within 0.5 seconds"
    assert timed_out("connect", "api.test", 443, 0.5).scope == "connection"
    assert timed_out("handshake", "api.test", 443, 1.0).phase == "handshake"
    assert timed_out("write", "api.test", 443, 1.0).scope == "request"


def test_a_stream_that_is_over() -> None:
    """It is not read again."""
    check_not_over(over=False)
    with pytest.raises(LocalProtocolError, match="was read to its end, or closed"):
        check_not_over(over=True)


# Turns.

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TINY = CHUNKED + b"1\r\nx\r\n" * (3 * TURN - 1) + b"1\r\n \r\n0\r\n\r\n"
"""A body in very many tiny chunks."""


def test_a_whole_body_of_tiny_chunks() -> None:
    """It is taken bit by bit, and others may have their turn between."""
    made = exchange(success_limit=len(TINY))
    assert answered(made, TINY) is None
    turns = 1
    while (outcome := made.outcome()) is None:
        assert made.link.laden
        turns += 1
    assert isinstance(outcome, Response)
    assert outcome.body == b"x" * (3 * TURN - 1) + b" "
    assert turns >= 3
    assert made.reusable


def test_a_stream_of_tiny_chunks() -> None:
    """The same; nothing is lost, and at its end it is over."""
    made = exchange("stream")
    assert isinstance(answered(made, TINY), Response)
    body = StreamedBody(made.link, Words())
    values: list[str] = []
    turns = 0
    while not body.over:
        values += body.receive()
        turns += 1
        assert body.laden != body.over
    assert values == ["x" * (3 * TURN - 1)]
    assert turns >= 3
    assert body.reusable


class Patient(Words):
    """A decoder that takes one word in a turn."""

    def __init__(self) -> None:
        super().__init__()
        self._left = b""

    def receive_portion(self, data: bytes) -> tuple[list[str], bool]:
        """The next word, and whether there are more."""
        word, space, self._left = (self._left + data).partition(b" ")
        return self.receive_data(word + space), bool(self._left)


def test_a_decoder_that_takes_turns() -> None:
    """It is asked again before anything else is read; what it ends with comes last."""
    made = exchange("stream")
    answered(made, reply(200, b"one two ! three "))
    body = StreamedBody(made.link, Patient())
    assert (body.receive(), body.laden) == (["one"], True)
    assert (body.receive(), body.laden) == (["two"], True)
    assert (body.receive(), body.laden) == ([], True)
    with pytest.raises(ApiError):
        body.receive()
    assert body.over
    assert not body.laden
