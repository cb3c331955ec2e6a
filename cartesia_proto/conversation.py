"""One text-to-speech session over one byte link: what every transport does between reading and waking.

This module joins the session (messages), the link (bytes) and the inboxes (who reads what), so that no transport joins
them again. It knows in which order they are told of things. It must not know sockets, locks, tasks or clocks: a
transport moves bytes, waits until `deadline`, and wakes those readers whose contexts it is told have something new.

Every method that may change what a reader waits for answers with the ids of the contexts concerned. None is ever left
out: whatever ends the connection ends every open context, and so wakes every reader.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Unpack, final
from weakref import ref

from attrs import field, frozen

from cartesia_proto.config import INBOX_BYTES, PING_INTERVAL, PING_TIMEOUT, Config, Limits, check_timeout
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.flow import Attempt, Failure, Outcome
from cartesia_proto.sessions.context import TTSContext, cancel_message
from cartesia_proto.sessions.events import TERMINAL, ContextEvent
from cartesia_proto.sessions.inboxes import Inboxes
from cartesia_proto.sessions.settings import ContextSettings
from cartesia_proto.sessions.states import State
from cartesia_proto.sessions.tts import TTSSession
from cartesia_proto.speech import GenerationConfig
from cartesia_proto.wire.forks import INHERITED
from cartesia_proto.wire.frames import BinaryMessage, Place, TextMessage
from cartesia_proto.wire.websocket import Accepted, ClientWebSocketLink, Rejected
from cartesia_proto.wire.websocket_link import Closed

NORMAL_CLOSURE: Final = 1000
"""All is well (RFC 6455 section 7.4.1)."""

CLOSING_SECONDS: Final = 3.0
"""How long a transport's WebSocket waits for the peer's goodbye before it closes the connection anyway; our choice."""


def _check_bytes(limit: int) -> int:
    if not limit > 0:
        raise LocalProtocolError(f"inbox_limit must be above 0 bytes, not {limit!r}")
    return limit


@final
@frozen
class WebSocketOptions:
    """How a transport's WebSocket is kept: what its `websocket` method takes.

    Attributes:
        ping_interval, ping_timeout, deflate: see `ClientWebSocketLink`.
        inbox_limit: see `TTSConversation`.

    Raises:
        LocalProtocolError: a value is not above zero.
    """

    ping_interval: float = field(default=PING_INTERVAL, converter=check_timeout)
    ping_timeout: float = field(default=PING_TIMEOUT, converter=check_timeout)
    deflate: bool = False
    inbox_limit: int = field(default=INBOX_BYTES, converter=_check_bytes)

    def link(self, attempt: Attempt, limits: Limits, now: float) -> ClientWebSocketLink:
        """The link that carries out an ``upgrade`` attempt on a connection just made.

        Raises:
            LocalProtocolError: the request cannot be sent as it is.
        """
        return ClientWebSocketLink(
            attempt.request,
            timeout=attempt.timeout,
            limits=limits,
            ping_interval=self.ping_interval,
            ping_timeout=self.ping_timeout,
            deflate=self.deflate,
            now=now,
        )


def handshake_outcome(link: ClientWebSocketLink) -> Outcome | None:
    """What an ``upgrade`` attempt came to, or None until more was read. After a 101 the link is a conversation's."""
    match link.next_event():
        case Accepted(response=response) | Rejected(response=response):
            return response
        case Closed(error=error) if error is not None:
            return Failure(error)
        case _:
            return None


@final
@frozen
class _Heard:
    """A context and its reader. While this is kept, the reference tells when the reader is gone, and not later."""

    context: TTSContext
    reader: "ref[object]"


def _watch(reader: object, id: str, abandoned: deque[str]) -> "ref[object]":
    """Note the id once the reader is gone: in whatever thread that happens, and at any moment, so no more than that."""
    return ref(reader, lambda _: abandoned.append(id))


