"""The stand-in over real sockets: answers, versions, credentials and faults."""

import http.client
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Final, cast

import pytest

from cartesia_proto.audio.formats import ENCODINGS, SAMPLE_RATES, SAMPLE_WIDTHS, WavFormat
from cartesia_proto.audio.wav import wav_header
from cartesia_proto.codecs import json, multipart
from cartesia_proto.codecs.events import (
    AudioChunk,
    Done,
    ErrorEvent,
    PhonemeTimestamps,
    TTSEvent,
    WordTimestamps,
    parse_events,
)
from cartesia_proto.codecs.sse import SSEDecoder
from cartesia_proto.errors import JsonValue, LocalProtocolError
from cartesia_proto.http import ContentPart, Form, TextPart
from cartesia_proto.server.versions import VERSIONS
from cartesia_proto.testing import half
from cartesia_standin import (
    DEFAULT_VOICE_ID,
    CloseAfter,
    ContentType,
    CutAfter,
    Delay,
    FailMidway,
    Fault,
    Garbage,
    Stall,
    StandIn,
    Status,
    WithoutDone,
)
from cartesia_standin.__main__ import main
from cartesia_standin.connection import MAX_BODY
from cartesia_standin.timeline import plan
from cartesia_standin.voices import catalogue_voices
from tests.conftest import WAIT

NEWEST: Final = VERSIONS[-1]
RAW: Final = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
WAV: Final = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 44100}
SPEECH: Final = {
    "model_id": "sonic-3",
    "transcript": "Hello, world!",
    "voice": {"mode": "id", "id": DEFAULT_VOICE_ID},
    "output_format": WAV,
}
EVENTS: Final = {**SPEECH, "output_format": RAW, "context_id": "c", "add_timestamps": True}


class Answered:
    """A whole response."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self) -> JsonValue:
        """Its JSON value."""
        return json.loads(self.body)

    def fields(self) -> dict[str, JsonValue]:
        """Its JSON object."""
        fields = self.json()
        assert isinstance(fields, dict)
        return fields

    def items(self, name: str) -> list[dict[str, JsonValue]]:
        """The objects of an array in its JSON object."""
        return objects(self.fields()[name])


def objects(value: JsonValue) -> list[dict[str, JsonValue]]:
    """A JSON array of objects."""
    assert isinstance(value, list)
    found = [item for item in value if isinstance(item, dict)]
    assert len(found) == len(value)
    return found


class Client:
    """The plainest HTTP client there is, on one kept-alive connection."""

    def __init__(self, server: StandIn) -> None:
        self._server = server
        host = server.base_url.partition("//")[2]
        self.connection = http.client.HTTPConnection(host, timeout=WAIT)

    def start(
        self,
        method: str,
        target: str,
        fields: object = None,
        *,
        version: str = NEWEST,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> http.client.HTTPResponse:
        """Send a request and read the head of its response."""
        sent = {"Cartesia-Version": version, "X-API-Key": self._server.api_key}
        if fields is not None:
            sent["Content-Type"] = "application/json"
            body = json.dumps(fields)
        self.connection.request(method, target, body, {**sent, **(headers or {})})
        return self.connection.getresponse()

    def ask(self, method: str, target: str, fields: object = None, *, version: str = NEWEST) -> Answered:
        """Send a request and read its response."""
        return Answered(self.start(method, target, fields, version=version))

    def post_form(self, target: str, version: str, *parts: TextPart | ContentPart) -> Answered:
        """Send a form and read its response."""
        content_type, upload = multipart.encode(Form(parts), half)
        body = b"".join(piece for piece in upload.pieces if isinstance(piece, bytes))
        return Answered(self.start("POST", target, version=version, headers={"Content-Type": content_type}, body=body))


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A stand-in that takes any key."""
    with StandIn() as server:
        yield server


@pytest.fixture
def client(server: StandIn) -> Iterator[Client]:
    """A client of it."""
    client = Client(server)
    yield client
    client.connection.close()


def events(body: bytes) -> list[TTSEvent]:
    """The events of a stream."""
    framed = SSEDecoder(10**6, 10**6).receive_data(body)
    return [event for one in framed for event in parse_events(one.data)]


# Speech.


