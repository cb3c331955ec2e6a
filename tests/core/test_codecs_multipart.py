"""Multipart forms: exact bytes out, tolerant of any cut, strict about the form, in."""

from collections.abc import Callable
from itertools import cycle

import pytest

from cartesia_proto.codecs.multipart import HEAD_LIMIT, MAX_PARTS, MultipartDecoder, ReceivedPart, encode
from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError
from cartesia_proto.http import ContentPart, FilePart, Form, TextPart

BOUNDARY = "0" * 40


def _zero() -> float:
    return 0.0


def _numbers(*numbers: float) -> Callable[[], float]:
    return cycle(numbers).__next__


def _body(form: Form) -> bytes:
    (piece,) = encode(form, _zero)[1].pieces
    assert isinstance(piece, bytes)
    return piece


def test_exact_bytes() -> None:
    """A form of texts and contents is one piece, laid out as RFC 7578 has it, with nothing edited."""
    form = Form((TextPart("transcript", "Grüß\ndich"), ContentPart("clip", b"\0\xff", "a.wav", "audio/wav")))
    content_type, upload = encode(form, _zero)
    assert content_type == f"multipart/form-data; boundary={BOUNDARY}"
    assert upload.pieces == (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="transcript"\r\n\r\n'
        "Grüß\ndich\r\n"
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="clip"; filename="a.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n".encode()
        + b"\0\xff\r\n"
        + f"--{BOUNDARY}--\r\n".encode(),
    )


def test_files_stay_pieces() -> None:
    """A file given as a path is a piece of its own, and the bytes around it are merged."""
    file = FilePart("clip", "recordings/voice.wav", content_type="audio/wav")
    _, upload = encode(Form((TextPart("a", "1"), file, TextPart("b", "2"))), _zero)
    before, middle, after = upload.pieces
    assert middle is file
    assert isinstance(before, bytes)
    assert isinstance(after, bytes)
    assert before.endswith(b'name="clip"; filename="voice.wav"\r\nContent-Type: audio/wav\r\n\r\n')
    assert after.startswith(f"\r\n--{BOUNDARY}\r\n".encode())


def test_no_parts() -> None:
    """A form without parts is its closing boundary alone."""
    assert _body(Form(())) == f"--{BOUNDARY}--\r\n".encode()


def test_names_are_escaped() -> None:
    """Quotes and line ends in names cannot end a header; other text stands there in UTF-8."""
    body = _body(Form((ContentPart('a"b\r\nX: y', b"", 'ü"\n.wav'),)))
    assert 'name="a%22b%0D%0AX: y"; filename="ü%22%0A.wav"\r\n'.encode() in body


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (Form((TextPart("a", "\ud800"),)), "the text of 'a' has a lone surrogate"),
        (Form((TextPart("\ud800", "a"),)), "the name .* has a lone surrogate"),
        (Form((ContentPart("a", b"", "\ud800"),)), "the name or filename 'a' has a lone surrogate"),
        (Form((ContentPart("a", b"", "b", "audio/wav\r\nX: y"),)), "the content type .* of 'a' is not printable"),
        (Form((FilePart("a", "b", content_type=""),)), "the content type '' of 'a' is not printable"),
    ],
)
def test_bad_forms(form: Form, message: str) -> None:
    """What no header or UTF-8 text can carry is refused before anything is sent."""
    with pytest.raises(LocalProtocolError, match=message):
        encode(form, _zero)


def test_boundary_is_drawn_from_random() -> None:
    """The boundary follows `random` over its whole range."""
    content_type, _ = encode(Form(()), _numbers(0.0, 0.5, 0.999999))
    assert content_type.endswith("=" + ("0iz" * 14)[:40])


@pytest.mark.parametrize("part", [TextPart("a", f"x{BOUNDARY}"), ContentPart("a", BOUNDARY.encode())])
def test_boundary_is_drawn_again(part: TextPart | ContentPart) -> None:
    """A boundary that occurs in a content is not used."""
    draws = iter([0.0] * 40 + [0.5] * 40)
    content_type, _ = encode(Form((part,)), draws.__next__)
    assert content_type.endswith("=" + "i" * 40)


