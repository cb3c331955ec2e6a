"""Exact types on the three clients that come with the library.

Read by mypy and pyright, never run. What holds for every client stands in `api`; here is what the clients add to it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Never, assert_type

import cartesia_asyncio
import cartesia_trio
import cartesia_urllib
from cartesia_proto import (
    TTS,
    Api,
    AsyncStream,
    Audio,
    Awaiting,
    Blocking,
    Call,
    Embedding,
    JsonValue,
    Pages,
    RawFormat,
    SpeechEvent,
    Status,
    Stream,
    Voice,
    VoiceMetadata,
    Voices,
)

RAW = RawFormat("pcm_s16le", 44100)


def on_urllib() -> None:
    """The blocking client."""
    with cartesia_urllib.Cartesia(api_key="k", version="2024-11-13", timeout=20.0, max_retries=0) as client:
        assert_type(client, cartesia_urllib.Cartesia)
        assert_type(client.voices, Voices[Blocking])
        assert_type(client.voices.get("v"), Voice)
        assert_type(client.voices.list(), Pages[Voice])
        assert_type(client.voices.clone(filepath="a.wav"), Embedding)
        assert_type(client.voices.clone(clip=b"", name="n"), VoiceMetadata)
        assert_type(client.tts.bytes(model_id="m", transcript="t", voice="v", output_format=RAW), Audio)
        assert_type(client.tts.stream(model_id="m", transcript="t", voice="v", output_format=RAW), Stream[bytes])
        assert_type(client.tts.sse(model_id="m", transcript="t", voice="v", output_format=RAW), Stream[SpeechEvent])
        assert_type(client.status(), Status)
        assert_type(client.call(Voices.get("v")), Voice)
        assert_type(client.call(Voices.list()), Pages[Voice])
        assert_type(client.call(Call.json("GET", "/x")), JsonValue)
        assert_type(client.with_options(max_retries=5).voices.get("v"), Voice)
        assert_type(any_blocking(client), str)


async def on_asyncio() -> None:
    """The asyncio client, with what asyncio does with coroutines."""
    async with cartesia_asyncio.AsyncCartesia(token="t", base_url="http://localhost") as client:
        assert_type(client, cartesia_asyncio.AsyncCartesia)
        assert_type(client.voices, Voices[Awaiting])
        assert_type(await assert_type(client.voices.get("v"), Coroutine[object, Never, Voice]), Voice)
        assert_type([voice async for voice in client.voices.list()], list[Voice])
        assert_type(await client.voices.clone(filepath="a.wav"), Embedding)
        assert_type(await client.voices.clone(clip=b"", name="n"), VoiceMetadata)
        assert_type(client.tts.stream(model_id="m", transcript="t", voice="v", output_format=RAW), AsyncStream[bytes])
        assert_type(await client.status(), Status)
        assert_type(await client.call(Voices.get("v")), Voice)
        assert_type(await client.with_options(timeout=5.0).voices.get("v"), Voice)
        assert_type(await any_awaiting(client), str)
        await assert_type(asyncio.create_task(client.voices.get("v")), asyncio.Task[Voice])
        both = await asyncio.gather(client.voices.get("v"), client.status())
        assert_type(both, tuple[Voice, Status])
        async with asyncio.TaskGroup() as group:
            await assert_type(group.create_task(client.status()), asyncio.Task[Status])


async def on_trio() -> None:
    """The trio client."""
    async with cartesia_trio.AsyncCartesia(api_key="k", headers={"X-A": "1"}) as client:
        assert_type(client, cartesia_trio.AsyncCartesia)
        assert_type(client.voices, Voices[Awaiting])
        assert_type(await assert_type(client.voices.get("v"), Coroutine[object, Never, Voice]), Voice)
        assert_type([voice async for voice in client.voices.list()], list[Voice])
        assert_type(await client.voices.clone(filepath="a.wav"), Embedding)
        assert_type(await client.voices.clone(clip=b"", name="n"), VoiceMetadata)
        assert_type(client.tts.stream(model_id="m", transcript="t", voice="v", output_format=RAW), AsyncStream[bytes])
        assert_type(await client.status(), Status)
        assert_type(await client.call(Voices.get("v")), Voice)
        assert_type(await client.with_options(timeout=5.0).voices.get("v"), Voice)
        assert_type(await any_awaiting(client), str)


def any_blocking(api: Api[Blocking]) -> str:
    """Code that takes every blocking client."""
    assert_type(api.tts, TTS[Blocking])
    return api.voices.get("v").name


async def any_awaiting(api: Api[Awaiting]) -> str:
    """Code that takes every awaiting client."""
    return (await api.voices.get("v")).name
