"""A user's own opener in place of a connection.

This module knows how a request looks to any `urllib.request.OpenerDirector`, and what may come out of one: responses,
statuses as exceptions, the errors of sockets and of `http.client`. It must not know what a request asks or what its
failure leads to. Redirects that such an opener follows are its own business; secrets are headers that never travel
along. A response is put back into the form it had on the wire, all but its chunks, so that the core's link judges it
as it judges every other: `http.client` takes a body short of its Content-Length for a whole one.

No error met here is repeated or chained, except those that only connecting has: the text of any other may hold a header
or a proxy's password.
"""

import builtins
import contextlib
import http.client
import io
import math
import socket
import time
import urllib.error
import urllib.request
from typing import Final, cast, final

from cartesia_proto import Attempt, Secret
from cartesia_proto.errors import CartesiaError, ConnectionLost, LocalProtocolError, RemoteProtocolError, TimeoutError
from cartesia_proto.wire.exchange import connection_broke, could_not_connect, timed_out, upload
from cartesia_proto.wire.foreign import wire_head
from cartesia_proto.wire.uploads import PIECE, ReadBody
from cartesia_urllib.network import Foreign, Line
from cartesia_urllib.sockets import Interrupter, feed, socket_timeout

NOTHING_SENT: Final = (socket.gaierror, ConnectionRefusedError, ValueError)
"""Reasons that only connecting has: no such name, nobody there, and (`ssl.CertificateError`, a ValueError among the
OSErrors) a certificate that does not hold."""


@final
class Opened(Foreign):
    """What a user's opener carries in place of a connection; it cannot be interrupted before the head has come."""

    def __init__(self, opener: urllib.request.OpenerDirector, interrupter: Interrupter) -> None:
        interrupter.check()
        self._opener = opener
        self._interrupter = interrupter
        self._response: http.client.HTTPResponse | None = None
        self._cleanup = contextlib.ExitStack()

    def read(self, line: Line) -> None:
        """Feed the exchange with the head of the response, then with bytes of the body, its end, or that it is cut."""
        link = line.link
        if self._response is None:
            self._response = self._begin(line)
            fields = ((name, str(value)) for name, value in self._response.headers.items())
            feed(link, wire_head(self._response.status, fields))
            return
        try:
            feed(link, self._response.read1(PIECE))
        except builtins.TimeoutError:
            link.handle_deadline(math.inf)
        except (OSError, http.client.HTTPException, ValueError):
            connection_broke(link, time.monotonic())

    def close(self) -> None:
        """Close the response. Idempotent."""
        self._interrupter.attach()
        self._cleanup.close()

    def _begin(self, line: Line) -> http.client.HTTPResponse:
        """Let the opener send the request, and answer with its response."""
        content = upload(line.attempt.request)
        body = ReadBody(content, line.files)
        answered = self._ask(line.attempt, body, content.length(file.size for file in line.files))
        if body.failure is not None:  # the opener takes it for one of the connection
            raise body.failure
        if isinstance(answered, CartesiaError):
            raise answered
        self._cleanup.callback(answered.close)
        with contextlib.suppress(OSError, ValueError, AttributeError):  # it comes from no socket, or has ended already
            sock = self._cleanup.enter_context(socket.fromfd(answered.fileno(), socket.AF_INET, socket.SOCK_STREAM))
            self._interrupter.attach(sock)
        return answered

    def _ask(self, attempt: Attempt, body: ReadBody, length: int) -> http.client.HTTPResponse | CartesiaError:
        response: object = None
        try:
            request = _request(attempt, body if length else None, length)
            response = self._opener.open(request, timeout=socket_timeout(attempt.timeout))
        except urllib.error.HTTPError as error:
            bodiless = cast("object", error.fp) is None  # whatever its declared type says, handlers may leave it out
            response = urllib.error.HTTPError("", error.code, "", error.headers, io.BytesIO()) if bodiless else error
        except (OSError, http.client.HTTPException, ValueError) as error:
            return _failure(error, attempt)
        if response is None:
            return LocalProtocolError("the opener has no handler for this scheme")
        return cast("http.client.HTTPResponse", response)


def _request(attempt: Attempt, body: ReadBody | None, length: int) -> urllib.request.Request:
    asked = attempt.request
    request = urllib.request.Request(asked.url, data=body, method=asked.method)  # noqa: S310
    for name, value in asked.headers:
        if isinstance(value, Secret):
            request.add_unredirected_header(name, value.reveal())
        else:
            request.add_header(name, value)
    if length:  # where it is 0, http.client says so for the methods that want it said
        request.add_unredirected_header("Content-Length", str(length))
    return request


def _failure(error: Exception, attempt: Attempt) -> CartesiaError:
    """What came of a request that has no response; of a URLError it is unknown whether anything was sent."""
    host, port = attempt.request.host, attempt.request.port
    match error:
        case urllib.error.URLError(reason=OSError() as reason) if isinstance(reason, NOTHING_SENT):
            return could_not_connect(host, port, reason.with_traceback(None))  # which passes frames that hold headers
        case urllib.error.URLError(reason=builtins.TimeoutError()):
            return timed_out("write", host, port, attempt.timeout)
        case urllib.error.URLError():
            what = getattr(error.reason, "strerror", None) or type(error.reason).__name__
            return ConnectionLost(f"the opener could not send the request to {host}:{port}: {what}")
        case builtins.TimeoutError():
            return TimeoutError(f"no byte from the server for {attempt.timeout:g} seconds", phase="read")
        case OSError():
            return ConnectionLost("the server closed the connection before the head of its response was complete")
        case _:
            return RemoteProtocolError("what the server sent is no HTTP/1.1: a malformed head", scope="connection")
