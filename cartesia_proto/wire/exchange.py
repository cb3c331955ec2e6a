"""One attempt on one connection, without the connection: what is sent, what of the answer is wanted, when it is over.

This module joins an `Attempt` to a byte link: it cuts bodies into pieces to write, reads whole what is to be read
whole, turns a streamed body into values, and says whether the connection may carry another request. It also has the
words for what goes wrong beneath a link. It must not know sockets, files or clocks, nor when an attempt is made again.
The transports that have only a socket stand on it; they connect, move bytes and wait::

    exchange = Exchange(attempt, limits)
    for piece in exchange.begin(recordings, now): …     # link.send_body it, or its next read(); write what is queued
    exchange.link.end_request()                         # and write
    while (outcome := exchange.outcome()) is None: …    # feed the link, waiting no longer than read_deadline() says
"""

import math
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar, assert_never, final

from cartesia_proto.config import Limits
from cartesia_proto.discretion import Discreet
from cartesia_proto.errors import (
    CartesiaError,
    ConnectError,
    LocalProtocolError,
    Phase,
    RemoteProtocolError,
    TimeoutError,
    TransportError,
)
from cartesia_proto.flow import Attempt, Decoder, Done, Failure, Outcome, in_portions
from cartesia_proto.hosts import bracketed
from cartesia_proto.http import FilePart, Request, Response, Upload
from cartesia_proto.wire.bodies import BodyCollector, check_head
from cartesia_proto.wire.dialling import words
from cartesia_proto.wire.http1 import BodyData, ClientEvent, ClientLink, EndOfBody, ResponseHead
from cartesia_proto.wire.link import LinkFailed
from cartesia_proto.wire.pool import replace_stale
from cartesia_proto.wire.proxy import Proxy, forwarding
from cartesia_proto.wire.uploads import Recording, pieces_of

E = TypeVar("E")


def upload(request: Request) -> Upload:
    """The body of a request as pieces, whatever its kind."""
    return request.body if isinstance(request.body, Upload) else Upload((request.body,))


def files_to_open(step: Attempt | Done[object]) -> tuple[FilePart, ...]:
    """The files of an operation, given its first step: every attempt sends the same. Opened before connecting."""
    return upload(step.request).files if isinstance(step, Attempt) else ()


