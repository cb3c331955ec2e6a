"""A streamed answer on asyncio.

This module knows how a task reads one, and how it is closed. It must not know who may read when, nor what the values
mean: the core's `Reading` does.
"""

from collections.abc import Callable
from typing import Generic, Self, TypeVar, final

from cartesia_asyncio.connection import Connection
from cartesia_asyncio.network import Network
from cartesia_asyncio.sending import perform, performance, take
from cartesia_proto.flow import Decoder, Operation
from cartesia_proto.performing import Steps
from cartesia_proto.reading import Reading

E = TypeVar("E")


@final
class BodyStream(Generic[E]):
    """The values of one streamed answer, for one task at a time: an async iterator and an async context manager.

    The request is sent on entering or at the first item. Leaving early closes the connection at once, and so does
    cancelling a read. Clients make streams; users receive them.
    """

    def __init__(self, network: Network, operation: Operation[Decoder[E]]) -> None:
        self._network = network
        self._reading: Reading[E, Connection] = Reading(performance(network, operation))

    async def __aenter__(self) -> Self:
        """Send the request, unless it was sent.

        Raises:
            CartesiaError: no usable answer came; the stream is over.
            LocalProtocolError: the stream is over, or in use by another task.
        """
        self._reading.check_not_over()
        await self._alone(self._reading.opened)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()

    def __aiter__(self) -> Self:
        """The stream itself.

        Raises:
            LocalProtocolError: it was read to its end, has failed, or was closed: its values come once.
        """
        self._reading.check_not_over()
        return self

    async def __anext__(self) -> E:
        """The next value.

        Raises:
            StopAsyncIteration: after the last value, a failure or a close.
            CartesiaError: what ended the stream early, after the values before it; its connection is closed.
            LocalProtocolError: another task reads the stream; or an earlier read was cancelled, so that values are
                lost and the stream is closed; or the client was closed.
        """
        if not self._reading.values:  # while there are values, nobody reads and nothing was lost
            await self._alone(self._reading.filled)
            if not self._reading.values:
                self._reading.close()
                raise StopAsyncIteration
        return self._reading.values.popleft()

    async def receive_batch(self) -> list[E]:
        """Everything that has arrived: at least one value, or none after the last, however often it is asked.

        Raises:
            CartesiaError, LocalProtocolError: as for the next value.
        """
        await self._alone(self._reading.filled)
        return self._reading.batch()

    async def aclose(self) -> None:
        """Close the connection unless it can be used again. Idempotent, never raises, awaits nothing."""
        self._reading.close()
        await perform(self._network, self._reading.release())

    async def _alone(self, steps: Callable[[], Steps[Connection, object]]) -> None:
        """Take steps while keeping other tasks out; if one fails or is cancelled, the stream closes."""
        with self._reading:
            try:
                await take(self._network, steps())
            except BaseException:
                await perform(self._network, self._reading.abort())
                raise
