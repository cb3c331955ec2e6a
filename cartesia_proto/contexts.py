"""A context of a transport's WebSocket, without its I/O.

This module knows what a context is before it is opened on a connection, what it is afterwards, and what its reader is
told. It must not know locks, tasks or how one waits: each transport's own class, which stands on this, does.
"""

from collections.abc import Callable
from copy import copy

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.events import SpeechEvent
from cartesia_proto.config import Config
from cartesia_proto.conversation import TTSConversation, speech_or_end
from cartesia_proto.errors import CartesiaError, LocalProtocolError
from cartesia_proto.sessions.events import TERMINAL, ContextEnded, Failed, TerminalEvent, Timing, UnspokenPlan
from cartesia_proto.sessions.settings import ContextSettings
from cartesia_proto.sessions.states import State
from cartesia_proto.sessions.tts import TTSSession


class ConversationContext:
    """The base of each transport's own class of contexts. Users receive contexts and never make them.

    It is there before there is a connection. Until it is opened on one, a context of a session of its own stands in
    for it, so that it has its id, a state and settings that were checked; it may be cancelled then, too.

    Args:
        config, random: as for `TTSConversation`.
        settings: as `TTSSession.context` takes them.
        transcript: the whole text, where it is known: to be sent when the context is entered or first read.

    Raises:
        LocalProtocolError: a setting is malformed, or the transcript is empty.
    """

    def __init__(
        self,
        config: Config,
        random: Callable[[], float],
        settings: ContextSettings,
        transcript: str | None = None,
    ) -> None:
        if transcript is not None and not transcript:
            raise LocalProtocolError("the transcript is empty: there is nothing to say")
        self._context = TTSSession(config, random).context(**settings)
        self._settings: ContextSettings = {**settings, "context_id": self._context.id}
        self._conversation: TTSConversation | None = None
        self._transcript = transcript
        self._reading = False
        self._heard_out = False
        self._failure: CartesiaError | None = None

    @property
    def id(self) -> str:
        """Sent with every message; the one that was given, or a random UUID."""
        return self._context.id

    @property
    def format(self) -> RawFormat:
        """The format of its audio."""
        return self._context.format

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._context.state

    @property
    def timing(self) -> Timing:
        """When things happened to it, in the monotonic seconds of its transport."""
        return self._context.timing

    @property
    def terminal(self) -> TerminalEvent | None:
        """The event it ended in, None while it has not."""
        return self._context.terminal

    def unspoken(self) -> UnspokenPlan:
        """What it was told and is not known to have said, in any state."""
        return self._context.unspoken()

    # What transports call.

    def _open(self, conversation: TTSConversation) -> TTSConversation:
        """Begin on a conversation, unless it has begun on one; answers with the one it is on.

        Raises:
            ContextEnded: it was cancelled before.
            ConnectionLost: the connection is at its end.
            LocalProtocolError: as `TTSConversation.open`.
        """
        self._check_not_cancelled()
        if self._conversation is None:
            if conversation.session.lost is not None:  # the peer said yes and goodbye in one breath
                raise copy(conversation.session.lost)
            self._context = conversation.open(**self._settings)
            self._conversation = conversation
        return self._conversation

    def _check_not_cancelled(self) -> None:
        """Say so where it was cancelled before it was opened: no connection is needed for that.

        Raises:
            ContextEnded: it was.
        """
        if self._conversation is None and self._context.terminal is not None:
            raise ContextEnded(f"context {self.id} was cancelled before it began", self._context.terminal)

    def _check_sent(self) -> None:
        """Say so where the connection was lost while something was being sent.

        Raises:
            ContextEnded: the context failed with its connection.
        """
        if self._conversation is not None and self._conversation.over and isinstance(self.terminal, Failed):
            raise ContextEnded(f"the connection of context {self.id} was lost while it was sent to", self.terminal)

    def _cancel(self, now: float) -> set[str]:
        """End it for its reader at once; answers with whom to wake. Never raises."""
        if self._conversation is not None:
            return self._conversation.cancel(self._context, now)
        self._context.cancel(now)
        return {self.id}

    def _leave(self, now: float) -> set[str]:
        """Stop reading for good, and cancel it unless it has ended; answers with whom to wake. Never raises."""
        self._heard_out = True
        return self._cancel(now)

    def _begin_reading(self) -> None:
        """Keep other readers out, until `_reading` is false again.

        Raises:
            LocalProtocolError: somebody is reading.
        """
        if self._reading:
            raise LocalProtocolError(f"context {self.id} is being read: a context has one reader at a time")
        self._reading = True

    def _take(self) -> SpeechEvent | None:
        """The next event; None where there is none yet, or, if it is `_heard_out`, no more.

        Raises:
            CartesiaError: the context failed; this is why. There are no more events.
        """
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if self._conversation is None:
            self._heard_out = self._heard_out or self.terminal is not None
            return None
        event = self._conversation.take(self._context)
        if event is None and not self._heard_out:
            event = self.terminal  # where it is set and nothing waits, the context was cancelled
        if event is None or not isinstance(event, TERMINAL):
            return event
        self._heard_out = True
        return speech_or_end(event)

    def _take_all(self) -> list[SpeechEvent]:
        """Every event that has arrived; otherwise as `_take`.

        Raises:
            CartesiaError: as `_take`, once the events before it were taken.
        """
        events: list[SpeechEvent] = []
        try:
            while (event := self._take()) is not None:
                events.append(event)
        except CartesiaError as error:
            if not events:
                raise
            self._failure = error.with_traceback(None)
        return events
