"""An open WebSocket: sending, keep-alive, and every way of ending. Seen through the client mostly."""

import math
import pickle
from weakref import ref

import pytest

from cartesia_proto.config import Limits
from cartesia_proto.errors import ConnectionLost, LocalProtocolError, RemoteProtocolError, TimeoutError
from cartesia_proto.http import Headers, Request
from cartesia_proto.wire.frames import BinaryMessage, Place, TextMessage
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.messages import Message, none_in_place
from cartesia_proto.wire.websocket import Accepted, ClientWebSocketLink, Rejected, ServerWebSocketLink
from cartesia_proto.wire.websocket_link import CLOSE_TIMEOUT, Closed

REQUEST = Request("GET", "http://api.test/ws", Headers([("Authorization", "Bearer canary")]))
CLOSE = b"\x88\x02\x03\xe8"  # a server's, with code 1000


def opened(
    *, ping_interval: float = 20.0, ping_timeout: float = 15.0, limits: Limits = Limits(), deflate: bool = False
) -> tuple[ClientWebSocketLink, ServerWebSocketLink]:
    """Both ends of a connection that was opened at 100 seconds."""
    client = ClientWebSocketLink(
        REQUEST,
        timeout=10.0,
        limits=limits,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        deflate=deflate,
        now=100.0,
    )
    http = ServerLink(10.0, Limits())
    http.receive_data(client.data_to_send(), 100.0)
    head = http.next_event()
    assert isinstance(head, RequestHead)
    server = ServerWebSocketLink(http, head, limits=limits, deflate=deflate, now=100.0)
    client.receive_data(server.data_to_send(), 100.0)
    assert isinstance(client.next_event(), Accepted)
    return client, server


def client_events(link: ClientWebSocketLink) -> list[Accepted | Rejected | Message | Closed]:
    """Everything the client's link has to say."""
    return list(iter(link.next_event, None))


def heard_by(server: ServerWebSocketLink, client: ClientWebSocketLink) -> list[Message | Closed]:
    """What the server hears when the client's bytes reach it."""
    server.receive_data(client.data_to_send(), 101.0)
    return list(iter(server.next_event, None))


def closed(link: ClientWebSocketLink) -> Closed:
    """The last event of the link; from then on it neither says nor wants anything, whatever happens."""
    last = client_events(link)[-1]
    assert isinstance(last, Closed)
    assert link.state == "closed"
    link.data_to_send()
    link.receive_data(b"\x81\x01x" + CLOSE, 900.0)
    link.receive_eof(900.0)
    link.send_failed()
    link.data_sent(900.0)
    assert link.deadline() is None
    link.handle_deadline(9000.0)
    assert len(link.receive_space()) > 0
    assert (client_events(link), link.data_to_send()) == ([], b"")
    assert last.clean == (last.error is None)
    assert pickle.loads(pickle.dumps(last)).code == last.code
    return last


@pytest.mark.parametrize("deflate", [False, True])
def test_messages_both_ways(deflate: bool) -> None:
    """Text, text in fragments, bytes; in order."""
    client, server = opened(deflate=deflate)
    for link in (client, server):
        link.send_text("héllo")
        link.send_fragments("a", "", "bé")
        link.send_bytes(b"\x00\xff")
        link.send_text("x" * 70_000)
    whole = [
        TextMessage("héllo".encode()),
        TextMessage("abé".encode()),
        BinaryMessage(b"\x00\xff"),
        TextMessage(b"x" * 70_000),
    ]
    assert heard_by(server, client) == whole
    client.receive_data(server.data_to_send(), 101.0)
    assert client_events(client) == whole
    assert client.data_to_send() == b""


