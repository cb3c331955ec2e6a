"""HTTP messages as frozen values, and nothing that sends them.

This module knows what a header, a request, a response and the parts of an upload are, and which of them must not be
shown. It must not know endpoints, versions, how JSON or a form is encoded, or bytes on a wire: `codecs` and `wire` do.

Two stages of a request are two types. An `UnsignedRequest` is what an endpoint renders: a path, no host, no
credentials, a form not yet encoded. A `Request` is what a transport sends: absolute, signed, its body ready.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, Protocol, SupportsIndex, TypeAlias, final, runtime_checkable
from urllib.parse import quote, unquote, urlencode, urlsplit

from attrs import Factory, evolve, field, frozen

from cartesia_proto.credentials import Secret
from cartesia_proto.discretion import REDACTED, discreet, hide_secrets, holds_secrets, words_of
from cartesia_proto.errors import JsonValue, LocalProtocolError
from cartesia_proto.hosts import host_of

Method: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""Sending such a request twice does what sending it once does (RFC 9110 section 9.2.2)."""

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
"""RFC 9110 sections 4.2.1 and 4.2.2."""

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_FORBIDDEN_IN_VALUE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 section 5.5: no control but tab
_SECRET_NAME: Final = re.compile(r"auth|cookie|key(?!term)|token|secret|password", re.IGNORECASE)
"""`keyterm` is a parameter of speech to text (protocol section 2.0)."""


def looks_secret(name: str) -> bool:
    """Whether a header or parameter of this name is treated as a secret: never shown, never pickled."""
    return _SECRET_NAME.search(name) is not None


def _header_text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise LocalProtocolError(f"{what} must be a string, not {type(value).__name__}")
    return value


def _header(name: str, value: str | Secret) -> tuple[str, str | Secret]:
    name = _header_text("a header name", name)
    if not _TOKEN.fullmatch(name):
        said = _TOKEN.match(name)  # and no more of it: a whole header line given as a name may hold a secret
        after = f" after {said[0]!r}" if said else ""
        raise LocalProtocolError(f"a header name has a forbidden character{after} (RFC 9110 section 5.6.2)")
    text = _header_text(f"the value of header {name}", value.reveal() if isinstance(value, Secret) else value)
    if _FORBIDDEN_IN_VALUE.search(text):
        raise LocalProtocolError(f"the value of header {name} has a line break or another control character")
    if not text.isascii():
        raise LocalProtocolError(f"the value of header {name} is not ASCII: percent-encode or leave it out")
    return name, Secret(text) if looks_secret(name) else value


@final
@holds_secrets
class Headers:
    """An immutable list of header fields, looked up without regard to case.

    Fields whose name looks secret (`Authorization`, `X-API-Key`, `Cookie`, …) are held as `Secret`: they show as
    ``***`` and refuse pickling; `reveal()` is the one way to their values.

    Raises:
        LocalProtocolError: a name is no token, or a value has CR, LF, another control character or non-ASCII text.
            Headers that came from a server are not checked: see `received`.
    """

    __slots__ = ("_fields",)
    _fields: tuple[tuple[str, str | Secret], ...]

    def __init__(self, fields: Iterable[tuple[str, str | Secret]] = ()) -> None:
        checked = [_header(name, value) for name, value in fields]  # no generator: see `discretion.forget_locals`
        self._fields = tuple(checked)

    @classmethod
    def received(cls, fields: Iterable[tuple[str, str]]) -> "Headers":
        """Headers a peer sent: kept as they are, secrets wrapped."""
        return cls._unchecked((name, Secret(text) if looks_secret(name) else text) for name, text in fields)

    @classmethod
    def _unchecked(cls, fields: Iterable[tuple[str, str | Secret]]) -> "Headers":
        headers = cls()
        headers._fields = tuple(fields)
        return headers

    def get(self, name: str) -> str | None:
        """The first value of a field, ``***`` for a secret one, None where there is no such field."""
        for key, value in self._fields:
            if key.lower() == name.lower():
                return str(value)
        return None

    @discreet
    def merged(self, fields: "Iterable[tuple[str, str | Secret]]") -> "Headers":
        """These headers with others added; a field given there replaces every one of its name here."""
        added = [_header(name, value) for name, value in fields]
        names = {name.lower() for name, _ in added}
        return Headers._unchecked((*(pair for pair in self._fields if pair[0].lower() not in names), *added))

    def reveal(self) -> tuple[tuple[str, str], ...]:
        """Every field with its true value, for the wire and nothing else."""
        return tuple((name, v.reveal() if isinstance(v, Secret) else v) for name, v in self._fields)

    def __iter__(self) -> Iterator[tuple[str, str | Secret]]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __reduce__(self) -> "tuple[Callable[[Iterable[tuple[str, str | Secret]]], Headers], tuple[object]]":
        return Headers._unchecked, (self._fields,)  # what a peer sent would not pass the check for what we send

    def __repr__(self) -> str:
        return f"Headers({list(self._fields)!r})"


