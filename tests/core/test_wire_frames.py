"""Where frames end, what the fast lane takes, and how much memory waiting costs."""

import pytest

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.wire.frames import (
    AT_ONCE,
    CAPACITY,
    KEPT,
    LONGEST_HEADER,
    ROOM,
    BinaryMessage,
    FrameBuffer,
    FrameHeader,
    Place,
    TextMessage,
    is_utf8,
)
from cartesia_proto.wire.link import BUSY

LIMIT = 4 * 1024 * 1024


def holding(data: bytes, limit: int = LIMIT) -> FrameBuffer:
    """A buffer that received bytes."""
    buffer = FrameBuffer(limit)
    fill(buffer, data)
    return buffer


def fill(buffer: FrameBuffer, data: bytes) -> None:
    """Receive bytes, as much at a time as there is space for."""
    while data:
        space = buffer.space()
        assert len(space) >= ROOM
        count = min(len(space), len(data))
        space[:count] = data[:count]
        buffer.filled(count)
        data = data[count:]


def none_in_place(buffer: bytearray, view: memoryview, places: list[Place], first: int) -> int:
    """Reads no text where it lies."""
    assert view.obj is buffer
    assert first <= len(places)
    return first


def texts(buffer: FrameBuffer) -> tuple[list[str], str]:
    """What the fast lane takes, and what it stops at."""
    taken: list[bytes] = []
    front = buffer.take_texts(none_in_place, taken.append)
    return [text.decode() for text in taken], front


def text_frame(payload: bytes) -> bytes:
    """A frame as the fast lane wants it."""
    if len(payload) < 126:
        return bytes([0x81, len(payload)]) + payload
    if len(payload) < 1 << 16:
        return b"\x81\x7e" + len(payload).to_bytes(2) + payload
    return b"\x81\x7f" + len(payload).to_bytes(8) + payload


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_every_way_to_write_a_length(length: int) -> None:
    """Seven bits, sixteen and sixty-four; two messages, each whole."""
    payload = b"x" * length
    assert texts(holding(text_frame(payload) + text_frame(b"y"))) == ([payload.decode(), "y"], "incomplete")


@pytest.mark.parametrize("length", [0, 5, 126, 65536])
def test_what_is_not_whole_stays(length: int) -> None:
    """Cut anywhere, nothing is taken; with the last byte, everything."""
    frame = text_frame(b"x" * length)
    for cut in {0, 1, 2, 3, 4, 9, 10, len(frame) - 1} & set(range(len(frame))):
        buffer = holding(frame[:cut])
        assert texts(buffer) == ([], "incomplete")
        assert len(buffer) == cut
        fill(buffer, frame[cut:])
        assert texts(buffer) == (["x" * length], "incomplete")
        assert len(buffer) == 0


@pytest.mark.parametrize(
    "frame",
    [
        b"\x82\x01x",  # binary
        b"\x01\x01x",  # not final
        b"\x80\x01x",  # a continuation
        b"\xc1\x01x",  # compressed
        b"\x89\x00",  # a ping
        b"\x81\x81abcdx",  # masked
        b"\x81\xfe",  # masked, and long
        b"\x81\x7e\x00\x7d" + b"x" * 125,  # not minimal
        b"\x81\x7f" + (65535).to_bytes(8),  # not minimal
        b"\x81\x7f" + (LIMIT + 1).to_bytes(8),  # too long
        b"\x81\x7f" + b"\xff" * 8,  # too long, and its first bit set
    ],
)
def test_other_frames_are_left_alone(frame: bytes) -> None:
    """What came before them is taken; they are for wsproto."""
    buffer = holding(text_frame(b"before") + frame)
    assert texts(buffer) == (["before"], "other")
    assert buffer.take(len(frame) + 1) == frame


def test_a_limit_below_every_extended_length() -> None:
    """A short frame may be too long as well."""
    assert texts(holding(text_frame(b"12345") + text_frame(b"123456"), limit=5)) == (["12345"], "other")


@pytest.mark.parametrize("payload", [b"\xff", b"caf\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"])
def test_what_is_no_utf8(payload: bytes) -> None:
    """Cut sequences, surrogates, code points beyond the last, overlong forms (RFC 3629)."""
    assert texts(holding(text_frame(b"before") + text_frame(payload))) == (["before"], "not utf-8")
    assert not is_utf8(payload)


