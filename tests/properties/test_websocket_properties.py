"""Two paths, one meaning: whatever a peer sends, in whatever pieces, with the fast lane or without it."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from cartesia_proto.config import Limits
from cartesia_proto.http import Headers, Request
from cartesia_proto.wire.frames import BinaryMessage, FrameBuffer, Front, InPlace, TextMessage
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.websocket import Accepted, ClientWebSocketLink, Rejected, ServerWebSocketLink
from cartesia_proto.wire.websocket_link import Closed

REQUEST = Request("GET", "http://api.test/ws", Headers())
LIMITS = Limits(message=1000, head=2000)

Link = ClientWebSocketLink | ServerWebSocketLink


def opened(*, deflate: bool, limits: Limits = LIMITS) -> tuple[ClientWebSocketLink, ServerWebSocketLink]:
    """Both ends of a connection."""
    client = ClientWebSocketLink(REQUEST, timeout=10.0, limits=limits, deflate=deflate, now=0.0)
    http = ServerLink(10.0, Limits())
    http.receive_data(client.data_to_send(), 0.0)
    head = http.next_event()
    assert isinstance(head, RequestHead)
    server = ServerWebSocketLink(http, head, limits=limits, deflate=deflate, now=0.0)
    client.receive_data(server.data_to_send(), 0.0)
    assert isinstance(client.next_event(), Accepted)
    return client, server


def pieces(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The stream, cut at the places given."""
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in pairwise(places)]


def in_words(events: Iterable[object]) -> list[object]:
    """Events that can be compared: errors as their type and text."""
    return [
        (event.code, event.reason, type(event.error), str(event.error)) if isinstance(event, Closed) else event
        for event in events
    ]


def unmasked(sent: bytes) -> list[tuple[int, bytes]]:
    """What a client sent: the first byte and the payload of each (short) frame."""
    frames: list[tuple[int, bytes]] = []
    while sent:
        length = sent[1] & 0x7F
        mask, masked = sent[2:6], sent[6 : 6 + length]
        frames.append((sent[0], bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))))
        sent = sent[6 + length :]
    return frames


# What a server may send, well-formed or not.


def written(first: int, payload: bytes, *, mask: bytes = b"", declared: int | None = None, form: int = 0) -> bytes:
    """One frame: its length as declared, in a form of at least so many bytes."""
    length = len(payload) if declared is None else declared
    form = max(form, 0 if length < 126 else 2 if length < 1 << 16 else 8)
    code = {0: length, 2: 126, 8: 127}[form]
    said = bytes([first, code | (0x80 if mask else 0)]) + (length.to_bytes(form) if form else b"")
    return said + mask + payload


def compressed(data: bytes) -> bytes:
    """One message, by a compressor that has seen nothing: so it fits anywhere."""
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


utf8 = st.one_of(
    st.text(max_size=20).map(str.encode),
    st.sampled_from([b"", b"x" * 125, b"x" * 126, b"\xc3\xa9" * 150, b"x" * 999, b"x" * 1000]),
)
bad_utf8 = st.sampled_from([b"\xff", b"ab\xc3", b"\xed\xa0\x80", b"x" * 200 + b"\x80", b"\xf4\x90\x80\x80"])
controls = st.one_of(
    st.tuples(st.sampled_from([0x89, 0x8A]), st.binary(max_size=125)).map(lambda pair: written(*pair)),
)
whole_texts = utf8.map(lambda payload: written(0x81, payload))
whole_binaries = st.binary(max_size=200).map(lambda payload: written(0x82, payload))


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """A message in fragments, with control frames between; cut anywhere, also within a character."""
    first = draw(st.sampled_from([0x01, 0x02]))
    payload = draw(utf8 | bad_utf8)
    parts = pieces(payload, draw(st.lists(st.integers(0, 1000), max_size=3))) or [b""]
    frames = [written(first, parts[0])]
    for part in parts[1:]:
        frames += [*draw(st.lists(controls, max_size=1)), written(0x00, part)]
    return b"".join([*frames, written(0x80, draw(st.sampled_from([b"", b"x"])))])


