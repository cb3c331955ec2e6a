"""Scripts that make no sense are refused where they are handed over, and whatever fails, the stand-in serves on."""

from __future__ import annotations

import logging
import math
import ssl
from typing import TYPE_CHECKING, cast

import pytest

from cartesia_proto.errors import ConnectionLost, LocalProtocolError, ServerError
from cartesia_standin import (
    CloseFrameAfter,
    ContentType,
    CutAfter,
    Delay,
    DropAfter,
    ErrorWithoutContext,
    FailMidway,
    Fragmented,
    Garbage,
    GarbageText,
    SilenceAfter,
    StaleFrames,
    Stall,
    StandIn,
    Status,
    UnknownEvents,
)
from cartesia_urllib import Cartesia

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cartesia_standin import Fault

VOICE = "a0e99841-438c-4a64-b679-ae501e7d6091"
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}

WRONG: dict[str, Callable[[], object]] = {
    "a status that is text": lambda: Status(cast("int", "429")),
    "a status of an interim response": lambda: Status(101),
    "a status that is true": lambda: Status(code=True),
    "a header that frames": lambda: Status(429, {"Content-Length": "3"}),
    "a header that cannot be sent": lambda: Status(429, {"A": "b\r\nC: d"}),
    "headers that are none": lambda: Status(429, cast("dict[str, str]", ["a"])),
    "a body that is text": lambda: Status(429, {}, cast("bytes", "text")),
    "a delay that is text": lambda: Delay(cast("float", "1")),
    "a delay that is none": lambda: Delay(math.nan),
    "a delay for ever": lambda: Delay(math.inf),
    "a delay into the past": lambda: Delay(-1),
    "a cut that is text": lambda: CutAfter(cast("int", "1")),
    "a cut before the beginning": lambda: CutAfter(-1),
    "more than was announced": lambda: CutAfter(50, 49),
    "an announcement that is text": lambda: CutAfter(1, cast("int", "50")),
    "a stall that is text": lambda: Stall(cast("int", "1")),
    "garbage that is text": lambda: Garbage(cast("bytes", "x")),
    "a content type that is none": lambda: ContentType(cast("str", 5)),
    "a content type in two lines": lambda: ContentType("a\nb"),
    "an error that is a success": lambda: FailMidway(1, status=200),
    "an error without words": lambda: FailMidway(1, message=cast("str", None)),
    "an error with a surrogate": lambda: FailMidway(1, title="\ud800"),
    "an error code that is a number": lambda: ErrorWithoutContext(1, error_code=cast("str", 5)),
    "messages that are text": lambda: DropAfter(cast("int", "1")),
    "messages below none": lambda: SilenceAfter(-1),
    "a code that must not be sent": lambda: CloseFrameAfter(1, 1006),
    "a reason that is too long": lambda: CloseFrameAfter(1, 1011, "ä" * 62),
    "a reason that is none": lambda: CloseFrameAfter(1, 1011, "\udc00"),
    "frames below none": lambda: StaleFrames(-1),
    "a text with a surrogate": lambda: GarbageText(1, "\ud800"),
    "frames of nothing": lambda: Fragmented(0),
    "a port that is text": lambda: StandIn(port=cast("int", "80")),
    "contexts below none": lambda: StandIn(max_contexts=-1),
    "sockets that are text": lambda: StandIn(max_sockets=cast("int", "1")),
    "TLS that is a file": lambda: StandIn(ssl_context=cast("ssl.SSLContext", "cert.pem")),
    "TLS for clients": lambda: StandIn(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
}


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A stand-in."""
    with StandIn() as standin:
        yield standin


@pytest.fixture
def client(server: StandIn) -> Iterator[Cartesia]:
    """A client of it."""
    with Cartesia(api_key=server.api_key, base_url=server.base_url, max_retries=0, proxy="") as made:
        yield made


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_what_makes_no_sense(make: Callable[[], object]) -> None:
    """It is refused where it is made."""
    with pytest.raises(LocalProtocolError):
        make()


def test_what_is_possible() -> None:
    """The bounds themselves are not refused."""
    made = (Status(200), Status(999), Delay(0), CutAfter(0, 0), Stall(0), FailMidway(0, status=599), Fragmented(1))
    assert len({*map(type, made)}) == 6
    assert CloseFrameAfter(0, 4999, "a" * 123).reason == "a" * 123


@pytest.mark.parametrize("wrong", [429, "Status", Status, [Status(429)], (None,), ValueError("x"), SystemExit(1)])
def test_what_is_no_fault(server: StandIn, client: Cartesia, wrong: object) -> None:
    """It is refused where it is handed over, with all that comes with it."""
    with pytest.raises(LocalProtocolError, match="is no fault"):
        server.script(Status(429), cast("Fault", wrong))
    assert client.status().ok


def broken(fault: Fault, name: str) -> Fault:
    """A fault that cannot be carried out, and got past the checks."""
    object.__setattr__(fault, name, "nonsense")
    return fault


def test_a_fault_that_fails(server: StandIn, client: Cartesia, caplog: pytest.LogCaptureFixture) -> None:
    """The client is told with a 500, the log why, and the next request is served, be it on the same connection."""
    server.script(broken(Delay(1), "seconds"), broken(CutAfter(1), "size"))
    with caplog.at_level(logging.ERROR, "asyncio"):
        with pytest.raises(ServerError, match="The stand-in itself has failed"):
            client.status()
        with pytest.raises(Exception, match="closed the connection"):
            client.status()
    assert [record.message for record in caplog.records] == ["the stand-in failed"] * 2
    assert client.status().ok


def test_a_fault_that_fails_on_a_websocket(server: StandIn, client: Cartesia, caplog: pytest.LogCaptureFixture) -> None:
    """The socket is closed with 1011, and the next one is served."""
    server.script(broken(DropAfter(1), "messages"), UnknownEvents())
    with client.tts.websocket() as ws, caplog.at_level(logging.ERROR, "asyncio"):
        with pytest.raises(ConnectionLost, match="1011"):
            ws.send(transcript="Hello", stream=False, output_format=RAW, model_id="sonic-3", voice=VOICE)
        assert ws.send(transcript="Hello", stream=False, output_format=RAW, model_id="sonic-3", voice=VOICE).data
    assert [record.message for record in caplog.records] == ["the stand-in failed"]