@final
class Exchange:
    """One request and its answer on one connection; made anew for each, also where the connection is used again.

    Attributes:
        link: what the shell feeds and drains.
        streaming: the outcome was the head of a body that is still to come (or, after a 101, of another protocol):
            the connection stays in use.

    Args:
        limits: of them, `head` holds here; those for bodies come with the attempt.
        proxy: the one the connection leads to or through, if any.
    """

    __slots__ = ("_attempt", "_collector", "_complete", "_head_ok", "_received", "_through", "link", "streaming")

    def __init__(self, attempt: Attempt, limits: Limits, proxy: Proxy | None = None) -> None:
        self.link: ClientLink = ClientLink(attempt.timeout, limits)
        self.streaming: bool = False
        self._attempt = attempt
        self._through = forwarding(attempt, proxy)
        self._collector: BodyCollector | None = None
        self._head_ok = False
        self._received = 0
        self._complete = False

    def begin(self, files: Sequence[Recording], now: float) -> Iterator[bytes | Recording]:
        """Queue the head of the request and answer with its body: bytes to send, and files to read a piece of and send.

        Args:
            files: the request's, opened.

        Raises:
            LocalProtocolError: the request cannot be sent as it is; nothing was queued.
        """
        body = upload(self._attempt.request)
        length = body.length(file.size for file in files)
        self.link.send_request(self._attempt.request, length, now, through=self._through)
        return pieces_of(body, files)

    def outcome(self) -> Outcome | None:
        """What the attempt came to, or None until more was read. Never raises; to be asked after each read.

        While the link is `laden`, None means that others should have their turn before it is asked again.
        A body that was to be read whole and broke off is a failure if the response was a success; otherwise its status
        says more than what cut it, and the response has as much of the body as arrived. It has none where the head is
        malformed: where that ends is not known.
        """
        while (event := self.link.next_event()) is not None:
            try:
                outcome = self._take(event)
            except RemoteProtocolError as error:
                outcome = Failure(error, self._received)
            if outcome is not None:
                return self._without_echo(outcome)
            if self.link.laden:
                break
        return None

    def _without_echo(self, outcome: Outcome) -> Outcome:
        """An outcome in which nothing shows by which we made ourselves known to a proxy: only the link has it."""
        if self._through is None or self.link.asked is None or isinstance(outcome, Failure):
            return outcome
        return self.link.asked.without_echo(outcome)

    @property
    def reusable(self) -> bool:
        """Whether the whole answer was taken and the connection may carry another request."""
        return self._complete and self.link.reusable

    def stale(self, outcome: Outcome) -> bool:
        """Whether an outcome on a connection *used again* only says that the peer had closed it meanwhile.

        Then the request is sent again at once, on a fresh connection, so for the last time: see `pool.replace_stale`.
        """
        return isinstance(outcome, Failure) and replace_stale(
            reused=True,
            response_started=self.link.response_started,
            replaced_already=False,
            error=outcome.error,
        )

    def _take(self, event: ClientEvent) -> Outcome | None:
        match event:
            case ResponseHead(response=head):
                return self._take_head(head)
            case BodyData(data=data):
                self._received += len(data)
                collector = self._collecting()
                collector.receive_data(data)
                return collector.finish() if collector.full else None
            case EndOfBody():
                self._complete = True
                return self._collecting().finish()
            case LinkFailed(error=error):
                return self._failed(error)
            case _:
                assert_never(event)

    def _failed(self, error: TransportError | RemoteProtocolError) -> Outcome:
        status = self.link.error_status
        if status is not None and isinstance(error, RemoteProtocolError):
            return self._refused(status) or Response(status)
        cut_error = self._collector is not None and not self._head_ok
        return self._collecting().finish() if cut_error else Failure(error, self._received)

    def _refused(self, status: int) -> Failure | None:
        """The failure that a status is, if it is not of the API: 407 is a proxy's (RFC 9110 section 15.5.8)."""
        return Failure(self._through.refusal(status)) if self._through is not None and status == 407 else None

    def _take_head(self, head: Response) -> Outcome | None:
        how = self._attempt.how
        if (refused := self._refused(head.status)) is not None:
            return refused
        if (how == "stream" and head.ok) or (how == "upgrade" and head.status == 101):
            check_head(head)
            self.streaming = True
            return head
        self._head_ok = head.ok
        self._collector = BodyCollector(head, self._attempt.success_limit, self._attempt.error_limit)
        return self._collector.finish() if self._collector.full else None

    def _collecting(self) -> BodyCollector:
        if self._collector is None:
            raise AssertionError("a link tells the head of a response before its body")
        return self._collector


@final
class StreamedBody(Generic[E]):
    """The body of a streamed response as values, once its head has made the decoder.

    Attributes:
        over: nothing more is to be read. A failure may still be waiting for the next `receive`.
    """

    __slots__ = ("_complete", "_decoder", "_failure", "_link", "_portion", "_undecoded", "over")

    def __init__(self, link: ClientLink, decoder: Decoder[E]) -> None:
        self.over: bool = False
        self._portion = in_portions(decoder)
        self._undecoded = False  # the decoder holds bytes that it goes on with in another turn
        self._link = link
        self._decoder = decoder
        self._complete = False
        self._failure: CartesiaError | None = None

    def receive(self) -> list[E]:
        """The values that have arrived, as many as one turn is good for.

        Where there is none and it is not `over`, read more and ask again; where it is `laden`, ask without reading.

        Raises:
            CartesiaError: what ended the body early, once, after the values before it; from then on there are none.
        """
        values = self._decode(b"") if self._undecoded else []
        while not self._undecoded and (event := self._link.next_event()) is not None:
            values += self._take(event)
            if self._link.laden:
                break
        if values or self._failure is None:
            return values
        failure, self._failure = self._failure, None
        # Of the functions that decoded it, which hold what the server said, nothing stays either.
        Discreet(self._link.without_secrets).clean(failure)  # an event may repeat what only a proxy was told
        raise failure

    @property
    def laden(self) -> bool:
        """Whether more of what arrived is to be taken, once others have had their turn."""
        return not self.over and (self._undecoded or self._link.laden)

    @property
    def reusable(self) -> bool:
        """Whether the whole body was taken and the connection may carry another request."""
        return self._complete and self._link.reusable

    def _take(self, event: ClientEvent) -> list[E]:
        match event:
            case ResponseHead():
                raise AssertionError("a link tells one head for each request")
            case BodyData(data=data):
                return self._decode(data)
            case EndOfBody():
                self._complete = True
                return self._end()
            case LinkFailed(error=error):
                return self._fail(error)
            case _:
                assert_never(event)

    def _decode(self, data: bytes) -> list[E]:
        values: list[E] = []
        self._undecoded = False
        try:
            if not self.over:
                values, self._undecoded = self._portion(data)
                if not self._undecoded:
                    values = [*values, *self._decoder.receive_data(b"")]  # raises what stands after these values
        except CartesiaError as error:
            return [*values, *self._fail(error)]
        self.over = self.over or self._decoder.finished
        return values

    def _end(self) -> list[E]:
        try:
            values = [] if self.over else self._decoder.receive_eof()
        except CartesiaError as error:
            return self._fail(error)
        self.over = True
        return values

    def _fail(self, error: CartesiaError) -> list[E]:
        """Keep what ended the body for the next `receive`, unless the body had already said its last word."""
        self._failure = self._failure if self.over else error
        self.over = True
        return []