def test_receiving_in_place() -> None:
    """What a shell does: receive into the link's own space, say how much, take the messages."""
    client, _ = opened()
    assert len(client.receive_space(100_000)) >= 100_000
    space = client.receive_space()
    space[:7] = b"\x81\x05hello"
    client.received(0, 150.0)
    client.received(5, 101.0)
    assert client_events(client) == []
    client.received(2, 101.0)
    assert client_events(client) == [TextMessage(b"hello")]
    with pytest.raises(LocalProtocolError, match="cannot have been received"):
        client.received(1 << 30, 101.0)
    assert client.state == "open"


@pytest.mark.parametrize("data", [b"\x81\x01x", bytearray(b"\x81\x01x"), memoryview(b"\x81\x01x")])
def test_receiving_elsewhere(data: bytes | bytearray | memoryview) -> None:
    """Any bytes will do; none are no end."""
    client, _ = opened()
    client.receive_data(b"", 101.0)
    client.receive_data(data, 101.0)
    assert client_events(client) == [TextMessage(b"x")]


def test_messages_stay_whole_while_more_arrives() -> None:
    """An event may be kept for as long as anybody likes: it is a copy."""
    client, _ = opened()
    client.receive_data((b"\x81\x01a" + b"\x81\x01b") * 50_000, 101.0)
    client.receive_data(b"\x81\x01c", 101.0)
    events = client_events(client)
    assert events == [TextMessage(b"a"), TextMessage(b"b")] * 50_000 + [TextMessage(b"c")]


# Pings.


def test_pings_are_answered() -> None:
    """Each, with its payload, and before whatever is sent later."""
    client, server = opened()
    server.ping(b"one")
    server.ping(b"three")
    client.receive_data(server.data_to_send(), 101.0)
    client.send_text("later")
    pongs = client.data_to_send()
    assert (pongs[0], pongs[9], pongs[20]) == (0x8A, 0x8A, 0x81)
    assert len(pongs) == (2 + 4 + 3) + (2 + 4 + 5) + (2 + 4 + 5)
    assert client.data_to_send() == b""
    client.ping()
    assert heard_by(server, client) == []
    assert server.data_to_send() == b"\x8a\x00"
    client.receive_data(b"\x8a\x00\x8a\x03two", 101.0)
    assert client_events(client) == []


def test_answers_keep_the_order_of_what_they_answer() -> None:
    """What follows an event is looked at once the event was taken, and at the latest with the end."""
    client, server = opened()
    client.send_bytes(b"none")
    client.send_bytes(b"one")
    client.ping(b"two")
    client.close(1000, "", 101.0)
    server.receive_data(client.data_to_send(), 101.0)
    assert server.next_event() == BinaryMessage(b"none")
    assert not server.has_data_to_send
    assert not server.has_data_to_send
    assert server.next_event() == BinaryMessage(b"one")
    assert server.state == "open"
    server.send_bytes(b"one")
    assert server.data_to_send() == b"\x82\x03one" + b"\x8a\x03two" + CLOSE
    client, server = opened()
    client.send_text("one")
    client.close(1000, "", 101.0)
    server.receive_data(client.data_to_send(), 101.0)
    server.receive_eof(101.0)
    assert (server.state, server.data_to_send()) == ("closed", CLOSE)
    assert list(iter(server.next_event, None)) == [TextMessage(b"one"), Closed(1000, "", None)]


def test_whoever_takes_no_events_answers_pings_all_the_same() -> None:
    """What is behind them is looked at when it is time to send."""
    client, server = opened()
    client.send_text("one")
    client.ping(b"two")
    server.receive_data(client.data_to_send(), 101.0)
    assert server.has_data_to_send
    assert server.data_to_send() == b"\x8a\x03two"
    assert server.next_event() == TextMessage(b"one")


