"""The connections of one blocking WebSocket: who makes them, who is told, and what a cancel or a close ends."""

import sys
from collections.abc import Callable
from contextlib import suppress
from random import Random
from types import FrameType
from typing import Final, TypeVar

import pytest

from cartesia_proto import contexts
from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.events import FlushDone
from cartesia_proto.codecs.json import dumps
from cartesia_proto.config import Config, Limits
from cartesia_proto.contexts import Alone
from cartesia_proto.conversation import TTSConversation, handshake_outcome
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import ConnectError, ConnectionLost, LocalProtocolError
from cartesia_proto.flow import Attempt, Failure, Outcome
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.multiplexer import MOST_READS, Multiplexer
from cartesia_proto.sessions.context import TTSContext
from cartesia_proto.sessions.events import ContextEnded, Failed
from cartesia_proto.sessions.settings import ContextSettings
from cartesia_proto.testing import half
from cartesia_proto.traffic import Traffic
from cartesia_proto.waiters import NO_CONTEXT, NO_WAITING, Waiters, Waiting
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.websocket import ClientWebSocketLink, ServerWebSocketLink

T = TypeVar("T")

SETTINGS: Final[ContextSettings] = {
    "model_id": "sonic-3",
    "voice": "v",
    "output_format": RawFormat("pcm_s16le", 8000),
    "context_id": "a",
}
HASTY: Final[ContextSettings] = {**SETTINGS, "context_id": "hasty", "stall_timeout": 1e-9}

CONFIG: Final = Config(credentials=ApiKey("k"), max_retries=0, timeout=7.0)
CHUNK: Final = FlushDone(1, "a")


class Bell:
    """A lock that is never waited for."""

    def __init__(self) -> None:
        self._locked = False

    def acquire(self) -> None:
        """Lock it."""
        assert not self._locked, "this would wait"
        self._locked = True

    def release(self) -> None:
        """Unlock it."""
        self._locked = False

    def locked(self) -> bool:
        """Whether it is locked."""
        return self._locked


class HeldError(Exception):
    """The work is to be done step by step."""


