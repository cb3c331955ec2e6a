"""One stream on trio: connect it, encrypt it, move bytes between it and a byte link.

This module knows trio's streams and scopes. It must not know HTTP, retries or which connection is used for what: links
of the core and `network` do. Every timeout is a scope of its own, so a caller's cancellation is never taken for one.
"""

import selectors
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Final, cast, final

import trio

from cartesia_proto.errors import Phase
from cartesia_proto.outbox import Outbox
from cartesia_proto.wire.dialling import Race, SocketAddress
from cartesia_proto.wire.exchange import ByteLink, connection_broke, note_read, read_deadline, timed_out
from cartesia_proto.wire.forks import FORKS
from cartesia_proto.wire.link import BUSY
from cartesia_proto.wire.pool import whole_records
from cartesia_proto.wire.records import gather
from cartesia_trio.runs import beside, checkpoints

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TURNS_OF_A_STREAM: Final = 10
"""How often others have their turn while a user's own stream, of which little is known, is read once; our choice."""

BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
"""What a stream raises that the peer, or `AsyncCartesia.aclose` in another task, has ended."""

_SELECTOR: Final[type[selectors.BaseSelector]] = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""What looks at one socket of any number, without one of its own; Windows has no ``poll``."""

_MAKING: Final = Lock()
"""Held by the thread that lends a TLS context, which may be of other threads too, another class for its objects."""

Connect = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""What a user may give to make unencrypted connections to a host and port."""


@final
class Connection:
    """One connection, once it has a stream.

    Attributes:
        outbox: what was taken from the link of a WebSocket, and is the next to be written.
    """

    def __init__(self, host: str, port: int) -> None:
        self.outbox: Outbox = Outbox()
        self._stream: trio.abc.Stream
        self._raw: trio.abc.Stream
        self._held: Callable[[], int] = int  # bytes that TLS holds of a record received in part
        self._place = (host, port)
        self._gone = False  # it is another process's
        FORKS.watch(self, Connection._disown)

    async def untouched(self) -> bool:
        """Whether nothing arrived that nobody asked for, the end included: it is good for another request.

        What came under TLS may be a session ticket, which is no answer and which a read takes away. A user's own stream
        can only be read to find out.
        """
        sock = self._socket
        if not self.foreign and (self.quiet or sock is None or self._stream is self._raw):
            return self.quiet
        if sock is not None and not whole_records(await sock.recv(BUSY, socket.MSG_PEEK)):
            return False
        return not (self._held() or await self._anything() or (sock is not None and sock.is_readable()))

    async def _anything(self) -> bool:
        """Whether a few turns of reading come to anything."""
        found = trio.Event()

        async def look() -> None:
            with suppress(Exception):  # it has ended, or a user's own stream raises what it likes
                await self._stream.receive_some(1)
            found.set()

        await beside(look, partial(checkpoints, TURNS_OF_A_STREAM))
        return found.is_set()

    def _disown(self) -> None:
        """Let go in a child process, where a task that is not there may hold the stream: it is not touched again."""
        self._gone = True
        self.let_go()

    def let_go(self) -> None:
        """Close the descriptor and no more, where its run has ended or is another process's."""
        raw = self._raw
        while isinstance(raw, trio.SSLStream):  # a user's own
            raw = cast("trio.SSLStream[trio.abc.Stream]", raw).transport_stream
        if isinstance(raw, trio.SocketStream) and (descriptor := raw.socket.detach()) >= 0:
            socket.close(descriptor)

    async def aclose_quietly(self) -> None:
        """Close as a task of trio's own, which must not fail; a user's own stream may raise what it likes."""
        with suppress(Exception):
            await self.aclose()

    def adopt(self, stream: trio.abc.Stream) -> None:
        """Take over a connected stream."""
        self._stream = self._raw = stream

    @property
    def quiet(self) -> bool:
        """Whether nothing arrived that nobody asked for, the end included; not to be known of a user's own stream."""
        sock = self._socket
        return not self._held() and (self.foreign or (sock is not None and not sock.is_readable()))

    async def aclose(self) -> None:
        """Close at once, also when cancelled, and without being cancelled. Idempotent."""
        if not self._gone:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    @property
    def readable(self) -> bool:
        """Whether something may have arrived, the end included; always so under TLS and of a user's own stream."""
        sock = self._socket
        return self._stream is not self._raw or sock is None or sock.is_readable()

    @property
    def writable(self) -> bool:
        """Whether a little can be sent without waiting; not to be known of a user's own stream."""
        sock = self._socket
        if sock is None:
            return not self.foreign
        with _SELECTOR() as selector:
            selector.register(sock, selectors.EVENT_WRITE)
            return bool(selector.select(0))

    async def wait_writable(self) -> None:
        """Wait until it is `writable`; not at all on a user's own stream, nor once it is closed."""
        if (sock := self._socket) is not None:
            with suppress(*BROKEN):
                await trio.lowlevel.wait_writable(sock)

    @property
    def foreign(self) -> bool:
        """Whether it is a user's own stream, of which little can be known."""
        return not isinstance(self._raw, trio.SocketStream)

    @property
    def _socket(self) -> trio.socket.SocketType | None:
        """The open socket, unless it is a user's own stream."""
        sock = self._raw.socket if isinstance(self._raw, trio.SocketStream) else None
        return None if sock is None or sock.fileno() < 0 else sock

    async def flush(self, link: ByteLink, seconds: float, phase: Phase = "write") -> bool:
        """Write all that a link has to send; False where the peer takes no more, of which the link tells when read.

        Raises:
            TimeoutError: the bytes did not leave within so many seconds.
        """
        data = link.data_to_send()
        sent = not data or await self.send(data, seconds, phase)
        if not sent:
            link.send_failed()
        return sent

    async def send(self, data: bytes, seconds: float, phase: Phase) -> bool:
        """Write bytes; False where the peer takes no more.

        Raises:
            TimeoutError: as `flush`.
        """
        with trio.move_on_after(seconds) as scope:
            try:
                await self._stream.send_all(data)
            except BROKEN:
                return False
        if scope.cancelled_caught:
            raise timed_out(phase, *self._place, seconds)
        return True

    async def receive_into(self, space: memoryview) -> int:
        """Receive what fits; how many bytes that were, 0 at the end, however it came."""
        try:
            return await self._receive_into(space)
        except (*BROKEN, OSError):
            return 0

    async def _receive_into(self, space: memoryview) -> int:
        if isinstance(self._stream, trio.SocketStream):  # straight into it: no copy, no new bytes
            return await self._stream.socket.recv_into(space)
        if self._gone:
            raise trio.ClosedResourceError
        data = await self._stream.receive_some(len(space))
        space[: len(data)] = data
        return len(data)

    async def read(self, link: ByteLink) -> None:
        """Feed a link once: with what arrived, with how it ended, or with the news that nothing came in time."""
        deadline = read_deadline(link, trio.current_time())
        count: int | None = None
        try:
            with trio.move_on_at(deadline):
                count = await self._receive_into(link.receive_space())
        except (*BROKEN, OSError):
            connection_broke(link, trio.current_time())
        else:
            note_read(link, count, deadline, trio.current_time())

    async def encrypt(self, context: ssl.SSLContext, hostname: str) -> str | None:
        """Make TLS with a host, maybe behind a proxy; the protocol that was agreed on, if any. Raises as `ssl`."""
        with _MAKING:
            # A class of the user's own is used as it is.
            context.sslobject_class = _Records if (given := context.sslobject_class) is ssl.SSLObject else given
            try:
                # Not `https_compatible`, which takes a connection cut by anybody for one that was ended by the server.
                encrypted = trio.SSLStream(self._stream, context, server_hostname=hostname)
            finally:
                context.sslobject_class = given
        try:
            await encrypted.do_handshake()
        except BROKEN as broken:
            if isinstance(broken.__cause__, OSError):
                raise
            raise ConnectionResetError("the connection ended") from broken
        self._stream, self._held = encrypted, encrypted.pending
        protocol: str | None = encrypted.selected_alpn_protocol()
        return protocol


