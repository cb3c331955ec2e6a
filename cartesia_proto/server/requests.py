"""A whole request, read: the one door of the server half.

This module knows the order in which a request is judged: version, path, credentials, then what it asks. It must not
know the fields of any endpoint, nor answer anything: a refusal is a value, for the caller to render.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, assert_never

from attrs import frozen

from cartesia_proto.config import VERSION_HEADER
from cartesia_proto.credentials import Credentials
from cartesia_proto.http import Headers
from cartesia_proto.server.auth import authorize
from cartesia_proto.server.bodies import ReceivedForm, read_form, read_json
from cartesia_proto.server.fields import Fields, Texts
from cartesia_proto.server.problems import Problem
from cartesia_proto.server.routing import WEBSOCKET_PATH, Endpoint, RouteMatch, find_route, query_pairs, split_target
from cartesia_proto.server.speech_requests import (
    SpeechRequest,
    read_bytes_request,
    read_infill_request,
    read_sse_request,
)
from cartesia_proto.server.versions import NEWEST, resolve_version
from cartesia_proto.server.voice_making import (
    MakingRequest,
    read_clone_clip,
    read_clone_voice,
    read_create_voice,
    read_localize_voice,
    read_mix_voices,
)
from cartesia_proto.server.voice_requests import (
    DeleteAccent,
    DeleteVoice,
    ListAccents,
    VoiceRequest,
    read_add_accents,
    read_get_voice,
    read_list_voices,
    read_update_voice,
)
from cartesia_proto.wire.http1 import RequestHead

VERSION_PARAMETER: Final = "cartesia_version"
"""Of the query of a WebSocket (protocol section 1.4)."""


@frozen
class StatusRequest:
    """``GET /``."""


@frozen
class OpenWebSocket:
    """``GET /tts/websocket``: its messages are for `contexts`, once the handshake of RFC 6455 is found in order."""


HttpRequest: TypeAlias = StatusRequest | SpeechRequest | VoiceRequest | MakingRequest
"""Everything that can be asked over HTTP so far."""

ApiRequest: TypeAlias = HttpRequest | OpenWebSocket
"""Everything that can be asked so far."""


@frozen
class Accepted:
    """A request to be served, and the known version whose shape the answer must have.

    Attributes:
        credentials: what it presented; None where nothing is asked for.
    """

    version: str
    request: ApiRequest
    credentials: Credentials | None


@frozen
class Refused:
    """A request to be answered with an error, in the shape of this version."""

    version: str
    problem: Problem


def receive_request(head: RequestHead, body: bytes, accepts: Callable[[Credentials], bool]) -> Accepted | Refused:
    """Judge a request whose body is complete. Never raises for what the client sent.

    Args:
        accepts: whether these credentials are right.
    """
    try:
        version = resolve_version(_asked_version(head))
    except Problem as problem:
        return Refused(NEWEST, problem)
    try:
        route = find_route(head.method, head.target, version)
        credentials = authorize(route.endpoint, Texts(route.query), head.headers, version, accepts)
        return Accepted(version, _read(route, head.headers, body, version), credentials)
    except Problem as problem:
        return Refused(version, problem)


def _asked_version(head: RequestHead) -> str | None:
    """What the header says; for a WebSocket the query wins (protocol section 1.4)."""
    path, query = split_target(head.target)
    in_query = Texts(query_pairs(query)).text(VERSION_PARAMETER) if path.rstrip("/") == WEBSOCKET_PATH else None
    return head.headers.get(VERSION_HEADER) if in_query is None else in_query


_FormEndpoint: TypeAlias = Literal[Endpoint.INFILL, Endpoint.CLONE_VOICE, Endpoint.CLONE_CLIP]
_JsonEndpoint: TypeAlias = Literal[
    Endpoint.TTS_BYTES,
    Endpoint.TTS_SSE,
    Endpoint.CREATE_VOICE,
    Endpoint.MIX_VOICES,
    Endpoint.LOCALIZE_VOICE,
    Endpoint.UPDATE_VOICE,
    Endpoint.ADD_ACCENTS,
]
_BodilessEndpoint: TypeAlias = Literal[
    Endpoint.STATUS,
    Endpoint.TTS_WEBSOCKET,
    Endpoint.LIST_VOICES,
    Endpoint.GET_VOICE,
    Endpoint.DELETE_VOICE,
    Endpoint.DELETE_ACCENT,
    Endpoint.LIST_ACCENTS,
]


def _read(route: RouteMatch, headers: Headers, body: bytes, version: str) -> ApiRequest:
    """What an endpoint is asked, from its path, query and body."""
    match route.endpoint:
        case Endpoint.INFILL | Endpoint.CLONE_VOICE | Endpoint.CLONE_CLIP as endpoint:
            return _read_form(endpoint, read_form(headers, body), version)
        case (
            Endpoint.STATUS
            | Endpoint.TTS_WEBSOCKET
            | Endpoint.LIST_VOICES
            | Endpoint.GET_VOICE
            | Endpoint.DELETE_VOICE
            | Endpoint.DELETE_ACCENT
            | Endpoint.LIST_ACCENTS
        ) as endpoint:
            return _read_target(endpoint, route.ids, Texts(route.query), version)
        case endpoint:
            return _read_json(endpoint, route.ids, read_json(headers, body), version)


def _read_form(endpoint: _FormEndpoint, form: ReceivedForm, version: str) -> ApiRequest:
    match endpoint:
        case Endpoint.INFILL:
            return read_infill_request(form, version)
        case Endpoint.CLONE_VOICE:
            return read_clone_voice(form, version)
        case Endpoint.CLONE_CLIP:
            return read_clone_clip(form)
        case _:
            assert_never(endpoint)


def _read_target(endpoint: _BodilessEndpoint, ids: tuple[str, ...], query: Texts, version: str) -> ApiRequest:
    match endpoint:
        case Endpoint.STATUS:
            return StatusRequest()
        case Endpoint.TTS_WEBSOCKET:
            return OpenWebSocket()
        case Endpoint.LIST_VOICES:
            return read_list_voices(query, version)
        case Endpoint.GET_VOICE:
            return read_get_voice(ids[0], query, version)
        case Endpoint.DELETE_VOICE:
            return DeleteVoice(ids[0])
        case Endpoint.DELETE_ACCENT:
            return DeleteAccent(ids[0], ids[1])
        case Endpoint.LIST_ACCENTS:
            return ListAccents()
        case _:
            assert_never(endpoint)


def _read_json(endpoint: _JsonEndpoint, ids: tuple[str, ...], fields: Fields, version: str) -> ApiRequest:
    match endpoint:
        case Endpoint.TTS_BYTES:
            return read_bytes_request(fields, version)
        case Endpoint.TTS_SSE:
            return read_sse_request(fields, version)
        case Endpoint.CREATE_VOICE:
            return read_create_voice(fields)
        case Endpoint.MIX_VOICES:
            return read_mix_voices(fields)
        case Endpoint.LOCALIZE_VOICE:
            return read_localize_voice(fields, version)
        case Endpoint.UPDATE_VOICE:
            return read_update_voice(ids[0], fields, version)
        case Endpoint.ADD_ACCENTS:
            return read_add_accents(ids[0], fields)
        case _:
            assert_never(endpoint)
