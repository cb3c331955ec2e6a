"""What holds for every request of one client, as one frozen value.

This module knows defaults and their sources, and how a base URL is read. It must not know endpoints, nor read the
environment itself: transports pass `environ` in. Randomness is never part of a configuration.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Final
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from cartesia_proto.credentials import Credentials, choose_credentials
from cartesia_proto.discretion import discreet, holds_secrets
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.hosts import host_of
from cartesia_proto.http import Headers

__version__ = "0.1.0"

DEFAULT_BASE_URL: Final = "https://api.cartesia.ai"
"""Protocol section 1.1."""

DEFAULT_VERSION: Final = "2026-08-14"
"""The newest API version (protocol section 1.4)."""

VERSION_HEADER: Final = "Cartesia-Version"
"""Required on every request (protocol section 1.4)."""

USER_AGENT: Final = f"cartesia-proto/{__version__}"
"""RFC 9110 section 10.1.5."""

DEFAULT_TIMEOUT: Final = 60.0
"""Seconds for each single connect, handshake, write and read, never for a whole response (protocol section 9.1)."""

DEFAULT_MAX_RETRIES: Final = 2
"""Attempts after the first (protocol section 9.2: the documented default of the 2.x and 4.x SDKs)."""

INBOX_BYTES: Final = 64 * 1024 * 1024
"""Bytes that may wait for one reader: six minutes of pcm_f32le at 44.1 kHz (design: inboxes; protocol section 7.2)."""

PING_INTERVAL: Final = 20.0
"""Seconds of silence after which a WebSocket pings: the default of the `websockets` library, as is the next."""

PING_TIMEOUT: Final = 20.0
"""Seconds without any byte after a ping, after which the connection is lost."""

BASE_URL_VARIABLE: Final = "CARTESIA_BASE_URL"
"""Environment variable of the 1.x and 4.x SDKs (protocol section 9.1)."""

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""A base URL without a scheme gets http for these, https otherwise (protocol section 1.1, the 1.x rule)."""

TRANSPORT_HEADERS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type"})
"""Headers that frame the message (RFC 9112 sections 3.2 and 6) or describe its body; only the library sets them."""

_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")  # `urlsplit` leaves some of them out in silence


@frozen
class Limits:
    """How much a peer may send, in bytes. What exceeds a limit ends in a `RemoteProtocolError` that names it."""

    head: int = 64 * 1024
    """A response's status line and headers together (h11 and common servers stay at 16 to 64 KiB)."""
    json: int = 64 * 1024 * 1024
    """A JSON body; the bare voice list of version 2024-06-10 carries every embedding (protocol section 2.5.2)."""
    error: int = 64 * 1024
    """An error body; a longer one is cut, so that the status is never lost."""
    audio: int = 1024 * 1024 * 1024
    """An audio body read whole: 96 minutes of pcm_f32le at 48 kHz (protocol section 7.2)."""
    sse_line: int = 16 * 1024 * 1024
    """One line of an event stream; an audio event of one minute of pcm_f32le at 44.1 kHz in base64 is 14 MiB."""
    sse_event: int = 32 * 1024 * 1024
    """The data of one event, over all its lines."""
    message: int = 16 * 1024 * 1024
    """One WebSocket message. The vendor documents no maximum; it sends some 22 KiB (protocol section 4.1).

    As `sse_line`, which carries the same: one minute of pcm_f32le at 44.1 kHz in a single chunk is 14 MiB in base64,
    and the service cuts audio into pieces of tenths of a second. The times of 200,000 words take less. The libraries
    below the vendor's own SDKs stop at 1 MiB (`websockets`) and 4 MiB (aiohttp), unless they are told otherwise. There
    is a limit because JSON that was parsed can take 30 times as much memory as its text.
    """
    inflated: int = 1024 * 1024
    """One WebSocket message that comes compressed, once it is inflated; never more than `message`.

    Deflate makes up to 1,032 times as much of what was sent, but of base64 no more than 4/3: so a message of that
    length that is meant costs its sender nearly as much as here. The limit of the `websockets` library, with which the
    vendor's SDKs negotiate compression (protocol section 4.1).
    """


def _base_url(value: str) -> str:
    """Accept a bare host, add its scheme, drop a trailing slash; refuse what is no HTTP URL, without repeating it."""
    if not _is_of(value, str):
        raise LocalProtocolError(f"base_url must be a string, not {type(value).__name__}")
    text = value.strip()
    try:
        if "://" not in text:
            bare = urlsplit(f"//{text}").hostname
            text = f"{'http' if bare in LOOPBACK_HOSTS else 'https'}://{text}"
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, a bracket that does not close
        usable = False
        parts = urlsplit("")
    if not usable or any(not "!" <= c <= "~" for c in f"{parts.scheme}{parts.path}") or _CONTROL.search(text):
        raise LocalProtocolError("base_url is no http or https URL: expected something like https://api.cartesia.ai")
    if parts.username is not None:
        raise LocalProtocolError("base_url carries a user name or password: leave them out")
    if "?" in text or "#" in text:
        raise LocalProtocolError("base_url has a query or fragment: give scheme, host, port and path only")
    try:
        host = host_of(text).in_url
    except LocalProtocolError as error:
        raise LocalProtocolError(f"base_url: {error}") from None
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path}".rstrip("/")


