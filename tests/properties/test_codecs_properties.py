"""Codecs: two implementations agree, any segmentation gives the same values, what is written can be read."""

import importlib.util
import json
import random
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
from attrs import astuple
from hypothesis import given, settings
from hypothesis import strategies as st

from cartesia_proto.codecs import json as installed
from cartesia_proto.codecs.chunks import ChunkReader
from cartesia_proto.codecs.events import PhonemeTimestamps, SpeechEvent, WordTimestamps, parse_events
from cartesia_proto.codecs.failures import error_from_event, error_from_response
from cartesia_proto.codecs.multipart import MultipartDecoder, ReceivedPart, encode
from cartesia_proto.codecs.speech import TTSDecoder
from cartesia_proto.codecs.sse import ServerSentEvent, SSEDecoder
from cartesia_proto.config import Limits
from cartesia_proto.errors import ApiError, CartesiaError, JsonValue, LocalProtocolError, RemoteProtocolError
from cartesia_proto.http import ContentPart, Form, Headers, Response, TextPart

EXAMPLES = settings(max_examples=100, deadline=None)


def _without_extra() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "orjson", None)
        patch.setitem(sys.modules, "pybase64", None)
        spec = importlib.util.spec_from_file_location("json_without_extra", installed.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


standard = _without_extra()


def _outcome(function: Callable[[bytes], object], data: bytes) -> str:
    """The value with its exact types, or which side is to blame."""
    try:
        return repr(function(data))
    except (RemoteProtocolError, LocalProtocolError) as error:
        return type(error).__name__


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**62, max_value=2**66)
    | st.floats()
    | st.text()
    | st.sampled_from(["\ud800", "\udc00\ud800", "😀"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)
fragments = st.sampled_from(
    [
        *(
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            '"',
            '"a"',
            "\\",
            "\\u",
            "d800",
            "D83D",
            "\\ude00",
            " ",
            "\n",
            "\0",
            "é",
            "\ufeff",
        ),
        *("0", "1", "-", "+", ".", "e", "E5", "18446744073709551616", "1e308", "NaN", "true", "null"),
    ]
)
texts = (
    values.map(lambda value: json.dumps(value).encode())
    | values.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    | st.lists(fragments, max_size=12).map(lambda parts: "".join(parts).encode())
    | st.binary(max_size=20)
)


@EXAMPLES
@given(texts, st.integers(0, 60), st.binary(max_size=2))
def test_json_variants_read_alike(text: bytes, place: int, damage: bytes) -> None:
    """With and without orjson the same texts are accepted and give the same values, whole or damaged."""
    for data in (text, text[:place] + damage + text[place + 1 :]):
        strict, lenient = _outcome(installed.loads, data), _outcome(installed.read_lenient, data)
        assert (strict, lenient) == (_outcome(standard.loads, data), _outcome(standard.read_lenient, data))
        assert strict in (lenient, "RemoteProtocolError"), "what is accepted as it stands is read alike"
        if lenient != "RemoteProtocolError":
            installed.dumps(installed.read_lenient(data))  # nothing is in it that JSON cannot carry


@EXAMPLES
@given(values, st.integers(0, 3), st.integers(0, 300))
def test_deep_members_are_all_that_is_lost(value: JsonValue, place: int, depth: int) -> None:
    """Whatever stands beside what is nested too deeply is read as if that were not there."""
    deep = "[" * depth + "1" + "]" * depth
    members = [f'"{name}":{json.dumps(value)}' for name in "abc"]
    members.insert(place, f'"deep":{deep}')
    for codec in (installed, standard):
        parsed = codec.read_lenient("{" + ",".join(members) + "}")
        beside = codec.read_lenient(json.dumps(value))
        assert repr([parsed[name] for name in "abc"]) == repr([beside] * 3)
        assert (json.dumps(parsed["deep"]) == deep) == (depth < codec.MAX_DEPTH)


@EXAMPLES
@given(values)
def test_json_variants_write_alike(value: object) -> None:
    """With and without orjson the same values are accepted, and what either writes reads back as the same value."""

    def written(codec: ModuleType) -> str:
        try:
            return repr(installed.loads(codec.dumps(value)))
        except LocalProtocolError as error:
            return str(error)

    assert written(installed) == written(standard)


@EXAMPLES
@given(st.binary(max_size=40), st.integers(0, 60), st.sampled_from(["", "=", "A", "B", "\n", "-", "é", "=="]))
def test_base64_variants_agree(data: bytes, place: int, damage: str) -> None:
    """With and without pybase64 the same texts are accepted, and a round trip gives the same bytes."""
    text = installed.encode_base64(data)
    assert text == standard.encode_base64(data)
    assert installed.decode_base64(text) == standard.decode_base64(text) == data
    damaged = (text[:place] + damage + text[place + 1 :]).encode()
    outcome = _outcome(installed.decode_base64, damaged)
    assert outcome == _outcome(standard.decode_base64, damaged)
    if outcome != "RemoteProtocolError":
        assert installed.encode_base64(installed.decode_base64(damaged)).encode() == damaged


def _sse(pieces: list[bytes], limit: int) -> tuple[list[ServerSentEvent], str]:
    decoder = SSEDecoder(line_limit=limit, event_limit=limit)
    events: list[ServerSentEvent] = []
    try:
        for piece in pieces:
            events += decoder.receive_data(piece)
        decoder.receive_eof()
    except RemoteProtocolError as error:
        return events, str(error)
    return events, str(decoder.pending)


sse_parts = st.sampled_from(
    ["data", ":", ": ", "event", "id", "retry", "\n", "\r", "\r\n", "\n\n", "data: x\n", "\0", "\ufeff", "é", "x" * 20]
)
sse_bodies = st.lists(sse_parts, max_size=30).map(lambda parts: "".join(parts).encode()) | st.binary(max_size=60)


@EXAMPLES
@given(sse_bodies, st.lists(st.integers(0, 120), max_size=12), st.sampled_from([10, 25, 1000]))
def test_sse_segmentation(body: bytes, cuts: list[int], limit: int) -> None:
    """However the bytes of an event stream are cut, the events and the failure after them are the same."""
    whole = _sse([body], limit)
    assert _sse(_cut(body, cuts), limit) == whole
    assert _sse([body[i : i + 1] for i in range(len(body))], limit) == whole


def _speech(pieces: list[bytes], version: str) -> tuple[list[SpeechEvent], bool, str]:
    decoder = TTSDecoder(Limits(sse_line=200, sse_event=200), version, frame_size=4)
    events: list[SpeechEvent] = []
    try:
        for piece in pieces:
            events += decoder.receive_data(piece)
            events += decoder.receive_data(b"")
        events += decoder.receive_eof()
    except CartesiaError as error:
        return events, decoder.finished, repr(error)
    return events, decoder.finished, ""


speech_parts = st.sampled_from(
    [
        'data: {"type":"chunk","data":"AAAA"}\n\n',
        'data: {"data":"AQID"}\r\n\r\n',
        'data: {"type":"chunk","data":"A"}\n\n',
        'data: {"type":"timestamps","word_timestamps":{"words":["a"],"start":[0],"end":[1]}}\n\n',
        'data: {"type":"later"}\n\n',
        'data: {"done":true}\n\n',
        'data: {"type":"done"}\n\n',
        "event: error\ndata: Invalid: no\n\n",
        'data: {"type":"error","status_code":400}\n\n',
        "data: x" + "x" * 300 + "\n\n",
        ":comment\n",
        "data: {",
    ]
)


@EXAMPLES
@given(
    st.lists(speech_parts, max_size=6),
    st.lists(st.integers(0, 400), max_size=12),
    st.sampled_from(["2024-06-10", "2026-08-14"]),
)
def test_speech_segmentation(parts: list[str], cuts: list[int], version: str) -> None:
    """However the body of a speech stream is cut, the events, the end and the failure are the same."""
    body = "".join(parts).encode()
    whole = _speech([body], version)
    assert _speech(_cut(body, cuts), version) == whole
    assert _speech([body[i : i + 1] for i in range(len(body))], version) == whole


@EXAMPLES
@given(st.binary(max_size=200), st.sampled_from(["2024-06-10", "2026-08-14"]))
def test_speech_garbage(body: bytes, version: str) -> None:
    """Garbage ends in a `CartesiaError`, and a stream that does not end is never taken for whole."""
    events, finished, failure = _speech([body, b"data: " + body.replace(b"\n", b"") + b"\n\n"], version)
    assert events == []
    assert finished or failure
    assert failure


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda name: "%" not in name)
contents = st.binary(max_size=40) | st.lists(st.sampled_from([b"\r\n", b"--", b"\r", b"\n", b"a"]), max_size=12).map(
    b"".join
)
form_parts = st.builds(TextPart, names, st.text(st.characters(exclude_categories=["Cs"]))) | st.builds(
    ContentPart, names, contents, names, st.just("audio/wav")
)


