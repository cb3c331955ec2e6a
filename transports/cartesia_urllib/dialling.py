"""One try to connect a WebSocket, by one thread, which any other may end.

This module knows how an attempt is made, and what is made of a connection that stands. It must not know who needs it,
nor when to try again: the core's `Multiplexer` does.
"""

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import final

from cartesia_proto.config import Config
from cartesia_proto.conversation import WebSocketOptions, handshake_outcome
from cartesia_proto.errors import RemoteProtocolError, TransportError
from cartesia_proto.exclusion import Exclusion
from cartesia_proto.flow import Attempt, Failure, Outcome
from cartesia_proto.http import Response
from cartesia_proto.multiplexer import Multiplexer
from cartesia_proto.waiters import Waiters
from cartesia_proto.wire.exchange import could_not_connect
from cartesia_proto.wire.forks import FORKS
from cartesia_urllib.network import Network
from cartesia_urllib.pump import Pump
from cartesia_urllib.sockets import Interrupter, flush, read


@final
class Dial:
    """One try, with as many attempts as are allowed.

    Args:
        user: for whose sake; it is interrupted when the client is closed.

    Raises:
        LocalProtocolError: the client is closed.

    Attributes:
        pump: moves the bytes of the connection, once there is one.
        outcome: of the last attempt.
    """

    def __init__(self, network: Network, options: WebSocketOptions, user: Multiplexer) -> None:
        self.pump: Pump | None = None
        self.outcome: Outcome
        self._network = network
        self._options = options
        self._user = user
        self._interrupter = Interrupter()
        network.use(user)

    @property
    def given_up(self) -> bool:
        """Whether it was interrupted: then there is no use in what came of it."""
        return self._interrupter.interrupted

    def interrupt(self) -> None:
        """End it at once. Never raises, from any thread."""
        self._interrupter.interrupt()

    def attempt(self, attempt: Attempt) -> None:
        """Attempt it; waits. Whatever it is left by, no connection stays open but that of `pump`."""
        self._interrupter.pause(attempt.delay)
        self.outcome = self._attempt(attempt)

    def _attempt(self, attempt: Attempt) -> Outcome:
        origin, timeout, interrupter = attempt.request.origin, attempt.timeout, self._interrupter
        try:
            sock = self._network.connector.open(attempt, interrupter)
            with interrupter:
                link = self._options.link(attempt, self._network.connector.limits, time.monotonic())
                flush(sock, link, origin[1:], timeout, "handshake")
                while (outcome := handshake_outcome(link)) is None:
                    read(sock, link)
                if isinstance(outcome, Response) and outcome.status == 101:
                    self.pump = Pump(sock, self._user.begin(link, self._options.inbox_limit))
                    interrupter.attach()  # from here on it is ended by the pump alone
            return outcome
        except (TransportError, RemoteProtocolError) as error:
            return Failure(error)
        except OSError as error:  # there are too many descriptors
            return Failure(could_not_connect(*origin[1:], error))
        finally:
            interrupter.close()


def turns(mend: Callable[[], None]) -> Exclusion:
    """One thread at a time; a signal handler may interrupt the one whose turn it is."""
    return Exclusion(mend, threading.RLock())


def waiters() -> Waiters:
    """Nobody yet; threads wait on locks."""
    return Waiters(threading.get_ident, threading.Lock)


def multiplexer(network: Network, config: Config, options: WebSocketOptions) -> Multiplexer:
    """The connections of one WebSocket, none of which is made yet."""
    made = Multiplexer(config, random.random, turns, waiters, partial(Dial, network, options), time.monotonic)
    return FORKS.watch(made, Multiplexer.begin_anew)
