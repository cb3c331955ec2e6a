"""One WebSocket to the stand-in: events out, messages in, and everything that goes wrong on the way.

This module knows how events are sent over `ServerWebSocketLink`, when an idle socket is closed, and how each fault goes
wrong. It must not know what is said: `conversation` does. It runs on the event loop of `standin`; cancelling its task
drops the connection.

Messages are read while others are written, so a client that does not read is still heard.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

from attrs import field, frozen

from cartesia_proto.codecs import json
from cartesia_proto.codecs.events import AudioChunk, Done
from cartesia_proto.server.contexts import Refuse
from cartesia_proto.server.events import ContextEvent, context_error, context_message, context_request_id
from cartesia_proto.server.problems import Problem
from cartesia_proto.wire.frames import BinaryMessage, TextMessage
from cartesia_proto.wire.websocket import ServerWebSocketLink
from cartesia_standin.application import Upgrade
from cartesia_standin.faults import (
    CloseFrameAfter,
    DropAfter,
    ErrorWithoutContext,
    FailMidway,
    Fault,
    Fragmented,
    GarbageText,
    Pings,
    SilenceAfter,
    StaleFrames,
    UnknownEvents,
    WithoutDone,
)
from cartesia_standin.speaking import STEP_TIME

NORMAL_CLOSURE: Final = 1000
"""RFC 6455 section 7.4.1."""

IDLE_REASON: Final = "connection idle timeout"
"""What the service says when it closes an idle socket (protocol section 4.6)."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that a client gets to take note of the end of its connection."""

STALE_CONTEXT: Final = "standin-stale-context"
"""The context of stale frames that nobody opened."""

UNKNOWN_TYPE: Final = "standin_unknown"
"""The type of unknown events."""

_READ_SIZE: Final = 65536
_WRITE_SIZE: Final = 16384
_STALE_AUDIO: Final = b"\x7f\x7f\x7f\x7f" * 200


@final
@frozen
class ReceivedMessage:
    """A message as it arrived on a WebSocket.

    Attributes:
        data: a text message as str, a binary one as bytes.
        connection: which connection it came on, counting from 1.
    """

    data: str | bytes = field(repr=lambda data: f"<{len(data)} {'characters' if isinstance(data, str) else 'bytes'}>")
    connection: int


