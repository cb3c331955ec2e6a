"""The connection of one WebSocket on trio, made anew when it is needed, and the tasks that wait on it.

This module knows when bytes move, when time is up and who is woken. It must not know what is said: the core does.

Theory of operation. There is no task of its own. Of those who wait, one leads: it reads for all, and wakes whom what it
read concerns. Whoever ceases to wait while nobody leads appoints exactly one other, so that somebody reads while
anybody waits. One task sends at a time, all that there is, under a shield: a cancelled write would break the stream for
everybody. Who has to wait to write counts among those who wait, for the peer may read no more before it
is read from; so a write never waits longer than the connection is kept alive. Who has read sends what came of that only
as far as the socket takes it at once; what is left leaves while the next one reads, as the socket takes it.
"""

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from copy import copy
from functools import partial
from random import random
from typing import Final, TypeVar, final

import trio

# What users get is loaded with what carries it.
import cartesia_proto.awaiting  # noqa: F401  # pyright: ignore[reportUnusedImport] - see above
from cartesia_proto.config import Config
from cartesia_proto.contexts import Alone
from cartesia_proto.conversation import CLOSING_SECONDS, TTSConversation, WebSocketOptions
from cartesia_proto.errors import CartesiaError, LocalProtocolError
from cartesia_proto.lines import Ready, Saying, Step
from cartesia_proto.opening import Opening
from cartesia_proto.outbox import LITTLE
from cartesia_proto.sessions.events import ContextEnded
from cartesia_proto.sharing import Readers, Sending, Standing
from cartesia_proto.traffic import MOST_BYTES, Arrivals
from cartesia_proto.wire.forks import FORKS
from cartesia_trio.connection import TURNS_OF_A_STREAM, Connection
from cartesia_trio.network import Network
from cartesia_trio.runs import beside, checkpoint, checkpoints
from cartesia_trio.sender import Sender
from cartesia_trio.sending import perform, take

T = TypeVar("T")

MOMENT: Final = 0.001
"""Seconds that a read is given at the least, so that what is readable is read before anything is said to be late."""


