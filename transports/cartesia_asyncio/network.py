"""The connections of a client on asyncio: making them, sharing them, closing them all.

This module knows in which order a connection comes about: TCP, a proxy's CONNECT, TLS. It must not know requests,
answers or retries. It is shared by a client and all that `with_options` made of it, and belongs to one event loop.
"""

import asyncio
import ssl
from typing import final

from attrs import define, field

from cartesia_asyncio.connection import Connect, Connection, open_connection
from cartesia_proto.config import Limits
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.flow import Attempt
from cartesia_proto.http import Request
from cartesia_proto.wire.link import LinkFailed
from cartesia_proto.wire.pool import Pool
from cartesia_proto.wire.proxy import Proxy
from cartesia_proto.wire.tunnel import ConnectLink

Origin = tuple[str, str, int]
"""Scheme, host and port; what idle connections are told apart by, as one client has one proxy."""


@final
@define(eq=False)
class Network:
    """How one client reaches the API.

    Attributes:
        proxy: what connections go through, or None.
        ssl_context: what encrypts them; made at the first one to be encrypted where None was given.
        local_address: where they leave from, or None.
        connect: what makes them instead, or None.
        limits: of them, `head` bounds what a proxy and a server say before a body.
    """

    proxy: Proxy | None
    ssl_context: ssl.SSLContext | None
    local_address: str | None
    connect: Connect | None
    limits: Limits
    _pool: Pool[Origin, Connection] = field(factory=Pool[Origin, Connection], init=False)
    _open: set[Connection] = field(factory=set[Connection], init=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)

    def idle(self, request: Request) -> Connection | None:
        """An idle connection for a request, if there is one.

        Raises:
            LocalProtocolError: the client is closed, or belongs to another event loop.
        """
        loop = self.check()
        while True:
            taken = self._pool.take(request.origin, loop.time())
            for expired in taken.to_close:
                self.abort(expired)
            if taken.connection is None or taken.connection.quiet:
                return taken.connection
            self.abort(taken.connection)

    async def fresh(self, attempt: Attempt) -> Connection:
        """A new connection, ready for a request.

        Raises:
            ConnectError, TimeoutError: none could be made; nothing was sent and no socket is left open.
            LocalProtocolError: the client is closed, or belongs to another event loop.
        """
        self.check()
        request, via = attempt.request, self.proxy
        host, port = (request.host, request.port) if via is None else (via.host, via.port)
        connection = await open_connection(host, port, attempt.timeout, self.local_address, self.connect)
        self._open.add(connection)
        try:
            if via is not None:
                await self._tunnel(connection, via, attempt)
            if request.secure:
                await connection.encrypt(self._context(), request.host, request.port, attempt.timeout)
            self.check()
        except BaseException:
            self.abort(connection)
            raise
        return connection

    def give_back(self, request: Request, connection: Connection) -> None:
        """Keep a connection that is good for another request."""
        connection.release_buffer()
        loop = asyncio.get_running_loop()
        for surplus in self._pool.give_back(request.origin, connection, loop.time()):
            self.abort(surplus)

    def abort(self, connection: Connection) -> None:
        """Close a connection at once. Idempotent."""
        self._open.discard(connection)
        connection.transport.abort()

    def close(self) -> None:
        """Close every connection at once, those in use too. Idempotent; later there are none."""
        self._closed = True
        self._pool.close_all()
        for connection in tuple(self._open):
            self.abort(connection)

    def check_loop(self) -> asyncio.AbstractEventLoop:
        """The running event loop, if it is the one that this client was first used on.

        Raises:
            LocalProtocolError: it is another.
        """
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise LocalProtocolError("the client belongs to another event loop: make one client for each loop")
        return loop

    def check(self) -> asyncio.AbstractEventLoop:
        """The running event loop, once it is certain that the client can be used on it.

        Raises:
            LocalProtocolError: the client is closed, or belongs to another event loop.
        """
        if self._closed:
            raise LocalProtocolError("the client is closed")
        return self.check_loop()

    def _context(self) -> ssl.SSLContext:
        if self.ssl_context is None:
            self.ssl_context = ssl.create_default_context()
        return self.ssl_context

    async def _tunnel(self, connection: Connection, via: Proxy, attempt: Attempt) -> None:
        host, port, now = attempt.request.host, attempt.request.port, asyncio.get_running_loop().time()
        link = ConnectLink(via, host, port, attempt.timeout, self.limits, now)
        await connection.send(link.data_to_send(), attempt.timeout, "handshake")
        while (event := link.next_event()) is None:
            await connection.read(link)
        if isinstance(event, LinkFailed):
            raise event.error
