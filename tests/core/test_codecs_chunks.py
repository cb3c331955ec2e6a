"""The hot path takes exactly the usual chunks, and leaves everything else to the plain path."""

import json
from itertools import permutations

import pytest

from cartesia_proto.codecs.chunks import read_chunk
from cartesia_proto.codecs.events import AudioChunk, parse_events
from cartesia_proto.errors import JsonValue, RemoteProtocolError

USUAL: dict[str, JsonValue] = {
    "type": "chunk",
    "data": "AAECAw==",
    "done": False,
    "status_code": 206,
    "step_time": 38.2,
    "context_id": "turn-17",
    "flush_id": 1,
}
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
        b'{"type":"chunk","data":"AAAA","done":false,"status_code":206,"step_time":38,"context_id":"c"}',
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


def test_judges_the_rest_as_strictly() -> None:
    """A member that JSON allows and we do not is refused on both paths."""
    message = json.dumps({**USUAL, "deep": json.loads("[" * 200 + "]" * 200)}, separators=(",", ":")).encode()
    assert read_chunk(message) is None
    with pytest.raises(RemoteProtocolError, match="nested"):
        parse_events(message)
