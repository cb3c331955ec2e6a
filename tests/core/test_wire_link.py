"""What every HTTP/1.1 link shares: feeding, failing, time, limits, keep-alive. Seen through the client mostly."""

import math
import pickle
import tracemalloc

import pytest

from cartesia_proto.config import Limits
from cartesia_proto.errors import (
    ConnectionLost,
    IncompleteStream,
    LocalProtocolError,
    RemoteProtocolError,
    TimeoutError,
)
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.wire.chunked import TURN
from cartesia_proto.wire.http1 import (
    BodyData,
    ClientEvent,
    ClientLink,
    EndOfBody,
    RequestHead,
    ResponseHead,
    ServerLink,
)
from cartesia_proto.wire.link import BUSY, SPACE, LinkFailed
from cartesia_proto.wire.proxy import Proxy
from cartesia_proto.wire.tunnel import ConnectLink, Tunnelled

GET = Request("GET", "http://api.test/x", Headers([("Authorization", "Bearer canary")]))
POST = Request("POST", "http://api.test/x", Headers(), b"hello")
UPGRADE = Request("GET", "http://api.test/x", Headers([("Connection", "Upgrade"), ("Upgrade", "websocket")]))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def asked(request: Request = GET, *, timeout: float = 10.0, limits: Limits = Limits()) -> ClientLink:
    """A client that sent a request at 100 seconds."""
    link = ClientLink(timeout, limits)
    link.send(request, 100.0)
    link.data_to_send()
    return link


def events(link: ClientLink) -> list[ClientEvent]:
    """Everything the link has to say."""
    return list(iter(link.next_event, None))


def failure(link: ClientLink) -> Exception:
    """The error of the last event; no event ever follows it, and it shows no secret."""
    last = events(link)[-1]
    assert isinstance(last, LinkFailed)
    assert link.state == "failed"
    assert not link.reusable
    assert link.deadline() is None
    link.receive_data(OK, 200.0)
    link.receive_eof(200.0)
    assert events(link) == []
    assert "canary" not in repr(last)
    assert type(pickle.loads(pickle.dumps(last.error))) is type(last.error)
    return last.error


def test_a_whole_exchange() -> None:
    """Head, body and end; then the link is ready for another request."""
    link = asked()
    states = [link.state]
    for piece in (bytearray(OK[:41]), memoryview(OK)[41:]):
        link.receive_data(piece, 101.0)
        states.append(link.state)
    assert states == ["response", "body", "idle"]
    head = Response(200, Headers([("Content-Length", "5")]))
    assert events(link) == [ResponseHead(head), BodyData(b"hel"), BodyData(b"lo"), EndOfBody()]
    assert link.reusable


