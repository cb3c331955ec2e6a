"""The books of one connection: bytes that leave late, times that run out, threads that are called."""

import math
from random import Random

import pytest

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.json import dumps
from cartesia_proto.config import Config, Limits
from cartesia_proto.conversation import CLOSING_SECONDS, TTSConversation, handshake_outcome
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.sessions.context import TTSContext
from cartesia_proto.sessions.events import Failed
from cartesia_proto.sessions.settings import ContextSettings
from cartesia_proto.traffic import Traffic
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.websocket import ClientWebSocketLink, ServerWebSocketLink

SETTINGS: ContextSettings = {"model_id": "sonic-3", "voice": "v", "output_format": RawFormat("pcm_s16le", 8000)}
PING_INTERVAL = 20.0
TIMEOUT = 5.0


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
        self.traffic = Traffic(conversation, TIMEOUT, 100.0)

    def opened(self, id: str) -> TTSContext:
        """A context that has said something, which has not left."""
        settings: ContextSettings = {**SETTINGS, "context_id": id}
        context = self.traffic.conversation.open(**settings)
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
    traffic.join(7)
    traffic.join(8, "a")
    ends.send(10)
    assert traffic.to_call() == []
    ends.opened("b")
    second = traffic.queue(100.0)
    assert second > first
    ends.send(first - 10)
    assert (traffic.has_left(first), traffic.has_left(second)) == (True, False)
    assert traffic.to_call() == [7]
    ends.send()
    assert traffic.has_left(second)
    assert traffic.unsent == b""


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
    """Once, until they have had their turn; the end concerns everybody."""
    ends = Ends()
    traffic = ends.traffic
    for thread, id in enumerate(("a", "b", "c")):
        ends.opened(id)
        traffic.join(thread, id)
    traffic.join(3)
    ends.say("a", "c")
    assert traffic.to_call() == [0, 2]
    assert traffic.to_call() == []
    traffic.note({"a", "b"})
    assert traffic.to_call() == [1]
    traffic.had_turn(0)
    traffic.note({"a"})
    assert traffic.to_call() == [0]
    traffic.received(0, 101.0)
    assert traffic.conversation.over
    assert traffic.to_call() == [3]


def test_who_leads() -> None:
    """Nobody while another was called and has had no turn; whoever leaves calls one other, unless somebody leads."""
    traffic = Ends().traffic
    for thread in range(3):
        traffic.join(thread, str(thread))
    assert traffic.may_lead(0)
    traffic.note({"1"})
    assert traffic.to_call() == [1]
    assert not traffic.may_lead(0)
    assert traffic.may_lead(1)
    assert traffic.leave(2, led=False) == []
    traffic.had_turn(1)
    assert traffic.leave(1, led=False) == [0]
    assert traffic.may_lead(0)
    assert traffic.leave(0, led=False) == []
    traffic.join(4)
    traffic.join(5)
    assert traffic.leave(4, led=True) == []


def test_a_thread_waits_once() -> None:
    """Whatever interrupted its wait must not wait too."""
    traffic = Ends().traffic
    traffic.join(1)
    with pytest.raises(LocalProtocolError, match="it may cancel and close now"):
        traffic.join(1, "a")


def test_what_came_with_the_handshake() -> None:
    """It was read, and is told."""
    ends = Ends(early='{"type": "flush_done", "context_id": "unheard of"}')
    assert ends.traffic.conversation.session.dropped_frames == 1
