"""The tree of exceptions: what each says, how far it reaches, and that it survives a pickle."""

import builtins
import copy
import pickle

import pytest

from cartesia_proto import errors
from cartesia_proto.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    CartesiaError,
    ConflictError,
    ConnectError,
    ConnectionLost,
    IncompleteStream,
    LocalProtocolError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RemoteProtocolError,
    Scope,
    ServerError,
    TimeoutError,
    TransportError,
    UnprocessableEntityError,
    api_error_type,
    twin,
)

FULL_API_ERROR = RateLimitError(
    status_code=429,
    body={"title": "Too many", "nested": [1, None]},
    title="Too many",
    message="wait a little",
    error_code="concurrency_limited",
    request_id="r-1",
    doc_url="https://docs.example/429",
    retry_after=2.5,
    context_id="c-1",
    scope="context",
)


def refused_connection() -> ConnectError:
    """A failure to connect that the next attempt would meet again."""
    refused = ConnectError("the proxy refused")
    refused.retryable = False
    return refused


SAMPLES: list[tuple[CartesiaError, bool, Scope]] = [
    (CartesiaError("something"), False, "request"),
    (LocalProtocolError("not now"), False, "request"),
    (RemoteProtocolError("odd", path="$.id", scope="connection"), False, "connection"),
    (RemoteProtocolError("odd"), False, "request"),
    (TransportError("gone"), True, "request"),
    (ConnectError("no route"), True, "connection"),
    (refused_connection(), False, "connection"),
    (TimeoutError("too late", phase="stall", scope="context"), True, "context"),
    (TimeoutError("too late"), True, "request"),
    (ConnectionLost("cut", code=1006, reason="gone"), True, "connection"),
    (ConnectionLost("cut"), True, "connection"),
    (IncompleteStream("short"), True, "request"),
    (FULL_API_ERROR, True, "context"),
    (ApiError(status_code=418), False, "request"),
    (ServerError(status_code=503), True, "request"),
]


@pytest.mark.parametrize(("error", "retryable", "scope"), SAMPLES, ids=repr)
def test_retryable_and_scope(error: CartesiaError, retryable: bool, scope: Scope) -> None:
    """Every error says whether the same request may succeed later, and how far it reaches."""
    assert (error.retryable, error.scope) == (retryable, scope)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", [error for error, _, _ in SAMPLES], ids=repr)
def test_pickle_keeps_everything(error: CartesiaError, protocol: int) -> None:
    """A pickle gives the same class, sentence and attributes; so does a copy."""
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
        assert (again.retryable, again.scope) == (error.retryable, error.scope)


def test_every_class_is_sampled() -> None:
    """No class of the tree is missing from the samples, the subclasses of ApiError excepted: one table makes them."""
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, CartesiaError) and not issubclass(value, ApiError)
    }
    assert classes == {type(error) for error, _, _ in SAMPLES if not isinstance(error, ApiError)}


def test_tree() -> None:
    """Failures are caught by the branches that the documentation names."""
    for kind in (ConnectError, TimeoutError, ConnectionLost, IncompleteStream):
        assert issubclass(kind, TransportError)
    for branch in (TransportError, ApiError, LocalProtocolError, RemoteProtocolError):
        assert issubclass(branch, CartesiaError)
    assert issubclass(CartesiaError, Exception)
    assert not issubclass(RemoteProtocolError, TransportError)


def test_timeout_is_also_the_builtin() -> None:
    """Either name catches a timeout, and the phase says what was waited for."""
    with pytest.raises(builtins.TimeoutError) as caught:
        raise TimeoutError("connecting took too long", phase="connect")
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.phase == "connect"


@pytest.mark.parametrize(
    ("status_code", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, PaymentRequiredError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (500, ServerError),
        (599, ServerError),
        (302, ApiError),
        (408, ApiError),
        (418, ApiError),
        (499, ApiError),
    ],
)
def test_class_of_a_status(status_code: int, kind: type[ApiError]) -> None:
    """Each well-known status has a class of its own, and every one is an ApiError."""
    assert api_error_type(status_code) is kind
    assert issubclass(kind, ApiError)


@pytest.mark.parametrize(
    ("status_code", "retryable"),
    [(400, False), (404, False), (408, True), (409, False), (429, True), (499, False), (500, True), (503, True)],
)
def test_retryable_statuses(status_code: int, retryable: bool) -> None:
    """408, 429 and everything from 500 may succeed later; nothing else."""
    assert api_error_type(status_code)(status_code=status_code).retryable is retryable


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FULL_API_ERROR, "429 [concurrency_limited] Too many: wait a little (request id r-1)"),
        (ApiError(status_code=500), "500 the server gave no reason"),
        (ApiError(status_code=400, title="Bad"), "400 Bad"),
        (ApiError(status_code=400, message="no voice"), "400 no voice"),
    ],
)
def test_api_error_sentence(error: ApiError, text: str) -> None:
    """The sentence tells what the server said of itself, and nothing where it said nothing."""
    assert str(error) == text


