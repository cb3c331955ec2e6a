"""The connections of a client on trio: making them, sharing them, closing them all.

This module knows how each step to a connection is done. It must not know in which order, nor requests, answers or
retries. It is shared by a client and all that `with_options` made of it, and belongs to one run of trio.
"""

import os
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import assert_never, final

import trio
from attrs import define, field

from cartesia_proto.config import Limits
from cartesia_proto.flow import Attempt
from cartesia_proto.http import Request
from cartesia_proto.performing import Origin
from cartesia_proto.wire import steps
from cartesia_proto.wire.forks import FORKS
from cartesia_proto.wire.homes import Home
from cartesia_proto.wire.pool import Pool
from cartesia_proto.wire.proxy import Proxy
from cartesia_trio.connection import Connect, Connection, dial

FORKS.arm(getattr(os, "register_at_fork", None))


@final
@define(eq=False)
class Network(Home[trio.lowlevel.TrioToken]):
    """How one client reaches the API.

    Attributes:
        proxy: what connections go through, or None.
        ssl_context: what encrypts them; made at the first one to be encrypted where None was given.
        local_address: where they leave from, or None.
        connect: what makes them instead, or None.
        pool: idle connections.
        limits: of them, `head` bounds what a proxy and a server say before a body.
    """

    kind = "run of trio"
    proxy: Proxy | None
    ssl_context: ssl.SSLContext | None
    local_address: str | None
    connect: Connect | None
    limits: Limits
    pool: Pool[Origin, Connection] = field(factory=Pool[Origin, Connection], init=False)
    _open: set[Connection] = field(factory=set[Connection], init=False)
    _making: trio.Lock = field(factory=trio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        FORKS.watch(self, Network._begin_anew)

    def _begin_anew(self) -> None:
        """Own nothing and belong to no run, in a child process; each connection lets go by itself."""
        self.leave()
        self.pool, self._open, self._making = Pool(), set(), trio.Lock()

    @staticmethod
    def current() -> trio.lowlevel.TrioToken:
        """The run of trio that this is."""
        return trio.lowlevel.current_trio_token()

    def leave_to_home(self, step: Callable[[], Awaitable[None]]) -> bool:
        """From elsewhere: have a step taken soon in the run of this client.

        Return False where that run has ended: nothing is done, and what is done instead here disturbs nobody.
        """
        with suppress(trio.RunFinishedError):
            if self.loop is not None:
                self.loop.run_sync_soon(trio.lowlevel.spawn_system_task, step)
                return True
        return False

    async def fresh(self, attempt: Attempt) -> Connection:
        """A new connection, ready for a request.

        Raises:
            ConnectError, TimeoutError: none could be made; nothing was sent and no socket is left open.
            LocalProtocolError: the client is closed, or belongs to another run of trio.
        """
        self.check()
        connection, local = Connection(attempt.request.host, attempt.request.port), self.local_address
        try:
            for step in steps.connecting(attempt, self.proxy, self.limits, trio.current_time, local, self.connect):
                with step:
                    with trio.move_on_at(step.until) as scope:
                        await self._take(step, connection)
                    if scope.cancelled_caught:
                        raise TimeoutError
                self.check()
        except BaseException:
            await self.close(connection)
            raise
        return connection

    async def _take(self, step: steps.Step, connection: Connection) -> None:
        """Do what a step asks for."""
        match step:
            case steps.Prepare():
                async with self._making:  # once for all tasks
                    make = partial(steps.own_context, ssl.create_default_context)
                    step.context = self.ssl_context = self.ssl_context or await trio.to_thread.run_sync(make)
            case steps.LookUp(host=host, port=port):
                step.found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
            case steps.Dial(race=race):
                connection.adopt(await dial(race, self.local_address))
                self._open.add(connection)
            case steps.Own():
                connection.adopt(step.usable(await step.call("__await__"), "send_all", "receive_some"))
                self._open.add(connection)
            case steps.Send(link=link):
                await connection.flush(link, step.seconds, "handshake")
            case steps.Receive(link=link):
                await connection.read(link)
            case steps.Secure(context=context):
                step.protocol = await connection.encrypt(context, step.server_name)
            case _:
                assert_never(step)

    async def give_back(self, request: Request, connection: Connection) -> None:
        """Keep a connection that is good for another request."""
        for surplus in self.pool.give_back(request.origin, connection, trio.current_time()):
            await self.close(surplus)

    async def close(self, connection: Connection) -> None:
        """Close a connection, if it is one, at once, also when cancelled, and without being cancelled. Idempotent."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        if self.here:
            await connection.aclose()
        elif not self.leave_to_home(connection.aclose_quietly):
            connection.let_go()
            await connection.aclose_quietly()  # a user's own stream can only be asked, and only in some run of trio

    async def aclose(self) -> None:
        """Close every connection at once, those in use too, also when cancelled. Idempotent; later there are none."""
        self._closed = True
        self.pool.close_all()
        for connection in tuple(self._open):
            await self.close(connection)
