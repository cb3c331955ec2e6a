"""Chunks in every form are taken from the front, up to the last; what is none is refused when that is seen."""

import re

import pytest

from cartesia_proto.wire import chunked
from cartesia_proto.wire.chunked import TURN, ChunkSplitter

LIMIT = 1000


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_several_chunks_at_once(kind: type[bytes] | type[bytearray] | type[memoryview]) -> None:
    """Their data is handed on as one, and nothing of them is left."""
    chunks = ChunkSplitter(LIMIT)
    assert chunks.take(kind(b"5\r\nhello\r\n1\r\n,\r\n00A\r\n0123456789\r\n")) == b"hello,0123456789"
    assert chunks.front == "incomplete"


def test_byte_by_byte() -> None:
    """Data is handed on as it arrives; a size waits until it is whole."""
    chunks, taken = ChunkSplitter(LIMIT), bytearray()
    for byte in b"1a\r\n" + b"x" * 26 + b"\r\n2\r\nyz\r\n":
        taken += chunks.take(bytes([byte]))
        assert chunks.front == "incomplete"
    assert taken == b"x" * 26 + b"yz"


def test_nothing_at_all() -> None:
    """No bytes change nothing, before a chunk, within one and behind it."""
    chunks = ChunkSplitter(LIMIT)
    for received, data in ((b"", b""), (b"3\r\na", b"a"), (b"", b""), (b"bc", b"bc"), (b"", b""), (b"\r\n", b"")):
        assert chunks.take(received) == data
        assert chunks.front == "incomplete"


def _cuts(stream: bytes) -> list[list[bytes]]:
    """The stream in one piece, in two cut anywhere, and byte by byte."""
    halves = [[stream[:cut], stream[cut:]] for cut in range(len(stream))]
    return [*halves, [stream[i : i + 1] for i in range(len(stream))]]


def _taken(pieces: list[bytes]) -> tuple[bytes, ChunkSplitter]:
    """The data of a body, and the splitter; what it does not take is left behind."""
    chunks, data, left = ChunkSplitter(LIMIT), b"", b""
    for piece in pieces:
        if chunks.front == "incomplete":
            data += chunks.take(piece)
        else:
            left += piece
    if chunks.front == "last":
        assert chunks.rest + left == b"Trailer: x\r\n\r\n"
    return data, chunks


@pytest.mark.parametrize(
    "line",
    [
        *(b"5", b"0005", b"0" * 40 + b"5", b"5;", b"5;a", b"5 ;a=b", b"5\t ; a = b ; c", b"5 ", b"5\t"),
        *(b'5;a="x;\xff\\"y"', b"05;" + b"x" * 90),
    ],
)
def test_forms_of_a_size(line: bytes) -> None:
    """Leading zeros are part of a number; extensions, and white space where it may be bad, are ignored."""
    stream = b"2\r\nab\r\n" + line + b"\r\nhello\r\n" + line.replace(b"5", b"0") + b"\r\nTrailer: x\r\n\r\n"
    for pieces in _cuts(stream):
        data, chunks = _taken(pieces)
        assert (data, chunks.front) == (b"abhello", "last")


@pytest.mark.parametrize(
    ("end", "fault"),
    [
        *((end, "malformed chunk footer") for end in (b"x", b"\n", b"\rx", b"\r\r", b"3")),
        *(
            (b"\r\n" + line, "illegal chunk header")
            for line in (
                b"x",
                b" ",
                b"+",
                b"-",
                b"0x",
                b"5_",
                b"5\n",
                b"5\rx",
                b"5 x",
                b";",
                b"\r",
                b"5;\n",
                b"5;a\0",
            )
        ),
        (b"\r\n" + b"1" * 17, "illegal chunk header"),
    ],
)
def test_what_is_no_chunk(end: bytes, fault: str) -> None:
    """It is refused with its last byte, not when a line has ended; the data before it counts."""
    for pieces in _cuts(b"2\r\nab" + end):
        data, chunks = _taken(pieces)
        assert (data, chunks.front, chunks.fault) == (b"ab", "malformed", fault)
    assert _taken([b"2\r\nab" + end[:-1]])[1].front == "incomplete"


@pytest.mark.parametrize("part", [b"", b"5", b"5\r", b"f" * 16, b"f" * 16 + b"\r", b"5;a", b"5 ", b"000"])
def test_waits_for_the_rest_of_a_size(part: bytes) -> None:
    """It is not taken until it is a size or none."""
    chunks = ChunkSplitter(LIMIT)
    assert chunks.take(b"1\r\na\r\n" + part) == b"a"
    assert chunks.front == "incomplete"


@pytest.mark.parametrize("line", [b"0%s1", b"1;%s", b"1 %s;", b"0;%s"])
def test_a_line_is_limited_exactly(line: bytes) -> None:
    """One of the limit is taken, one byte more is not, however it is cut and whatever makes it long."""
    filling = {b"0%s1": b"0", b"1 %s;": b" "}.get(line, b"x")
    for more in (0, 1, 50):
        sent = line % (filling * (LIMIT - len(line) + more)) + b"\r\n"
        for pieces in ([sent], [sent[:500], sent[500:]], [sent[i : i + 1] for i in range(len(sent))]):
            chunks = ChunkSplitter(LIMIT)
            for piece in pieces:
                if chunks.front == "incomplete":
                    chunks.take(piece)
            assert chunks.front == ("malformed" if more else "last" if line == b"0;%s" else "incomplete")
            assert chunks.fault == (f"a chunk header or trailer longer than the limit of {LIMIT} bytes" if more else "")


class Counting:
    """A pattern that counts the bytes it is shown."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.shown = 0
        self._pattern = pattern

    def fullmatch(self, data: bytes) -> re.Match[bytes] | None:
        """As the pattern."""
        self.shown += len(data)
        return self._pattern.fullmatch(data)


@pytest.mark.parametrize("line", [b"0" * 900 + b"5", b"5;" + b"x" * 900, b"5" + b" " * 900 + b";"])
def test_a_long_line_is_not_looked_at_again_with_every_byte(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives byte by byte costs no more than a look at a few bytes with each."""
    counting = Counting(chunked.PART_OF_BETWEEN)
    monkeypatch.setattr(chunked, "PART_OF_BETWEEN", counting)
    chunks = ChunkSplitter(LIMIT)
    for byte in line:
        chunks.take(bytes([byte]))
    assert chunks.front == "incomplete"
    assert counting.shown < 25 * len(line)


@pytest.mark.parametrize("form", [b"1\r\n%c\r\n", b"1 ;a=b\r\n%c\r\n"])
def test_one_turn_takes_so_many_chunks(form: bytes) -> None:
    """However tiny they are; the rest is taken in as many turns as it needs, together with what arrives meanwhile."""
    stream = b"".join(form % (index % 256) for index in range(2 * TURN + 5)) + b"3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
    chunks, turns = ChunkSplitter(LIMIT), list[bytes]()
    turns.append(chunks.take(stream[:-20]))
    assert chunks.untaken
    turns.append(chunks.take(stream[-20:]))
    while chunks.untaken:
        turns.append(chunks.take(b""))
    assert b"".join(turns) == bytes(index % 256 for index in range(2 * TURN + 5)) + b"abc"
    assert max(map(len, turns)) == TURN
    assert (chunks.front, chunks.rest) == ("last", b"Trailer: x\r\n\r\n")
