"""Messages read where they lie against messages read one by one: whatever a server says, readers hear the same."""

import json
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs.chunks import ChunkReader
from cartesia_proto.codecs.events import AudioChunk
from cartesia_proto.codecs.json import encode_base64
from cartesia_proto.config import INBOX_BYTES, Config, Limits
from cartesia_proto.conversation import TTSConversation, WebSocketOptions, handshake_outcome
from cartesia_proto.flow import Attempt
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.sessions.events import ContextEvent
from cartesia_proto.sessions.tts import TTSSession
from cartesia_proto.testing import half
from cartesia_proto.wire.frames import AT_ONCE, FrameBuffer
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.websocket import ServerWebSocketLink
from cartesia_proto.wire.websocket_link import Closed

ATTEMPT = Attempt(Request("GET", "https://api.test/ws", Headers()), 0.0, 10.0, "upgrade", 1000, 1000)
SMALL_INBOX = 3000


class Reader:
    """Whoever reads."""


def opened(limits: Limits, inbox_limit: int) -> tuple[TTSConversation, ServerWebSocketLink]:
    """A conversation at 100 seconds, and its server's end."""
    options = WebSocketOptions(inbox_limit=inbox_limit, ping_interval=math.inf)
    link = options.link(ATTEMPT, limits, 100.0)
    http = ServerLink(10.0, Limits())
    http.receive_data(link.data_to_send(), 0.0)
    head = http.next_event()
    assert isinstance(head, RequestHead)
    server = ServerWebSocketLink(http, head, limits=Limits(), ping_interval=math.inf, now=0.0)
    link.receive_data(server.data_to_send(), 100.0)
    assert isinstance(handshake_outcome(link), Response)
    return TTSConversation(Config(), half, link, inbox_limit), server


# What a server may send.


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """One frame, as a server writes it."""
    length = len(payload)
    if length < 126:
        return bytes([first, length]) + payload
    return (
        bytes([first]) + (b"\x7e" + length.to_bytes(2) if length < 1 << 16 else b"\x7f" + length.to_bytes(8)) + payload
    )


def fragmented(message: bytes) -> bytes:
    """A message in two frames, with a ping between."""
    return frame(message[:5], 0x01) + frame(b"ping", 0x89) + frame(message[5:], 0x80)


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """A chunk, of the usual shape or nearly; mostly of a context that is open."""
    audio = draw(st.sampled_from([b"x", b"y"])) * draw(st.sampled_from([0, 1, 2, 3, 4, 100, 4096, 20_000]))
    fields: dict[str, object] = {
        "type": "chunk",
        "context_id": draw(st.sampled_from("aaabbcz")),
        "data": encode_base64(audio),
        "done": False,
        "status_code": 206,
        "step_time": draw(st.sampled_from([1.5, 2.5, 30.25])),
    }
    odd: list[dict[str, object]] = [{"flush_id": 1}, {"x": [1]}, {"context_id": ""}, {"context_id": 7}, {"data": "A"}]
    if draw(st.integers(0, 2)) == 0:
        fields |= draw(st.sampled_from(odd))
    if draw(st.integers(0, 9)) == 0:
        del fields["context_id"]
    return json.dumps(fields, separators=draw(st.sampled_from([(",", ":"), (", ", ": ")]))).encode()


others = st.sampled_from(
    [
        *(b'{"type":"done","done":true,"context_id":"%s"}' % id.encode() for id in "abz"),
        b'{"type":"error","context_id":"b","status_code":400}',
        b'{"type":"flush_done","flush_done":true,"context_id":"a"}',
        b'{"type":"timestamps","context_id":"b","word_timestamps":{"words":["h\xc3\xa9"],"start":[0],"end":[1]}}',
        b'{"type":"later","context_id":"c"}',
        *(b"{}", b"[]", b"oops", b"\xff", b'{"type":"error"}'),
    ]
)
runs = st.tuples(chunks().map(frame), st.sampled_from([1, 1, 2, AT_ONCE - 1, AT_ONCE + 6])).map(
    lambda run: run[0] * run[1] if len(run[0]) < 1000 else run[0] * min(run[1], 2)
)
"""One chunk again and again: some runs are longer than what is found at once."""

