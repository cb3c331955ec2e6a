"""Lines of heads and trailers: passed on once they are whole, refused when they can be none."""

import h11
import pytest

from cartesia_proto.wire.heads import MOST_LINES, HeadLines, in_words

STATUS = b"HTTP/1.1 200 OK\r\n"
REQUEST = b"GET / HTTP/1.1\r\n"


def _passed(data: bytes, size: int, *, request: bool = False, start_line: bool = True) -> tuple[bytes, str]:
    """What is passed on of a head that comes in pieces, and what was wrong."""
    lines = HeadLines(request=request)
    lines.begin(start_line=start_line)
    passed = b""
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        passed += lines.take(piece[: lines.measure(piece)])
        if lines.fault:
            break
    return passed, lines.fault


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_the_status_is_known_once_it_is_there(size: int) -> None:
    """Also of a head that is malformed behind it, until the next begins."""
    lines = HeadLines(request=False)
    for head, status in (
        (b"HTTP/1.1 404 Not Found\r\n\r\n", b"404"),
        (b"HTTP/1.1 500\r\nno colon\r\n", b"500"),
        (b"HTTP/1.1 50", b""),
    ):
        lines.begin(start_line=True)
        assert lines.status == b""
        for start in range(0, len(head), size):
            lines.take(head[start : start + size])
        assert lines.status == status
    lines = HeadLines(request=True)
    lines.take(REQUEST + b"\r\n")
    assert lines.status == b""


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    "head",
    [
        STATUS + b"X: y\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.0 200 \xff a\tb\n\n",
        STATUS + b"X:\r\n\tfolded \r\n  \r\nY:z\x01\x80\r\n\r\n",
        STATUS + b"Transfer-Encoding: chunked\r\nConnection: , a,\r\n\r\n",
    ],
)
def test_heads_pass_as_they_are(head: bytes, size: int) -> None:
    """With or without a reason, folded, with lone line feeds, with any octets that a value may have."""
    assert _passed(head, size) == (head, "")


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("head", "fault"),
    [
        *(
            (start, "an illegal start line")
            for start in (
                *(
                    b"SSH-2.0-OpenSSH",
                    b"220 smtp.test",
                    b"<html>",
                    b"\x15\x03\x01",
                    b"HTTP/1.1 2x",
                    b"http/1.1",
                    b"HTTP/1,",
                ),
                *(b"\r", b"\n", b" HTTP/1.1 200", b"HTTP/1.1  200", b"HTTP/1.1 200OK\n", b"HTTP/1.1 2000\r\n"),
                b"HTTP/1.1 200 \x0b\n",
            )
        ),
        *(
            (STATUS + line, "illegal header line")
            for line in (b" folded\r\n", b"X : y\r\n", b"X\r\n", b": y\n", b"X: \0\n", b"X: a\rb\n", b"X: y\n\t\x0c\n")
        ),
    ],
)
def test_what_is_no_head(head: bytes, fault: str, size: int) -> None:
    """A start is refused as soon as it can be none, another line at its end; nothing waits for the blank line."""
    assert _passed(head, size)[1] == fault
    assert _passed(head[:-1], size)[1] in ("", "an illegal start line")


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("value", "passed"),
    [
        (b"  ,chunked,, ", b": chunked"),
        (b" gzip , ,chunked", b": gzip, chunked"),
        (b",", b": "),
        (b" chunked", b": chunked"),
    ],
)
def test_empty_elements_of_a_transfer_encoding(value: bytes, passed: bytes, size: int) -> None:
    """They are ignored, as a recipient must; what remains is for h11 to judge."""
    head = STATUS + b"TRANSFER-encoding:" + value + b"\r\n"
    assert _passed(head, size)[0].rstrip() == (STATUS + b"TRANSFER-encoding" + passed).rstrip()


