"""One call on connections, written once: its attempts, one after another, as steps that a transport takes.

Actors: a `Performance`, which knows the order of things; and a driver in each transport, which takes one step after
another in a ``match``: sleep, open or read a file, look at an idle connection or make one, send, receive, keep, close::

    for step in performance.steps():
        with step:
            match step: …

* A step has slots for what comes of it. A failure of the library's own kinds (`TransportError`, `RemoteProtocolError`)
  that leaves the ``with`` block is such an answer; whatever else leaves it ends the loop, and the driver closes the
  connection that is in `line`, if there is one: no step is taken any more.
* The connection belongs to the performance from the step that brings it to the step that keeps or closes it. That of a
  streamed success stays open: its `Line` is the caller's, and each read of it is a step of its own.

This module must not know sockets, event loops or clocks, nor when an attempt is made again (an `Operation` does).
"""

from collections.abc import Callable, Generator, Sequence
from typing import BinaryIO, Generic, Literal, TypeAlias, TypeVar, final

from attrs import define, field

from cartesia_proto.config import Limits
from cartesia_proto.errors import Phase, RemoteProtocolError, TransportError
from cartesia_proto.flow import Attempt, Done, Failure, Operation, Outcome
from cartesia_proto.wire.exchange import ByteLink, Exchange, files_to_open
from cartesia_proto.wire.pool import Pool
from cartesia_proto.wire.proxy import Proxy
from cartesia_proto.wire.uploads import Recording

