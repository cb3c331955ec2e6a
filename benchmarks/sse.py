"""Bulk server-sent events: ``POST /tts/sse`` as fast as the client can take it, for each size of chunk.

    python -m benchmarks.sse

In clear and over TLS, beside the official SDK, httpx-sse, aiohttp read by hand, and the floor.
"""

from typing import Final

from benchmarks.measuring import SPEED, Contender, Results, Settings, compete, serving
from benchmarks.running import main
from benchmarks.websocket import (
    ASYNCIO,
    CLEAR,
    ENCRYPTED,
    FLOOR,
    OFFICIAL,
    OFFICIAL_ASYNCIO,
    TRIO,
    TRIO_BATCHES,
    URLLIB,
    bulk_plans,
)

NAME: Final = "sse"

HTTPX: Final = "httpx-sse + orjson + pybase64"
HTTPX_ASYNCIO: Final = "httpx-sse, asyncio + orjson + pybase64"
AIOHTTP: Final = "aiohttp + orjson + pybase64"

_HTTPX: Final = ("httpx", "httpx_sse")

CONTENDERS: Final = (
    Contender(URLLIB, "ours_blocking.sse", SPEED),
    Contender(ASYNCIO, "ours_asyncio.sse", SPEED),
    Contender(TRIO, "ours_trio.sse", (*SPEED, "trio")),
    Contender(TRIO_BATCHES, "ours_trio.sse_batches", (*SPEED, "trio")),
    Contender(OFFICIAL, "official_blocking.sse", ("cartesia",)),
    Contender(OFFICIAL_ASYNCIO, "official_asyncio.sse", ("cartesia",)),
    Contender(HTTPX, "handwritten.httpx_sse_speedy", (*_HTTPX, *SPEED)),
    Contender("httpx-sse + json + base64", "handwritten.httpx_sse_standard", _HTTPX),
    Contender(HTTPX_ASYNCIO, "handwritten.httpx_sse_asyncio_speedy", (*_HTTPX, *SPEED)),
    Contender(AIOHTTP, "handwritten.aiohttp_sse_speedy", ("aiohttp", *SPEED)),
    Contender("aiohttp + json + base64", "handwritten.aiohttp_sse_standard", ("aiohttp",)),
    Contender(FLOOR, "floor_sse.sse", SPEED),
)


def run(settings: Settings) -> Results:
    """In clear and over TLS."""
    with serving() as origins:
        return compete(NAME, {CLEAR: CONTENDERS, ENCRYPTED: CONTENDERS}, bulk_plans(settings), settings, origins)


if __name__ == "__main__":
    main(NAME, "Bulk server-sent events: CPU per message.", run)
