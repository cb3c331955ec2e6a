"""When a failed attempt is made again, and after how long: pure functions of what happened."""

import pytest

from cartesia_proto.errors import (
    ConnectError,
    ConnectionLost,
    IncompleteStream,
    Phase,
    RemoteProtocolError,
    TimeoutError,
    TransportError,
)
from cartesia_proto.http import Headers, Method, Request, Response
from cartesia_proto.retry import backoff, delay_after_failure, delay_after_response, retry_after

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def zero() -> float:
    """No jitter: the longest delay."""
    return 0.0


def almost_one() -> float:
    """The most jitter: the shortest delay."""
    return 1 - 2**-53


def request(method: Method) -> Request:
    """Some request of this method."""
    return Request(method, "https://h/", Headers())


@pytest.mark.parametrize(
    ("retries", "longest"), [(0, 0.5), (1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (100, 8.0), (10**6, 8.0)]
)
def test_backoff(retries: int, longest: float) -> None:
    """min(0.5·2ⁿ, 8)·(1 - 0.25·rand): from the whole delay down to three quarters of it."""
    assert backoff(retries, zero) == longest
    assert backoff(retries, almost_one) == pytest.approx(longest * 0.75)
    assert backoff(retries, almost_one) > longest * 0.75 - 1e-9
    assert backoff(retries, lambda: 0.5) == longest * 0.875


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 7\t"}, 7.0),
        ({"Retry-After": f" {DATE} ", "Date": f" {DATE}\t"}, 0.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "3600"}, 3600.0),
        ({"Retry-After-Ms": "250"}, 0.25),
        ({"retry-after-ms": "250.5", "retry-after": "9"}, 0.2505),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "-1", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "nan"}, None),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:57 GMT", "Date": DATE}, 20.0),
        ({"Retry-After": "Mon, 07 Nov 1994 08:49:37 GMT", "Date": DATE}, 86400.0),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": DATE}, 0.0),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:36 GMT", "Date": DATE}, 0.0),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:60 GMT", "Date": DATE}, 22.0),
        ({"Retry-After": DATE}, None),
        ({"Retry-After": DATE, "Date": "yesterday"}, None),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:61 GMT", "Date": DATE}, None),
        ({"Retry-After": "Sunday, 06-Nov-94 08:49:57 GMT", "Date": DATE}, 20.0),
        ({"Retry-After": "Sunday, 06-Nov-94 08:49:60 GMT", "Date": DATE}, 22.0),
        ({"Retry-After": "Sun Nov  6 08:49:57 1994", "Date": DATE}, 20.0),
        ({"Retry-After": "Wed Nov 16 08:49:37 1994", "Date": DATE}, 864000.0),
        ({"Retry-After": "Sunday, 06-Nov-94 08:49:57 GMT", "Date": "Sunday, 06-Nov-94 08:49:37 GMT"}, 20.0),
        ({"Retry-After": "Sun Nov  6 08:49:57 1994", "Date": "Sun Nov  6 08:49:37 1994"}, 20.0),
        ({"Retry-After": "Saturday, 01-Jan-00 00:00:01 GMT", "Date": "Fri, 31 Dec 1999 23:59:59 GMT"}, 2.0),
        ({"Retry-After": "Wednesday, 01-Jan-00 00:00:01 GMT", "Date": "Friday, 31-Dec-99 23:59:59 GMT"}, 2.0),
        ({"Retry-After": "Friday, 01-Jan-44 00:00:00 GMT", "Date": "Sat, 01 Jan 1994 00:00:00 GMT"}, 1577836800.0),
        ({"Retry-After": "Sunday, 01-Jan-45 00:00:00 GMT", "Date": "Sat, 01 Jan 1994 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "Sunday, 6-Nov-94 08:49:57 GMT", "Date": DATE}, None),
        ({"Retry-After": "Sun, 06-Nov-94 08:49:57 GMT", "Date": DATE}, None),
        ({"Retry-After": "Sun Nov 06 08:49:57 1994 GMT", "Date": DATE}, None),
        ({"Retry-After": "Sun Nov    08:49:57 1994", "Date": DATE}, None),
        ({"Retry-After": "Sunday, 31-Feb-94 08:49:37 GMT", "Date": DATE}, None),
        ({"Retry-After": "Sun, 31 Feb 1994 08:49:37 GMT", "Date": DATE}, None),
        ({"Retry-After": "Sun, 06 Xyz 1994 08:49:37 GMT", "Date": DATE}, None),
        ({"Retry-After": "Sun, 06 Nov 1994 25:49:37 GMT", "Date": DATE}, None),
        ({"Retry-After": "Sun, 06 Nov 0000 08:49:37 GMT", "Date": DATE}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "9" * 400}, None),
    ],
)
def test_retry_after(fields: dict[str, str], seconds: float | None) -> None:
    """Milliseconds first, then seconds, then a date relative to the response's own; anything else says nothing."""
    wish = retry_after(Headers.received(fields.items()))
    assert wish == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_statuses_that_pass(status: int) -> None:
    """408, 429 and 5xx are retried after our own delay, or after the one the server asks for."""
    assert delay_after_response(Response(status), 2, zero) == 2.0
    assert delay_after_response(Response(status, Headers([("Retry-After", "0")])), 2, zero) == 0.0
    assert delay_after_response(Response(status, Headers([("Retry-After", "60")])), 0, zero) == 60.0
    assert delay_after_response(Response(status, Headers([("retry-after-ms", "60000")])), 0, zero) == 60.0


