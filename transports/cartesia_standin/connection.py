"""One connection to the stand-in: requests in, answers and faults out, perhaps a WebSocket in the end.

This module knows how an answer is sent over `ServerLink`, and how each fault of a request goes wrong. It must not know
what is answered, nor what happens on a WebSocket (`websocket`). It runs on the event loop of `standin`; cancelling its
task drops the connection.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Final, NoReturn, assert_never, final

from attrs import evolve, field, frozen

from cartesia_proto.config import Limits
from cartesia_proto.discretion import REDACTED
from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError
from cartesia_proto.http import Headers, Response, redact_url
from cartesia_proto.server.problems import Problem
from cartesia_proto.wire.http1 import BodyData, EndOfBody, RequestHead, ServerEvent, ServerLink
from cartesia_proto.wire.link import LinkFailed
from cartesia_proto.wire.websocket import ServerWebSocketLink
from cartesia_standin.application import Answer, Application, Upgrade
from cartesia_standin.faults import (
    CloseAfter,
    ContentType,
    CutAfter,
    Delay,
    FailMidway,
    Fault,
    FaultQueue,
    Garbage,
    RequestFault,
    SocketFault,
    Stall,
    Status,
    WithoutDone,
)
from cartesia_standin.speaking import Streamed
from cartesia_standin.websocket import CLOSE_TIMEOUT, ReceivedMessage, Socket

MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of a request body; our choice, far above any clip."""

SERVER: Final = ("Server", "cartesia-standin")
"""Said in every answer, so that nobody takes this for the real service (RFC 9110 section 10.2.4)."""

_READ_SIZE: Final = 65536

INTERNAL_ERROR: Final = 1011
"""Why a WebSocket is closed on which the stand-in failed (RFC 6455 section 7.4.1)."""

_FAILED: Final = Response(
    500, Headers([("Content-Type", "text/plain")]), b"The stand-in itself has failed: see its log"
)
_NO_HTTP: Final = Response(400, Headers([("Content-Type", "text/plain")]), b"Bad request: this is no HTTP/1.1")


def _shown(target: str) -> str:
    """A request's target without the secrets in it; of one that is no URL, which may hold them anywhere, nothing."""
    try:
        return redact_url(target)
    except ValueError:
        return REDACTED


@final
@frozen
class ReceivedRequest:
    """A request as it arrived; secrets in its target and headers show as ``***``.

    Attributes:
        connection: which connection it came on, counting from 1.
    """

    method: str
    target: str
    headers: Headers
    body: bytes = field(repr=lambda body: f"<{len(body)} bytes>")
    connection: int


