"""How a connection comes about, written once: look up, dial, CONNECT where it must be, TLS, ready.

`connecting` is a generator of steps. A shell performs each in a ``match``, inside the step itself, which is a context
manager: it gives what goes wrong the words and the type of one of the library's own errors, and it undoes the groups
that nurseries make of exceptions, so that a cancellation leaves as what it is. Answers go into slots of the step. The
generator owns nothing: the shell holds the connection, and closes it if it leaves the loop early::

    for step in connecting(attempt, ways, now):
        with step:
            match step: …

This module knows the order of these things and what their failures mean. It must not connect, read or wait.
"""

import builtins
import math
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias, TypeVar, cast, final

from attrs import define, field

from cartesia_proto.config import Limits
from cartesia_proto.errors import CartesiaError, ConnectError, LocalProtocolError, Phase, TimeoutError
from cartesia_proto.flow import Attempt
from cartesia_proto.hosts import bracketed, host_of
from cartesia_proto.wire.dialling import Found, Race, in_order, literal
from cartesia_proto.wire.exchange import could_not_connect, timed_out
from cartesia_proto.wire.link import LinkFailed
from cartesia_proto.wire.proxy import Proxy, forwarding
from cartesia_proto.wire.tunnel import ConnectLink

T = TypeVar("T")

Connect: TypeAlias = Callable[[str, int], Any]
"""A user's way to an unencrypted connection to a host and port, which a shell knows to use."""

ALPN: Final = "http/1.1"
"""What the library speaks, by its name in TLS (RFC 7301 section 6)."""


class _Context(Protocol):
    """What offers protocols: an `ssl.SSLContext`."""

    def set_alpn_protocols(self, alpn_protocols: list[str], /) -> None:
        """Offer protocols."""
        ...


ContextT = TypeVar("ContextT", bound=_Context)


def own_context(create: Callable[[], ContextT]) -> ContextT:
    """A TLS context of the library's own, which offers what it speaks; a user's is left as it is."""
    context = create()
    context.set_alpn_protocols([ALPN])
    return context


def one_of(error: BaseException) -> BaseException:
    """The exception itself, or of a group the one that must not be lost: an interruption, a cancellation, a failure."""
    while isinstance(error, BaseExceptionGroup):
        error = min(cast("BaseExceptionGroup[BaseException]", error).exceptions, key=_rank)
    return error


def _rank(error: BaseException) -> int:
    last = one_of(error)
    return 2 if isinstance(last, Exception) else 0 if isinstance(last, KeyboardInterrupt | SystemExit) else 1


@define(eq=False)
class _Step:
    """What all steps share.

    Attributes:
        host, port: what is connected to, as a look-up wants it.
        seconds: the attempt's timeout.
        until: when time is up, in monotonic seconds; ``math.inf`` where something else bounds the step.
    """

    host: str
    port: int
    seconds: float
    until: float

    def __enter__(self) -> Self:
        """The step itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Give what went wrong its words.

        Raises:
            CartesiaError: what a failure of this step means.
            BaseException: what is no failure, such as a cancellation, as itself.
        """
        if error is None:
            return
        one = one_of(error)
        if not isinstance(one, CartesiaError) and isinstance(one, Exception):
            reason = one.__cause__  # a runtime's own kind of error may wrap the system's
            raise self.meaning(reason if isinstance(reason, OSError) else one) from one
        if one is not error:
            _raise_alone(one)

    def meaning(self, error: Exception) -> ConnectError | TimeoutError:
        """What a failure means."""
        # The system's own timeout of one connection has a number; it is one failure among others.
        if isinstance(error, builtins.TimeoutError) and error.errno is None:
            return timed_out(self._phase, self.host, self.port, self.seconds)
        if isinstance(error, OSError | ValueError):
            return could_not_connect(self.host, self.port, error)
        return _cannot(f"could not connect to {bracketed(self.host)}:{self.port}", error)

    @property
    def _phase(self) -> Phase:
        return "connect"


def _raise_alone(error: BaseException) -> None:
    """Raise one exception of a group without the group as its context."""
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context


def _cannot(what: str, error: Exception) -> ConnectError:
    """A failure that the next attempt would meet again: a runtime or a function that cannot do what it is asked."""
    failure = ConnectError(f"{what}: {type(error).__name__}{': ' if str(error) else ''}{error}")
    failure.retryable = False
    return failure


@final
@define(eq=False)
class Prepare(_Step):
    """Make the TLS context, unless there is one. That may read many files: not in the thread of an event loop.

    Attributes:
        context: the answer; None until then.
    """

    context: Any = field(default=None, init=False)

    def meaning(self, error: Exception) -> ConnectError | TimeoutError:
        """It cannot be made; the system's words name the file, such as the one of ``SSLKEYLOGFILE``."""
        return _cannot(
            "could not make a TLS context (which opens the files that SSLKEYLOGFILE and its like name)", error
        )


@final
@define(eq=False)
class LookUp(_Step):
    """Find the addresses of ``host``, for streams.

    Attributes:
        found: the answer.
    """

    found: Found = field(default=(), init=False)

    def meaning(self, error: Exception) -> ConnectError | TimeoutError:
        """As of every step; a runtime may have no look-up, or its threads are gone."""
        if isinstance(error, OSError | ValueError):
            return _Step.meaning(self, error)
        return _cannot(f"could not look up {self.host}, which this runtime cannot do (any more)", error)


@final
@define(eq=False)
class Dial(_Step):
    """Connect a socket to one of several addresses.

    Attributes:
        race: says when which.
    """

    race: Race

    def meaning(self, error: Exception) -> ConnectError | TimeoutError:
        """As of every step, and what became of each address."""
        meaning = _Step.meaning(self, error)
        meaning.args = (f"{meaning}{self.race.tried}", *meaning.args[1:])
        return meaning


