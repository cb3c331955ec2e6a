"""What programs do with a WebSocket, and what goes wrong under their hands: every shell against the stand-in."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.events import Done, FlushDone, UnknownEvent, WordTimestamps
from cartesia_proto.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    CartesiaError,
    ConnectionLost,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TimeoutError,
)
from cartesia_standin import (
    CloseFrameAfter,
    Delay,
    ErrorWithoutContext,
    FailMidway,
    Fault,
    Fragmented,
    GarbageText,
    Pings,
    StandIn,
    Status,
    UnknownEvents,
    WithoutDone,
    spoken_audio,
)

if TYPE_CHECKING:
    from tests.transports.conftest import Net
    from tests.transports.scenarios.conftest import Shell
    from tests.transports.scenarios.websockets.conftest import Stage

CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)
VERSIONS = ("2024-06-10", "2024-11-13", "2025-04-16", "2025-11-04", "2026-03-01", "2026-08-14")
FORMAT = RawFormat("pcm_s16le", 8000)
TEXT = "Hello, world!"
WORDS = ("Hello, ", "my ", "name ", "is ", "Sonic.")


def spoken(*texts: str) -> bytes:
    """What must be heard."""
    return spoken_audio(*texts, output_format=FORMAT)


def test_all_ways_to_speak(stage: Stage, standin: StandIn) -> None:
    """Streamed, whole, in pieces, and batch by batch: the same sound, on one connection."""
    with stage.meet(standin) as ws:
        assert stage.listen(ws.send(TEXT)).audio == spoken(TEXT)
        whole = ws.whole(TEXT)
        assert (whole.data, whole.format) == (spoken(TEXT), FORMAT)
        assert whole.wav()[:4] == b"RIFF"
        with ws.context() as context:
            context.push(TEXT)
            context.finish()
            batches: list[bytes] = []
            while batch := context.receive_batch():
                batches += [event.audio for event in batch]
        assert b"".join(batches) == spoken(TEXT)
    assert standin.connections == 1
    standin.wait_until(lambda: not standin.open_connections)


@CLEAR_ONLY
def test_words_as_they_come(stage: Stage, standin: StandIn) -> None:
    """A model's tokens, each pushed as it is, with timestamps asked for: nothing of the text is edited."""
    with stage.meet(standin) as ws:
        with ws.context(add_timestamps=True, max_buffer_delay_ms=0) as context:
            for word in WORDS:
                context.push(word)
            context.finish()
            events = stage.listen(context).events
    assert b"".join(event.audio for event in events) == spoken(*WORDS)
    told = [word for event in events if isinstance(event, WordTimestamps) for word in event.words]
    assert told == "".join(WORDS).split()
    starts = [start for event in events if isinstance(event, WordTimestamps) for start in event.start]
    assert starts == sorted(starts)


@CLEAR_ONLY
def test_no_timestamps_unless_asked_for(stage: Stage, standin: StandIn) -> None:
    """Audio alone."""
    with stage.meet(standin) as ws:
        assert all(event.audio for event in stage.listen(ws.send(TEXT)).events)


@CLEAR_ONLY
def test_flushes(stage: Stage, standin: StandIn) -> None:
    """One `FlushDone` for each, between what was said before and after."""
    with stage.meet(standin) as ws:
        with ws.context() as context:
            for word in WORDS[:3]:
                context.push(word)
                context.flush()
            context.finish()
            events = stage.listen(context).events
    parts: list[bytes] = [b""]
    for event in events:
        if isinstance(event, FlushDone):
            parts.append(b"")
        parts[-1] += event.audio
    assert parts == [*(spoken(word) for word in WORDS[:3]), b""]


@CLEAR_ONLY
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version(shell: Shell, stage: Stage, standin: StandIn, version: str) -> None:
    """Each says things in its own way, errors too."""
    client = shell.client(base_url=standin.base_url, api_key=standin.api_key, version=version)
    standin.script(FailMidway(1))
    with stage.websocket(client) as ws:
        assert isinstance(stage.listen(ws.send(TEXT)).error, ServerError)
        assert stage.listen(ws.send(TEXT)).audio == spoken(TEXT)


