"""The connection of one WebSocket on trio, made anew when it is needed, and the tasks that wait on it.

This module knows when bytes move, when time is up and who is woken. It must not know what is said: the core's
`TTSConversation` does.

Theory of operation. There is no task of its own. Of those who wait, one leads: it reads for all, and wakes whom what it
read concerns. Whoever ceases to wait while nobody leads appoints exactly one other, so that somebody reads while
anybody waits. Bytes leave under a lock, whose holder sends all there are, under a shield: a cancelled write would break
the stream for everybody. The leader never waits to write: what it has to send goes when nobody writes and the socket
takes it at once.
"""

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from copy import copy
from random import random
from typing import Final, TypeVar, final

import trio

from cartesia_proto.awaiting import Saying, Step
from cartesia_proto.config import Config
from cartesia_proto.conversation import CLOSING_SECONDS, TTSConversation, WebSocketOptions, handshake_outcome
from cartesia_proto.errors import CartesiaError, LocalProtocolError, TransportError
from cartesia_proto.flow import Attempt, Failure, Outcome
from cartesia_proto.http import Response
from cartesia_proto.sessions.handshake import connecting
from cartesia_trio.connection import Connection
from cartesia_trio.network import Network

T = TypeVar("T")

MOMENT: Final = 0.001
"""Seconds that a read is given at the least, so that what is readable is read before anything is said to be late."""

MOST_READS: Final = 100
"""How often at most a socket is read before a context is opened: at 64 KiB each, that empties the largest buffer which
Linux gives one by itself (6 MiB, ``tcp_rmem``)."""


