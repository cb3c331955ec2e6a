"""What a connection on asyncio holds: as much as is under way, and nothing while it waits in the pool."""

from __future__ import annotations

import asyncio
import gc
import socket
import tracemalloc
from collections.abc import Iterator
from typing import final

import pytest

from cartesia_asyncio.connection import Connection
from cartesia_asyncio.network import Network
from cartesia_proto.config import Limits
from cartesia_proto.flow import Attempt
from cartesia_proto.http import Headers, Request
from cartesia_proto.wire.http1 import BodyData, ClientLink, EndOfBody
from cartesia_proto.wire.link import BUSY
from cartesia_proto.wire.uploads import PIECE
from tests.conftest import WAIT

REQUEST = Request("GET", "http://api.test/x", Headers())


@final
class Peer:
    """The other end of the one connection that a network makes."""

    def __init__(self) -> None:
        self.socket, self._ours = socket.socketpair()
        self.socket.setblocking(False)  # noqa: FBT003 - as sockets have it
        self.network = Network(None, None, None, self._connect, Limits())

    async def _connect(self, host: str, port: int) -> socket.socket:
        del host, port
        return self._ours

    async def connected(self) -> Connection:
        """The connection, fresh."""
        return await self.network.fresh(Attempt(REQUEST, 0.0, WAIT, "stream", 1000, 1000))

    async def say(self, data: bytes) -> None:
        """Send bytes to the client."""
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def exchange(self, connection: Connection, size: int) -> int:
        """Answer a request with so many bytes; how many arrived."""
        link, received = ClientLink(WAIT, Limits()), 0
        link.send(REQUEST, asyncio.get_running_loop().time())
        assert await connection.send(link.data_to_send(), WAIT, "write")
        answer = asyncio.ensure_future(self.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)))
        while not isinstance(event := link.next_event(), EndOfBody):
            received += len(event.data) if isinstance(event, BodyData) else 0
            if event is None:
                await connection.read(link)
        await answer
        return received


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A peer whose sockets are closed in the end."""
    made = Peer()
    with made.socket:
        yield made
    gc.collect()


def held() -> int:
    """Bytes that were allocated since it was begun to be counted, and are in use."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def arrived() -> None:
    """Let the event loop read what was sent: it is there at once."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_nothing_is_held_in_the_pool(peer: Peer) -> None:
    """Not even after a bulk answer, for which the buffer grew; the next answer is read as the first."""

    async def main() -> None:
        connection = await peer.connected()
        assert await peer.exchange(connection, 100) == 100
        tracemalloc.start()
        assert await peer.exchange(connection, 4 * BUSY) == 4 * BUSY
        assert held() > BUSY
        assert len(connection.get_buffer(-1)) == BUSY
        peer.network.give_back(REQUEST, connection)
        assert held() < PIECE
        assert await connection.quiet()
        assert await peer.exchange(connection, 2 * PIECE) == 2 * PIECE
        peer.network.close()

    try:
        asyncio.run(asyncio.wait_for(main(), WAIT))
    finally:
        tracemalloc.stop()


def test_what_nobody_asked_for_is_kept_until_it_is_found(peer: Peer) -> None:
    """It came before the connection was given back, and goes on: asyncio has room for it, and nobody gets it."""
    failures: list[dict[str, object]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, failure: failures.append(failure))
        connection = await peer.connected()
        await peer.say(bytes(PIECE // 2))
        await arrived()
        assert not await connection.quiet()
        peer.network.give_back(REQUEST, connection)
        await peer.say(bytes(PIECE // 2))
        await arrived()
        assert not connection.ended
        assert not await connection.quiet()
        peer.network.close()

    asyncio.run(asyncio.wait_for(main(), WAIT))
    assert failures == []
