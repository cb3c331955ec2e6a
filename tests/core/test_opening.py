"""Opening a WebSocket as steps: attempts, and what becomes of each connection."""

import pytest

from cartesia_proto.config import Config, Limits
from cartesia_proto.conversation import WebSocketOptions
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import AuthenticationError, ConnectError, ConnectionLost, LocalProtocolError
from cartesia_proto.http import Response
from cartesia_proto.opening import Opening
from cartesia_proto.performing import Receive, Send, Step
from cartesia_proto.testing import half
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.websocket import ServerWebSocketLink
from tests.core.conftest import Connection, World


class Upgrader:
    """A server that says yes to a WebSocket."""

    def __init__(self) -> None:
        self.http = ServerLink(10.0, Limits())

    def receive_data(self, data: bytes) -> bytes:
        """Take the handshake, and return the 101."""
        self.http.receive_data(data, 0.0)
        head = self.http.next_event()
        assert isinstance(head, RequestHead)
        return ServerWebSocketLink(self.http, head, limits=Limits(), now=0.0).data_to_send()


class Gate:
    """Whether the WebSocket was closed meanwhile."""

    def __init__(self) -> None:
        self.closed = False

    def check(self) -> None:
        """Raise if so."""
        if self.closed:
            raise LocalProtocolError("the WebSocket is closed")


def opening(gate: Gate | None = None) -> Opening[Connection]:
    """One try, which may retry once."""
    config = Config(base_url="http://peer.test", credentials=ApiKey("key"), max_retries=1)
    return Opening(config, half, WebSocketOptions(), lambda: 0.0, (gate or Gate()).check)


def test_a_websocket_that_opens() -> None:
    """The conversation and the connection are the caller's from then on, and nothing is left to be closed."""
    connection = Connection(peer=Upgrader())
    world, made = World(connection), opening()
    assert not made.opened
    world.take(made.steps())
    assert made.opened
    conversation, taken = made.taken()
    assert not made.opened
    assert taken is connection
    assert conversation.link.state == "open"
    assert world.taken == ["Sleep", "Connect", "Send", "Receive"]
    assert made.abort() is None
    assert connection.released == []


def test_a_refusal() -> None:
    """It is the error of the try; its connection is closed."""
    connection = Connection(Response(401))
    world, made = World(connection), opening()
    with pytest.raises(AuthenticationError):
        world.take(made.steps())
    assert connection.released == [False]
    assert made.abort() is None


def test_a_retry() -> None:
    """What passes is tried again, on another connection."""
    first, second = Connection(Response(503)), Connection(peer=Upgrader())
    world, made = World(first, second), opening()
    world.take(made.steps())
    assert made.taken()[1] is second
    assert first.released == [False]


def test_connecting_fails() -> None:
    """The error of the last attempt is that of the try."""
    world, made = World(ConnectError("no"), ConnectError("no more")), opening()
    with pytest.raises(ConnectError, match="no more"):
        world.take(made.steps())
    assert made.abort() is None


@pytest.mark.parametrize("kind", [Send, Receive])
def test_a_step_that_fails(kind: type) -> None:
    """The connection is closed; a lost connection is no failure that is tried again for nothing."""
    first, second = Connection(peer=Upgrader()), Connection(peer=Upgrader())
    world, made = World(first, second), opening()

    def fail(step: Step[Connection]) -> None:
        if isinstance(step, Send | Receive) and isinstance(step, kind) and step.line.connection is first:
            raise ConnectionLost("gone")

    world.before = fail
    world.take(made.steps())
    assert first.released == [False]
    assert made.taken()[1] is second


def test_closing_meanwhile() -> None:
    """What was closed is not opened: the connection is for the driver to close."""
    gate, connection = Gate(), Connection(peer=Upgrader())
    world, made = World(connection), opening(gate)

    def close(step: Step[Connection]) -> None:
        gate.closed = isinstance(step, Receive)

    world.before = close
    with pytest.raises(LocalProtocolError, match="closed"):
        world.take(made.steps())
    world.before = type
    world.perform(made.abort())
    assert connection.released == [False]
    with pytest.raises(LocalProtocolError, match="closed"):
        world.take(opening(gate).steps())
