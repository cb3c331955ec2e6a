"""The one door to JSON and base64.

This module knows which texts are accepted, and makes that set the same whether or not the `speed` extra (orjson,
pybase64) is installed. It must not know what any message means.

JSON accepted by `loads` is RFC 8259 in strict UTF-8 without a byte order mark, and further: no lone surrogates, not
even escaped; no number whose double is infinite; at most `MAX_DEPTH` containers inside each other. An integer outside
64 bits becomes a float; of equal keys in one object the last wins. Accepted base64 is RFC 4648 section 4 in its
canonical form.

Servers are read by `read_lenient`, which costs the same where a text is accepted as it stands. Otherwise only what is
wrong is replaced: text that is none by U+FFFD, numbers that are none by null, and what is nested too deeply by null.

Both refuse a text by its size in values before it is parsed, because a value may take 40 times as much memory as its
text. The bounds count bytes, also those inside strings, so that counting costs next to nothing.
"""

import json
import math
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, NoReturn, cast

from cartesia_proto.errors import JsonValue, LocalProtocolError, RemoteProtocolError

MAX_DEPTH: Final = 128
"""Containers inside each other, counting the outermost (RFC 8259 section 9 leaves it to us).

The deepest documented message has about six. orjson reads 1,024 and writes 254 levels; the standard library goes as far
as the interpreter's recursion limit, 1,000 frames by default, reaches from wherever it is called.
"""

MAX_CONTAINERS: Final = 2**17
"""Opening brackets in one text; our choice. The largest answer is the list of all voices, with two containers each
(protocol section 2.5.2), so this is 65,000 voices, and of an error or event a thousand times what is documented."""

MAX_VALUES: Final = 2**21
"""Commas in one text; our choice. A voice has 192 numbers and some 20 fields, so this is 10,000 voices."""

SHORT: Final = 2 * MAX_DEPTH
"""Bytes of a text that is too short to open and close more containers than `MAX_DEPTH` inside each other."""

MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**64 - 1
"""Integers from `MIN_INTEGER` to here are exact: what fits a signed or an unsigned 64-bit word, as orjson has it."""

_INTEGER_CHARACTERS: Final = 20
"""Length of the longest texts of such an integer: 18446744073709551615 and -9223372036854775808."""

_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z))*+[\[\]{}]', re.DOTALL)
"""Everything up to the next bracket outside a string, with it. It is matched, not searched for, so time is linear."""

_PADDING: Final = ord("=")
_FOUR_ZEROS: Final = b"AQgw"
_TWO_ZEROS: Final = b"AEIMQUYcgkosw048"
"""The padding of base64, and the characters that end in so many zero bits (RFC 4648 section 4, table 1)."""

_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape: a surrogate pair, or (group 1) a lone surrogate, or any other."""


def _standard_integer(text: str) -> int | float:
    if len(text) <= _INTEGER_CHARACTERS and MIN_INTEGER <= (value := int(text)) <= MAX_INTEGER:
        return value
    return _standard_float(text)


def _standard_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is too large for a double")
    return value


def _standard_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _lenient_integer(text: str) -> int | float | None:
    try:
        return _standard_integer(text)
    except ValueError:
        return None


def _lenient_float(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _lenient_constant(text: str) -> None:
    """NaN and the infinities, which are no JSON."""
    del text


_DECODER: Final = json.JSONDecoder(
    parse_int=_standard_integer, parse_float=_standard_float, parse_constant=_standard_constant
)
"""Made once: `json.loads` would make one for each text."""

_LENIENT: Final = json.JSONDecoder(
    parse_int=_lenient_integer, parse_float=_lenient_float, parse_constant=_lenient_constant, strict=False
)
"""Takes line ends and other control characters in strings, too."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""Also of a pair; without one there is nothing to be looked for."""


def _standard_parse(data: bytes | bytearray) -> JsonValue:
    value: JsonValue = _DECODER.decode(data.decode())  # UTF-8 alone: `json.loads` would guess UTF-16 and UTF-32, too
    if b"\\u" in data and any(escape.group(1) for escape in _ESCAPE.finditer(data)):
        raise ValueError("a string has a lone surrogate")
    return value


