"""The steps to a connection, and the words for what goes wrong in them."""

import builtins
import errno
import math
import ssl
from collections.abc import Callable, Sequence

import pytest

from cartesia_proto.config import Limits
from cartesia_proto.errors import CartesiaError, ConnectError, LocalProtocolError, TimeoutError
from cartesia_proto.flow import Attempt, How
from cartesia_proto.http import Headers, Request
from cartesia_proto.wire import steps
from cartesia_proto.wire.proxy import Proxy
from cartesia_proto.wire.steps import Connect, connecting, one_of, own_context

PROXY = Proxy("proxy.test", 3128)
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def nowhere(host: str, port: int) -> None:
    """A user's function that connects to nothing."""
    del host, port


def attempt(url: str, how: How = "whole") -> Attempt:
    """One with ten seconds."""
    return Attempt(Request("GET", url, Headers()), 0.0, 10.0, how, 1, 1)


def walk(
    url: str,
    *,
    how: How = "whole",
    proxy: Proxy | None = None,
    answer: bytes = b"HTTP/1.1 200 Yes\r\n\r\n",
    addresses: Sequence[tuple[object, ...]] = (("192.0.2.1", 443),),
    protocol: str | None = None,
    local_address: str | None = None,
    connect: Connect | None = None,
) -> list[steps.Step]:
    """All steps, done as a shell would, at 100 seconds."""
    done: list[steps.Step] = []
    for step in connecting(attempt(url, how), proxy, Limits(), lambda: 100.0, local_address, connect):
        done.append(step)
        match step:
            case steps.Prepare():
                step.context = "context"
            case steps.LookUp():
                step.found = [(0, 0, 0, "", address) for address in addresses]
            case steps.Receive(link=link):
                link.receive_data(answer, 100.0)
            case steps.Secure():
                step.protocol = protocol
            case _:
                pass
    return done


def kinds(done: list[steps.Step]) -> list[type]:
    """What they are."""
    return [type(step) for step in done]


def test_in_clear() -> None:
    """Look up and dial, with one budget of time for both."""
    done = walk("http://api.test:81/x")
    assert kinds(done) == [steps.LookUp, steps.Dial]
    assert {(step.host, step.port, step.until) for step in done} == {("api.test", 81, 110.0)}


def test_with_tls() -> None:
    """The context comes first, as nothing can be done without; the name for TLS has no dot and no zone."""
    done = walk("https://API.test./x", protocol="http/1.1")
    assert kinds(done) == [steps.Prepare, steps.LookUp, steps.Dial, steps.Secure]
    assert done[1].host == "api.test."
    secure = done[-1]
    assert isinstance(secure, steps.Secure)
    assert (secure.server_name, secure.context, secure.until) == ("api.test", "context", 110.0)
    last = walk("https://[fe80::1%25eth0]/")[-1]
    assert isinstance(last, steps.Secure)
    assert last.server_name == "fe80::1"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_an_address_is_not_looked_up(host: str) -> None:
    """It is dialled."""
    assert kinds(walk(f"http://{host}/")) == [steps.Dial]


def test_an_address_with_a_zone_is_looked_up() -> None:
    """Only the system knows the number of an interface."""
    done = walk("http://[fe80::1%25eth0]/", addresses=[("fe80::1", 80, 0, 2)])
    assert kinds(done) == [steps.LookUp, steps.Dial]
    assert done[0].host == "fe80::1%eth0"


def test_a_function_of_the_users() -> None:
    """It connects instead, to whatever comes first."""
    done = walk("https://api.test/", connect=lambda host, port: (host, port))
    assert kinds(done) == [steps.Prepare, steps.Own, steps.Secure]
    own = done[1]
    assert isinstance(own, steps.Own)
    assert own.call("count") == ("api.test", 443)
    assert walk("https://api.test/", proxy=PROXY, connect=nowhere)[1].host == "proxy.test"


@pytest.mark.parametrize(
    ("url", "how", "tunnel"),
    [
        ("https://api.test/", "whole", True),
        ("http://api.test/", "whole", False),
        ("http://api.test/", "stream", False),
        ("http://api.test/", "upgrade", True),
    ],
)
def test_a_proxy(url: str, how: How, tunnel: bool) -> None:
    """It is what is looked up; it makes a tunnel for TLS and WebSockets."""
    done = walk(url, how=how, proxy=PROXY)
    assert ({steps.Send, steps.Receive} <= set(kinds(done))) is tunnel
    reached = [step for step in done if not isinstance(step, steps.Secure)]
    assert {(step.host, step.port) for step in reached} == {("proxy.test", 3128)}
    sent = [step.link.data_to_send() for step in done if isinstance(step, steps.Send)]
    assert all(data.startswith(b"CONNECT api.test:") for data in sent)