def test_receiving_into_the_links_own_space() -> None:
    """It is the same as receiving elsewhere; it grows for a peer that fills it, up to an end, and only for one."""
    link = asked()
    link.receive_space()[: len(OK)] = OK
    link.received(len(OK), 101.0)
    assert events(link)[1:] == [BodyData(b"hello"), EndOfBody()]
    link = asked()
    link.receive_data(CHUNKED + b"%x\r\n" % (1 << 30), 101.0)
    sizes: list[int] = []
    space = link.receive_space()
    for share in (1, 2, 1, 1, 1, 2):
        space = link.receive_space()
        sizes.append(len(space) // 1024)
        link.received(len(space) // share, 102.0)
    assert sizes == [16, 64, 64, 256, 256, 256]
    assert link.receive_space() is space
    assert len(events(link)) == 7


def receive(link: ClientLink, stream: bytes) -> list[int]:
    """Receive bytes into the link's own space, as many at a time as there is space for; what was offered."""
    offered: list[int] = []
    while stream:
        space = link.receive_space()
        count = min(len(space), len(stream))
        space[:count] = stream[:count]
        link.received(count, 101.0)
        stream = stream[count:]
        offered.append(len(space))
    return offered


@pytest.mark.parametrize("end", [b"\r\n0\r\n\r\n", b"no end of a chunk"])
def test_the_space_is_let_go_once_a_message_is_over(end: bytes) -> None:
    """Well or badly: nothing is held while nothing is asked for. The next message begins as the first."""
    link, stream = asked(), CHUNKED + b"%x\r\n" % BUSY + bytes(BUSY) + end
    receive(asked(), stream)  # what is only made once, such as a measurement of coverage, is made now
    tracemalloc.start()
    try:
        offered = receive(link, stream)
        assert tracemalloc.get_traced_memory()[0] > BUSY
        assert isinstance(events(link)[-1], EndOfBody | LinkFailed)
        assert tracemalloc.get_traced_memory()[0] < SPACE
    finally:
        tracemalloc.stop()
    assert (offered[0], offered[-1]) == (SPACE, BUSY)
    assert len(link.receive_space()) == SPACE


def test_no_space_is_made_while_none_is_needed() -> None:
    """A small exchange uses one; asking for it again makes no other."""
    link = asked()
    space = link.receive_space()
    link.received(0, 101.0)
    assert link.receive_space() is space
    assert receive(link, OK) == [SPACE]


def test_receiving_more_than_there_was_space_for() -> None:
    """It cannot be, and nothing is received."""
    link = asked()
    with pytest.raises(LocalProtocolError, match="there was no space for them"):
        link.received(1, 101.0)
    for count in (-1, len(link.receive_space()) + 1):
        with pytest.raises(LocalProtocolError, match="there was no space for them"):
            link.received(count, 101.0)
    assert not link.response_started


def test_many_exchanges_on_one_connection() -> None:
    """Keep-alive: the next cycle begins by itself."""
    link = asked()
    for _ in range(3):
        link.receive_data(OK, 101.0)
        assert events(link)[-1] == EndOfBody()
        link.send(GET, 102.0)


def test_taking_what_is_to_be_sent_empties_it() -> None:
    """Bytes are handed out once."""
    link = ClientLink(10.0, Limits())
    link.send(GET, 0.0)
    assert link.data_to_send().startswith(b"GET /x HTTP/1.1\r\n")
    assert link.data_to_send() == b""


def test_no_bytes_are_no_end() -> None:
    """An empty read means nothing; the end of input has a method of its own."""
    link = asked()
    link.receive_data(b"", 105.0)
    assert events(link) == []
    assert link.deadline() == 110.0
    assert not link.response_started


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    """RFC 9112 section 6.3: neither length nor chunks; the connection is not reusable."""
    link = asked()
    link.receive_data(b"HTTP/1.1 200 OK\r\n\r\nhello", 101.0)
    link.receive_eof(102.0)
    assert events(link)[1:] == [BodyData(b"hello"), EndOfBody()]
    assert link.state == "closed"


def test_data_after_the_end_is_ignored() -> None:
    """Nothing can follow the end of input."""
    link = asked()
    link.receive_data(OK, 101.0)
    link.receive_eof(101.0)
    link.receive_data(OK, 101.0)
    assert len(events(link)) == 3
    assert link.state == "closed"


def test_a_body_without_a_length_is_cut_when_the_connection_breaks() -> None:
    """RFC 9112 section 9.8: a connection that broke has not ended."""
    link = asked()
    link.receive_data(b"HTTP/1.1 200 OK\r\n\r\nhello", 101.0)
    link.connection_lost(102.0)
    error = failure(link)
    assert type(error) is IncompleteStream
    assert "5 bytes into a response body" in str(error)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nX", OK[:-1], OK, CHUNKED + b"5\r\nhe"])
def test_elsewhere_a_break_is_an_end(sent: bytes) -> None:
    """What has a length of its own is whole or cut, however the connection went."""
    broken, ended = asked(), asked()
    for link in (broken, ended):
        link.receive_data(sent, 101.0)
    broken.connection_lost(102.0)
    ended.receive_eof(102.0)
    assert repr(events(broken)) == repr(events(ended))
    assert broken.state == ended.state


@pytest.mark.parametrize("reply", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n"])
def test_a_server_that_closes_is_believed(reply: bytes) -> None:
    """After such a response the link is closed, and what follows it is ignored."""
    link = asked()
    link.receive_data(reply + b"Content-Length: 2\r\n\r\nok and more", 101.0)
    assert events(link)[1:] == [BodyData(b"ok"), EndOfBody()]
    assert link.state == "closed"
    link.receive_data(b"more", 101.0)
    assert events(link) == []
    with pytest.raises(LocalProtocolError, match="send_request is illegal now: the state of the link is 'closed'"):
        link.send(GET, 102.0)


# The end of the input.


def test_the_end_before_any_byte() -> None:
    """The sign of a stale connection."""
    link = asked()
    link.receive_eof(101.0)
    assert not link.response_started
    error = failure(link)
    assert type(error) is ConnectionLost
    assert "before any byte" in str(error)


@pytest.mark.parametrize("sent", [b"H", b"HTTP/1.1 200 OK\r\nX: y\r\n", b"HTTP/1.1 103 Early\r\n\r\n"])
def test_the_end_within_the_head(sent: bytes) -> None:
    """A response had begun, so the connection was not stale."""
    link = asked()
    link.receive_data(sent, 101.0)
    link.receive_eof(101.0)
    assert link.response_started
    error = failure(link)
    assert type(error) is ConnectionLost
    assert "in the middle of the head" in str(error)


@pytest.mark.parametrize(
    "sent",
    [OK[:-3], CHUNKED + b"5\r\nhe", CHUNKED + b"2\r\nhe\r\n", CHUNKED + b"2\r\nhe\r\n0\r\n", CHUNKED + b"2\r\nhe\r\n5"],
)
def test_the_end_within_the_body(sent: bytes) -> None:
    """What had arrived is delivered first; the message says how much it was."""
    link = asked()
    link.receive_data(sent, 101.0)
    link.receive_eof(101.0)
    assert link.next_event() is not None
    assert link.next_event() == BodyData(b"he")
    error = failure(link)
    assert type(error) is IncompleteStream
    assert "2 bytes into a response body" in str(error)


def test_the_end_between_exchanges() -> None:
    """Nothing was owed: no event, but no further request either."""
    link = asked()
    link.receive_data(OK, 101.0)
    events(link)
    link.receive_eof(102.0)
    assert events(link) == []
    assert link.state == "closed"


# Nonsense.


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"\x16\x03\x01", "an illegal start line"),
        (b"\r\n\r\n", "an illegal start line"),
        (b"HTTP/1.1 two hundred\r\n\r\n", "an illegal start line"),
        (b"HTTP/1.1 200 OK\r\ncanary canary: 1\r\n\r\n", "illegal header line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "conflicting Content-Length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "Only Transfer-Encoding: chunked is supported"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "without a pending proposal"),
        (CHUNKED + b"canary\r\n", "illegal chunk header"),
        (CHUNKED + b"2\r\nhe!!", "malformed chunk footer"),
    ],
)
def test_nonsense_is_a_remote_protocol_error(sent: bytes, said: str) -> None:
    """The message says what was wrong and repeats nothing that was received."""
    link = asked()
    link.receive_data(sent, 101.0)
    error = failure(link)
    assert isinstance(error, RemoteProtocolError)
    assert error.scope == "connection"
    assert said in str(error)
    assert "\\" not in str(error)


