"""One request's policy as a generator, and the machine that hides the generator.

A flow yields one kind of effect, an `Attempt`, and is answered with one kind of value, an `Outcome`. It reads top to
bottom: try, follow, wait, try again. This module knows redirects and the order of things; `retry` knows what passes and
for how long to wait. It must not know endpoints, versions or credentials, nor perform any attempt: transports do.

Failures travel as values, so a runtime's cancellation never enters here: it unwinds the transport, which abandons the
operation.
"""

from collections.abc import Callable, Generator
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar, final
from urllib.parse import urljoin, urlsplit

from attrs import evolve, field, frozen

from cartesia_proto.codecs.failures import error_from_response
from cartesia_proto.discretion import Discreet
from cartesia_proto.errors import (
    ApiError,
    CartesiaError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportError,
    api_error_type,
)
from cartesia_proto.http import Request, Response, redact_url
from cartesia_proto.retry import delay_after_failure, delay_after_response, retry_after

E = TypeVar("E")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_REDIRECTS: Final = 5
"""RFC 9110 section 15.4 asks for a bound and names none; five is what older specifications recommended."""

How: TypeAlias = Literal["whole", "stream", "upgrade"]
"""What to do with a success: read its body, hand its body on piece by piece, or hand the connection over."""


@frozen
class Attempt:
    """What the transport must do next: wait `delay`, send `request`, and answer with an `Outcome`.

    Attributes:
        delay: seconds to wait first.
        timeout: seconds for each single connect, handshake, write and read.
        how: ``whole``: read the body of every response. ``stream``: answer with the head of a 2xx alone and keep the
            connection. ``upgrade``: as ``stream``, for a 101. Every other response is read whole.
        success_limit: bytes that the body of a 2xx read whole may have.
        error_limit: bytes after which any other body is cut.
    """

    request: Request
    delay: float
    timeout: float
    how: How
    success_limit: int
    error_limit: int


@frozen
class Failure:
    """No usable answer came.

    Attributes:
        error: why.
        received: body bytes of a 2xx response that had arrived before.
    """

    error: TransportError | RemoteProtocolError
    received: int = 0


Outcome: TypeAlias = Response | Failure
"""What an attempt came to: the one answer."""

Flow: TypeAlias = Generator[Attempt, Outcome, T]
"""A request's policy: it yields attempts, is sent outcomes, and returns the value."""


@frozen
class Done(Generic[T_co]):
    """An operation's result."""

    value: T_co


class Decoder(Protocol[E]):
    """Turns the bytes of a streamed body into values.

    It returns every value that precedes a failure; the failure is raised by the *next* call, so that results never
    depend on how the bytes were cut. A transport therefore calls ``receive_data(b"")`` after each batch.
    """

    @property
    def finished(self) -> bool:
        """Whether the body has said its last word; what may follow is of no interest."""
        ...

    def receive_data(self, data: bytes) -> list[E]:
        """The values completed by these bytes.

        Raises:
            CartesiaError: the failure that stood after the values returned before. Every later call raises it again.
        """
        ...

    def receive_eof(self) -> list[E]:
        """The values left at the end of the body.

        Raises:
            IncompleteStream: the body must not end here.
        """
        ...


Portion: TypeAlias = Callable[[bytes], tuple[list[E], bool]]
"""Takes bytes as `Decoder.receive_data`, but reads only as many as one turn is good for. Answers with the values, and
whether it holds more, which it reads when it is called again: without bytes, and before anything else."""


def in_portions(decoder: Decoder[E]) -> Portion[E]:
    """The decoder's own ``receive_portion``, where its input may be made of very many tiny things; else all at once."""
    portion: Portion[E] | None = getattr(decoder, "receive_portion", None)
    return portion or (lambda data: (decoder.receive_data(data), False))


@final
class WithoutEcho(Generic[E]):
    """A decoder whose errors do not repeat the request's secrets, even where the server does."""

    __slots__ = ("_decoder", "_discreet", "_portion")

    def __init__(self, decoder: Decoder[E], request: Request) -> None:
        self._decoder = decoder
        self._portion = in_portions(decoder)
        self._discreet = Discreet(request.without_secrets)

    @property
    def finished(self) -> bool:
        """As the decoder within."""
        return self._decoder.finished

    def receive_data(self, data: bytes) -> list[E]:
        """As the decoder within."""
        return self._call(self._decoder.receive_data, data)

    def receive_portion(self, data: bytes) -> tuple[list[E], bool]:
        """As the decoder within, see `in_portions`."""
        return self._call(self._portion, data)

    def _call(self, receive: Callable[[bytes], T], data: bytes) -> T:
        try:
            return receive(data)
        except CartesiaError as error:
            self._discreet.clean(error)
            del data  # it may be what the server repeats them in
            raise

    def receive_eof(self) -> list[E]:
        """As the decoder within."""
        with self._discreet:
            return self._decoder.receive_eof()


@frozen
class Terms:
    """Under which terms a request is made: what a flow needs of the configuration and the call's own options."""

    timeout: float
    max_retries: int
    success_limit: int
    error_limit: int
    random: Callable[[], float] = field(repr=False)


