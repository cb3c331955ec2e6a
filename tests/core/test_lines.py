"""Which multiplexer a context belongs to, and steps that follow from each other."""

import json
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Never, TypedDict, TypeVar, final

import pytest

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.config import Config, Limits
from cartesia_proto.contexts import Alone
from cartesia_proto.conversation import TTSConversation, WebSocketOptions, handshake_outcome
from cartesia_proto.errors import ConnectionLost
from cartesia_proto.flow import Attempt
from cartesia_proto.http import Headers, Request
from cartesia_proto.lines import Check, Lines, Ready, Saying, Step, close_all, in_steps
from cartesia_proto.speech import VoiceLike
from cartesia_proto.testing import half
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.websocket import ServerWebSocketLink

T = TypeVar("T")


class _Settings(TypedDict):
    model_id: str
    voice: VoiceLike
    output_format: RawFormat


SETTINGS: _Settings = {"model_id": "sonic-3", "voice": "v", "output_format": RawFormat("pcm_s16le", 8000)}


def run(coroutine: Coroutine[object, Never, T]) -> T:
    """Run what never waits."""
    try:
        coroutine.send(None)  # type: ignore[arg-type]  # how every coroutine begins
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("it waits")


@final
class Multiplexer:
    """One that can be closed, and take a step; where it is broken, closing it fails."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.closed = False

    async def run(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed = True
        if self.broken:
            raise ConnectionLost("cut")

    async def say(self, id: str, ready: Ready, say: Saying, check: Check) -> None:
        raise NotImplementedError

    async def change(self, change: Callable[[float], set[str]]) -> None:
        assert change(1.0) == set()

    async def next(self, id: str, take: Callable[[], T | None], alone: Alone, first: Step[None] | None) -> T:
        raise NotImplementedError

    async def at_hand(self, taken: deque[T], alone: Alone, otherwise: Step[T]) -> T:
        assert not taken
        return await otherwise()

    async def in_steps(self, steps: Awaitable[T]) -> T:
        return await steps


def conversation(*, stalled: bool) -> TTSConversation:
    """One with an open context, and perhaps another that has stalled."""
    attempt = Attempt(Request("GET", "https://api.test/ws", Headers()), 0.0, 10.0, "upgrade", 1000, 1000)
    link = WebSocketOptions().link(attempt, Limits(), 100.0)
    http = ServerLink(10.0, Limits())
    http.receive_data(link.data_to_send(), 100.0)
    head = http.next_event()
    assert isinstance(head, RequestHead)
    server = ServerWebSocketLink(http, head, limits=Limits(), ping_interval=math.inf, now=100.0)
    link.receive_data(server.data_to_send(), 100.0)
    assert handshake_outcome(link) is not None
    made = TTSConversation(Config(), half, link)
    for id, stall_timeout in (("stays", math.inf), ("stalls", 1.0 if stalled else math.inf)):
        context = made.open(READER, **SETTINGS, context_id=id, stall_timeout=stall_timeout)
        assert json.loads(context.push("text", 100.0))["context_id"] == id
    made.handle_deadline(102.0)
    return made


READER = SETTINGS["output_format"]  # anything that lives on


def test_the_only_line() -> None:
    """It is everybody's, until a context was to be opened on a conversation that takes none."""
    only = Multiplexer()
    lines = Lines(only, Multiplexer)
    line = lines.current()
    assert line.multiplexer is only
    assert not line.retired
    good, bad = conversation(stalled=False), conversation(stalled=True)
    assert lines.takes(line, good)
    assert lines.current() is line
    assert not lines.takes(line, bad)
    assert line.retired
    assert lines.last is only


def test_another_line() -> None:
    """New contexts have it; the first is forgotten once its contexts have ended, and the next is needed."""
    made = [Multiplexer(), Multiplexer()]
    rest = iter(made)
    lines, first = Lines(Multiplexer(), lambda: next(rest)), conversation(stalled=True)
    earlier = lines.current()
    lines.takes(earlier, first)
    second = lines.current()
    assert second.multiplexer is made[0]
    assert lines.current() is second
    assert lines.last is made[0]
    first.close(103.0)
    assert not earlier.retired
    lines.takes(second, conversation(stalled=True))
    assert lines.current().multiplexer is made[1]
    assert lines.close() == [made[1], made[0]]


def test_where_there_is_no_other() -> None:
    """Contexts are opened on what there is; so once all are closed, too."""
    only, bad = Multiplexer(), conversation(stalled=True)
    for lines in (Lines(only, None), Lines(only, Multiplexer)):
        if lines.current().conversation is None:
            lines.close()
        assert lines.takes(lines.current(), bad)
        assert lines.current().multiplexer is only


def test_several_steps() -> None:
    """One after another, as one coroutine, which comes to what the generator does."""
    seen: list[str] = []

    async def step(name: str) -> str:
        seen.append(name)
        return name

    def steps() -> Generator[Any, Any, str]:
        first = yield from step("a").__await__()
        return first + (yield from step("b").__await__())

    coroutine = in_steps(Multiplexer(), steps)
    assert seen == []
    assert run(coroutine) == "ab"
    assert seen == ["a", "b"]


@pytest.mark.parametrize("broken", [set[int](), {0}, {1}, {0, 1, 2}])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_closing_all(count: int, broken: set[int]) -> None:
    """Each is closed; where one fails, that is told afterwards."""
    multiplexers = [Multiplexer(broken=number in broken) for number in range(count)]
    try:
        run(close_all(multiplexers))
    except ConnectionLost:
        assert broken & set(range(count))
    else:
        assert not broken & set(range(count))
    assert all(multiplexer.closed for multiplexer in multiplexers)
