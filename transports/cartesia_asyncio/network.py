"""The connections of a client on asyncio: making them, sharing them, closing them all.

This module knows how each step to a connection is done. It must not know in which order, nor requests, answers or
retries. It is shared by a client and all that `with_options` made of it, and belongs to one event loop.
"""

import asyncio
import math
import os
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import TypeVar, assert_never, final

from attrs import define, field

from cartesia_asyncio.connection import Connect, Connection, at_home
from cartesia_asyncio.dialling import dial
from cartesia_proto.config import Limits
from cartesia_proto.flow import Attempt
from cartesia_proto.http import Request
from cartesia_proto.performing import Origin
from cartesia_proto.wire import steps
from cartesia_proto.wire.forks import FORKS
from cartesia_proto.wire.homes import Home
from cartesia_proto.wire.pool import Pool
from cartesia_proto.wire.proxy import Proxy

T = TypeVar("T")

FORKS.arm(getattr(os, "register_at_fork", None))


@final
@define(eq=False)
class Network(Home[asyncio.AbstractEventLoop]):
    """How one client reaches the API.

    Attributes:
        proxy: what connections go through, or None.
        ssl_context: what encrypts them; made at the first one to be encrypted where None was given.
        local_address: where they leave from, or None.
        connect: what makes them instead, or None.
        pool: idle connections.
        limits: of them, `head` bounds what a proxy and a server say before a body.
    """

    kind = "event loop"
    proxy: Proxy | None
    ssl_context: ssl.SSLContext | None
    local_address: str | None
    connect: Connect | None
    limits: Limits
    pool: Pool[Origin, Connection] = field(factory=Pool[Origin, Connection], init=False)
    _open: set[Connection] = field(factory=set[Connection], init=False)
    _making: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        FORKS.watch(self, Network._begin_anew)

    def _begin_anew(self) -> None:
        """Own nothing and belong to no loop, in a child process; each connection lets go by itself."""
        self.leave()
        self.pool, self._open, self._making = Pool(), set(), asyncio.Lock()

    async def fresh(self, attempt: Attempt) -> Connection:
        """A new connection, ready for a request.

        Raises:
            ConnectError, TimeoutError: none could be made; nothing was sent and no socket is left open.
            LocalProtocolError: the client is closed, or belongs to another event loop.
        """
        loop, local = self.check(), self.local_address
        connection = Connection(attempt.request.host, attempt.request.port)
        try:
            for step in steps.connecting(attempt, self.proxy, self.limits, loop.time, local, self.connect):
                with step:
                    async with asyncio.timeout_at(None if step.until == math.inf else step.until):
                        await self._take(step, connection)
                self.check()
        except BaseException:
            self.abort(connection)
            raise
        return connection

    async def _take(self, step: steps.Step, connection: Connection) -> None:
        """Do what a step asks for."""
        match step:
            case steps.Prepare():
                async with self._making:  # once for all tasks
                    make = partial(steps.own_context, ssl.create_default_context)
                    step.context = self.ssl_context = self.ssl_context or await in_thread(make)
            case steps.LookUp(host=host, port=port):
                step.found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            case steps.Dial(race=race):
                await self._adopt(connection, await dial(race, self.local_address))
            case steps.Own():
                await self._adopt(connection, step.usable(await step.call("__await__"), "setsockopt", "fileno"))
            case steps.Send(link=link):
                await connection.send(link.data_to_send(), step.seconds, "handshake")
            case steps.Receive(link=link):
                await connection.read(link)
            case steps.Secure(context=context):
                step.protocol = await connection.encrypt(context, step.server_name, step.seconds)
            case _:
                assert_never(step)

    def give_back(self, request: Request, connection: Connection) -> None:
        """Keep a connection that is good for another request."""
        connection.release_buffer()
        loop = asyncio.get_running_loop()
        for surplus in self.pool.give_back(request.origin, connection, loop.time()):
            self.abort(surplus)

    def abort(self, connection: Connection) -> None:
        """Close a connection at once, if it is one, from wherever. Idempotent, never raises."""
        if connection in self._open:
            self._open.discard(connection)
            connection.abort()

    def close(self) -> None:
        """Close every connection at once, those in use too, from wherever. Idempotent; later there are none."""
        self._closed = True
        self.pool.close_all()
        for connection in tuple(self._open):
            self.abort(connection)

    def at_home(self, act: Callable[[], object]) -> None:
        """Do something on the loop of this client, soon if it runs elsewhere; here if it does not run."""
        at_home(self.loop, act, act)

    @staticmethod
    def current() -> asyncio.AbstractEventLoop:
        """The running event loop."""
        return asyncio.get_running_loop()

    async def _adopt(self, connection: Connection, sock: socket.socket) -> None:
        await connection.adopt(sock)
        self._open.add(connection)


async def in_thread(work: Callable[[], T]) -> T:
    """Do work of the kind that waits for a disk: in another thread, or here where threads are gone, at the very end."""
    try:
        return await asyncio.to_thread(work)
    except RuntimeError:  # an executor that was shut down says so before it begins
        return work()
