"""How the bytes of one WebSocket leave on trio: one task sends at a time, what is stuck leaves beside whoever reads.

This module knows whose bytes leave when, and what is due if they do not. It must not know who reads, nor what is said.

Theory of operation. One task sends at a time; those who wait for it go on all at once, for a lock would let them go one
after another. Who waits to send everything reads meanwhile, as the peer may read no more before it is read from. Who
has read sends only what leaves at once: what is left is for whoever reads next, who looks at both ends of the socket.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

import trio

from cartesia_proto.conversation import CLOSING_SECONDS, TTSConversation
from cartesia_proto.outbox import LITTLE
from cartesia_proto.sharing import Sending
from cartesia_trio.connection import Connection
from cartesia_trio.network import Network
from cartesia_trio.runs import beside


class Sender(ABC):
    """The half of a multiplexer that sends.

    Args:
        seconds: until when some of what is to leave must have.
    """

    def __init__(self, network: Network, seconds: float) -> None:
        self._network = network
        self._seconds = seconds
        self._connection: Connection
        self._conversation: TTSConversation | None = None
        self._sending = Sending(trio.Event)

    @abstractmethod
    def _wake(self, concerned: Iterable[str] = ()) -> None:
        """Wake those it concerns."""

    @abstractmethod
    async def _until_closed(self, conversation: TTSConversation) -> None:
        """Wait for the end of a connection, and read for all if nobody does."""

    @abstractmethod
    async def _settle(self, conversation: TTSConversation) -> None:
        """Take in what has already arrived."""

    async def _flush(self, seconds: float) -> None:
        """Send everything, or wait for whoever does. If it does not leave in time, the connection is lost."""
        drains = self._sending.drains
        while self._sending.ended is not None:
            await self._sending.ended.wait()
            if self._sending.drains != drains:  # these bytes are among all that was sent
                return
        if self._conversation is None:
            return
        conversation, connection = self._conversation, self._connection
        with self._sending.alone(draining=True):  # no cancellation comes between a change and its bytes
            while data := connection.outbox.everything(conversation.link):
                await self._write(conversation, connection, data, seconds)

    async def _send_some(self, conversation: TTSConversation, connection: Connection) -> None:
        """Send as much as leaves without waiting, as far as that can be told; the rest has its time to leave."""
        moved = False
        while connection.foreign or connection.writable:
            if not (data := connection.outbox.a_little(conversation.link)):
                return
            await self._write(conversation, connection, data, self._seconds)
            moved = True
        connection.outbox.wait(conversation.link, trio.current_time() + self._seconds, moved=moved)

    async def _write(self, conversation: TTSConversation, connection: Connection, data: bytes, seconds: float) -> None:
        """Write what was taken from the link. If it does not leave in time, the connection is lost.

        Where that may be waited for, a task that lasts no longer than the wait waits for events beside it.
        """
        with trio.CancelScope(shield=True):
            closed = conversation.link.state == "closed"  # by a last goodbye: nothing more is read meanwhile
            send = partial(self._sent, connection, data, min(seconds, CLOSING_SECONDS) if closed else seconds)
            at_once = closed or (len(data) <= LITTLE and connection.writable)
            sent = await (send() if at_once else beside(partial(self._until_closed, conversation), send))
            if not sent:
                await self._settle(conversation)  # it may say why
                connection.outbox.discard()
                self._wake(conversation.send_failed(trio.current_time()))
            else:
                connection.outbox.sent(conversation.link, trio.current_time())
            if connection.outbox.over(conversation.link):  # perhaps nobody reads, who would do it
                await self._network.close(connection)

    @staticmethod
    async def _sent(connection: Connection, data: bytes, seconds: float) -> bool:
        with suppress(TimeoutError):
            return await connection.send(data, seconds, "write")
        return False

    async def _follow_up(self, conversation: TTSConversation, connection: Connection) -> None:
        """Send what was answered to what was read, if that need not be waited for, and close what is over."""
        if self._has_more_to_send(conversation, connection):
            with self._sending.alone(draining=connection.foreign):
                await self._send_some(conversation, connection)
        if conversation.link.state == "closed":
            await self._network.close(connection)

    def _has_more_to_send(self, conversation: TTSConversation, connection: Connection) -> bool:
        """Whether there are bytes to be sent and nobody sends."""
        return self._sending.ended is None and connection.outbox.has_more(conversation.link)

    async def _send_as_it_leaves(self, conversation: TTSConversation, connection: Connection) -> None:
        """Send what was left, beside whoever reads. Who wants to send meanwhile waits: a socket has one who waits."""
        with self._sending.alone(draining=False):
            while connection.outbox.has_more(conversation.link):
                await connection.wait_writable()
                await self._send_some(conversation, connection)
