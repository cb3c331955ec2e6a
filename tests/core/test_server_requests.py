"""Whole requests, judged in order."""

import pytest

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs import json, multipart
from cartesia_proto.credentials import ApiKey
from cartesia_proto.http import ContentPart, Form, Headers, TextPart
from cartesia_proto.server.requests import (
    Accepted,
    ApiRequest,
    OpenWebSocket,
    Refused,
    StatusRequest,
    receive_request,
)
from cartesia_proto.server.speech_requests import BytesRequest, InfillRequest, Speech, SSERequest
from cartesia_proto.server.voice_forms import IdVoice
from cartesia_proto.server.voice_making import (
    CloneClip,
    CloneVoice,
    CreateVoice,
    Ingredient,
    LocalizeVoice,
    MixVoices,
)
from cartesia_proto.server.voice_requests import (
    AddAccents,
    DeleteAccent,
    DeleteVoice,
    GetVoice,
    ListAccents,
    ListVoices,
    UpdateVoice,
)
from cartesia_proto.testing import half
from cartesia_proto.wire.http1 import RequestHead

OLDEST, NEWEST = "2024-06-10", "2026-08-14"
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPEECH = Speech("sonic-3", "Hi.", IdVoice("v"), RawFormat("pcm_s16le", 8000))
SPOKEN = {"model_id": "sonic-3", "transcript": "Hi.", "voice": {"id": "v"}, "output_format": RAW}


def accepted(version: str, request: ApiRequest) -> Accepted:
    """What a request with the right key comes to."""
    return Accepted(version, request, ApiKey("k"))


def receive(
    method: str, target: str, *, version: str | None = NEWEST, body: bytes = b"", content_type: str = ""
) -> Accepted | Refused:
    """Judge a request with a key that is right."""
    fields = [("X-API-Key", "k")]
    fields += [("cartesia-version", version)] if version else []
    fields += [("content-type", content_type)] if content_type else []
    head = RequestHead(method, target, Headers.received(fields))
    return receive_request(head, body, lambda credentials: credentials.value.reveal() == "k")


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/voices?limit=3", ListVoices(limit=3)),
        ("GET", "/voices/v?expand[]=preview_file_url", GetVoice("v", ("preview_file_url",))),
        ("DELETE", "/voices/v", DeleteVoice("v")),
        ("DELETE", "/voices/v/accents/a", DeleteAccent("v", "a")),
        ("GET", "/accents", ListAccents()),
    ],
)
def test_requests_without_a_body(method: str, target: str, expected: ApiRequest) -> None:
    """Read from their target."""
    assert receive(method, target) == accepted(NEWEST, expected)


@pytest.mark.parametrize(
    ("method", "target", "version", "fields", "expected"),
    [
        ("POST", "/tts/bytes", NEWEST, SPOKEN, BytesRequest(SPEECH)),
        ("POST", "/tts/sse", OLDEST, SPOKEN, SSERequest(SPEECH)),
        (
            "POST",
            "/voices",
            OLDEST,
            {"name": "n", "description": "d", "embedding": [0] * 192},
            CreateVoice("n", "d", (0.0,) * 192),
        ),
        ("POST", "/voices/mix", OLDEST, {"voices": [{"id": "v", "weight": 1}]}, MixVoices((Ingredient(1.0, "v"),))),
        (
            "POST",
            "/voices/localize",
            NEWEST,
            {"voice_id": "v", "name": "n", "accent": "a"},
            LocalizeVoice("v", "n", accent="a"),
        ),
        ("PATCH", "/voices/v", NEWEST, {"name": "n"}, UpdateVoice("v", "n")),
        ("PATCH", "/voices/v/accents", NEWEST, {"accents": ["a"]}, AddAccents("v", ("a",))),
    ],
)
def test_requests_with_a_json_body(
    method: str, target: str, version: str, fields: dict[str, object], expected: ApiRequest
) -> None:
    """Read from their object; the version is the one resolved."""
    body = json.dumps(fields)
    assert receive(method, target, version=version, body=body, content_type="application/json") == accepted(
        version, expected
    )


