"""One socket on asyncio: connect it, encrypt it, move bytes between it and a byte link.

This module knows transports, protocols and timers. It must not know HTTP, retries or which connection is used for what:
links of the core and `network` do. Bytes arrive straight in a buffer of its own; when that is full, reading pauses
until somebody takes them. `abort` closes at once and awaits nothing, so a cancelled task can call it.
"""

import asyncio
import builtins
import math
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast, final

from cartesia_asyncio.dialling import dial
from cartesia_proto.errors import Phase
from cartesia_proto.wire.exchange import PIECE, could_not_connect, read_deadline, timed_out
from cartesia_proto.wire.link import HttpLink

LONGEST_HANDSHAKE: Final = 24 * 3600.0
"""Seconds for asyncio's own limit on TLS handshakes, which cannot be off; the limit that counts is ours."""

EventT = TypeVar("EventT")

Connect = Callable[[str, int], Awaitable[socket.socket]]
"""What a user may give to make unencrypted connections to a host and port: answers with a connected stream socket."""


@final
class Connection(asyncio.BufferedProtocol):
    """One connection; made by `open_connection`.

    Attributes:
        ended: nothing more will arrive or can be sent.
    """

    def __init__(self, host: str, port: int) -> None:
        self.ended: bool = False
        self._place = (host, port)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._buffer = memoryview(bytearray(PIECE))
        self._filled = 0
        self._blocked = False  # the transport holds bytes that it could not send yet
        self._waiter: asyncio.Future[None] | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a transport, the encrypted one in its turn; let nothing stay behind in it unseen."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=1, low=0)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The room left; never none, because reading pauses when it is used up."""
        del sizehint
        return self._buffer[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Note what arrived."""
        self._filled += nbytes
        if self._filled == len(self._buffer):
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Note the end; asyncio closes the transport."""
        self.ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, however it came: the link knows what it means."""
        del exc
        self.ended = True
        self._wake()

    def pause_writing(self) -> None:
        """Note that bytes are left in the transport."""
        self._blocked = True

    def resume_writing(self) -> None:
        """Note that they have left."""
        self._blocked = False
        self._wake()

    # What the rest of this package calls.

    @property
    def quiet(self) -> bool:
        """Whether it is open and nothing arrived that nobody asked for: good for another request."""
        return not (self.ended or self._filled or self._transport.is_closing())

    def abort(self) -> None:
        """Close at once. Idempotent."""
        self._transport.abort()

    async def flush(self, link: HttpLink[EventT], seconds: float, phase: Phase = "write") -> bool:
        """Write all that a link has to send; False where the peer takes no more, of which the link tells when read.

        Raises:
            TimeoutError: the bytes did not leave within so many seconds.
        """
        data = link.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)
            deadline = self._loop.time() + seconds
            while self._blocked and not self.ended:
                if self._loop.time() >= deadline:
                    raise timed_out(phase, *self._place, seconds)
                await self._wait(deadline)
        if self.ended or self._transport.is_closing():
            link.send_failed()
            return False
        return True

    async def read(self, link: HttpLink[EventT]) -> None:
        """Feed a link once: with what arrived, with the end, or with the news that nothing came in time."""
        deadline = read_deadline(link, self._loop.time())
        while not self._filled and not self.ended and self._loop.time() < deadline:
            await self._wait(deadline)
        if self._filled:
            link.receive_data(self._buffer[: self._filled], self._loop.time())
            self._resume()
        elif self.ended:
            link.receive_eof(self._loop.time())
        else:
            link.handle_deadline(deadline)

    async def encrypt(self, context: ssl.SSLContext, hostname: str, port: int, seconds: float) -> None:
        """Make TLS with a host, maybe behind a proxy.

        Raises:
            ConnectError: it could not be agreed on, or the certificate is not the host's.
            TimeoutError: it took longer than so many seconds.
        """
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                transport = await self._loop.start_tls(
                    self._transport,
                    self,
                    context,
                    server_hostname=hostname,
                    ssl_handshake_timeout=min(2 * seconds, LONGEST_HANDSHAKE),
                )
        except builtins.TimeoutError:
            raise timed_out("handshake", hostname, port, seconds) from None
        except (OSError, ValueError) as error:
            raise could_not_connect(hostname, port, error) from error
        if transport is None:
            raise could_not_connect(
                hostname, port, ConnectionResetError("the connection ended during the TLS handshake")
            )
        self.connection_made(transport)

    def _resume(self) -> None:
        full, self._filled = self._filled == len(self._buffer), 0
        if full and not self._transport.is_closing():
            self._transport.resume_reading()

    async def _wait(self, deadline: float) -> None:
        """Wait until something happens here, or the deadline."""
        self._waiter = self._loop.create_future()
        timer = None if deadline == math.inf else self._loop.call_at(deadline, self._wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def open_connection(
    host: str, port: int, seconds: float, local_address: str | None, connect: Connect | None
) -> Connection:
    """Connect in clear.

    Raises:
        ConnectError: the host could not be reached.
        TimeoutError: it took longer than so many seconds.
    """
    try:
        async with asyncio.timeout(None if seconds == math.inf else seconds):
            sock = await (dial(host, port, local_address) if connect is None else connect(host, port))
            return await _adopt(sock, host, port)
    except builtins.TimeoutError:
        raise timed_out("connect", host, port, seconds) from None
    except (OSError, UnicodeError) as error:
        raise could_not_connect(host, port, error) from error


async def _adopt(sock: socket.socket, host: str, port: int) -> Connection:
    try:
        _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(host, port), sock=sock)
    except BaseException:
        sock.close()
        raise
    return connection
