"""A call's arguments: frozen once, and given back as JSON, query or form."""

import copy
import pickle
from collections import UserDict, UserList
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from attrs import frozen

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.http import ContentPart, FilePart, TextPart
from cartesia_proto.parameters import FileInput, Parameters, file_part, form_parts, freeze, query_pairs


@frozen
class Settings:
    """An attrs value of a caller."""

    speed: float | None = None
    tags: tuple[str, ...] = ()
    inner: "Settings | None" = None


def test_is_a_mapping() -> None:
    """Reads as a mapping of frozen values, made from a mapping, from names, or from both."""
    parameters = Parameters({"a": 1, "b": [1]}, b=(2, 3))
    assert isinstance(parameters, Mapping)
    assert dict(parameters) == {"a": 1, "b": (2, 3)}
    assert (len(parameters), list(parameters)) == (2, ["a", "b"])
    assert Parameters() == Parameters({}) == Parameters(None)


def test_compares_hashes_copies_and_pickles() -> None:
    """Equal whatever the order; hashable; the same after a pickle or a copy."""
    one, two = Parameters(a=1, b=[{"c": None}]), Parameters(b=({"c": None},), a=1)
    assert one == two
    assert hash(one) == hash(two)
    assert one != Parameters(a=1)
    assert one != {"a": 1, "b": (Parameters(c=None),)}
    for again in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):
        assert again == one
    assert repr(Parameters(a=1)) == "Parameters({'a': 1})"


def test_repr_hides_what_looks_secret() -> None:
    """A parameter whose name looks secret is not shown, at any depth."""
    shown = repr(Parameters(query={"access_token": "CANARY", "a": "seen"}, api_key="CANARY"))
    assert "CANARY" not in shown
    assert "'access_token': '***'" in shown
    assert "seen" in shown


@pytest.mark.parametrize("secret", [Parameters(api_key="CANARY"), Parameters(query={"access_token": "CANARY"})])
def test_what_looks_secret_is_not_pickled(secret: Parameters) -> None:
    """At any depth; copies are the same value."""
    with pytest.raises(TypeError, match="refuse to be pickled") as caught:
        pickle.dumps(secret)
    assert "CANARY" not in str(caught.value)
    assert copy.copy(secret) is copy.deepcopy(secret) is secret
    absent = Parameters(api_key=None, keyterm=("a",))
    assert pickle.loads(pickle.dumps(absent)) == absent


def test_later_changes_do_not_reach_it() -> None:
    """Changing what was handed over does not change what was asked."""
    words, controls, samples = ["a"], {"speed": [1]}, bytearray(b"ab")
    parameters = Parameters(words=words, controls=controls, samples=samples, view=memoryview(samples))
    words.append("b")
    controls["speed"].append(2)
    controls["more"] = []
    samples[:] = b"xy"
    assert parameters == Parameters(words=["a"], controls={"speed": [1]}, samples=b"ab", view=b"ab")


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (None, None),
        (True, True),
        (5, 5),
        (0.5, 0.5),
        ("x", "x"),
        (b"x", b"x"),
        ([1, [2]], (1, (2,))),
        (range(2), (0, 1)),
        (UserList([1]), (1,)),
        (UserDict({"a": [1]}), Parameters(a=(1,))),
        (MappingProxyType({"a": 1}), Parameters(a=1)),
        (Settings(speed=1.0, inner=Settings(tags=("x",))), Parameters(speed=1.0, tags=(), inner={"tags": ("x",)})),
        (ContentPart("a", b"x"), ContentPart("a", b"x")),
        (FilePart("a", "x"), FilePart("a", "x")),
        (Parameters(a=1), Parameters(a=1)),
    ],
)
def test_freeze(value: object, result: object) -> None:
    """Every kind of argument has one frozen form."""
    assert freeze(value, "it") == result


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (object(), "it is a object"),
        ({1, 2}, "it is a set"),
        ([0, {"a": object()}], "a is a object"),
        ([0, object()], r"it\[1\] is a object"),
        ({1: 2}, "the keys of it must be strings, not int"),
        (Settings, "it is a type"),
    ],
)
def test_cannot_be_frozen(value: object, complaint: str) -> None:
    """What no request can carry is refused with where it stands."""
    with pytest.raises(LocalProtocolError, match=complaint):
        Parameters(it=value)


def test_typed_access() -> None:
    """Each kind is read with its own method; what is absent is empty where that has a meaning."""
    part = ContentPart("clip", b"x")
    parameters = Parameters(text="t", texts=["a", "b"], mapping={"a": 1}, file=part, none=None)
    assert parameters.text("text") == "t"
    assert parameters.texts("texts") == ("a", "b")
    assert parameters.texts("none") == parameters.texts("absent") == ()
    assert parameters.mapping("mapping") == Parameters(a=1)
    assert parameters.mapping("none") == parameters.mapping("absent") == Parameters()
    assert parameters.file("file") == part


def test_typed_access_of_another_kind() -> None:
    """Another kind is refused by name."""
    parameters = Parameters(number=5, mixed=["a", 5])
    with pytest.raises(LocalProtocolError, match="number must be a string, not int"):
        parameters.text("number")
    with pytest.raises(LocalProtocolError, match="absent must be a string, not NoneType"):
        parameters.text("absent")
    with pytest.raises(LocalProtocolError, match="number must be a list of strings, not int"):
        parameters.texts("number")
    with pytest.raises(LocalProtocolError, match="mixed must be a string, not int"):
        parameters.texts("mixed")
    with pytest.raises(LocalProtocolError, match="number must be a mapping, not int"):
        parameters.mapping("number")
    with pytest.raises(LocalProtocolError, match="number must be bytes or a path, not int"):
        parameters.file("number")


