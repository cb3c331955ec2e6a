"""The event stream of one speech request: its events, and every way it can end."""

import pytest

from cartesia_proto.codecs.events import AudioChunk, FlushDone, SpeechEvent, UnknownEvent, WordTimestamps
from cartesia_proto.codecs.speech import TTSDecoder
from cartesia_proto.codecs.sse import TURN
from cartesia_proto.config import DEFAULT_VERSION, Limits
from cartesia_proto.errors import (
    ApiError,
    BadRequestError,
    CartesiaError,
    IncompleteStream,
    RemoteProtocolError,
    ServerError,
)

CHUNK = b'data: {"type":"chunk","data":"AAEC"}\n\n'
DONE = b'data: {"type":"done","done":true,"status_code":200}\n\n'
EVENT = AudioChunk(b"\0\1\2")


def _decoder(version: str = DEFAULT_VERSION, frame_size: int = 1) -> TTSDecoder:
    return TTSDecoder(Limits(sse_line=100, sse_event=100), version, frame_size)


def test_events_up_to_done() -> None:
    """Events of every kind are returned in order, the end only shows in `finished`, and what follows is ignored."""
    decoder = _decoder()
    words = b'data: {"type":"timestamps","word_timestamps":{"words":["a"],"start":[0],"end":[1]}}\n\n'
    later = b'data: {"type":"later"}\n\ndata: {"type":"flush_done"}\n\n'
    expected: list[SpeechEvent] = [
        EVENT,
        WordTimestamps(("a",), (0.0,), (1.0,)),
        UnknownEvent("later", None, {"type": "later"}),
        FlushDone(),
    ]
    assert decoder.receive_data(CHUNK + words + later) == expected
    assert not decoder.finished
    assert decoder.receive_data(b": comment\n" + DONE + CHUNK + b"data: garbage\n\n") == []
    assert decoder.finished
    assert decoder.receive_data(CHUNK + b"x" * 1000) == []
    assert decoder.receive_eof() == []
    assert decoder.receive_eof() == []


def test_usual_chunks() -> None:
    """Those of exactly the shape that the hot path takes: whole samples, and proof that the stream was alive."""
    decoder = _decoder("2024-06-10", frame_size=2)
    usual = b'data: {"type":"chunk","data":"%b","done":false,"status_code":206,"step_time":1.5}\n\n'
    audio = [event.audio for event in decoder.receive_data(usual % b"AAEC" + usual % b"Aw==" + usual % b"")]
    assert audio == [b"\0\1", b"\2\3", b""]
    assert decoder.receive_eof() == []


@pytest.mark.parametrize("size", [1, 100, 1000])
def test_usual_chunks_up_to_an_error(size: int) -> None:
    """However many come at once, all before the error are returned, and none behind it."""
    decoder = TTSDecoder(Limits(), DEFAULT_VERSION, frame_size=1)
    usual = b'data: {"type":"chunk","data":"AAEC","done":false,"status_code":206,"step_time":1.5}\n\n'
    stream = usual * 3 + b'data: {"type":"error","status_code":400}\n\n' + usual
    events: list[SpeechEvent] = []
    for start in range(0, len(stream), size):
        if not decoder.finished:
            events += decoder.receive_data(stream[start : start + size])
    assert events == [AudioChunk(b"\0\1\2", None, 1.5, 206)] * 3
    with pytest.raises(BadRequestError):
        decoder.receive_data(b"")


@pytest.mark.parametrize("end", [b'data: {"done":true}\n\n', b'data: {"type":"later","done":true}\n\n'])
def test_done_without_its_type(end: bytes) -> None:
    """An end is an end whatever its type."""
    decoder = _decoder()
    decoder.receive_data(end)
    assert decoder.finished
    assert decoder.receive_eof() == []


def test_last_chunk_is_the_end() -> None:
    """A chunk that says it is the last is delivered, and is the end."""
    decoder = _decoder()
    assert decoder.receive_data(b'data: {"data":"AAEC","done":true}\n\n') == [EVENT]
    assert decoder.finished


def test_whole_samples() -> None:
    """Audio is cut at samples: what is left of one is put before the next, and dropped at the end."""
    decoder = _decoder(frame_size=2)
    events = decoder.receive_data(CHUNK + CHUNK + CHUNK + DONE)
    assert [event.audio for event in events] == [b"\0\1", b"\2\0\1\2", b"\0\1"]


@pytest.mark.parametrize(
    ("frame", "kind", "message"),
    [
        (b'data: {"type":"error","status_code":400,"title":"T","message":"m"}\n\n', BadRequestError, "T: m"),
        (b'data: {"error":"T: m","done":true}\n\n', ServerError, "T: m"),
        (b'event: error\ndata: {"type":"error","status_code":400,"message":"m"}\n\n', BadRequestError, "m"),
        (b'event: error\ndata: {"status_code":400,"title":"T","message":"m"}\n\n', BadRequestError, "T: m"),
        (b"event: error\ndata: T: m\n\n", ServerError, "T: m"),
        (b'event: error\ndata: ["m"]\n\n', ServerError, "m"),
        (b'event: error\ndata: {"status_code":400,"message":"m\n\n', BadRequestError, "400 the server gave no reason"),
        (b'event: error\ndata: {"message":"m","status_code":400,"x":\n\n', BadRequestError, "m"),
        (b"event: error\ndata: {broken\n\n", ServerError, "{broken"),
        (b"event: error\ndata\n\n", ServerError, "500"),
        (
            b'data: {"type":"error","status_code":400,"message":"m \xff \\ud83d"}\n\n',
            BadRequestError,
            "m \ufffd \ufffd",
        ),
        (b'data: {"type":"error","status_code":400,"message":"m","x":\n\n', BadRequestError, "m"),
    ],
)
def test_error_events(frame: bytes, kind: type[ApiError], message: str) -> None:
    """An error of any shape is raised by the call after the one that met it, and by every later one."""
    decoder = _decoder()
    assert decoder.receive_data(CHUNK + frame + CHUNK) == [EVENT]
    assert decoder.finished
    for data in (b"", CHUNK, b""):
        with pytest.raises(kind, match=message):
            decoder.receive_data(data)
    with pytest.raises(kind, match=message):
        decoder.receive_eof()