closes = st.one_of(
    st.tuples(st.integers(0, 65535), utf8.filter(lambda text: len(text) <= 123) | st.just(b"\xff")).map(
        lambda pair: written(0x88, pair[0].to_bytes(2) + pair[1])
    ),
    st.sampled_from([written(0x88, b""), written(0x88, b"x")]),
)
squeezed = st.one_of(
    (utf8 | bad_utf8).map(lambda payload: written(0xC1, compressed(payload))),
    st.tuples(utf8, utf8).map(lambda pair: written(0x41, compressed(pair[0])[:9]) + written(0x80, compressed(pair[1]))),
    st.sampled_from([written(0xC2, compressed(bytes(size))) for size in (1000, 1001, 100_000)]),
)
wrong = st.one_of(
    bad_utf8.map(lambda payload: written(0x81, payload)),
    st.tuples(st.integers(0, 255), st.binary(max_size=130)).map(lambda pair: written(*pair)),  # any first byte
    st.binary(max_size=20).map(lambda payload: written(0x81, payload, mask=b"mask")),
    st.sampled_from([2, 8]).map(lambda form: written(0x81, b"not minimal", form=form)),
    st.tuples(st.sampled_from([0x01, 0x02]), utf8, whole_texts).map(  # a message within a message
        lambda parts: written(parts[0], parts[1]) + parts[2]
    ),
    st.sampled_from([1001, 65536, 1 << 40, 1 << 63]).flatmap(
        lambda length: st.sampled_from([0x81, 0x82, 0x01, 0x80, 0x89]).map(
            lambda first: written(first, b"x" * 1001, declared=length)
        )
    ),
    st.binary(max_size=40),
)
well_formed = st.one_of(whole_texts, whole_texts, whole_binaries, controls, fragmented())
streams = st.tuples(
    st.lists(well_formed, max_size=8), st.lists(well_formed | closes | squeezed | wrong, max_size=3)
).map(lambda parts: b"".join([*parts[0], *parts[1]]))


@frozen
class Told:
    """All that can be seen of a link from outside."""

    events: Sequence[object]
    sent: Sequence[tuple[int, bytes]]
    state: str
    deadline: float | None


def no_fast_lane(buffer: FrameBuffer, read: InPlace, tell: Callable[[TextMessage], None]) -> Front:
    """Takes nothing, so that wsproto gets every frame."""
    return "other"


def told(stream: bytes, cuts: Iterable[int], closing_at: int | None, *, deflate: bool, eof: bool) -> Told:
    """What a client tells of a stream; where it is told to, it closes in the middle."""
    link, _ = opened(deflate=deflate)
    events: list[object] = []
    place = 0
    for piece in pieces(stream, [*cuts, *([] if closing_at is None else [closing_at])]):
        if closing_at is not None and place == closing_at % (len(stream) + 1) and link.state == "open":
            link.close(1001, "leaving", 1.0)
        link.receive_data(piece, 1.0)
        events += iter(link.next_event, None)
        place += len(piece)
    if eof:
        link.receive_eof(2.0)
    events += iter(link.next_event, None)
    return Told(in_words(events), unmasked(link.data_to_send()), link.state, link.deadline())


@settings(max_examples=100, deadline=None)
@given(
    stream=streams,
    cuts=st.lists(st.integers(0, 5000), max_size=8),
    closing_at=st.none() | st.none() | st.integers(0, 3000),
    deflate=st.booleans(),
    eof=st.booleans(),
)
def test_the_fast_lane_changes_nothing(
    stream: bytes, cuts: list[int], closing_at: int | None, deflate: bool, eof: bool
) -> None:
    """With it or through wsproto alone, in one piece, anyhow or byte by byte: the same events, answers and state."""
    segmentations: tuple[Iterable[int], ...] = ([], cuts, range(min(len(stream), 600)))
    seen = [told(stream, segmentation, closing_at, deflate=deflate, eof=eof) for segmentation in segmentations]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrameBuffer, "take_texts", no_fast_lane)
        seen += [told(stream, segmentation, closing_at, deflate=deflate, eof=eof) for segmentation in segmentations]
    assert all(other == seen[0] for other in seen)


