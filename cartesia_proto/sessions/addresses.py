"""Which context a message is for, found without parsing it.

This module knows how the one member `context_id` can be told from everything else in a JSON object (RFC 8259). It must
not know which contexts there are, nor what a message says.

A message for a context that is not open is dropped whatever it holds, and parsing costs up to a hundred times its size.
So the member is found by its name, as bytes, and only where nothing else can be meant:

* The name stands there once, and no escape can spell a letter of it. So there is no second member of that name.
* Its quote follows a brace or a comma, so it is not escaped, and it opens a string: behind one that closes, no letter
  can stand. A colon follows, so the string is a name.
* Before it stands no bracket but the first brace, or behind its value none but the last one. So it is the outermost
  object's.

A property test holds this equal to parsing, for every JSON object.
"""

import re
from typing import Final

_NAME: Final = b'"context_id"'

_ESCAPED_LETTER: Final = re.compile(rb"\\u00[567]")
"""An escape of a letter or an underscore (RFC 8259 section 7); also what only looks like one, such as ``\\\\u0063``."""

_VALUE: Final = re.compile(rb'[ \t\n\r]*+:[ \t\n\r]*+"([^"\\]*+)"')

_MENTIONS: Final = re.compile(_NAME + _VALUE.pattern)

_MOST_SPACE: Final = 16
"""Bytes of white space before the name in which its comma is looked for; one with more is left to be parsed."""


def addressee(text: bytes) -> str | None:
    """The `context_id` of a JSON object, where that can be told without parsing; None says nothing about it."""
    at = text.find(_NAME)
    if at < 1 or text[:1] != b"{" or text[-1:] != b"}" or text.find(_NAME, at + 1) >= 0 or _ESCAPED_LETTER.search(text):
        return None
    value = _VALUE.match(text, at + len(_NAME))
    before = text[max(0, at - _MOST_SPACE) : at].rstrip(b" \t\n\r")[-1:]
    if value is None or before not in (b"{", b","):
        return None
    outermost = _flat(text, 1, at) or _flat(text, value.end(), len(text) - 1)
    return value.group(1).decode("utf-8", "replace") if outermost else None


def mentioned(text: bytes) -> str | None:
    """The one `context_id` that stands in a text which is no JSON; None where there is none, or another one too."""
    found = _MENTIONS.search(text)
    if found is None or any(other.group(1) != found.group(1) for other in _MENTIONS.finditer(text, found.end())):
        return None
    return found.group(1).decode("utf-8", "replace")


def _flat(text: bytes, start: int, end: int) -> bool:
    """Whether there is no bracket, not even in a string."""
    return all(text.find(bracket, start, end) < 0 for bracket in (b"{", b"[", b"]", b"}"))
