"""Plain chunks are taken from the front; at anything else the splitter steps aside."""

import pytest

from cartesia_proto.wire.chunked import ChunkSplitter


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_several_chunks_at_once(kind: type[bytes] | type[bytearray] | type[memoryview]) -> None:
    """Their data is handed on as one, and nothing of them is left."""
    chunks = ChunkSplitter()
    assert chunks.take(kind(b"5\r\nhello\r\n1\r\n,\r\n00A\r\n0123456789\r\n")) == b"hello,0123456789"
    assert chunks.rest == b""
    assert chunks.front == "incomplete"


def test_byte_by_byte() -> None:
    """Data is handed on as it arrives; a size waits until it is whole."""
    chunks, taken = ChunkSplitter(), bytearray()
    for byte in b"1a\r\n" + b"x" * 26 + b"\r\n2\r\nyz\r\n":
        taken += chunks.take(bytes([byte]))
        assert chunks.front == "incomplete"
    assert taken == b"x" * 26 + b"yz"
    assert chunks.rest == b""


def test_nothing_at_all() -> None:
    """No bytes change nothing, before a chunk, within one and behind it."""
    chunks = ChunkSplitter()
    for received, data in ((b"", b""), (b"3\r\na", b"a"), (b"", b""), (b"bc", b"bc"), (b"", b""), (b"\r\n", b"")):
        assert chunks.take(received) == data
        assert chunks.front == "incomplete"


@pytest.mark.parametrize(
    "other",
    [
        *(b"0\r\n\r\n", b"000\r\nTrailer: x\r\n\r\n", b"5;extension\r\nhello", b"5 \r\nhello", b"\r\n", b"x"),
        *(b"1" * 17, b"5\nhello", b"+5\r\nhello", b"0x5\r\nhello", b"5_0\r\n"),
    ],
)
def test_steps_aside(other: bytes) -> None:
    """The last chunk, an extension, or what is no chunk at all is left, and all behind it."""
    for cut in range(len(b"2\r\nab\r\n" + other) + 1):
        chunks = ChunkSplitter()
        stream = b"2\r\nab\r\n" + other + b"3\r\nabc\r\n"
        assert chunks.take(stream[:cut]) + chunks.take(stream[cut:]) == b"ab"
        assert chunks.front == "other"
        assert chunks.rest == other + b"3\r\nabc\r\n"


@pytest.mark.parametrize("part", [b"", b"5", b"5\r", b"f" * 16, b"f" * 16 + b"\r"])
def test_waits_for_the_rest_of_a_size(part: bytes) -> None:
    """It is not taken until it is a size or none."""
    chunks = ChunkSplitter()
    assert chunks.take(b"1\r\na\r\n" + part) == b"a"
    assert chunks.front == "incomplete"
    assert chunks.rest == part


@pytest.mark.parametrize("end", [b"x", b"\n", b"\rx", b"\r\r", b"3\r\n"])
def test_data_that_is_longer_than_its_size(end: bytes) -> None:
    """Where the line end has to be there is something else: the data before it counts, nothing behind it does."""
    for cut in range(1, len(end) + 1):
        chunks = ChunkSplitter()
        taken = chunks.take(b"2\r\nab" + end[:cut])
        assert taken + (chunks.take(end[cut:]) if chunks.front == "incomplete" else b"") == b"ab"
        assert chunks.front == "malformed"
