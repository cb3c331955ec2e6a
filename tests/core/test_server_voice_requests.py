"""What may be asked of voices that exist."""

import pytest
from attrs import evolve

from cartesia_proto.errors import JsonValue
from cartesia_proto.server.fields import Fields, Texts
from cartesia_proto.server.problems import Problem
from cartesia_proto.server.voice_requests import (
    AddAccents,
    GetVoice,
    ListVoices,
    UpdateVoice,
    expandable,
    read_add_accents,
    read_get_voice,
    read_list_voices,
    read_update_voice,
)

EVERYTHING = Texts(
    (
        ("limit", "5"),
        ("starting_after", "a"),
        ("q", "kat"),
        ("is_owner", "true"),
        ("is_starred", "false"),
        ("gender", "feminine"),
        ("language", "en"),
        ("unknown", "?"),
    )
)
RESET = UpdateVoice("v", "n", "d", resets_gender=True)
FILTERED = ListVoices(limit=5, starting_after="a", is_owner=True, gender="feminine", language="en")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2024-06-10", ListVoices()),
        ("2024-11-13", evolve(FILTERED, is_starred=False)),
        ("2025-04-16", evolve(FILTERED, is_starred=False)),
        ("2025-11-04", evolve(FILTERED, q="kat")),
        ("2026-08-14", evolve(FILTERED, q="kat")),
    ],
)
def test_a_version_sees_the_filters_it_has(version: str, expected: ListVoices) -> None:
    """Others are ignored."""
    assert read_list_voices(EVERYTHING, version) == expected


def test_a_page_has_ten_voices_unless_told() -> None:
    """From the version on that has pages; before, there is no limit."""
    assert read_list_voices(Texts(()), "2024-11-13") == ListVoices(limit=10)
    backwards = Texts((("limit", "100"), ("ending_before", "b")))
    assert read_list_voices(backwards, "2026-08-14") == ListVoices(limit=100, ending_before="b")


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ((("limit", "0"),), "limit must be from 1 to 100, not 0"),
        ((("limit", "101"),), "limit must be from 1 to 100, not 101"),
        ((("limit", "ten"),), "limit must be a number"),
        ((("limit", "-1"),), "limit must be a number"),
        ((("starting_after", "a"), ("ending_before", "b")), "exclude each other"),
        ((("is_owner", "True"),), "is_owner must be one of true, false"),
        ((("gender", "male"),), "gender must be one of"),
        ((("expand[]", "embedding"),), "must be one of preview_file_url, not 'embedding'"),
    ],
)
def test_anything_wrong_in_a_query_is_named(pairs: tuple[tuple[str, str], ...], said: str) -> None:
    """400."""
    with pytest.raises(Problem, match=said) as refused:
        read_list_voices(Texts(pairs), "2026-08-14")
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("2024-06-10", ()),
        ("2024-11-13", ("embedding", "is_starred")),
        ("2025-04-16", ("is_starred",)),
        ("2025-11-04", ("preview_file_url",)),
        ("2026-08-14", ("preview_file_url",)),
    ],
)
def test_each_version_expands_what_it_can(version: str, names: tuple[str, ...]) -> None:
    """The first version ignores the parameter."""
    assert expandable(version) == names
    query = Texts(tuple(("expand[]", name) for name in names or ("anything",)))
    assert read_get_voice("v", query, version) == GetVoice("v", names)


@pytest.mark.parametrize(
    ("version", "fields", "expected"),
    [
        ("2024-06-10", {"name": "n", "description": "", "gender": "?"}, UpdateVoice("v", "n", "")),
        ("2025-04-16", {"name": "n", "description": "d", "gender": None}, RESET),
        ("2025-11-04", {"gender": "masculine", "accent": "x"}, UpdateVoice("v", gender="masculine")),
        ("2026-03-01", {"accent": "british"}, UpdateVoice("v", accent="british")),
        ("2026-08-14", {}, UpdateVoice("v")),
    ],
)
def test_a_change_has_the_fields_of_its_version(
    version: str, fields: dict[str, JsonValue], expected: UpdateVoice
) -> None:
    """An explicit null resets the gender."""
    assert read_update_voice("v", Fields(fields), version) == expected


@pytest.mark.parametrize(
    ("version", "fields", "said"),
    [
        ("2025-04-16", {"name": "n"}, "name and description are required"),
        ("2025-04-16", {"description": "d"}, "name and description are required"),
        ("2025-11-04", {"name": ""}, "name must not be empty"),
        ("2025-11-04", {"gender": "male"}, "gender must be one of"),
        ("2026-03-01", {"accent": 1}, "accent must be a string"),
    ],
)
def test_a_wrong_change_is_named(version: str, fields: dict[str, JsonValue], said: str) -> None:
    """400."""
    with pytest.raises(Problem, match=said):
        read_update_voice("v", Fields(fields), version)


def test_accents_are_a_list_of_ids() -> None:
    """At least one."""
    assert read_add_accents("v", Fields({"accents": ["british", "mexican"]})) == AddAccents("v", ("british", "mexican"))
    with pytest.raises(Problem, match="accents must be an array of at least one string"):
        read_add_accents("v", Fields({"accents": []}))