def asking(request: Request, terms: Terms, how: How, read: Callable[[Response], T]) -> Flow[T]:
    """Make attempts until one succeeds, and read its response; no error shows a secret of the request.

    Raises:
        CartesiaError: as `exchange`, and as `read`.
    """
    with Discreet(request.without_secrets):
        response = yield from exchange(request, terms, how)
        return read(response)


def exchange(request: Request, terms: Terms, how: How) -> Flow[Response]:
    """Make attempts until one succeeds: a 2xx, or 101 for ``upgrade``.

    Raises:
        ApiError: the server refused, or redirected where this library does not follow.
        TransportError, RemoteProtocolError: no usable answer came, and no further attempt is allowed.
    """
    delay, retries, redirects = 0.0, 0, 0
    while True:
        outcome = yield Attempt(request, delay, terms.timeout, how, terms.success_limit, terms.error_limit)
        if isinstance(outcome, Response):
            outcome = request.without_echo(outcome)
            if outcome.ok or (how == "upgrade" and outcome.status == 101):
                return outcome
            target = redirect_target(request, outcome)
            if target is not None and redirects < MAX_REDIRECTS:
                request, delay, redirects = evolve(request, url=target), 0.0, redirects + 1
                continue
        wait = _next_delay(outcome, request, retries, terms)
        if wait is None:
            raise final_error(outcome)
        delay, retries = wait, retries + 1


def _next_delay(outcome: Outcome, request: Request, retries: int, terms: Terms) -> float | None:
    if retries >= terms.max_retries:
        return None
    if isinstance(outcome, Failure):
        return delay_after_failure(outcome.error, request, outcome.received, retries, terms.random)
    return delay_after_response(outcome, retries, terms.random)


def final_error(outcome: Outcome) -> ApiError | TransportError | RemoteProtocolError:
    """The error that an unsuccessful outcome ends in."""
    if isinstance(outcome, Failure):
        return outcome.error
    if 300 <= outcome.status < 400:
        return _refused_redirect(outcome)
    return error_from_response(outcome, retry_after(outcome.headers))


def redirect_target(request: Request, response: Response) -> str | None:
    """Where a response sends the request, if this library follows: the same origin, and a method that may be repeated.

    307 and 308 keep every method; 301, 302 and 303 are followed for GET and HEAD alone (RFC 9110 section 15.4). A
    credential is never carried to another origin.
    """
    if response.status not in (301, 302, 303, 307, 308):
        return None
    if response.status < 307 and request.method not in ("GET", "HEAD"):
        return None
    location = response.headers.get("location")
    if not location or not location.isascii() or any(c <= " " for c in location):
        return None
    try:
        target = evolve(request, url=urlsplit(urljoin(request.url, location))._replace(fragment="").geturl())
        return target.url if target.origin == request.origin else None
    except (ValueError, KeyError, LocalProtocolError):  # no URL, no HTTP scheme, or one with a password in it
        return None


def _refused_redirect(response: Response) -> ApiError:
    location = response.headers.get("location")
    try:
        where = f"redirects to {redact_url(location)}" if location else "does not say where to go instead"
    except ValueError:
        where = "redirects to what is no URL"
    return api_error_type(response.status)(
        status_code=response.status,
        title="Redirect not followed",
        message=f"the server {where}; only redirects on the same origin are followed, "
        f"at most {MAX_REDIRECTS}, and 301 to 303 only for GET and HEAD",
        request_id=response.request_id,
    )


@final
class Operation(Generic[T]):
    """A flow behind three methods; the only place that meets `StopIteration`.

    A transport runs it so::

        step = operation.start()
        while isinstance(step, Attempt):
            sleep(step.delay)
            step = operation.resume(send(step))
        return step.value

    Not for two threads at once, and for one run only.
    """

    __slots__ = ("_flow", "_state")

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self._state: Literal["new", "waiting", "over"] = "new"

    def start(self) -> Attempt | Done[T]:
        """The first attempt.

        Raises:
            LocalProtocolError: it was started before; its state is unchanged.
        """
        if self._state != "new":
            raise LocalProtocolError(f"start() on an operation that is {self._state}: it runs once")
        return self._step(lambda: next(self._flow))

    def resume(self, outcome: Outcome) -> Attempt | Done[T]:
        """Answer the last attempt; the next one, or the result.

        Raises:
            CartesiaError: the call's final error; the operation is over.
            LocalProtocolError: no attempt is waiting for an answer; the state is unchanged.
        """
        if self._state != "waiting":
            raise LocalProtocolError(f"resume() on an operation that is {self._state}: no attempt waits for an answer")
        return self._step(lambda: self._flow.send(outcome))

    def abandon(self) -> None:
        """Give up. Never raises, legal in every state; nothing is sent any more."""
        self._state = "over"
        self._flow.close()

    def _step(self, advance: Callable[[], Attempt]) -> Attempt | Done[T]:
        self._state = "over"
        try:
            attempt = advance()
        except StopIteration as stop:
            result: T = stop.value
            return Done(result)
        self._state = "waiting"
        return attempt
