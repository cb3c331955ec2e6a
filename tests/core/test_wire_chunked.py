"""Plain chunks are taken from the front; at anything else the splitter steps aside."""

import pytest

from cartesia_proto.wire.chunked import ChunkSplitter


def test_several_chunks_at_once() -> None:
    """Their data is handed on as one, and nothing of them is left."""
    received = bytearray(b"5\r\nhello\r\n1\r\n,\r\n00A\r\n0123456789\r\n")
    chunks = ChunkSplitter()
    assert chunks.take(received) == b"hello,0123456789"
    assert received == b""
    assert chunks.front == "incomplete"


def test_byte_by_byte() -> None:
    """Data is handed on as it arrives; a size waits until it is whole."""
    chunks, received, taken = ChunkSplitter(), bytearray(), bytearray()
    for byte in b"1a\r\n" + b"x" * 26 + b"\r\n2\r\nyz\r\n":
        received.append(byte)
        taken += chunks.take(received)
        assert chunks.front == "incomplete"
    assert taken == b"x" * 26 + b"yz"
    assert received == b""


@pytest.mark.parametrize(
    "other",
    [
        *(b"0\r\n\r\n", b"000\r\nTrailer: x\r\n\r\n", b"5;extension\r\nhello", b"5 \r\nhello", b"\r\n", b"x"),
        *(b"1" * 17, b"5\nhello", b"+5\r\nhello", b"0x5\r\nhello", b"5_0\r\n"),
    ],
)
def test_steps_aside(other: bytes) -> None:
    """The last chunk, an extension, or what is no chunk at all is left where it is, and all behind it."""
    received = bytearray(b"2\r\nab\r\n" + other)
    chunks = ChunkSplitter()
    assert chunks.take(received) == b"ab"
    assert chunks.front == "other"
    assert received == other
    received += b"3\r\nabc\r\n"
    assert chunks.take(received) == b""
    assert received == other + b"3\r\nabc\r\n"


@pytest.mark.parametrize("part", [b"", b"5", b"5\r", b"f" * 16, b"f" * 16 + b"\r"])
def test_waits_for_the_rest_of_a_size(part: bytes) -> None:
    """It stays where it is until it is a size or none."""
    received = bytearray(b"1\r\na\r\n" + part)
    chunks = ChunkSplitter()
    assert chunks.take(received) == b"a"
    assert chunks.front == "incomplete"
    assert received == part


@pytest.mark.parametrize("end", [b"x", b"\n", b"\rx", b"\r\r", b"3\r\n"])
def test_data_that_is_longer_than_its_size(end: bytes) -> None:
    """Where the line end has to be there is something else: the data before it counts, nothing behind it does."""
    for cut in range(1, len(end) + 1):
        received = bytearray(b"2\r\nab" + end[:cut])
        chunks = ChunkSplitter()
        taken = chunks.take(received)
        received += end[cut:]
        assert taken + chunks.take(received) == b"ab"
        assert chunks.front == "malformed"
