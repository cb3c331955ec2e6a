"""Bytes of a WebSocket that have not left: all at once, or a little at a time."""

from cartesia_proto.config import Limits
from cartesia_proto.conversation import handshake_outcome
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.outbox import LITTLE, Outbox
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.websocket import ClientWebSocketLink, ServerWebSocketLink


def opened() -> ClientWebSocketLink:
    """An open link, at 100 seconds."""
    link = ClientWebSocketLink(Request("GET", "http://api.test/", Headers()), timeout=10.0, limits=Limits(), now=100.0)
    http = ServerLink(10.0, Limits())
    http.receive_data(link.data_to_send(), 100.0)
    head = http.next_event()
    assert isinstance(head, RequestHead)
    server = ServerWebSocketLink(http, head, limits=Limits(), now=100.0)
    link.receive_data(server.data_to_send(), 100.0)
    assert isinstance(handshake_outcome(link), Response)
    link.data_sent(100.0)
    return link


def queue(link: ClientWebSocketLink, count: int) -> None:
    """Queue a message of so many bytes."""
    link.send_text("a" * count)


def test_everything() -> None:
    """What was taken comes first, then all else; then there is nothing."""
    link, outbox = opened(), Outbox()
    assert not outbox.has_more(link)
    queue(link, 2 * LITTLE)
    queue(link, 10)
    first = outbox.a_little(link)
    assert len(first) == LITTLE
    assert outbox.has_more(link)
    assert not link.has_data_to_send
    queue(link, 10)
    rest = outbox.everything(link)
    assert LITTLE < len(rest) < LITTLE + 100
    queue(link, LITTLE)
    first, last = outbox.a_little(link), outbox.a_little(link)
    assert len(first) == LITTLE > len(last) > 0
    assert not outbox.has_more(link)
    assert outbox.everything(link) == outbox.a_little(link) == b""


def test_what_is_left_has_its_time() -> None:
    """Nothing left needs none; once all has left, there is none either."""
    link, outbox = opened(), Outbox()
    idle = link.deadline()
    assert idle is not None
    outbox.wait(link, 101.0, moved=False)
    assert link.deadline() == idle
    queue(link, 2 * LITTLE)
    outbox.a_little(link)
    outbox.wait(link, 101.0, moved=False)
    outbox.wait(link, 102.0, moved=False)
    assert link.deadline() == 101.0
    outbox.wait(link, 103.0, moved=True)
    outbox.sent(link, 100.0)
    assert link.deadline() == 103.0
    outbox.everything(link)
    outbox.sent(link, 100.0)
    assert link.deadline() == idle


def test_the_end() -> None:
    """It is over once the link is closed and what was taken has left, or cannot."""
    link, outbox = opened(), Outbox()
    queue(link, 2 * LITTLE)
    outbox.a_little(link)
    assert not outbox.over(link)
    link.receive_eof(101.0)
    assert not outbox.over(link)
    outbox.discard()
    assert outbox.over(link)
