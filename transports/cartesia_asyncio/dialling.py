"""From a host name to a connected socket on asyncio, trying the host's addresses beside each other.

asyncio can do this itself, but its own race loses a socket when it is cancelled just after the socket connected (in
CPython 3.11 to 3.13, `staggered_race`): it stays open until it is collected. Here every socket has an owner at all
times. This module must not know TLS, HTTP or timeouts: whoever waits for it bounds the wait.
"""

import asyncio
import socket
from itertools import chain, zip_longest
from typing import Final, TypeAlias

HAPPY_EYEBALLS_DELAY: Final = 0.25
"""Seconds before the next address of a host is tried beside the last one (RFC 8305 section 5)."""

Address: TypeAlias = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


async def dial(host: str, port: int, local_address: str | None) -> socket.socket:
    """A connected, non-blocking socket; cancelling leaves none open.

    Raises:
        OSError: the name is not known, or no address answered; of several failures the first.
    """
    addresses = await _addresses(host, port, local_address)
    attempts: set[asyncio.Task[socket.socket]] = set()
    failures: list[OSError] = []
    try:
        while addresses or attempts:
            if addresses:
                attempts.add(asyncio.create_task(_connect(addresses.pop(0), local_address)))
            delay = HAPPY_EYEBALLS_DELAY if addresses else None
            done, _ = await asyncio.wait(attempts, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                attempts.remove(attempt)
                try:
                    return attempt.result()
                except OSError as error:
                    failures.append(error)
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close)
    raise failures[0]


async def _addresses(host: str, port: int, local_address: str | None) -> list[Address]:
    """The addresses of a host, families in turn (RFC 8305 section 4); only of the local address's family, if any."""
    family = socket.AF_UNSPEC
    if local_address is not None:
        family = socket.AF_INET6 if ":" in local_address else socket.AF_INET
    found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    if not found:
        raise OSError("the name has no address")
    first = [(kind, address) for kind, _, _, _, address in found if kind == found[0][0]]
    others = [(kind, address) for kind, _, _, _, address in found if kind != found[0][0]]
    return [one for one in chain.from_iterable(zip_longest(first, others)) if one is not None]


async def _connect(address: Address, local_address: str | None) -> socket.socket:
    family, place = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        if local_address is not None:
            sock.bind((local_address, 0))
        await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock


def _close(attempt: asyncio.Task[socket.socket]) -> None:
    """Close what an attempt that nobody waits for came to."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
