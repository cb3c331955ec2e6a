"""Voices and the rest, in the shapes of each version."""

import pytest

from cartesia_proto.codecs import json
from cartesia_proto.server.responses import (
    AccentRecord,
    SpokenAccent,
    VoiceRecord,
    accents_object,
    created_voice,
    embedding_object,
    empty_response,
    json_response,
    status_object,
    stream_head,
    voice_metadata,
    voice_object,
    voice_page,
)
from cartesia_proto.server.versions import VERSIONS

VOICE = VoiceRecord(
    id="v",
    name="n",
    description="d",
    created_at="2026-01-01T00:00:00.000001Z",
    language="en",
    user_id="u",
    is_public=True,
    is_owner=False,
    embedding=(0.5,) * 192,
    is_starred=True,
    gender="feminine",
    country="US",
    accents=(
        SpokenAccent("general-american", "en-US", is_native=True),
        SpokenAccent("british", "en-GB", is_native=False),
    ),
    tagline="t",
    preview_file_url="https://preview.example/v",
)
PRIVATE = VoiceRecord("p", "n", "d", "c", "en", "u", is_public=False, is_owner=True, embedding=())
COMMON = {"id", "name", "description", "created_at", "language"}


@pytest.mark.parametrize(
    ("version", "more"),
    [
        ("2024-06-10", {"user_id", "is_public", "embedding"}),
        ("2024-11-13", {"is_owner"}),
        ("2025-04-16", {"is_public", "is_owner", "gender"}),
        ("2025-11-04", {"is_public", "is_owner", "gender", "country", "locales"}),
        ("2026-03-01", {"is_public", "is_owner", "gender", "country", "locales"}),
        (
            "2026-08-14",
            {
                "is_owner",
                "gender",
                "country",
                "locales",
                "accents",
                "accent",
                "access",
                "visibility",
                "tagline",
            },
        ),
    ],
)
def test_a_voice_has_the_fields_of_its_version(version: str, more: set[str]) -> None:
    """The table of protocol section 2.5.1."""
    assert voice_object(VOICE, version).keys() == COMMON | more


def test_the_newest_voice_says_it_all() -> None:
    """Values, not only names."""
    voice = voice_object(VOICE, "2026-08-14")
    assert (voice["access"], voice["visibility"], voice["tagline"]) == ("public", "all", "t")
    assert voice["accent"] == "general-american"
    assert voice["locales"] == [{"locale": "en-US", "is_native": True}, {"locale": "en-GB", "is_native": False}]
    assert voice["accents"] == [
        {"accent": "general-american", "locale": "en-US", "is_native": True},
        {"accent": "british", "locale": "en-GB", "is_native": False},
    ]


def test_a_private_voice_without_accents() -> None:
    """Seen by its owner alone."""
    voice = voice_object(PRIVATE, "2026-08-14")
    assert (voice["access"], voice["visibility"], voice["accent"]) == ("private", "owner", None)


def test_what_is_expanded_is_added() -> None:
    """And nothing else."""
    expanded = voice_object(VOICE, "2024-11-13", ("embedding", "is_starred"))
    assert expanded.keys() == COMMON | {"is_owner", "embedding", "is_starred"}
    assert (expanded["embedding"], expanded["is_starred"]) == ([0.5] * 192, True)
    preview = voice_object(VOICE, "2026-08-14", ("preview_file_url",))
    assert preview["preview_file_url"] == "https://preview.example/v"


@pytest.mark.parametrize("version", VERSIONS)
def test_metadata_say_who_may_see_the_voice(version: str) -> None:
    """In the words of the version."""
    published = {"access", "visibility", "tagline"} if version == "2026-08-14" else {"is_public"}
    assert voice_metadata(VOICE, version).keys() == COMMON | {"user_id"} | published


def test_creating_answers_metadata_then_voices() -> None:
    """The sources disagree on it; this is our choice."""
    assert created_voice(VOICE, "2024-06-10") == voice_metadata(VOICE, "2024-06-10")
    assert created_voice(VOICE, "2024-11-13") == voice_object(VOICE, "2024-11-13")


@pytest.mark.parametrize(("next_page", "has_more"), [(None, False), ("v", True)])
def test_a_page_says_whether_there_are_more(next_page: str | None, has_more: bool) -> None:
    """Twice over, as the service does."""
    page = voice_page([{"id": "v"}], next_page)
    assert page == {"data": [{"id": "v"}], "has_more": has_more, "next_page": next_page}


def test_accents_are_sorted() -> None:
    """By id."""
    italian = AccentRecord("italian", "Italian", "it", "it-IT", is_locale_default=True, is_localizable=True)
    british = AccentRecord("british", "British", "en", "en-GB", is_locale_default=False, is_localizable=True)
    assert accents_object([italian, british]) == {
        "accents": [
            {
                "id": "british",
                "name": "British",
                "language": "en",
                "locale": "en-GB",
                "is_locale_default": False,
                "is_localizable": True,
            },
            {
                "id": "italian",
                "name": "Italian",
                "language": "it",
                "locale": "it-IT",
                "is_locale_default": True,
                "is_localizable": True,
            },
        ]
    }


def test_embeddings_and_status() -> None:
    """The small ones."""
    assert embedding_object((0.5, 1.0)) == {"embedding": [0.5, 1.0]}
    assert status_object("2024-06-10") == {"status": "ok", "version": "2026-08-14"}
    assert status_object("2024-11-13") == {"ok": True, "version": "2026-08-14"}


def test_responses_carry_their_request_id() -> None:
    """All of them, in the header."""
    created = json_response({"a": 1}, "r", 201)
    assert (created.status, json.loads(created.body), created.request_id) == (201, {"a": 1}, "r")
    assert created.headers.get("content-type") == "application/json"
    empty = empty_response("r")
    assert (empty.status, empty.body, empty.request_id) == (204, b"", "r")
    head = stream_head("audio/wav", "r")
    assert (head.status, head.headers.get("content-type"), head.request_id) == (200, "audio/wav", "r")
    assert "cartesia-file-id" not in head.headers
    assert stream_head("audio/wav", "r", "f").headers.get("cartesia-file-id") == "f"
