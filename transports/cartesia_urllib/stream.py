"""A streamed answer, read by one thread and closed by any.

This module knows who may read when, and who closes the connection. It must not know what the values mean nor how they
are decoded: a decoder of the core does.
"""

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar, final

from cartesia_proto.errors import CartesiaError, LocalProtocolError, RemoteProtocolError, TransportError
from cartesia_proto.flow import Attempt, Decoder, Failure, Operation, Outcome
from cartesia_proto.wire.bodies import check_head
from cartesia_urllib.sending import Body, Sender, read_whole
from cartesia_urllib.sockets import Interrupter

E = TypeVar("E")


@final
class BodyStream(Generic[E]):
    """The values of one streamed answer: an iterator and a context manager.

    The request is sent on entering or at the first item. Leaving early closes the connection at once. One thread reads;
    any may close. Clients make streams; users receive them.
    """

    def __init__(self, sender: Sender, operation: Operation[Decoder[E]]) -> None:
        self._sender = sender
        self._operation = operation
        self._interrupter = Interrupter()
        self._busy = threading.Lock()  # held by the one who reads, or closes
        self._body: Body | None = None
        self._decoder: Decoder[E] | None = None
        self._values: deque[E] = deque()
        self._body_ended = False
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
        self._exclusively(self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
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
            self._exclusively(self._fill)
        try:
            return self._values.popleft()
        except IndexError:
            raise StopIteration from None

    def close(self) -> None:
        """Close the connection unless it can be used again. Idempotent, never raises, from any thread.

        A thread that is reading ends at once, as after the last value.
        """
        self._over = self._closed = True
        self._values.clear()
        if not self._dispose():
            self._interrupter.interrupt()
            self._dispose()

    def _exclusively(self, action: Callable[[], None]) -> None:
        """Do what only one thread at a time may, unless the stream is over; clean up once it is."""
        if not self._busy.acquire(blocking=False):
            if self._closed:
                return
            raise LocalProtocolError("another thread reads this stream: one at a time may")
        try:
            if not self._over:
                action()
        except BaseException as error:
            self._over = True
            if not (self._closed and isinstance(error, CartesiaError)):
                raise
        finally:
            if self._closed:
                self._values.clear()
            self._busy.release()
            if self._over:
                self._dispose()

    def _dispose(self) -> bool:
        """Let go of the connection; False if another thread is at it, which will do so in its turn."""
        if not self._busy.acquire(blocking=False):
            return False
        try:
            body, self._body = self._body, None
            if body is not None:
                body.close()
            self._operation.abandon()
        finally:
            self._busy.release()
        return True

    def _begin(self) -> None:
        if self._decoder is not None:
            return
        step = self._operation.start()
        while isinstance(step, Attempt):
            self._interrupter.sleep(step.delay)
            step = self._operation.resume(self._make(step))
        self._decoder = step.value

    def _make(self, attempt: Attempt) -> Outcome:
        """Make an attempt; the body of a success is kept, any other response is read whole."""
        try:
            body = self._sender.begin(attempt, self._interrupter)
        except (TransportError, RemoteProtocolError) as error:
            return Failure(error)
        if not body.head.ok:
            return read_whole(body, attempt)
        self._body = body
        try:
            check_head(body.head)
        except RemoteProtocolError as error:
            return Failure(error)
        return body.head

    def _fill(self) -> None:
        """Wait until there are values or nothing more comes."""
        self._begin()
        if self._decoder is None or self._body is None:
            raise AssertionError("a stream that has begun has both")
        while True:
            self._values.extend(self._decoder.receive_data(b""))  # or raise what stood after the last values
            if self._values:
                return
            if self._decoder.finished or self._body_ended:
                break
            data = self._body.read()
            self._body_ended = not data
            self._values.extend(self._decoder.receive_data(data) if data else self._decoder.receive_eof())
            if self._values:
                return
        self._over = True
        if not self._body_ended:
            self._body.drain()
