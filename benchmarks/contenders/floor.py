"""The floor: nothing but sockets, one large buffer, and a search for the audio.

This module knows how little can be done: no check of anything but what is needed to find the next message. What any
client costs above this is what its guarantees and its interface cost. Two floors: ``orjson`` reads each message as JSON
and decodes its audio; ``search`` only looks where the audio begins and ends. And below both, ``drain`` throws away what
it receives, to show what the server and the machine can do.
"""

import asyncio
import json
import socket
import ssl
import urllib.request
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final, TypeAlias, final
from uuid import uuid4

import orjson
import pybase64

from benchmarks.contenders.paced import AsyncConnection, paced_on_asyncio
from benchmarks.messages import PLACEHOLDER, masked_text_frame, request, websocket_answer
from benchmarks.plans import Checker, Job, Plan, Point
from benchmarks.timing import RATE, SERVER_CPU, Stopwatch, repeat, repeat_awaiting

CAPACITY: Final = 1 << 18
"""Bytes of the buffer: many messages, and few enough to stay in the cache."""

Decode: TypeAlias = Callable[[memoryview, bytearray, int, int], bytes | None]
"""The audio of the message between two places in the buffer; None if it has none, and so is the last."""


def read_json(view: memoryview, buffer: bytearray, start: int, end: int) -> bytes | None:
    """By way of JSON."""
    del buffer
    fields = orjson.loads(view[start:end])
    return pybase64.b64decode(fields["data"], validate=True) if fields["type"] == "chunk" else None


def search(view: memoryview, buffer: bytearray, start: int, end: int) -> bytes | None:
    """By looking for it."""
    begin = buffer.find(b'"data":', start, end)
    if begin < 0:
        return None
    begin = buffer.index(b'"', begin + 7, end) + 1
    return pybase64.b64decode(view[begin : buffer.index(b'"', begin, end)], validate=True)


@final
class Splitter:
    """Splits frames in place: what is received into `space` is split by `received`."""

    def __init__(self, decode: Decode) -> None:
        self._buffer = bytearray(CAPACITY)
        self._view = memoryview(self._buffer)
        self._start: int = 0
        self._end: int = 0
        self._decode = decode

    def space(self) -> memoryview:
        """Where to receive into."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start > CAPACITY // 2:
            left = self._end - self._start
            self._buffer[:left] = self._buffer[self._start : self._end]
            self._start, self._end = 0, left
        return self._view[self._end :]

    def received(self, count: int, check: Callable[[bytes], None]) -> bool:
        """Hand on all audio that is whole; whether the last message came."""
        buffer, view, decode = self._buffer, self._view, self._decode
        start, end = self._start, self._end + count
        over = False
        while end - start >= 10:
            size, payload = buffer[start + 1], start + 2
            if size == 126:
                size, payload = int.from_bytes(buffer[start + 2 : start + 4], "big"), start + 4
            elif size == 127:
                size, payload = int.from_bytes(buffer[start + 2 : start + 10], "big"), start + 10
            if payload + size > end:
                break
            audio = decode(view, buffer, payload, payload + size)
            start = payload + size
            if audio is None:
                over = True
                break
            check(audio)
        self._start, self._end = start, end
        return over


def connect(job: Job) -> socket.socket:
    """A socket, encrypted if the job wants it."""
    sock = socket.create_connection(job.address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ssl.create_default_context().wrap_socket(sock, server_hostname=job.address[0]) if job.tls else sock


def upgrade_request(job: Job) -> bytes:
    """The handshake."""
    host, port = job.address
    return (
        f"GET /tts/websocket HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {b64encode(bytes(16)).decode()}\r\n\r\n"
    ).encode()


def ask(plan: Plan) -> bytes:
    """The frame that opens a context."""
    fields = request(transcript=plan.command, context_id=str(uuid4()))
    return masked_text_frame(json.dumps(fields).encode())


def websocket(job: Job) -> socket.socket:
    """A socket after the handshake."""
    sock = connect(job)
    sock.sendall(upgrade_request(job))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(4096)
    return sock


def _websocket_blocking(job: Job, decode: Decode) -> list[Point]:
    with websocket(job) as sock:
        splitter = Splitter(decode)

        def speak(plan: Plan) -> None:
            checker = Checker(plan)
            sock.sendall(ask(plan))
            while not splitter.received(sock.recv_into(splitter.space()), checker.check):
                pass
            checker.finish()

        return repeat(job, speak)


def websocket_blocking(job: Job) -> list[Point]:
    """A blocking socket, JSON by orjson."""
    return _websocket_blocking(job, read_json)


def websocket_blocking_search(job: Job) -> list[Point]:
    """A blocking socket, no JSON."""
    return _websocket_blocking(job, search)


@final
class Protocol(asyncio.BufferedProtocol):
    """The same on asyncio: what arrives is received straight into the buffer."""

    def __init__(self, decode: Decode) -> None:
        self._splitter = Splitter(decode)
        self._check: Callable[[bytes], None] | None = None
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a transport of bytes is needed")
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to receive into."""
        del sizehint
        return self._splitter.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Split; the answer to the handshake ends the first wait."""
        if self._check is None or self._splitter.received(nbytes, self._check):
            self._over.set_result(None)

    async def opened(self, job: Job) -> None:
        """Shake hands. The server says nothing unasked, so the answer is what comes."""
        self.transport.write(upgrade_request(job))
        await self._over

    async def speak(self, plan: Plan, checker: Checker) -> None:
        """One context."""
        self._over = asyncio.get_running_loop().create_future()
        self._check = checker.check
        self.transport.write(ask(plan))
        await self._over
        checker.finish()

    async def listen(self, plan: Plan, checker: Checker) -> None:
        """One context whose chunks are awaited by a task, which nothing that is iterated over can do without."""
        loop = asyncio.get_running_loop()
        chunks: deque[bytes] = deque()
        arrived = loop.create_future()

        def put(audio: bytes) -> None:
            chunks.append(audio)
            if not arrived.done():
                arrived.set_result(None)

        self._over = loop.create_future()
        self._over.add_done_callback(lambda _: put(b""))
        self._check = put
        self.transport.write(ask(plan))
        while not self._over.done():
            await arrived
            arrived = loop.create_future()
            while chunks and (audio := chunks.popleft()):
                checker.check(audio)
        checker.finish()


async def _opened(job: Job, decode: Decode) -> Protocol:
    context = ssl.create_default_context() if job.tls else None
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(lambda: Protocol(decode), *job.address, ssl=context)
    await protocol.opened(job)
    return protocol


async def _websocket_asyncio(job: Job, decode: Decode) -> list[Point]:
    protocol = await _opened(job, decode)
    points = await repeat_awaiting(job, lambda plan: protocol.speak(plan, Checker(plan)))
    protocol.transport.abort()
    return points


def websocket_asyncio(job: Job) -> list[Point]:
    """A protocol of asyncio's, JSON by orjson."""
    return asyncio.run(_websocket_asyncio(job, read_json))


