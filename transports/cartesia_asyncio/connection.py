"""One socket on asyncio: connect it, encrypt it, move bytes between it and a byte link.

This module knows transports, protocols and timers. It must not know HTTP, retries or which connection is used for what:
links of the core and `network` do. Bytes arrive straight in a buffer of its own; from a certain size on, reading
pauses until somebody takes them.
"""

import asyncio
import builtins
import math
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol, cast, final

from cartesia_proto.errors import Phase
from cartesia_proto.wire.exchange import ByteLink, connection_broke, read_deadline, timed_out
from cartesia_proto.wire.forks import FORKS
from cartesia_proto.wire.homes import running
from cartesia_proto.wire.link import BUSY
from cartesia_proto.wire.pool import whole_records
from cartesia_proto.wire.records import TLS_RECORD
from cartesia_proto.wire.uploads import PIECE

TURNS: Final = 3
"""Turns of the loop in which it looks at a socket, reads what is there, and reads the end that came behind it."""

LONGEST_HANDSHAKE: Final = 24 * 3600.0
"""Seconds for asyncio's own limit on TLS handshakes, which cannot be off; the limit that counts is ours."""

Connect = Callable[[str, int], Awaitable[socket.socket]]
"""What a user may give to make unencrypted connections to a host and port: answers with a connected stream socket."""


class _Lost(Protocol):
    """What asyncio's own transports have."""

    def _call_connection_lost(self, exc: None) -> None: ...


