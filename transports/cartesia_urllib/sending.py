"""One attempt: a request out, a response in, whichever opener carries it.

This module knows responses: lengths to be held to, how much of one is read. It must not know when an attempt is made
again, nor what an answer means: the core says so.
"""

import re
import threading
from collections.abc import Callable
from typing import Final, TypeAlias, final

from cartesia_proto.errors import IncompleteStream, LocalProtocolError, RemoteProtocolError, TransportError
from cartesia_proto.flow import Attempt, Failure, Outcome
from cartesia_proto.http import Headers, Response
from cartesia_proto.wire.bodies import BodyCollector
from cartesia_urllib.connection import Connection, malformed
from cartesia_urllib.foreign import ForeignAnswer
from cartesia_urllib.outgoing import OutgoingRequest, outgoing
from cartesia_urllib.sockets import RECEIVE_SIZE, Interrupter

Answer: TypeAlias = Connection | ForeignAnswer
"""A response whose head has arrived: `status`, `headers`, `read1`, `drain` and, to be called once, `close`."""

Ask: TypeAlias = Callable[[OutgoingRequest], Answer]
"""How a request is handed to an opener; raises what `Sender.begin` does."""

_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_FOLD: Final = re.compile(r"[ \t]*\r?\n[ \t]*")  # RFC 9112 section 5.2: to be read as a space


@final
class Body:
    """A response, its body still to be read; for one thread at a time.

    Attributes:
        head: the response with an empty body.
        received: bytes of the body so far.

    Raises:
        RemoteProtocolError: the headers do not say clearly where the body ends.
    """

    def __init__(self, answer: Answer, method: str, on_close: Callable[[], None]) -> None:
        self._answer = answer
        self._on_close = on_close
        self.received: int = 0
        self._length = _declared_length(answer, method)
        fields = ((name, _FOLD.sub(" ", str(value)).strip()) for name, value in answer.headers.items())
        self.head: Response = Response(answer.status, Headers.received(fields))

    def read(self) -> bytes:
        """The next bytes as they arrive; none at the end.

        Raises:
            IncompleteStream: the body ended before its declared length.
            TransportError, RemoteProtocolError: the body cannot be read further.
        """
        data = b"" if self._length == self.received else self._answer.read1(RECEIVE_SIZE)
        self.received += len(data)
        if not data and self._length is not None and self.received < self._length:
            raise IncompleteStream(f"the response body ended after {self.received} of {self._length} bytes")
        return data

    def drain(self) -> None:
        """Read what is left, if it is there already, so that the connection can be used again."""
        self._answer.drain()

    def close(self) -> None:
        """Let go of the connection; once."""
        self._on_close()
        self._answer.close()


def _declared_length(answer: Answer, method: str) -> int | None:
    """The length of a body in bytes, or None where only its end will tell.

    Raises:
        RemoteProtocolError: the headers frame the body in a way that cannot be understood.
    """
    codings = [str(value).strip().lower() for value in answer.headers.get_all("Transfer-Encoding", [])]
    lengths = {str(value).strip() for value in answer.headers.get_all("Content-Length", [])}
    if codings not in ([], ["chunked"]):
        raise malformed("a transfer coding other than chunked")
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
        raise malformed("a Content-Length that is no number, or several")
    if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
        return 0
    return int(lengths.pop()) if lengths and not codings else None


@final
class Sender:
    """Makes the attempts of one client and all that `with_options` made of it, for any number of threads.

    Args:
        ask: hands a request to the opener.
        close_idle: closes the connections that nobody uses.
    """

    def __init__(self, ask: Ask, close_idle: Callable[[], None]) -> None:
        self._ask = ask
        self._close_idle = close_idle
        self._lock = threading.RLock()  # reentrant for the sake of signal handlers
        self._in_use: set[Interrupter] = set()
        self._closed = False

    def check_open(self) -> None:
        """Raise `LocalProtocolError` once the client is closed."""
        if self._closed:
            raise LocalProtocolError("the client is closed: make another")

    def close(self) -> None:
        """Close every connection, those in use too. Idempotent."""
        with self._lock:
            self._closed = True
            in_use = tuple(self._in_use)
        self._close_idle()
        for interrupter in in_use:
            interrupter.interrupt()

    def begin(self, attempt: Attempt, interrupter: Interrupter) -> Body:
        """Send the request and answer with the response once its head has come.

        Raises:
            TransportError, RemoteProtocolError: no usable response came; the connection is closed.
            LocalProtocolError: the client is closed, the URL cannot be sent, or a file changed while it was sent.
            OSError: a file to be sent cannot be opened or read.
        """
        with outgoing(attempt, interrupter) as request:
            self._use(interrupter)
            try:
                return self._send(request)
            except BaseException:
                self._in_use.discard(interrupter)
                raise

    def make(self, attempt: Attempt) -> Outcome:
        """Make an attempt whose response is read whole.

        Raises:
            LocalProtocolError, OSError: as `begin`.
        """
        try:
            body = self.begin(attempt, Interrupter())
        except (TransportError, RemoteProtocolError) as error:
            return Failure(error)
        return read_whole(body, attempt)

    def _use(self, interrupter: Interrupter) -> None:
        with self._lock:
            self.check_open()
            interrupter.check()
            self._in_use.add(interrupter)

    def _send(self, request: OutgoingRequest) -> Body:
        answer = self._ask(request)
        try:
            return Body(answer, request.get_method(), lambda: self._in_use.discard(request.interrupter))
        except BaseException:
            answer.close()
            raise


def read_whole(body: Body, attempt: Attempt) -> Outcome:
    """Read a response to its end, and close it.

    A body that breaks off is a failure if the response was a success; otherwise its status says more than what cut it,
    and the response has as much of the body as arrived.
    """
    try:
        collector = BodyCollector(body.head, attempt.success_limit, attempt.error_limit)
        try:
            while not collector.full and (data := body.read()):
                collector.receive_data(data)
        except TransportError:
            if body.head.ok:
                raise
        return collector.finish()
    except (TransportError, RemoteProtocolError) as error:
        return Failure(error, body.received if body.head.ok else 0)
    finally:
        body.close()
