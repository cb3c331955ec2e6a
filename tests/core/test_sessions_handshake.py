"""Opening a WebSocket: the request for any library or browser, and connecting as an operation."""

import copy
import pickle
from typing import cast

import pytest

from cartesia_proto.config import DEFAULT_VERSION, USER_AGENT, Config
from cartesia_proto.credentials import AccessToken, ApiKey
from cartesia_proto.errors import (
    ApiError,
    AuthenticationError,
    ConnectError,
    LocalProtocolError,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
)
from cartesia_proto.flow import Done, Failure, Outcome
from cartesia_proto.http import Headers, Response
from cartesia_proto.sessions.handshake import CredentialsIn, WebSocketRequest, connecting, websocket_request
from cartesia_proto.testing import half, run

KEY = ApiKey("sk_car_CANARY")
TOKEN = AccessToken("eyJ.CANARY/+=.x")


@pytest.mark.parametrize(
    ("version", "credentials", "header"),
    [
        (DEFAULT_VERSION, KEY, ("Authorization", "Bearer sk_car_CANARY")),
        ("2025-04-16", KEY, ("Authorization", "Bearer sk_car_CANARY")),
        ("2024-11-13", KEY, ("X-API-Key", "sk_car_CANARY")),
        (DEFAULT_VERSION, TOKEN, ("Authorization", "Bearer eyJ.CANARY/+=.x")),
        ("2024-06-10", TOKEN, ("Authorization", "Bearer eyJ.CANARY/+=.x")),
    ],
)
def test_credentials_in_headers(version: str, credentials: ApiKey | AccessToken, header: tuple[str, str]) -> None:
    """The credential travels in the header that its version knows; nothing of it stands in the URL."""
    request = websocket_request(Config(version=version, credentials=credentials))
    assert request.url == "wss://api.cartesia.ai/tts/websocket"
    sent = dict(request.headers.reveal())
    assert header in sent.items()
    assert sent["Cartesia-Version"] == version
    assert sent["User-Agent"] == USER_AGENT
    assert sent.keys().isdisjoint({"Content-Type", "Upgrade", "Connection", "Sec-WebSocket-Key"})


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://h.example", "wss://h.example/tts/websocket"),
        ("http://h.example:8080", "ws://h.example:8080/tts/websocket"),
        ("localhost:1", "ws://localhost:1/tts/websocket"),
        ("https://proxy.example/http/x/", "wss://proxy.example/http/x/tts/websocket"),
        ("HTTPS://h.example", "wss://h.example/tts/websocket"),
        ("Http://[::1]:9", "ws://[::1]:9/tts/websocket"),
    ],
)
def test_where_to(base_url: str, url: str) -> None:
    """The base URL's host, port and path; TLS where it says https, however it is spelt."""
    assert websocket_request(Config(base_url=base_url, credentials=KEY)).url == url


def test_headers_of_the_configuration() -> None:
    """They are sent along, and hidden where their names look secret."""
    config = Config(credentials=KEY, headers=Headers([("X-Trace", "t"), ("X-Secret", "CANARY")]))
    request = websocket_request(config)
    assert {"X-Trace": "t", "X-Secret": "CANARY"}.items() <= dict(request.headers.reveal()).items()
    assert "CANARY" not in repr(request)


def test_credentials_in_the_url() -> None:
    """Version and token stand in the query, percent-encoded; a browser can set no header, so there is none."""
    config = Config(version="2026-03-01", credentials=TOKEN, headers=Headers([("X-Trace", "t")]))
    request = websocket_request(config, "query")
    assert request.url == (
        "wss://api.cartesia.ai/tts/websocket?cartesia_version=2026-03-01&access_token=eyJ.CANARY%2F%2B%3D.x"
    )
    assert request.headers == Headers()
    assert repr(request) == (
        "WebSocketRequest(url='wss://api.cartesia.ai/tts/websocket?cartesia_version=2026-03-01&access_token=***', "
        "headers=Headers([]))"
    )


