"""JSON and base64: one accepted set, with and without the fast libraries."""

import importlib.util
import sys
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType, ModuleType

import pytest

from cartesia_proto.codecs import json as installed
from cartesia_proto.errors import JsonValue, LocalProtocolError, RemoteProtocolError


def _without_extra() -> ModuleType:
    """The same module, loaded as where neither orjson nor pybase64 is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "orjson", None)
        patch.setitem(sys.modules, "pybase64", None)
        spec = importlib.util.spec_from_file_location("json_without_extra", installed.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


VARIANTS = [pytest.param(installed, id="extra"), pytest.param(_without_extra(), id="standard library")]
both = pytest.mark.parametrize("codec", VARIANTS)


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_variants_differ() -> None:
    """The two variants under test are really two: a text that orjson words differently shows it."""
    messages: set[str] = set()
    for variant in (installed, _without_extra()):
        with pytest.raises(RemoteProtocolError) as caught:
            variant.loads(b"nul")
        messages.add(str(caught.value))
    assert len(messages) == 2


LOADED: list[tuple[bytes, JsonValue]] = [
    (b"null", None),
    (b' {"a": [1, 2.5, true, "x"]}\r\n\t', {"a": [1, 2.5, True, "x"]}),
    (b'{"a":1,"a":2}', {"a": 2}),
    (b'"\\ud83d\\ude00\\n\\u0000"', "😀\n\0"),
    (b'"\\\\ud800"', "\\ud800"),
    ("ü\u2028\x7f".encode().join([b'"', b'"']), "ü\u2028\x7f"),
    (b"18446744073709551615", 2**64 - 1),
    (b"18446744073709551616", float(2**64)),
    (b"-9223372036854775808", -(2**63)),
    (b"-9223372036854775809", float(-(2**63) - 1)),
    (b"1" + b"0" * 300, 1e300),
    (b"1e-400", 0.0),
    (b"-0", 0),
    (_nested(3), [[[]]]),
]


@both
@pytest.mark.parametrize(("text", "value"), LOADED)
def test_loads(codec: ModuleType, text: bytes, value: object) -> None:
    """Accepted texts give the value, of the same type, in every form they may be handed in."""
    for given in (text, bytearray(text), memoryview(text), text.decode()):
        parsed = codec.loads(given)
        assert (parsed, type(parsed)) == (value, type(value))


@both
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"nul",
        b"{} {}",
        b"[1,]",
        b"01",
        b"1.",
        b"+1",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e400",
        b"-1e400",
        b"1" * 400,
        b"1" * 5000,
        b'"\n"',
        b'"\\x"',
        b'"\\ud800"',
        b'"\\udc00"',
        b'"\\uD800x"',
        b'"\\udc00\\ud800"',
        b'{"\\udfff":1}',
        b'{"a":"\\ud800","a":1}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf1",
        "1".encode("utf-16"),
        "1".encode("utf-32-be"),
        '"\ud800"',
        b"\x0c1",
    ],
)
def test_loads_refuses(codec: ModuleType, text: bytes | str) -> None:
    """What is outside the accepted set is the server's fault, and is not repeated with all its text."""
    with pytest.raises(RemoteProtocolError, match="no acceptable JSON") as caught:
        codec.loads(text)
    assert caught.value.path == "$"
    assert caught.value.__cause__ is None


READ_LENIENTLY: list[tuple[bytes, JsonValue]] = [
    *LOADED,
    (b"\xef\xbb\xbf{}", {}),
    (b'"\\ud800"', "\ufffd"),
    (b'"\\udc00\\ud800x\\uD83D\\uDE00"', "\ufffd\ufffdx😀"),
    (b'{"\\udfff":[1,"\\ud83d",{"a":"\\ud83d"}]}', {"\ufffd": [1, "\ufffd", {"a": "\ufffd"}]}),
    (b'{"a":"\\ud800","a":1}', {"a": 1}),
    (b'["\xff","\xed\xa0\x80"]', ["\ufffd", "\ufffd\ufffd\ufffd"]),
    (b"[NaN,Infinity,-Infinity,1e400,-1e400,1.5]", [None, None, None, None, None, 1.5]),
    (b"1" * 5000, None),
    (b'[NaN,18446744073709551616,7,"\\u0041"]', [None, float(2**64), 7, "A"]),
    (b'"a\nb\x00"', "a\nb\0"),
]


@both
@pytest.mark.parametrize(("text", "value"), READ_LENIENTLY)
def test_read_lenient(codec: ModuleType, text: bytes, value: JsonValue) -> None:
    """Only what is wrong is lost: what is no text becomes U+FFFD, what is no number null."""
    for given in (text, bytearray(text), memoryview(text)):
        parsed = codec.read_lenient(given)
        assert (parsed, type(parsed)) == (value, type(value))