@runtime_checkable
class SupportsPath(Protocol):
    """A path object, such as `pathlib.Path`."""

    def __fspath__(self) -> str:
        """The path as a string."""
        ...


def _path(value: str | SupportsPath) -> str:
    return value if isinstance(value, str) else value.__fspath__()


@frozen
class TextPart:
    """One plain field of a multipart form."""

    name: str
    text: str


@frozen
class ContentPart:
    """One file of a multipart form, given as bytes."""

    name: str
    content: bytes = field(converter=bytes, repr=False)
    filename: str = "upload"
    content_type: str = "application/octet-stream"


@frozen
class FilePart:
    """One file of a multipart form, given as a path: a value, which the transport opens and streams when it sends.

    Args:
        path: where the file is. The core never opens it: the transport does once for each call, before it connects, and
            a missing file is its `OSError`. Every attempt sends what was opened. A pipe or another file without a
            length is read whole first, up to 64 MiB; an empty file, and one whose length changes while it is sent, are
            a `LocalProtocolError`.
        filename: the name told to the server; by default the last component of the path.
    """

    name: str
    path: str = field(converter=_path)
    filename: str = field(default=Factory(lambda self: re.split(r"[/\\]", self.path)[-1], takes_self=True))
    content_type: str = "application/octet-stream"


Part: TypeAlias = TextPart | ContentPart | FilePart


@frozen
class Form:
    """A multipart/form-data body before it is encoded (RFC 7578)."""

    parts: tuple[Part, ...]


@frozen
class Upload:
    """A body made of pieces, some of them files still to be opened. Every retry sends all of them again."""

    pieces: tuple[bytes | FilePart, ...] = field(repr=False)

    @property
    def files(self) -> tuple[FilePart, ...]:
        """The files to open, in the order they are sent."""
        return tuple(piece for piece in self.pieces if isinstance(piece, FilePart))

    def length(self, file_sizes: Iterable[int]) -> int:
        """The value of Content-Length in bytes, once the transport knows the size of each of `files`."""
        return sum(len(piece) for piece in self.pieces if isinstance(piece, bytes)) + sum(file_sizes)


@frozen
class JsonBody:
    """A JSON body before it is encoded."""

    value: JsonValue = field(repr=False)


@frozen
class UnsignedRequest:
    """What an endpoint asks, before it is known of whom and on whose behalf.

    Attributes:
        path: percent-encoded, begins with a slash; joined to the base URL's own path.
        query: pairs, in order; a name may repeat.
        accept: the value of the Accept header (protocol section 2.0).
    """

    method: Method
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: JsonBody | Form | None = None
    accept: str = "application/json"


def _no_userinfo(_: object, __: object, url: str) -> None:
    if urlsplit(url).username is not None:
        raise LocalProtocolError("the URL carries a user name or password: leave them out")


