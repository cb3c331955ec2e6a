"""The lines of a head or a trailer, looked at as they arrive.

This module knows what a start line and a field line may be (RFC 9112 sections 2.2, 3, 4 and 5). It must not know what
they mean: h11 is given them and says so.

h11 looks at a head when its blank line has come. So a peer that speaks something else, such as an SSH or a mail server
with its greeting, would be waited for until the read timeout. Here a line that can be none is refused when it is seen,
and by the same rules, so nothing is refused that h11 would accept; a property test holds that. Beyond h11, an empty
line before a request is skipped, and empty elements of Transfer-Encoding are ignored.
"""

import re
from typing import Final, final

import h11

MOST_LINES: Final = 1000
"""Lines of one head or trailer. Our choice: ten times what common servers allow; each takes several objects, however
short it is. Interim responses count with the head that they precede, each of them being a head of its own."""

STATUS_LINE: Final = re.compile(rb"HTTP/[0-9]\.[0-9] [0-9]{3}(?: [^\x00\n-\r]*)?")
REQUEST_LINE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~]+ HTTP/[0-9]\.[0-9]")
"""RFC 9112 sections 4 and 3; a status line may lack its reason, as common servers leave it out."""

_FIELD: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00\n-\r]*)")  # RFC 9112 section 5, in h11's reading
_PLAIN_HEAD: Final = re.compile(
    rb"HTTP/[0-9]\.[0-9] [0-9]{3}(?: [^\x00\n-\r]*)?\r\n"
    rb"(?:(?![Tt])[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00\n-\r]*\r\n|[Tt][!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^,\x00\n-\r]*\r\n)*\r\n"
)
"""A whole head of a response, as nearly all are: every line good, and no list that may be one of transfer codings."""

_FOLDED: Final = re.compile(rb"[ \t][^\x00\n-\r]*")  # RFC 9112 section 5.2
_STATUS: Final = slice(9, 12)  # where it stands in a status line
_START_OF_STATUS: Final = b"HTTP/0.0 000"
_START_OF_REQUEST: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z\r]")
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
"""The end of a head; a lone line feed is a line end as well (RFC 9112 section 2.2)."""

_QUOTATION: Final = re.compile(r"[:\s]+(?:bytearray\()?b?['\"]")
_REFUSED_START: Final = re.compile(r"(?:illegal|no) (?:request|response|status) line.*")
_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")


def in_words(error: h11.RemoteProtocolError) -> str:
    """What h11 found, without what it quotes; which words it has for a bad first line depends on how that was cut."""
    return _REFUSED_START.sub("an illegal start line", _QUOTATION.split(str(error), maxsplit=1)[0])


@final
class HeadLines:
    """Passes lines on once they are whole, as long as they can be lines of a head.

    Args:
        request: heads begin with a request line, and may have an empty line before it; else with a status line.

    Attributes:
        fault: in words, what was wrong with the first line that can be none; nothing is passed on any more.
        status: the digits of the present head's status line, once it is there.
    """

    __slots__ = ("_count", "_foldable", "_last", "_part", "_request", "_skipped", "_start", "fault", "status")

    def __init__(self, *, request: bool) -> None:
        self.fault: str = ""
        self._request = request
        self._count = 0
        self._part = bytearray()  # of a line that is not whole
        self.begin(start_line=True)

    def begin(self, *, start_line: bool, interim: bool = False) -> None:
        """Expect the first line of a head, maybe after an interim one, or, without a start line, of a trailer."""
        self.status: bytes = b""
        self._start = start_line
        self._skipped = False
        self._foldable = False  # a field was passed on, which a folded line may go on with
        self._count = self._count if interim else 0
        self._last = b"" if start_line else b"\n"  # the last bytes taken, which may be part of a blank line

    def measure(self, data: bytes | bytearray) -> int:
        """How many of these bytes belong to the present head or trailer: up to its blank line, or all."""
        found = _BLANK_LINE.search(self._last + data)
        return len(data) if found is None else found.end() - len(self._last)

    def take(self, data: bytes) -> bytes:
        """The lines that these bytes complete; no more may be given than `measure` answers."""
        self._last = (self._last + data)[-2:]
        if self._start and not self._part and _PLAIN_HEAD.fullmatch(data):
            count = data.count(b"\n")
            if self._count + count <= MOST_LINES:
                self._count += count
                self.status = data[_STATUS]
                return data
        if b"\n" not in data:
            self._part += data
            lines: list[bytes] = []
        else:
            *lines, rest = bytes(self._part + data).split(b"\n")
            self._part = bytearray(rest)
        passed = b"".join(map(self._pass, lines))
        if self._start and self._part and not self._may_begin():
            self.fault = self.fault or "an illegal start line"
        return passed

    def flush(self) -> bytes:
        """What is left of a line when the input ends."""
        part, self._part = bytes(self._part), bytearray()
        return part

    def _may_begin(self) -> bool:
        """Whether what has arrived of a start line may become one, as far as can be told cheaply."""
        if self._request:
            return _START_OF_REQUEST.match(self._part) is not None
        return _START_OF_STATUS.startswith(self._part[: len(_START_OF_STATUS)].translate(_DIGITS))

    def _pass(self, line: bytes) -> bytes:
        content = line.removesuffix(b"\r")
        if self._start and self._request and not (content or self._skipped):
            self._skipped = True  # a server should ignore one (RFC 9112 section 2.2)
            return b""
        self._count += 1
        fault, passed = self._judge(content)
        self.fault = self.fault or fault
        return (passed or line) + b"\n"

    def _judge(self, content: bytes) -> tuple[str, bytes]:
        """What is wrong with a line, and what to pass on in place of it, if anything."""
        if self._count > MOST_LINES:
            return f"more lines in a head or trailer than the limit of {MOST_LINES}", b""
        if self._start:
            self._start = False
            good = (REQUEST_LINE if self._request else STATUS_LINE).fullmatch(content)
            self.status = content[_STATUS] if good and not self._request else b""
            return "" if good else "an illegal start line", b""
        if not content or (self._foldable and _FOLDED.fullmatch(content)):
            return "", b""
        field = _FIELD.fullmatch(content)
        if field is None:
            return "illegal header line", b""
        self._foldable = True
        return "", _without_empty_elements(field[1], field[2])


def _without_empty_elements(name: bytes, value: bytes) -> bytes:
    """A Transfer-Encoding without the empty elements that a recipient must ignore (RFC 9110 section 5.6.1.2)."""
    if name.lower() != b"transfer-encoding" or b"," not in value:
        return b""
    return name + b": " + b", ".join(filter(None, (element.strip(b" \t") for element in value.split(b","))))
