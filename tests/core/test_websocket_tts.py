"""How a WebSocket is asked for, and that nothing of it is loaded before."""

import subprocess
import sys
from typing import TypeVar

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.call import Blocking, Call, Plan, Stream, StreamCall
from cartesia_proto.conversation import WebSocketOptions
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.websocket_tts import WebSocketTTS

B = TypeVar("B")
E = TypeVar("E")
T = TypeVar("T")


class _Client:
    """A client that runs nothing."""

    def call(self, plan: Plan[B, object]) -> B:
        raise NotImplementedError

    def run_call(self, call: Call[T]) -> T:
        raise NotImplementedError

    def run_stream(self, call: StreamCall[E]) -> Stream[E]:
        raise NotImplementedError


def _make(options: WebSocketOptions) -> WebSocketOptions:
    return options


CLIENT = _Client()
SPEECH: WebSocketTTS[Blocking, WebSocketOptions] = WebSocketTTS(CLIENT, _make)


def test_the_resource_is_what_it_was() -> None:
    """All that is text to speech, on the same client."""
    assert isinstance(SPEECH, TTS)
    assert SPEECH.runner is CLIENT
    assert not hasattr(SPEECH, "__dict__")


def test_asking_for_a_websocket() -> None:
    """What is asked for reaches the transport; by default, what links and inboxes have by themselves."""
    assert SPEECH.websocket() == WebSocketOptions()
    asked = SPEECH.websocket(ping_interval=1.0, ping_timeout=2.0, deflate=True, inbox_limit=3)
    assert asked == WebSocketOptions(1.0, 2.0, deflate=True, inbox_limit=3)
    with pytest.raises(LocalProtocolError, match="inbox_limit"):
        SPEECH.websocket(inbox_limit=0)


def test_nothing_is_loaded_before() -> None:
    """Who speaks over HTTP alone does not wait for wsproto."""
    code = "import sys, cartesia_proto.websocket_tts, cartesia_proto.clients; print(*sys.modules)"
    command = [sys.executable, "-I", "-c", code]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this very interpreter
    assert not {"wsproto", "cartesia_proto.conversation"} & set(ran.stdout.split())
