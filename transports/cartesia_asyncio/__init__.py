"""The Cartesia voice API on asyncio.

    async with cartesia_asyncio.AsyncCartesia() as client:
        audio = await client.tts.bytes(…)

This package connects, reads, writes and sleeps. What is asked, retried and decoded, and what it means, is in
`cartesia_proto`.
"""

from cartesia_asyncio.client import AsyncCartesia as AsyncCartesia
from cartesia_asyncio.connection import Connect as Connect
from cartesia_asyncio.pages import PageList as PageList
from cartesia_asyncio.pages import Walk as Walk
from cartesia_asyncio.stream import BodyStream as BodyStream

__all__ = ["AsyncCartesia", "BodyStream", "Connect", "PageList", "Walk"]
