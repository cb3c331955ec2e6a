"""Multipart forms: a form to the pieces of an upload, and bytes in any segmentation back to parts.

This module knows RFC 7578 (multipart/form-data), RFC 2046 section 5.1.1 (boundaries) and the WHATWG way of writing
names. It must not know what the parts are for, and it never opens a file: a file given as a path stays a piece of its
own, for the transport to open.

Text is sent as it is: unlike a browser, the encoder does not rewrite line ends, because transcripts must not be edited.
"""

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, TypeAlias, assert_never, final

from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError
from cartesia_proto.http import ContentPart, FilePart, Form, Part, TextPart, Upload

ReceivedPart: TypeAlias = TextPart | ContentPart
"""What a form is made of once it has arrived: there are no paths any more."""

BOUNDARY_CHARACTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
"""A part of what RFC 2046 section 5.1.1 allows; none of them needs quoting in a header."""

BOUNDARY_LENGTH: Final = 40
"""Below the 70 of RFC 2046 section 5.1.1, and with 206 random bits no file can be expected to contain it."""

BOUNDARY_DRAWS: Final = 8
"""How often a boundary that occurs in the content is drawn anew; a second time means that `random` is not random."""

DEFAULT_CONTENT_TYPE: Final = "text/plain"
"""Of a part that has none (RFC 7578 section 4.4)."""

MAX_PARTS: Final = 1000
"""Parts of one body; the default of Starlette for files and for fields, and of Django for fields."""

HEAD_LIMIT: Final = 16 * 1024
"""Bytes of one part's headers, and of one boundary line; the default of h11 for all headers of a message."""

_VERBATIM: Final = frozenset(
    {"", "7bit", "8bit", "binary"}
)  # codings that leave content as it is (RFC 2045 section 6.2)
_CONTENT_TYPE: Final = re.compile(r"[\t\x20-\x7e]+")
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")  # RFC 2046 section 5.1.1
_PARAMETER: Final = re.compile(r';[ \t]*+([!#$%&*+\-.^_`|~0-9A-Za-z]++)=(?:"([^"]*+)"|([^\s";]++))')
_LINE_END: Final = b"\r\n"
_ESCAPES: Final = {'"': "%22", "\r": "%0D", "\n": "%0A"}
"""WHATWG HTML standard section 4.10.21.8, "multipart/form-data encoding algorithm"."""


