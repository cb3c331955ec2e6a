"""Text to speech over HTTP: what is asked under each version, and what the answers become."""

import copy
import inspect
import pickle
import pydoc
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pytest

from cartesia_proto.api.tts import TTS, AudioReader, OutputFormatLike, check_format
from cartesia_proto.audio.audio import Audio
from cartesia_proto.audio.formats import Mp3Format, RawFormat, WavFormat
from cartesia_proto.call import Blocking, Call, Plan, StreamCall
from cartesia_proto.codecs.events import AudioChunk, SpeechEvent, UnknownEvent, WordTimestamps
from cartesia_proto.config import Config, Limits
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import (
    ApiError,
    CartesiaError,
    IncompleteStream,
    JsonValue,
    LocalProtocolError,
    NotFoundError,
    RemoteProtocolError,
)
from cartesia_proto.flow import Decoder, Done
from cartesia_proto.http import (
    ContentPart,
    FilePart,
    Form,
    Headers,
    JsonBody,
    Part,
    Response,
    TextPart,
    UnsignedRequest,
)
from cartesia_proto.prepare import terms
from cartesia_proto.speech import ExperimentalControls, GenerationConfig
from cartesia_proto.testing import half, run

RAW = RawFormat("pcm_s16le", 8000)
WIRE_RAW: JsonValue = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
CONFIG = Config(credentials=ApiKey("k"), max_retries=0)

CALLS: list[Plan[object, object]] = [
    TTS.bytes(model_id="m", transcript="t", voice="v", output_format=RAW),
    TTS.stream(model_id="m", transcript="t", voice={"id": "v"}, output_format=WavFormat("pcm_f32le", 44100)),
    TTS.sse(model_id="m", transcript="t", voice="v", output_format=RAW, add_timestamps=True),
    TTS.infill(
        model_id="m",
        language="en",
        transcript="t",
        voice_id="v",
        output_format=RAW,
        left_audio=b"l",
        right_audio=Path("r.wav"),
    ),
]
BUILDERS: list[Callable[..., Plan[object, object]]] = [TTS.bytes, TTS.stream, TTS.sse, TTS.infill]


def rendered(call: Plan[object, object], version: str) -> UnsignedRequest:
    """The request of a call under a version."""
    return call.route.render(call.parameters, version)


@pytest.mark.parametrize("call", CALLS)
def test_calls_are_values(call: Plan[object, object]) -> None:
    """Comparable, hashable, and the same after a pickle or a copy."""
    for again in (pickle.loads(pickle.dumps(call)), copy.deepcopy(call)):
        assert again == call
        assert hash(again) == hash(call)
    assert len(set(CALLS)) == len(CALLS)


@pytest.mark.parametrize("builder", BUILDERS)
def test_builders_can_be_inspected(builder: Callable[..., Plan[object, object]]) -> None:
    """Hints resolve; a bound method has the same signature and help."""

    class Client:
        """A client that only has to exist."""

        call: object = None
        run_call: object = None
        run_stream: object = None

    bound = getattr(TTS[Blocking](Client()), builder.__name__)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # never called
    assert get_type_hints(builder)["return"] in (Call[Audio], StreamCall[bytes], get_type_hints(TTS.sse)["return"])
    assert inspect.signature(bound) == inspect.signature(builder)
    assert (
        pydoc.plain(pydoc.render_doc(bound)).splitlines()[2:] == pydoc.plain(pydoc.render_doc(builder)).splitlines()[2:]
    )


@pytest.mark.parametrize(
    "version", ["2024-06-10", "2024-11-13", "2025-04-16", "2025-11-04", "2026-03-01", "2026-08-14"]
)
@pytest.mark.parametrize(
    ("call", "path", "accept"),
    [
        (CALLS[0], "/tts/bytes", "audio/wav"),
        (CALLS[1], "/tts/bytes", "audio/wav"),
        (CALLS[2], "/tts/sse", "text/event-stream"),
    ],
)
def test_generation_requests(call: Plan[object, object], path: str, accept: str, version: str) -> None:
    """Path, Accept header, and the voice in the shape of the version; arguments not given are absent."""
    request = rendered(call, version)
    assert (request.method, request.path, request.query, request.accept) == ("POST", path, (), accept)
    assert isinstance(request.body, JsonBody)
    assert isinstance(request.body.value, dict)
    assert request.body.value["voice"] == ({"id": "v"} if version == "2026-08-14" else {"mode": "id", "id": "v"})
    assert request.body.value.keys() - {"add_timestamps"} == {"model_id", "transcript", "voice", "output_format"}


