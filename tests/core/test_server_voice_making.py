"""What may be asked for to get a new voice or embedding."""

import pytest

from cartesia_proto.errors import JsonValue
from cartesia_proto.http import ContentPart
from cartesia_proto.server.bodies import ReceivedForm
from cartesia_proto.server.fields import Fields, Texts
from cartesia_proto.server.problems import Problem
from cartesia_proto.server.voice_making import (
    CloneClip,
    CloneVoice,
    CreateVoice,
    Ingredient,
    LocalizeEmbedding,
    LocalizeVoice,
    MixVoices,
    read_clone_clip,
    read_clone_voice,
    read_create_voice,
    read_localize_voice,
    read_mix_voices,
)

NUMBERS: list[JsonValue] = [0.5] * 192
EMBEDDING = (0.5,) * 192
NEWEST = "2026-08-14"


def test_a_voice_is_created_from_an_embedding() -> None:
    """English, unless told."""
    given: dict[str, JsonValue] = {"name": "n", "description": "", "embedding": NUMBERS}
    assert read_create_voice(Fields(given)) == CreateVoice("n", "", EMBEDDING)
    more: dict[str, JsonValue] = {**given, "language": "fr", "base_voice_id": "b"}
    assert read_create_voice(Fields(more)) == CreateVoice("n", "", EMBEDDING, "fr", "b")


@pytest.mark.parametrize("name", ["name", "description", "embedding"])
def test_creating_names_what_is_missing(name: str) -> None:
    """400."""
    given: dict[str, JsonValue] = {"name": "n", "description": "d", "embedding": NUMBERS}
    del given[name]
    with pytest.raises(Problem, match=f"{name} is required"):
        read_create_voice(Fields(given))


CLIP = (ContentPart("clip", b"c"),)
CLONE = (("name", "n"), ("language", "en"))
MORE = (
    ("description", "d"),
    ("mode", "similarity"),
    ("enhance", "false"),
    ("base_voice_id", "b"),
    ("accent", "british"),
)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2024-06-10", CloneVoice(b"c", "n", "en", "d", "similarity", enhance=False, base_voice_id="b")),
        ("2024-11-13", CloneVoice(b"c", "n", "en", "d", "similarity", enhance=False, base_voice_id="b")),
        ("2025-04-16", CloneVoice(b"c", "n", "en", "d", None, enhance=False, base_voice_id="b")),
        ("2025-11-04", CloneVoice(b"c", "n", "en", "d", None, None, "b")),
        (NEWEST, CloneVoice(b"c", "n", "en", "d", None, None, "b", "british")),
    ],
)
def test_a_clone_has_the_fields_of_its_version(version: str, expected: CloneVoice) -> None:
    """Others are ignored."""
    assert read_clone_voice(ReceivedForm(Texts((*CLONE, *MORE)), CLIP), version) == expected


def test_the_least_of_a_clone_will_do() -> None:
    """Clip, name and language."""
    assert read_clone_voice(ReceivedForm(Texts(CLONE), CLIP), NEWEST) == CloneVoice(b"c", "n", "en")


@pytest.mark.parametrize(
    ("version", "texts", "files", "said"),
    [
        ("2024-11-13", CLONE, CLIP, "mode is required"),
        ("2024-11-13", (*CLONE, ("mode", "clip")), CLIP, "mode must be one of similarity, stability"),
        ("2025-04-16", (*CLONE, ("enhance", "True")), CLIP, "enhance must be one of true, false"),
        (NEWEST, CLONE, (), "clip is required"),
        (NEWEST, CLONE[:1], CLIP, "language is required"),
        (NEWEST, CLONE[1:], CLIP, "name is required"),
        ("2026-03-01", (("name", "n"), ("language", "xx")), CLIP, "not a supported language"),
    ],
)
def test_a_wrong_clone_is_named(
    version: str, texts: tuple[tuple[str, str], ...], files: tuple[ContentPart, ...], said: str
) -> None:
    """400."""
    with pytest.raises(Problem, match=said) as refused:
        read_clone_voice(ReceivedForm(Texts(texts), files), version)
    assert refused.value.status == 400


def test_languages_are_checked_from_2026_03_01_on() -> None:
    """Before, any text will do."""
    form = ReceivedForm(Texts((("name", "n"), ("language", "xx"))), CLIP)
    assert read_clone_voice(form, "2025-11-04").language == "xx"


@pytest.mark.parametrize(("texts", "enhance"), [((), True), ((("enhance", "false"), ("mode", "clip")), False)])
def test_a_clip_is_enhanced_unless_told(texts: tuple[tuple[str, str], ...], enhance: bool) -> None:
    """The mode that the 1.x SDK sends along is ignored."""
    assert read_clone_clip(ReceivedForm(Texts(texts), CLIP)) == CloneClip(b"c", enhance)


