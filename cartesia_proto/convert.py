"""From parsed JSON to models, through the one cattrs converter.

This module knows how models tolerate tomorrow: unknown fields are kept, absent and null ones take their defaults, open
enumerations pass new strings through. Everything else is strict, and a violation names its path. It must not know any
particular model. cattrs is imported when the first answer is read, not with this module: it costs more than the rest.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import attrs
from attrs import field, frozen

from cartesia_proto.codecs import json
from cartesia_proto.errors import JsonValue, RemoteProtocolError
from cartesia_proto.http import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from cattrs import Converter

T = TypeVar("T")


@frozen
class Model:
    """The base of what the API answers: read by attribute, and by key as the older SDK's dictionaries were.

    Attributes:
        extra: fields this version of the library does not know, as parsed JSON.
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
        return [known.name for known in attrs.fields(type(self)) if known.name != "extra"] + list(self.extra)

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
    return read(json.loads(response.body), model)


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

    for primitive in (str, int, bool):
        made.register_structure_hook(primitive, _strict)
    made.register_structure_hook(float, _number)
    made.register_structure_hook_func(_is_json, lambda value, _: value)
    made.register_structure_hook_func(_is_open_enumeration, _open_enumeration)
    made.register_structure_hook_factory(_is_model, hook_for)
    return made


def _strict(value: object, kind: type[T]) -> T:
    """No coercion: cattrs would read 5 as "5" and "false" as True."""
    if type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, not {_json_name(value)}")
    return value


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
    """Whether a type is ``tuple[…]``, perhaps ``| None``; cattrs would take any iterable for one."""
    return get_origin(kind) is tuple or any(get_origin(member) is tuple for member in get_args(kind))


def _at_field(model: type[Model], name: str, violation: ValueError) -> Exception:
    """The violation as cattrs itself would raise it, so that its path is told."""
    from cattrs import AttributeValidationNote, ClassValidationError  # noqa: PLC0415 - see the module docstring

    violation.add_note(AttributeValidationNote(f"field {name}", name, list))
    told = f"while structuring {model.__name__}"
    return ClassValidationError(told, [violation], model)  # pyright: ignore[reportCallIssue]  # it sees a base's __init__


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Model)


def _tolerant(model: type[Model], made: "Converter") -> "Callable[[object, object], Model]":
    """A hook that drops nulls where a default stands ready, and keeps what the model does not know in `extra`."""
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415 - see the module docstring

    fields = [known for known in attrs.fields(model) if known.name != "extra"]
    defaulted = {known.name for known in fields if known.default is not attrs.NOTHING}
    known_names = {known.name for known in fields}
    arrays = [name for name, kind in get_type_hints(model).items() if _is_array(kind)]
    structure = make_dict_structure_fn(model, made, extra=override(omit=True))

    def hook(value: object, kind: object) -> Model:
        del kind
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, not {_json_name(value)}")
        given = cast("dict[str, JsonValue]", value)
        present = {n: v for n, v in given.items() if n in known_names and not (v is None and n in defaulted)}
        for name in arrays:
            if not isinstance(present.get(name, []), list):
                raise _at_field(model, name, ValueError(f"expected an array, not {_json_name(present[name])}"))
        extra = {name: item for name, item in given.items() if name not in known_names}
        return attrs.evolve(structure(present, model), extra=extra)

    return hook