@pytest.mark.parametrize("step", [1, 10_000])
@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "an illegal start line"),
        (b"220 smtp.test ESMTP", "an illegal start line"),
        (b"HTTP/1.1  200 OK", "an illegal start line"),
        (b"HTTP/1.1 200 OK\r\nX : y\r\n", "illegal header line"),
        (b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nno field\r\n", "illegal header line"),
        (b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 1000, "more lines in a head or trailer than the limit of 1000"),
        (CHUNKED + b"5\n", "illegal chunk header"),
        (CHUNKED + b"0x", "illegal chunk header"),
        (CHUNKED + b"2;a\n", "illegal chunk header"),
        (CHUNKED + b"2\r\nhe\r\n-1", "illegal chunk header"),
        (CHUNKED + b"2\r\nhe\n", "malformed chunk footer"),
        (CHUNKED + b"2\r\nhe\r\n0\r\nno field\r\n", "illegal header line"),
        (CHUNKED + b"0\r\n" + b"a:\r\n" * 1001, "more lines in a head or trailer than the limit of 1000"),
    ],
)
def test_nonsense_is_not_waited_out(sent: bytes, said: str, step: int) -> None:
    """What can become no response is refused when it is seen, with nothing behind it and no end of the input."""
    link = asked()
    for start in range(0, len(sent), step):
        link.receive_data(sent[start : start + step], 101.0)
    assert said in str(failure(link))


