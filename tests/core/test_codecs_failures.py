"""Error answers of every shape become one kind of exception, and none makes reading it fail."""

import json

import pytest

from cartesia_proto.codecs.failures import (
    MAX_FRAGMENTS,
    MAX_MESSAGE,
    broken_error,
    error_from_event,
    error_from_response,
    fragments,
)
from cartesia_proto.errors import (
    ApiError,
    BadRequestError,
    JsonValue,
    NotFoundError,
    RateLimitError,
    ServerError,
    UnprocessableEntityError,
)
from cartesia_proto.http import Headers, Response


def _error(status: int, body: bytes, **headers: str) -> ApiError:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return error_from_response(Response(status, Headers(fields), body))


def test_structured_body() -> None:
    """The JSON of version 2026-03-01 and later gives every attribute."""
    body: dict[str, JsonValue] = {
        "error_code": "voice_not_found",
        "title": "Voice not found",
        "message": "No such voice.",
        "request_id": "r-1",
        "doc_url": "https://docs.example/errors",
        "more": 1,
    }
    error = _error(404, json.dumps(body).encode(), X_Request_Id="r-2")
    assert type(error) is NotFoundError
    assert (error.status_code, error.title, error.message) == (404, "Voice not found", "No such voice.")
    assert (error.error_code, error.request_id, error.doc_url) == (
        "voice_not_found",
        "r-1",
        "https://docs.example/errors",
    )
    assert error.body == body
    assert (error.retry_after, error.context_id, error.scope) == (None, None, "request")


@pytest.mark.parametrize(
    ("body", "title", "message"),
    [
        (b"Invalid request: transcript is empty\n", "Invalid request", "transcript is empty"),
        (b"transcript is empty", None, "transcript is empty"),
        (b"two\nlines: here", None, "two\nlines: here"),
        (b": x", None, ": x"),
        (b'"Title: in quotes"', "Title", "in quotes"),
        (b'{"error":"Title: legacy"}', "Title", "legacy"),
        (b'{"detail":"gone"}', None, "gone"),
        (b'{"title":"T","error":"x: y"}', "T", "x: y"),
        (b'{"title":"T"}', "T", None),
        (b'{"message":"m","error":"x"}', None, "m"),
        (b'{"message":5,"error":{"a":1},"detail":[]}', None, '{"message":5,"error":{"a":1},"detail":[]}'),
        (b"[1]", None, "[1]"),
        (b"null", None, "null"),
        (b"", None, None),
        (b" \r\n", None, None),
        (b"\xff\xfe", None, "\ufffd\ufffd"),
        (b"{broken", None, "{broken"),
    ],
)
def test_other_bodies(body: bytes, title: str | None, message: str | None) -> None:
    """Plain text, legacy JSON, foreign JSON and broken bodies give title and message as far as they have them."""
    error = _error(400, body)
    assert type(error) is BadRequestError
    assert (error.title, error.message) == (title, message)


def test_bodies_are_kept() -> None:
    """The body is the parsed JSON, else the text, else None."""
    assert _error(500, b"[1]").body == [1]
    assert _error(500, b"plain: text").body == "plain: text"
    assert _error(500, b"").body is None


@pytest.mark.parametrize(
    ("body", "content_type", "named"),
    [
        (
            b"<html><head><title>502 Bad\n Gateway</title></head>secret</html>",
            "text/plain",
            " titled '502 Bad Gateway'",
        ),
        (b"  <!DOCTYPE html><p>secret", "", ""),
        (b"<p>secret</p>", "text/HTML; charset=utf-8", ""),
        (b'"<p>secret</p>"', "text/html", ""),
    ],
)
def test_gateway_pages(body: bytes, content_type: str, named: str) -> None:
    """A page of HTML becomes one sentence with the status; its text is in the body alone."""
    error = _error(502, body, Content_Type=content_type)
    assert type(error) is ServerError
    assert error.message == f"an HTML page{named} came with status 502, probably from a gateway"
    assert "secret" not in str(error) or "secret" in named
    assert isinstance(error.body, str)


