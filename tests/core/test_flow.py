"""One request's policy, step by step: retries, redirects, and an operation that cannot be misused unseen."""

from collections.abc import Generator

import pytest
from attrs import evolve

from cartesia_proto.errors import (
    ApiError,
    ConnectError,
    ConnectionLost,
    LocalProtocolError,
    NotFoundError,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TransportError,
)
from cartesia_proto.flow import (
    Attempt,
    Done,
    Failure,
    Flow,
    How,
    Operation,
    Outcome,
    Terms,
    WithoutEcho,
    asking,
    exchange,
    final_error,
    in_portions,
    redirect_target,
)
from cartesia_proto.http import Headers, Method, Request, Response, Upload

GET = Request("GET", "https://h.example/a/b?c=d", Headers([("Authorization", "Bearer CANARY")]))
POST = Request("POST", "https://h.example/a/b", Headers([("Authorization", "Bearer CANARY")]), Upload((b"body",)))


def terms(max_retries: int = 2) -> Terms:
    """Terms without jitter."""
    return Terms(timeout=3.0, max_retries=max_retries, success_limit=100, error_limit=10, random=lambda: 0.0)


def redirect(status: int, location: str | None) -> Response:
    """A response that sends the client elsewhere."""
    return Response(status, Headers() if location is None else Headers.received([("Location", location)]))


def play(
    request: Request, outcomes: list[Outcome], how: How = "whole", max_retries: int = 2
) -> tuple[list[Attempt], Response]:
    """Answer every attempt in turn; the attempts made, and the response. Too many or too few outcomes fail."""
    operation = Operation(exchange(request, terms(max_retries), how))
    step = operation.start()
    attempts: list[Attempt] = []
    for outcome in outcomes:
        assert isinstance(step, Attempt)
        attempts.append(step)
        step = operation.resume(outcome)
    assert isinstance(step, Done)
    return attempts, step.value


def fail(request: Request, outcomes: list[Outcome], max_retries: int = 2) -> Exception:
    """As `play`, for a call that ends in an error with its last outcome."""
    operation = Operation(exchange(request, terms(max_retries), "whole"))
    step = operation.start()
    for outcome in outcomes[:-1]:
        assert isinstance(step, Attempt)
        step = operation.resume(outcome)
    assert isinstance(step, Attempt)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what is raised is what the caller looks at
        operation.resume(outcomes[-1])
    return caught.value


def test_first_attempt() -> None:
    """The first attempt is made at once, with the terms it was given."""
    attempts, response = play(GET, [Response(200, body=b"x")])
    assert attempts == [Attempt(GET, 0.0, 3.0, "whole", 100, 10)]
    assert response == Response(200, body=b"x")


def test_retries_until_success() -> None:
    """The same request again after each failure, with growing delays."""
    attempts, response = play(POST, [Response(503), Failure(ConnectError("x")), Response(201)])
    assert [attempt.delay for attempt in attempts] == [0.0, 0.5, 1.0]
    assert all(attempt.request is POST for attempt in attempts)
    assert response.status == 201


@pytest.mark.parametrize("max_retries", [0, 1, 2, 5])
def test_number_of_retries(max_retries: int) -> None:
    """As many retries as were allowed, then the last error."""
    error = fail(GET, [Response(500 + n) for n in range(max_retries + 1)], max_retries)
    assert isinstance(error, ServerError)
    assert error.status_code == 500 + max_retries


def test_the_servers_wish() -> None:
    """A server's delay is kept to; one above a minute ends the call and is told."""
    attempts, _ = play(POST, [Response(429, Headers([("Retry-After", "30")])), Response(200)])
    assert [attempt.delay for attempt in attempts] == [0.0, 30.0]
    error = fail(POST, [Response(429, Headers([("Retry-After", "61")]))])
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 61.0


def test_final_errors_are_not_retried() -> None:
    """A refusal is final at once; a failure is raised as it came."""
    error = fail(GET, [Response(404, Headers([("X-Request-Id", "r-1")]), b"Not found: no such voice")])
    assert isinstance(error, NotFoundError)
    assert (error.title, error.message, error.request_id) == ("Not found", "no such voice", "r-1")
    violation = RemoteProtocolError("odd")
    assert fail(GET, [Failure(violation)]) is violation
    lost = ConnectionLost("cut")
    assert fail(POST, [Failure(lost)]) is lost


