"""The connections of one blocking WebSocket, one after another: made when one is needed, by one thread for all.

This module knows when there is a connection, who makes it, and what that comes to for those who wait. It must not know
how one is made, how bytes move on it, what a turn is or what users may say (`blocking` does): a transport's own `Dial`,
`Pump` and `Turns` do. Nothing here waits: what is to be waited for is yielded.

Theory of operation. Who needs a connection waits for it, and leads by dialling. A cancel ends that for whoever dials or
waits for the context's sake; whoever waits on then dials anew. What a try fails by that was not given up, all fail by.
There is one connection for new contexts. One on which something stalled is retired: the contexts that are open on it go
on, each on its own connection, until the last of them has ended.
"""

from collections.abc import Callable
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Final, Protocol, TypeVar, final

from cartesia_proto.blocking import Ready, Saying, Step, Taking
from cartesia_proto.config import Config
from cartesia_proto.contexts import Alone
from cartesia_proto.conversation import TTSConversation
from cartesia_proto.errors import CartesiaError, LocalProtocolError
from cartesia_proto.flow import Attempt, Outcome
from cartesia_proto.sessions.handshake import connecting
from cartesia_proto.traffic import Traffic
from cartesia_proto.waiters import NO_CONTEXT, Waiters, Waiting

T = TypeVar("T")

MOST_READS: Final = 100
"""How often at most a socket is read before a context is opened: at 64 KiB each, that empties the largest buffer which
Linux gives one by itself (6 MiB, ``tcp_rmem``)."""


class Turns(Protocol):
    """One thread at a time."""

    def run(self, work: Waiting[T]) -> T:
        """What work comes to: each step of it is taken in a turn, each wait between two turns.

        Raises:
            LocalProtocolError: this thread was interrupted in the middle of a turn; nothing is done.
        """
        ...

    def soon(self, action: Callable[[], object]) -> None:
        """Do something in a turn, or leave it for the thread that was interrupted in one.

        It waits for no more than another thread's turn. The action may be called again where it was interrupted.
        """
        ...


class Pump(Protocol):
    """Moves the bytes of one connection; called in turns."""

    @property
    def traffic(self) -> Traffic:
        """The books; `flush` after telling them anything."""
        ...

    def read(self) -> bool:
        """Read once; False if there is nothing to be read now."""
        ...

    def flush(self) -> int:
        """Send what can be sent; how many bytes are to have left in all."""
        ...

    def wait(self, get: Callable[[], T | None], id: str = NO_CONTEXT) -> Waiting[T]:
        """What `get` answers once it is something; when the connection has ended, it must."""
        ...


class Dial(Protocol):
    """One try to connect."""

    @property
    def pump(self) -> Pump | None:
        """Of the connection, once there is one."""
        ...

    @property
    def outcome(self) -> Outcome:
        """Of the last attempt."""
        ...

    @property
    def given_up(self) -> bool:
        """Whether it was interrupted: then there is no use in what came of it."""
        ...

    def attempt(self, attempt: Attempt) -> None:
        """Attempt it after its delay; waits, and is called between turns."""
        ...

    def interrupt(self) -> None:
        """End it at once. Never raises, from any thread."""
        ...