class Turns:
    """One thread after another.

    Attributes:
        interrupted: turns are refused, and actions left, until it is false again.
        holding: work is kept, for the test to take its steps.
        held: the last that was.
        mend: what makes an interrupted turn good.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self.holding = False
        self.held: list[Waiting[object]] = []
        self.left: list[Callable[[], object]] = []
        self.mend: Callable[[], None]

    def __call__(self, mend: Callable[[], None]) -> "Turns":
        """Themselves, from now on those of one multiplexer."""
        self.mend = mend
        return self

    def run(self, work: Waiting[T]) -> T:
        """Run it to its end."""
        if self.interrupted:
            raise LocalProtocolError(NO_WAITING)
        if self.holding:
            self.held.append(work)
            raise HeldError
        try:
            while True:
                next(work)()
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            work.close()

    def soon(self, action: Callable[[], object]) -> None:
        """Do it, or leave it."""
        if self.interrupted:
            self.left.append(action)
        else:
            action()


class Pump:
    """A connection whose other end is here.

    Attributes:
        server: the other end.
        reads: how often it was read.
        flood: it is always readable.
    """

    def __init__(self, waiters: Waiters) -> None:
        link = ClientWebSocketLink(
            Request("GET", "http://api.test/", Headers()), timeout=10.0, limits=Limits(), now=0.0
        )
        http = ServerLink(10.0, Limits())
        http.receive_data(link.data_to_send(), 0.0)
        head = http.next_event()
        assert isinstance(head, RequestHead)
        http.next_event()
        self.server = ServerWebSocketLink(http, head, limits=Limits(), now=0.0)
        link.receive_data(self.server.data_to_send(), 0.0)
        assert isinstance(handshake_outcome(link), Response)
        conversation = TTSConversation(Config(credentials=ApiKey("k")), Random(1).random, link)
        self.traffic: Traffic = Traffic(conversation, waiters, 5.0, 0.0)
        self.reads = 0
        self.flood = False

    def read(self) -> bool:
        """Read what the server has to say, at once."""
        self.reads += 1
        data = self.server.data_to_send()
        if data:
            self.traffic.conversation.link.receive_space()[: len(data)] = data
            self.traffic.received(len(data), 1.0)
        return bool(data) or self.flood

    def flush(self) -> int:
        """Let the server hear everything."""
        target = self.traffic.queue(1.0)
        self.server.receive_data(bytes(self.traffic.unsent), 1.0)
        while self.server.next_event() is not None:
            pass
        self.traffic.sent(len(self.traffic.unsent), 1.0)
        return target

    def wait(self, get: Callable[[], T | None], id: str = NO_CONTEXT) -> Waiting[T]:
        """Read until there is something."""
        return self.traffic.waiters.wait(get, id, self._lead, lambda: None)

    def _lead(self) -> Waiting[None]:
        if not self.read():
            yield lambda: pytest.fail("nothing will ever come")


class Dial:
    """A try that comes to what the test says.

    Attributes:
        meanwhile: what others do while it waits.
    """

    def __init__(self, comes_to: "Pump | ConnectError", meanwhile: Callable[[], object]) -> None:
        self.pump: Pump | None = None
        self.outcome: Outcome
        self.given_up = False
        self._comes_to = comes_to
        self._meanwhile = meanwhile

    def attempt(self, attempt: Attempt) -> None:
        """Come to it."""
        assert (attempt.how, attempt.delay) == ("upgrade", 0.0)
        self._meanwhile()
        match self._comes_to:
            case Pump():
                self.pump = self._comes_to
                self.outcome = Response(101)
            case error:
                self.outcome = Failure(error)

    def interrupt(self) -> None:
        """It comes to nothing then."""
        self.given_up = True


class Stage:
    """A multiplexer and what is around it.

    Attributes:
        plans: what the next tries come to.
        meanwhile: what others do during the next try.
        dials: all tries so far.
        thread: the number of the calling thread.
    """

    def __init__(self, *plans: "Pump | ConnectError | None") -> None:
        self.thread = 1
        self.turns = Turns()
        self.plans = [Pump(self.waiters()) if plan is None else plan for plan in plans]
        self.meanwhile: Callable[[], object] = lambda: None
        self.dials: list[Dial] = []
        self.multiplexer = Multiplexer(CONFIG, half, self.turns, self.waiters, self._dial, lambda: 1.0)
        self.context: TTSContext | None = None

    def waiters(self) -> Waiters:
        """Nobody yet."""
        return Waiters(lambda: self.thread, Bell)

    def _dial(self, multiplexer: Multiplexer) -> Dial:
        assert multiplexer is self.multiplexer
        self.dials.append(Dial(self.plans.pop(0), self._do))
        return self.dials[-1]

    def _do(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()

    def pump(self) -> Pump:
        """Of the last try."""
        pump = self.dials[-1].pump
        assert pump is not None
        return pump

    def held(self, work: Callable[[], object]) -> Waiting[object]:
        """What another thread does, to be done step by step."""
        self.thread += 1
        self.turns.holding = True
        with pytest.raises(HeldError):
            work()
        self.turns.holding = False
        return self.turns.held.pop()

    def open(self, conversation: TTSConversation, now: float) -> None:
        """Open a context and say something on it."""
        self.context = conversation.open(self, **SETTINGS)
        conversation.push(self.context, "text", now)

    def say(self) -> None:
        """Say something for a context that is on no conversation yet."""
        self.multiplexer.say("a", lambda: None, self.open, lambda: None)


def cancelled() -> TTSConversation:
    """What is ready for a context that was cancelled."""
    raise ContextEnded("cancelled", Failed("a", ConnectionLost("never made")))


def test_the_books_of_a_connection() -> None:
    """With the client's timeout, the WebSocket's own limit, and nobody who waits."""
    stage = Stage(None)
    pump = stage.plans[0]
    assert isinstance(pump, Pump)
    conversation = TTSConversation(CONFIG, half, pump.traffic.conversation.link, 5)
    traffic = stage.multiplexer.begin(conversation)
    traffic.conversation.open(stage, **SETTINGS)
    traffic.conversation.link.send_text("text")
    traffic.queue(1.0)
    assert traffic.due() == 1.0 + CONFIG.timeout
    assert traffic.conversation is conversation


def test_connecting_once() -> None:
    """As long as it stands there is one connection; the next is made after its end, and the old one let go."""
    stage = Stage(None, None)
    stage.multiplexer.connect()
    stage.multiplexer.connect()
    first = stage.pump()
    first.server.close(1000, "idle", 1.0)
    stage.multiplexer.connect()
    assert len(stage.dials) == 2
    assert first.traffic.over


def test_what_is_readable_is_read_before_a_context_is_opened() -> None:
    """Also where a context is open that nobody reads; no more than a socket can hold; and not where one goes on."""
    stage = Stage(None, None)
    stage.say()
    first = stage.pump()
    first.server.send_text(dumps({"type": "done", "context_id": "a", "done": True}).decode())
    first.server.close(1000, "idle", 1.0)
    stage.say()
    second = stage.pump()
    assert second is not first
    second.flood, second.reads = True, 0
    stage.multiplexer.connect()
    assert second.reads == MOST_READS
    context, conversation = stage.context, second.traffic.conversation
    assert context is not None
    stage.multiplexer.say("a", lambda: conversation, lambda same, now: same.push(context, "more", now), lambda: None)
    assert second.reads == MOST_READS


def test_what_is_said_is_checked_once_it_is_written() -> None:
    """In the same turn."""
    stage = Stage(None)
    checked: list[bool] = []
    stage.multiplexer.say("a", lambda: None, stage.open, lambda: checked.append(not stage.pump().traffic.unsent))
    assert checked == [True]


def test_taking() -> None:
    """The first step comes before; without a connection there may be something too, and is: it is not waited for."""
    stage = Stage(None)
    assert stage.multiplexer.next("a", lambda: False, Alone("a"), None) is False
    with pytest.raises(AssertionError, match="never was a connection"):
        stage.multiplexer.next("a", lambda: None, Alone("a"), None)
    assert stage.multiplexer.next("a", lambda: [CHUNK], Alone("a"), stage.say) == [CHUNK]
    assert len(stage.dials) == 1
    stage.pump().server.ping(b"?")
    reads = stage.pump().reads
    taken = stage.multiplexer.next("a", lambda: [CHUNK] if stage.pump().reads > reads else None, Alone("a"), None)
    assert taken == [CHUNK]


@pytest.mark.parametrize("place", range(4))
def test_an_interruption_while_something_is_taken(place: int) -> None:
    """Wherever it strikes, where a function begins, as it does in CPython: others may read afterwards."""
    stage, alone, places = Stage(None), Alone("a"), 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal places
        if frame.f_code.co_filename in (contexts.__file__, __file__) and event == "call":
            places += 1
            if places > place:
                raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        with suppress(KeyboardInterrupt):
            stage.multiplexer.next("a", lambda: [CHUNK], alone, None)
    finally:
        sys.setprofile(before)
    assert places > 0
    assert not alone.taken


def test_running_until_the_end() -> None:
    """Whoever runs reads, whatever the server says."""
    stage = Stage(None)
    running = stage.held(stage.multiplexer.run)
    next(running)()
    stage.pump().server.ping(b"?")
    next(running)
    stage.pump().server.close(1000, "", 1.0)
    with pytest.raises(StopIteration):
        next(running)
    assert stage.pump().traffic.over


def test_a_failure_is_everybody_s() -> None:
    """Of those who waited; each has its own copy, and the system's words for it. The next one tries again."""
    failure = ConnectError("refused")
    failure.__cause__ = OSError("refused")
    stage = Stage(failure, None)
    first, second = stage.held(stage.multiplexer.connect), stage.held(stage.multiplexer.connect)
    stage.thread = 2
    dialling = next(first)
    stage.thread = 3
    next(second)
    dialling()
    for steps in (first, second):
        with pytest.raises(ConnectError, match="refused") as caught:
            next(steps)
        assert caught.value is not failure
        assert caught.value.__cause__ is failure.__cause__
    stage.multiplexer.connect()


