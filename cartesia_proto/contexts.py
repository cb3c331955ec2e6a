"""A context of a transport's WebSocket, without its I/O.

This module knows what a context is before it is opened on a connection, what it is afterwards, and what its reader is
told. It must not know locks, tasks or how one waits: each transport's own class, which stands on this, does.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from typing import cast, final

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.events import Done, SpeechEvent
from cartesia_proto.config import Config
from cartesia_proto.conversation import TTSConversation
from cartesia_proto.errors import CartesiaError, LocalProtocolError
from cartesia_proto.sessions.events import (
    TERMINAL,
    ContextEnded,
    ContextEvent,
    Failed,
    TerminalEvent,
    Timing,
    UnspokenPlan,
)
from cartesia_proto.sessions.settings import ContextSettings
from cartesia_proto.sessions.states import State
from cartesia_proto.sessions.tts import TTSSession
from cartesia_proto.wire.forks import FORKS


class ConversationContext:
    """The base of each transport's own class of contexts. Users receive contexts and never make them.

    It is there before there is a connection. Until it is opened on one, it belongs to a session of its own, so that it
    has its id, a state and settings that were checked; it may be cancelled then, too. Once its user has dropped it,
    nothing is kept for it.

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
        if transcript is not None:
            self._context.check(transcript)
        self._conversation: TTSConversation | None = None
        self._transcript = transcript
        self._alone = FORKS.watch(Alone(self._context.id), Alone.__exit__)
        self._taken: deque[SpeechEvent] = deque()  # from the conversation, at once, but not yet by the reader
        self._coming: deque[ContextEvent] = deque()  # the same one; where an interruption struck, the next one already
        self._heard_out = False  # nothing but what was taken is to be heard: it is at its end, or the reader has left
        self._end_told = False  # to the reader, who has nothing to read again
        self._heard: TerminalEvent | None = None
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
        """The event it ended in, None while it has not; once its reader was told another, that."""
        return self._context.terminal if self._heard is None else self._heard

    def unspoken(self) -> UnspokenPlan:
        """What it was told and is not known to have said, in any state."""
        return self._context.unspoken()

    # What transports call.

    def _open(self, conversation: TTSConversation) -> TTSConversation:
        """Begin on a conversation, unless it has begun on one; answers with the one it is on.

        Raises:
            ContextEnded: it was over before.
            ConnectionLost: the connection is at its end.
            LocalProtocolError: as `TTSConversation.adopt`.
        """
        self._check_not_over()
        if self._conversation is None:
            if conversation.session.lost is not None:  # the peer said yes and goodbye in one breath
                raise copy(conversation.session.lost)
            conversation.adopt(self, self._context)
            self._conversation = self._alone.conversation = conversation
        return self._conversation

    def _check_not_over(self) -> None:
        """Say so where it was over before it was opened: no connection is needed for that.

        Raises:
            ContextEnded: it was cancelled, or the connection was torn on which it was being opened.
        """
        if self._conversation is None and self._context.terminal is not None:
            words = f"context {self.id} is {self.state.value}: it was over before it began"
            raise ContextEnded(words, self._context.terminal)

    def _ready(self) -> TTSConversation | None:
        """The conversation it is on, None where it is on none yet.

        Raises:
            ContextEnded: it was over before it was on one.
            LocalProtocolError: its whole text is known.
        """
        self._check_not_over()
        if self._transcript is not None:
            raise LocalProtocolError(f"the whole text of context {self.id} was given: nothing can be said besides")
        return self._conversation

    def _ready_to_begin(self) -> TTSConversation | None:
        """As `_ready`, for whoever says the text that was known from the beginning.

        Raises:
            ContextEnded: as `_ready`.
        """
        self._check_not_over()
        return self._conversation

    @property
    def _begun(self) -> bool:
        """Whether there is nothing to be said before it is read: it was opened, and its text, if known, was said."""
        return (self._transcript is None and self._conversation is not None) or self.terminal is not None

    def _begin(self, conversation: TTSConversation, now: float) -> bool:
        """Open it, and say the text that was known from the beginning; whether there was one.

        Raises:
            ContextEnded: it was over before.
        """
        conversation = self._open(conversation)
        transcript, self._transcript = self._transcript, None
        if transcript is None:
            return False
        conversation.finish(self._context, now, transcript)
        return True

    def _check_sent(self) -> None:
        """Say so where the connection was lost while something was being sent.

        Raises:
            ContextEnded: the context failed with its connection.
        """
        if self._conversation is not None and self._conversation.over and isinstance(self.terminal, Failed):
            raise ContextEnded(f"the connection of context {self.id} was lost while it was sent to", self.terminal)

    def _check_done(self) -> None:
        """Say so where what was heard is not all there was to be heard.

        Raises:
            ContextEnded: the context was cancelled, has failed, or was done but left before that was heard.
        """
        end = self.terminal
        if end is not None and not isinstance(self._heard if self._heard_out else end, Done):
            raise ContextEnded(f"context {self.id} is {self.state.value}: its audio is not complete", end)

    def _cancel(self, now: float) -> set[str]:
        """End it for its reader at once; answers with whom to wake. Never raises."""
        self._taken.clear()
        self._coming.clear()
        if self._conversation is not None:
            return self._conversation.cancel(self._context, now)
        self._context.cancel(now)
        return {self.id}

    def _leave(self, now: float) -> set[str]:
        """Stop reading for good, and cancel it unless it has ended; answers with whom to wake. Never raises."""
        self._heard_out = self._end_told = True
        self._failure = None
        return self._cancel(now)

    def _leave_begun(self, now: float) -> set[str]:
        """Leave, unless the context has not begun: then it can be tried again."""
        return set() if self._conversation is None else self._leave(now)

    def _at_hand(self) -> SpeechEvent | None:
        """The next of the events that were taken already, unless somebody is reading. Also between two turns."""
        if not self._taken or self._alone.taken:
            return None
        try:
            return self._taken.popleft()
        except IndexError:  # it was cancelled just now
            return None

    def _arrived(self) -> bool:
        """Whether there are events in `_taken`. If there are none, what has arrived is taken, all at once.

        An interruption may strike anywhere: what it leaves half done is done again; no event is lost, none comes twice.

        Raises:
            CartesiaError: the context failed; this is why. There are no more events.
        """
        if self._taken:
            return True
        if self._conversation is not None and not self._coming:
            self._conversation.hand_over(self._context, self._keep)
        if self._coming:
            self._part()
        elif not self._heard_out and (end := self._context.terminal) is not None:
            # Nothing waits: it was cancelled, or never opened. If it was done, that was dropped, and so was not heard.
            self._hear_out(None if isinstance(end, Done) else end)
        if self._failure is not None and not self._taken:
            failure, self._failure = self._failure, None
            self._end_told = True
            raise failure
        return bool(self._taken)

    def _take_all(self) -> list[SpeechEvent]:
        """Every event that has arrived; none where there is none yet, or, if it is `_heard_out`, no more.

        Raises:
            CartesiaError: as `_arrived`.
        """
        if not self._arrived():
            return []
        taken: list[SpeechEvent] = []
        with suppress(IndexError):
            while True:  # one by one: another thread may take one, or empty them, between any two
                taken.append(self._taken.popleft())
        return taken

    def _tell_end(self) -> bool:
        """Whether there is no more to be heard, which whoever asks tells the reader."""
        self._end_told = self._heard_out
        return self._heard_out

    def _check_end_untold(self) -> None:
        """Refuse a reader who was told the end: another would take it for a context without events.

        Raises:
            LocalProtocolError: the context was read to its end, has failed its reader, or was left.
        """
        if self._end_told:
            raise LocalProtocolError(f"context {self.id} was read to its end, or left: its events come once")

    def _keep(self, events: deque[ContextEvent]) -> None:
        self._coming = events

    def _part(self) -> None:
        """Part what comes from the terminal event, which is the last one if it is among them."""
        last = self._coming[-1]
        if isinstance(last, TERMINAL):
            self._hear_out(last)
            self._coming.pop()
        self._taken = cast("deque[SpeechEvent]", self._coming)

    def _hear_out(self, end: TerminalEvent | None) -> None:
        """Note the end that was heard, if any, and what it failed by until the events before that were taken."""
        self._heard = end
        self._failure = end.error if isinstance(end, Failed) else None
        self._heard_out = True


@final
class Alone:
    """Keeps other readers of a context out, as a ``with`` block: entered for every event, so it is no generator.

    Attributes:
        taken: somebody is reading.
        conversation: the one that the context is on, so that what is read comes on; None before it is on one.
    """

    __slots__ = ("__weakref__", "_id", "conversation", "taken")

    def __init__(self, id: str) -> None:
        self.taken: bool = False
        self.conversation: TTSConversation | None = None
        self._id = id

    def __enter__(self) -> None:
        """Begin to read.

        Raises:
            LocalProtocolError: somebody is reading.
        """
        if self.taken:
            raise LocalProtocolError(f"context {self._id} is being read: a context has one reader at a time")
        self.taken = True

    def __exit__(self, *_: object) -> None:
        """Read no more."""
        self.taken = False