@final
class Multiplexer:
    """What joins connections, one after another, to conversations, and both to the tasks that wait.

    Whoever changes a conversation calls `_wake`, and sends what there is to send, before anything else is awaited.
    """

    def __init__(self, network: Network, config: Config, options: WebSocketOptions) -> None:
        self._network = network
        self._config = config
        self._options = options
        self._connecting = trio.Lock()
        self._failure: tuple[CartesiaError, ...] = ()  # the last one, each time in a tuple of its own
        self._closed = False
        self._connection: Connection
        self._conversation: TTSConversation | None = None
        self._writing = trio.Lock()
        self._leader: object = None  # what the task waits for that reads for all
        self._reading = trio.CancelScope()  # of the leader's wait
        self._followers: dict[object, trio.Event] = {}
        self._successor: trio.Event | None = None  # of whom was appointed and has not had its turn

    # What WebSockets call.

    async def run(self) -> None:
        """Connect, unless there is a connection, and read until it has ended."""
        await self._until_closed(await self._connected())

    async def aclose(self) -> None:
        """End every context, say goodbye, and connect no more. It closes also when it is cancelled."""
        self._closed = True
        conversation = self._conversation
        if conversation is not None:
            self._wake(conversation.close(trio.current_time()))
            try:
                with trio.move_on_after(CLOSING_SECONDS):
                    await self._flush(min(CLOSING_SECONDS, self._config.timeout))
                    await self._until_closed(conversation)
            finally:
                self._wake(conversation.receive_eof(trio.current_time()))
                await self._network.close(self._connection)
        await trio.lowlevel.checkpoint()

    # What contexts call.

    async def say(self, ready: Callable[[], TTSConversation | None], say: Saying, check: Callable[[], None]) -> None:
        """Say something on the conversation that is ready, or on a new connection's; when it is written, check."""
        await trio.lowlevel.checkpoint()
        if say(ready() or await self._connected(), trio.current_time()):
            self._wake()
            await self._flush(self._config.timeout)
        check()

    async def change(self, change: Callable[[float], set[str]]) -> None:
        """Do at once what ends a context, and what follows from it. Never raises; cancelling it is no hindrance."""
        self._wake(change(trio.current_time()))
        if not self._writing.locked():  # else it is sent by whoever writes
            with trio.CancelScope(shield=True):
                await self._flush(self._config.timeout)
        await trio.lowlevel.checkpoint()

    async def next(
        self, id: str, take: Callable[[], T | None], alone: AbstractContextManager[None], first: Step[None] | None
    ) -> T:
        """Take the first step, then wait until something is taken; try when something comes for the id."""
        with alone:
            await trio.lowlevel.checkpoint()
            if first is not None:
                await first()
            try:
                while (taken := take()) is None:
                    await self._wait(id)
                return taken
            finally:
                self._appoint()

    async def attempt(self, step: Step[T], change: Callable[[float], set[str]]) -> T:
        """Take a step; where it fails or is cancelled, `change`."""
        try:
            return await step()
        except BaseException:
            await self.change(change)
            raise

    # Who reads, and for whom.

    async def _wait(self, key: object) -> None:
        """Wait until something may have happened that concerns a context (the key is its id), or the connection."""
        if self._leader is None:
            self._leader = key
            try:
                await self._read()
            finally:
                self._leader = None
            return
        woken = self._followers[key] = trio.Event()
        try:
            await woken.wait()
        finally:
            del self._followers[key]
            if self._successor is woken:
                self._successor = None

    def _appoint(self) -> None:
        """See to it that somebody reads while anybody waits."""
        if self._leader is None and self._successor is None and self._followers:
            self._successor = next(iter(self._followers.values()))
            self._successor.set()

    def _wake(self, concerned: Iterable[str] = ()) -> None:
        """Wake those it concerns, and let the leader's wait end when it is due."""
        if self._conversation is None:
            return
        for key in concerned:
            if key == self._leader:
                self._reading.cancel()
            elif key in self._followers:
                self._followers[key].set()
        self._reading.deadline = self._due(self._conversation)

    async def _until_closed(self, conversation: TTSConversation) -> None:
        try:
            while conversation.link.state != "closed":
                await self._wait(object())
        finally:
            self._appoint()

    # Bytes.

    async def _read(self) -> None:
        """Read once for all, or do what is due."""
        conversation, connection = self._current, self._connection
        earliest = trio.current_time() + MOMENT
        data: bytes | bytearray | None = None
        with trio.CancelScope(deadline=max(earliest, self._due(conversation))) as self._reading:
            data = await connection.receive()
        now = trio.current_time()
        if data:
            concerned = conversation.receive_data(data, now)
        elif data is None:
            concerned = conversation.handle_deadline(now)
        else:
            concerned = conversation.receive_eof(now)
        self._wake(concerned)
        await self._follow_up(conversation, connection)

    async def _follow_up(self, conversation: TTSConversation, connection: Connection) -> None:
        """Send what was answered to what was read, if that need not be waited for, and close what is over."""
        if conversation.link.has_data_to_send and not self._writing.locked() and connection.writable:
            await self._flush(self._config.timeout)
        if conversation.link.state == "closed":
            await self._network.close(connection)

    async def _flush(self, seconds: float) -> None:
        """Send everything, or wait for whoever does. If it does not leave in time, the connection is lost."""
        if self._conversation is None:
            return
        try:
            self._writing.acquire_nowait()  # no cancellation comes between a change and its bytes
        except trio.WouldBlock:
            await self._writing.acquire()
        try:
            await self._send(self._conversation, self._connection, seconds)
        finally:
            self._writing.release()

    async def _send(self, conversation: TTSConversation, connection: Connection, seconds: float) -> None:
        while data := conversation.link.data_to_send():
            with trio.CancelScope(shield=True):
                try:
                    sent = await connection.send(data, seconds, "write")
                except TimeoutError:
                    sent = False
                if sent:
                    conversation.link.data_sent(trio.current_time())
                else:
                    await self._settle(conversation)  # it may say why
                    self._wake(conversation.send_failed(trio.current_time()))
                    await self._network.close(connection)

    async def _settle(self, conversation: TTSConversation) -> None:
        """Take in what has already arrived, so that a connection that idled out is known to have."""
        for _ in range(MOST_READS):
            if conversation.over or not self._connection.readable:
                return
            if self._leader is not None:
                await trio.lowlevel.checkpoint()
                continue
            with trio.move_on_after(MOMENT) as scope:
                try:
                    await self._wait(scope)
                finally:
                    self._appoint()
            if scope.cancelled_caught:
                return

    # Connecting.

    async def _connected(self) -> TTSConversation:
        """The conversation of a connection that stands, until the next await; made anew where there is none.

        Raises:
            CartesiaError: connecting failed, for this task or for one that it was waiting for.
            LocalProtocolError: the WebSocket or its client is closed, or there are no credentials.
        """
        failure = self._failure
        async with self._connecting:
            if self._conversation is not None and self._conversation.idle:
                await self._settle(self._conversation)
            if self._conversation is None or self._conversation.over:
                if self._failure is not failure:
                    raise copy(self._failure[0])
                await self._connect()
            return self._current

    async def _connect(self) -> None:
        operation = connecting(self._config, random)
        try:
            step = operation.start()
            while isinstance(step, Attempt):
                self._check_open()
                await trio.sleep(step.delay)
                step = operation.resume(await self._attempt(step))
        except CartesiaError as error:
            self._failure = (copy(error),)
            raise

    async def _attempt(self, attempt: Attempt) -> Outcome:
        connection: Connection | None = None
        try:
            connection = await self._network.fresh(attempt)
            link = self._options.link(attempt, self._config.limits, trio.current_time())
            await connection.send(link.data_to_send(), attempt.timeout, "handshake")
            while (outcome := handshake_outcome(link)) is None:
                await connection.read(link)
            self._check_open()
            if isinstance(outcome, Response) and outcome.status == 101:
                self._connection, connection = connection, None
                self._conversation = TTSConversation(self._config, random, link, self._options.inbox_limit)
                self._wake(self._conversation.received(0, trio.current_time()))  # what came with the handshake
                await self._follow_up(self._conversation, self._connection)
            return outcome
        except TransportError as error:
            return Failure(error)
        finally:
            if connection is not None:
                await self._network.close(connection)

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("the WebSocket is closed: ask the client for another")

    @property
    def _current(self) -> TTSConversation:
        if self._conversation is None:
            raise AssertionError("this is called only where there was a connection")
        return self._conversation

    @staticmethod
    def _due(conversation: TTSConversation) -> float:
        due = conversation.deadline()
        return math.inf if due is None else due
