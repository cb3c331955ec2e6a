"""How a context ends, and the error of having missed it.

This module knows the terminal events that only a session can tell: the ones a server sends are in `codecs.events`. It
must not know how they come about.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, TypeAlias, final

from attrs import field, frozen

from cartesia_proto.codecs.events import Done, SpeechEvent
from cartesia_proto.errors import CartesiaError, JsonValue, LocalProtocolError, Scope


@final
@frozen
class Cancelled:
    """You cancelled the context. Audio that was under way is dropped by the session."""

    type: ClassVar[Literal["cancelled"]] = "cancelled"
    audio: ClassVar[bytes] = b""

    context_id: str


@final
@frozen
class Failed:
    """The context ended by an error: the server's, the connection's, or a limit of yours.

    Attributes:
        error: ready to be raised; `.retryable` and `.scope` say what may be done.
    """

    type: ClassVar[Literal["failed"]] = "failed"
    audio: ClassVar[bytes] = b""

    context_id: str
    error: CartesiaError


TerminalEvent: TypeAlias = Done | Cancelled | Failed
"""Every context ends in exactly one of these."""

TERMINAL: Final = (Done, Cancelled, Failed)
"""The same, to ask an event whether it is one."""

ContextEvent: TypeAlias = SpeechEvent | TerminalEvent
"""Everything a session tells."""


class ContextEnded(CartesiaError):  # noqa: N818 - a state, not a kind of error
    """The context is over for a reason outside you: the peer ended it, the connection was lost, or it was cancelled.

    Nothing reached the wire; the session is as usable as before. Where the context failed, the error that its reader
    is told is the ``__cause__`` of this one, and says for both how far it reaches and whether to try again.

    Attributes:
        event: the context's terminal event.
    """

    scope: Scope = "context"

    def __init__(self, message: str, event: TerminalEvent) -> None:
        super().__init__(message, event)
        self.event = event
        if isinstance(event, Failed):
            self.__cause__: BaseException | None = event.error
            self.retryable: bool = event.error.retryable
            self.scope: Scope = event.error.scope

    def __str__(self) -> str:
        return str(self.args[0])

    def __setstate__(self, state: dict[str, object] | None) -> None:
        """Set what a pickle or copy kept; a cause is no attribute, and is that of the event again."""
        super().__setstate__(state)
        if isinstance(self.event, Failed):
            object.__setattr__(self, "__cause__", self.event.error)


@final
@frozen
class Timing:
    """When things happened to a context, in the monotonic seconds that were passed in; None for what has not yet.

    Attributes:
        sent_at: the first input.
        first_audio_at: the first audio that was not empty.
        done_at: the terminal event.
    """

    sent_at: float | None = None
    first_audio_at: float | None = None
    done_at: float | None = None


@final
@frozen
class SpokenInput:
    """One input as it was given.

    Attributes:
        transcript: verbatim.
        generation_config: what was said of it alone, as it went on the wire, or None.
    """

    transcript: str
    generation_config: Mapping[str, JsonValue] | None = field(default=None, repr=False, hash=False)


@final
@frozen
class UnspokenPlan:
    """What a context had been told and is not known to have said, for a replay that the caller decides on.

    Attributes:
        inputs: in order; those whose flush was confirmed, and all of a context that is done, are not among them.
        finished: whether `finish` had been said.
        audio_bytes: how much audio had arrived, in bytes.
        audio_seconds: the same in seconds; None where the width of a sample is not known.
    """

    inputs: tuple[SpokenInput, ...]
    finished: bool
    audio_bytes: int
    audio_seconds: float | None

    @property
    def transcript(self) -> str:
        """The inputs joined, verbatim, as the server joins them (protocol section 4.5)."""
        return "".join(spoken.transcript for spoken in self.inputs)


def overflow_error(context_id: str) -> LocalProtocolError:
    """Why a context ends whose reader left too much unread."""
    error = LocalProtocolError(
        f"context {context_id} was ended: more was left unread than its inbox holds; read faster, or raise the limit"
    )
    error.scope = "context"
    return error