@final
class Socket:
    """Talks to one client until either side leaves. Its fault is None or one that `faults` has for WebSockets."""

    def __init__(
        self,
        number: int,
        link: ServerWebSocketLink,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upgrade: Upgrade,
        fault: Fault | None,
        record: Callable[[ReceivedMessage], None],
        changed: Callable[[], None],
    ) -> None:
        self._number = number
        self._link = link
        self._reader = reader
        self._writer = writer
        self._upgrade = upgrade
        self._conversation = upgrade.conversation
        self._fault = fault
        self._record = record
        self._changed = changed
        self._waiting: deque[str] = deque()  # to be sent before anything else is said
        self._sent = 0  # messages
        self._queued = 0  # characters that are yet to be written
        self._silent = False
        self._dropped = False
        self._wake = asyncio.Event()
        self._active = self._now()

    async def run(self) -> None:
        """Listen and speak, until the socket is closed or dropped; then let the client take note of it."""
        listening = asyncio.create_task(self._listen())
        try:
            await self._flush()
            await self._speak(listening)
            if self._writer.can_write_eof():  # a connection closed over unread bytes would take sent ones along
                self._writer.write_eof()
                await asyncio.wait([listening], timeout=CLOSE_TIMEOUT)
        finally:
            listening.cancel()

    # Hearing.

    async def _listen(self) -> None:
        try:
            with suppress(OSError):
                while data := await self._reader.read(_READ_SIZE):
                    if not self._silent:
                        self._link.receive_data(data, self._now())
                        self._take_messages()
            self._link.receive_eof(self._now())
        finally:
            self._wake.set()

    def _take_messages(self) -> None:
        while (event := self._link.next_event()) is not None:
            match event:
                case TextMessage():
                    self._take(event.text)
                case BinaryMessage(data=data):
                    self._take(data)
                case _:  # the end, which the state of the link tells as well
                    pass
        self._wake.set()

    def _take(self, message: str | bytes) -> None:
        self._active = self._now()
        cancelled = self._conversation.receive(message, self._active)
        if cancelled is not None and isinstance(self._fault, StaleFrames):
            self._waiting += self._stale(cancelled, self._fault.count)
        self._record(ReceivedMessage(message, self._number))

    # Speaking.

    async def _speak(self, listening: "asyncio.Task[None]") -> None:
        """Send what there is to say, in turn, until the link has closed or a fault cuts it off."""
        while self._link.state != "closed" and not self._dropped:
            self._wake.clear()
            more = self._say_some()
            await self._flush()
            if self._silent:
                await asyncio.wait([listening])
            elif not self._dropped:
                await (asyncio.sleep(0) if more else self._pause())  # the client's messages want to be heard as well
            if listening.done():
                listening.result()
        await self._flush()

    def _say_some(self) -> bool:
        """Queue messages until there are enough to be written; whether there may be more."""
        self._queued = 0
        while self._queued < _WRITE_SIZE:
            self._interfere()
            if not (self._may_speak() and self._say_next()):
                return False
        return True

    def _may_speak(self) -> bool:
        return self._link.state == "open" and not (self._dropped or self._silent)

    def _say_next(self) -> bool:
        """Queue the next message, if there is one."""
        if not self._waiting:
            event = self._conversation.next_event(self._now())
            if event is None:
                return False
            self._waiting += self._texts(event)
            self._changed()
        if self._waiting:
            self._send(self._waiting.popleft())
        return True

    def _send(self, text: str) -> None:
        match self._fault:
            case Fragmented(size=size):
                self._link.send_fragments(*(text[start : start + size] for start in range(0, len(text), size)))
            case Pings():
                self._link.ping(b"stand-in")
                self._link.send_text(text)
            case _:
                self._link.send_text(text)
        self._sent += 1
        self._queued += len(text)
        self._active = self._now()

    async def _flush(self) -> None:
        if data := self._link.data_to_send():
            self._writer.write(data)
            await self._writer.drain()

    async def _pause(self) -> None:
        """Wait for the client, or for the time when something is due without it."""
        link = self._link.deadline()
        idle = self._active + self._upgrade.idle_timeout if self._link.state == "open" else math.inf
        due = min(idle, self._conversation.deadline(), math.inf if link is None else link)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), None if due == math.inf else max(0.0, due - self._now()))
        now = self._now()
        self._link.handle_deadline(now)
        if self._link.state == "open" and now >= self._active + self._upgrade.idle_timeout:
            self._link.close(NORMAL_CLOSURE, IDLE_REASON, now)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # What messages say, faults included.

    def _texts(self, event: ContextEvent | Refuse) -> list[str]:
        """The messages that an event becomes."""
        match event:
            case Refuse(context_id=context_id, problem=problem):
                request_id = context_request_id(self._upgrade.socket_id, context_id, self._upgrade.input_id())
                text = context_error(problem, self._upgrade.version, request_id, context_id)
            case Done() if isinstance(self._fault, WithoutDone):
                return []
            case _:
                text = context_message(event, self._upgrade.version)
        return [_unknown(event.context_id), text] if isinstance(self._fault, UnknownEvents) else [text]

    def _stale(self, context_id: str, count: int) -> list[str]:
        chunk = AudioChunk(_STALE_AUDIO, context_id, STEP_TIME, flush_id=1)
        return [context_message(chunk, self._upgrade.version)] * count

    def _interfere(self) -> None:
        """Let a fault happen whose time has come."""
        fault, sent = self._fault, self._sent
        match fault:
            case _ if not self._may_speak():
                pass
            case DropAfter(messages=due):
                self._dropped = sent >= due
            case SilenceAfter(messages=due):
                self._silent = sent >= due
            case CloseFrameAfter(messages=due, code=code, reason=reason) if sent >= due:
                self._link.close(code, reason, self._now())
            case GarbageText(messages=due, text=text) if sent >= due:
                self._fault = None
                self._waiting.appendleft(text)
            case ErrorWithoutContext(messages=due) if sent >= due:
                self._fail(None, fault)
            case FailMidway(after=due) if sent >= due and self._conversation.open:
                self._fail(self._conversation.open[0], fault)
            case StaleFrames(count=count) if not sent and not self._waiting and self._conversation.open:
                self._waiting += self._stale(STALE_CONTEXT, count)
            case _:
                pass

    def _fail(self, context_id: str | None, fault: ErrorWithoutContext | FailMidway) -> None:
        self._fault = None
        self._conversation.refuse(context_id, Problem(fault.status, fault.title, fault.message, fault.error_code))


def _unknown(context_id: str | None) -> str:
    """An event of tomorrow."""
    context = {} if context_id is None else {"context_id": context_id}
    return json.dumps({"type": UNKNOWN_TYPE, "done": False, "note": "of a type that nobody knows", **context}).decode()