@CLEAR_ONLY
def test_refusals(stage: Stage, standin: StandIn) -> None:
    """What the service would refuse ends that context alone."""
    with stage.meet(standin) as ws:
        good = ws.context()
        good.push(TEXT)
        bad = stage.listen(ws.send(TEXT, max_buffer_delay_ms=60_000)).error
        assert isinstance(bad, BadRequestError)
        assert bad.scope == "context"
        good.finish()
        assert stage.listen(good).audio == spoken(TEXT)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (GarbageText(1), RemoteProtocolError),
        (ErrorWithoutContext(1, status=429, error_code="quota_exceeded"), RateLimitError),
        (FailMidway(1, status=503), ServerError),
        (CloseFrameAfter(1, 1012, "restart"), ConnectionLost),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, type) else value.__name__,
)
def test_faults_that_end_a_context(stage: Stage, standin: StandIn, fault: Fault, kind: type[CartesiaError]) -> None:
    """Each by its own error, after what came before; the WebSocket is as usable as before."""
    standin.script(fault)
    with stage.meet(standin) as ws:
        heard = stage.listen(ws.send(TEXT))
        assert isinstance(heard.error, kind)
        assert heard.audio
        assert spoken(TEXT).startswith(heard.audio)
        if isinstance(heard.error, ConnectionLost):
            assert (heard.error.code, heard.error.reason) == (1012, "restart")
        assert stage.listen(ws.send(TEXT)).audio == spoken(TEXT)


@CLEAR_ONLY
@pytest.mark.parametrize("fault", [Fragmented(50), Pings(), UnknownEvents(), Delay(0.01), None], ids=repr)
@pytest.mark.parametrize("deflate", [False, True])
def test_faults_that_change_nothing(stage: Stage, standin: StandIn, fault: Fault | None, deflate: bool) -> None:
    """However it is said, it is heard."""
    standin.script(fault)
    with stage.meet(standin, deflate=deflate) as ws:
        for _ in range(2):
            heard = stage.listen(ws.send(TEXT))
            assert heard.audio == spoken(TEXT)
            assert any(isinstance(event, UnknownEvent) for event in heard.events) is isinstance(fault, UnknownEvents)
    assert standin.connections == 1


def test_a_done_that_never_comes(stage: Stage, standin: StandIn) -> None:
    """All was heard, and then nothing: the time for that runs out."""
    standin.script(WithoutDone())
    with stage.meet(standin) as ws:
        heard = stage.listen(ws.send(TEXT, stall_timeout=1.0))
        assert isinstance(heard.error, TimeoutError)
        assert heard.audio == spoken(TEXT)


@CLEAR_ONLY
def test_too_many_contexts(stage: Stage, server_context: ssl.SSLContext) -> None:
    """The one that is too many is told, alone; when another is over there is room again."""
    with StandIn(max_contexts=2) as standin, stage.meet(standin) as ws:
        first, second, third = ws.context(), ws.context(), ws.context()
        for context in (first, second, third):
            context.push(TEXT)
        error = stage.listen(third).error
        assert isinstance(error, RateLimitError)
        assert (error.error_code, error.scope) == ("concurrency_limited", "context")
        first.finish()
        assert stage.listen(first).audio == spoken(TEXT)
        assert ws.whole(TEXT).data == spoken(TEXT)
        second.cancel()


@CLEAR_ONLY
def test_a_context_that_expires(stage: Stage) -> None:
    """The service ends a context that is not told more: that is an end like any other."""
    with StandIn(context_expiry=0.05) as standin, stage.meet(standin) as ws:
        context = ws.context()
        context.push(TEXT)
        assert stage.listen(context).audio == spoken(TEXT)
        assert isinstance(context.terminal, Done)
        with pytest.raises(CartesiaError, match="which is done"):
            context.push("more")


@CLEAR_ONLY
def test_too_many_sockets(shell: Shell, stage: Stage) -> None:
    """The handshake is refused; a socket that is closed makes room."""
    with StandIn(max_sockets=1) as standin:
        client = shell.client(base_url=standin.base_url, api_key=standin.api_key, max_retries=0)
        with stage.websocket(client) as ws:
            ws.connect()
            with stage.websocket(client) as other, pytest.raises(RateLimitError) as caught:
                other.connect()
            assert caught.value.request_id is not None
        standin.wait_until(lambda: not standin.open_connections)
        with stage.websocket(client) as ws:
            assert ws.whole(TEXT).data == spoken(TEXT)


def test_a_wrong_key(shell: Shell, stage: Stage, net: Net, server_context: ssl.SSLContext) -> None:
    """The handshake is refused."""
    with StandIn(ssl_context=server_context if net.secure else None, key="sk_car_right") as standin:
        with stage.websocket(shell.client(base_url=standin.base_url, api_key="sk_car_wrong")) as ws:
            with pytest.raises(AuthenticationError) as caught:
                ws.whole(TEXT)
    assert isinstance(caught.value, ApiError)
    assert caught.value.request_id is not None


def test_a_busy_server(stage: Stage, standin: StandIn) -> None:
    """Refused twice, with a time to wait; then it speaks."""
    standin.script(*[Status(429, {"Retry-After": "0"})] * 2)
    with stage.meet(standin) as ws:
        assert ws.whole(TEXT).data == spoken(TEXT)
    assert len(standin.requests) == 3