def test_api_error_holds_what_was_said() -> None:
    """Everything the answer said can be read by name."""
    error = FULL_API_ERROR
    assert (error.status_code, error.title, error.message) == (429, "Too many", "wait a little")
    assert (error.error_code, error.request_id, error.doc_url) == (
        "concurrency_limited",
        "r-1",
        "https://docs.example/429",
    )
    assert (error.retry_after, error.context_id) == (2.5, "c-1")
    assert error.body == {"title": "Too many", "nested": [1, None]}


def test_connection_lost_holds_code_and_reason() -> None:
    """A close code and its reason can be read; without one there is none."""
    lost = ConnectionLost("the server closed", code=1001, reason="bye")
    assert (lost.code, lost.reason) == (1001, "bye")
    assert (ConnectionLost("cut").code, ConnectionLost("cut").reason) == (None, "")
    assert RemoteProtocolError("x", path="$.a[0]").path == "$.a[0]"


@pytest.mark.parametrize("error", [each for each, _, _ in SAMPLES], ids=repr)
def test_a_twin(error: CartesiaError) -> None:
    """The same in every respect, but with a traceback, a cause and a context of its own; what it holds is shared."""
    try:
        raise error from KeyError()
    except CartesiaError:
        again = twin(error)
    assert again is not error
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))
    assert all(value is vars(error)[name] for name, value in vars(again).items())
    assert (again.__traceback__, again.__cause__, again.__context__) == (None, None, None)
    error.__traceback__ = error.__cause__ = error.__context__ = None


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", [each for each, _, _ in SAMPLES], ids=repr)
def test_notes_survive(error: CartesiaError, protocol: int) -> None:
    """With every pickle and copy, beside what was set on the instance; the copy's notes are its own."""
    noted = copy.copy(error)
    noted.add_note("while greeting")
    noted.retryable = not error.retryable
    for again in (pickle.loads(pickle.dumps(noted, protocol)), copy.copy(noted), copy.deepcopy(noted)):
        assert type(again) is type(error)
        assert (str(again), again.args, again.__notes__) == (str(error), error.args, ["while greeting"])
        assert vars(again) == vars(noted)
        again.add_note("again")
    assert noted.__notes__ == ["while greeting"]
    assert not hasattr(error, "__notes__")


class RefusedError(ApiError):
    """An error of a user's own, with a constructor of its own."""

    def __init__(self) -> None:
        super().__init__(status_code=400, message="refused")


def test_errors_of_ones_own_survive() -> None:
    """Whatever their constructor takes."""
    refused = RefusedError()
    refused.add_note("note")
    again = pickle.loads(pickle.dumps(refused))
    assert (type(again), str(again), again.message, again.__notes__) == (
        RefusedError,
        "400 refused",
        "refused",
        ["note"],
    )


def test_rewriting_reaches_notes_and_arguments() -> None:
    """In place, for any error; a sentence without an end is cut, and what is no text stays."""
    error = RemoteProtocolError("no key here " + "x" * 5000, path="$.key")
    error.add_note("a key")
    error.rewrite(lambda text: text.replace("key", "***"))
    assert str(error) == "no *** here " + "x" * 3988 + "…"
    assert (error.path, error.__notes__) == ("$.***", ["a ***"])
    odd = CartesiaError(5, "key")
    odd.rewrite(lambda text: text.replace("key", "***"))
    assert odd.args == (5, "***")


def test_rewritten_reaches_every_text() -> None:
    """Title, message, ids and the whole body are rewritten; the class, numbers and nothings stay."""
    error = NotFoundError(
        status_code=404,
        body={"key": ["key", 5, {"a": None}]},
        title="a key",
        message="key",
        request_id="key",
        retry_after=2.0,
        context_id="c",
    )
    safe = error.rewritten(lambda text: text.replace("key", "***"))
    assert type(safe) is NotFoundError
    assert safe.body == {"***": ["***", 5, {"a": None}]}
    assert (safe.title, safe.message, safe.request_id, safe.error_code) == ("a ***", "***", "***", None)
    assert (safe.status_code, safe.retry_after, safe.context_id) == (404, 2.0, "c")
    assert "key" not in str(safe)