INFILL = {
    "model_id": "m",
    "language": "en",
    "transcript": "Hi.",
    "voice_id": "v",
    "output_format[container]": "raw",
    "output_format[encoding]": "pcm_s16le",
    "output_format[sample_rate]": "8000",
}


@pytest.mark.parametrize(
    ("target", "version", "fields", "file", "expected"),
    [
        (
            "/infill/bytes",
            NEWEST,
            INFILL,
            "left_audio",
            InfillRequest(Speech("m", "Hi.", IdVoice("v"), RawFormat("pcm_s16le", 8000), "en"), b"x"),
        ),
        ("/voices/clone", NEWEST, {"name": "n", "language": "en"}, "clip", CloneVoice(b"x", "n", "en")),
        ("/voices/clone/clip", OLDEST, {}, "clip", CloneClip(b"x")),
    ],
)
def test_requests_with_a_form(
    target: str, version: str, fields: dict[str, str], file: str, expected: ApiRequest
) -> None:
    """Read from their parts."""
    texts = (TextPart(name, text) for name, text in fields.items())
    content_type, upload = multipart.encode(Form((*texts, ContentPart(file, b"x"))), half)
    body = b"".join(piece for piece in upload.pieces if isinstance(piece, bytes))
    assert receive("POST", target, version=version, body=body, content_type=content_type) == accepted(version, expected)


def test_the_status_asks_for_no_credentials() -> None:
    """So none are told."""
    assert receive("GET", "/") == Accepted(NEWEST, StatusRequest(), None)


@pytest.mark.parametrize(
    ("target", "version", "expected"),
    [
        ("/tts/websocket", "2025-05-05", "2025-04-16"),
        ("/tts/websocket?cartesia_version=2026-03-01", "2025-05-05", "2026-03-01"),
        ("/tts/websocket/?cartesia_version=2026-03-01", None, "2026-03-01"),
    ],
)
def test_the_query_of_a_websocket_may_carry_the_version(target: str, version: str | None, expected: str) -> None:
    """It wins over the header."""
    assert receive("GET", target, version=version) == accepted(expected, OpenWebSocket())


@pytest.mark.parametrize(
    ("target", "status"), [("/tts/websocket?cartesia_version=new", 400), ("/tts/websocket?cartesia_version=%z", 400)]
)
def test_a_websocket_with_a_wrong_version_is_refused(target: str, status: int) -> None:
    """As any request is, though the header has a right one."""
    refused = receive("GET", target)
    assert isinstance(refused, Refused)
    assert (refused.version, refused.problem.status) == (NEWEST, status)


def test_the_query_means_nothing_elsewhere() -> None:
    """Over HTTP the version stands in the header."""
    assert receive("GET", "/voices?cartesia_version=2024-06-10") == accepted(NEWEST, ListVoices(limit=10))


def test_a_date_in_between_is_resolved() -> None:
    """The version accepted is a known one."""
    assert receive("GET", "/voices", version="2025-01-01") == accepted("2024-11-13", ListVoices(limit=10))


@pytest.mark.parametrize(
    ("method", "target", "version", "shape", "status"),
    [
        ("GET", "/voices", None, NEWEST, 400),
        ("GET", "/nothing", "junk", NEWEST, 400),
        ("GET", "/nothing", "2024-12-24", "2024-11-13", 404),
        ("PUT", "/voices", OLDEST, OLDEST, 405),
        ("POST", "/tts/bytes", "2026-05-05", "2026-03-01", 400),
    ],
)
def test_a_refusal_has_the_shape_of_the_version(
    method: str, target: str, version: str | None, shape: str, status: int
) -> None:
    """The newest one where the version itself is wrong."""
    refused = receive(method, target, version=version)
    assert isinstance(refused, Refused)
    assert (refused.version, refused.problem.status) == (shape, status)


def test_credentials_are_judged_before_the_body() -> None:
    """A wrong key learns nothing about its request."""
    head = RequestHead("POST", "/tts/bytes", Headers([("Cartesia-Version", NEWEST), ("X-API-Key", "wrong")]))
    refused = receive_request(head, b"nonsense", lambda _: False)
    assert isinstance(refused, Refused)
    assert refused.problem.status == 401
