"""Credentials as a server takes them."""

import pytest

from cartesia_proto.credentials import AccessToken, ApiKey, Credentials
from cartesia_proto.http import Headers
from cartesia_proto.server.auth import authorize, read_credentials, read_query_credentials
from cartesia_proto.server.fields import Texts
from cartesia_proto.server.problems import Problem
from cartesia_proto.server.routing import Endpoint

KEY = "sk_car_canary"
NO_QUERY = Texts(())
TOKEN = "eyJhbGciOiJub25lIn0.e30.c2ln"


def headers(*fields: tuple[str, str]) -> Headers:
    """Headers as they arrive."""
    return Headers.received(fields)


@pytest.mark.parametrize("version", ["2024-06-10", "2024-11-13", "2025-04-16", "2026-08-14"])
def test_x_api_key_is_taken_under_every_version(version: str) -> None:
    """It is documented from the first version to the last."""
    assert read_credentials(headers(("x-api-key", KEY)), version) == ApiKey(KEY)


def test_bearer_carries_a_key_from_2025_04_16_on() -> None:
    """The version that documents it; before, the client is told where the key goes."""
    given = headers(("Authorization", f"bearer {KEY}"))
    assert read_credentials(given, "2025-04-16") == ApiKey(KEY)
    with pytest.raises(Problem, match="X-API-Key") as refused:
        read_credentials(given, "2024-11-13")
    assert refused.value.status == 401
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("version", ["2024-06-10", "2026-08-14"])
def test_bearer_carries_a_token_under_every_version(version: str) -> None:
    """What has the form of a JSON web token is one."""
    assert read_credentials(headers(("Authorization", f"Bearer {TOKEN}")), version) == AccessToken(TOKEN)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ((), "missing"),
        ((("Authorization", "Basic abc"),), "must read: Bearer"),
        ((("Authorization", KEY),), "must read: Bearer"),
        ((("X-API-Key", ""),), "empty"),
        ((("Authorization", "Bearer two words"),), "character"),
    ],
)
def test_anything_else_is_unauthorized(fields: tuple[tuple[str, str], ...], said: str) -> None:
    """401, and the message says what to send."""
    with pytest.raises(Problem, match=said) as refused:
        read_credentials(headers(*fields), "2026-08-14")
    assert refused.value.status == 401


def test_authorization_goes_before_x_api_key() -> None:
    """Where both are sent, one is looked at."""
    given = headers(("X-API-Key", "other"), ("Authorization", f"Bearer {KEY}"))
    assert read_credentials(given, "2026-08-14") == ApiKey(KEY)


def test_the_caller_decides_what_is_right() -> None:
    """401 for what it does not accept, and it is shown what was presented."""
    seen: list[Credentials] = []

    def accepts(credentials: Credentials) -> bool:
        seen.append(credentials)
        return credentials == ApiKey(KEY)

    authorize(Endpoint.LIST_VOICES, NO_QUERY, headers(("X-API-Key", KEY)), "2026-08-14", accepts)
    with pytest.raises(Problem, match="not valid") as refused:
        authorize(Endpoint.LIST_VOICES, NO_QUERY, headers(("X-API-Key", "other")), "2026-08-14", accepts)
    assert refused.value.status == 401
    assert seen == [ApiKey(KEY), ApiKey("other")]


def test_a_token_opens_speech_alone() -> None:
    """403 elsewhere."""
    given = headers(("Authorization", f"Bearer {TOKEN}"))
    authorize(Endpoint.TTS_BYTES, NO_QUERY, given, "2026-08-14", lambda _: True)
    with pytest.raises(Problem, match="not an access token") as refused:
        authorize(Endpoint.LIST_VOICES, NO_QUERY, given, "2026-08-14", lambda _: True)
    assert refused.value.status == 403


def test_the_status_is_public() -> None:
    """Nobody is asked for anything."""
    assert authorize(Endpoint.STATUS, NO_QUERY, headers(), "2026-08-14", lambda _: False) is None


@pytest.mark.parametrize(
    ("pair", "credentials"), [(("api_key", KEY), ApiKey(KEY)), (("access_token", TOKEN), AccessToken(TOKEN))]
)
def test_the_query_of_a_websocket_may_carry_credentials(pair: tuple[str, str], credentials: Credentials) -> None:
    """They go before headers; anywhere else they are ignored."""
    other = headers(("X-API-Key", "other"))
    query = Texts((pair,))
    assert authorize(Endpoint.TTS_WEBSOCKET, query, headers(), "2024-06-10", lambda _: True) == credentials
    assert authorize(Endpoint.TTS_WEBSOCKET, query, other, "2024-06-10", lambda _: True) == credentials
    assert authorize(Endpoint.TTS_BYTES, query, other, "2024-06-10", lambda _: True) == ApiKey("other")
    assert authorize(Endpoint.TTS_WEBSOCKET, NO_QUERY, other, "2024-06-10", lambda _: True) == ApiKey("other")


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ((("api_key", KEY), ("access_token", TOKEN)), "send one of them"),
        ((("api_key", ""),), "empty"),
        ((("access_token", KEY),), "no access token"),
    ],
)
def test_anything_else_in_the_query_is_unauthorized(pairs: tuple[tuple[str, str], ...], said: str) -> None:
    """401, without the value."""
    with pytest.raises(Problem, match=said) as refused:
        read_query_credentials(Texts(pairs))
    assert refused.value.status == 401
    assert KEY not in str(refused.value)
