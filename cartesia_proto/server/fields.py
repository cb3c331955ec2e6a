"""Reading what a client sent, one field at a time, with an error that names the field.

This module knows JSON objects, and names with texts (forms and queries). It must not know any particular field. In a
JSON body an explicit null counts as absent (protocol section 2.0), and fields nobody asks for are ignored.
"""

from collections.abc import Mapping, Sequence
from typing import Final, final

from attrs import field, frozen

from cartesia_proto.errors import JsonValue
from cartesia_proto.server.problems import Problem, invalid

EMBEDDING_LENGTH: Final = 192
"""Numbers of a voice embedding (protocol section 2.5.1)."""


@final
@frozen
class Fields:
    """A JSON object, or one inside another.

    Attributes:
        path: what goes before a field's name in messages, such as ``output_format.``.
    """

    values: Mapping[str, JsonValue] = field(repr=False)
    path: str = ""

    def text(self, name: str) -> str | None:
        """A string, or None if absent.

        Raises:
            Problem: 400, as for every method here; it is something else.
        """
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong(name, "a string", value)

    def required_text(self, name: str) -> str:
        """A string that must be there and not be empty."""
        value = self.text(name)
        if value is None:
            raise self._missing(name)
        if not value:
            raise invalid(f"{self.path}{name} must not be empty")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        """One of a few strings, or None if absent."""
        return check_choice(f"{self.path}{name}", self.text(name), choices)

    def boolean(self, name: str) -> bool | None:
        """True or false, or None if absent."""
        value = self.values.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise self._wrong(name, "true or false", value)

    def integer(self, name: str) -> int:
        """An integer that must be there."""
        value = self._required(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self._wrong(name, "an integer", value)

    def number(self, name: str) -> float | None:
        """A number, or None if absent."""
        value = self.values.get(name)
        return None if value is None else number(value, f"{self.path}{name}")

    def number_between(self, name: str, low: float, high: float) -> float | None:
        """A number within bounds, both allowed, or None if absent."""
        value = self.number(name)
        if value is None or low <= value <= high:
            return value
        raise invalid(f"{self.path}{name} must be from {low:g} to {high:g}, not {value:g}")

    def object(self, name: str) -> "Fields | None":
        """An object, or None if absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, dict):
            return Fields(value, f"{self.path}{name}.")
        raise self._wrong(name, "an object", value)

    def required_object(self, name: str) -> "Fields":
        """An object that must be there."""
        inner = self.object(name)
        if inner is None:
            raise self._missing(name)
        return inner

    def array(self, name: str) -> "list[JsonValue]":
        """An array that must be there."""
        value = self._required(name)
        if isinstance(value, list):
            return value
        raise self._wrong(name, "an array", value)

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of strings that must be there and not be empty."""
        values = self.array(name)
        texts = tuple(value for value in values if isinstance(value, str))
        if len(texts) != len(values) or not texts:
            raise invalid(f"{self.path}{name} must be an array of at least one string")
        return texts

    def embedding(self, name: str) -> tuple[float, ...]:
        """A voice embedding that must be there: 192 numbers."""
        path = f"{self.path}{name}"
        values = tuple(number(value, f"{path}[{index}]") for index, value in enumerate(self.array(name)))
        if len(values) != EMBEDDING_LENGTH:
            raise invalid(f"{path} must have {EMBEDDING_LENGTH} numbers, not {len(values)}")
        return values

    def has(self, name: str) -> bool:
        """Whether a field is there and not null."""
        return self.values.get(name) is not None

    def _required(self, name: str) -> JsonValue:
        value = self.values.get(name)
        if value is None:
            raise self._missing(name)
        return value

    def _missing(self, name: str) -> Problem:
        return invalid(f"{self.path}{name} is required")

    def _wrong(self, name: str, expected: str, value: JsonValue) -> Problem:
        return invalid(f"{self.path}{name} must be {expected}, not {kind_of(value)}")


@final
@frozen
class Texts:
    """Names with texts, each name any number of times: the plain fields of a form, or a query."""

    pairs: tuple[tuple[str, str], ...] = field(repr=False)

    def texts(self, name: str) -> tuple[str, ...]:
        """Every text of a name."""
        return tuple(text for given, text in self.pairs if given == name)

    def text(self, name: str) -> str | None:
        """The text of a name, or None if absent.

        Raises:
            Problem: 400, as for every method here; the name stands there twice.
        """
        texts = self.texts(name)
        if len(texts) > 1:
            raise invalid(f"{name} was given {len(texts)} times")
        return texts[0] if texts else None

    def required_text(self, name: str) -> str:
        """A text that must be there and not be empty."""
        text = self.text(name)
        if not text:
            raise invalid(f"{name} is required" if text is None else f"{name} must not be empty")
        return text

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        """One of a few texts, or None if absent."""
        return check_choice(name, self.text(name), choices)

    def boolean(self, name: str) -> bool | None:
        """``true`` or ``false`` in lower case (protocol section 2.0), or None if absent."""
        text = self.choice(name, ("true", "false"))
        return None if text is None else text == "true"

    def integer(self, name: str) -> int | None:
        """Decimal digits, or None if absent."""
        text = self.text(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise invalid(f"{name} must be a number in decimal digits")
        return int(text)


def check_choice(path: str, value: str | None, choices: Sequence[str]) -> str | None:
    """A string if it is among the choices, or None.

    Raises:
        Problem: 400; it is another.
    """
    if value is None or value in choices:
        return value
    raise invalid(f"{path} must be one of {', '.join(choices)}, not {value[:64]!r}")


def number(value: JsonValue, path: str) -> float:
    """A JSON number.

    Raises:
        Problem: 400; it is something else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise invalid(f"{path} must be a number, not {kind_of(value)}")


def kind_of(value: JsonValue) -> str:
    """What a JSON value is, in the words of JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
