"""Text to speech over one WebSocket: many contexts, each ending exactly once.

This module knows who an incoming message is for (protocol section 4.4), which ids may be used, and what ends everything
at once. It must not know sockets, clocks or queues: messages and times come in, messages and events go out, and no
event is kept. Messages come in also where they lie in a buffer; whose buffer it is must not be known here. What one
context says and remembers is in `context`.

A session lives as long as its connection. Verbs return the message to send, so nothing can be forgotten in an outbox;
whatever the peer says ends as events; a method you made illegal raises before anything is sent.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, Unpack, final

from cartesia_proto.codecs import json
from cartesia_proto.codecs.chunks import ChunkReader
from cartesia_proto.codecs.events import ErrorEvent, build_events
from cartesia_proto.codecs.failures import MAX_FRAGMENTS, broken_error
from cartesia_proto.config import Config
from cartesia_proto.discretion import discreet, hide_secrets
from cartesia_proto.errors import (
    ApiError,
    CartesiaError,
    ConnectionLost,
    JsonValue,
    LocalProtocolError,
    RemoteProtocolError,
    Scope,
    twin,
)
from cartesia_proto.http import header_secrets
from cartesia_proto.sessions.addresses import addressee, mentioned
from cartesia_proto.sessions.context import TTSContext
from cartesia_proto.sessions.events import ContextEvent
from cartesia_proto.sessions.handshake import CredentialsIn, WebSocketRequest, websocket_request
from cartesia_proto.sessions.settings import ContextSettings, lock_settings
from cartesia_proto.sessions.states import LISTENING, Input

RETIRED_IDS: Final = 1024
"""How many ended ids are remembered, so that they are not used again (protocol section 4.5); our choice."""

LONG: Final = 4096
"""Bytes above which it is looked whom a message is for before it is parsed: at this length a parsed one takes some
hundred kilobytes at the worst, and few but audio are longer. Our choice."""

SHOWN: Final = 200
"""Characters of a message that is no event which its error shows; our choice."""


@final
class TTSSession:
    """Many contexts over one WebSocket connection.

    Not for two threads at once; cheap enough to be guarded by one lock.

    Args:
        config: version, credentials and defaults.
        random: chance in [0, 1), for context ids.

    Attributes:
        dropped_frames: messages that were for no open context, as late ones of a cancelled context are. Those that
            come together with the one too many of a context that overflows may not be among them: they were received.
    """

    def __init__(self, config: Config, random: Callable[[], float]) -> None:
        self.dropped_frames: int = 0
        self._config = config
        self._random = random
        self._chunks = ChunkReader()
        self._contexts: dict[str, TTSContext] = {}
        self._retired: deque[str] = deque()
        self._retired_ids: set[str] = set()
        self._listening: dict[str, TTSContext] = {}  # those the server has heard of
        self._timers: list[tuple[float, str]] = []  # a heap; an entry may be earlier than its context's true deadline
        self._timed: set[str] = set()  # contexts with an entry there
        self._lost: ConnectionLost | None = None

    @property
    def open_contexts(self) -> tuple[TTSContext, ...]:
        """Contexts that have not ended, in the order they were opened."""
        return tuple(self._contexts.values())

    @property
    def idle(self) -> bool:
        """Whether no context is open; told at once, however many are."""
        return not self._contexts

    @property
    def lost(self) -> ConnectionLost | None:
        """How the connection ended, None while it stands."""
        return self._lost

    @discreet  # who takes `credentials` for the place of their own is not shown with them
    def handshake(self, credentials: CredentialsIn = "headers") -> WebSocketRequest:
        """The request that opens the WebSocket, for any library or browser.

        Args:
            credentials: ``query`` puts version and access token in the URL, for browsers, which cannot set headers.

        Raises:
            LocalProtocolError: there are no credentials; or ``query`` with an API key.
        """
        return websocket_request(self._config, credentials)

    def context(self, **settings: Unpack[ContextSettings]) -> TTSContext:
        """Open a context. Its settings are locked: another voice or format is another context (protocol section 4.5).

        Args:
            See `ContextSettings`; `model_id`, `voice` and `output_format` are needed.

        Raises:
            LocalProtocolError: a setting is malformed, the id is in use or was used lately, or the connection is lost.
        """
        self._check_open()
        locked = lock_settings(self._config.version, settings)
        id = self._fresh_id() if locked.context_id is None else self._check_id(locked.context_id)
        context = TTSContext(id, locked, self, self._config.timeout)
        self._contexts[id] = context
        return context

    def adopt(self, context: TTSContext) -> None:
        """Open a context that another session of the same API version made, and on which nothing was said there.

        So its settings can be checked before there is a connection.

        Raises:
            LocalProtocolError: the other session's API version is not this one's; something was said on the context;
                its id is in use here or was used lately; or the connection is lost. It belongs to the other session
                still.
        """
        self._check_open()
        self._check_version(context.version)
        self._check_id(context.id)
        context.join(self)
        self._contexts[context.id] = context

    def receive(self, message: str | bytes | memoryview, now: float) -> list[ContextEvent]:
        """The events of one message; of one that is empty, none. Never raises, whatever the peer says.

        A message for an id that is not open is counted and dropped. One without an id belongs to the only open
        context. An error without an id, or with something else in its place, ends every open context, and so does a
        text that is no JSON object, unless it names one id all the same: then it is for that id. A long one that is
        known to be for an id that is not open is not parsed.
        """
        data = message if isinstance(message, bytes) else _in_bytes(message)
        events, received = self.receive_in_place(data, memoryview(data), [(0, len(data))], 0, now)
        if received:
            return events
        if len(data) > LONG and (named := addressee(data)) and self._addressee(named) is None:
            return self._deliver(None, {}, now)
        if not data.strip():  # such as what keeps a connection alive
            return []
        try:
            fields = json.read_lenient(data)
        except RemoteProtocolError as error:
            return self._receive_broken(data, str(error), now)
        if not isinstance(fields, dict):
            return self._receive_broken(data, "it is no JSON object", now)
        id = fields.get("context_id")
        if id in (None, "") or (not isinstance(id, str) and _error_in({**fields, "context_id": None}) is not None):
            return self._receive_unaddressed({**fields, "context_id": None}, now)
        return self._deliver(self._addressee(id), fields, now)

    def receive_in_place(
        self, text: bytes | bytearray, view: memoryview, places: Sequence[tuple[int, int]], first: int, now: float
    ) -> tuple[list[ContextEvent], int]:
        """The events of messages that are audio chunks of the usual shape, up to the first that is not.

        Args:
            text: holds the messages, bytes of which not even the encoding was checked.
            view: of all of it; neither is kept.
            places: where each message begins and ends.
            first: which of them is the first that was not received.

        Returns:
            The events, and the first place whose message is for `receive`; the number of places if there is none.
        """
        events: list[ContextEvent] = []
        for index in range(first, len(places)):
            start, end = places[index]
            chunk = self._chunks.read(text, view, start, end)
            if chunk is None or not chunk.context_id:
                return events, index
            context = self._contexts.get(chunk.context_id)
            if context is not None and context.state in LISTENING:
                events.append(context.receive_chunk(chunk, now))
            else:
                self.dropped_frames += 1
        return events, len(places)

    def connection_lost(self, code: int | None, reason: str, now: float) -> list[ContextEvent]:
        """End every open context, once; the session opens no more.

        Args:
            code: the WebSocket close code, None where there was none (RFC 6455 section 7.1.5).
            reason: the text that came with it.
        """
        if self._lost is None:
            reason = self._hiding()(reason)
            said = f"with code {code}" if code is not None else "without a closing handshake"
            self._lost = ConnectionLost(
                f"the connection ended {said}{f' ({reason})' if reason else ''}", code=code, reason=reason
            )
        return self._fail_all(Input.LOST, self._lost, now)

    def deadline(self) -> float | None:
        """When `handle_deadline` wants to be called, in monotonic seconds; None while nothing is timed."""
        while self._timers:
            when, id = self._timers[0]
            context = self._contexts.get(id)
            due = None if context is None else context.deadline()
            if due is None:  # it has ended, or nothing is owed just now
                self._timed.discard(heappop(self._timers)[1])
            elif due > when:
                heapreplace(self._timers, (due, id))
            else:
                return due
        return None

    def handle_deadline(self, now: float) -> list[ContextEvent]:
        """End the contexts that have been silent for too long; none if called early.

        `TTSContext.cancel` of each answers with the message that tells the server to stop.
        """
        events: list[ContextEvent] = []
        while (due := self.deadline()) is not None and due <= now:
            events += self._contexts[self._timers[0][1]].stall(now)
        return events

    # What contexts call.

    def context_spoke(self, context: TTSContext) -> None:
        """Watch a context on which something was said."""
        self._listening[context.id] = context
        if context.id not in self._timed and (due := context.deadline()) is not None:
            heappush(self._timers, (due, context.id))
            self._timed.add(context.id)

    def without_secrets(self, error: ApiError) -> ApiError:
        """An error of the server's in which the secrets of this session show as ``***``."""
        return error.rewritten(self._hiding())

    def context_left(self, context: TTSContext) -> None:
        """Forget a context altogether: it is another session's."""
        self._contexts.pop(context.id, None)  # an interruption may have kept it out

    def context_ended(self, context: TTSContext) -> None:
        """Forget a context, but for its id, which must not be used again."""
        self._contexts.pop(context.id, None)  # an interruption may have kept it out
        self._listening.pop(context.id, None)  # as above; or it never spoke
        self._timed.discard(context.id)  # its entry is not for a later context of its id
        self._retired.append(context.id)
        self._retired_ids.add(context.id)
        if len(self._retired) > RETIRED_IDS:
            self._retired_ids.discard(self._retired.popleft())
        if len(self._timers) > 2 * len(self._contexts):  # most are of contexts that ended before their time
            self._timers = [timer for timer in self._timers if timer[1] in self._timed]
            heapify(self._timers)

    # Who a message is for.

    def _receive_unaddressed(self, fields: Mapping[str, JsonValue], now: float) -> list[ContextEvent]:
        error = _error_in(fields)
        if error is not None:
            return self._fail_all(Input.ERROR, self.without_secrets(error), now)
        only = next(iter(self._listening.values())) if len(self._listening) == 1 else None
        return self._deliver(only, fields, now)

    def _receive_broken(self, message: bytes, reason: str, now: float) -> list[ContextEvent]:
        """Fail the context that a text which is no event is for, where that can be told; else all."""
        named = mentioned(message)
        error = broken_error(message[:MAX_FRAGMENTS].decode("utf-8", "replace"))
        if named is None:
            if error is not None:
                return self._receive_unaddressed({**error, "context_id": None}, now)
            return self._fail_all(Input.ERROR, self._no_event(message, reason), now)
        context = self._addressee(named)
        if context is None or error is not None:
            return self._deliver(context, error or {}, now)
        return context.fail(Input.ERROR, self._no_event(message, reason, "context"), now)

    def _addressee(self, id: JsonValue) -> TTSContext | None:
        context = self._contexts.get(id) if isinstance(id, str) else None
        return context if context is not None and context.listening else None

    def _deliver(self, context: TTSContext | None, fields: Mapping[str, JsonValue], now: float) -> list[ContextEvent]:
        if context is None:
            self.dropped_frames += 1
            return []
        return context.receive(fields, now)

    def _fail_all(self, input: Input, error: CartesiaError, now: float) -> list[ContextEvent]:
        """End every open context by an error in which no secret shows: once for all, each with a shell of its own."""
        return [event for context in self.open_contexts for event in context.fail(input, twin(error), now)]

    def _hiding(self) -> Callable[[str], str]:
        """What makes the secrets of this session show as ``***``, in any number of texts."""
        credentials = self._config.credentials
        signed = () if credentials is None else credentials.headers(self._config.version)
        secrets = header_secrets(self._config.headers.merged(signed))
        return lambda text: hide_secrets(text, secrets)

    def _no_event(self, message: bytes, reason: str, scope: Scope = "connection") -> RemoteProtocolError:
        """The error of a text that is no event; the first versions sent bare error texts (protocol section 4.1)."""
        safe = self._hiding()(message.decode("utf-8", "replace"))
        shown = safe[:SHOWN] + ("…" if len(safe) > SHOWN else "")
        words = f"the server sent {shown!r}, which is no event: {reason}"
        return RemoteProtocolError(words, path="$", scope=scope)

    # Which contexts may be opened.

    def _check_open(self) -> None:
        if self._lost is not None:
            raise LocalProtocolError("the connection is lost: open the context on a new session")

    def _check_version(self, version: str) -> None:
        if version != self._config.version:
            raise LocalProtocolError(
                f"the context is of API version {version}, the session of {self._config.version}: make it anew"
            )

    def _check_id(self, id: str) -> str:
        if not id:
            raise LocalProtocolError("context_id is empty: leave it out to have one made")
        if id in self._contexts:
            raise LocalProtocolError(f"context_id {id!r} is in use")
        if id in self._retired_ids:
            raise LocalProtocolError(f"context_id {id!r} was used before on this connection: an id is good for once")
        return id

    def _fresh_id(self) -> str:
        """A random UUID; where chance repeats itself, the next one that is free."""
        number = sum(int(self._random() * 65536) << shift for shift in range(0, 128, 16))
        while (id := _uuid(number)) in self._contexts or id in self._retired_ids:
            number += 1
        return id


def _in_bytes(message: str | memoryview) -> bytes:
    """A message as it travelled; a lone surrogate, which cannot have, as what is no UTF-8 either."""
    return message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message.tobytes()


def _uuid(number: int) -> str:
    """A UUID of version 4 made of 128 bits of chance (RFC 9562 section 5.4)."""
    digits = f"{number:032x}"[-32:]
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _error_in(fields: Mapping[str, JsonValue]) -> ApiError | None:
    """The error that a message without an id is; None where it is something else, or malformed."""
    if fields.get("type") != "error" and fields.get("error") is None:  # nearly every one
        return None
    try:
        built = build_events(fields, "connection")
    except RemoteProtocolError:
        return None
    return next((event.error for event in built if isinstance(event, ErrorEvent)), None)
