"""The connection of one WebSocket on asyncio, made anew when it is needed, and the tasks that wait on it.

This module knows when bytes move, when time is up and who is woken. It must not know what is said: the core's
`TTSConversation` does.

Theory of operation. There is no task and no write lock. The loop hands over what arrives, straight into the link's
buffer; a change and its bytes enter the transport in one step, and in their order. While the transport holds bytes it
could not send yet, more stay in the link, so pongs never pile up. Reading pauses while nobody waits and events do; who
waits for bytes to leave waits too, as the peer may read only once it is read. What arrived and is too much for one turn
of the loop is taken in several, in which nothing more is read. One timer runs, and looks when it is due whether that
has moved; the loop looks at the socket before, so nobody is said to be late before it was read.
"""

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Final, TypeVar, final

# What users get is loaded with what carries it.
import cartesia_proto.awaiting  # noqa: F401  # pyright: ignore[reportUnusedImport] - see above
from cartesia_asyncio.connection import TURNS, Connection
from cartesia_asyncio.network import Network
from cartesia_asyncio.sending import perform, take
from cartesia_proto.config import Config
from cartesia_proto.contexts import Alone
from cartesia_proto.conversation import CLOSING_SECONDS, TTSConversation, WebSocketOptions
from cartesia_proto.errors import CartesiaError, LocalProtocolError
from cartesia_proto.lines import Ready, Saying, Step
from cartesia_proto.opening import Opening
from cartesia_proto.sessions.events import ContextEnded
from cartesia_proto.sharing import Standing
from cartesia_proto.wire.forks import FORKS
from cartesia_proto.wire.records import TLS_RECORD

T = TypeVar("T")

MOST_READS: Final = 100
"""How often at most a socket is read before a context is opened or said to be late: at 64 KiB each, that empties the
largest buffer which Linux gives one by itself (6 MiB, ``tcp_rmem``)."""