@final
class Multiplexer:
    """What joins connections, one after another, to the threads that wait.

    Args:
        config: how to connect.
        random: chance in [0, 1), for delays.
        turns: makes those in which all is done here; it is given what mends a step that was cut short.
        waiters: makes books of those who wait, of whom there are none yet.
        dial: begins a try, for the sake of this multiplexer.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        config: Config,
        random: Callable[[], float],
        turns: Callable[[Callable[[], None]], Turns],
        waiters: Callable[[], Waiters],
        dial: Callable[["Multiplexer"], Dial],
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._random = random
        self._make_turns = turns
        self._make_waiters = waiters
        self._make_dial = dial
        self._clock = clock
        self.begin_anew()
        self._pump: Pump | None = None  # of the last connection
        self._retired: list[Pump] = []  # of earlier ones whose contexts go on
        self._failure: CartesiaError | None = None  # of the last try that failed
        self._closed = False

    def begin_anew(self) -> None:
        """Nobody waits and nobody dials: so at first, and in a child process, where those are not who did.

        A connection lets go by itself, and the next user then finds it lost.
        """
        self._turns = self._make_turns(self._mend)
        self._waiters = self._make_waiters()  # for a connection
        self._dial: Dial | None = None  # the last one

    def begin(self, conversation: TTSConversation) -> Traffic:
        """The books of a connection just made, on which nobody has said anything; may be called in any thread."""
        return Traffic(conversation, self._make_waiters(), self._config.timeout, self._clock())

    # What WebSockets call.

    def connect(self) -> None:
        """Connect, unless there is a connection."""
        self._turns.run(self._connected(NO_CONTEXT, lambda: None))

    def run(self) -> None:
        """Connect, unless there is a connection, and read until it has ended."""
        self._turns.run(self._reading())

    def close(self) -> None:
        """End every context, say goodbye, and connect no more."""
        self._turns.soon(self._say_goodbye)
        try:
            with suppress(LocalProtocolError):  # of an interrupted thread: nothing can be waited for
                self._turns.run(self._closing())
        finally:
            self._turns.soon(self._abandon)

    interrupt = close  # what a client calls that is closed

    # What contexts call.

    def say(self, id: str, ready: Ready, say: Saying, check: Step) -> None:
        """Say something on the conversation that is ready, or on a new connection's; once that is written, check."""
        self._turns.run(self._saying(id, ready, say, check))

    def change(self, change: Callable[[float], set[str]]) -> None:
        """Do at once what ends a context, and what follows from it."""

        def act() -> None:
            concerned = change(self._clock())
            self._waiters.call(concerned)
            for pump in self._pumps:
                pump.traffic.note(concerned)
                pump.flush()

        self._turns.soon(act)

    def next(self, id: str, take: Taking[T], alone: Alone, first: Step | None) -> T:
        """Take the first step, then wait until something is taken; try when something comes for the id."""
        return self._turns.run(self._taking(id, take, alone, first))

    # The same in steps.

    def _reading(self) -> Waiting[None]:
        pump = yield from self._connected(NO_CONTEXT, lambda: None)
        yield from pump.wait(lambda: pump.traffic.conversation.over or None)

    def _say_goodbye(self) -> None:
        self._closed = True
        self._waiters.call_all()
        for pump in self._pumps:
            self._end(pump)

    def _end(self, pump: Pump) -> None:
        """End every context, and begin the closing handshake."""
        pump.traffic.close(self._clock())
        pump.flush()

    def _let_go(self, pump: Pump) -> None:
        """End every context, and let the connection be closed, at once or by a thread that waits on it."""
        self._end(pump)
        pump.traffic.fail(self._clock())
        pump.flush()

    def _closing(self) -> Waiting[None]:
        for pump in self._pumps:  # their time runs out together
            yield from pump.wait(partial(_over, pump.traffic))

    def _abandon(self) -> None:
        for pump in self._pumps:
            self._let_go(pump)

    def _mend(self) -> None:
        """Give up the connection after an interruption in a turn: books and bytes may be out of step. All look anew."""
        self._interrupt()
        made = None if self._dial is None else self._dial.pump  # perhaps not taken over
        for pump in (*self._pumps, *([] if made is None or made is self._pump else [made])):
            pump.traffic.tear(self._clock())
            pump.flush()
        self._waiters.call_anew()

    def _saying(self, id: str, ready: Ready, say: Saying, check: Step) -> Waiting[None]:
        pump = yield from self._connected(id, ready)
        say(pump.traffic.conversation, self._clock())
        yield from pump.wait(partial(_left, pump.traffic, pump.flush()))
        check()

    def _taking(self, id: str, take: Taking[T], alone: Alone, first: Step | None) -> Waiting[T]:
        alone.__enter__()
        try:
            if first is not None:
                yield first
            if (pump := self._pump_of(alone.conversation)) is not None:
                return (yield from pump.wait(take, id))
            if (taken := take()) is None:
                raise AssertionError("where there never was a connection, the context is over")
            return taken
        finally:
            alone.taken = False  # not by a function, at whose beginning an interruption may strike

    # Connections.

    @property
    def _pumps(self) -> list[Pump]:
        """Of every connection on which anything may yet happen."""
        return self._retired if self._pump is None else [*self._retired, self._pump]

    def _pump_of(self, conversation: TTSConversation | None) -> Pump | None:
        """The one that a conversation is on; else the last."""
        return next((pump for pump in self._retired if pump.traffic.conversation is conversation), self._pump)

    def _connected(self, id: str, ready: Ready) -> Waiting[Pump]:
        """A connection on which a context may be opened: made if there is none.

        A context that is on a conversation already needs none but the last, even where that was not its own: then the
        context is over, and says so.

        Raises:
            CartesiaError: connecting failed, or the server ended the connection at once.
            LocalProtocolError: the WebSocket or its client is closed, or there are no credentials.
        """
        before, failure = self._pump, self._failure

        def get() -> Pump | None:
            pump = self._pump
            if (conversation := ready()) is not None:
                return self._pump_of(conversation)
            if self._closed:
                raise LocalProtocolError("the WebSocket is closed: ask the client for another")
            if pump is not None and self._usable(pump):
                return pump
            if pump is not None and pump is not before and (lost := pump.traffic.conversation.session.lost):
                raise copy(lost)
            if self._failure is not None and self._failure is not failure:  # of whoever tried meanwhile
                raise copy(self._failure) from self._failure.__cause__
            return None

        return (yield from self._waiters.wait(get, id, self._dialling, self._interrupt))

    def _dialling(self) -> Waiting[None]:
        """Connect, for all who wait."""
        dial = self._dial = self._make_dial(self)
        failure = self._failure
        try:
            operation = connecting(self._config, self._random)
            step = operation.start()
            while isinstance(step, Attempt) and not dial.given_up:
                yield partial(dial.attempt, step)
                step = operation.resume(dial.outcome)
        except CartesiaError as error:
            failure = error.with_traceback(None)
        finally:
            self._take_over(dial, failure)

    def _interrupt(self) -> None:
        if self._dial is not None:
            self._dial.interrupt()

    def _take_over(self, dial: Dial, failure: CartesiaError | None) -> None:
        """Tell those who wait what came of it; nothing, if it was given up."""
        if not dial.given_up:
            if dial.pump is not None:
                self._replace(dial.pump)
            self._failure = failure
            self._waiters.call_all()  # and so ends the dial, which is at its end
        elif dial.pump is not None:
            self._let_go(dial.pump)

    def _replace(self, pump: Pump) -> None:
        """Have another connection for new contexts; keep the last one only as far as contexts go on there."""
        earlier = self._pumps
        self._retired = [last for last in earlier if last.traffic.conversation.retired]
        self._pump = pump
        for last in earlier:
            if last not in self._retired:
                self._let_go(last)

    def _usable(self, pump: Pump) -> bool:
        """Whether a context may be opened. What is readable is read first, then done what is due: it may be the end."""
        for _ in range(MOST_READS):
            if not pump.read():
                if (now := self._clock()) >= pump.traffic.due():
                    pump.traffic.handle_due(now)
                break
        pump.flush()
        return not (pump.traffic.conversation.over or pump.traffic.conversation.retired)


def _over(traffic: Traffic) -> bool | None:
    return traffic.over or None


def _left(traffic: Traffic, count: int) -> bool | None:
    return traffic.has_left(count) or None
