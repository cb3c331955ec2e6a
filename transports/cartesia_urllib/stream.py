"""A streamed answer, read by one thread and closed by any.

This module knows who may read it when, and when its connection is given back or closed. It must not know what the
values mean nor how they are decoded: the core's `StreamedBody` does.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Self, TypeVar, final

from cartesia_proto import CartesiaError, Decoder, LocalProtocolError, Operation
from cartesia_proto.performing import Receive
from cartesia_proto.wire.exchange import StreamedBody, check_not_over
from cartesia_proto.wire.forks import FORKS
from cartesia_urllib.network import Network
from cartesia_urllib.sending import HttpLine, finish, perform, run
from cartesia_urllib.sockets import Interrupter

E = TypeVar("E")
T = TypeVar("T")


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
        self._open: tuple[HttpLine, StreamedBody[E]] | None = None
        self._values: deque[E] = deque()
        self._over = False
        self._closed = False
        self._begin_anew()
        FORKS.watch(self, type(self)._begin_anew)  # noqa: SLF001 - its own

    def _begin_anew(self) -> None:
        """Nobody reads: so at first, and in a child process, where whoever did is not."""
        self._busy = threading.Lock()  # held by the one who reads, or closes

    def __enter__(self) -> Self:
        """Send the request, unless it was sent.

        Raises:
            CartesiaError: no usable answer came; the stream is over.
            LocalProtocolError: the stream is over, or in use by another thread.
            OSError: a file to be sent cannot be opened or read.
        """
        check_not_over(over=self._over)
        self._alone(self._opened)
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __iter__(self) -> Self:
        """The stream itself.

        Raises:
            LocalProtocolError: it was read to its end, has failed, or was closed: its values come once.
        """
        check_not_over(over=self._over)
        return self

    def __next__(self) -> E:
        """The next value.

        Raises:
            StopIteration: after the last value, a failure or a close, also one from another thread meanwhile.
            CartesiaError: what ended the stream early, after the values before it; its connection is closed.
            LocalProtocolError: another thread reads the stream, or the client was closed.
            OSError: a file to be sent cannot be opened or read.
        """
        while True:
            try:
                return self._values.popleft()  # one step: another thread may do the same, between any two
            except IndexError:
                if self._over:
                    raise StopIteration from None
            self._alone(lambda: self._values.extend(self._received()))

    def receive_batch(self) -> list[E]:
        """Everything that has arrived: at least one value, or none after the last, however often it is asked.

        Raises:
            CartesiaError, LocalProtocolError, OSError: as for the next value.
        """
        return self._alone(self._take) or []

    def close(self) -> None:
        """Close the connection unless it can be used again. Idempotent, never raises, from any thread.

        A thread that is reading ends at once, as after the last value.
        """
        self._over = self._closed = True
        self._values.clear()
        self._tidy()

    def _alone(self, step: Callable[[], T]) -> T | None:
        """What a step comes to that is taken while other threads are kept out; None where a close cuts it short."""
        if not self._busy.acquire(blocking=False):
            if self._closed:
                return None
            raise LocalProtocolError("another thread reads this stream: one at a time may")
        try:
            return step()
        except BaseException as error:
            self._over = True
            if not (self._closed and isinstance(error, CartesiaError)):
                raise
            return None
        finally:
            if self._closed:
                self._values.clear()
            self._busy.release()
            if self._over:
                self._tidy()

    def _tidy(self) -> None:
        """Let go of the connection of a stream that is over; a thread that is at it ends, and does so in its turn."""
        self._interrupter.interrupt()
        if self._busy.acquire(blocking=False):
            try:
                if self._open is not None:
                    perform(self._network, self._open[0].release(reusable=False), self._interrupter)
            finally:
                self._busy.release()

    def _opened(self) -> tuple[HttpLine, StreamedBody[E]]:
        if self._open is None:
            decoder, line = run(self._network, self._operation, self._interrupter)
            self._open = line, StreamedBody(line.exchange.link, decoder)
        return self._open

    def _take(self) -> list[E]:
        """What was left, one by one because another thread may iterate; else what arrives, which no other sees."""
        left: list[E] = []
        with contextlib.suppress(IndexError):
            while True:
                left.append(self._values.popleft())
        return left or self._received()

    def _received(self) -> list[E]:
        """What arrives, which is waited for; nothing where values are left, nor once the stream is over."""
        while not (self._values or self._over):
            line, body = self._opened()
            values = body.receive()
            if body.over:
                finish(self._network, line, self._interrupter)
            if values:
                return values
            if body.over:
                self._over = True
            elif not body.laden:
                perform(self._network, Receive(line), self._interrupter)
        return []