@both
@pytest.mark.parametrize(
    "text", [b"", b" ", b"nul", b"{} {}", b"[1,]", b"01", b'"\\x"', "1".encode("utf-16"), b"{'a':1}"]
)
def test_read_lenient_refuses(codec: ModuleType, text: bytes) -> None:
    """What is no JSON even so is the server's fault."""
    with pytest.raises(RemoteProtocolError, match="no acceptable JSON") as caught:
        codec.read_lenient(text)
    assert caught.value.path == "$"
    assert caught.value.__context__ is None, "it would hold the whole text"
    assert caught.value.__cause__ is None


@both
def test_read_lenient_takes_text(codec: ModuleType) -> None:
    """A lone surrogate, which cannot have travelled, is no reason to fail."""
    assert codec.read_lenient('{"a":"é"}') == {"a": "é"}
    assert codec.read_lenient('"\ud800"') == "\ufffd\ufffd\ufffd"


def _list(depth: int, inner: JsonValue) -> JsonValue:
    for _ in range(depth):
        inner = [inner]
    return inner


@both
def test_read_lenient_cuts_depths(codec: ModuleType) -> None:
    """What is nested too deeply is null, and what stands beside it is read; where it has no end, nothing is."""
    most = codec.MAX_DEPTH
    assert codec.read_lenient(_nested(most)) == _list(most - 1, [])
    assert codec.read_lenient(_nested(most + 1)) == _list(most, None)
    deep = b'{"a":' * 2000 + b'"[{\\""' + b"}" * 2000
    parsed = codec.read_lenient(b'{"x":' + deep + b',"y":[' + deep + b',"\\ud800"],"z":NaN}')
    assert (parsed["y"][1], parsed["z"]) == ("\ufffd", None)
    for bad in (b"[" * 1000, b"[" * 1000 + b'"', b"]" * 1000, b"[" * 1000 + b"]" * 1001, b"[" * 200 + b'"a' * 99):
        with pytest.raises(RemoteProtocolError):
            codec.read_lenient(bad)


@both
@pytest.mark.parametrize("read", ["loads", "read_lenient"])
@pytest.mark.parametrize(
    "piece", [b'{"a":', b"[", b"[{},", b"{},", b'"ab",', b'"":', b'["":', b"1.5,", b"]", b'\\"[', b'{"a":0},']
)
def test_amplification(codec: ModuleType, read: str, piece: bytes) -> None:
    """Whatever 4 MiB hold, they are refused before they have taken much memory.

    The bound leaves room for what orjson sets aside and never touches.
    """
    text = b"[" * 200 + piece * (4 * 2**20 // len(piece))
    tracemalloc.start()
    with pytest.raises(RemoteProtocolError):
        getattr(codec, read)(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15 * len(text)


@both
@pytest.mark.parametrize("read", ["loads", "read_lenient"])
def test_most_values(codec: ModuleType, read: str) -> None:
    """There is a bound to containers and to values, which no text that is meant comes near."""
    parse = getattr(codec, read)
    containers = codec.MAX_CONTAINERS - 1
    assert len(parse(b"[" + b"[]," * (containers - 1) + b"{}]")) == containers
    with pytest.raises(RemoteProtocolError, match="more than 131072 containers"):
        parse(b"[" + b"[]," * containers + b"{}]")
    assert len(parse(b"[" + b"0," * codec.MAX_VALUES + b"0]")) == codec.MAX_VALUES + 1
    with pytest.raises(RemoteProtocolError, match="more than 2097152 values"):
        parse(b"[" + b"0," * codec.MAX_VALUES + b"0,0]")


@both
@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        (_nested(installed.MAX_DEPTH), True),
        (_nested(installed.MAX_DEPTH + 1), False),
        (b'{"a":' * installed.MAX_DEPTH + b"1" + b"}" * installed.MAX_DEPTH, True),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, False),
        (b"[" + b"[]," * 500 + b"[]]", True),
        (b'["' + b'[{\\"' * 500 + b'"]', True),
        (b"[" * 100_000, False),
        (b"[" * 200 + b'"', False),
        (b"[1," + b'"\\"[' * 500, False),
    ],
)
def test_depth(codec: ModuleType, text: bytes, accepted: bool) -> None:
    """Containers may be nested `MAX_DEPTH` deep; brackets inside strings do not count, nor do many side by side."""
    if accepted:
        codec.loads(text)
    else:
        with pytest.raises(RemoteProtocolError):
            codec.loads(text)


