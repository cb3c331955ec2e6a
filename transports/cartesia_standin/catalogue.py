"""The voices that there are at the moment: listed, searched, paged, made, changed and deleted.

This module knows what becomes of the requests of `cartesia_proto.server.voice_requests` and `voice_making`. It must not
know versions, shapes or HTTP: records go out, and what cannot be done is a `Problem`. Nothing depends on chance or
time: the same requests in the same order give the same ids.
"""

import unicodedata
from typing import Final, final

from attrs import evolve, frozen

from cartesia_proto.server.problems import forbidden, invalid, not_found, voice_not_found
from cartesia_proto.server.responses import AccentRecord, SpokenAccent, VoiceRecord
from cartesia_proto.server.voice_making import CloneClip, CloneVoice, CreateVoice, LocalizeVoice, MixVoices
from cartesia_proto.server.voice_requests import AddAccents, DeleteAccent, ListVoices, UpdateVoice
from cartesia_standin.voices import (
    USER_ID,
    catalogue_voices,
    default_accent,
    find_accent,
    made_up_embedding,
    native,
)

MAX_ACCENTS: Final = 10
"""Accents of one voice, native ones included (protocol section 2.5.9)."""


@final
@frozen
class Selection:
    """Some voices, in order, and the id to go on after, or None at the end."""

    voices: tuple[VoiceRecord, ...]
    next_page: str | None


