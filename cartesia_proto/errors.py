"""What can go wrong, as one tree of exceptions.

This module knows the meaning of each failure, whether the same request may succeed later, and how far the damage
reaches. It must not know how a failure was found: no parsing, no I/O, no other module of this package.

The exceptions are written by hand: generated ones print their fields instead of a sentence and do not survive a pickle.

    CartesiaError
    ├─ LocalProtocolError          you called something where your own earlier calls made it illegal
    ├─ ContextEnded                a context of a WebSocket is over already; defined beside its events, in `sessions`
    ├─ RemoteProtocolError         the server sent what the protocol forbids
    ├─ TransportError              no usable answer
    │  ├─ ConnectError             nothing was sent
    │  ├─ TimeoutError             also the builtin TimeoutError
    │  ├─ ConnectionLost           the connection ended in the middle
    │  └─ IncompleteStream         the body ended before its terminal event or its declared length
    └─ ApiError                    the server answered with an error; one subclass for each well-known status
"""

import builtins
from collections.abc import Callable
from typing import Final, Literal, Self, TypeAlias, TypeVar, cast

Scope: TypeAlias = Literal["request", "context", "connection"]
"""How far a failure reaches: one request, one context of a WebSocket, or everything on the connection."""

Phase: TypeAlias = Literal["connect", "handshake", "write", "read", "stall"]
"""What was being waited for when time ran out."""

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
"""Any value that JSON can carry (RFC 8259 section 3)."""

RETRYABLE_STATUSES: Final = frozenset({408, 429})
"""Statuses below 500 after which the same request may succeed (protocol section 6.2; design: 408, 429 and 5xx)."""

LONGEST_SENTENCE: Final = 4000
"""Characters of an error's own sentence; a longer one is cut. Our choice: a peer may send much more in one frame."""


class CartesiaError(Exception):
    """The base of everything this library raises on purpose.

    Attributes:
        retryable: the same request, sent again later, may succeed. Whether sending it twice is *safe* is another
            question: only requests that change nothing are repeated by the library itself once bytes have left.
        scope: how far the failure reaches.
    """

    retryable: bool = False
    scope: Scope = "request"

    def rewrite(self, rewrite: Callable[[str], str]) -> None:
        """Rewrite every text of this error, notes included, such as to hide a secret that a server repeated."""
        self.args: tuple[object, ...] = tuple(
            _sentence(rewrite(said)) if isinstance(said, str) else said for said in self.args
        )
        vars(self).update({name: _rewritten(value, rewrite) for name, value in vars(self).items()})

    def rewritten(self, rewrite: Callable[[str], str]) -> Self:
        """This error anew, with every text in it rewritten."""
        safe = twin(self)
        safe.rewrite(rewrite)
        return safe

    def __reduce__(self) -> tuple[Callable[..., "CartesiaError"], tuple[object, ...], dict[str, object]]:
        """Rebuild of arguments and attributes, of which notes are one; each copy has a list of notes of its own."""
        attributes: dict[str, object] = {
            name: [*value] if name == "__notes__" else value for name, value in vars(self).items()
        }
        return _rebuilt, (type(self), self.args), attributes


ErrorT = TypeVar("ErrorT", bound=CartesiaError)


class LocalProtocolError(CartesiaError):
    """You asked for something that your own arguments or earlier calls made illegal.

    Nothing reached the wire; the object that raised is in the state it was in before the call.
    """


class RemoteProtocolError(CartesiaError):
    """The server sent what the protocol forbids; the message says what and where.

    The response (or connection, when `scope` says so) it came on is of no further use; the client is.

    Attributes:
        path: where in the message, as a JSON path such as ``$.voices[3].id``, or None outside JSON.
    """

    def __init__(self, message: str, *, path: str | None = None, scope: Scope = "request") -> None:
        super().__init__(message)
        self.path = path
        self.scope: Scope = scope


class TransportError(CartesiaError):
    """No usable answer arrived. The connection concerned is closed; the client stays usable."""

    retryable = True


class ConnectError(TransportError):
    """No connection could be made (name, TCP, TLS or proxy). No byte of the request was sent."""

    scope: Scope = "connection"


class TimeoutError(TransportError, builtins.TimeoutError):
    """Time ran out. The connection it ran out on is closed, except for phase ``stall``, which ends one context alone.

    A connection on which a context stalled takes no new one; it is closed once the others on it have ended.

    Attributes:
        phase: what was being waited for. In phases ``connect`` and ``handshake`` no byte of the request was sent.
    """

    def __init__(self, message: str, *, phase: Phase = "read", scope: Scope = "request") -> None:
        super().__init__(message)
        self.phase = phase
        self.scope: Scope = scope


