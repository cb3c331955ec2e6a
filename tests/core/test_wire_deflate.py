"""permessage-deflate: what is agreed on, and what wsproto's frames become with it."""

import tracemalloc
import zlib

import pytest
import wsproto.events as told
from wsproto.connection import CLIENT, SERVER, Connection
from wsproto.frame_protocol import CloseReason

from cartesia_proto.errors import RemoteProtocolError
from cartesia_proto.wire.deflate import MOST_STREAMS, Deflate, accept_offer, read_answer


def frame(first: int, payload: bytes) -> bytes:
    """A frame of a server."""
    return bytes([first, len(payload)]) + payload


def frame_of(first: int, payload: bytes) -> bytes:
    """A longer one."""
    return bytes([first, 126]) + len(payload).to_bytes(2) + payload


def compressed(data: bytes) -> bytes:
    """One message, by a compressor that has seen nothing."""
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def heard(data: bytes, deflate: Deflate | None = None) -> list[told.Event]:
    """What a client's wsproto makes of bytes."""
    connection = Connection(CLIENT, [deflate or Deflate()])
    connection.receive_data(data)
    return list(connection.events())


def text(events: list[told.Event]) -> str:
    """All the text of them."""
    return "".join(event.data for event in events if isinstance(event, told.TextMessage))


def test_both_ways() -> None:
    """What one side says the other hears, compressed, with a memory of earlier messages."""
    client, server = Connection(CLIENT, [Deflate()]), Connection(SERVER, [Deflate()])
    sizes: list[int] = []
    for _ in range(3):
        for sender, receiver in ((client, server), (server, client)):
            said = sender.send(told.TextMessage("hello " * 100))
            sizes.append(len(said))
            receiver.receive_data(bytes(said))
            assert text(list(receiver.events())) == "hello " * 100
    assert sizes[0] < 60
    assert sizes[-1] < sizes[1]


def test_an_empty_message() -> None:
    """Twice: a compressor with nothing to say says nothing at all the second time."""
    client, server = Connection(CLIENT, [Deflate()]), Connection(SERVER, [Deflate()])
    for said in ("", "", "x", ""):
        server.receive_data(bytes(client.send(told.TextMessage(said))))
        (event,) = server.events()
        assert isinstance(event, told.TextMessage)
        assert (event.data, event.message_finished) == (said, True)


def test_fragments_with_control_frames_between() -> None:
    """Only the first frame says that the message is compressed; control frames never are, and change nothing."""
    server = Connection(SERVER, [Deflate()])
    said = server.send(told.TextMessage("hello ", message_finished=False))
    said += server.send(told.Ping(b"ping"))
    said += server.send(told.TextMessage("world"))
    events = heard(bytes(said))
    assert text(events) == "hello world"
    assert told.Ping(b"ping") in events


