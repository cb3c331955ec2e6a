"""Server-sent events, as section 9.2.6 of the HTML standard reads them."""

import tracemalloc

import pytest

from cartesia_proto.codecs.sse import ServerSentEvent, SSEDecoder
from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError


def _decoder() -> SSEDecoder:
    return SSEDecoder(line_limit=1000, event_limit=1000)


def _message(data: str, event: str = "message", id: str = "") -> ServerSentEvent:
    return ServerSentEvent(event=event, data=data.encode(), id=id)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"", []),
        (b"data: a\n\n", [_message("a")]),
        (b"data: a\r\rdata: b\r\n\r\ndata: c\n\n", [_message("a"), _message("b"), _message("c")]),
        (b"data:a\ndata: b\ndata\ndata:  c\n\n", [_message("a\nb\n\n c")]),
        (b"data\n\n", [_message("")]),
        (b"data:\n\n", [_message("")]),
        (b"data\ndata\n\n", [_message("\n")]),
        (b": comment\n:\ndata: a\n: other\n\n", [_message("a")]),
        (b"event: error\ndata: a\n\ndata: b\n\n", [_message("a", event="error"), _message("b")]),
        (b"event: error\n\ndata: b\n\n", [_message("b")]),
        (b"event: one\nevent:\ndata: b\n\n", [_message("b")]),
        (
            b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
            [_message("a", id="1"), _message("b", id="1"), _message("c")],
        ),
        (b"id: 1\n\ndata: a\n\n", [_message("a", id="1")]),
        (b"id: 1\nid: 2\x003\ndata: a\n\n", [_message("a", id="1")]),
        (b"retry: 10\nunknown: x\nData: y\n data: z\ndata: a\n\n", [_message("a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [_message("a")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [_message("b")]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [_message("a")]),
        (b"data: \xff\xc3\ndata: \xc3\xa9\n\n", [ServerSentEvent("message", b"\xff\xc3\n\xc3\xa9", "")]),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"\n\n\n", []),
    ],
)
def test_streams(stream: bytes, events: list[ServerSentEvent]) -> None:
    """Each stream gives these events, whole and byte by byte."""
    assert _decoder().receive_data(stream) == events
    decoder = _decoder()
    assert [event for byte in stream for event in decoder.receive_data(bytes([byte]))] == events
    decoder.receive_eof()


def _read_x(data: bytes, view: memoryview, start: int, end: int) -> str | None:
    """Reads messages that begin with an x."""
    message = bytes(view[start:end])
    assert message == data[start:end]
    return message.decode() if message.startswith(b"x") else None


def _read(*pieces: bytes, limit: int = 1000) -> list[str | ServerSentEvent]:
    decoder = SSEDecoder(line_limit=limit, event_limit=limit)
    return [event for piece in pieces for event in decoder.read_messages(piece, _read_x)]


def test_messages_are_read_where_they_lie() -> None:
    """Those in one line that stand whole in a piece; what the reader leaves is an event, and so is what was cut."""
    assert _read(b": hello\ndata: x1\n\ndata: x2\r\n\r\ndata: y\n\ndata: x3\n\n") == ["x1", "x2", _message("y"), "x3"]
    assert _read(b"\n", b"data: x1\n\ndata: x", b"2\n\ndata: x3\n", b"\n") == ["x1", _message("x2"), _message("x3")]


@pytest.mark.parametrize(
    ("pieces", "events"),
    [
        ([b"data: x\n\n\xef\xbb\xbfdata: x\n\n"], [_message("x")]),
        ([b"\xef\xbb\xbfdata: x1\n\ndata: x2\n\n"], [_message("x1"), "x2"]),
        ([b":\nevent: error\ndata: x1\n\ndata: x2\n\n"], [_message("x1", event="error"), "x2"]),
        ([b":\nevent:\nid: 7\ndata: x1\n\n"], ["x1"]),
        ([b":\n: ", b"data: x1\n\ndata: x2\n\n"], ["x2"]),
        ([b":\ndata: y\n", b"data: x1\n\ndata: x2\n\n"], [_message("y\nx1"), "x2"]),
        ([b":\ndata: x1\ndata: x2\n\n"], [_message("x1\nx2")]),
        ([b":\ndata:x1\n\n: ping\n\ndata: x2\n\n"], [_message("x1"), "x2"]),
    ],
)
def test_messages_that_are_more_than_they_seem(pieces: list[bytes], events: list[str | ServerSentEvent]) -> None:
    """What stands before decides: a first line, a type, a line or an event that was begun. An id is not told."""
    assert _read(*pieces) == events


def test_messages_at_the_limits() -> None:
    """Those that are read have the same limits."""
    assert _read(b":\ndata: x234\n\n", limit=10) == ["x234"]
    for line_limit, event_limit in ((10, 1000), (1000, 4)):
        decoder = SSEDecoder(line_limit, event_limit)
        assert decoder.read_messages(b":\ndata: x\n\ndata: x2345\n\n", _read_x) == ["x"]
        with pytest.raises(RemoteProtocolError, match="exceeds"):
            decoder.read_messages(b"", _read_x)


def test_data_as_text() -> None:
    """Bytes that are no UTF-8 become replacement characters, as the standard has it."""
    assert ServerSentEvent("message", b"\xff\xc3\n\xc3\xa9", "").text == "\ufffd\ufffd\né"


