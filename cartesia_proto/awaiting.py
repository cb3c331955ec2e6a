"""WebSockets and contexts of awaiting clients: what users say and hear, on any event loop.

This module knows the verbs, their arguments and their order. It must not know how anything is waited for: a transport's
multiplexer does. No function here is asynchronous: what can be awaited is a coroutine of the multiplexer's.
"""

from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Literal, Never, Self, TypeVar, Unpack, final, overload

from cartesia_proto.audio.audio import Audio
from cartesia_proto.codecs.events import SpeechEvent
from cartesia_proto.config import Config
from cartesia_proto.contexts import Alone, ConversationContext
from cartesia_proto.conversation import TTSConversation
from cartesia_proto.lines import Check, Lines, Multiplexer, Ready, Saying, Step, close_all, in_steps
from cartesia_proto.sessions.settings import ContextSettings
from cartesia_proto.speech import GenerationConfig

T = TypeVar("T")


def _nothing(conversation: TTSConversation, now: float) -> bool:
    """Say nothing: being connected is all that is wanted."""
    del conversation, now
    return False


def _answer(value: T, multiplexer: Multiplexer, first: Step[None] | None = None) -> Coroutine[object, Never, T]:
    """A value that is there, after a first step."""
    return multiplexer.next("", lambda: value, Alone(""), first)