def test_text_beyond_ascii() -> None:
    """Checked the longer way."""
    assert texts(holding(text_frame("héllo 🎧".encode()))) == (["héllo 🎧"], "incomplete")
    assert is_utf8("🎧".encode())


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (b"\x81\x05", FrameHeader(control=False, size=2, payload=5)),
        (b"\x00\x7e\x01\x00", FrameHeader(control=False, size=4, payload=256)),
        (b"\x02\x7f" + (1 << 40).to_bytes(8), FrameHeader(control=False, size=10, payload=1 << 40)),
        (b"\x89\x84abcd", FrameHeader(control=True, size=6, payload=4)),
        (b"\x82\xfe\x00\x01abcd", FrameHeader(control=False, size=8, payload=1)),
        (b"\x88\xff" + (7).to_bytes(8) + b"abcd", FrameHeader(control=True, size=14, payload=7)),
    ],
)
def test_a_header(data: bytes, header: FrameHeader) -> None:
    """None until it is whole, the mask included."""
    for cut in range(len(data)):
        assert holding(data[:cut]).header() is None
    assert holding(data).header() == header
    assert holding(data + b"more").header() == header


def test_taking_bytes() -> None:
    """From the front, and no more than there are."""
    buffer = holding(b"abcdef")
    assert (buffer.take(2), buffer.take(0), buffer.take(9), buffer.take(1)) == (b"ab", b"", b"cdef", b"")
    fill(buffer, b"gh")
    buffer.clear()
    assert len(buffer) == 0


@pytest.mark.parametrize("count", [-1, CAPACITY + 1])
def test_only_what_fits_can_have_been_received(count: int) -> None:
    """A shell that miscounts is told so, and nothing has changed."""
    buffer = FrameBuffer(LIMIT)
    with pytest.raises(LocalProtocolError, match="cannot have been received"):
        buffer.filled(count)
    assert len(buffer) == 0


def test_messages_do_not_show_themselves() -> None:
    """They may be long, and are nobody's business in a log."""
    assert repr(TextMessage(b"canary")) == "TextMessage(data=<6 bytes>)"
    assert TextMessage(b"canary").text == "canary"
    assert repr(BinaryMessage(b"canary")) == "BinaryMessage(data=<6 bytes>)"


def test_texts_are_read_where_they_lie() -> None:
    """In order, and those that are not read there are told in between; however many there are at once."""
    numbers = range(3 * AT_ONCE + 1)
    buffer = holding(b"".join(text_frame(b"%d" % number) for number in numbers))
    heard: list[bytes] = []

    def read(text: bytearray, view: memoryview, places: list[Place], first: int) -> int:
        assert 0 < len(places) <= AT_ONCE
        for index, (start, end) in enumerate(places[first:], first):
            if int(text[start:end]) % 3 == 0:
                return index
            heard.append(bytes(view[start:end]))
        return len(places)

    assert buffer.take_texts(read, heard.append) == "incomplete"
    assert heard == [b"%d" % number for number in numbers]
    assert len(buffer) == 0


def test_what_was_read_in_its_place_is_not_checked_again() -> None:
    """Whoever read it knows that it is UTF-8; what follows is checked."""
    buffer = holding(text_frame(b"\xff") + text_frame(b"\xff"))
    told: list[bytes] = []

    def read_all(text: bytearray, view: memoryview, places: list[Place], first: int) -> int:
        assert (first, [bytes(view[start:end]) for start, end in places]) == (0, [b"\xff"] * 2)
        assert [bytes(text[start:end]) for start, end in places] == [b"\xff"] * 2
        return 2

    assert buffer.take_texts(read_all, told.append) == "incomplete"
    fill(buffer, text_frame(b"\xff"))
    assert buffer.take_texts(none_in_place, told.append) == "not utf-8"
    assert told == []


def test_no_more_texts_are_taken_than_may_be() -> None:
    """Only about so many; the rest stays for later."""
    buffer = holding(text_frame(b"x") * 10 * AT_ONCE)
    told: list[bytes] = []
    buffer.budget = 3 * AT_ONCE - 1
    assert buffer.take_texts(none_in_place, told.append) == "unread"
    assert (len(told), len(buffer), buffer.budget) == (3 * AT_ONCE, 7 * AT_ONCE * 3, -1)
    buffer.budget = 10 * AT_ONCE
    assert buffer.take_texts(none_in_place, told.append) == "incomplete"
    assert len(told) == 10 * AT_ONCE


