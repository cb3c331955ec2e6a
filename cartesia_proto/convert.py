"""From parsed JSON to models, through the one cattrs converter.

This module knows how models tolerate tomorrow: unknown fields are kept, absent and null ones take their defaults, open
enumerations pass new strings through. A field of a wrong type takes its default as well, and is kept as it came; an
array of models does without those that are broken. What has no default is strict, and a violation names its path. It
must not know any particular model. cattrs is imported when the first answer is read, not with this module: it costs
more than the rest.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import attrs
from attrs import field, frozen

from cartesia_proto.codecs import json
from cartesia_proto.errors import JsonValue, RemoteProtocolError
from cartesia_proto.http import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from cattrs import Converter

T = TypeVar("T")

MAX_BROKEN: Final = 100
"""Elements of one array that may be broken before it is refused whole, for each costs time; our choice: the service's
largest page has 100 (protocol section 2.5.2)."""


@frozen
class Model:
    """The base of what the API answers: read by attribute, and by key as the older SDK's dictionaries were.

    Attributes:
        extra: fields this version of the library does not know, and those of a wrong type, as parsed JSON.
    """

    extra: Mapping[str, JsonValue] = field(factory=dict[str, JsonValue], kw_only=True, hash=False, repr=False)

    def __getitem__(self, name: str) -> object:
        """A field by its name on the wire.

        Raises:
            KeyError: there is no such field.
        """
        if name in self.keys():
            return self.extra[name] if name in self.extra else getattr(self, name)
        raise KeyError(name)

    def keys(self) -> list[str]:
        """The names of all fields, known and unknown; ``dict(model)`` uses it."""
        known = [known.name for known in attrs.fields(type(self)) if known.name != "extra"]
        return known + [name for name in self.extra if name not in known]

    def __iter__(self) -> Iterator[str]:
        """The names of all fields."""
        return iter(self.keys())


def read(body: JsonValue, model: type[T]) -> T:
    """Parsed JSON as a model, or as a list of models with ``list[Model]``.

    Raises:
        RemoteProtocolError: a required field is missing or of another kind; the message names its path.
    """
    from cattrs import transform_error  # noqa: PLC0415 - see the module docstring

    try:
        return converter().structure(body, model)
    except Exception as violation:  # noqa: BLE001 - cattrs raises exception groups, KeyError, TypeError and ValueError alike
        described = transform_error(violation, path="$", format_exception=_describe)
        first = described[0] if described else f"{_describe(violation, None)} @ $"
        reason, _, path = first.rpartition(" @ ")
        raise RemoteProtocolError(f"{reason} at {path}", path=path) from None


def read_response(response: Response, model: type[T]) -> T:
    """The JSON body of a response as a model.

    Raises:
        RemoteProtocolError: the body is no JSON, or does not fit.
    """
    return read(json.read_lenient(response.body), model)


def _describe(violation: BaseException, kind: type | None) -> str:
    del kind
    match violation:
        case KeyError():
            return f"missing field {violation.args[0]!r}"
        case _:
            return str(violation) or type(violation).__name__


@cache
def converter() -> "Converter":
    """The converter all models share; made once."""
    from cattrs import Converter  # noqa: PLC0415 - see the module docstring

    made = Converter(detailed_validation=True)

    def hook_for(model: "type[Model]") -> "Callable[[object, object], Model]":
        return _tolerant(model, made)

    def hook_for_array(kind: object) -> "Callable[[object, object], tuple[object, ...]]":
        return _array(get_args(kind)[0], made)

    for primitive in (str, bool):
        made.register_structure_hook(primitive, _strict)
    made.register_structure_hook(int, _integer)
    made.register_structure_hook(float, _number)
    made.register_structure_hook_func(_is_json, lambda value, _: value)
    made.register_structure_hook_func(_is_open_enumeration, _open_enumeration)
    made.register_structure_hook_factory(_is_array, hook_for_array)
    made.register_structure_hook_factory(_is_model, hook_for)
    return made


def _strict(value: object, kind: type[T]) -> T:
    """No coercion: cattrs would read 5 as "5" and "false" as True."""
    if type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, not {_json_name(value)}")
    return value


def _integer(value: object, kind: type[int]) -> int:
    """JSON has one kind of number alone, so an integer may be written with a point (RFC 8259 section 6)."""
    return int(value) if isinstance(value, float) and value.is_integer() else _strict(value, kind)


def _number(value: object, kind: type) -> float:
    del kind
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, not {_json_name(value)}")
    return float(value)


def _json_name(value: object) -> str:
    match value:
        case None:
            return "null"
        case dict():
            return "an object"
        case list():
            return "an array"
        case _:
            return type(value).__name__


def _is_json(kind: object) -> bool:
    """Whether a type is `JsonValue`, known by its members: an alias naming itself resolves to a new union each time."""
    return {list, dict} <= {get_origin(member) for member in get_args(kind)}


def _is_open_enumeration(kind: object) -> bool:
    """Whether a type is ``Literal[…] | str``, perhaps ``| None``: known values for completion, any string accepted."""
    members = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
    named = [member for member in members if get_origin(member) is Literal]
    return bool(named) and all(member in (str, type(None)) or member in named for member in members)


def _open_enumeration(value: object, kind: object) -> str | None:
    return None if value is None and type(None) in get_args(kind) else _strict(value, str)


def _is_array(kind: object) -> bool:
    """Whether a type is ``tuple[…, ...]``; cattrs would take any iterable for one."""
    return get_origin(kind) is tuple


def _array(item: object, made: "Converter") -> "Callable[[object, object], tuple[object, ...]]":
    """A hook for arrays; of models it leaves out those that are broken, unless all or too many are."""
    most = MAX_BROKEN if _is_model(item) else 0
    structure = made.get_structure_hook(item)

    def hook(value: object, kind: object) -> tuple[object, ...]:
        from cattrs import IterableValidationError, IterableValidationNote  # noqa: PLC0415 - see the module docstring

        if not isinstance(value, list):
            raise ValueError(f"expected an array, not {_json_name(value)}")
        given = cast("list[JsonValue]", value)
        fitting: list[object] = []
        broken: list[Exception] = []
        for index, element in enumerate(given):
            try:
                fitting.append(structure(element, item))
            except Exception as violation:  # noqa: BLE001 - see `read`
                violation.add_note(IterableValidationNote(f"element {index}", index, item))
                broken.append(violation)
                if len(broken) > most:
                    break
        if broken and (len(broken) > most or not fitting):
            found = "while structuring an array"
            raise IterableValidationError(found, broken, cast("type", kind))  # pyright: ignore[reportCallIssue]  # it sees a base
        return tuple(fitting)

    return hook


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Model)


def _tolerant(model: type[Model], made: "Converter") -> "Callable[[object, object], Model]":
    """A hook that drops nulls where a default stands ready, and keeps in `extra` what the model cannot hold."""
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415 - see the module docstring

    fields = [known for known in attrs.fields(model) if known.name != "extra"]
    defaulted = {known.name for known in fields if known.default is not attrs.NOTHING}
    known_names = {known.name for known in fields}
    kinds: dict[str, type[object]] = get_type_hints(model)
    arrays = [name for name, kind in kinds.items() if _is_array(kind) or any(map(_is_array, get_args(kind)))]
    structure = make_dict_structure_fn(model, made, extra=override(omit=True))

    def fits(name: str, value: JsonValue) -> bool:
        try:
            made.structure(value, kinds[name])
        except Exception:  # noqa: BLE001 - see `read`
            return False
        return True

    def hook(value: object, kind: object) -> Model:
        del kind
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, not {_json_name(value)}")
        given = cast("dict[str, JsonValue]", value)
        present = {n: v for n, v in given.items() if n in known_names and not (v is None and n in defaulted)}
        extra = {name: item for name, item in given.items() if name not in known_names}
        try:
            made_of = structure(present, model)
        except Exception:  # noqa: BLE001 - see `read`
            wrong = [n for n, v in present.items() if n in defaulted and not fits(n, v)]
            extra |= {name: present.pop(name) for name in wrong}
            made_of = structure(present, model)
        for name in arrays:
            if len(getattr(made_of, name) or ()) < len(cast("list[JsonValue]", present.get(name, ()))):
                extra[name] = present[name]
        return attrs.evolve(made_of, extra=extra)

    return hook