@final
class Connection(asyncio.BufferedProtocol):
    """One connection, once it was given a socket by `adopt`.

    Attributes:
        ended: nothing more will arrive or can be sent.
        transport: asyncio's.
    """

    def __init__(self, host: str, port: int) -> None:
        self.ended: bool = False
        self._whole = False  # it was ended by the peer, and not merely cut
        self._place = (host, port)
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket
        self._raw: asyncio.Transport  # of the socket, also under TLS
        self.transport: asyncio.Transport
        self._buffer = memoryview(b"")  # none while nothing arrives
        self._filled = 0
        self._blocked = False  # the transport holds bytes that it could not send yet
        self._waiter: asyncio.Future[None] | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a transport; let nothing stay behind in it unseen."""
        self.transport = self._raw = cast("asyncio.Transport", transport)
        self._raw.set_write_buffer_limits(high=1, low=0)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room for all that TLS holds just now: what it cannot hand on at once is lost if the peer has left by then."""
        needed = self._filled + max(sizehint, 0) + TLS_RECORD + 1
        if len(self._buffer) < needed:
            size = max(needed, PIECE)
            self._buffer = memoryview(bytearray(self._buffer[: self._filled]) + bytearray(size - self._filled))
        return self._buffer[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Note what arrived."""
        self._filled += nbytes
        if self._filled >= PIECE:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Note the end; asyncio closes the transport."""
        self.ended = True
        self._whole = _said_farewell(self.transport)
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

    async def quiet(self) -> bool:
        """Whether it is open and nothing arrived that nobody asked for: good for another request.

        What arrived while the loop was busy is still in the socket. Under TLS it may be a session ticket, which is no
        answer and which the loop takes away when it has its turns.
        """
        tls: ssl.SSLObject | None = self.transport.get_extra_info("ssl_object")
        found = self._peek()
        if not self._raw.is_closing():
            self._raw.resume_reading()
        if found and tls is not None and whole_records(found):
            for _ in range(TURNS):
                await asyncio.sleep(0)
            found = self._peek()
        held = self._filled or (tls is not None and tls.pending())
        return found is None and not (self.ended or held or self.transport.is_closing())

    def _peek(self) -> bytes | None:
        """What the socket holds that the loop has not taken yet; None for nothing, no bytes for the end."""
        try:
            return self._socket.recv(TLS_RECORD, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def abort(self) -> None:
        """Close at once, from wherever. Awaits nothing, so a cancelled task can call it; idempotent, never raises."""
        if self._socket.fileno() >= 0:
            at_home(self._loop, self.transport.abort, self._leave)

    def _leave(self) -> None:
        """Close at once where the loop does nothing: it is stopped, or closed."""
        if self._loop.is_closed():
            self._bury()
        else:
            self.transport.abort()  # first, as the loop must forget a descriptor before it is closed
            self._socket.close()

    def _bury(self) -> None:
        """Close the descriptor and no more, where the loop may not be touched: it is closed, or another process's."""
        self.ended, self._filled = True, 0
        with suppress(OSError):
            socket.close(self._socket.detach())  # also where the loop (uvloop's) counts as a user of the socket
        # A transport warns when it is collected unless it was told that all is over, for which there is no public way.
        with suppress(Exception):
            cast("_Lost", self._raw)._call_connection_lost(None)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - see above

    async def send(self, data: bytes, seconds: float, phase: Phase) -> bool:
        """Write bytes; False where the peer takes no more, of which reading tells why.

        Raises:
            TimeoutError: the bytes did not leave within so many seconds.
        """
        if data and not (self.ended or self.transport.is_closing()):
            self.transport.write(data)
            deadline = self._loop.time() + seconds
            while self._blocked and not self.ended:
                if self._loop.time() >= deadline:
                    raise timed_out(phase, *self._place, seconds)
                await self._wait(deadline)
        return not (self.ended or self.transport.is_closing())

    async def flush(self, link: ByteLink, seconds: float, phase: Phase) -> bool:
        """Write all that a link has to send; False where the peer takes no more, of which the link tells when read.

        Raises:
            TimeoutError: as `send`.
        """
        sent = await self.send(link.data_to_send(), seconds, phase)
        if not sent:
            link.send_failed()
        return sent

    async def read(self, link: ByteLink) -> None:
        """Feed a link once: with what arrived, with how it ended, or with the news that nothing came in time."""
        deadline = read_deadline(link, self._loop.time())
        while not self._filled and not self.ended and self._loop.time() < deadline:
            await self._wait(deadline)
        if self._filled:
            link.receive_data(self._buffer[: self._filled], self._loop.time())
            if self._filled == len(self._buffer) < BUSY:  # the peer fills what it is given
                self._buffer = memoryview(bytearray(BUSY))
            self._filled = 0
            self.transport.resume_reading()
        elif self._whole:
            link.receive_eof(self._loop.time())
        elif self.ended:
            connection_broke(link, self._loop.time())
        else:
            link.handle_deadline(deadline)

    def release_buffer(self) -> None:
        """Hold no memory while nothing is asked for, and let nothing into TLS, which does not tell what it holds."""
        if not self._filled:
            self._buffer = memoryview(b"")
        if self.transport is not self._raw and not self._raw.is_closing():
            self._raw.pause_reading()

    def hand_over(self, protocol: asyncio.BufferedProtocol) -> None:
        """Let another protocol be told of everything from now on, once what arrived was read."""
        self.transport.set_protocol(protocol)
        self._buffer = memoryview(b"")

    async def adopt(self, sock: socket.socket) -> None:
        """Take over a connected socket."""
        try:
            with suppress(OSError):  # asyncio asks for this only where a socket names its protocol; it may be no TCP
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = sock
            FORKS.watch(self, Connection._bury)
            await self._loop.create_connection(lambda: self, sock=sock)
        except BaseException:
            sock.close()
            raise

    async def encrypt(self, context: ssl.SSLContext, hostname: str, seconds: float) -> str | None:
        """Make TLS with a host, maybe behind a proxy; the protocol that was agreed on, if any. Raises as asyncio."""
        limit = min(2 * seconds, LONGEST_HANDSHAKE)
        transport = await self._loop.start_tls(
            self.transport, self, context, server_hostname=hostname, ssl_handshake_timeout=limit
        )
        if transport is None:
            raise ConnectionResetError("the peer left during the TLS handshake")
        # What TLS holds it has given away, so by itself it does not say that the first bytes are stuck beneath it.
        transport.set_write_buffer_limits(high=sys.maxsize)
        self._raw.set_protocol(_Beneath(self._raw.get_protocol(), transport))
        self.transport = transport
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        return tls.selected_alpn_protocol()

    async def _wait(self, deadline: float) -> None:
        """Wait until something happens here, or the deadline."""
        self._waiter = self._loop.create_future()
        with suppress(builtins.TimeoutError):
            async with asyncio.timeout_at(None if deadline == math.inf else deadline):
                await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@final
class _Beneath(asyncio.BufferedProtocol):
    """What the transport beneath TLS calls: TLS, and what uses TLS, once bytes are stuck and once all have left."""

    def __init__(self, tls: asyncio.BaseProtocol, transport: asyncio.Transport) -> None:
        self._tls = tls
        self._transport = transport
        self._stuck = self._told = False
        for name in ("get_buffer", "buffer_updated", "eof_received", "connection_lost"):
            setattr(self, name, getattr(tls, name))  # no call more for each read

    def pause_writing(self) -> None:
        self._stuck = True
        self._tls.pause_writing()
        if not self._told:
            self._told = True
            self._transport.get_protocol().pause_writing()

    def resume_writing(self) -> None:
        self._stuck = False
        self._tls.resume_writing()  # what it holds leaves now, and may be stuck again
        if not self._stuck:
            self._told = False
            self._transport.get_protocol().resume_writing()


def at_home(loop: asyncio.AbstractEventLoop | None, act: Callable[[], object], alone: Callable[[], object]) -> None:
    """Do something that belongs to a loop: at once on it, soon where it runs in another thread.

    Args:
        alone: what is done instead, as far as it can be done, where the loop does not run: nobody else is at it.
    """
    here = running(asyncio.get_running_loop)
    if here is not None and here is loop:
        act()
        return
    with suppress(RuntimeError):  # it was closed just now
        if loop is not None and loop.is_running():
            loop.call_soon_threadsafe(act)
            return
    with suppress(RuntimeError):  # it was closed before
        alone()


def _said_farewell(transport: asyncio.Transport) -> bool:
    """Whether it was the peer that ended a transport at its end: TLS has a message for that (close_notify)."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    try:
        return tls is None or not tls.read(1)
    except ssl.SSLError:  # it waits for more
        return False
