"""Bytes that nobody asked for arrive on an idle connection, at whatever time: they answer no request."""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import pytest

from cartesia_proto.call import Call
from cartesia_urllib import Cartesia
from tests.conftest import WAIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.transports.conftest import Connection, Net, Script
    from tests.transports.scenarios.conftest import AwaitingShell, Client, Connect, Loop, Shell

T = TypeVar("T")

GET = Call.json("GET", "/thing")
LATE = b"HTTP/1.0 408 Request Time-out\r\nConnection: close\r\n\r\n<html>too late</html>"


def close(connection: Connection) -> None:
    """End it."""
    connection.finish()


def leave(connection: Connection) -> None:
    """Cut it."""
    connection.close()


def time_out(connection: Connection) -> None:
    """As balancers do."""
    connection.send(LATE)
    connection.finish()


def time_out_and_stay(connection: Connection) -> None:
    """The same, but the connection is left open."""
    connection.send(LATE)


def answer_again(connection: Connection) -> None:
    """Somebody else's answer."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n666")


WAYS = pytest.mark.parametrize(
    "end", [close, leave, time_out, time_out_and_stay, answer_again], ids=lambda end: end.__name__
)


def ending(net: Net, end: Callable[[Connection], None], may: threading.Event, done: threading.Event) -> Script:
    """The script of a server that says something after its first answer."""

    def script(connection: Connection) -> None:
        connection.answer(net.response(200, b"1"))
        assert may.wait(WAIT)
        end(connection)
        done.set()

    return script


@runtime_checkable
class OnLoop(Protocol):
    """A shell with a loop."""

    loop: Loop


class Tls:
    """The server's end of TLS in memory, so that a test says which of its bytes are sent when."""

    def __init__(self, connection: Connection, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._arriving, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arriving, self._leaving, server_side=True)

    def answer(self, data: bytes) -> None:
        """Shake hands, if that was not done; read a request, and answer it."""
        if self._tls.version() is None:
            self._until(self._tls.do_handshake)
        assert self._until(lambda: self._tls.read(65536)).startswith(b"GET /thing")
        self._connection.send(self.encrypted(data))

    def encrypted(self, data: bytes) -> bytes:
        """Records that hold this."""
        self._tls.write(data)
        return self._leaving.read()

    def _until(self, step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._connection.send(self._leaving.read())
                self._arriving.write(self._connection.socket.recv(65536))


def twice(shell: Shell, client: Client, may: threading.Event, done: threading.Event, *, busy: bool) -> object:
    """What two calls come to between which a server may say something, while the loop (if there is one) is busy."""

    def first() -> int:
        value = client.call(GET)
        assert isinstance(value, int)
        return value

    def meanwhile() -> None:
        may.set()
        assert done.wait(WAIT)

    native = client.native
    if isinstance(native, Cartesia) or not busy:
        value = first()
        meanwhile()
        return value, first()

    async def both() -> object:
        value = await native.call(GET)
        meanwhile()  # on the loop, which has no turn until then
        return value, await native.call(GET)

    assert isinstance(shell, OnLoop)
    return shell.loop.run(both())


@WAYS
@pytest.mark.parametrize("how", ["theirs", "ours"])
def test_while_the_client_waits_for_nothing(
    shell: Shell, net: Net, end: Callable[[Connection], None], how: Connect
) -> None:
    """The next request has a fresh connection, whether its loop had a turn before or not."""
    may, done = threading.Event(), threading.Event()
    server = net.serve(ending(net, end, may, done), [net.response(200, b"2")])
    client = shell.client(server, how, max_retries=0)
    assert client.call(GET) == 1
    may.set()
    assert done.wait(WAIT)
    assert client.call(GET) == 2


@WAYS
@pytest.mark.parametrize("how", ["theirs", "ours"])
def test_while_the_loop_is_busy(
    awaiting: AwaitingShell, net: Net, end: Callable[[Connection], None], how: Connect
) -> None:
    """It has not seen what arrived; the socket is looked at before it is used again."""
    may, done = threading.Event(), threading.Event()
    server = net.serve(ending(net, end, may, done), [net.response(200, b"2")])
    client = awaiting.client(server, how, max_retries=0)
    assert twice(awaiting, client, may, done, busy=True) == (1, 2)


@pytest.mark.parametrize("net", ["clear"], indirect=True)
@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("cut", [3, 30])
def test_part_of_a_record(shell: Shell, net: Net, server_context: ssl.SSLContext, busy: bool, cut: int) -> None:
    """TLS cannot be asked whether it holds the beginning of one; so it is not given that."""
    may, done = threading.Event(), threading.Event()

    def script(connection: Connection) -> None:
        tls = Tls(connection, server_context)
        tls.answer(net.response(200, b"1"))
        assert may.wait(WAIT)
        connection.send(tls.encrypted(LATE)[:cut])
        done.set()

    def second(connection: Connection) -> None:
        Tls(connection, server_context).answer(net.response(200, b"2"))

    client = shell.client(base_url=net.serve_clear(script, second).url.replace("http:", "https:"), max_retries=0)
    assert twice(shell, client, may, done, busy=busy) == (1, 2)
