"""A stand-in for the Cartesia service, for development and tests without a key or a network.

It speaks the same protocol, validated strictly by `cartesia_proto.server`, on 127.0.0.1, over HTTP and WebSocket:
audible, deterministic placeholder speech with timestamps, a small voice catalogue, and faults on demand. It is never
the real voice, and says so in the `Server` header of every answer. From a shell: ``python -m cartesia_standin``.

In a test suite of your own::

    with StandIn() as server:
        server.script(Status(429, {"Retry-After": "0"}))  # the first request is refused, the next one served
        client = Cartesia(api_key=server.api_key, base_url=server.base_url)
        ...

Requests alone decide: the same ones in the same order get the same answers, byte for byte. On a WebSocket contexts take
turns, an event each; `spoken_audio` says what audio a context must have, whatever else happened on the socket. Faults,
one for each request: `Delay`, `Status`, `CutAfter`, `Stall`, `Garbage`, `ContentType`, `CloseAfter`; for event streams
and WebSockets `WithoutDone`, `FailMidway`; for WebSockets `DropAfter`, `CloseFrameAfter`, `SilenceAfter`,
`StaleFrames`, `UnknownEvents`, `GarbageText`, `ErrorWithoutContext`, `Fragmented`, `Pings`.
"""

from cartesia_standin.connection import ReceivedRequest
from cartesia_standin.faults import (
    CloseAfter,
    CloseFrameAfter,
    ContentType,
    CutAfter,
    Delay,
    DropAfter,
    ErrorWithoutContext,
    FailMidway,
    Fault,
    Fragmented,
    Garbage,
    GarbageText,
    Pings,
    SilenceAfter,
    StaleFrames,
    Stall,
    Status,
    UnknownEvents,
    WithoutDone,
)
from cartesia_standin.speaking import spoken_audio
from cartesia_standin.standin import StandIn
from cartesia_standin.voices import DEFAULT_VOICE_ID
from cartesia_standin.websocket import IDLE_REASON, STALE_CONTEXT, ReceivedMessage

__all__ = (
    "DEFAULT_VOICE_ID",
    "IDLE_REASON",
    "STALE_CONTEXT",
    "CloseAfter",
    "CloseFrameAfter",
    "ContentType",
    "CutAfter",
    "Delay",
    "DropAfter",
    "ErrorWithoutContext",
    "FailMidway",
    "Fault",
    "Fragmented",
    "Garbage",
    "GarbageText",
    "Pings",
    "ReceivedMessage",
    "ReceivedRequest",
    "SilenceAfter",
    "StaleFrames",
    "Stall",
    "StandIn",
    "Status",
    "UnknownEvents",
    "WithoutDone",
    "spoken_audio",
)
