"""The books of one connection: bytes that leave late, times that run out, who is called."""

# Only the inside can be left as an interruption leaves it.
# pyright: reportPrivateUsage=false

import math
from random import Random

import pytest

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.json import dumps
from cartesia_proto.config import Config, Limits
from cartesia_proto.conversation import CLOSING_SECONDS, TTSConversation, handshake_outcome
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import CartesiaError
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.sessions.context import TTSContext
from cartesia_proto.sessions.events import ContextEvent, Failed
from cartesia_proto.sessions.settings import ContextSettings
from cartesia_proto.sessions.states import Input
from cartesia_proto.traffic import MOST_BYTES, READS, Arrivals, Traffic
from cartesia_proto.waiters import Waiters, Waiting
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.messages import TURN
from cartesia_proto.wire.websocket import ClientWebSocketLink, ServerWebSocketLink

SETTINGS: ContextSettings = {"model_id": "sonic-3", "voice": "v", "output_format": RawFormat("pcm_s16le", 8000)}
PING_INTERVAL = 20.0
TIMEOUT = 5.0


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


def never() -> Waiting[None]:
    """A leader's work: waiting."""
    while True:
        yield lambda: None


class Ends:
    """Both ends of a connection that was made at 100 seconds."""

    def __init__(self, early: str | None = None) -> None:
        limits = Limits()
        request = Request("GET", "http://api.test/", Headers())
        link = ClientWebSocketLink(request, timeout=10.0, limits=limits, now=100.0)
        http = ServerLink(10.0, limits)
        http.receive_data(link.data_to_send(), 100.0)
        head = http.next_event()
        assert isinstance(head, RequestHead)
        http.next_event()
        self.server = ServerWebSocketLink(http, head, limits=limits, now=100.0)
        if early is not None:
            self.server.send_text(early)
        link.receive_data(self.server.data_to_send(), 100.0)
        assert isinstance(handshake_outcome(link), Response)
        conversation = TTSConversation(Config(credentials=ApiKey("k")), Random(1).random, link)
        self.waiters = Waiters(lambda: len(self._bells), self._new_bell)
        self._bells: list[Bell] = []
        self._steps: dict[str, Waiting[None]] = {}
        self.traffic = Traffic(conversation, self.waiters, TIMEOUT, 100.0)
        self.join("the leader's own")

    def _new_bell(self) -> Bell:
        self._bells.append(Bell())
        return self._bells[-1]

    def join(self, id: str) -> None:
        """From now on somebody waits for this."""
        self._steps[id] = self.waiters.wait(lambda: None, id, never, lambda: None)
        next(self._steps[id])

    def called(self) -> list[str]:
        """Who was called; they have had their turn."""
        called = [id for id, bell in zip(self._steps, self._bells, strict=True) if not bell.locked()]
        for id in called:
            assert next(self._steps[id])() is None
        return called

    def opened(self, id: str) -> TTSContext:
        """A context that has said something, which has not left."""
        settings: ContextSettings = {**SETTINGS, "context_id": id}
        context = self.traffic.conversation.open(self, **settings)
        self.traffic.conversation.push(context, "text", 100.0)
        return context

    def say(self, *ids: str, now: float = 101.0) -> None:
        """Let the server say that contexts are done."""
        for id in ids:
            self.server.send_text(dumps({"type": "done", "context_id": id, "done": True}).decode())
        data = self.server.data_to_send()
        self.traffic.conversation.link.receive_space()[: len(data)] = data
        self.traffic.received(len(data), now)

    def send(self, count: int | None = None, now: float = 100.0) -> None:
        """Let bytes leave: all, or so many."""
        self.traffic.sent(len(self.traffic.unsent) if count is None else count, now)


def test_bytes_that_leave_bit_by_bit() -> None:
    """Whoever waits for its own bytes is called when some have left, and no sooner than somebody can wait."""
    ends = Ends()
    traffic = ends.traffic
    assert traffic.queue(100.0) == 0
    assert traffic.due() == 100.0 + PING_INTERVAL
    ends.opened("a")
    first = traffic.queue(100.0)
    assert first == len(traffic.unsent) > 0
    ends.join("")
    ends.join("a")
    ends.send(10)
    assert ends.called() == []
    ends.opened("b")
    second = traffic.queue(100.0)
    assert second > first
    ends.send(first - 10)
    assert (traffic.has_left(first), traffic.has_left(second)) == (True, False)
    assert ends.called() == [""]
    ends.send()
    assert traffic.has_left(second)
    assert traffic.unsent == b""


