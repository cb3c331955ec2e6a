"""The CONNECT handshake with a proxy."""

import base64

import pytest

from cartesia_proto.config import Limits
from cartesia_proto.credentials import Secret
from cartesia_proto.errors import ConnectError, LocalProtocolError, TimeoutError
from cartesia_proto.wire.link import LinkFailed
from cartesia_proto.wire.proxy import Proxy
from cartesia_proto.wire.tunnel import ConnectLink, Tunnelled

PLAIN = Proxy("proxy.test", 3128)
KNOWN = Proxy("proxy.test", 3128, Secret("canary-user:canary-password"))


def connect(proxy: Proxy = PLAIN, limits: Limits = Limits()) -> ConnectLink:
    """A handshake begun at 100 seconds, to time out after 10."""
    return ConnectLink(proxy, "api.cartesia.ai", 443, 10.0, limits, 100.0)


def failure(link: ConnectLink) -> Exception:
    """The error of the one event that came."""
    event = link.next_event()
    assert isinstance(event, LinkFailed)
    assert link.next_event() is None
    assert link.state == "failed"
    assert "canary" not in repr(event)
    return event.error


def test_a_tunnel_is_opened() -> None:
    """The request names the origin; after the 2xx head the connection is the origin's."""
    link = connect()
    assert link.data_to_send() == b"CONNECT api.cartesia.ai:443 HTTP/1.1\r\nHost: api.cartesia.ai:443\r\n\r\n"
    link.receive_data(
        b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 Connection established\r\nContent-Length: 5\r\n\r\n", 101.0
    )
    assert link.next_event() == Tunnelled()
    assert link.next_event() is None
    assert link.state == "switched"
    assert link.deadline() is None
    link.receive_data(b"later", 102.0)
    assert link.trailing_data() == b"later"


def test_credentials_are_sent() -> None:
    """The userinfo goes as Basic credentials, to the proxy alone."""
    expected = base64.b64encode(b"canary-user:canary-password")
    assert b"\r\nProxy-Authorization: Basic " + expected + b"\r\n" in connect(KNOWN).data_to_send()


def test_an_ipv6_origin_stands_in_brackets() -> None:
    """RFC 3986 section 3.2.2."""
    link = ConnectLink(PLAIN, "::1", 8443, 10.0, Limits(), 0.0)
    assert link.data_to_send().startswith(b"CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n")


def test_a_zone_is_no_business_of_the_proxy() -> None:
    """It names an interface of this machine (RFC 6874 section 4)."""
    link = ConnectLink(PLAIN, "fe80::1%eth0", 8443, 10.0, Limits(), 0.0)
    assert link.data_to_send().startswith(b"CONNECT [fe80::1]:8443 HTTP/1.1\r\nHost: [fe80::1]:8443\r\n")


@pytest.mark.parametrize("host", ["", "a b", "a\r\nb", "hôst"])
def test_a_host_that_cannot_be_sent_is_refused(host: str) -> None:
    """Nothing that could break out of the request line reaches it."""
    with pytest.raises(LocalProtocolError, match="the host"):
        ConnectLink(PLAIN, host, 443, 10.0, Limits(), 0.0)


@pytest.mark.parametrize(
    ("proxy", "status", "said", "retryable"),
    [
        (PLAIN, 403, "refused to connect: status 403", False),
        (PLAIN, 429, "status 429", True),
        (KNOWN, 502, "status 502", True),
        (PLAIN, 407, "asks for a user name and password", False),
        (KNOWN, 407, "refused its user name and password", False),
    ],
)
def test_a_refusal_is_a_connect_error(proxy: Proxy, status: int, said: str, retryable: bool) -> None:
    """It names the proxy and the status, and says whether trying again makes sense."""
    link = connect(proxy)
    link.receive_data(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status, 101.0)
    error = failure(link)
    assert isinstance(error, ConnectError)
    assert said in str(error)
    assert "proxy.test:3128" in str(error)
    assert error.retryable is retryable


@pytest.mark.parametrize(
    "fields", [b"Content-Length: x\r\n", b"Transfer-Encoding: gzip\r\n", b"no colon\r\n", b"Content-Encoding: gzip\r\n"]
)
def test_an_odd_refusal_is_one(fields: bytes) -> None:
    """Whatever is wrong behind its first line."""
    link = connect(KNOWN)
    link.receive_data(b"HTTP/1.1 407 No\r\n" + fields + b"\r\n\x1f\x8b", 101.0)
    error = failure(link)
    assert isinstance(error, ConnectError)
    assert "refused its user name and password" in str(error)
    assert not error.retryable


def test_bytes_before_the_tunnel_is_used_are_refused() -> None:
    """The origin has not been spoken to, so nothing can come from it."""
    link = connect()
    link.receive_data(b"HTTP/1.1 200 OK\r\n\r\nsurprise", 101.0)
    error = failure(link)
    assert isinstance(error, ConnectError)
    assert "before the origin was spoken to" in str(error)


def test_garbage_is_a_connect_error() -> None:
    """Whatever else listens there, no byte of the request has left."""
    link = connect(KNOWN)
    link.receive_data(b"\x15\x03\x01\x00\x02\x02\x28canary\r\n\r\n", 101.0)
    error = failure(link)
    assert isinstance(error, ConnectError)
    assert "no HTTP/1.1" in str(error)


def test_a_long_head_is_a_connect_error() -> None:
    """The limit on heads holds for a proxy too."""
    link = connect(limits=Limits(head=100))
    link.receive_data(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100, 101.0)
    error = failure(link)
    assert isinstance(error, ConnectError)
    assert "limit of 100 bytes" in str(error)


def test_a_closed_connection_is_a_connect_error() -> None:
    """At any point of the answer."""
    link = connect()
    link.receive_data(b"HTTP/1.1 200", 101.0)
    link.receive_eof(102.0)
    error = failure(link)
    assert isinstance(error, ConnectError)
    assert "closed the connection" in str(error)


def test_a_silent_proxy_times_out_in_the_handshake() -> None:
    """The phase says that no byte of the request was sent."""
    link = connect()
    assert link.deadline() == 110.0
    link.handle_deadline(110.0)
    error = failure(link)
    assert isinstance(error, TimeoutError)
    assert error.phase == "handshake"
