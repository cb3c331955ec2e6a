"""Secrets, and how they prove who is asking.

This module knows what a valid key or token looks like and which headers carry it under which API version. It must not
know where a key comes from (the transports read the environment) nor what a request is.

One rule holds for everything here: a secret has exactly one door, `Secret.reveal`. No repr, str, format, exception,
pickle or comparison message shows it.
"""

from collections.abc import Mapping
from typing import Final, NoReturn, TypeAlias, final

from attrs import field, frozen

from cartesia_proto.discretion import REDACTED, discreet, holds_secrets
from cartesia_proto.errors import LocalProtocolError

BEARER_SINCE: Final = "2025-04-16"
"""First API version for which `Authorization: Bearer` is documented for API keys (protocol section 1.2)."""

API_KEY_VARIABLE: Final = "CARTESIA_API_KEY"
"""Environment variable of the 1.x SDK (protocol section 9.1)."""


@final
class Secret:
    """A string that shows itself only when asked with `reveal()`. Refuses pickling with `TypeError`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself, for the wire and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret refuses to be pickled: pass the key or token to the other process by another way")


def _visible_ascii(what: str, value: object) -> Secret:
    """Refuse what no header could carry, in words that never repeat the value (RFC 9110 section 5.5)."""
    if not isinstance(value, str):
        raise LocalProtocolError(f"the {what} must be a string, not {type(value).__name__}")
    if not value:
        raise LocalProtocolError(f"the {what} is empty")
    for position, character in enumerate(value):
        if not "!" <= character <= "~":
            kind = "not ASCII" if character > "~" and character != "\x7f" else "a space or control character"
            raise LocalProtocolError(
                f"the {what} has {kind} at position {position} of {len(value)}; "
                f"one read from a file may end in a newline: strip it"
            )
    return Secret(value)


def _api_key(value: "str | Secret") -> Secret:
    return value if isinstance(value, Secret) else _visible_ascii("API key", value)


def _token(value: "str | Secret") -> Secret:
    return value if isinstance(value, Secret) else _visible_ascii("access token", value)


@final
@holds_secrets
@frozen
class ApiKey:
    """An API key, ``sk_car_…`` (protocol section 1.2).

    Raises:
        LocalProtocolError: the value is no string, is empty, or has a character that no header can carry. The message
            names the position, never the value.
    """

    value: Secret = field(converter=_api_key)

    def headers(self, version: str) -> tuple[tuple[str, Secret], ...]:
        """The header that carries the key under an API version: Bearer from 2025-04-16 on, `X-API-Key` before."""
        if version >= BEARER_SINCE:
            return (("Authorization", Secret(f"Bearer {self.value.reveal()}")),)
        return (("X-API-Key", self.value),)


@final
@holds_secrets
@frozen
class AccessToken:
    """A short-lived token minted by ``POST /access-token`` (protocol section 1.3).

    Raises:
        LocalProtocolError: as `ApiKey`.
    """

    value: Secret = field(converter=_token)

    def headers(self, version: str) -> tuple[tuple[str, Secret], ...]:
        """The header that carries the token: Bearer under every version."""
        del version
        return (("Authorization", Secret(f"Bearer {self.value.reveal()}")),)


Credentials: TypeAlias = ApiKey | AccessToken


@discreet
def choose_credentials(api_key: str | None, token: str | None, environ: Mapping[str, str]) -> Credentials | None:
    """Settle which credentials hold: an explicit one, else the environment's API key, else none.

    Args:
        api_key, token: what the caller gave; at most one of them.
        environ: the environment as a mapping; only `CARTESIA_API_KEY` is read.

    Raises:
        LocalProtocolError: both were given, or the one that holds is malformed.
    """
    if api_key is not None and token is not None:
        raise LocalProtocolError("both an API key and an access token were given: give one of them")
    if token is not None:
        return AccessToken(token)
    if api_key is not None:
        return ApiKey(api_key)
    from_environment = environ.get(API_KEY_VARIABLE)
    return ApiKey(from_environment) if from_environment else None
