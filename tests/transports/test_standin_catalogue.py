"""The voices of the stand-in."""

from collections.abc import Callable

import pytest

from cartesia_proto.server.problems import Problem
from cartesia_proto.server.voice_making import (
    CloneClip,
    CloneVoice,
    CreateVoice,
    Ingredient,
    LocalizeVoice,
    MixVoices,
)
from cartesia_proto.server.voice_requests import AddAccents, DeleteAccent, ListVoices, UpdateVoice
from cartesia_standin import DEFAULT_VOICE_ID
from cartesia_standin.catalogue import MAX_ACCENTS, Catalogue
from cartesia_standin.speech import pitch_of
from cartesia_standin.voices import ACCENTS, catalogue_voices

EMBEDDING = (0.5, *([0.0] * 191))
CREATE = CreateVoice("Mine", "d", EMBEDDING)


@pytest.fixture
def catalogue() -> Catalogue:
    """A fresh one."""
    return Catalogue()


def ids(catalogue: Catalogue, request: ListVoices) -> list[str]:
    """The ids of a page."""
    return [voice.id for voice in catalogue.select(request).voices]


def everything(catalogue: Catalogue) -> list[str]:
    """All ids."""
    return ids(catalogue, ListVoices())


def test_the_catalogue_is_the_same_every_time() -> None:
    """Embeddings included."""
    assert catalogue_voices() == catalogue_voices()
    assert len({voice.id for voice in catalogue_voices()}) == 24
    assert all(len(voice.embedding) == 192 for voice in catalogue_voices())
    assert [accent.id for accent in ACCENTS] == sorted(accent.id for accent in ACCENTS)


@pytest.mark.parametrize(
    "voice_id",
    [
        "6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
        "f786b574-daa5-4673-aa0c-cbe3e8534c02",
        "694f9389-aac1-45b6-b726-9d9369183238",
        "a0e99841-438c-4a64-b679-ae501e7d6091",
        DEFAULT_VOICE_ID,
    ],
)
def test_the_usual_default_voices_are_there(catalogue: Catalogue, voice_id: str) -> None:
    """Those of protocol section 8.3."""
    assert catalogue.get(voice_id).id == voice_id


def test_higher_and_lower_voices() -> None:
    """Feminine ones above, masculine ones below."""
    pitches = [(voice.gender, pitch_of(voice.embedding)) for voice in catalogue_voices()]
    highest = max(pitch for gender, pitch in pitches if gender == "masculine")
    lowest = min(pitch for gender, pitch in pitches if gender == "feminine")
    assert highest < lowest


def test_pages_forward(catalogue: Catalogue) -> None:
    """Each goes on where the last ended, and the last says so."""
    pages: list[str] = []
    after: str | None = None
    while True:
        selection = catalogue.select(ListVoices(limit=10, starting_after=after))
        pages += [voice.id for voice in selection.voices]
        after = selection.next_page
        if after is None:
            break
        assert after == pages[-1]
    assert pages == everything(catalogue)


def test_pages_backward(catalogue: Catalogue) -> None:
    """Each ends where the last began, in the same order."""
    whole = everything(catalogue)
    selection = catalogue.select(ListVoices(limit=10, ending_before=whole[15]))
    assert [voice.id for voice in selection.voices] == whole[5:15]
    assert selection.next_page == whole[5]
    selection = catalogue.select(ListVoices(limit=10, ending_before=whole[5]))
    assert [voice.id for voice in selection.voices] == whole[:5]
    assert selection.next_page is None