def encode(form: Form, random: Callable[[], float]) -> tuple[str, Upload]:
    """The Content-Type with its boundary, and the body as pieces; adjacent bytes are one piece.

    Args:
        random: gives numbers in [0, 1); the boundary is drawn from it until it occurs in no content given as bytes.

    Raises:
        LocalProtocolError: a text has a lone surrogate, a content type has a control character, or `random` keeps
            giving a boundary that occurs in the content.
    """
    boundary = _choose_boundary(form, random)
    pieces: list[bytes | FilePart] = []
    pending = b""
    for part in form.parts:
        pending += f"--{boundary}\r\n".encode() + _head(part)
        match part:
            case TextPart():
                pending += _utf8(part.text, f"the text of {part.name!r}")
            case ContentPart():
                pending += part.content
            case FilePart():
                pieces += [pending, part]
                pending = b""
            case _:
                assert_never(part)
        pending += b"\r\n"
    pieces.append(pending + f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", Upload(tuple(pieces))


def _choose_boundary(form: Form, random: Callable[[], float]) -> str:
    contents = [part.content for part in form.parts if isinstance(part, ContentPart)]
    contents += [_utf8(part.text, f"the text of {part.name!r}") for part in form.parts if isinstance(part, TextPart)]
    for _ in range(BOUNDARY_DRAWS):
        boundary = "".join(
            BOUNDARY_CHARACTERS[int(random() * len(BOUNDARY_CHARACTERS))] for _ in range(BOUNDARY_LENGTH)
        )
        if not any(boundary.encode() in content for content in contents):
            return boundary
    raise LocalProtocolError("every boundary drawn occurs in the content: `random` does not give random numbers")


def _head(part: Part) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{_escape(part.name)}"'
    if isinstance(part, TextPart):
        return _utf8(f"{disposition}\r\n\r\n", f"the name {part.name!r}")
    if not _CONTENT_TYPE.fullmatch(part.content_type):
        raise LocalProtocolError(f"the content type {part.content_type!r} of {part.name!r} is not printable ASCII")
    disposition += f'; filename="{_escape(part.filename)}"'
    return _utf8(f"{disposition}\r\nContent-Type: {part.content_type}\r\n\r\n", f"the name or filename {part.name!r}")


def _escape(name: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in name)


def _unescape(name: str) -> str:
    return name.replace("%0A", "\n").replace("%0D", "\r").replace("%22", '"')


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise LocalProtocolError(f"{what} has a lone surrogate, which UTF-8 cannot carry") from None


class _State(Enum):
    """What the next bytes belong to. In this order, back from CONTENT to BOUNDARY, ending in EPILOGUE."""

    PREAMBLE = auto()
    BOUNDARY = auto()
    HEADERS = auto()
    CONTENT = auto()
    EPILOGUE = auto()


@final
class MultipartDecoder:
    """Turns the bytes of one multipart/form-data body into parts; used by the server half.

    Args:
        content_type: the value of the request's Content-Type.
        limit: bytes of the whole body; no more than that is ever held. `MAX_PARTS` and `HEAD_LIMIT` hold too, because
            a short part or line takes many times its length once it is an object.

    Every part that is complete before a violation is returned; the next and every later call raises the same
    `RemoteProtocolError`.

    Raises:
        RemoteProtocolError: the content type is another, or has no usable boundary.
    """

    def __init__(self, content_type: str, limit: int) -> None:
        self._delimiter = b"\r\n--" + _boundary_of(content_type).encode()
        self._limit = limit
        self._received = 0
        self._buffer = bytearray(b"\r\n")  # so that a boundary at the very start is one like the others
        self._searched = 0
        self._state = _State.PREAMBLE
        self._headers: list[str] = []
        self._head_size = 0  # of the headers, and of the boundary line before them
        self._parts = 0
        self._failure: RemoteProtocolError | None = None

    def receive_data(self, data: bytes) -> list[ReceivedPart]:
        """The parts that these bytes complete.

        Raises:
            RemoteProtocolError: an earlier call met a malformed part, or the limit.
        """
        self._check()
        parts: list[ReceivedPart] = []
        room = self._limit - self._received
        self._received += len(data)
        try:
            self._buffer += data[:room]
            while self._step(parts):
                pass
            if len(data) > room:
                raise RemoteProtocolError(f"the multipart body exceeds {self._limit} bytes")
        except RemoteProtocolError as error:
            self._failure = error
            self._buffer.clear()
        return parts

    def receive_eof(self) -> None:
        """The body has ended.

        Raises:
            RemoteProtocolError: it ended before its closing boundary, or as `receive_data`.
        """
        self._check()
        if self._state is not _State.EPILOGUE:
            raise RemoteProtocolError("the multipart body ends before its closing boundary")

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def _step(self, parts: list[ReceivedPart]) -> bool:
        """Take one thing off the buffer; False where it needs more bytes."""
        match self._state:
            case _State.PREAMBLE:
                return self._step_preamble()
            case _State.BOUNDARY:
                return self._step_boundary()
            case _State.HEADERS:
                return self._step_headers()
            case _State.CONTENT:
                return self._step_content(parts)
            case _State.EPILOGUE:
                self._buffer.clear()  # to be ignored (RFC 2046 section 5.1.1)
                return False
            case _:
                assert_never(self._state)

    def _step_preamble(self) -> bool:
        if self._take_until(self._delimiter) is None:
            del self._buffer[: self._searched]
            self._searched = 0
            return False
        self._state = _State.BOUNDARY
        return True

    def _step_boundary(self) -> bool:
        """The rest of a boundary line: two hyphens if it is the last, else white space alone."""
        if self._buffer.startswith(b"--"):
            self._state = _State.EPILOGUE
            return True
        self._headers.clear()
        self._head_size = 0
        rest = self._take_line()
        if rest is None:
            return False
        if rest.strip(b" \t"):
            raise RemoteProtocolError("a boundary of the multipart body has other text after it on its line")
        self._state = _State.HEADERS
        return True

    def _step_headers(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        if not line:
            self._state = _State.CONTENT
        elif line[:1] in b" \t" and self._headers:  # a folded line goes on with the one before (RFC 5322 section 2.2.3)
            self._headers[-1] += _decode(line, "a header")
        else:
            self._headers.append(_decode(line, "a header"))
        return True

    def _take_line(self) -> bytes | None:
        """The next line of a part's head, without its end.

        Raises:
            RemoteProtocolError: the head is over its limit, whether or not all of the line has arrived.
        """
        line = self._take_until(_LINE_END)
        size = len(self._buffer) - self._buffer.endswith(b"\r") if line is None else len(line)
        if self._head_size + size + len(_LINE_END) > HEAD_LIMIT:
            raise RemoteProtocolError(f"the head of a part of the multipart body exceeds {HEAD_LIMIT} bytes")
        self._head_size += 0 if line is None else size + len(_LINE_END)
        return line

    def _step_content(self, parts: list[ReceivedPart]) -> bool:
        content = self._take_until(self._delimiter)
        if content is None:
            return False
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise RemoteProtocolError(f"the multipart body has more than {MAX_PARTS} parts")
        parts.append(_part(self._headers, content))
        self._state = _State.BOUNDARY
        return True

    def _take_until(self, mark: bytes) -> bytes | None:
        """What stands before a mark, both taken off the buffer; bytes once searched are not searched again."""
        index = self._buffer.find(mark, self._searched)
        if index < 0:
            self._searched = max(0, len(self._buffer) - len(mark) + 1)
            return None
        taken = bytes(memoryview(self._buffer)[:index])
        del self._buffer[: index + len(mark)]
        self._searched = 0
        return taken


def _boundary_of(content_type: str) -> str:
    media_type, _, _ = content_type.partition(";")
    if media_type.strip().lower() != "multipart/form-data":
        raise RemoteProtocolError("the content type is not multipart/form-data")
    boundary = header_parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise RemoteProtocolError("the content type has no boundary, or one that RFC 2046 section 5.1.1 forbids")
    return boundary


def header_parameters(value: str) -> dict[str, str]:
    """The parameters of a header value, by lower-case name; the first of a name counts."""
    found: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(value):
        found.setdefault(name.lower(), quoted or bare)
    return found


def _decode(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError(f"{what} of the multipart body is not UTF-8") from None


def _part(lines: list[str], content: bytes) -> ReceivedPart:
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    kind, _, _ = headers.get("content-disposition", "").partition(";")
    parameters = header_parameters(headers.get("content-disposition", ""))
    if kind.strip().lower() != "form-data" or "name" not in parameters:
        raise RemoteProtocolError("a part of the multipart body has no Content-Disposition: form-data with a name")
    if headers.get("content-transfer-encoding", "").lower() not in _VERBATIM:  # deprecated by RFC 7578 section 4.7
        raise RemoteProtocolError(
            "a part of the multipart body has a Content-Transfer-Encoding that changes its content"
        )
    name = _unescape(parameters["name"])
    if "filename" not in parameters:
        return TextPart(name, _decode(content, f"the text of {name!r}"))
    content_type = headers.get("content-type", DEFAULT_CONTENT_TYPE)
    return ContentPart(name, content, _unescape(parameters["filename"]), content_type)
