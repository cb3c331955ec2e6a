"""How much of a body is read, and what becomes of a compressed one."""

import gzip
import random
import zlib

import pytest
from attrs import evolve

from cartesia_proto.errors import RemoteProtocolError
from cartesia_proto.http import Headers, Response
from cartesia_proto.wire.bodies import BodyCollector, check_head, content_coding, readable


def coded(status: int, coding: str) -> Response:
    """A response head with a Content-Encoding."""
    return Response(status, Headers.received([("Content-Encoding", coding)]))


def test_a_body_is_collected() -> None:
    """Pieces are joined; the head stays as it was."""
    head = Response(200, Headers([("X-Request-Id", "1")]))
    collector = BodyCollector(head, 10, 0)
    collector.receive_data(b"hello")
    collector.receive_data(b"world")
    assert not collector.full
    assert collector.finish() == Response(200, head.headers, b"helloworld")


def test_a_success_over_its_limit_is_refused() -> None:
    """One byte over the limit raises, and the message names the limit."""
    collector = BodyCollector(Response(200), 10, 100)
    collector.receive_data(b"0123456789")
    with pytest.raises(RemoteProtocolError, match="limit of 10 bytes"):
        collector.receive_data(b"!")


def test_an_error_over_its_limit_is_cut() -> None:
    """The status of an error is never lost: its body is cut, and the shell may stop reading."""
    collector = BodyCollector(Response(503), 100, 10)
    collector.receive_data(b"0123456789")
    assert not collector.full
    collector.receive_data(b"!")
    assert collector.full
    collector.receive_data(b"more")
    assert collector.finish() == Response(503, body=b"0123456789")


@pytest.mark.parametrize("coding", ["identity", "Identity ", "", ",", "identity,", " , Identity ,, identity"])
def test_identity_is_no_coding(coding: str) -> None:
    """A body that says it is not compressed is accepted."""
    assert content_coding(coded(200, coding)) is None
    check_head(coded(200, coding))


def test_a_compressed_success_is_refused() -> None:
    """The message names the coding; a long one is not repeated whole."""
    with pytest.raises(RemoteProtocolError, match="Content-Encoding 'gzip'"):
        check_head(coded(200, "gzip"))
    with pytest.raises(RemoteProtocolError) as caught:
        BodyCollector(coded(206, "x" * 1000), 10, 10)
    assert len(str(caught.value)) < 200


def test_every_coding_counts() -> None:
    """Codings are a list, which may be spread over several fields."""
    spread = Headers.received([("Content-Encoding", "identity"), ("content-encoding", ", br ,gzip")])
    assert content_coding(Response(200, spread)) == "br, gzip"


SAID = b'{"message":"no such voice"}\n'


@pytest.mark.parametrize(
    ("coding", "sent"),
    [
        ("gzip", SAID),
        ("br", SAID),
        ("klingon, gzip", SAID),
        ("gzip", gzip.compress(SAID, mtime=0)),
        ("deflate", zlib.compress(SAID)),
        ("zstd", gzip.compress(SAID, mtime=0)),
        ("gzip", gzip.compress(SAID, mtime=0)[:-6]),
        ("gzip", gzip.compress(SAID, mtime=0)[:-8] + b"garbage!"),
    ],
)
def test_a_compressed_error_is_read(coding: str, sent: bytes) -> None:
    """Whatever it says of its compression, and whether it is whole."""
    collector = BodyCollector(coded(429, coding), 10, 1000)
    collector.receive_data(sent)
    assert not collector.full
    assert collector.finish() == evolve(coded(429, coding), body=SAID)


def test_a_compressed_error_is_inflated_to_the_limit() -> None:
    """However much would come of it."""
    collector = BodyCollector(coded(429, "gzip"), 10, 5000)
    collector.receive_data(gzip.compress(b"x" * 10_000_000, mtime=0)[:5000])
    assert collector.finish().body == b"x" * 5000


@pytest.mark.parametrize("body", [b"\x1b\x00", gzip.compress(b"x", mtime=0)[:5], b""])
def test_a_compressed_error_keeps_its_status(body: bytes) -> None:
    """A body that cannot be read is left out; its status says enough."""
    collector = BodyCollector(coded(429, "br"), 10, 10)
    collector.receive_data(body)
    assert collector.finish() == coded(429, "br")


def test_what_is_inflated_before_a_fault_is_kept() -> None:
    """As much as can be read."""
    whole = gzip.compress(bytes(range(32, 127)) * 200 + random.Random(0).randbytes(5000), mtime=0)
    body = readable(whole[:3000] + b"\0" * 3000, 100_000)
    assert body.startswith(bytes(range(32, 127)) * 100)