@settings(max_examples=50, deadline=None)
@given(stream=streams, deflate=st.booleans())
def test_there_is_one_last_event(stream: bytes, deflate: bool) -> None:
    """And it is `Closed`, once the input has ended; messages keep to the limit."""
    link, _ = opened(deflate=deflate)
    link.receive_data(stream, 1.0)
    link.receive_eof(2.0)
    *messages, last = iter(link.next_event, None)
    assert isinstance(last, Closed)
    for message in messages:
        assert isinstance(message, TextMessage | BinaryMessage)
        assert len(message.data) <= LIMITS.message
    assert (link.state, link.deadline()) == ("closed", None)


answers = st.lists(
    st.sampled_from(
        [
            b"HTTP/1.1 101 Switching Protocols\r\n",
            b"HTTP/1.1 103 Early\r\n\r\n",
            b"HTTP/1.1 401 No\r\n",
            b"Upgrade: websocket\r\n",
            b"Connection: Upgrade\r\n",
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=x\r\n",
            b"Content-Length: 3\r\n",
            b"X: \xff\r\n",
            b"\r\n",
            b"abc",
        ]
    )
    | st.binary(max_size=4),
    max_size=10,
).map(b"".join)


@settings(max_examples=100, deadline=None)
@given(answer=answers, cuts=st.lists(st.integers(0, 400), max_size=4))
def test_a_handshake_always_ends(answer: bytes, cuts: list[int]) -> None:
    """Whatever answers: one event, the same for every segmentation, and no exception."""
    ends: list[list[object]] = []
    for segmentation in ([], cuts, range(len(answer))):
        link = ClientWebSocketLink(REQUEST, timeout=10.0, limits=LIMITS, deflate=True, now=0.0)
        for piece in pieces(answer, segmentation):
            link.receive_data(piece, 1.0)
        link.receive_eof(2.0)
        events = list(iter(link.next_event, None))
        assert [type(event) in {Rejected, Closed} for event in events] == [True]
        assert (link.state, link.deadline()) == ("closed", None)
        ends.append(in_words(events))
    assert ends[0] == ends[1] == ends[2]


@settings(max_examples=50, deadline=None)
@given(stream=streams, begun=st.booleans(), deflate=st.booleans())
def test_a_server_takes_anything_too(stream: bytes, begun: bool, deflate: bool) -> None:
    """Frames that are not masked, or whose masks are part of the noise."""
    client, server = opened(deflate=deflate)
    if begun:
        client.send_text("hello")
    server.receive_data(client.data_to_send() + stream, 1.0)
    server.receive_eof(2.0)
    *messages, last = iter(server.next_event, None)
    assert isinstance(last, Closed)
    assert not begun or messages[0] == TextMessage(b"hello")


said = st.one_of(
    st.text(max_size=300), st.binary(max_size=300), st.lists(st.text(max_size=100), min_size=2, max_size=4).map(tuple)
)


def say(link: Link, message: str | bytes | tuple[str, ...]) -> TextMessage | BinaryMessage:
    """Send one message; what should arrive."""
    match message:
        case str():
            link.send_text(message)
            return TextMessage(message.encode())
        case bytes():
            link.send_bytes(message)
            return BinaryMessage(message)
        case tuple():
            link.send_fragments(*message)
            return TextMessage("".join(message).encode())


@settings(max_examples=50, deadline=None)
@given(
    conversation=st.lists(st.tuples(st.booleans(), said), max_size=10),
    cuts=st.lists(st.integers(0, 3000), max_size=6),
    deflate=st.booleans(),
)
def test_what_one_side_says_the_other_hears(
    conversation: list[tuple[bool, str | bytes | tuple[str, ...]]], cuts: list[int], deflate: bool
) -> None:
    """Client against server: every message arrives as it was sent, and both agree on how it ended."""
    client, server = opened(deflate=deflate, limits=Limits())
    heard: list[object] = []  # by the server: what it says itself comes after our close, and is dropped
    sides: dict[bool, Link] = {True: client, False: server}
    received: dict[bool, list[object]] = {True: [], False: []}
    for by_client, message in conversation:
        arrived = say(sides[by_client], message)
        heard += [arrived] if by_client else []
    client.close(4000, "done", 1.0)
    for by_client in (True, False, True):
        for piece in pieces(sides[by_client].data_to_send(), cuts):
            sides[not by_client].receive_data(piece, 1.0)
        received[not by_client] += iter(sides[not by_client].next_event, None)
    assert received == {False: [*heard, Closed(4000, "done", None)], True: [Closed(4000, "", None)]}
