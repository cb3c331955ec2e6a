"""Opening a WebSocket, written once: attempts, one after another, as steps that a transport takes.

Actors: an `Opening`, which knows the order of things, and the driver of `performing`'s steps in each transport. What
comes of it is an open link on a connection, which is the caller's; until then the connection is the opening's, and
`abort` says how to let go of it. This module must not know sockets, event loops or clocks.
"""

from collections.abc import Callable
from typing import Generic, TypeVar, final

from cartesia_proto.config import Config
from cartesia_proto.conversation import TTSConversation, WebSocketOptions, handshake_outcome
from cartesia_proto.flow import Attempt, Failure, Outcome
from cartesia_proto.http import Response
from cartesia_proto.performing import Connect, Line, Receive, Release, Send, Sleep, Steps
from cartesia_proto.sessions.handshake import connecting
from cartesia_proto.wire.websocket import ClientWebSocketLink

ConnectionT = TypeVar("ConnectionT")


@final
class Opening(Generic[ConnectionT]):
    """One try to open a WebSocket, with as many attempts as are allowed.

    Args:
        random: chance in [0, 1), for delays and ids.
        now: tells monotonic seconds.
        check: raises where the WebSocket was closed meanwhile.

    Attributes:
        outcome: of the last attempt.
    """

    def __init__(
        self,
        config: Config,
        random: Callable[[], float],
        options: WebSocketOptions,
        now: Callable[[], float],
        check: Callable[[], None],
    ) -> None:
        self._config = config
        self._random = random
        self._options = options
        self._now = now
        self._check = check
        self._line: Line[ConnectionT] | None = None
        self._link: ClientWebSocketLink
        self.outcome: Outcome

    def steps(self) -> Steps[ConnectionT, None]:
        """Yield what is to be done, until the WebSocket is open.

        Raises:
            CartesiaError: it could not be opened.
            LocalProtocolError: it was closed meanwhile, or there are no credentials.
        """
        operation = connecting(self._config, self._random)
        step = operation.start()
        while isinstance(step, Attempt):
            self._check()
            yield Sleep(step.delay)
            yield from self.attempt(step)
            step = operation.resume(self.outcome)

    def attempt(self, attempt: Attempt) -> Steps[ConnectionT, None]:
        """Yield what one attempt takes; only after a 101 does the connection stay open."""
        self.outcome = yield from self._attempt(attempt)

    def _attempt(self, attempt: Attempt) -> Steps[ConnectionT, Outcome]:
        connect: Connect[ConnectionT] = Connect(attempt)
        yield connect
        if connect.connection is None:
            return connect.failure or _unanswered()
        link = self._link = self._options.link(attempt, self._config.limits, self._now())
        line = self._line = Line(attempt, link, connect.connection, phase="handshake")
        outcome = yield from _shaken(line, link)
        if not (isinstance(outcome, Response) and outcome.status == 101):
            self._line = None
            yield from line.releasing(reusable=False)
        else:
            self._check()
        return outcome

    @property
    def opened(self) -> bool:
        """Whether the WebSocket is open, and its connection not `taken` yet."""
        return self._line is not None

    def taken(self) -> tuple[TTSConversation, ConnectionT]:
        """The conversation on the open WebSocket and its connection, which are the caller's from now on."""
        if self._line is None:
            raise AssertionError("the steps were not taken to their end")
        line, self._line = self._line, None
        conversation = TTSConversation(self._config, self._random, self._link, self._options.inbox_limit)
        return conversation, line.connection

    def abort(self) -> Release[ConnectionT] | None:
        """The step that is still to be taken where the others came to no end: closing the connection in use."""
        return None if self._line is None else self._line.release(reusable=False)


def _shaken(line: Line[ConnectionT], link: ClientWebSocketLink) -> Steps[ConnectionT, Outcome]:
    """Send the handshake and read until its outcome is known."""
    sent = Send(line)
    yield sent
    if sent.failure is not None:
        return sent.failure
    while (outcome := handshake_outcome(link)) is None:
        received = Receive(line)
        yield received
        if received.failure is not None:
            return received.failure
    return outcome


def _unanswered() -> Failure:
    raise AssertionError("a connection that could not be made has an error")
