"""Which kept-alive connection is used, kept or closed; connections are plain strings here."""

import pytest

from cartesia_proto.errors import CartesiaError, ConnectError, ConnectionLost, IncompleteStream, TimeoutError
from cartesia_proto.wire.pool import IDLE_SECONDS, Pool, Taken, replace_stale, whole_records


def test_an_empty_pool_has_nothing() -> None:
    """Taking from an empty pool answers no connection and nothing to close."""
    pool: Pool[str, str] = Pool()
    assert pool.take("origin", 0.0) == Taken(None, ())


def test_the_most_recently_used_is_taken_first() -> None:
    """The connection given back last is the least likely to be stale."""
    pool: Pool[str, str] = Pool()
    pool.give_back("origin", "first", 0.0)
    pool.give_back("origin", "second", 1.0)
    taken = [pool.take("origin", 2.0).connection for _ in range(3)]
    assert taken == ["second", "first", None]


def test_keys_are_kept_apart() -> None:
    """A connection serves only the key it was given back under."""
    pool: Pool[tuple[str, int], str] = Pool()
    pool.give_back(("a", 1), "to a", 0.0)
    assert pool.take(("b", 1), 0.0).connection is None
    assert pool.take(("a", 1), 0.0).connection == "to a"


def test_expired_connections_are_returned_for_closing() -> None:
    """What was idle too long is dropped whatever key is asked for, and only that."""
    pool: Pool[str, str] = Pool()
    pool.give_back("a", "old", 0.0)
    pool.give_back("b", "older", 0.0)
    pool.give_back("a", "young", 1.0)
    assert pool.take("a", IDLE_SECONDS) == Taken("young", ("old", "older"))
    assert pool.take("a", IDLE_SECONDS) == Taken(None, ())


def test_the_limit_of_one_key_drops_the_oldest() -> None:
    """Over the limit of a key, its connection used longest ago is closed."""
    pool: Pool[str, str] = Pool(max_idle_per_key=2)
    assert pool.give_back("a", "1", 0.0) == ()
    assert pool.give_back("b", "other", 0.0) == ()
    assert pool.give_back("a", "2", 1.0) == ()
    assert pool.give_back("a", "3", 2.0) == ("1",)


def test_the_limit_in_all_drops_the_oldest() -> None:
    """Over the limit in all, the connection used longest ago is closed, whoever it goes to."""
    pool: Pool[str, str] = Pool(max_idle=2)
    pool.give_back("a", "1", 0.0)
    pool.give_back("b", "2", 1.0)
    assert pool.give_back("c", "3", 2.0) == ("1",)
    assert pool.close_all() == ("2", "3")


def test_a_pool_of_none_keeps_none() -> None:
    """With a limit of 0 every connection is closed after its request."""
    pool: Pool[str, str] = Pool(max_idle=0)
    assert pool.give_back("a", "1", 0.0) == ("1",)


def test_discard_forgets_that_one_alone() -> None:
    """A connection that ended by itself is forgotten by identity; an unknown one changes nothing."""
    pool: Pool[str, list[int]] = Pool()
    kept: list[int] = []
    ended: list[int] = []
    pool.give_back("a", kept, 0.0)
    pool.give_back("a", ended, 1.0)
    pool.discard(ended)
    pool.discard([])
    assert pool.take("a", 2.0).connection is kept
    assert pool.take("a", 2.0).connection is None


def test_a_closed_pool_keeps_nothing() -> None:
    """Closing answers everything idle, and what is given back later is closed too."""
    pool: Pool[str, str] = Pool()
    pool.give_back("a", "1", 0.0)
    assert pool.close_all() == ("1",)
    assert pool.give_back("a", "2", 1.0) == ("2",)
    assert pool.take("a", 1.0) == Taken(None, ())
    assert pool.close_all() == ()


def test_a_stale_connection_is_replaced() -> None:
    """A reused connection that ended before any byte of the response is replaced."""
    assert replace_stale(reused=True, response_started=False, replaced_already=False, error=ConnectionLost("it ended"))


@pytest.mark.parametrize(
    ("reused", "response_started", "replaced_already", "error"),
    [
        (False, False, False, ConnectionLost("a fresh one")),
        (True, True, False, ConnectionLost("in the middle of the head")),
        (True, False, True, ConnectionLost("for the second time")),
        (True, False, False, TimeoutError("time ran out")),
        (True, False, False, ConnectError("never connected")),
        (True, False, False, IncompleteStream("a body was cut")),
    ],
)
def test_nothing_else_is_replaced(
    reused: bool, response_started: bool, replaced_already: bool, error: CartesiaError
) -> None:
    """Fresh connections, started responses, second times and other failures are not."""
    assert not replace_stale(
        reused=reused, response_started=response_started, replaced_already=replaced_already, error=error
    )


RECORD = b"\x17\x03\x03\x00\x03abc"


@pytest.mark.parametrize("data", [RECORD, RECORD * 3, b"\x16\x03\x03\x00\x00"])
def test_whole_records(data: bytes) -> None:
    """TLS takes all of it, and holds nothing back unseen."""
    assert whole_records(data)


@pytest.mark.parametrize("data", [b"", RECORD[:4], RECORD[:-1], RECORD + RECORD[:5], b"HTTP/1.1 408 Too late\r\n\r\n"])
def test_no_whole_records(data: bytes) -> None:
    """Nothing, the beginning of a record, or no record at all."""
    assert not whole_records(data)
