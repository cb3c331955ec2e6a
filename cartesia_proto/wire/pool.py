"""Which kept-alive connection to use, keep or close; and whether a stale one is replaced.

This module makes decisions only: it opens, closes and inspects no connection, and knows nothing of one but the value
it was handed. What must be closed is returned to the shell, so that closing (which may block, or wait) happens outside
whatever lock the shell holds. A pool that several threads use is given a lock; the others are called from one event
loop.
"""

from collections.abc import Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Generic, TypeVar, final

from attrs import define, field, frozen

from cartesia_proto.errors import CartesiaError, ConnectionLost

MAX_IDLE: Final = 20
"""Idle connections kept in all (the default of httpx, ``Limits(max_keepalive_connections=20)``)."""

MAX_IDLE_PER_KEY: Final = 10
"""Idle connections kept to one place (the default of requests' ``HTTPAdapter``, ``DEFAULT_POOLSIZE = 10``)."""

IDLE_SECONDS: Final = 15.0
"""Seconds an idle connection is trusted. aiohttp's default; httpx has 5, Go's transport 90. It must stay below what
servers and balancers grant (nginx ``keepalive_timeout`` 75, AWS load balancers 60), and the shorter it is, the less
often a connection that a NAT forgot is met; a server that grants less (Apache and Node.js: 5) is what `replace_stale`
is for."""

_RECORD_HEAD: Final = 5
"""Bytes before a TLS record's content: type, version, and in the last two the length (RFC 8446 section 5.1)."""

KeyT = TypeVar("KeyT", bound=Hashable)
"""What tells connections apart: for the shells, a request's origin and the proxy it goes through."""

ConnectionT = TypeVar("ConnectionT")


@final
@frozen
class Taken(Generic[ConnectionT]):
    """What `Pool.take` found: a connection to use, or None; and those that expired, for the shell to close."""

    connection: ConnectionT | None
    to_close: tuple[ConnectionT, ...]


@final
@frozen
class _Idle(Generic[KeyT, ConnectionT]):
    key: KeyT
    connection: ConnectionT
    since: float


@final
@define
class Pool(Generic[KeyT, ConnectionT]):
    """Idle connections of one client. Connections are told apart by identity; those in use are not known here.

    Attributes:
        max_idle: how many are kept in all; 0 keeps none.
        max_idle_per_key: how many are kept for one key.
        idle_seconds: how long one is kept.
        lock: held while the books are changed, where several threads use them.
    """

    max_idle: int = MAX_IDLE
    max_idle_per_key: int = MAX_IDLE_PER_KEY
    idle_seconds: float = IDLE_SECONDS
    lock: AbstractContextManager[object] = field(factory=nullcontext[None], kw_only=True)
    _idle: list[_Idle[KeyT, ConnectionT]] = field(factory=list[_Idle[KeyT, ConnectionT]], init=False)  # oldest first
    _closed: bool = field(default=False, init=False)

    def take(self, key: KeyT, now: float) -> Taken[ConnectionT]:
        """Take the connection of a key that was used last, and every expired one out of the pool."""
        with self.lock:
            expired = self._remove([idle for idle in self._idle if now - idle.since >= self.idle_seconds])
            newest = self._remove([idle for idle in self._idle if idle.key == key][-1:])
            return Taken(newest[0] if newest else None, expired)

    def give_back(self, key: KeyT, connection: ConnectionT, now: float) -> tuple[ConnectionT, ...]:
        """Keep a connection that is good for another request; answers those the shell must close instead.

        They are the ones used longest ago, over the limits; or, once the pool is closed, the one given back.
        """
        with self.lock:
            if self._closed:
                return (connection,)
            self._idle.append(_Idle(key, connection, now))
            of_key = [idle for idle in self._idle if idle.key == key]
            surplus = self._remove(of_key[: max(0, len(of_key) - self.max_idle_per_key)])
            return surplus + self._remove(self._idle[: max(0, len(self._idle) - self.max_idle)])

    def discard(self, connection: ConnectionT) -> None:
        """Forget an idle connection that ended by itself; does nothing where it is not in the pool."""
        with self.lock:
            self._remove([idle for idle in self._idle if idle.connection is connection])

    def close_all(self) -> tuple[ConnectionT, ...]:
        """Close the pool: answers every idle connection for closing, and from now on keeps none."""
        with self.lock:
            self._closed = True
            return self._remove(list(self._idle))

    def _remove(self, gone: list[_Idle[KeyT, ConnectionT]]) -> tuple[ConnectionT, ...]:
        self._idle = [idle for idle in self._idle if not any(idle is one for one in gone)]
        return tuple(idle.connection for idle in gone)


def whole_records(data: bytes) -> bool:
    """Whether TLS has taken all of these bytes of an idle connection once it was read: they are whole records.

    Such may be session tickets, which are TLS's own business (RFC 8446 section 4.6.1) and come to nothing when they are
    read. The beginning of a record must not be read: TLS would hold it unseen, and its rest would answer a request.
    """
    end = 0
    while end + _RECORD_HEAD <= len(data):
        end += _RECORD_HEAD + int.from_bytes(data[end + 3 : end + _RECORD_HEAD])
    return end == len(data) > 0


def replace_stale(*, reused: bool, response_started: bool, replaced_already: bool, error: CartesiaError) -> bool:
    """Whether a request that failed is sent again at once on a fresh connection; this is no retry.

    A server may close an idle connection at the moment it is used again. A *reused* connection that ended before any
    byte of the response says just that, so it is replaced once, for every method (RFC 9112 section 9.3.1 asks for some
    means of knowing that the request was not processed; this is the one every browser and HTTP library uses). A fresh
    connection is never replaced, nor is one on which time ran out.

    Args:
        reused: the connection had carried a request before this one.
        response_started: at least one byte of the response had arrived.
        replaced_already: this request was already sent again for the same reason.
        error: how the request failed.
    """
    return reused and not response_started and not replaced_already and isinstance(error, ConnectionLost)
