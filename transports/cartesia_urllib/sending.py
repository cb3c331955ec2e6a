"""One call: its attempts, one after another, each on a connection.

This module knows how an `Operation` is run: sleep, open files, connect, write, read. It must not know what a request
asks, when it is made again or what an answer means: the core says so.
"""

import contextlib
import os
import socket
import time
from collections.abc import Sequence
from typing import BinaryIO, TypeVar

from cartesia_proto.errors import RemoteProtocolError, TransportError
from cartesia_proto.flow import Attempt, Failure, Operation, Outcome
from cartesia_proto.wire.exchange import Exchange, files_to_open
from cartesia_proto.wire.uploads import PIECE, Recording
from cartesia_urllib.network import Network
from cartesia_urllib.sockets import Interrupter, flush, read

T = TypeVar("T")


def _open(path: str) -> tuple[BinaryIO, int]:
    """The file, by the builtin: nothing else here needs pathlib, and importing it takes milliseconds."""
    file = open(path, "rb")  # noqa: PTH123, SIM115 - as above; its recording closes it
    return file, os.fstat(file.fileno()).st_size


class Line:
    """One exchange and the connection it takes place on.

    Args:
        interrupter: by which any other thread ends its waits.

    Attributes:
        exchange: what the core knows of it.
    """

    def __init__(self, network: Network, attempt: Attempt, interrupter: Interrupter) -> None:
        self.exchange: Exchange = Exchange(attempt, network.connector.limits, network.connector.proxy)
        self._network = network
        self._attempt = attempt
        self._interrupter = interrupter
        self._socket: socket.socket
        self._over = False

    def make(self, files: Sequence[Recording], idle: socket.socket | None) -> Outcome:
        """Send the request and read until the outcome is known; only a streamed body leaves the connection in use.

        Args:
            idle: a connection to use again, which the interrupter holds; None makes one.

        Raises:
            LocalProtocolError: the request cannot be sent as it is, or a file changed while it was sent.
            OSError: a file to be sent cannot be read.
        """
        try:
            self._begin(files, idle)
            while (outcome := self.exchange.outcome()) is None:
                self.read()
        except (TransportError, RemoteProtocolError) as error:
            outcome = Failure(error)
        except BaseException:
            self.close()
            raise
        if not self.exchange.streaming:
            self.release(reusable=self.exchange.reusable)
        return outcome

    def read(self) -> None:
        """Feed the exchange once.

        Raises:
            LocalProtocolError: the client was closed meanwhile.
        """
        with self._interrupter:
            read(self._socket, self.exchange.link)
        self._network.check()

    def finish(self) -> None:
        """Release the connection of a body that has said its last word; what may follow is read if it is there.

        Idempotent: the connection may be another's afterwards.
        """
        if self._over:
            return
        link = self.exchange.link
        if not link.reusable:
            with self._interrupter, contextlib.suppress(OSError):
                self._socket.settimeout(0)
                link.receive_data(self._socket.recv(PIECE), time.monotonic())
        self.release(reusable=link.reusable)

    def release(self, *, reusable: bool) -> None:
        """Give the connection back if it can carry another request, else close it at once. Idempotent."""
        if not self._over and reusable:
            self._over = True
            self._network.give_back(self._attempt.request.origin, self._socket, self._interrupter)
        self.close()

    def close(self) -> None:
        """Close the connection at once, unless it was given back. Idempotent."""
        if not self._over:
            self._over = True
            self._interrupter.close()

    def _begin(self, files: Sequence[Recording], idle: socket.socket | None, /) -> None:
        """Send the request, as far as the peer takes it: it may have answered and closed before the end."""
        origin, timeout, link = self._attempt.request.origin, self._attempt.timeout, self.exchange.link
        self._socket = idle or self._network.connector.open(self._attempt, self._interrupter)
        pieces = self.exchange.begin(files, time.monotonic())
        with self._interrupter:
            for piece in pieces:
                link.send_body(piece if isinstance(piece, bytes) else piece.read())
                if not flush(self._socket, link, origin[1:], timeout):
                    return
            link.end_request()
            flush(self._socket, link, origin[1:], timeout)


def run(network: Network, operation: Operation[T], interrupter: Interrupter) -> tuple[T, Line | None]:
    """Run an operation to its result, and answer with its last line, which is still in use for a streamed body.

    Args:
        interrupter: ends every wait of the operation, and of the line.

    Raises:
        CartesiaError: the call's final error. As after any exception, no connection is in use.
        OSError: a file to be sent cannot be opened or read.
    """
    line: Line | None = None
    with contextlib.ExitStack() as stack:
        try:
            step = operation.start()
            files = [stack.enter_context(Recording(part, _open)) for part in files_to_open(step)]
            for file in files:
                file.open()
            while isinstance(step, Attempt):
                network.use(interrupter)
                interrupter.pause(step.delay)
                outcome, line = _attempt(network, step, files, interrupter)
                step = operation.resume(outcome)
            return step.value, line
        except BaseException:
            interrupter.interrupt()  # wherever it was, such as between two lines of this module
            if line is not None:
                line.close()
            raise
        finally:
            operation.abandon()


def _attempt(
    network: Network, attempt: Attempt, files: Sequence[Recording], interrupter: Interrupter
) -> tuple[Outcome, Line]:
    line_type = Line
    if network.opener is not None:
        from cartesia_urllib.foreign import ForeignLine as line_type  # noqa: PLC0415, N813 - urllib, only for this
    idle = network.idle(attempt.request.origin, interrupter)
    line = line_type(network, attempt, interrupter)
    outcome = line.make(files, idle)
    if idle is not None and line.exchange.stale(outcome):
        line = Line(network, attempt, interrupter)
        outcome = line.make(files, None)
    return outcome, line