def test_voices_are_mixed_by_id_and_by_embedding() -> None:
    """Weights need not sum to 1."""
    voices: JsonValue = [{"id": "v", "weight": 1}, {"embedding": NUMBERS, "weight": 0.25}]
    mixed = MixVoices((Ingredient(1.0, "v"), Ingredient(0.25, None, EMBEDDING)))
    assert read_mix_voices(Fields({"voices": voices})) == mixed


@pytest.mark.parametrize(
    ("voices", "said"),
    [
        (None, "voices is required"),
        ([], "voices must not be empty"),
        (["v"], r"voices\[0\] must be an object, not a string"),
        ([{"weight": 1}], r"voices\[0\] must have either an id or an embedding"),
        ([{"id": "v", "embedding": NUMBERS, "weight": 1}], r"voices\[0\] must have either"),
        ([{"id": "v"}], r"voices\[0\].weight is required"),
        ([{"id": "v", "weight": 1.5}], r"voices\[0\].weight must be from 0 to 1"),
        ([{"id": "v", "weight": 0}], "weights of voices are all 0"),
    ],
)
def test_a_wrong_mix_is_named(voices: JsonValue, said: str) -> None:
    """400."""
    with pytest.raises(Problem, match=said):
        read_mix_voices(Fields({"voices": voices}))


OLD: dict[str, JsonValue] = {
    "voice_id": "v",
    "name": "n",
    "description": "d",
    "language": "fr",
    "original_speaker_gender": "male",
}


@pytest.mark.parametrize("version", ["2024-06-10", "2024-11-13", "2026-03-01"])
def test_before_2026_08_14_a_voice_is_localized_to_a_language(version: str) -> None:
    """And to a dialect of it."""
    assert read_localize_voice(Fields(OLD), version) == LocalizeVoice("v", "n", "d", "fr", "male")
    dialect = read_localize_voice(Fields({**OLD, "dialect": "ca"}), version)
    assert dialect == LocalizeVoice("v", "n", "d", "fr", "male", "ca")


def test_the_first_version_also_localizes_an_embedding() -> None:
    """Its first form; later ones need the id of a voice."""
    given: dict[str, JsonValue] = {"embedding": NUMBERS, "language": "en", "original_speaker_gender": "female"}
    assert read_localize_voice(Fields(given), "2024-06-10") == LocalizeEmbedding(EMBEDDING, "en", "female")
    with pytest.raises(Problem, match="voice_id is required"):
        read_localize_voice(Fields(given), "2024-11-13")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"language": "xx"}, "language 'xx' is not a supported language"),
        ({"language": "uk"}, "language 'uk' is not a supported language"),
        ({"original_speaker_gender": None}, "original_speaker_gender is required"),
        ({"original_speaker_gender": "feminine"}, "must be one of male, female"),
        ({"dialect": "uk"}, "dialect must be one of eu, ca"),
        ({"language": "de", "dialect": "at"}, "there are no dialects of de"),
        ({"description": None}, "description is required"),
    ],
)
def test_a_wrong_localization_is_named(fields: dict[str, JsonValue], said: str) -> None:
    """400."""
    with pytest.raises(Problem, match=said):
        read_localize_voice(Fields({**OLD, **fields}), "2026-03-01")


def test_from_2026_08_14_on_a_voice_is_localized_to_an_accent() -> None:
    """Everything else became optional."""
    least: dict[str, JsonValue] = {"voice_id": "v", "name": "n", "accent": "parisian"}
    assert read_localize_voice(Fields(least), NEWEST) == LocalizeVoice("v", "n", accent="parisian")
    most: dict[str, JsonValue] = {**OLD, **least, "dialect": "eu", "tagline": "t" * 32}
    expected = LocalizeVoice("v", "n", "d", "fr", "male", "eu", "parisian", "t" * 32)
    assert read_localize_voice(Fields(most), NEWEST) == expected


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"accent": None}, "accent is required"),
        ({"tagline": "t" * 33}, "tagline must have at most 32 characters, not 33"),
        ({"language": "xx"}, "not a supported language"),
    ],
)
def test_a_wrong_localization_to_an_accent_is_named(fields: dict[str, JsonValue], said: str) -> None:
    """400."""
    least: dict[str, JsonValue] = {"voice_id": "v", "name": "n", "accent": "parisian"}
    with pytest.raises(Problem, match=said):
        read_localize_voice(Fields({**least, **fields}), NEWEST)
