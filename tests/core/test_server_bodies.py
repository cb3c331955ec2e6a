"""Bodies by their content type."""

import pytest

from cartesia_proto.codecs import multipart
from cartesia_proto.http import ContentPart, Form, Headers, TextPart
from cartesia_proto.server.bodies import ReceivedForm, read_form, read_json
from cartesia_proto.server.fields import Fields, Texts
from cartesia_proto.server.problems import Problem
from cartesia_proto.testing import half


def typed(content_type: str) -> Headers:
    """Headers with this content type."""
    return Headers([("Content-Type", content_type)])


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json ;; Charset=utf-8 ;",
        "application/json; profile=x",
    ],
)
def test_a_json_object_is_read(content_type: str) -> None:
    """With or without its one possible charset."""
    assert read_json(typed(content_type), b'{"a": 1}') == Fields({"a": 1})


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        (Headers(), b"{}", "must be application/json"),
        (typed("text/plain"), b"{}", "must be application/json"),
        (typed("application/json; charset=latin-1"), b"{}", "UTF-8"),
        (typed("application/json"), b"", "no acceptable JSON"),
        (typed("application/json"), b"{nonsense", "no acceptable JSON"),
        (typed("application/json"), b"[1]", "must be a JSON object, not an array"),
    ],
)
def test_anything_else_is_no_json_object(headers: Headers, body: bytes, said: str) -> None:
    """400, also for the content type."""
    with pytest.raises(Problem, match=said) as refused:
        read_json(headers, body)
    assert refused.value.status == 400


def form(*parts: TextPart | ContentPart) -> ReceivedForm:
    """A form, sent and received."""
    content_type, upload = multipart.encode(Form(parts), half)
    body = b"".join(piece for piece in upload.pieces if isinstance(piece, bytes))
    return read_form(typed(content_type), body)


def test_a_form_is_read_into_texts_and_files() -> None:
    """Each by its name."""
    received = form(TextPart("name", "n"), ContentPart("clip", b"\x00\x01"))
    assert received.texts == Texts((("name", "n"),))
    assert received.file("clip") == received.required_file("clip") == b"\x00\x01"
    assert received.file("other") is None


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((), "clip is required"),
        ((TextPart("clip", "text"),), "needs a filename"),
        ((ContentPart("clip", b""),), "is empty"),
        ((ContentPart("clip", b"1"), ContentPart("clip", b"2")), "given 2 times"),
    ],
)
def test_a_file_must_be_one_file(parts: tuple[TextPart | ContentPart, ...], said: str) -> None:
    """There, once, as a file, with something in it."""
    with pytest.raises(Problem, match=said) as refused:
        form(*parts).required_file("clip")
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        (Headers(), b"", "not multipart/form-data"),
        (typed("application/json"), b"{}", "not multipart/form-data"),
        (typed("multipart/form-data; boundary=b"), b"--b\r\n", "before its closing boundary"),
        (typed("multipart/form-data; boundary=b"), b"--b\r\nX: y\r\n\r\nz\r\n--b--\r\n", "Content-Disposition"),
    ],
)
def test_anything_else_is_no_form(headers: Headers, body: bytes, said: str) -> None:
    """400, also for the content type."""
    with pytest.raises(Problem, match=said) as refused:
        read_form(headers, body)
    assert refused.value.status == 400
