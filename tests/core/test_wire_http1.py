"""Heads on their way out and in, on both sides of a connection."""

import pytest

from cartesia_proto.config import Limits
from cartesia_proto.credentials import Secret
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.http import FilePart, Headers, Method, Request, Response, Upload
from cartesia_proto.wire.http1 import (
    BodyData,
    ClientEvent,
    ClientLink,
    EndOfBody,
    RequestHead,
    ResponseHead,
    ServerEvent,
    ServerLink,
)
from cartesia_proto.wire.link import LinkFailed
from cartesia_proto.wire.proxy import Proxy

URL = "https://api.test:8443/voices/a%2Fb?limit=1"


def sent(request: Request) -> bytes:
    """What a client writes for a whole request."""
    link = ClientLink(10.0, Limits())
    link.send(request, 0.0)
    return link.data_to_send()


def test_a_proxy_is_asked_in_absolute_form() -> None:
    """RFC 9112 section 3.2.2; it is told who asks, and what goes wrong is said of it."""
    link = ClientLink(10.0, Limits())
    proxy = Proxy("proxy.test", 3128, Secret("a:b"))
    link.send_request(Request("GET", "http://API.test:81/x?y", Headers()), 0, 0.0, through=proxy)
    link.end_request()
    sent = link.data_to_send()
    assert sent.startswith(b"GET http://api.test:81/x?y HTTP/1.1\r\nHost: api.test:81\r\n")
    assert b"\r\nProxy-Authorization: Basic YTpi\r\n" in sent
    link.receive_eof(1.0)
    failed = link.next_event()
    assert isinstance(failed, LinkFailed)
    assert "the proxy proxy.test:3128 closed the connection" in str(failed.error)


def answered(method: Method, response: bytes) -> list[ClientEvent]:
    """What a client that asked says to a response."""
    link = ClientLink(10.0, Limits())
    link.send(Request(method, URL, Headers()), 0.0)
    link.receive_data(response, 0.0)
    return list(iter(link.next_event, None))


def test_the_status_of_a_malformed_error() -> None:
    """It is known although its head has no meaning; of other heads, there is none to be known."""
    for response, status in (
        (b"HTTP/1.1 404 No\r\nno colon\r\n", 404),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n", None),
        (b"HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\n", None),
        (b"garbage\r\n", None),
    ):
        link = ClientLink(10.0, Limits())
        link.send(Request("GET", URL, Headers()), 0.0)
        link.receive_data(response, 0.0)
        assert link.error_status == status


def serving(request: bytes) -> ServerLink:
    """A server that received bytes."""
    link = ServerLink(10.0, Limits())
    link.receive_data(request, 0.0)
    return link


def heard(link: ServerLink) -> list[ServerEvent]:
    """Everything the server's link has to say."""
    return list(iter(link.next_event, None))


# The client.


def test_a_request_on_the_wire() -> None:
    """Host first, the headers with their true values, then what the link adds."""
    request = Request("POST", URL, Headers([("X-API-Key", "canary"), ("Accept", " */* ")]), b"{}")
    assert sent(request) == (
        b"POST /voices/a%2Fb?limit=1 HTTP/1.1\r\nHost: api.test:8443\r\nX-API-Key: canary\r\nAccept: */*\r\n"
        b"Accept-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}"
    )


def test_the_secrets_of_a_request_are_not_repeated() -> None:
    """Those of the last request; before the first there are none."""
    link = ClientLink(10.0, Limits())
    assert link.without_secrets("canary-1234") == "canary-1234"
    link.send(Request("GET", URL, Headers([("X-API-Key", "canary-1234")])), 0.0)
    assert link.without_secrets("not canary-1234") == "not ***"


@pytest.mark.parametrize(
    ("method", "said"),
    [("GET", False), ("HEAD", False), ("DELETE", False), ("POST", True), ("PUT", True), ("PATCH", True)],
)
def test_the_length_of_no_body(method: Method, said: bool) -> None:
    """A method that usually has a body says that there is none (RFC 9110 section 8.6)."""
    assert (b"Content-Length: 0\r\n" in sent(Request(method, URL, Headers()))) is said