@final
class Records:
    """What a test may look at later.

    Args:
        changed: called whenever there is something new.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.requests: list[ReceivedRequest] = []
        self.messages: list[ReceivedMessage] = []
        self.changed = changed

    def add_request(self, request: ReceivedRequest) -> None:
        """Record a request."""
        self.requests.append(request)
        self.changed()

    def add_message(self, message: ReceivedMessage) -> None:
        """Record a message of a WebSocket."""
        self.messages.append(message)
        self.changed()


class _Hangup(Exception):  # noqa: N818 - not an error: the one way out of a connection
    """Nothing more is to be said on this connection."""


@final
@frozen
class _Parts:
    """An answer ready to be sent; a length of None is sent chunked."""

    head: Response
    length: int | None
    pieces: Iterator[bytes]


@final
class Connection:
    """Serves one client until either side leaves."""

    def __init__(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        application: Application,
        faults: FaultQueue,
        records: Records,
    ) -> None:
        self._number = number
        self._reader = reader
        self._writer = writer
        self._application = application
        self._faults = faults
        self._records = records
        self._link = ServerLink(math.inf, Limits())

    async def run(self) -> None:
        """Serve request after request. Cancelled, it drops the connection at once."""
        try:
            with suppress(_Hangup, OSError):
                while True:
                    await self._serve_one()
            self._writer.close()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._writer.wait_closed(), CLOSE_TIMEOUT)
        finally:
            self._writer.transport.abort()

    async def _serve_one(self) -> None:
        head, body = await self._receive()
        target = _shown(head.target)
        self._records.add_request(ReceivedRequest(head.method, target, head.headers, body, self._number))
        try:
            await self._answer(head, body)
        except (_Hangup, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, others are served on
            await self._confess(error)
        if not self._link.reusable:
            raise _Hangup

    async def _answer(self, head: RequestHead, body: bytes) -> None:
        fault = self._faults.take()  # first: it is this request's, whatever becomes of it
        answer = self._application.answer(head, body)
        if isinstance(answer, Upgrade):
            try:
                await self._upgrade(answer, head, fault)
            finally:
                answer.release()
                self._records.changed()
        else:
            await self._send(answer, None if isinstance(fault, SocketFault) else fault)

    async def _confess(self, error: Exception) -> None:
        """Say that the stand-in itself has failed, to the client with a 500 if nothing was answered, and in the log."""
        asyncio.get_running_loop().call_exception_handler({"message": "the stand-in failed", "exception": error})
        with suppress(LocalProtocolError):  # it has answered, in part
            self._link.send(_signed(_FAILED))
            await self._flush()
        raise _Hangup

    # Receiving.

    async def _receive(self) -> tuple[RequestHead, bytes]:
        """The next request; hangs up where there is none."""
        head: RequestHead | None = None
        body = bytearray()
        while True:
            match await self._next_event():
                case RequestHead() as head:
                    pass
                case BodyData(data=data):
                    body += data
                    if len(body) > MAX_BODY:
                        await self._refuse(self._application.refuse_size(MAX_BODY))
                case EndOfBody() if head is not None:
                    return head, bytes(body)
                case LinkFailed(error=RemoteProtocolError()):
                    await self._refuse(_NO_HTTP)
                case _:
                    raise _Hangup

    async def _next_event(self) -> ServerEvent:
        while (event := self._link.next_event()) is None:
            await self._flush()
            data = await self._reader.read(_READ_SIZE)
            now = asyncio.get_running_loop().time()
            if data:
                self._link.receive_data(data, now)
            else:
                self._link.receive_eof(now)
                return self._link.next_event() or _hang_up()
        return event

    async def _refuse(self, response: Response) -> None:
        """Answer what could not be read, and leave."""
        self._link.send(_signed(response))
        await self._flush()
        raise _Hangup

    # Sending.

    async def _flush(self) -> None:
        if data := self._link.data_to_send():
            self._writer.write(data)
            await self._writer.drain()

    async def _send(self, answer: Answer, fault: RequestFault | None) -> None:
        """Send an answer, or let it go wrong."""
        match fault:
            case None:
                await self._send_parts(_parts(answer))
            case Delay(seconds=seconds):
                await asyncio.sleep(seconds)
                await self._send_parts(_parts(answer))
            case Status():
                await self._send_parts(_parts(_instead(fault)))
            case ContentType(value=value):
                parts = _parts(answer)
                head = evolve(parts.head, headers=parts.head.headers.merged([("Content-Type", value)]))
                await self._send_parts(evolve(parts, head=head))
            case WithoutDone():
                await self._send_parts(_parts(evolve(answer, ending=b"") if isinstance(answer, Streamed) else answer))
            case FailMidway():
                await self._fail_midway(answer, fault)
            case CloseAfter():
                await self._send_parts(_parts(answer))
                raise _Hangup
            case CutAfter() | Stall() | Garbage():
                await self._break_off(answer, fault)
            case _:
                assert_never(fault)

    async def _upgrade(self, upgrade: Upgrade, head: RequestHead, fault: Fault | None) -> None:
        """Open the WebSocket and stay for as long as it does, or let the handshake go wrong."""
        match fault:
            case Status():
                await self._send_parts(_parts(_instead(fault)))
                return
            case Garbage(data=data):
                self._writer.write(data)
                await self._writer.drain()
                raise _Hangup
            case Stall():
                await self._wait_until_left()
                raise _Hangup
            case CutAfter():
                raise _Hangup
            case Delay(seconds=seconds):
                await asyncio.sleep(seconds)
            case _:  # not of the handshake
                pass
        link = ServerWebSocketLink(
            self._link,
            head,
            headers=upgrade.headers.merged([SERVER]),
            limits=Limits(),
            ping_interval=math.inf,
            deflate=True,
            now=asyncio.get_running_loop().time(),
        )
        records = self._records
        socket = Socket(
            self._number, link, self._reader, self._writer, upgrade, fault, records.add_message, records.changed
        )
        try:
            await socket.run()
        except OSError:
            raise
        except Exception:
            if link.state == "open":
                link.close(INTERNAL_ERROR, "the stand-in failed", asyncio.get_running_loop().time())
                self._writer.write(link.data_to_send())
            raise
        raise _Hangup

    async def _send_parts(self, parts: _Parts) -> None:
        self._link.send_head(_signed(parts.head), parts.length)
        for piece in parts.pieces:
            await self._send_piece(piece)
        self._link.end_response()
        await self._flush()

    async def _send_piece(self, piece: bytes) -> None:
        self._link.send_body(piece)
        await self._flush()
        await asyncio.sleep(0)  # drain() does not yield while the client keeps up: others want to be served as well

    async def _fail_midway(self, answer: Answer, fault: FailMidway) -> None:
        """An error event after some events; where the body is no event stream, an early end."""
        if not isinstance(answer, Streamed) or answer.error_event is None:
            parts = _parts(answer)
            await self._send_first(parts, islice(parts.pieces, fault.after))
            raise _Hangup
        problem = Problem(fault.status, fault.title, fault.message, fault.error_code)
        pieces = islice(answer.pieces, fault.after)
        await self._send_parts(_parts(evolve(answer, pieces=pieces, ending=answer.error_event(problem))))

    async def _break_off(self, answer: Answer, fault: CutAfter | Stall | Garbage) -> None:
        """A part of the answer, or none of it; then the end, or silence."""
        parts = _parts(answer)
        match fault:
            case Garbage(data=data):
                self._writer.write(data)
                await self._writer.drain()
            case CutAfter(size=size, declared=declared):
                length = parts.length if declared is None else declared
                await self._send_first(evolve(parts, length=length), _first_bytes(parts.pieces, size))
            case Stall(after=None):
                await self._wait_until_left()
            case Stall(after=size):
                await self._send_first(parts, _first_bytes(parts.pieces, size or 0))
                await self._wait_until_left()
        raise _Hangup

    async def _send_first(self, parts: _Parts, pieces: Iterator[bytes]) -> None:
        """A head, and a body that is never ended."""
        self._link.send_head(_signed(parts.head), parts.length)
        await self._flush()
        for piece in pieces:
            await self._send_piece(piece)

    async def _wait_until_left(self) -> None:
        while await self._reader.read(_READ_SIZE):
            pass


def _hang_up() -> NoReturn:
    raise _Hangup


def _instead(fault: Status) -> Response:
    return Response(fault.code, Headers(fault.headers.items()), fault.body)


def _signed(head: Response) -> Response:
    return evolve(head, headers=head.headers.merged([SERVER]))


def _parts(answer: Answer) -> _Parts:
    match answer:
        case Response(status=204 | 304):
            return _Parts(answer, 0, iter(()))
        case Response():
            return _Parts(answer, len(answer.body), iter([answer.body]))
        case Streamed():
            return _Parts(answer.head, None, chain(answer.pieces, [answer.ending] if answer.ending else []))


def _first_bytes(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    for piece in pieces:
        if size <= 0:
            return
        yield piece[:size]
        size -= len(piece)