@pytest.mark.parametrize("size", [1, 1000])
def test_requests(size: int) -> None:
    """One empty line may stand before a request, and a method begins it."""
    for empty in (b"", b"\r\n", b"\n"):
        assert _passed(empty + REQUEST + b"\r\n", size, request=True) == (REQUEST + b"\r\n", "")
    for bad in (b"\x16\x03\x01", b" GET", b"GET  / HTTP/1.1\r\n", b"GET /\r\n", b"\r\n\r\n", b"\n\nGET"):
        assert _passed(bad, size, request=True)[1] == "an illegal start line"


@pytest.mark.parametrize("size", [1, 1000])
def test_trailers(size: int) -> None:
    """They have no start line, and may be empty."""
    for trailer in (b"\r\n", b"A: b\r\n\r\n"):
        assert _passed(trailer, size, start_line=False) == (trailer, "")
    for bad in (b"A\r\n", b" folded\r\n"):
        assert _passed(bad, size, start_line=False)[1] == "illegal header line"


@pytest.mark.parametrize("size", [7, 100_000])
def test_lines_are_limited(size: int) -> None:
    """As many as are allowed pass, and one more does not, however short they are."""
    most = STATUS + b"a:\r\n" * (MOST_LINES - 2) + b"\r\n"
    assert _passed(most, size) == (most, "")
    assert _passed(STATUS + b"a:\r\n" * MOST_LINES, size)[1] == "more lines in a head or trailer than the limit of 1000"


def test_the_first_fault_stays() -> None:
    """What is wrong further on does not hide it."""
    assert _passed(STATUS + b"bad\r\n" * 2 * MOST_LINES, 100_000)[1] == "illegal header line"
    assert _passed(b"bad\r\nbad", 1000)[1] == "an illegal start line"


def test_measuring() -> None:
    """What belongs to a head ends with its blank line, wherever the pieces are cut."""
    lines = HeadLines(request=False)
    assert lines.measure(STATUS + b"\r\nbody\n\n") == len(STATUS) + 2
    for cut in range(1, len(STATUS) + 1):
        lines.begin(start_line=True)
        assert lines.measure(STATUS[:cut]) == cut
        lines.take(STATUS[:cut])
        assert lines.measure(STATUS[cut:] + b"\r\nbody") == len(STATUS) - cut + 2
        lines.flush()
    lines.begin(start_line=False)
    assert lines.measure(bytearray(b"\r\n\r\n")) == 2
    assert lines.measure(b"A: b\n\nrest") == 6


def test_what_is_left_at_the_end() -> None:
    """A line that never ended is handed out, once."""
    lines = HeadLines(request=False)
    assert lines.take(STATUS + b"X: y") == STATUS
    assert lines.flush() == b"X: y"
    assert lines.flush() == b""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("illegal header line: bytearray(b'canary')", "illegal header line"),
        ("illegal status line: bytearray(b'canary')", "an illegal start line"),
        ("no request line received", "an illegal start line"),
        ("conflicting Content-Length headers", "conflicting Content-Length headers"),
    ],
)
def test_words_of_h11(said: str, words: str) -> None:
    """Nothing that was received is repeated, and a bad first line is called the same whatever was bad."""
    assert in_words(h11.RemoteProtocolError(said)) == words


@pytest.mark.parametrize("plain", [True, False])
def test_lines_of_interim_heads_are_limited_together(plain: bool) -> None:
    """However many heads they are in; the head of another message begins anew."""
    head = STATUS + (b"\r\n" if plain else b"Transfer-Encoding: a,b\r\n\r\n")
    lines = HeadLines(request=False)
    for _ in range(MOST_LINES // head.count(b"\n")):
        assert lines.take(head)
        lines.begin(start_line=True, interim=True)
    lines.begin(start_line=True)
    for _ in range(MOST_LINES // head.count(b"\n")):
        assert lines.take(head)
        lines.begin(start_line=True, interim=True)
    lines.take(head)
    assert lines.fault == "more lines in a head or trailer than the limit of 1000"
