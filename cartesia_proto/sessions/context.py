"""One context: what it was told, what came back, and how it ended.

This module knows the messages of one context (protocol sections 4.2 to 4.5) and keeps its books: inputs not yet spoken,
audio received, times. It must not know other contexts nor who a frame is for: `tts` does. State changes through
`states.step` alone.
"""

import math
from collections import deque
from collections.abc import Mapping
from typing import Final, Protocol, final

from attrs import evolve

from cartesia_proto.audio.formats import SAMPLE_WIDTHS, RawFormat
from cartesia_proto.audio.pcm import SampleAligner, duration
from cartesia_proto.codecs import json
from cartesia_proto.codecs.events import AudioChunk, Done, ErrorEvent, FlushDone, SpeechEvent, TTSEvent, build_events
from cartesia_proto.errors import (
    ApiError,
    CartesiaError,
    ConnectionLost,
    JsonValue,
    LocalProtocolError,
    RemoteProtocolError,
    TimeoutError,
)
from cartesia_proto.parameters import Parameters
from cartesia_proto.sessions.events import (
    Cancelled,
    ContextEnded,
    ContextEvent,
    Failed,
    SpokenInput,
    TerminalEvent,
    Timing,
    UnspokenPlan,
    overflow_error,
)
from cartesia_proto.sessions.settings import LockedSettings
from cartesia_proto.sessions.states import LISTENING, OVER, Input, State, step
from cartesia_proto.speech import GenerationConfig

FLUSH: Final[None] = None
"""What stands for a flush among the inputs not yet spoken."""


class Registry(Protocol):
    """What a context needs of its session."""

    @property
    def lost(self) -> ConnectionLost | None:
        """How the connection ended, None while it stands."""
        ...

    def context_spoke(self, context: "TTSContext") -> None:
        """Something was said on the context: the server has heard of it, and its deadline may have begun to run."""
        ...

    def context_left(self, context: "TTSContext") -> None:
        """The context, which has said nothing, is another session's."""
        ...

    def context_ended(self, context: "TTSContext") -> None:
        """The context is over."""
        ...

    def without_secrets(self, error: ApiError) -> ApiError:
        """An error of the server's in which the session's secrets do not show."""
        ...


