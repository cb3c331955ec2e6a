"""The stand-in without a socket: a request in, an answer out, or a conversation begun.

This module knows which part answers which request, and what is limited. It must not know connections or faults. Request
ids count up from 1, so the same requests in the same order get the same answers.
"""

import math
from collections.abc import Callable
from typing import Final, TypeAlias, assert_never, final

from attrs import evolve, frozen

from cartesia_proto.credentials import ApiKey, Credentials
from cartesia_proto.errors import JsonValue
from cartesia_proto.http import Headers, Response
from cartesia_proto.server.problems import REQUEST_ID_HEADER, Problem, error_response, too_large
from cartesia_proto.server.requests import Accepted, HttpRequest, OpenWebSocket, Refused, StatusRequest, receive_request
from cartesia_proto.server.responses import (
    accents_object,
    created_voice,
    embedding_object,
    empty_response,
    json_response,
    status_object,
    voice_metadata,
    voice_object,
    voice_page,
)
from cartesia_proto.server.speech_requests import BytesRequest, InfillRequest, SSERequest
from cartesia_proto.server.versions import NEWEST
from cartesia_proto.server.voice_making import (
    CloneClip,
    CloneVoice,
    CreateVoice,
    LocalizeEmbedding,
    LocalizeVoice,
    MixVoices,
)
from cartesia_proto.server.voice_requests import (
    PAGES_SINCE,
    AddAccents,
    DeleteAccent,
    DeleteVoice,
    GetVoice,
    ListAccents,
    ListVoices,
    UpdateVoice,
)
from cartesia_proto.wire.http1 import RequestHead
from cartesia_proto.wire.upgrade import refuse_upgrade
from cartesia_standin.catalogue import Catalogue
from cartesia_standin.conversation import Conversation
from cartesia_standin.quotas import Quota
from cartesia_standin.speaking import Streamed, check_speech, speak_bytes, speak_events
from cartesia_standin.voices import ACCENTS

ANY_KEY: Final = "sk_car_standin"
"""A key to use where any will do."""

ACCESS_TOKEN: Final = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzdGFuZC1pbiJ9."  # noqa: S105 - an unsigned token that says so
"""An access token that the stand-in always accepts: ``{"alg":"none"}``, ``{"sub":"stand-in"}`` (RFC 7519 section 6)."""

Answer: TypeAlias = Response | Streamed


@final
@frozen
class SocketRules:
    """What holds for WebSockets and their contexts (protocol sections 4.5 and 4.6).

    Attributes:
        context_expiry: seconds without anything to say after which a context is done; ``math.inf`` for never.
        idle_timeout: seconds without a message after which a socket is closed.
        max_contexts, max_sockets: how many each key may have at once; None any number.
    """

    context_expiry: float = math.inf
    idle_timeout: float = 300.0
    max_contexts: int | None = None
    max_sockets: int | None = None


@final
@frozen
class Upgrade:
    """A WebSocket is to be opened.

    Attributes:
        headers: of the 101, beside those of the handshake.
        version: in whose shape messages are written.
        socket_id: the request id of the handshake.
        input_id: makes the last part of the request id of an error.
        release: to be called once, when the socket is gone or never came about.
    """

    headers: Headers
    version: str
    socket_id: str
    conversation: Conversation
    idle_timeout: float
    input_id: Callable[[], str]
    release: Callable[[], None]