def test_never_after_the_first_body_byte() -> None:
    """Once a body byte of a success has arrived, even an idempotent request is final."""
    lost = ConnectionLost("cut")
    assert fail(GET, [Failure(lost, received=1)]) is lost
    attempts, _ = play(GET, [Failure(lost, received=0), Response(200)])
    assert len(attempts) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x?y#z", "https://h.example/x?y"),
        ("c", "https://h.example/a/c"),
        ("https://h.example/x", "https://h.example/x"),
        ("https://H.example:443/x", "https://H.example:443/x"),
        ("//h.example/x", "https://h.example/x"),
        ("?q", "https://h.example/a/b?q"),
    ],
)
def test_redirects_on_the_same_origin(status: int, location: str, url: str) -> None:
    """GET follows every redirect on its own origin, at once, with all its headers."""
    attempts, response = play(GET, [redirect(status, location), Response(200)])
    assert [attempt.request.url for attempt in attempts] == [GET.url, url]
    assert attempts[1].request.headers == GET.headers
    assert attempts[1].delay == 0.0
    assert response.status == 200


ALL_METHODS: list[Method] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308, 200, 201, 404])
def test_which_methods_follow(method: Method, status: int) -> None:
    """307 and 308 keep every method and its body; 301, 302 and 303 are for GET and HEAD; nothing else is followed."""
    request = Request(method, "https://h.example/a", Headers())
    follows = status in (307, 308) or (status in (301, 302, 303) and method in ("GET", "HEAD"))
    target = redirect_target(request, redirect(status, "/x"))
    assert target == ("https://h.example/x" if follows else None)


def test_a_redirected_upload_keeps_its_body() -> None:
    """307 sends method and body again."""
    attempts, _ = play(POST, [redirect(307, "/x"), Response(503), Response(200)])
    assert [(a.request.method, a.request.body) for a in attempts] == [("POST", POST.body)] * 3
    assert [a.request.url for a in attempts[1:]] == ["https://h.example/x"] * 2


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/",
        "http://h.example/a",
        "https://h.example:444/",
        "//evil.example/x",
        "https://h.example.evil.example/",
        "https://user:password@h.example/",
        "ftp://h.example/",
        "javascript:alert(1)",
        "https://[::1",
        "https://h.example:port/",
        "https://h.example/a b",
        "https://h.example/\r\nX-Evil: 1",
        "https://h.example/é",
        "",
        None,
    ],
)
@pytest.mark.parametrize("status", [301, 308])
def test_refused_redirects(status: int, location: str | None) -> None:
    """Another origin, scheme or port, or what is no URL: the credential never leaves, the answer is an ApiError."""
    error = fail(GET, [redirect(status, location)])
    assert isinstance(error, ApiError)
    assert error.status_code == status
    assert "Redirect not followed" in str(error)
    assert "password" not in str(error)
    assert not error.retryable


def test_a_refused_redirect_says_where_to() -> None:
    """The message names the target, without secrets, or says that there is none."""
    assert "evil.example/x?token=***" in str(final_error(redirect(301, "https://u:p@evil.example/x?token=secret")))
    assert "does not say where to go instead" in str(final_error(redirect(304, None)))
    assert "what is no URL" in str(final_error(redirect(301, "https://[::1")))


@pytest.mark.parametrize(
    "response",
    [
        Response(401, body=b'{"title": "Unauthorized", "message": "no such key: sk_car_C4n4ry"}'),
        Response(500, body=b"Authorization: Bearer sk_car_C4n4ry"),
        Response(502, Headers.received([("Content-Type", "text/html")]), b"<title>sk_car_C4n4ry</title>"),
        redirect(302, "https://login.example/?for=sk_car_C4n4ry"),
        Response(400, Headers.received([("X-Request-Id", "sk_car_C4n4ry")])),
    ],
)
def test_a_server_that_repeats_the_key(response: Response) -> None:
    """Error bodies end in logs: the key does not."""
    request = Request("POST", "https://h.example/a", Headers([("Authorization", "Bearer sk_car_C4n4ry")]))
    error = fail(request, [response], max_retries=0)
    assert isinstance(error, ApiError)
    assert error.status_code == response.status
    assert "C4n4ry" not in f"{error!r}{error.__dict__!r}{error}"
    assert "***" in str(error)


