"""The race of a host's addresses on asyncio.

asyncio can do this itself, but its own race loses a socket when it is cancelled just after the socket connected (in
CPython 3.11 to 3.13, `staggered_race`): it stays open until it is collected. Here every socket has an owner at all
times. This module must not know TLS, HTTP or timeouts, nor which address is tried when: the core's `Race` does.
"""

import asyncio
import math
import socket

from cartesia_proto.wire.dialling import Race, SocketAddress
from cartesia_proto.wire.forks import FORKS


async def dial(race: Race, local_address: str | None) -> socket.socket:
    """A connected, non-blocking socket; cancelling leaves none open.

    Raises:
        OSError: no address answered.
    """
    loop = asyncio.get_running_loop()
    attempts: dict[asyncio.Task[socket.socket], SocketAddress] = {}
    try:
        while True:
            while (address := race.next(loop.time())) is not None:
                attempts[asyncio.create_task(_connect(address, local_address))] = address
            pause = race.pause(loop.time())
            done, _ = await asyncio.wait(
                attempts, timeout=None if pause == math.inf else pause, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                try:
                    sock = attempt.result()
                except OSError as error:
                    race.failed(attempts.pop(attempt), error)
                else:
                    del attempts[attempt]
                    return sock
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close)


async def _connect(address: SocketAddress, local_address: str | None) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if len(address) == 4 else socket.AF_INET, socket.SOCK_STREAM)
    FORKS.watch(sock, socket.socket.close)
    try:
        sock.settimeout(0)
        if local_address is not None:
            sock.bind((local_address, 0))
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _close(attempt: asyncio.Task[socket.socket]) -> None:
    """Close what an attempt that nobody waits for came to."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