def test_whether_there_is_anything_to_send() -> None:
    """Known without taking it: a handshake, a message, a pong that is owed."""
    link = ClientWebSocketLink(REQUEST, timeout=10.0, limits=Limits(), now=100.0)
    assert link.has_data_to_send
    assert link.data_to_send()
    assert not link.has_data_to_send
    client, server = opened()
    assert not client.has_data_to_send
    client.send_text("Hello")
    assert client.has_data_to_send
    assert client.data_to_send()
    server.ping()
    client.receive_data(server.data_to_send(), 101.0)
    assert client.has_data_to_send
    assert client.data_to_send()
    assert not client.has_data_to_send


def test_messages_are_delivered_as_they_are_read() -> None:
    """To whoever takes them, who may send; the rest is told as before, and in the end nobody is held on to."""
    client, server = opened()
    taken: list[bytes | BinaryMessage] = []

    def read(text: bytearray, view: memoryview, places: list[Place], first: int) -> int:
        start, end = places[first]
        taken.append(b"read " + text[start:end])
        client.send_text("more")
        return 1

    def take(told: bytes | BinaryMessage) -> None:
        taken.append(told)
        client.send_text("more")

    client.deliver_to(read, take)
    server.send_text("one")
    server.send_fragments("t", "wo")
    server.send_bytes(b"three")
    server.close(1000, "", 101.0)
    client.receive_data(server.data_to_send(), 101.0)
    assert taken == [b"read one", b"two", BinaryMessage(b"three")]
    assert client.next_event() == Closed(1000, "", None)
    assert client.next_event() is None
    held = ref(read), ref(take)
    del read, take
    assert [reference() for reference in held] == [None, None]


def test_delivering_takes_turns() -> None:
    """One call hands over a bounded number; what is told in no turn of its own is all told, the end included."""
    client, server = opened()
    taken: list[bytes | BinaryMessage] = []
    client.deliver_to(none_in_place, taken.append)
    flood = b"\x81\x01x" * 2000 + b"\x89\x00" * 300
    space = client.receive_space(len(flood))
    space[: len(flood)] = flood
    client.received(len(flood), 101.0)
    assert 0 < len(taken) < 500
    turns = 0
    while client.unread:
        before = len(taken)
        assert client.next_event() is None
        client.received(0, 150.0)
        assert len(taken) - before < 500
        turns += 1
    assert (len(taken), turns > 5) == (2000, True)
    assert client.deadline() == 121.0  # nothing was received since
    assert len(client.data_to_send()) == 300 * 6
    client.receive_data(flood, 101.0)  # all at once
    assert (len(taken), client.unread) == (4000, False)
    space = client.receive_space(len(flood))
    space[: len(flood)] = flood
    client.received(len(flood), 101.0)
    assert client.unread
    client.receive_eof(101.0)
    assert (len(taken), client.unread) == (6000, False)
    assert type(closed(client).error) is ConnectionLost
    del server


def test_delivering_before_and_after() -> None:
    """Before the handshake it cannot be asked for; after the end there is nothing to be delivered."""
    link = ClientWebSocketLink(REQUEST, timeout=10.0, limits=Limits(), now=100.0)
    with pytest.raises(LocalProtocolError, match="'handshake'"):
        link.deliver_to(none_in_place, print)
    link.receive_eof(101.0)
    assert link.state == "closed"
    client, _ = opened()
    client.receive_eof(101.0)
    client.deliver_to(none_in_place, print)
    assert isinstance(client.next_event(), Closed)


def test_whether_a_pong_is_all_that_is_owed() -> None:
    """Then it may stay where the next one takes its place."""
    client, server = opened()
    assert not client.owes_only_a_pong
    server.ping()
    client.receive_data(server.data_to_send(), 101.0)
    assert client.owes_only_a_pong
    client.send_text("Hello")
    assert not client.owes_only_a_pong


def test_unsent_pongs_do_not_pile_up() -> None:
    """A peer that pings and does not read costs nothing: of very many the last is answered (RFC 6455 section 5.5.3)."""
    client, _ = opened()
    for _ in range(1000):
        client.receive_data(b"\x89\x7d" + b"x" * 125, 101.0)
    assert len(client.data_to_send()) == 2 + 4 + 125


