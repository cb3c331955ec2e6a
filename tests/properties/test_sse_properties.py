"""Event streams read where they lie, held equal to what they are line by line, however they are cut."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartesia_proto.codecs.chunks import ChunkReader
from cartesia_proto.codecs.events import SpeechEvent
from cartesia_proto.codecs.speech import TTSDecoder
from cartesia_proto.codecs.sse import ServerSentEvent, SSEDecoder
from cartesia_proto.config import Limits
from cartesia_proto.errors import CartesiaError, RemoteProtocolError

EXAMPLES = settings(max_examples=100)


def pieces(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The same bytes, cut at these places."""
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(places)]


def read_some(data: bytes, view: memoryview, start: int, end: int) -> bytes | None:
    """Reads messages that begin with an x, and leaves all others."""
    assert data[start:end] == view[start:end]
    return data[start:end] if data.startswith(b"x", start, end) else None


def messages(stream: Sequence[bytes], limit: int, *, lying: bool) -> tuple[list[bytes | ServerSentEvent], str]:
    """What comes out of a stream, and how it ends; the messages that are read stand without their wrapping."""
    decoder = SSEDecoder(line_limit=limit, event_limit=limit - 2)
    events: list[bytes | ServerSentEvent] = []
    try:
        for piece in stream:
            if lying:
                events += decoder.read_messages(piece, read_some)
            else:
                events += decoder.receive_data(piece)
        decoder.receive_eof()
    except RemoteProtocolError as error:
        return events, str(error)
    return events, str(decoder.pending)


def unwrapped(events: list[bytes | ServerSentEvent]) -> list[object]:
    """Messages that a reader would take, without the type that they have anyway and the id that it is not told."""
    told: list[object] = []
    for event in events:
        if isinstance(event, ServerSentEvent) and event.event == "message" and event.data.startswith(b"x"):
            told.append(event.data)
        else:
            told.append(event)
    return told


stream_parts = st.sampled_from(
    [
        *(
            "data: x\n\n",
            "data: xy: z\n\n",
            "data: x\r\n\r\n",
            "data: x\r\r",
            "data: y\n\n",
            "data:x\n\n",
            "data: \n\n",
        ),
        *("data: x\n", "data: x\ndata: y\n\n", "event: error\ndata: x\n\n", "event: message\ndata: x\n\n", "event:\n"),
        *("id: 1\n", "id: 2\n\n", "retry: 10\n", ": ping\n\n", ": ping\n", "\n", "\r", "\r\n", "data: ", "x", "\ufeff"),
        *("data: xxxxxxxxxxxxxx\n\n", "data: xxxxxxxxxxxxxxx\n\n", "data: xxxxxxxxxxxxxxxxxxxx\n\n", "data: xé\0\n\n"),
    ]
)
streams = st.lists(stream_parts, max_size=12).map(lambda parts: "".join(parts).encode())
cuts = st.lists(st.integers(0, 500), max_size=10)


@EXAMPLES
@given(streams, cuts, st.sampled_from([6, 20, 22, 1000]))
def test_messages_read_where_they_lie(body: bytes, cuts: list[int], limit: int) -> None:
    """What a reader takes and what it leaves are the events that the stream has line by line, up to the same end."""
    by_line, end = messages([body[place : place + 1] for place in range(len(body))], limit, lying=False)
    for stream in ([body], pieces(body, cuts)):
        read, read_end = messages(stream, limit, lying=True)
        assert unwrapped(read) == unwrapped(by_line)
        assert read_end == end


USUAL = '{"type":"chunk","data":"%s","done":false,"status_code":206,"step_time":%s,"context_id":"c"}'
speech_parts = st.sampled_from(
    [
        *(f"data: {USUAL % (audio, time)}\n\n" for audio in ("AAEC", "AwQFBg==", "", "A", "AA=A") for time in (1.5, 2)),
        *(f"data: {USUAL % ('AAECAw==', time)}{end}" for time in ("1.25", "1e3", "x") for end in ("\r\n\r\n", "\r\r")),
        f"data: {USUAL.replace(':', ': ') % ('AQIDBA==', 3.5)}\n\n",
        "data: " + USUAL.replace(",", ",\ndata: ") % ("AQIDBA==", 3.5) + "\n\n",
        f"event: chunk\ndata: {USUAL % ('AQID', 4.5)}\n\n",
        f"event: error\ndata: {USUAL % ('AQID', 4.5)}\n\n",
        f"data: {USUAL % ('AQID', 4.5)}\nid: 7\nretry: 10\n\n",
        *("data: {\n", ": ping\n\n", "id: 1\n", "\ufeff", "event: error\ndata: no: é\n\n", 'data: {"done":true}\n\n'),
        'data: {"type":"error","status_code":400}\n\n',
        'data: {"type":"timestamps","word_timestamps":{"words":["a"],"start":[0],"end":[1]}}\n\n',
        f"data: {'x' * 300}\n\n",
    ]
)
speeches = st.tuples(st.lists(speech_parts, max_size=8), st.binary(max_size=1), st.integers(0, 900)).map(
    lambda drawn: _damaged("".join(drawn[0]).encode(), drawn[1], drawn[2])
)


def _damaged(body: bytes, damage: bytes, place: int) -> bytes:
    return body[:place] + damage + body[place + len(damage) :]


def _leave(reader: ChunkReader, text: bytes, view: memoryview, start: int, end: int) -> None:
    del reader, text, view, start, end


def _speech(stream: Sequence[bytes], version: str) -> tuple[list[SpeechEvent], bool, str]:
    decoder = TTSDecoder(Limits(sse_line=200, sse_event=200), version, frame_size=2)
    events: list[SpeechEvent] = []
    try:
        for piece in stream:
            events += decoder.receive_data(piece)
            events += decoder.receive_data(b"")
        events += decoder.receive_eof()
    except CartesiaError as error:
        return events, decoder.finished, repr(error)
    return events, decoder.finished, ""


@EXAMPLES
@given(speeches, cuts, st.sampled_from(["2024-06-10", "2026-08-14"]))
def test_chunks_read_where_they_lie(body: bytes, cuts: list[int], version: str) -> None:
    """Events, end and failure are those of a decoder that reads every event line by line and as plain JSON."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChunkReader, "read", _leave)
        plain = _speech([body[place : place + 1] for place in range(len(body))], version)
    assert _speech([body], version) == plain
    assert _speech(pieces(body, cuts), version) == plain