def test_a_wav_is_streamed_with_placeholder_sizes(client: Client) -> None:
    """Chunked, as the service does, and named for what it is."""
    response = client.start("POST", "/tts/bytes", SPEECH)
    assert response.headers["Transfer-Encoding"] == "chunked"
    answered = Answered(response)
    header = wav_header(WavFormat("pcm_s16le", 44100), None)
    assert (answered.status, answered.headers["Content-Type"]) == (200, "audio/wav")
    assert answered.headers["Server"] == "cartesia-standin"
    assert answered.body.startswith(header)
    assert len(answered.body) == len(header) + 2 * round(plan("Hello, world!").duration * 44100)


@pytest.mark.parametrize("rate", SAMPLE_RATES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_raw_samples_come_in_every_encoding_and_rate(client: Client, encoding: str, rate: int) -> None:
    """As many bytes as the duration asks for."""
    output_format = {"container": "raw", "encoding": encoding, "sample_rate": rate}
    answered = client.ask("POST", "/tts/bytes", {**SPEECH, "output_format": output_format})
    assert answered.headers["Content-Type"] == "application/octet-stream"
    assert len(answered.body) == SAMPLE_WIDTHS[encoding] * round(plan("Hello, world!").duration * rate)


def test_mp3_is_refused_honestly(client: Client) -> None:
    """The message says what can be had instead."""
    output_format = {"container": "mp3", "sample_rate": 44100, "bit_rate": 128000}
    answered = client.ask("POST", "/tts/bytes", {**SPEECH, "output_format": output_format})
    assert answered.status == 400
    assert "the stand-in makes no mp3" in str(answered.fields()["message"])


def test_saved_audio_has_a_file_id(client: Client) -> None:
    """Only where it was asked for."""
    assert client.ask("POST", "/tts/bytes", {**SPEECH, "save": True}).headers["Cartesia-File-ID"]
    assert client.ask("POST", "/tts/bytes", SPEECH).headers["Cartesia-File-ID"] is None


@pytest.mark.parametrize(
    ("fields", "version", "factor"),
    [
        ({"generation_config": {"speed": 1.25}}, NEWEST, 0.8),
        ({"speed": "slow"}, NEWEST, 1.25),
        ({"voice": {"id": DEFAULT_VOICE_ID, "__experimental_controls": {"speed": 1.0}}}, "2024-06-10", 1 / 1.5),
        ({"voice": {"id": DEFAULT_VOICE_ID, "__experimental_controls": {"speed": -1.0}}}, "2024-06-10", 1 / 0.6),
        ({"voice": {"id": DEFAULT_VOICE_ID, "__experimental_controls": {"speed": "fast"}}}, "2024-06-10", 0.8),
        ({"voice": {"embedding": [0.5] * 192}}, "2024-06-10", 1.0),
    ],
)
def test_every_way_of_asking_for_a_speed_works(
    client: Client, fields: dict[str, object], version: str, factor: float
) -> None:
    """Speech gets shorter or longer by that factor; an embedding is as good as an id."""
    plain = len(client.ask("POST", "/tts/bytes", {**SPEECH, "output_format": RAW}).body)
    answered = client.ask("POST", "/tts/bytes", {**SPEECH, "output_format": RAW, **fields}, version=version)
    assert len(answered.body) == pytest.approx(plain * factor, rel=0.001)


def test_a_duration_cuts_the_speech(client: Client) -> None:
    """While versions had it."""
    answered = client.ask("POST", "/tts/bytes", {**SPEECH, "output_format": RAW, "duration": 0.5}, version="2025-04-16")
    assert len(answered.body) == 8000


@pytest.mark.parametrize("version", VERSIONS)
def test_events_are_audio_timestamps_and_an_end(client: Client, version: str) -> None:
    """Joined, the audio is that of the byte endpoint; the words are all there, in time."""
    answered = client.ask("POST", "/tts/sse", {**EVENTS, "add_phoneme_timestamps": True}, version=version)
    assert answered.headers["Content-Type"] == "text/event-stream"
    received = events(answered.body)
    audio = b"".join(event.audio for event in received if isinstance(event, AudioChunk))
    assert audio == client.ask("POST", "/tts/bytes", {**SPEECH, "output_format": RAW}, version=version).body
    timeline = plan("Hello, world!")
    words = [event for event in received if isinstance(event, WordTimestamps)]
    assert [word for event in words for word in event.words] == ["Hello,", "world!"]
    assert [end for event in words for end in event.end] == [word.end for word in timeline.words]
    phonemes = [event for event in received if isinstance(event, PhonemeTimestamps)]
    assert "".join(letter for event in phonemes for letter in event.phonemes) == "helloworld"
    assert isinstance(received[-1], Done)
    assert {event.context_id for event in received} == {"c"}


def test_events_without_timestamps(client: Client) -> None:
    """Nobody gets what was not asked for."""
    answered = client.ask("POST", "/tts/sse", {**SPEECH, "output_format": RAW})
    assert {type(event) for event in events(answered.body)} == {AudioChunk, Done}


def test_infill_speaks_the_middle(client: Client) -> None:
    """In the format asked for."""
    texts = {
        "model_id": "sonic-3",
        "language": "en",
        "transcript": "Hello, world!",
        "voice_id": DEFAULT_VOICE_ID,
        "output_format[container]": "wav",
        "output_format[encoding]": "pcm_s16le",
        "output_format[sample_rate]": "44100",
    }
    parts = (TextPart(name, text) for name, text in texts.items())
    answered = client.post_form("/infill/bytes", NEWEST, *parts, ContentPart("left_audio", b"x"))
    assert answered.body == client.ask("POST", "/tts/bytes", SPEECH).body


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"model_id": "sonic-99"}, "model_not_found"),
        ({"voice": {"id": "nobody"}}, "voice_not_found"),
        ({"pronunciation_dict_id": "x"}, None),
    ],
)
def test_what_is_not_there_is_not_found(client: Client, fields: dict[str, object], code: str | None) -> None:
    """404, before any audio, for bytes as for events."""
    for target, speech in (("/tts/bytes", SPEECH), ("/tts/sse", EVENTS)):
        answered = client.ask("POST", target, {**speech, **fields})
        assert (answered.status, answered.fields()["error_code"]) == (404, code)


