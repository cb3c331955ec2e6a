"""The base of every client: its resources, and the one endpoint that needs no credentials."""

import inspect
import pickle
import pydoc
import subprocess
import sys
from typing import TypeVar, get_type_hints

import pytest

from cartesia_proto.api import Api, Status
from cartesia_proto.api.tts import TTS
from cartesia_proto.api.voices import Voices
from cartesia_proto.call import Blocking, Call, Plan, Stream, StreamCall
from cartesia_proto.config import Config
from cartesia_proto.errors import RemoteProtocolError
from cartesia_proto.flow import Attempt
from cartesia_proto.http import Response
from cartesia_proto.testing import half, run

T = TypeVar("T")
E = TypeVar("E")
B = TypeVar("B")


class Client(Api[Blocking]):
    """A blocking client without credentials that gets one answer."""

    def __init__(self, body: bytes = b"{}") -> None:
        super().__init__()
        self.body = body

    @property
    def runner(self) -> "Client":
        """Itself."""
        return self

    def call(self, plan: Plan[B, object]) -> B:
        """Run any call."""
        return plan.run_blocking(self)

    def run_call(self, call: Call[T]) -> T:
        """Make one request."""
        return run(call.operation(Config(), half), [Response(200, body=self.body)]).value

    def run_stream(self, call: StreamCall[E]) -> Stream[E]:
        """Nobody streams here."""
        raise AssertionError(call)


def test_resources() -> None:
    """Each is reached through the client and runs on it; nothing is stored."""
    client = Client()
    assert isinstance(client.tts, TTS)
    assert isinstance(client.voices, Voices)
    assert client.tts.runner is client.voices.runner is client
    assert vars(client) == {"body": b"{}"}


def test_resources_are_imported_on_first_access() -> None:
    """Importing the base of all clients defines no resource."""
    code = "import sys, cartesia_proto.api; print([m for m in sys.modules if m.startswith('cartesia_proto.api.')])"
    command = [sys.executable, "-I", "-c", code]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this very interpreter
    assert ran.stdout == "[]\n"


def test_status_needs_no_credentials() -> None:
    """GET / goes out unsigned."""
    step = Api.status().operation(Config(), half).start()
    assert isinstance(step, Attempt)
    assert (step.request.method, step.request.url) == ("GET", "https://api.cartesia.ai/")
    assert not {"authorization", "x-api-key"} & {name.lower() for name, _ in step.request.headers}
    assert step.request.headers.get("cartesia-version") == "2026-08-14"


def test_status() -> None:
    """What the gateway says of itself, in its present and in its first form."""
    assert Client(b'{"ok":true,"version":"2026-08-14"}').status() == Status(ok=True, version="2026-08-14")
    old = Client(b'{"version":"0.1","status":"up","region":"x"}').status()
    assert (old.status, old["version"], old["region"], old.ok) == ("up", "0.1", "x", None)
    odd = Client(b'{"ok":"yes"}').status()
    assert (odd.ok, odd["ok"]) == (None, "yes")
    with pytest.raises(RemoteProtocolError) as caught:
        Client(b"[true]").status()
    assert caught.value.path == "$"


def test_status_is_an_endpoint() -> None:
    """A value on the class, with hints, signature and help like any other."""
    call = Api.status(request_options={"max_retries": 0})
    assert pickle.loads(pickle.dumps(call)) == call
    assert hash(call) != hash(Api.status())
    assert get_type_hints(Api.status)["return"] == Call[Status]
    bound = Client().status
    assert inspect.signature(bound) == inspect.signature(Api.status)
    assert (
        pydoc.plain(pydoc.render_doc(bound)).splitlines()[2:]
        == pydoc.plain(pydoc.render_doc(Api.status)).splitlines()[2:]
    )
