"""The core alone: bytes of frames and of server-sent events in, events out, no sockets.

    python -m benchmarks.core

With the `speed` extra and without it, beside the floor: splitting in place, orjson, pybase64.
"""

from typing import Final

from benchmarks.measuring import SPEED, Contender, Results, Settings, compete
from benchmarks.running import main
from benchmarks.websocket import bulk_plans

NAME: Final = "core"

FRAMES: Final = "frames"
EVENTS: Final = "server-sent events"

GROUPS: Final = {
    FRAMES: (
        Contender("cartesia_proto", "core.websocket", SPEED),
        Contender("cartesia_proto without speed extra", "core.websocket", hidden=SPEED),
        Contender("floor", "floor_core.websocket", SPEED),
        Contender("floor without JSON", "floor_core.websocket_search", SPEED),
    ),
    EVENTS: (
        Contender("cartesia_proto", "core.sse", SPEED),
        Contender("cartesia_proto without speed extra", "core.sse", hidden=SPEED),
        Contender("floor", "floor_core.sse", SPEED),
    ),
}


def run(settings: Settings) -> Results:
    """Both kinds of bytes."""
    return compete(NAME, GROUPS, bulk_plans(settings), settings, None)


if __name__ == "__main__":
    main(NAME, "The core alone: CPU per message.", run)