# Everything else.


@pytest.mark.parametrize("version", VERSIONS)
def test_the_life_of_a_voice(client: Client, version: str) -> None:
    """Cloned, seen, changed, deleted, under every version."""
    parts = [TextPart("name", "Mine"), TextPart("language", "en"), TextPart("mode", "similarity")]
    made = client.post_form("/voices/clone", version, *parts, ContentPart("clip", b"x")).fields()
    path = f"/voices/{made['id']}"
    assert client.ask("GET", path, version=version).fields()["name"] == "Mine"
    changes = {"name": "Changed", "description": "d"}
    assert client.ask("PATCH", path, changes, version=version).fields()["name"] == "Changed"
    deleted = client.ask("DELETE", path, version=version)
    assert (deleted.status, deleted.body) == (204, b"")
    assert client.ask("GET", path, version=version).status == 404


def test_lists_have_the_shape_of_their_version(client: Client) -> None:
    """A bare array first, pages of ten later."""
    bare = objects(client.ask("GET", "/voices", version="2024-06-10").json())
    assert len(bare) == 24
    assert bare[0]["embedding"] == list(catalogue_voices()[0].embedding)
    page = client.ask("GET", "/voices?expand[]=preview_file_url")
    voices = page.items("data")
    assert len(voices) == 10
    assert (page.fields()["has_more"], page.fields()["next_page"]) == (True, voices[-1]["id"])
    assert voices[0]["preview_file_url"] is None


def test_embeddings_of_the_first_version(client: Client) -> None:
    """From a clip, from a mix, from another one; and a voice made of it."""
    clip = client.post_form("/voices/clone/clip", "2024-06-10", ContentPart("clip", b"x")).fields()
    voices = [{"embedding": clip["embedding"], "weight": 1}]
    mixed = client.ask("POST", "/voices/mix", {"voices": voices}, version="2024-06-10").fields()
    assert mixed == clip
    localized = {**mixed, "language": "fr", "original_speaker_gender": "male"}
    assert client.ask("POST", "/voices/localize", localized, version="2024-06-10").fields() == clip
    created = client.ask("POST", "/voices", {**mixed, "name": "n", "description": "d"}, version="2024-06-10")
    assert created.status == 201
    assert created.fields()["user_id"] == "user_standin"


def test_accents(client: Client) -> None:
    """Listed, and attached to a voice of one's own."""
    accent = client.ask("GET", "/accents").items("accents")[0]["id"]
    localized = {"voice_id": DEFAULT_VOICE_ID, "name": "n", "accent": accent}
    path = f"/voices/{client.ask('POST', '/voices/localize', localized).fields()['id']}"
    added = client.ask("PATCH", f"{path}/accents", {"accents": ["british"]}).items("accents")
    assert [spoken["accent"] for spoken in added] == [accent, "british"]
    assert len(client.ask("DELETE", f"{path}/accents/british").items("accents")) == 1