@final
class AsyncTTSWebSocketContext(ConversationContext, AbstractAsyncContextManager["AsyncTTSWebSocketContext"]):
    """One voice that says one text: an async iterator of events, for one task at a time, and an async context manager.

    Its verbs may be called by any task of its event loop. It is opened on a connection by what is first said on it, or
    when it is first read. Iteration ends when the context is done or was cancelled, and raises what it failed by;
    `terminal` keeps how it ended. Leaving the context before its end was received cancels it; ``break`` without
    ``async with`` cancels nothing. WebSockets make contexts; users receive them.
    """

    def __init__(
        self,
        lines: Lines,
        config: Config,
        random: Callable[[], float],
        settings: ContextSettings,
        transcript: str | None = None,
    ) -> None:
        super().__init__(config, random, settings, transcript)
        self._lines = lines
        self._multiplexer = lines.last  # what it is on, or would be opened on
        self._pieces: list[bytes] = []

    def push(
        self, transcript: str, *, generation_config: GenerationConfig | Mapping[str, object] | None = None
    ) -> Coroutine[object, Never, None]:
        """Say more; more may follow. Returns when it was written.

        Args:
            transcript: joined verbatim to what came before; you supply the spaces (protocol section 4.5).
            generation_config: for this input alone.

        Raises:
            LocalProtocolError: the transcript is empty, an argument is malformed, or `finish` was said.
            ContextEnded: the context is over; `.event` says how, `__cause__` why it failed.
            CartesiaError: no connection could be made; it can be tried again.
        """
        return self._say(
            lambda conversation, now: conversation.push(
                self._context, transcript, now, generation_config=generation_config
            )
        )

    def flush(self) -> Coroutine[object, Never, None]:
        """Have everything so far spoken without waiting for more; a `FlushDone` tells when it has been.

        Raises:
            CartesiaError: as `push`.
        """
        return self._say(lambda conversation, now: conversation.flush(self._context, now))

    def finish(
        self, transcript: str = "", *, generation_config: GenerationConfig | Mapping[str, object] | None = None
    ) -> Coroutine[object, Never, None]:
        """Say that nothing more follows, perhaps with the last piece of text.

        Raises:
            CartesiaError: as `push`.
        """
        return self._say(
            lambda conversation, now: conversation.finish(
                self._context, now, transcript, generation_config=generation_config
            )
        )

    def cancel(self) -> Coroutine[object, Never, None]:
        """End the context at once, for its reader too: nothing that waits or still comes is heard. Never raises."""
        return self._multiplexer.change(self._cancel)

    def aclose(self) -> Coroutine[object, Never, None]:
        """Leave the context: cancel it, unless its end was received. Idempotent, never raises."""
        return self._multiplexer.change(self._leave)

    def whole(self) -> Coroutine[object, Never, Audio]:
        """Read to the end, and answer with all of the audio that was not read before; a context left is cancelled.

        Raises:
            CartesiaError, LocalProtocolError: as for the next event.
            ContextEnded: it was cancelled, or had failed before, so this is not all of it.
        """
        return self._attempt(lambda: self._next(self._everything))

    def receive_batch(self) -> Coroutine[object, Never, list[SpeechEvent]]:
        """Everything that has arrived: at least one event, or none after the last, however often it is asked.

        Raises:
            CartesiaError, LocalProtocolError: as for the next event.
        """
        return self._next(self._batch)

    def __aenter__(  # pyright: ignore[reportIncompatibleMethodOverride]  # it has no name for what async def makes
        self,
    ) -> Coroutine[object, Never, Self]:
        """The context itself. Where its whole text is known, send it; if that was begun and is cancelled, leave.

        Raises:
            CartesiaError: no connection could be made.
        """
        begun = self._transcript is None or self.terminal is not None
        first = None if begun else self._say_first
        return self._attempt(lambda: _answer(self, self._multiplexer, first))

    def __aexit__(  # pyright: ignore[reportIncompatibleMethodOverride]  # as above
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> Coroutine[object, Never, None]:
        """Leave."""
        return self.aclose()

    def __aiter__(self) -> Self:
        """The context itself.

        Raises:
            LocalProtocolError: it was read to its end before, or left: its events come once.
        """
        self._check_end_untold()
        return self

    def __anext__(self) -> Coroutine[object, Never, SpeechEvent]:
        """The next event.

        Raises:
            StopAsyncIteration: after the last event, a cancel or a failure.
            CartesiaError: what the context failed by, after the events before it; or no connection could be made.
            LocalProtocolError: another task reads the context.
        """
        if self._taken:  # nearly nothing is left to be done
            return self._multiplexer.at_hand(self._taken, self._alone, self._next_event)
        return self._next_event()

    def _next_event(self) -> Coroutine[object, Never, SpeechEvent]:
        return self._next(self._event)

    def _say(self, say: Callable[[TTSConversation, float], None]) -> Coroutine[object, Never, None]:
        def opened(conversation: TTSConversation, now: float) -> bool:
            say(self._open(conversation), now)
            return True

        return self._say_on_a_line(self._ready, opened, self._check_sent)

    def _say_first(self) -> Coroutine[object, Never, None]:
        """Open the context, and say the text that was known from the beginning; where that fails, reading tells."""
        return self._say_on_a_line(self._ready_to_begin, self._begin, lambda: None)

    def _next(self, take: Callable[[], T | None]) -> Coroutine[object, Never, T]:
        if self._begun:
            return self._multiplexer.next(self.id, take, self._alone, None)
        return in_steps(self._multiplexer, lambda: self._begin_and_take(take))

    def _begin_and_take(self, take: Callable[[], T | None]) -> Generator[Any, Any, T]:
        """Begin, and then wait where the context is."""
        yield from self._multiplexer.next(self.id, lambda: True, self._alone, self._say_first).__await__()
        return (yield from self._multiplexer.next(self.id, take, self._alone, None).__await__())

    def _attempt(self, step: Step[T]) -> Coroutine[object, Never, T]:
        """Take a step; where it fails or is cancelled, leave the context, if it has begun."""
        return in_steps(self._multiplexer, lambda: self._take_or_leave(step))

    def _take_or_leave(self, step: Step[T]) -> Generator[Any, Any, T]:
        try:
            return (yield from step().__await__())
        except BaseException:
            yield from self._multiplexer.change(self._leave_begun).__await__()
            raise

    # Which multiplexer.

    def _say_on_a_line(self, ready: Ready, say: Saying, check: Check) -> Coroutine[object, Never, None]:
        """Say something where the context is; open it, if it is nowhere yet, where that can be."""
        if self._conversation is not None:
            return self._multiplexer.say(self.id, ready, say, check)
        return in_steps(self._multiplexer, lambda: self._try_lines(ready, say, check))

    def _try_lines(self, ready: Ready, say: Saying, check: Check) -> Generator[Any, Any, None]:
        while not (yield from self._try_line(ready, say, check)):
            pass

    def _try_line(self, ready: Ready, say: Saying, check: Check) -> Generator[Any, Any, bool]:
        """Say something on one line; False where it turned out that it is for another."""
        line = self._lines.current() if self._conversation is None else None
        multiplexer = self._multiplexer if line is None else line.multiplexer
        self._multiplexer = multiplexer
        here = True

        def say_here(conversation: TTSConversation, now: float) -> bool:
            nonlocal here
            if self._conversation is None and line is not None:
                here = self._lines.takes(line, conversation)
                self._multiplexer = multiplexer
            else:  # another verb has opened it meanwhile
                here = self._multiplexer is multiplexer
            return here and say(conversation, now)

        yield from multiplexer.say(self.id, ready, say_here, lambda: check() if here else None).__await__()
        return here

    def _event(self) -> SpeechEvent | None:
        """The next event, None where there is none yet."""
        if self._arrived():
            return self._taken.popleft()
        if self._tell_end():
            raise StopAsyncIteration
        return None

    def _batch(self) -> list[SpeechEvent] | None:
        """Every event that has arrived, None where there is none yet."""
        return self._take_all() or ([] if self._tell_end() else None)

    def _everything(self) -> Audio | None:
        """All of the audio, None until the end."""
        while events := self._take_all():  # until it says what it failed by
            self._pieces += [event.audio for event in events]
        if not self._heard_out:
            return None
        self._check_done()
        return Audio(b"".join(self._pieces), self.format)


@final
class AsyncTTSWebSocket(AbstractAsyncContextManager["AsyncTTSWebSocket"]):
    """Many contexts over one connection, which is made when it is first needed: an async context manager.

    Any number of tasks of one event loop may share it. There is no task behind it: whoever waits for an event reads
    for all; where nobody waits for long, `run` keeps the connection alive. A connection that ends, ends its contexts;
    the next context is opened on a new one, as after a context that stalled, beside which others go on where they are.
    Clients make WebSockets; users receive them.
    """

    def __init__(
        self,
        multiplexer: Multiplexer,
        config: Config,
        random: Callable[[], float],
        another: Callable[[], Multiplexer] | None = None,
    ) -> None:
        self._lines = Lines(multiplexer, another)
        self._config = config
        self._random = random

    def connect(self) -> Coroutine[object, Never, None]:
        """Connect ahead of the first context. Does nothing while there is a connection.

        Raises:
            CartesiaError: no connection could be made; the next context tries again.
            LocalProtocolError: the WebSocket or its client is closed, or there are no credentials.
        """
        return self._lines.current().multiplexer.say("", lambda: None, _nothing, lambda: None)

    def run(self) -> Coroutine[object, Never, None]:
        """Connect unless there is a connection, and read until it has ended, for others to receive.

        It keeps a connection alive on which nobody waits for events. Start it in a task of your own.

        Raises:
            CartesiaError: as `connect`.
        """
        return self._lines.current().multiplexer.run()

    def aclose(self) -> Coroutine[object, Never, None]:
        """End every open context, say goodbye, and close the connection, after a few seconds at most. Idempotent.

        Whatever needs a connection later raises `LocalProtocolError`.
        """
        return close_all(self._lines.close())

    def context(self, **settings: Unpack[ContextSettings]) -> AsyncTTSWebSocketContext:
        """A context: one voice that says one text, handed over in pieces. Nothing is sent before something is said.

        Args:
            See `ContextSettings`; `model_id`, `voice` and `output_format` are needed. They hold for its whole life.

        Raises:
            LocalProtocolError: a setting is missing or malformed.
        """
        return AsyncTTSWebSocketContext(self._lines, self._config, self._random, settings)

    @overload
    def send(
        self, *, transcript: str, stream: Literal[True] = True, **settings: Unpack[ContextSettings]
    ) -> AsyncTTSWebSocketContext: ...

    @overload
    def send(
        self, *, transcript: str, stream: Literal[False], **settings: Unpack[ContextSettings]
    ) -> Coroutine[object, Never, Audio]: ...

    def send(
        self, *, transcript: str, stream: bool = True, **settings: Unpack[ContextSettings]
    ) -> AsyncTTSWebSocketContext | Coroutine[object, Never, Audio]:
        """Speak a whole text in a context of its own.

        Args:
            transcript: sent as it is.
            stream: True answers with the context, to be iterated over, not awaited; the text is sent when it is entered
                or first read. False answers with a coroutine of the whole `Audio`.
            settings: as for `context`.

        Raises:
            LocalProtocolError: as `context`, or the transcript is empty.
            CartesiaError: when awaited, as iterating does.
        """
        context = AsyncTTSWebSocketContext(self._lines, self._config, self._random, settings, transcript)
        return context if stream else context.whole()

    def __aenter__(  # pyright: ignore[reportIncompatibleMethodOverride]  # it has no name for what async def makes
        self,
    ) -> Coroutine[object, Never, Self]:
        """The WebSocket itself; nothing is sent."""
        return _answer(self, self._lines.last)

    def __aexit__(  # pyright: ignore[reportIncompatibleMethodOverride]  # as above
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> Coroutine[object, Never, None]:
        """Close."""
        return self.aclose()