def test_a_server_that_says_goodbye_at_once() -> None:
    """Everybody who waited is told; nobody tries for ever."""
    stage = Stage(None)
    pump = stage.plans[0]
    assert isinstance(pump, Pump)
    pump.server.close(1008, "no", 1.0)
    with pytest.raises(ConnectionLost, match="no"):
        stage.multiplexer.connect()


@pytest.mark.parametrize("connected", [False, True])
def test_a_cancel_while_dialling(connected: bool) -> None:
    """Whoever dials stops; its connection is let go, if there is one already; the next one who waits dials anew."""
    made = Pump(Waiters(lambda: 0, Bell))
    stage = Stage(made if connected else ConnectError("interrupted"), None)
    gone: list[bool] = []

    def ready() -> TTSConversation | None:
        return cancelled() if gone else None

    def cancel(now: float) -> set[str]:
        assert now == 1.0
        gone.append(True)
        return {"a"}

    dialler = stage.held(lambda: stage.multiplexer.say("a", ready, stage.open, lambda: None))
    waiter = stage.held(stage.multiplexer.connect)
    stage.thread = 2
    dialling = next(dialler)
    stage.thread = 3
    next(waiter)
    stage.multiplexer.change(lambda _: {"b"})
    assert not stage.dials[0].given_up
    stage.multiplexer.change(cancel)
    assert stage.dials[0].given_up
    dialling()
    with pytest.raises(ContextEnded):
        next(dialler)
    assert made.traffic.over == connected
    next(waiter)()
    with pytest.raises(StopIteration):
        next(waiter)
    assert len(stage.dials) == 2
    assert not stage.pump().traffic.over


