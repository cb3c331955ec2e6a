"""The hot path: a chunk of audio, decoded where it lies in its message.

This module knows the one shape that nearly every message of a speaking server has (protocol sections 3.2 and 4.4): an
object with `type` ``chunk`` and its audio in `data`. It must not know sessions or streams, and it judges nothing: what
is not exactly of that shape is left to the plain path, `events`, which says what it is or what is wrong with it.

Theory of operation. The audio is most of a message, so parsing it as a JSON string first, only to decode that, is most
of the work. Instead, the string is found by its name and decoded from the message; the rest is parsed with a 0 in its
place. That finds the right string, because the rest may hold no backslash and its name no second time: then no string
can look like the name of a member, and there is one member of that name at most. If it stands deeper inside, the 0 is
missing where it is looked for. A property test holds both paths equal.
"""

from typing import Final

from cartesia_proto.codecs.events import AudioChunk, build_chunk
from cartesia_proto.codecs.json import decode_base64, loads
from cartesia_proto.errors import RemoteProtocolError

_NAME: Final = b'"data"'

_COMPACT: Final = b'"data":"'
_SPACED: Final = b'"data": "'
"""Where the audio begins, written as compact as can be, or as Python's own writer does it."""


def read_chunk(message: bytes) -> AudioChunk | None:
    """The chunk that a message is, if it is one of the usual shape; else None, and the plain path must read it."""
    before, found, after = message.partition(_COMPACT)
    if not found:
        before, found, after = message.partition(_SPACED)
    data, quote, after = after.partition(b'"')
    rest = before + b'"data":0' + after
    if not quote or b"\\" in rest or rest.count(_NAME) != 1:
        return None
    try:
        fields = loads(rest)
        if (
            isinstance(fields, dict)
            and fields.get("data") == 0
            and fields.get("type") == "chunk"
            and fields.get("done") is False
        ):
            return build_chunk(fields, decode_base64(data))
    except RemoteProtocolError:  # the plain path says it with the right words
        pass
    return None
