"""The real endpoints against the stand-in: what programs do with the library, on every shell, under every version."""

from __future__ import annotations

import io
import ssl
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.api import Api
from cartesia_proto.api.tts import TTS
from cartesia_proto.api.voices import Voices
from cartesia_proto.call import Blocking
from cartesia_proto.codecs.events import WordTimestamps
from cartesia_proto.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    CartesiaError,
    IncompleteStream,
    LocalProtocolError,
    NotFoundError,
    RateLimitError,
    RemoteProtocolError,
    TimeoutError,
)
from cartesia_standin import (
    DEFAULT_VOICE_ID,
    CloseAfter,
    ContentType,
    CutAfter,
    FailMidway,
    Fault,
    Garbage,
    Stall,
    StandIn,
    Status,
    WithoutDone,
)
from tests.conftest import WAIT

if TYPE_CHECKING:
    from tests.transports.conftest import Net
    from tests.transports.scenarios.conftest import Client, Shell

CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)
"""For what TLS makes no difference to."""
VERSIONS = ("2024-06-10", "2024-11-13", "2025-04-16", "2025-11-04", "2026-03-01", "2026-08-14")
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}
WAV = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 16000}
MP3 = {"container": "mp3", "sample_rate": 44100, "bit_rate": 128000}
TEXT = "Hello, world!"
SPEAK = TTS.stream(model_id="sonic-3", transcript=TEXT, voice=DEFAULT_VOICE_ID, output_format=RAW)
EVENTS = TTS.sse(model_id="sonic-3", transcript=TEXT, voice=DEFAULT_VOICE_ID, output_format=RAW, add_timestamps=True)
WHOLE = TTS.bytes(model_id="sonic-3", transcript=TEXT, voice=DEFAULT_VOICE_ID, output_format=RAW)


@pytest.fixture
def standin(net: Net, server_context: ssl.SSLContext) -> Iterator[StandIn]:
    """A stand-in, in clear or over TLS."""
    with StandIn(ssl_context=server_context if net.secure else None) as standin:
        yield standin


def client_of(standin: StandIn, shell: Shell, version: str | None = None) -> Client:
    """A client of a stand-in."""
    return shell.client(base_url=standin.base_url, api_key=standin.api_key, version=version)


@CLEAR_ONLY
@pytest.mark.parametrize("version", VERSIONS)
def test_text_becomes_a_wav_file(standin: StandIn, shell: Shell, version: str) -> None:
    """Python's own `wave` opens it, though the server did not know its length when it began."""
    audio = client_of(standin, shell, version).call(
        TTS.bytes(model_id="sonic-3", transcript=TEXT, voice=DEFAULT_VOICE_ID, output_format=WAV)
    )
    with wave.open(io.BytesIO(audio.wav())) as file:
        assert file.getframerate() == 16000
        assert file.getnframes() / 16000 == pytest.approx(audio.duration)
        assert any(file.readframes(file.getnframes()))


def test_all_ways_to_ask_give_the_same_sound(standin: StandIn, shell: Shell) -> None:
    """Whole, piece by piece, and as events; on one connection."""
    client = client_of(standin, shell)
    audio = client.call(WHOLE)
    with client.stream(SPEAK) as pieces:
        assert b"".join(pieces) == audio.data
    with client.stream(EVENTS) as stream:
        events = list(stream)
    assert b"".join(event.audio for event in events) == audio.data
    assert [word for event in events if isinstance(event, WordTimestamps) for word in event.words] == TEXT.split()
    assert standin.connections == 1