def test_a_ping_too_long() -> None:
    """RFC 6455 section 5.5."""
    client, _ = opened()
    client.ping(b"x" * 125)
    with pytest.raises(LocalProtocolError, match="at most 125 bytes, not 126"):
        client.ping(b"x" * 126)


def test_silence_is_met_with_a_ping() -> None:
    """After the interval; any byte is a sign of life and begins it anew."""
    client, server = opened()
    assert client.deadline() == 120.0
    client.receive_data(b"\x81", 110.0)
    assert client.deadline() == 130.0
    client.handle_deadline(129.9)
    assert client.data_to_send() == b""
    client.handle_deadline(130.0)
    assert client.deadline() == 145.0
    assert heard_by(server, client) == []
    client.data_sent(132.0)
    assert client.deadline() == 147.0
    client.data_sent(140.0)  # something else
    assert client.deadline() == 147.0
    client.receive_data(b"\x00", 146.0)
    assert client.deadline() == 166.0
    client.data_sent(150.0)
    assert client.deadline() == 166.0
    assert client_events(client) == [TextMessage(b"")]


def test_bytes_that_wait_for_the_socket() -> None:
    """They have their time, from when some left last; then the connection is lost, open or closing."""
    client, server = opened()
    client.send_text("Hello")
    assert client.data_to_send()
    client.data_waits(105.0)
    client.data_waits(106.0)
    assert client.deadline() == 105.0
    client.data_waits(107.0, moved=True)
    assert client.deadline() == 107.0
    client.handle_deadline(106.0)
    client.data_sent(106.0)
    assert client.deadline() == 120.0
    client.close(1000, "", 106.0)
    client.data_waits(110.0)
    client.handle_deadline(110.0)
    assert closed(client).reason == "bytes could not be sent"
    client, server = opened()
    client.data_waits(105.0)
    client.handle_deadline(105.0)
    assert type(closed(client).error) is ConnectionLost
    del server


def test_a_peer_that_stays_silent_is_lost() -> None:
    """A half-open connection hangs nobody."""
    client, _ = opened()
    client.handle_deadline(120.0)
    client.handle_deadline(134.9)
    assert client.state == "open"
    client.handle_deadline(135.0)
    last = closed(client)
    assert (last.code, last.reason) == (None, "no byte from the server within 15 seconds of a ping")
    assert type(last.error) is ConnectionLost


@pytest.mark.parametrize(("interval", "timeout"), [(math.inf, 10.0), (20.0, math.inf)])
def test_keep_alive_can_be_left_out(interval: float, timeout: float) -> None:
    """No ping, or no consequence."""
    client, _ = opened(ping_interval=interval, ping_timeout=timeout)
    client.handle_deadline(1e6)
    client.handle_deadline(2e6)
    assert client.deadline() is None
    assert client.state == "open"


# Closing.


def test_closing() -> None:
    """We say goodbye, the peer says it too; messages in between are dropped, pings not answered."""
    client, server = opened()
    server.ping()
    client.receive_data(server.data_to_send(), 101.0)
    client.close(1000, "bye", 101.0)
    assert client.state == "closing"
    assert client.deadline() == 101.0 + CLOSE_TIMEOUT
    server.send_text("late")
    server.ping()
    late = server.data_to_send()
    assert heard_by(server, client) == [Closed(1000, "bye", None)]
    assert server.state == "closed"
    client.receive_data(late, 102.0)
    assert client.data_to_send() == b""
    client.receive_data(server.data_to_send(), 102.0)
    assert closed(client) == Closed(1000, "", None)


def test_the_pong_that_is_owed_goes_first() -> None:
    """Nothing is sent after a close frame (RFC 6455 section 5.5.1)."""
    client, server = opened()
    server.ping(b"x")
    client.receive_data(server.data_to_send(), 101.0)
    client.close(1000, "", 101.0)
    sent = client.data_to_send()
    assert (sent[0], sent[7]) == (0x8A, 0x88)


