"""The older official SDK's README runs here: only imports, the version and what was never valid are different.

Each test is one example of it (protocol section 11). `version="2024-06-10"` is the version that README was written for;
values it had for illustration alone (``model_id="string"``, ``output_format={}``, a speed out of range) became valid
ones; `httpx_client=` became `proxy=` and `local_address=`. Its WebSocket example comes with the WebSocket half.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest
import trio
from attrs import frozen

from cartesia_asyncio import AsyncCartesia as AsyncioCartesia
from cartesia_proto import ApiError, AudioChunk, ConnectError, Embedding, Voice
from cartesia_standin import StandIn, Status
from cartesia_trio import AsyncCartesia as TrioCartesia
from cartesia_urllib import Cartesia

VOICE_ID = "a0e99841-438c-4a64-b679-ae501e7d6091"
OTHER_ID = "694f9389-aac1-45b6-b726-9d9369183238"


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The service those examples talk to, found through the environment."""
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with StandIn() as running:
        monkeypatch.setenv("CARTESIA_BASE_URL", running.base_url)
        monkeypatch.setenv("CARTESIA_API_KEY", running.api_key)
        yield running


@pytest.fixture
def client(standin: StandIn) -> Iterator[Cartesia]:
    """The client those examples begin with."""
    assert standin.base_url
    with Cartesia(api_key=os.environ.get("CARTESIA_API_KEY"), version="2024-06-10") as client:
        yield client


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """A recording to clone from."""
    path = tmp_path / "voice.wav"
    path.write_bytes(b"RIFF" + bytes(100))
    return str(path)


def test_list_voices(client: Cartesia) -> None:
    """``voices = client.voices.list()``: all of them, with embeddings."""
    voices = client.voices.list()
    print(voices)
    assert VOICE_ID in [voice["id"] for voice in voices]
    assert all(voice.embedding is not None and len(voice.embedding) == 192 for voice in voices)


def test_get_a_voice(client: Cartesia) -> None:
    """A voice is read by key, and elsewhere in that README by attribute."""
    voice = client.voices.get(id=VOICE_ID)
    print("The embedding for", voice["name"], "is", voice["embedding"])
    assert voice["name"] == voice.name != ""
    assert voice["embedding"] == voice.embedding
    assert isinstance(voice.embedding, tuple)
    assert len(voice.embedding) == 192


def test_clone_a_voice(client: Cartesia, recording: str) -> None:
    """``clone(filepath=…)`` answers the embedding itself, which makes a voice."""
    cloned_voice_embedding = client.voices.clone(filepath=recording)
    new_voice = client.voices.create(
        name="New Voice", description="A clone of my own voice", embedding=cloned_voice_embedding
    )
    assert isinstance(cloned_voice_embedding, Embedding)
    assert new_voice["name"] == "New Voice"
    assert client.voices.get(id=new_voice.id).embedding == cloned_voice_embedding.embedding


def test_mix_voices(client: Cartesia, recording: str) -> None:
    """``mix([…])`` takes ids and embeddings with weights, positionally, and answers the embedding itself."""
    cloned_voice_embedding = client.voices.clone(filepath=recording)
    mixed_voice_embedding = client.voices.mix(
        [
            {"id": VOICE_ID, "weight": 0.5},
            {"id": OTHER_ID, "weight": 0.25},
            {"embedding": cloned_voice_embedding, "weight": 0.25},
        ]
    )
    new_voice = client.voices.create(
        name="Mixed Voice", description="A mix of three voices", embedding=mixed_voice_embedding
    )
    assert isinstance(new_voice, Voice)
    assert len(mixed_voice_embedding) == len(mixed_voice_embedding.embedding) == 192


def test_text_to_speech(client: Cartesia) -> None:
    """``tts.bytes`` with a voice that has an id and no mode."""
    audio = client.tts.bytes(
        model_id="sonic-english",
        transcript="Hello, world!",
        voice={"id": VOICE_ID},
        language="en",
        output_format={"container": "raw", "sample_rate": 44100, "encoding": "pcm_f32le"},
    )
    assert audio.duration is not None
    assert len(bytes(audio)) == round(audio.duration * 44100) * 4 > 0


@frozen
class Runtime:
    """An event loop, its client, and how to run on it."""

    client: Callable[..., AsyncioCartesia | TrioCartesia]
    run: Callable[[Callable[[], Coroutine[object, object, None]]], None]


def run_asyncio(main: Callable[[], Coroutine[object, object, None]]) -> None:
    """``asyncio.run(main())``."""

    async def call() -> None:
        await main()

    asyncio.run(call())


RUNTIMES = {"asyncio": Runtime(AsyncioCartesia, run_asyncio), "trio": Runtime(TrioCartesia, trio.run)}