@final
@define(eq=False)
class Own(_Step):
    """Let the user's function connect."""

    _connect: Connect

    def call(self, *needs: str) -> Any:  # noqa: ANN401 - the shell knows what its own kind of function answers
        """What the function answers, if it has these attributes. Raises as `usable`, and whatever the function does."""
        return self.usable(self._connect(self.host, self.port), *needs)

    def usable(self, made: T, *needs: str) -> T:
        """What the function answered in the end, if it has these attributes.

        Raises:
            LocalProtocolError: it has not; it is closed if it can be.
        """
        missing = [name for name in needs if not hasattr(made, name)]
        if not missing:
            return made
        close: object = getattr(made, "close", None)
        if callable(close):
            close()
        raise LocalProtocolError(f"connect= answered with {type(made).__name__!r}, which has no {missing[0]!r}")

    def meaning(self, error: Exception) -> ConnectError | TimeoutError:
        """As of every step."""
        if isinstance(error, OSError | ValueError):
            return _Step.meaning(self, error)
        return _cannot(f"connect= failed for {bracketed(self.host)}:{self.port}", error)


@define(eq=False)
class _Exchanging(_Step):
    link: ConnectLink

    @property
    def _phase(self) -> Phase:
        return "handshake"


@final
class Send(_Exchanging):
    """Send what the link has to send."""


@final
class Receive(_Exchanging):
    """Feed the link once."""


@final
@define(eq=False)
class Secure(_Step):
    """Agree on TLS with the server ``host``, whose name for TLS is another attribute.

    Attributes:
        server_name: for SNI and the check of the certificate.
        context: the answer of `Prepare`.
        protocol: the answer: which protocol was agreed on by ALPN, if any.
    """

    server_name: str
    context: Any
    protocol: str | None = field(default=None, init=False)

    def meaning(self, error: Exception) -> ConnectError | TimeoutError:
        """As of every step; a server that speaks none of the protocols offered will not do so the next time.

        Nor will a context be usable that this machine's own TLS refuses, such as one for servers.
        """
        meaning = _Step.meaning(self, error)
        # Python's `ssl` gives the number 0 to what it refuses itself; a failed handshake has one of OpenSSL's.
        unusable = type(error).__module__ == "ssl" and isinstance(error, OSError) and not error.errno
        if unusable or "NO_APPLICATION_PROTOCOL" in str(getattr(error, "reason", "")):
            meaning.retryable = False
        return meaning

    @property
    def _phase(self) -> Phase:
        return "handshake"


Step: TypeAlias = Prepare | LookUp | Dial | Own | Send | Receive | Secure


def connecting(
    attempt: Attempt,
    proxy: Proxy | None,
    limits: Limits,
    now: Callable[[], float],
    local_address: str | None = None,
    connect: Connect | None = None,
) -> Generator[Step, None, None]:
    """The steps to a connection on which a request can be sent.

    Args:
        limits: of them, `head` bounds a proxy's answer.
        now: answers monotonic seconds.
        local_address: where connections leave from.
        connect: the user's own function, which connects instead.

    Raises:
        ConnectError: the name has no address, the proxy refused, or TLS agreed on a protocol that is not spoken.
        TimeoutError: the proxy did not answer.
    """
    request, seconds = attempt.request, attempt.timeout
    host, port = (request.host, request.port) if proxy is None else (proxy.host, proxy.port)
    prepare = Prepare(host, port, seconds, math.inf)
    if request.secure:
        yield prepare
    yield from _reaching(host, port, seconds, now() + seconds, local_address, connect)
    if proxy is not None and not forwarding(attempt, proxy):
        yield from _tunnelling(ConnectLink(proxy, request.host, request.port, seconds, limits, now()), proxy, seconds)
    if request.secure:
        secure = Secure(
            request.host, request.port, seconds, now() + seconds, host_of(request.url).name, prepare.context
        )
        yield secure
        _check(secure.protocol, request.host, request.port)


def _reaching(
    host: str, port: int, seconds: float, until: float, local_address: str | None, connect: Connect | None
) -> Generator[Step, None, None]:
    if connect is not None:
        yield Own(host, port, seconds, until, connect)
        return
    look_up = LookUp(host, port, seconds, until)
    look_up.found = literal(host, port)
    if not look_up.found:
        yield look_up
    addresses = in_order(look_up.found, local_address)
    if not addresses:
        family = "" if local_address is None else " of the family of local_address"
        error = could_not_connect(host, port, OSError(f"the name has no address{family}"))
        error.retryable = local_address is None
        raise error
    yield Dial(host, port, seconds, until, Race(addresses, until))


def _tunnelling(link: ConnectLink, proxy: Proxy, seconds: float) -> Generator[Step, None, None]:
    yield Send(proxy.host, proxy.port, seconds, math.inf, link)
    while (event := link.next_event()) is None:
        yield Receive(proxy.host, proxy.port, seconds, math.inf, link)
    if isinstance(event, LinkFailed):
        raise event.error


def _check(protocol: str | None, host: str, port: int) -> None:
    """Refuse what we do not speak, before the first byte of it: the server's would look like a broken HTTP/1.1."""
    if protocol in (None, ALPN):
        return
    error = ConnectError(
        f"TLS with {bracketed(host)}:{port} agreed on the protocol {protocol!r} (ALPN), which ssl_context offered: "
        f"this library speaks HTTP/1.1; give it a context of its own, with set_alpn_protocols([{ALPN!r}])"
    )
    error.retryable = False
    raise error
