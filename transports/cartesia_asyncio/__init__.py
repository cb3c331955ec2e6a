"""The Cartesia voice API on asyncio.

    async with cartesia_asyncio.AsyncCartesia() as client:
        audio = await client.tts.bytes(…)

This package connects, reads, writes and sleeps. What is asked, retried and decoded, and what it means, is in
`cartesia_proto`.
"""

from cartesia_asyncio.client import AsyncCartesia

__all__ = ["AsyncCartesia"]
