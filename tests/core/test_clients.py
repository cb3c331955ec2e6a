"""What awaiting clients share: how one is derived from another, and what hangs on it."""

from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import Never, TypeVar, final

import pytest

from cartesia_proto.api import Api
from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.awaiting import AsyncTTSContext, AsyncTTSWebSocket, Multiplexer
from cartesia_proto.call import AsyncStream, Call, PageCall, StreamCall
from cartesia_proto.clients import AwaitingClient
from cartesia_proto.config import Config
from cartesia_proto.conversation import WebSocketOptions
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.pages import AsyncPages
from cartesia_proto.testing import half
from cartesia_proto.websocket_tts import WebSocketTTS

E = TypeVar("E")
T = TypeVar("T")


@final
class _Client(AwaitingClient):
    """A client that notes what it is asked."""

    __slots__ = ("asked",)

    def __init__(self, config: Config) -> None:
        super().__init__(config, half)
        self.asked: list[object] = []

    @property
    def config(self) -> Config:
        return self._config

    def run_call(self, call: Call[T]) -> Coroutine[object, Never, T]:
        self.asked.append(call)
        raise NotImplementedError

    def run_stream(self, call: StreamCall[E]) -> AsyncStream[E]:
        raise NotImplementedError

    def run_pages(self, call: PageCall[T]) -> AsyncPages[T]:
        raise NotImplementedError

    def _multiplexer(self, options: WebSocketOptions) -> Multiplexer:
        self.asked.append(options)
        raise NotImplementedError


CONFIG = Config(version="2025-04-16", timeout=5.0)
