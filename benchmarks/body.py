"""Streamed audio: ``POST /tts/bytes`` as fast as the client can take it, for each size of the server's pieces.

    python -m benchmarks.body

A message is one piece as the server sends it; clients may cut and join pieces as they like.
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
    URLLIB,
    bulk_plans,
)

NAME: Final = "bytes"

CONTENDERS: Final = (
    Contender(URLLIB, "ours_blocking.body"),
    Contender(ASYNCIO, "ours_asyncio.body"),
    Contender(TRIO, "ours_trio.body", ("trio",)),
    Contender(OFFICIAL, "official_blocking.body", ("cartesia",)),
    Contender(OFFICIAL_ASYNCIO, "official_asyncio.body", ("cartesia",)),
    Contender("aiohttp", "handwritten.aiohttp_body", ("aiohttp",)),
    Contender(FLOOR, "floor_sse.body", SPEED),
)


def run(settings: Settings) -> Results:
    """In clear and over TLS."""
    with serving() as origins:
        return compete(NAME, {CLEAR: CONTENDERS, ENCRYPTED: CONTENDERS}, bulk_plans(settings), settings, origins)


if __name__ == "__main__":
    main(NAME, "Streamed audio: CPU per piece.", run)
