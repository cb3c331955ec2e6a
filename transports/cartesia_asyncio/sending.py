"""One call on asyncio: its attempts, one after another, each on a connection.

This module knows how an `Operation` is run: sleep, open files, connect, write, read. It must not know what a request
asks, when it is made again or what an answer means: the core says so.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import BinaryIO, TypeVar, final

from cartesia_asyncio.connection import Connection
from cartesia_asyncio.network import Network
from cartesia_proto.errors import TransportError
from cartesia_proto.flow import Attempt, Failure, Operation, Outcome
from cartesia_proto.http import FilePart
from cartesia_proto.wire.exchange import PIECE, Exchange, upload

T = TypeVar("T")


@final
class Line:
    """One exchange and the connection it takes place on.

    Attributes:
        exchange: what the core knows of it.
    """

    def __init__(self, network: Network, attempt: Attempt, connection: Connection) -> None:
        self.exchange: Exchange = Exchange(attempt, network.limits)
        self._network = network
        self._attempt = attempt
        self._connection = connection
        self._over = False

    async def make(self, files: Sequence[BinaryIO]) -> Outcome:
        """Send the request and read until the outcome is known; only a streamed body leaves the connection in use."""
        try:
            await self._send(files)
            while (outcome := self.exchange.outcome()) is None:
                await self.read()
        except TransportError as error:
            outcome = Failure(error)
        except BaseException:
            self.close()
            raise
        if not self.exchange.streaming:
            self.release(reusable=self.exchange.reusable)
        return outcome

    async def read(self) -> None:
        """Feed the exchange once.

        Raises:
            LocalProtocolError: the client was closed meanwhile.
        """
        await self._connection.read(self.exchange.link)
        self._network.check()

    def release(self, *, reusable: bool) -> None:
        """Give the connection back if it can carry another request, else close it at once. Idempotent."""
        if not self._over and reusable:
            self._over = True
            self._network.give_back(self._attempt.request, self._connection)
        self.close()

    def close(self) -> None:
        """Close the connection at once, unless it was given back. Idempotent."""
        if not self._over:
            self._over = True
            self._network.abort(self._connection)

    async def _send(self, files: Sequence[BinaryIO]) -> None:
        """Send the request, as far as the peer takes it: it may have answered and closed before the end."""
        sizes = [os.fstat(file.fileno()).st_size for file in files]
        unread = iter(files)
        for piece in self.exchange.begin(sizes, asyncio.get_running_loop().time()):
            sent = await (self._send_file(next(unread)) if isinstance(piece, FilePart) else self._send_piece(piece))
            if not sent:
                return
        self.exchange.link.end_request()
        await self._flush()

    async def _send_file(self, file: BinaryIO) -> bool:
        file.seek(0)  # where it was sent before, on a connection that the server had left
        while piece := await asyncio.to_thread(file.read, PIECE):
            if not await self._send_piece(piece):
                return False
        return True

    async def _send_piece(self, piece: bytes) -> bool:
        self.exchange.link.send_body(piece)
        return await self._flush()

    async def _flush(self) -> bool:
        link = self.exchange.link
        sent = await self._connection.send(link.data_to_send(), self._attempt.timeout, "write")
        if not sent:
            link.send_failed()
        return sent


async def run(network: Network, operation: Operation[T]) -> tuple[T, Line | None]:
    """Run an operation to its result, and answer with its last line, which is still in use for a streamed body.

    Raises:
        CartesiaError: the call's final error. As after any exception or cancellation, no connection is in use.
        OSError: a file to be sent cannot be opened or read.
    """
    line: Line | None = None
    try:
        step = operation.start()
        while isinstance(step, Attempt):
            await asyncio.sleep(step.delay)
            outcome, line = await _attempt(network, step)
            step = operation.resume(outcome)
        return step.value, line
    except BaseException:
        if line is not None:
            line.close()
        raise
    finally:
        operation.abandon()


async def _attempt(network: Network, attempt: Attempt) -> tuple[Outcome, Line | None]:
    with ExitStack() as stack:
        files = [stack.enter_context(await _open(part.path)) for part in upload(attempt.request).files]
        connection = network.idle(attempt.request)
        try:
            line = Line(network, attempt, connection or await network.fresh(attempt))
            outcome = await line.make(files)
            if connection is not None and line.exchange.stale(outcome):
                line = Line(network, attempt, await network.fresh(attempt))
                outcome = await line.make(files)
        except TransportError as error:
            return Failure(error), None
        return outcome, line


async def _open(path: str) -> BinaryIO:
    """Open a file in another thread; one opened for a task that was cancelled meanwhile is closed."""
    opening = asyncio.get_running_loop().run_in_executor(None, _open_for_reading, path)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_opened)
        raise


def _open_for_reading(path: str) -> BinaryIO:
    return open(path, "rb")  # noqa: PTH123 - nothing else here needs pathlib, whose import takes milliseconds


def _close_opened(opening: "asyncio.Future[BinaryIO]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