rare = st.one_of(
    (chunks() | others).map(fragmented),
    (chunks() | others).map(lambda message: frame(message, 0x82)),
    st.sampled_from([frame(b"ping", 0x89), frame(b"\x03\xe8bye", 0x88), frame(b"x" * 200)[:9]]),
)
streams = st.lists(st.one_of(runs, runs, runs, others.map(frame), rare), max_size=12).map(b"".join)


# What is heard of it.


@frozen
class Told:
    """All that can be seen of a conversation from outside."""

    events: dict[str, list[tuple[str, bytes]]]
    woken: set[str]
    states: Sequence[object]
    sent: Sequence[object]
    waiting: int
    dropped: int


def in_words(event: ContextEvent) -> tuple[str, bytes]:
    """An event that can be compared: what it shows, and its audio, which it does not."""
    return repr(event), event.audio if isinstance(event, AudioChunk) else b""


def told(stream: bytes, cuts: Iterable[int], ids: str, limits: Limits, inbox_limit: int) -> Told:
    """What readers are told of a stream that is received in pieces, each into the link's own buffer.

    Args:
        ids: of the contexts; nothing was said on the last of three.
    """
    conversation, server = opened(limits, inbox_limit)
    reader = Reader()
    contexts = [
        conversation.open(reader, model_id="m", voice="v", output_format=RawFormat("pcm_s16le", 8000), context_id=id)
        for id in ids
    ]
    for context in contexts[:2]:
        conversation.push(context, "Hi", 100.0)
    woken: set[str] = set()
    for start, end in pairwise(sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})):
        piece = stream[start:end]
        while piece:
            space = conversation.link.receive_space()
            count = min(len(space), len(piece))
            space[:count] = piece[:count]
            piece = piece[count:]
            woken |= conversation.received(count, 101.0)
            while conversation.unread:  # one turn takes a bounded number of frames
                woken |= conversation.received(0, 101.0)
    waiting = conversation.waiting_bytes
    woken |= conversation.receive_eof(102.0)
    events = {context.id: list(map(in_words, conversation.take_all(context))) for context in contexts}
    server.receive_data(conversation.link.data_to_send(), 102.0)
    heard = [(said.code, said.reason) if isinstance(said, Closed) else said for said in iter(server.next_event, None)]
    # A context that overflows is over once the messages that arrived with it are filed: what is dropped then, depends.
    dropped = conversation.session.dropped_frames if inbox_limit == INBOX_BYTES else 0
    return Told(events, woken, [context.state for context in contexts], heard, waiting, dropped)


def no_fast_lane(*_: object) -> str:
    """Takes nothing, so that wsproto gets every frame."""
    return "other"


def no_hot_path(*_: object) -> None:
    """Reads nothing, so that every message is read as any JSON text is."""


@settings(max_examples=100, deadline=None)
@given(
    stream=streams,
    cuts=st.lists(st.integers(0, 60_000), max_size=8),
    limits=st.sampled_from([Limits(), Limits(message=1000)]),
    ids=st.sampled_from(["abc", "abc", "a"]),
    inbox_limit=st.sampled_from([INBOX_BYTES, INBOX_BYTES, SMALL_INBOX]),
)
def test_reading_in_place_changes_nothing(
    stream: bytes, cuts: list[int], ids: str, limits: Limits, inbox_limit: int
) -> None:
    """In one piece, anyhow or in small ones: as where wsproto finds every message, and each is read plainly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrameBuffer, "take_texts", no_fast_lane)
        patch.setattr(ChunkReader, "read", no_hot_path)
        plain = told(stream, [], ids, limits, inbox_limit)
    for segmentation in ([], cuts, range(0, len(stream), 1 + len(stream) // 500)):
        assert told(stream, segmentation, ids, limits, inbox_limit) == plain


def test_more_than_is_found_at_once() -> None:
    """Usual chunks are read in place, however many; else the other test would prove little."""
    chunk = {"type": "chunk", "context_id": "a", "data": "AAAA", "done": False, "status_code": 206, "step_time": 1.5}
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(TTSSession, "receive")
        seen = told(frame(json.dumps(chunk).encode()) * (3 * AT_ONCE), [], "a", Limits(), INBOX_BYTES)
    audio = b"".join(audio for _, audio in seen.events["a"])
    assert (audio, len(seen.events["a"])) == (bytes(3 * 3 * AT_ONCE), 3 * AT_ONCE + 1)
