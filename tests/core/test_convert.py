"""From parsed JSON to models: tolerant of tomorrow, strict about today, and a path for every violation."""

import pickle
from typing import Literal, TypeAlias

import pytest
from attrs import frozen

from cartesia_proto.convert import Model, converter, read, read_response
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


VIOLATIONS: list[tuple[JsonValue, str, str]] = [
    ({}, "$.id", "missing field 'id'"),
    ({"id": None}, "$.id", "expected str, not null"),
    ({"id": 5}, "$.id", "expected str, not int"),
    ({"id": "t", "height": "5"}, "$.height", "expected int, not str"),
    ({"id": "t", "height": 5.0}, "$.height", "expected int, not float"),
    ({"id": "t", "height": True}, "$.height", "expected int, not bool"),
    ({"id": "t", "alive": "false"}, "$.alive", "expected bool, not str"),
    ({"id": "t", "alive": 0}, "$.alive", "expected bool, not int"),
    ({"id": "t", "size": 5}, "$.size", "expected str, not int"),
    ({"id": "t", "former_size": []}, "$.former_size", "expected str, not an array"),
    ({"id": "t", "leaf": []}, "$.leaf", "expected an object, not an array"),
    ({"id": "t", "leaf": {}}, "$.leaf.name", "missing field 'name'"),
    ({"id": "t", "leaf": {"name": "l", "weight": "2"}}, "$.leaf.weight", "expected a number, not str"),
    ({"id": "t", "leaf": {"name": "l", "weight": False}}, "$.leaf.weight", "expected a number, not bool"),
    ({"id": "t", "leaves": {}}, "$.leaves", "expected an array, not an object"),
    ({"id": "t", "leaves": "ab"}, "$.leaves", "expected an array, not str"),
    ({"id": "t", "leaves": [{"name": "a"}, 5]}, "$.leaves[1]", "expected an object, not int"),
    ({"id": "t", "leaves": [{"name": "a"}, {"name": {}}]}, "$.leaves[1].name", "expected str, not an object"),
    ({"id": "t", "rings": 5}, "$.rings", "expected an array, not int"),
    ({"id": "t", "rings": [1, None]}, "$.rings[1]", "expected a number, not null"),
    ({"id": "t", "pair": "c"}, "$.pair", "."),
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
    with pytest.raises(RemoteProtocolError) as caught:
        read([{"name": "a"}, {"name": None}], tuple[Leaf, ...])
    assert caught.value.path == "$[1].name"


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
    with pytest.raises(RemoteProtocolError, match="no acceptable JSON"):
        read_response(Response(200, body=b"<html>"), Leaf)


def test_one_converter() -> None:
    """All models share it."""
    assert converter() is converter()
