"""Bulk WebSocket: as many chunks as the client can take, on one connection, for each size of chunk.

    python -m benchmarks.websocket

In clear and over TLS; and, in clear, everything again without orjson and pybase64. Blocking, asyncio and trio of this
library, iterating and in batches, beside the official SDK, loops on aiohttp and websockets, and the floor.
"""

from typing import Final

from benchmarks.measuring import SPEED, Contender, Results, Settings, compete, serving
from benchmarks.plans import SIZES, Plan
from benchmarks.running import main

NAME: Final = "websocket"

CLEAR: Final = "clear"
ENCRYPTED: Final = "TLS"
WITHOUT_SPEED: Final = "without speed extra"

URLLIB: Final = "cartesia_urllib"
URLLIB_BATCHES: Final = "cartesia_urllib, batches"
ASYNCIO: Final = "cartesia_asyncio"
ASYNCIO_BATCHES: Final = "cartesia_asyncio, batches"
TRIO: Final = "cartesia_trio"
TRIO_BATCHES: Final = "cartesia_trio, batches"
OFFICIAL: Final = "official SDK, blocking"
OFFICIAL_ASYNCIO: Final = "official SDK, asyncio"
AIOHTTP: Final = "aiohttp + orjson + pybase64"
AIOHTTP_STANDARD: Final = "aiohttp + json + base64"
FLOOR: Final = "floor, blocking"
FLOOR_ASYNCIO: Final = "floor, asyncio"
FLOOR_SEARCH: Final = "floor without JSON, blocking"
FLOOR_ASYNCIO_SEARCH: Final = "floor without JSON, asyncio"
DRAIN: Final = "no client: bytes thrown away"

_SDK: Final = ("cartesia", "websockets")

CONTENDERS: Final = (
    Contender(URLLIB, "ours_blocking.websocket", SPEED),
    Contender(URLLIB_BATCHES, "ours_blocking.websocket_batches", SPEED),
    Contender(ASYNCIO, "ours_asyncio.websocket", SPEED),
    Contender(ASYNCIO_BATCHES, "ours_asyncio.websocket_batches", SPEED),
    Contender(TRIO, "ours_trio.websocket", (*SPEED, "trio")),
    Contender(TRIO_BATCHES, "ours_trio.websocket_batches", (*SPEED, "trio")),
    Contender(OFFICIAL, "official_blocking.websocket", _SDK),
    Contender(OFFICIAL_ASYNCIO, "official_asyncio.websocket", _SDK),
    Contender(AIOHTTP, "handwritten.aiohttp_websocket_speedy", ("aiohttp", *SPEED)),
    Contender(AIOHTTP_STANDARD, "handwritten.aiohttp_websocket_standard", ("aiohttp",)),
    Contender("websockets + orjson + pybase64", "handwritten.websockets_speedy", ("websockets", *SPEED)),
    Contender("websockets + json + base64", "handwritten.websockets_standard", ("websockets",)),
    Contender(
        "websockets, blocking + orjson + pybase64", "handwritten.websockets_blocking_speedy", ("websockets", *SPEED)
    ),
    Contender(FLOOR, "floor.websocket_blocking", SPEED),
    Contender(FLOOR_ASYNCIO, "floor.websocket_asyncio", SPEED),
    Contender(FLOOR_SEARCH, "floor.websocket_blocking_search", SPEED),
    Contender(FLOOR_ASYNCIO_SEARCH, "floor.websocket_asyncio_search", SPEED),
    Contender(DRAIN, "floor.drain", SPEED),
)

BARE: Final = (
    Contender(URLLIB, "ours_blocking.websocket", hidden=SPEED),
    Contender(ASYNCIO, "ours_asyncio.websocket", hidden=SPEED),
    Contender(TRIO, "ours_trio.websocket", ("trio",), SPEED),
    Contender(TRIO_BATCHES, "ours_trio.websocket_batches", ("trio",), SPEED),
    Contender(OFFICIAL, "official_blocking.websocket", _SDK, SPEED),
    Contender(OFFICIAL_ASYNCIO, "official_asyncio.websocket", _SDK, SPEED),
    Contender(AIOHTTP_STANDARD, "handwritten.aiohttp_websocket_standard", ("aiohttp",), SPEED),
    Contender("websockets + json + base64", "handwritten.websockets_standard", ("websockets",), SPEED),
)

COUNTS: Final = {960: 4000, 4096: 2000, 16384: 800, 65536: 250}
"""Chunks for each context: so many that beginning one costs next to nothing beside them."""


def bulk_plans(settings: Settings) -> list[Plan]:
    """A plan for each size."""
    sizes = SIZES[:2] if settings.quick else SIZES
    return [Plan("bulk", size, COUNTS[size] // (10 if settings.quick else 1)) for size in sizes]


def run(settings: Settings) -> Results:
    """All three varieties."""
    groups = {CLEAR: CONTENDERS, ENCRYPTED: CONTENDERS, WITHOUT_SPEED: BARE}
    with serving() as origins:
        return compete(NAME, groups, bulk_plans(settings), settings, origins)


if __name__ == "__main__":
    main(NAME, "Bulk WebSocket: CPU per message.", run)
