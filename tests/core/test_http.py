"""HTTP messages as values: headers, requests, responses, parts, URLs; and what they must not show."""

import copy
import pickle
from pathlib import Path, PurePosixPath
from typing import cast

import attrs
import pytest

from cartesia_proto.credentials import Secret
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.http import (
    ContentPart,
    FilePart,
    Form,
    Headers,
    JsonBody,
    Method,
    Request,
    Response,
    SupportsPath,
    TextPart,
    UnsignedRequest,
    Upload,
    encode_query,
    looks_secret,
    path_segment,
    redact_url,
)

CANARY = "CANARY0123456789"
SECRET_NAMES = [
    "Authorization",
    "Proxy-Authorization",
    "X-API-Key",
    "Cookie",
    "Set-Cookie",
    "x-access-token",
    "X-Secret",
]


def test_headers_are_looked_up_without_case() -> None:
    """The first field of a name, in whatever case; None and False where there is none."""
    headers = Headers([("X-A", "1"), ("x-a", "2"), ("X-B", "tab\there")])
    assert headers.get("x-A") == "1"
    assert headers.get("missing") is None
    assert "X-b" in headers
    assert "missing" not in headers
    assert 5 not in headers
    assert list(headers) == [("X-A", "1"), ("x-a", "2"), ("X-B", "tab\there")]
    assert (len(headers), len(Headers())) == (3, 0)


def test_headers_compare_and_hash() -> None:
    """Equal fields in equal order are equal headers; nothing else is."""
    assert Headers([("A", "1")]) == Headers([("A", "1")])
    assert hash(Headers([("A", "1")])) == hash(Headers([("A", "1")]))
    assert Headers([("A", "1")]) != Headers([("A", "2")])
    assert Headers() != ()
    assert repr(Headers([("A", "1")])) == "Headers([('A', '1')])"


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_secret_headers(name: str) -> None:
    """What looks secret by its name is shown nowhere, is not pickled, and is revealed for the wire alone."""
    for headers in (
        Headers([(name, CANARY), ("X-Plain", "seen")]),
        Headers([(name, Secret(CANARY))]),
        Headers.received([(name, CANARY)]),
        Headers().merged([(name, CANARY)]),
    ):
        assert CANARY not in f"{headers!r}{headers}{list(headers)}{dict(headers)}"
        assert headers.get(name) == "***"
        assert headers.reveal()[0] == (name, CANARY)
        assert copy.copy(headers) == copy.deepcopy(headers) == headers
        with pytest.raises(TypeError, match="refuses to be pickled"):
            pickle.dumps(headers)


@pytest.mark.parametrize("name", ["Accept", "X-Request-Id", "Retry-After", "Content-Type", "Location"])
def test_plain_headers(name: str) -> None:
    """Ordinary headers are plain, and survive a pickle."""
    assert not looks_secret(name)
    headers = Headers([(name, "v")])
    assert headers.get(name) == "v"
    assert pickle.loads(pickle.dumps(headers)) == headers


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", "a\n"])
def test_malformed_header_name(name: str) -> None:
    """A name is a token."""
    with pytest.raises(LocalProtocolError, match="a header name has a forbidden character"):
        Headers([(name, "x")])
    with pytest.raises(LocalProtocolError, match="a header name has a forbidden character"):
        Headers().merged([(name, "x")])


@pytest.mark.parametrize("value", ["\r\nX-Evil: 1", "\n", "\r", "\x00", "\x7f", "é"])
@pytest.mark.parametrize("name", ["X-A", "Authorization"])
def test_malformed_header_value(name: str, value: str) -> None:
    """No line break, no other control character and no text beyond ASCII; the value is not repeated."""
    for given in (CANARY + value, Secret(CANARY + value)):
        with pytest.raises(LocalProtocolError, match=f"the value of header {name}") as caught:
            Headers([(name, given)])
        assert CANARY not in str(caught.value)


def test_merging() -> None:
    """A field given replaces every one of its name, whatever the case; the rest stays in order."""
    merged = Headers([("A", "1"), ("B", "1"), ("a", "2")]).merged([("a", "3"), ("C", "1")])
    assert merged == Headers([("B", "1"), ("a", "3"), ("C", "1")])