def test_at_most_five_redirects() -> None:
    """Five are followed, the sixth is an ApiError; retries are counted apart."""
    attempts, _ = play(GET, [*[redirect(302, f"/{n}") for n in range(5)], Response(200)])
    assert attempts[-1].request.url == "https://h.example/4"
    error = fail(GET, [redirect(302, f"/{n}") for n in range(6)])
    assert isinstance(error, ApiError)
    assert error.status_code == 302
    mixed: list[Outcome] = [Response(500), *[redirect(302, f"/{n}") for n in range(5)], Response(500), Response(200)]
    attempts, _ = play(GET, mixed)
    assert [attempt.delay for attempt in attempts] == [0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(("how", "status"), [("stream", 200), ("upgrade", 101), ("upgrade", 200), ("whole", 204)])
def test_successes(how: How, status: int) -> None:
    """Any 2xx, and 101 where an upgrade was asked for."""
    attempts, response = play(GET, [Response(status)], how)
    assert attempts[0].how == how
    assert response.status == status


def test_unasked_upgrade() -> None:
    """101 where nobody asked for it is no success."""
    error = fail(GET, [Response(101)])
    assert isinstance(error, ApiError)
    assert error.status_code == 101


def operation_in(state: str) -> Operation[int]:
    """An operation in one of its states."""

    def flow() -> Flow[int]:
        yield Attempt(GET, 0.0, 1.0, "whole", 1, 1)
        return 5

    operation = Operation(flow())
    if state != "new":
        operation.start()
    if state == "over":
        assert operation.resume(Response(200)) == Done(5)
    return operation


@pytest.mark.parametrize("state", ["waiting", "over"])
def test_start_twice(state: str) -> None:
    """An operation runs once; a second start changes nothing."""
    operation = operation_in(state)
    with pytest.raises(LocalProtocolError, match=rf"start\(\) on an operation that is {state}"):
        operation.start()
    if state == "waiting":
        assert operation.resume(Response(200)) == Done(5)


@pytest.mark.parametrize("state", ["new", "over"])
def test_resume_without_an_attempt(state: str) -> None:
    """An answer nobody waits for is refused and changes nothing."""
    operation = operation_in(state)
    with pytest.raises(LocalProtocolError, match=rf"resume\(\) on an operation that is {state}"):
        operation.resume(Response(200))
    if state == "new":
        assert isinstance(operation.start(), Attempt)


@pytest.mark.parametrize("state", ["new", "waiting", "over"])
def test_abandon(state: str) -> None:
    """Giving up is legal in every state, any number of times; nothing goes on afterwards."""
    operation = operation_in(state)
    operation.abandon()
    operation.abandon()
    with pytest.raises(LocalProtocolError, match="is over"):
        operation.start()
    with pytest.raises(LocalProtocolError, match="is over"):
        operation.resume(Response(200))


def test_abandoning_unwinds_the_flow() -> None:
    """What a flow holds is released when it is given up."""
    released: list[bool] = []

    def flow() -> Generator[Attempt, Outcome, None]:
        try:
            yield Attempt(GET, 0.0, 1.0, "whole", 1, 1)
        finally:
            released.append(True)

    operation = Operation(flow())
    operation.start()
    operation.abandon()
    assert released == [True]


def test_over_after_an_error() -> None:
    """The call's final error ends the operation."""
    operation = Operation(exchange(GET, terms(0), "whole"))
    operation.start()
    with pytest.raises(TransportError):
        operation.resume(Failure(ConnectError("x")))
    with pytest.raises(LocalProtocolError, match="is over"):
        operation.resume(Response(200))


def test_a_flow_without_attempts() -> None:
    """A result that needs no attempt is there at the start."""

    def flow() -> Flow[str]:
        if GET.method != "GET":
            yield Attempt(GET, 0.0, 1.0, "whole", 1, 1)
        return "at once"

    assert Operation(flow()).start() == Done("at once")


def test_nothing_shows_a_credential() -> None:
    """Attempts and terms can be shown."""
    assert "CANARY" not in repr(Attempt(GET, 0.0, 1.0, "whole", 1, 1))
    assert "random" not in repr(terms())


class EchoingDecoder:
    """Each byte is a letter until the dot; at the end the server repeats the key."""

    finished = False

    def receive_data(self, data: bytes) -> list[str]:
        """The letters."""
        self.finished = b"." in data
        if b"!" in data:
            raise RateLimitError(status_code=429, message="slow down, sk_car_canary42")
        return list(data.decode())

    def receive_eof(self) -> list[str]:
        """The end."""
        if not self.finished:
            raise NotFoundError(status_code=404, message="no dot, sk_car_canary42")
        return ["end"]


def test_what_reading_raises_is_without_echo() -> None:
    """As is all else that an operation ends in; its value is what was read."""
    request = Request("GET", "https://a.example/", Headers([("X-API-Key", "sk_car_canary42")]))

    def read(response: Response) -> str:
        if response.body:
            raise RemoteProtocolError(f"odd: {response.body.decode()}")
        return "read"

    operation = Operation(asking(request, terms(0), "whole", read))
    assert isinstance(operation.start(), Attempt)
    assert operation.resume(Response(200)) == Done("read")
    operation = Operation(asking(request, terms(0), "whole", read))
    operation.start()
    with pytest.raises(RemoteProtocolError, match=r"^odd: \*\*\*$"):
        operation.resume(Response(200, body=b"sk_car_canary42"))
    operation = Operation(asking(request, terms(0), "whole", read))
    operation.start()
    with pytest.raises(ConnectError, match=r"^the peer said \*\*\*$"):
        operation.resume(Failure(ConnectError("the peer said sk_car_canary42")))


def test_a_decoder_without_echo() -> None:
    """Values pass through; an error loses the secrets of the request, and nothing else."""
    request = Request("GET", "https://a.example/", Headers([("X-API-Key", "sk_car_canary42")]))
    decoder = WithoutEcho(EchoingDecoder(), request)
    assert decoder.receive_data(b"ab") == ["a", "b"]
    assert not decoder.finished
    with pytest.raises(NotFoundError) as ended:
        decoder.receive_eof()
    assert ended.value.message == "no dot, ***"
    with pytest.raises(RateLimitError) as slow:
        decoder.receive_data(b"!")
    assert slow.value.message == "slow down, ***"
    assert slow.value.__context__ is None
    assert decoder.receive_data(b".") == ["."]
    assert decoder.finished
    assert decoder.receive_eof() == ["end"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"message":"your key is SECRET-CANARY"}',
        b'{"message":"your key is SECRET-\\u0043ANARY"}',
        b'{"error":{"message":"your key is SECRET-C\\u0041NARY"}}',
        b'{"message":"your key is SECRET-\\u0043ANARY","x":',
    ],
)
def test_an_error_without_echo(body: bytes) -> None:
    """A secret that the server repeats does not show, however it is written."""
    request = evolve(GET, headers=Headers([("Authorization", "Bearer SECRET-CANARY")]))
    with pytest.raises(NotFoundError) as caught:
        operation = Operation(asking(request, terms(), "whole", lambda response: response.body))
        operation.start()
        operation.resume(Response(404, body=body))
    assert caught.value.message == "your key is ***"
    assert "SECRET-CANARY" not in repr((caught.value, caught.value.body))


class PatientDecoder(EchoingDecoder):
    """A decoder of which each turn takes one byte."""

    def receive_portion(self, data: bytes) -> tuple[list[str], bool]:
        """The first byte alone."""
        return self.receive_data(data[:1]), len(data) > 1


def test_portions() -> None:
    """A decoder that takes turns does so within another; one that does not takes everything at once."""
    request = Request("GET", "https://a.example/", Headers([("X-API-Key", "sk_car_canary42")]))
    patient = WithoutEcho(PatientDecoder(), request)
    assert in_portions(patient)(b"ab") == (["a"], True)
    with pytest.raises(RateLimitError) as slow:
        in_portions(patient)(b"!")
    assert slow.value.message == "slow down, ***"
    assert in_portions(WithoutEcho(EchoingDecoder(), request))(b"ab") == (["a", "b"], False)
