"""Reading single fields, and naming them when they are wrong."""

from collections.abc import Callable

import pytest

from cartesia_proto.errors import JsonValue
from cartesia_proto.server.fields import Fields, Texts, check_choice, kind_of, number
from cartesia_proto.server.problems import Problem

NUMBERS: list[JsonValue] = [0.5] * 192
WORDS: list[JsonValue] = ["x"] * 192
FIELDS = Fields(
    {
        "text": "t",
        "empty": "",
        "true": True,
        "integer": 3,
        "number": 0.5,
        "object": {"inner": 1},
        "texts": ["a", "b"],
        "mixed": ["a", 1],
        "none": None,
        "nothing": [],
        "embedding": NUMBERS,
        "short": [1, 2],
        "words": WORDS,
    }
)


def refused(read: Callable[[], object]) -> str:
    """What a 400 says."""
    with pytest.raises(Problem) as problem:
        read()
    assert problem.value.status == 400
    return problem.value.message


def test_fields_of_the_right_kind_are_read() -> None:
    """Each by its own method."""
    assert FIELDS.text("text") == FIELDS.required_text("text") == "t"
    assert FIELDS.choice("text", ("s", "t")) == "t"
    assert FIELDS.boolean("true") is True
    assert FIELDS.integer("integer") == 3
    assert FIELDS.number("integer") == 3.0
    assert FIELDS.number_between("number", 0.5, 1.0) == 0.5
    assert FIELDS.object("object") == FIELDS.required_object("object") == Fields({"inner": 1}, "object.")
    assert FIELDS.array("mixed") == ["a", 1]
    assert FIELDS.texts("texts") == ("a", "b")
    assert FIELDS.embedding("embedding") == (0.5,) * 192
    assert FIELDS.has("text")


@pytest.mark.parametrize("name", ["absent", "none"])
def test_null_counts_as_absent(name: str) -> None:
    """Optional fields are None either way."""
    assert FIELDS.text(name) is None
    assert FIELDS.choice(name, ("a",)) is None
    assert FIELDS.boolean(name) is None
    assert FIELDS.number(name) is None
    assert FIELDS.number_between(name, 0, 1) is None
    assert FIELDS.object(name) is None
    assert not FIELDS.has(name)


@pytest.mark.parametrize("name", ["absent", "none"])
def test_what_must_be_there_is_named(name: str) -> None:
    """Whatever its kind."""
    said = f"{name} is required"
    assert refused(lambda: FIELDS.required_text(name)) == said
    assert refused(lambda: FIELDS.integer(name)) == said
    assert refused(lambda: FIELDS.required_object(name)) == said
    assert refused(lambda: FIELDS.array(name)) == said
    assert refused(lambda: FIELDS.texts(name)) == said
    assert refused(lambda: FIELDS.embedding(name)) == said


def test_what_is_of_another_kind_is_named_with_its_kind() -> None:
    """Booleans are no numbers, and numbers no strings."""
    assert refused(lambda: FIELDS.text("true")) == "true must be a string, not true or false"
    assert refused(lambda: FIELDS.boolean("text")) == "text must be true or false, not a string"
    assert refused(lambda: FIELDS.integer("true")) == "true must be an integer, not true or false"
    assert refused(lambda: FIELDS.integer("number")) == "number must be an integer, not a number"
    assert refused(lambda: FIELDS.number("true")) == "true must be a number, not true or false"
    assert refused(lambda: FIELDS.object("texts")) == "texts must be an object, not an array"
    assert refused(lambda: FIELDS.array("object")) == "object must be an array, not an object"
    assert refused(lambda: FIELDS.texts("mixed")) == "mixed must be an array of at least one string"
    assert refused(lambda: FIELDS.texts("nothing")) == "nothing must be an array of at least one string"
    assert refused(lambda: FIELDS.embedding("words")) == "words[0] must be a number, not a string"


def test_what_is_out_of_bounds_is_named_with_its_bounds() -> None:
    """Empty, too many, too few, too much."""
    assert refused(lambda: FIELDS.required_text("empty")) == "empty must not be empty"
    assert refused(lambda: FIELDS.choice("text", ("a", "b"))) == "text must be one of a, b, not 't'"
    assert refused(lambda: FIELDS.number_between("number", 0.6, 1.5)) == "number must be from 0.6 to 1.5, not 0.5"
    assert refused(lambda: FIELDS.embedding("short")) == "short must have 192 numbers, not 2"


def test_inner_fields_are_named_with_their_path() -> None:
    """So that a client knows which object is meant."""
    inner = FIELDS.required_object("object")
    assert refused(lambda: inner.text("inner")) == "object.inner must be a string, not a number"
    assert refused(lambda: inner.required_text("x")) == "object.x is required"


TEXTS = Texts((("a", "1"), ("twice", "x"), ("twice", "y"), ("empty", ""), ("yes", "true"), ("no", "false")))


def test_texts_are_read_by_name() -> None:
    """Forms and queries have nothing but text."""
    assert TEXTS.text("a") == TEXTS.required_text("a") == "1"
    assert TEXTS.text("absent") is None
    assert TEXTS.texts("twice") == ("x", "y")
    assert TEXTS.integer("a") == 1
    assert TEXTS.integer("absent") is None
    assert (TEXTS.boolean("yes"), TEXTS.boolean("no"), TEXTS.boolean("absent")) == (True, False, None)
    assert TEXTS.choice("a", ("1", "2")) == "1"


def test_wrong_texts_are_named() -> None:
    """Absent, empty, doubled, no digits, no truth value."""
    assert refused(lambda: TEXTS.required_text("absent")) == "absent is required"
    assert refused(lambda: TEXTS.required_text("empty")) == "empty must not be empty"
    assert refused(lambda: TEXTS.text("twice")) == "twice was given 2 times"
    assert refused(lambda: TEXTS.integer("yes")) == "yes must be a number in decimal digits"
    assert refused(lambda: Texts((("n", "²"),)).integer("n")) == "n must be a number in decimal digits"
    assert refused(lambda: Texts((("n", "9" * 5000),)).integer("n")) == "n must be a number in decimal digits"
    assert refused(lambda: TEXTS.boolean("a")) == "a must be one of true, false, not '1'"


def test_free_values_are_checked_alike() -> None:
    """For what stands in no object of its own."""
    assert check_choice("p", "a", ("a",)) == "a"
    assert number(1, "p") == 1.0
    assert refused(lambda: number(None, "p")) == "p must be a number, not null"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "true or false"),
        (1, "a number"),
        (1.5, "a number"),
        ("s", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_kinds_are_named_in_the_words_of_json(value: JsonValue, kind: str) -> None:
    """Whoever reads the message may not know Python."""
    assert kind_of(value) == kind


def test_what_a_client_sent_is_not_shown() -> None:
    """Transcripts stay out of logs."""
    assert "canary" not in repr(Fields({"transcript": "canary"})) + repr(Texts((("a", "canary"),)))