@pytest.mark.parametrize(
    "frame", [b"data:\n\n", b"data\n\n", b"data: \n\n", b"data:\ndata: \t\n\n", b"event: ping\ndata:\n\n", b"data:\r\r"]
)
def test_empty_data(frame: bytes) -> None:
    """It is nothing, and ends nothing; nor does it make a stream one that was cut."""
    decoder = _decoder("2024-06-10")
    assert decoder.receive_data(frame + CHUNK + frame + CHUNK + frame) == [EVENT, EVENT]
    assert decoder.receive_data(b"") == []
    assert decoder.receive_eof() == []


@pytest.mark.parametrize("data", [b"", b"pong", b"[]", b"5"])
def test_frames_of_other_names(data: bytes) -> None:
    """They may hold anything: whoever knows the name knows what."""
    decoder = _decoder()
    events = decoder.receive_data(b"event: ping\ndata: " + data + b"\n\n" + CHUNK)
    assert events == [*([UnknownEvent("ping")] if data else []), EVENT]
    assert decoder.receive_data(b"") == []


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"timestamps","word_timestamps":{"words":["\\ud83d"],"start":[NaN],"end":[0]}}',
        b'{"type":"chunk","data":null}',
        b'{"type":"chunk","data":"","status_code":206.0,"step_time":"?"}',
        b'{"type":"chunk","data":"","x":"\xff"}',
    ],
)
def test_damaged_frames(frame: bytes) -> None:
    """What is wrong with a field that nobody needs breaks no stream."""
    events = _decoder().receive_data(b"data: " + frame + b"\n\n" + CHUNK)
    assert [event.audio for event in events] == [b"", EVENT.audio]


def test_the_json_decides() -> None:
    """A frame the stream calls an error, whose JSON has another type, is what the JSON says."""
    assert _decoder().receive_data(b"event: error\n" + CHUNK) == [EVENT]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"data: garbage\n\n", "no acceptable JSON"),
        (b"data: []\n\n", "must be a JSON object"),
        (b"event: chunk\ndata: garbage\n\n", "no acceptable JSON"),
        (b'data: {"type":"chunk","data":"A"}\n\n', r"\$\.data"),
        (b"data: " + b"x" * 100, "a line of the event stream exceeds 100 bytes"),
    ],
)
def test_violations(frame: bytes, message: str) -> None:
    """What is no event, or exceeds a limit, is raised after everything before it was returned."""
    decoder = _decoder()
    assert decoder.receive_data(CHUNK + frame + CHUNK) == [EVENT]
    with pytest.raises(RemoteProtocolError, match=message):
        decoder.receive_data(b"")
    with pytest.raises(RemoteProtocolError, match=message):
        decoder.receive_eof()


@pytest.mark.parametrize(
    ("version", "body", "complete"),
    [
        ("2024-06-10", CHUNK, True),
        ("2024-11-13", CHUNK, True),
        ("2024-11-13", CHUNK + b'data: {"type":"later"}\n\n', True),
        ("2024-11-13", b'data: {"type":"later"}\n\n', False),
        ("2024-11-13", b"", False),
        ("2024-11-13", CHUNK + CHUNK[:20], False),
        ("2024-11-13", CHUNK + CHUNK[:-1], False),
        ("2025-04-16", CHUNK, False),
        (DEFAULT_VERSION, CHUNK + DONE[:-1], False),
        (DEFAULT_VERSION, b"", False),
    ],
)
def test_end_without_done(version: str, body: bytes, complete: bool) -> None:
    """Only up to version 2024-11-13, after a chunk and between events, is the end of the body a normal end."""
    decoder = _decoder(version)
    decoder.receive_data(body)
    if complete:
        assert decoder.receive_eof() == []
    else:
        for _ in range(2):
            with pytest.raises(IncompleteStream, match="before its terminal event"):
                decoder.receive_eof()
        with pytest.raises(CartesiaError):
            decoder.receive_data(DONE)
    assert decoder.finished


def _portions(decoder: TTSDecoder, stream: bytes) -> list[list[SpeechEvent]]:
    events, more = decoder.receive_portion(stream)
    portions = [events]
    while more:
        events, more = decoder.receive_portion(b"")
        portions.append(events)
    return portions


def test_events_in_portions() -> None:
    """Of a flood, one turn reads so many, and all are the same in the end; behind the end nothing is read."""
    decoder = _decoder()
    portions = _portions(decoder, CHUNK * (TURN + 10) + b":\n" * TURN + CHUNK + DONE + b"\n" * 3 * TURN)
    assert [event for events in portions for event in events] == [EVENT] * (TURN + 11)
    assert max(map(len, portions)) <= TURN
    assert decoder.finished
    assert decoder.receive_portion(b"") == ([], False)


def test_a_failure_in_portions() -> None:
    """It is raised by the call after the last portion."""
    decoder = _decoder()
    portions = _portions(decoder, CHUNK * TURN + b"data: x\n\n" + CHUNK)
    assert sum(map(len, portions)) == TURN
    with pytest.raises(RemoteProtocolError):
        decoder.receive_portion(b"")
