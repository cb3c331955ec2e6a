"""One call: how each of its steps is taken by a thread.

This module knows how to sleep, open files, connect, write and read. It must not know in which order (the core's
`Performance` does), nor what a request asks, when it is made again or what an answer means.
"""

import contextlib
import os
import socket
import time
from typing import BinaryIO, TypeAlias, TypeVar, assert_never

from cartesia_proto import Attempt, Operation, performing
from cartesia_proto.wire.uploads import PIECE
from cartesia_urllib.network import Connection, Foreign, Line, Network, untouched
from cartesia_urllib.sockets import Interrupter, flush, read

T = TypeVar("T")


HttpLine: TypeAlias = performing.HttpLine[Connection]


def run(network: Network, operation: Operation[T], interrupter: Interrupter) -> tuple[T, HttpLine]:
    """Run an operation to its result, and answer with its last line, which is still in use for a streamed body.

    Args:
        interrupter: ends every wait of the operation, and of the line.

    Raises:
        CartesiaError: the call's final error. As after any exception, no connection is in use.
        OSError: a file to be sent cannot be opened or read.
    """
    connector = network.connector
    performed: performing.Performance[T, Connection] = performing.Performance(
        operation, network.pool, connector.limits, connector.proxy, _open, time.monotonic
    )
    try:
        for step in performed.steps():
            with step:
                perform(network, step, interrupter)
        return performed.result()
    except BaseException:
        interrupter.interrupt()  # wherever it was, such as between two lines of this module
        perform(network, performed.abort(), interrupter)
        raise
    finally:
        performed.end()


def perform(network: Network, step: performing.Step[Connection] | None, interrupter: Interrupter) -> None:
    """Take one step, if it is one.

    Raises:
        CartesiaError: what went wrong; or the client was closed meanwhile (`LocalProtocolError`).
        OSError: a file cannot be opened or read.
    """
    match step:
        case None:
            pass
        case performing.Sleep(seconds=seconds):
            network.use(interrupter)
            interrupter.pause(seconds)
        case performing.UseFile():
            step.take()
        case performing.Connect(attempt=attempt):
            step.connection = _connected(network, attempt, interrupter)
        case performing.Send(line=line):
            step.sent = not isinstance(line.connection, Foreign) and _sent(line.connection, line, interrupter)
        case performing.Receive(line=line):
            with interrupter:
                line.connection.read(line) if isinstance(line.connection, Foreign) else read(line.connection, line.link)
            network.check()
        case performing.Probe(line=line):
            step.untouched = not isinstance(line.connection, Foreign) and _untouched(line.connection, interrupter)
        case performing.Discard(connection=connection):
            connection.close()
        case performing.Release(line=line, keep=keep):
            _release(network, line, interrupter, keep=keep)
        case _:
            assert_never(step)


def finish(network: Network, line: HttpLine, interrupter: Interrupter) -> None:
    """Release the connection of a body that has said its last word; what may follow is read if it is there.

    Idempotent: the connection may be another's afterwards.
    """
    link = line.exchange.link
    if not (line.over or link.reusable or isinstance(line.connection, Foreign)):
        with interrupter, contextlib.suppress(OSError):
            line.connection.settimeout(0)
            link.receive_data(line.connection.recv(PIECE), time.monotonic())
    perform(network, line.release(reusable=link.reusable), interrupter)


def _sent(sock: socket.socket, line: Line, interrupter: Interrupter) -> bool:
    with interrupter:
        return flush(sock, line.link, line.attempt.request.origin[1:], line.attempt.timeout, line.phase)


def _untouched(sock: socket.socket, interrupter: Interrupter) -> bool:
    interrupter.attach(sock)
    return untouched(sock)


def _release(network: Network, line: Line, interrupter: Interrupter, *, keep: bool) -> None:
    if isinstance(line.connection, Foreign):
        line.connection.close()
    elif keep:
        network.give_back(line.attempt.request.origin, line.connection, interrupter)
    else:
        interrupter.close()


def _connected(network: Network, attempt: Attempt, interrupter: Interrupter) -> Connection:
    if network.opener is None or attempt.how == "upgrade":  # an opener has no byte link for a WebSocket
        return network.connector.open(attempt, interrupter)
    from cartesia_urllib.foreign import Opened  # noqa: PLC0415 - urllib, only for this

    return Opened(network.opener, interrupter)


def _open(path: str) -> tuple[BinaryIO, int]:
    """The file, by the builtin: nothing else here needs pathlib, and importing it takes milliseconds."""
    file = open(path, "rb")  # noqa: PTH123, SIM115 - as above; its recording closes it
    return file, os.fstat(file.fileno()).st_size
