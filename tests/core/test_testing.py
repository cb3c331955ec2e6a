"""The kit for transport authors, tested with the core's own calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_proto.call import Call
from cartesia_proto.config import Config, Limits
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import JsonValue, LocalProtocolError, NotFoundError, RemoteProtocolError
from cartesia_proto.flow import Attempt, Done, Operation
from cartesia_proto.http import Headers, Response
from cartesia_proto.testing import Clock, ScriptedPeer, every_split, half, run, split
from cartesia_proto.wire.http1 import BodyData, ClientLink, EndOfBody, ResponseHead

CONFIG = Config(base_url="http://peer.test", credentials=ApiKey("sk_car_test"))
BUSY = Response(503, Headers([("retry-after", "3")]))
HELLO = Response(200, body=b'{"hello": 1}')


def ask() -> Operation[JsonValue]:
    """One call, ready to start."""
    return Call.json("POST", "/foo", body={"a": 1}).operation(CONFIG, half)


def request_bytes() -> bytes:
    """The same call as a client link writes it."""
    step = ask().start()
    assert isinstance(step, Attempt)
    link = ClientLink(10.0, Limits())
    link.send_request(step.request, len(step.request.body) if isinstance(step.request.body, bytes) else 0, 0.0)
    link.send_body(b'{"a":1}')
    link.end_request()
    return link.data_to_send()


def test_split_leaves_no_empty_piece() -> None:
    """Sizes are taken in order, the rest is the last piece, and what is empty is left out."""
    assert split(b"abcdef", [1, 0, 2]) == [b"a", b"bc", b"def"]
    assert split(b"abc", [2, 9, 9]) == [b"ab", b"c"]
    assert split(b"", [1]) == []


def test_split_refuses_a_negative_size() -> None:
    """A negative size would give bytes twice."""
    with pytest.raises(LocalProtocolError, match="-1 bytes"):
        split(b"abc", [2, -1])


@given(data=st.binary(max_size=20), sizes=st.lists(st.integers(0, 9)))
def test_split_keeps_every_byte(data: bytes, sizes: list[int]) -> None:
    """Pieces put together are the data again, whatever the sizes."""
    assert b"".join(split(data, sizes)) == data


def test_every_split_cuts_at_every_place() -> None:
    """Whole, once at each place, byte by byte."""
    assert list(every_split(b"abc")) == [[b"abc"], [b"a", b"bc"], [b"ab", b"c"], [b"a", b"b", b"c"]]
    assert list(every_split(b"")) == [[]]


def test_clock_moves_when_told() -> None:
    """Time is set or advanced, and does not go back."""
    clock = Clock(5.0)
    assert clock.advance(2.5) == clock.now == 7.5
    clock.now = 100.0
    with pytest.raises(LocalProtocolError, match="-1"):
        clock.advance(-1)
    assert clock.now == 100.0


def test_run_answers_attempts_in_order() -> None:
    """Attempts carry what a transport is asked to do; the value is the call's, and surplus answers are left alone."""
    transcript = run(ask(), [BUSY, HELLO, BUSY])
    assert [attempt.delay for attempt in transcript.attempts] == [0.0, 3.0]
    assert transcript.result == Done({"hello": 1})
    assert transcript.value == {"hello": 1}


def test_half_gives_the_middle_of_every_delay() -> None:
    """The first own delay is between 0.375 and 0.5 seconds; without chance it is their mean."""
    assert [attempt.delay for attempt in run(ask(), [Response(503), HELLO]).attempts] == [0.0, 0.4375]


def test_run_reports_the_error_a_call_ends_in() -> None:
    """The error is the result; asking for the value raises it."""
    transcript = run(ask(), [Response(404, body=b"no such thing")])
    assert isinstance(transcript.result, NotFoundError)
    with pytest.raises(NotFoundError, match="no such thing"):
        _ = transcript.value


def test_run_wants_an_answer_for_every_attempt() -> None:
    """A script that is too short is the script's fault, and the operation is over."""
    operation = ask()
    with pytest.raises(LocalProtocolError, match="attempt 2 has no answer"):
        run(operation, [BUSY])
    with pytest.raises(LocalProtocolError, match="over"):
        operation.resume(HELLO)


def test_peer_answers_and_records() -> None:
    """In any segmentation: the answer comes once the request is whole, and the connection is kept."""
    sent = request_bytes()
    for pieces in every_split(sent):
        peer = ScriptedPeer([HELLO, BUSY])
        answer = b"".join(peer.receive_data(piece) for piece in pieces)
        link = ClientLink(10.0, Limits())
        step = ask().start()
        assert isinstance(step, Attempt)
        link.send(step.request, 0.0)
        link.receive_data(answer, 0.0)
        assert isinstance(link.next_event(), ResponseHead)
        assert link.next_event() == BodyData(b'{"hello": 1}')
        assert link.next_event() == EndOfBody()
        assert [(one.method, one.target, one.body) for one in peer.received] == [("POST", "/foo", b'{"a":1}')]
        assert not peer.closed


def test_peer_records_headers_and_keeps_the_connection() -> None:
    """Credentials arrive and are hidden; the second request on the same connection gets the second answer."""
    peer = ScriptedPeer([HELLO, BUSY])
    assert peer.receive_data(request_bytes()).startswith(b"HTTP/1.1 200")
    assert ("Authorization", "Bearer sk_car_test") in peer.received[0].headers.reveal()
    assert "sk_car" not in repr(peer.received)
    assert peer.receive_data(request_bytes()).startswith(b"HTTP/1.1 503")


def test_peer_sends_bytes_as_they_are_and_closes() -> None:
    """Raw bytes may be anything; after them nothing is read."""
    peer = ScriptedPeer([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", HELLO])
    assert peer.receive_data(request_bytes()).endswith(b"short")
    assert peer.closed
    assert peer.receive_data(request_bytes()) == b""
    assert len(peer.received) == 1


def test_peer_without_answers_closes() -> None:
    """A request that finds no answer is recorded, and the connection ends."""
    peer = ScriptedPeer([])
    assert peer.receive_data(request_bytes()) == b""
    assert peer.closed
    assert len(peer.received) == 1


def test_peer_closes_where_its_answer_says_so() -> None:
    """A response with ``Connection: close`` is the last."""
    peer = ScriptedPeer([Response(200, Headers([("Connection", "close")]))])
    assert peer.receive_data(request_bytes()).startswith(b"HTTP/1.1 200")
    assert peer.closed


def test_peer_complains_of_a_client_that_speaks_no_http() -> None:
    """The client under test is the one at fault, so the kit says so at once."""
    with pytest.raises(RemoteProtocolError):
        ScriptedPeer([HELLO]).receive_data(b"\x16\x03\x01 garbage\r\n\r\n")
