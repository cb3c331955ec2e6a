"""The bytes of one WebSocket that have not left yet, in pieces that a task writes.

A task that may wait writes everything. A task that has read, and so must not wait, writes little pieces, each of which
a writable socket takes at once. What was taken from the link stays in front of what the link queues later. This module
must not know sockets, nor who writes when.
"""

from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:  # an HTTP connection has one too, and needs no WebSockets
    from cartesia_proto.wire.websocket import ClientWebSocketLink

LITTLE: Final = 1900
"""Bytes that a writable socket takes without waiting, with what encryption adds: below BSD's low-water mark of 2048
(``SO_SNDLOWAT``), and below the third of its buffer that is free where Linux calls one writable. Most messages fit."""


@final
class Outbox:
    """What was taken from a link and has not been handed out. While there is some, the pongs stay in the link."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken = bytearray()  # its front is cut off as it leaves, which costs a bytearray nothing

    def has_more(self, link: "ClientWebSocketLink") -> bool:
        """Whether there is anything to write."""
        return bool(self._taken) or link.has_data_to_send

    def everything(self, link: "ClientWebSocketLink") -> bytes:
        """Take all that is to be written."""
        data = bytes(self._taken) + link.data_to_send()
        self._taken.clear()
        return data

    def a_little(self, link: "ClientWebSocketLink") -> bytes:
        """Take the next `LITTLE` bytes; none if there is nothing to write."""
        if not self._taken:
            self._taken += link.data_to_send()
        data = bytes(self._taken[:LITTLE])
        del self._taken[:LITTLE]
        return data

    def sent(self, link: "ClientWebSocketLink", now: float) -> None:
        """Note that what was handed out has left."""
        if not self._taken:
            link.data_sent(now)

    def wait(self, link: "ClientWebSocketLink", due: float, *, moved: bool) -> None:
        """Give what is left its time to leave, as ``link.data_waits``."""
        if self.has_more(link):
            link.data_waits(due, moved=moved)

    def discard(self) -> None:
        """Forget what was taken: it cannot leave."""
        self._taken.clear()

    def over(self, link: "ClientWebSocketLink") -> bool:
        """Whether the connection is to be closed: the link is, and nothing that was taken is left."""
        return link.state == "closed" and not self._taken
