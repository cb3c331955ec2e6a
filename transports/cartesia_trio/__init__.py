"""The Cartesia voice API on trio.

    async with cartesia_trio.AsyncCartesia() as client:
        audio = await client.tts.bytes(…)

This package connects, reads, writes and sleeps. What is asked, retried and decoded, and what it means, is in
`cartesia_proto`.
"""

from cartesia_trio.client import AsyncCartesia as AsyncCartesia
from cartesia_trio.connection import Connect as Connect
from cartesia_trio.pages import PageList as PageList
from cartesia_trio.pages import Walk as Walk
from cartesia_trio.stream import BodyStream as BodyStream

__all__ = ["AsyncCartesia", "BodyStream", "Connect", "PageList", "Walk"]
