"""The order and the race of a host's addresses (RFC 8305)."""

import errno
import math
from itertools import pairwise

import pytest

from cartesia_proto.wire.dialling import (
    ATTEMPT_DELAY,
    SHORTEST_ATTEMPT_DELAY,
    Found,
    Race,
    SocketAddress,
    in_order,
    literal,
    words,
)

A1, A2, A3 = ("192.0.2.1", 1), ("192.0.2.2", 1), ("192.0.2.3", 1)
B1, B2 = ("2001:db8::1", 1, 0, 0), ("2001:db8::2", 1, 0, 0)
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
ABSENT = OSError(errno.EAFNOSUPPORT, "Address family not supported")


def found(*addresses: tuple[object, ...]) -> Found:
    """What a look-up answers."""
    return [(0, 1, 6, "", address) for address in addresses]


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", ("127.0.0.1", 443)), ("::1", ("::1", 443, 0, 0)), ("a.test", None), ("fe80::1%eth0", None)],
)
def test_literals(host: str, address: SocketAddress | None) -> None:
    """An address is its own; a name and a zone must be looked up."""
    assert in_order(literal(host, 443), None) == ([] if address is None else [address])


def test_families_take_turns() -> None:
    """The resolver's first choice begins; each address comes once; what is no address is left out."""
    assert in_order(found(B1, B2, A1, A2, A3, A1), None) == [B1, A1, B2, A2, A3]
    assert in_order(found(A1, A2, B1), None) == [A1, B1, A2]
    assert in_order(found((10, b"no IPv6 here"), A1), None) == [A1]
    assert in_order(found(), None) == []


def test_a_local_address_has_one_family() -> None:
    """The others cannot be reached from it."""
    assert in_order(found(B1, A1, B2), "192.0.2.9") == [A1]
    assert in_order(found(B1, A1, B2), "::1") == [B1, B2]


def test_the_next_begins_beside_a_silent_one() -> None:
    """After a moment; then there is only the end to be waited for."""
    race = Race([A1, A2], 100.0)
    assert race.next(0.0) == A1
    assert race.next(0.0) is None
    assert race.pause(0.0) == ATTEMPT_DELAY
    assert race.pause(9.0) == 0.0
    assert race.next(ATTEMPT_DELAY) == A2
    assert race.next(50.0) is None
    assert race.pause(50.0) == 50.0
    assert race.tried == ""
    with pytest.raises(TimeoutError) as caught:
        race.next(100.0)
    assert caught.value.errno is None


@pytest.mark.parametrize("seconds", [0.5, 1.0, 10.0, math.inf])
def test_all_are_tried_in_time(seconds: float) -> None:
    """However many are silent, the last one begins before time is up, and has as much of it as each of the others."""
    now, begun = 7.0, [7.0]
    race = Race([A1] * 6, now + seconds)
    race.next(now)
    while len(begun) < 6:
        now += race.pause(now)
        if race.next(now) is not None:
            begun.append(now)
    delays = [later - earlier for earlier, later in pairwise(begun)]
    assert delays == pytest.approx([min(ATTEMPT_DELAY, seconds / 6)] * 5)


def test_a_crowd_of_addresses() -> None:
    """They do not all begin at once, however little time there is."""
    race = Race([A1] * 1000, 1.0)
    race.next(0.0)
    assert race.pause(0.0) == SHORTEST_ATTEMPT_DELAY


def test_the_next_begins_when_one_has_failed() -> None:
    """At once. Another may still answer when there is none left to begin."""
    race = Race([A1, A2, A3], math.inf)
    assert race.next(0.0) == A1
    race.failed(A1, REFUSED)
    assert race.pause(0.0) == 0.0
    assert race.next(0.0) == A2
    assert race.next(ATTEMPT_DELAY) == A3
    race.failed(A2, REFUSED)
    assert race.next(1.0) is None
    assert race.pause(1.0) == math.inf
    assert "192.0.2.1: Connection refused" in race.tried
    race.failed(A3, REFUSED)
    with pytest.raises(ConnectionRefusedError):
        race.next(1.0)


def test_what_is_said_of_failures() -> None:
    """What a peer did says more than what this machine lacks; the list is complete, or cut."""
    race = Race([B1, A1], math.inf)
    for address, error in ((B1, ABSENT), (A1, REFUSED)):
        assert race.next(0.0) == address
        race.failed(address, error)
    with pytest.raises(ConnectionRefusedError):
        race.next(0.0)
    assert race.tried == " (2001:db8::1: Address family not supported, 192.0.2.1: Connection refused)"
    many = Race([A1] * 6, math.inf)
    for _ in range(6):
        many.next(0.0)
        many.failed(A1, OSError("odd"))
    assert many.tried.endswith("192.0.2.1: odd, 2 more)")


def test_one_failure_is_said_once() -> None:
    """The error itself has it."""
    race = Race([A1], math.inf)
    race.next(0.0)
    race.failed(A1, REFUSED)
    assert race.tried == ""


def test_words() -> None:
    """The system's, whatever a runtime makes of them; of what has none, its kind."""
    assert words(OSError(errno.ECONNREFUSED, "Connect call failed")) == "Connection refused"
    assert [words(OSError(1, "odd")), words(OSError("odd")), words(ValueError("odd"))] == ["odd"] * 3
    assert [words(ConnectionResetError()), words(ValueError())] == ["ConnectionResetError", "ValueError"]