def test_json_labelled_html() -> None:
    """An error of the API stays one, whatever its content type says."""
    assert _error(422, b'{"message":"m"}', Content_Type="text/html").message == "m"
    assert type(_error(422, b"")) is UnprocessableEntityError


def test_request_id_from_the_header() -> None:
    """Where the body has no request id, the header's holds."""
    assert _error(400, b"text", X_Request_Id="r-2").request_id == "r-2"
    assert _error(400, b'{"request_id":7}', X_Request_Id="r-2").request_id == "r-2"
    assert _error(400, b"text").request_id is None


def test_retry_after() -> None:
    """The seconds to wait are handed through."""
    error = error_from_response(Response(429), retry_after=61.5)
    assert type(error) is RateLimitError
    assert error.retry_after == 61.5


def test_long_messages_are_cut() -> None:
    """A message stays readable in a log; the body has all of it."""
    text = "x" * (MAX_MESSAGE + 1)
    for body in (text, json.dumps({"message": text}), json.dumps({"error": text}), json.dumps([text])):
        message = _error(400, body.encode()).message
        assert message is not None
        assert message.endswith("…")
        assert len(message) == MAX_MESSAGE + 1
    title = _error(400, f"{text}: {text}".encode()).title
    assert title is not None
    assert len(title) == MAX_MESSAGE + 1


def test_structured_event() -> None:
    """A structured error event gives every attribute, its context and the scope it is told."""
    fields: dict[str, JsonValue] = {
        "type": "error",
        "done": True,
        "status_code": 429,
        "title": "Too many",
        "message": "Wait.",
        "error_code": "concurrency_limited",
        "request_id": "a:b:c",
        "doc_url": None,
        "context_id": "c1",
    }
    error = error_from_event(fields, "context")
    assert type(error) is RateLimitError
    assert (error.title, error.message, error.error_code) == ("Too many", "Wait.", "concurrency_limited")
    assert (error.request_id, error.doc_url, error.context_id, error.scope) == ("a:b:c", None, "c1", "context")
    assert error.body == fields


def test_legacy_event() -> None:
    """The ``error`` text of older versions is split into title and message."""
    error = error_from_event({"error": "Bad request: no voice", "status_code": 400}, "connection")
    assert type(error) is BadRequestError
    assert (error.title, error.message, error.scope) == ("Bad request", "no voice", "connection")


