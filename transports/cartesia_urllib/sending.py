"""One call: its attempts, one after another, each on a connection.

This module knows how an `Operation` is run: sleep, open files, connect, write, read. It must not know what a request
asks, when it is made again or what an answer means: the core says so.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, TypeVar, final

from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError, TransportError
from cartesia_proto.flow import Attempt, Failure, Operation, Outcome
from cartesia_proto.http import FilePart, Upload
from cartesia_proto.wire.exchange import PIECE, Exchange, upload
from cartesia_urllib.network import Network
from cartesia_urllib.sockets import Interrupter, flush, read

T = TypeVar("T")


@final
class OpenedBody:
    """The body of a request with its files open: iterated anew, it gives all its bytes again.

    Attributes:
        sizes: of the files, in bytes, as they were when they were opened; so much of each is sent.
    """

    def __init__(self, body: Upload, files: Sequence[BinaryIO]) -> None:
        self._pieces = body.pieces
        self._files = files
        self.sizes: list[int] = [os.fstat(file.fileno()).st_size for file in files]

    def __iter__(self) -> Iterator[bytes]:
        """All of it."""
        return self.filled(self._pieces)

    def filled(self, pieces: Iterable[bytes | FilePart]) -> Iterator[bytes]:
        """These pieces, with what the files hold in their places.

        Raises:
            LocalProtocolError: a file became shorter than its size.
            OSError: a file cannot be read.
        """
        files = zip(self._files, self.sizes, strict=True)
        for piece in pieces:
            yield from _read_file(*next(files)) if isinstance(piece, FilePart) else (piece,)


def _read_file(file: BinaryIO, size: int) -> Iterator[bytes]:
    """So many bytes of a file, from its beginning."""
    file.seek(0)
    while size:
        piece = file.read(min(size, PIECE))
        if not piece:
            raise LocalProtocolError(f"{file.name} became shorter by {size} bytes while it was sent")
        size -= len(piece)
        yield piece


def _opened(part: FilePart) -> BinaryIO:
    """The file, by the builtin: nothing else here needs pathlib, and importing it takes milliseconds."""
    return open(part.path, "rb")  # noqa: PTH123 - as above; the caller closes it


class Line:
    """One exchange and the connection it takes place on.

    Args:
        interrupter: by which any other thread ends its waits.

    Attributes:
        exchange: what the core knows of it.
    """

    def __init__(self, network: Network, attempt: Attempt, interrupter: Interrupter) -> None:
        self.exchange: Exchange = Exchange(attempt, network.connector.limits)
        self._network = network
        self._attempt = attempt
        self._interrupter = interrupter
        self._socket: socket.socket
        self._over = False

    def make(self, body: OpenedBody, idle: socket.socket | None) -> Outcome:
        """Send the request and read until the outcome is known; only a streamed body leaves the connection in use.

        Args:
            idle: a connection to use again, which the interrupter holds; None makes one.

        Raises:
            LocalProtocolError: the request cannot be sent as it is, or a file changed while it was sent.
            OSError: a file to be sent cannot be read.
        """
        try:
            self._begin(body, idle)
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
        with self._interrupter, contextlib.suppress(OSError):
            self._socket.settimeout(0)
            self.exchange.link.receive_data(self._socket.recv(PIECE), time.monotonic())
        self.release(reusable=self.exchange.link.reusable)

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

    def _begin(self, body: OpenedBody, idle: socket.socket | None, /) -> None:
        """Send the request, as far as the peer takes it: it may have answered and closed before the end."""
        origin, timeout, link = self._attempt.request.origin, self._attempt.timeout, self.exchange.link
        self._socket = idle or self._network.connector.open(origin, timeout, self._interrupter)
        pieces = body.filled(self.exchange.begin(body.sizes, time.monotonic()))
        with self._interrupter:
            for piece in pieces:
                link.send_body(piece)
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
    try:
        step = operation.start()
        while isinstance(step, Attempt):
            network.use(interrupter)
            interrupter.pause(step.delay)
            outcome, line = _attempt(network, step, interrupter)
            step = operation.resume(outcome)
        return step.value, line
    except BaseException:
        interrupter.interrupt()  # wherever it was, such as between two lines of this module
        if line is not None:
            line.close()
        raise
    finally:
        operation.abandon()


def _attempt(network: Network, attempt: Attempt, interrupter: Interrupter) -> tuple[Outcome, Line]:
    line_type = Line
    if network.opener is not None:
        from cartesia_urllib.foreign import ForeignLine as line_type  # noqa: PLC0415, N813 - urllib, only for this
    content = upload(attempt.request)
    with contextlib.ExitStack() as stack:
        body = OpenedBody(content, [stack.enter_context(_opened(part)) for part in content.files])
        idle = network.idle(attempt.request.origin, interrupter)
        line = line_type(network, attempt, interrupter)
        outcome = line.make(body, idle)
        if idle is not None and line.exchange.stale(outcome):
            line = Line(network, attempt, interrupter)
            outcome = line.make(body, None)
        return outcome, line
