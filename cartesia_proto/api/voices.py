"""Voices: list, get, create, change, delete, clone, mix, localize, and their accents (protocol section 2.5).

This module knows the paths and parameters of the voice endpoints, and in which API versions they exist. It must not
know how a call travels. Methods named after builtins stand last in their class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from cartesia_proto.api.cloning import CloneEndpoint
from cartesia_proto.api.voice_models import (
    Accent,
    Embedding,
    Gender,
    Voice,
    VoiceMetadata,
    parse_accents,
    parse_changed,
    parse_embedding,
    parse_metadata,
    parse_nothing,
    parse_voice,
    read_voices,
)
from cartesia_proto.call import C_co, Call, PageCall, Resource, endpoint
from cartesia_proto.http import JsonBody, Response, UnsignedRequest, path_segment
from cartesia_proto.pages import Batch
from cartesia_proto.parameters import Parameters, query_pairs
from cartesia_proto.prepare import RequestOptions, Route, freeze_options

Expand: TypeAlias = Literal["embedding", "is_starred", "preview_file_url"] | str
"""Protocol section 2.5.2: which of them exist depends on the version."""


def render_list(parameters: Parameters, version: str) -> UnsignedRequest:
    """``GET /voices`` (protocol section 2.5.2)."""
    del version
    return UnsignedRequest("GET", "/voices", query_pairs(_expanded(parameters)))


def render_get(parameters: Parameters, version: str) -> UnsignedRequest:
    """``GET /voices/{id}`` (protocol section 2.5.3)."""
    del version
    return UnsignedRequest("GET", _voice_path(parameters), query_pairs(_expanded(parameters.without("id"))))


def render_create(parameters: Parameters, version: str) -> UnsignedRequest:
    """``POST /voices`` (protocol section 2.5.4)."""
    del version
    return UnsignedRequest("POST", "/voices", body=JsonBody(parameters.as_json()))


def render_update(parameters: Parameters, version: str) -> UnsignedRequest:
    """``PATCH /voices/{id}`` (protocol section 2.5.5)."""
    del version
    return UnsignedRequest("PATCH", _voice_path(parameters), body=JsonBody(parameters.without("id").as_json()))


def render_delete(parameters: Parameters, version: str) -> UnsignedRequest:
    """``DELETE /voices/{id}`` (protocol section 2.5.6)."""
    del version
    return UnsignedRequest("DELETE", _voice_path(parameters), accept="*/*")


def render_mix(parameters: Parameters, version: str) -> UnsignedRequest:
    """``POST /voices/mix`` (protocol section 2.5.8)."""
    del version
    return UnsignedRequest("POST", "/voices/mix", body=JsonBody(parameters.as_json()))


def render_localize(parameters: Parameters, version: str) -> UnsignedRequest:
    """``POST /voices/localize`` (protocol section 2.5.8)."""
    del version
    return UnsignedRequest("POST", "/voices/localize", body=JsonBody(parameters.as_json()))


def render_list_accents(parameters: Parameters, version: str) -> UnsignedRequest:
    """``GET /accents`` (protocol section 2.5.9)."""
    del parameters, version
    return UnsignedRequest("GET", "/accents")


def render_add_accents(parameters: Parameters, version: str) -> UnsignedRequest:
    """``PATCH /voices/{id}/accents`` (protocol section 2.5.9)."""
    del version
    body = JsonBody(parameters.without("id").as_json())
    return UnsignedRequest("PATCH", f"{_voice_path(parameters)}/accents", body=body)


def render_delete_accent(parameters: Parameters, version: str) -> UnsignedRequest:
    """``DELETE /voices/{id}/accents/{accent}`` (protocol section 2.5.9)."""
    del version
    accent = path_segment("accent", parameters.text("accent"))
    return UnsignedRequest("DELETE", f"{_voice_path(parameters)}/accents/{accent}")


def _voice_path(parameters: Parameters) -> str:
    return f"/voices/{path_segment('id', parameters.text('id'))}"


def _expanded(parameters: Parameters) -> Parameters:
    """The filter is literally named ``expand[]`` on the wire (protocol section 2.0)."""
    return parameters.without("expand").replaced(**{"expand[]": parameters.texts("expand")})


def read_page(response: Response, version: str) -> Batch[Voice]:
    """One page of voices."""
    del version
    page = read_voices(response)
    first, last = (page.data[0].id, page.data[-1].id) if page.data else (None, None)
    return Batch(page.data, first, last, page.has_more, page.next_page)


LIST = Route(render_list)
GET = Route(render_get)
CREATE = Route(render_create, until="2024-11-13")
UPDATE = Route(render_update)
DELETE = Route(render_delete)
MIX = Route(render_mix, until="2024-11-13")
LOCALIZE = Route(render_localize)
LIST_ACCENTS = Route(render_list_accents, since="2026-08-14")
ADD_ACCENTS = Route(render_add_accents, since="2026-08-14")
DELETE_ACCENT = Route(render_delete_accent, since="2026-08-14")


class Voices(Resource[C_co]):
    """Voices of the catalogue and your own."""

    __slots__ = ()

    @endpoint
    @staticmethod
    def get(id: str, *, expand: Sequence[Expand] = (), request_options: RequestOptions | None = None) -> Call[Voice]:
        """Fetch one voice.

        Args:
            expand: fields the server adds only when asked.

        Raises:
            LocalProtocolError: the id is empty, ``.`` or ``..``.
            NotFoundError: there is no such voice. The client stays usable, as after any `CartesiaError`.

        Source: protocol section 2.5.3 (``GET /voices/{id}``).
        """
        path_segment("id", id)
        return Call(GET, Parameters(id=id, expand=expand), freeze_options(request_options), parse=parse_voice)

    @endpoint
    @staticmethod
    def create(
        name: str,
        description: str,
        embedding: Sequence[float],
        *,
        language: str | None = None,
        base_voice_id: str | None = None,
        request_options: RequestOptions | None = None,
    ) -> Call[Voice]:
        """Make a voice from an embedding; exists up to version 2024-11-13, which a newer client uses for this call.

        Args:
            embedding: 192 numbers, such as `clone` with a file path and `mix` answer.

        Raises:
            CartesiaError: no usable answer came; the client stays usable.

        Source: protocol section 2.5.4 (``POST /voices``).
        """
        parameters = Parameters(
            name=name, description=description, embedding=embedding, language=language, base_voice_id=base_voice_id
        )
        return Call(CREATE, parameters, freeze_options(request_options), parse=parse_voice)

    @endpoint
    @staticmethod
    def update(
        id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        gender: Gender | None = None,
        accent: str | None = None,
        request_options: RequestOptions | None = None,
    ) -> Call[Voice | None]:
        """Change a voice of your own; what is None stays as it is.

        Args:
            name, description: both needed up to version 2025-04-16.
            gender: from version 2025-04-16; to reset it send an explicit null through ``additional_body_parameters``.
            accent: a catalogue id, from version 2026-03-01.

        Returns:
            The voice as it is now; None where the service answers without it.

        Raises:
            LocalProtocolError: the id is empty, ``.`` or ``..``.
            CartesiaError: no usable answer came; the client stays usable.

        Source: protocol section 2.5.5 (``PATCH /voices/{id}``).
        """
        path_segment("id", id)
        parameters = Parameters(id=id, name=name, description=description, gender=gender, accent=accent)
        return Call(UPDATE, parameters, freeze_options(request_options), parse=parse_changed)

    @endpoint
    @staticmethod
    def delete(id: str, *, request_options: RequestOptions | None = None) -> Call[None]:
        """Delete a voice of your own.

        Raises:
            LocalProtocolError: the id is empty, ``.`` or ``..``.
            CartesiaError: no usable answer came; the client stays usable.

        Source: protocol section 2.5.6 (``DELETE /voices/{id}``).
        """
        path_segment("id", id)
        return Call(DELETE, Parameters(id=id), freeze_options(request_options), parse=parse_nothing)

    clone: CloneEndpoint = CloneEndpoint()

    @endpoint
    @staticmethod
    def mix(
        voices: Sequence[Mapping[str, object]], *, request_options: RequestOptions | None = None
    ) -> Call[Embedding]:
        """Mix voices into one embedding; exists up to version 2024-11-13, which a newer client uses for this call.

        Args:
            voices: ``{"id": …, "weight": …}`` or ``{"embedding": […], "weight": …}`` each; the service makes the
                weights sum to 1.

        Returns:
            An `Embedding`: 192 floats.

        Raises:
            CartesiaError: no usable answer came; the client stays usable.

        Source: protocol section 2.5.8 (``POST /voices/mix``).
        """
        return Call(MIX, Parameters(voices=voices), freeze_options(request_options), parse=parse_embedding)

    @endpoint
    @staticmethod
    def localize(
        *,
        voice_id: str,
        name: str,
        accent: str | None = None,
        description: str | None = None,
        language: str | None = None,
        original_speaker_gender: Literal["male", "female"] | str | None = None,
        dialect: str | None = None,
        tagline: str | None = None,
        request_options: RequestOptions | None = None,
    ) -> Call[VoiceMetadata]:
        """Make a voice that speaks another language or accent in the manner of an existing one.

        Args:
            accent: a catalogue id with `is_localizable`; needed from version 2026-08-14, where it exists.
            description, language, original_speaker_gender: needed before 2026-08-14.
            dialect: before 2026-08-14 for en, es, pt and fr.
            tagline: at most 32 characters, from version 2026-08-14.

        Raises:
            CartesiaError: no usable answer came; the client stays usable.

        Source: protocol section 2.5.8 (``POST /voices/localize``).
        """
        parameters = Parameters(
            voice_id=voice_id,
            name=name,
            accent=accent,
            description=description,
            language=language,
            original_speaker_gender=original_speaker_gender,
            dialect=dialect,
            tagline=tagline,
        )
        return Call(LOCALIZE, parameters, freeze_options(request_options), parse=parse_metadata)

    @endpoint
    @staticmethod
    def list_accents(*, request_options: RequestOptions | None = None) -> Call[tuple[Accent, ...]]:
        """List the accents of the catalogue, by id; exists from version 2026-08-14, which an older client uses here.

        Raises:
            CartesiaError: no usable answer came; the client stays usable.

        Source: protocol section 2.5.9 (``GET /accents``).
        """
        return Call(LIST_ACCENTS, options=freeze_options(request_options), parse=parse_accents)

    @endpoint
    @staticmethod
    def add_accents(
        id: str, *, accents: Sequence[str], request_options: RequestOptions | None = None
    ) -> Call[Voice | None]:
        """Add accents to an instant clone of your own: at most 10 in all with its native ones.

        Args:
            accents: catalogue ids.

        Returns:
            As `update`.

        Raises:
            LocalProtocolError: the id is empty, ``.`` or ``..``.
            CartesiaError: no usable answer came; the client stays usable.

        Source: protocol section 2.5.9 (``PATCH /voices/{id}/accents``, from version 2026-08-14).
        """
        path_segment("id", id)
        parameters = Parameters(id=id, accents=accents)
        return Call(ADD_ACCENTS, parameters, freeze_options(request_options), parse=parse_changed)

    @endpoint
    @staticmethod
    def delete_accent(accent: str, *, id: str, request_options: RequestOptions | None = None) -> Call[Voice | None]:
        """Remove an accent from a voice of your own.

        Args:
            accent: a catalogue id.
            id: the voice.

        Returns:
            As `update`.

        Raises:
            LocalProtocolError: an id is empty, ``.`` or ``..``.
            CartesiaError: no usable answer came; the client stays usable.

        Source: protocol section 2.5.9 (``DELETE /voices/{id}/accents/{accent_id}``, from version 2026-08-14).
        """
        path_segment("accent", accent)
        path_segment("id", id)
        parameters = Parameters(id=id, accent=accent)
        return Call(DELETE_ACCENT, parameters, freeze_options(request_options), parse=parse_changed)

    @endpoint
    @staticmethod
    def list(
        *,
        limit: int | None = None,
        starting_after: str | None = None,
        ending_before: str | None = None,
        q: str | None = None,
        is_owner: bool | None = None,
        is_starred: bool | None = None,
        gender: Gender | None = None,
        language: str | None = None,
        expand: Sequence[Expand] = (),
        request_options: RequestOptions | None = None,
    ) -> PageCall[Voice]:
        """List voices: a page, and on iteration all pages. Under version 2024-06-10 one page holds everything.

        A voice without an id is left out, for nothing can be done with it; a page of nothing else is an error.

        Args:
            limit: voices a page, 1 to 100; the service's default is 10.
            starting_after, ending_before: the id to go on after, or to go back before.
            q: a search in name, description and id (from version 2025-11-04).
            is_owner, gender, language: only such voices (from version 2024-11-13).
            is_starred: only such voices (versions 2024-11-13 and 2025-04-16).
            expand: fields the server adds only when asked.

        Raises:
            CartesiaError: no usable answer came; the client stays usable.

        Source: protocol section 2.5.2 (``GET /voices``).
        """
        parameters = Parameters(
            limit=limit,
            starting_after=starting_after,
            ending_before=ending_before,
            q=q,
            is_owner=is_owner,
            is_starred=is_starred,
            gender=gender,
            language=language,
            expand=expand,
        )
        return PageCall(LIST, parameters, freeze_options(request_options), read=read_page)
