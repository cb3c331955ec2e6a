"""What a WebSocket endpoint must answer, and in which order: an echo over the link, both roles, anyhow cut.

The cases are those of the Autobahn test-suite that differ in kind: its sections 1 to 7, judged strictly. Whoever echoes
may take one event and send at once, or take all that there are and then send; frames may arrive one by one, byte by
byte, or all in one piece. The answers must not depend on it.
"""

import itertools
from collections.abc import Iterator
from typing import Final, Literal

import pytest

from cartesia_proto.config import Limits
from cartesia_proto.http import Headers, Request
from cartesia_proto.wire.frames import BinaryMessage, TextMessage
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.messages import MOST_PONGS
from cartesia_proto.wire.websocket import Accepted, ClientWebSocketLink, ServerWebSocketLink
from cartesia_proto.wire.websocket_link import Closed

Link = ClientWebSocketLink | ServerWebSocketLink
Frame = tuple[int, bytes]
"""The first byte of a frame, and its payload."""

TEXT: Final = 0x81
BINARY: Final = 0x82
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A
REST: Final = 0x80
"""The last fragment of a message."""

FRAGMENT: Final = 0x01
MORE: Final = 0x00
MASK: Final = b"mask"


def close(code: int, reason: bytes = b"") -> Frame:
    """A close frame."""
    return CLOSE, code.to_bytes(2) + reason


def linked(role: Literal["client", "server"]) -> Link:
    """An open link of one role, the handshake behind it."""
    client = ClientWebSocketLink(
        Request("GET", "http://api.test/ws", Headers()), timeout=10.0, limits=Limits(), now=0.0
    )
    http = ServerLink(10.0, Limits())
    http.receive_data(client.data_to_send(), 0.0)
    head = http.next_event()
    assert isinstance(head, RequestHead)
    server = ServerWebSocketLink(http, head, limits=Limits(), now=0.0)
    client.receive_data(server.data_to_send(), 0.0)
    assert isinstance(client.next_event(), Accepted)
    return client if role == "client" else server


def mixed(payload: bytes, mask: bytes) -> bytes:
    """A payload with its mask on, or off again."""
    return bytes(byte ^ key for byte, key in zip(payload, itertools.cycle(mask), strict=False))


def written(frames: list[Frame], *, masked: bool) -> list[bytes]:
    """Frames as they stand on the wire."""
    wire: list[bytes] = []
    for first, payload in frames:
        size = len(payload)
        code, extended = (size, 0) if size < 126 else (126, 2) if size < 1 << 16 else (127, 8)
        head = bytes([first, code | (0x80 if masked else 0)]) + (size.to_bytes(extended) if extended else b"")
        wire.append(head + (MASK + mixed(payload, MASK) if masked else payload))
    return wire


