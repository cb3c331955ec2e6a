"""Credentials: valid or refused in words that hide them, and the one header that carries them."""

import copy
import io
import logging
import pickle
import traceback
from typing import cast

import pytest

from cartesia_proto.credentials import AccessToken, ApiKey, Credentials, Secret, choose_credentials
from cartesia_proto.errors import LocalProtocolError

CANARY = "sk_car_CANARY0123456789"


@pytest.mark.parametrize("value", [Secret(CANARY), ApiKey(CANARY), AccessToken(CANARY)], ids=["secret", "key", "token"])
def test_never_shown(value: object) -> None:
    """No way of making text of it shows the secret: repr, str, format, log record, or a container's repr."""
    record = io.StringIO()
    logger = logging.Logger("test")  # noqa: LOG001 - one that nobody else has
    logger.addHandler(logging.StreamHandler(record))
    logger.debug("%s %r", value, value)
    logger.error("%s", [value])
    texts = [repr(value), str(value), f"{value}", f"{value!r}", repr([value]), repr({value: 1}), record.getvalue()]
    assert all(CANARY not in text for text in texts)
    assert all("***" in text for text in texts)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [Secret(CANARY), ApiKey(CANARY), AccessToken(CANARY)], ids=["secret", "key", "token"])
def test_refuses_pickling(value: object, protocol: int) -> None:
    """A pickle would write the secret down, so there is none, and the refusal does not show it."""
    with pytest.raises(TypeError, match="refuses to be pickled") as caught:
        pickle.dumps(value, protocol)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("value", [Secret(CANARY), ApiKey(CANARY), AccessToken(CANARY)], ids=["secret", "key", "token"])
def test_copies_within_the_process(value: object) -> None:
    """Copying is no pickling: copies are equal and still work."""
    for again in (copy.copy(value), copy.deepcopy(value)):
        assert again == value
        assert hash(again) == hash(value)


def test_secret_compares_by_value() -> None:
    """Secrets are equal when what they hide is; never to the plain text."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret(CANARY).reveal() == CANARY


@pytest.mark.parametrize("kind", [ApiKey, AccessToken])
@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("", "is empty"),
        (CANARY + "\n", f"a space or control character at position {len(CANARY)} of {len(CANARY) + 1}"),
        (CANARY + "\r\nX-Evil: 1", "a space or control character"),
        (" " + CANARY, "position 0"),
        (CANARY + "\x7f", "a space or control character"),
        (CANARY + "\x00", "a space or control character"),
        (CANARY + "é", "not ASCII"),
        (CANARY + "\u2028", "not ASCII"),
        (cast("str", CANARY.encode()), "must be a string, not bytes"),
        (cast("str", [CANARY]), "must be a string, not list"),
    ],
)
def test_malformed(kind: type[ApiKey] | type[AccessToken], value: str, complaint: str) -> None:
    """What no header could carry is refused when constructed, naming the position and never the value."""
    with pytest.raises(LocalProtocolError, match=complaint) as caught:
        kind(value)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("credentials", "version", "header"),
    [
        (ApiKey(CANARY), "2024-06-10", ("X-API-Key", CANARY)),
        (ApiKey(CANARY), "2025-04-15", ("X-API-Key", CANARY)),
        (ApiKey(CANARY), "2025-04-16", ("Authorization", f"Bearer {CANARY}")),
        (ApiKey(CANARY), "2026-08-14", ("Authorization", f"Bearer {CANARY}")),
        (AccessToken(CANARY), "2024-06-10", ("Authorization", f"Bearer {CANARY}")),
        (AccessToken(CANARY), "2026-08-14", ("Authorization", f"Bearer {CANARY}")),
    ],
)
def test_header_by_version(credentials: Credentials, version: str, header: tuple[str, str]) -> None:
    """A key goes as X-API-Key before 2025-04-16 and as Bearer from then on; a token always as Bearer."""
    assert [(name, secret.reveal()) for name, secret in credentials.headers(version)] == [header]


def test_wraps_what_is_wrapped_already() -> None:
    """A Secret is taken as it is."""
    assert ApiKey(Secret("k")) == ApiKey("k")
    assert AccessToken(Secret("t")) == AccessToken("t")


def test_choice() -> None:
    """Explicit beats environment, a token beats the environment's key, and nothing at all is None."""
    environ = {"CARTESIA_API_KEY": "from-environment"}
    assert choose_credentials("explicit", None, environ) == ApiKey("explicit")
    assert choose_credentials(None, "token", environ) == AccessToken("token")
    assert choose_credentials(None, None, environ) == ApiKey("from-environment")
    assert choose_credentials(None, None, {"CARTESIA_API_KEY": ""}) is None
    assert choose_credentials(None, None, {}) is None


def test_both_are_refused() -> None:
    """A key and a token together have no meaning."""
    with pytest.raises(LocalProtocolError, match="both an API key and an access token") as caught:
        choose_credentials(CANARY, CANARY, {})
    assert CANARY not in str(caught.value)


def test_malformed_environment() -> None:
    """A key from the environment is checked as any other."""
    with pytest.raises(LocalProtocolError, match="strip it") as caught:
        choose_credentials(None, None, {"CARTESIA_API_KEY": CANARY + "\n"})
    assert CANARY not in str(caught.value)