@pytest.mark.parametrize("step", [1, 10_000])
@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 \nContent-Length: 5\n\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length:\t 5 , 5\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 5\r\n\r\nhello",
        b"HTTP/1.1 100\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: , chunked,\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: ,keep-alive,\r\nContent-Length: 5\r\n\r\nhello",
        CHUNKED + b'00000000000000000000000000000005 \t; a="b;c" ; d\r\nhello\r\n000;e\r\nX: y\n z\r\n\r\n',
    ],
)
def test_legacy_forms(sent: bytes, step: int) -> None:
    """What a recipient must accept is accepted, and the connection is good for another request."""
    link = asked()
    for start in range(0, len(sent), step):
        link.receive_data(sent[start : start + step], 101.0)
    received = events(link)
    assert isinstance(received[0], ResponseHead)
    body = b"".join(event.data for event in received[1:-1] if isinstance(event, BodyData))
    assert (body, received[-1]) == (b"hello", EndOfBody())
    assert link.reusable


def test_a_tunnel_has_no_body() -> None:
    """What a proxy says of a body in its answer to CONNECT does not count (RFC 9110 section 9.3.6)."""
    link = ConnectLink(Proxy("proxy.test", 1), "api.test", 443, 10.0, Limits(), 0.0)
    link.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0.0)
    assert link.next_event() == Tunnelled()
    assert link.state == "switched"


def test_nonsense_is_found_before_the_end_of_input() -> None:
    """An end that follows in the same breath does not turn nonsense into a lost connection."""
    link = asked()
    link.receive_data(CHUNKED + b"zz\r\n", 101.0)
    link.receive_eof(101.0)
    assert isinstance(failure(link), RemoteProtocolError)


def test_unasked_bytes_fail_an_idle_client() -> None:
    """A server speaks when asked; whatever it says else cannot be told apart from the next response."""
    link = ClientLink(10.0, Limits())
    link.receive_data(b"HTTP/1.1 408 Request Timeout\r\n\r\n", 0.0)
    error = failure(link)
    assert isinstance(error, RemoteProtocolError)
    assert "no request asked for" in str(error)


@pytest.mark.parametrize("apart", [False, True])
def test_bytes_after_a_response_spoil_the_connection(apart: bool) -> None:
    """The response is delivered whole, and the link is not reused; in one piece or two."""
    link = asked()
    for piece in (OK, b"!") if apart else (OK + b"!",):
        link.receive_data(piece, 101.0)
    assert link.next_event() is not None
    assert [link.next_event(), link.next_event()] == [BodyData(b"hello"), EndOfBody()]
    assert isinstance(failure(link), RemoteProtocolError)


# Limits.


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_the_head_is_limited_exactly(step: int) -> None:
    """A head of the limit passes, one byte more fails, however it is cut."""
    limits = Limits(head=100)
    for size, passes in ((100, True), (101, False)):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: "
        sent = head + b"x" * (size - len(head) - 4) + b"\r\n\r\nhello"
        link = asked(limits=limits)
        for start in range(0, len(sent), step):
            link.receive_data(sent[start : start + step], 101.0)
        if passes:
            assert events(link)[-1] == EndOfBody()
        else:
            error = failure(link)
            assert isinstance(error, RemoteProtocolError)
            assert "a head longer than the limit of 100 bytes" in str(error)


def test_interim_responses_share_the_limit() -> None:
    """A server that sends interim responses for ever is stopped."""
    link = asked(limits=Limits(head=1000))
    for _ in range(100):
        link.receive_data(b"HTTP/1.1 102 Processing\r\n\r\n", 101.0)
    assert isinstance(failure(link), RemoteProtocolError)


