"""Exact types of every endpoint: as a value, on a blocking client and on an awaiting one.

Read by mypy and pyright, never run. An expected error carries an ignore, which mypy reports when it is not needed.
"""

from collections.abc import Coroutine
from pathlib import Path
from typing import Never, assert_type

from cartesia_proto import (
    TTS,
    Accent,
    Api,
    AsyncPages,
    AsyncStream,
    Audio,
    Awaiting,
    Blocking,
    Call,
    Embedding,
    JsonValue,
    Page,
    PageCall,
    Pages,
    RawFormat,
    SpeechEvent,
    Status,
    Stream,
    StreamCall,
    Voice,
    VoiceMetadata,
    Voices,
)

RAW = RawFormat("pcm_s16le", 44100)


def values() -> None:
    """On the class: calls, without a client."""
    assert_type(Voices.get("v"), Call[Voice])
    assert_type(Voices.create("n", "d", [1.0]), Call[Voice])
    assert_type(Voices.update("v", name="n"), Call[Voice | None])
    assert_type(Voices.delete("v"), Call[None])
    assert_type(Voices.mix([{"id": "v", "weight": 1.0}]), Call[Embedding])
    assert_type(Voices.localize(voice_id="v", name="n"), Call[VoiceMetadata])
    assert_type(Voices.list_accents(), Call[tuple[Accent, ...]])
    assert_type(Voices.add_accents("v", accents=["a"]), Call[Voice | None])
    assert_type(Voices.delete_accent("a", id="v"), Call[Voice | None])
    assert_type(Voices.list(limit=5), PageCall[Voice])
    assert_type(Voices.list().page(), Call[Page[Voice]])
    assert_type(Voices.clone(filepath="a.wav"), Call[Embedding])
    assert_type(Voices.clone(filepath=Path("a.wav"), enhance=False), Call[Embedding])
    assert_type(Voices.clone(clip=b"", name="n"), Call[VoiceMetadata])
    assert_type(TTS.bytes(model_id="m", transcript="t", voice="v", output_format=RAW), Call[Audio])
    assert_type(TTS.stream(model_id="m", transcript="t", voice="v", output_format=RAW), StreamCall[bytes])
    assert_type(TTS.sse(model_id="m", transcript="t", voice="v", output_format=RAW), StreamCall[SpeechEvent])
    assert_type(
        TTS.infill(model_id="m", language="en", transcript="t", voice_id="v", output_format=RAW, left_audio=b""),
        Call[Audio],
    )
    assert_type(Api.status(), Call[Status])
    assert_type(Call.json("GET", "/x"), Call[JsonValue])


def blocking(voices: Voices[Blocking], tts: TTS[Blocking], api: Api[Blocking]) -> None:
    """On a blocking client: values, streams and pages."""
    assert_type(voices.get("v"), Voice)
    assert_type(voices.get("v").name, str)
    assert_type(voices.create("n", "d", [1.0]), Voice)
    assert_type(voices.update("v"), Voice | None)
    assert_type(voices.delete("v"), None)
    assert_type(voices.mix([]), Embedding)
    assert_type(voices.localize(voice_id="v", name="n"), VoiceMetadata)
    assert_type(voices.list_accents(), tuple[Accent, ...])
    assert_type(voices.add_accents("v", accents=[]), Voice | None)
    assert_type(voices.delete_accent("a", id="v"), Voice | None)
    assert_type(voices.list(), Pages[Voice])
    assert_type([voice.id for voice in voices.list()], list[str])
    assert_type(voices.list().items, tuple[Voice, ...])
    assert_type(voices.list().next, PageCall[Voice] | None)
    assert_type(voices.clone(filepath="a.wav"), Embedding)
    assert_type(voices.clone(clip=Path("a.wav"), name="n"), VoiceMetadata)
    assert_type(tts.bytes(model_id="m", transcript="t", voice="v", output_format=RAW), Audio)
    stream = tts.stream(model_id="m", transcript="t", voice="v", output_format=RAW)
    assert_type(stream, Stream[bytes])
    with stream as entered:
        assert_type(entered, Stream[bytes])
        assert_type(next(entered), bytes)
    for event in tts.sse(model_id="m", transcript="t", voice="v", output_format=RAW):
        assert_type(event, SpeechEvent)
        assert_type(event.audio, bytes)
    assert_type(tts.infill(model_id="m", language="en", transcript="t", voice_id="v", output_format=RAW), Audio)
    assert_type(api.status(), Status)
    assert_type(api.voices, Voices[Blocking])
    assert_type(api.voices.get("v"), Voice)
    assert_type(api.runner.call(Voices.get("v")), Voice)
    assert_type(api.runner.call(Voices.list()), Pages[Voice])
    assert_type(api.runner.call(TTS.stream(model_id="m", transcript="t", voice="v", output_format=RAW)), Stream[bytes])
    assert_type(api.runner.call(Call.json("GET", "/x")), JsonValue)


