"""The kit a transport author tests against: cut bytes, time, chance, a peer and a driver, all of them plain values.

Nothing here opens a socket, waits or reads a clock, so a test built on it gives the same result every time:

* `split` and `every_split` cut bytes the way networks do;
* `Clock` is a time that moves when told, and `half` a chance that is none;
* `run` takes a call's operation through the outcomes a transport would answer;
* `ScriptedPeer` is a server in memory, for a transport that can be handed any stream of bytes.

It must not know any endpoint or transport. Of the layers above the core's base it uses `flow` and `wire` alone.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar, final

from attrs import define, evolve, field, frozen

from cartesia_proto.config import Limits
from cartesia_proto.errors import CartesiaError, LocalProtocolError
from cartesia_proto.flow import Attempt, Done, Operation, Outcome
from cartesia_proto.http import Headers, Response
from cartesia_proto.wire.http1 import BodyData, EndOfBody, RequestHead, ServerLink
from cartesia_proto.wire.link import LinkFailed

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def split(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    """Cut bytes into pieces of these sizes, in order; what is left over is the last piece.

    Sizes that reach beyond the end are cut short and empty pieces are left out, so any sizes at all are a segmentation.

    Raises:
        LocalProtocolError: a size is negative.
    """
    pieces: list[bytes] = []
    start = 0
    for size in (*sizes, len(data)):
        if size < 0:
            raise LocalProtocolError(f"a piece cannot have {size} bytes")
        pieces.append(data[start : start + size])
        start += size
    return [piece for piece in pieces if piece]


def every_split(data: bytes) -> Iterator[list[bytes]]:
    """The segmentations that find most mistakes: all at once, cut once at every place, and byte by byte."""
    for place in range(len(data)):
        yield split(data, [place])
    yield split(data, [1] * len(data))


def half() -> float:
    """A chance that is none: always 0.5. For every argument called `random`."""
    return 0.5


@final
@define
class Clock:
    """A monotonic time that moves when told to.

    Attributes:
        now: seconds; pass it wherever a link asks for `now`, set it at will.
    """

    now: float = 0.0

    def advance(self, seconds: float) -> float:
        """Let time pass; the new time.

        Raises:
            LocalProtocolError: seconds are negative: monotonic time never goes back.
        """
        if seconds < 0:
            raise LocalProtocolError(f"a monotonic clock cannot advance by {seconds} seconds")
        self.now += seconds
        return self.now


@final
@frozen
class Transcript(Generic[T_co]):
    """What an operation asked for and how it ended.

    Attributes:
        attempts: in order, each with its request, delay and timeout.
        result: the value, or the error the call ended in.
    """

    attempts: tuple[Attempt, ...]
    result: Done[T_co] | CartesiaError

    @property
    def value(self) -> T_co:
        """The value; raises the error where the call ended in one."""
        if isinstance(self.result, CartesiaError):
            raise self.result
        return self.result.value


def run(operation: Operation[T], answers: Iterable[Outcome]) -> Transcript[T]:
    """Take an operation to its end, answering each attempt with the next outcome: a transport without I/O.

    Answers that are not asked for are left alone; `Transcript.attempts` tells how many were.

    Raises:
        LocalProtocolError: the operation was started before; or there are more attempts than answers, and it is
            abandoned.
    """
    step = operation.start()
    attempts: list[Attempt] = []
    outcomes = iter(answers)
    while isinstance(step, Attempt):
        attempts.append(step)
        outcome = next(outcomes, None)
        if outcome is None:
            operation.abandon()
            raise LocalProtocolError(f"attempt {len(attempts)} has no answer: give one more")
        try:
            step = operation.resume(outcome)
        except CartesiaError as error:
            return Transcript(tuple(attempts), error)
    return Transcript(tuple(attempts), step)


@final
@frozen
class Received:
    """One request as a peer received it.

    Attributes:
        target: path and query.
        headers: secret-looking ones are hidden; `headers.reveal()` shows them.
    """

    method: str
    target: str = field(repr=False)
    headers: Headers = Headers()
    body: bytes = field(default=b"", repr=lambda body: f"<{len(body)} bytes>")


@final
class ScriptedPeer:
    """A server in memory at the other end of one connection: it answers each request with the next of its answers.

    A `Response` is sent with its length and keeps the connection. Bytes are sent as they are, be they cut short or no
    HTTP at all, and then the peer closes. It also closes when a request finds no answer left.

    Attributes:
        received: the requests so far, in order.
        closed: the peer has closed; what it is sent now is not read.
    """

    def __init__(self, answers: Iterable[Response | bytes]) -> None:
        self._answers = deque(answers)
        self._link = ServerLink(math.inf, Limits())
        self._request = Received("", "")
        self.received: list[Received] = []
        self.closed: bool = False

    def receive_data(self, data: bytes) -> bytes:
        """Take bytes of the client, cut in any way, and return what the peer sends in answer.

        Raises:
            RemoteProtocolError: what the client sent is no HTTP/1.1.
        """
        self._link.receive_data(data, 0.0)
        sent = bytearray()
        while not self.closed and (event := self._link.next_event()) is not None:
            if isinstance(event, LinkFailed):
                raise event.error
            sent += self._handle(event)
        return bytes(sent)

    def _handle(self, event: RequestHead | BodyData | EndOfBody) -> bytes:
        if isinstance(event, RequestHead):
            self._request = Received(event.method, event.target, event.headers)
            return b""
        if isinstance(event, BodyData):
            self._request = evolve(self._request, body=self._request.body + event.data)
            return b""
        self.received.append(self._request)
        return self._answer()

    def _answer(self) -> bytes:
        answer = self._answers.popleft() if self._answers else b""
        if isinstance(answer, bytes):
            self.closed = True
            return answer
        self._link.send(answer)
        self.closed = not self._link.reusable
        return self._link.data_to_send()
