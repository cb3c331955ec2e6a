"""What can go wrong, on demand: faults that a test scripts, each for one request.

This module knows the faults as values and the queue they wait in. It must not know how they are carried out:
`connection` does that.
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
    """An event stream without its terminal event, properly ended as an HTTP body; other answers as they should be."""


@final
@frozen
class FailMidway:
    """An error event, and the end, after this many events; audio is cut after as many pieces."""

    after: int
    status: int = 500
    title: str = "Internal error"
    message: str = "the generation failed"
    error_code: str | None = None


@final
@frozen
class CloseAfter:
    """The right answer, then the connection closes without having said so: what a reused connection may meet."""


Fault: TypeAlias = Delay | Status | CutAfter | Stall | Garbage | ContentType | WithoutDone | FailMidway | CloseAfter
"""A closed union."""


@final
class FaultQueue:
    """Faults in the order requests will meet them; safe to use from several threads."""

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
