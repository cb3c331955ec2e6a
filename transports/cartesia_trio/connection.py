"""One stream on trio: connect it, encrypt it, move bytes between it and a byte link.

This module knows trio's streams and scopes. It must not know HTTP, retries or which connection is used for what: links
of the core and `network` do. Every timeout is a scope of its own, so a caller's cancellation is never taken for one.
"""

import selectors
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Final, final

import trio

from cartesia_proto.errors import Phase
from cartesia_proto.wire.exchange import ByteLink, connection_broke, could_not_connect, read_deadline, timed_out

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
"""What a stream raises that the peer, or `AsyncCartesia.aclose` in another task, has ended."""

_SELECTOR: Final[type[selectors.BaseSelector]] = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""What looks at one socket of any number, without one of its own; Windows has no ``poll``."""

_RECORD: Final = 16 * 1024
"""Bytes of plaintext in one TLS record (RFC 8446 section 5.1)."""

_MAKING: Final = Lock()
"""Held by the thread that lends a TLS context, which may be of other threads too, another class for its objects."""

Connect = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""What a user may give to make unencrypted connections to a host and port."""


@final
class Connection:
    """One connection; made by `open_connection`.

    Attributes:
        unsent: what was taken from the link of a WebSocket, and is the next to be written. Its front is cut off as it
            leaves, which costs a bytearray nothing.
    """

    def __init__(self, stream: trio.abc.Stream, host: str, port: int) -> None:
        self.unsent: bytearray = bytearray()
        self._stream = stream
        self._raw = stream
        self._held: Callable[[], int] = int  # bytes that TLS holds of a record received in part
        self._place = (host, port)

    @property
    def quiet(self) -> bool:
        """Whether nothing arrived that nobody asked for, the end included; not to be known of a user's own stream."""
        sock = self._socket
        return not self._held() and (self.foreign or (sock is not None and not sock.is_readable()))

    async def aclose(self) -> None:
        """Close at once, also when cancelled, and without being cancelled. Idempotent."""
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
        data = await self._stream.receive_some(len(space))
        space[: len(data)] = data
        return len(data)

    async def read(self, link: ByteLink) -> None:
        """Feed a link once: with what arrived, with how it ended, or with the news that nothing came in time."""
        deadline = read_deadline(link, trio.current_time())
        count: int | None = None
        with trio.move_on_at(deadline):
            try:
                count = await self._receive_into(link.receive_space())
            except (*BROKEN, OSError):
                connection_broke(link, trio.current_time())
                return
        if count:
            link.received(count, trio.current_time())
        elif count is None:
            link.handle_deadline(deadline)
        else:
            link.receive_eof(trio.current_time())

    async def encrypt(self, context: ssl.SSLContext, hostname: str, port: int, seconds: float) -> None:
        """Make TLS with a host, maybe behind a proxy.

        Raises:
            ConnectError: it could not be agreed on, or the certificate is not the host's.
            TimeoutError: it took longer than so many seconds.
        """
        with _MAKING:
            # A class of the user's own is used as it is.
            context.sslobject_class = _Records if (given := context.sslobject_class) is ssl.SSLObject else given
            try:
                # Not `https_compatible`, which takes a connection cut by anybody for one that was ended by the server.
                encrypted = trio.SSLStream(self._stream, context, server_hostname=hostname)
            except ValueError as refused:
                raise could_not_connect(hostname, port, refused) from refused
            finally:
                context.sslobject_class = given
        with trio.move_on_after(seconds) as scope:
            try:
                await encrypted.do_handshake()
            except BROKEN as broken:
                reason = broken.__cause__
                error = reason if isinstance(reason, OSError) else ConnectionResetError("the connection ended")
                raise could_not_connect(hostname, port, error) from error
            except ValueError as error:
                raise could_not_connect(hostname, port, error) from error
        if scope.cancelled_caught:
            raise timed_out("handshake", hostname, port, seconds)
        self._stream, self._held = encrypted, encrypted.pending


@final
class _Records(ssl.SSLObject):
    """TLS that reads all records that have arrived. By itself it reads one, and trio makes each a turn of the task."""

    def read(self, len: int = 1024, buffer: "WriteableBuffer | None" = None) -> bytes:  # noqa: A002 - its name
        """Read so many bytes, or fewer; what comes of them behind the first record, the next call tells."""
        if buffer is not None:
            return super().read(len, buffer)
        gathered = BytesIO()
        left = len - gathered.write(super().read(min(len, _RECORD)))
        with suppress(ssl.SSLError):
            while left and (more := super().read(min(left, _RECORD))):
                left -= gathered.write(more)
        return gathered.getvalue()


async def open_connection(
    host: str, port: int, seconds: float, local_address: str | None, connect: Connect | None
) -> Connection:
    """Connect in clear.

    Raises:
        ConnectError: the host could not be reached.
        TimeoutError: it took longer than so many seconds.
    """
    with trio.move_on_after(seconds):
        try:
            if connect is not None:
                return Connection(await connect(host, port), host, port)
            return Connection(await trio.open_tcp_stream(host, port, local_address=local_address), host, port)
        except (OSError, UnicodeError) as error:
            raise could_not_connect(host, port, error) from error
    raise timed_out("connect", host, port, seconds)