def test_carriage_return_and_line_feed_apart() -> None:
    """A line feed after a carriage return is one line end with it, also in the next segment or the one after."""
    decoder = _decoder()
    assert decoder.receive_data(b"data: a\r") == []
    assert decoder.receive_data(b"") == []
    assert decoder.receive_data(b"\ndata: b\r") == []
    assert decoder.receive_data(b"\r") == [_message("a\nb")]
    assert decoder.receive_data(b"\n\ndata: c\n\n") == [_message("c")]


def test_pending() -> None:
    """What an end of the stream would discard is known: a begun line or event, but no comment."""
    decoder = _decoder()
    assert not decoder.pending
    decoder.receive_data(b"da")
    assert decoder.pending
    decoder.receive_data(b"ta: a\n")
    assert decoder.pending
    decoder.receive_data(b"\n: comment\n")
    assert not decoder.pending


def test_after_the_end() -> None:
    """Data after the end is a mistake of the caller; the end may be told twice."""
    decoder = _decoder()
    decoder.receive_eof()
    decoder.receive_eof()
    with pytest.raises(LocalProtocolError, match="has ended"):
        decoder.receive_data(b"x")


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"data: aaaa\n\ndata: aaaaa\n\ndata: b\n\n", "a line of the event stream exceeds 10 bytes"),
        (b"data: aaaa\n\n" + b":" * 50, "a line of the event stream exceeds 10 bytes"),
        (b"data: aaaa\n\ndata:aaaa\ndata:aaa\n\n", "the data of an event exceeds 7 bytes"),
        (b"data: aaaa\n\n" + b"data\n" * 9 + b"\n", "the data of an event exceeds 7 bytes"),
    ],
)
def test_limits(stream: bytes, message: str, size: int) -> None:
    """Over a limit, all events before it are returned, then every call raises the same error, which names it."""
    decoder = SSEDecoder(line_limit=10, event_limit=7)
    events: list[ServerSentEvent] = []

    def feed() -> None:
        for start in range(0, len(stream), size):
            events.extend(decoder.receive_data(stream[start : start + size]))
        decoder.receive_data(b"")

    with pytest.raises(RemoteProtocolError, match=message) as first:
        feed()
    assert events == [_message("aaaa")]
    assert not decoder.pending
    with pytest.raises(RemoteProtocolError) as second:
        decoder.receive_eof()
    assert first.value is second.value


def test_at_the_limits() -> None:
    """A line and an event of exactly the limit are accepted; of several lines, the line feeds between count."""
    decoder = SSEDecoder(line_limit=10, event_limit=7)
    assert decoder.receive_data(b"data: aaaa\n\ndata:aaa\ndata:aaa\n\n") == [_message("aaaa"), _message("aaa\naaa")]


def test_a_long_line_byte_by_byte() -> None:
    """A line far longer than any buffer may come byte by byte."""
    decoder = SSEDecoder(line_limit=200_000, event_limit=200_000)
    text = "x" * 100_000
    events = [event for byte in f"data:{text}\n\n".encode() for event in decoder.receive_data(bytes([byte]))]
    assert events == [_message(text)]


@pytest.mark.parametrize("line", [b"data:ab\n", b"data\n"])
def test_endless_short_lines_take_no_more_memory_than_the_limit(line: bytes) -> None:
    """An event of many data lines is held as bytes in one piece, not as an object for each line."""
    limit = 100_000
    decoder = SSEDecoder(line_limit=limit, event_limit=limit)
    piece = line * 1000
    tracemalloc.start()
    try:
        for _ in range(limit // 3000):
            assert decoder.receive_data(piece) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * limit
    assert decoder.pending
    assert len(decoder.receive_data(b"\n")[0].data) == (limit // 3000) * 1000 * (1 if line == b"data\n" else 3) - 1


def test_events_share_their_id() -> None:
    """A long id costs its length once, however many events follow it in one read."""
    decoder = SSEDecoder(line_limit=1000, event_limit=1000)
    first, second = decoder.receive_data(b"id: " + b"i" * 900 + b"\ndata: a\n\ndata: b\n\n")
    assert first.id == "i" * 900
    assert first.id is second.id


@pytest.mark.parametrize(
    "piece", [b"\n", b":\n", b":\r", b"data: x\n\n", b"data: y\n\n", b"data\ndata\n\n", b"id\r\n\n"]
)
def test_one_turn_reads_so_many_lines(piece: bytes) -> None:
    """However short they are, and as many messages; the rest is read by further calls, before what they are given."""
    stream = b":\n" + piece * 100 + b"data: x1\n\ndata:"
    expected = SSEDecoder(line_limit=100, event_limit=100).read_messages(stream, _read_x)
    decoder = SSEDecoder(line_limit=100, event_limit=100)
    events = decoder.read_messages(stream[:-9], _read_x, 10)
    assert decoder.laden
    events += decoder.read_messages(stream[-9:], _read_x, 10)
    calls = 2
    while decoder.laden:
        read = decoder.read_messages(b"", _read_x, 10)
        assert len(read) <= 10
        events += read
        calls += 1
    assert calls >= 10
    assert [event if isinstance(event, str) else event.text for event in events] == [
        event if isinstance(event, str) else event.text for event in expected
    ]


def test_nothing_is_left_unread_behind_a_failure() -> None:
    """What exceeds a limit ends the stream."""
    decoder = SSEDecoder(line_limit=10, event_limit=10)
    assert decoder.read_messages(b":\n:\n" + b"x" * 11 + b"\n:\n", _read_x, 2) == []
    assert decoder.laden
    assert decoder.read_messages(b"", _read_x, 2) == []
    assert not decoder.laden
    with pytest.raises(RemoteProtocolError, match="10 bytes"):
        decoder.read_messages(b"", _read_x, 2)