def test_the_status_needs_no_key(client: Client) -> None:
    """Only a version."""
    assert client.ask("GET", "/").fields() == {"ok": True, "version": NEWEST}


# Who may ask.


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_key_is_refused_in_the_shape_of_the_version(version: str) -> None:
    """In text, or in JSON; the right one and the token are taken."""
    with StandIn(key="sk_car_right") as server:
        client = Client(server)
        assert client.ask("GET", "/voices", version=version).status == 200
        wrong = Answered(client.start("GET", "/voices", version=version, headers={"X-API-Key": "sk_car_wrong"}))
        token = {"Authorization": f"Bearer {server.access_token}", "Content-Type": "application/json"}
        body = json.dumps(SPEECH)
        assert Answered(client.start("POST", "/tts/bytes", version=version, headers=token, body=body)).status == 200
        assert wrong.status == 401
        if version >= "2026-03-01":
            assert wrong.fields()["title"] == "Unauthorized"
        else:
            assert wrong.body.startswith(b"Unauthorized: ")
        client.connection.close()


def test_a_malformed_key_is_refused_at_once() -> None:
    """In words that do not show it."""
    with pytest.raises(LocalProtocolError) as refused:
        StandIn(key="canary\n")
    assert "canary" not in str(refused.value)


# What tests can see.


def test_requests_are_recorded_without_their_secrets(server: StandIn, client: Client) -> None:
    """In order, with the connection they came on."""
    client.ask("POST", "/tts/bytes?api_key=canary", SPEECH)
    client.connection.close()
    client.ask("GET", "/voices")
    first, second = server.requests
    assert (first.method, first.target, first.connection) == ("POST", "/tts/bytes?api_key=***", 1)
    assert json.loads(first.body) == SPEECH
    assert first.headers.get("x-api-key") == "***"
    assert "canary" not in repr(server.requests)
    assert (second.method, second.connection, server.connections) == ("GET", 2, 2)


def test_a_connection_is_kept_alive(server: StandIn, client: Client) -> None:
    """One for any number of requests."""
    for _ in range(3):
        client.ask("GET", "/voices")
        client.ask("POST", "/tts/sse", EVENTS)
    assert (server.connections, server.open_connections) == (1, 1)


# What goes wrong.


def test_faults_are_used_up_in_order(server: StandIn, client: Client) -> None:
    """One for each request; None lets one pass."""
    server.script(Status(429, {"Retry-After": "1"}, b"slow down"), None, Status(503))
    first = client.ask("GET", "/voices")
    assert (first.status, first.body, first.headers["Retry-After"]) == (429, b"slow down", "1")
    assert [client.ask("GET", "/voices").status for _ in range(3)] == [200, 503, 200]


def test_a_delayed_answer_is_right(server: StandIn, client: Client) -> None:
    """Only late."""
    server.script(Delay(0.01))
    assert client.ask("GET", "/").status == 200


def test_a_status_without_a_body(server: StandIn, client: Client) -> None:
    """A 204 has none, and no length."""
    server.script(Status(204))
    assert client.ask("GET", "/").status == 204
    assert client.ask("GET", "/").status == 200


@pytest.mark.parametrize("target", ["/voices", "/tts/bytes"])
@pytest.mark.parametrize("declared", [None, 5000])
def test_a_body_is_cut(server: StandIn, client: Client, target: str, declared: int | None) -> None:
    """Chunked, of its true length, or of any length one likes to declare."""
    server.script(CutAfter(1000, declared))
    response = client.start("GET" if target == "/voices" else "POST", target, SPEECH)
    with pytest.raises(http.client.IncompleteRead) as cut:
        response.read()
    assert sum(map(len, cut.value.args[:1])) == 1000


@pytest.mark.parametrize("after", [0, 1000])
def test_a_body_stalls(server: StandIn, client: Client, after: int) -> None:
    """What was sent is there, and nothing follows."""
    server.script(Stall(after))
    response = client.start("POST", "/tts/bytes", SPEECH)
    assert after == 0 or len(response.read(after)) == after
    assert client.connection.sock is not None
    client.connection.sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        response.read(1)
    response.close()


def test_a_head_stalls(server: StandIn, client: Client) -> None:
    """Not a byte comes."""
    server.script(Stall())
    client.connection.request("GET", "/", headers={"Cartesia-Version": NEWEST})
    assert client.connection.sock is not None
    client.connection.sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.connection.getresponse()