def _parts(content_type: str, pieces: list[bytes], limit: int) -> tuple[list[ReceivedPart], str]:
    decoder = MultipartDecoder(content_type, limit)
    parts: list[ReceivedPart] = []
    try:
        for piece in pieces:
            parts += decoder.receive_data(piece)
        decoder.receive_eof()
    except RemoteProtocolError as error:
        return parts, str(error)
    return parts, ""


@EXAMPLES
@given(st.lists(form_parts, max_size=4), st.integers(), st.lists(st.integers(0, 500), max_size=12))
def test_multipart_round_trip(given_parts: list[ReceivedPart], seed: int, cuts: list[int]) -> None:
    """What is encoded is decoded to the same parts, however it is cut; and without its end it is never whole."""
    content_type, upload = encode(Form(tuple(given_parts)), random.Random(seed).random)
    body = b"".join(piece for piece in upload.pieces if isinstance(piece, bytes))
    assert _parts(content_type, _cut(body, cuts), len(body)) == (given_parts, "")
    assert _parts(content_type, [body[:-4]], len(body))[1] == "the multipart body ends before its closing boundary"
    assert "exceeds" in _parts(content_type, _cut(body, cuts), len(body) - 1)[1]


multipart_fragments = st.sampled_from(
    [
        *(b"--x", b"--x--", b"\r\n", b"\r\n\r\n", b"\r", b"\n", b" ", b"-", b"x", b":", b"a" * 20, b"\xff"),
        b'Content-Disposition: form-data; name="a"',
        b'Content-Disposition: form-data; name="b"; filename="c"',
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nhello\r\n',
    ]
)