def test_a_proxy_that_refuses() -> None:
    """TLS is not even tried."""
    with pytest.raises(ConnectError, match="status 403"):
        walk("https://api.test/", proxy=PROXY, answer=b"HTTP/1.1 403 No\r\n\r\n")


def test_no_address() -> None:
    """There is none, or none that the local address could reach."""
    with pytest.raises(ConnectError, match=r"api.test:80: the name has no address$") as caught:
        walk("http://api.test/", addresses=())
    assert caught.value.retryable
    with pytest.raises(ConnectError, match="of the family of local_address") as caught:
        walk("http://127.0.0.1/", local_address="::1")
    assert not caught.value.retryable


def test_another_protocol() -> None:
    """It is named, with what to do; the next attempt would agree on it again."""
    with pytest.raises(ConnectError, match=r"'h2' \(ALPN\).*set_alpn_protocols") as caught:
        walk("https://api.test/", protocol="h2")
    assert not caught.value.retryable


def test_a_context_of_our_own() -> None:
    """It offers what is spoken."""

    class Recording:
        """Notes what it is to offer."""

        offered: tuple[str, ...] = ()

        def set_alpn_protocols(self, alpn_protocols: list[str], /) -> None:
            self.offered = (*alpn_protocols,)

    assert own_context(Recording).offered == ("http/1.1",)


def only(kind: type[steps.Step], url: str = "https://api.test/", connect: Connect | None = None) -> steps.Step:
    """The step of a kind."""
    (step,) = [step for step in walk(url, connect=connect) if isinstance(step, kind)]
    return step


def failing(step: steps.Step, error: BaseException) -> BaseException:
    """What leaves a step in which this is raised."""
    with pytest.raises(BaseException) as caught, step:  # noqa: PT011 - whatever it is
        raise error
    return caught.value


@pytest.mark.parametrize("kind", [steps.LookUp, steps.Dial, steps.Secure])
def test_what_the_system_says(kind: type[steps.Step]) -> None:
    """Its words are repeated; it is the cause."""
    error = failing(only(kind), REFUSED)
    assert isinstance(error, ConnectError)
    assert str(error) == "could not connect to api.test:443: Connection refused"
    assert error.__cause__ is REFUSED
    assert error.retryable


def test_the_systems_error_within_anothers() -> None:
    """trio's, for example, have no words."""
    broken = RuntimeError()
    broken.__cause__ = REFUSED
    error = failing(only(steps.Secure), broken)
    assert isinstance(error, ConnectError)
    assert "Connection refused" in str(error)
    assert error.retryable


@pytest.mark.parametrize(
    ("kind", "phase"), [(steps.LookUp, "connect"), (steps.Dial, "connect"), (steps.Secure, "handshake")]
)
def test_time_that_ran_out(kind: type[steps.Step], phase: str) -> None:
    """Each step says what it was for; a timeout that the system met is a failure of one address."""
    error = failing(only(kind), builtins.TimeoutError())
    assert isinstance(error, TimeoutError)
    assert error.phase == phase
    assert "within 10 seconds" in str(error)
    met = failing(only(kind), builtins.TimeoutError(errno.ETIMEDOUT, "Connection timed out"))
    assert isinstance(met, ConnectError)


def test_what_became_of_each_address() -> None:
    """Stands behind the error, and behind a timeout that some addresses did not live to see."""
    dial = only(steps.Dial)
    assert isinstance(dial, steps.Dial)
    for _ in range(2):
        dial.race.failed(("192.0.2.1", 1), REFUSED)
    said = " (192.0.2.1: Connection refused, 192.0.2.1: Connection refused)"
    assert str(failing(dial, REFUSED)).endswith(f"Connection refused{said}")
    assert str(failing(dial, builtins.TimeoutError())).endswith(f"within 10 seconds{said}")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (steps.Prepare, "could not make a TLS context"),
        (steps.LookUp, "could not look up api.test"),
        (steps.Dial, "could not connect to api.test:443"),
        (steps.Own, "connect= failed for api.test:443"),
        (steps.Secure, "could not connect to api.test:443"),
    ],
)
@pytest.mark.parametrize("reason", [RuntimeError("no new futures"), NotImplementedError()])
def test_what_a_runtime_cannot_do(kind: type[steps.Step], what: str, reason: Exception) -> None:
    """It is said what, and by which error; the next attempt would meet it again."""
    connect = nowhere if kind is steps.Own else None
    error = failing(only(kind, connect=connect), reason)
    assert isinstance(error, ConnectError)
    assert not error.retryable
    assert what in str(error)
    assert str(error).endswith(type(reason).__name__ + (f": {reason}" if str(reason) else ""))
    assert error.__cause__ is reason