@final
class Multiplexer(asyncio.BufferedProtocol):
    """What joins connections, one after another, to conversations, and both to the tasks that wait.

    Whoever changes a conversation calls `_act`, before anything is awaited.
    """

    def __init__(self, network: Network, config: Config, options: WebSocketOptions) -> None:
        self._network = network
        self._config = config
        self._options = options
        self._timeout = None if config.timeout == math.inf else config.timeout
        self._connecting = asyncio.Lock()
        self._standing: Standing[asyncio.Timeout] = Standing()  # waits of tasks that say something
        self._failure: tuple[CartesiaError, ...] = ()  # the last one, each time in a tuple of its own
        self._closed = False
        self._connection: Connection  # the last one, once there was one
        self._current: TTSConversation  # on it
        self._conversation: TTSConversation | None = None  # the same, None before
        self._waiters: dict[object, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0  # some loops' handles cannot say so
        self._full_reads = 0  # so many times there may have been more to be read
        self._unread = False  # what arrived last is gone on with in the next turn
        self._reading = True  # else it is for the peer to wait
        self._blocked = False  # the transport holds bytes that it could not send yet
        FORKS.watch(self, Multiplexer._begin_anew)

    @property
    def now(self) -> float:
        """Monotonic seconds, of the loop that this belongs to."""
        loop = self._network.loop
        return time.monotonic() if loop is None else loop.time()

    # What asyncio calls.

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room in the link's own buffer, for all that TLS holds just now: the peer may have left by the next time."""
        return self._current.link.receive_space(max(sizehint, 0) + TLS_RECORD + 1)

    def buffer_updated(self, nbytes: int) -> None:
        """Take what arrived. What takes up less than the least room there is was all there was."""
        self._full_reads += nbytes > TLS_RECORD
        self._follow_up(self._current, self._current.received(nbytes, self.now))
        if self._current.unread and not self._unread:
            self._unread = True
            self._regulate()
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        """Take more of what arrived, now that others have had their turn."""
        self._unread = False
        self._full_reads += 1
        self.buffer_updated(0)
        if not self._unread:
            self._regulate()

    def eof_received(self) -> None:
        """Note the end."""
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, however it came. A new connection is not handed over before the end of the last was told."""
        del exc
        self._act(self._current.receive_eof(self.now))

    def pause_writing(self) -> None:
        """Note that bytes are left in the transport. They have their time, and all that follow before it is empty."""
        self._blocked = True
        self._current.link.data_waits(self.now + self._config.timeout)
        self._regulate()

    def resume_writing(self) -> None:
        """Note that they have left."""
        self._blocked = False
        self._current.link.data_waits(math.inf, moved=True)
        self._act(self._waiters)
        if not self._blocked:
            self._current.link.data_sent(self.now)

    # What WebSockets call.

    async def run(self) -> None:
        """Connect, unless there is a connection, and read until it has ended."""
        await self.say("", lambda: None, lambda conversation, now: False, lambda: None)  # noqa: ARG005 - no word is said
        await self._until_closed(self._current)

    async def aclose(self) -> None:
        """End every context, say goodbye, and connect no more; elsewhere than on its loop, wait for nothing."""
        self._closed = True
        if not self._network.here:
            self._network.at_home(self._abandon)
            return
        self._wait_no_longer(None)
        if self._conversation is None:
            return
        try:
            self._act(self._conversation.close(self.now))
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSING_SECONDS):
                    await self._until_closed(self._conversation)
        finally:
            self.connection_lost(None)

    # What contexts call.

    async def say(self, id: str, ready: Ready, say: Saying, check: Callable[[], None]) -> None:
        """Say something on the conversation that is ready, or on a new connection's; when it is written, check.

        Where a change concerns the id meanwhile, nothing is waited for any longer, if what is ready then raises.
        """
        self._network.check_loop()
        while (conversation := ready() or await self._settled() or await self._unless(id, self._connected)) is None:
            self._check_open()
        if say(conversation, self.now):
            self._act()
            if self._blocked:
                await self._unless(id, self._flush)
        check()

    async def change(self, change: Callable[[float], set[str]]) -> None:
        """Do at once what ends a context, and what follows from it. Never raises, and waits for nothing.

        Elsewhere than on its loop, it is done there soon, or here if that does not run.
        """
        self._network.at_home(partial(self._change, change))

    async def next(self, id: str, take: Callable[[], T | None], alone: Alone, first: Step[None] | None) -> T:
        """Take the first step, then wait until something is taken; try when something comes for the id."""
        with alone:
            if first is not None:
                with suppress(ContextEnded):  # what is taken tells
                    await first()
            while (taken := take()) is None:
                await self._wait(id)
            return taken

    async def at_hand(self, taken: deque[T], alone: Alone, otherwise: Step[T]) -> T:
        """The first of what was taken already; otherwise, or where somebody is reading, what that step comes to."""
        return taken.popleft() if taken and not alone.taken else await otherwise()

    async def in_steps(self, steps: Awaitable[T]) -> T:
        """Await what takes several steps."""
        return await steps

    # How it is done.

    def _change(self, change: Callable[[float], set[str]]) -> None:
        concerned = change(self.now)
        self._act(concerned)
        self._wait_no_longer(concerned)

    def _abandon(self) -> None:
        """End every context and the connection, and wait for nothing; a goodbye leaves if it can do so at once."""
        if self._conversation is not None:
            self._conversation.close(self.now)
            self.connection_lost(None)
        self._wait_no_longer(None)

    def _begin_anew(self) -> None:
        """Lose the connection in a child process, where the tasks that wait or connect will never run on."""
        self._connecting, self._standing, self._waiters = asyncio.Lock(), Standing(), {}
        self._timer, self._blocked = None, False
        if self._conversation is not None:
            self._conversation.disown(self.now)

    async def _unless(self, id: str, step: Step[T]) -> T | None:
        """What a step comes to; where a change concerns the id meanwhile, the step is cancelled, and it is None."""
        scope = asyncio.timeout(None)
        try:
            with self._standing.during(scope, id):
                async with scope:
                    return await step()
        except TimeoutError:
            if not scope.expired():
                raise
            return None

    def _wait_no_longer(self, concerned: Collection[str] | None) -> None:
        """Cancel those steps, or all. Only a change does so: what arrives may be for an earlier context of an id."""
        for scope in self._standing.of(concerned):
            if scope.when() is None:
                scope.reschedule(self.now)

    async def _connected(self) -> TTSConversation:
        """The conversation of a connection that stands, until the next await; made anew where there is none.

        Raises:
            CartesiaError: connecting failed, for this task or for one that it was waiting for.
            LocalProtocolError: the WebSocket or its client is closed, or there are no credentials.
        """
        failure = self._failure
        async with self._connecting:
            if self._conversation is None or self._conversation.over:
                if self._failure is not failure:
                    raise copy(self._failure[0])
                await self._connect()
            return self._current

    def _act(self, concerned: Iterable[object] = ()) -> None:
        """Do what follows from a change, which may have brought a deadline nearer."""
        if self._conversation is not None:
            self._follow_up(self._conversation, concerned)
            self._regulate()

    def _follow_up(self, conversation: TTSConversation, concerned: Iterable[object]) -> None:
        """Send, close what is over, wake those it concerns, and read only as far as that is wanted."""
        link = conversation.link
        if link.has_data_to_send and not self._blocked and not self._connection.transport.is_closing():
            self._connection.transport.write(link.data_to_send())
        if link.state == "closed":
            self._network.abort(self._connection)
            self._blocked = False
            concerned = self._waiters
        for key in concerned:
            if (waiter := self._waiters.get(key)) is not None and not waiter.done():
                waiter.set_result(None)
        if not self._waiters:
            self._regulate()

    async def _flush(self) -> None:
        """Wait until everything was sent. If it does not leave in time, the connection is lost; never raises."""
        conversation = self._current
        try:
            async with asyncio.timeout(self._timeout):
                for _ in range(2):  # what the transport holds leaves, then what the link does
                    if self._blocked and conversation.link.state != "closed":
                        await self._wait(object())
        except TimeoutError:
            self._act(conversation.send_failed(self.now))

    async def _wait(self, key: object) -> None:
        """Wait until something happened that concerns a context (the key is its id), bytes left, or all has ended."""
        waiter = self._waiters[key] = asyncio.get_running_loop().create_future()
        if self._timer is None or not self._reading:
            self._regulate()
        try:
            await waiter
        finally:
            del self._waiters[key]

    async def _until_closed(self, conversation: TTSConversation) -> None:
        while conversation.link.state != "closed":
            await self._wait(object())

    def _regulate(self) -> None:
        """Read, unless nobody waits while events do: then it is for the peer to wait. What is due has a timer.

        What is received moves that away, or to an interval between pings from then; so a read need not look here.
        """
        if self._connection.ended:  # and its transport closed, perhaps without a loop
            return
        transport, due = self._connection.transport, self._current.deadline()
        self._reading = not self._unread and (bool(self._waiters) or not self._current.waiting_bytes)
        transport.resume_reading() if self._reading else transport.pause_reading()
        if due is None or (self._timer is not None and self._timer_due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = min(due, self.now + self._options.ping_interval)
        loop = self._network.loop or asyncio.get_running_loop()
        self._timer = loop.call_at(self._timer_due, self._time_is_up, self._full_reads, MOST_READS)

    def _time_is_up(self, known: int, reads: int) -> None:
        """Do what is due; but if there may be more to be read, look again first, at most so many times."""
        if reads and known != self._full_reads:
            self._timer_due = 0.0
            self._timer = asyncio.get_running_loop().call_at(0.0, self._time_is_up, self._full_reads, reads - 1)
            return
        self._timer = None
        if self._waiters:
            self._act(self._current.handle_deadline(self.now))

    async def _settled(self) -> TTSConversation | None:
        """The conversation, if it stands: what has already arrived is taken in first, as it may have idled out.

        Where others wait for more, that is looked for once, and not until there is nothing: they look all the time.
        """
        if self._conversation is None or self._conversation.over:
            return None
        conversation, key = self._conversation, object()
        rounds = MOST_READS if conversation.idle or not self._waiters else 1
        self._waiters[key] = asyncio.get_running_loop().create_future()
        self._regulate()
        try:
            for _ in range(rounds):
                known = self._full_reads
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                if known == self._full_reads:
                    break
        finally:
            del self._waiters[key]
        return None if conversation.over else conversation

    async def _connect(self) -> None:
        opening: Opening[Connection] = Opening(
            self._config, random.random, self._options, lambda: self.now, self._check_open
        )
        try:
            await take(self._network, opening.steps())
            self._current, self._connection = opening.taken()
        except CartesiaError as error:
            self._failure = (copy(error),)
            raise
        finally:
            await perform(self._network, opening.abort())
        self._conversation = self._current
        self._connection.hand_over(self)
        self._act(self._current.received(0, self.now))  # what came with the handshake
        if self._connection.ended:
            self.connection_lost(None)

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("the WebSocket is closed: ask the client for another")
