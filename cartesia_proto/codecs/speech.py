"""The event stream of one speech request, as events up to its end.

This module knows how such a stream ends, well or badly, under every API version (protocol sections 3.2 and 3.3). It
must not know requests or connections: a shell feeds it the body and takes its events.

Every event before a failure is returned; the failure is raised by the next call and every later one, so a shell calls
``receive_data(b"")`` after each batch, and results never depend on how the bytes were cut.
"""

import sys
from collections.abc import Mapping
from typing import Final, final

from attrs import evolve

from cartesia_proto.audio.pcm import SampleAligner
from cartesia_proto.codecs.chunks import ChunkReader
from cartesia_proto.codecs.events import (
    AudioChunk,
    Done,
    ErrorEvent,
    SpeechEvent,
    TTSEvent,
    UnknownEvent,
    build_events,
    parse_events,
)
from cartesia_proto.codecs.failures import broken_error, fragments
from cartesia_proto.codecs.json import read_lenient
from cartesia_proto.codecs.sse import TURN, ServerSentEvent, SSEDecoder
from cartesia_proto.config import Limits
from cartesia_proto.errors import CartesiaError, IncompleteStream, JsonValue, RemoteProtocolError

LAST_VERSION_ENDING_SILENTLY: Final = "2024-11-13"
"""Up to this version a stream may end without a terminal event once a chunk has come (protocol section 3.2, note)."""


_NAMES: Final = frozenset({"message", "chunk", "timestamps", "phoneme_timestamps", "done", "error"})
"""What the stream names the events that matter (protocol section 3.1); ``message`` where it names none."""


@final
class TTSDecoder:
    """Turns the body of ``POST /tts/sse`` into events; made for one response by its call.

    Audio comes in whole samples: what is left of one is put before the next chunk's audio, and dropped at the end.

    Args:
        limits: bytes of one line and of one event.
        version: the API version of the request.
        frame_size: bytes of one sample.
    """

    def __init__(self, limits: Limits, version: str, frame_size: int) -> None:
        self._stream = SSEDecoder(limits.sse_line, limits.sse_event)
        self._chunks = ChunkReader()
        self._samples = SampleAligner(frame_size)
        self._may_end_silently = version <= LAST_VERSION_ENDING_SILENTLY
        self._chunk_seen = False
        self._finished = False
        self._failure: CartesiaError | None = None

    @property
    def finished(self) -> bool:
        """Whether the stream has come to its end, by `Done` or by an error; later bytes are ignored."""
        return self._finished

    def receive_data(self, data: bytes) -> list[SpeechEvent]:
        """The events that these bytes complete; the end itself is none of them.

        Raises:
            ApiError: an earlier call met an error event.
            RemoteProtocolError: an earlier call met something that is no event, or exceeds a limit.
        """
        return self._read(data, sys.maxsize)

    def receive_portion(self, data: bytes) -> tuple[list[SpeechEvent], bool]:
        """As `receive_data`, but no more than one turn is good for; also whether to call again, without bytes.

        Raises:
            ApiError, RemoteProtocolError: as `receive_data`.
        """
        events = self._read(data, TURN)
        return events, self._stream.laden and not self._finished

    def _read(self, data: bytes, most: int) -> list[SpeechEvent]:
        self._check()
        events: list[SpeechEvent] = []
        if self._finished:
            return events
        for sent in self._stream.read_messages(data, self._chunks.read, most):
            if isinstance(sent, AudioChunk):
                self._receive_chunk(sent, events)
            else:
                self._receive(sent, events)
            if self._finished:
                break
        return events

    def receive_eof(self) -> list[SpeechEvent]:
        """The body has ended. There is never an event left; the list is empty.

        Raises:
            IncompleteStream: it ended before its terminal event.
            ApiError, RemoteProtocolError: as `receive_data`.
        """
        self._check()
        if not self._finished:
            self._stream.receive_eof()
            self._finished = True
            if self._stream.pending or not (self._may_end_silently and self._chunk_seen):
                self._failure = IncompleteStream("the event stream ended before its terminal event")
        self._check()
        return []

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def _receive(self, sent: ServerSentEvent, events: list[SpeechEvent]) -> None:
        data = sent.data
        chunk = self._chunks.read(data, memoryview(data), 0, len(data))  # it may only have been cut by the segmentation
        if chunk is not None:
            self._receive_chunk(chunk, events)
            return
        if not data.strip() and sent.event != "error":  # such as what keeps a connection alive
            return
        try:
            built = _events(sent)
        except RemoteProtocolError as error:
            self._fail(error)
            return
        for event in built:
            match event:
                case AudioChunk():
                    self._receive_chunk(event, events)
                case Done():
                    self._finished = True
                case ErrorEvent():
                    self._fail(event.error)
                case _:
                    events.append(event)

    def _receive_chunk(self, chunk: AudioChunk, events: list[SpeechEvent]) -> None:
        self._chunk_seen = True
        audio = self._samples.align(chunk.audio)
        events.append(chunk if audio is chunk.audio else evolve(chunk, audio=audio))

    def _fail(self, error: CartesiaError) -> None:
        self._failure = error
        self._finished = True


def _events(sent: ServerSentEvent) -> tuple[TTSEvent, ...]:
    """The JSON decides; a frame that the stream names ``error`` is one even where the JSON does not say so.

    A frame of an unknown name may hold anything.
    """
    if sent.event == "error":
        return build_events(_error_fields(sent.text))
    try:
        return parse_events(sent.text)
    except RemoteProtocolError:
        broken = broken_error(sent.text)
        if broken is not None:
            return build_events(broken)
        if sent.event not in _NAMES:
            return (UnknownEvent(sent.event),)
        raise


def _error_fields(text: str) -> Mapping[str, JsonValue]:
    try:
        fields = read_lenient(text)
    except RemoteProtocolError:
        fields = fragments(text)
    if not isinstance(fields, dict) or not fields:
        return {"type": "error", "error": text}
    return fields if fields.get("type") else {**fields, "type": "error"}
