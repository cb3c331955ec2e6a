"""Plain requests and what is held on to: ``voices.get`` again and again on one connection, and memory.

    python -m benchmarks.request_path

The time to the first byte is from the call to when the server, in its own process, received the first byte of the
request: it says so in its answer, and both read the same clock. Memory is what `tracemalloc` sees, Python's alone: for
each WebSocket that is open and idle, and for each context that was begun and still waits for its first answer.
"""

from typing import Final

from benchmarks.measuring import SPEED, Contender, Results, Settings, compete, serving
from benchmarks.plans import Plan
from benchmarks.running import main
from benchmarks.websocket import ASYNCIO, ENCRYPTED, OFFICIAL, OFFICIAL_ASYNCIO, TRIO, URLLIB

NAME: Final = "requests"
MEMORY: Final = "memory"


def _contenders(function: str) -> tuple[Contender, ...]:
    sdk = ("cartesia", "websockets")
    return (
        Contender(URLLIB, f"ours_blocking.{function}", SPEED),
        Contender(ASYNCIO, f"ours_asyncio.{function}", SPEED),
        Contender(TRIO, f"ours_trio.{function}", (*SPEED, "trio")),
        Contender(OFFICIAL, f"official_blocking.{function}", sdk),
        Contender(OFFICIAL_ASYNCIO, f"official_asyncio.{function}", sdk),
    )


def run(settings: Settings) -> Results:
    """Requests over TLS, memory in clear."""
    count, connections, contexts = (50, 10, 100) if settings.quick else (500, 50, 1000)
    with serving() as origins:
        asked = [Plan("bulk", 960, count)]
        results = compete(NAME, {ENCRYPTED: _contenders("requests")}, asked, settings, origins)
        held = [Plan("silent", 960, 0, contexts, connections)]
        results.update(compete(MEMORY, {"clear": _contenders("memory")}, held, settings, origins))
    return results


if __name__ == "__main__":
    main(NAME, "Requests: CPU, time, first byte; memory of connections and contexts.", run)