@final
class _Records(ssl.SSLObject):
    """TLS that reads all records that have arrived. By itself it reads one, and trio makes each a turn of the task."""

    def read(self, len: int = 1024, buffer: "WriteableBuffer | None" = None) -> bytes:  # noqa: A002 - its name
        """Read so many bytes, or fewer; what comes of them behind the first record, the next call tells."""
        if buffer is not None:
            return super().read(len, buffer)
        return gather(super().read, len, ssl.SSLError)


async def dial(race: Race, local_address: str | None) -> trio.SocketStream:
    """A stream to the first address that answers; nothing else is left open.

    Raises:
        OSError: no address answered. As whatever leaves a nursery, it may come in a group.
    """
    sockets: list[trio.socket.SocketType] = []
    reached: list[trio.socket.SocketType] = []
    ended = trio.Event()

    async def attempt(address: SocketAddress) -> None:
        try:
            sock = trio.socket.socket(trio.socket.AF_INET6 if len(address) == 4 else trio.socket.AF_INET)
            sockets.append(sock)
            if local_address is not None:
                await sock.bind((local_address, 0))
            await sock.connect(address)
            reached.append(sock)
        except OSError as error:
            race.failed(address, error)
        ended.set()

    try:
        async with trio.open_nursery() as nursery:
            while not reached:
                while (address := race.next(trio.current_time())) is not None:
                    nursery.start_soon(attempt, address)
                with trio.move_on_after(race.pause(trio.current_time())):
                    await ended.wait()
                ended = trio.Event()
            nursery.cancel_scope.cancel()
        return trio.SocketStream(sockets.pop(sockets.index(reached[0])))
    finally:
        for sock in sockets:
            sock.close()
