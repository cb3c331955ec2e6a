"""What the voice endpoints answer.

Every field but the id may be absent or null in some API version (protocol section 2.5.1), so all others have defaults;
what a version adds that is not listed is kept in `extra`. This module must not know any endpoint's path.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import field, frozen

from cartesia_proto.codecs import json
from cartesia_proto.convert import Model, read, read_response
from cartesia_proto.errors import JsonValue, RemoteProtocolError
from cartesia_proto.http import Response

Gender: TypeAlias = Literal["masculine", "feminine", "gender_neutral"] | str
"""Protocol section 8.3."""

Access: TypeAlias = Literal["private", "public"] | str
"""Protocol section 8.3."""

Visibility: TypeAlias = Literal["owner", "all"] | str
"""Protocol section 8.3."""


class Embedding(tuple[float, ...]):
    """The 192 numbers of a voice: a sequence of floats that also has `.embedding`, as the 1.x and 2.x SDKs had it."""

    __slots__ = ()

    @property
    def embedding(self) -> tuple[float, ...]:
        """The numbers as a plain tuple."""
        return tuple(self)


@frozen
class VoiceLocale(Model):
    """A locale a voice speaks."""

    locale: str = ""
    is_native: bool | None = None


@frozen
class VoiceAccent(Model):
    """An accent a voice speaks with."""

    accent: str = ""
    locale: str | None = None
    is_native: bool | None = None


@frozen
class Voice(Model):
    """A voice (protocol section 2.5.1 says which version has which field).

    Attributes:
        created_at: ISO 8601, UTC.
        embedding: 192 numbers; always there under 2024-06-10, under 2024-11-13 when expanded, never later.
        preview_file_url: needs the same credentials as the API; do not store it.
        country: ISO 3166 alpha-2; deprecated from 2026-08-14.
        tagline: at most 32 characters.
    """

    id: str
    name: str = ""
    description: str = ""
    language: str = ""
    created_at: str = ""
    user_id: str | None = None
    is_public: bool | None = None
    is_owner: bool | None = None
    is_starred: bool | None = None
    embedding: tuple[float, ...] | None = field(
        default=None, repr=lambda numbers: "None" if numbers is None else f"<{len(numbers)} floats>"
    )
    gender: Gender | None = None
    preview_file_url: str | None = None
    country: str | None = None
    locales: tuple[VoiceLocale, ...] | None = None
    accents: tuple[VoiceAccent, ...] | None = None
    accent: str | None = None
    access: Access | None = None
    visibility: Visibility | None = None
    tagline: str | None = None


@frozen
class VoiceMetadata(Model):
    """A voice just made by cloning or localizing (protocol section 2.5.1).

    Attributes:
        created_at: ISO 8601, UTC.
    """

    id: str
    name: str = ""
    description: str = ""
    language: str = ""
    created_at: str = ""
    user_id: str | None = None
    is_public: bool | None = None
    access: Access | None = None
    visibility: Visibility | None = None
    tagline: str | None = None


@frozen
class Accent(Model):
    """An accent of the catalogue (protocol section 2.5.9)."""

    id: str
    name: str = ""
    language: str = ""
    locale: str = ""
    is_locale_default: bool | None = None
    is_localizable: bool | None = None


@frozen
class AccentList(Model):
    """What ``GET /accents`` answers."""

    accents: tuple[Accent, ...]


@frozen
class EmbeddingResponse(Model):
    """What the embedding endpoints of the first versions answer."""

    embedding: tuple[float, ...]


@frozen
class VoicePage(Model):
    """One page of voices, from version 2024-11-13 on."""

    data: tuple[Voice, ...]
    has_more: bool | None = None
    next_page: str | None = None


def parse_voice(response: Response, version: str) -> Voice:
    """A voice."""
    del version
    return read_response(response, Voice)


def parse_changed(response: Response, version: str) -> Voice | None:
    """A voice that was changed; None where the success has no body (protocol section 2.0: accept any 2xx)."""
    return parse_voice(response, version) if response.body.strip() else None


def parse_metadata(response: Response, version: str) -> VoiceMetadata:
    """A voice just made."""
    del version
    return read_response(response, VoiceMetadata)


def parse_embedding(response: Response, version: str) -> Embedding:
    """The numbers of ``{"embedding": […]}``."""
    del version
    return Embedding(read_response(response, EmbeddingResponse).embedding)


def parse_accents(response: Response, version: str) -> tuple[Accent, ...]:
    """The accents of ``{"accents": […]}``."""
    del version
    return read_response(response, AccentList).accents


def parse_nothing(response: Response, version: str) -> None:
    """Any success, with or without a body (protocol section 2.0: accept any 2xx)."""
    del response, version


def read_voices(response: Response) -> VoicePage:
    """A page, or the bare array of version 2024-06-10, which is the whole list."""
    body: JsonValue = json.read_lenient(response.body)
    match body:
        case list():
            return VoicePage(data=read(body, tuple[Voice, ...]), has_more=False)
        case dict():
            return read(body, VoicePage)
        case _:
            raise RemoteProtocolError("expected a list of voices or a page of them at $", path="$")
