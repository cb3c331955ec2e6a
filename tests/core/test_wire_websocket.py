"""How each side comes to an open WebSocket, or to none."""

import math

import pytest

from cartesia_proto.config import Limits
from cartesia_proto.errors import ConnectionLost, LocalProtocolError, RemoteProtocolError, TimeoutError
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.wire.frames import TextMessage
from cartesia_proto.wire.http1 import EndOfBody, RequestHead, ServerLink
from cartesia_proto.wire.websocket import (
    Accepted,
    ClientWebSocketEvent,
    ClientWebSocketLink,
    Rejected,
    ServerWebSocketLink,
)
from cartesia_proto.wire.websocket_link import Closed

REQUEST = Request("GET", "https://api.test/ws?access_token=canary", Headers([("Authorization", "Bearer canary")]))


def client(*, timeout: float = 10.0, limits: Limits = Limits(), deflate: bool = False) -> ClientWebSocketLink:
    """A client's link, made at 100 seconds."""
    return ClientWebSocketLink(REQUEST, timeout=timeout, limits=limits, deflate=deflate, now=100.0)


def asked(link: ClientWebSocketLink, more: bytes = b"") -> tuple[ServerLink, RequestHead]:
    """The server's HTTP link once the client's bytes, and some more, have reached it."""
    http = ServerLink(10.0, Limits())
    http.receive_data(link.data_to_send() + more, 100.0)
    head = http.next_event()
    assert isinstance(head, RequestHead)
    assert http.next_event() == EndOfBody()
    return http, head


def events(link: ClientWebSocketLink) -> list[ClientWebSocketEvent]:
    """Everything the client's link has to say, without a secret."""
    told: list[ClientWebSocketEvent] = list(iter(link.next_event, None))
    assert "canary" not in repr(told)
    return told


def over(link: ClientWebSocketLink) -> ClientWebSocketEvent:
    """The one event of a link that never opened; nothing follows it."""
    (event,) = events(link)
    assert link.state == "closed"
    link.receive_data(b"HTTP/1.1 101 Switching\r\n\r\n\x81\x01x", 500.0)
    link.receive_eof(500.0)
    link.send_failed()
    link.handle_deadline(1e9)
    assert link.deadline() is None
    assert events(link) == []
    return event


def test_opening() -> None:
    """The client is accepted, the server is open from the start; either may speak first, even with the 101."""
    link = client()
    assert link.state == "handshake"
    http, head = asked(link)
    server = ServerWebSocketLink(http, head, limits=Limits(), now=100.0)
    assert (server.state, http.state) == ("open", "switched")
    server.send_text("welcome")
    answer = server.data_to_send()
    for place in range(len(answer)):
        assert link.state == ("open" if b"\r\n\r\n" in answer[:place] else "handshake")
        link.receive_data(answer[place : place + 1], 101.0)
    accepted, message = events(link)
    assert isinstance(accepted, Accepted)
    assert accepted.response.status == 101
    assert message == TextMessage(b"welcome")
    link.send_text("thanks")
    server.receive_data(link.data_to_send(), 102.0)
    assert server.next_event() == TextMessage(b"thanks")


def test_what_came_with_the_101() -> None:
    """In one read: both events, in this order."""
    link = client()
    server = ServerWebSocketLink(*asked(link), limits=Limits(), now=100.0)
    server.send_text("x" * 30_000)
    server.send_text("last")
    server.close(1000, "bye", 100.0)
    link.receive_data(server.data_to_send(), 101.0)
    accepted, *rest = events(link)
    assert isinstance(accepted, Accepted)
    assert rest == [TextMessage(b"x" * 30_000), TextMessage(b"last"), Closed(1000, "bye", None)]


def test_what_came_with_the_request() -> None:
    """A client should wait for the 101, but need not be lost if it does not."""
    earlier = client()
    earlier.receive_data(ServerWebSocketLink(*asked(earlier), limits=Limits(), now=100.0).data_to_send(), 100.0)
    earlier.send_text("early")
    server = ServerWebSocketLink(*asked(client(), earlier.data_to_send()), limits=Limits(), now=100.0)
    assert server.next_event() == TextMessage(b"early")


@pytest.mark.parametrize(("offered", "wanted"), [(True, True), (True, False), (False, True)])
def test_compression_needs_both(offered: bool, wanted: bool) -> None:
    """Where one side does not want it, messages go as they are."""
    link = client(deflate=offered)
    server = ServerWebSocketLink(*asked(link), limits=Limits(), deflate=wanted, now=100.0)
    link.receive_data(server.data_to_send(), 100.0)
    server.send_text("hello " * 1000)
    sent = server.data_to_send()
    assert (len(sent) < 100) is (offered and wanted)
    link.receive_data(sent, 101.0)
    assert events(link)[1:] == [TextMessage(b"hello " * 1000)]
    link.send_text("hello " * 1000)
    server.receive_data(link.data_to_send(), 101.0)
    assert server.next_event() == TextMessage(b"hello " * 1000)


