"""One connection with several threads on it: what has not left yet, when time runs out, and who is to be woken.

This module keeps the books for a transport in which whoever waits reads for all. It must not know sockets, locks or
clocks; a thread is a number to it.

Theory of operation. Who waits and finds nobody reading leads: it reads until there is something for it, and what it
reads for others wakes them. While nobody leads, one of those who wait has been called: it will lead, or leave and so
call the next. A leader steps back while somebody who was called has not had a turn, so that each gets one even while
more keeps coming.
"""

import math
from typing import Final, final

from cartesia_proto.conversation import CLOSING_SECONDS, TTSConversation
from cartesia_proto.errors import LocalProtocolError

NO_CONTEXT: Final = ""
"""What those wait for who wait for no context: for their bytes to leave, or for the end."""

NO_WAITING: Final = "this thread was interrupted where it used the WebSocket: it may cancel and close now, nothing else"
"""What a signal handler or a finaliser is told that would have to wait for the thread it runs in."""


@final
class Traffic:
    """The books of one connection. Not for two threads at once.

    Args:
        conversation: what is said; any of its methods may be called, and what it answers is told with `note`.
        timeout: seconds without progress after which bytes are taken not to leave any more.
        now: monotonic seconds.

    Attributes:
        conversation: see above.
        unsent: bytes that are to leave; the transport reads it, `sent` shortens it.
    """

    def __init__(self, conversation: TTSConversation, timeout: float, now: float) -> None:
        self.conversation: TTSConversation = conversation
        self.unsent: bytearray = bytearray()
        self._timeout = timeout
        self._queued = 0
        self._sent = 0
        self._backlog = False
        self._write_due = math.inf
        self._close_due = math.inf
        self._noted: set[str] = set()
        self._waiting: dict[int, str] = {}
        self._called: set[int] = set()
        self.note(conversation.received(0, now))  # what came with the handshake

    @property
    def over(self) -> bool:
        """Whether nothing is read or sent any more: the connection is to be closed."""
        return self.conversation.link.state == "closed"

    # Bytes.

    def queue(self, now: float) -> int:
        """Take over what the conversation has to send; how many bytes are to have left in all, for `has_left`."""
        self._backlog = bool(self.unsent)
        queued = self.conversation.link.data_to_send()
        self.unsent += queued
        self._queued += len(queued)
        if self.unsent:
            self._write_due = min(self._write_due, now + self._timeout)
        return self._queued

    def sent(self, count: int, now: float) -> None:
        """Note that so many bytes of `unsent` have left."""
        del self.unsent[:count]
        self._sent += count
        if self._backlog:  # otherwise nobody has begun to wait for these
            self._noted.add(NO_CONTEXT)
        self._write_due = now + self._timeout if self.unsent else math.inf
        if not self.unsent:
            self.conversation.link.data_sent(now)

    def has_left(self, count: int) -> bool:
        """Whether so many bytes have left in all, or never will."""
        return self._sent >= count or self.conversation.over

    def received(self, count: int, now: float) -> None:
        """Note that so many bytes were received into ``link.receive_space()``; none are the end of the input."""
        self.note(self.conversation.received(count, now) if count else self.conversation.receive_eof(now))

    def fail(self, now: float) -> None:
        """Give the connection up: bytes do not leave, or nobody waits for its proper end."""
        self.unsent.clear()
        self._write_due = math.inf
        self.note(self.conversation.send_failed(now))

    def close(self, now: float) -> None:
        """End every context and say goodbye; the peer's goodbye is waited for `CLOSING_SECONDS`, in all."""
        self._close_due = min(self._close_due, now + CLOSING_SECONDS)
        self.note(self.conversation.close(now))

    # Time.

    def due(self) -> float:
        """When `handle_due` wants to be called, in monotonic seconds; ``math.inf`` for never."""
        due = self.conversation.deadline()
        return min(math.inf if due is None else due, self._write_due, self._close_due)

    def handle_due(self, now: float) -> None:
        """Do what is due. Read what is readable first."""
        if now >= min(self._write_due, self._close_due):
            self.fail(now)
        else:
            self.note(self.conversation.handle_deadline(now))

    # Those who wait.

    def note(self, ids: set[str]) -> None:
        """Note that there is something for the readers of these contexts."""
        self._noted |= ids

    def join(self, thread: int, id: str = NO_CONTEXT) -> None:
        """From now on a thread waits, for a context's events or for something else.

        Raises:
            LocalProtocolError: it waits already: it was interrupted, and what it does now would wait for itself.
        """
        if thread in self._waiting:
            raise LocalProtocolError(NO_WAITING)
        self._waiting[thread] = id

    def may_lead(self, thread: int) -> bool:
        """Whether it may read for all, if nobody does; otherwise it must wait until it is called."""
        return not self._called - {thread}

    def had_turn(self, thread: int) -> None:
        """Note that it was called and is there now."""
        self._called.discard(thread)

    def to_call(self) -> list[int]:
        """Whom to wake, because of what was noted since the last call."""
        noted, self._noted = self._noted, set()
        return self._call([one for one, id in self._waiting.items() if id in noted or self.conversation.over])

    def leave(self, thread: int, *, led: bool) -> list[int]:
        """Note that it waits no more; whom to wake instead, unless somebody leads."""
        del self._waiting[thread]
        self._called.discard(thread)
        return [] if led or self._called else self._call([*self._waiting][:1])

    def _call(self, threads: list[int]) -> list[int]:
        new = [one for one in threads if one not in self._called]
        self._called.update(new)
        return new
