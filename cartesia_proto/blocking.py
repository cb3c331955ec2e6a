"""WebSockets and contexts of blocking clients: what users say and hear, in any thread.

This module knows the verbs, their arguments and their order; `awaiting` is the same for event loops. It must not know
how anything is waited for, nor whose turn it is: a transport's multiplexer does.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Literal, Protocol, Self, TypeAlias, TypeVar, Unpack, final, overload

from cartesia_proto.audio.audio import Audio
from cartesia_proto.codecs.events import SpeechEvent
from cartesia_proto.config import Config
from cartesia_proto.contexts import Alone, ConversationContext
from cartesia_proto.conversation import TTSConversation
from cartesia_proto.sessions.events import ContextEnded
from cartesia_proto.sessions.settings import ContextSettings
from cartesia_proto.speech import GenerationConfig

T = TypeVar("T")

Saying: TypeAlias = Callable[[TTSConversation, float], object]
"""Says something on a conversation, at a time in monotonic seconds."""

Taking: TypeAlias = Callable[[], T | None]
"""Takes what has arrived; None where that is nothing yet."""

Ready: TypeAlias = Callable[[], TTSConversation | None]
"""The conversation that a context is on, None before it is on one; raises where it was over before."""

Step: TypeAlias = Callable[[], None]
"""Something to be done at its turn."""


class Multiplexer(Protocol):
    """What a transport makes of connections, one after another, for the contexts of one WebSocket.

    Whatever it is given to call, it calls in a turn of the calling thread: no two threads at once.
    """

    def connect(self) -> None:
        """Connect, unless there is a connection."""
        ...

    def run(self) -> None:
        """Connect, unless there is a connection, and read until it has ended."""
        ...

    def close(self) -> None:
        """End every context, say goodbye, and connect no more. Never raises."""
        ...

    def say(self, id: str, ready: Ready, say: Saying, check: Step) -> None:
        """Say something on the conversation that is ready, or on a new connection's; once that is written, check.

        A connection is waited for no longer than until a change concerns the id, if what is `ready` then raises.
        """
        ...

    def change(self, change: Callable[[float], set[str]]) -> None:
        """Do at once what ends a context, and what follows from it. Never raises; waits for another's turn at most."""
        ...

    def next(self, id: str, take: Taking[T], alone: Alone, first: Step | None) -> T:
        """Take the first step, then wait until something is taken; try when something comes for the id.

        It comes on the conversation that the context is on once that step is taken: `Alone.conversation`.
        """
        ...