def test_an_accept_encoding_of_the_callers_stands() -> None:
    """Who asks for a coding gets to see the refusal of the answer."""
    wire = sent(Request("GET", URL, Headers([("accept-encoding", "br")])))
    assert wire.lower().count(b"accept-encoding") == 1


def test_an_upload_is_sent_in_pieces() -> None:
    """Head, pieces, end; the length is the sum of all pieces."""
    upload = Upload((b"--x", FilePart("clip", "hello.wav"), b"x--"))
    request = Request("POST", URL, Headers(), upload)
    link = ClientLink(10.0, Limits())
    with pytest.raises(LocalProtocolError, match="an Upload is sent in pieces"):
        link.send(request, 0.0)
    link.send_request(request, upload.length([4]), 0.0)
    for piece in (b"--x", b"RI", b"FF", b"x--"):
        link.send_body(piece)
    link.end_request()
    assert link.data_to_send().endswith(b"Content-Length: 10\r\n\r\n--xRIFFx--")


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding"])
def test_framing_is_the_links(name: str) -> None:
    """Two opinions on where a body ends are how requests get smuggled."""
    link = ClientLink(10.0, Limits())
    with pytest.raises(LocalProtocolError, match=f"header {name} is set by the link"):
        link.send(Request("GET", URL, Headers([(name, "1")])), 0.0)
    assert link.data_to_send() == b""
    assert link.reusable


@pytest.mark.parametrize("field", [("X-Key", "canary\r\nX: y"), ("X-Key", "canary\u20ac"), ("X Key", "canary")])
def test_a_header_that_cannot_be_sent(field: tuple[str, str]) -> None:
    """Headers copied from a response are checked before they are sent; the value is not shown."""
    link = ClientLink(10.0, Limits())
    with pytest.raises(LocalProtocolError, match="cannot be sent") as caught:
        link.send(Request("GET", URL, Headers.received([field])), 0.0)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url", ["http://", "http://h/a b", "http://h/ä", "http:///x", "http://h/?token=canary ", "/path"]
)
def test_a_url_that_cannot_be_sent(url: str) -> None:
    """The URL may carry a token: the message does not repeat it."""
    with pytest.raises(LocalProtocolError, match="percent-encoded") as caught:
        sent(Request("GET", url, Headers()))
    assert "canary" not in str(caught.value)


def test_a_method_that_cannot_be_sent() -> None:
    """What is no token would break the request line."""
    method: Method = "GET / HTTP/1.1\r\nX:"  # type: ignore[assignment] # pyright: ignore[reportAssignmentType] - the point
    with pytest.raises(LocalProtocolError, match="is no HTTP method"):
        sent(Request(method, URL, Headers()))


def test_a_response_head() -> None:
    """Names as they were sent, values in Latin-1, secret-looking ones wrapped; the reason is dropped."""
    head, end = answered(
        "GET", b"HTTP/1.1 200 Fine\r\nX-Name: caf\xe9\r\nSet-Cookie: canary\r\nContent-Length: 0\r\n\r\n"
    )
    assert isinstance(head, ResponseHead)
    assert head.response.headers.reveal() == (("X-Name", "café"), ("Set-Cookie", "canary"), ("Content-Length", "0"))
    assert "canary" not in repr(head)
    assert end == EndOfBody()


def test_a_response_to_head_has_no_body() -> None:
    """Whatever length it declares."""
    assert answered("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")[1:] == [EndOfBody()]


def test_interim_responses_are_skipped() -> None:
    """Only the final response is told."""
    head, end = answered(
        "GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 204 OK\r\n\r\n"
    )
    assert isinstance(head, ResponseHead)
    assert (head.response.status, end) == (204, EndOfBody())


def test_a_101_is_told() -> None:
    """An upgrade ends HTTP on the connection."""
    link = ClientLink(10.0, Limits())
    link.send(Request("GET", URL, Headers([("Upgrade", "websocket")])), 0.0)
    link.receive_data(b"HTTP/1.1 101 Switching\r\n\r\n", 0.0)
    assert link.next_event() == ResponseHead(Response(101))
    assert link.state == "switched"


