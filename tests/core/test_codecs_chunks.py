"""The hot path takes exactly the usual chunks, and leaves everything else to the plain path."""

import gc
import json
from itertools import permutations
from typing import SupportsIndex
from weakref import ref

import pytest

from cartesia_proto.codecs.chunks import ChunkReader
from cartesia_proto.codecs.events import AudioChunk, parse_events
from cartesia_proto.errors import JsonValue

USUAL: dict[str, JsonValue] = {
    "type": "chunk",
    "data": "AAECAw==",
    "done": False,
    "status_code": 206,
    "step_time": 38.2,
    "context_id": "turn-17",
    "flush_id": 1,
}


def read_chunk(message: bytes) -> AudioChunk | None:
    """The chunk that a message is, read alone: as the first of its stream, and behind others in a buffer."""
    first = ChunkReader().read(message, memoryview(message), 0, len(message))
    reader, buffer = ChunkReader(), bytearray(b'{"data":"AAAA' + message + b'","data":"')
    chunks = [reader.read(buffer, memoryview(buffer), 13, 13 + len(message)) for _ in range(3)]
    assert chunks == [first] * 3
    return first


MORE = (b".0", b"e5", b"E+3", b".000e9", b"x", b'"', b'"AAAA"', b"0")
"""What makes no JSON behind a string, though some of it would go on with a number."""

CHUNK = AudioChunk(b"\0\1\2\3", "turn-17", 38.2, 206, 1)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["compact", "spaced"])
def test_takes_the_usual_chunk(separators: tuple[str, str]) -> None:
    """As the service writes it, or as Python's own writer does."""
    assert read_chunk(json.dumps(USUAL, separators=separators).encode()) == CHUNK


def test_takes_members_in_any_order() -> None:
    """JSON objects have no order (RFC 8259 section 4)."""
    for order in permutations(("type", "data", "done", "status_code", "step_time")):
        message = json.dumps({name: USUAL[name] for name in order}, separators=(",", ":")).encode()
        assert read_chunk(message) == AudioChunk(b"\0\1\2\3", None, 38.2, 206), order


@pytest.mark.parametrize(
    ("changed", "chunk"),
    [
        ({"data": ""}, AudioChunk(b"", "turn-17", 38.2, 206, 1)),
        ({"step_time": 38}, AudioChunk(b"\0\1\2\3", "turn-17", 38.0, 206, 1)),
        ({"context_id": "gr\u00fcn"}, AudioChunk(b"\0\1\2\3", "gr\u00fcn", 38.2, 206, 1)),
    ],
)
def test_takes_variations(changed: dict[str, JsonValue], chunk: AudioChunk) -> None:
    """No audio, or a name beyond ASCII, is no hindrance."""
    message = json.dumps({**USUAL, **changed}, separators=(",", ":"), ensure_ascii=False).encode()
    assert read_chunk(message) == chunk
    assert parse_events(message) == (chunk,)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"no JSON",
        b'{"type":"done","done":true}',
        b'{"type":"chunk","done":false}',
        b'{"type":"chunk","data":null,"done":false}',
        b'{"type":"chunk","data" : "AAAA","done":false}',
        b'{"type":"chunk","done":false,"data":"AAAA',
        b'{"type":"chunk","done":false,"data":"AAAA"',
        b'["data":"AAAA"]',
        b'[{"type":"chunk","done":false,"data":"AAAA"}]',
        b'{"data":"AAAA","done":false}',
        b'{"type":"chunk","data":"AAAA"}',
        b'{"type":"chunk","data":"AAAA","done":true}',
        b'{"type":"chunk","data":"AAAA","done":0}',
        *(b'{"type":"chunk","done":false,"status_code":206,"step_time":1.5,"data":"AAAA"%b}' % more for more in MORE),
        b'{"type":"chunk","data":"AAAA","done":false,"status_code":206,"step_time":true,"context_id":"c"}',
        b'{"type":"chunk","data":"AAAA","done":false,"status_code":206,"step_time":38.2,"context_id":5}',
        b'{"type":"chunk","data":"AAAA","done":false,"status_code":206,"step_time":38.2,"flush_id":null}',
        b'{"type":"chunk","data":"AAAA","done":false,"status_code":206,"step_time":38.2,"flush_id":"1"}',
        b'{"type":"chunk","data":"AAAA","done":false,"status_code":true,"step_time":38.2}',
        b'{"type":"chunk","data":"AAAA","done":false,"status_code":206,"step_time":38.2,"later":1}',
        b'{"type":"chunk","data":"AAA=","done":false,"status_code":206,"step_time":38.2,"context_id":"c"}'[:-2] + b'"',
        b'{"type":"chunk","data":"AAAA","done":false,"status_code":206,"step_time":38.2,"context_id":"'
        + b"c" * 200
        + b'"}',
        b'{"type":"chunk","data":"AAA","done":false}',
        b'{"type":"chunk","data":"AAB=","done":false}',
        b'{"type":"chunk","data":"\\u0041AAA","done":false}',
        b'{"type":"chunk","data":"AAAA","done":false,"flush_id":"x"}',
        b'{"type":"chunk","done":false,"x\\"data":"AAAA"}',
        b'{"type":"chunk","done":false,"data":"AAAA","d\\u0061ta":"BBBB"}',
        b'{"type":"chunk","done":false,"data":"AAAA","data":"BBBB"}',
        b'{"type":"chunk","done":false,"data":"AAAA","data":0}',
        b'{"type":"chunk","done":false,"x":{"data":"AAAA"}}',
        b'{"type":"chunk","done":false,"x":{"data":"AAAA"},"data": "BBBB"}',
        b'{"type":"chunk","done":false,"data":"AAAA","x":"\xff"}',
    ],
)
def test_leaves_everything_else(message: bytes) -> None:
    """Whatever it is, or whatever is wrong with it, the plain path says."""
    assert read_chunk(message) is None