@final
class TTSWebSocketContext(ConversationContext):
    """One voice that says one text: an iterator of events, for one thread at a time, and a context manager.

    Its verbs may be called by any thread. It is opened on a connection by what is first said on it, or when it is first
    read. Iteration ends when the context is done or was cancelled, and raises what it failed by; `terminal` keeps how
    it ended. Leaving the context before its end was received cancels it; ``break`` without ``with`` cancels nothing.
    WebSockets make contexts; users receive them.
    """

    def __init__(
        self,
        multiplexer: Multiplexer,
        config: Config,
        random: Callable[[], float],
        settings: ContextSettings,
        transcript: str | None = None,
    ) -> None:
        super().__init__(config, random, settings, transcript)
        self._multiplexer = multiplexer

    def push(
        self, transcript: str, *, generation_config: GenerationConfig | Mapping[str, object] | None = None
    ) -> None:
        """Say more; more may follow. Returns when it was written.

        Args:
            transcript: joined verbatim to what came before; you supply the spaces (protocol section 4.5).
            generation_config: for this input alone.

        Raises:
            LocalProtocolError: the transcript is empty, an argument is malformed, or `finish` was said.
            ContextEnded: the context is over; `.event` says how, `__cause__` why it failed.
            CartesiaError: no connection could be made; it can be tried again.
        """
        self._say(
            lambda conversation, now: conversation.push(
                self._context, transcript, now, generation_config=generation_config
            )
        )

    def flush(self) -> None:
        """Have everything so far spoken without waiting for more; a `FlushDone` tells when it has been.

        Raises:
            CartesiaError: as `push`.
        """
        self._say(lambda conversation, now: conversation.flush(self._context, now))

    def finish(
        self, transcript: str = "", *, generation_config: GenerationConfig | Mapping[str, object] | None = None
    ) -> None:
        """Say that nothing more follows, perhaps with the last piece of text.

        Raises:
            CartesiaError: as `push`.
        """
        self._say(
            lambda conversation, now: conversation.finish(
                self._context, now, transcript, generation_config=generation_config
            )
        )

    def cancel(self) -> None:
        """End the context at once, for its reader too: nothing that waits or still comes is heard.

        Idempotent, never raises, and waits for no more than another thread's turn, in which nothing is waited for; from
        any thread, at any moment, in signal handlers and finalisers too.
        """
        self._multiplexer.change(self._cancel)

    def close(self) -> None:
        """Leave the context: cancel it, unless its end was received. Otherwise as `cancel`."""
        self._multiplexer.change(self._leave)

    def receive_batch(self) -> list[SpeechEvent]:
        """Everything that has arrived: at least one event, or none after the last, however often it is asked.

        An exception out of a signal handler, as KeyboardInterrupt, may lose the batch that is just being handed out.

        Raises:
            CartesiaError, LocalProtocolError: as for the next event.
        """
        return self._next(self._batch)

    def __enter__(self) -> Self:
        """The context itself. Where its whole text is known, send it; if that was begun and is interrupted, leave.

        Raises:
            CartesiaError: no connection could be made; it can be tried again.
        """
        if self._transcript is not None and self.terminal is None:
            try:
                self._say_first()
            except BaseException:
                self._multiplexer.change(self._leave_begun)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Leave."""
        self.close()

    def __iter__(self) -> Self:
        """The context itself.

        Raises:
            LocalProtocolError: it was read to its end before, or left: its events come once.
        """
        self._check_end_untold()
        return self

    def __next__(self) -> SpeechEvent:
        """The next event.

        An exception out of a signal handler, as KeyboardInterrupt, may lose the one that is just being handed out.

        Raises:
            StopIteration: after the last event, a cancel or a failure.
            CartesiaError: what the context failed by, after the events before it; or no connection could be made.
            LocalProtocolError: another thread reads the context.
        """
        while (event := self._at_hand()) is None:
            if not self._next(self._more):
                raise StopIteration
        return event

    def _say(self, say: Saying) -> None:
        self._multiplexer.say(
            self.id, self._ready, lambda conversation, now: say(self._open(conversation), now), self._check_sent
        )

    def _say_first(self) -> None:
        """Open the context, and say the text that was known from the beginning; where that fails, reading tells."""
        with suppress(ContextEnded):
            self._multiplexer.say(self.id, self._ready_to_begin, self._begin, lambda: None)

    def _next(self, take: Taking[T]) -> T:
        return self._multiplexer.next(self.id, take, self._alone, None if self._begun else self._say_first)

    def _more(self) -> bool | None:
        """Whether there is anything at hand; None where there is nothing yet."""
        return self._arrived() or (False if self._tell_end() else None)

    def _batch(self) -> list[SpeechEvent] | None:
        """Every event that has arrived, none at the end, None where there is none yet."""
        return self._take_all() or ([] if self._tell_end() else None)


@final
class TTSWebSocket:
    """Many contexts over one connection, which is made when it is first needed: a context manager.

    Any number of threads may share it. There is no thread behind it: whoever waits for an event reads for all; where
    nobody waits for long, `run` keeps the connection alive. A connection that ends, ends its contexts; the next context
    is opened on a new one, as after a context that stalled, beside which others go on where they are. Clients make
    WebSockets; users receive them.
    """

    def __init__(self, multiplexer: Multiplexer, config: Config, random: Callable[[], float]) -> None:
        self._multiplexer = multiplexer
        self._config = config
        self._random = random

    def connect(self) -> None:
        """Connect ahead of the first context. Does nothing while there is a connection.

        Raises:
            CartesiaError: no connection could be made; the next context tries again.
            LocalProtocolError: the WebSocket or its client is closed, or there are no credentials.
        """
        self._multiplexer.connect()

    def run(self) -> None:
        """Connect unless there is a connection, and read until it has ended, for others to receive.

        It keeps a connection alive on which nobody waits for events. Call it in a thread of your own.

        Raises:
            CartesiaError: as `connect`.
        """
        self._multiplexer.run()

    def close(self) -> None:
        """End every open context, say goodbye, and close the connection, after a few seconds at most.

        Idempotent, never raises, from any thread. Whatever needs a connection later raises `LocalProtocolError`.
        """
        self._multiplexer.close()

    def context(self, **settings: Unpack[ContextSettings]) -> TTSWebSocketContext:
        """A context: one voice that says one text, handed over in pieces. Nothing is sent before something is said.

        Args:
            See `ContextSettings`; `model_id`, `voice` and `output_format` are needed. They hold for its whole life.

        Raises:
            LocalProtocolError: a setting is missing or malformed.
        """
        return TTSWebSocketContext(self._multiplexer, self._config, self._random, settings)

    @overload
    def send(
        self, *, transcript: str, stream: Literal[True] = True, **settings: Unpack[ContextSettings]
    ) -> TTSWebSocketContext: ...

    @overload
    def send(self, *, transcript: str, stream: Literal[False], **settings: Unpack[ContextSettings]) -> Audio: ...

    def send(
        self, *, transcript: str, stream: bool = True, **settings: Unpack[ContextSettings]
    ) -> TTSWebSocketContext | Audio:
        """Speak a whole text in a context of its own.

        Args:
            transcript: sent as it is.
            stream: True answers with the context, to be iterated over; the text is sent when it is entered or first
                read. False waits, and answers with the whole `Audio`.
            settings: as for `context`.

        Raises:
            LocalProtocolError: as `context`, or the transcript is empty.
            CartesiaError: where the whole audio is waited for, as iterating does.
        """
        context = TTSWebSocketContext(self._multiplexer, self._config, self._random, settings, transcript)
        if stream:
            return context
        with context:
            return Audio(b"".join(event.audio for event in context), context.format)

    def __enter__(self) -> Self:
        """The WebSocket itself; nothing is sent."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Close."""
        self.close()