def test_every_parameter_of_bytes() -> None:
    """Each goes under its wire name, and the transcript as it is."""
    call = TTS.bytes(
        model_id="sonic-3",
        transcript='  Bonjour. <break time="1s"/>\n',
        voice="v",
        output_format={"container": "mp3", "sample_rate": 44100, "bit_rate": 128000},
        language="fr",
        locale="fr-FR",
        normalization="off",
        generation_config=GenerationConfig(speed=1.1, volume=0.9),
        speed="slow",
        duration=20,
        pronunciation_dict_id="p",
        save=True,
    )
    assert rendered(call, "2026-08-14").body == JsonBody(
        {
            "model_id": "sonic-3",
            "transcript": '  Bonjour. <break time="1s"/>\n',
            "voice": {"id": "v"},
            "output_format": {"container": "mp3", "sample_rate": 44100, "bit_rate": 128000},
            "language": "fr",
            "locale": "fr-FR",
            "normalization": "off",
            "generation_config": {"speed": 1.1, "volume": 0.9},
            "speed": "slow",
            "duration": 20,
            "pronunciation_dict_id": "p",
            "save": True,
        }
    )


def test_every_parameter_of_sse() -> None:
    """Each goes under its wire name; False is sent."""
    call = TTS.sse(
        model_id="m",
        transcript="t",
        voice={"embedding": [1.0], "experimental_controls": "anger:lowest"},
        output_format=RAW,
        language="en",
        locale="en-GB",
        normalization="auto",
        generation_config={"emotion": "calm"},
        speed="fast",
        duration=1.5,
        pronunciation_dict_id="p",
        add_timestamps=True,
        add_phoneme_timestamps=False,
        use_normalized_timestamps=True,
        context_id="c",
    )
    assert rendered(call, "2024-11-13").body == JsonBody(
        {
            "model_id": "m",
            "transcript": "t",
            "voice": {
                "mode": "embedding",
                "embedding": [1.0],
                "__experimental_controls": {"emotion": ["anger:lowest"]},
            },
            "output_format": WIRE_RAW,
            "language": "en",
            "locale": "en-GB",
            "normalization": "auto",
            "generation_config": {"emotion": "calm"},
            "speed": "fast",
            "duration": 1.5,
            "pronunciation_dict_id": "p",
            "add_timestamps": True,
            "add_phoneme_timestamps": False,
            "use_normalized_timestamps": True,
            "context_id": "c",
        }
    )


def test_stream_asks_what_bytes_asks() -> None:
    """The same request, answered piece by piece."""
    whole = TTS.bytes(model_id="m", transcript="t", voice="v", output_format=RAW, language="en", save=False)
    pieces = TTS.stream(model_id="m", transcript="t", voice="v", output_format=RAW, language="en", save=False)
    assert (pieces.route, pieces.parameters) == (whole.route, whole.parameters)