def test_a_pong_that_was_left_behind() -> None:
    """While bytes are stuck it waits in the link; once they have left, it leaves without anybody's help."""
    ends = Ends()
    traffic = ends.traffic
    ends.opened("a")
    traffic.queue(100.0)
    stuck = len(traffic.unsent)
    ends.server.ping()
    ends.say()
    traffic.queue(101.0)
    assert len(traffic.unsent) == stuck
    ends.send(stuck, 102.0)
    assert traffic.unsent[:2] == b"\x8a\x80"
    assert traffic.due() == 102.0 + TIMEOUT
    ends.send(None, 102.0)
    assert traffic.due() == 101.0 + PING_INTERVAL


def test_turns() -> None:
    """Whoever reads lets others have their turn after so many reads, or while what was read is too much for one."""
    ends = Ends()
    traffic = ends.traffic
    for _ in range(3):
        for _ in range(READS):
            assert not traffic.turn_is_long()
            assert not traffic.go_on(100.0)
        assert traffic.turn_is_long()
    flood = b"\x8a\x00" * 1000
    traffic.conversation.link.receive_space()[: len(flood)] = flood
    traffic.received(len(flood), 100.0)
    turns = 0
    while traffic.turn_is_long():
        assert traffic.go_on(100.0)
        turns += 1
    assert turns == 1000 // TURN
    assert not traffic.go_on(100.0)


