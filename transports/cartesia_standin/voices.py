"""The voices, accents and models that the stand-in begins with: data, and nothing that changes it.

The ids that programs often use as defaults are among the voices (protocol section 8.3), so such programs run unchanged;
names, descriptions and sounds are the stand-in's own. Embeddings are made up, the same in every run.
"""

from functools import cache
from random import Random
from typing import Final

from cartesia_proto.server.fields import EMBEDDING_LENGTH
from cartesia_proto.server.responses import AccentRecord, SpokenAccent, VoiceRecord

DEFAULT_VOICE_ID: Final = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
"""A voice that is always there, here and at the real service (protocol section 8.3)."""

USER_ID: Final = "user_standin"
"""Whoever asks."""

MODELS: Final = frozenset(
    "sonic-3.6 sonic-3.6-2026-08-27 sonic-3.5 sonic-3.5-2026-05-04 sonic-3 sonic-3-2026-01-12 sonic-3-2025-10-27 "
    "sonic-latest sonic-3-latest sonic-preview sonic-2 sonic-2-2025-03-07 sonic-2-2025-04-16 sonic-2-2025-05-08 "
    "sonic-2-2025-06-11 sonic-turbo sonic-turbo-2025-03-07 sonic sonic-2024-12-12 sonic-2024-10-19 sonic-english "
    "sonic-multilingual upbeat-moon".split()
)
"""Models of text to speech, retired ones included, so that older programs run (protocol section 8.1)."""

_ACCENTS: Final = (
    ("australian", "en-AU", False),
    ("brazilian-portuguese", "pt-BR", True),
    ("british", "en-GB", False),
    ("canadian-french", "fr-CA", False),
    ("castilian", "es-ES", True),
    ("central-tamil", "ta-IN", True),
    ("central-thai", "th-TH", True),
    ("european-portuguese", "pt-PT", False),
    ("general-american", "en-US", True),
    ("high-german", "de-DE", True),
    ("hindi", "hi-IN", True),
    ("israeli", "he-IL", True),
    ("istanbul", "tr-TR", True),
    ("italian", "it-IT", True),
    ("japanese", "ja-JP", True),
    ("korean", "ko-KR", True),
    ("mandarin", "zh-CN", True),
    ("mexican", "es-MX", False),
    ("modern-standard-arabic", "ar-SA", True),
    ("parisian", "fr-FR", True),
    ("polish", "pl-PL", True),
    ("randstad", "nl-NL", True),
    ("russian", "ru-RU", True),
    ("southern-us", "en-US", False),
    ("stockholm", "sv-SE", True),
    ("telangana", "te-IN", True),
)
"""Id, locale, and whether the locale's language has it by default (protocol section 8.3, with locales of our own)."""

_NOT_LOCALIZABLE: Final = frozenset({"european-portuguese"})
"""The one here that is in the catalogue and cannot be attached (protocol section 8.3)."""

ACCENTS: Final = tuple(
    AccentRecord(
        id=accent,
        name=accent.replace("-", " ").title(),
        language=locale[:2],
        locale=locale,
        is_locale_default=default,
        is_localizable=accent not in _NOT_LOCALIZABLE,
    )
    for accent, locale, default in _ACCENTS
)
"""A part of the accent catalogue, sorted by id."""