def test_a_started_response_is_known() -> None:
    """By its first byte, and anew for each request."""
    link = ClientLink(10.0, Limits())
    for _ in range(2):
        link.send(Request("GET", URL, Headers()), 0.0)
        assert not link.response_started
        link.receive_data(b"HTTP/1.1 2", 0.0)
        assert link.response_started
        link.receive_data(b"04 No\r\n\r\n", 0.0)


def test_body_data_does_not_show_itself() -> None:
    """A body may be anything, and long."""
    assert repr(BodyData(b"canary")) == "BodyData(data=<6 bytes>)"


# The server.

GET = b"GET /x?token=canary HTTP/1.1\r\nHost: api.test\r\n\r\n"


def test_a_request_is_heard() -> None:
    """Head, body, end; a token in the target is not shown."""
    link = serving(b"POST /x?token=canary HTTP/1.1\r\nHost: api.test\r\nContent-Length: 2\r\n\r\n{}")
    head, *rest = heard(link)
    assert head == RequestHead("POST", "/x?token=canary", Headers([("Host", "api.test"), ("Content-Length", "2")]))
    assert "canary" not in repr(head)
    assert rest == [BodyData(b"{}"), EndOfBody()]
    assert link.state == "response"


def test_a_whole_response() -> None:
    """Its length is declared; then the next request may come."""
    link = serving(GET)
    link.send(Response(200, Headers([("Content-Type", "text/plain")]), b"hello"))
    assert link.data_to_send() == b"HTTP/1.1 200 \r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    assert link.reusable


def test_a_response_of_unknown_length_is_chunked() -> None:
    """Each piece is a chunk."""
    link = serving(GET)
    link.send_head(Response(200), None)
    link.send_body(b"hello")
    link.send_body(b"")
    link.end_response()
    assert link.data_to_send() == b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert link.reusable


def test_an_old_client_gets_everything_until_the_close() -> None:
    """HTTP/1.0 knows no chunks."""
    link = serving(b"GET / HTTP/1.0\r\n\r\n")
    link.send_head(Response(200), None)
    link.send_body(b"hello")
    link.end_response()
    assert link.data_to_send() == b"HTTP/1.1 200 \r\nConnection: close\r\n\r\nhello"
    assert link.state == "closed"


