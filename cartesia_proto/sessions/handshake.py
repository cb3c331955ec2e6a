"""Opening a WebSocket: the request that asks for it, for any WebSocket there is.

This module knows the path, and the two ways a credential can travel (protocol sections 1.2 and 4.1). It must not know
frames, nor what is said once the connection stands.
"""

from collections.abc import Callable
from typing import Final, Literal, NoReturn, TypeAlias, assert_never, final
from urllib.parse import urlsplit

from attrs import field, frozen

from cartesia_proto.config import Config
from cartesia_proto.credentials import AccessToken, ApiKey
from cartesia_proto.discretion import discreet
from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError
from cartesia_proto.flow import Operation, asking
from cartesia_proto.http import Headers, Request, Response, UnsignedRequest, encode_query, redact_url
from cartesia_proto.parameters import Parameters
from cartesia_proto.prepare import CallOptions, Route, prepare, terms

WEBSOCKET_PATH: Final = "/tts/websocket"
"""Protocol section 4."""

CredentialsIn: TypeAlias = Literal["headers", "query"]
"""Where the credential travels: in headers, or in the URL for browsers, which cannot set headers."""


@final
@frozen
class WebSocketRequest:
    """What a WebSocket library needs to connect. It refuses pickling with `TypeError`.

    Attributes:
        url: ``wss://…`` or ``ws://…``; shown without the token it may carry.
        headers: beside those of the handshake itself; empty when the credential is in the URL. Their true values come
            from ``headers.reveal()``.
    """

    url: str = field(repr=lambda url: repr(redact_url(url)))
    headers: Headers = Headers()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a WebSocketRequest carries a credential and refuses to be pickled")


def render_websocket(parameters: Parameters, version: str) -> UnsignedRequest:
    """``GET /tts/websocket`` (protocol section 4.1)."""
    del parameters, version
    return UnsignedRequest("GET", WEBSOCKET_PATH, accept="*/*")


WEBSOCKET: Final = Route(render_websocket)


def _no_chance() -> float:
    raise AssertionError("a request without a form needs no randomness")


@discreet
def websocket_request(config: Config, credentials: CredentialsIn = "headers") -> WebSocketRequest:
    """The request that opens the WebSocket.

    Args:
        credentials: ``headers``, or ``query`` for browsers: then the version and an access token stand in the URL.

    Raises:
        LocalProtocolError: there are no credentials; ``query`` with an API key, which must never be in a URL; or
            `credentials` is neither of the two.
    """
    match credentials:
        case "headers":
            request = prepare(WEBSOCKET, Parameters(), CallOptions(), config, _no_chance)
            return WebSocketRequest(_websocket_url(request), request.headers)
        case "query":
            token = _token(config)
            request = prepare(WEBSOCKET, Parameters(), CallOptions(), config, _no_chance)
            query = encode_query([("cartesia_version", config.version), ("access_token", token.value.reveal())])
            return WebSocketRequest(f"{_websocket_url(request)}?{query}")
        case _:  # not shown: it may be the credential itself
            raise LocalProtocolError("credentials says where yours travel: it must be 'headers' or 'query'")


def _token(config: Config) -> AccessToken:
    match config.credentials:
        case AccessToken() as token:
            return token
        case ApiKey():
            raise LocalProtocolError("an API key must not be put in a URL: mint an access token and pass token=")
        case None:
            raise LocalProtocolError("a URL with credentials needs an access token: pass token=")
        case _:
            assert_never(config.credentials)


def _websocket_url(request: Request) -> str:
    return urlsplit(request.url)._replace(scheme="wss" if request.secure else "ws").geturl()


def connecting(config: Config, random: Callable[[], float]) -> Operation[None]:
    """Connecting as an operation: one ``upgrade`` attempt, retried as any request is, until a 101.

    It ends in a `RemoteProtocolError` where the server answers with any other success, which opens no WebSocket (RFC
    6455 section 4.1).

    Args:
        random: chance in [0, 1), for delays.

    Raises:
        LocalProtocolError: there are no credentials.
    """
    request = prepare(WEBSOCKET, Parameters(), CallOptions(), config, random)
    how = terms(WEBSOCKET, CallOptions(), config, random)

    def read(response: Response) -> None:
        if response.status != 101:
            raise RemoteProtocolError(
                f"expected a WebSocket, but the server answered with status {response.status}: is base_url right?",
                scope="connection",
            )

    return Operation(asking(request, how, "upgrade", read))