_VOICES: Final = (
    (DEFAULT_VOICE_ID, "Katie", "feminine", "general-american"),
    ("6ccbfb76-1fc6-48f7-b71d-91ac6298247b", "Thea", "feminine", "general-american"),
    ("694f9389-aac1-45b6-b726-9d9369183238", "Sara", "feminine", "southern-us"),
    ("a0e99841-438c-4a64-b679-ae501e7d6091", "Barnaby", "masculine", "british"),
    ("5a4d1000-0000-4000-8000-000000000005", "Ambrose", "masculine", "general-american"),
    ("5a4d1000-0000-4000-8000-000000000006", "Beatrix", "feminine", "british"),
    ("5a4d1000-0000-4000-8000-000000000007", "Callum", "masculine", "australian"),
    ("5a4d1000-0000-4000-8000-000000000008", "Robin", "gender_neutral", "general-american"),
    ("5a4d1000-0000-4000-8000-000000000009", "Éloïse", "feminine", "parisian"),
    ("5a4d1000-0000-4000-8000-000000000010", "Mathieu", "masculine", "canadian-french"),
    ("5a4d1000-0000-4000-8000-000000000011", "Jürgen", "masculine", "high-german"),
    ("5a4d1000-0000-4000-8000-000000000012", "Annika", "feminine", "high-german"),
    ("5a4d1000-0000-4000-8000-000000000013", "Íñigo", "masculine", "castilian"),
    ("5a4d1000-0000-4000-8000-000000000014", "Ximena", "feminine", "mexican"),
    ("5a4d1000-0000-4000-8000-000000000015", "João", "masculine", "brazilian-portuguese"),
    ("5a4d1000-0000-4000-8000-000000000016", "Ginevra", "feminine", "italian"),
    ("5a4d1000-0000-4000-8000-000000000017", "Sanne", "feminine", "randstad"),
    ("5a4d1000-0000-4000-8000-000000000018", "Zbigniew", "masculine", "polish"),
    ("5a4d1000-0000-4000-8000-000000000019", "Haruka", "feminine", "japanese"),
    ("5a4d1000-0000-4000-8000-000000000020", "Min-jun", "masculine", "korean"),
    ("5a4d1000-0000-4000-8000-000000000021", "Xiaoyu", "gender_neutral", "mandarin"),
    ("5a4d1000-0000-4000-8000-000000000022", "Anjali", "feminine", "hindi"),
    ("5a4d1000-0000-4000-8000-000000000023", "Åsa", "feminine", "stockholm"),
    ("5a4d1000-0000-4000-8000-000000000024", "Deniz", "gender_neutral", "istanbul"),
)

_PITCHES: Final = {"masculine": (-0.85, -0.35), "gender_neutral": (-0.25, 0.1), "feminine": (0.2, 0.85)}
"""Between which bounds the first number of an embedding lies: the one that says the pitch (`speech.pitch_of`)."""


def find_accent(accent_id: str) -> AccentRecord | None:
    """An accent of the catalogue, or None."""
    return next((accent for accent in ACCENTS if accent.id == accent_id), None)


def default_accent(language: str) -> AccentRecord | None:
    """The accent a language has unless another is asked for, or None."""
    return next((accent for accent in ACCENTS if accent.language == language[:2] and accent.is_locale_default), None)


def native(accent: AccentRecord | None) -> tuple[SpokenAccent, ...]:
    """An accent as the native one of a voice."""
    return () if accent is None else (SpokenAccent(accent.id, accent.locale, is_native=True),)


def made_up_embedding(seed: str | bytes, low: float = -0.9, high: float = 0.9) -> tuple[float, ...]:
    """192 numbers that depend on the seed alone; the first lies between the bounds."""
    chance = Random(seed)  # noqa: S311 - nothing here is a secret
    pitch = round(chance.uniform(low, high), 6)
    return (pitch, *(round(chance.uniform(-0.2, 0.2), 6) for _ in range(EMBEDDING_LENGTH - 1)))


def _voice(index: int, voice_id: str, name: str, gender: str, accent_id: str) -> VoiceRecord:
    accent = next(accent for accent in ACCENTS if accent.id == accent_id)
    low, high = _PITCHES[gender]
    return VoiceRecord(
        id=voice_id,
        name=name,
        description=f"Placeholder voice, {gender.replace('_', ' ')}, {accent.name} accent",
        created_at=f"2024-05-{index + 1:02}T12:00:00.000000Z",
        language=accent.language,
        user_id="user_catalogue",
        is_public=True,
        is_owner=False,
        embedding=made_up_embedding(voice_id, low, high),
        is_starred=index < 2,
        gender=gender,
        country=accent.locale[3:],
        accents=native(accent),
        tagline=f"{accent.name} placeholder"[:32],
    )


@cache
def catalogue_voices() -> tuple[VoiceRecord, ...]:
    """The 24 voices that are there from the start, in the order they are listed."""
    return tuple(_voice(index, *row) for index, row in enumerate(_VOICES))