def check_not_over(*, over: bool) -> None:
    """Refuse to enter or read a stream that is over: a second reader would take it for one without values.

    Raises:
        LocalProtocolError: it was read to its end, has failed, or was closed.
    """
    if over:
        raise LocalProtocolError("the stream was read to its end, or closed: make the call again for another")


class ByteLink(Protocol):
    """What moving the bytes of a link takes, whatever it speaks."""

    def receive_space(self) -> memoryview:
        """Where to receive into, good until the next call."""
        ...

    def received(self, count: int, now: float) -> None:
        """Take so many bytes that were received into it."""
        ...

    def receive_data(self, data: bytes | bytearray | memoryview, now: float) -> None:
        """Take bytes that arrived elsewhere."""
        ...

    def receive_eof(self, now: float) -> None:
        """Note that the peer will send nothing more."""
        ...

    def data_to_send(self) -> bytes:
        """Everything queued for the wire since the last call."""
        ...

    def data_sent(self, now: float) -> None:
        """Note that what `data_to_send` answered has left."""
        ...

    def send_failed(self) -> None:
        """Note that bytes did not go out."""
        ...

    def deadline(self) -> float | None:
        """When `handle_deadline` wants to be called, in monotonic seconds; None if never."""
        ...

    def handle_deadline(self, now: float) -> None:
        """Do what is due."""
        ...


def read_deadline(link: ByteLink, now: float) -> float:
    """Until when a read that begins now may wait, in monotonic seconds; ``math.inf`` for ever.

    Counted from now, so that the time a reader spent elsewhere, such as on playing what it got, is not taken for the
    peer's silence. When it has come, wake the link with ``link.handle_deadline(deadline)``.
    """
    link.data_sent(now)
    deadline = link.deadline()
    return math.inf if deadline is None else deadline


def note_read(link: ByteLink, count: int | None, deadline: float, now: float) -> None:
    """Tell a link how a read into ``link.receive_space()`` ended.

    Args:
        count: so many bytes were received, where 0 means the end of the input; None if nothing came until `deadline`.
        deadline: as from `read_deadline`.
    """
    if count is None:
        link.handle_deadline(deadline)
    elif count:
        link.received(count, now)
    else:
        link.receive_eof(now)


def connection_broke(link: ByteLink, now: float) -> None:
    """Tell a link that its connection did not end but broke: it was reset, or TLS stopped without a close_notify.

    For HTTP that makes a difference, see `HttpLink.connection_lost`; a WebSocket has an end of its own.
    """
    if isinstance(link, ClientLink):
        link.connection_lost(now)
    else:
        link.receive_eof(now)


def could_not_connect(host: str, port: int, reason: OSError | ValueError) -> ConnectError:
    """The failure to make a connection; the system's error is its cause and its words are repeated.

    A certificate that did not hold (of OSErrors, this alone is a ValueError too) or a host that cannot be a name will
    be no better the next time, so that failure is not `retryable`.
    """
    error = ConnectError(f"could not connect to {bracketed(host)}:{port}: {words(reason)}")
    error.__cause__ = reason
    error.retryable = not isinstance(reason, ValueError)
    return error


def timed_out(phase: Phase, host: str, port: int, seconds: float) -> TimeoutError:
    """The failure of a connect, handshake or write that took too long; a link itself says so of a read."""
    doing = {"connect": "connect to", "handshake": "agree on TLS with", "write": "send to"}.get(phase, "hear from")
    return TimeoutError(
        f"could not {doing} {bracketed(host)}:{port} within {seconds:g} seconds",
        phase=phase,
        scope="request" if phase == "write" else "connection",
    )
