"""One connection on which `http.client` speaks: a request out, a response in, again if it can be used again.

This module knows what `http.client` leaves open: limits, strictness about framing, and whose fault a failure is. It
must not know how connections are made or kept, nor what a request asks.

`http.client` takes a cut body for a whole one, a line of garbage among the headers for their end, a negative chunk size
for a wish to read on, and any two bytes for the end of a chunk; it bounds single lines, but not a head. All of this is
caught where bytes are read: in `Wire`, which it is given for a socket and for the file made from it.
"""

import builtins
import contextlib
import http.client
import re
import select
import socket
from collections.abc import Callable
from email.message import Message
from typing import Final, cast, final

from cartesia_proto.errors import (
    ConnectionLost,
    IncompleteStream,
    LocalProtocolError,
    RemoteProtocolError,
    TimeoutError,
    TransportError,
)
from cartesia_proto.wire.exchange import timed_out
from cartesia_urllib.outgoing import OutgoingRequest
from cartesia_urllib.sockets import RECEIVE_SIZE, Origin, socket_timeout

DRAIN_LIMIT: Final = 16 * 1024
"""Bytes read off a body that has said its last word, so that its connection can be used again; a terminating chunk
and its trailer are far smaller."""

_TARGET: Final = re.compile(r"[!-~]+")  # what a request line can carry (RFC 9112 section 3)
_HEADER: Final = re.compile(rb"(?:(?:[ \t]|[!-9;-~]+:)[^\r\n]*)?\r?\n")  # one that the standard library's parser takes


def malformed(what: str) -> RemoteProtocolError:
    """The server does not speak HTTP/1.1."""
    return RemoteProtocolError(f"what the server sent is no HTTP/1.1: {what}", scope="connection")


def silent(timeout: float) -> TimeoutError:
    """The server said nothing."""
    return TimeoutError(f"no byte from the server for {timeout:g} seconds", phase="read")


@final
class Wire:
    """A socket, with the bounds and the strictness that `http.client` lacks.

    Args:
        limit: bytes of a head, together with the interim responses before it; within a chunked body, of all that stands
            between two pieces of data.

    Attributes:
        unread: what has arrived and was not asked for yet.
        started: a byte has arrived since the request.
        ended: the connection is at its end.
    """

    def __init__(self, sock: socket.socket, origin: Origin, limit: int) -> None:
        self._socket = sock
        self._origin = origin
        self._limit = limit
        self.unread = bytearray()

    def begin(self, timeout: float) -> None:
        """A request is about to be sent, with so many seconds for each read and write."""
        self._socket.settimeout(socket_timeout(timeout))
        self._timeout = timeout
        self._room = self._limit
        self._in_headers = self._in_body = self.started = self.ended = False

    def begin_body(self) -> None:
        """The head is complete."""
        self._in_body = True
        self._room = self._limit

    def cut(self) -> TransportError:
        """What it means if the connection ends now."""
        self.ended = True
        if self._in_body:
            return IncompleteStream("the server closed the connection in the middle of a response body")
        where = "in the middle of the head" if self.started else "before any byte"
        return ConnectionLost(f"the server closed the connection {where} of its response")

    # What http.client calls.

    def sendall(self, data: bytes) -> None:
        """Write everything; each single write has the whole timeout."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._socket.send(rest) :]
        except builtins.TimeoutError as error:
            raise timed_out("write", *self._origin[1:], self._timeout) from error
        except OSError as error:
            raise ConnectionLost("the server closed the connection while the request was being written") from error

    def makefile(self, mode: str) -> "Wire":
        """Where to read the response from."""
        del mode
        return self

    def readline(self, limit: int) -> bytes:
        """A line of a head, a chunk's size or a trailer."""
        del limit  # of a line; ours, which is lower, is of all of them
        while not (end := self.unread.find(b"\n") + 1) and len(self.unread) <= self._room:
            self._fill()
        self._room -= end
        if not end or self._room < 0:
            part = "chunk header or trailer" if self._in_body else "head"
            raise malformed(f"a {part} longer than the limit of {self._limit} bytes")
        line = self._take(end)
        if self._in_headers and not _HEADER.fullmatch(line):
            raise malformed("a line among the headers that is none")
        self._in_headers = not self._in_body and bool(line.strip())
        return line

    def read1(self, size: int) -> bytes:
        """A piece of data, as much as is there; none at the end of the connection."""
        if size < 0:
            raise malformed("a negative chunk size")
        self._room = self._limit
        return self._take(size) if self.unread else self.recv(size)

    def read(self, size: int) -> bytes:
        """The line break after a chunk; nothing else is asked for in this way."""
        while len(self.unread) < size:
            self._fill()
        line = self._take(size)
        if line != b"\r\n":
            raise malformed("a chunk longer than its size")
        return line

    def close(self) -> None:
        """Nothing: the socket outlives the response."""

    flush = close

    def _take(self, size: int) -> bytes:
        data = bytes(self.unread[:size])
        del self.unread[:size]
        return data

    def _fill(self) -> None:
        data = self.recv(RECEIVE_SIZE)
        if not data:
            raise self.cut()
        self.unread += data

    def recv(self, size: int) -> bytes:
        """Read the socket once."""
        try:
            data = self._socket.recv(size)
        except builtins.TimeoutError as error:
            raise silent(self._timeout) from error
        except OSError as error:
            raise self.cut() from error
        self.started = self.started or bool(data)
        self.ended = not data
        return data


