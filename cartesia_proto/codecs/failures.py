"""Error bodies and error events, of every API version and of the gateways before it, as one kind of exception.

This module knows the shapes of protocol section 6.1. It must not know retries, nor who raises what it makes. It never
fails itself: a field of a wrong type counts as absent, and the body is kept as it came.

Errors are read more leniently than successes. The fields may stand in an object within the body, as frameworks and
gateways write it; of JSON that was cut, the members that are whole are read; text may be in another charset than JSON
has to be. The outermost field of a name wins.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from cartesia_proto.codecs.json import read_lenient
from cartesia_proto.errors import ApiError, JsonValue, RemoteProtocolError, Scope, api_error_type
from cartesia_proto.http import Response

DEFAULT_STATUS: Final = 500
"""Of an error event that names no status of an error: the fault is then taken to be the server's."""

MAX_MESSAGE: Final = 1000
"""Characters of a message; a longer one is cut. Our choice: documented messages are one sentence, `body` has all."""

MAX_FRAGMENTS: Final = 64 * 1024
"""Characters of a broken error that are read; as many as `Limits.error` has bytes."""

_WITHIN: Final = ("error", "detail", "errors")
"""Members whose value may be an object with the fields of the error, or an array of such: what FastAPI, Google's APIs
and common gateways write."""

_MEMBER: Final = re.compile(
    r'"(type|title|message|error|detail|error_code|request_id|doc_url|context_id|status_code)"\s*+:\s*+'
    r'("[^"\\]*+(?:\\.[^"\\]*+)*+"|[0-9]{3}(?![0-9.eE]))',
    re.DOTALL,
)
"""A member of an error whose value is a string or may be a status."""

_OBJECT: Final = re.compile(r"\ufeff?[ \t\r\n]*+\{")