@EXAMPLES
@given(
    st.lists(multipart_fragments, max_size=12).map(b"".join),
    st.lists(st.integers(0, 300), max_size=8),
    st.sampled_from([60, 1000]),
)
def test_multipart_segmentation(body: bytes, cuts: list[int], limit: int) -> None:
    """However a multipart body is cut, well-formed or not, parts and failure are the same."""
    content_type = "multipart/form-data; boundary=x"
    whole = _parts(content_type, [body], limit)
    assert _parts(content_type, _cut(body, cuts), limit) == whole
    assert _parts(content_type, [body[i : i + 1] for i in range(len(body))], limit) == whole


error_fields = st.dictionaries(
    st.sampled_from(["title", "message", "error", "detail", "error_code", "request_id", "doc_url", "status_code", "x"]),
    values.filter(lambda value: "\\ud" not in json.dumps(value)),
)


@EXAMPLES
@given(st.integers(300, 599), texts | error_fields.map(lambda fields: json.dumps(fields).encode()), st.booleans())
def test_every_error_body_is_an_error(status: int, body: bytes, html: bool) -> None:
    """No error body makes reading it fail, whatever it holds."""
    headers = Headers([("Content-Type", "text/html" if html else "application/json")])
    error = error_from_response(Response(status, headers, body))
    assert error.status_code == status
    assert isinstance(str(error), str)


@EXAMPLES
@given(error_fields)
def test_every_error_event_is_an_error(fields: dict[str, JsonValue]) -> None:
    """No error event makes reading it fail, whatever it holds."""
    error = error_from_event(fields, "context")
    assert isinstance(error, ApiError)
    assert 400 <= error.status_code <= 599


event_fields = st.dictionaries(
    st.sampled_from(
        [
            *("type", "data", "done", "error", "status_code", "step_time", "flush_id", "context_id", "x"),
            *("word_timestamps", "phoneme_timestamps"),
        ]
    ),
    st.sampled_from(["chunk", "timestamps", "phoneme_timestamps", "flush_done", "done", "error", "AAAA"])
    | st.dictionaries(st.sampled_from(["words", "phonemes", "start", "end"]), st.lists(values, max_size=3) | values)
    | values,
)


@EXAMPLES
@given(event_fields)
def test_no_field_but_the_audio_costs_an_event(fields: dict[str, JsonValue]) -> None:
    """Whatever an event's fields are, it is one; unless it is a chunk whose audio is none."""
    message = json.dumps(fields).encode()
    try:
        events = parse_events(message)
    except RemoteProtocolError as error:
        path, events = error.path, ()
    else:
        path = None
    assert (path == "$.data") if not events else path is None
    for event in events:
        if isinstance(event, WordTimestamps | PhonemeTimestamps):
            assert len({len(column) for column in astuple(event, recurse=False)[:3]}) == 1


PIECES = [
    *(bytes([byte]) for byte in b'{}[],: "\\0'),
    *(b"\xff", b'"type":"chunk"', b'"done":false', b'"data":"', b'"data": "', b'"data"', b"AAAA", b"AAA=", b"AB=="),
    *(b'"context_id":"c"', b'"step_time":1', b'"x":', b"null", b"d\\u0061ta"),
]
"""What chunks are made of, and what could be mistaken for it."""

names = st.sampled_from(["type", "data", "done", "context_id", "step_time", "status_code", "flush_id", "x", 'x"data'])
leaves = st.sampled_from(["chunk", "AAECAw==", "AAE=", "AAF=", "", "data", '"data":"', False, True, None, 0, 1.5, -1])
members = st.dictionaries(names, leaves | st.dictionaries(names, leaves, max_size=3), max_size=7)
usual = st.just({"type": "chunk", "data": "AAECAw==", "done": False, "status_code": 206, "step_time": 1.5})