def test_messages_that_are_not_compressed() -> None:
    """Each message has the choice; the memory of the compressor is not disturbed."""
    deflater = zlib.compressobj(wbits=-15)
    parts = [
        (deflater.compress(b"hello " * 9) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")
        for _ in range(2)
    ]
    assert text(heard(frame(0xC1, parts[0]) + frame(0x81, b"plain ") + frame(0xC1, parts[1]))) == (
        "hello " * 9 + "plain " + "hello " * 9
    )


@pytest.mark.parametrize("first", [0xC9, 0xC8, 0xCA])
def test_a_control_frame_that_says_it_is_compressed(first: int) -> None:
    """RFC 7692 section 6.1 has the bit for data alone."""
    (event,) = heard(frame(first, b""))
    assert isinstance(event, told.CloseConnection)
    assert event.code is CloseReason.PROTOCOL_ERROR


def test_a_continuation_that_says_it_is_compressed() -> None:
    """The first frame speaks for the message."""
    *_, event = heard(frame(0x41, b"") + frame(0xC0, b""))
    assert isinstance(event, told.CloseConnection)
    assert event.code is CloseReason.PROTOCOL_ERROR


@pytest.mark.parametrize("first", [0xA1, 0x91, 0xE1])
def test_the_other_bits_stay_reserved(first: int) -> None:
    """The extension has one of the three."""
    (event,) = heard(frame(first, b""))
    assert isinstance(event, told.CloseConnection)


def test_what_cannot_be_inflated() -> None:
    """A violation like any other."""
    (event,) = heard(frame(0xC1, b"\xff\xff\xff"))
    assert isinstance(event, told.CloseConnection)
    assert (event.code, event.reason) == (
        CloseReason.PROTOCOL_ERROR,
        "a compressed message that cannot be inflated",
    )


def test_a_peer_that_ends_its_streams() -> None:
    """RFC 7692 section 7.2.3.4: a message may end in a final block and a zero byte; the next begins anew."""
    deflater = zlib.compressobj(wbits=-15)
    ended = deflater.compress(b"hello") + deflater.flush(zlib.Z_FINISH) + b"\x00"
    assert text(heard(frame(0xC1, ended) + frame(0xC1, ended) + frame(0xC1, compressed(b"!")))) == "hellohello!"


def ended_streams(count: int) -> bytes:
    """The smallest streams there are, each ended and empty."""
    deflater = zlib.compressobj(wbits=-15)
    return deflater.flush(zlib.Z_FINISH) * count


def test_streams_that_end_within_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some may, in each frame; of thousands the first few cost anything, and the peer is told which way it went."""
    made: list[int] = []
    make = zlib.decompressobj

    def counted(window: int) -> object:
        made.append(window)
        return make(window)

    monkeypatch.setattr(zlib, "decompressobj", counted)
    most = frame_of(0x41, ended_streams(MOST_STREAMS)) + frame_of(0x80, ended_streams(MOST_STREAMS) + b"\x00")
    assert text(heard(most + frame(0xC1, compressed(b"!")))) == "!"
    assert len(made) == 1 + 2 * MOST_STREAMS
    made.clear()
    (event,) = heard(frame_of(0xC1, ended_streams(8000)))
    assert isinstance(event, told.CloseConnection)
    assert event.code is CloseReason.MESSAGE_TOO_BIG
    assert event.reason == "a compressed frame ends more than 64 deflate streams"
    assert len(made) == 1 + MOST_STREAMS


@pytest.mark.parametrize(("size", "fits"), [(100, True), (101, False), (10**7, False)])
@pytest.mark.parametrize("parts", [1, 2])
def test_no_more_is_inflated_than_a_message_may_have(*, size: int, fits: bool, parts: int) -> None:
    """Over all its frames, and anew for each message; of a longer one, a single byte too many is made."""
    server, deflate = Connection(SERVER, [Deflate()]), Deflate()
    deflate.limit = 100
    said = bytes(server.send(told.TextMessage("y" * 100)))
    for part in range(parts):
        piece = "x" * (size // parts + (part == 0) * (size % parts))
        said += bytes(server.send(told.TextMessage(piece, message_finished=part + 1 == parts)))
    tracemalloc.start()
    try:
        events = heard(said, deflate)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500_000
    assert text(events)[:100] == "y" * 100
    if fits:
        assert text(events)[100:] == "x" * size
        return
    end = events[-1]
    assert isinstance(end, told.CloseConnection)
    assert end.code is CloseReason.MESSAGE_TOO_BIG
    assert end.reason == "a message is longer than the limit of 100 bytes"


def test_a_peer_that_forgets() -> None:
    """With server_no_context_takeover nothing of an earlier message may be used, or need to be known."""
    alike = frame(0xC1, compressed(b"hello"))
    assert text(heard(alike + alike, read_answer("permessage-deflate; server_no_context_takeover"))) == "hellohello"
    forgetful = Connection(SERVER, [Deflate(forget_sent=True)])
    said = {bytes(forgetful.send(told.TextMessage("hello"))) for _ in range(3)}
    assert len(said) == 1


@pytest.mark.parametrize(
    "answer",
    [
        "permessage-deflate",
        "permessage-deflate; server_max_window_bits=10; server_no_context_takeover;client_no_context_takeover",
        'permessage-deflate ; server_max_window_bits = "8"',
    ],
)
def test_answers_to_our_offer(answer: str) -> None:
    """A server may bind itself, and ask the client to forget (RFC 7692 section 7.1)."""
    deflate = read_answer(answer)
    assert deflate.enabled()
    assert deflate.offer() is True


@pytest.mark.parametrize(
    "answer",
    [
        "x-webkit-deflate-frame",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate; client_max_window_bits=10",  # it was not offered
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=canary",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; fast",
        ",",
    ],
)
def test_answers_that_were_not_offered(answer: str) -> None:
    """They fail the handshake, without repeating what was received."""
    with pytest.raises(RemoteProtocolError, match="not offered") as caught:
        read_answer(answer)
    assert caught.value.scope == "connection"
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=9", "permessage-deflate"),
        ("permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=9"),
        (
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ),
        ("other; x=1, permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate"),
    ],
)
def test_offers_that_are_met(offer: str, answer: str) -> None:
    """The first that can be, in its own terms."""
    deflate = accept_offer(offer)
    assert deflate is not None
    assert deflate.answer == answer


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "other",
        "permessage-deflate; server_max_window_bits=8",  # zlib has no such compressor
        "permessage-deflate; server_max_window_bits=x",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_no_context_takeover=yes",
        "permessage-deflate; unknown",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
    ],
)
def test_offers_that_are_not(offer: str) -> None:
    """Messages then go as they are; nothing is raised, whatever stands there."""
    assert accept_offer(offer) is None


def test_a_small_window() -> None:
    """What was promised is kept: an inflater with just that window reads it."""
    deflate = accept_offer("permessage-deflate; server_max_window_bits=9")
    assert deflate is not None
    data = bytes(range(256)) * 20
    said = Connection(SERVER, [deflate]).send(told.BytesMessage(data))
    body = bytes(said)[4 if said[1] == 126 else 2 :]
    assert zlib.decompressobj(-9).decompress(body + b"\x00\x00\xff\xff") == data
