"""What can go wrong, on demand: faults that a test scripts, each for one request or one WebSocket.

This module knows the faults as values and the queue they wait in. It must not know how they are carried out:
`connection` does that for requests, `websocket` for what follows the handshake of one. A fault that could not be
carried out is refused where it is made, by a `LocalProtocolError` that names its attribute.

The request that opens a WebSocket takes its fault from the queue like any other. One that is for requests makes the
handshake go wrong; a fault of a `SocketFault` does so later, and lets any other request be answered as it should be.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, cast, final, get_args

from attrs import Attribute, field, frozen

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.http import Headers

FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
"""Headers that the stand-in sets itself (RFC 9112 section 6)."""

CLOSE_CODES: Final = (frozenset(range(1000, 1014)) - {1004, 1005, 1006}) | frozenset(range(3000, 5000))
"""Close codes that may be sent (RFC 6455 section 7.4, and 1012 and 1013 of the registry it founds)."""

LONGEST_REASON: Final = 123
"""Bytes of the reason in a close frame (RFC 6455 section 5.5)."""

Check: TypeAlias = "Callable[[object, Attribute[Any], Any], None]"
"""What attrs calls with an instance, an attribute and its value."""


def _is(
    kind: type | tuple[type, ...], wanted: str, fits: Callable[[Any], bool] = lambda _: True, *, or_none: bool = False
) -> Check:
    """A check that a value is of a kind and fits."""

    def check(_: object, attribute: "Attribute[Any]", value: object) -> None:
        good = isinstance(value, kind) and not (kind is not bool and isinstance(value, bool)) and fits(value)
        if not (good or (or_none and value is None)):
            raise LocalProtocolError(f"{attribute.name} must be {wanted}, not {value!r}")

    return check


def _count(least: int = 0, *, or_none: bool = False) -> Check:
    wanted = f"an integer of at least {least}{', or None' * or_none}"
    return _is(int, wanted, lambda value: value >= least, or_none=or_none)


def _encodable(value: str) -> bool:
    try:
        return bool(value.encode()) or not value
    except UnicodeEncodeError:
        return False


_TEXT: Final = _is(str, "text that UTF-8 can carry", _encodable)
_OPTIONAL_TEXT: Final = _is(str, "text that UTF-8 can carry, or None", _encodable, or_none=True)
_BYTES: Final = _is(bytes, "bytes")
_STATUS: Final = _is(int, "a status from 200 to 999", lambda value: 200 <= value <= 999)
_ERROR_STATUS: Final = _is(int, "an error's status, from 400 to 599", lambda value: 400 <= value <= 599)


def _check_headers(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if not isinstance(value, Mapping):
        raise LocalProtocolError(f"{attribute.name} must be a mapping of names to values, not {type(value).__name__}")
    for name, _ in Headers(cast("Mapping[str, str]", value).items()):  # which refuses what are no strings
        if name.lower() in FRAMING:
            raise LocalProtocolError(f"{attribute.name} must not have {name}: the stand-in sets it")


@final
@frozen
class Delay:
    """The answer comes as it should, this many seconds late."""

    seconds: float = field(
        validator=_is((int, float), "seconds from 0 on, and not for ever", lambda value: 0 <= value < math.inf)
    )


@final
@frozen
class Status:
    """Another answer altogether, such as a 429 with ``{"Retry-After": "1"}``."""

    code: int = field(validator=_STATUS)
    headers: Mapping[str, str] = field(factory=dict[str, str], validator=_check_headers)
    body: bytes = field(default=b"", validator=_BYTES)


@final
@frozen
class CutAfter:
    """The connection closes after this many bytes of the body (of the whole body, if it is shorter), without its end.

    Attributes:
        declared: the Content-Length to announce instead of the true framing; None leaves that as it is.
    """

    size: int = field(validator=_count())
    declared: int | None = field(default=None, validator=_count(or_none=True))

    def __attrs_post_init__(self) -> None:
        """A body may be cut, but not be longer than what was announced."""
        if self.declared is not None and self.declared < self.size:
            raise LocalProtocolError(f"declared must be at least size, {self.size}, not {self.declared}")


@final
@frozen
class Stall:
    """Silence until the client leaves, after this many bytes of the body; None sends not even a head."""

    after: int | None = field(default=None, validator=_count(or_none=True))


@final
@frozen
class Garbage:
    """These bytes instead of an HTTP response, then the end; none at all is a connection closed without a word."""

    data: bytes = field(default=b"", validator=_BYTES)


@final
@frozen
class ContentType:
    """The right answer under a wrong Content-Type."""

    value: str = field(validator=lambda _, __, value: Headers([("Content-Type", value)]) and None)


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

    after: int = field(validator=_count())
    status: int = field(default=500, validator=_ERROR_STATUS)
    title: str = field(default="Internal error", validator=_TEXT)
    message: str = field(default="the generation failed", validator=_TEXT)
    error_code: str | None = field(default=None, validator=_OPTIONAL_TEXT)


@final
@frozen
class CloseAfter:
    """The right answer, then the connection closes without having said so: what a reused connection may meet."""


@final
@frozen
class DropAfter:
    """The TCP connection ends, without a close frame, once this many messages were sent."""

    messages: int = field(validator=_count())


@final
@frozen
class CloseFrameAfter:
    """A close frame with this code, one that may be sent, and reason, once this many messages were sent."""

    messages: int = field(validator=_count())
    code: int = field(default=1011, validator=_is(int, "a close code that may be sent", CLOSE_CODES.__contains__))
    reason: str = field(
        default="",
        validator=_is(
            str,
            f"at most {LONGEST_REASON} bytes of text",
            lambda value: _encodable(value) and len(value.encode()) <= LONGEST_REASON,
        ),
    )


@final
@frozen
class SilenceAfter:
    """Nothing more is sent, not even a pong, once this many messages were; the connection stays open."""

    messages: int = field(validator=_count())


@final
@frozen
class StaleFrames:
    """This many chunks of audio for a context nobody opened, before the first message that is due.

    And as many for every context that is cancelled, once it is.
    """

    count: int = field(default=40, validator=_count())


@final
@frozen
class UnknownEvents:
    """Before each message that belongs to a context, one for the same context of a type nobody knows."""


@final
@frozen
class GarbageText:
    """This text, which is no JSON, once this many messages were sent; then everything goes on."""

    messages: int = field(validator=_count())
    text: str = field(default="the stand-in says no JSON", validator=_TEXT)


@final
@frozen
class ErrorWithoutContext:
    """An error event that names no context, once this many messages were sent: it ends every context."""

    messages: int = field(validator=_count())
    status: int = field(default=500, validator=_ERROR_STATUS)
    title: str = field(default="Internal error", validator=_TEXT)
    message: str = field(default="the connection failed", validator=_TEXT)
    error_code: str | None = field(default=None, validator=_OPTIONAL_TEXT)


@final
@frozen
class Fragmented:
    """Every message comes in frames of this many characters."""

    size: int = field(default=100, validator=_count(1))


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

KINDS: Final[tuple[type, ...]] = (*get_args(RequestFault), *get_args(SocketFault))


@final
class FaultQueue:
    """Faults in the order requests will meet them, those for WebSockets included; safe to use from several threads."""

    def __init__(self) -> None:
        self._waiting: deque[Fault | None] = deque()
        self._lock = threading.Lock()

    def add(self, faults: Iterable[Fault | None]) -> None:
        """Queue faults, one for each request to come; None lets one pass.

        Raises:
            LocalProtocolError: one of them is no fault; none was queued.
        """
        checked = [*faults]
        for fault in checked:
            _check_kind(fault)
        with self._lock:
            self._waiting.extend(checked)

    def take(self) -> Fault | None:
        """The fault of the next request, or None."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None


def _check_kind(fault: object) -> None:
    if fault is not None and not isinstance(fault, KINDS):
        hint = ": give faults one by one, each as an argument" if isinstance(fault, list | tuple) else ""
        raise LocalProtocolError(f"{fault!r} is no fault{hint}")