def test_received_headers_are_kept_as_they_are() -> None:
    """What a peer sent is not checked, and still copies and pickles."""
    headers = Headers.received([("X-Odd", "é\x01"), ("no name", "")])
    assert headers.get("x-odd") == "é\x01"
    assert pickle.loads(pickle.dumps(headers)) == copy.deepcopy(headers) == headers
    assert headers.merged([("X-Odd", "x")]).get("no name") == ""


def test_parts() -> None:
    """Content is frozen bytes and not shown; a path stays a path whose last component names it."""
    content = bytearray(b"abc")
    part = ContentPart("clip", content)
    content[:] = b"xyz"
    assert part.content == b"abc"
    assert "abc" not in repr(part)
    assert (part.filename, part.content_type) == ("upload", "application/octet-stream")
    assert FilePart("clip", "/tmp/a/b.wav").filename == "b.wav"
    assert FilePart("clip", r"C:\sounds\b.wav").filename == "b.wav"
    assert FilePart("clip", PurePosixPath("x/y.mp3")) == FilePart("clip", "x/y.mp3", "y.mp3")
    assert FilePart("clip", "x/y.mp3", filename="other").filename == "other"
    assert isinstance(Path("x"), SupportsPath)
    form = Form((TextPart("a", "1"), part))
    assert pickle.loads(pickle.dumps(form)) == form


def test_upload() -> None:
    """An upload knows its files, and its length once their sizes are known."""
    first, second = FilePart("a", "a.wav"), FilePart("b", "b.wav")
    upload = Upload((b"head", first, b"--", second, b"tail"))
    assert upload.files == (first, second)
    assert upload.length([10, 100]) == 4 + 10 + 2 + 100 + 4
    assert "head" not in repr(upload)


def test_unsigned_request() -> None:
    """What is asked before it is known of whom: a value with a body that is not shown."""
    request = UnsignedRequest("POST", "/x", body=JsonBody({"text": CANARY}))
    assert request.accept == "application/json"
    assert CANARY not in repr(request)


@pytest.mark.parametrize(
    ("url", "host", "port", "secure", "authority", "target"),
    [
        ("https://api.example/a?b=c", "api.example", 443, True, "api.example", "/a?b=c"),
        ("http://api.example", "api.example", 80, False, "api.example", "/"),
        ("http://127.0.0.1:8765/x/y", "127.0.0.1", 8765, False, "127.0.0.1:8765", "/x/y"),
        ("https://[::1]:9/?q", "::1", 9, True, "[::1]:9", "/?q"),
        ("https://API.Example:443", "api.example", 443, True, "api.example", "/"),
        ("http://[fe80::1%25eth0]:81", "fe80::1%eth0", 81, False, "[fe80::1]:81", "/"),
    ],
)
def test_request_addresses(url: str, host: str, port: int, secure: bool, authority: str, target: str) -> None:
    """Where a request goes can be read from it."""
    request = Request("GET", url, Headers())
    assert (request.host, request.port, request.secure) == (host, port, secure)
    assert (request.authority, request.target) == (authority, target)
    assert request.origin == ("https" if secure else "http", host, port)


