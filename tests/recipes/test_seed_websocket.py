"""The WebSocket example of the older official SDK's README (protocol section 11), playback aside.

As in `test_seed_readme`, only the import line and `version=` are different: ``version="2024-06-10"`` is what that
README was written for.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Final

import pytest
import trio

from cartesia_asyncio import AsyncCartesia as AsyncioCartesia
from cartesia_proto import Embedding
from cartesia_proto.audio.formats import RawFormat
from cartesia_standin import StandIn, spoken_audio
from cartesia_trio import AsyncCartesia as TrioCartesia
from cartesia_urllib import Cartesia

VOICE_ID: Final = "a0e99841-438c-4a64-b679-ae501e7d6091"
TRANSCRIPT: Final = "Hello, world! I'm generating audio on Cartesia!"


@pytest.fixture(autouse=True)
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The service, found through the environment."""
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with StandIn() as running:
        monkeypatch.setenv("CARTESIA_BASE_URL", running.base_url)
        monkeypatch.setenv("CARTESIA_API_KEY", running.api_key)
        yield running


def test_websocket(standin: StandIn) -> None:
    """A voice's embedding, a whole text, and each piece of audio as it comes."""
    played: list[bytes] = []

    client = Cartesia(api_key=os.environ.get("CARTESIA_API_KEY"), version="2024-06-10")
    voice_id = "a0e99841-438c-4a64-b679-ae501e7d6091"
    voice = client.voices.get(id=voice_id)
    transcript = "Hello, world! I'm generating audio on Cartesia!"
    model_id = "sonic-english"

    rate = 22050

    # Set up the websocket connection
    ws = client.tts.websocket()

    # Generate and stream audio using the websocket
    for output in ws.send(
        model_id=model_id,
        transcript=transcript,
        voice={"embedding": voice.embedding},
        stream=True,
        output_format={"container": "raw", "encoding": "pcm_f32le", "sample_rate": rate},
    ):
        buffer = output.audio
        played.append(buffer)

    ws.close()  # Close the websocket connection

    client.close()
    assert len(played) > 1
    assert all(played)
    assert b"".join(played) == spoken_audio(transcript, output_format=RawFormat("pcm_f32le", rate), voice_id=voice_id)
    assert standin.connections == 2  # one for requests, one for the WebSocket


def run_asyncio(main: Callable[[], Coroutine[object, object, None]]) -> None:
    """``asyncio.run(main())``."""

    async def call() -> None:
        await main()

    asyncio.run(call())


@pytest.mark.parametrize(
    ("client_type", "run"), [(AsyncioCartesia, run_asyncio), (TrioCartesia, trio.run)], ids=["asyncio", "trio"]
)
def test_websocket_asynchronously(
    client_type: type[AsyncioCartesia] | type[TrioCartesia],
    run: Callable[[Callable[[], Coroutine[object, object, None]]], None],
) -> None:
    """Its twin, whose `send` is iterated over and not awaited."""
    played: list[bytes] = []

    async def main() -> None:
        async with client_type(version="2024-06-10") as client:
            voice = await client.voices.get(id=VOICE_ID)
            assert voice.embedding is not None
            ws = client.tts.websocket()
            async for output in ws.send(
                model_id="sonic-english",
                transcript=TRANSCRIPT,
                voice={"embedding": voice.embedding},
                stream=True,
                output_format={"container": "raw", "encoding": "pcm_f32le", "sample_rate": 22050},
            ):
                played.append(output.audio)  # noqa: PERF401 - as that README has it
            await ws.aclose()

    run(main)
    assert all(played)
    expected = spoken_audio(TRANSCRIPT, output_format=RawFormat("pcm_f32le", 22050), voice_id=VOICE_ID)
    assert b"".join(played) == expected


def test_a_voice_that_was_mixed(standin: StandIn) -> None:
    """The embeddings that other examples of that README make are good here, too."""
    with Cartesia(version="2024-06-10") as client, client.tts.websocket() as ws:
        embedding = client.voices.mix([{"id": VOICE_ID, "weight": 1.0}])
        assert isinstance(embedding, Embedding)
        audio = ws.send(
            model_id="sonic-english",
            transcript="Hi.",
            voice={"embedding": embedding},
            stream=False,
            output_format={"container": "raw", "encoding": "pcm_f32le", "sample_rate": 22050},
        )
    assert audio.data
    assert standin.connections == 2
