"""The contexts of one WebSocket, from the server's side: what each message asks to be done.

This module knows the life of a context (protocol section 4.5): when it begins, what is locked, which segment audio
belongs to, and when it is over. It must not know the fields of messages (`context_requests`), nor who speaks, nor when:
what is to be done comes as actions in order, and `end` tells back what is over.

Where the protocol is silent, our choice:

* An input for an ended id is an error, as one for a finished context is; a cancellation of either is ignored.
* An error ends the context that it names. One that names none ends all of them: it concerns the connection.
* An input without text has only to be well-formed: its settings are not compared, as old SDKs fill in others there.
* Every input with text has a `flush_done` of its own if it says ``"max_buffer_delay_ms": 0``; a default of 0 does not
  count, or N flushes would not have N of them.
"""

from typing import Final, TypeAlias, final

from attrs import define, frozen

from cartesia_proto.server.context_requests import (
    ContextInput,
    read_context_id,
    read_context_request,
    read_object,
)
from cartesia_proto.server.problems import Problem, invalid

FIRST_FLUSH_ID: Final = 1
"""What audio before the first flush carries (protocol section 4.5)."""

REMEMBERED: Final = 1024
"""How many ended ids are refused; older ones are forgotten, and begin anew. As many as the client's side remembers."""


@final
@frozen
class Begin:
    """A context is new; what it is to say follows."""

    context_id: str | None


@final
@frozen
class Generate:
    """Say this, after everything before it in this context; its audio belongs to this segment."""

    context_id: str | None
    input: ContextInput
    flush_id: int


@final
@frozen
class Flush:
    """Say `flush_done`, once everything before it in this context was said."""

    context_id: str | None
    flush_id: int


@final
@frozen
class Finish:
    """Say `done`, once everything before it in this context was said; then `end` the context."""

    context_id: str | None


@final
@frozen
class Cancel:
    """The context is over; of what is to be said, only what has begun may still be."""

    context_id: str


@final
@frozen
class Refuse:
    """Send this error; the context is over. Without an id, all of them are."""

    context_id: str | None
    problem: Problem


Action: TypeAlias = Begin | Generate | Flush | Finish | Cancel | Refuse


@define
class _Open:
    """What is remembered of an open context."""

    settings: dict[str, object]
    flush_id: int = FIRST_FLUSH_ID
    finished: bool = False


@final
class Contexts:
    """The contexts of one WebSocket.

    Args:
        version: a known one, as `requests.receive_request` resolved it.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._open: dict[str | None, _Open] = {}
        self._ended: dict[str, None] = {}  # in the order they ended

    @property
    def open(self) -> tuple[str | None, ...]:
        """The ids that have begun and not ended; None is the one that an old version lets go without."""
        return tuple(self._open)

    def receive(self, message: str | bytes) -> tuple[Action, ...]:
        """What a message asks to be done, in order. Never raises for what the client sent.

        Args:
            message: a text message as str, a binary one as bytes.
        """
        context_id: str | None = None
        try:
            fields = read_object(message)
            context_id = read_context_id(fields, self._version)
            request = read_context_request(fields, context_id, self._version)
            if isinstance(request, ContextInput):
                return self._take(request)
            return (Cancel(request.context_id),) if self.end(request.context_id) else ()
        except Problem as problem:
            return (self.refuse(context_id, problem),)

    def refuse(self, context_id: str | None, problem: Problem) -> Refuse:
        """End a context by an error, or all of them where there is no id: also for what only the caller can know."""
        for ended in self.open if context_id is None else (context_id,):
            self.end(ended)
        return Refuse(context_id, problem)

    def end(self, context_id: str | None) -> bool:
        """Note that a context is over: it was done, or it waited too long. Answers whether it was open."""
        was_open = self._open.pop(context_id, None) is not None
        if context_id is not None and was_open:
            self._ended[context_id] = None
            if len(self._ended) > REMEMBERED:
                del self._ended[next(iter(self._ended))]
        return was_open

    def _take(self, said: ContextInput) -> tuple[Action, ...]:
        beginning: tuple[Action, ...] = () if said.context_id in self._open else (self._begin(said),)
        context = self._open[said.context_id]
        _check(context, said)
        return beginning + tuple(_actions(context, said))

    def _begin(self, said: ContextInput) -> Begin:
        if said.context_id in self._ended:
            raise invalid(f"context {_shown(said)} is over: take another context_id")
        self._open[said.context_id] = _Open(said.locked())
        return Begin(said.context_id)


def _check(context: _Open, said: ContextInput) -> None:
    if context.finished:
        raise invalid(f"context {_shown(said)} was finished by an input that did not say continue")
    if not said.speech.transcript:
        return
    for name, value in said.locked().items():
        if value != context.settings[name]:
            raise invalid(f"{name} must be the same in every input of context {_shown(said)}")


def _actions(context: _Open, said: ContextInput) -> list[Action]:
    """What an input asks for. White space makes no sound."""
    actions: list[Action] = []
    if said.speech.transcript.strip():
        actions.append(Generate(said.context_id, said, context.flush_id))
    if said.flush or (said.max_buffer_delay_ms == 0 and said.speech.transcript):
        actions.append(Flush(said.context_id, context.flush_id))
        context.flush_id += 1
    if not said.continues:
        actions.append(Finish(said.context_id))
        context.finished = True
    return actions


def _shown(said: ContextInput) -> str:
    return "without an id" if said.context_id is None else repr(said.context_id[:64])
