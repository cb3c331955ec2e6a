"""Text to speech over HTTP: whole, piece by piece, as events, and infill (protocol sections 2.3, 2.4 and 3).

This module knows the parameters of the speech endpoints and what their answers mean. It must not know how a call
travels or how events are parsed: what reads an answer is imported with the first of its kind. The method named after
a builtin stands last in its class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias, final

from attrs import frozen

from cartesia_proto.audio.audio import Audio
from cartesia_proto.audio.formats import Mp3Format, OutputFormat, RawFormat, WavFormat, parse_output_format
from cartesia_proto.call import C_co, Call, Resource, StreamCall, endpoint
from cartesia_proto.codecs.events import SpeechEvent
from cartesia_proto.config import Config
from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError
from cartesia_proto.http import Form, JsonBody, Response, UnsignedRequest
from cartesia_proto.parameters import FileInput, Parameters, file_part, form_parts
from cartesia_proto.prepare import RequestOptions, Route, freeze_options
from cartesia_proto.speech import (
    CONTROLS,
    ExperimentalControls,
    GenerationConfig,
    VoiceLike,
    check_voice,
    controls_on_wire,
    voice_on_wire,
)

if TYPE_CHECKING:
    from cartesia_proto.audio.pieces import AudioPieces
    from cartesia_proto.codecs.speech import TTSDecoder

OutputFormatLike: TypeAlias = RawFormat | WavFormat | Mp3Format | Mapping[str, object]
"""A format of ours, or a mapping exactly as the API documents it (protocol section 7.1)."""

Speed: TypeAlias = Literal["slow", "normal", "fast"] | str
"""Deprecated in favour of `GenerationConfig.speed` (protocol section 2.3)."""


def check_format(output_format: OutputFormatLike) -> OutputFormat:
    """A format as a value.

    Raises:
        LocalProtocolError: a field is missing or malformed; the message names it.
    """
    match output_format:
        case RawFormat() | WavFormat() | Mp3Format():
            return output_format
        case Mapping():
            return parse_output_format(output_format)
        case _:
            raise LocalProtocolError(f"output_format must be a format or a mapping, not {type(output_format).__name__}")


def speech_parameters(voice: VoiceLike, format: OutputFormat, **named: object) -> Parameters:
    """The parameters of a generation.

    Raises:
        LocalProtocolError: the voice is malformed, or a value is of a kind that no request can carry.
    """
    return Parameters(named, voice=check_voice(voice), output_format=format.as_wire())


def render_bytes(parameters: Parameters, version: str) -> UnsignedRequest:
    """``POST /tts/bytes`` (protocol section 2.3)."""
    return UnsignedRequest("POST", "/tts/bytes", body=_generation(parameters, version), accept="audio/wav")


def render_sse(parameters: Parameters, version: str) -> UnsignedRequest:
    """``POST /tts/sse`` (protocol section 2.3)."""
    return UnsignedRequest("POST", "/tts/sse", body=_generation(parameters, version), accept="text/event-stream")


def _generation(parameters: Parameters, version: str) -> JsonBody:
    return JsonBody({**parameters.as_json(), "voice": voice_on_wire(parameters["voice"], version)})


def render_infill(parameters: Parameters, version: str) -> UnsignedRequest:
    """``POST /infill/bytes`` (protocol section 2.4)."""
    del version
    return UnsignedRequest("POST", "/infill/bytes", body=Form(form_parts(parameters)), accept="audio/wav")


BYTES = Route(render_bytes, answer="audio")
SSE = Route(render_sse)
INFILL = Route(render_infill, answer="audio")


@final
@frozen
class AudioReader:
    """Reads a whole audio body; a frozen value, so that the call holding it compares and pickles."""

    format: OutputFormat

    def __call__(self, response: Response, version: str) -> Audio:
        """The audio."""
        from cartesia_proto.audio.pieces import check_audio  # noqa: PLC0415 - see the module docstring

        del version
        check_audio(response)
        return Audio(response.body, self.format, file_id=response.headers.get("cartesia-file-id"))


@final
@frozen
class PiecesReader:
    """Makes the decoder of an audio body."""

    format: OutputFormat

    def __call__(self, head: Response, config: Config, version: str) -> AudioPieces:
        """The decoder."""
        from cartesia_proto.audio.pieces import AudioPieces, check_audio  # noqa: PLC0415 - see the module docstring

        del config, version
        check_audio(head)
        return AudioPieces(self.format)


@final
@frozen
class EventsReader:
    """Makes the decoder of an event stream."""

    format: OutputFormat

    def __call__(self, head: Response, config: Config, version: str) -> TTSDecoder:
        """The decoder.

        Raises:
            RemoteProtocolError: the body is something else than an event stream.
        """
        from cartesia_proto.codecs.speech import TTSDecoder  # noqa: PLC0415 - see the module docstring

        media_type = (head.headers.get("content-type") or "text/event-stream").lower()
        if not media_type.startswith("text/event-stream"):
            raise RemoteProtocolError(f"expected an event stream, but the server sent {media_type}")
        return TTSDecoder(config.limits, version, self.format.frame_size)


class TTS(Resource[C_co]):
    """Text to speech."""

    __slots__ = ()

    @endpoint
    @staticmethod
    def stream(
        *,
        model_id: str,
        transcript: str,
        voice: VoiceLike,
        output_format: OutputFormatLike,
        language: str | None = None,
        locale: str | None = None,
        normalization: str | None = None,
        generation_config: GenerationConfig | Mapping[str, object] | None = None,
        speed: Speed | None = None,
        duration: float | None = None,
        pronunciation_dict_id: str | None = None,
        save: bool | None = None,
        request_options: RequestOptions | None = None,
    ) -> StreamCall[bytes]:
        """Speak a text, as pieces of audio while it is being generated.

        Args:
            See `bytes`: it is the same request.

        Returns:
            A stream of `bytes`, each ending on a sample boundary; joined they are the body, with the header where the
            container has one. A streamed WAV header carries placeholder sizes: `Audio.wav` repairs them.

        Raises:
            CartesiaError: as `bytes`; after the first piece a failure is raised where it happened and nothing is
                retried. The stream is closed then, the client stays usable.

        Source: protocol section 2.3 (``POST /tts/bytes``).
        """
        format = check_format(output_format)
        parameters = speech_parameters(
            voice,
            format,
            model_id=model_id,
            transcript=transcript,
            language=language,
            locale=locale,
            normalization=normalization,
            generation_config=generation_config,
            speed=speed,
            duration=duration,
            pronunciation_dict_id=pronunciation_dict_id,
            save=save,
        )
        return StreamCall(BYTES, parameters, freeze_options(request_options), decoder=PiecesReader(format))

    @endpoint
    @staticmethod
    def sse(
        *,
        model_id: str,
        transcript: str,
        voice: VoiceLike,
        output_format: OutputFormatLike,
        language: str | None = None,
        locale: str | None = None,
        normalization: str | None = None,
        generation_config: GenerationConfig | Mapping[str, object] | None = None,
        speed: Speed | None = None,
        duration: float | None = None,
        pronunciation_dict_id: str | None = None,
        add_timestamps: bool | None = None,
        add_phoneme_timestamps: bool | None = None,
        use_normalized_timestamps: bool | None = None,
        context_id: str | None = None,
        request_options: RequestOptions | None = None,
    ) -> StreamCall[SpeechEvent]:
        """Speak a text, as events: chunks of audio and, when asked, timestamps.

        Args:
            output_format: its container must be raw.
            add_timestamps: send word timestamps, in seconds from the start of the generation.
            add_phoneme_timestamps: send phoneme timestamps.
            use_normalized_timestamps: whether timestamps speak of the normalised text (true) or of yours (false).
            context_id: echoed in every event.
            The rest: see `bytes`.

        Returns:
            A stream of events, each with `.audio`, which is empty unless it is an `AudioChunk`. It ends with the
            server's terminal event, which is not among them.

        Raises:
            ApiError: an error event came; everything before it was delivered.
            IncompleteStream: the stream ended without its terminal event.
            CartesiaError: as `bytes`. The stream is closed then, the client stays usable.

        Source: protocol sections 2.3 and 3 (``POST /tts/sse``).
        """
        format = check_format(output_format)
        parameters = speech_parameters(
            voice,
            format,
            model_id=model_id,
            transcript=transcript,
            language=language,
            locale=locale,
            normalization=normalization,
            generation_config=generation_config,
            speed=speed,
            duration=duration,
            pronunciation_dict_id=pronunciation_dict_id,
            add_timestamps=add_timestamps,
            add_phoneme_timestamps=add_phoneme_timestamps,
            use_normalized_timestamps=use_normalized_timestamps,
            context_id=context_id,
        )
        return StreamCall(SSE, parameters, freeze_options(request_options), decoder=EventsReader(format))

    @endpoint
    @staticmethod
    def infill(
        *,
        model_id: str,
        language: str,
        transcript: str,
        voice_id: str,
        output_format: OutputFormatLike,
        left_audio: FileInput | None = None,
        right_audio: FileInput | None = None,
        experimental_controls: ExperimentalControls | Mapping[str, object] | str | None = None,
        request_options: RequestOptions | None = None,
    ) -> Call[Audio]:
        """Speak the words that go between two recordings.

        Args:
            left_audio, right_audio: the recordings before and after the gap, at least one of them: bytes, a path, or
                ``(filename, bytes[, content type])``.
            voice_id: the id of a voice; embeddings are not accepted here.
            experimental_controls: for versions up to 2024-11-13.

        Returns:
            The `Audio` of the gap alone.

        Raises:
            LocalProtocolError: there is neither a left nor a right recording.
            CartesiaError: as `bytes`.

        Source: protocol section 2.4 (``POST /infill/bytes``).
        """
        if left_audio is None and right_audio is None:
            raise LocalProtocolError("infill needs left_audio, right_audio or both: the recordings beside the gap")
        format = check_format(output_format)
        controls = Parameters(controls=experimental_controls)["controls"]
        parameters = Parameters(
            model_id=model_id,
            language=language,
            transcript=transcript,
            voice_id=voice_id,
            output_format=format.as_wire(),
            voice=None if controls is None else {CONTROLS: controls_on_wire(controls)},
            left_audio=None if left_audio is None else file_part("left_audio", left_audio),
            right_audio=None if right_audio is None else file_part("right_audio", right_audio),
        )
        return Call(INFILL, parameters, freeze_options(request_options), parse=AudioReader(format))

    @endpoint
    @staticmethod
    def bytes(
        *,
        model_id: str,
        transcript: str,
        voice: VoiceLike,
        output_format: OutputFormatLike,
        language: str | None = None,
        locale: str | None = None,
        normalization: str | None = None,
        generation_config: GenerationConfig | Mapping[str, object] | None = None,
        speed: Speed | None = None,
        duration: float | None = None,
        pronunciation_dict_id: str | None = None,
        save: bool | None = None,
        request_options: RequestOptions | None = None,
    ) -> Call[Audio]:
        """Speak a text, and answer with the whole audio.

        Args:
            transcript: sent as it is, never edited.
            voice: an id, `VoiceById`, `VoiceByEmbedding`, or a mapping as the API documents it.
            output_format: `RawFormat`, `WavFormat`, `Mp3Format`, or a mapping as the API documents it.
            language, locale: of the text; not both. `locale` from version 2026-08-14.
            normalization: ``auto``, ``off`` or a locale, from version 2026-08-14.
            generation_config: speed, volume and emotion, for sonic-3 and newer.
            speed: deprecated; ``slow``, ``normal`` or ``fast``.
            duration: at most so many seconds of audio, up to version 2025-04-16.
            save: keep the audio on the service; `Audio.file_id` then names it.

        Returns:
            An `Audio`: `.data` bytes, `.format`, `.duration` in seconds, `.wav()`.

        Raises:
            LocalProtocolError: an argument is malformed.
            ApiError: the server refused.
            TransportError: no usable answer came.
            The client stays usable after any of them.

        Source: protocol section 2.3 (``POST /tts/bytes``).
        """
        format = check_format(output_format)
        parameters = speech_parameters(
            voice,
            format,
            model_id=model_id,
            transcript=transcript,
            language=language,
            locale=locale,
            normalization=normalization,
            generation_config=generation_config,
            speed=speed,
            duration=duration,
            pronunciation_dict_id=pronunciation_dict_id,
            save=save,
        )
        return Call(BYTES, parameters, freeze_options(request_options), parse=AudioReader(format))
