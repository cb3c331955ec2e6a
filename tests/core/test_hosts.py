"""The forms of a host."""

import pytest

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.hosts import Host, bracketed, host_of, read_host


@pytest.mark.parametrize(
    ("text", "name", "lookup", "in_header", "in_url"),
    [
        ("api.example.com", "api.example.com", "api.example.com", "api.example.com", "api.example.com"),
        ("API.example.com.", "api.example.com", "api.example.com.", "api.example.com.", "api.example.com."),
        ("_a-b.c", "_a-b.c", "_a-b.c", "_a-b.c", "_a-b.c"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("::1", "::1", "::1", "[::1]", "[::1]"),
        ("0:0:0::1", "::1", "::1", "[::1]", "[::1]"),
        ("FE80::1%eth0", "fe80::1", "fe80::1%eth0", "[fe80::1]", "[fe80::1%25eth0]"),
        ("fe80::1%25eth0", "fe80::1", "fe80::1%eth0", "[fe80::1]", "[fe80::1%25eth0]"),
        ("fe80::1%25", "fe80::1", "fe80::1%25", "[fe80::1]", "[fe80::1%2525]"),
        ("fe80::1%3", "fe80::1", "fe80::1%3", "[fe80::1]", "[fe80::1%253]"),
        ("b\u00fccher.example", *["xn--bcher-kva.example"] * 4),
        ("B\u00dcCHER\u3002Example", *["xn--bcher-kva.example"] * 4),
        ("xn--bcher-kva.example", *["xn--bcher-kva.example"] * 4),
    ],
)
def test_forms(text: str, name: str, lookup: str, in_header: str, in_url: str) -> None:
    """Each use has its own; the one in a URL is read as the same host again."""
    host = read_host(text)
    assert (host.name, host.lookup, host.in_header, host.in_url) == (name, lookup, in_header, in_url)
    assert host_of(f"https://{in_url}:1/x") == host


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("canary..example", "empty label"),
        (".canary", "empty label"),
        (".", "empty label"),
        ("canary" * 11, "label of more than 63"),
        ("canary." * 40 + "example", "more than 253"),
        ("can*ary", "no host may have"),
        ("canary%41", "no host may have"),
        ("canary[", "no host may have"),
        ("can ary", "no host may have"),
        ("canary::g", "no IPv6 address"),
        ("fe80::1%25can/ary", "no zone may have"),
        ("fe80::1%can%20ary", "no zone may have"),
        ("canary-stra\u00dfe.example", "different ways"),
        ("canary.\u00fc" + "x" * 64, "cannot be encoded by IDNA"),
        ("canary\u00fc..example", "cannot be encoded by IDNA"),
        ("canary\ud800", "cannot be encoded by IDNA"),
        ("canary\u2028x", "cannot be encoded by IDNA"),
    ],
)
def test_no_host(text: str, complaint: str) -> None:
    """The message says what is wrong, and repeats nothing of what was given."""
    with pytest.raises(LocalProtocolError, match=complaint) as caught:
        read_host(text)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_url_without_host() -> None:
    """It has an empty name."""
    assert host_of("https:///x") == Host("")


def test_brackets() -> None:
    """Only an IPv6 address needs them."""
    assert [bracketed("::1"), bracketed("a.example")] == ["[::1]", "a.example"]
