"""Proxy URLs, the proxy variables, and which proxy holds for a client."""

import base64
import pickle
from collections.abc import Mapping

import pytest

from cartesia_proto.credentials import Secret
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.flow import Attempt, How
from cartesia_proto.http import Headers, Request
from cartesia_proto.wire.proxy import Proxy, choose_proxy, forwarding, proxy_from_environment

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
        ("http://[FE80::1%25eth0]:8080", Proxy("fe80::1%eth0", 8080)),
        ("http://PROXY.test.:1", Proxy("proxy.test.", 1)),
        ("http://bücher.test:1", Proxy("xn--bcher-kva.test", 1)),
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
        "http://canary:canary@canary..xy:1",
        "http://canary:canary@prstraße:1",
        "http://canary:canary@[canary::1]:1",
        "http://canary%3A:canary@proxy.test:1",
        "http://canary:canary%0A@proxy.test:1",
        "http://canary:canary%FF@proxy.test:1",
    ],
)
def test_a_malformed_proxy_url_is_refused_without_repeating_it(url: str) -> None:
    """The message says what was expected, and neither it nor a hidden cause repeats the URL."""
    with pytest.raises(LocalProtocolError, match="user:password@host:port|the host has") as caught:
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
        ("api.cartesia.ai", "*:443", True),
        ("api.cartesia.ai", "*:80", False),
        ("api.cartesia.ai.", "api.cartesia.ai", True),
        ("api.cartesia.ai", "API.cartesia.ai.", True),
        ("api.cartesia.ai", "can..not,api", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "192.168.0.0/16 10.9.9.9/8:443", True),
        ("10.1.2.3", "10.0.0.0/8:80", False),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.0.0.0/99,10.x.0.0/8,fd00::/8", False),
        ("api.cartesia.ai", "10.0.0.0/8", False),
        ("fd00::1", "fd00::/8", True),
        ("fd00::1", "[fd00::]/8", True),
        ("fd00::1", "[fd00::]/8:443", True),
        ("fd00::1", "[fd00::/8]:80", False),
        ("fe80::1%25eth0", "fe80::/10", True),
        ("fe80::1%25eth0", "[fe80::1%eth0]", True),
        ("::ffff:10.0.0.1", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3.", True),
        ("10.1.2.3", "10.1.2.3.:443", True),
        ("10.1.2.3", "10.1.", False),
        ("bücher.test", "xn--bcher-kva.test", True),
        ("xn--bcher-kva.test", ".BÜCHER.test", True),
        ("no..host", "host", False),
    ],
)
def test_no_proxy(host: str, no_proxy: str, bypassed: bool) -> None:
    """Names stand for their subdomains, addresses for themselves, a port narrows, a star is everything."""
    proxy = proxy_from_environment("https", host, 443, {"https_proxy": A, "NO_PROXY": no_proxy})
    assert (proxy is None) is bypassed


def test_the_proxy_that_holds() -> None:
    """The explicit one, none if it is empty, else the environment's for the base URL's scheme."""
    environ = {"https_proxy": "http://env.test:1", "http_proxy": "http://env.test:2", "no_proxy": "api.test:444"}
    explicit = choose_proxy("http://given.test:3", "https://api.test", environ)
    assert explicit is not None
    assert (explicit.host, explicit.port) == ("given.test", 3)
    assert choose_proxy("", "https://api.test", environ) is None
    named = [choose_proxy(None, url, environ) for url in ("https://api.test", "http://api.test")]
    assert [proxy and proxy.port for proxy in named] == [1, 2]
    assert choose_proxy(None, "https://api.test:444", environ) is None
    assert choose_proxy(None, "https://api.test", {}) is None


@pytest.mark.parametrize(
    ("status", "proxy", "said", "retryable"),
    [
        (407, PLAIN, "asks for a user name and password", False),
        (407, KNOWN, "refused its user name and password", False),
        (403, PLAIN, "status 403", False),
        (503, PLAIN, "status 503", True),
        (429, PLAIN, "status 429", True),
    ],
)
def test_a_refusal(status: int, proxy: Proxy, said: str, retryable: bool) -> None:
    """It names the proxy and what to do, and no secret; what would be refused again is not tried again."""
    error = proxy.refusal(status)
    assert said in str(error)
    assert "the proxy proxy.test:3128" in str(error)
    assert "canary" not in str(error)
    assert error.retryable is retryable


def test_a_proxy_is_called_by_its_place() -> None:
    """An IPv6 address stands in brackets."""
    assert str(Proxy("::1", 8080, Secret("canary:canary"))) == "the proxy [::1]:8080"


@pytest.mark.parametrize(
    ("url", "how", "through"),
    [
        ("http://api.test/", "whole", True),
        ("http://api.test/", "stream", True),
        ("http://api.test/", "upgrade", False),
        ("https://api.test/", "whole", False),
    ],
)
def test_what_a_proxy_is_asked_for_itself(url: str, how: How, through: bool) -> None:
    """Plain HTTP; TLS and WebSockets need a tunnel."""
    attempt = Attempt(Request("GET", url, Headers()), 0.0, 1.0, how, 1, 1)
    assert forwarding(attempt, PLAIN) is (PLAIN if through else None)
    assert forwarding(attempt, None) is None