def test_a_cancel_while_somebody_else_dials() -> None:
    """Whoever waits for it stops; who dials goes on."""
    stage = Stage(None)
    gone: list[bool] = []
    dialler = stage.held(stage.multiplexer.connect)
    waiter = stage.held(
        lambda: stage.multiplexer.say("a", lambda: cancelled() if gone else None, stage.open, lambda: None)
    )
    stage.thread = 2
    dialling = next(dialler)
    stage.thread = 3
    follow = next(waiter)
    with pytest.raises(AssertionError, match="this would wait"):
        follow()
    gone.append(True)
    stage.multiplexer.change(lambda _: {"a"})
    follow()
    with pytest.raises(ContextEnded):
        next(waiter)
    assert not stage.dials[0].given_up
    dialling()
    with pytest.raises(StopIteration):
        next(dialler)


def test_an_exception_while_dialling() -> None:
    """What came of it is kept for others, if anything did."""
    stage = Stage(None)
    dialler = stage.held(stage.multiplexer.connect)
    next(dialler)()
    dialler.close()
    stage.multiplexer.connect()
    assert len(stage.dials) == 1


def test_changes_on_a_connection() -> None:
    """They are sent, and whoever reads is woken."""
    stage = Stage(None)
    stage.say()
    context, pump = stage.context, stage.pump()
    assert context is not None
    reading = stage.held(lambda: stage.multiplexer.next("a", lambda: None, Alone("a"), None))
    next(reading)
    stage.multiplexer.change(lambda now: pump.traffic.conversation.cancel(context, now))
    assert not pump.traffic.unsent
    reading.close()


def test_closing() -> None:
    """Contexts end, the goodbye is said and waited for; then there are no connections any more."""
    stage = Stage(None)
    stage.say()
    stage.multiplexer.close()
    stage.multiplexer.interrupt()
    assert stage.pump().traffic.over
    assert stage.context is not None
    assert isinstance(stage.context.terminal, Failed)
    with pytest.raises(LocalProtocolError, match="the WebSocket is closed"):
        stage.multiplexer.connect()


def test_closing_while_dialling() -> None:
    """It is given up; and without a connection there is nothing to wait for."""
    stage = Stage(ConnectError("interrupted"))
    stage.meanwhile = stage.multiplexer.close
    with pytest.raises(LocalProtocolError, match="the WebSocket is closed"):
        stage.multiplexer.connect()
    assert stage.dials[0].given_up


def test_closing_in_the_middle_of_a_turn() -> None:
    """All that can be done is left for the end of the turn."""
    stage = Stage(None)
    stage.say()
    stage.turns.interrupted = True
    stage.multiplexer.close()
    assert not stage.pump().traffic.conversation.over
    stage.turns.interrupted = False
    for action in stage.turns.left:
        action()
    assert stage.pump().traffic.over