FORMATS: list[tuple[OutputFormatLike, object]] = [
    (RAW, RAW),
    (WavFormat("pcm_f32le", 44100), WavFormat("pcm_f32le", 44100)),
    (Mp3Format(44100, 128000), Mp3Format(44100, 128000)),
    ({"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}, RAW),
]


@pytest.mark.parametrize(("given", "format"), FORMATS)
def test_formats(given: OutputFormatLike, format: object) -> None:
    """A value of ours, or a mapping as the API documents it."""
    assert check_format(given) == format


def test_no_format() -> None:
    """Anything else is refused by name."""
    with pytest.raises(LocalProtocolError, match="output_format lacks the field 'container'"):
        check_format({})
    with pytest.raises(LocalProtocolError, match="output_format must be a format or a mapping, not str"):
        check_format("wav")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the mistake under test


INFILL_PARTS: tuple[Part, ...] = (
    TextPart("model_id", "m"),
    TextPart("language", "en"),
    TextPart("transcript", "t"),
    TextPart("voice_id", "v"),
    TextPart("output_format[container]", "raw"),
    TextPart("output_format[encoding]", "pcm_s16le"),
    TextPart("output_format[sample_rate]", "8000"),
)


def test_infill() -> None:
    """Bracketed fields first, then the recordings; a path stays a path."""
    request = rendered(CALLS[3], "2026-08-14")
    assert (request.method, request.path, request.accept) == ("POST", "/infill/bytes", "audio/wav")
    recordings = (ContentPart("left_audio", b"l"), FilePart("right_audio", "r.wav"))
    assert request.body == Form((*INFILL_PARTS, *recordings))


@pytest.mark.parametrize(
    "controls",
    [ExperimentalControls(speed="fast", emotion="anger"), {"speed": "fast", "emotion": ["anger"]}],
)
def test_infill_with_controls(controls: ExperimentalControls | dict[str, object]) -> None:
    """Experimental controls stand in the brackets of the voice; one recording is enough."""
    call = TTS.infill(
        model_id="m",
        language="en",
        transcript="t",
        voice_id="v",
        output_format=RAW,
        right_audio=("r.wav", b"r", "audio/wav"),
        experimental_controls=controls,
    )
    assert rendered(call, "2024-11-13").body == Form(
        (
            *INFILL_PARTS,
            TextPart("voice[__experimental_controls][speed]", "fast"),
            TextPart("voice[__experimental_controls][emotion][]", "anger"),
            ContentPart("right_audio", b"r", "r.wav", "audio/wav"),
        )
    )


def test_infill_of_an_mp3() -> None:
    """An mp3 has a bit rate and no encoding."""
    call = TTS.infill(
        model_id="m",
        language="en",
        transcript="t",
        voice_id="v",
        output_format=Mp3Format(44100, 64000),
        left_audio=b"l",
        experimental_controls="anger",
    )
    body = rendered(call, "2026-08-14").body
    assert isinstance(body, Form)
    assert TextPart("output_format[bit_rate]", "64000") in body.parts
    assert "output_format[encoding]" not in {part.name for part in body.parts}
    assert TextPart("voice[__experimental_controls][emotion][]", "anger") in body.parts


def test_infill_without_a_recording() -> None:
    """There must be a gap to fill."""
    with pytest.raises(LocalProtocolError, match="left_audio, right_audio or both"):
        TTS.infill(model_id="m", language="en", transcript="t", voice_id="v", output_format=RAW)


def test_later_changes_do_not_reach_a_call() -> None:
    """A voice, a format and a recording mean what they meant when the call was made."""
    voice: dict[str, object] = {"id": "v"}
    format: dict[str, object] = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
    recording = bytearray(b"l")
    speech = TTS.bytes(model_id="m", transcript="t", voice=voice, output_format=format)
    infill = TTS.infill(
        model_id="m", language="en", transcript="t", voice_id="v", output_format=format, left_audio=recording
    )
    voice["id"] = "other"
    format["sample_rate"] = 44100
    recording[:] = b"x"
    assert speech == TTS.bytes(model_id="m", transcript="t", voice={"id": "v"}, output_format=RAW)
    assert rendered(infill, "").body == Form((*INFILL_PARTS, ContentPart("left_audio", b"l")))


@pytest.mark.parametrize("voice", [{"id": "a", "embedding": [1.0]}, {}, ""])
def test_malformed_voices_are_refused_when_the_call_is_made(voice: dict[str, object] | str) -> None:
    """Not when it is sent."""
    for build in (TTS.bytes, TTS.stream, TTS.sse):
        with pytest.raises(LocalProtocolError, match="voice names"):
            build(model_id="m", transcript="t", voice=voice, output_format=RAW)


def answer(call: Call[Audio], response: Response) -> Audio:
    """The value of a call for one response."""
    return run(call.operation(CONFIG, half), [response]).value


def speech() -> Call[Audio]:
    """Some whole speech."""
    return TTS.bytes(model_id="m", transcript="t", voice="v", output_format=RAW)


def test_whole_audio() -> None:
    """Bytes, format, duration and the saved file's id."""
    headers = Headers.received([("Content-Type", "audio/wav"), ("Cartesia-File-ID", "f-1")])
    audio = answer(speech(), Response(200, headers, bytes(16000)))
    assert audio == Audio(bytes(16000), RAW, file_id="f-1")
    assert audio.duration == 1.0
    assert speech().parse == AudioReader(RAW)


@pytest.mark.parametrize("media_type", ["text/html", "application/json; charset=utf-8"])
def test_a_page_is_no_audio(media_type: str) -> None:
    """A success with a text in it is a violation, whole or streamed."""
    response = Response(200, Headers([("Content-Type", media_type)]), b"<html>")
    with pytest.raises(RemoteProtocolError, match="expected audio"):
        answer(speech(), response)
    operation = TTS.stream(model_id="m", transcript="t", voice="v", output_format=RAW).operation(CONFIG, half)
    operation.start()
    with pytest.raises(RemoteProtocolError, match="expected audio"):
        operation.resume(response)


def test_the_audio_may_be_larger_than_json() -> None:
    """Audio has a limit of its own; so has infill's."""
    config = Config(credentials=ApiKey("k"), limits=Limits(json=1, audio=2))
    assert [terms(call.route, call.options, config, half).success_limit for call in CALLS] == [2, 2, 1, 2]


def test_pieces() -> None:
    """A stream of whole samples."""
    operation = TTS.stream(model_id="m", transcript="t", voice="v", output_format=RAW).operation(CONFIG, half)
    operation.start()
    step = operation.resume(Response(200))
    assert isinstance(step, Done)
    assert step.value.receive_data(b"abc") == [b"ab"]
    assert step.value.receive_data(b"d") == [b"cd"]
    assert step.value.receive_eof() == []


CHUNK = b'data: {"type":"chunk","data":"YWJj","done":false,"status_code":206,"step_time":4,"context_id":"c"}\n\n'
WORDS = b'data: {"type":"timestamps","word_timestamps":{"words":["a"],"start":[0],"end":[1]},"done":false}\n\n'
TOMORROW = b'data: {"type":"tomorrow","x":1}\n\n'
DONE = b'data: {"type":"done","done":true,"status_code":200}\n\n'
BARE_DONE = b'data: {"done":true}\n\n'
ERROR = b'event: error\ndata: {"type":"error","done":true,"status_code":404,"title":"No","message":"voice"}\n\n'
LEGACY_ERROR = b'data: {"error":"No: voice","status_code":404,"done":true}\n\n'


def events(version: str, head: Response | None = None) -> Decoder[SpeechEvent]:
    """The decoder of an event stream under a version."""
    call = TTS.sse(model_id="m", transcript="t", voice="v", output_format=RAW, request_options={"version": version})
    operation = call.operation(CONFIG, half)
    operation.start()
    step = operation.resume(head or Response(200, Headers([("Content-Type", "text/event-stream; charset=utf-8")])))
    assert isinstance(step, Done)
    return step.value


@pytest.mark.parametrize("version", ["2024-06-10", "2026-08-14"])
@pytest.mark.parametrize("end", [DONE, BARE_DONE])
def test_events(version: str, end: bytes) -> None:
    """Chunks in whole samples, timestamps, events of tomorrow; then the end, which is no event."""
    decoder = events(version)
    got = decoder.receive_data(CHUNK + WORDS + TOMORROW + CHUNK)
    assert [type(event) for event in got] == [AudioChunk, WordTimestamps, UnknownEvent, AudioChunk]
    assert [event.audio for event in got if isinstance(event, AudioChunk)] == [b"ab", b"cabc"]
    assert not decoder.finished
    assert decoder.receive_data(end + b"what follows is of no interest") == []
    assert decoder.finished
    assert decoder.receive_data(b"") == decoder.receive_eof() == []


@pytest.mark.parametrize("error", [ERROR, LEGACY_ERROR])
def test_error_event(error: bytes) -> None:
    """Everything before it is delivered; it is raised by the next call and every later one."""
    decoder = events("2026-08-14")
    assert len(decoder.receive_data(CHUNK + error + CHUNK)) == 1
    for _ in range(2):
        with pytest.raises(NotFoundError, match="No: voice") as caught:
            decoder.receive_data(b"")
        assert caught.value.status_code == 404
    with pytest.raises(ApiError):
        decoder.receive_eof()


@pytest.mark.parametrize("version", ["2025-04-16", "2026-08-14"])
def test_incomplete(version: str) -> None:
    """A stream that ends without its terminal event was cut."""
    for body in (b"", CHUNK, CHUNK + b"data: {"):
        decoder = events(version)
        decoder.receive_data(body)
        with pytest.raises(IncompleteStream):
            decoder.receive_eof()


@pytest.mark.parametrize("version", ["2024-06-10", "2024-11-13"])
def test_legacy_end(version: str) -> None:
    """Under the first versions the end of the body is the end, once a chunk has come."""
    decoder = events(version)
    assert len(decoder.receive_data(CHUNK)) == 1
    assert decoder.receive_eof() == []
    assert decoder.finished
    for body in (b"", WORDS, CHUNK + b"data: {"):
        cut = events(version)
        cut.receive_data(body)
        with pytest.raises(IncompleteStream):
            cut.receive_eof()


def test_the_limits_of_the_client_hold() -> None:
    """An event larger than the client allows is a violation."""
    config = Config(credentials=ApiKey("k"), limits=Limits(sse_line=20))
    operation = TTS.sse(model_id="m", transcript="t", voice="v", output_format=RAW).operation(config, half)
    operation.start()
    step = operation.resume(Response(200))
    assert isinstance(step, Done)
    step.value.receive_data(CHUNK)
    with pytest.raises(RemoteProtocolError, match="exceeds 20 bytes"):
        step.value.receive_data(b"")


def test_no_event_stream() -> None:
    """Another media type is refused at the head."""
    with pytest.raises(RemoteProtocolError, match="expected an event stream, but the server sent text/html"):
        events("2026-08-14", Response(200, Headers([("Content-Type", "text/HTML")])))


def test_refusals_come_before_the_stream() -> None:
    """A status other than 2xx is an ApiError, not a stream."""
    with pytest.raises(CartesiaError, match="no such voice") as caught:
        events("2026-08-14", Response(404, body=b"Not found: no such voice"))
    assert isinstance(caught.value, NotFoundError)
