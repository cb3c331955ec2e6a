"""Output formats and languages as the API allows them, strictly.

This module knows protocol sections 7.1 and 8.2. It must not know which endpoint asks: the containers are an argument.
"""

import re
from collections.abc import Sequence
from typing import Final, assert_never

from cartesia_proto.audio.formats import (
    BIT_RATES,
    ENCODINGS,
    SAMPLE_RATES,
    Mp3Format,
    OutputFormat,
    RawFormat,
    WavFormat,
)
from cartesia_proto.errors import JsonValue
from cartesia_proto.server.fields import Fields, Texts
from cartesia_proto.server.problems import invalid

CONTAINERS: Final = ("raw", "wav", "mp3")
"""What the byte endpoints answer (protocol section 7.1)."""

SSE_CONTAINERS: Final = ("raw",)
"""What an event stream carries (protocol section 2.3)."""

LANGUAGES: Final = frozenset(
    "en fr de es pt zh ja hi it ko nl pl ru sv tr tl bg ro ar cs el fi hr ms sk da ta uk hu no vi bn th he ka id te gu "
    "kn ml mr pa or ur".split()
)
"""The 44 languages of 2026 (protocol section 8.2)."""

LOCALIZE_LANGUAGES: Final = frozenset("en de es fr ja pt zh hi it ko nl pl ru sv tr ar he ta te th".split())
"""Languages that a voice can be localized to (protocol section 8.2)."""

_LOCALE: Final = re.compile(r"([a-z]{2})(?:-[A-Za-z]{2,4})?")  # such as en-GB (protocol section 8.2)


def read_output_format(fields: Fields, containers: Sequence[str]) -> OutputFormat:
    """The required `output_format` of a JSON body.

    Raises:
        Problem: 400; a field is missing or is not one of the values of protocol section 7.1.
    """
    return _output_format(fields.required_object("output_format"), containers)


def read_form_output_format(texts: Texts, containers: Sequence[str]) -> OutputFormat:
    """The same from the bracketed fields of a form (protocol section 2.4).

    Raises:
        Problem: as `read_output_format`.
    """
    given: dict[str, JsonValue] = {
        "container": texts.required_text("output_format[container]"),
        "encoding": texts.text("output_format[encoding]"),
        "sample_rate": texts.integer("output_format[sample_rate]"),
        "bit_rate": texts.integer("output_format[bit_rate]"),
    }
    return _output_format(Fields(given, "output_format."), containers)


def _output_format(given: Fields, containers: Sequence[str]) -> OutputFormat:
    """A rate beside raw or wav and an encoding beside mp3 are ignored, as old definitions had it."""
    container = given.required_text("container")
    if container not in containers:
        raise invalid(f"output_format.container must be one of {', '.join(containers)} here, not {container[:64]!r}")
    sample_rate = _one_of(given, "sample_rate", SAMPLE_RATES)
    match container:
        case "raw":
            return RawFormat(_encoding(given), sample_rate)
        case "wav":
            return WavFormat(_encoding(given), sample_rate)
        case _:
            return Mp3Format(sample_rate, _one_of(given, "bit_rate", BIT_RATES))


def _encoding(given: Fields) -> str:
    given.choice("encoding", ENCODINGS)
    return given.required_text("encoding")


def _one_of(given: Fields, name: str, choices: Sequence[int]) -> int:
    value = given.integer(name)
    if value not in choices:
        raise invalid(f"output_format.{name} must be one of {', '.join(map(str, choices))}, not {value}")
    return value


def audio_content_type(output_format: OutputFormat) -> str:
    """The Content-Type of audio in a format (protocol section 7.1)."""
    match output_format:
        case RawFormat():
            return "application/octet-stream"
        case WavFormat():
            return "audio/wav"
        case Mp3Format():
            return "audio/mpeg"
        case _:
            assert_never(output_format)


def check_language(path: str, value: str | None, languages: frozenset[str] = LANGUAGES) -> str | None:
    """A language code, or a locale of that language, if it is known (protocol section 8.2).

    Raises:
        Problem: 400; it is not.
    """
    if value is None:
        return None
    locale = _LOCALE.fullmatch(value)
    if locale is None or locale[1] not in languages:
        raise invalid(f"{path} {value[:64]!r} is not a supported language")
    return value
