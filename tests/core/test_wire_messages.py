"""Messages made whole, on both paths, and the one thing that ends them."""

import tracemalloc
import zlib
from collections.abc import Iterable

import pytest
import wsproto.events as heard
from wsproto.connection import CLIENT, SERVER, Connection

from cartesia_proto.wire.deflate import MOST_STREAMS, Deflate
from cartesia_proto.wire.frames import AT_ONCE, CAPACITY, BinaryMessage, FrameBuffer, TextMessage
from cartesia_proto.wire.link import BUSY
from cartesia_proto.wire.messages import (
    MOST_PONGS,
    TURN,
    Ending,
    Message,
    MessageReader,
    PeerClosed,
    Told,
    Violation,
)

LIMIT = 1000
BOTH = pytest.mark.parametrize("fast_lane", [True, False], ids=["fast", "plain"])


def frame(first: int, payload: bytes = b"") -> bytes:
    """A frame of a server, its length in the shortest form."""
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 1 << 16:
        return bytes([first, 126]) + len(payload).to_bytes(2) + payload
    return bytes([first, 127]) + len(payload).to_bytes(8) + payload


class Reading:
    """A client's reader, its buffer, and what it heard."""

    def __init__(self, *, fast_lane: bool = True, limit: int = LIMIT, deflate: bool = False) -> None:
        self.connection = Connection(CLIENT, [Deflate()] if deflate else [])
        self.buffer = FrameBuffer(limit)
        self.messages: list[Message] = []
        self.reader = MessageReader(self.connection, self.buffer, limit, self.tell, fast_lane=fast_lane)

    def tell(self, told: Told) -> None:
        """Keep what is told as what it means."""
        self.messages.append(TextMessage(told) if isinstance(told, bytes) else told)

    def take(self, data: bytes) -> Ending | None:
        """Receive bytes; what ended the messages."""
        ending = None
        for start in range(0, len(data), 16_000):
            piece = data[start : start + 16_000]
            self.buffer.space()[: len(piece)] = piece
            self.buffer.filled(len(piece))
            ending = ending or self.reader.read()
        return ending

    def take_each(self, pieces: Iterable[bytes]) -> Ending | None:
        """Receive until something ends the messages."""
        return next((ending for ending in map(self.take, pieces) if ending is not None), None)


@BOTH
def test_messages_of_all_kinds(fast_lane: bool) -> None:
    """In one frame or several, with control frames between."""
    reading = Reading(fast_lane=fast_lane)
    stream = [
        frame(0x81, b"one"),
        frame(0x81),
        frame(0x01, b"tw\xc3"),
        frame(0x89, b"ping"),
        frame(0x8A, b"pong"),
        frame(0x80, b"\xa4o"),
        frame(0x82, b"\xff"),
        frame(0x02, b"a"),
        frame(0x00),
        frame(0x80, b"b"),
        frame(0x81, "drei ✓".encode()),
    ]
    assert reading.take(b"".join(stream)) is None
    assert reading.messages == [
        TextMessage(b"one"),
        TextMessage(b""),
        TextMessage("twäo".encode()),
        BinaryMessage(b"\xff"),
        BinaryMessage(b"ab"),
        TextMessage("drei ✓".encode()),
    ]
    assert [(pong[0], len(pong)) for pong in reading.reader.pongs] == [(0x8A, 2 + 4 + 4)]


@BOTH
def test_nothing_is_told_before_it_is_whole(fast_lane: bool) -> None:
    """Byte by byte, each message comes with its last."""
    reading = Reading(fast_lane=fast_lane)
    stream = frame(0x81, b"x" * 200) + frame(0x02, b"y") + frame(0x80, b"z")
    ends: list[int] = []
    for place in range(len(stream)):
        before = len(reading.messages)
        assert reading.take(stream[place : place + 1]) is None
        if len(reading.messages) > before:
            ends.append(place)
    assert ends == [203, len(stream) - 1]


@BOTH
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(0x83), 1002),  # an opcode nobody defined
        (b"\x81\x80abcd", 1002),  # a server masks nothing
        (frame(0xC1), 1002),  # nothing was agreed on
        (b"\x81\x7e\x00\x05", 1002),  # not minimal
        (b"\x82\x7f" + b"\xff" * 8, 1002),  # the highest bit is 0
        (frame(0x80, b"x"), 1002),  # a continuation of nothing
        (frame(0x01, b"x") + frame(0x81, b"x"), 1002),  # a message within a message
        (frame(0x09), 1002),  # a control frame in fragments
        (b"\x89\x7e\x00\x80", 1002),  # and one too long, refused before it arrives
        (frame(0x88, b"x"), 1002),  # half a code
        (frame(0x88, (1005).to_bytes(2)), 1002),  # a code that is never sent
        (frame(0x88, (999).to_bytes(2)), 1002),
        (frame(0x88, (1000).to_bytes(2) + b"\xff"), 1007),
        (frame(0x81, b"\xff"), 1007),
        (frame(0x01, b"\xff"), 1007),
        (frame(0x01, b"\xc3") + frame(0x80), 1007),
    ],
)
def test_violations(fast_lane: bool, data: bytes, code: int) -> None:
    """Each has its code; what came before was told, what comes after is not."""
    reading = Reading(fast_lane=fast_lane)
    ending = reading.take(frame(0x81, b"before") + data + frame(0x81, b"after"))
    assert isinstance(ending, Violation)
    assert ending.code == code
    assert ending.words
    assert reading.messages == [TextMessage(b"before")]