def test_leaves_what_is_nested_too_deeply() -> None:
    """The plain path reads the chunk, and as much of such a member as is not."""
    message = json.dumps({**USUAL, "deep": json.loads("[" * 200 + "]" * 200)}, separators=(",", ":")).encode()
    assert read_chunk(message) is None
    (chunk,) = parse_events(message)
    assert isinstance(chunk, AudioChunk)
    assert (chunk.audio, list(chunk.extra)) == (CHUNK.audio, ["deep"])


class Searched(bytes):
    """Bytes that note from where on they are searched."""

    begun: list[SupportsIndex | None]

    def find(self, sub: object, start: SupportsIndex | None = 0, end: SupportsIndex | None = None, /) -> int:
        """Search for other bytes."""
        assert isinstance(sub, bytes)
        self.begun.append(start)
        return super().find(sub, start, end)


@pytest.mark.parametrize("message", [b"{}", b'{"a":"b"}', b'{"data":1}', b'{"data":"', b'{"data": "', b'{"data":"AA"}'])
def test_only_the_message_itself_is_searched(message: bytes) -> None:
    """However much stands before it in a buffer: else many small ones would cost the square of their number."""
    text = Searched(b'{"data":"AAAA"}' * 9 + message)
    text.begun = []
    start = len(text) - len(message)
    assert ChunkReader().read(text, memoryview(text), start, len(text)) is None
    assert text.begun
    assert all(isinstance(place, int) and place >= start for place in text.begun)


# A chunk that is written as the one before.


def read_all(*messages: bytes) -> list[AudioChunk | None]:
    """The chunks that the messages of one stream are."""
    reader = ChunkReader()
    return [reader.read(message, memoryview(message), 0, len(message)) for message in messages]


def written(audio: str, step_time: str, context: str = "turn-17", end: str = "}") -> bytes:
    """A message as the service writes it (protocol section 4.4)."""
    return (
        f'{{"type":"chunk","context_id":"{context}","data":"{audio}","done":false,"status_code":206,'
        f'"step_time":{step_time},"flush_id":1{end}'
    ).encode()


def test_only_audio_and_step_time_differ() -> None:
    """Each has its own, and none has anything of another."""
    chunks = read_all(written("AAAA", "1.5"), written("AAE=", "2.5"), written("", "-3e-1"), written("AAECAw==", "12"))
    assert chunks == [
        AudioChunk(b"\0\0\0", "turn-17", 1.5, 206, 1),
        AudioChunk(b"\0\1", "turn-17", 2.5, 206, 1),
        AudioChunk(b"", "turn-17", -0.3, 206, 1),
        AudioChunk(b"\0\1\2\3", "turn-17", 12.0, 206, 1),
    ]
    assert len({id(chunk.extra) for chunk in chunks if chunk is not None}) == 4


def test_contexts_that_alternate() -> None:
    """Every chunk has its own context."""
    contexts = "aabababbcaac"
    chunks = read_all(*(written("AAAA", f"{index}.5", context) for index, context in enumerate(contexts)))
    assert chunks == [AudioChunk(b"\0\0\0", context, index + 0.5, 206, 1) for index, context in enumerate(contexts)]


def test_a_step_time_written_before_the_audio() -> None:
    """It is found there too, every time."""
    message = b'{"type":"chunk","step_time":%b,"data":"AAAA","done":false,"status_code":206}'
    chunks = read_all(message % b"1.5", message % b"2.5", message % b"3.5")
    assert chunks == [AudioChunk(b"\0\0\0", None, time, 206) for time in (1.5, 2.5, 3.5)]


def test_a_step_time_written_twice() -> None:
    """The last one counts (RFC 8259 section 4 leaves it open, `codecs.json` says so)."""
    message = b'{"type":"chunk","data":"AAAA","step_time":%b,"done":false,"status_code":206,"step_time":%b}'
    chunks = read_all(message % (b"1.5", b"2.5"), message % (b"3.5", b"4.5"), message % (b"5.5", b"6.5"))
    assert chunks == [AudioChunk(b"\0\0\0", None, time, 206) for time in (2.5, 4.5, 6.5)]


