"""TLS hands over one record at a time; what is read at once of those that have arrived, and what is left to be told."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, final

import pytest
import trio
from trio.testing import memory_stream_pair

from cartesia_trio.connection import Connection
from cartesia_urllib.network import untouched
from cartesia_urllib.sockets import TLS_RECORD, receive
from tests.conftest import WAIT

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HOST: Final = "localhost"
MUCH: Final = bytes(range(256)) * (3 * TLS_RECORD // 256) + b"the end of it"
"""Three full records and a short one."""
ORIGIN: Final = ("https", HOST, 443)

Ends = tuple[ssl.SSLSocket, ssl.SSLSocket]


@pytest.fixture
def ends(trust: ssl.SSLContext, server_context: ssl.SSLContext) -> Iterator[Ends]:
    """Two ends of one connection: the client's, which does not wait, and the server's."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(WAIT)
    server = server_context.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
    agreeing = threading.Thread(target=server.do_handshake)
    agreeing.start()
    with server, trust.wrap_socket(ours, server_hostname=HOST, suppress_ragged_eofs=False) as client:
        agreeing.join(WAIT)
        client.settimeout(0)
        with pytest.raises(ssl.SSLWantReadError):  # this takes in what TLS itself had to say
            client.recv(1)
        yield client, server


def space(size: int = 1 << 18) -> memoryview:
    """Somewhere to receive into."""
    return memoryview(bytearray(size))


def test_all_records_that_have_arrived(ends: Ends) -> None:
    """Behind a full record every other is received, the short ones too."""
    ours, theirs = ends
    theirs.sendall(MUCH)
    theirs.sendall(b"more")
    room = space()
    assert receive(ours, room) == len(MUCH) + 4
    assert room[: len(MUCH) + 4] == MUCH + b"more"


def test_as_much_as_fits(ends: Ends) -> None:
    """The rest of a record is there the next time."""
    ours, theirs = ends
    theirs.sendall(MUCH)
    room, rest = space(2 * TLS_RECORD + 1), space()
    assert receive(ours, room) == len(room)
    count = receive(ours, rest)
    assert ours.pending() == 0
    assert bytes(room) + rest[:count] == MUCH[: 3 * TLS_RECORD]
    assert receive(ours, rest) == len(MUCH) - 3 * TLS_RECORD


def test_behind_a_short_record(ends: Ends) -> None:
    """It is all there was to be said, as a rule: to ask for more would cost as much as to receive it."""
    ours, theirs = ends
    theirs.sendall(b"one")
    theirs.sendall(b"two")
    assert [receive(ours, space()), receive(ours, space())] == [3, 3]


def test_behind_a_full_record_nothing(ends: Ends) -> None:
    """More need not come; and a socket that waits waits for the first record alone."""
    ours, theirs = ends
    theirs.sendall(MUCH[:TLS_RECORD])
    ours.settimeout(WAIT)
    assert receive(ours, space()) == TLS_RECORD
    with pytest.raises(ssl.SSLWantReadError):
        receive(ours, space())


def farewell(end: ssl.SSLSocket) -> None:
    """End as TLS wants it."""
    end.settimeout(0)
    with pytest.raises(ssl.SSLWantReadError):  # it would wait for ours
        end.unwrap()


def cut(end: ssl.SSLSocket) -> None:
    """End without a word."""
    end.shutdown(socket.SHUT_RDWR)


def garbage(end: ssl.SSLSocket) -> None:
    """Send a record that nobody encrypted."""
    socket.socket.sendall(end, b"\x17\x03\x03\x00\x20" + bytes(32))


def test_a_farewell_behind_records(ends: Ends) -> None:
    """It is the end, told once what came before it has been taken, even where the connection stays open."""
    ours, theirs = ends
    theirs.sendall(MUCH)
    farewell(theirs)
    assert [receive(ours, space()) for _ in range(3)] == [len(MUCH), 0, 0]


@pytest.mark.parametrize("end", [cut, garbage])
def test_a_failure_behind_records(ends: Ends, end: Callable[[ssl.SSLSocket], None]) -> None:
    """It loses nothing of what came before it, and is told the next time: never as an end, nor as nothing yet."""
    ours, theirs = ends
    theirs.sendall(MUCH)
    end(theirs)
    assert receive(ours, space()) == len(MUCH)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - whatever it is called
        receive(ours, space())
    assert not isinstance(caught.value, ssl.SSLWantReadError)


