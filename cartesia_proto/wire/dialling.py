"""The addresses of a host: in which order they are tried, when the next one begins, and what is said if none answers.

This module knows RFC 8305 ("happy eyeballs"): address families take turns, the next address begins when the last one
has failed, or beside it once it was silent for a moment, and the first that answers wins. It must not open sockets or
read a clock: a shell begins an attempt for each address that `Race.next` answers, reports failures, and drops the
attempts that lost. Addresses are those of `socket.getaddrinfo`; one of IPv6 has four parts, one of IPv4 has two.
"""

import builtins
import errno
import math
from collections.abc import Iterable
from itertools import chain, zip_longest
from typing import Final, TypeAlias, cast, final

from cartesia_proto.hosts import read_address

ATTEMPT_DELAY: Final = 0.25
"""Seconds before the next address is tried beside the last one (RFC 8305 section 5, "Connection Attempt Delay")."""

SHORTEST_ATTEMPT_DELAY: Final = 0.01
"""Seconds that this delay has at the least, where little time is left for many addresses (RFC 8305 section 5)."""

LISTED: Final = 4
"""Failed addresses that a message lists; our choice, more would hide the rest of it."""

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

Found: TypeAlias = Iterable[tuple[object, object, object, object, tuple[object, ...]]]
"""What `socket.getaddrinfo` answers."""

_ABSENT: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EHOSTUNREACH})
"""What is said of addresses that cannot be reached from here, which explains less than what a peer has done."""

_WORDS: Final = {
    errno.ECONNREFUSED: "Connection refused",
    errno.ETIMEDOUT: "Connection timed out",
    errno.ENETUNREACH: "Network is unreachable",
    errno.EHOSTUNREACH: "No route to host",
}
"""The system's words, which some runtimes replace by others that do not say what happened."""


def words(error: OSError | ValueError) -> str:
    """What an error says."""
    if not isinstance(error, OSError):
        return str(error) or type(error).__name__
    return _WORDS.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__


def literal(host: str, port: int) -> Found:
    """What a look-up would find for a host that is an address by itself; nothing for a name, or one with a zone."""
    address = read_address(host)
    if address is None:
        return ()
    return [(None, None, None, None, (host, port) if address.version == 4 else (host, port, 0, 0))]


def in_order(found: Found, local_address: str | None) -> list[SocketAddress]:
    """Addresses, each once, in the order they are to be tried: families in turn (RFC 8305 section 4).

    Args:
        local_address: where connections leave from, whose family alone can be reached then.
    """
    usable = dict.fromkeys(cast("SocketAddress", address) for *_, address in found if isinstance(address[0], str))
    if local_address is not None:
        usable = {address: None for address in usable if _is_ipv6(address) == (":" in local_address)}
    preferred = [address for address in usable if len(address) == len(next(iter(usable)))]
    others = [address for address in usable if address not in preferred]
    return [one for one in chain.from_iterable(zip_longest(preferred, others)) if one is not None]


def _is_ipv6(address: SocketAddress) -> bool:
    return len(address) == 4


@final
class Race:
    """The attempts to reach a host.

    Where time is short, the next address begins sooner than `ATTEMPT_DELAY` says: so silent ones, which may all be in
    front, leave time to try every one.

    Args:
        addresses: in order, at least one.
        until: when time is up for all of them together, in monotonic seconds.
    """

    def __init__(self, addresses: Iterable[SocketAddress], until: float) -> None:
        self._left = [*addresses]
        self._until = until
        self._trying = 0
        self._due = -math.inf
        self._failures: list[tuple[str, OSError]] = []

    def next(self, now: float) -> SocketAddress | None:
        """An address to try now, or None: then wait `pause` seconds, or until an attempt ends, and ask again.

        Raises:
            OSError: no attempt is left. It is the most telling failure; `tried` has all of them.
            TimeoutError: time is up; attempts may be under way.
        """
        if not self._left and not self._trying:
            raise min((error for _, error in self._failures), key=lambda error: error.errno in _ABSENT)
        if now >= self._until:
            raise builtins.TimeoutError
        if not self._left or (self._trying and now < self._due):
            return None
        self._trying += 1
        self._due = now + self._delay(now)
        return self._left.pop(0)

    def _delay(self, now: float) -> float:
        """Seconds until the next address is due: an equal share of the time that is left."""
        return max(SHORTEST_ATTEMPT_DELAY, min(ATTEMPT_DELAY, (self._until - now) / len(self._left)))

    def pause(self, now: float) -> float:
        """Seconds to wait for an attempt to end, at most; ``math.inf`` for ever."""
        return max(0.0, min(self._due if self._left else math.inf, self._until) - now)

    def failed(self, address: SocketAddress, error: OSError) -> None:
        """Note that an attempt failed; the next address is due."""
        self._trying -= 1
        self._due = -math.inf
        self._failures.append((address[0], error))

    @property
    def tried(self) -> str:
        """What became of the addresses, in words that can follow a message; empty where there is no more to say."""
        if len(self._failures) < 2 and not self._trying:
            return ""
        said = [f"{host}: {words(error)}" for host, error in self._failures]
        more = [f"{len(said) - LISTED} more"] if len(said) > LISTED else []
        return f" ({', '.join([*said[:LISTED], *more])})" if said else ""
