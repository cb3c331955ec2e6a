"""The hot path: a chunk of audio, decoded where it lies in its message.

This module knows the one shape that nearly every message of a speaking server has (protocol sections 3.2 and 4.4): an
object with `type` ``chunk`` and its audio in `data`. It must not know sessions or streams, and it judges nothing: what
is not exactly of that shape is left to the plain path, `events`, which says what it is or what is wrong with it.

Theory of operation. The audio is most of a message, so parsing it as a JSON string first, only to decode that, is most
of the work. Instead, the string is found by its name and decoded from the message; the rest is parsed with an empty one
in its place. That finds the right string, because the rest may hold no backslash and its name no second time: then no
string can look like the name of a member, and there is one member of that name at most. If it stands deeper inside, it
is missing where it is looked for. A property test holds both paths equal.
"""

from operator import itemgetter
from typing import Final

from cartesia_proto.codecs.events import AudioChunk
from cartesia_proto.codecs.json import SHORT, base64_bytes, loads_short

_NAME: Final = b'"data"'

_COMPACT: Final = b'"data":"'
_SPACED: Final = b'"data": "'
"""Where the audio begins, written as compact as can be, or as Python's own writer does it."""

_ALWAYS: Final = itemgetter("type", "data", "done", "status_code", "step_time")
"""What every chunk has, besides which it may have a context and a flush (protocol sections 3.2 and 4.4)."""


def read_chunk(message: bytes) -> AudioChunk | None:
    """The chunk that a message is, if it is one of the usual shape; else None, and the plain path must read it."""
    before, found, after = message.partition(_COMPACT)
    if not found:
        before, found, after = message.partition(_SPACED)
    data, quote, after = after.partition(b'"')
    rest = before + b'"data":""' + after
    if not quote or len(rest) > SHORT or b"\\" in rest or rest.count(_NAME) != 1:
        return None
    try:
        fields = loads_short(rest)
        if type(fields) is not dict:
            return None
        type_, nothing, done, status_code, step_time = _ALWAYS(fields)
        context_id, flush_id = fields.get("context_id"), fields.get("flush_id")
        if (
            type_ == "chunk"
            and nothing == ""
            and done is False
            and type(status_code) is int
            and type(step_time) is float
            and (type(context_id) is str or context_id is None)
            and (type(flush_id) is int or flush_id is None)
            and len(fields) == 5 + (context_id is not None) + (flush_id is not None)
        ):
            return AudioChunk(base64_bytes(data), context_id, step_time, status_code, flush_id, {})
    except (KeyError, ValueError):  # the plain path says it with the right words
        pass
    return None
