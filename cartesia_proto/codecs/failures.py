"""Error bodies and error events, of every API version and of the gateways before it, as one kind of exception.

This module knows the shapes of protocol section 6.1. It must not know retries, nor who raises what it makes. It never
fails itself: a field of a wrong type counts as absent, and the body is kept as it came.
"""

import re
from collections.abc import Mapping
from typing import Final

from cartesia_proto.codecs.json import loads
from cartesia_proto.errors import ApiError, JsonValue, RemoteProtocolError, Scope, api_error_type
from cartesia_proto.http import Response

DEFAULT_STATUS: Final = 500
"""Of an error event that names no status of an error: the fault is then taken to be the server's."""

MAX_MESSAGE: Final = 1000
"""Characters of a message; a longer one is cut. Our choice: documented messages are one sentence, `body` has all."""

_HTML: Final = re.compile(r"\s*+<(?:!doctype\s|html|head|body|\?xml)", re.IGNORECASE)
_HTML_TITLE: Final = re.compile(r"<title[^<>]*+>([^<]*+)", re.IGNORECASE)


def error_from_response(response: Response, retry_after: float | None = None) -> ApiError:
    """The error that an answer other than 2xx is.

    The class and `status_code` follow the HTTP status, so that they always agree with what was retried.

    Args:
        retry_after: seconds the server asked to wait, read from the headers by the retry policy.
    """
    text = response.body.decode("utf-8", "replace").strip()
    body = _body(response.body) if text else None
    fields = body if isinstance(body, dict) else {}
    title, message = _described(response, body, text)
    return api_error_type(response.status)(
        status_code=response.status,
        body=body,
        title=title,
        message=message,
        error_code=_string(fields, "error_code"),
        request_id=_string(fields, "request_id") or response.request_id,
        doc_url=_string(fields, "doc_url"),
        retry_after=retry_after,
    )


def error_from_event(fields: Mapping[str, JsonValue], scope: Scope) -> ApiError:
    """The error that an error event is: the structured form, or the legacy ``error`` text.

    Args:
        scope: how far it reaches: an event stream is one request, on a WebSocket it is a context or the connection.
    """
    title, message = _said(fields)
    status_code = _status(fields)
    return api_error_type(status_code)(
        status_code=status_code,
        body=dict(fields),
        title=title,
        message=message,
        error_code=_string(fields, "error_code"),
        request_id=_string(fields, "request_id"),
        doc_url=_string(fields, "doc_url"),
        context_id=_string(fields, "context_id"),
        scope=scope,
    )


def _body(data: bytes) -> JsonValue:
    """The body as JSON, or as text where it is none."""
    try:
        return loads(data)
    except RemoteProtocolError:
        return data.decode("utf-8", "replace")


def _described(response: Response, body: JsonValue, text: str) -> tuple[str | None, str | None]:
    """Title and message of an answer; the page of a gateway becomes one sentence, other JSON its own text."""
    match body:
        case dict():
            title, message = _said(body)
            return title, message if title or message else _cut(text)
        case str() if _is_html(response, body):
            return None, _page(response.status, body)
        case str():
            return _split(body)
        case _:
            return None, _cut(text) or None


def _said(fields: Mapping[str, JsonValue]) -> tuple[str | None, str | None]:
    """Title and message of an error of the API, in the order of protocol section 6.1."""
    title, message = _string(fields, "title"), _string(fields, "message")
    legacy = _string(fields, "error") or _string(fields, "detail") or ""
    if title is None and message is None:
        return _split(legacy)
    return title, _cut(message or legacy) or None


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
    return value if isinstance(value, int) and 400 <= value <= 599 else DEFAULT_STATUS