def test_a_rejection() -> None:
    """The whole response, for an `ApiError` to be made of."""
    link = client()
    http, _ = asked(link)
    http.send(Response(401, Headers([("X-Request-Id", "r1")]), b'{"message":"bad key"}'))
    answer = http.data_to_send()
    link.receive_data(answer[:-1], 101.0)
    assert events(link) == []
    link.receive_data(answer[-1:], 101.0)
    event = over(link)
    assert isinstance(event, Rejected)
    assert (event.response.status, event.response.request_id) == (401, "r1")
    assert event.response.body == b'{"message":"bad key"}'


def test_a_success_that_is_no_upgrade_is_a_rejection_too() -> None:
    """A captive portal answers 200."""
    link = client()
    link.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 101.0)
    event = over(link)
    assert isinstance(event, Rejected)
    assert (event.response.status, event.response.body) == (200, b"hi")


def test_a_bad_101() -> None:
    """Whoever answers so does not speak WebSocket."""
    link = client()
    link.receive_data(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", 101.0)
    event = over(link)
    assert isinstance(event, Closed)
    assert (event.code, event.clean) == (None, False)
    assert type(event.error) is RemoteProtocolError


def test_the_end_instead_of_an_answer() -> None:
    """A failure like that of any request."""
    link = client()
    link.receive_eof(101.0)
    event = over(link)
    assert isinstance(event, Closed)
    assert type(event.error) is ConnectionLost


def test_a_request_that_did_not_go_out() -> None:
    """Nothing is waited for any more."""
    link = client()
    link.send_failed()
    event = over(link)
    assert isinstance(event, Closed)
    assert type(event.error) is ConnectionLost


def test_the_handshake_takes_too_long() -> None:
    """The time is for all of it: a byte now and then does not win more."""
    link = client()
    assert link.deadline() == 110.0
    link.receive_data(b"HTTP/1.1", 109.0)
    link.handle_deadline(109.9)
    assert events(link) == []
    link.handle_deadline(110.0)
    event = over(link)
    assert isinstance(event, Closed)
    assert type(event.error) is TimeoutError
    assert (event.error.phase, event.error.scope) == ("handshake", "connection")


def test_a_refusal_that_takes_too_long() -> None:
    """Its status says more than the time that ran out."""
    link = client()
    link.receive_data(b"HTTP/1.1 429 Slow down\r\nContent-Length: 100\r\n\r\ntoo many", 109.0)
    link.handle_deadline(110.0)
    event = over(link)
    assert isinstance(event, Rejected)
    assert (event.response.status, event.response.body) == (429, b"too many")


def test_a_handshake_without_a_bound() -> None:
    """Infinity waits for ever; once open, keep-alive watches."""
    link = client(timeout=math.inf)
    assert link.deadline() is None
    server = ServerWebSocketLink(*asked(link), limits=Limits(), ping_interval=7.0, ping_timeout=5.0, now=100.0)
    link.receive_data(server.data_to_send(), 103.0)
    assert link.deadline() == 123.0
    link.handle_deadline(123.0)
    assert link.data_to_send()[:1] == b"\x89"
    assert server.deadline() == 107.0
    server.handle_deadline(107.0)
    assert server.deadline() == 112.0


def test_verbs_before_the_link_is_open() -> None:
    """Nothing but the handshake is on the wire."""
    link = client()
    link.data_to_send()
    with pytest.raises(LocalProtocolError, match="sending is illegal now: the state of the link is 'handshake'"):
        link.send_text("x")
    assert link.data_to_send() == b""


@pytest.mark.parametrize("timeout", [0.0, -1.0, math.nan])
def test_a_timeout_above_zero(timeout: float) -> None:
    """Anything else is a mistake."""
    with pytest.raises(LocalProtocolError, match="above 0 seconds"):
        client(timeout=timeout)


def test_a_server_that_did_not_look() -> None:
    """A request that is no handshake cannot be accepted; it can still be answered."""
    http = ServerLink(10.0, Limits())
    http.receive_data(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", 100.0)
    head = http.next_event()
    assert isinstance(head, RequestHead)
    with pytest.raises(LocalProtocolError, match="answer what refuse_upgrade says"):
        ServerWebSocketLink(http, head, limits=Limits(), now=100.0)
    http.send(Response(426))
    assert http.data_to_send().startswith(b"HTTP/1.1 426 ")


def test_a_server_that_has_already_answered() -> None:
    """One answer to one request."""
    http, head = asked(client())
    http.send(Response(503))
    with pytest.raises(LocalProtocolError, match="switch_protocols is illegal"):
        ServerWebSocketLink(http, head, limits=Limits(), now=100.0)
