"""Answers to requests for speech: audio bodies, event streams, and the events of a context, made while they are sent.

This module knows how a voice, its settings and a format become bytes. It must not know HTTP or sockets: a `Streamed`
is a head and the pieces that follow it.

The same speech is the same bytes wherever it is asked for. In the context of a WebSocket every input is spoken by
itself, as soon as it is there: the audio of a context is that of its inputs, one after another (`spoken_audio`).
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
from cartesia_proto.server.events import CONTENT_TYPE, sse_error, sse_event
from cartesia_proto.server.formats import audio_content_type
from cartesia_proto.server.problems import Problem, invalid, model_not_found, not_found
from cartesia_proto.server.responses import stream_head
from cartesia_proto.server.speech_requests import BytesRequest, GenerationConfig, InfillRequest, Speech, SSERequest
from cartesia_proto.server.voice_forms import Controls, IdVoice
from cartesia_standin.catalogue import Catalogue
from cartesia_standin.encodings import encode
from cartesia_standin.speech import chunks, pitch_of, sample_count, samples
from cartesia_standin.timeline import Timeline, plan
from cartesia_standin.voices import DEFAULT_VOICE_ID, MODELS

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


@final
@frozen
class Telling:
    """How speech is told as events.

    Attributes:
        offset: seconds of the context's audio that went before.
    """

    context_id: str | None
    add_timestamps: bool
    add_phoneme_timestamps: bool
    flush_id: int | None = None
    offset: float = 0.0


def speak_events(request: SSERequest, catalogue: Catalogue, version: str, request_id: str) -> Streamed:
    """Audio in chunks of a tenth of a second, with timestamps right after the chunk they begin in.

    Raises:
        Problem: there is no such voice.
    """
    telling = Telling(request.context_id, request.add_timestamps, request.add_phoneme_timestamps)
    _, events = speech_events(request.speech, catalogue, telling)
    done = sse_event(Done(request.context_id), version)
    fail = partial(sse_error, version=version, request_id=request_id, context_id=request.context_id)
    pieces = (sse_event(event, version) for event in events)
    return Streamed(stream_head(CONTENT_TYPE, request_id), pieces, done, fail)


def speech_events(
    speech: Speech, catalogue: Catalogue, telling: Telling
) -> tuple[float, Iterator[AudioChunk | WordTimestamps | PhonemeTimestamps]]:
    """How many seconds of audio speech has, and its events, made one by one.

    Raises:
        Problem: at once; there is no such voice.
    """
    rate = speech.output_format.sample_rate
    timeline, audio = _voiced(speech, catalogue, rate // CHUNKS_PER_SECOND)
    return sample_count(timeline, rate) / rate, _events(rate, telling, timeline, audio)


def _events(
    rate: int, telling: Telling, timeline: Timeline, audio: Iterable[bytes]
) -> Iterator[AudioChunk | WordTimestamps | PhonemeTimestamps]:
    step = rate // CHUNKS_PER_SECOND / rate
    for index, data in enumerate(audio):
        yield AudioChunk(data, telling.context_id, STEP_TIME, flush_id=telling.flush_id)
        start, end = index * step, (index + 1) * step
        if telling.add_timestamps:
            yield from _word_timestamps(timeline, start, end, telling)
        if telling.add_phoneme_timestamps:
            yield from _phoneme_timestamps(timeline, start, end, telling)


def _word_timestamps(timeline: Timeline, start: float, end: float, telling: Telling) -> Iterator[WordTimestamps]:
    words = [word for word in timeline.words if start <= word.start < end]
    if words:
        yield WordTimestamps(
            words=tuple(word.text for word in words),
            start=tuple(round(telling.offset + word.start, 6) for word in words),
            end=tuple(round(telling.offset + word.end, 6) for word in words),
            context_id=telling.context_id,
            flush_id=telling.flush_id,
        )


def _phoneme_timestamps(timeline: Timeline, start: float, end: float, telling: Telling) -> Iterator[PhonemeTimestamps]:
    """Of sounds; the stand-in has no phonemes, its sounds are letters."""
    sounds = [sound for word in timeline.words for sound in word.sounds if start <= sound.start < end]
    if sounds:
        yield PhonemeTimestamps(
            phonemes=tuple(sound.symbol for sound in sounds),
            start=tuple(round(telling.offset + sound.start, 6) for sound in sounds),
            end=tuple(round(telling.offset + sound.end, 6) for sound in sounds),
            context_id=telling.context_id,
            flush_id=telling.flush_id,
        )


def spoken_audio(
    *transcripts: str,
    output_format: RawFormat,
    voice_id: str = DEFAULT_VOICE_ID,
    generation_config: GenerationConfig | None = None,
) -> bytes:
    """The audio of a context whose inputs have these transcripts, byte for byte.

    It is what ``POST /tts/bytes`` answers for each transcript, one after another; an empty or blank one has no sound.
    How messages travelled, and when, makes no difference; how the text was cut into inputs does.

    Args:
        generation_config: `volume` and `speed` count.

    Raises:
        Problem: the catalogue has no such voice to begin with.
    """
    catalogue, audio, config = Catalogue(), bytearray(), generation_config or GenerationConfig()
    for transcript in filter(str.strip, transcripts):
        speech = Speech("", transcript, IdVoice(voice_id), output_format, generation_config=config)
        audio += b"".join(_voiced(speech, catalogue, BODY_PIECE)[1])
    return bytes(audio)


def check_speech(speech: Speech) -> None:
    """What must exist before anything is said; the stand-in has no pronunciation dictionaries.

    Raises:
        Problem: there is no such model or dictionary.
    """
    if speech.model_id not in MODELS:
        raise model_not_found(speech.model_id)
    if speech.pronunciation_dict_id is not None:
        raise not_found(f"there is no pronunciation dictionary {speech.pronunciation_dict_id[:64]!r}")


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