@BOTH
def test_a_close_frame(fast_lane: bool) -> None:
    """Its code and text; 1005 where it has none; nothing is read behind it."""
    for payload, ending in (
        (b"", PeerClosed(1005, "")),
        ((1000).to_bytes(2) + b"connection idle timeout", PeerClosed(1000, "connection idle timeout")),
        ((4321).to_bytes(2), PeerClosed(4321, "")),
    ):
        reading = Reading(fast_lane=fast_lane)
        assert reading.take(frame(0x81, b"x") + frame(0x88, payload) + frame(0x83)) == ending
        assert reading.messages == [TextMessage(b"x")]
        assert reading.reader.read() == ending


def test_a_server_refuses_what_is_not_masked() -> None:
    """The fast lane is no way round that."""
    messages: list[Told] = []
    buffer = FrameBuffer(LIMIT)
    reader = MessageReader(Connection(SERVER), buffer, LIMIT, messages.append, fast_lane=False)
    said = Connection(CLIENT).send(heard.TextMessage("masked")) + frame(0x81, b"bare")
    buffer.space()[: len(said)] = said
    buffer.filled(len(said))
    ending = reader.read()
    assert isinstance(ending, Violation)
    assert ending.code == 1002
    assert messages == [b"masked"]


def test_after_our_own_close() -> None:
    """Messages are dropped, also one that had begun; the peer's close frame is heard."""
    reading = Reading()
    assert reading.take(frame(0x01, b"x" * 900) + frame(0x80, b"begun")[:3]) is None
    reading.connection.send(heard.CloseConnection(1000))
    reading.reader.drop_messages()
    later = frame(0x80, b"begun")[3:] + frame(0x81, b"x" * 900) + frame(0x02, b"x" * 900) + frame(0x80, b"y" * 900)
    assert reading.take(later) is None
    assert reading.take(frame(0x88, (1000).to_bytes(2))) == PeerClosed(1000, "")
    assert reading.messages == []


# Limits.


@BOTH
@pytest.mark.parametrize("first", [0x81, 0x82, 0x01])
def test_a_declared_length_over_the_limit(fast_lane: bool, first: int) -> None:
    """Refused by its header, before a byte of it is held."""
    reading = Reading(fast_lane=fast_lane)
    assert reading.take(frame(first & 0x7F | 0x80, b"x" * LIMIT)) is None
    assert len(reading.messages) == 1
    ending = reading.take(bytes([first, 127]) + (1 << 60).to_bytes(8))
    assert ending == Violation(1009, f"a message is longer than the limit of {LIMIT} bytes")
    assert reading.buffer.capacity == CAPACITY


@BOTH
def test_fragments_count_together(fast_lane: bool) -> None:
    """An endless message ends at the limit; pings between its fragments count for nothing."""
    reading = Reading(fast_lane=fast_lane)
    first = frame(0x01, b"x" * 400) + frame(0x89, b"p" * 125) * 10
    assert reading.take(first + frame(0x00, b"x" * 400) + frame(0x00, b"x" * 200)) is None
    ending = reading.take(frame(0x00, b"x"))
    assert isinstance(ending, Violation)
    assert ending.code == 1009
    assert reading.messages == []


def test_an_endless_message_costs_no_more_than_the_limit() -> None:
    """Sixty-four kilobytes at a time, for as long as the peer likes."""
    limit = 1 << 20
    reading = Reading(limit=limit)
    fragment = frame(0x00, b"x" * 65_000)
    tracemalloc.start()
    try:
        ending = reading.take_each([frame(0x02), *[fragment] * 1000])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(ending, Violation)
    assert ending.code == 1009
    assert peak < 3 * limit


def test_too_many_streams_in_a_frame() -> None:
    """What makes much work of little is refused, with the words to close with."""
    stream = zlib.compressobj(wbits=-15).flush(zlib.Z_FINISH)
    reading = Reading(limit=100_000, deflate=True)
    assert reading.take(frame(0xC1, stream * MOST_STREAMS + b"\x00") * 3) is None
    assert reading.messages == [TextMessage(b"")] * 3
    words = f"a compressed frame ends more than {MOST_STREAMS} deflate streams"
    assert reading.take(frame(0xC1, stream * 20_000)) == Violation(1009, words)


def deflated(megabytes: int) -> bytes:
    """Zeroes, compressed as one message; once the window is full of them, every mebibyte is written alike."""
    deflater = zlib.compressobj(9, wbits=-15)
    first, other = (deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_SYNC_FLUSH) for _ in range(2))
    return (first + other * (megabytes - 1)).removesuffix(b"\x00\x00\xff\xff")


