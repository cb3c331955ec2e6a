"""The official SDK, aiohttp, websockets, httpx and httpx-sse, as far as they are used here.

This module knows how each is imported and pointed at our server, and declares the shapes that are used of them. They
may be installed or not, with types or without: nothing here is imported before a contender asks for it. It must not
know what is measured.
"""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from importlib import import_module
from typing import Protocol, final

from attrs import frozen

from benchmarks.plans import Job

KEY = "sk_car_benchmark"


@final
@frozen
class Decoding:
    """How a hand-written client reads messages.

    Attributes:
        loads: JSON.
        decode: base64.
    """

    loads: Callable[[bytes | str], dict[str, str]]
    decode: Callable[[str], bytes]


def standard() -> Decoding:
    """What everybody writes first: `json` and `base64`."""
    return Decoding(json.loads, base64.b64decode)


def speedy() -> Decoding:
    """What one finds after a search: orjson and pybase64."""
    loads: Callable[[bytes | str], dict[str, str]] = import_module("orjson").loads
    b64decode: Callable[..., bytes] = import_module("pybase64").b64decode
    return Decoding(loads, lambda text: b64decode(text, validate=True))


# The official SDK.


class OfficialEvent(Protocol):
    """An event of the SDK's; `audio` decodes."""

    @property
    def type(self) -> str: ...
    @property
    def audio(self) -> bytes | None: ...


class OfficialVoice(Protocol):
    """A voice; the server writes when it heard of the request into its description."""

    @property
    def description(self) -> str: ...


class OfficialContext(Protocol):
    """A context of the blocking WebSocket."""

    def send(self, **request: object) -> None: ...
    def receive(self) -> Iterator[OfficialEvent]: ...


class OfficialConnection(Protocol):
    """The blocking WebSocket."""

    def context(self) -> OfficialContext: ...


class OfficialBody(Protocol):
    """A streamed body."""

    def iter_bytes(self) -> Iterator[bytes]: ...


class OfficialStreaming(Protocol):
    """Methods whose answer is streamed."""

    def generate(self, **request: object) -> AbstractContextManager[OfficialBody]: ...


class OfficialTTS(Protocol):
    """Speech."""

    @property
    def with_streaming_response(self) -> OfficialStreaming: ...
    def websocket_connect(self) -> AbstractContextManager[OfficialConnection]: ...
    def generate_sse(self, **request: object) -> Iterator[OfficialEvent]: ...


class OfficialVoices(Protocol):
    """Voices."""

    def get(self, id: str) -> OfficialVoice: ...


class OfficialClient(Protocol):
    """The blocking client."""

    @property
    def tts(self) -> OfficialTTS: ...
    @property
    def voices(self) -> OfficialVoices: ...
    def close(self) -> None: ...


class AsyncOfficialContext(Protocol):
    """A context of the asyncio WebSocket."""

    def send(self, **request: object) -> Awaitable[None]: ...
    def receive(self) -> AsyncIterator[OfficialEvent]: ...


class AsyncOfficialConnection(Protocol):
    """The asyncio WebSocket."""

    def context(self) -> AsyncOfficialContext: ...


class AsyncOfficialBody(Protocol):
    """A streamed body."""

    def iter_bytes(self) -> AsyncIterator[bytes]: ...


class AsyncOfficialStreaming(Protocol):
    """Methods whose answer is streamed."""

    def generate(self, **request: object) -> AbstractAsyncContextManager[AsyncOfficialBody]: ...


class AsyncOfficialTTS(Protocol):
    """Speech."""

    @property
    def with_streaming_response(self) -> AsyncOfficialStreaming: ...
    def websocket_connect(self) -> AbstractAsyncContextManager[AsyncOfficialConnection]: ...
    def generate_sse(self, **request: object) -> Awaitable[AsyncIterator[OfficialEvent]]: ...


class AsyncOfficialVoices(Protocol):
    """Voices."""

    def get(self, id: str) -> Awaitable[OfficialVoice]: ...


class AsyncOfficialClient(Protocol):
    """The asyncio client."""

    @property
    def tts(self) -> AsyncOfficialTTS: ...
    @property
    def voices(self) -> AsyncOfficialVoices: ...
    def close(self) -> Awaitable[None]: ...