@pytest.mark.parametrize(
    ("url", "host", "authority"),
    [
        ("https://api.example.", "api.example.", "api.example."),
        ("https://[fe80::1%25eth0]:9", "fe80::1%eth0", "[fe80::1]:9"),
        ("https://B\u00fccher.example", "xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_forms_of_a_host(url: str, host: str, authority: str) -> None:
    """A look-up and the Host header each have their own."""
    request = Request("GET", url, Headers())
    assert (request.host, request.authority) == (host, authority)


def test_one_origin_however_it_is_written() -> None:
    """Case, the port that goes without saying and the final dot make no other one; a zone does."""
    written = ("https://api.example", "HTTPS://Api.Example:443/x", "https://api.example.")
    assert len({Request("GET", url, Headers()).origin for url in written}) == 1
    zones = ("http://[fe80::1%25a]", "http://[fe80::1%25b]")
    assert len({Request("GET", url, Headers()).origin for url in zones}) == 2


def test_a_request_without_host_has_none() -> None:
    """A URL that names no host gives an empty one, not a failure."""
    assert Request("GET", "https:///x", Headers()).host == ""


@pytest.mark.parametrize(
    ("method", "idempotent"),
    [("GET", True), ("HEAD", True), ("PUT", True), ("DELETE", True), ("POST", False), ("PATCH", False)],
)
def test_idempotent(method: Method, idempotent: bool) -> None:
    """As RFC 9110 says."""
    assert Request(method, "https://h/", Headers()).idempotent is idempotent


def test_request_hides_its_secrets() -> None:
    """A signed request shows neither its header nor a secret in its query, nor its body, and refuses pickling."""
    request = Request(
        "POST",
        f"https://h/x?access_token={CANARY}&a=b",
        Headers([("Authorization", f"Bearer {CANARY}")]),
        f'{{"x":"{CANARY}"}}'.encode(),
    )
    assert CANARY not in f"{request} {request!r}"
    assert "https://h/x?access_token=***&a=b" in repr(request)
    assert copy.copy(request) == copy.deepcopy(request) == request
    with pytest.raises(TypeError, match="refuses to be pickled"):
        pickle.dumps(request)
    plain = attrs.evolve(request, url="https://h/", headers=Headers())
    assert pickle.loads(pickle.dumps(plain)) == plain


def test_no_userinfo() -> None:
    """A URL with a password in it is no request; the password is not repeated."""
    with pytest.raises(LocalProtocolError, match="user name or password") as caught:
        Request("GET", f"https://user:{CANARY}@h/", Headers())
    assert CANARY not in str(caught.value)


def test_response() -> None:
    """Any 2xx is ok; the request id is read; the body is not shown."""
    response = Response(204, Headers.received([("X-Request-Id", "r-1")]), b"secret body")
    assert response.ok
    assert response.request_id == "r-1"
    assert "secret" not in repr(response)
    assert "<11 bytes>" in repr(response)
    assert [Response(status).ok for status in (199, 200, 299, 300)] == [False, True, True, False]
    assert Response(200).request_id is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/p?a=b", "https://h/p?a=b"),
        (f"https://u:{CANARY}@h:1/p", "https://h:1/p"),
        (f"https://h/?api_key={CANARY}&x=1&TOKEN={CANARY}", "https://h/?api_key=***&x=1&TOKEN=***"),
        (f"//{CANARY}@h/", "//h/"),
        (f"https://h/#access_token={CANARY}&x=1", "https://h/#access_token=***&x=1"),
        (f"https://h/?%61pi%5F%6Bey={CANARY}", "https://h/?%61pi%5F%6Bey=***"),
        ("/voices?limit=1&keyterm=b#top", "/voices?limit=1&keyterm=b#top"),
    ],
)
def test_redact_url(url: str, shown: str) -> None:
    """User names, passwords and secret-looking parameters are not shown."""
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("a b?c#d", "a%20b%3Fc%23d"),
        ("ü", "%C3%BC"),
        ("...", "..."),
        ("%2e", "%252e"),
        ("a-_.~", "a-_.~"),
    ],
)
def test_path_segment(value: str, segment: str) -> None:
    """An id is one segment whatever it contains."""
    assert path_segment("id", value) == segment


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_refused_path_segment(value: str) -> None:
    """An id that would name another resource is refused by name."""
    with pytest.raises(LocalProtocolError, match="voice_id must not be"):
        path_segment("voice_id", value)


@pytest.mark.parametrize("value", [None, 5, b"a"])
def test_an_id_that_is_no_string(value: object) -> None:
    """The message names it; nothing is made of None."""
    with pytest.raises(LocalProtocolError, match=f"voice_id must be a string, not {type(value).__name__}"):
        path_segment("voice_id", value)


def test_what_utf_8_cannot_carry() -> None:
    """A lone surrogate is refused by name, in a path as in a query."""
    with pytest.raises(LocalProtocolError, match="voice_id has a lone surrogate"):
        path_segment("voice_id", "\ud800")
    with pytest.raises(LocalProtocolError, match="the query has a lone surrogate"):
        encode_query([("q", "\ud800")])


