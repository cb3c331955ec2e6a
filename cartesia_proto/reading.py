"""Who may read a streamed answer when, and when its connection is kept or closed: for every awaiting transport.

Actors: one `Reading` for each stream, and the task that reads it, which takes the steps it is given. Each read is of
steps of its own: no generator stays suspended between two of them. This module must not know event loops, nor what the
values mean (`StreamedBody` does).
"""

from collections import deque
from typing import Generic, TypeVar, final

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.flow import Decoder
from cartesia_proto.performing import Performance, Receive, Release, Sleep, Steps
from cartesia_proto.wire.exchange import StreamedBody, check_not_over
from cartesia_proto.wire.forks import FORKS

ConnectionT = TypeVar("ConnectionT")
E = TypeVar("E")


@final
class Reading(Generic[E, ConnectionT]):
    """The values of one streamed success for one reader at a time: who may read when, as steps that a transport takes.

    Attributes:
        values: those that have arrived and were not handed out; empty once it was closed.
        closed: nothing more is handed out.
        interrupted: a read was cut short by something else than an error, so that values may be lost.
    """

    def __init__(self, performance: Performance[Decoder[E], ConnectionT]) -> None:
        self.values: deque[E] = deque()
        self.closed: bool = False
        self.interrupted: bool = False
        self._performance = performance
        self._body: StreamedBody[E] | None = None
        self._busy = False
        FORKS.watch(self, type(self).begin_anew)

    def begin_anew(self) -> None:
        """Nobody reads, in a child process, where whoever did will not run on."""
        self._busy = False

    def check_not_over(self) -> None:
        """Refuse to begin again with a stream whose values came.

        Raises:
            LocalProtocolError: it was read to its end, has failed, or was closed.
        """
        check_not_over(over=self.closed and not self.interrupted)

    def __enter__(self) -> None:
        """Keep other readers out, in a ``with`` block of one read.

        Raises:
            LocalProtocolError: somebody reads already; or an earlier read was interrupted.
        """
        if self._busy:
            raise LocalProtocolError("another task is reading this stream: a stream is for one task at a time")
        if self.interrupted:
            raise LocalProtocolError("an earlier read of this stream was cancelled, which closed it")
        self._busy = True

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Let others read; after an exception there is nothing more to be read."""
        self._busy = False
        if error is not None:
            self.interrupted = not isinstance(error, Exception)
            self.close()

    def close(self) -> None:
        """Hand out nothing more; the step of `release` follows."""
        self.closed = True
        self.values.clear()

    def batch(self) -> list[E]:
        """Take all values that have arrived; where there are none after `filled`, it is over."""
        batch = list(self.values)
        self.values.clear()
        self.closed = self.closed or not batch
        return batch

    def release(self) -> Release[ConnectionT] | None:
        """The step that closes the connection of a body that has begun, unless it was kept or closed before.

        Whoever is still making the request does so at its end.
        """
        return None if self._body is None else self._performance.abort()

    def abort(self) -> Release[ConnectionT] | None:
        """The step that is still to be taken where those of `opened` or `filled` came to no end."""
        self._performance.end()
        return self._performance.abort()

    def opened(self) -> Steps[ConnectionT, StreamedBody[E]]:
        """Yield what is to be done until the body begins; nothing if it has begun."""
        if self._body is None:
            yield from self._performance.steps()
            self._performance.end()
            decoder, line = self._performance.result()
            self._body = StreamedBody(line.exchange.link, decoder)
            if self.closed and (step := self._performance.abort()) is not None:  # by another task, meanwhile
                yield step
        return self._body

    def filled(self) -> Steps[ConnectionT, None]:
        """Yield what is to be done until there are values or nothing more comes.

        Raises:
            CartesiaError: what ended the body early, after the values before it.
        """
        if self.values or self.closed:
            return
        body = yield from self.opened()
        line = self._performance.result()[1]
        while not self.closed:
            if body.laden:
                yield Sleep(0.0)  # others have their turn
            try:
                self.values.extend(body.receive())
            finally:
                # Before the failure leaves: whoever drives these steps takes none after it.
                if body.over:
                    yield from line.releasing(reusable=body.reusable)
            if self.values or body.over:
                return
            if body.laden:
                continue
            received = Receive(line)
            yield received
            if received.error is not None:
                raise received.error
