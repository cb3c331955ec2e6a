"""What the voice endpoints answer, in the shapes of every version, tolerant of what is absent, null or new."""

import pickle
from collections.abc import Callable

import pytest

from cartesia_proto.api.voice_models import (
    Accent,
    Embedding,
    Voice,
    VoiceAccent,
    VoiceLocale,
    VoiceMetadata,
    VoicePage,
    parse_accents,
    parse_changed,
    parse_embedding,
    parse_metadata,
    parse_nothing,
    parse_voice,
    read_voices,
)
from cartesia_proto.codecs import json
from cartesia_proto.errors import JsonValue, RemoteProtocolError
from cartesia_proto.http import Response

COMMON: dict[str, JsonValue] = {
    "id": "v",
    "name": "Ada",
    "description": "calm",
    "created_at": "2026-03-31T17:37:05.961874Z",
    "language": "en",
}
BY_VERSION: list[tuple[str, dict[str, JsonValue], dict[str, object]]] = [
    (
        "2024-06-10",
        {"user_id": "u", "is_public": True, "embedding": [0.5, 1]},
        {"user_id": "u", "is_public": True, "embedding": (0.5, 1.0)},
    ),
    ("2024-11-13", {"is_owner": False, "is_starred": True}, {"is_owner": False, "is_starred": True}),
    ("2025-04-16", {"is_public": False, "gender": "feminine"}, {"is_public": False, "gender": "feminine"}),
    (
        "2025-11-04",
        {"country": "GB", "preview_file_url": None, "locales": [{"locale": "en-GB", "is_native": True}]},
        {"country": "GB", "locales": (VoiceLocale("en-GB", is_native=True),)},
    ),
    (
        "2026-08-14",
        {
            "access": "private",
            "visibility": "owner",
            "tagline": "",
            "accent": None,
            "accents": [
                {"accent": "general-american", "locale": "en-US", "is_native": True},
                {"accent": "x", "locale": None},
            ],
        },
        {
            "access": "private",
            "visibility": "owner",
            "tagline": "",
            "accents": (VoiceAccent("general-american", locale="en-US", is_native=True), VoiceAccent("x")),
        },
    ),
]


def answer(body: JsonValue) -> Response:
    """A success."""
    return Response(200, body=json.dumps(body))


@pytest.mark.parametrize(("version", "fields", "known"), BY_VERSION)
def test_voice_by_version(version: str, fields: dict[str, JsonValue], known: dict[str, object]) -> None:
    """Each version's fields are read; those it does not have are None."""
    voice = parse_voice(answer({**COMMON, **fields}), version)
    assert (voice.id, voice.name, voice.description, voice.language) == ("v", "Ada", "calm", "en")
    assert voice.created_at == "2026-03-31T17:37:05.961874Z"
    for name in voice.keys():  # noqa: SIM118 - it is no dictionary
        if name not in COMMON:
            assert voice[name] == getattr(voice, name) == known.get(name)


def test_tolerance() -> None:
    """Nothing but the id is needed; nulls are absences, new values of enumerations pass, new fields are kept."""
    assert parse_voice(answer({"id": "v"}), "") == Voice("v")
    nulls: dict[str, JsonValue] = dict.fromkeys(name for name in Voice("v") if name != "id")
    assert parse_voice(answer({"id": "v", **nulls}), "") == Voice("v")
    voice = parse_voice(answer({"id": "v", "gender": "robotic", "status": "active", "is_pro": None}), "")
    assert voice.gender == "robotic"
    assert voice.extra == {"status": "active", "is_pro": None}
    assert voice["status"] == "active"
    assert pickle.loads(pickle.dumps(voice)) == voice


def test_an_embedding_is_not_shown() -> None:
    """192 numbers would hide the rest of a repr."""
    assert "<2 floats>" in repr(Voice("v", embedding=(0.5, 1.0)))
    assert "embedding=None" in repr(Voice("v"))


def test_embedding() -> None:
    """A sequence of floats that also has `.embedding`."""
    embedding = parse_embedding(answer({"embedding": [0.5, 1]}), "")
    assert embedding == (0.5, 1.0)
    assert isinstance(embedding, Embedding)
    assert embedding.embedding == (0.5, 1.0)
    assert type(embedding.embedding) is tuple
    assert list(embedding) == [0.5, 1.0]
    assert embedding[0] == 0.5
    assert pickle.loads(pickle.dumps(embedding)) == embedding


