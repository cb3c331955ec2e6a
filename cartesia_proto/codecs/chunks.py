"""The hot path: a chunk of audio, decoded where it lies in its message.

This module knows the one shape that nearly every message of a speaking server has (protocol sections 3.2 and 4.4): an
object with `type` ``chunk`` and its audio in `data`. It must not know sessions or streams, and it judges nothing: what
is not exactly of that shape is left to the plain path, `events`, which says what it is or what is wrong with it.

Theory of operation. The audio is most of a message, so parsing it as a JSON string first, only to decode that, is most
of the work. Instead, the string is found by its name and decoded where it lies; the rest is parsed with an empty one in
its place. That finds the right string, because the rest may hold no backslash and its name no second time: then no
string can look like the name of a member, and there is one member of that name at most. If it stands deeper inside, it
is missing where it is looked for.

Most chunks are written as the one before was, but for their audio and step time. Where both frames of these are found
again byte for byte, only the two are read: a number in the place of a number changes nothing else in a JSON text. It is
the step time's number, because its name, too, stands there once. Property tests hold all of this equal to the plain
path.
"""

from operator import itemgetter
from typing import Final, final

from cartesia_proto.codecs.events import AudioChunk, audio_chunk
from cartesia_proto.codecs.json import SHORT, base64_bytes, loads_short
from cartesia_proto.errors import JsonValue

_NAME: Final = b'"data"'

_COMPACT: Final = b'"data":"'
_SPACED: Final = b'"data": "'
"""Where the audio begins, written as compact as can be, or as Python's own writer does it."""

_STEP_TIME_NAME: Final = b'"step_time"'
_STEP_TIME: Final = _STEP_TIME_NAME + b":"

_BACKSLASH: Final = ord("\\")

_ALWAYS: Final = itemgetter("type", "data", "done", "status_code", "step_time")
"""What every chunk has, besides which it may have a context and a flush (protocol sections 3.2 and 4.4)."""

_LONGEST_NUMBER: Final = 25
"""Bytes of the longest number that a double is written as, if it is written as short as can be: a sign, 17 digits with
a point, and an exponent such as ``e-308``, which makes 24; and of a space before it."""

_NO_TEXT: Final = b"\xff"
"""What no text in UTF-8 begins with (RFC 3629 section 1)."""


@final
class ChunkReader:
    """Reads the chunks of one stream or connection, one after another; nothing but speed depends on their order."""

    __slots__ = ("_after", "_before", "_behind", "_last_context", "_model", "_tail_size")

    def __init__(self) -> None:
        self._model = AudioChunk(b"")  # what others may be like but for audio and step time
        self._before = _NO_TEXT  # what was written before its audio,
        self._after = self._behind = b""  # after that until its step time, and behind that
        self._tail_size = 0  # bytes in which these two are found, with a step time between them
        self._last_context: str | None = None

    def read(self, text: bytes | bytearray, view: memoryview, start: int, end: int) -> AudioChunk | None:
        """The chunk that a message is, if it is one of the usual shape; else None, and the plain path must read it.

        A chunk is answered only where the whole message is UTF-8; None says nothing about that.

        Args:
            text: holds the message from `start` to `end`.
            view: of all of it.
        """
        if text.startswith(self._before, start, end):
            at = start + len(self._before)
            quote = text.find(self._after, end - self._tail_size, end)
            if quote >= at and text.endswith(self._behind, quote, end):
                try:
                    step_time = loads_short(text[quote + len(self._after) : end - len(self._behind)])
                    if type(step_time) is float:
                        like = self._model
                        audio = base64_bytes(view[at:quote])
                        return audio_chunk(audio, like.context_id, step_time, like.status_code, like.flush_id)
                except ValueError:  # something else stands between them
                    pass
        return self._read_anew(text, view, start, end)

    def _read_anew(self, text: bytes | bytearray, view: memoryview, start: int, end: int) -> AudioChunk | None:
        """The chunk, without a look at the one before."""
        name = text.find(_COMPACT, start, end)
        at = name + len(_COMPACT)
        if name < 0:
            name = text.find(_SPACED, start, end)
            at = name + len(_SPACED)
        if name < 0:
            return None
        quote = text.find(b'"', at, end)
        if quote < 0:
            return None
        before, after = text[start:at], text[quote:end]
        rest = before + after
        if len(rest) > SHORT or _BACKSLASH in rest or rest.count(_NAME) != 1:
            return None
        try:
            chunk = _chunk(loads_short(rest), view[at:quote])
        except (KeyError, ValueError):  # the plain path says it with the right words
            return None
        if chunk is not None:
            self._learn(chunk, bytes(before), bytes(after))
        return chunk

    def _learn(self, chunk: AudioChunk, before: bytes, after: bytes) -> None:
        """Remember how a chunk was written, if the one before was of its context: where contexts alternate, none is.

        Without a context id, as on a stream of its own, the first will do.
        """
        if chunk.context_id != self._last_context:
            self._last_context = chunk.context_id
            return
        until, name, behind = after.partition(_STEP_TIME)
        if name and (before + after).count(_STEP_TIME_NAME) == 1:
            number = behind.partition(b",")[0].partition(b"}")[0]
            after, behind = until + name, behind[len(number) :]
            tail_size = len(after) + _LONGEST_NUMBER + len(behind)
            # Not the chunk itself: its audio may be long, and is its reader's alone.
            model = audio_chunk(b"", chunk.context_id, 0.0, chunk.status_code, chunk.flush_id)
            self._before = _NO_TEXT  # where an interruption strikes among these, nothing is like what was learned
            self._after, self._behind, self._tail_size, self._model = after, behind, tail_size, model
            self._before = before


def _chunk(fields: JsonValue, encoded: memoryview) -> AudioChunk | None:
    """The chunk with these fields and this audio, if the fields are what the usual ones are.

    Raises:
        KeyError: one is missing.
        ValueError: the audio is no base64.
    """
    if type(fields) is not dict:
        return None
    type_, nothing, done, status_code, step_time = _ALWAYS(fields)
    context_id, flush_id = fields.get("context_id"), fields.get("flush_id")
    if (
        type_ == "chunk"
        and nothing == ""
        and done is False
        and type(status_code) is int
        and (type(step_time) is float or type(step_time) is int)
        and (type(context_id) is str or context_id is None)
        and (type(flush_id) is int or flush_id is None)
        and len(fields) == 5 + (context_id is not None) + (flush_id is not None)
    ):
        return audio_chunk(base64_bytes(encoded), context_id, float(step_time), status_code, flush_id)
    return None