@pytest.mark.parametrize(
    ("credentials", "how", "message"),
    [
        (KEY, "query", "an API key must not be put in a URL: mint an access token"),
        (None, "query", "needs an access token"),
        (None, "headers", "this call needs credentials"),
        (TOKEN, "eyJ.CANARY", "'headers' or 'query'"),
    ],
)
def test_refusals(credentials: ApiKey | AccessToken | None, how: str, message: str) -> None:
    """What would put a key into a URL, or go without credentials; the words show no secret, even a misplaced one."""
    with pytest.raises(LocalProtocolError, match=message) as caught:
        websocket_request(Config(credentials=credentials), cast("CredentialsIn", how))
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("how", ["headers", "query"])
def test_a_request_shows_no_secret(how: CredentialsIn) -> None:
    """Neither shown nor pickled nor copied, with the credential in either place."""
    request = websocket_request(Config(credentials=TOKEN), how)
    assert "CANARY" not in f"{request!r}{request}{request.headers}"
    for refused in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="refuses to be pickled") as caught:
            refused(request)
        assert "CANARY" not in str(caught.value)


def test_even_a_request_without_credentials_refuses_pickling() -> None:
    """Whether one is in there is not for a pickle to find out."""
    with pytest.raises(TypeError, match="refuses to be pickled"):
        pickle.dumps(WebSocketRequest("wss://h.example/"))


def _config(max_retries: int = 2) -> Config:
    return Config(credentials=KEY, timeout=7.0, max_retries=max_retries)


def test_connecting() -> None:
    """One upgrade attempt, signed and with the configuration's timeout; a 101 is the end of it."""
    transcript = run(connecting(_config(), half), [Response(101)])
    assert transcript.result == Done(None)
    (attempt,) = transcript.attempts
    assert (attempt.how, attempt.timeout, attempt.delay) == ("upgrade", 7.0, 0.0)
    assert (attempt.request.method, attempt.request.url) == ("GET", "https://api.cartesia.ai/tts/websocket")
    assert ("Authorization", "Bearer sk_car_CANARY") in attempt.request.headers.reveal()
    assert "CANARY" not in repr(attempt)


def test_a_rejected_handshake() -> None:
    """A refusal is an `ApiError` with body and request id, and final."""
    body = b'{"title":"Unauthorized","message":"no such key","error_code":"bad_key"}'
    refusal = Response(401, Headers([("X-Request-Id", "r-1")]), body)
    result = run(connecting(_config(), half), [refusal]).result
    assert isinstance(result, AuthenticationError)
    assert (result.message, result.error_code, result.request_id) == ("no such key", "bad_key", "r-1")


def test_too_many_sockets() -> None:
    """A 429 is asked again after as long as the server wishes, and told in the end."""
    busy = Response(429, Headers([("Retry-After", "3")]))
    transcript = run(connecting(_config(), half), [busy, busy, Response(101)])
    assert [attempt.delay for attempt in transcript.attempts] == [0.0, 3.0, 3.0]
    assert transcript.result == Done(None)
    result = run(connecting(_config(max_retries=0), half), [busy]).result
    assert isinstance(result, RateLimitError)
    assert result.retry_after == 3.0


def test_failures_to_connect_are_retried() -> None:
    """As for any request, with growing delays."""
    outcomes: list[Outcome] = [Failure(ConnectError("refused")), Response(503), Response(502)]
    transcript = run(connecting(_config(), half), outcomes)
    assert [attempt.delay for attempt in transcript.attempts] == [0.0, 0.4375, 0.875]
    assert isinstance(transcript.result, ServerError)


@pytest.mark.parametrize("status", [200, 204, 206])
def test_a_success_that_is_no_upgrade(status: int) -> None:
    """A server that answers a handshake with a page has opened no WebSocket (RFC 6455 section 4.1)."""
    result = run(connecting(_config(), half), [Response(status, body=b"<html>")]).result
    assert isinstance(result, RemoteProtocolError)
    assert f"status {status}" in str(result)
    assert result.scope == "connection"


def test_redirects() -> None:
    """Followed on the same origin alone: the credential goes nowhere else."""
    there = Response(307, Headers([("Location", "/elsewhere")]))
    transcript = run(connecting(_config(), half), [there, Response(101)])
    assert transcript.attempts[1].request.url == "https://api.cartesia.ai/elsewhere"
    away = Response(307, Headers([("Location", "https://evil.example/")]))
    assert isinstance(run(connecting(_config(), half), [away]).result, ApiError)


def test_connecting_without_credentials() -> None:
    """Refused before there is an operation."""
    with pytest.raises(LocalProtocolError, match="needs credentials"):
        connecting(Config(), half)