def test_what_is_due_though_more_arrives() -> None:
    """What was said in time may still be among it, up to so much; the time for a goodbye waits for nothing."""
    ends = Ends()
    traffic = ends.traffic
    ends.opened("a")
    traffic.queue(100.0)
    traffic.handle_overdue(100.0 + TIMEOUT - 1.0)
    for _ in range(MOST_BYTES // 16_000):
        traffic.conversation.link.receive_space()[:16_000] = b"\x82\x7e\x3e\x7c" + bytes(15_996)
        traffic.received(16_000, 100.0)
        traffic.handle_overdue(100.0 + TIMEOUT)
    assert not traffic.over
    traffic.conversation.link.receive_space()[:16_000] = b"\x82\x7e\x3e\x7c" + bytes(15_996)
    traffic.received(16_000, 100.0)
    traffic.handle_overdue(100.0 + TIMEOUT)
    assert traffic.over
    ends = Ends()
    ends.traffic.close(100.0)
    ends.traffic.handle_overdue(100.0 + CLOSING_SECONDS)
    assert ends.traffic.over


def test_writes_have_a_timeout_for_each_step() -> None:
    """It counts from when bytes were queued, and anew from when some have left; then the connection is lost."""
    ends = Ends()
    traffic, context = ends.traffic, ends.opened("a")
    traffic.queue(100.0)
    traffic.queue(101.0)
    assert traffic.due() == 100.0 + TIMEOUT
    ends.send(1, 104.0)
    assert traffic.due() == 104.0 + TIMEOUT
    traffic.handle_due(104.0 + TIMEOUT)
    assert traffic.over
    assert traffic.has_left(1_000_000)
    assert traffic.unsent == b""
    assert isinstance(context.terminal, Failed)
    assert "could not be sent" in str(context.terminal.error)
    assert traffic.due() == math.inf


def test_keep_alive_is_due_too() -> None:
    """What the link and the session want is not forgotten."""
    ends = Ends()
    traffic = ends.traffic
    traffic.handle_due(100.0 + PING_INTERVAL)
    assert not traffic.over
    assert traffic.queue(120.0) > 0
    ends.send(now=121.0)
    assert traffic.due() == 121.0 + 20.0


def test_the_goodbye_is_waited_for_once() -> None:
    """For as long as is usual, however often it is said; a goodbye that is answered ends the wait."""
    ends = Ends()
    traffic, context = ends.traffic, ends.opened("a")
    traffic.close(100.0)
    traffic.close(102.0)
    assert isinstance(context.terminal, Failed)
    traffic.queue(102.0)
    ends.server.receive_data(traffic.unsent, 102.0)
    ends.send(now=102.0)
    assert traffic.due() == 100.0 + CLOSING_SECONDS
    assert not traffic.over
    ends.say()
    assert traffic.over


def test_a_goodbye_that_nobody_answers() -> None:
    """The connection is given up."""
    traffic = Ends().traffic
    traffic.close(100.0)
    traffic.handle_due(100.0 + CLOSING_SECONDS)
    assert traffic.over


def test_only_those_concerned_are_called() -> None:
    """Those who wait for a context there is news of; the end concerns everybody."""
    ends = Ends()
    for id in ("a", "b", "c"):
        ends.opened(id)
        ends.join(id)
    ends.join("")
    ends.say("a", "c")
    assert ends.called() == ["a", "c"]
    ends.traffic.note({"b", "nobody's"})
    assert ends.called() == ["b"]
    ends.traffic.received(0, 101.0)
    assert ends.traffic.conversation.over
    assert ends.called() == ["a", "b", "c", ""]


def test_what_came_with_the_handshake() -> None:
    """It was read, and is told."""
    ends = Ends(early='{"type": "flush_done", "context_id": "unheard of"}')
    assert ends.traffic.conversation.session.dropped_frames == 1


def test_torn() -> None:
    """Not a byte more leaves; every context ends, even if the session was cut short in telling them; all are woken."""
    ends = Ends()
    contexts = [ends.opened(id) for id in ("a", "b")]
    ends.join("b")
    ends.traffic.queue(100.0)
    fail_all = ends.traffic.conversation.session._fail_all

    def cut_short(input: Input, error: CartesiaError, now: float) -> list[ContextEvent]:
        contexts[0].fail(input, error, now)
        raise KeyboardInterrupt

    ends.traffic.conversation.session._fail_all = cut_short  # type: ignore[method-assign] # where a signal may strike
    with pytest.raises(KeyboardInterrupt):
        ends.traffic.received(0, 101.0)
    ends.traffic.conversation.session._fail_all = fail_all  # type: ignore[method-assign] # as above
    for _ in range(2):
        ends.traffic.tear(102.0)
        assert ends.traffic.over
        assert ends.traffic.queue(102.0) > 0
        assert ends.traffic.unsent == b""
    assert all(isinstance(context.terminal, Failed) for context in contexts)
    assert ends.called() == ["b"]


def test_disowned_in_a_child_process() -> None:
    """Nothing leaves and nothing is due any more; nobody is called, for nobody of those who waited is there."""
    ends = Ends()
    context = ends.opened("a")
    ends.join("a")
    ends.traffic.queue(100.0)
    ends.traffic.disown(101.0)
    assert ends.traffic.over
    assert ends.traffic.unsent == b""
    assert ends.traffic.due() == math.inf
    assert isinstance(context.terminal, Failed)
    assert ends.called() == []


def test_arrivals_at_a_conversation() -> None:
    """It is told of bytes and of the end; what is due is done once nothing more can be read that prevents it."""
    ends, arrivals, more = Ends(), Arrivals(), [True]
    conversation = ends.traffic.conversation

    def arrive(id: str, now: float) -> set[str]:
        ends.server.send_text(dumps({"type": "done", "context_id": id, "done": True}).decode())
        data = ends.server.data_to_send()
        conversation.link.receive_space()[: len(data)] = data
        return arrivals.received(conversation, len(data), lambda: now, lambda: more[0])

    for id in "abc":
        settings: ContextSettings = {**SETTINGS, "context_id": id, "stall_timeout": 5.0 if id == "c" else math.inf}
        conversation.push(conversation.open(ends, **settings), "text", 100.0)
    assert arrive("a", 101.0) == {"a"}
    assert arrivals.total > 0
    assert arrive("b", 110.0) == {"b"}
    more.clear()
    more.append(False)
    assert arrive("d", 110.0) == {"c"}
    assert arrivals.received(conversation, 0, lambda: 111.0, lambda: True) == set()
    assert conversation.over


def test_arrivals() -> None:
    """Something is overdue once its time has come, and nothing can save it once very much has arrived since."""
    arrivals = Arrivals()
    arrivals.total = MOST_BYTES
    assert arrivals.endless
    for due in (None, 100.5):
        assert not arrivals.overdue(due, 100.0)
        assert not arrivals.endless
    arrivals.total += MOST_BYTES - 1
    assert arrivals.overdue(100.5, 100.5)
    assert not arrivals.endless
    arrivals.total += 1
    assert arrivals.endless
