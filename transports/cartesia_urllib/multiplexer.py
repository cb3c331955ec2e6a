"""A WebSocket's connections, one after another: made when one is needed, by one thread for all.

This module knows when there is a connection, and whose turn it is. It must not know how bytes move on it (`pump` does),
what users may say (the core's `blocking`), nor when to try again: the core's connecting operation does.
"""

import random
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from typing import TypeAlias, final

from cartesia_proto.blocking import Saying, Step, Taking
from cartesia_proto.codecs.events import SpeechEvent
from cartesia_proto.config import Config
from cartesia_proto.conversation import TTSConversation, WebSocketOptions, handshake_outcome
from cartesia_proto.errors import CartesiaError, LocalProtocolError, RemoteProtocolError, TransportError
from cartesia_proto.flow import Attempt, Failure, Outcome
from cartesia_proto.http import Response
from cartesia_proto.sessions.handshake import connecting
from cartesia_proto.traffic import Traffic
from cartesia_proto.wire.websocket import ClientWebSocketLink
from cartesia_urllib.exclusion import Exclusion
from cartesia_urllib.network import Network
from cartesia_urllib.pump import Pump
from cartesia_urllib.sockets import Interrupter, flush, read

Opened: TypeAlias = tuple[socket.socket, ClientWebSocketLink]
"""A socket, and the open link on it."""


@final
class Multiplexer:
    """What joins connections, one after another, to conversations, and both to the threads that wait."""

    def __init__(self, network: Network, config: Config, options: WebSocketOptions) -> None:
        self._network = network
        self._config = config
        self._options = options
        self._turn = Exclusion()
        self._connecting = threading.Lock()
        self._closing = Interrupter()
        self._failure: CartesiaError | None = None  # of the last attempt to connect
        self._pump: Pump | None = None

    # What WebSockets call.

    def connect(self) -> None:
        """Connect, unless there is a connection."""
        with self._connected():
            pass

    def run(self) -> None:
        """Connect, unless there is a connection, and read until it has ended."""
        with self._connected() as pump:
            pump.wait(lambda: pump.traffic.conversation.over or None)

    def close(self) -> None:
        """End every context, say goodbye, and connect no more."""
        self._closing.interrupt()
        try:
            with self._turn:
                if self._pump is not None:
                    self._pump.close()
        except LocalProtocolError:  # of an interrupted thread: nothing can be waited for
            if self._pump is not None:
                self._turn.soon(self._pump.abandon)

    interrupt = close  # what a client calls that is closed

    # What contexts call.

    def say(self, conversation: TTSConversation | None, say: Saying, check: Step) -> None:
        """Say something on a conversation, or on that of a connection made if need be; when it is written, check."""
        with self._connected(conversation) as pump:
            say(pump.traffic.conversation, time.monotonic())
            pump.drain()
            check()

    def change(self, change: Callable[[float], set[str]]) -> None:
        """Do at once what ends a context, and what follows from it."""

        def act() -> None:
            concerned = change(time.monotonic())
            if self._pump is not None:
                self._pump.traffic.note(concerned)
                self._pump.flush()

        self._turn.soon(act)

    def next(self, id: str, take: Taking, alone: AbstractContextManager[None], first: Step | None) -> list[SpeechEvent]:
        """Take the first step, then wait until something is taken; try when something comes for the id."""
        with self._turn, alone:
            if first is not None:
                self._turn.outside(first)
            return self._pump.wait(take, id) if self._pump is not None else take() or []

    # Connections.

    @contextmanager
    def _connected(self, conversation: TTSConversation | None = None) -> Generator[Pump, None, None]:
        """A turn with a connection on which a context may be opened: made if there is none.

        A context that is on a conversation already needs none but the last, even where that was not its own: then the
        context is over, and says so.

        Raises:
            CartesiaError: connecting failed, or the server ended the connection at once.
            LocalProtocolError: the WebSocket or its client is closed, or there are no credentials.
        """
        tried = False
        while True:
            with self._turn:
                if conversation is None:
                    self._check_open()
                if self._pump is not None and (conversation is not None or self._pump.usable()):
                    yield self._pump
                    return
                if tried and self._pump is not None and (lost := self._pump.traffic.conversation.session.lost):
                    raise copy(lost)
                failure = self._failure
            with self._connecting:
                if self._failure is not None and self._failure is not failure:  # of whoever tried meanwhile
                    raise copy(self._failure)
                self._connect()
            tried = True

    def _check_open(self) -> None:
        if self._closing.interrupted.is_set():
            raise LocalProtocolError("the WebSocket is closed: ask the client for another")

    def _connect(self) -> None:
        """Connect, unless somebody else has meanwhile."""
        with self._turn:
            if self._pump is not None and not self._pump.traffic.conversation.over:
                return
        try:
            self._network.use(self)
            sock, link = self._dial()
        except CartesiaError as error:
            self._failure = copy(error)
            raise
        conversation = TTSConversation(self._config, random.random, link, self._options.inbox_limit)
        traffic = Traffic(conversation, self._config.timeout, time.monotonic())
        with self._turn:
            if self._closing.interrupted.is_set():
                sock.close()
            self._check_open()
            self._pump = Pump(self._turn, sock, traffic)

    def _dial(self) -> Opened:
        operation = connecting(self._config, random.random)
        try:
            step = operation.start()
            while isinstance(step, Attempt):
                self._closing.interrupted.wait(step.delay)
                outcome, opened = self._attempt(step)
                step = operation.resume(outcome)
                if opened is not None:
                    return opened
        finally:
            operation.abandon()
        raise AssertionError("a handshake that was accepted leaves its connection open")

    def _attempt(self, attempt: Attempt) -> tuple[Outcome, Opened | None]:
        origin, timeout = attempt.request.origin, attempt.timeout
        try:
            sock = self._network.connector.open(origin, timeout, self._closing)
            with self._closing:
                link = self._options.link(attempt, self._config.limits, time.monotonic())
                flush(sock, link, origin[1:], timeout, "handshake")
                while (outcome := handshake_outcome(link)) is None:
                    read(sock, link)
            if isinstance(outcome, Response) and outcome.status == 101:
                self._closing.attach(None)  # from here on `close` ends the pump instead
                return outcome, (sock, link)
        except (TransportError, RemoteProtocolError) as error:
            outcome = Failure(error)
        except BaseException:
            self._closing.close()
            raise
        self._closing.close()
        return outcome, None