def test_a_context_that_cannot_be_made() -> None:
    """The file is named; it will not be there the next time."""
    error = failing(only(steps.Prepare), FileNotFoundError(errno.ENOENT, "No such file", "/no/keys.log"))
    assert isinstance(error, ConnectError)
    assert "/no/keys.log" in str(error)
    assert not error.retryable


def test_a_server_that_speaks_none_of_the_protocols() -> None:
    """It says so in TLS, and will say so again."""
    refused = OSError(1, "tlsv1 alert no application protocol")
    refused.reason = "TLSV1_ALERT_NO_APPLICATION_PROTOCOL"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # as ssl.SSLError
    error = failing(only(steps.Secure), refused)
    assert isinstance(error, ConnectError)
    assert not error.retryable


def test_a_context_of_another_kind() -> None:
    """TLS refuses it by itself, as one for servers."""
    with pytest.raises(ssl.SSLError) as refused:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
    error = failing(only(steps.Secure), refused.value)
    assert isinstance(error, ConnectError)
    assert not error.retryable


def test_a_handshake_that_fails() -> None:
    """What the server did, it may do better the next time."""
    error = failing(only(steps.Secure), ssl.SSLError(1, "[SSL] internal error"))
    assert isinstance(error, ConnectError)
    assert error.retryable


def test_a_function_of_the_users_that_fails() -> None:
    """The system's errors are as ever, and the library's own pass."""
    own = only(steps.Own, connect=nowhere)
    error = failing(own, REFUSED)
    assert isinstance(error, ConnectError)
    assert error.retryable
    mine = LocalProtocolError("mine")
    assert failing(own, mine) is mine


def test_a_function_of_the_users_that_answers_nonsense() -> None:
    """It is called what it is, and closed if it can be."""

    class Odd:
        """Can be closed."""

        closed = False

        def close(self) -> None:
            self.closed = True

    def oddly(host: str, port: int) -> Odd:
        del host, port
        return odd

    odd = Odd()
    functions: list[tuple[Callable[[str, int], object], str]] = [(nowhere, "NoneType"), (oddly, "Odd")]
    for function, name in functions:
        own = only(steps.Own, connect=function)
        assert isinstance(own, steps.Own)
        with pytest.raises(LocalProtocolError, match=f"connect= answered with '{name}', which has no 'send_all'"):
            own.call("send_all")
    assert odd.closed
    own = only(steps.Own, connect=oddly)
    assert isinstance(own, steps.Own)
    assert own.usable(odd, "close") is odd


class StopItError(BaseException):
    """As a runtime's cancellation."""


def test_groups() -> None:
    """Of several exceptions at once the one leaves that must not be lost, as it is."""
    stop, interrupt, wrong = StopItError(), KeyboardInterrupt(), ConnectError("wrong")
    assert failing(only(steps.Dial), BaseExceptionGroup("", [REFUSED, stop])) is stop
    nested = BaseExceptionGroup("", [stop, BaseExceptionGroup("", [REFUSED, interrupt])])
    assert failing(only(steps.Dial), nested) is interrupt
    assert failing(only(steps.Dial), ExceptionGroup("", [wrong])) is wrong
    assert all(error.__context__ is None for error in (stop, interrupt, wrong))
    error = failing(only(steps.Dial), ExceptionGroup("", [REFUSED, ValueError()]))
    assert isinstance(error, CartesiaError)
    assert error.__cause__ is REFUSED
    assert failing(only(steps.Dial), stop) is stop
    assert one_of(stop) is stop


def test_a_step_that_succeeds() -> None:
    """Nothing is raised, and nothing bounds a step that waits for a proxy but its link."""
    done = walk("https://api.test/", proxy=PROXY)
    for step in done:
        with step as same:
            assert same is step
    (send,) = [step for step in done if isinstance(step, steps.Send)]
    error = failing(send, builtins.TimeoutError())
    assert isinstance(error, TimeoutError)
    assert error.phase == "handshake"
    assert {step.until for step in done if isinstance(step, steps.Send | steps.Receive)} == {math.inf}
