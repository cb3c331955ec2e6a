"""The Cartesia voice API on asyncio.

    async with cartesia_asyncio.AsyncCartesia() as client:
        audio = await client.tts.bytes(…)

This package connects, reads, writes and sleeps. What is asked, retried and decoded, and what it means, is in
`cartesia_proto`.
"""

from typing import TYPE_CHECKING

from cartesia_asyncio.client import AsyncCartesia
from cartesia_asyncio.pages import Walk
from cartesia_proto.clients import PageList
from cartesia_proto.names import on_demand

if TYPE_CHECKING:
    from cartesia_asyncio.connection import Connect
    from cartesia_asyncio.stream import BodyStream
else:
    __getattr__, __dir__ = on_demand(
        globals(), BodyStream="cartesia_asyncio.stream", Connect="cartesia_asyncio.connection"
    )

__all__ = ["AsyncCartesia", "BodyStream", "Connect", "PageList", "Walk"]