@pytest.mark.parametrize(
    "members",
    [
        b'"data":"AAAA","step_time":%b,"step_time" :9.5',
        b'"data":"AAAA","step_time" :%b,"step_time":9.5',
        b'"step_time":%b,"data":"AAAA","step_time" :9.5',
        b'"step_time" :%b,"data":"AAAA","step_time":9.5',
        b'"data":"AAAA","flush_id":{"step_time":%b},"flush_id":3,"step_time" :9.5',
        b'"flush_id":{"step_time":%b},"flush_id":3,"data":"AAAA","step_time":9.5',
    ],
)
def test_a_step_time_written_in_two_ways(members: bytes) -> None:
    """Neither a spelling nor a place hides one from the other: the one that counts is told, every time."""
    usual = b'{"type":"chunk","done":false,"status_code":206,%b}'
    messages = [usual % (members % time) for time in (b"1.5", b"2.5", b"3.5")]
    chunks = read_all(*messages)
    assert [chunk and chunk.step_time for chunk in chunks] == [9.5] * 3
    assert [(chunk,) for chunk in chunks] == [parse_events(message) for message in messages]


def test_an_interruption_while_it_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is half learned: the chunks of one context are never taken for another's."""
    reader = ChunkReader()

    def read(message: bytes) -> AudioChunk | None:
        return reader.read(message, memoryview(message), 0, len(message))

    for _ in range(2):
        assert read(written("AAAA", "1.5", "a")) == AudioChunk(b"\0\0\0", "a", 1.5, 206, 1)

    def interrupted(audio: bytes, *_: object) -> AudioChunk:
        if audio:
            return AudioChunk(audio, "b", 1.5, 206, 1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("cartesia_proto.codecs.chunks.audio_chunk", interrupted)
        assert read(written("AAAA", "1.5", "b")) is not None
        with pytest.raises(KeyboardInterrupt):
            read(written("AAAA", "1.5", "b"))
    for context in "bab":
        assert read(written("AAAA", "1.5", context)) == AudioChunk(b"\0\0\0", context, 1.5, 206, 1)


def test_no_audio_is_kept() -> None:
    """What is remembered of a chunk is how it was written: it may have been long, and its connection lives on."""
    reader, message = ChunkReader(), written("A" * 4000, "1.5")
    for _ in range(2):
        chunk = reader.read(message, memoryview(message), 0, len(message))
        assert chunk is not None
        held = ref(chunk)
        del chunk
        gc.collect()
        assert held() is None


@pytest.mark.parametrize(
    "step_time",
    [
        *("", " ", "x", "1.5,", "1.5}", "nan", "1_0.5", "01.5", "1.", ".5", "1e999", '"1"', "null", "[1.5]", "1.5 1.5"),
        *("1." + "5" * 300, "1.5\xff"),
    ],
)
def test_what_is_no_step_time(step_time: str) -> None:
    """As strictly as where the whole text is parsed; and the next chunk is read as before."""
    *chunks, wrong, last = read_all(
        written("AAAA", "1.5"), written("AAAA", "1.5"), written("AAAA", step_time), written("AAAA", "2.5")
    )
    assert (wrong, last) == (None, AudioChunk(b"\0\0\0", "turn-17", 2.5, 206, 1))
    assert all(chunks)


@pytest.mark.parametrize(
    "wrong",
    [
        written("AAA", "1.5"),
        written("AAB=", "1.5"),
        written("AA\\u0041A", "1.5"),
        written("A\xffAA", "1.5"),
        written("AAAA", "1.5", end=""),
        written("AAAA", "1.5", end="} "),
        written("AAAA", "1.5", end='"}'),
        written("AAAA", "1.5", end=',"data":"AAAA"}'),
        written("AAAA", "1.5")[:-70],
        written("AAAA", "1.5").replace(b'AAAA"', b"AAAA"),
        written("", "1.5").replace(b'"",', b'",'),
        written("AAAA", "1.5").replace(b'"flush_id":1', b'"flush_id":2'),
        written("AAAA", "1.5").replace(b'"flush_id":1', b'"flush_id":x'),
        written("AAAA", "1.5").replace(b"false", b"true"),
    ],
)
def test_what_is_not_quite_as_the_one_before(wrong: bytes) -> None:
    """It is left to the plain path, or read anew; and the next chunk is read as before."""
    usual = written("AAAA", "1.5")
    *chunks, chunk, last = read_all(usual, usual, wrong, usual)
    assert [*chunks, last] == [AudioChunk(b"\0\0\0", "turn-17", 1.5, 206, 1)] * 3
    assert chunk == read_chunk(wrong)
    assert chunk is None or parse_events(wrong) == (chunk,)


def test_what_stands_behind_the_step_time() -> None:
    """It is looked at every time, however long it is."""
    message = b'{"type":"chunk","data":"AAAA","done":false,"status_code":206,"step_time":1.5,"context_id":"%b"}'
    chunks = read_all(*(message % context for context in (b"a", b"a", b"b", b"a", b"b", b"b", b"a")))
    assert [chunk and chunk.context_id for chunk in chunks] == ["a", "a", "b", "a", "b", "b", "a"]