@final
class Application:
    """Everything the stand-in remembers between requests.

    Args:
        key: the one API key that is right; None accepts every well-formed key and token.

    Attributes:
        contexts: that are open.

    Raises:
        LocalProtocolError: the key is no API key; the message does not show it.
    """

    def __init__(self, key: str | None, rules: SocketRules) -> None:
        self.contexts: Quota = Quota("contexts", rules.max_contexts)
        self._sockets = Quota("WebSockets", rules.max_sockets)
        self._rules = rules
        self._key = None if key is None else ApiKey(key)
        self._catalogue = Catalogue()
        self._requests = 0

    def answer(self, head: RequestHead, body: bytes) -> Answer | Upgrade:
        """What a request gets; never raises for what a client sent."""
        request_id = self._request_id()
        received = receive_request(head, body, self._accepts)
        if isinstance(received, Refused):
            return error_response(received.problem, received.version, request_id)
        try:
            if isinstance(received.request, OpenWebSocket):
                return self._upgrade(head, received, request_id)
            return self._serve(received, received.request, request_id)
        except Problem as problem:
            return error_response(problem, received.version, request_id)

    def refuse_size(self, limit: int) -> Response:
        """What a request gets whose body is over the limit in bytes."""
        return error_response(too_large(limit), NEWEST, self._request_id())

    def _request_id(self) -> str:
        self._requests += 1
        return f"5a4d3000-0000-4000-8000-{self._requests:012}"

    def _accepts(self, credentials: Credentials) -> bool:
        if self._key is None or credentials == self._key:
            return True
        return credentials.value.reveal() == ACCESS_TOKEN

    def _upgrade(self, head: RequestHead, accepted: Accepted, request_id: str) -> Response | Upgrade:
        """A WebSocket, or why there is none; or the `Problem` of too many."""
        headers = Headers([(REQUEST_ID_HEADER, request_id)])
        refusal = refuse_upgrade(head)
        if refusal is not None:
            return evolve(refusal, headers=refusal.headers.merged(headers))
        credentials = accepted.credentials
        self._sockets.take(credentials)
        conversation = Conversation(
            accepted.version, self._catalogue, self.contexts, credentials, self._rules.context_expiry
        )

        def release() -> None:
            conversation.end()
            self._sockets.give_back(credentials)

        return Upgrade(
            headers=headers,
            version=accepted.version,
            socket_id=request_id,
            conversation=conversation,
            idle_timeout=self._rules.idle_timeout,
            input_id=self._request_id,
            release=release,
        )

    def _serve(self, accepted: Accepted, request: HttpRequest, request_id: str) -> Answer:
        """The answer, or its `Problem`."""
        version = accepted.version
        match request:
            case StatusRequest():
                return json_response(status_object(version), request_id)
            case BytesRequest() | InfillRequest():
                check_speech(request.speech)
                return speak_bytes(request, self._catalogue, request_id)
            case SSERequest():
                check_speech(request.speech)
                return speak_events(request, self._catalogue, version, request_id)
            case DeleteVoice():
                self._catalogue.delete(request.id)
                return empty_response(request_id)
            case CreateVoice():
                return json_response(created_voice(self._catalogue.create(request), version), request_id, status=201)
            case CloneVoice() | CloneClip() | MixVoices() | LocalizeVoice() | LocalizeEmbedding():
                return json_response(self._made(request, version), request_id)
            case _:
                return json_response(self._asked(request, version), request_id)

    def _made(
        self, request: CloneVoice | CloneClip | MixVoices | LocalizeVoice | LocalizeEmbedding, version: str
    ) -> JsonValue:
        """A new voice or embedding."""
        match request:
            case CloneVoice():
                return voice_metadata(self._catalogue.clone(request), version)
            case CloneClip():
                return embedding_object(self._catalogue.clone_clip(request))
            case MixVoices():
                return embedding_object(self._catalogue.mix(request))
            case LocalizeVoice():
                return voice_metadata(self._catalogue.localize(request), version)
            case LocalizeEmbedding():  # the placeholder sounds alike in every language
                return embedding_object(request.embedding)
            case _:
                assert_never(request)

    def _asked(
        self, request: ListVoices | GetVoice | UpdateVoice | AddAccents | DeleteAccent | ListAccents, version: str
    ) -> JsonValue:
        """Voices there are, as they are after the request."""
        match request:
            case ListVoices():
                return self._list(request, version)
            case GetVoice():
                return voice_object(self._catalogue.get(request.id), version, request.expand)
            case UpdateVoice():
                return voice_object(self._catalogue.update(request), version)
            case AddAccents():
                return voice_object(self._catalogue.add_accents(request), version)
            case DeleteAccent():
                return voice_object(self._catalogue.delete_accent(request), version)
            case ListAccents():
                return accents_object(ACCENTS)
            case _:
                assert_never(request)

    def _list(self, request: ListVoices, version: str) -> JsonValue:
        selection = self._catalogue.select(request)
        voices: list[JsonValue] = [voice_object(voice, version, request.expand) for voice in selection.voices]
        return voice_page(voices, selection.next_page) if version >= PAGES_SINCE else voices
