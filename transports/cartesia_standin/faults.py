"""What can go wrong, on demand: faults that a test scripts, each for one request or one WebSocket.

This module knows the faults as values and the queue they wait in. It must not know how they are carried out:
`connection` does that for requests, `websocket` for what follows the handshake of one.

The request that opens a WebSocket takes its fault from the queue like any other. One that is for requests makes the
handshake go wrong; a fault of a `SocketFault` does so later, and lets any other request be answered as it should be.
"""

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TypeAlias, final

from attrs import Factory, frozen


@final
@frozen
class Delay:
    """The answer comes as it should, this many seconds late."""

    seconds: float


@final
@frozen
class Status:
    """Another answer altogether, such as a 429 with ``{"Retry-After": "1"}``."""

    code: int
    headers: Mapping[str, str] = Factory(dict[str, str])
    body: bytes = b""


@final
@frozen
class CutAfter:
    """The connection closes after this many bytes of the body (of the whole body, if it is shorter), without its end.

    Attributes:
        declared: the Content-Length to announce instead of the true framing; None leaves that as it is.
    """

    size: int
    declared: int | None = None


@final
@frozen
class Stall:
    """Silence until the client leaves, after this many bytes of the body; None sends not even a head."""

    after: int | None = None


@final
@frozen
class Garbage:
    """These bytes instead of an HTTP response, then the end; none at all is a connection closed without a word."""

    data: bytes = b""


@final
@frozen
class ContentType:
    """The right answer under a wrong Content-Type."""

    value: str


@final
@frozen
class WithoutDone:
    """An event stream without its terminal event, properly ended as an HTTP body; other answers as they should be.

    On a WebSocket no context gets its `done`; each is over all the same, as it is where the message is lost.
    """


@final
@frozen
class FailMidway:
    """An error event, and the end, after this many events; audio is cut after as many pieces.

    On a WebSocket, once this many messages were sent, the oldest open context ends by that error, alone.
    """

    after: int
    status: int = 500
    title: str = "Internal error"
    message: str = "the generation failed"
    error_code: str | None = None


@final
@frozen
class CloseAfter:
    """The right answer, then the connection closes without having said so: what a reused connection may meet."""


@final
@frozen
class DropAfter:
    """The TCP connection ends, without a close frame, once this many messages were sent."""

    messages: int


@final
@frozen
class CloseFrameAfter:
    """A close frame with this code, one that may be sent, and reason, once this many messages were sent."""

    messages: int
    code: int = 1011
    reason: str = ""


@final
@frozen
class SilenceAfter:
    """Nothing more is sent, not even a pong, once this many messages were; the connection stays open."""

    messages: int


@final
@frozen
class StaleFrames:
    """This many chunks of audio for a context nobody opened, before the first message that is due.

    And as many for every context that is cancelled, once it is.
    """

    count: int = 40


@final
@frozen
class UnknownEvents:
    """Before each message that belongs to a context, one for the same context of a type nobody knows."""


@final
@frozen
class GarbageText:
    """This text, which is no JSON, once this many messages were sent; then everything goes on."""

    messages: int
    text: str = "the stand-in says no JSON"


@final
@frozen
class ErrorWithoutContext:
    """An error event that names no context, once this many messages were sent: it ends every context."""

    messages: int
    status: int = 500
    title: str = "Internal error"
    message: str = "the connection failed"
    error_code: str | None = None


@final
@frozen
class Fragmented:
    """Every message comes in frames of this many characters."""

    size: int = 100


@final
@frozen
class Pings:
    """A ping before every message."""


SocketFault: TypeAlias = (
    DropAfter
    | CloseFrameAfter
    | SilenceAfter
    | StaleFrames
    | UnknownEvents
    | GarbageText
    | ErrorWithoutContext
    | Fragmented
    | Pings
)
"""What goes wrong on an open WebSocket alone; messages are those that the stand-in sends. A closed union."""

RequestFault: TypeAlias = (
    Delay | Status | CutAfter | Stall | Garbage | ContentType | WithoutDone | FailMidway | CloseAfter
)
"""What goes wrong with a request, a handshake included; two of them, with a WebSocket as well. A closed union."""

Fault: TypeAlias = RequestFault | SocketFault
"""A closed union."""


@final
class FaultQueue:
    """Faults in the order requests will meet them, those for WebSockets included; safe to use from several threads."""

    def __init__(self) -> None:
        self._waiting: deque[Fault | None] = deque()
        self._lock = threading.Lock()

    def add(self, faults: Iterable[Fault | None]) -> None:
        """Queue faults, one for each request to come; None lets one pass."""
        with self._lock:
            self._waiting.extend(faults)

    def take(self) -> Fault | None:
        """The fault of the next request, or None."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None
