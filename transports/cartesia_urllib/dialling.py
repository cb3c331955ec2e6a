"""One try to connect a WebSocket, by one thread, which any other may end.

This module knows how an attempt is made, and what is made of a connection that stands. It must not know who needs it,
nor when to try again: the core's `Multiplexer` does.
"""

import random
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import cast, final

from cartesia_proto import Attempt, Config, Failure, Outcome
from cartesia_proto.conversation import WebSocketOptions
from cartesia_proto.exclusion import Exclusion
from cartesia_proto.multiplexer import Multiplexer
from cartesia_proto.opening import Opening
from cartesia_proto.waiters import Waiters
from cartesia_proto.wire.exchange import could_not_connect
from cartesia_proto.wire.forks import FORKS
from cartesia_urllib.network import Connection, Network
from cartesia_urllib.pump import Pump
from cartesia_urllib.sending import perform
from cartesia_urllib.sockets import Interrupter


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

    def __init__(self, network: Network, config: Config, options: WebSocketOptions, user: Multiplexer) -> None:
        self.pump: Pump | None = None
        self.outcome: Outcome
        self._network = network
        self._user = user
        self._interrupter = Interrupter()
        self._opening: Opening[Connection] = Opening(config, random.random, options, time.monotonic, network.check)
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
        interrupter = self._interrupter
        interrupter.pause(attempt.delay)
        try:
            for step in self._opening.attempt(attempt):
                with step:
                    perform(self._network, step, interrupter)
            self.outcome = self._opening.outcome
            if self._opening.opened:
                conversation, connection = self._opening.taken()
                self.pump = Pump(cast("socket.socket", connection), self._user.begin(conversation))
                interrupter.attach()  # from here on it is ended by the pump alone
        except OSError as error:  # there are too many descriptors
            self.outcome = Failure(could_not_connect(*attempt.request.origin[1:], error))
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
    made = Multiplexer(config, random.random, turns, waiters, partial(Dial, network, config, options), time.monotonic)
    return FORKS.watch(made, Multiplexer.begin_anew)