@pytest.mark.parametrize("value", [5, None, b"x"])
def test_a_header_that_is_no_string(value: object) -> None:
    """The message names the header."""
    fields = cast("list[tuple[str, str]]", [("X-A", value)])
    with pytest.raises(LocalProtocolError, match=f"header X-A must be a string, not {type(value).__name__}"):
        Headers(fields)


@pytest.mark.parametrize("name", [5, None, CANARY.encode(), f"Authorization: Bearer {CANARY}"])
def test_a_name_that_is_none(name: object) -> None:
    """Nothing of it is repeated that may be a secret, whatever its value is."""
    for value in ("x", None):
        fields = cast("list[tuple[str, str]]", [(name, value)])
        with pytest.raises(LocalProtocolError, match="a header name") as caught:
            Headers(fields)
        assert CANARY not in str(caught.value)


def test_a_request_with_a_secret_in_its_url_is_not_pickled() -> None:
    """It is no less a secret than one in a header."""
    with pytest.raises(TypeError, match="refuses to be pickled"):
        pickle.dumps(Request("GET", f"https://h/?access_token={CANARY}", Headers()))
    plain = Request("GET", "https://h/?a=b", Headers())
    assert pickle.loads(pickle.dumps(plain)) == plain


def test_an_echo_is_hidden() -> None:
    """What a server repeats of a request's secrets shows as ``***``, in its body and in its headers."""
    request = Request(
        "GET", "https://h/?x=1&access_token=C4n4ry%2FQuery", Headers([("Authorization", f"Bearer {CANARY}key")])
    )
    said = f"no {CANARY}key, nor Bearer {CANARY}key, C4n4ry/Query, C4n4ry%2FQuery"
    heard = request.without_echo(Response(401, Headers.received([("X-Why", said), ("Cookie", said)]), said.encode()))
    hidden = "no ***, nor Bearer ***, ***, ***"
    assert request.without_secrets(said) == hidden
    assert heard == Response(401, Headers.received([("X-Why", hidden), ("Cookie", hidden)]), hidden.encode())


def test_an_echo_in_a_success() -> None:
    """It shows in no header, nor in the name of one; the body is what was asked for, and stays as it is."""
    request = Request("GET", "https://h/", Headers([("Authorization", f"Bearer {CANARY}key")]))
    fields = Headers.received([("X-Why", f"{CANARY}key"), (f"X-{CANARY}key", "x")])
    heard = request.without_echo(Response(200, fields, f"{CANARY}key".encode()))
    assert heard == Response(200, Headers.received([("X-Why", "***"), ("X-***", "x")]), f"{CANARY}key".encode())
    clean = Response(200, Headers([("X-Why", "why")]), f"{CANARY}key".encode())
    assert request.without_echo(clean) is clean


def test_short_secrets_are_not_looked_for() -> None:
    """A word of a few letters stands in many an honest sentence."""
    request = Request("GET", "https://h/?key=", Headers([("X-API-Key", "message")]))
    response = Response(400, body=b'{"message": "no"}')
    assert request.without_echo(response) == response
    longer = Request("GET", "https://h/", Headers([("X-API-Key", "messages")]))
    assert longer.without_echo(Response(400, body=b"messages")).body == b"***"


def test_encode_query() -> None:
    """Brackets, spaces and line breaks are percent-encoded; repeated names stay."""
    pairs = [("expand[]", "a b"), ("expand[]", "c&d=e"), ("q", "\r\n")]
    assert encode_query(pairs) == "expand%5B%5D=a%20b&expand%5B%5D=c%26d%3De&q=%0D%0A"
    assert encode_query([]) == ""


def test_a_header_line_given_as_a_name_is_not_repeated() -> None:
    """What follows the name's last good character may be a secret."""
    with pytest.raises(LocalProtocolError) as caught:
        Headers([("Authorization: Bearer sk_car_canary", "")])
    assert "canary" not in str(caught.value)
    assert "'Authorization'" in str(caught.value)
    with pytest.raises(LocalProtocolError, match="a header name has a forbidden character"):
        Headers([("", "x")])
