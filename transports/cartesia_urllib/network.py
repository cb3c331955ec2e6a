"""The connections of a client: sharing them, closing them all.

This module knows which idle connection a request gets, and what is in use. It must not know requests, answers or
retries. It is shared by a client and all that `with_options` made of it, and by all their threads.
"""

import os
import select
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, final
from weakref import WeakSet

from attrs import define, field

from cartesia_proto import performing
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.wire.forks import FORKS
from cartesia_proto.wire.link import BUSY
from cartesia_proto.wire.pool import Pool, whole_records
from cartesia_urllib.sockets import WANT_READ, Connector, Interrupter, Origin

if TYPE_CHECKING:
    import urllib.request

    from cartesia_proto.multiplexer import Multiplexer


FORKS.arm(getattr(os, "register_at_fork", None))


class Foreign(ABC):
    """What a user's opener carries in place of a connection."""

    @abstractmethod
    def read(self, line: "Line") -> None:
        """Feed the link of the line once."""

    @abstractmethod
    def close(self) -> None:
        """Close it. Idempotent."""


Connection: TypeAlias = socket.socket | Foreign
Line: TypeAlias = performing.Line[Connection]


@final
@define(eq=False, repr=False)
class Network:
    """How one client reaches the API.

    Attributes:
        connector: makes connections.
        opener: a user's own, which carries HTTP requests instead, or None.
    """

    connector: Connector
    opener: "urllib.request.OpenerDirector | None"
    _lock: threading.RLock = field(init=False)
    pool: Pool[Origin, Connection] = field(init=False)
    _in_use: WeakSet["Interrupter | Multiplexer"] = field(factory=WeakSet["Interrupter | Multiplexer"], init=False)
    _closed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._begin_anew()
        FORKS.watch(self, Network._begin_anew)

    def _begin_anew(self) -> None:
        """Nobody is at it: so at first, and in a child process, where whoever was is not. Sockets let go themselves."""
        self._lock = threading.RLock()  # reentrant, because a signal handler may close the client
        self.pool = Pool(lock=self._lock)
        self.connector.begin_anew()

    def check(self) -> None:
        """Raise `LocalProtocolError` once the client is closed."""
        if self._closed:
            raise LocalProtocolError("the client is closed: make another")

    def use(self, interruptible: "Interrupter | Multiplexer") -> None:
        """From now on, as long as it lives, `close` interrupts this too.

        Raises:
            LocalProtocolError: the client is closed.
        """
        with self._lock:
            self.check()
            self._in_use.add(interruptible)

    def give_back(self, origin: Origin, sock: socket.socket, interrupter: Interrupter) -> None:
        """Keep a connection that is good for another request; if it was interrupted just now, `idle` closes it."""
        interrupter.attach()
        for surplus in self.pool.give_back(origin, sock, time.monotonic()):
            surplus.close()

    def close(self) -> None:
        """Close every connection, those in use too. Idempotent; later there are none."""
        with self._lock:
            self._closed = True
            idle, in_use = self.pool.close_all(), tuple(self._in_use)
        for connection in idle:
            connection.close()
        for interrupter in in_use:
            interrupter.interrupt()


def untouched(sock: socket.socket) -> bool:
    """Whether nothing arrived on an idle socket that nobody asked for, the end included.

    Session tickets, which are TLS's own business and no answer, are read away.
    """
    held: Callable[[], int] = getattr(sock, "pending", int)  # in TLS, of a record that came in part
    try:
        if held() or not _readable(sock):
            return not held()
        if held is int or not whole_records(socket.socket.recv(sock, BUSY, socket.MSG_PEEK)):
            return False
        sock.settimeout(0)
        sock.recv(1)
    except OSError as error:  # behind tickets TLS wants more
        return error.errno == WANT_READ and not _readable(sock)
    except ValueError:  # closed; or more descriptors than `select` can count, and then rather a new connection
        pass
    return False


def _readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])