@CLEAR_ONLY
@pytest.mark.parametrize("version", VERSIONS)
def test_events_under_every_version(standin: StandIn, shell: Shell, version: str) -> None:
    """Each version ends its streams in its own way."""
    with client_of(standin, shell, version).stream(EVENTS) as stream:
        assert sum(len(event.audio) for event in stream) > 1000


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"])
def test_raw_audio_becomes_a_wav_file(standin: StandIn, shell: Shell, encoding: str) -> None:
    """In every encoding; the duration is known."""
    audio = client_of(standin, shell).call(
        TTS.bytes(
            model_id="sonic-3", transcript=TEXT, voice=DEFAULT_VOICE_ID, output_format={**RAW, "encoding": encoding}
        )
    )
    assert audio.duration is not None
    assert audio.duration > 0.3
    assert audio.wav()[:4] == b"RIFF"


def test_mp3_is_an_honest_error(standin: StandIn, shell: Shell) -> None:
    """The stand-in has no mp3 and says so."""
    call = TTS.bytes(model_id="sonic-3", transcript=TEXT, voice=DEFAULT_VOICE_ID, output_format=MP3)
    with pytest.raises(ApiError, match="(?i)mp3"):
        client_of(standin, shell).call(call)


def test_infill(standin: StandIn, shell: Shell, tmp_path: Path) -> None:
    """A recording goes up as a path, another as bytes; what belongs between them comes down."""
    client = client_of(standin, shell)
    left = client.call(WHOLE).wav()
    (tmp_path / "left.wav").write_bytes(left)
    audio = client.call(
        TTS.infill(
            model_id="sonic-3",
            language="en",
            transcript="between",
            voice_id=DEFAULT_VOICE_ID,
            output_format=WAV,
            left_audio=tmp_path / "left.wav",
            right_audio=left,
        )
    )
    assert audio.wav()[:4] == b"RIFF"


def test_the_status_needs_no_key(standin: StandIn, shell: Shell) -> None:
    """Everything else does."""
    client = shell.client(base_url=standin.base_url, api_key=None)
    assert client.call(Api[Blocking].status()) is not None
    with pytest.raises(LocalProtocolError, match="credentials"):
        client.call(WHOLE)
    assert len(standin.requests) == 1


@CLEAR_ONLY
@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_key(net: Net, server_context: ssl.SSLContext, shell: Shell, version: str) -> None:
    """In the shape of every version, the same error."""
    with StandIn(key="sk_car_right", ssl_context=server_context if net.secure else None) as standin:
        client = shell.client(base_url=standin.base_url, api_key="sk_car_wrong", version=version)
        with pytest.raises(AuthenticationError) as caught:
            client.call(WHOLE)
        assert caught.value.message
        client.close()


@CLEAR_ONLY
@pytest.mark.parametrize("version", VERSIONS)
def test_mistakes_are_named(standin: StandIn, shell: Shell, version: str) -> None:
    """A model and a voice that do not exist."""
    client = client_of(standin, shell, version)
    with pytest.raises((BadRequestError, NotFoundError), match="nonsense"):
        client.call(TTS.bytes(model_id="nonsense", transcript=TEXT, voice=DEFAULT_VOICE_ID, output_format=RAW))
    with pytest.raises(NotFoundError):
        client.call(Voices.get("00000000-0000-4000-8000-000000000000"))


@CLEAR_ONLY
@pytest.mark.parametrize("version", VERSIONS)
def test_voices_are_walked(standin: StandIn, shell: Shell, version: str) -> None:
    """All of them, once each, however many pages they come in; one can be fetched by itself."""
    client = client_of(standin, shell, version)
    ids = [voice.id for voice in client.items(Voices.list(limit=None if version == "2024-06-10" else 7))]
    assert len(ids) == len(set(ids)) == 24
    voice = client.call(Voices.get(ids[3]))
    assert voice.id == ids[3]
    assert voice["name"] == voice.name != ""