@final
class TTSContext:
    """One voice saying one text, handed over in pieces. Made by `TTSSession.context`, never by users.

    Attributes:
        id: sent with every message.
        version: the API version that its messages are written for.
        format: of its audio.
        state: where it stands, see `states`.
        timing: when things happened to it.
        terminal: the event it ended in, None while it has not.

    Raises:
        LocalProtocolError: JSON cannot carry a setting, or the id.
    """

    def __init__(
        self,
        id: str,
        settings: LockedSettings,
        registry: Registry,
        timeout: float,
    ) -> None:
        self.id = id
        self.version: str = settings.version
        self.format: RawFormat = settings.format
        self.state: State = State.NEW
        self.timing: Timing = Timing()
        self.terminal: TerminalEvent | None = None
        self._settings: Mapping[str, JsonValue] = {**settings.fields, "context_id": id}
        self._head = json.dumps(self._settings)[:-1]  # of every message, written once
        self._stall_timeout = timeout if settings.stall_timeout is None else settings.stall_timeout
        self._registry = registry
        self._last_activity = 0.0
        self._finish_said = False
        self._stop_unsaid = False  # we ended it, and the server may speak on
        self._waiting: deque[SpokenInput | None] = deque()  # not known to be spoken; FLUSH where one was asked for
        self._samples = SampleAligner(settings.format.frame_size)
        self._audio_bytes = 0

    def push(
        self,
        transcript: str,
        now: float,
        *,
        generation_config: GenerationConfig | Mapping[str, object] | None = None,
    ) -> str:
        """Say more; more may follow.

        Args:
            transcript: joined verbatim to what came before; you supply the spaces (protocol section 4.5).
            now: monotonic seconds.
            generation_config: for this input alone. The vendor's documents and examples disagree on whether it may
                vary within a context (protocol section 4.5), so the server has the last word.

        Returns:
            The message to send.

        Raises:
            LocalProtocolError: the transcript is empty, an argument is malformed, or `finish` was said. Nothing
                changed.
            ContextEnded: the context is over; nothing changed.
        """
        said = _spoken(transcript, generation_config)
        if not said.transcript:
            raise LocalProtocolError("the transcript is empty: only flush and finish may say nothing")
        message = self._message(said, {"continue": True})
        self._say(Input.PUSH, now, said)
        return message

    def flush(self, now: float) -> str:
        """Have everything so far spoken without waiting for more; a `FlushDone` tells when it has been.

        Returns:
            The message to send.

        Raises:
            LocalProtocolError, ContextEnded: as `push`.
        """
        message = self._message(SpokenInput(""), {"continue": True, "flush": True})
        self._say(Input.FLUSH, now, FLUSH)
        return message

    def finish(
        self,
        now: float,
        transcript: str = "",
        *,
        generation_config: GenerationConfig | Mapping[str, object] | None = None,
    ) -> str:
        """Say that nothing more follows, perhaps with the last piece of text.

        Returns:
            The message to send.

        Raises:
            LocalProtocolError, ContextEnded: as `push`.
        """
        said = _spoken(transcript, generation_config)
        message = self._message(said, {"continue": False})
        self._say(Input.FINISH, now, *([said] if said.transcript else []))
        self._finish_said = True
        return message

    def check(self, transcript: str) -> None:
        """Refuse a text that `push` and `finish` would refuse, before it is their turn.

        Raises:
            LocalProtocolError: the transcript is no text, or has a lone surrogate.
        """
        self._message(_spoken(transcript, None), {})

    def cancel(self, now: float) -> tuple[str | None, Cancelled | None]:
        """End the context at once, for its reader too. Legal in every state, never raises.

        The server finishes what it is generating just now (protocol section 4.5); the session drops that.

        Returns:
            The message to send (None if the server never heard of the context) and the terminal event; (None, None) if
            the context was over already. Where a stall or an overflow had ended it, the first call still answers with
            the message, as the server speaks on until it has that or the connection is lost.
        """
        if self.state in OVER:
            unsaid, self._stop_unsaid = self._stop_unsaid and self._registry.lost is None, False
            return cancel_message(self.id) if unsaid else None, None
        message = None if self.state is State.NEW else cancel_message(self.id)
        event = Cancelled(self.id)
        self._end(Input.CANCEL, event, now)
        return message, event

    def overflow(self, now: float) -> tuple[str | None, Failed | None]:
        """End the context because its reader left too much unread; `Inboxes` has told the reader. Never raises.

        Chunks that were received together with the one too many, after it, count as audio in `unspoken`, though they
        are heard by nobody; only later ones are `TTSSession.dropped_frames`.

        Returns:
            As `cancel`, with a `Failed`.
        """
        if step(self.state, Input.OVERFLOW) is self.state:
            return None, None
        event = Failed(self.id, overflow_error(self.id))
        self._end(Input.OVERFLOW, event, now)
        return cancel_message(self.id), event

    def unspoken(self) -> UnspokenPlan:
        """What this context was told and is not known to have said, in any state."""
        known = self.format.encoding in SAMPLE_WIDTHS
        seconds = duration(self._audio_bytes, self.format) if known else None
        inputs = tuple(said for said in self._waiting if said is not None)
        return UnspokenPlan(inputs, self._finish_said, self._audio_bytes, seconds)

    # What the session calls.

    def join(self, registry: Registry) -> None:
        """Belong to another session from now on.

        Raises:
            LocalProtocolError: something was said already, or the context is over; nothing changed.
        """
        if self.state is not State.NEW:
            raise LocalProtocolError(f"context {self.id} is {self.state.value}: only a new one can change its session")
        self._registry.context_left(self)
        self._registry = registry

    @property
    def listening(self) -> bool:
        """Whether a frame may be for this context: the server has heard of it, and it is not over."""
        return self.state in LISTENING

    def deadline(self) -> float | None:
        """When the context has been silent for too long, in monotonic seconds; None where nothing is owed.

        The server owes the end of what is finished, and, before that, what is not known to be spoken. A `finish` that
        is forgotten is so found out, unless all was flushed, which means to be slow to go on.
        """
        owed = self.state is State.FINISHING or (self.state is State.OPEN and self._waiting)
        return self._last_activity + self._stall_timeout if owed and self._stall_timeout < math.inf else None

    def stall(self, now: float) -> list[ContextEvent]:
        """End the context if its deadline has come."""
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return []
        unfinished = "" if self._finish_said else ", and it was not finished"
        words = f"no frame for context {self.id} for {self._stall_timeout:g} seconds{unfinished}"
        return self.fail(Input.STALL, TimeoutError(words, phase="stall", scope="context"), now)

    def fail(self, input: Input, error: CartesiaError, now: float) -> list[ContextEvent]:
        """End the context by an error, in which no secret shows; no event if it is over already."""
        event = Failed(self.id, error)
        return [event] if self._end(input, event, now) else []

    def receive(self, fields: Mapping[str, JsonValue], now: float) -> list[ContextEvent]:
        """The events of a frame for this context."""
        self._last_activity = now
        try:
            built = build_events(fields, "context")
        except RemoteProtocolError as error:  # told anew: its traceback would hold on to this context
            found = RemoteProtocolError(str(error), path=error.path, scope="context")
            return self.fail(Input.ERROR, found, now)
        return [event for part in built for event in self._received(part, now)]

    def receive_chunk(self, chunk: AudioChunk, now: float) -> SpeechEvent:
        """The event of a frame for this context that is known to be a chunk, and nothing but that."""
        self._last_activity = now
        received = chunk.audio
        audio = self._samples.align(received)
        self._audio_bytes += len(received)
        if audio and self.timing.first_audio_at is None:
            self.timing = evolve(self.timing, first_audio_at=now)
        if audio is received and chunk.context_id == self.id:
            return chunk
        return evolve(chunk, audio=audio, context_id=self.id)

    def _received(self, event: TTSEvent, now: float) -> list[ContextEvent]:
        match event:
            case Done():
                done = evolve(event, context_id=self.id)
                return [done] if self._end(Input.END, done, now) else []
            case ErrorEvent():
                return self.fail(Input.ERROR, self._registry.without_secrets(event.error), now)
            case AudioChunk():
                return [self.receive_chunk(event, now)]
            case FlushDone():
                self._flushed()
                return [evolve(event, context_id=self.id)]
            case _:
                return [evolve(event, context_id=self.id)]

    def _flushed(self) -> None:
        """Forget the inputs that a flush confirmed: all up to the first flush asked for.

        With a buffer delay of 0 the server confirms every single input (protocol section 4.4), so there each
        confirmation stands for one input or flush: rather too few are taken for spoken than too many.
        """
        if self._settings.get("max_buffer_delay_ms") == 0:
            if self._waiting:
                self._waiting.popleft()
        elif FLUSH in self._waiting:
            while self._waiting.popleft() is not FLUSH:
                pass

    def _say(self, input: Input, now: float, *said: SpokenInput | None) -> None:
        if self.terminal is not None:
            raise ContextEnded(f"{input.value} on context {self.id}, which is {self.state.value}", self.terminal)
        after = step(self.state, input)
        if after is None:
            raise LocalProtocolError(
                f"{input.value} on context {self.id}, which is {self.state.value}: it was finished"
            )
        first = self.state is State.NEW
        self.state = after
        self._last_activity = now
        self._waiting += said
        if first:
            self.timing = evolve(self.timing, sent_at=now)
        self._registry.context_spoke(self)

    def _end(self, input: Input, event: TerminalEvent, now: float) -> bool:
        """Enter the state an input leads to; whether that ended the context."""
        after = step(self.state, input)
        if after is self.state or after is None:
            return False
        self.state = after
        self.terminal = event
        self.timing = evolve(self.timing, done_at=now)
        self._stop_unsaid = input in (Input.STALL, Input.OVERFLOW)
        if after is State.DONE:
            self._waiting.clear()
        self._registry.context_ended(self)
        return True

    def _message(self, said: SpokenInput, more: Mapping[str, JsonValue]) -> str:
        said_now: dict[str, JsonValue] = {"transcript": said.transcript, **more}
        if said.generation_config is None:
            return (self._head + b"," + json.dumps(said_now)[1:]).decode()
        return json.dumps({**self._settings, **said_now, "generation_config": said.generation_config}).decode()


def cancel_message(context_id: str) -> str:
    """The message that asks the server to speak no more for a context (protocol section 4.3)."""
    return json.dumps({"context_id": context_id, "cancel": True}).decode()


def _spoken(transcript: str, config: GenerationConfig | Mapping[str, object] | None) -> SpokenInput:
    given = Parameters(transcript=transcript, generation_config=config)
    own = None if config is None else given.mapping("generation_config").as_json()
    return SpokenInput(given.text("transcript"), own)