@holds_secrets
@frozen
class Request:
    """What a transport sends: absolute, signed, ready. It refuses pickling when it holds a credential.

    Attributes:
        url: absolute, with the query.
        headers: complete except for Host and for the framing (Content-Length), which the transport adds.
    """

    method: Method
    url: str = field(validator=_no_userinfo, repr=lambda url: repr(redact_url(url)))
    headers: Headers
    body: bytes | Upload = field(default=b"", repr=False)

    @property
    def host(self) -> str:
        """The host to connect to, as a look-up wants it: without brackets, with the zone of an IPv6 address."""
        return host_of(self.url).lookup

    @property
    def port(self) -> int:
        """The port to connect to."""
        parts = urlsplit(self.url)
        return parts.port or DEFAULT_PORTS[parts.scheme]

    @property
    def secure(self) -> bool:
        """Whether the connection is TLS."""
        return urlsplit(self.url).scheme == "https"

    @property
    def authority(self) -> str:
        """The value of the Host header (RFC 9110 section 7.2); a port that goes without saying is left out."""
        parts, host = urlsplit(self.url), host_of(self.url).in_header
        return host if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"

    @property
    def target(self) -> str:
        """Path and query, as the request line carries them."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host (without a final dot) and port (RFC 6454): what pooled connections and redirects go by."""
        return urlsplit(self.url).scheme, self.host.rstrip("."), self.port

    @property
    def idempotent(self) -> bool:
        """Whether sending it twice does what sending it once does."""
        return self.method in IDEMPOTENT_METHODS

    def without_echo(self, response: "Response") -> "Response":
        """A response in which this request's own secrets, which a server may repeat, show as ``***``.

        They are looked for in its headers and, unless it is a success, in its body.
        """
        fields = response.headers.reveal()
        said = "\n".join(text for pair in fields for text in pair) + (
            "" if response.ok else response.body.decode("latin-1")
        )
        secrets = self._secrets()
        if hide_secrets(said, secrets) == said:
            return response
        headers = Headers.received((hide_secrets(name, secrets), hide_secrets(text, secrets)) for name, text in fields)
        body = hide_secrets(response.body.decode("latin-1"), secrets).encode("latin-1")
        return evolve(response, headers=headers, body=response.body if response.ok else body)

    def without_secrets(self, text: str) -> str:
        """A text in which this request's own secrets show as ``***``."""
        return hide_secrets(text, self._secrets())

    def _secrets(self) -> tuple[str, ...]:
        return (*header_secrets(self.headers), *self._in_query())

    def _in_query(self) -> Iterator[str]:
        """The secrets of the URL, as they stand there and as they are meant."""
        for pair in urlsplit(self.url).query.split("&"):
            name, _, value = pair.partition("=")
            if value and looks_secret(unquote(name)):
                yield from (value, unquote(value))

    def __copy__(self) -> "Request":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "Request":
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[object, ...]:
        """Refuse to be pickled with a secret in the URL; the headers refuse by themselves."""
        if any(self._in_query()):
            raise TypeError("a request whose URL carries a secret refuses to be pickled")
        return super().__reduce_ex__(protocol)


@frozen
class Response:
    """What came back. For a streamed attempt, the head alone with an empty body."""

    status: int
    headers: Headers = Headers()
    body: bytes = field(default=b"", repr=lambda body: f"<{len(body)} bytes>")

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def request_id(self) -> str | None:
        """`X-Request-Id`, by which the vendor finds the request (protocol section 2.0)."""
        return self.headers.get("x-request-id")


def header_secrets(headers: Headers) -> tuple[str, ...]:
    """The words of the secret values among headers, such as the key of ``Bearer …`` and the password of ``Basic …``."""
    return tuple(word for _, value in headers if isinstance(value, Secret) for word in words_of(value.reveal()))


def redact_url(url: str) -> str:
    """A URL fit to be shown: no user name or password, and no value of a secret-looking parameter, also after a #."""
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=netloc, query=_redact(parts.query), fragment=_redact(parts.fragment)).geturl()


def _redact(pairs: str) -> str:
    return "&".join(
        f"{name}={REDACTED}" if looks_secret(unquote(name)) else pair
        for pair in pairs.split("&")
        for name in [pair.partition("=")[0]]
    )


def path_segment(name: str, value: object) -> str:
    """Percent-encode an id for use in a path (RFC 3986 section 3.3).

    Raises:
        LocalProtocolError: the id is no string, has a lone surrogate, or is empty, ``.`` or ``..``: it would name
            another resource than the one meant.
    """
    if not isinstance(value, str):
        raise LocalProtocolError(f"{name} must be a string, not {type(value).__name__}")
    if value in ("", ".", ".."):
        raise LocalProtocolError(f"{name} must not be {value!r}: it would name another resource")
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise LocalProtocolError(f"{name} has a lone surrogate, which UTF-8 cannot carry") from None


def encode_query(pairs: Iterable[tuple[str, str]]) -> str:
    """The query part of a URL; brackets in names are encoded as the official SDK does (protocol section 2.0).

    Raises:
        LocalProtocolError: a name or value has a lone surrogate.
    """
    try:
        return urlencode(list(pairs), quote_via=quote)
    except UnicodeEncodeError:
        raise LocalProtocolError("the query has a lone surrogate, which UTF-8 cannot carry") from None
