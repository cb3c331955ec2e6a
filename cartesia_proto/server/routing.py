"""From a request line to an endpoint and the ids in its path.

This module knows the endpoints of protocol section 2.1 that this server has, and in which versions they exist. It must
not know what they take or answer.
"""

import re
from enum import Enum, auto
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

from attrs import field, frozen

from cartesia_proto.server.problems import Problem, invalid, method_not_allowed, not_found


class Endpoint(Enum):
    """What can be asked."""

    STATUS = auto()
    TTS_BYTES = auto()
    TTS_SSE = auto()
    TTS_WEBSOCKET = auto()
    INFILL = auto()
    LIST_VOICES = auto()
    CREATE_VOICE = auto()
    CLONE_VOICE = auto()
    CLONE_CLIP = auto()
    MIX_VOICES = auto()
    LOCALIZE_VOICE = auto()
    GET_VOICE = auto()
    UPDATE_VOICE = auto()
    DELETE_VOICE = auto()
    ADD_ACCENTS = auto()
    DELETE_ACCENT = auto()
    LIST_ACCENTS = auto()


WEBSOCKET_PATH: Final = "/tts/websocket"
"""Protocol section 4."""

_ORIGIN: Final = re.compile(r"\Ahttps?://[^/?]*", re.IGNORECASE)


def _segments(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")[1:])


@frozen
class _Entry:
    """One row of the index; a segment in braces matches any non-empty one."""

    endpoint: Endpoint
    method: str
    segments: tuple[str, ...] = field(converter=_segments)
    since: str = ""
    until: str = "9999-12-31"


_INDEX: Final = (
    _Entry(Endpoint.STATUS, "GET", "/"),
    _Entry(Endpoint.TTS_BYTES, "POST", "/tts/bytes"),
    _Entry(Endpoint.TTS_SSE, "POST", "/tts/sse"),
    _Entry(Endpoint.TTS_WEBSOCKET, "GET", WEBSOCKET_PATH),
    _Entry(Endpoint.INFILL, "POST", "/infill/bytes"),
    _Entry(Endpoint.LIST_VOICES, "GET", "/voices"),
    _Entry(Endpoint.CREATE_VOICE, "POST", "/voices", until="2024-11-13"),
    _Entry(Endpoint.CLONE_VOICE, "POST", "/voices/clone"),
    _Entry(Endpoint.CLONE_CLIP, "POST", "/voices/clone/clip", until="2024-06-10"),
    _Entry(Endpoint.MIX_VOICES, "POST", "/voices/mix", until="2024-11-13"),
    _Entry(Endpoint.LOCALIZE_VOICE, "POST", "/voices/localize"),
    _Entry(Endpoint.GET_VOICE, "GET", "/voices/{id}"),
    _Entry(Endpoint.UPDATE_VOICE, "PATCH", "/voices/{id}"),
    _Entry(Endpoint.DELETE_VOICE, "DELETE", "/voices/{id}"),
    _Entry(Endpoint.ADD_ACCENTS, "PATCH", "/voices/{id}/accents", since="2026-08-14"),
    _Entry(Endpoint.DELETE_ACCENT, "DELETE", "/voices/{id}/accents/{accent}", since="2026-08-14"),
    _Entry(Endpoint.LIST_ACCENTS, "GET", "/accents", since="2026-08-14"),
)
"""Protocol section 2.1, with the versions of sections 2.5.4 to 2.5.9."""

_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")  # RFC 3986 section 2.1


@frozen
class RouteMatch:
    """An endpoint that was asked for.

    Attributes:
        ids: what stands at the variable places of the path, in order, percent-decoded.
        query: the pairs of the query, in order, decoded.
    """

    endpoint: Endpoint
    ids: tuple[str, ...]
    query: tuple[tuple[str, str], ...] = field(repr=False)


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request's target, which may be a whole URL (RFC 9112 section 3.2.2 has it accepted)."""
    path, _, query = _ORIGIN.sub("", target).partition("?")
    return path or "/", query


def find_route(method: str, target: str, version: str) -> RouteMatch:
    """The endpoint of a request line under a version; one trailing slash is ignored (protocol section 2.0).

    Raises:
        Problem: 404; there is no such path, or not under this version. 405; it has other methods. 400; an escape in it
            is broken.
    """
    path, query = split_target(target)
    segments = tuple(_decoded(segment) for segment in _segments(path))
    if len(segments) > 1 and not segments[-1]:
        segments = segments[:-1]
    there = [entry for entry in _INDEX if _matches(entry, segments)]
    known = [entry for entry in there if entry.since <= version <= entry.until]
    for entry in known:
        if entry.method == method:
            return RouteMatch(entry.endpoint, _ids(entry, segments), query_pairs(query))
    raise _unmatched(method, [entry for entry in there if entry.method == method], known, version)


def _matches(entry: _Entry, segments: tuple[str, ...]) -> bool:
    if len(entry.segments) != len(segments):
        return False
    return all(
        bool(given) if expected.startswith("{") else given == expected
        for expected, given in zip(entry.segments, segments, strict=True)
    )


def _ids(entry: _Entry, segments: tuple[str, ...]) -> tuple[str, ...]:
    pairs = zip(entry.segments, segments, strict=True)
    return tuple(given for expected, given in pairs if expected.startswith("{"))


def _unmatched(method: str, other_versions: list[_Entry], other_methods: list[_Entry], version: str) -> Problem:
    if other_versions:
        entry = other_versions[0]
        life = f"it exists since {entry.since}" if entry.since > version else f"it existed until {entry.until}"
        return not_found(f"{method} /{'/'.join(entry.segments)} is not in version {version}: {life}")
    if other_methods:
        return method_not_allowed(method, [entry.method for entry in other_methods])
    return not_found("there is no such path")


def _decoded(segment: str) -> str:
    """A path segment without its percent-encoding (RFC 3986 section 2.1)."""
    try:
        if _BROKEN_ESCAPE.search(segment):
            raise ValueError("a percent sign without two digits")
        return unquote_to_bytes(segment).decode()
    except ValueError:  # also UnicodeDecodeError
        raise invalid("the path has a broken percent-encoding") from None


def query_pairs(query: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a query, in order, decoded.

    Raises:
        Problem: 400; an escape in it is broken.
    """
    try:
        if _BROKEN_ESCAPE.search(query):
            raise ValueError("a percent sign without two digits")
        return tuple(parse_qsl(query, keep_blank_values=True, errors="strict"))
    except ValueError:  # also UnicodeDecodeError, and too many fields
        raise invalid("the query has a broken percent-encoding") from None
