"""Which loop a client belongs to, and what is refused on another."""

from typing import final

import pytest
from attrs import define

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.wire.homes import Home, running


class Runtime:
    """What runs just now."""

    loop: str | None = None


@final
@define(eq=False)
class Client(Home[str]):
    """It can be closed."""

    name: str
    kind = "spool"

    @staticmethod
    def current() -> str:
        """The loop that runs."""
        if Runtime.loop is None:
            raise RuntimeError
        return Runtime.loop

    def close(self) -> None:
        """Close it."""
        self._closed = True


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client that was not used yet, while a loop runs."""
    monkeypatch.setattr(Runtime, "loop", "first")
    return Client("name")


def test_what_runs(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    """A loop, or none."""
    assert running(client.current) == "first"
    monkeypatch.setattr(Runtime, "loop", None)
    assert running(client.current) is None


def test_the_first_loop_is_home(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    """From its first use on, and no other."""
    assert client.here
    assert client.loop is None
    assert client.check() == "first"
    assert client.loop == "first"
    assert client.here
    monkeypatch.setattr(Runtime, "loop", None)
    assert not client.here
    monkeypatch.setattr(Runtime, "loop", "second")
    assert not client.here
    for check in (client.check, client.check_loop):
        with pytest.raises(LocalProtocolError, match="another spool: make one client for each"):
            check()
    assert client.loop == "first"


def test_once_it_is_closed(client: Client) -> None:
    """It cannot be used, though its loop can."""
    client.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        client.check()
    assert client.loop is None
    assert client.check_loop() == "first"


def test_a_home_that_is_left(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    """The next loop is home then."""
    client.check()
    client.leave()
    monkeypatch.setattr(Runtime, "loop", "second")
    assert client.here
    assert client.check() == "second"