def test_voices_are_made_and_unmade(standin: StandIn, shell: Shell, tmp_path: Path) -> None:
    """Clone from a file, change, speak with it, delete; then it is gone."""
    client = client_of(standin, shell)
    clip = tmp_path / "clip.wav"
    clip.write_bytes(client.call(WHOLE).wav())
    made = client.call(Voices.clone(clip=clip, name="Mine", language="en"))
    changed = client.call(Voices.update(made.id, name="Ours"))
    assert changed is not None
    assert changed.name == "Ours"
    assert client.call(TTS.bytes(model_id="sonic-3", transcript=TEXT, voice=made.id, output_format=RAW)).data
    client.call(Voices.delete(made.id))
    with pytest.raises(NotFoundError):
        client.call(Voices.get(made.id))


def test_embeddings(standin: StandIn, shell: Shell, tmp_path: Path) -> None:
    """Endpoints that exist only in old versions are asked under those, whatever the client's version."""
    client = client_of(standin, shell)
    clip = tmp_path / "clip.wav"
    clip.write_bytes(client.call(WHOLE).wav())
    cloned = client.call(Voices.clone(filepath=clip))
    mixed = client.call(
        Voices.mix([{"embedding": cloned.embedding, "weight": 0.5}, {"id": DEFAULT_VOICE_ID, "weight": 0.5}])
    )
    assert len(mixed) == len(cloned) == 192
    assert client.call(Voices.create("Mixed", "of two", mixed)).name == "Mixed"


def test_accents(standin: StandIn, shell: Shell) -> None:
    """Listed; a voice is localized to one."""
    client = client_of(standin, shell)
    accents = client.call(Voices.list_accents())
    assert "british" in [accent.id for accent in accents]
    localized = client.call(Voices.localize(voice_id=DEFAULT_VOICE_ID, name="Kate", accent="british"))
    assert client.call(Voices.get(localized.id)).name == "Kate"


@CLEAR_ONLY
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Status(429, {"Retry-After": "90"}), RateLimitError),
        (CutAfter(1000), IncompleteStream),
        (CutAfter(1000, declared=5000), IncompleteStream),
        (Stall(), TimeoutError),
        (Stall(100), TimeoutError),
        (Garbage(b"garbage\r\n\r\n"), RemoteProtocolError),
        (Garbage(), CartesiaError),
        (ContentType("text/html"), RemoteProtocolError),
        (FailMidway(1), CartesiaError),
    ],
    ids=["status", "cut", "short", "stall", "stall midway", "garbage", "nothing", "html", "midway"],
)
@pytest.mark.parametrize("how", ["whole", "pieces", "events"])
def test_faults(standin: StandIn, shell: Shell, fault: Fault, kind: type[CartesiaError], how: str) -> None:
    """Every way in which it goes wrong ends as what it is, however it was asked; the next call is fine."""
    client = client_of(standin, shell)
    hasty = client.with_options(timeout=WAIT, max_retries=0)
    if kind is TimeoutError:
        assert client.call(WHOLE).data  # so there is a connection, which is not waited for in haste
        hasty = hasty.with_options(timeout=0.3)
    standin.script(fault)
    with pytest.raises(kind):
        match how:
            case "whole":
                hasty.call(WHOLE)
            case "pieces":
                list(hasty.stream(SPEAK))
            case _:
                list(hasty.stream(EVENTS))
    assert client.call(WHOLE).data


def test_events_without_their_end(standin: StandIn, shell: Shell) -> None:
    """A missing `done` is a failure, but under the versions that had none it is the normal end."""
    standin.script(WithoutDone(), WithoutDone())
    with pytest.raises(IncompleteStream):
        list(client_of(standin, shell).stream(EVENTS))
    assert list(client_of(standin, shell, "2024-06-10").stream(EVENTS))


def test_a_busy_server_is_asked_again(standin: StandIn, shell: Shell) -> None:
    """429, then an answer; and a kept connection that the server closed in between."""
    client = client_of(standin, shell)
    standin.script(Status(429, {"Retry-After": "0"}), CloseAfter())
    assert client.call(WHOLE).data == client.call(WHOLE).data
    assert [request.connection for request in standin.requests] == [1, 1, 2]