_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
_CHARSETS: Final = {
    **dict.fromkeys(("iso-8859-1", "latin1", "us-ascii", "windows-1252"), "cp1252"),  # one and the same on the web
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
"""Charsets that a body which is no UTF-8 is read in where its Content-Type names them (WHATWG Encoding section 4.2)."""

_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks of UTF-16, which no UTF-8 begins with; they count more than a name (WHATWG Encoding section 6)."""

_HTML: Final = re.compile(r"\s*+<(?:!doctype\s|html|head|body|\?xml)", re.IGNORECASE)
_HTML_TITLE: Final = re.compile(r"<title[^<>]*+>([^<]*+)", re.IGNORECASE)


def error_from_response(response: Response, retry_after: float | None = None) -> ApiError:
    """The error that an answer other than 2xx is.

    The class and `status_code` follow the HTTP status, so that they always agree with what was retried.

    Args:
        retry_after: seconds the server asked to wait, read from the headers by the retry policy.
    """
    text = _text(response)
    body = _body(text) if text.strip() else None
    fields = fragments(body) if isinstance(body, str) else _fields(body)  # JSON within a string, too
    title, message = _described(response, body, fields, text.strip())
    return api_error_type(response.status)(
        status_code=response.status,
        body=body,
        title=title,
        message=message,
        error_code=_code(fields),
        request_id=_string(fields, "request_id") or response.request_id,
        doc_url=_string(fields, "doc_url"),
        retry_after=retry_after,
    )


def error_from_event(event: Mapping[str, JsonValue], scope: Scope) -> ApiError:
    """The error that an error event is: the structured form, or the legacy ``error`` text.

    Args:
        scope: how far it reaches: an event stream is one request, on a WebSocket it is a context or the connection.
    """
    fields = _fields(dict(event))
    title, message = _said(fields)
    status_code = _status(fields)
    return api_error_type(status_code)(
        status_code=status_code,
        body=dict(event),
        title=title,
        message=message,
        error_code=_code(fields),
        request_id=_string(fields, "request_id"),
        doc_url=_string(fields, "doc_url"),
        context_id=_string(event, "context_id"),
        scope=scope,
    )


def fragments(text: str) -> dict[str, JsonValue]:
    """What can be read of an error whose JSON is broken: its members that are whole, the first of each name.

    They are looked for in the first `MAX_FRAGMENTS` characters.
    """
    found: dict[str, JsonValue] = {}
    if _OBJECT.match(text):
        for member in _MEMBER.finditer(text, 0, MAX_FRAGMENTS):
            if member[1] not in found:
                with suppress(RemoteProtocolError):
                    found[member[1]] = read_lenient(member[2])
    return found


def broken_error(text: str) -> dict[str, JsonValue] | None:
    """The fields of an error event whose JSON is broken; None of anything else that is no JSON."""
    found = fragments(text)
    kind = found.get("type", "error" if "error" in found else None)
    return found if kind == "error" else None


def _text(response: Response) -> str:
    data = response.body
    named = _CHARSET.search(response.headers.get("content-type") or "")
    charset = _CHARSETS.get(named.group(1).lower(), "utf-8") if named else "utf-8"
    wide, marked = charset.startswith("utf-16"), data.startswith(_UTF16_MARKS)
    if b"\0" in data and (wide or marked):  # JSON has characters of ASCII, whatever else it has
        return data.decode("utf-16" if marked else charset, "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("utf-8" if wide else charset, "replace")


def _body(text: str) -> JsonValue:
    """The body as JSON, or as text where it is none."""
    try:
        return read_lenient(text)
    except RemoteProtocolError:
        return text


def _fields(body: JsonValue) -> dict[str, JsonValue]:
    """The texts of an error and its status, wherever in its body they stand."""
    match body:
        case dict():
            inner: dict[str, JsonValue] = {}
            for name in reversed(_WITHIN):
                inner = _fields(body.get(name)) or inner
            plain = {name: _joined(value) for name, value in body.items()}
            own = {name: value for name, value in plain.items() if name == "status_code" or _string(plain, name)}
            return {**inner, **own}
        case [dict() as first, *_]:
            return _fields(first)
        case _:
            return {}


def _joined(value: JsonValue) -> JsonValue:
    """Several sentences as one text."""
    texts = [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
    return "; ".join(texts) if texts else value


def _described(
    response: Response, body: JsonValue, fields: Mapping[str, JsonValue], text: str
) -> tuple[str | None, str | None]:
    """Title and message of an answer; the page of a gateway becomes one sentence, other JSON its own text."""
    title, message = _said(fields)
    if title or message:
        return title, message
    if not isinstance(body, str):
        return None, _cut(text) or None
    return (None, _page(response.status, body)) if _is_html(response, body) else _split(body)


def _said(fields: Mapping[str, JsonValue]) -> tuple[str | None, str | None]:
    """Title and message of an error of the API, in the order of protocol section 6.1."""
    title = _string(fields, "title")
    message = _string(fields, "message") or _string(fields, "msg")
    legacy = _string(fields, "error") or _string(fields, "detail") or ""
    if title is None and message is None:
        return _split(legacy)
    return title, _cut(message or legacy) or None


def _code(fields: Mapping[str, JsonValue]) -> str | None:
    """The code of an error of the API, or as others name it."""
    return _string(fields, "error_code") or _string(fields, "code")


def _split(text: str) -> tuple[str | None, str | None]:
    """``Title: Message`` in one line into its two halves; any other text is all message."""
    title, _, message = text.strip().partition(": ")
    if not title or not message or "\n" in title:
        return None, _cut(text.strip()) or None
    return _cut(title), _cut(message)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + "…"


def _is_html(response: Response, text: str) -> bool:
    return "html" in (response.headers.get("content-type") or "").lower() or _HTML.match(text) is not None


def _page(status: int, text: str) -> str:
    title = _HTML_TITLE.search(text)
    named = f" titled {' '.join(title.group(1).split())!r}" if title else ""
    return _cut(f"an HTML page{named} came with status {status}, probably from a gateway")


def _string(fields: Mapping[str, JsonValue], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def _status(fields: Mapping[str, JsonValue]) -> int:
    value = fields.get("status_code")
    try:
        status = int(value) if isinstance(value, str | int | float) else DEFAULT_STATUS
    except (ValueError, OverflowError):  # a text that is no number, or an infinity
        status = DEFAULT_STATUS
    return status if 400 <= status <= 599 else DEFAULT_STATUS