def test_random_that_is_not() -> None:
    """A `random` that always gives the same cannot make the search for a boundary endless."""
    with pytest.raises(LocalProtocolError, match="does not give random numbers"):
        encode(Form((TextPart("a", BOUNDARY),)), _zero)


def _decode(body: bytes, content_type: str = "multipart/form-data; boundary=x") -> list[ReceivedPart]:
    decoder = MultipartDecoder(content_type, limit=1000)
    parts = decoder.receive_data(body)
    decoder.receive_eof()
    return parts


DISPOSITION = b'Content-Disposition: form-data; name="a"\r\n'


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"--x--", []),
        (b"--x--\r\nepilogue\r\n--x\r\n", []),
        (b"preamble\r\n--x--\r\n", []),
        (b"--x\r\n" + DISPOSITION + b"\r\n\r\n--x--\r\n", [TextPart("a", "")]),
        (b"--x \t\r\n" + DISPOSITION + b"\r\n--y\r\n-\r\n--x--", [TextPart("a", "--y\r\n-")]),
        (
            b"--x\r\ncontent-TYPE:a/b\r\nCONTENT-disposition:Form-Data;Name=a;filename=b%22\r\n\r\n\xff\r\n--x--",
            [ContentPart("a", b"\xff", 'b"', "a/b")],
        ),
        (
            b"preamble\r\n--x\r\nContent-Disposition: form-data;\r\n\t name=a;\r\n filename=b\r\n\r\nc\r\n--x-- \t\r\n",
            [ContentPart("a", b"c", "b", "text/plain")],
        ),
        (
            b"--x\r\n" + DISPOSITION + b"Content-Transfer-Encoding: 8BIT\r\n\r\nc\r\n--x--",
            [TextPart("a", "c")],
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="a;\xc3\xbc"; filename=""\r\n\r\n\r\n--x--',
            [ContentPart("a;ü", b"", "", "text/plain")],
        ),
    ],
)
def test_bodies(body: bytes, parts: list[ReceivedPart]) -> None:
    """Preambles, epilogues, padding, folded lines, header names in any case, absent types: all as the RFCs allow."""
    assert _decode(body) == parts


@pytest.mark.parametrize(
    "content_type",
    [
        "MULTIPART/Form-Data; charset=utf-8; Boundary=x",
        'multipart/form-data;boundary="x"',
        "multipart/form-data ; boundary=x",
    ],
)
def test_content_types(content_type: str) -> None:
    """The boundary is found however the header spells it."""
    assert _decode(b"--x\r\n" + DISPOSITION + b"\r\nb\r\n--x--", content_type) == [TextPart("a", "b")]


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        ("application/json", "not multipart/form-data"),
        ("", "not multipart/form-data"),
        ("multipart/form-data", "no boundary"),
        ('multipart/form-data; boundary=""', "no boundary"),
        ('multipart/form-data; boundary="x "', "no boundary"),
        (f"multipart/form-data; boundary={'x' * 71}", "no boundary"),
        ("multipart/form-data; boundary=x{", "no boundary"),
    ],
)
def test_bad_content_types(content_type: str, message: str) -> None:
    """Another media type, or a boundary that cannot be one, is refused before any byte."""
    with pytest.raises(RemoteProtocolError, match=message):
        MultipartDecoder(content_type, limit=1000)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (b"--xyz\r\n", "other text after it"),
        (b"--x\r\n\r\nb\r\n--x--", "no Content-Disposition"),
        (b"--x\r\nContent-Disposition: attachment; name=a\r\n\r\nb\r\n--x--", "no Content-Disposition"),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\nb\r\n--x--", "no Content-Disposition"),
        (b"--x\r\nX: \xff\r\n\r\nb\r\n--x--", "a header of the multipart body is not UTF-8"),
        (b"--x\r\n" + DISPOSITION + b"\r\n\xff\r\n--x--", "the text of 'a' of the multipart body is not UTF-8"),
        (
            b"--x\r\n" + DISPOSITION + b"Content-Transfer-Encoding: base64\r\n\r\nYg==\r\n--x--",
            "a Content-Transfer-Encoding that changes its content",
        ),
        (b"--x\r\n" + b"X" * 1000, "the multipart body exceeds 1000 bytes"),
    ],
)
def test_bad_bodies(rest: bytes, message: str) -> None:
    """The parts before a violation are returned, then every call raises the same error."""
    decoder = MultipartDecoder("multipart/form-data; boundary=x", limit=1000)
    assert decoder.receive_data(b"--x\r\n" + DISPOSITION + b"\r\nb\r\n" + rest) == [TextPart("a", "b")]
    with pytest.raises(RemoteProtocolError, match=message) as first:
        decoder.receive_data(b"")
    with pytest.raises(RemoteProtocolError) as second:
        decoder.receive_eof()
    assert first.value is second.value