def test_replaced_and_without() -> None:
    """Others are made; the first stays as it was."""
    first = Parameters(a=1, b=2)
    assert first.replaced(b=[3], c=4) == Parameters(a=1, b=(3,), c=4)
    assert first.without("a", "absent") == Parameters(b=2)
    assert first == Parameters(a=1, b=2)


def test_as_json() -> None:
    """None means "leave it out" in the fields of objects, and is null where it is said explicitly."""
    parameters = Parameters(a=None, b={"c": None, "d": 1}, e=[1, {"f": None}, None])
    assert parameters.as_json() == {"b": {"d": 1}, "e": [1, {}, None]}
    assert parameters.as_explicit_json() == {"a": None, "b": {"c": None, "d": 1}, "e": [1, {"f": None}, None]}


@pytest.mark.parametrize("value", [b"x", ContentPart("clip", b"x"), FilePart("clip", "x")])
def test_binary_is_no_json(value: object) -> None:
    """Bytes and files cannot stand in a JSON body."""
    for parameters in (Parameters(clip=value), Parameters(clip=[value])):
        with pytest.raises(LocalProtocolError, match="clip is binary"):
            parameters.as_json()
        with pytest.raises(LocalProtocolError, match="clip is binary"):
            parameters.as_explicit_json()


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (b"x", ContentPart("clip", b"x")),
        (bytearray(b"x"), ContentPart("clip", b"x")),
        (memoryview(b"x"), ContentPart("clip", b"x")),
        (Path("a/b.wav"), FilePart("clip", "a/b.wav", "b.wav")),
        (("n.wav", b"x"), ContentPart("clip", b"x", "n.wav")),
        (("n.wav", b"x", "audio/wav"), ContentPart("clip", b"x", "n.wav", "audio/wav")),
        (("n.wav", Path("a/b.wav")), FilePart("clip", "a/b.wav", "n.wav")),
        (("n.wav", Path("b"), "audio/wav"), FilePart("clip", "b", "n.wav", "audio/wav")),
        (ContentPart("other", b"x", "n"), ContentPart("clip", b"x", "n")),
        (FilePart("other", "x"), FilePart("clip", "x")),
    ],
)
def test_file_part(value: FileInput, part: object) -> None:
    """Bytes, a path, and the tuples of the 4.x SDK are files; the name is the parameter's."""
    assert file_part("clip", value) == part


@pytest.mark.parametrize("value", [b"", bytearray(), ("n.wav", b""), ContentPart("other", b"", "n")])
def test_an_empty_file(value: FileInput) -> None:
    """There is nothing to send, wherever it stands in a form."""
    with pytest.raises(LocalProtocolError, match="clip is empty: there is no recording"):
        file_part("clip", value)
    with pytest.raises(LocalProtocolError, match="clip is empty: there is no recording"):
        form_parts(Parameters(clip=ContentPart("clip", b"")))


@pytest.mark.parametrize("value", ["a/b.wav", ("n.wav", "text"), ("n.wav",), 5, None])
def test_no_file(value: object) -> None:
    """A string could be a path or content, so it is refused, with what to do instead."""
    with pytest.raises(LocalProtocolError, match=r"clip must be bytes, a pathlib\.Path"):
        file_part("clip", value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the mistake under test


def test_query_pairs() -> None:
    """None is left out, lists repeat the name, booleans are in lower case."""
    parameters = Parameters(
        {"a": None, "expand[]": ["x", None, "y"], "on": True, "off": False, "n": 5, "f": 0.5, "s": "t"}
    )
    assert query_pairs(parameters) == (
        ("expand[]", "x"),
        ("expand[]", "y"),
        ("on", "true"),
        ("off", "false"),
        ("n", "5"),
        ("f", "0.5"),
        ("s", "t"),
    )
    with pytest.raises(LocalProtocolError, match="a must be text, a number or true/false, not Parameters"):
        query_pairs(Parameters(a={}))


def test_form_parts() -> None:
    """Nested names stand in brackets, lists as name[], booleans in lower case, and files come last."""
    parameters = Parameters(
        clip=ContentPart("other", b"x"),
        name="n",
        nothing=None,
        output_format={"container": "wav", "sample_rate": 44100, "none": None},
        voice={"controls": {"emotion": ["a", "b"]}},
        files=[FilePart("f", "p")],
        enhance=True,
    )
    assert form_parts(parameters) == (
        TextPart("name", "n"),
        TextPart("output_format[container]", "wav"),
        TextPart("output_format[sample_rate]", "44100"),
        TextPart("voice[controls][emotion][]", "a"),
        TextPart("voice[controls][emotion][]", "b"),
        TextPart("enhance", "true"),
        ContentPart("clip", b"x"),
        FilePart("files[]", "p"),
    )
    with pytest.raises(LocalProtocolError, match="a must be text"):
        form_parts(Parameters(a=b"x"))


def test_an_argument_that_holds_itself() -> None:
    """It is refused by a sentence, not by the interpreter's recursion limit."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(LocalProtocolError, match="voices is nested too deep"):
        Parameters(voices=endless)