def _standard_write(value: JsonValue) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _standard_decode(text: bytes | memoryview, altchars: None, validate: bool) -> bytes:  # noqa: FBT001 - as pybase64 has it
    del altchars
    return a2b_base64(text, strict_mode=validate)


def _standard_encode(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


_parse: Callable[[bytes | bytearray], JsonValue] = _standard_parse
_write: Callable[[JsonValue], bytes] = _standard_write
_decode: Callable[[bytes | memoryview, None, bool], bytes] = _standard_decode
_encode: Callable[[bytes], str] = _standard_encode

with suppress(ImportError):
    import orjson

    _parse, _write = orjson.loads, orjson.dumps

with suppress(ImportError):
    import pybase64

    _decode, _encode = pybase64.b64decode, pybase64.b64encode_as_string


def _depths(text: bytes) -> Iterator[tuple[int, int]]:
    """The place behind each bracket and how many are open there, until the outermost closes."""
    depth = place = 0
    while (found := _BRACKET.match(text, place)) is not None:
        place = found.end()
        depth += 1 if text[place - 1] in b"[{" else -1
        yield place, depth
        if depth <= 0:
            break


_TOO_DEEP: Final = f"it is nested more than {MAX_DEPTH} deep"


def _check_depth(text: bytes) -> bytes:
    if any(depth > MAX_DEPTH for _, depth in _depths(text)):
        raise ValueError(_TOO_DEEP)
    return text


def _without_depths(text: bytes) -> bytes:
    """The text with null for each container that is nested too deeply; refused where one never ends."""
    kept: list[bytes] = []
    start, before = 0, 0  # of what is kept next; how many were open before this bracket
    for place, depth in _depths(text):
        if before == MAX_DEPTH < depth:
            kept += (text[start : place - 1], b"null")
        elif depth == MAX_DEPTH < before:
            start = place
        before = depth
    if before > MAX_DEPTH:
        raise ValueError(_TOO_DEEP)
    return b"".join((*kept, text[start:]))


def _bounded(text: bytes, bound_depth: Callable[[bytes], bytes]) -> bytes:
    """The text, of a size that may be parsed. Counting opening brackets alone settles nearly every one.

    Raises:
        ValueError: it has more values than any that is meant, or is nested too deeply; nothing was parsed.
    """
    openings = text.count(b"[") + text.count(b"{")
    if openings > MAX_CONTAINERS:
        raise ValueError(f"it has more than {MAX_CONTAINERS} containers, nested or side by side")
    if len(text) > MAX_VALUES < text.count(b","):
        raise ValueError(f"it has more than {MAX_VALUES} values")
    return text if openings <= MAX_DEPTH else bound_depth(text)


def _refused(reason: str) -> RemoteProtocolError:
    """Raised where the parser's error is no longer handled: that holds the whole text."""
    return RemoteProtocolError(f"this is no acceptable JSON: {reason}", path="$")


def loads(data: bytes | bytearray | memoryview | str) -> JsonValue:
    """Parse one JSON text.

    Raises:
        RemoteProtocolError: it is outside the accepted set (see the top of this module).
    """
    try:
        text = data.encode() if isinstance(data, str) else bytes(data)
        return _parse(text if len(text) <= SHORT else _bounded(text, _check_depth))
    except ValueError as error:  # also JSONDecodeError and UnicodeError
        reason = str(error)
    raise _refused(reason)


def read_lenient(data: bytes | bytearray | memoryview | str) -> JsonValue:
    """Parse one JSON text of a server, in which only what is wrong is lost.

    What `loads` accepts is read as it reads it. Otherwise a byte order mark is left out; what is no UTF-8 and each lone
    surrogate become U+FFFD; a number that no double can hold, and NaN and the infinities, become null, and so does a
    container within `MAX_DEPTH` others. Control characters in strings are kept.

    Raises:
        RemoteProtocolError: even so it is no JSON, or it has more values than any text that is meant.
    """
    try:
        text = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
        text = text if len(text) <= SHORT else _bounded(text, _without_depths)
        with suppress(ValueError):
            return _parse(text)
        value: JsonValue = _LENIENT.decode(text.decode("utf-8", "replace").removeprefix("\ufeff"))
        return _without_surrogates(value) if _SURROGATE_ESCAPE.search(text) else value
    except ValueError as error:  # also JSONDecodeError and UnicodeError
        reason = str(error)
    raise _refused(reason)


def _without_surrogates(value: JsonValue) -> JsonValue:
    match value:
        case str():
            return _SURROGATE.sub("\ufffd", value)
        case list():
            return [_without_surrogates(element) for element in value]
        case dict():
            return {_SURROGATE.sub("\ufffd", name): _without_surrogates(member) for name, member in value.items()}
        case _:
            return value


def loads_short(text: bytes | bytearray) -> JsonValue:
    """Parse one JSON text of at most `SHORT` bytes, as `loads` does: a step less, for the hot path.

    Raises:
        ValueError: it is outside the accepted set.
    """
    return _parse(text)


def dumps(value: object) -> bytes:
    """Write a value as compact JSON in UTF-8; any mapping is an object, any list or tuple an array.

    Raises:
        LocalProtocolError: something inside is no JSON value (also: NaN, an infinity, an integer outside 64 bits, a
            lone surrogate, a key that is no string), or is nested more than `MAX_DEPTH` deep. The message names where.
    """
    return _write(_json_value(value, "$", 1))


def _json_value(value: object, path: str, depth: int) -> JsonValue:
    """The same value made of nothing but the types of JSON: what both writers agree on."""
    match value:
        case None | bool():
            return value
        case str():
            return _writable_text(value, path)
        case int():
            return _writable_integer(value, path)
        case float():
            return _writable_float(value, path)
        case Mapping() | list() | tuple() if depth > MAX_DEPTH:
            raise LocalProtocolError(f"a value is nested more than {MAX_DEPTH} deep, or contains itself")
        case Mapping():
            members = cast("Mapping[object, object]", value).items()
            return {
                _writable_key(key, path): _json_value(member, f"{path}.{key}", depth + 1) for key, member in members
            }
        case list() | tuple():
            elements = enumerate(cast("Sequence[object]", value))
            return [_json_value(element, f"{path}[{index}]", depth + 1) for index, element in elements]
        case _:
            raise LocalProtocolError(f"{path} is of type {type(value).__name__}, which JSON cannot carry")


def _writable_text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise LocalProtocolError(f"{path} has a lone surrogate, which UTF-8 cannot carry") from None
    return str.__str__(value)  # of an enumeration's member: its value


def _writable_key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise LocalProtocolError(f"{path} has a key of type {type(key).__name__}: JSON keys are strings")
    return _writable_text(key, f"a key of {path}")


def _writable_integer(value: int, path: str) -> int:
    if not MIN_INTEGER <= value <= MAX_INTEGER:
        raise LocalProtocolError(f"{path} is an integer outside 64 bits")
    return int(value)


def _writable_float(value: float, path: str) -> float:
    if not math.isfinite(value):
        raise LocalProtocolError(f"{path} is {value}, which JSON cannot carry")
    return float(value)


def decode_base64(text: str | bytes) -> bytes:
    """Decode base64 (RFC 4648 section 4): the standard alphabet, padding, unused bits zero, and nothing else.

    Raises:
        RemoteProtocolError: it is anything else.
    """
    try:
        return base64_bytes(text.encode("ascii") if isinstance(text, str) else text)
    except ValueError as error:
        raise RemoteProtocolError(f"this is no acceptable base64: {error}") from None


def base64_bytes(encoded: bytes | memoryview) -> bytes:
    """Decode base64 as `decode_base64` does: a step less, for the hot path.

    Raises:
        ValueError: it is anything else.
    """
    if len(encoded) % 4:
        raise ValueError("its length is not divisible by 4")
    decoded = _decode(encoded, None, True)  # noqa: FBT003 - `validate`, whose name costs half as much again
    if encoded and encoded[-1] == _PADDING:  # bits that it leaves over must be zero (section 3.5)
        two = encoded[-2] == _PADDING
        if encoded[-3 if two else -2] not in (_FOUR_ZEROS if two else _TWO_ZEROS):
            raise ValueError("its padding is not canonical")
    return decoded


def encode_base64(data: bytes) -> str:
    """Encode bytes as base64 with padding (RFC 4648 section 4)."""
    return _encode(data)