@pytest.mark.parametrize(
    ("data", "error"), [(b"\x00nonsense\r\n\r\n", http.client.BadStatusLine), (b"", http.client.RemoteDisconnected)]
)
def test_garbage(server: StandIn, client: Client, data: bytes, error: type[Exception]) -> None:
    """Any bytes at all, or none."""
    server.script(Garbage(data))
    with pytest.raises(error):
        client.ask("GET", "/")


def test_a_wrong_content_type(server: StandIn, client: Client) -> None:
    """Over the right body."""
    server.script(ContentType("text/html"))
    answered = client.ask("GET", "/")
    assert (answered.headers["Content-Type"], answered.fields()["ok"]) == ("text/html", True)


@pytest.mark.parametrize(("target", "fields"), [("/tts/sse", EVENTS), ("/voices/x", None)])
def test_a_stream_without_its_end(server: StandIn, client: Client, target: str, fields: object) -> None:
    """All audio, no terminal event; other answers are not touched."""
    server.script(WithoutDone())
    answered = client.ask("POST" if fields else "GET", target, fields)
    if fields:
        assert not any(isinstance(event, Done) for event in events(answered.body))
        assert len(events(answered.body)) > 2
    else:
        assert answered.status == 404


def test_a_stream_fails_midway(server: StandIn, client: Client) -> None:
    """With an error event, and a proper end of the body."""
    server.script(FailMidway(2, 503, "Overloaded", "try later", "concurrency_limited"))
    received = events(client.ask("POST", "/tts/sse", EVENTS).body)
    assert len(received) == 3
    last = received[-1]
    assert isinstance(last, ErrorEvent)
    assert (last.error.status_code, last.error.error_code, last.context_id) == (503, "concurrency_limited", "c")
    assert client.ask("GET", "/").status == 200


@pytest.mark.parametrize(("method", "target"), [("POST", "/tts/bytes"), ("GET", "/voices")])
def test_other_answers_just_stop_midway(server: StandIn, client: Client, method: str, target: str) -> None:
    """There is no event in which to say why."""
    server.script(FailMidway(0))
    with pytest.raises(http.client.IncompleteRead):
        client.ask(method, target, SPEECH)


def test_a_connection_closes_without_having_said_so(server: StandIn, client: Client) -> None:
    """What a kept-alive connection may meet when it is used again."""
    server.script(CloseAfter())
    answered = client.ask("GET", "/")
    assert answered.headers["Connection"] is None
    assert client.connection.sock is not None
    assert client.connection.sock.recv(1) == b""


ALL_FAULTS: Final[list[Fault]] = [
    Delay(60.0),
    Status(500),
    CutAfter(10),
    Stall(),
    Stall(10),
    Garbage(b"x"),
    ContentType("x"),
    WithoutDone(),
    FailMidway(1),
    CloseAfter(),
]


@pytest.mark.parametrize("fault", ALL_FAULTS, ids=repr)
def test_leaving_ends_every_fault_at_once(fault: Fault) -> None:
    """Nothing hangs, whatever is under way."""
    with StandIn() as server:
        server.script(fault)
        client = Client(server)
        body = json.dumps(EVENTS)
        headers = {"Cartesia-Version": NEWEST, "X-API-Key": "k", "Content-Type": "application/json"}
        client.connection.request("POST", "/tts/sse", body, headers)
    client.connection.close()
    assert server.open_connections == 0


# Bytes that are no request.


def exchange(server: StandIn, data: bytes) -> bytes:
    """Send bytes, and read until the stand-in closes."""
    host, _, port = server.base_url.partition("//")[2].partition(":")
    with socket.create_connection((host, int(port)), WAIT) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        with sock.makefile("rb") as answer:
            return answer.read()