@final
class _HttpResponse(http.client.HTTPResponse):
    def begin(self) -> None:
        """Skip every interim response; the base class skips 100 alone (RFC 9110 section 15.2)."""
        super().begin()
        while 101 < self.status < 200:
            self.headers = None  # type: ignore[assignment]  # as before the first call, so that it begins anew
            super().begin()


@final
class _HttpConnection(http.client.HTTPConnection):
    auto_open = 0  # a connection that ended is never replaced behind our back
    debuglevel = 0  # what a program sets for all of http.client would print credentials
    response_class = _HttpResponse


@final
class Connection:
    """An open connection and the response on it; for one thread at a time.

    Attributes:
        status, headers: of the response.

    Args:
        sock: connected to the origin.
        head_limit: see `Wire`.
        give_back: what becomes of the connection when its response is closed and it can be used again.
    """

    def __init__(
        self, sock: socket.socket, origin: Origin, head_limit: int, give_back: "Callable[[Connection], None]"
    ) -> None:
        self.origin = origin
        self._socket = sock
        self._give_back = give_back
        self._wire = Wire(sock, origin, head_limit)
        self._http = _HttpConnection("")
        self._http.sock = cast("socket.socket", self._wire)
        self._response: http.client.HTTPResponse
        self._sound = True  # so far nothing went wrong
        self.status: int
        self.headers: Message

    @property
    def response_started(self) -> bool:
        """Whether a byte has arrived since the last request was sent."""
        return self._wire.started

    @property
    def quiet(self) -> bool:
        """Whether an idle connection is still as it should be: a peer that speaks unasked says goodbye, or garbage."""
        try:
            return not select.select([self._socket], [], [], 0)[0]
        except ValueError:  # closed; or more descriptors than `select` can count, and then rather a new connection
            return False

    def exchange(self, request: OutgoingRequest) -> None:
        """Send a request and receive the head of its response.

        Raises:
            TransportError, RemoteProtocolError: no usable response came.
            LocalProtocolError: the target has a character that no request line can carry.
            OSError: a file to be sent cannot be read.
        """
        self._interrupter = request.interrupter
        self._interrupter.attach(self._socket)
        if not _TARGET.fullmatch(request.attempt.request.target):
            raise LocalProtocolError("the URL has a character that must be percent-encoded")
        with self._interrupter:
            self._interrupter.check()
            self._wire.begin(request.attempt.timeout)
            lost = self._send(request)
            try:
                self._response = self._receive_head()
            except (TransportError, RemoteProtocolError) as error:
                failure = lost or error
            else:
                self.status = self._response.status
                self.headers = self._response.headers
                return
        raise failure

    def _send(self, request: OutgoingRequest) -> ConnectionLost | None:
        """Write the request; a connection lost over it is answered: the server may have spoken before it closed."""
        signed = request.attempt.request
        try:
            self._http.putrequest(signed.method, signed.target, skip_host=True, skip_accept_encoding=True)
            for name, value in (("Host", signed.authority), *request.header_items()):
                self._http.putheader(name, value)
            self._http.endheaders()
            for piece in request.body:
                self._http.send(piece)
        except ConnectionLost as error:
            self._sound = False
            return error
        return None

    def _receive_head(self) -> http.client.HTTPResponse:
        try:
            response = self._http.getresponse()
            self._wire.begin_body()
            return response
        except http.client.BadStatusLine:
            what = "a malformed status line"
        except (http.client.HTTPException, ValueError):
            what = "another version, or more headers than the limit of 100"
        # Not raised above, because those errors hold what was received and must not become the context of this one.
        raise malformed(what)

    def read1(self, size: int, /) -> bytes:
        """Some bytes of the body as they arrive; none at its end, whether it was complete or not.

        Raises:
            TransportError, RemoteProtocolError: the body cannot be read further.
        """
        with self._interrupter:
            try:
                return self._response.read1(size)
            except http.client.IncompleteRead:
                self._sound = False
        raise self._wire.cut() if self._wire.ended else malformed("a chunk size that is no number")

    def drain(self) -> None:
        """Read what is left of the body, if it is there already, so that the connection can be used again."""
        drained = 0
        with contextlib.suppress(TransportError, RemoteProtocolError, OSError):
            self._socket.settimeout(0)
            while drained < DRAIN_LIMIT and (data := self.read1(DRAIN_LIMIT)):
                drained += len(data)

    def close(self) -> None:
        """Let go of the response: give the connection back if it can be used again, else close it."""
        if not self._reusable():
            self.discard()
            return
        self._interrupter.detach()
        self._response.close()
        self._give_back(self)

    def discard(self) -> None:
        """Close the connection. Idempotent; not from another thread: that is what an `Interrupter` is for."""
        self._interrupter.detach()
        self._socket.close()

    def _reusable(self) -> bool:
        complete = self._response.isclosed() or self._response.length == 0
        spoilt = self._wire.ended or self._wire.unread or self._interrupter.interrupted or not self._sound
        return complete and not spoilt and not self._response.will_close and self.status != 101