@pytest.mark.parametrize("rest", [b"5;" + b"x" * 200, b"0\r\nX: " + b"x" * 200])
def test_what_stands_between_chunks_is_limited(rest: bytes) -> None:
    """Chunk extensions and trailers may be as long as a head."""
    link = asked(limits=Limits(head=100))
    link.receive_data(CHUNKED + b"2\r\nhe\r\n" + rest, 101.0)
    error = failure(link)
    assert isinstance(error, RemoteProtocolError)
    assert "a chunk header or trailer longer than the limit" in str(error)


def test_the_limit_does_not_hold_for_bodies() -> None:
    """A body is handed on as it comes, far over the limit on heads, in any framing."""
    body = bytes(1000)
    chunks = b"".join(b"a\r\n" + bytes(10) + b"\r\n" for _ in range(100)) + b"0\r\n\r\n"
    for sent in (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + body, CHUNKED + chunks):
        link = asked(limits=Limits(head=100))
        link.receive_data(sent, 101.0)
        received = events(link)
        assert b"".join(event.data for event in received if isinstance(event, BodyData)) == body
        assert received[-1] == EndOfBody()


# Time.


def test_the_deadline_follows_progress() -> None:
    """It counts from the request, from what was sent, and from what arrived."""
    link = ClientLink(10.0, Limits())
    assert link.deadline() is None
    link.send(GET, 100.0)
    assert link.deadline() == 110.0
    link.data_sent(103.0)
    assert link.deadline() == 113.0
    link.receive_data(OK[:-1], 105.0)
    assert link.deadline() == 115.0
    link.receive_data(OK[-1:], 106.0)
    assert link.deadline() is None


def test_a_deadline_that_comes_fails_the_link() -> None:
    """An early call does nothing; one at the deadline is a read timeout."""
    link = asked()
    link.handle_deadline(109.9)
    assert events(link) == []
    link.handle_deadline(110.0)
    link.handle_deadline(120.0)
    error = failure(link)
    assert isinstance(error, TimeoutError)
    assert error.phase == "read"
    assert "10 seconds" in str(error)


def test_an_infinite_timeout_is_none() -> None:
    """So that no shell has to wait for an infinite number of seconds."""
    link = asked(timeout=math.inf)
    assert link.deadline() is None
    link.handle_deadline(1e9)
    assert events(link) == []


# Misuse.


def test_sending_out_of_turn_names_the_state() -> None:
    """Nothing reaches the wire, and the link goes on."""
    link = asked()
    with pytest.raises(LocalProtocolError, match="send_request is illegal now: the state of the link is 'response'"):
        link.send(GET, 101.0)
    with pytest.raises(LocalProtocolError, match="send_body is illegal"):
        link.send_body(b"x")
    with pytest.raises(LocalProtocolError, match="end_request is illegal"):
        link.end_request()
    with pytest.raises(LocalProtocolError, match="trailing_data is illegal"):
        link.trailing_data()
    assert link.data_to_send() == b""
    link.receive_data(OK, 101.0)
    assert events(link)[-1] == EndOfBody()


@pytest.mark.parametrize("failed", [False, True])
def test_a_body_of_another_length_than_declared(failed: bool) -> None:
    """Too much or too little: the link is of no further use, whichever it was."""
    link = ClientLink(10.0, Limits())
    link.send_request(POST, 5, 0.0)
    link.send_body(b"hel")
    if failed:
        with pytest.raises(LocalProtocolError, match="longer than the 5 bytes declared"):
            link.send_body(b"lo!")
    else:
        with pytest.raises(LocalProtocolError, match="shorter than the 5 bytes declared"):
            link.end_request()
    assert link.state == "failed"
    assert link.deadline() is None
    with pytest.raises(LocalProtocolError, match="'failed'"):
        link.send_body(b"lo")
    link.receive_data(OK, 1.0)
    assert events(link) == []