@final
class Catalogue:
    """All voices, by id, in the order they were made. Every method raises `Problem` for what cannot be done."""

    def __init__(self) -> None:
        self._voices = {voice.id: voice for voice in catalogue_voices()}
        self._made = 0

    def get(self, voice_id: str) -> VoiceRecord:
        """A voice; 404 if there is none."""
        if voice_id not in self._voices:
            raise voice_not_found(voice_id)
        return self._voices[voice_id]

    def select(self, request: ListVoices) -> Selection:
        """The page of voices that is asked for; 400 for a cursor that is among none of those that match."""
        matching = tuple(voice for voice in self._voices.values() if _matches(voice, request))
        if request.limit is None:
            return Selection(matching, None)
        if request.ending_before is not None:
            before = matching[: _position(matching, request.ending_before, "ending_before")]
            page = before[-request.limit :]
            return Selection(page, page[0].id if len(before) > len(page) else None)
        start = 0
        if request.starting_after is not None:
            start = _position(matching, request.starting_after, "starting_after") + 1
        page = matching[start : start + request.limit]
        return Selection(page, page[-1].id if start + len(page) < len(matching) else None)

    def create(self, request: CreateVoice) -> VoiceRecord:
        """A new voice from an embedding."""
        self._check_base(request.base_voice_id)
        return self._add(request.name, request.description, request.language, request.embedding)

    def clone(self, request: CloneVoice) -> VoiceRecord:
        """A new voice from a clip: what it sounds like depends on the bytes of the clip, and on nothing in them."""
        self._check_base(request.base_voice_id)
        accent = None if request.accent is None else _accent(request.accent)
        embedding = made_up_embedding(request.clip)
        return self._add(request.name, request.description, request.language, embedding, accent)

    def clone_clip(self, request: CloneClip) -> tuple[float, ...]:
        """The embedding that `clone` would give the same clip."""
        return made_up_embedding(request.clip)

    def mix(self, request: MixVoices) -> tuple[float, ...]:
        """The weighted mean of embeddings."""
        parts = [
            (part.weight, self.get(part.id).embedding if part.id is not None else part.embedding or ())
            for part in request.voices
        ]
        total = sum(weight for weight, _ in parts)
        columns = zip(*(embedding for _, embedding in parts), strict=True)
        weights = [weight / total for weight, _ in parts]
        return tuple(round(sum(w * value for w, value in zip(weights, column, strict=True)), 6) for column in columns)

    def localize(self, request: LocalizeVoice) -> VoiceRecord:
        """A new voice that is an existing one in another language or accent."""
        source = self.get(request.voice_id)
        accent = default_accent(request.language or source.language)
        if request.accent is not None:
            accent = _accent(request.accent)
            if not accent.is_localizable:
                raise invalid(f"no voice can be localized to the accent {accent.id}")
            if request.language not in (None, accent.language):
                raise invalid(f"the accent {accent.id} is not one of {request.language}")
        language = accent.language if accent is not None else request.language or source.language
        made = self._add(request.name, request.description, language, source.embedding, accent)
        return self._keep(evolve(made, gender=source.gender, tagline=request.tagline))

    def update(self, request: UpdateVoice) -> VoiceRecord:
        """A voice of one's own, changed."""
        voice = self._own(request.id)
        voice = evolve(
            voice,
            name=voice.name if request.name is None else request.name,
            description=voice.description if request.description is None else request.description,
            gender=None if request.resets_gender else request.gender or voice.gender,
        )
        if request.accent is not None:
            accent = _accent(request.accent)
            others = tuple(spoken for spoken in voice.accents[1:] if spoken.accent != accent.id)
            voice = evolve(voice, accents=(*native(accent), *others))
        return self._keep(voice)

    def delete(self, voice_id: str) -> None:
        """A voice of one's own is gone."""
        del self._voices[self._own(voice_id).id]

    def add_accents(self, request: AddAccents) -> VoiceRecord:
        """A voice of one's own, with accents it did not have; 400 for more than 10 in all."""
        voice = self._own(request.id)
        there = {spoken.accent for spoken in voice.accents}
        added = [_accent(accent) for accent in dict.fromkeys(request.accents) if accent not in there]
        if len(there) + len(added) > MAX_ACCENTS:
            raise invalid(f"a voice has at most {MAX_ACCENTS} accents, native ones included")
        spoken = tuple(SpokenAccent(accent.id, accent.locale, is_native=False) for accent in added)
        return self._keep(evolve(voice, accents=(*voice.accents, *spoken)))

    def delete_accent(self, request: DeleteAccent) -> VoiceRecord:
        """A voice of one's own, less an accent; 404 if it has none such, 400 if it is its native one."""
        voice = self._own(request.id)
        spoken = next((spoken for spoken in voice.accents if spoken.accent == request.accent), None)
        if spoken is None:
            raise not_found(f"the voice has no accent {request.accent[:64]!r}")
        if spoken.is_native:
            raise invalid("the native accent of a voice cannot be removed")
        return self._keep(evolve(voice, accents=tuple(other for other in voice.accents if other is not spoken)))

    def _own(self, voice_id: str) -> VoiceRecord:
        voice = self.get(voice_id)
        if not voice.is_owner:
            raise forbidden("only a voice of your own can be changed")
        return voice

    def _check_base(self, voice_id: str | None) -> None:
        if voice_id is not None:
            self.get(voice_id)

    def _add(
        self,
        name: str,
        description: str,
        language: str,
        embedding: tuple[float, ...],
        accent: AccentRecord | None = None,
    ) -> VoiceRecord:
        self._made += 1
        accent = accent or default_accent(language)
        voice = VoiceRecord(
            id=f"5a4d2000-0000-4000-8000-{self._made:012}",
            name=name,
            description=description,
            created_at=f"2026-01-01T00:00:00.{self._made:06}Z",
            language=language,
            user_id=USER_ID,
            is_public=False,
            is_owner=True,
            embedding=embedding,
            country=accent.locale[3:] if accent else None,
            accents=native(accent),
        )
        return self._keep(voice)

    def _keep(self, voice: VoiceRecord) -> VoiceRecord:
        self._voices[voice.id] = voice
        return voice


def _accent(accent_id: str) -> AccentRecord:
    accent = find_accent(accent_id)
    if accent is None:
        raise invalid(f"there is no accent {accent_id[:64]!r}: see GET /accents")
    return accent


def _position(voices: tuple[VoiceRecord, ...], voice_id: str, parameter: str) -> int:
    for position, voice in enumerate(voices):
        if voice.id == voice_id:
            return position
    raise invalid(f"{parameter} names no voice of this list")


def _matches(voice: VoiceRecord, request: ListVoices) -> bool:
    """Whether a voice passes every filter of a list."""
    filters = (
        (voice.is_owner, request.is_owner),
        (voice.is_starred, request.is_starred),
        (voice.gender, request.gender),
        (voice.language, request.language),
    )
    if any(asked is not None and value != asked for value, asked in filters):
        return False
    return _plain(request.q or "") in _plain(f"{voice.name}\n{voice.description}\n{voice.id}")


def _plain(text: str) -> str:
    """Without accents and case (protocol section 2.5.2)."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character)).casefold()