def test_metadata() -> None:
    """What cloning and localizing answer."""
    metadata = parse_metadata(answer({**COMMON, "user_id": "u", "access": "private", "new": 1}), "")
    assert isinstance(metadata, VoiceMetadata)
    assert (metadata.id, metadata["user_id"], metadata.access, metadata.is_public) == ("v", "u", "private", None)
    assert metadata["new"] == 1


def test_accents() -> None:
    """The catalogue."""
    body: JsonValue = {"accents": [{"id": "parisian", "locale": "fr-FR", "is_localizable": True}]}
    assert parse_accents(answer(body), "") == (Accent("parisian", locale="fr-FR", is_localizable=True),)


def test_nothing() -> None:
    """Any success will do, whatever its body."""
    for body in (b"", b"{}", b"gone"):
        parse_nothing(Response(204, body=body), "")


def test_page_and_bare_array() -> None:
    """A page, or the bare array of 2024-06-10, which is the whole list."""
    page = read_voices(answer({"data": [{"id": "a"}], "has_more": True, "next_page": "n", "total": 9}))
    assert page == VoicePage((Voice("a"),), has_more=True, next_page="n", extra={"total": 9})
    assert read_voices(answer([{"id": "a"}, {"id": "b"}])) == VoicePage((Voice("a"), Voice("b")), has_more=False)
    assert read_voices(answer({"data": []})) == VoicePage(())


def test_a_broken_voice_does_not_cost_its_page() -> None:
    """A voice without an id is left out; all else that is wrong with one is kept beside it."""
    voices: list[JsonValue] = [{"id": "a"}, {"name": "no id"}, {"id": 5}, "b", {"id": "c", "gender": 1, "locales": 7}]
    good = (Voice("a"), Voice("c", extra={"gender": 1, "locales": 7}))
    assert read_voices(answer(voices)).data == good
    page = read_voices(answer({"data": voices, "has_more": "false"}))
    assert page == VoicePage(good, extra={"data": voices, "has_more": "false"})


def test_a_damaged_page() -> None:
    """What is no text or number costs no voice."""
    body = b'\xef\xbb\xbf{"data":[{"id":"a","name":"half \\ud83d","embedding":[0.5,NaN]},{"id":"b","name":"\xff"}]}'
    first, second = read_voices(Response(200, body=body)).data
    assert (first.name, first.embedding, first["embedding"]) == ("half \ufffd", None, [0.5, None])
    assert second.name == "\ufffd"


def test_changes_without_an_answer() -> None:
    """A success without a body is one, where the voice can be done without."""
    for body in (b"", b" \r\n"):
        assert parse_changed(Response(204, body=body), "") is None
        with pytest.raises(RemoteProtocolError):
            parse_voice(Response(204, body=body), "")
    assert parse_changed(answer({"id": "a"}), "") == Voice("a")
    with pytest.raises(RemoteProtocolError):
        parse_changed(Response(200, body=b"[]"), "")


VIOLATIONS: list[tuple[Callable[[Response], object], JsonValue, str]] = [
    (read_voices, 5, "$"),
    (read_voices, None, "$"),
    (read_voices, {}, "$.data"),
    (read_voices, {"data": None}, "$.data"),
    (read_voices, {"data": {"id": "a"}}, "$.data"),
    (read_voices, {"data": [{}, {"name": "a"}]}, "$.data[0].id"),
    (read_voices, {"data": [{"id": 5}]}, "$.data[0].id"),
    (read_voices, ["b"], "$[0]"),
    (lambda response: parse_voice(response, ""), [], "$"),
    (lambda response: parse_voice(response, ""), {"name": "n"}, "$.id"),
    (lambda response: parse_metadata(response, ""), {"id": None}, "$.id"),
    (lambda response: parse_embedding(response, ""), {"embedding": None}, "$.embedding"),
    (lambda response: parse_embedding(response, ""), {"embedding": [0.5, None]}, "$.embedding[1]"),
    (lambda response: parse_embedding(response, ""), [0.5], "$"),
    (lambda response: parse_accents(response, ""), {"accents": [{"id": 1}]}, "$.accents[0].id"),
]


@pytest.mark.parametrize(("parse", "body", "path"), VIOLATIONS)
def test_violations(parse: Callable[[Response], object], body: JsonValue, path: str) -> None:
    """What does not fit names its path."""
    with pytest.raises(RemoteProtocolError) as caught:
        parse(answer(body))
    assert caught.value.path == path
    assert str(caught.value).endswith(f" at {path}")