class ConnectionLost(TransportError):  # noqa: N818 - the name the design gives it: a state, not a kind of error
    """The connection ended while something was still expected on it. It is closed.

    Attributes:
        code: the WebSocket close code (RFC 6455 section 7.4), or None where there is none.
        reason: the text that came with the code, or an empty string.
    """

    scope: Scope = "connection"

    def __init__(self, message: str, *, code: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class IncompleteStream(TransportError):  # noqa: N818 - as ConnectionLost
    """A body ended before its terminal event or its declared length. What had arrived was delivered before this."""


class ApiError(CartesiaError):
    """The server answered with an error (protocol section 6).

    Attributes:
        status_code: the HTTP status, or the `status_code` of an error event.
        body: the parsed JSON of the answer, or its text where it was no JSON.
        title, message, error_code, request_id, doc_url: what the answer said of itself, None where it said nothing.
        retry_after: seconds the server asked to wait, or None.
        context_id: the context an error event belongs to, or None.
    """

    def __init__(
        self,
        *,
        status_code: int,
        body: JsonValue = None,
        title: str | None = None,
        message: str | None = None,
        error_code: str | None = None,
        request_id: str | None = None,
        doc_url: str | None = None,
        retry_after: float | None = None,
        context_id: str | None = None,
        scope: Scope = "request",
    ) -> None:
        said = ": ".join(part for part in (title, message) if part) or "the server gave no reason"
        code = f" [{error_code}]" if error_code else ""
        request = f" (request id {request_id})" if request_id else ""
        super().__init__(f"{status_code}{code} {said}{request}")
        self.status_code = status_code
        self.body = body
        self.title = title
        self.message = message
        self.error_code = error_code
        self.request_id = request_id
        self.doc_url = doc_url
        self.retry_after = retry_after
        self.context_id = context_id
        self.scope: Scope = scope
        self.retryable: bool = status_code in RETRYABLE_STATUSES or status_code >= 500


def twin(error: ErrorT) -> ErrorT:
    """The same error anew, to be raised elsewhere: its traceback and cause are its own, what it holds is shared."""
    again = _rebuilt(type(error), error.args)
    again.__dict__.update(error.__dict__)
    return again


def _rebuilt(kind: type[ErrorT], args: tuple[object, ...]) -> ErrorT:
    """An error of a kind, whatever its constructor takes."""
    error = kind.__new__(kind, *args)
    error.args = args  # those of a system's error are set when it is called
    return error


def _sentence(text: str) -> str:
    return text if len(text) <= LONGEST_SENTENCE else text[:LONGEST_SENTENCE] + "…"


def _rewritten(value: object, rewrite: Callable[[str], str]) -> object:
    match value:
        case str():
            return rewrite(value)
        case list():
            return [_rewritten(item, rewrite) for item in cast("list[object]", value)]
        case dict():
            members = cast("dict[str, object]", value).items()
            return {rewrite(name): _rewritten(item, rewrite) for name, item in members}
        case _:
            return value


class BadRequestError(ApiError):
    """400: the request does not fit the API; the message names the field."""


class AuthenticationError(ApiError):
    """401: no credentials, or wrong ones."""


class PaymentRequiredError(ApiError):
    """402: out of credits."""


class PermissionDeniedError(ApiError):
    """403: the credentials do not allow this."""


class NotFoundError(ApiError):
    """404: no such voice, model, dictionary or path."""


class ConflictError(ApiError):
    """409: the request conflicts with the present state on the server."""


class UnprocessableEntityError(ApiError):
    """422: well-formed, but not to be processed."""


class RateLimitError(ApiError):
    """429: too many requests or sockets at once; `retry_after` where the server said for how long."""


class ServerError(ApiError):
    """500 and above: the fault is on the other side."""


def api_error_type(status_code: int) -> type[ApiError]:
    """The class for a status: the one of section 6.2 of the protocol, `ServerError` from 500, else `ApiError`."""
    match status_code:
        case 400:
            return BadRequestError
        case 401:
            return AuthenticationError
        case 402:
            return PaymentRequiredError
        case 403:
            return PermissionDeniedError
        case 404:
            return NotFoundError
        case 409:
            return ConflictError
        case 422:
            return UnprocessableEntityError
        case 429:
            return RateLimitError
        case _:
            return ServerError if status_code >= 500 else ApiError
