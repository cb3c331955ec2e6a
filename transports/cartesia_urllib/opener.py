"""The one handler of our own opener, and the pool of connections behind it.

This module knows how a request finds a connection. It must not know retries, nor what a body is. There are no handlers
for redirects, errors, cookies or proxies: every status is an answer, and what it means is decided elsewhere.
"""

import threading
import time
import urllib.request
from collections.abc import Iterable
from typing import final

from cartesia_proto.errors import ConnectionLost
from cartesia_proto.wire.pool import Pool, replace_stale
from cartesia_urllib.connection import Connection
from cartesia_urllib.outgoing import OutgoingRequest
from cartesia_urllib.sockets import Connector, Origin


@final
class ConnectionHandler(urllib.request.BaseHandler):
    """Answers requests over kept-alive connections; used by all threads of a client.

    Args:
        connector: how connections are made.
        head_limit: bytes of a response's head.
    """

    def __init__(self, connector: Connector, head_limit: int) -> None:
        self._connector = connector
        self._head_limit = head_limit
        self._lock = threading.RLock()  # reentrant, because a signal handler may close the client
        self._idle: Pool[Origin, Connection] = Pool()

    def http_open(self, request: OutgoingRequest) -> Connection:
        """Send the request and answer with the response, whatever its status.

        A connection used again that turns out to be closed is replaced once; that is no retry.

        Raises:
            TransportError, RemoteProtocolError: no usable response came; the connection is closed.
            LocalProtocolError: the URL cannot be sent.
            OSError: a file to be sent cannot be read.
        """
        connection = self._take(request.attempt.request.origin)
        if connection is not None:
            try:
                return _exchange(connection, request)
            except ConnectionLost as error:
                started = connection.response_started
                if not replace_stale(reused=True, response_started=started, replaced_already=False, error=error):
                    raise
        return _exchange(self._connect(request), request)

    https_open = http_open

    def close_idle(self) -> None:
        """Close every idle connection, and from now on keep none. Idempotent."""
        with self._lock:
            to_close = self._idle.close_all()
        _discard(to_close)

    def _take(self, origin: Origin) -> Connection | None:
        """An idle connection that is still good."""
        while True:
            with self._lock:
                taken = self._idle.take(origin, time.monotonic())
            _discard(taken.to_close)
            if taken.connection is None or taken.connection.quiet:
                return taken.connection
            taken.connection.discard()

    def _connect(self, request: OutgoingRequest) -> Connection:
        origin = request.attempt.request.origin
        sock = self._connector.open(origin, request.attempt.timeout, request.interrupter)
        return Connection(sock, origin, self._head_limit, self._keep)

    def _keep(self, connection: Connection) -> None:
        with self._lock:
            to_close = self._idle.give_back(connection.origin, connection, time.monotonic())
        _discard(to_close)


def _exchange(connection: Connection, request: OutgoingRequest) -> Connection:
    try:
        connection.exchange(request)
    except BaseException:
        connection.discard()
        raise
    return connection


def _discard(connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.discard()
