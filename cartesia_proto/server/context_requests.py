"""What a client may say on an open WebSocket: an input for a context, or its cancellation.

This module knows the fields of protocol sections 4.2 and 4.3 under every version, and which of them are locked for the
life of a context. It must not know which contexts there are: `contexts` does. Fields that a version does not know are
ignored, as the service tolerates them.

Where the protocol is silent, our choice: binary messages are refused; `context_id` keeps to its alphabet under
2024-06-10, the one version whose definition restricts it.
"""

import re
from typing import Final, TypeAlias

from attrs import frozen

from cartesia_proto.codecs import json
from cartesia_proto.errors import RemoteProtocolError
from cartesia_proto.server.fields import Fields
from cartesia_proto.server.problems import invalid
from cartesia_proto.server.speech_requests import Speech, read_speech

SOCKET_CONTAINERS: Final = ("raw",)
"""What a WebSocket carries (protocol section 4.2)."""

CONTEXT_ID_SINCE: Final = "2025-11-04"
"""First version that requires `context_id` (protocol section 4.2)."""

ALPHABET_UNTIL: Final = "2024-06-10"
"""The version whose definition restricts `context_id` to an alphabet (protocol section 4.2)."""

SHORT_DELAYS_UNTIL: Final = "2025-04-16"
"""Last version whose `max_buffer_delay_ms` ends at 1000 (protocol section 4.2)."""

_ALPHABET: Final = re.compile(r"[A-Za-z0-9_-]+")


@frozen
class ContextInput:
    """More text for a context, a flush, its end; or all of these.

    Attributes:
        context_id: None where an old version lets it be left out.
        speech: what is to be said, and how; the transcript may be empty if the input flushes or finishes.
        continues: more input may follow.
        flush: what was said so far is a segment of its own.
        max_buffer_delay_ms: how long text may wait for more of it, in milliseconds; None where nothing was said.
    """

    context_id: str | None
    speech: Speech
    continues: bool = False
    flush: bool = False
    add_timestamps: bool = False
    add_phoneme_timestamps: bool = False
    use_normalized_timestamps: bool = False
    max_buffer_delay_ms: int | None = None

    def locked(self) -> dict[str, object]:
        """What must be the same in every input of a context (protocol section 4.5).

        Free are `transcript`, `continue`, `flush` and `duration`; and `generation_config`, on which the sources differ:
        the examples vary it, so it may vary here.
        """
        return {
            "model_id": self.speech.model_id,
            "voice": self.speech.voice,
            "output_format": self.speech.output_format,
            "language": self.speech.language,
            "locale": self.speech.locale,
            "normalization": self.speech.normalization,
            "speed": self.speech.speed,
            "pronunciation_dict_id": self.speech.pronunciation_dict_id,
            "add_timestamps": self.add_timestamps,
            "add_phoneme_timestamps": self.add_phoneme_timestamps,
            "use_normalized_timestamps": self.use_normalized_timestamps,
            "max_buffer_delay_ms": self.max_buffer_delay_ms,
        }


@frozen
class ContextCancel:
    """Nothing more is wanted of a context."""

    context_id: str


ContextRequest: TypeAlias = ContextInput | ContextCancel


def read_object(message: str | bytes) -> Fields:
    """The JSON object that every message is.

    Raises:
        Problem: 400; it is none, or a binary message.
    """
    if isinstance(message, bytes):
        raise invalid("a message must be a text, not binary")
    try:
        fields = json.loads(message)
    except RemoteProtocolError as error:
        raise invalid(f"a message must be a JSON object: {error}") from None
    if not isinstance(fields, dict):
        raise invalid("a message must be a JSON object")
    return Fields(fields)


def read_context_id(fields: Fields, version: str) -> str | None:
    """Which context a message is about; None where an old version lets that be left out.

    Raises:
        Problem: 400; it is missing, empty, no string, or outside the alphabet of the first version.
    """
    if not fields.has("context_id") and version < CONTEXT_ID_SINCE:
        return None
    context_id = fields.required_text("context_id")
    if version <= ALPHABET_UNTIL and not _ALPHABET.fullmatch(context_id):
        raise invalid(f"under version {version} context_id may have letters, digits, _ and - alone")
    return context_id


def read_context_request(fields: Fields, context_id: str | None, version: str) -> ContextRequest:
    """What a message says.

    Raises:
        Problem: 400; a field is missing, of a wrong kind, or out of its bounds, or nothing is said.
    """
    if fields.boolean("cancel"):
        return ContextCancel(fields.required_text("context_id") if context_id is None else context_id)
    continues, flush = fields.boolean("continue") or False, fields.boolean("flush") or False
    return ContextInput(
        context_id=context_id,
        speech=read_speech(fields, version, _transcript(fields, silent=flush or not continues), SOCKET_CONTAINERS),
        continues=continues,
        flush=flush,
        add_timestamps=fields.boolean("add_timestamps") or False,
        add_phoneme_timestamps=fields.boolean("add_phoneme_timestamps") or False,
        use_normalized_timestamps=fields.boolean("use_normalized_timestamps") or False,
        max_buffer_delay_ms=_buffer_delay(fields, version),
    )


def _transcript(fields: Fields, *, silent: bool) -> str:
    """The text, verbatim; white space is text as well, it parts words."""
    transcript = fields.text("transcript")
    if transcript is None:
        raise invalid("transcript is required; it may be empty in an input that flushes or finishes")
    if not transcript and not silent:
        raise invalid("transcript must not be empty in an input that neither flushes nor finishes")
    return transcript


def _buffer_delay(fields: Fields, version: str) -> int | None:
    if not fields.has("max_buffer_delay_ms"):
        return None
    longest = 1000 if version <= SHORT_DELAYS_UNTIL else 5000
    delay = fields.integer("max_buffer_delay_ms")
    if not 0 <= delay <= longest:
        raise invalid(f"max_buffer_delay_ms must be from 0 to {longest}, not {delay}")
    return delay