@final
class Multiplexer(Sender):
    """What joins connections, one after another, to conversations, and both to the tasks that wait.

    Whoever changes a conversation calls `_wake`, and sends what there is to send, before anything else is awaited.
    """

    def __init__(self, network: Network, config: Config, options: WebSocketOptions) -> None:
        super().__init__(network, config.timeout)
        self._config = config
        self._options = options
        self._failure: tuple[CartesiaError, ...] = ()  # the last one, each time in a tuple of its own
        self._closed = False
        self._earliest = 0.0  # when that may end for being late
        self._arrivals = Arrivals()
        self._begin_anew()
        FORKS.watch(self, Multiplexer._begin_anew)

    def _begin_anew(self) -> None:
        """Nobody waits or connects: so at first, and in a child process, where the tasks that did will not run on."""
        self._sending = Sending(trio.Event)
        self._looks = self._looked = 0  # for a connection: how many have begun, and which of them ended last
        self._looking: trio.Event | None = None  # for the end of the present one
        self._attempting = trio.CancelScope()  # to connect
        self._standing: Standing[trio.CancelScope] = Standing()  # waits for a connection, or to write
        self._readers = Readers(trio.Event)
        self._reading = trio.CancelScope()  # of the leader's wait
        if self._conversation is not None:
            self._conversation.disown(math.nan)

    # What WebSockets call.

    async def run(self) -> None:
        """Connect, unless there is a connection, and read until it has ended."""
        await self._until_closed(await self._connected())

    async def aclose(self) -> None:
        """End every context, say goodbye, and connect no more. It closes also when it is cancelled.

        In another run than its own it leaves that to its own; where that has ended, it closes without a goodbye.
        """
        self._closed = True
        if not self._network.here:
            if not self._network.leave_to_home(self.aclose):
                await self._abandon()
            await checkpoint()
            return
        self._attempting.cancel()
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

    async def say(self, id: str, ready: Ready, say: Saying, check: Callable[[], None]) -> None:
        """Say something on the conversation that is ready, or on a new connection's; when it is written, check.

        A change that concerns the id ends the wait for a connection, and for whoever writes, who sends these bytes too.
        """
        await trio.lowlevel.checkpoint()
        self._network.check_loop()
        while (conversation := ready() or await self._unless(id, self._connected)) is None:
            pass
        if say(conversation, trio.current_time()):
            self._wake()
            await self._unless(id, partial(self._flush, self._config.timeout))
        check()

    async def change(self, change: Callable[[float], set[str]]) -> None:
        """Do at once what ends a context, and what follows from it. Never raises; cancelling it is no hindrance."""
        if not self._network.here:
            if not self._network.leave_to_home(partial(self.change, change)):
                change(math.nan)  # nobody waits
            await checkpoint()
            return
        concerned = change(trio.current_time())
        self._wake(concerned)
        for scope in self._standing.of(concerned):
            scope.cancel()
        if not self._sending.draining:  # else it is sent by whoever writes
            with trio.CancelScope(shield=True):
                await self._flush(self._config.timeout)
        await trio.lowlevel.checkpoint()

    async def next(self, id: str, take: Callable[[], T | None], alone: Alone, first: Step[None] | None) -> T:
        """Take the first step, then wait until something is taken; try when something comes for the id."""
        with alone, self._readers:
            await trio.lowlevel.checkpoint()
            if first is not None:
                with suppress(ContextEnded):  # what is taken tells
                    await first()
            while (taken := take()) is None:
                await self._wait(id)
            return taken

    async def at_hand(self, taken: deque[T], alone: Alone, otherwise: Step[T]) -> T:
        """The first of what was taken already; where there is none any more, what that step comes to."""
        with alone:
            await trio.lowlevel.checkpoint()
            if taken:
                return taken.popleft()
        return await otherwise()

    async def in_steps(self, steps: Awaitable[T]) -> T:
        """Await what takes several steps."""
        return await steps

    async def _abandon(self) -> None:
        """End every context and the connection, where nobody waits because the run has ended."""
        if self._conversation is not None:
            self._conversation.close(math.nan)
            self._conversation.receive_eof(math.nan)
            await self._network.close(self._connection)

    # Who reads, and for whom.

    async def _wait(self, key: object) -> None:
        """Wait until something may have happened that concerns a context (the key is its id), or the connection."""
        if self._readers.leader is None:
            conversation, connection = self._current, self._connection
            with self._readers.lead(key):
                self._wake(await self._read(conversation, connection))
            await self._follow_up(conversation, connection)
        else:
            with self._readers.follow(key) as woken:
                await woken.wait()

    def _wake(self, concerned: Iterable[str] = ()) -> None:
        """Wake those it concerns, and let the leader's wait end when it is due."""
        if self._conversation is None:
            return
        if self._readers.wake(concerned):
            self._reading.cancel()
        self._reading.deadline = self._due(self._conversation)

    async def _until_closed(self, conversation: TTSConversation) -> None:
        with self._readers:
            while conversation.link.state != "closed":
                await self._wait(object())

    # Bytes.

    async def _read(self, conversation: TTSConversation, connection: Connection) -> set[str]:
        """Read once for all, or do what is due; answers with whom that concerns."""
        self._earliest = trio.current_time() + MOMENT
        count: int | None = None
        if conversation.unread:  # the rest is for the next turn
            await trio.lowlevel.checkpoint()
            return conversation.received(0, trio.current_time())
        with trio.CancelScope(deadline=self._due(conversation)) as self._reading:
            step = partial(connection.receive_into, conversation.link.receive_space())
            if self._has_more_to_send(conversation, connection):
                step = partial(beside, partial(self._send_as_it_leaves, conversation, connection), step)
            count = await step()
        if count is None:  # nothing came in time, or this task alone was woken
            now = trio.current_time()
            return conversation.handle_deadline(now) if now >= self._earliest else set()
        return self._arrivals.received(conversation, count, trio.current_time, lambda: connection.readable)

    async def _settle(self, conversation: TTSConversation) -> None:
        """Take in what has already arrived, so that a connection that idled out is known to have.

        Where somebody reads for all, that is left to them, as long as something comes of it, up to a few messages.
        """
        most = self._arrivals.total + (MOST_BYTES if self._readers.leader is None else LITTLE)
        while not conversation.over and self._arrivals.total < most:
            before, leader = self._arrivals.total, self._readers.leader
            if leader is None:
                if not self._connection.readable:
                    return
                with trio.move_on_after(MOMENT) as scope, self._readers:
                    await self._wait(scope)
            else:
                # Who leads may have more to read in the cipher than in the socket; in two turns everybody has one.
                await trio.sleep(0 if self._connection.quiet else MOMENT)
                await checkpoints(TURNS_OF_A_STREAM if self._connection.foreign else 1)
            if (self._arrivals.total, self._readers.leader) == (before, leader):
                return

    # Connecting.

    async def _connected(self) -> TTSConversation:
        """The conversation of a connection that stands, until the next await; made anew where there is none.

        Raises:
            CartesiaError: connecting failed, for this task or for one that it was waiting for.
            LocalProtocolError: the WebSocket or its client is closed, or there are no credentials.
        """
        asked, failure = self._looks, self._failure
        while self._looked <= asked or self._current.over:  # one look serves all who had asked when it began
            if self._looking is not None:
                await self._looking.wait()
                if self._failure is not failure:
                    raise copy(self._failure[0])
                continue
            self._looks += 1
            self._looking = looking = trio.Event()
            try:
                if self._conversation is not None:
                    await self._settle(self._conversation)
                    self._wake(self._conversation.handle_deadline(trio.current_time()))  # nobody may have read for long
                if self._conversation is None or self._conversation.over:
                    await self._connect()
                self._looked = self._looks
                break
            finally:
                self._looking = None
                looking.set()
        return self._current

    async def _unless(self, id: str, step: Step[T]) -> T | None:
        """What a step comes to; where a change concerns the id meanwhile, the step is cancelled, and it is None."""
        with trio.CancelScope() as scope, self._standing.during(scope, id):
            return await step()
        return None

    async def _connect(self) -> None:
        opening: Opening[Connection] = Opening(self._config, random, self._options, trio.current_time, self._check_open)
        try:
            with trio.CancelScope() as self._attempting:
                await take(self._network, opening.steps())
            self._check_open()
            self._conversation, self._connection = opening.taken()
        except CartesiaError as error:
            self._failure = (copy(error),)
            raise
        finally:
            await perform(self._network, opening.abort())
        self._wake(self._conversation.received(0, trio.current_time()))  # what came with the handshake
        await self._follow_up(self._conversation, self._connection)

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("the WebSocket is closed: ask the client for another")

    @property
    def _current(self) -> TTSConversation:
        if self._conversation is None:
            raise AssertionError("this is called only where there was a connection")
        return self._conversation

    def _due(self, conversation: TTSConversation) -> float:
        due = conversation.deadline()
        return math.inf if due is None else max(due, self._earliest)