@given(
    usual,
    members,
    st.sampled_from([(",", ":"), (", ", ": "), (",", ": ")]),
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from(PIECES)), max_size=2),
    st.text('0123456789.eE+-x",:', max_size=3).map(str.encode),
)
@settings(max_examples=300, deadline=None)
def test_the_hot_path_equals_the_plain_one(
    fields: dict[str, JsonValue],
    more: dict[str, JsonValue],
    separators: tuple[str, str],
    changes: list[tuple[int, bytes]],
    behind: bytes,
) -> None:
    """What `ChunkReader` takes, it takes as the plain path does; near misses of every kind are left to that."""
    message = json.dumps({**more, **fields, **more}, separators=separators).encode()
    _assert_equal_paths(message.replace(b'AAECAw=="', b'AAECAw=="' + behind))
    for place, piece in changes:
        message = message[:place] + piece + message[place + len(piece) :]
    _assert_equal_paths(message)


@given(st.lists(st.sampled_from(PIECES), max_size=14))
@settings(max_examples=200, deadline=None)
def test_the_hot_path_equals_the_plain_one_on_rubble(pieces: list[bytes]) -> None:
    """The same for what is hardly JSON."""
    _assert_equal_paths(b'{"type":"chunk","done":false,' + b"".join(pieces) + b"}")
    _assert_equal_paths(b"".join(pieces))


more_members = st.lists(
    st.tuples(names, leaves | st.dictionaries(names, leaves, max_size=2))
    | st.sampled_from([("step_time", 9.5), ("flush_id", {"step_time": 7.5}), ("flush_id", 3)]),
    max_size=2,
)
"""Members that stand before or behind the usual ones, and may bear their names."""

variations = st.tuples(
    st.sampled_from(["AAECAw==", "AAE=", "", "AAAA"]) | st.sampled_from(["AAF=", "AA\\u0041A"]),
    st.sampled_from(["1.5", "2.5", "0.25e1"])
    | st.sampled_from(["2", "1.", "nan", '"1.5"', "1.5,", '1.5,"x":1', '1.5,"step_time":2.5', ""]),
    st.sampled_from("cd"),
    st.integers(0, 200),
    st.just(b"") | st.just(b"") | st.just(b"") | st.sampled_from(PIECES),
)
"""What changes from one message of a stream to the next: audio, step time, context, and a piece written over it."""

ALIKE: tuple[str, str, str, int, bytes] = ("AAECAw==", "1.5", "c", 0, b"")


@given(
    st.just([]) | more_members,
    st.just([]) | more_members,
    st.sampled_from([":", ": "]),
    st.sampled_from([None, -1, -2, 0]),
    st.permutations(["type", "data", "done", "status_code", "step_time", "context_id"]),
    st.lists(variations, min_size=1, max_size=6),
)
@settings(max_examples=300, deadline=None)
def test_chunks_like_the_one_before_equal_the_plain_path(
    ahead: list[tuple[str, JsonValue]],
    behind: list[tuple[str, JsonValue]],
    colon: str,
    odd: int | None,
    order: list[str],
    stream: list[tuple[str, str, str, int, bytes]],
) -> None:
    """Whatever changes from one message of a stream to the next, each is read as if it stood alone.

    The first two are surely alike. One member may have a space before its colon.
    """
    reader = ChunkReader()
    for audio, step_time, context, place, piece in [ALIKE, ALIKE, *stream]:
        fields = {"type": "chunk", "done": False, "status_code": 206, "data": "?1", "step_time": "?2"}
        usual_members = [(name, fields.get(name, context)) for name in order]
        members = [f'"{name}"{colon}{json.dumps(value)}' for name, value in [*ahead, *usual_members, *behind]]
        if odd is not None:
            members[odd] = members[odd].replace('":', '" :', 1)
        message = f"{{{','.join(members)}}}".replace("?1", audio).replace('"?2"', step_time).encode()
        message = message[:place] + piece + message[place + len(piece) :] if piece else message
        chunk = reader.read(message, memoryview(message), 0, len(message))
        alone = ChunkReader().read(message, memoryview(message), 0, len(message))
        assert repr(chunk) == repr(alone)
        assert chunk is None or parse_events(message) == (chunk,)


def _assert_equal_paths(message: bytes) -> None:
    chunk = ChunkReader().read(message, memoryview(message), 0, len(message))
    if chunk is not None:
        assert repr(parse_events(message)) == repr((chunk,))
        assert parse_events(message) == (chunk,)
