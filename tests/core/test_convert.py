"""From parsed JSON to models: tolerant of tomorrow and of what nobody needs, and a path for every violation."""

import pickle
from typing import Literal, TypeAlias

import pytest
from attrs import frozen

from cartesia_proto.convert import MAX_BROKEN, Model, converter, read, read_response
from cartesia_proto.errors import JsonValue, RemoteProtocolError
from cartesia_proto.http import Response

Size: TypeAlias = Literal["small", "large"] | str


@frozen
class Leaf(Model):
    """The innermost model."""

    name: str
    weight: float = 1.0


@frozen
class Tree(Model):
    """A model with a field of every kind."""

    id: str
    height: int = 0
    alive: bool = True
    size: Size = "small"
    former_size: Size | None = None
    leaf: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()
    rings: tuple[float, ...] | None = None
    pair: Literal["a", "b"] = "a"
    anything: JsonValue = None


def test_everything() -> None:
    """Every kind of field is read; integers are numbers too."""
    tree = read(
        {
            "id": "t",
            "height": 5,
            "alive": False,
            "size": "enormous",
            "former_size": "small",
            "leaf": {"name": "l"},
            "leaves": [{"name": "a", "weight": 2}, {"name": "b"}],
            "rings": [1, 2.5],
            "pair": "b",
            "anything": {"x": [None]},
        },
        Tree,
    )
    assert tree == Tree(
        "t",
        height=5,
        alive=False,
        size="enormous",
        former_size="small",
        leaf=Leaf("l"),
        leaves=(Leaf("a", weight=2.0), Leaf("b")),
        rings=(1.0, 2.5),
        pair="b",
        anything={"x": [None]},
    )
    assert type(tree.leaves[0].weight) is float


def test_absent_and_null() -> None:
    """What is absent or null takes its default, where it has one."""
    nulls: dict[str, JsonValue] = dict.fromkeys(("height", "alive", "size", "former_size", "leaf", "leaves", "rings"))
    assert read({"id": "t"}, Tree) == read({"id": "t", **nulls}, Tree) == Tree("t")


def test_unknown_fields_are_kept() -> None:
    """What this version does not know is kept as it came, at every depth."""
    tree = read({"id": "t", "new": {"a": [1]}, "leaf": {"name": "l", "colour": None}}, Tree)
    assert tree.extra == {"new": {"a": [1]}}
    assert tree.leaf is not None
    assert tree.leaf.extra == {"colour": None}
    assert read({"id": "t"}, Tree) != tree


def test_reads_by_attribute_and_by_key() -> None:
    """Known and unknown fields can be read by key, as from the older SDK's dictionaries."""
    tree = read({"id": "t", "new": 5}, Tree)
    assert tree.id == tree["id"] == "t"
    assert tree["new"] == 5
    assert tree["leaf"] is None
    assert "new" in tree
    assert "extra" not in tree
    assert list(tree) == tree.keys()
    assert tree.keys()[0] == "id"
    assert tree.keys()[-1] == "new"
    assert dict(tree)["height"] == 0
    for missing in ("extra", "absent", "keys"):
        with pytest.raises(KeyError, match=missing):
            tree[missing]


def test_models_are_values() -> None:
    """Models hash, and survive a pickle with what they do not know."""
    tree = read({"id": "t", "new": [1]}, Tree)
    again = pickle.loads(pickle.dumps(tree))
    assert again == tree
    assert again.extra == {"new": [1]}
    assert hash(read({"id": "t", "new": 1}, Leafless)) == hash(read({"id": "t", "new": 1}, Leafless))


@frozen
class Leafless(Model):
    """A model with nothing mutable in it but the unknown."""

    id: str


ODD: list[tuple[str, JsonValue]] = [
    ("height", "5"),
    ("height", 5.5),
    ("height", True),
    ("alive", "false"),
    ("alive", 0),
    ("size", 5),
    ("former_size", []),
    ("leaf", []),
    ("leaf", {}),
    ("leaf", {"name": None}),
    ("leaves", {}),
    ("leaves", "ab"),
    ("leaves", [5]),
    ("leaves", [{}]),
    ("rings", 5),
    ("rings", [1, None]),
    ("pair", "c"),
]


@pytest.mark.parametrize(("name", "value"), ODD)
def test_fields_of_a_wrong_type(name: str, value: JsonValue) -> None:
    """They take their default and are kept as they came; the others are read."""
    tree = read({"id": "t", "anything": 5, "new": 1, name: value}, Tree)
    assert tree == Tree("t", anything=5, extra={"new": 1, name: value})
    assert tree[name] == value
    assert tree.keys().count(name) == 1
    assert dict(tree)[name] == value