ConnectionT = TypeVar("ConnectionT")
T = TypeVar("T")

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port; what idle connections are told apart by, as one client has one proxy."""

Opener: TypeAlias = Callable[[str], tuple[BinaryIO, int]]
"""Opens a file by its path, and returns it with the size that the system tells of it."""


@define(eq=False)
class _Step:
    """What all steps share.

    Attributes:
        error: by which the step failed, if it did.
    """

    error: TransportError | RemoteProtocolError | None = field(default=None, init=False)

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> bool:
        """Keep a failure that the performance knows what to do with."""
        if not isinstance(error, TransportError | RemoteProtocolError):
            return False
        self.error = error
        return True

    @property
    def failure(self) -> Failure | None:
        """The failure as an outcome, if there is one."""
        return None if self.error is None else Failure(self.error)


@final
@define(eq=False)
class Sleep(_Step):
    """Wait so many seconds, often none."""

    seconds: float


@final
@define(eq=False)
class UseFile(_Step):
    """Open a file or read a piece of it, by `Recording.open` or `use`; that may wait, so in a thread where it must not.

    Attributes:
        piece: the bytes that were read.
    """

    file: Recording
    use: Literal["open", "read"]
    piece: bytes = field(default=b"", init=False)

    def take(self) -> None:
        """Do it.

        Raises:
            OSError, LocalProtocolError: as `Recording.open` and `Recording.read`.
        """
        if self.use == "open":
            self.file.open()
        else:
            self.piece = self.file.read()


@final
@define(eq=False)
class Connect(_Step, Generic[ConnectionT]):
    """Make a connection for the attempt."""

    attempt: Attempt
    connection: ConnectionT | None = field(default=None, init=False)


@define(eq=False)
class Line(Generic[ConnectionT]):
    """A byte link and the connection that carries it for an attempt.

    Attributes:
        files: those of the request, opened.
        phase: what a write that takes too long belongs to.
        over: the connection was kept or closed, and may be another's by now.
    """

    attempt: Attempt
    link: ByteLink
    connection: ConnectionT
    files: Sequence[Recording] = ()
    phase: Phase = "write"
    over: bool = field(default=False, init=False)

    def release(self, *, reusable: bool) -> "Release[ConnectionT] | None":
        """The step that gives the connection back if it can carry another request, else closes it; once."""
        return next(self.releasing(reusable=reusable), None)

    def releasing(self, *, reusable: bool) -> "Generator[Release[ConnectionT], None, None]":
        """Yield that step, once."""
        if not self.over:
            self.over = True
            yield Release(self, keep=reusable)


@final
@define(eq=False)
class HttpLine(Line[ConnectionT]):
    """The line of one HTTP exchange."""

    exchange: Exchange = field(kw_only=True)


@final
@define(eq=False)
class Send(_Step, Generic[ConnectionT]):
    """Send what the link of the line has to send, within the attempt's timeout for each write.

    Attributes:
        sent: False where the peer takes no more, of which reading tells why.
    """

    line: Line[ConnectionT]
    sent: bool = field(default=True, init=False)


@final
@define(eq=False)
class Receive(_Step, Generic[ConnectionT]):
    """Feed the link of the line once."""

    line: Line[ConnectionT]


@final
@define(eq=False)
class Probe(_Step, Generic[ConnectionT]):
    """Find out whether nothing arrived on an idle connection that nobody asked for, the end included.

    Attributes:
        untouched: it is so, and the connection is good for another request.
    """

    line: Line[ConnectionT]
    untouched: bool = field(default=False, init=False)


@final
@define(eq=False)
class Discard(_Step, Generic[ConnectionT]):
    """Close a connection that is on no line at once."""

    connection: ConnectionT


@final
@define(eq=False)
class Release(_Step, Generic[ConnectionT]):
    """Keep the connection of a line for another request, or close it at once."""

    line: Line[ConnectionT]
    keep: bool = field(kw_only=True)


Moving: TypeAlias = Send[ConnectionT] | Receive[ConnectionT] | Release[ConnectionT]
Pooling: TypeAlias = Probe[ConnectionT] | Discard[ConnectionT]
Step: TypeAlias = Sleep | UseFile | Connect[ConnectionT] | Moving[ConnectionT] | Pooling[ConnectionT]
"""Everything that a driver must be able to do."""

Steps: TypeAlias = Generator[Step[ConnectionT], None, T]


@final
class Performance(Generic[T, ConnectionT]):
    """One operation on its way to its result.

    Attributes:
        line: the last one, once there is one; of a streamed success it is in use, else over.
    """

    def __init__(
        self,
        operation: Operation[T],
        pool: Pool[Origin, ConnectionT],
        limits: Limits,
        proxy: Proxy | None,
        opener: Opener,
        now: Callable[[], float],
    ) -> None:
        self.line: HttpLine[ConnectionT] | None = None
        self._operation = operation
        self._pool = pool
        self._limits = limits
        self._proxy = proxy
        self._opener = opener
        self._now = now
        self._files: Sequence[Recording] = ()
        self._result: Done[T] | None = None

    def steps(self) -> Steps[ConnectionT, None]:
        """Yield what is to be done, until there is a result.

        Raises:
            CartesiaError: the call's final error.
            OSError: a file to be sent cannot be opened or read.
        """
        step = self._operation.start()
        self._files = [Recording(part, self._opener) for part in files_to_open(step)]
        for file in self._files:
            yield UseFile(file, "open")
        while isinstance(step, Attempt):
            yield Sleep(step.delay)
            outcome = yield from self._attempt(step)
            step = self._operation.resume(outcome)
        self._result = step

    def result(self) -> tuple[T, HttpLine[ConnectionT]]:
        """The value, and the line it came by."""
        if self._result is None or self.line is None:
            raise AssertionError("the steps were not taken to their end")
        return self._result.value, self.line

    def end(self) -> None:
        """Close the files, and make no further attempt. Idempotent, never raises."""
        for file in self._files:
            file.close()
        self._operation.abandon()

    def abort(self) -> Release[ConnectionT] | None:
        """The step that is still to be taken where the others came to no end: closing the connection in use."""
        return None if self.line is None else self.line.release(reusable=False)

    def _attempt(self, attempt: Attempt) -> Steps[ConnectionT, Outcome]:
        line = yield from self._idle(attempt)
        if line is None:
            return (yield from self._on_a_fresh_connection(attempt))
        outcome = yield from self._exchanged(line)
        # The peer may have closed it meanwhile: then the request is sent again at once, and that is no retry.
        return (yield from self._on_a_fresh_connection(attempt)) if line.exchange.stale(outcome) else outcome

    def _idle(self, attempt: Attempt) -> Steps[ConnectionT, HttpLine[ConnectionT] | None]:
        """Find an idle connection that is good for another request, and close those that are not."""
        while True:
            taken = self._pool.take(attempt.request.origin, self._now())
            for expired in taken.to_close:
                yield Discard(expired)
            if taken.connection is None:
                return None
            line = self._begin(attempt, taken.connection)
            probe = Probe(line)
            yield probe
            if probe.untouched:
                return line
            yield from line.releasing(reusable=False)

    def _on_a_fresh_connection(self, attempt: Attempt) -> Steps[ConnectionT, Outcome]:
        connect: Connect[ConnectionT] = Connect(attempt)
        yield connect
        if connect.error is not None:
            return Failure(connect.error)
        if connect.connection is None:
            raise AssertionError("a connection that could not be made has an error")
        return (yield from self._exchanged(self._begin(attempt, connect.connection)))

    def _begin(self, attempt: Attempt, connection: ConnectionT) -> HttpLine[ConnectionT]:
        exchange = Exchange(attempt, self._limits, self._proxy)
        self.line = line = HttpLine(attempt, exchange.link, connection, self._files, exchange=exchange)
        return line

    def _exchanged(self, line: HttpLine[ConnectionT]) -> Steps[ConnectionT, Outcome]:
        """Send the request and read until the outcome is known; only a streamed body leaves the connection in use."""
        outcome = (yield from self._sent(line)) or (yield from self._received(line))
        if not line.exchange.streaming:
            yield from line.releasing(reusable=line.exchange.reusable)
        return outcome

    def _sent(self, line: HttpLine[ConnectionT]) -> Steps[ConnectionT, Failure | None]:
        """Send the request, as far as the peer takes it: it may have answered and closed before the end."""
        link = line.exchange.link
        for piece in line.exchange.begin(self._files, self._now()):
            data = piece if isinstance(piece, bytes) else (yield from _read(piece))
            link.send_body(data)
            step = Send(line)
            yield step
            if step.error is not None or not step.sent:
                return step.failure
        link.end_request()
        step = Send(line)
        yield step
        return step.failure

    def _received(self, line: HttpLine[ConnectionT]) -> Steps[ConnectionT, Outcome]:
        while (outcome := line.exchange.outcome()) is None:
            if line.exchange.link.laden:
                yield Sleep(0.0)  # others have their turn
                continue
            step = Receive(line)
            yield step
            if step.error is not None:
                return Failure(step.error)
        return outcome


def _read(file: Recording) -> "Generator[UseFile, None, bytes]":
    step = UseFile(file, "read")
    yield step
    return step.piece