def test_a_peer_that_closes() -> None:
    """It is answered at once; what it said before is told first, what it sends behind is not."""
    client, server = opened()
    server.send_text("last words")
    server.close(1000, "connection idle timeout", 101.0)
    client.receive_data(server.data_to_send() + b"\x81\x01x", 101.0)
    assert client.next_event() == TextMessage(b"last words")
    assert heard_by(server, client) == [Closed(1000, "", None)]
    assert closed(client) == Closed(1000, "connection idle timeout", None)


def test_a_peer_that_closes_without_a_code() -> None:
    """RFC 6455 section 7.1.5 calls that 1005."""
    client, server = opened()
    client.receive_data(b"\x88\x00", 101.0)
    assert [type(event) for event in heard_by(server, client)] == [Closed]
    assert closed(client) == Closed(1005, "", None)


def test_both_close_at_once() -> None:
    """Each takes the other's frame for the answer."""
    client, server = opened()
    client.close(1000, "", 101.0)
    server.close(1001, "going away", 101.0)
    client.receive_data(server.data_to_send(), 102.0)
    assert heard_by(server, client) == [Closed(1000, "", None)]
    assert closed(client) == Closed(1001, "going away", None)


def test_a_goodbye_that_is_not_answered() -> None:
    """It is waited for no longer than the time for it."""
    client, _ = opened()
    client.close(1000, "", 101.0)
    client.receive_data(b"\x81\x01x", 105.0)
    client.handle_deadline(110.9)
    assert client.state == "closing"
    client.handle_deadline(111.0)
    last = closed(client)
    assert last.code is None
    assert type(last.error) is TimeoutError


@pytest.mark.parametrize("closing", [False, True])
def test_the_end_without_a_close_frame(closing: bool) -> None:
    """A connection that drops: no code."""
    client, _ = opened()
    if closing:
        client.close(1000, "", 101.0)
    client.receive_data(b"\x81\x7e\x10\x00half a message", 101.0)
    client.receive_eof(102.0)
    last = closed(client)
    assert (last.code, last.reason) == (None, "")
    assert type(last.error) is ConnectionLost


def test_bytes_that_did_not_go_out() -> None:
    """The connection is lost, and what was queued with it; what had been heard is still told."""
    client, _ = opened()
    client.send_text("x")
    client.receive_data(b"\x81\x01y", 101.0)
    client.send_failed()
    assert client.data_to_send() == b""
    assert client.next_event() == TextMessage(b"y")
    last = closed(client)
    assert (last.code, last.reason) == (None, "bytes could not be sent")
    assert type(last.error) is ConnectionLost


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"\x83\x00", 1002), (b"\x81\x01\xff", 1007), (b"\x82\x7e\x10\x00", 1009), (b"\x88\x01x", 1002)],
)
def test_a_peer_that_breaks_the_protocol(data: bytes, code: int) -> None:
    """It is told which way; the connection is over."""
    client, server = opened(limits=Limits(message=1000))
    client.receive_data(b"\x89\x00\x81\x01x" + data + b"\x81\x01y", 101.0)
    assert client.next_event() == TextMessage(b"x")
    (told,) = heard_by(server, client)
    assert isinstance(told, Closed)
    last = closed(client)
    assert (told.code, told.reason) == (last.code, last.reason) == (code, last.reason)
    assert type(last.error) is RemoteProtocolError
    assert last.error.scope == "connection"
    assert last.reason in str(last.error)
    assert code != 1009 or "limit of 1000 bytes" in last.reason