def test_what_tls_holds_is_not_quiet(ends: Ends) -> None:
    """A connection of which a part of a record was left unread is not used again, though nothing is in its socket."""
    ours, theirs = ends
    assert untouched(ours)
    theirs.sendall(b"an answer that nobody asked for")
    assert ours.recv(9) == b"an answer"
    assert not untouched(ours)


@final
class Agreed:
    """A connection of `cartesia_trio` under TLS, in memory, and the server's end of it; made by `agree`."""

    def __init__(self, ours: Connection, theirs: trio.SSLStream[trio.abc.Stream]) -> None:
        self.ours: Connection = ours
        self.theirs: trio.SSLStream[trio.abc.Stream] = theirs


async def agree(trust: ssl.SSLContext, server_context: ssl.SSLContext) -> Agreed:
    """Make one."""
    near, far = memory_stream_pair()
    ours = Connection(HOST, 443)
    ours.adopt(near)
    theirs = trio.SSLStream[trio.abc.Stream](far, server_context, server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.do_handshake)
        await ours.encrypt(trust, HOST)
    return Agreed(ours, theirs)


def test_all_records_on_trio(trust: ssl.SSLContext, server_context: ssl.SSLContext) -> None:
    """They are read at once, as far as they fit; the rest, and then the end, the next times."""

    async def main() -> None:
        agreed = await agree(trust, server_context)
        room, rest = space(2 * TLS_RECORD + 1), space()
        await agreed.theirs.send_all(MUCH)
        assert await agreed.ours.receive_into(room) == len(room)
        count = await agreed.ours.receive_into(rest)
        assert bytes(room) + rest[:count] == MUCH
        await agreed.theirs.send_all(MUCH)
        await agreed.theirs.aclose()
        assert [await agreed.ours.receive_into(rest) for _ in range(3)] == [len(MUCH), 0, 0]
        await agreed.ours.aclose()

    trio.run(main)


def test_what_tls_holds_is_not_quiet_on_trio(trust: ssl.SSLContext, server_context: ssl.SSLContext) -> None:
    """As on the blocking transport."""

    async def main() -> None:
        agreed = await agree(trust, server_context)
        assert agreed.ours.quiet
        await agreed.theirs.send_all(b"an answer that nobody asked for")
        assert await agreed.ours.receive_into(space(9)) == 9
        assert not agreed.ours.quiet
        for end in (agreed.ours, agreed.theirs):
            await end.aclose()

    trio.run(main)


def test_a_cancelled_read_takes_nothing_on_trio(trust: ssl.SSLContext, server_context: ssl.SSLContext) -> None:
    """Whatever had arrived is there for the next one."""

    async def main() -> None:
        agreed = await agree(trust, server_context)
        await agreed.theirs.send_all(MUCH)
        with trio.CancelScope() as scope:
            scope.cancel()
            await agreed.ours.receive_into(space())
        assert scope.cancelled_caught
        assert await agreed.ours.receive_into(space()) == len(MUCH)
        for end in (agreed.ours, agreed.theirs):
            await end.aclose()

    trio.run(main)


@pytest.mark.parametrize("own", [False, True], ids=["plain", "own"])
def test_a_context_of_the_user_stays_as_it_was(server_context: ssl.SSLContext, own: bool) -> None:
    """What it is to make, for us and for others, it still makes; also where no TLS can be made."""
    read: list[int] = []

    class Own(ssl.SSLObject):
        def read(self, len: int = 1024, buffer: WriteableBuffer | None = None) -> bytes:  # noqa: A002 - its name
            read.append(len)
            return super().read(len, buffer)

    theirs = Own if own else ssl.SSLObject
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslobject_class = theirs

    async def main() -> None:
        agreed = await agree(context, server_context)
        assert context.sslobject_class is theirs
        await agreed.theirs.send_all(MUCH)
        assert await agreed.ours.receive_into(space()) == (TLS_RECORD if own else len(MUCH))
        assert bool(read) is own
        with pytest.raises(ValueError, match="server_hostname"):
            await agreed.ours.encrypt(context, ".")
        assert context.sslobject_class is theirs
        for end in (agreed.ours, agreed.theirs):
            await end.aclose()

    trio.run(main)