@pytest.mark.parametrize("request_", [ListVoices(10, starting_after="x"), ListVoices(10, ending_before="x")])
def test_an_unknown_cursor_is_refused(catalogue: Catalogue, request_: ListVoices) -> None:
    """400."""
    with pytest.raises(Problem, match="names no voice of this list") as refused:
        catalogue.select(request_)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (ListVoices(q="eloise"), ["Éloïse"]),
        (ListVoices(q="JÜRGEN"), ["Jürgen"]),
        (ListVoices(q="f786b574"), ["Katie"]),
        (ListVoices(q="castilian"), ["Íñigo"]),
        (ListVoices(q="nobody"), []),
        (ListVoices(language="fr", gender="masculine"), ["Mathieu"]),
        (ListVoices(is_starred=True), ["Katie", "Thea"]),
        (ListVoices(is_owner=True), []),
    ],
)
def test_filters(catalogue: Catalogue, request_: ListVoices, names: list[str]) -> None:
    """A search looks at name, description and id, and over accents and case."""
    assert [voice.name for voice in catalogue.select(request_).voices] == names


def test_a_created_voice_is_listed_last_and_is_ones_own(catalogue: Catalogue) -> None:
    """Its id depends on nothing but how many were made before."""
    voice = catalogue.create(CREATE)
    assert everything(catalogue)[-1] == voice.id
    assert ids(catalogue, ListVoices(is_owner=True)) == [voice.id]
    assert (voice.embedding, voice.language, voice.is_owner, voice.is_public) == (EMBEDDING, "en", True, False)
    assert Catalogue().create(CREATE) == voice
    assert catalogue.create(CREATE).id != voice.id


def test_a_base_voice_must_exist(catalogue: Catalogue) -> None:
    """404."""
    catalogue.create(CreateVoice("n", "d", EMBEDDING, base_voice_id=DEFAULT_VOICE_ID))
    with pytest.raises(Problem) as refused:
        catalogue.create(CreateVoice("n", "d", EMBEDDING, base_voice_id="x"))
    assert refused.value.error_code == "voice_not_found"


def test_a_clone_depends_on_its_clip(catalogue: Catalogue) -> None:
    """The same clip, the same voice."""
    first = catalogue.clone(CloneVoice(b"one", "n", "en", accent="british"))
    second = catalogue.clone(CloneVoice(b"two", "n", "xx"))
    assert first.embedding == catalogue.clone_clip(CloneClip(b"one")) != second.embedding
    assert [spoken.accent for spoken in first.accents] == ["british"]
    assert (second.accents, second.country) == ((), None)
    with pytest.raises(Problem, match="no accent 'x'"):
        catalogue.clone(CloneVoice(b"c", "n", "en", accent="x"))


def test_a_mix_is_the_weighted_mean(catalogue: Catalogue) -> None:
    """Weights are made to sum to 1."""
    other = (-0.5, *([1.0] * 191))
    voice = catalogue.create(CREATE)
    mixed = catalogue.mix(MixVoices((Ingredient(0.3, voice.id), Ingredient(0.1, embedding=other))))
    assert mixed == (0.25, *([0.25] * 191))
    with pytest.raises(Problem) as refused:
        catalogue.mix(MixVoices((Ingredient(1.0, "x"),)))
    assert refused.value.status == 404


def test_a_localized_voice_keeps_its_sound(catalogue: Catalogue) -> None:
    """In another language, or accent."""
    source = catalogue.get(DEFAULT_VOICE_ID)
    french = catalogue.localize(LocalizeVoice(source.id, "n", language="fr"))
    assert (french.language, french.accents[0].accent, french.country) == ("fr", "parisian", "FR")
    assert (french.embedding, french.gender) == (source.embedding, source.gender)
    mexican = catalogue.localize(LocalizeVoice(source.id, "n", accent="mexican", tagline="t"))
    assert (mexican.language, mexican.accents[0].locale, mexican.tagline) == ("es", "es-MX", "t")
    assert catalogue.get(mexican.id) == mexican
    unaccented = catalogue.localize(LocalizeVoice(source.id, "n", language="ur"))
    assert (unaccented.language, unaccented.accents) == ("ur", ())


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (LocalizeVoice(DEFAULT_VOICE_ID, "n", accent="x"), "no accent 'x'"),
        (LocalizeVoice(DEFAULT_VOICE_ID, "n", accent="european-portuguese"), "no voice can be localized"),
        (LocalizeVoice(DEFAULT_VOICE_ID, "n", accent="mexican", language="fr"), "is not one of fr"),
        (LocalizeVoice("x", "n", accent="mexican"), "there is no voice 'x'"),
    ],
)
def test_some_localizations_are_refused(catalogue: Catalogue, request_: LocalizeVoice, said: str) -> None:
    """And make no voice."""
    with pytest.raises(Problem, match=said):
        catalogue.localize(request_)
    assert len(everything(catalogue)) == 24