@pytest.mark.parametrize(
    ("limits", "compressed", "most"),
    [
        (Limits(), False, 16 * 1024 * 1024),
        (Limits(), True, 1024 * 1024),
        (Limits(message=1000), True, 1000),
        (Limits(message=5000, inflated=2000), True, 2000),
    ],
)
def test_how_long_a_message_may_be(limits: Limits, most: int, *, compressed: bool) -> None:
    """Less where it comes compressed, in one frame or in several; never more than any."""
    for size in (most, most + 1):
        for parts in ((size,), (1, size - 1)):
            client, server = opened(limits=limits, deflate=compressed)
            server.send_fragments(*("x" * part for part in parts))
            client.receive_data(server.data_to_send(), 101.0)
            if size == most:
                assert client.next_event() == TextMessage(b"x" * size)
            else:
                last = closed(client)
                assert (last.code, last.reason) == (1009, f"a message is longer than the limit of {most} bytes")


def test_a_message_that_is_not_compressed_where_it_could_be() -> None:
    """It has the room of any other."""
    client, _ = opened(deflate=True, limits=Limits(message=500, inflated=100))
    client.receive_data(b"\x81\x7e\x01\xf4" + b"x" * 500, 101.0)
    assert client.next_event() == TextMessage(b"x" * 500)


def test_a_violation_after_our_close() -> None:
    """No second close frame is sent."""
    client, _ = opened()
    client.close(1000, "", 101.0)
    client.data_to_send()
    client.receive_data(b"\x83\x00", 101.0)
    assert client.data_to_send() == b""
    assert closed(client).code == 1002


# Misuse.


def test_sending_out_of_turn_names_the_state() -> None:
    """Nothing reaches the wire, and the link goes on."""
    client, _ = opened()
    client.close(1000, "", 101.0)
    client.data_to_send()
    for state in ("closing", "closed"):
        with pytest.raises(LocalProtocolError, match=f"sending is illegal now: the state of the link is '{state}'"):
            client.send_text("x")
        with pytest.raises(LocalProtocolError, match="sending is illegal"):
            client.send_bytes(b"x")
        with pytest.raises(LocalProtocolError, match="ping is illegal"):
            client.ping()
        with pytest.raises(LocalProtocolError, match="close is illegal"):
            client.close(1000, "", 101.0)
        assert client.data_to_send() == b""
        client.receive_data(CLOSE, 102.0)
    assert client_events(client) == [Closed(1000, "", None)]


@pytest.mark.parametrize("deflate", [False, True])
def test_text_that_cannot_be_sent(deflate: bool) -> None:
    """A lone surrogate, in whatever fragment: none of them is queued."""
    client, server = opened(deflate=deflate)
    for bad in (("\ud800",), ("a", "\udfff"), ()):
        with pytest.raises(LocalProtocolError, match="lone surrogate|at least one fragment"):
            client.send_fragments(*bad)
    client.send_text("good")
    assert heard_by(server, client) == [TextMessage(b"good")]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1014, 2999, 5000])
def test_codes_that_are_never_sent(code: int) -> None:
    """RFC 6455 section 7.4."""
    client, _ = opened()
    with pytest.raises(LocalProtocolError, match=f"{code} is no close code"):
        client.close(code, "", 101.0)
    assert client.state == "open"


@pytest.mark.parametrize("reason", ["x" * 124, "é" * 62, "\ud800"])
def test_reasons_that_cannot_be_sent(reason: str) -> None:
    """A control frame has room for 123 bytes of UTF-8."""
    client, _ = opened()
    with pytest.raises(LocalProtocolError, match="a close reason has at most 123 bytes of UTF-8"):
        client.close(1000, reason, 101.0)
    assert client.state == "open"


@pytest.mark.parametrize(("interval", "timeout"), [(0.0, 1.0), (1.0, -1.0), (math.nan, 1.0)])
def test_times_above_zero(interval: float, timeout: float) -> None:
    """Anything else is a mistake."""
    with pytest.raises(LocalProtocolError, match="above 0 seconds"):
        opened(ping_interval=interval, ping_timeout=timeout)
