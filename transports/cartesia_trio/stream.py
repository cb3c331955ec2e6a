"""A streamed answer on trio.

This module knows who may read it when, and when its connection is given back or closed. It must not know what the
values mean nor how they are decoded: the core's `StreamedBody` does.
"""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Generic, Never, Self, TypeVar, final

import trio

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.flow import Decoder, Operation
from cartesia_proto.wire.exchange import StreamedBody, check_not_over
from cartesia_proto.wire.forks import FORKS
from cartesia_trio.network import Network
from cartesia_trio.runs import checkpoint
from cartesia_trio.sending import Line, run

E = TypeVar("E")


@final
class BodyStream(Generic[E]):
    """The values of one streamed answer, for one task at a time: an async iterator and an async context manager.

    The request is sent on entering or at the first item. Leaving early closes the connection at once, and so does
    cancelling a read. Clients make streams; users receive them.
    """

    def __init__(self, network: Network, operation: Operation[Decoder[E]]) -> None:
        self._network = network
        self._operation = operation
        self._open: tuple[Line, StreamedBody[E]] | None = None
        self._values: deque[E] = deque()
        self._busy = False
        self._closed = False
        self._interrupted = False
        FORKS.watch(self, BodyStream._begin_anew)

    def _begin_anew(self) -> None:
        """Nobody reads, in a child process, where the task that did will not run on."""
        self._busy = False

    async def __aenter__(self) -> Self:
        """Send the request, unless it was sent.

        Raises:
            CartesiaError: no usable answer came; the stream is over.
            LocalProtocolError: the stream is over, or in use by another task.
        """
        check_not_over(over=self._closed)
        await self._alone(self._opened)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()

    def __aiter__(self) -> Self:
        """The stream itself.

        Raises:
            LocalProtocolError: it was read to its end, has failed, or was closed: its values come once.
        """
        check_not_over(over=self._closed and not self._interrupted)
        return self

    async def __anext__(self) -> E:
        """The next value.

        Raises:
            StopAsyncIteration: after the last value, a failure or a close.
            CartesiaError: what ended the stream early, after the values before it; its connection is closed.
            LocalProtocolError: another task reads the stream; or an earlier read was cancelled, so that values are
                lost and the stream is closed; or the client was closed.
        """
        await self._alone(self._fill)
        if not self._values:
            self._closed = True
            raise StopAsyncIteration
        return self._values.popleft()

    async def receive_batch(self) -> list[E]:
        """Everything that has arrived: at least one value, or none after the last, however often it is asked.

        Raises:
            CartesiaError, LocalProtocolError: as for the next value.
        """
        await self._alone(self._fill)
        batch = list(self._values)
        self._values.clear()
        self._closed = self._closed or not batch
        return batch

    async def aclose(self) -> None:
        """Close the connection unless it can be used again, also when cancelled. Idempotent."""
        await self._close()
        await checkpoint()

    async def _fill(self) -> None:
        """Wait until there are values or nothing more comes."""
        await trio.lowlevel.checkpoint()
        if self._values or self._closed:
            return
        line, body = await self._opened()
        while not self._closed:
            try:
                self._values.extend(body.receive())
            finally:
                if body.over:
                    await line.release(reusable=body.reusable)
            if self._values or body.over:
                return
            await line.read()

    async def _opened(self) -> tuple[Line, StreamedBody[E]]:
        if self._open is None:
            decoder, line = await run(self._network, self._operation)
            if line is None:
                raise AssertionError("a streamed success leaves its connection in use")
            self._open = line, StreamedBody(line.exchange.link, decoder)
            if self._closed:  # by another task, meanwhile
                await line.close()
        return self._open

    async def _alone(self, step: Callable[[], Coroutine[object, Never, object]]) -> None:
        """Take a step while keeping other tasks out; if it fails or is cancelled, the stream closes."""
        if self._busy:
            raise LocalProtocolError("another task is reading this stream: a stream is for one task at a time")
        if self._interrupted:
            raise LocalProtocolError("an earlier read of this stream was cancelled, which closed it")
        self._busy = True
        try:
            await step()
        except BaseException as error:
            self._interrupted = not isinstance(error, Exception)
            await self._close()
            raise
        finally:
            self._busy = False

    async def _close(self) -> None:
        self._closed = True
        self._values.clear()
        if self._open is not None:
            await self._open[0].close()
