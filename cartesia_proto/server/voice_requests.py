"""What a client may ask of voices that exist: list, get, change, delete, and their accents.

This module knows the fields of protocol sections 2.5.2 to 2.5.6 and 2.5.9 under every version, and refuses what breaks
their rules. It must not know any voice; `voice_making` reads how new ones are asked for. Query parameters and fields
that a version does not know are ignored, as the service tolerates them.
"""

from typing import Final, TypeAlias

from attrs import frozen

from cartesia_proto.server.fields import Fields, Texts, check_choice
from cartesia_proto.server.problems import invalid

PAGES_SINCE: Final = "2024-11-13"
"""First version whose voice list has pages, filters and `expand[]` (protocol section 2.5.2)."""

ACCENTS_SINCE: Final = "2026-08-14"
"""First version of catalogue accents (protocol section 1.5)."""

DEFAULT_LIMIT: Final = 10
"""Voices on a page (protocol section 2.0, "Pagination")."""

MAX_LIMIT: Final = 100
"""Protocol section 2.0, "Pagination"."""

GENDERS: Final = ("masculine", "feminine", "gender_neutral")
"""How a voice presents (protocol section 8.3)."""


@frozen
class ListVoices:
    """``GET /voices``; under 2024-06-10, which has no pages, with a limit of None."""

    limit: int | None = None
    starting_after: str | None = None
    ending_before: str | None = None
    q: str | None = None
    is_owner: bool | None = None
    is_starred: bool | None = None
    gender: str | None = None
    language: str | None = None
    expand: tuple[str, ...] = ()


@frozen
class GetVoice:
    """``GET /voices/{id}``."""

    id: str
    expand: tuple[str, ...] = ()


@frozen
class UpdateVoice:
    """``PATCH /voices/{id}``; what is None stays.

    Attributes:
        resets_gender: an explicit null was sent: the gender goes back to its default.
    """

    id: str
    name: str | None = None
    description: str | None = None
    gender: str | None = None
    resets_gender: bool = False
    accent: str | None = None


@frozen
class DeleteVoice:
    """``DELETE /voices/{id}``."""

    id: str


@frozen
class AddAccents:
    """``PATCH /voices/{id}/accents``."""

    id: str
    accents: tuple[str, ...]


@frozen
class DeleteAccent:
    """``DELETE /voices/{id}/accents/{accent}``."""

    id: str
    accent: str


@frozen
class ListAccents:
    """``GET /accents``."""


VoiceRequest: TypeAlias = ListVoices | GetVoice | UpdateVoice | DeleteVoice | AddAccents | DeleteAccent | ListAccents


def expandable(version: str) -> tuple[str, ...]:
    """What `expand[]` may name under a version (protocol section 2.5.2)."""
    if version < PAGES_SINCE:
        return ()
    if version < "2025-04-16":
        return ("embedding", "is_starred")
    return ("is_starred",) if version < "2025-11-04" else ("preview_file_url",)


def read_list_voices(query: Texts, version: str) -> ListVoices:
    """A request for voices, with the filters that the version has.

    Both cursors at once are refused (our choice).

    Raises:
        Problem: 400; a parameter is malformed or out of its bounds.
    """
    if version < PAGES_SINCE:
        return ListVoices()
    starting_after, ending_before = query.text("starting_after"), query.text("ending_before")
    if starting_after is not None and ending_before is not None:
        raise invalid("starting_after and ending_before exclude each other: send one of them")
    return ListVoices(
        limit=_limit(query),
        starting_after=starting_after,
        ending_before=ending_before,
        q=query.text("q") if version >= "2025-11-04" else None,
        is_owner=query.boolean("is_owner"),
        is_starred=query.boolean("is_starred") if version < "2025-11-04" else None,
        gender=query.choice("gender", GENDERS),
        language=query.text("language"),
        expand=_expand(query, version),
    )


def _limit(query: Texts) -> int:
    limit = query.integer("limit")
    if limit is None:
        return DEFAULT_LIMIT
    if not 1 <= limit <= MAX_LIMIT:
        raise invalid(f"limit must be from 1 to {MAX_LIMIT}, not {limit}")
    return limit


def _expand(query: Texts, version: str) -> tuple[str, ...]:
    """What is to be added; an unknown name is refused (our choice), under 2024-06-10 all of them are ignored."""
    known = expandable(version)
    names = query.texts("expand[]") if known else ()
    for name in names:
        check_choice("expand[]", name, known)
    return names


def read_get_voice(voice_id: str, query: Texts, version: str) -> GetVoice:
    """A request for one voice.

    Raises:
        Problem: 400; `expand[]` names what this version does not have.
    """
    return GetVoice(voice_id, _expand(query, version))


def read_update_voice(voice_id: str, fields: Fields, version: str) -> UpdateVoice:
    """A request to change a voice; up to 2025-04-16 name and description are required.

    Raises:
        Problem: 400; a field is missing, of a wrong kind, or out of its bounds.
    """
    name, description = fields.text("name"), fields.text("description")
    if version <= "2025-04-16" and (name is None or description is None):
        raise invalid(f"under version {version} name and description are required")
    if name == "":
        raise invalid("name must not be empty")
    has_gender = version >= "2025-04-16"
    return UpdateVoice(
        id=voice_id,
        name=name,
        description=description,
        gender=fields.choice("gender", GENDERS) if has_gender else None,
        resets_gender=has_gender and "gender" in fields.values and fields.values["gender"] is None,
        accent=fields.text("accent") if version >= "2026-03-01" else None,
    )


def read_add_accents(voice_id: str, fields: Fields) -> AddAccents:
    """A request to add accents to a voice.

    Raises:
        Problem: 400; there are none, or they are no strings.
    """
    return AddAccents(voice_id, fields.texts("accents"))
