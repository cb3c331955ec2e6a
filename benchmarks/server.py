"""The server, a process of its own: it answers with bytes that were made beforehand.

This module knows plain sockets and just enough HTTP to tell what is asked. It must not know the library: a server built
on it could share its mistakes. Everything costly happens before the first byte of an answer is sent; `GET /usage` tells
the processor time spent so far, so that a run can show that the server was not what it waited for.

One thread for each connection; one more for all paced contexts, whose chunks are spread evenly over the interval.

    python -m benchmarks.server FOLDER   serves until its standard input ends; says where in a line of JSON
"""

import contextlib
import heapq
import itertools
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, final

from attrs import define, frozen

from benchmarks.messages import (
    accept_value,
    addressed,
    bytes_answer,
    chunk_frames,
    done_frame,
    sse_answer,
    websocket_answer,
)
from benchmarks.plans import VARIETY, Plan

HOST: Final = "127.0.0.1"

GOLDEN: Final = 0.6180339887498949
"""Multiples of it, modulo one, spread evenly however many there are."""


@final
@frozen
class Head:
    """The head of a request."""

    method: str
    path: str
    headers: Mapping[str, str]


@define
class Stream:
    """A paced context: what is still to be sent."""

    connection: "Connection"
    frames: tuple[bytes, ...]
    ending: bytes
    left: int
    interval: float
    sent: int = 0


@final
class Pacer:
    """Sends the chunks of all paced contexts, each when it is due."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Stream]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def add(self, stream: Stream) -> None:
        """Begin somewhere in the interval, elsewhere than the others."""
        with self._changed:
            number = next(self._numbers)
            due = time.monotonic() + (number * GOLDEN % 1.0) * stream.interval
            heapq.heappush(self._due, (due, number, stream))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due:
                    self._changed.wait()
                due, number, stream = self._due[0]
                wait = due - time.monotonic()
                if wait > 0:
                    self._changed.wait(wait)
                    continue
                heapq.heappop(self._due)
            if stream.left and self._send(stream):
                with self._changed:
                    heapq.heappush(self._due, (due + stream.interval, number, stream))

    @staticmethod
    def _send(stream: Stream) -> bool:
        stream.left -= 1
        data = stream.frames[stream.sent % VARIETY] + (b"" if stream.left else stream.ending)
        stream.sent += 1
        return stream.connection.send(data)


@final
class Connection:
    """One connection, and whatever is asked on it."""

    def __init__(self, sock: socket.socket, pacer: Pacer) -> None:
        self._socket = sock
        self._pacer = pacer
        self._received = bytearray()
        self._gathered: list[str] = []
        self._first_byte = 0

    def run(self) -> None:
        """Serve until the client goes."""
        with self._socket, contextlib.suppress(OSError):
            while (head := self._read_head()) is not None:
                if head.headers.get("upgrade", "").lower() == "websocket":
                    self._upgrade(head)
                    return
                self._answer(head, bytes(self._read(int(head.headers.get("content-length", "0")))))

    def send(self, data: bytes) -> bool:
        """Send; False if the client has gone."""
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    # HTTP.

    def _read_head(self) -> Head | None:
        self._first_byte = 0
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            if not self._receive():
                return None
        first, *lines = self._read(end + 4)[:-4].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.partition(":") for line in lines)
        return Head(method, target.partition("?")[0], {name.lower(): value.strip() for name, _, value in pairs})

    def _answer(self, head: Head, body: bytes) -> None:
        match head.path.split("/")[1:]:
            case ["tts", "sse"]:
                self._send_all(sse_answer(_plan(body)))
            case ["tts", "bytes"]:
                self._send_all(bytes_answer(_plan(body)))
            case ["voices", id]:
                self._send_json({"id": id, "name": "Ada", "description": str(self._first_byte), "language": "en"})
            case ["usage"]:
                self._send_json({"cpu": time.process_time()})
            case _:
                self._socket.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def _send_json(self, fields: dict[str, object]) -> None:
        body = json.dumps(fields).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)

    # WebSocket.

    def _upgrade(self, head: Head) -> None:
        accept = accept_value(head.headers["sec-websocket-key"].encode())
        self._socket.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
        )
        while True:
            opcode, payload = self._read_frame()
            match opcode:
                case 1:
                    self._speak(payload)
                case 8:
                    self._socket.sendall(bytes((0x88, len(payload))) + payload)
                    return
                case 9:
                    self._socket.sendall(bytes((0x8A, len(payload))) + payload)
                case _:
                    pass

    def _read_frame(self) -> tuple[int, bytes]:
        first, second = self._read(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(self._read(2 if size == 126 else 8), "big")
        mask = self._read(4) * (size // 4 + 1)
        masked = int.from_bytes(self._read(size), "big") ^ int.from_bytes(mask[:size], "big")
        return first & 0x0F, masked.to_bytes(size, "big")

    def _speak(self, message: bytes) -> None:
        fields = json.loads(message)
        if not fields.get("transcript"):  # a cancel, or an end without text
            return
        plan, id = Plan.parse(fields["transcript"]), str(fields["context_id"])
        match plan.mode:
            case "bulk":
                self._send_all(websocket_answer(plan, id))
            case "gathered":
                self._gather(plan, id)
            case "paced":
                frames = tuple(addressed(frame, id) for frame in chunk_frames(plan.size, spaced=plan.spaced))
                ending = addressed(done_frame(spaced=plan.spaced), id)
                self._pacer.add(Stream(self, frames, ending, plan.count, plan.interval))
            case "silent":
                pass

    def _gather(self, plan: Plan, id: str) -> None:
        """Answer all contexts once all have asked: the first chunk of each, the second of each, and so on."""
        self._gathered.append(id)
        if len(self._gathered) < plan.contexts:
            return
        ids, self._gathered = self._gathered, []
        frames = chunk_frames(plan.size, spaced=plan.spaced)
        said = [frames[index % VARIETY] for index in range(plan.count)] + [done_frame(spaced=plan.spaced)]
        for frame in said:
            self._socket.sendall(b"".join([addressed(frame, id) for id in ids]))

    # Bytes.

    def _send_all(self, blocks: Iterable[bytes]) -> None:
        for block in blocks:
            self._socket.sendall(block)

    def _receive(self) -> bool:
        data = self._socket.recv(1 << 16)
        self._first_byte = self._first_byte or time.monotonic_ns()
        self._received += data
        return bool(data)

    def _read(self, count: int) -> bytes:
        while len(self._received) < count:
            if not self._receive():
                raise ConnectionResetError
        data = bytes(self._received[:count])
        del self._received[:count]
        return data


def _plan(body: bytes) -> Plan:
    return Plan.parse(json.loads(body)["transcript"])


def _accept(listener: socket.socket, context: ssl.SSLContext | None, pacer: Pacer) -> None:
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_serve, args=(sock, context, pacer), daemon=True).start()


def _serve(sock: socket.socket, context: ssl.SSLContext | None, pacer: Pacer) -> None:
    with contextlib.suppress(OSError):
        if context is not None:
            sock = context.wrap_socket(sock, server_side=True)
        Connection(sock, pacer).run()


def main(folder: Path) -> None:
    """Serve in clear and over TLS, with the certificate in the folder, until standard input ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    pacer = Pacer()
    origins: dict[str, str] = {}
    for scheme, encryption in (("http", None), ("https", context)):
        listener = socket.create_server((HOST, 0), backlog=1024)
        origins[scheme] = f"{scheme}://{HOST}:{listener.getsockname()[1]}"
        threading.Thread(target=_accept, args=(listener, encryption, pacer), daemon=True).start()
    print(json.dumps(origins), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