def official_client(job: Job) -> OfficialClient:
    """The blocking client; by itself it would make every WebSocket an encrypted one."""
    client: OfficialClient = import_module("cartesia").Cartesia(
        api_key=KEY, base_url=job.origin, websocket_base_url=job.websocket_origin
    )
    return client


def async_official_client(job: Job) -> AsyncOfficialClient:
    """The asyncio client."""
    client: AsyncOfficialClient = import_module("cartesia").AsyncCartesia(
        api_key=KEY, base_url=job.origin, websocket_base_url=job.websocket_origin
    )
    return client


# Libraries to write a client on.


class AiohttpMessage(Protocol):
    """A WebSocket message."""

    @property
    def data(self) -> str | bytes: ...


class AiohttpWebSocket(Protocol):
    """A WebSocket."""

    def send_str(self, data: str) -> Awaitable[None]: ...
    def __aiter__(self) -> AsyncIterator[AiohttpMessage]: ...


class AiohttpBody(Protocol):
    """What is still to be read."""

    def iter_any(self) -> AsyncIterator[bytes]: ...


class AiohttpResponse(Protocol):
    """An answer."""

    @property
    def content(self) -> AiohttpBody: ...


class AiohttpSession(Protocol):
    """Connections."""

    def ws_connect(self, url: str, *, decode_text: bool) -> AbstractAsyncContextManager[AiohttpWebSocket]: ...
    def post(self, url: str, *, json: object) -> AbstractAsyncContextManager[AiohttpResponse]: ...


def aiohttp_session() -> AbstractAsyncContextManager[AiohttpSession]:
    """A session; by default it would wait for ever for the 101st connection."""
    aiohttp = import_module("aiohttp")
    session: AbstractAsyncContextManager[AiohttpSession] = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0)
    )
    return session


class WebSocket(Protocol):
    """A blocking WebSocket of websockets'."""

    def send(self, message: str) -> None: ...
    def recv(self, *, decode: bool | None = None) -> str | bytes: ...


class AsyncWebSocket(Protocol):
    """An asyncio WebSocket of websockets'."""

    def send(self, message: str) -> Awaitable[None]: ...
    def recv(self, *, decode: bool | None = None) -> Awaitable[str | bytes]: ...


def websockets_connect(url: str) -> AbstractContextManager[WebSocket]:
    """Connect, blocking."""
    connection: AbstractContextManager[WebSocket] = import_module("websockets.sync.client").connect(url)
    return connection


def async_websockets_connect(url: str) -> AbstractAsyncContextManager[AsyncWebSocket]:
    """Connect, on asyncio."""
    connection: AbstractAsyncContextManager[AsyncWebSocket] = import_module("websockets.asyncio.client").connect(url)
    return connection


class SentEvent(Protocol):
    """A server-sent event of httpx-sse's."""

    @property
    def data(self) -> str: ...


class EventSource(Protocol):
    """Events of a response of httpx's."""

    def iter_sse(self) -> Iterator[SentEvent]: ...
    def aiter_sse(self) -> AsyncIterator[SentEvent]: ...


class HttpxClient(Protocol):
    """Connections of httpx's; opaque here."""


def httpx_client() -> AbstractContextManager[HttpxClient]:
    """A blocking client."""
    client: AbstractContextManager[HttpxClient] = import_module("httpx").Client()
    return client


def async_httpx_client() -> AbstractAsyncContextManager[HttpxClient]:
    """An asyncio client."""
    client: AbstractAsyncContextManager[HttpxClient] = import_module("httpx").AsyncClient()
    return client


def connect_sse(client: HttpxClient, url: str, body: object) -> AbstractContextManager[EventSource]:
    """Ask for events, blocking."""
    events: AbstractContextManager[EventSource] = import_module("httpx_sse").connect_sse(client, "POST", url, json=body)
    return events


def async_connect_sse(client: HttpxClient, url: str, body: object) -> AbstractAsyncContextManager[EventSource]:
    """Ask for events, on asyncio."""
    module = import_module("httpx_sse")
    events: AbstractAsyncContextManager[EventSource] = module.aconnect_sse(client, "POST", url, json=body)
    return events
