"""Which run of trio this is, if it is one.

A client belongs to one run, and may be closed in another, or in none at all. This module knows how to tell them apart,
and nothing of connections.
"""

import trio


def running() -> trio.lowlevel.TrioToken | None:
    """What runs here, if this is a run of trio."""
    try:
        return trio.lowlevel.current_trio_token()
    except RuntimeError:
        return None


async def checkpoint() -> None:
    """A checkpoint, if this is a run of trio: things may be closed from anywhere."""
    if running() is not None:
        await trio.lowlevel.checkpoint()