def websocket_asyncio_search(job: Job) -> list[Point]:
    """A protocol of asyncio's, no JSON."""
    return asyncio.run(_websocket_asyncio(job, search))


def _paced(job: Job, speak: Callable[[Protocol], AsyncConnection]) -> list[Point]:
    async def connect_one(stack: AsyncExitStack) -> AsyncConnection:
        protocol = await _opened(job, read_json)
        stack.callback(protocol.transport.abort)
        return speak(protocol)

    return asyncio.run(paced_on_asyncio(job, connect_one))


def paced(job: Job) -> list[Point]:
    """Paced contexts, each on a connection of its own."""
    return _paced(job, lambda protocol: protocol.speak)


def paced_tasks(job: Job) -> list[Point]:
    """The same, with a task that is woken for each message."""
    return _paced(job, lambda protocol: protocol.listen)


def drain(job: Job) -> list[Point]:
    """Receive and throw away: as fast as the server and the machine can."""
    space = memoryview(bytearray(CAPACITY))
    points: list[Point] = []
    with websocket(job) as sock:

        def speak(plan: Plan) -> None:
            left = sum(map(len, websocket_answer(plan, PLACEHOLDER)))
            sock.sendall(ask(plan))
            while left:
                left -= sock.recv_into(space)

        for plan in job.plans:
            speak(plan)
            spent, watch, times = _server_cpu(job), Stopwatch(), 0
            while not times or watch.wall < job.seconds:
                speak(plan)
                times += 1
            messages = times * plan.count
            rate = messages / watch.wall
            cpu = (_server_cpu(job) - spent) / messages * 1e6
            points.append(Point(str(plan.size), {RATE: rate, SERVER_CPU: cpu}))
    return points


def _server_cpu(job: Job) -> float:
    with urllib.request.urlopen(f"{job.clear}/usage") as response:  # noqa: S310 - our own server
        return float(json.load(response)["cpu"])