@final
class TTSConversation:
    """Contexts over one open WebSocket link, each with an inbox.

    Not for two threads at once: a blocking transport holds one lock around every call.

    Args:
        config: version and defaults.
        random: chance in [0, 1), for context ids.
        link: an open link, its `Accepted` taken.
        inbox_limit: bytes that may wait for one reader before its context is ended; what was taken does not count.

    Attributes:
        link: for its buffer, its bytes to send and its state.
        session: for its counts and open contexts.
    """

    def __init__(
        self,
        config: Config,
        random: Callable[[], float],
        link: ClientWebSocketLink,
        inbox_limit: int = INBOX_BYTES,
    ) -> None:
        self.link: ClientWebSocketLink = link
        self.session: TTSSession = TTSSession(config, random)
        self._inboxes = Inboxes(inbox_limit)
        self._contexts: dict[str, _Heard] = {}
        self._woken: set[str] = set()  # whom the present call concerns
        self._now = 0.0
        self._stalled = False
        link.deliver_to(self._take_in_place, self._take)
        self._abandoned: deque[str] = deque()  # ids whose reader is gone, until the next call

    @property
    def over(self) -> bool:
        """Whether the connection is at its end: open a new one for new contexts."""
        return self.session.lost is not None

    @property
    def unread(self) -> bool:
        """Whether enough was taken for one turn: let others have theirs, call ``received(0, now)``, then read on."""
        return self.link.unread

    @property
    def retired(self) -> bool:
        """Whether it goes on for the contexts that are open, but is to take no new one, because one has stalled on it.

        It ends with the last of them that anybody reads.
        """
        return self._stalled and not self.over

    @property
    def idle(self) -> bool:
        """Whether no context is open."""
        self._forget_abandoned()
        return self.session.idle

    @property
    def waiting_bytes(self) -> int:
        """Bytes of events that somebody may yet take."""
        self._forget_abandoned()
        return self._inboxes.waiting

    # What users say.

    def open(self, reader: object, /, **settings: Unpack[ContextSettings]) -> TTSContext:
        """Open a context, and collect for its reader, for as long as there is one.

        Args:
            reader: whoever reads, held by a weak reference. Once it is gone nothing is kept for it, and what still
                comes is dropped; the server is not told, and may go on to speak.
            settings: as for `TTSSession.context`.

        Raises:
            LocalProtocolError: as `TTSSession.context`; or an earlier context of this id was not yet read to its end.
        """
        id = settings.get("context_id")
        self._check_heard_out(id if isinstance(id, str) else None)
        context = self.session.context(**settings)
        self._hear(reader, context)
        return context

    def adopt(self, reader: object, context: TTSContext) -> None:
        """Open a context that another session made, and on which nothing was said yet; otherwise as `open`.

        Raises:
            LocalProtocolError: as `TTSSession.adopt`; or an earlier context of this id was not yet read to its end.
        """
        self._check_heard_out(context.id)
        self.session.adopt(context)
        self._hear(reader, context)

    def push(
        self,
        context: TTSContext,
        transcript: str,
        now: float,
        *,
        generation_config: GenerationConfig | Mapping[str, object] | None = None,
    ) -> None:
        """Queue more text, as `TTSContext.push`, which says what it raises."""
        self.link.send_text(context.push(transcript, now, generation_config=generation_config))

    def flush(self, context: TTSContext, now: float) -> None:
        """Queue a flush, as `TTSContext.flush`."""
        self.link.send_text(context.flush(now))

    def finish(
        self,
        context: TTSContext,
        now: float,
        transcript: str = "",
        *,
        generation_config: GenerationConfig | Mapping[str, object] | None = None,
    ) -> None:
        """Queue the end of the text, as `TTSContext.finish`."""
        self.link.send_text(context.finish(now, transcript, generation_config=generation_config))

    def cancel(self, context: TTSContext, now: float) -> set[str]:
        """End a context for its reader at once: what waits is dropped, what still comes is too. Never raises.

        Nothing is kept for a reader, who may never come: `TTSContext.terminal` says how it ended.
        """
        if self._is_heard(context):
            self._forget(context.id)
        message, event = context.cancel(now)
        self._send(message)
        return self._retire(now) | (set() if event is None else {context.id})

    def take_all(self, context: TTSContext) -> list[ContextEvent]:
        """Everything that waits for the reader of a context; none while there is nothing.

        A terminal event is the last; nothing comes, not even that, once the context was cancelled.
        """
        if not self._is_heard(context):
            return []
        events = self._inboxes.take_all(context.id)
        if events and isinstance(events[-1], TERMINAL):
            self._forget(context.id)
        return events

    def hand_over(self, context: TTSContext, keep: Callable[[deque[ContextEvent]], object]) -> None:
        """As `take_all`, for readers that may be interrupted, as KeyboardInterrupt does: none of it is lost or doubled.

        Args:
            keep: takes the events, where there are any, before they are let go of here.
        """
        if self._is_heard(context) and self._inboxes.hand_over(context.id, keep):
            self._forget(context.id)

    # What the transport tells.

    def received(self, count: int, now: float) -> set[str]:
        """Note that so many bytes were received into ``link.receive_space()``; with none, go on where `unread`."""
        self._now = now
        self.link.received(count, now)
        return self._drain(now)

    def receive_data(self, data: bytes | bytearray | memoryview, now: float) -> set[str]:
        """Take bytes that were received elsewhere: `received`, with a copy, and all at once."""
        self._now = now
        self.link.receive_data(data, now)
        return self._drain(now)

    def receive_eof(self, now: float) -> set[str]:
        """Note that the peer will send nothing more."""
        self.link.receive_eof(now)
        return self._drain(now)

    def send_failed(self, now: float) -> set[str]:
        """Note that bytes did not go out: the connection is lost."""
        self.link.send_failed()
        return self._drain(now)

    def deadline(self) -> float | None:
        """When `handle_deadline` wants to be called while anyone reads, in monotonic seconds; None if never."""
        due = [when for when in (self.link.deadline(), self.session.deadline()) if when is not None]
        return min(due, default=None)

    def handle_deadline(self, now: float) -> set[str]:
        """Do what is due: ping, give up a silent connection, end a silent context. Read what is readable first.

        A context that was silent for too long is cancelled with the server, too. The connection may be dead, so it is
        `retired` then.
        """
        self.link.handle_deadline(now)
        woken = self._drain(now)
        stalled = self.session.handle_deadline(now)
        for event in stalled:
            id = event.context_id or ""
            heard = self._contexts.get(id)
            self._send(cancel_message(id) if heard is None else heard.context.cancel(now)[0])
        self._file(stalled)
        self._stalled = self._stalled or bool(stalled)
        return woken | self._drain(now)

    def close(self, now: float) -> set[str]:
        """End every open context, and begin the closing handshake if the link is open. Never raises."""
        if self.link.state == "open":
            self.link.close(NORMAL_CLOSURE, "", now)
        self._file(self.session.connection_lost(NORMAL_CLOSURE, "closed by this side", now))
        return self._drain(now)

    def disown(self, now: float) -> set[str]:
        """Lose the connection without a byte, in a child process: it is its parent's. Every open context has failed."""
        self._file(self.session.connection_lost(None, INHERITED, now))
        self.link.send_failed()
        return self._drain(now)

    def _drain(self, now: float) -> set[str]:
        """What else the link has to tell; whom all of it concerns."""
        woken = self._tell(now)
        return woken | self._retire(now) if self._stalled else woken

    def _retire(self, now: float) -> set[str]:
        """End a connection on which something stalled, once nobody reads a context that is open; whom that concerns.

        The peer's goodbye is not waited for: it may never come.
        """
        if self.retired and not any(heard.context.terminal is None for heard in self._contexts.values()):
            self.link.close(NORMAL_CLOSURE, "", now)
            self.link.receive_eof(now)
            return self._tell(now)
        return set()

    def _tell(self, now: float) -> set[str]:
        self._now = now
        while (told := self.link.next_event()) is not None:
            match told:
                case TextMessage(data=data):  # it came with the handshake
                    self._take(data)
                case BinaryMessage():
                    self._take(told)
                case Closed(code=code, reason=reason):
                    self._file(self.session.connection_lost(code, reason, now))
                case _:
                    raise AssertionError("the link of a conversation is open")
        woken, self._woken = self._woken, set()
        if self._abandoned:
            self._forget_abandoned()
        return woken

    def _take_in_place(self, text: bytearray, view: memoryview, places: list[Place], first: int) -> int:
        """Hear messages where they lie, up to the first that is not of the kind that nearly all are."""
        events, index = self.session.receive_in_place(text, view, places, first, self._now)
        self._file(events)
        return index

    def _take(self, message: bytes | BinaryMessage) -> None:
        """Hear one message."""
        data = message.data if isinstance(message, BinaryMessage) else message
        self._file(self.session.receive(data, self._now))

    def _file(self, events: list[ContextEvent]) -> None:
        """File events for their readers, who are to be woken; end the contexts whose reader fell too far behind."""
        woken = self._woken
        for event in events:
            woken.add(event.context_id or "")
        for id in self._inboxes.put(events):
            context = self._contexts[id].context
            context.overflow(self._now)
            self._send(context.cancel(self._now)[0])

    def _send(self, message: str | None) -> None:
        if message is not None and self.link.state == "open":
            self.link.send_text(message)

    def _check_heard_out(self, id: str | None) -> None:
        self._forget_abandoned()
        if id in self._contexts:
            raise LocalProtocolError(f"context_id {id!r} is in use: it was not yet read to its end")

    def _hear(self, reader: object, context: TTSContext) -> None:
        self._contexts[context.id] = _Heard(context, _watch(reader, context.id, self._abandoned))
        self._inboxes.open(context.id)

    def _is_heard(self, context: TTSContext) -> bool:
        """Whether anything may wait for its reader: it was not read to its end, and is no earlier one of its id."""
        heard = self._contexts.get(context.id)
        return heard is not None and heard.context is context

    def _forget(self, id: str) -> None:
        self._inboxes.close(id)
        self._contexts.pop(id, None)

    def _forget_abandoned(self) -> None:
        """Keep nothing for readers that are gone. The server ends what it has heard of; the rest ends here."""
        while self._abandoned:
            heard = self._contexts.get(id := self._abandoned.popleft())
            self._forget(id)
            if heard is not None and heard.context.state is State.NEW:
                heard.context.cancel(math.nan)  # nobody is left to ask when