@pytest.mark.parametrize(
    "body", [b"", b"--x", b"--x-", b"--x\r\n" + DISPOSITION, b"--x\r\n" + DISPOSITION + b"\r\nb\r\n--x"]
)
def test_truncated(body: bytes) -> None:
    """A body that ends before its closing boundary is not taken for whole."""
    with pytest.raises(RemoteProtocolError, match="ends before its closing boundary"):
        _decode(body)


def test_byte_by_byte() -> None:
    """Each part is returned with the byte that completes its delimiter; nothing waits for the end of the body."""
    body = b"preamble\r\n--x\r\n" + DISPOSITION + b"\r\nb\r\n--x--\r\nepilogue"
    decoder = MultipartDecoder("multipart/form-data; boundary=x", limit=len(body))
    received = [decoder.receive_data(body[i : i + 1]) for i in range(len(body))]
    assert received[body.index(b"--x--") + 2] == [TextPart("a", "b")]
    assert [part for parts in received for part in parts] == [TextPart("a", "b")]
    decoder.receive_eof()


def _refusal(pieces: list[bytes]) -> tuple[list[ReceivedPart], int, str]:
    """The parts before a refusal, the index of the piece that brought it, and its words."""
    decoder = MultipartDecoder("multipart/form-data; boundary=x", limit=10**7)
    parts: list[ReceivedPart] = []
    for index, piece in enumerate(pieces):
        try:
            parts += decoder.receive_data(piece)
            decoder.receive_data(b"")
        except RemoteProtocolError as error:
            return parts, index, str(error)
    return parts, len(pieces), ""


@pytest.mark.parametrize("line", [b"a\r\n", b"a" * 2 * HEAD_LIMIT, b"a: " + b"b" * 97 + b"\r\n"])
def test_heads_are_bounded(line: bytes) -> None:
    """Headers of a part, many or long, are refused with the byte that is too much, however they are cut."""
    head = b"--x\r\n" + line * (2 * HEAD_LIMIT // len(line))
    parts, index, words = _refusal([head[i : i + 1] for i in range(len(head))])
    assert (parts, words) == ([], f"the head of a part of the multipart body exceeds {HEAD_LIMIT} bytes")
    assert HEAD_LIMIT - 2 <= index <= HEAD_LIMIT + 3
    assert _refusal([head]) == ([], 0, words)
    padding = b"--x" + b" " * 2 * HEAD_LIMIT
    assert _refusal([padding]) == ([], 0, words)


def test_a_head_of_exactly_the_limit() -> None:
    """The boundary line counts from behind the boundary; all of the head up to its blank line counts."""
    head = DISPOSITION + b"X: " + b"y" * (HEAD_LIMIT - len(DISPOSITION) - 9)
    for more, parts in ((b"", [TextPart("a", "b")]), (b"y", [])):
        body = b"--x\r\n" + head + more + b"\r\n\r\nb\r\n--x--"
        assert _refusal([body[i : i + 1] for i in range(len(body))])[0] == parts
        assert _refusal([body])[0] == parts


def test_parts_are_bounded() -> None:
    """As many parts as are allowed come, and the next is refused."""
    part = b"--x\r\n" + DISPOSITION + b"\r\n\r\n"
    parts, _, words = _refusal([part * (MAX_PARTS + 1) + b"--x--"])
    assert parts == [TextPart("a", "")] * MAX_PARTS
    assert words == f"the multipart body has more than {MAX_PARTS} parts"
    assert _refusal([part * MAX_PARTS + b"--x--"])[2] == ""
