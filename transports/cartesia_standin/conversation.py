"""What is said on one WebSocket: the contexts that are open, and whose turn it is.

This module knows in which order events leave: within a context as it was asked for, between contexts in turn, one event
each. It must not know frames, sockets or faults (`websocket`), nor the rules for messages (`cartesia_proto.server`).

Every input is spoken by itself, as soon as it is there: `max_buffer_delay_ms` says how long text may wait for more, and
here it never does. So what a context says depends on its messages alone, never on time. A cancelled context goes on
to the end of the input that has begun, without a `done`; what has not begun is never said (protocol section 4.5).
"""

import math
from collections import deque
from collections.abc import Iterator
from typing import assert_never, final

from cartesia_proto.codecs.events import Done, FlushDone
from cartesia_proto.credentials import Credentials
from cartesia_proto.server.contexts import Action, Begin, Cancel, Contexts, Finish, Flush, Generate, Refuse
from cartesia_proto.server.events import ContextEvent
from cartesia_proto.server.problems import Problem
from cartesia_standin.catalogue import Catalogue
from cartesia_standin.quotas import Quota
from cartesia_standin.speaking import Telling, check_speech, speech_events


@final
class _Voice:
    """One context: what it still has to say, a part for each input, flush and end.

    Attributes:
        seconds: of audio so far, said or not yet.
        quiet_since: when it had nothing more to say.
        in_turn: it waits for its turn.
    """

    def __init__(self, now: float) -> None:
        self.seconds = 0.0
        self.quiet_since = now
        self.in_turn = False
        self._parts: deque[Iterator[ContextEvent]] = deque()
        self._begun: Iterator[ContextEvent] = iter(())

    def add(self, part: Iterator[ContextEvent]) -> None:
        """Say this after everything else."""
        self._parts.append(part)

    def next_event(self) -> ContextEvent | None:
        """The next event, None if there is nothing more to say."""
        while (event := next(self._begun, None)) is None:
            if not self._parts:
                return None
            self._begun = self._parts.popleft()
        return event

    def stop_after_this(self) -> None:
        """Say nothing that has not begun."""
        self._parts.clear()

    def stop(self) -> None:
        """Say nothing more."""
        self._parts.clear()
        self._begun = iter(())


@final
class Conversation:
    """The contexts of one open WebSocket.

    Args:
        version: a known one.
        quota: of contexts.
        expiry: seconds without anything to say after which a context is done; ``math.inf`` for never.
    """

    def __init__(
        self, version: str, catalogue: Catalogue, quota: Quota, credentials: Credentials | None, expiry: float
    ) -> None:
        self._contexts = Contexts(version)
        self._catalogue = catalogue
        self._quota = quota
        self._credentials = credentials
        self._expiry = expiry
        self._voices: dict[str | None, _Voice] = {}  # of open contexts
        self._turns: deque[tuple[str | None, _Voice]] = deque()
        self._refusals: deque[Refuse] = deque()

    @property
    def open(self) -> tuple[str | None, ...]:
        """The ids of open contexts, the oldest first."""
        return tuple(self._voices)

    def receive(self, message: str | bytes, now: float) -> str | None:
        """Take a message; the id of the context that it cancelled, if it did.

        Args:
            message: as `Contexts.receive` takes it.
            now: monotonic seconds.
        """
        cancelled = None
        for action in self._contexts.receive(message):
            try:
                cancelled = self._carry_out(action, now) or cancelled
            except Problem as problem:
                self.refuse(action.context_id, problem)
                break
        return cancelled

    def refuse(self, context_id: str | None, problem: Problem) -> None:
        """End a context by an error, or all of them where there is no id."""
        self._end_by(self._contexts.refuse(context_id, problem))

    def next_event(self, now: float) -> ContextEvent | Refuse | None:
        """What is to be sent next, None if there is nothing."""
        self._expire(now)
        if self._refusals:
            return self._refusals.popleft()
        while self._turns:
            context_id, voice = self._turns.popleft()
            event = voice.next_event()
            if event is not None:
                self._said(context_id, voice, event)
                return event
            voice.in_turn, voice.quiet_since = False, now
        return None

    def deadline(self) -> float:
        """When a context will have been quiet for too long, in monotonic seconds; ``math.inf`` if none will."""
        quiet = (voice.quiet_since for voice in self._voices.values() if not voice.in_turn)
        return min(quiet, default=math.inf) + self._expiry

    def end(self) -> None:
        """The socket is gone: everything that was taken is given back."""
        for context_id in self.open:
            self._leave(context_id).stop()
        self._turns.clear()

    def _carry_out(self, action: Action, now: float) -> str | None:
        match action:
            case Begin(context_id=context_id):
                self._quota.take(self._credentials)
                self._voices[context_id] = _Voice(now)
            case Generate():
                self._generate(action)
            case Flush(context_id=context_id, flush_id=flush_id):
                self._add(context_id, iter([FlushDone(flush_id, context_id)]))
            case Finish(context_id=context_id):
                self._add(context_id, iter([Done(context_id)]))
            case Cancel(context_id=context_id):
                self._leave(context_id).stop_after_this()
                return context_id
            case Refuse():
                self._end_by(action)
            case _:
                assert_never(action)
        return None

    def _generate(self, action: Generate) -> None:
        said, voice = action.input, self._voices[action.context_id]
        check_speech(said.speech)
        telling = Telling(
            context_id=action.context_id,
            add_timestamps=said.add_timestamps,
            add_phoneme_timestamps=said.add_phoneme_timestamps,
            flush_id=action.flush_id,
            offset=voice.seconds,
        )
        seconds, events = speech_events(said.speech, self._catalogue, telling)
        voice.seconds += seconds
        self._add(action.context_id, events)

    def _add(self, context_id: str | None, part: Iterator[ContextEvent]) -> None:
        voice = self._voices[context_id]
        voice.add(part)
        if not voice.in_turn:
            voice.in_turn = True
            self._turns.append((context_id, voice))

    def _said(self, context_id: str | None, voice: _Voice, event: ContextEvent) -> None:
        if isinstance(event, Done):
            self._contexts.end(context_id)
            self._leave(context_id)
        else:
            self._turns.append((context_id, voice))

    def _end_by(self, refusal: Refuse) -> None:
        """A context that was never open, or has ended, is told of its error as well."""
        ended = self.open if refusal.context_id is None else (refusal.context_id,)
        for context_id in ended:
            if context_id in self._voices:
                self._leave(context_id).stop()
        self._refusals.append(refusal)

    def _leave(self, context_id: str | None) -> _Voice:
        self._quota.give_back(self._credentials)
        return self._voices.pop(context_id)

    def _expire(self, now: float) -> None:
        if self._expiry == math.inf:
            return
        for context_id, voice in self._voices.items():
            if not voice.in_turn and now >= voice.quiet_since + self._expiry:
                self._add(context_id, iter([Done(context_id)]))
