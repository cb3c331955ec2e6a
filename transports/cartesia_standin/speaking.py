"""Answers to requests for speech: audio bodies and event streams, made while they are sent.

This module knows how a voice, its settings and a format become bytes. It must not know HTTP or sockets: a `Streamed`
is a head and the pieces that follow it.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, assert_never, final

from attrs import field, frozen

from cartesia_proto.audio.formats import Mp3Format, OutputFormat, RawFormat, WavFormat
from cartesia_proto.audio.wav import wav_header
from cartesia_proto.codecs.events import AudioChunk, Done, PhonemeTimestamps, WordTimestamps
from cartesia_proto.http import Response
from cartesia_proto.server.events import CONTENT_TYPE, WrittenEvent, sse_error, sse_event
from cartesia_proto.server.formats import audio_content_type
from cartesia_proto.server.problems import Problem, invalid
from cartesia_proto.server.responses import stream_head
from cartesia_proto.server.speech_requests import BytesRequest, InfillRequest, Speech, SSERequest
from cartesia_proto.server.voice_forms import Controls, IdVoice
from cartesia_standin.catalogue import Catalogue
from cartesia_standin.encodings import encode
from cartesia_standin.speech import chunks, pitch_of, samples
from cartesia_standin.timeline import Timeline, plan

BODY_PIECE: Final = 8191
"""Bytes of one piece of an audio body: odd, because the real ones are not aligned to samples (protocol section 7.2)."""

CHUNKS_PER_SECOND: Final = 10
"""Audio events for each second of audio."""

STEP_TIME: Final = 1.0
"""Milliseconds that every chunk claims to have taken: the truth would differ from run to run."""

_SPEEDS: Final = {"slow": 0.8, "normal": 1.0, "fast": 1.25}
_CONTROL_SPEEDS: Final = {"slowest": 0.6, "slow": 0.8, "normal": 1.0, "fast": 1.25, "fastest": 1.5}
"""What the named speeds mean here; the service does not say."""


@final
@frozen
class Streamed:
    """An answer whose body is made while it is sent.

    Attributes:
        pieces: everything but `ending`.
        ending: the terminal event of an event stream; empty for audio.
        error_event: how a failure in the middle is told; None for audio, which just stops.
    """

    head: Response
    pieces: Iterator[bytes]
    ending: bytes = b""
    error_event: Callable[[Problem], bytes] | None = field(default=None, repr=False)


def speak_bytes(request: BytesRequest | InfillRequest, catalogue: Catalogue, request_id: str) -> Streamed:
    """Audio in the format asked for.

    Raises:
        Problem: there is no such voice, or the format is mp3, which the stand-in cannot make.
    """
    speech = request.speech
    prefix = _prefix(speech.output_format)
    _, audio = _voiced(speech, catalogue, BODY_PIECE)
    file_id = f"file_{request_id}" if isinstance(request, BytesRequest) and request.save else None
    head = stream_head(audio_content_type(speech.output_format), request_id, file_id)
    return Streamed(head, _cut_anywhere(prefix, audio))


def _prefix(output_format: OutputFormat) -> bytes:
    match output_format:
        case RawFormat():
            return b""
        case WavFormat():
            return wav_header(output_format, None)
        case Mp3Format():
            raise invalid("the stand-in makes no mp3: ask it for the container wav or raw")
        case _:
            assert_never(output_format)


def _cut_anywhere(prefix: bytes, audio: Iterable[bytes]) -> Iterator[bytes]:
    pending = bytearray(prefix)
    for data in audio:
        pending += data
        while len(pending) >= BODY_PIECE:
            yield bytes(pending[:BODY_PIECE])
            del pending[:BODY_PIECE]
    if pending:
        yield bytes(pending)


def speak_events(request: SSERequest, catalogue: Catalogue, version: str, request_id: str) -> Streamed:
    """Audio in chunks of a tenth of a second, with timestamps right after the chunk they begin in.

    Raises:
        Problem: there is no such voice.
    """
    rate = request.speech.output_format.sample_rate
    timeline, audio = _voiced(request.speech, catalogue, rate // CHUNKS_PER_SECOND)
    done = sse_event(Done(request.context_id), version)
    fail = partial(sse_error, version=version, request_id=request_id, context_id=request.context_id)
    pieces = (sse_event(event, version) for event in _events(request, timeline, audio))
    return Streamed(stream_head(CONTENT_TYPE, request_id), pieces, done, fail)


def _events(request: SSERequest, timeline: Timeline, audio: Iterable[bytes]) -> Iterator[WrittenEvent]:
    rate = request.speech.output_format.sample_rate
    step = rate // CHUNKS_PER_SECOND / rate
    for index, data in enumerate(audio):
        yield AudioChunk(data, request.context_id, STEP_TIME)
        start, end = index * step, (index + 1) * step
        if request.add_timestamps:
            yield from _word_timestamps(timeline, start, end, request.context_id)
        if request.add_phoneme_timestamps:
            yield from _phoneme_timestamps(timeline, start, end, request.context_id)


def _word_timestamps(timeline: Timeline, start: float, end: float, context_id: str | None) -> Iterator[WordTimestamps]:
    words = [word for word in timeline.words if start <= word.start < end]
    if words:
        yield WordTimestamps(
            words=tuple(word.text for word in words),
            start=tuple(word.start for word in words),
            end=tuple(word.end for word in words),
            context_id=context_id,
        )


def _phoneme_timestamps(
    timeline: Timeline, start: float, end: float, context_id: str | None
) -> Iterator[PhonemeTimestamps]:
    """Of sounds; the stand-in has no phonemes, its sounds are letters."""
    sounds = [sound for word in timeline.words for sound in word.sounds if start <= sound.start < end]
    if sounds:
        yield PhonemeTimestamps(
            phonemes=tuple(sound.symbol for sound in sounds),
            start=tuple(sound.start for sound in sounds),
            end=tuple(sound.end for sound in sounds),
            context_id=context_id,
        )


def _voiced(speech: Speech, catalogue: Catalogue, size: int) -> tuple[Timeline, Iterator[bytes]]:
    """What is said when, and its audio in chunks of `size` samples, encoded."""
    pitch = pitch_of(_embedding(speech, catalogue))
    config = speech.generation_config
    timeline = plan(speech.transcript, config.speed * _speed(speech), config.volume).cut(speech.duration)
    rate, encoding = speech.output_format.sample_rate, _encoding(speech.output_format)
    spoken: Iterator[array[int]] = chunks(samples(timeline, pitch, rate), size)
    return timeline, (encode(chunk, encoding) for chunk in spoken)


def _embedding(speech: Speech, catalogue: Catalogue) -> tuple[float, ...]:
    voice = speech.voice
    return catalogue.get(voice.id).embedding if isinstance(voice, IdVoice) else voice.embedding


def _encoding(output_format: OutputFormat) -> str:
    if isinstance(output_format, Mp3Format):
        raise AssertionError("refused before anything is said")
    return output_format.encoding


def _speed(speech: Speech) -> float:
    """What the older ways of asking for a speed come to, as a factor."""
    return _SPEEDS[speech.speed or "normal"] * _control_speed(speech.voice.controls)


def _control_speed(controls: Controls | None) -> float:
    match None if controls is None else controls.speed:
        case None:
            return 1.0
        case str() as name:
            return _CONTROL_SPEEDS[name]
        case number:
            return 1 + number / 2 if number > 0 else 1 + number * 0.4