def test_bytes_that_did_not_go_out() -> None:
    """Nothing more can be sent, but a response that was on its way can still be read."""
    link = ClientLink(10.0, Limits())
    link.send_request(POST, 5, 0.0)
    link.send_failed()
    assert link.data_to_send() == b""
    with pytest.raises(LocalProtocolError, match="send_body is illegal"):
        link.send_body(b"hello")
    assert link.deadline() == 10.0
    link.receive_data(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", 1.0)
    assert events(link)[-1] == EndOfBody()
    assert not link.reusable


def test_a_failed_client_sends_no_more() -> None:
    """A response that cannot be read makes the rest of the request pointless."""
    link = ClientLink(10.0, Limits())
    link.send_request(POST, 5, 0.0)
    link.receive_data(b"nonsense\r\n\r\n", 1.0)
    assert isinstance(events(link)[-1], LinkFailed)
    with pytest.raises(LocalProtocolError, match="'failed'"):
        link.send_body(b"hello")


def test_a_response_before_the_request_is_complete() -> None:
    """It is delivered at once; the link is reusable only when the request has been completed."""
    link = ClientLink(10.0, Limits())
    link.send_request(POST, 5, 0.0)
    link.receive_data(OK, 1.0)
    assert events(link)[-1] == EndOfBody()
    assert (link.state, link.reusable, link.deadline()) == ("request", False, None)
    link.send_body(b"hello")
    link.end_request()
    assert link.reusable


# Switching protocols.


def test_switching_protocols() -> None:
    """A 101 ends HTTP on the link; what follows belongs to the other protocol."""
    link = asked(UPGRADE)
    link.receive_data(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00", 101.0)
    assert events(link) == [ResponseHead(Response(101, Headers([("Upgrade", "websocket")])))]
    assert link.state == "switched"
    assert link.deadline() is None
    link.receive_data(b"\x81\x01x", 102.0)
    assert link.trailing_data() == b"\x81\x00\x81\x01x"


# The server's side of the same rules.


def test_a_server_keeps_requests_sent_ahead() -> None:
    """A pipelined request waits until the response before it is complete; its deadline does not count meanwhile."""
    link = ServerLink(10.0, Limits())
    link.receive_data(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET", 100.0)
    for target in ("/1", "/2"):
        head = link.next_event()
        assert isinstance(head, RequestHead)
        assert head.target == target
        assert link.next_event() == EndOfBody()
        assert link.next_event() is None
        assert link.deadline() is None
        link.send(Response(200))
    assert link.deadline() == 110.0
    link.receive_eof(101.0)
    event = link.next_event()
    assert isinstance(event, LinkFailed)
    assert "the client closed the connection in the middle of the head of its request" in str(event.error)


def test_a_server_may_answer_what_it_could_not_read() -> None:
    """After nonsense one response may go out, which says that it is the last."""
    link = ServerLink(10.0, Limits(head=100))
    link.receive_data(b"GET / HTTP/1.1\r\nX: " + b"x" * 100, 100.0)
    assert isinstance(link.next_event(), LinkFailed)
    link.send(Response(431, body=b"too long"))
    assert link.data_to_send() == b"HTTP/1.1 431 \r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo long"
    assert not link.reusable


def test_a_slow_request_times_out() -> None:
    """An idle server waits for ever, one that has half a request does not."""
    link = ServerLink(10.0, Limits())
    assert link.deadline() is None
    link.receive_data(b"GET", 100.0)
    link.handle_deadline(110.0)
    event = link.next_event()
    assert isinstance(event, LinkFailed)
    assert isinstance(event.error, TimeoutError)


@pytest.mark.parametrize("ended", [False, True])
def test_tiny_chunks_are_taken_in_turns(ended: bool) -> None:
    """One event for each turn, with nothing to be waited for between; the end comes after all that was received."""
    link = asked()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    link.receive_data(head + b"1\r\nx\r\n" * (2 * TURN) + b"1\r\n", 1.0)
    if ended:
        link.receive_eof(2.0)
    assert not link.laden  # there are events
    assert isinstance(link.next_event(), ResponseHead)
    sizes: list[int] = []
    while isinstance(event := link.next_event(), BodyData):
        sizes.append(len(event.data))
        assert ended or link.laden == (link.deadline() is None) == (sum(sizes) < 2 * TURN)
    assert sum(sizes) == 2 * TURN
    assert max(sizes) == TURN
    assert isinstance(event, LinkFailed) == ended
