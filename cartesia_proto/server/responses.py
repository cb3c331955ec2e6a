"""What a server answers: voices, pages, accents, embeddings and the status, in each API version's shape.

This module knows the tables of protocol sections 2.2 and 2.5. It must not know where a voice comes from: a
`VoiceRecord` holds everything that any version shows of one.
"""

from collections.abc import Iterable, Sequence

from attrs import field, frozen

from cartesia_proto.codecs import json
from cartesia_proto.errors import JsonValue
from cartesia_proto.http import Headers, Response
from cartesia_proto.server.problems import REQUEST_ID_HEADER
from cartesia_proto.server.versions import NEWEST


@frozen
class AccentRecord:
    """One accent of the catalogue (protocol section 2.5.9)."""

    id: str
    name: str
    language: str
    locale: str
    is_locale_default: bool
    is_localizable: bool


@frozen
class SpokenAccent:
    """An accent that a voice speaks with; `accent` is a catalogue id."""

    accent: str
    locale: str
    is_native: bool


@frozen
class VoiceRecord:
    """A voice with all that any version shows of it (protocol section 2.5.1).

    Attributes:
        created_at: ISO 8601, UTC, with microseconds.
        embedding: 192 numbers.
        accents: the native one first.
        is_owner, is_starred: as whoever asks sees it.
    """

    id: str
    name: str
    description: str
    created_at: str
    language: str
    user_id: str
    is_public: bool
    is_owner: bool
    embedding: tuple[float, ...] = field(repr=False)
    is_starred: bool = False
    gender: str | None = None
    country: str | None = None
    accents: tuple[SpokenAccent, ...] = ()
    tagline: str = ""
    preview_file_url: str | None = None


def voice_object(voice: VoiceRecord, version: str, expand: Iterable[str] = ()) -> dict[str, JsonValue]:
    """A voice, with the fields the version has.

    Args:
        expand: what was asked for on top, of `voice_requests.expandable`.
    """
    common: dict[str, JsonValue] = {
        "id": voice.id,
        "name": voice.name,
        "description": voice.description,
        "created_at": voice.created_at,
        "language": voice.language,
    }
    return common | _versioned(voice, version) | _expanded(voice, expand)


def _versioned(voice: VoiceRecord, version: str) -> dict[str, JsonValue]:
    """The columns of the table; 2026-03-01, which it lacks, is taken to be as 2025-11-04."""
    match version:
        case "2024-06-10":
            return {"user_id": voice.user_id, "is_public": voice.is_public, "embedding": list(voice.embedding)}
        case "2024-11-13":
            return {"is_owner": voice.is_owner}
        case "2025-04-16":
            return {"is_public": voice.is_public, "is_owner": voice.is_owner, "gender": voice.gender}
        case "2025-11-04" | "2026-03-01":
            return {
                "is_public": voice.is_public,
                "is_owner": voice.is_owner,
                "gender": voice.gender,
                "country": voice.country,
                "locales": _locales(voice),
            }
        case _:
            return _current(voice)


def _current(voice: VoiceRecord) -> dict[str, JsonValue]:
    """Both `locales` and `accents`: the sources disagree on which of them there is."""
    accents: list[JsonValue] = [
        {"accent": spoken.accent, "locale": spoken.locale, "is_native": spoken.is_native} for spoken in voice.accents
    ]
    return {
        "is_owner": voice.is_owner,
        "gender": voice.gender,
        "country": voice.country,
        "locales": _locales(voice),
        "accents": accents,
        "accent": voice.accents[0].accent if voice.accents else None,
        **_publication(voice),
    }


def _locales(voice: VoiceRecord) -> list[JsonValue]:
    return [{"locale": spoken.locale, "is_native": spoken.is_native} for spoken in voice.accents]


def _publication(voice: VoiceRecord) -> dict[str, JsonValue]:
    """What became of `is_public` in 2026-08-14, and the tagline."""
    return {
        "access": "public" if voice.is_public else "private",
        "visibility": "all" if voice.is_public else "owner",
        "tagline": voice.tagline,
    }


def _expanded(voice: VoiceRecord, expand: Iterable[str]) -> dict[str, JsonValue]:
    everything: dict[str, JsonValue] = {
        "embedding": list(voice.embedding),
        "is_starred": voice.is_starred,
        "preview_file_url": voice.preview_file_url,
    }
    return {name: everything[name] for name in expand}


def voice_metadata(voice: VoiceRecord, version: str) -> dict[str, JsonValue]:
    """What cloning and localizing answer (protocol section 2.5.1)."""
    published: dict[str, JsonValue] = _publication(voice) if version >= "2026-08-14" else {"is_public": voice.is_public}
    return {
        "id": voice.id,
        "user_id": voice.user_id,
        "name": voice.name,
        "description": voice.description,
        "created_at": voice.created_at,
        "language": voice.language,
        **published,
    }


def created_voice(voice: VoiceRecord, version: str) -> dict[str, JsonValue]:
    """What creating a voice answers: metadata under 2024-06-10, a voice after (sources disagree; section 2.5.4)."""
    return voice_metadata(voice, version) if version == "2024-06-10" else voice_object(voice, version)


def voice_page(voices: Sequence[JsonValue], next_page: str | None) -> dict[str, JsonValue]:
    """One page of voices (protocol section 2.0, "Pagination").

    Args:
        next_page: the id to go on after, None on the last page.
    """
    return {"data": list(voices), "has_more": next_page is not None, "next_page": next_page}


def embedding_object(embedding: Iterable[float]) -> dict[str, JsonValue]:
    """What mixing and cloning a clip answer."""
    return {"embedding": list(embedding)}


def accents_object(accents: Iterable[AccentRecord]) -> dict[str, JsonValue]:
    """What ``GET /accents`` answers, sorted by id."""
    return {
        "accents": [
            {
                "id": accent.id,
                "name": accent.name,
                "language": accent.language,
                "locale": accent.locale,
                "is_locale_default": accent.is_locale_default,
                "is_localizable": accent.is_localizable,
            }
            for accent in sorted(accents, key=lambda accent: accent.id)
        ]
    }


def status_object(version: str) -> dict[str, JsonValue]:
    """What ``GET /`` answers; the definition of 2024-06-10 has `status` instead of `ok` (protocol section 2.2)."""
    return {"status": "ok", "version": NEWEST} if version == "2024-06-10" else {"ok": True, "version": NEWEST}


def json_response(value: JsonValue, request_id: str, status: int = 200) -> Response:
    """A JSON answer."""
    headers = Headers([("Content-Type", "application/json"), (REQUEST_ID_HEADER, request_id)])
    return Response(status, headers, json.dumps(value))


def empty_response(request_id: str) -> Response:
    """204: done, and nothing to say."""
    return Response(204, Headers([(REQUEST_ID_HEADER, request_id)]))


def stream_head(content_type: str, request_id: str, file_id: str | None = None) -> Response:
    """The head of an answer whose body is sent as it is made.

    Args:
        file_id: where the audio was saved, if that was asked for (protocol section 2.3, `save`).
    """
    saved = [("Cartesia-File-ID", file_id)] if file_id is not None else []
    return Response(200, Headers([("Content-Type", content_type), (REQUEST_ID_HEADER, request_id), *saved]))