def test_depth_is_named() -> None:
    """The message says that depth was the matter, and how much is allowed."""
    with pytest.raises(RemoteProtocolError, match="nested more than 128 deep"):
        installed.loads(_nested(200))


class _Word(StrEnum):
    ONE = "one"


class _Mixed(str, Enum):  # noqa: UP042 - the older way, whose str() is not its value
    TWO = "two"


class _Number(IntEnum):
    THREE = 3


DUMPED: list[tuple[object, bytes]] = [
    (None, b"null"),
    ([True, False], b"[true,false]"),
    ((1, 2.5), b"[1,2.5]"),
    (MappingProxyType({"a": OrderedDict[str, object](b=())}), b'{"a":{"b":[]}}'),
    ({_Word.ONE: [_Mixed.TWO, _Number.THREE]}, b'{"one":["two",3]}'),
    ("ü\u2028", '"ü\u2028"'.encode()),
    ([2**64 - 1, -(2**63)], b"[18446744073709551615,-9223372036854775808]"),
]


@both
@pytest.mark.parametrize(("value", "text"), DUMPED)
def test_dumps(codec: ModuleType, value: object, text: bytes) -> None:
    """Values become compact UTF-8, whatever kind of mapping, sequence, string or integer they are."""
    assert codec.dumps(value) == text


@both
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [0, float("nan")]}, r"\$\.a\[1\] is nan"),
        (float("-inf"), r"\$ is -inf"),
        (2**64, r"\$ is an integer outside 64 bits"),
        ([-(2**63) - 1], r"\$\[0\] is an integer outside 64 bits"),
        ({"a": "\ud800"}, r"\$\.a has a lone surrogate"),
        ({"\ud800": 1}, r"a key of \$ has a lone surrogate"),
        ({1: 2}, r"\$ has a key of type int"),
        ({"a": b"x"}, r"\$\.a is of type bytes"),
        (datetime(2026, 1, 1, tzinfo=UTC), r"\$ is of type datetime"),
        ({1, 2}, r"\$ is of type set"),
    ],
)
def test_dumps_refuses(codec: ModuleType, value: object, message: str) -> None:
    """What JSON cannot carry is the caller's fault, and the message says where it is."""
    with pytest.raises(LocalProtocolError, match=message):
        codec.dumps(value)


@both
def test_dumps_depth(codec: ModuleType) -> None:
    """What can be written can be read; a value that contains itself is refused."""
    deep = codec.loads(_nested(installed.MAX_DEPTH))
    assert codec.dumps(deep) == _nested(installed.MAX_DEPTH)
    with pytest.raises(LocalProtocolError, match="nested more than 128 deep"):
        codec.dumps([deep])
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(LocalProtocolError, match="contains itself"):
        codec.dumps(endless)


@both
@pytest.mark.parametrize(
    ("text", "data"), [("", b""), ("AA==", b"\0"), ("AAA=", b"\0\0"), ("+/+/", b"\xfb\xff\xbf"), ("aGVsbG8=", b"hello")]
)
def test_base64(codec: ModuleType, text: str, data: bytes) -> None:
    """Canonical base64 is decoded in every form it may be handed in, and is what bytes are encoded to."""
    for given in (text, text.encode(), memoryview(text.encode())):
        decoded = codec.decode_base64(given)
        assert decoded == data
        assert type(decoded) is bytes
    assert codec.encode_base64(data) == text


@both
@pytest.mark.parametrize(
    "text",
    [
        *("A", "AA", "AAA", "AA=", "A===", "====", "=AAA", "A=AA", "AA=A", "AA==AAAA", "AAAA===="),
        *("AB==", "AAB=", "AA==\n", "AAA\n", "A AA", "AA_-", "AAAé", "é", "AAAA\0\0\0\0"),
    ],
)
def test_base64_refuses(codec: ModuleType, text: str) -> None:
    """Any other length, alphabet, white space or padding is refused, also where unused bits are not zero."""
    decode: Callable[[str | bytes], bytes] = codec.decode_base64
    for given in (text, text.encode()):
        with pytest.raises(RemoteProtocolError, match="no acceptable base64"):
            decode(given)


@both
def test_short_texts(codec: ModuleType) -> None:
    """They are taken as all are; too short to be nested too deeply, they need not be looked through for that."""
    assert codec.loads_short(b'{"a":[1,2.5,"x"]}') == {"a": [1, 2.5, "x"]}
    for bad in (b"", b"NaN", b'{"a":', b'"\xff"'):
        with pytest.raises(ValueError):  # noqa: PT011 - its words are the writer's
            codec.loads_short(bad)
    deepest = _nested(codec.MAX_DEPTH)
    assert len(deepest) == codec.SHORT
    assert codec.loads(deepest) == codec.loads_short(deepest)