def read(wire: bytes) -> Iterator[Frame]:
    """The frames that were sent."""
    while wire:
        size, start = wire[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(wire[2:start])
        mask = wire[start : start + 4] if wire[1] & 0x80 else b"\0\0\0\0"
        start += 4 if wire[1] & 0x80 else 0
        yield wire[0], mixed(wire[start : start + size], mask)
        wire = wire[start + size :]


def echo(link: Link, *, each: bool) -> bytes:
    """Answer everything that has arrived with itself; what is written to the wire."""
    sent = b""
    while (event := link.next_event()) is not None and not isinstance(event, Closed):
        match event:
            case TextMessage(data=data):
                link.send_text(data.decode())
            case BinaryMessage(data=data):
                link.send_bytes(data)
            case _:
                raise AssertionError("the handshake is over")
        sent += link.data_to_send() if each else b""
    return sent + link.data_to_send()


def same(frames: list[Frame]) -> tuple[list[Frame], list[Frame]]:
    """A case whose answers are what was said."""
    return frames, frames


LONG: Final = b"*" * 70_000
CASES: Final[dict[str, tuple[list[Frame], list[Frame]]]] = {
    # 1, 2: messages and pings
    "texts": same([(TEXT, b""), (TEXT, b"x" * 125), (TEXT, b"y" * 126), (TEXT, LONG)]),
    "binaries": same([(BINARY, b""), (BINARY, b"\xff" * 126), (BINARY, LONG)]),
    "a ping": ([(PING, b"\x00\xff" * 62)], [(PONG, b"\x00\xff" * 62)]),
    "the longest ping": ([(PING, b"x" * 125)], [(PONG, b"x" * 125)]),
    "a ping too long": ([(PING, b"x" * 126)], [close(1002)]),
    "an unasked pong": ([(PONG, b"x"), (PING, b"y")], [(PONG, b"y")]),
    "ten pings": ([(PING, b"%d" % n) for n in range(10)], [(PONG, b"%d" % n) for n in range(10)]),
    "a text before a ping": ([(TEXT, b"a"), (PING, b"b")], [(TEXT, b"a"), (PONG, b"b")]),
    "texts and pings in turn": (
        [(TEXT, b"a"), (PING, b"b"), (TEXT, b"c"), (TEXT, b"d"), (PING, b"e"), (PING, b"f"), (BINARY, b"g")],
        [(TEXT, b"a"), (PONG, b"b"), (TEXT, b"c"), (TEXT, b"d"), (PONG, b"e"), (PONG, b"f"), (BINARY, b"g")],
    ),
    # 3, 4: reserved bits and opcodes, behind a message that is answered first
    **{
        f"reserved bits {bits:#x}": ([(TEXT, b"a"), (bits | TEXT, b"b"), (PING, b"c")], [(TEXT, b"a"), close(1002)])
        for bits in (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70)
    },
    **{
        f"reserved opcode {opcode:#x}": ([(TEXT, b"a"), (REST | opcode, b"b")], [(TEXT, b"a"), close(1002)])
        for opcode in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)
    },
    # 5: fragments, and what comes between them
    "fragments": ([(FRAGMENT, b"a"), (MORE, b"b"), (REST, b"c")], [(TEXT, b"abc")]),
    "empty fragments": ([(FRAGMENT, b""), (MORE, b""), (REST, b"")], [(TEXT, b"")]),
    "a ping between fragments": ([(FRAGMENT, b"a"), (PING, b"!"), (REST, b"b")], [(PONG, b"!"), (TEXT, b"ab")]),
    "pings between fragments, and messages behind": (
        [(FRAGMENT, b"a"), (PING, b"1"), (MORE, b"b"), (PING, b"2"), (REST, b"c"), (PING, b"3"), (TEXT, b"d")],
        [(PONG, b"1"), (PONG, b"2"), (TEXT, b"abc"), (PONG, b"3"), (TEXT, b"d")],
    ),
    "a fragmented ping": ([(0x09, b"a"), (REST, b"b")], [close(1002)]),
    "a fragmented close": ([(0x08, b"\x03\xe8")], [close(1002)]),
    "nothing to continue": ([(TEXT, b"a"), (REST, b"b")], [(TEXT, b"a"), close(1002)]),
    "a message within a message": ([(FRAGMENT, b"a"), (TEXT, b"b")], [close(1002)]),
    "a fragmented message, and nothing to continue": (
        [(FRAGMENT, b"a"), (REST, b"b"), (MORE, b"c"), (REST, b"d")],
        [(TEXT, b"ab"), close(1002)],
    ),
    # 6: UTF-8
    "a character over two fragments": ([(FRAGMENT, b"\xce"), (REST, b"\xba")], [(TEXT, b"\xce\xba")]),
    "a surrogate": ([(TEXT, b"a"), (TEXT, b"\xce\xba\xed\xa0\x80"), (PING, b"")], [(TEXT, b"a"), close(1007)]),
    "a character that is cut off": ([(TEXT, b"\xce\xba\xce")], [close(1007)]),
    "above U+10FFFF": ([(TEXT, b"\xf4\x90\x80\x80")], [close(1007)]),
    "no UTF-8 in the first of two fragments": ([(FRAGMENT, b"\xff"), (PING, b"late"), (REST, b"a")], [close(1007)]),
    "the edges of UTF-8": same([(TEXT, text.encode()) for text in "\0\x7f\x80\ud7ff\ue000\U0010ffff"]),
    # 7: closing
    "a text, then the end": ([(TEXT, b"a"), close(1000)], [(TEXT, b"a"), close(1000)]),
    "a ping, then the end": ([(PING, b"a"), close(1000), (PING, b"late")], [(PONG, b"a"), close(1000)]),
    "twice the end": ([close(1000), close(1000)], [close(1000)]),
    "a text behind the end": ([close(1000), (TEXT, b"late")], [close(1000)]),
    "the end between fragments": ([(FRAGMENT, b"a"), close(1000), (REST, b"b")], [close(1000)]),
    "an end without a code": ([(CLOSE, b"")], [close(1000)]),
    "an end with half a code": ([(CLOSE, b"\x03")], [close(1002)]),
    "the longest reason": ([close(1000, b"x" * 123)], [close(1000)]),
    "a reason too long": ([close(1000, b"x" * 124)], [close(1002)]),
    "a reason that is no UTF-8": ([close(1000, b"\xce\xba\xff")], [close(1007)]),
    **{
        f"an end with {code}": ([(TEXT, b"a"), close(code)], [(TEXT, b"a"), close(code)])
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    },
    **{
        f"an end with {code}": ([(TEXT, b"a"), close(code)], [(TEXT, b"a"), close(1002)])
        for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535)
    },
}  # fmt: skip