def check_version(version: str) -> str:
    """An API version: a date, ``YYYY-MM-DD`` (protocol section 1.4).

    Raises:
        LocalProtocolError: it is no date of this form.
    """
    try:
        well_formed = date.fromisoformat(version).isoformat() == version
    except (TypeError, ValueError):
        well_formed = False
    if not well_formed:
        raise LocalProtocolError(f"version {version!r} is no date of the form YYYY-MM-DD")
    return version


def _is_of(value: object, kind: type) -> bool:
    """Whether a value is of a kind; callers need not check types."""
    return isinstance(value, kind)


def _is_number(value: object, kinds: tuple[type, ...]) -> bool:
    """Whether a value is of these kinds; callers need not check types, and `bool` is an `int`."""
    return isinstance(value, kinds) and not isinstance(value, bool)


def check_timeout(seconds: float) -> float:
    """A timeout in seconds; ``math.inf`` waits for ever.

    Raises:
        LocalProtocolError: it is no number above zero.
    """
    if not _is_number(seconds, (int, float)) or not seconds > 0:
        raise LocalProtocolError(f"a timeout must be above 0 seconds, not {seconds!r}")
    return float(seconds)


def check_max_retries(count: int) -> int:
    """A number of attempts after the first.

    Raises:
        LocalProtocolError: it is no integer, or negative.
    """
    if not _is_number(count, (int,)) or count < 0:
        raise LocalProtocolError(f"max_retries must be 0 or more, not {count!r}")
    return count


@discreet
def check_headers(headers: Mapping[str, str]) -> Headers:
    """Headers a caller adds.

    Raises:
        LocalProtocolError: they are no mapping; or one is malformed, is among those that only the transport may set, or
            is the version, on which more depends than this header.
    """
    if not _is_of(headers, Mapping):
        raise LocalProtocolError(f"headers are given as a mapping of names to values, not as {type(headers).__name__}")
    checked = Headers(headers.items())
    for name, _ in checked:
        if name.lower() == VERSION_HEADER.lower():
            raise LocalProtocolError(f"header {name} follows from the API version: give that as version= instead")
        if name.lower() in TRANSPORT_HEADERS:
            raise LocalProtocolError(f"header {name} is set by the library itself: leave it out")
    return checked


@holds_secrets
@frozen
class Config:
    """What holds for every request of one client. Refuses pickling when it holds credentials.

    Attributes:
        base_url: scheme, host, port and path that every request's path is appended to; a bare host is completed.
        version: the API version sent with every request, unless the call has its own or its endpoint is not in it.
        credentials: None is fine until a call needs them.
        timeout: seconds for each single connect, handshake, write and read.
        max_retries: attempts after the first.
        headers: sent with every request.

    Raises:
        LocalProtocolError: a value is malformed; the message names it and never shows a secret.
    """

    base_url: str = field(default=DEFAULT_BASE_URL, converter=_base_url)
    version: str = field(default=DEFAULT_VERSION, converter=check_version)
    credentials: Credentials | None = None
    timeout: float = field(default=DEFAULT_TIMEOUT, converter=check_timeout)
    max_retries: int = field(default=DEFAULT_MAX_RETRIES, converter=check_max_retries)
    headers: Headers = Headers()
    limits: Limits = Limits()

    @discreet
    def with_options(
        self,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "Config":
        """This configuration with other defaults; what is None stays, `headers` are added to those there are."""
        return evolve(
            self,
            timeout=self.timeout if timeout is None else timeout,
            max_retries=self.max_retries if max_retries is None else max_retries,
            version=self.version if version is None else version,
            headers=self.headers.merged(check_headers(headers or {})),
        )


def choose_base_url(base_url: str | None, environ: Mapping[str, str]) -> str:
    """The base URL that holds: the explicit one, else `CARTESIA_BASE_URL`, else the vendor's."""
    return base_url or environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL


@discreet
def configure(
    environ: Mapping[str, str],
    *,
    api_key: str | None = None,
    token: str | None = None,
    base_url: str | None = None,
    version: str | None = None,
    timeout: float | None = None,
    max_retries: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Config:
    """The configuration that a client's constructor arguments mean; what is explicit beats the environment.

    Args:
        environ: the environment as a mapping; `CARTESIA_API_KEY` and `CARTESIA_BASE_URL` are read.

    Raises:
        LocalProtocolError: a value is malformed; the message names it and never shows a secret.
    """
    plain = Config(base_url=choose_base_url(base_url, environ), credentials=choose_credentials(api_key, token, environ))
    return plain.with_options(timeout=timeout, max_retries=max_retries, version=version, headers=headers)