def test_trifles() -> None:
    """Whole pings, pongs and empty parts, as servers send them; nothing else."""
    data = b"\x89\x02hi\x00\x00\x8a\x00\x89\x7d" + bytes(125) + b"\x89\x03no"
    buffer = holding(data)
    assert [buffer.take_trifle() for _ in range(5)] == [(0x89, b"hi"), (0, b""), (0x8A, b""), (0x89, bytes(125)), None]
    assert len(buffer) == 4
    for other in (
        b"",
        b"\x89",
        b"\x89\x80mask",
        b"\x89\x7e\x00\x7e",
        b"\x80\x00",
        b"\x00\x01x",
        b"\x81\x00",
        b"\x88\x00",
    ):
        buffer = holding(other)
        assert buffer.take_trifle() is None
        assert len(buffer) == len(other)


# Memory.


def test_small_messages_never_need_more_than_the_first_buffer() -> None:
    """However many, however cut: what is left is moved to the front."""
    buffer = FrameBuffer(LIMIT)
    frame = text_frame(b"x" * 6000)
    stream = frame * 100
    taken = 0
    for start in range(0, len(stream), 7001):
        fill(buffer, stream[start : start + 7001])
        taken += len(texts(buffer)[0])
    assert taken == 100
    assert buffer.capacity == CAPACITY


def test_an_idle_connection() -> None:
    """It holds room for one TLS record behind a frame as long that is not yet whole, and no more."""
    buffer = holding(b"\x81\x7e" + bytes(ROOM - 2))
    assert (len(buffer.space()), buffer.capacity) == (ROOM, CAPACITY)
    assert CAPACITY == 32 * 1024


def test_a_peer_that_fills_the_buffer() -> None:
    """It gets twice as much each time, up to an end; whoever does not fill it gets no more."""
    buffer, offered = FrameBuffer(LIMIT), list[int]()
    for missing in (1, 0, 1, 0, 0, 0, 1):
        space = buffer.space()
        offered.append(len(space))
        buffer.filled(len(space) - missing)
        buffer.take(len(buffer))
    assert offered == [CAPACITY, CAPACITY, 2 * CAPACITY, 2 * CAPACITY, 4 * CAPACITY, BUSY, BUSY]
    assert buffer.capacity == BUSY


def test_what_waits_is_moved_into_a_larger_buffer() -> None:
    """Nothing is lost where the end of a frame is still to come."""
    text = b"x" * (CAPACITY + 1000)
    buffer = holding(text_frame(b"y") + text_frame(text)[: CAPACITY - 3])
    assert texts(buffer) == (["y"], "incomplete")
    fill(buffer, text_frame(text)[CAPACITY - 3 :])
    assert texts(buffer) == ([text.decode()], "incomplete")


def test_memory_follows_what_arrives_not_what_is_declared() -> None:
    """Ten bytes may promise megabytes."""
    buffer = holding(b"\x81\x7f" + LIMIT.to_bytes(8))
    buffer.space()
    assert buffer.capacity == CAPACITY


def test_a_long_message() -> None:
    """The buffer doubles up to the limit; a view that somebody still holds stays valid; later the memory is let go."""
    buffer = FrameBuffer(LIMIT)
    held = buffer.space()
    payload = b"x" * LIMIT
    fill(buffer, text_frame(payload) + text_frame(b"later")[:3])
    assert LIMIT < buffer.capacity <= LIMIT + LONGEST_HEADER + CAPACITY
    assert len(held) == CAPACITY
    assert texts(buffer) == ([payload.decode()], "incomplete")
    fill(buffer, text_frame(b"later")[3:])
    assert buffer.capacity == CAPACITY
    assert texts(buffer) == (["later"], "incomplete")


def test_more_space_where_it_is_needed() -> None:
    """As much as is asked for, with what waits moved along; a large buffer is not let go while it is needed."""
    buffer = holding(text_frame(b"Hello")[:4])
    assert len(buffer.space(3 * CAPACITY)) == 3 * CAPACITY
    assert len(buffer.space(KEPT)) >= KEPT
    assert len(buffer.space(KEPT + 1)) >= KEPT + 1
    fill(buffer, text_frame(b"Hello")[4:])
    assert buffer.capacity == CAPACITY
    assert texts(buffer) == (["Hello"], "incomplete")


def test_a_buffer_that_grew_a_little_is_kept() -> None:
    """Messages of some hundred kilobytes do not make a new one each time."""
    buffer = FrameBuffer(LIMIT)
    for _ in range(2):
        fill(buffer, text_frame(b"x" * 200_000))
        assert len(texts(buffer)[0]) == 1
        assert CAPACITY < buffer.capacity <= KEPT
