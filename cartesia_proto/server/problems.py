"""What a server refuses, and how each API version says so.

This module knows protocol section 6: statuses, error codes, and the two shapes of an error. It must not know why
something is refused: the modules that read requests do.

Titles and messages are our own words, the real ones being undocumented; a client must not depend on either.
"""

from collections.abc import Iterable
from typing import Final, final

from cartesia_proto.codecs import json
from cartesia_proto.errors import CartesiaError, JsonValue
from cartesia_proto.http import Headers, Response

STRUCTURED_SINCE: Final = "2026-03-01"
"""First version whose errors are JSON objects; before, they are one line of text (protocol section 6.1)."""

REQUEST_ID_HEADER: Final = "X-Request-Id"
"""Protocol section 2.0."""


@final
class Problem(CartesiaError):  # noqa: N818 - what it is: the answer to a request, as much as an error
    """A request that the server half refuses; the connection it came on stays usable.

    Attributes:
        status: the HTTP status.
        title, message: what is wrong, in one line, and what to do.
        error_code: a code of protocol section 6.2, or None.
        allow: for 405, the methods that the path has (RFC 9110 section 15.5.6).
    """

    def __init__(
        self, status: int, title: str, message: str, error_code: str | None = None, allow: tuple[str, ...] = ()
    ) -> None:
        super().__init__(status, title, message, error_code, allow)
        self.status = status
        self.title = title
        self.message = message
        self.error_code = error_code
        self.allow = allow

    def __str__(self) -> str:
        return f"{self.status} {self.title}: {self.message}"


def invalid(message: str) -> Problem:
    """400: the request breaks a rule; the message names the field."""
    return Problem(400, "Invalid request", message)


def unauthorized(message: str) -> Problem:
    """401: no credentials, or wrong ones."""
    return Problem(401, "Unauthorized", message)


def forbidden(message: str) -> Problem:
    """403: these credentials do not allow this."""
    return Problem(403, "Forbidden", message)


def not_found(message: str) -> Problem:
    """404: no such path or thing."""
    return Problem(404, "Not found", message)


def voice_not_found(voice_id: str) -> Problem:
    """404: no such voice."""
    return Problem(404, "Voice not found", f"there is no voice {voice_id[:64]!r}", "voice_not_found")


def model_not_found(model_id: str) -> Problem:
    """404: no such model."""
    return Problem(404, "Model not found", f"there is no model {model_id[:64]!r}", "model_not_found")


def method_not_allowed(method: str, allowed: Iterable[str]) -> Problem:
    """405: the path exists, with other methods."""
    allow = tuple(sorted(set(allowed)))
    return Problem(405, "Method not allowed", f"{method} is not possible here, only {', '.join(allow)}", allow=allow)


def too_many(message: str) -> Problem:
    """429: more contexts or sockets than the plan allows (protocol section 4.6)."""
    return Problem(429, "Too many requests", message, "concurrency_limited")


def too_large(limit: int) -> Problem:
    """413: the body is over a limit in bytes."""
    return Problem(413, "Request too large", f"the body is longer than {limit} bytes")


def error_response(problem: Problem, version: str, request_id: str) -> Response:
    """The answer that a problem is: a JSON object from 2026-03-01 on, ``Title: Message`` before."""
    headers = Headers([("Allow", ", ".join(problem.allow))] if problem.allow else [])
    if version >= STRUCTURED_SINCE:
        typed = headers.merged([("Content-Type", "application/json"), (REQUEST_ID_HEADER, request_id)])
        return Response(problem.status, typed, json.dumps(structured(problem, request_id)))
    typed = headers.merged([("Content-Type", "text/plain; charset=utf-8"), (REQUEST_ID_HEADER, request_id)])
    return Response(problem.status, typed, f"{problem.title}: {problem.message}".encode())


def structured(problem: Problem, request_id: str) -> dict[str, JsonValue]:
    """The fields of a structured error (protocol section 6.1); `doc_url` is optional and there is none."""
    return {
        "error_code": problem.error_code,
        "title": problem.title,
        "message": problem.message,
        "request_id": request_id,
    }
