"""A client of another runtime, as the type checkers see it: what has to be written, and that it fits.

Read by mypy and pyright, never run. `framework` is code that works on every awaiting client without knowing which.
"""

from collections.abc import Coroutine
from typing import Never, TypeVar, assert_type

from cartesia_proto import (
    TTS,
    Api,
    AsyncPages,
    AsyncStream,
    Awaiting,
    Call,
    PageCall,
    Plan,
    RawFormat,
    StreamCall,
    Voice,
)

T = TypeVar("T")
E = TypeVar("E")
A = TypeVar("A")


class Client(Api[Awaiting]):
    """The whole of what an awaiting client declares."""

    @property
    def runner(self) -> Awaiting:
        """Itself."""
        return self

    def call(self, plan: Plan[object, A]) -> A:
        """Run any call."""
        return plan.run_awaiting(self)

    def run_call(self, call: Call[T]) -> Coroutine[object, Never, T]:
        """Make one request."""
        raise NotImplementedError

    def run_stream(self, call: StreamCall[E]) -> AsyncStream[E]:
        """A stream."""
        raise NotImplementedError

    def run_pages(self, call: PageCall[T]) -> AsyncPages[T]:
        """A list."""
        raise NotImplementedError


async def framework(api: Api[Awaiting]) -> list[str]:
    """Exact on every runtime."""
    first = await api.voices.list()
    speech = api.tts.stream(
        model_id="m", transcript="t", voice=first.items[0].id, output_format=RawFormat("pcm_s16le", 8000)
    )
    async with speech as pieces:
        assert_type([piece async for piece in pieces], list[bytes])
    return [voice.name async for voice in api.voices.list()]


async def user(client: Client) -> None:
    """A client of one's own is one like any other."""
    assert_type(client.tts, TTS[Awaiting])
    assert_type(await client.voices.get("v"), Voice)
    assert_type(await framework(client), list[str])