def test_a_response_to_head_is_sent_without_its_body() -> None:
    """Its length is that of the body it would have."""
    link = serving(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    link.send(Response(200, body=b"hello"))
    assert link.data_to_send() == b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n"
    assert link.reusable


def test_a_response_to_head_may_be_sent_in_pieces() -> None:
    """As any other; its body is left out in the same way."""
    link = serving(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    link.send_head(Response(200), 5)
    link.send_body(b"hel")
    link.send_body(b"lo")
    link.end_response()
    assert link.data_to_send() == b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n"
    assert link.reusable


def test_a_204_has_no_length() -> None:
    """Nor a body (RFC 9110 section 15.3.5)."""
    link = serving(GET)
    link.send(Response(204))
    assert link.data_to_send() == b"HTTP/1.1 204 \r\n\r\n"
    link.receive_data(GET, 0.0)
    with pytest.raises(LocalProtocolError, match="longer than the 0 bytes"):
        link.send(Response(204, body=b"hello"))


def test_a_client_that_waits_may_continue() -> None:
    """RFC 9110 section 10.1.1."""
    link = serving(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert link.data_to_send() == b"HTTP/1.1 100 \r\n\r\n"


def test_a_server_speaks_when_asked() -> None:
    """Without a request there is no response, and one request has one."""
    link = ServerLink(10.0, Limits())
    with pytest.raises(LocalProtocolError, match="send_head is illegal now: the state of the link is 'idle'"):
        link.send(Response(200))
    link.receive_data(GET, 0.0)
    link.send_head(Response(200), 0)
    with pytest.raises(LocalProtocolError, match="'body'"):
        link.send_head(Response(200), 0)
    link.end_response()
    with pytest.raises(LocalProtocolError, match="end_response is illegal"):
        link.end_response()


@pytest.mark.parametrize("status", [0, 101, 1000])
def test_only_final_statuses_are_sent(status: int) -> None:
    """Nothing is queued, so the right one can still be sent."""
    link = serving(GET)
    with pytest.raises(LocalProtocolError, match=f"{status} is no status"):
        link.send(Response(status))
    link.send(Response(200))


def test_a_response_cut_short_on_purpose() -> None:
    """Fewer bytes than declared are misuse; the bytes themselves have been queued."""
    link = serving(GET)
    link.send_head(Response(200), 5)
    link.send_body(b"he")
    with pytest.raises(LocalProtocolError, match="shorter than the 5 bytes"):
        link.end_response()
    assert link.data_to_send().endswith(b"\r\n\r\nhe")
    assert not link.reusable


def test_a_bad_request_after_head_is_answered_with_a_body() -> None:
    """What cannot be read is no HEAD request, even if the one before it was."""
    link = serving(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    link.send(Response(200))
    link.receive_data(b"nonsense\r\n\r\n", 0.0)
    assert isinstance(heard(link)[-1], LinkFailed)
    link.data_to_send()
    link.send(Response(400, body=b"what?"))
    assert link.data_to_send() == b"HTTP/1.1 400 \r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhat?"


def test_a_request_broken_in_its_body_is_answered() -> None:
    """The response to the part that was understood says that it is the last."""
    link = serving(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert isinstance(heard(link)[-1], LinkFailed)
    link.send(Response(400))
    assert b"Connection: close" in link.data_to_send()
    assert not link.reusable


def test_a_response_that_says_two_lengths_is_the_last() -> None:
    """The chunks hold, and the connection is not used again (RFC 9112 section 6.3)."""
    both = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\n\r\n"
    link = ClientLink(10.0, Limits())
    link.send(Request("GET", URL, Headers()), 0.0)
    link.receive_data(both, 0.0)
    assert list(iter(link.next_event, None))[1:] == [BodyData(b"he"), EndOfBody()]
    assert not link.reusable


def test_a_request_that_says_two_lengths_is_refused() -> None:
    """It may be meant to be read as two requests."""
    link = serving(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    (failed,) = heard(link)
    assert isinstance(failed, LinkFailed)
    assert "both Transfer-Encoding and Content-Length" in str(failed.error)
    link.send(Response(400))
    assert b"Connection: close" in link.data_to_send()


@pytest.mark.parametrize("step", [1, 1000])
def test_a_server_reads_what_clients_may_write(step: int) -> None:
    """An empty line before a request, chunks with extensions, a trailer; and the next request behind it."""
    link = ServerLink(10.0, Limits())
    once = (
        b"\r\nPOST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked,\r\n\r\n"
        b"5 ;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n"
    )
    for _ in range(2):
        for start in range(0, len(once), step):
            link.receive_data(once[start : start + step], 0.0)
        head, *body, end = heard(link)
        assert isinstance(head, RequestHead)
        assert b"".join(event.data for event in body if isinstance(event, BodyData)) == b"hello!"
        assert end == EndOfBody()
        link.send(Response(200))
        assert link.reusable


def test_a_server_refuses_nonsense_at_once() -> None:
    """What can be no request is not waited for; TLS on a port without it is the most frequent."""
    for nonsense in (b"\x16\x03\x01", b"\r\n\r\n", b"GET / HTTP/1.1\r\nX : y\r\n"):
        assert isinstance(heard(serving(nonsense))[-1], LinkFailed)


def test_a_server_switches_protocols() -> None:
    """Only for a request that asks for it, and once; what the client sent behind it is kept."""
    plain = serving(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(LocalProtocolError, match="switch_protocols is illegal now"):
        plain.switch_protocols(Headers())
    link = serving(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x80")
    assert [type(event) for event in heard(link)] == [RequestHead, EndOfBody]
    link.switch_protocols(Headers([("Upgrade", "websocket")]))
    assert link.data_to_send() == b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    link.receive_data(b"abcd", 0.0)
    assert (link.state, link.trailing_data()) == ("switched", b"\x81\x80abcd")
    with pytest.raises(LocalProtocolError, match="switch_protocols is illegal now"):
        link.switch_protocols(Headers())