@pytest.mark.parametrize("each", [True, False], ids=["sent each", "sent together"])
@pytest.mark.parametrize("cut", ["frames", "bytes", "one piece"])
@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("case", CASES)
def test_what_is_answered(
    case: str, role: Literal["client", "server"], cut: Literal["frames", "bytes", "one piece"], each: bool
) -> None:
    """Each message and each ping in its turn; a close frame or a violation once all before it is answered, and last."""
    said, expected = CASES[case]
    link, wire = linked(role), written(said, masked=role == "server")
    stream, sent = b"".join(wire), b""
    places = range(0, len(stream), 1 if len(stream) < 2000 else 1000)
    pieces = {"frames": wire, "bytes": [stream[at : at + places.step] for at in places], "one piece": [stream]}
    for piece in pieces[cut]:
        link.receive_data(piece, 1.0)
        sent += echo(link, each=each)
    answers = [(first, payload[:2] if first == CLOSE else payload) for first, payload in read(sent)]
    assert answers == expected
    assert link.state == ("closed" if expected[-1][0] == CLOSE else "open")


@pytest.mark.parametrize("role", ["client", "server"])
def test_messages_that_nobody_takes(role: Literal["client", "server"]) -> None:
    """They keep nothing from being answered when it is time to send, and none is lost when the connection is."""
    link = linked(role)
    for frame in written([(TEXT, b"a"), (PING, b""), (BINARY, b"b"), close(1000)], masked=role == "server"):
        link.receive_data(frame, 1.0)
    assert list(read(link.data_to_send())) == [(PONG, b""), close(1000)]
    link.receive_eof(1.0)
    *messages, last = iter(link.next_event, None)
    assert messages == [TextMessage(b"a"), BinaryMessage(b"b")]
    assert isinstance(last, Closed)
    assert (last.code, last.clean) == (1000, True)


def test_more_pings_than_are_answered() -> None:
    """Of a flood, the last (RFC 6455 section 5.5.3); once that is sent, each again."""
    link = linked("client")
    flood = [(PING, b"%d" % number) for number in range(MOST_PONGS + 1)]
    link.receive_data(b"".join(written(flood[:-1], masked=False)), 1.0)
    assert len(list(read(link.data_to_send()))) == MOST_PONGS
    link.receive_data(b"".join(written(flood, masked=False)), 1.0)
    link.receive_data(b"".join(written([(PING, b"last")], masked=False)), 1.0)
    assert list(read(link.data_to_send())) == [(PONG, b"last")]
    link.receive_data(b"".join(written(flood[:2], masked=False)), 1.0)
    assert list(read(link.data_to_send())) == [(PONG, b"0"), (PONG, b"1")]
