"""A user's own opener, made to answer as ours does.

This module knows what may come out of any `urllib.request.OpenerDirector`: responses, statuses as exceptions, the
errors of sockets and of `http.client`. It must not know what a request asks or what its failure leads to. Redirects
that such an opener follows are its own business; credentials never travel along, see `OutgoingRequest`.

No error met here is repeated or chained, except those that only connecting has: the text of any other may hold a header
or a proxy's password.
"""

import builtins
import contextlib
import http.client
import io
import socket
import urllib.error
import urllib.request
from email.message import Message
from typing import Final, cast, final

from cartesia_proto.errors import (
    CartesiaError,
    ConnectionLost,
    IncompleteStream,
    LocalProtocolError,
    RemoteProtocolError,
    TransportError,
)
from cartesia_proto.wire.exchange import could_not_connect, timed_out
from cartesia_urllib.connection import malformed, silent
from cartesia_urllib.outgoing import OutgoingRequest
from cartesia_urllib.sockets import socket_timeout

NOTHING_SENT: Final = (socket.gaierror, ConnectionRefusedError, ValueError)
"""Reasons that only connecting has: no such name, nobody there, and (`ssl.CertificateError`, a ValueError among the
OSErrors) a certificate that does not hold."""


@final
class ForeignAnswer:
    """A response of a user's opener: an `HTTPResponse`, an `HTTPError`, or something like them."""

    def __init__(self, response: http.client.HTTPResponse, request: OutgoingRequest) -> None:
        self.status: int = response.status
        self.headers: Message = response.headers
        self._response = response
        self._timeout = request.attempt.timeout
        self._interrupter = request.interrupter
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(response.close)
        with contextlib.suppress(OSError, ValueError, AttributeError):  # it comes from no socket, or has ended already
            sock = self._cleanup.enter_context(socket.fromfd(response.fileno(), socket.AF_INET, socket.SOCK_STREAM))
            self._interrupter.attach(sock)

    def read1(self, size: int, /) -> bytes:
        """Some bytes of the body."""
        failure: TransportError | RemoteProtocolError
        with self._interrupter:
            try:
                return self._response.read1(size)
            except builtins.TimeoutError:
                failure = silent(self._timeout)
            except (OSError, http.client.IncompleteRead):
                failure = IncompleteStream("the server closed the connection in the middle of a response body")
            except (http.client.HTTPException, ValueError):
                failure = malformed("a malformed chunk")
        raise failure

    def drain(self) -> None:
        """Nothing: the connection is not ours to use again."""

    def close(self) -> None:
        """Close the response."""
        self._interrupter.detach()
        self._cleanup.close()


def open_foreign(opener: urllib.request.OpenerDirector, request: OutgoingRequest) -> ForeignAnswer:
    """Let a user's opener send a request; it cannot be interrupted before the head of the response has come.

    Raises:
        TransportError, RemoteProtocolError: no usable response came.
        LocalProtocolError: the opener has no handler for this scheme.
    """
    answered = _ask(opener, request)
    if isinstance(answered, CartesiaError):
        raise answered
    return ForeignAnswer(answered, request)


def _ask(opener: urllib.request.OpenerDirector, request: OutgoingRequest) -> http.client.HTTPResponse | CartesiaError:
    try:
        response: object = opener.open(request, timeout=socket_timeout(request.attempt.timeout))
    except urllib.error.HTTPError as error:
        bodiless = cast("object", error.fp) is None  # whatever its declared type says, handlers may leave it out
        response = urllib.error.HTTPError("", error.code, "", error.headers, io.BytesIO()) if bodiless else error
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _failure(error, request)
    if response is None:
        return LocalProtocolError("the opener has no handler for this scheme")
    return cast("http.client.HTTPResponse", response)


def _failure(error: Exception, request: OutgoingRequest) -> TransportError | RemoteProtocolError:
    """What came of a request that has no response; of a URLError it is unknown whether anything was sent."""
    host, port, timeout = request.attempt.request.host, request.attempt.request.port, request.attempt.timeout
    match error:
        case urllib.error.URLError(reason=OSError() as reason) if isinstance(reason, NOTHING_SENT):
            return could_not_connect(host, port, reason)
        case urllib.error.URLError(reason=builtins.TimeoutError()):
            return timed_out("write", host, port, timeout)
        case urllib.error.URLError():
            what = getattr(error.reason, "strerror", None) or type(error.reason).__name__
            return ConnectionLost(f"the opener could not send the request to {host}:{port}: {what}")
        case builtins.TimeoutError():
            return silent(timeout)
        case OSError():
            return ConnectionLost("the server closed the connection before the head of its response was complete")
        case _:
            return malformed("a malformed head")
