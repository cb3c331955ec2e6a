"""The books of one connection that is neither read nor written by a thread of its own.

This module knows what has not left yet, when time runs out, and whom news concerns. It must not know sockets, locks or
clocks, nor how one waits: a transport moves the bytes, `waiters` says who does it.
"""

import math
from collections.abc import Callable
from typing import Final, final

from cartesia_proto.conversation import CLOSING_SECONDS, TTSConversation
from cartesia_proto.waiters import NO_CONTEXT, Waiters

READS: Final = 16
"""How often at most a socket is read in one turn: at 256 KiB each that is some milliseconds. Our choice."""

MOST_BYTES: Final = 6 << 20
"""How much at most had arrived before it was read: the largest buffer Linux gives a socket by itself (``tcp_rmem``)."""


@final
class Arrivals:
    """How many bytes have arrived, so that something is known to be late though more and more arrives.

    Attributes:
        total: bytes.
    """

    __slots__ = ("_in_time", "total")

    def __init__(self) -> None:
        self.total: int = 0
        self._in_time = 0  # bytes that had arrived when nothing was due

    def overdue(self, due: float | None, now: float) -> bool:
        """Whether something is due although bytes have just arrived; what arrived in time may still prevent it."""
        if due is None or now < due:
            self._in_time = self.total
            return False
        return True

    def received(
        self, conversation: TTSConversation, count: int, now: Callable[[], float], readable: Callable[[], bool]
    ) -> set[str]:
        """Tell a conversation that so many bytes arrived, where 0 means the end of the input; return the ids to wake.

        Do what is due, too, once nothing that has arrived in time can prevent it.

        Args:
            readable: whether more may have arrived already; asked only where something is due.
        """
        if not count:
            return conversation.receive_eof(now())
        self.total += count
        ids = conversation.received(count, now())
        if self.overdue(conversation.deadline(), now()) and (self.endless or not readable()):
            ids |= conversation.handle_deadline(now())
        return ids

    @property
    def endless(self) -> bool:
        """Whether nothing that arrived in time can be left: so much has arrived since."""
        return self.total - self._in_time >= MOST_BYTES


@final
class Traffic:
    """The books of one connection. Not for two threads at once.

    Args:
        conversation: what is said; any of its methods may be called, and what it answers is told with `note`.
        waiters: who waits for news of it, and is called.
        timeout: seconds without progress after which bytes are taken not to leave any more.
        now: monotonic seconds.

    Attributes:
        conversation, waiters: see above.
        unsent: bytes that are to leave; the transport reads it, `sent` shortens it.
    """

    def __init__(self, conversation: TTSConversation, waiters: Waiters, timeout: float, now: float) -> None:
        self.conversation: TTSConversation = conversation
        self.waiters: Waiters = waiters
        self.unsent: bytearray = bytearray()
        self._timeout = timeout
        self._queued = 0
        self._sent = 0
        self._backlog = False
        self._reads = 0  # in this turn
        self._arrivals = Arrivals()
        self._close_due = math.inf
        self.note(conversation.received(0, now))  # what came with the handshake

    @property
    def over(self) -> bool:
        """Whether nothing is read or sent any more: the connection is to be closed."""
        return self.conversation.link.state == "closed"

    # Bytes.

    def queue(self, now: float) -> int:
        """Take over what the conversation has to send; how many bytes are to have left in all, for `has_left`.

        While bytes are stuck, pongs stay with the link, which keeps only the last of many.
        """
        self._backlog = bool(self.unsent)
        link = self.conversation.link
        queued = b"" if self._backlog and link.owes_only_a_pong else link.data_to_send()
        self.unsent += queued
        self._queued += len(queued)
        if self.unsent:
            link.data_waits(now + self._timeout)
        return self._queued

    def sent(self, count: int, now: float) -> None:
        """Note that so many bytes of `unsent` have left."""
        del self.unsent[:count]
        self._sent += count
        if self._backlog:  # otherwise nobody has begun to wait for these
            self.note({NO_CONTEXT})
        link = self.conversation.link
        if self.unsent:
            link.data_waits(now + self._timeout, moved=True)
        else:
            link.data_sent(now)
            self.queue(now)  # the pongs that were left there

    def has_left(self, count: int) -> bool:
        """Whether so many bytes have left in all, or never will."""
        return self._sent >= count or self.conversation.over

    def received(self, count: int, now: float) -> None:
        """Note that so many bytes were received into ``link.receive_space()``; none are the end of the input."""
        self._arrivals.total += count
        self.note(self.conversation.received(count, now) if count else self.conversation.receive_eof(now))

    def go_on(self, now: float) -> bool:
        """Take more of what was received, if not all of it was taken; whether that was so: then nothing is read."""
        self._reads += 1
        if not self.conversation.unread:
            return False
        self.note(self.conversation.received(0, now))
        return True

    def turn_is_long(self) -> bool:
        """Whether whoever reads is to let others have their turn; asked before each read, and once in a turn."""
        is_long = self._reads >= READS or self.conversation.unread
        self._reads = 0 if is_long else self._reads
        return is_long

    def fail(self, now: float) -> None:
        """Give the connection up: bytes do not leave, or nobody waits for its proper end."""
        self.unsent.clear()
        self.note(self.conversation.send_failed(now))

    def close(self, now: float) -> None:
        """End every context and say goodbye; the peer's goodbye is waited for `CLOSING_SECONDS`, in all."""
        self._close_due = min(self._close_due, now + CLOSING_SECONDS)
        self.note(self.conversation.close(now))

    def tear(self, now: float) -> None:
        """Give it up without a word, every context too, where an interruption may have left it half told of something.

        Whatever it is told later changes nothing.
        """
        self.conversation.close(now)
        self.fail(now)
        self.waiters.call_anew()

    def disown(self, now: float) -> None:
        """Lose it without a word, in a child process: nobody of those who wait is there."""
        self.unsent.clear()
        self.conversation.disown(now)

    # Time.

    def due(self) -> float:
        """When `handle_due` wants to be called, in monotonic seconds; ``math.inf`` for never."""
        due = self.conversation.deadline()
        return min(math.inf if due is None else due, self._close_due)

    def handle_overdue(self, now: float) -> None:
        """Do what is due though more and more arrives, once nothing that has arrived in time can prevent it."""
        if self._arrivals.overdue(self.due(), now) and (now >= self._close_due or self._arrivals.endless):
            self.handle_due(now)

    def handle_due(self, now: float) -> None:
        """Do what is due. Read what is readable first."""
        if now >= self._close_due:
            self.fail(now)
        else:
            self.note(self.conversation.handle_deadline(now))
        if self.over:
            self.unsent.clear()

    # News.

    def note(self, ids: set[str]) -> None:
        """Call those who wait for one of these contexts; once the connection has ended, everybody."""
        self.waiters.call_all() if self.conversation.over else self.waiters.call(ids)