def test_fields_within_fields() -> None:
    """What is wrong at a depth costs nothing above it."""
    tree = read({"id": "t", "leaf": {"name": "l", "weight": "2"}, "size": 5, "alive": 0}, Tree)
    assert tree == Tree("t", leaf=Leaf("l", extra={"weight": "2"}), extra={"size": 5, "alive": 0})


def test_integers_written_with_a_point() -> None:
    """JSON has one kind of number alone."""
    height = read({"id": "t", "height": 5.0}, Tree).height
    assert (height, type(height)) == (5, int)


def test_broken_elements() -> None:
    """An array of models does without those that are broken, and is kept as it came."""
    leaves: JsonValue = [{"name": "a"}, 5, {"name": {}}, {"name": "b"}, None]
    assert read({"id": "t", "leaves": leaves}, Tree) == Tree(
        "t", leaves=(Leaf("a"), Leaf("b")), extra={"leaves": leaves}
    )
    assert read(leaves, tuple[Leaf, ...]) == (Leaf("a"), Leaf("b"))
    assert read([], tuple[Leaf, ...]) == ()


def test_too_many_broken_elements() -> None:
    """Then it is no such array: each costs time."""
    broken: list[JsonValue] = [{}] * MAX_BROKEN
    assert read([{"name": "a"}, *broken], tuple[Leaf, ...]) == (Leaf("a"),)
    with pytest.raises(RemoteProtocolError, match=r"missing field 'name' at \$\[1\]\.name"):
        read([{"name": "a"}, *broken, {}], tuple[Leaf, ...])


VIOLATIONS: list[tuple[JsonValue, str, str]] = [
    ({}, "$.id", "missing field 'id'"),
    ({"id": None}, "$.id", "expected str, not null"),
    ({"id": 5}, "$.id", "expected str, not int"),
    ({"id": 5, "height": "x"}, "$.id", "expected str, not int"),
    ([], "$", "expected an object, not an array"),
    (None, "$", "expected an object, not null"),
    ("text", "$", "expected an object, not str"),
]


@pytest.mark.parametrize(("body", "path", "complaint"), VIOLATIONS)
def test_violations(body: JsonValue, path: str, complaint: str) -> None:
    """What does not fit is a RemoteProtocolError with its path in the message and in `path`."""
    with pytest.raises(RemoteProtocolError, match=complaint) as caught:
        read(body, Tree)
    assert caught.value.path == path
    assert str(caught.value).endswith(f" at {path}")
    assert caught.value.__cause__ is None


def test_lists_of_models() -> None:
    """A bare array of models is read with `tuple[Model, ...]`."""
    assert read([{"name": "a"}], tuple[Leaf, ...]) == (Leaf("a"),)
    broken: list[tuple[JsonValue, str]] = [
        ([5, {"name": None}], "$[0]"),
        ([{"name": None}], "$[0].name"),
        ({"name": "a"}, "$"),
    ]
    for body, path in broken:
        with pytest.raises(RemoteProtocolError) as caught:
            read(body, tuple[Leaf, ...])
        assert caught.value.path == path
    with pytest.raises(RemoteProtocolError, match=r"expected a number, not str at \$\[1\]"):
        read([1, "2"], tuple[float, ...])


def test_unexpected_violations_are_described_too() -> None:
    """An exception that says nothing is told by its name."""

    class Odd:
        """A type whose hook fails without a word."""

    def refuse(value: object, kind: object) -> Odd:
        del value, kind
        raise ValueError

    converter().register_structure_hook(Odd, refuse)
    with pytest.raises(RemoteProtocolError, match=r"ValueError at \$"):
        read({}, Odd)


def test_responses() -> None:
    """The body of a response is read as JSON; what is none says so."""
    assert read_response(Response(200, body=b'{"name":"a"}'), Leaf) == Leaf("a")
    damaged = b'\xef\xbb\xbf{"name":"\\ud83d\xff","weight":NaN}'
    assert read_response(Response(200, body=damaged), Leaf) == Leaf("\ufffd\ufffd")
    with pytest.raises(RemoteProtocolError, match="no acceptable JSON"):
        read_response(Response(200, body=b"<html>"), Leaf)


def test_one_converter() -> None:
    """All models share it."""
    assert converter() is converter()
