"""A call's arguments as one immutable, comparable, picklable value.

This module knows how to freeze what a caller hands over, so that a call means tomorrow what it meant when it was made,
and how to give it back as JSON, as a query and as a form. It must not know any endpoint, nor what a parameter means.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Self, TypeAlias, cast, final

import attrs

from cartesia_proto.discretion import REDACTED
from cartesia_proto.errors import JsonValue, LocalProtocolError
from cartesia_proto.http import ContentPart, FilePart, Part, SupportsPath, TextPart, looks_secret

Frozen: TypeAlias = "bool | int | float | str | bytes | tuple[Frozen, ...] | Parameters | ContentPart | FilePart | None"
"""What an argument is once it is frozen."""


@final
class Parameters(Mapping[str, Frozen]):
    """An immutable, hashable mapping of argument names to frozen values; order does not count for equality.

    A value whose name looks secret is not shown, and refuses pickling with `TypeError`.

    Raises:
        LocalProtocolError: a value is of a kind that no request can carry; the message names where it stands.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, object] | None = None, /, **named: object) -> None:
        given = {**(items or {}), **named}
        try:
            self._items: dict[str, Frozen] = {name: freeze(value, name) for name, value in given.items()}
        except RecursionError:
            raise LocalProtocolError(f"{next(iter(given), 'an argument')} is nested too deep, or in itself") from None

    def __getitem__(self, name: str) -> Frozen:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameters) and self._items == other._items

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> "tuple[type[Parameters], tuple[dict[str, Frozen]]]":
        secret = next((name for name, value in self._items.items() if value is not None and looks_secret(name)), None)
        if secret is not None:
            raise TypeError(f"parameters refuse to be pickled with a secret in them, as {secret!r} seems to be")
        return Parameters, (self._items,)

    def __repr__(self) -> str:
        shown = {name: REDACTED if looks_secret(name) else value for name, value in self._items.items()}
        return f"Parameters({shown!r})"

    def text(self, name: str) -> str:
        """A parameter that must be a string.

        Raises:
            LocalProtocolError: it is missing or something else.
        """
        value = self._items.get(name)
        if not isinstance(value, str):
            raise LocalProtocolError(f"{name} must be a string, not {type(value).__name__}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A parameter that is a sequence of strings; absent or None is an empty one."""
        value = self._items.get(name)
        if value is None:
            return ()
        if not isinstance(value, tuple):
            raise LocalProtocolError(f"{name} must be a list of strings, not {type(value).__name__}")
        return tuple(Parameters({name: item}).text(name) for item in value)

    def mapping(self, name: str) -> "Parameters":
        """A parameter that is a mapping; absent or None is an empty one."""
        value = self._items.get(name)
        if value is None:
            return Parameters()
        if not isinstance(value, Parameters):
            raise LocalProtocolError(f"{name} must be a mapping, not {type(value).__name__}")
        return value

    def file(self, name: str) -> ContentPart | FilePart:
        """A parameter that is a file."""
        value = self._items.get(name)
        if not isinstance(value, ContentPart | FilePart):
            raise LocalProtocolError(f"{name} must be bytes or a path, not {type(value).__name__}")
        return value

    def replaced(self, **named: object) -> "Parameters":
        """These parameters with others in their place."""
        return Parameters({**self._items, **named})

    def without(self, *names: str) -> "Parameters":
        """These parameters less those named."""
        return Parameters({name: value for name, value in self._items.items() if name not in names})

    def as_json(self) -> dict[str, JsonValue]:
        """A JSON object of all that is not None, at every depth: in a request None means "leave it out"."""
        return {name: _json(value, name) for name, value in self._items.items() if value is not None}

    def as_explicit_json(self) -> dict[str, JsonValue]:
        """A JSON object of all there is; None is null, at every depth."""
        return {name: _explicit_json(value, name) for name, value in self._items.items()}


def _json(value: Frozen, where: str) -> JsonValue:
    match value:
        case Parameters():
            return value.as_json()
        case tuple():
            return [_json(item, where) for item in value]
        case _:
            return _json_scalar(value, where)


def _explicit_json(value: Frozen, where: str) -> JsonValue:
    match value:
        case Parameters():
            return value.as_explicit_json()
        case tuple():
            return [_explicit_json(item, where) for item in value]
        case _:
            return _json_scalar(value, where)


def _json_scalar(value: "bool | int | float | str | bytes | ContentPart | FilePart | None", where: str) -> JsonValue:
    match value:
        case bytes() | ContentPart() | FilePart():
            raise LocalProtocolError(f"{where} is binary and cannot stand in a JSON body")
        case _:
            return value


def freeze(value: object, where: str) -> Frozen:
    """A value that no later change of the caller's can reach.

    Mappings become `Parameters`, sequences tuples, byte strings `bytes`; attrs values become the mapping of their
    fields that are not None, under their own names.

    Raises:
        LocalProtocolError: there is no frozen form of it; `where` is in the message.
    """
    match value:
        case None | bool() | int() | float() | str() | bytes() | Parameters() | ContentPart() | FilePart():
            return value
        case bytearray() | memoryview():
            return bytes(cast("bytearray | memoryview[int]", value))
        case Mapping():
            mapping = cast("Mapping[object, object]", value)
            return Parameters({_key(name, where): item for name, item in mapping.items()})
        case Sequence():
            items = cast("Sequence[object]", value)
            return tuple(freeze(item, f"{where}[{index}]") for index, item in enumerate(items))
        case _:
            return _freeze_fields(value, where)


def _key(name: object, where: str) -> str:
    if not isinstance(name, str):
        raise LocalProtocolError(f"the keys of {where} must be strings, not {type(name).__name__}")
    return name


def _freeze_fields(value: object, where: str) -> Frozen:
    kind = type(value)
    if not attrs.has(kind):
        raise LocalProtocolError(f"{where} is a {kind.__name__}, which no request can carry")
    named: dict[str, object] = {field.name: getattr(value, field.name) for field in attrs.fields(kind)}
    return Parameters({name: item for name, item in named.items() if item is not None})


FileInput: TypeAlias = (
    bytes
    | bytearray
    | memoryview
    | SupportsPath
    | ContentPart
    | FilePart
    | tuple[str, bytes | SupportsPath]
    | tuple[str, bytes | SupportsPath, str]
)
"""A file to send: its bytes, a path, or ``(filename, bytes or path[, content type])`` as the 4.x SDK takes them."""


def file_part(name: str, value: FileInput) -> ContentPart | FilePart:
    """Freeze a file. A path stays a path, which the transport opens when it runs the call.

    Raises:
        LocalProtocolError: it is a string, which could mean a path or content, or an open file, which only a
            transport may read; or it is empty.
    """
    match value:
        case ContentPart(content=b""):
            raise LocalProtocolError(f"{name} is empty: there is no recording to send")
        case ContentPart() | FilePart():
            return attrs.evolve(value, name=name)
        case bytes() | bytearray() | memoryview():
            return file_part(name, ContentPart(name, bytes(value)))
        case SupportsPath():
            return FilePart(name, value)
        case (str(filename), content, *rest) if not isinstance(content, str):
            part = file_part(name, content)
            return attrs.evolve(part, filename=filename, content_type=str(rest[0]) if rest else part.content_type)
        case _:
            raise LocalProtocolError(
                f"{name} must be bytes, a pathlib.Path or (filename, bytes[, content type]), "
                f"not {type(value).__name__}; read an open file first, and wrap a path given as a string in Path"
            )


def query_pairs(parameters: Parameters) -> tuple[tuple[str, str], ...]:
    """Query parameters: None left out, lists as repeated names, booleans in lower case (protocol section 2.0)."""
    return tuple(
        (name, _plain_text(item, name))
        for name, value in parameters.items()
        for item in (value if isinstance(value, tuple) else (value,))
        if item is not None
    )


def form_parts(parameters: Parameters, prefix: str = "") -> tuple[Part, ...]:
    """Parts of a multipart form: nested names in brackets, lists as ``name[]``, files last (protocol section 2.0)."""
    parts = [
        part
        for name, value in parameters.items()
        if value is not None
        for part in _form_part(f"{prefix}[{name}]" if prefix else name, value)
    ]
    return tuple(sorted(parts, key=lambda part: not isinstance(part, TextPart)))


def _form_part(name: str, value: Frozen) -> tuple[Part, ...]:
    match value:
        case Parameters():
            return form_parts(value, name)
        case tuple():
            return tuple(part for item in value for part in _form_part(f"{name}[]", item))
        case ContentPart() | FilePart():
            return (file_part(name, value),)
        case _:
            return (TextPart(name, _plain_text(value, name)),)


def _plain_text(value: Frozen, where: str) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case _:
            raise LocalProtocolError(f"{where} must be text, a number or true/false, not {type(value).__name__}")