@pytest.mark.parametrize("status", [408, 429, 503])
def test_a_wish_above_a_minute_ends_the_call(status: int) -> None:
    """Nobody is made to wait longer than a minute without knowing."""
    assert delay_after_response(Response(status, Headers([("Retry-After", "60.001")])), 0, zero) is None
    assert delay_after_response(Response(status, Headers([("retry-after-ms", "60001")])), 0, zero) is None
    later = Headers([("Retry-After", "Sun, 06 Nov 1994 08:50:38 GMT"), ("Date", DATE)])
    assert delay_after_response(Response(status, later), 0, zero) is None


@pytest.mark.parametrize("status", [301, 304, 400, 401, 402, 403, 404, 409, 413, 422, 499])
def test_statuses_that_do_not_pass(status: int) -> None:
    """Every other status is final, whatever the server says of waiting."""
    assert delay_after_response(Response(status), 0, zero) is None
    assert delay_after_response(Response(status, Headers([("Retry-After", "1")])), 0, zero) is None


METHODS: list[Method] = ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "error",
    [ConnectError("x"), TimeoutError("x", phase="connect"), TimeoutError("x", phase="handshake")],
    ids=["connect", "connect-timeout", "handshake-timeout"],
)
def test_nothing_was_sent(method: Method, error: TransportError) -> None:
    """Where no byte of the request left, every method is retried."""
    assert delay_after_failure(error, request(method), 0, 1, zero) == 1.0


PHASES: list[Phase] = ["write", "read", "stall"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "error",
    [
        *(TimeoutError("x", phase=phase) for phase in PHASES),
        ConnectionLost("x"),
        IncompleteStream("x"),
        TransportError("x"),
    ],
    ids=repr,
)
def test_something_was_sent(method: Method, error: TransportError) -> None:
    """Where the server may have acted, only idempotent requests are retried."""
    expected = 0.5 if method in ("GET", "HEAD", "PUT", "DELETE") else None
    assert delay_after_failure(error, request(method), 0, 0, zero) == expected


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "error", [ConnectError("x"), ConnectionLost("x"), IncompleteStream("x"), TimeoutError("x")], ids=repr
)
def test_never_after_the_first_body_byte(method: Method, error: TransportError) -> None:
    """What has begun to arrive is billed and was handed on: never again."""
    assert delay_after_failure(error, request(method), 1, 0, zero) is None


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_succeed_is_final(method: Method) -> None:
    """A server that breaks the protocol is not asked again, nor is one that cannot be reached by this way at all."""
    refusal = ConnectError("the proxy refused")
    refusal.retryable = False
    for error in (RemoteProtocolError("x"), refusal):
        assert delay_after_failure(error, request(method), 0, 0, zero) is None
