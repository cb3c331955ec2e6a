"""Small steps of tasks: what is closed may be closed in a run of trio or in none.

A client belongs to one run, and may be closed in another, or in none at all. This module knows nothing of connections.
"""

import trio

from cartesia_proto.wire.homes import running


async def checkpoint() -> None:
    """A checkpoint, if this is a run of trio: things may be closed from anywhere."""
    if running(trio.lowlevel.current_trio_token) is not None:
        await trio.lowlevel.checkpoint()
