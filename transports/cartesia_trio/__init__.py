"""The Cartesia voice API on trio.

    async with cartesia_trio.AsyncCartesia() as client:
        audio = await client.tts.bytes(…)

This package connects, reads, writes and sleeps. What is asked, retried and decoded, and what it means, is in
`cartesia_proto`.
"""

from typing import TYPE_CHECKING

from cartesia_proto.clients import PageList
from cartesia_proto.names import on_demand
from cartesia_trio.client import AsyncCartesia
from cartesia_trio.pages import Walk

if TYPE_CHECKING:
    from cartesia_trio.connection import Connect
    from cartesia_trio.stream import BodyStream
else:
    __getattr__, __dir__ = on_demand(globals(), BodyStream="cartesia_trio.stream", Connect="cartesia_trio.connection")

__all__ = ["AsyncCartesia", "BodyStream", "Connect", "PageList", "Walk"]