@BOTH
def test_a_frame_that_inflates_to_hundreds_of_megabytes(fast_lane: bool) -> None:
    """What a slice of it inflates to is counted before the next is looked at."""
    bomb = frame(0xC2, deflated(300))
    assert len(bomb) < 400_000
    limit = 1 << 20
    reading = Reading(fast_lane=fast_lane, limit=limit, deflate=True)
    tracemalloc.start()
    try:
        ending = reading.take(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(ending, Violation)
    assert ending.code == 1009
    assert peak < 80 << 20  # a slice of 16 KiB makes 16 MiB, which wsproto holds some four times
    assert reading.messages == []


def test_a_compressed_message_within_the_limit() -> None:
    """In many slices, and exactly as long as it may be."""
    data = bytes(range(256)) * (1 << 12)
    deflater = zlib.compressobj(0, wbits=-15)
    body = (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")
    reading = Reading(limit=len(data) + 200, deflate=True)
    assert reading.take(frame(0xC2, body)) is None
    assert reading.messages == [BinaryMessage(data)]


@BOTH
def test_nothing_is_looked_at_behind_what_is_not_taken(fast_lane: bool) -> None:
    """Neither a ping, nor what ends the messages, until then."""
    reading = Reading(fast_lane=fast_lane)
    reading.reader.untaken = reading.messages
    assert reading.take(frame(0x82, b"one") + frame(0x89) + frame(0x81, b"two") + frame(0x81, b"\xff")) is None
    assert (len(reading.messages), len(reading.reader.pongs), reading.reader.paused) == (1, 0, True)
    reading.messages.clear()
    assert reading.reader.read() is None
    assert (reading.messages, len(reading.reader.pongs)) == ([TextMessage(b"two")], 1)
    reading.messages.clear()
    assert reading.reader.read() == Violation(1007, "a text is no UTF-8")


@BOTH
def test_much_is_looked_at_at_once(fast_lane: bool) -> None:
    """So what is not taken makes the buffer grow no further."""
    reading = Reading(fast_lane=fast_lane)
    reading.reader.untaken = reading.messages
    assert reading.take(frame(0x82, b"x" * LIMIT) * 1000) is None
    assert 700 < len(reading.messages) < 1000
    assert len(reading.buffer) < BUSY


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"", frame(0x89)),
        (b"", frame(0x8A, b"x" * 125)),
        (b"", frame(0x81)),
        (b"", frame(0x81, b"x" * 200)),
        (b"", frame(0x82, b"x")),
        (frame(0x01), frame(0x00)),
        (frame(0x01), frame(0x00, b"x")),
        (frame(0x02, b"x"), frame(0x89, b"x") + frame(0x00)),
        (b"", frame(0x81, b"x") + frame(0x89)),
    ],
)
def test_one_turn_takes_so_many_frames(begin: bytes, piece: bytes) -> None:
    """However tiny they are, of whatever kind; the rest is taken in as many turns as it needs."""
    reading = Reading(limit=1_000_000)
    reading.reader.turn = TURN
    frames = begin + piece * 5000
    reading.buffer.space(len(frames))[: len(frames)] = frames
    reading.buffer.filled(len(frames))
    turns, left = 0, len(reading.buffer)
    while left:
        assert reading.reader.read() is None
        turns += 1
        assert left - len(reading.buffer) <= len(begin) + (TURN + AT_ONCE) * len(piece)
        left = len(reading.buffer)
        assert reading.reader.unread or not left
    assert turns >= 5000 // (TURN + AT_ONCE)


def test_what_inflates_counts_for_more() -> None:
    """A turn is bounded by what comes of it, too."""
    reading = Reading(limit=1 << 20, deflate=True)
    reading.reader.turn = TURN
    deflater = zlib.compressobj(wbits=-15)
    piece = deflater.compress(bytes(400_000)) + deflater.flush(zlib.Z_FULL_FLUSH)
    assert reading.take(frame(0xC2, piece.removesuffix(b"\x00\x00\xff\xff")) * 20) is None
    assert 0 < len(reading.messages) <= 4
    assert reading.reader.unread


def test_a_part_of_no_message() -> None:
    """An empty one too is refused, past the fast lane or not."""
    for fast_lane in (True, False):
        assert Reading(fast_lane=fast_lane).take(frame(0x00)) == Violation(1002, "unexpected CONTINUATION")


def test_pongs_that_nobody_sends() -> None:
    """Of too many the last is sent; after a close frame of ours there are none (RFC 6455 sections 5.5.3 and 5.5.1)."""
    reading = Reading()
    assert reading.take(frame(0x89, b"first") * MOST_PONGS) is None
    assert len(reading.reader.take_pongs()) == MOST_PONGS * (2 + 4 + 5)
    assert reading.take(frame(0x89, b"first") * MOST_PONGS) is None
    assert reading.take(frame(0x89, b"second") + frame(0x89)) is None
    assert len(reading.reader.take_pongs()) == 2 + 4
    assert reading.reader.take_pongs() == b""
    assert reading.take(frame(0x89) * (MOST_PONGS + 1)) is None
    reading.connection.send(heard.CloseConnection(1000))
    assert reading.take(frame(0x89)) is None
    assert len(reading.reader.take_pongs()) == MOST_PONGS * (2 + 4)
