"""A stand-in for the Cartesia service, for development and tests without a key or a network.

It speaks the same protocol, validated strictly by `cartesia_proto.server`, on 127.0.0.1: audible, deterministic
placeholder speech with word timestamps, a small voice catalogue, and faults on demand. It is never the real voice, and
says so in the `Server` header of every answer.

From a shell::

    python -m cartesia_standin --port 8765

In a test suite of your own::

    from cartesia_standin import StandIn, Status

    with StandIn() as server:
        server.script(Status(429, {"Retry-After": "0"}))  # the first request is refused, the next one served
        client = Cartesia(api_key=server.api_key, base_url=server.base_url)
        ...

Everything is decided by the requests alone: the same ones in the same order get the same answers, byte for byte.
"""

from cartesia_standin.connection import ReceivedRequest
from cartesia_standin.faults import (
    CloseAfter,
    ContentType,
    CutAfter,
    Delay,
    FailMidway,
    Fault,
    Garbage,
    Stall,
    Status,
    WithoutDone,
)
from cartesia_standin.standin import StandIn
from cartesia_standin.voices import DEFAULT_VOICE_ID

__all__ = (
    "DEFAULT_VOICE_ID",
    "CloseAfter",
    "ContentType",
    "CutAfter",
    "Delay",
    "FailMidway",
    "Fault",
    "Garbage",
    "ReceivedRequest",
    "Stall",
    "StandIn",
    "Status",
    "WithoutDone",
)
