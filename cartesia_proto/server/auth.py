"""Who is asking: credentials as each API version takes them, over HTTP and in the handshake of a WebSocket.

This module knows protocol section 1.2. It must not know which credentials are right: the caller says so, as it would
ask a database.
"""

import re
from collections.abc import Callable
from typing import Final

from cartesia_proto.credentials import BEARER_SINCE, AccessToken, ApiKey, Credentials
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.http import Headers
from cartesia_proto.server.fields import Texts
from cartesia_proto.server.problems import forbidden, unauthorized
from cartesia_proto.server.routing import Endpoint

TOKEN_ENDPOINTS: Final = frozenset({Endpoint.TTS_BYTES, Endpoint.TTS_SSE, Endpoint.TTS_WEBSOCKET})
"""Where an access token will do; everything else takes an API key alone (protocol section 1.2, last lines)."""

PUBLIC_ENDPOINTS: Final = frozenset({Endpoint.STATUS})
"""Where nothing is asked for (protocol section 1.2)."""

QUERY_ENDPOINTS: Final = frozenset({Endpoint.TTS_WEBSOCKET})
"""Where credentials may stand in the query, for browsers, which cannot set headers (protocol section 1.2)."""

_JSON_WEB_TOKEN: Final = re.compile(r"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")  # RFC 7519 section 3.1
_BEARER: Final = re.compile(r"bearer +", re.IGNORECASE)  # RFC 6750 section 2.1; schemes ignore case


def authorize(
    endpoint: Endpoint, query: Texts, headers: Headers, version: str, accepts: Callable[[Credentials], bool]
) -> Credentials | None:
    """Let a request through, or refuse it. Answers with what it presented; None where nothing is asked for.

    Args:
        accepts: whether these credentials are right; anything that has the form of a JSON web token is an
            `AccessToken`, anything else an `ApiKey`.

    Raises:
        Problem: 401; there are no credentials, they cannot stand where they stand under this version, or they are not
            accepted. 403; an access token where only an API key will do.
    """
    if endpoint in PUBLIC_ENDPOINTS:
        return None
    in_query = read_query_credentials(query) if endpoint in QUERY_ENDPOINTS else None
    credentials = in_query or read_credentials(headers, version)
    if not accepts(credentials):
        raise unauthorized("the API key or access token is not valid")
    if isinstance(credentials, AccessToken) and endpoint not in TOKEN_ENDPOINTS:
        raise forbidden("this endpoint takes an API key, not an access token")
    return credentials


def read_query_credentials(query: Texts) -> Credentials | None:
    """What stands in a query, None if nothing does. It goes before headers, as the version does (our choice).

    Raises:
        Problem: 401; there is both a key and a token, or it is malformed. The message never shows the value. 400; one
            of them stands there twice.
    """
    key, token = query.text("api_key"), query.text("access_token")
    if key is not None and token is not None:
        raise unauthorized("the query has both api_key and access_token: send one of them")
    if token is not None and not _JSON_WEB_TOKEN.fullmatch(token):
        raise unauthorized("access_token in the query is no access token")
    return AccessToken(token) if token is not None else None if key is None else _api_key(key)


def read_credentials(headers: Headers, version: str) -> Credentials:
    """What a request presents: `Authorization` if it is there, else `X-API-Key`.

    An API key as Bearer is refused before 2025-04-16, the version that documents it (our choice: stricter than the
    service may be, so that a client is seen to follow the documents).

    Raises:
        Problem: 401; there is nothing, or it is malformed. The message never shows the value.
    """
    given = {name.lower(): value for name, value in headers.reveal()}
    if "authorization" in given:
        scheme = _BEARER.match(given["authorization"])
        if scheme is None:
            raise unauthorized("the Authorization header must read: Bearer, a space, and the API key or access token")
        credentials = _credentials(given["authorization"][scheme.end() :])
        if isinstance(credentials, ApiKey) and version < BEARER_SINCE:
            raise unauthorized(f"under version {version} an API key goes into the X-API-Key header")
        return credentials
    if "x-api-key" not in given:
        raise unauthorized("credentials are missing: send an API key or an access token")
    return _api_key(given["x-api-key"])


def _credentials(value: str) -> Credentials:
    return AccessToken(value) if _JSON_WEB_TOKEN.fullmatch(value) else _api_key(value)


def _api_key(value: str) -> ApiKey:
    try:
        return ApiKey(value)
    except LocalProtocolError:
        raise unauthorized("the API key is empty or has a character that no key has") from None