def test_what_is_no_http_gets_a_last_answer(server: StandIn) -> None:
    """400, and the end."""
    answer = exchange(server, b"\x16\x03\x01nonsense\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"cartesia-standin" in answer


@pytest.mark.parametrize("target", ["//[canary", "http://[canary/?api_key=canary"])
def test_a_target_that_is_no_url_is_answered(server: StandIn, target: str) -> None:
    """It is recorded without what may be a secret in it."""
    answer = exchange(server, f"GET {target} HTTP/1.1\r\nHost: x\r\nCartesia-Version: 2026-08-14\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 ")
    assert [request.target for request in server.requests] == ["***"]


def test_a_target_may_be_a_whole_url(server: StandIn) -> None:
    """A client may write one to any server (RFC 9112 section 3.2.2); an empty line may stand before its request."""
    request = b"\r\nGET http://localhost/ HTTP/1.1\r\nHost: x\r\nCartesia-Version: 2026-08-14\r\n\r\n"
    assert exchange(server, request).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("data", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"])
def test_who_leaves_early_gets_none(server: StandIn, data: bytes) -> None:
    """There is nobody to tell."""
    assert exchange(server, data) == b""
    assert server.requests == ()


def test_a_body_over_the_limit_is_refused(server: StandIn) -> None:
    """413, before all of it was sent."""
    head = b"POST /tts/bytes HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (2 * MAX_BODY)
    host, _, port = server.base_url.partition("//")[2].partition(":")
    with socket.create_connection((host, int(port)), WAIT) as sock:
        sock.sendall(head)
        sock.sendall(bytes(MAX_BODY + 1))
        assert sock.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_waits_for_a_continue_gets_it(server: StandIn) -> None:
    """Before its body."""
    host, _, port = server.base_url.partition("//")[2].partition(":")
    with socket.create_connection((host, int(port)), WAIT) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"{}")
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")  # there is no version


# Its life.


def test_it_serves_tls(server_context: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    """With the context it is given."""
    with StandIn(ssl_context=server_context) as server:
        assert server.base_url.startswith("https://127.0.0.1:")
        host = server.base_url.partition("//")[2]
        connection = http.client.HTTPSConnection(host, timeout=WAIT, context=trust)
        connection.request("GET", "/", headers={"Cartesia-Version": NEWEST})
        assert json.loads(connection.getresponse().read()) == {"ok": True, "version": NEWEST}
        connection.close()


def test_a_port_that_is_taken_is_an_error(server: StandIn) -> None:
    """And leaves no thread behind."""
    before = threading.active_count()
    with pytest.raises(OSError, match="in use"), StandIn(port=int(server.base_url.rpartition(":")[2])):
        pass
    assert threading.active_count() == before


def test_a_port_that_is_no_integer_is_an_error() -> None:
    """And hangs nobody."""
    with pytest.raises(LocalProtocolError, match="port 2.5 must be an integer from 0 to 65535"):
        StandIn(port=cast("int", 2.5))


def test_head_is_answered(server: StandIn) -> None:
    """Without a body, and the connection is kept."""
    host, _, port = server.base_url.partition("//")[2].partition(":")
    with socket.create_connection((host, int(port)), WAIT) as sock:
        answers: list[bytes] = []
        for method in ("HEAD", "GET"):
            sock.sendall(f"{method} / HTTP/1.1\r\nHost: x\r\nCartesia-Version: 2026-08-14\r\n\r\n".encode())
            answers.append(b"")
            while b"\r\n\r\n" not in answers[-1]:
                answers[-1] += sock.recv(65536)
    assert answers[0].startswith(b"HTTP/1.1 405 ")
    assert answers[0].endswith(b"\r\n\r\n")
    assert answers[1].startswith(b"HTTP/1.1 200 ")


def test_a_stand_in_is_entered_once(server: StandIn) -> None:
    """A second time is a mistake."""
    with pytest.raises(RuntimeError, match="only once"), server:
        pass


def test_two_run_side_by_side() -> None:
    """Each with its own voices, answering the same to the same."""
    with StandIn() as one, StandIn() as two:
        first, second = Client(one), Client(two)
        assert one.base_url != two.base_url
        assert first.ask("GET", "/voices").body == second.ask("GET", "/voices").body
        first.connection.close()
        second.connection.close()


# From a shell.


@pytest.mark.usefixtures("ctrl_c")
def test_the_command_prints_its_address_and_ends_at_ctrl_c() -> None:
    """Without a traceback, and without its key."""
    command = [sys.executable, "-W", "error", "-m", "cartesia_standin", "--port", "0", "--key", "sk_canary"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:  # noqa: S603 - our own module
        assert process.stdout is not None
        assert process.stderr is not None
        base_url = process.stdout.readline().strip()
        connection = http.client.HTTPConnection(base_url.partition("//")[2], timeout=WAIT)
        connection.request("GET", "/", headers={"Cartesia-Version": NEWEST})
        assert connection.getresponse().read()
        connection.close()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=WAIT)
    assert process.returncode == 0
    assert output == ""
    assert errors == "accepting the given API key alone; Ctrl-C ends it\n"


@pytest.mark.parametrize("arguments", [["--key", "a b"], ["--port", "99999"]])
def test_the_command_says_what_is_wrong(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with an exit status of 1."""
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.out == ""
