"""Paced traffic, as a host of voice agents has it: many contexts, each with 4 KiB of audio every 40 ms.

    python -m benchmarks.paced

100 and 400 connections with one context each, and 400 contexts on 4 connections; calls per core are what one core could
bear at that price. Then crowds on one connection, 100 to 10,000 contexts: what one costs must not depend on how many
there are.
"""

from typing import Final

from attrs import evolve

from benchmarks.measuring import SPEED, Contender, Results, Settings, compete, serving
from benchmarks.plans import Plan
from benchmarks.running import main
from benchmarks.websocket import ASYNCIO, FLOOR_ASYNCIO, OFFICIAL, OFFICIAL_ASYNCIO, TRIO, URLLIB

NAME: Final = "paced"
CROWDS: Final = "crowds"

CONNECTIONS: Final = "a connection each"
SHARED: Final = "shared connections"
CROWD: Final = "one connection"

FLOOR_TASKS: Final = "floor, asyncio, a task woken"
"""The floor hears a message where it is received, in a callback; this one wakes a task for it, which costs another turn
of the loop, and stands beside it to show how much."""

SECONDS: Final = 4.0
"""For which paced contexts are looked at."""

ROUNDS: Final = 3
"""The most that are worth their time."""

OURS: Final = (
    Contender(URLLIB, "ours_blocking.paced", SPEED),
    Contender(ASYNCIO, "ours_asyncio.paced", SPEED),
    Contender(TRIO, "ours_trio.paced", (*SPEED, "trio")),
)

OFFICIAL_ONES: Final = (
    Contender(OFFICIAL, "official_blocking.paced", ("cartesia", "websockets")),
    Contender(OFFICIAL_ASYNCIO, "official_asyncio.paced", ("cartesia", "websockets")),
)

EACH: Final = (
    *OURS,
    *OFFICIAL_ONES,
    Contender("aiohttp + orjson + pybase64", "handwritten.aiohttp_paced", ("aiohttp", *SPEED)),
    Contender(FLOOR_ASYNCIO, "floor.paced", SPEED),
    Contender(FLOOR_TASKS, "floor.paced_tasks", SPEED),
)

GATHERED: Final = (
    Contender(URLLIB, "ours_blocking.gathered", SPEED),
    Contender(ASYNCIO, "ours_asyncio.gathered", SPEED),
    Contender(TRIO, "ours_trio.gathered", (*SPEED, "trio")),
    Contender(OFFICIAL_ASYNCIO, "official_asyncio.gathered", ("cartesia", "websockets")),
)


def _paced(contexts: int, connections: int) -> Plan:
    return Plan("paced", 4096, 0, contexts, connections)


def run(settings: Settings) -> Results:
    """Paced contexts and crowds."""
    thorough = evolve(settings, rounds=min(settings.rounds, ROUNDS), seconds=1.0 if settings.quick else SECONDS)
    loads = (20,) if settings.quick else (100, 400)
    crowds = (100, 1000) if settings.quick else (100, 1000, 10_000)
    with serving() as origins:
        results = compete(NAME, {CONNECTIONS: EACH}, [_paced(load, load) for load in loads], thorough, origins)
        shared = [_paced(loads[-1], 4)]
        results.update(compete(NAME, {SHARED: (*OURS, OFFICIAL_ONES[1])}, shared, thorough, origins))
        plans = [Plan("gathered", 960, 5, contexts=contexts) for contexts in crowds]
        rounds = evolve(settings, rounds=min(settings.rounds, ROUNDS))
        results.update(compete(CROWDS, {CROWD: GATHERED}, plans, rounds, origins))
    return results


if __name__ == "__main__":
    main(NAME, "Paced traffic: CPU per message and calls per core; crowds: CPU per context.", run)
