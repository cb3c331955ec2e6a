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
from cartesia_asyncio.network import Network, in_thread
from cartesia_proto.errors import TransportError
from cartesia_proto.flow import Attempt, Failure, Operation, Outcome
from cartesia_proto.wire.exchange import Exchange, files_to_open
from cartesia_proto.wire.uploads import Recording

T = TypeVar("T")


@final
class Line:
    """One exchange and the connection it takes place on.

    Attributes:
        exchange: what the core knows of it.
    """

    def __init__(self, network: Network, attempt: Attempt, connection: Connection) -> None:
        self.exchange: Exchange = Exchange(attempt, network.limits, network.proxy)
        self._network = network
        self._attempt = attempt
        self._connection = connection
        self._over = False

    async def make(self, files: Sequence[Recording]) -> Outcome:
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

    async def _send(self, files: Sequence[Recording]) -> None:
        """Send the request, as far as the peer takes it: it may have answered and closed before the end."""
        for piece in self.exchange.begin(files, asyncio.get_running_loop().time()):
            self.exchange.link.send_body(piece if isinstance(piece, bytes) else await in_thread(piece.read))
            if not await self._flush():
                return
        self.exchange.link.end_request()
        await self._flush()

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
    with ExitStack() as stack:
        try:
            step = operation.start()
            files = [stack.enter_context(Recording(part, _open)) for part in files_to_open(step)]
            for file in files:
                await in_thread(file.open)
            while isinstance(step, Attempt):
                await asyncio.sleep(step.delay)
                outcome, line = await _attempt(network, step, files)
                step = operation.resume(outcome)
            return step.value, line
        except BaseException:
            if line is not None:
                line.close()
            raise
        finally:
            operation.abandon()


async def _attempt(network: Network, attempt: Attempt, files: Sequence[Recording]) -> tuple[Outcome, Line | None]:
    connection = await network.idle(attempt.request)
    try:
        line = Line(network, attempt, connection or await network.fresh(attempt))
        outcome = await line.make(files)
        if connection is not None and line.exchange.stale(outcome):
            line = Line(network, attempt, await network.fresh(attempt))
            outcome = await line.make(files)
    except TransportError as error:
        return Failure(error), None
    return outcome, line


def _open(path: str) -> tuple[BinaryIO, int]:
    file = open(path, "rb")  # noqa: PTH123, SIM115 - pathlib takes milliseconds to import; its recording closes it
    return file, os.fstat(file.fileno()).st_size