async def awaiting(voices: Voices[Awaiting], tts: TTS[Awaiting], api: Api[Awaiting]) -> None:
    """On an awaiting client: coroutines, streams, and lists not yet fetched."""
    assert_type(await voices.get("v"), Voice)
    assert_type(await voices.create("n", "d", [1.0]), Voice)
    assert_type(await voices.update("v"), Voice | None)
    assert_type(await voices.mix([]), Embedding)
    assert_type(await voices.localize(voice_id="v", name="n"), VoiceMetadata)
    assert_type(await voices.list_accents(), tuple[Accent, ...])
    assert_type(await voices.add_accents("v", accents=[]), Voice | None)
    assert_type(await voices.delete_accent("a", id="v"), Voice | None)
    pages = voices.list()
    assert_type(await assert_type(pages, AsyncPages[Voice]), Page[Voice])
    async for voice in pages:
        assert_type(voice, Voice)
    assert_type(await voices.clone(filepath="a.wav"), Embedding)
    assert_type(await voices.clone(clip=Path("a.wav"), name="n"), VoiceMetadata)
    assert_type(await tts.bytes(model_id="m", transcript="t", voice="v", output_format=RAW), Audio)
    stream = tts.stream(model_id="m", transcript="t", voice="v", output_format=RAW)
    assert_type(stream, AsyncStream[bytes])
    async with stream as entered:
        assert_type(entered, AsyncStream[bytes])
        async for piece in entered:
            assert_type(piece, bytes)
    async for event in tts.sse(model_id="m", transcript="t", voice="v", output_format=RAW):
        assert_type(event, SpeechEvent)
    assert_type(await tts.infill(model_id="m", language="en", transcript="t", voice_id="v", output_format=RAW), Audio)
    assert_type(await api.status(), Status)
    assert_type(api.voices, Voices[Awaiting])
    assert_type(await api.voices.get("v"), Voice)
    assert_type(await api.runner.call(Voices.get("v")), Voice)
    assert_type(await assert_type(api.runner.call(Voices.list()), AsyncPages[Voice]), Page[Voice])
    assert_type(await api.runner.call(Call.json("GET", "/x")), JsonValue)


async def coroutines(voices: Voices[Awaiting]) -> None:
    """The one awaitable type that is exact in create_task, gather and trio alike."""
    assert_type(await assert_type(voices.get("v"), Coroutine[object, Never, Voice]), Voice)
    await assert_type(voices.delete("v"), Coroutine[object, Never, None])
    voices.get("v")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]  # a forgotten await is seen


def misuse(voices: Voices[Blocking], waiting: Voices[Awaiting], page: Page[Voice]) -> None:
    """What the checkers must refuse."""
    voices.get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # an argument is missing
    voices.get(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # an id is a string
    voices.get("v", exand=["embedding"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # a typo
    Voices.get("v", request_options={"timeout": 5})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # no such option
    voices.clone(filepath="a", name="n")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]  # the two forms do not mix
    voices.clone(clip="a", name="n")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]  # a string is no file
    for _ in page:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]  # one page is not the list
        pass
    for _ in waiting.list():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]  # it takes async for
        pass