@pytest.mark.usefixtures("standin")
@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=RUNTIMES)
def test_the_async_twin(runtime: Runtime) -> None:
    """``await client.tts.bytes(…)``, which the SDK of that README never could."""
    sizes: list[int] = []

    async def main() -> None:
        async with runtime.client(api_key=os.environ.get("CARTESIA_API_KEY"), version="2024-06-10") as client:
            audio = await client.tts.bytes(
                model_id="sonic-english",
                transcript="Hello, world!",
                voice={"id": VOICE_ID},
                language="en",
                output_format={"container": "raw", "sample_rate": 44100, "encoding": "pcm_f32le"},
            )
            sizes.append(len(audio))

    runtime.run(main)
    assert sizes[0] > 0


def test_errors(client: Cartesia) -> None:
    """``except ApiError as e``, with `.status_code` and `.body`."""
    refused: ApiError | None = None
    try:
        client.tts.bytes(
            model_id="sonic-english",
            transcript="Hello, world!",
            voice={"id": "no such voice"},
            language="en",
            output_format={"container": "raw", "sample_rate": 44100, "encoding": "pcm_f32le"},
        )
    except ApiError as e:
        print(e.status_code)
        print(e.body)
        refused = e
    assert refused is not None
    assert refused.status_code in (400, 404)
    assert isinstance(refused.body, str)  # plain text in that version
    assert refused.body


def test_streaming(client: Cartesia) -> None:
    """``for chunk in client.tts.sse(…)``, with experimental controls in the spelling of that README."""
    response = client.tts.sse(
        model_id="sonic-english",
        transcript="Hello, world!",
        voice={"id": VOICE_ID, "experimental_controls": {"speed": 1.0, "emotion": "anger:lowest"}},
        language="en",
        output_format={"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100},
        duration=1.1,
    )
    chunks = list(response)
    assert chunks
    assert all(isinstance(chunk, AudioChunk) and chunk.audio for chunk in chunks)
    assert sum(len(chunk.audio) for chunk in chunks) <= 1.1 * 44100 * 4


@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=RUNTIMES)
def test_streaming_asynchronously(runtime: Runtime, standin: StandIn) -> None:
    """``async for chunk in client.tts.sse(…)``."""
    chunks: list[bytes] = []

    async def main() -> None:
        async with runtime.client(version="2024-06-10") as client:
            async with client.tts.sse(
                model_id="sonic-english",
                transcript="Hello, world!",
                voice={"id": VOICE_ID, "experimental_controls": {"speed": 1.0, "emotion": "anger:lowest"}},
                language="en",
                output_format={"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100},
                duration=1.1,
            ) as response:
                async for chunk in response:
                    chunks.append(chunk.audio)  # noqa: PERF401 - as that README has it

    runtime.run(main)
    assert all(chunks)
    assert len(standin.requests) == 1


def test_retries(client: Cartesia, standin: StandIn) -> None:
    """``request_options={"max_retries": 1}``: one more attempt, and no third."""
    standin.script(Status(500, {"retry-after-ms": "1"}), Status(500, {"retry-after-ms": "1"}))
    with pytest.raises(ApiError):
        client.voices.list(request_options={"max_retries": 1})
    assert len(standin.requests) == 2


def test_timeouts(standin: StandIn) -> None:
    """``timeout=20.0`` on the client and ``request_options={"timeout_in_seconds": 1}`` on a call."""
    with Cartesia(timeout=20.0, version="2024-06-10") as client:
        audio = client.tts.bytes(
            model_id="sonic-english",
            transcript="Hello, world!",
            voice={"id": VOICE_ID},
            language="en",
            output_format={"container": "raw", "sample_rate": 44100, "encoding": "pcm_f32le"},
            request_options={"timeout_in_seconds": 1},
        )
    assert audio.data
    assert len(standin.requests) == 1


def test_local_address_in_place_of_a_custom_client(standin: StandIn) -> None:
    """``httpx.HTTPTransport(local_address="0.0.0.0")`` is `local_address=`."""
    with Cartesia(local_address="0.0.0.0", version="2024-06-10") as client:  # noqa: S104 - as that README has it
        assert list(client.voices.list())
    assert standin.connections == 1


def test_proxy_in_place_of_a_custom_client(standin: StandIn) -> None:
    """``httpx.Client(proxies=…)`` is `proxy=`: nothing goes past it, even where it is not to be reached."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Cartesia(proxy=f"http://127.0.0.1:{port}", max_retries=0, version="2024-06-10") as client:
        with pytest.raises(ConnectError):
            client.voices.list()
    assert standin.connections == 0
