"""A driver of the core's steps over connections in memory, for the tests of what yields such steps.

Test files import it as ``tests.core.conftest``, the name under which pytest loads this file.
"""

from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO, Protocol, TypeVar, assert_never

from cartesia_proto.config import Limits
from cartesia_proto.errors import ConnectError
from cartesia_proto.flow import Operation
from cartesia_proto.http import Response
from cartesia_proto.performing import (
    Connect,
    Discard,
    Origin,
    Performance,
    Probe,
    Receive,
    Release,
    Send,
    Sleep,
    Step,
    Steps,
    UseFile,
)
from cartesia_proto.testing import ScriptedPeer
from cartesia_proto.wire.exchange import connection_broke
from cartesia_proto.wire.pool import Pool

T = TypeVar("T")


class Peer(Protocol):
    """The other side of a connection, in memory."""

    def receive_data(self, data: bytes) -> bytes:
        """Take bytes, and return what is sent in answer."""
        ...


class Connection:
    """A connection to a peer in memory, which sends what it answers when it is read.

    Args:
        answers: of the peer.
        cut: bytes after which the connection breaks.
        portion: bytes that the first read gets.
        send_error: what each write ends in; False where it takes nothing.
        untouched: whether nothing arrived on it while it was idle.
    """

    def __init__(
        self,
        *answers: Response | bytes,
        peer: Peer | None = None,
        cut: int | None = None,
        portion: int | None = None,
        send_error: object = None,
        untouched: bool = True,
    ) -> None:
        self.peer = ScriptedPeer(answers) if peer is None else peer
        self.untouched = untouched
        self.cut = cut
        self.portion = portion
        self.send_error = send_error
        self.waiting = b""
        self.released: list[bool] = []


class World:
    """A driver that takes steps on such connections, and notes them by name."""

    def __init__(self, *fresh: Connection | ConnectError) -> None:
        self.fresh = list(fresh)
        self.taken: list[str] = []
        self.before: Callable[[Step[Connection]], object] = type

    def take(self, steps: Steps[Connection, object]) -> None:
        """Take all of them."""
        for step in steps:
            with step:
                self.perform(step)

    def perform(self, step: Step[Connection] | None) -> None:  # noqa: C901, PLR0912 - an arm for each kind of step
        """Take one."""
        if step is None:
            return
        self.taken.append(type(step).__name__)
        self.before(step)
        match step:
            case Sleep():
                pass
            case UseFile():
                step.take()
            case Connect():
                made = self.fresh.pop(0)
                if isinstance(made, ConnectError):
                    raise made
                step.connection = made
            case Send(line=line):
                step.sent = self.send(line.connection, line.link.data_to_send())
            case Receive(line=line):
                connection, link = line.connection, line.link
                portion, connection.portion = connection.portion, None
                data, connection.waiting = connection.waiting[:portion], connection.waiting[portion or 1 << 30 :]
                if data:
                    link.receive_data(data[: connection.cut], 0.0)
                if not data or connection.cut is not None:
                    connection_broke(link, 0.0)
            case Probe(line=line):
                step.untouched = line.connection.untouched
            case Discard(connection=connection):
                connection.released.append(False)
            case Release(line=line, keep=keep):
                line.connection.released.append(keep)
            case _:
                assert_never(step)

    @staticmethod
    def send(connection: Connection, data: bytes) -> bool:
        """Let the peer have it, if it takes it."""
        if isinstance(connection.send_error, Exception):
            raise connection.send_error
        connection.waiting += connection.peer.receive_data(data)
        return connection.send_error is None


def opened(path: str) -> tuple[BinaryIO, int]:
    """A file of three bytes."""
    assert path == "clip.wav"
    return BytesIO(b"abc"), 3


def performed(operation: Operation[T], *idle: Connection) -> Performance[T, Connection]:
    """An operation on its way, with idle connections to its origin."""
    pool: Pool[Origin, Connection] = Pool()
    for connection in idle:
        pool.give_back(ORIGIN, connection, 0.0)
    return Performance(operation, pool, Limits(), None, opened, lambda: 1.0)


ORIGIN: Origin = ("http", "peer.test", 80)
"""What the tests' calls ask."""