@pytest.mark.parametrize(
    ("body", "title", "message", "code"),
    [
        (b'{"error":{"message":"m","code":"c"}}', None, "m", "c"),
        (b'{"error":{"title":"T","message":"m","error_code":"c"},"message":5}', "T", "m", "c"),
        (b'{"error":{"error":{"message":"m"}}}', None, "m", None),
        (b'{"errors":[{"title":"T","detail":"d"},{"title":"U"}]}', "T", "d", None),
        (b'{"detail":[{"loc":["body","a"],"msg":"field required","type":"missing"}]}', None, "field required", None),
        (b'{"detail":{"message":"m"},"error":7}', None, "m", None),
        (b'{"detail":["one","two",3]}', None, "one; two", None),
        (b'{"message":["a is empty","b is too long"],"error":"Bad Request"}', None, "a is empty; b is too long", None),
        (b'{"message":"outer","error":{"message":"inner","error_code":"c"}}', None, "outer", "c"),
        (b'[{"message":"m"}]', None, "m", None),
        (b'{"message":"half \\ud83d","error_code":"c","x":NaN}', None, "half \ufffd", "c"),
        (b'\xef\xbb\xbf{"message":"m","error_code":"c"}', None, "m", "c"),
        (b'{"message":"bad \xff","error_code":"c"}', None, "bad \ufffd", "c"),
        (b'{"message":"two\nlines","error_code":"c"}', None, "two\nlines", "c"),
        (b'{"x":' + b"[" * 500 + b"]" * 500 + b',"message":"m","error_code":"c"}', None, "m", "c"),
        (b'{"title":"T","message":"m \\"q\\"","error_code":"c","request_id":"r', "T", 'm "q"', "c"),
        (b'{"error_code": "c", "message": "\\x", "error": "T: m", "title":', "T", "m", "c"),
        (rb'"{\"message\":\"m\",\"error_code\":\"c\"}"', None, "m", "c"),
        (b'{"error_code":"c"} trailing', None, '{"error_code":"c"} trailing', "c"),
    ],
)
def test_odd_bodies(body: bytes, title: str | None, message: str | None, code: str | None) -> None:
    """Of nested, cut and damaged JSON, whatever can be read is told; the outermost and first of a name wins."""
    error = _error(400, body)
    assert (error.title, error.message, error.error_code) == (title, message, code)


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        ("text/plain; charset=iso-8859-1", "grüß".encode("latin-1"), "grüß"),
        ("text/plain; charset=iso-8859-1", "grüß".encode(), "grüß"),
        ('text/plain; charset="Windows-1252"', b"\x93q\x94", "“q”"),
        ("text/plain; charset=klingon", b"a\xff", "a\ufffd"),
        ("application/json; charset=utf-16", b'{"message":"m"}', "m"),
        ("application/json; charset=utf-16", b"a\xff", "a\ufffd"),
        ("application/json; charset=utf-16", '{"message":"m"}'.encode("utf-16"), "m"),
        ("application/json; charset=utf-16le", '{"message":"m"}'.encode("utf-16-le"), "m"),
        ("application/json; charset=utf-16be", '{"message":"m"}'.encode("utf-16-be"), "m"),
        ("application/json; charset=utf-16le", b"\xfe\xff" + '{"message":"m"}'.encode("utf-16-be"), "m"),
        ("application/json", '{"message":"m"}'.encode("utf-16"), "m"),
        ("application/octet-stream", b'{"message":"m"}', "m"),
        ("audio/wav", b"no such voice", "no such voice"),
    ],
)
def test_charsets(content_type: str, body: bytes, message: str) -> None:
    """UTF-8 is read whatever the label says; what is none, as the label says if it is a known one."""
    assert _error(400, body, Content_Type=content_type).message == message


def test_request_id_of_a_broken_body() -> None:
    """It is told where it is whole, else the header's."""
    assert _error(500, b'{"request_id":"r-1","message":"m').request_id == "r-1"
    assert _error(500, b'{"message":"m","request_id":"r-1', X_Request_Id="r-2").request_id == "r-2"
    assert _error(500, b'{"error":{"request_id":"r-1"}}', X_Request_Id="r-2").request_id == "r-1"


def test_fragments() -> None:
    """Members that are whole are read from JSON that is broken, the first of each name; of other text, nothing."""
    text = (
        '{"type":"error","status_code": 429, "status_code":500,"context_id":"c","message":"m","message":"n","title":"'
    )
    assert fragments(text) == {"type": "error", "status_code": 429, "context_id": "c", "message": "m"}
    assert fragments('\ufeff {"status_code":42,"status_code":4290,"status_code":429.5') == {}
    assert fragments('"message":"m"') == fragments("") == {}
    assert fragments('{"title":"' + "x" * MAX_FRAGMENTS + '","message":"m"') == {}


def test_broken_errors() -> None:
    """An event is one by its type, or by its ``error`` where it has none."""
    assert broken_error('{"type":"error","status_code":400,') == {"type": "error", "status_code": 400}
    assert broken_error('{"error":"T: m","x":') == {"error": "T: m"}
    for other in ('{"type":"chunk","error":"m"', '{"message":"m"', '"error"', ""):
        assert broken_error(other) is None


@pytest.mark.parametrize(("status", "kind"), [(429.0, RateLimitError), ("400", BadRequestError)])
def test_event_with_an_oddly_written_status(status: JsonValue, kind: type[ApiError]) -> None:
    """It is what it means."""
    assert type(error_from_event({"status_code": status}, "request")) is kind


@pytest.mark.parametrize("status", [None, "x", "", 206, 399, 600, 400.5e300, float("inf"), True, [400]])
def test_event_without_an_error_status(status: JsonValue) -> None:
    """An event whose status is none of an error counts as the server's fault."""
    error = error_from_event({"status_code": status}, "request")
    assert type(error) is ServerError
    assert (error.status_code, error.title, error.message) == (500, None, None)
