"""Proxy URLs, the proxy variables, and the CONNECT handshake."""

import base64
import pickle
from collections.abc import Mapping

import pytest

from cartesia_proto.config import Limits
from cartesia_proto.credentials import Secret
from cartesia_proto.errors import ConnectError, LocalProtocolError, TimeoutError
from cartesia_proto.wire.link import LinkFailed
from cartesia_proto.wire.proxy import ConnectLink, Proxy, Tunnelled, proxy_from_environment

PLAIN = Proxy("proxy.test", 3128)
KNOWN = Proxy("proxy.test", 3128, Secret("canary-user:canary-password"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://proxy.test:3128", PLAIN),
        ("HTTP://Proxy.Test:3128/", PLAIN),
        (" proxy.test:3128\n", PLAIN),
        ("http://proxy.test", Proxy("proxy.test", 80)),
        ("http://[::1]:8080", Proxy("::1", 8080)),
        ("http://user:p%40ss@proxy.test:1", Proxy("proxy.test", 1, Secret("user:p@ss"))),
        ("user@proxy.test:1", Proxy("proxy.test", 1, Secret("user:"))),
        ("http://us%C3%A9r:a:b@proxy.test:1", Proxy("proxy.test", 1, Secret("usér:a:b"))),
    ],
)
def test_a_proxy_url_is_read(url: str, expected: Proxy) -> None:
    """Scheme and port may be missing; user name and password are percent-decoded."""
    assert Proxy.from_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "http://canary@",
        "http://canary:canary@proxy.test:port",
        "http://canary:canary@proxy.test:0",
        "http://canary:can/ary@proxy.test:1",
        "http://canary:1?2@proxy.test:1",
        "http://canary:1#2@proxy.test:1",
        "http://canary:canary@proxy.test:1/path",
        "http://canary:canary@[::1:1",
        "http://canary:canary@pro xy:1",
        "http://canary:canary@pröxy:1",
        "http://canary%3A:canary@proxy.test:1",
        "http://canary:canary%0A@proxy.test:1",
        "http://canary:canary%FF@proxy.test:1",
    ],
)
def test_a_malformed_proxy_url_is_refused_without_repeating_it(url: str) -> None:
    """The message says what was expected, and neither it nor a hidden cause repeats the URL."""
    with pytest.raises(LocalProtocolError, match="user:password@host:port") as caught:
        Proxy.from_url(url)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("https://canary:canary@proxy.test:1", "https://"),
        ("SOCKS5h://canary:canary@proxy.test:1", "socks5h://"),
        ("canary:canary://proxy.test", "another scheme"),
    ],
)
def test_other_kinds_of_proxy_are_named(url: str, named: str) -> None:
    """A known scheme is named, an unknown one might be part of a password and is not."""
    with pytest.raises(LocalProtocolError, match=named) as caught:
        Proxy.from_url(url)
    assert "canary" not in str(caught.value)


def test_a_proxy_never_shows_its_user_or_password() -> None:
    """Not in its repr nor in a pickle; without them it may be pickled."""
    assert "canary" not in repr(KNOWN)
    assert "***" in repr(KNOWN)
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(KNOWN)
    assert pickle.loads(pickle.dumps(PLAIN)) == PLAIN


def test_userinfo_becomes_basic_credentials() -> None:
    """RFC 7617: base64 of the UTF-8 bytes."""
    assert PLAIN.headers() == ()
    ((name, secret),) = Proxy("proxy.test", 1, Secret("usér:p")).headers()
    assert (name, base64.b64decode(secret.reveal().removeprefix("Basic "))) == (
        "Proxy-Authorization",
        "usér:p".encode(),
    )


A, B, C = "http://a.test:1", "http://b.test:1", "http://c.test:1"


@pytest.mark.parametrize(
    ("scheme", "environ", "expected"),
    [
        ("https", {}, None),
        ("https", {"https_proxy": A, "HTTPS_PROXY": B, "all_proxy": C}, "a.test"),
        ("https", {"HTTPS_PROXY": B, "all_proxy": C}, "b.test"),
        ("https", {"http_proxy": A, "all_proxy": C}, "c.test"),
        ("https", {"ALL_PROXY": C}, "c.test"),
        ("https", {"https_proxy": " ", "HTTPS_PROXY": B, "all_proxy": C}, None),
        ("http", {"HTTP_PROXY": A}, "a.test"),
        ("http", {"HTTP_PROXY": A, "REQUEST_METHOD": "GET"}, None),
        ("http", {"HTTP_PROXY": A, "REQUEST_METHOD": "GET", "http_proxy": B}, "b.test"),
        ("https", {"HTTPS_PROXY": A, "REQUEST_METHOD": "GET"}, "a.test"),
    ],
)
def test_the_variable_that_holds(scheme: str, environ: Mapping[str, str], expected: str | None) -> None:
    """The scheme's own before all_proxy, lower case before upper case, empty for none, no HTTP_PROXY under CGI."""
    proxy = proxy_from_environment(scheme, "api.cartesia.ai", 443, environ)
    assert (proxy.host if proxy else None) == expected


def test_a_malformed_variable_is_named() -> None:
    """The user did not write the URL into the program: the message says where it stands."""
    with pytest.raises(LocalProtocolError, match="environment variable ALL_PROXY has socks5://"):
        proxy_from_environment("https", "api.cartesia.ai", 443, {"ALL_PROXY": "socks5://x:1"})


@pytest.mark.parametrize(
    ("host", "no_proxy", "bypassed"),
    [
        ("api.cartesia.ai", "*", True),
        ("api.cartesia.ai", "cartesia.ai", True),
        ("API.Cartesia.ai.", ".CARTESIA.ai", True),
        ("api.cartesia.ai", "*.cartesia.ai", True),
        ("api.cartesia.ai", "other.test, api.cartesia.ai:443", True),
        ("api.cartesia.ai", "other.test api.cartesia.ai", True),
        ("api.cartesia.ai", "api.cartesia.ai:8443", False),
        ("api.cartesia.ai", "i.cartesia.ai", False),
        ("api.cartesia.ai", "., ,,", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.1:443", True),
        ("10.0.0.1", "0.0.1", False),
        ("10.0.0.1", "0.1", False),
        ("::1", "::1", True),
        ("::1", "[0:0::1]:443", True),
        ("::1", "[::1]", True),
        ("::1", "[::1]:80", False),
        ("fe80::1", "::1", False),
        ("localhost", "127.0.0.1", False),
    ],
)
def test_no_proxy(host: str, no_proxy: str, bypassed: bool) -> None:
    """Names stand for their subdomains, addresses for themselves, a port narrows, a star is everything."""
    proxy = proxy_from_environment("https", host, 443, {"https_proxy": A, "NO_PROXY": no_proxy})
    assert (proxy is None) is bypassed


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