def test_a_connection_on_which_something_stalled() -> None:
    """It takes no new context, though that was noticed only now; its own go on there, and each is read where it is."""
    stage = Stage(None, None)
    stage.say()
    lasting, first = stage.context, stage.pump()
    assert lasting is not None
    conversation = first.traffic.conversation
    hasty = conversation.open(stage, **HASTY)
    conversation.push(hasty, "text", 0.0)
    stage.say()
    second = stage.pump()
    assert second is not first
    assert isinstance(hasty.terminal, Failed)
    assert conversation.retired
    stage.multiplexer.connect()
    assert len(stage.dials) == 2
    alone, said = Alone(lasting.id), list[TTSConversation]()
    alone.conversation = conversation
    reads = (first.reads, second.reads)
    first.server.send_text('{"type": "later", "context_id": "a"}')
    taken = stage.multiplexer.next(lasting.id, lambda: [CHUNK] if first.reads > reads[0] else None, alone, None)
    assert taken == [CHUNK]
    assert second.reads == reads[1]
    stage.multiplexer.say(lasting.id, lambda: conversation, lambda where, _: said.append(where), lambda: None)
    assert said == [conversation]
    stage.multiplexer.change(lambda now: conversation.cancel(lasting, now))
    assert first.traffic.over
    assert not second.traffic.over


def test_closing_several_connections() -> None:
    """Each says goodbye; one that is over is forgotten when the next is made."""
    stage = Stage(None, None, None, None)
    for _ in range(3):
        stage.say()
        conversation = stage.pump().traffic.conversation
        hasty = conversation.open(stage, **HASTY)
        conversation.push(hasty, "text", 0.0)
    stage.dials[0].pump.traffic.conversation.close(1.0)  # type: ignore[union-attr]  # each came to one
    stage.say()
    stage.multiplexer.close()
    assert [dial.pump is not None and dial.pump.traffic.over for dial in stage.dials] == [True] * 4


def test_after_an_interruption_in_a_turn() -> None:
    """The connection is given up, whatever state it is in; those who wait on it are told, the next makes another."""
    stage = Stage(None, None)
    stage.turns.mend()  # nothing was made yet
    stage.say()
    first, context = stage.pump(), stage.context
    assert context is not None
    reading = stage.held(
        lambda: stage.multiplexer.next("a", lambda: [CHUNK] if context.terminal else None, Alone("a"), None)
    )
    next(reading)
    first.traffic.unsent += b"half of a fra"
    stage.turns.mend()
    assert first.traffic.over
    assert first.traffic.unsent == b""
    assert isinstance(context.terminal, Failed)
    with pytest.raises(StopIteration):
        next(reading)
    stage.turns.mend()
    stage.multiplexer.connect()
    assert stage.pump() is not first


def test_an_interruption_before_a_connection_was_taken_over() -> None:
    """It is let go too; who waits for a connection looks anew, even whoever was called and perhaps not woken."""
    stage = Stage(None, None)
    lost = stage.plans[0]
    assert isinstance(lost, Pump)
    dialler, waiter = stage.held(stage.multiplexer.connect), stage.held(stage.multiplexer.connect)
    stage.thread = 2
    next(dialler)()
    stage.thread = 3
    follow = next(waiter)
    stage.turns.mend()
    assert lost.traffic.over
    follow()  # nothing to wait for
    again = next(dialler)
    assert len(stage.dials) == 1
    next(waiter)()
    with pytest.raises(StopIteration):
        next(waiter)
    again()
    with pytest.raises(StopIteration):
        next(dialler)
    assert len(stage.dials) == 2


def test_begun_anew_in_a_child_process() -> None:
    """Nobody waits for those who dialled or waited in the parent; what was lost with it is made anew."""
    stage = Stage(None, None)
    waiting = stage.held(stage.multiplexer.connect)
    next(waiting)  # it leads, and dials
    stage.multiplexer.begin_anew()
    stage.multiplexer.connect()
    assert len(stage.dials) == 2
    stage.pump().traffic.disown(1.0)
    stage.plans.append(Pump(stage.waiters()))
    stage.multiplexer.connect()
    assert len(stage.dials) == 3
    waiting.close()