def test_a_change_is_kept(catalogue: Catalogue) -> None:
    """What is not named stays."""
    voice = catalogue.create(CREATE)
    catalogue.update(UpdateVoice(voice.id, name="New", gender="masculine"))
    changed = catalogue.get(voice.id)
    assert (changed.name, changed.description, changed.gender) == ("New", "d", "masculine")
    assert catalogue.update(UpdateVoice(voice.id, description="e")).gender == "masculine"
    assert catalogue.update(UpdateVoice(voice.id, resets_gender=True)).gender is None
    assert catalogue.update(UpdateVoice(voice.id, accent="british")).accents[0].accent == "british"


def test_a_deleted_voice_is_gone(catalogue: Catalogue) -> None:
    """404 the second time."""
    voice = catalogue.create(CREATE)
    catalogue.delete(voice.id)
    with pytest.raises(Problem) as refused:
        catalogue.delete(voice.id)
    assert refused.value.status == 404
    assert catalogue.create(CREATE).id != voice.id


def test_accents_come_and_go(catalogue: Catalogue) -> None:
    """The native one stays first."""
    voice = catalogue.create(CREATE)
    added = catalogue.add_accents(AddAccents(voice.id, ("british", "mexican", "british", "general-american")))
    assert [spoken.accent for spoken in added.accents] == ["general-american", "british", "mexican"]
    assert [spoken.is_native for spoken in added.accents] == [True, False, False]
    less = catalogue.delete_accent(DeleteAccent(voice.id, "british"))
    assert [spoken.accent for spoken in less.accents] == ["general-american", "mexican"]
    moved = catalogue.update(UpdateVoice(voice.id, accent="mexican"))
    assert [spoken.accent for spoken in moved.accents] == ["mexican"]


def test_some_accents_are_refused(catalogue: Catalogue) -> None:
    """Too many, unknown, native, not there."""
    voice = catalogue.create(CREATE)
    many = tuple(accent.id for accent in ACCENTS[: MAX_ACCENTS + 1])
    with pytest.raises(Problem, match="at most 10 accents"):
        catalogue.add_accents(AddAccents(voice.id, many))
    with pytest.raises(Problem, match="no accent 'x'"):
        catalogue.add_accents(AddAccents(voice.id, ("x",)))
    with pytest.raises(Problem, match="native accent"):
        catalogue.delete_accent(DeleteAccent(voice.id, "general-american"))
    with pytest.raises(Problem, match="has no accent 'british'"):
        catalogue.delete_accent(DeleteAccent(voice.id, "british"))
    assert catalogue.get(voice.id) == voice


def test_voices_of_others_cannot_be_changed(catalogue: Catalogue) -> None:
    """403."""
    verbs: list[Callable[[], object]] = [
        lambda: catalogue.update(UpdateVoice(DEFAULT_VOICE_ID, name="n")),
        lambda: catalogue.delete(DEFAULT_VOICE_ID),
        lambda: catalogue.add_accents(AddAccents(DEFAULT_VOICE_ID, ("british",))),
        lambda: catalogue.delete_accent(DeleteAccent(DEFAULT_VOICE_ID, "british")),
    ]
    for verb in verbs:
        with pytest.raises(Problem) as refused:
            verb()
        assert refused.value.status == 403
