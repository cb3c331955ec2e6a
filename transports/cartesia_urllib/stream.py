"""A streamed answer, read by one thread and closed by any.

This module knows who may read it when, and when its connection is given back or closed. It must not know what the
values mean nor how they are decoded: the core's `StreamedBody` does.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Self, TypeVar, final

from cartesia_proto.errors import CartesiaError, LocalProtocolError
from cartesia_proto.flow import Decoder, Operation
from cartesia_proto.wire.exchange import StreamedBody
from cartesia_urllib.network import Network
from cartesia_urllib.sending import Line, run
from cartesia_urllib.sockets import Interrupter

E = TypeVar("E")


@final
class BodyStream(Generic[E]):
    """The values of one streamed answer: an iterator and a context manager.

    The request is sent on entering or at the first item. Leaving early closes the connection at once. One thread reads;
    any may close. Clients make streams; users receive them.
    """

    def __init__(self, network: Network, operation: Operation[Decoder[E]]) -> None:
        self._network = network
        self._operation = operation
        self._interrupter = Interrupter()
        self._busy = threading.Lock()  # held by the one who reads, or closes
        self._open: tuple[Line, StreamedBody[E]] | None = None
        self._values: deque[E] = deque()
        self._over = False
        self._closed = False

    def __enter__(self) -> Self:
        """Send the request, unless it was sent.

        Raises:
            CartesiaError: no usable answer came; the stream is over.
            LocalProtocolError: the stream is closed, or in use by another thread.
            OSError: a file to be sent cannot be opened or read.
        """
        if self._closed:
            raise LocalProtocolError("the stream is closed: make the call again for another")
        self._alone(self._opened)
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __iter__(self) -> Self:
        """The stream itself."""
        return self

    def __next__(self) -> E:
        """The next value.

        Raises:
            StopIteration: after the last value, a failure or a close, also one from another thread meanwhile.
            CartesiaError: what ended the stream early, after the values before it; its connection is closed.
            LocalProtocolError: another thread reads the stream.
            OSError: a file to be sent cannot be opened or read.
        """
        if not self._values:
            self._alone(self._fill)
        try:
            return self._values.popleft()
        except IndexError:
            raise StopIteration from None

    def receive_batch(self) -> list[E]:
        """Everything that has arrived: at least one value, or none after the last.

        Raises:
            CartesiaError, LocalProtocolError, OSError: as for the next value.
        """
        if not self._values:
            self._alone(self._fill)
        batch, self._values = self._values, deque()
        return list(batch)

    def close(self) -> None:
        """Close the connection unless it can be used again. Idempotent, never raises, from any thread.

        A thread that is reading ends at once, as after the last value.
        """
        self._over = self._closed = True
        self._values.clear()
        self._tidy()

    def _alone(self, step: Callable[[], object]) -> None:
        """Take a step while keeping other threads out, unless the stream is over; clean up once it is."""
        if not self._busy.acquire(blocking=False):
            if self._closed:
                return
            raise LocalProtocolError("another thread reads this stream: one at a time may")
        try:
            if not self._over:
                step()
        except BaseException as error:
            self._over = True
            if not (self._closed and isinstance(error, CartesiaError)):
                raise
        finally:
            if self._closed:
                self._values.clear()
            self._busy.release()
            self._tidy()

    def _tidy(self) -> None:
        """Let go of the connection once the stream is over; a thread that is at it ends, and does so in its turn."""
        if not self._over:
            return
        self._interrupter.interrupt()
        if self._busy.acquire(blocking=False):
            try:
                if self._open is not None:
                    self._open[0].close()
            finally:
                self._busy.release()

    def _opened(self) -> tuple[Line, StreamedBody[E]]:
        if self._open is None:
            decoder, line = run(self._network, self._operation, self._interrupter)
            if line is None:
                raise AssertionError("a streamed success leaves its connection in use")
            self._open = line, StreamedBody(line.exchange.link, decoder)
        return self._open

    def _fill(self) -> None:
        """Wait until there are values or nothing more comes."""
        line, body = self._opened()
        while not self._over:
            self._values.extend(body.receive())
            if body.over:
                line.finish()
            if self._values:
                return
            if body.over:
                self._over = True
            else:
                line.read()
