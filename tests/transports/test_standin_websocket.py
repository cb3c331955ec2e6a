"""The stand-in's WebSocket over real sockets: handshakes, contexts, limits and faults, met by the client's own link."""

import math
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import pairwise
from typing import Final

import pytest

from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.codecs import json
from cartesia_proto.codecs.events import (
    AudioChunk,
    Done,
    ErrorEvent,
    FlushDone,
    PhonemeTimestamps,
    TTSEvent,
    UnknownEvent,
    WordTimestamps,
    parse_events,
)
from cartesia_proto.config import Limits
from cartesia_proto.errors import JsonValue, LocalProtocolError, RemoteProtocolError
from cartesia_proto.http import Headers, Request
from cartesia_proto.server.problems import Problem
from cartesia_proto.server.speech_requests import GenerationConfig
from cartesia_proto.server.versions import VERSIONS
from cartesia_proto.wire.frames import TextMessage
from cartesia_proto.wire.websocket import Accepted, ClientWebSocketEvent, ClientWebSocketLink, Rejected
from cartesia_proto.wire.websocket_link import Closed
from cartesia_standin import (
    DEFAULT_VOICE_ID,
    IDLE_REASON,
    STALE_CONTEXT,
    CloseAfter,
    CloseFrameAfter,
    CutAfter,
    Delay,
    DropAfter,
    ErrorWithoutContext,
    FailMidway,
    Fault,
    Fragmented,
    Garbage,
    GarbageText,
    Pings,
    SilenceAfter,
    StaleFrames,
    Stall,
    StandIn,
    Status,
    UnknownEvents,
    WithoutDone,
    spoken_audio,
)
from cartesia_standin.timeline import plan
from tests.conftest import WAIT

NEWEST: Final = VERSIONS[-1]
FORMAT: Final = RawFormat("pcm_s16le", 8000)
SETTINGS: Final[dict[str, JsonValue]] = {
    "model_id": "sonic-3",
    "voice": {"mode": "id", "id": DEFAULT_VOICE_ID},
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
}
FINISHED: Final[dict[str, JsonValue]] = {"continue": False}
FLUSHED: Final[dict[str, JsonValue]] = {"flush": True}
TEXT: Final = "Hello, world!"


class Peer:
    """A client of the WebSocket: the library's link on a plain socket, whose time stands still."""

    def __init__(
        self,
        server: StandIn,
        query: str = "",
        fields: Sequence[tuple[str, str]] | None = None,
        *,
        trust: ssl.SSLContext | None = None,
        deflate: bool = False,
    ) -> None:
        headers = [("X-API-Key", server.api_key), ("Cartesia-Version", NEWEST)] if fields is None else fields
        request = Request("GET", f"{server.base_url}/tts/websocket{query}", Headers.received(headers))
        self.socket = socket.create_connection((request.host, request.port), WAIT)
        if trust is not None:
            self.socket = trust.wrap_socket(self.socket, server_hostname=request.host)
        self.link = ClientWebSocketLink(
            request, timeout=math.inf, limits=Limits(), ping_interval=math.inf, deflate=deflate, now=0.0
        )
        self.received = b""
        self.texts: list[str] = []
        self.opened = self.next()

    def send(self) -> None:
        """Write what is queued."""
        self.socket.sendall(self.link.data_to_send())

    def next(self) -> ClientWebSocketEvent:
        """The next thing the server says."""
        while (event := self.link.next_event()) is None:
            self.send()
            data = self.socket.recv(65536)
            self.received += data
            if data:
                self.link.receive_data(data, 0.0)
            else:
                self.link.receive_eof(0.0)
        return event

    def say(self, context_id: str | None, transcript: str = "", /, **fields: JsonValue) -> None:
        """Send an input that another may follow, unless the fields say otherwise."""
        said = {**SETTINGS, "context_id": context_id, "transcript": transcript, "continue": True, **fields}
        self.link.send_text(json.dumps(said).decode())
        self.send()

    def cancel(self, context_id: str) -> None:
        """Cancel a context."""
        self.link.send_text(json.dumps({"context_id": context_id, "cancel": True}).decode())
        self.send()

    def events(self) -> Iterator[TTSEvent]:
        """Everything the server says, until it closes."""
        while isinstance(message := self.next(), TextMessage):
            self.texts.append(message.text)
            yield from parse_events(message.data, "context")
        self.closed = message

    def until_done(self, *context_ids: str | None) -> list[TTSEvent]:
        """Everything the server says, until all of these contexts are over."""
        heard: list[TTSEvent] = []
        open_contexts = set(context_ids)
        for event in self.events():
            heard.append(event)
            if isinstance(event, Done | ErrorEvent):
                open_contexts.discard(event.context_id)
            if not open_contexts:
                return heard
        raise AssertionError(f"{self.closed} came before the end of {open_contexts}")

    def until_closed(self) -> list[TTSEvent]:
        """Everything the server says until the link has ended."""
        return list(self.events())


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A stand-in that takes any key."""
    with StandIn() as server:
        yield server


class Peers(ExitStack):
    """Makes clients, and closes their sockets."""

    def __call__(
        self,
        server: StandIn,
        query: str = "",
        fields: Sequence[tuple[str, str]] | None = None,
        *,
        trust: ssl.SSLContext | None = None,
        deflate: bool = False,
    ) -> Peer:
        """One more client."""
        peer = Peer(server, query, fields, trust=trust, deflate=deflate)
        self.callback(peer.socket.close)
        return peer


@pytest.fixture
def peers() -> Iterator[Peers]:
    """Clients."""
    with Peers() as made:
        yield made


def audio(events: Sequence[TTSEvent], context_id: str | None = "c") -> bytes:
    """All audio of a context."""
    return b"".join(event.audio for event in events if event.context_id == context_id)


def the_error(events: Sequence[TTSEvent]) -> ErrorEvent:
    """The one error there is."""
    [error] = [event for event in events if isinstance(event, ErrorEvent)]
    return error


# The handshake.


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", None),
        ("", [("Authorization", "Bearer sk_car_x"), ("Cartesia-Version", NEWEST)]),
        ("?cartesia_version=2024-06-10&api_key=canary", []),
        ("?cartesia_version=2024-06-10&access_token=eyJh.e30.canary", []),
    ],
)
def test_a_handshake_is_accepted(
    server: StandIn, peers: Peers, query: str, fields: list[tuple[str, str]] | None
) -> None:
    """With credentials and version in headers or in the query; secrets are not recorded."""
    peer = peers(server, query, fields)
    assert isinstance(peer.opened, Accepted)
    assert peer.opened.response.headers.get("x-request-id") == "5a4d3000-0000-4000-8000-000000000001"
    assert peer.opened.response.headers.get("server") == "cartesia-standin"
    assert "canary" not in repr(server.requests)
    assert (server.connections, server.open_connections) == (1, 1)


@pytest.mark.parametrize(
    ("query", "fields", "status", "said"),
    [
        ("", [("Cartesia-Version", NEWEST)], 401, "credentials are missing"),
        ("?api_key=other", [("Cartesia-Version", NEWEST)], 401, "not valid"),
        ("", [("X-API-Key", "sk_car_mine")], 400, "Cartesia-Version header is missing"),
        ("/nothing", [("X-API-Key", "sk_car_mine"), ("Cartesia-Version", NEWEST)], 404, "no such path"),
    ],
)
def test_a_handshake_is_rejected_as_any_request_is(
    peers: Peers, query: str, fields: list[tuple[str, str]], status: int, said: str
) -> None:
    """By an ordinary response with the error's body and a request id."""
    with StandIn(key="sk_car_mine") as server:
        peer = peers(server, query, fields)
        assert isinstance(peer.opened, Rejected)
        response = peer.opened.response
        assert response.status == status
        body = json.loads(response.body)
        assert isinstance(body, dict)
        assert said in str(body["message"])
        assert body["request_id"] == response.headers.get("x-request-id")


def test_a_rejection_has_the_shape_of_the_version_in_the_query(server: StandIn, peers: Peers) -> None:
    """Which wins over the header; a line of text in old times."""
    peer = peers(server, "?cartesia_version=2025-11-04", [("Cartesia-Version", NEWEST)])
    assert isinstance(peer.opened, Rejected)
    assert peer.opened.response.body == b"Unauthorized: credentials are missing: send an API key or an access token"


def test_what_asks_for_no_websocket_is_told_to(server: StandIn) -> None:
    """426, and the connection goes on."""
    host, _, port = server.base_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), WAIT) as sock:
        head = f"GET /tts/websocket HTTP/1.1\r\nHost: x\r\nCartesia-Version: {NEWEST}\r\nX-API-Key: k\r\n\r\n"
        for _ in range(2):
            sock.sendall(head.encode())
            answered = b""
            while b"ask for an upgrade" not in answered:
                answered += sock.recv(65536)
            assert answered.startswith(b"HTTP/1.1 426 ")
            assert b"X-Request-Id: 5a4d3000" in answered
    assert server.connections == 1


@pytest.mark.parametrize(
    "fault", [Status(429, {"Retry-After": "1"}, b"slow down"), Status(402, {}, b"{}"), Status(500)]
)
def test_a_rejection_is_scripted(server: StandIn, peers: Peers, fault: Status) -> None:
    """By the fault for any request."""
    server.script(fault)
    opened = peers(server).opened
    assert isinstance(opened, Rejected)
    assert (opened.response.status, opened.response.body) == (fault.code, fault.body)
    assert isinstance(peers(server).opened, Accepted)


@pytest.mark.parametrize("fault", [Garbage(), Garbage(b"\x00nonsense\r\n\r\n"), CutAfter(0)])
def test_a_handshake_breaks_off(server: StandIn, peers: Peers, fault: Fault) -> None:
    """Without a usable answer."""
    server.script(fault)
    opened = peers(server).opened
    assert isinstance(opened, Closed)
    assert opened.error is not None


def test_a_handshake_stalls(server: StandIn) -> None:
    """Not a byte comes."""
    server.script(Stall())
    host, _, port = server.base_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), WAIT) as sock:
        request = Request(
            "GET",
            f"{server.base_url}/tts/websocket",
            Headers([("X-API-Key", "k"), ("Cartesia-Version", NEWEST)]),
        )
        sock.sendall(ClientWebSocketLink(request, timeout=WAIT, limits=Limits(), now=0.0).data_to_send())
        server.wait_until(lambda: len(server.requests) == 1)
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)


@pytest.mark.parametrize("fault", [Delay(0.01), CloseAfter()])
def test_faults_that_leave_a_handshake_right(server: StandIn, peers: Peers, fault: Fault) -> None:
    """Late, or not for it."""
    server.script(fault)
    peer = peers(server)
    peer.say("c", TEXT, **FINISHED)
    assert audio(peer.until_done("c")) == spoken_audio(TEXT, output_format=FORMAT)


def test_too_many_sockets_are_refused(peers: Peers) -> None:
    """429 for the key that has them; until one has gone."""
    with StandIn(max_sockets=1) as server:
        first = peers(server)
        rejected = peers(server).opened
        assert isinstance(rejected, Rejected)
        assert rejected.response.status == 429
        assert b'"concurrency_limited"' in rejected.response.body
        assert isinstance(peers(server, "?api_key=another", [("Cartesia-Version", NEWEST)]).opened, Accepted)
        first.socket.close()
        server.wait_until(lambda: server.open_connections == 2)
        assert isinstance(peers(server).opened, Accepted)


# Contexts.


@pytest.mark.parametrize("version", VERSIONS)
def test_a_single_shot_is_what_the_byte_endpoint_says(server: StandIn, peers: Peers, version: str) -> None:
    """Byte for byte, in chunks, then the end; under every version."""
    peer = peers(server, "", [("X-API-Key", "k"), ("Cartesia-Version", version)])
    peer.say("c", TEXT, **FINISHED)
    events = peer.until_done("c")
    assert [type(event) for event in events[-2:]] == [AudioChunk, Done]
    assert {event.flush_id for event in events if isinstance(event, AudioChunk)} == {1}
    with socket.create_connection(peer.socket.getpeername(), WAIT) as sock:
        body = json.dumps({**SETTINGS, "transcript": TEXT})
        fields = f"X-API-Key: k\r\nCartesia-Version: {version}\r\nContent-Type: application/json\r\n"
        head = f"POST /tts/bytes HTTP/1.0\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        whole = b"".join(iter(lambda: sock.recv(65536), b""))
    assert audio(events) == whole.partition(b"\r\n\r\n")[2] == spoken_audio(TEXT, output_format=FORMAT)


def test_a_context_is_its_inputs_one_after_another(server: StandIn, peers: Peers) -> None:
    """In order, however they are cut; white space makes no sound."""
    peer = peers(server)
    for transcript in ("Hello, ", "wor", "ld!", " \n"):
        peer.say("c", transcript)
    peer.say("c", **FINISHED)
    expected = spoken_audio("Hello, ", "wor", "ld!", " \n", "", output_format=FORMAT)
    assert audio(peer.until_done("c")) == expected
    assert expected == b"".join(spoken_audio(text, output_format=FORMAT) for text in ("Hello, ", "wor", "ld!"))


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"])
def test_audio_has_the_format_asked_for(server: StandIn, peers: Peers, encoding: str) -> None:
    """And the settings of each input."""
    peer = peers(server)
    output_format: JsonValue = {"container": "raw", "encoding": encoding, "sample_rate": 16000}
    config: JsonValue = {"speed": 1.5, "volume": 0.5}
    peer.say("c", TEXT, output_format=output_format)
    peer.say("c", TEXT, output_format=output_format, generation_config=config, **FINISHED)
    asked = RawFormat(encoding, 16000)
    second = GenerationConfig(volume=0.5, speed=1.5)
    expected = spoken_audio(TEXT, output_format=asked)
    expected += spoken_audio(TEXT, output_format=asked, generation_config=second)
    assert audio(peer.until_done("c")) == expected


def test_an_unknown_voice_has_no_audio() -> None:
    """Where it is asked for beforehand, too."""
    with pytest.raises(Problem, match="there is no voice"):
        spoken_audio(TEXT, output_format=FORMAT, voice_id="nobody")


def test_contexts_take_turns(server: StandIn, peers: Peers) -> None:
    """An event each, so that none waits for another's end; each has its own audio."""
    peer = peers(server)
    texts = {f"c{number}": TEXT * (number + 1) for number in range(3)}
    for context_id, text in texts.items():
        peer.say(context_id, text)
        peer.say(context_id, text, **FINISHED)
    events = peer.until_done(*texts)
    for context_id, text in texts.items():
        assert audio(events, context_id) == spoken_audio(text, text, output_format=FORMAT)
    spoken = [event.context_id for event in events if isinstance(event, AudioChunk)]
    all_began = max(spoken.index(context_id) for context_id in texts)
    one_ended = min(len(spoken) - 1 - spoken[::-1].index(context_id) for context_id in texts)
    assert all(first != second for first, second in pairwise(spoken[all_began:one_ended]))
    assert server.open_contexts == 0


def test_many_contexts_at_once(server: StandIn, peers: Peers) -> None:
    """Two hundred, each complete."""
    peer = peers(server)
    texts = {f"c{number}": f"Number {number}." for number in range(200)}
    for context_id, text in texts.items():
        peer.say(context_id, text, **FINISHED)
    events = peer.until_done(*texts)
    for context_id, text in texts.items():
        assert audio(events, context_id) == spoken_audio(text, output_format=FORMAT)


def test_each_flush_closes_a_segment(server: StandIn, peers: Peers) -> None:
    """N flushes, N confirmations, each after the audio that bears its number, then the end."""
    peer = peers(server)
    for transcript in ("One.", "Two.", "Three."):
        peer.say("c", transcript)
        peer.say("c", **FLUSHED)
    peer.say("c", **FINISHED)
    events = peer.until_done("c")
    assert [event.flush_id for event in events if isinstance(event, FlushDone)] == [1, 2, 3]
    numbers = [event.flush_id for event in events if isinstance(event, AudioChunk | FlushDone)]
    assert numbers == sorted(number for number in numbers if number is not None)
    assert isinstance(events[-2], FlushDone)
    assert isinstance(events[-1], Done)


def test_without_a_delay_every_input_is_confirmed(server: StandIn, peers: Peers) -> None:
    """By a flush of its own."""
    peer = peers(server)
    for transcript in ("One.", "Two."):
        peer.say("c", transcript, max_buffer_delay_ms=0)
    peer.say("c", max_buffer_delay_ms=0, **FINISHED)
    events = peer.until_done("c")
    assert [event.flush_id for event in events if isinstance(event, FlushDone)] == [1, 2]


def test_timestamps_count_from_the_first_audio_of_the_context(server: StandIn, peers: Peers) -> None:
    """Over all its inputs; only where they were asked for."""
    peer = peers(server)
    wanted: dict[str, JsonValue] = {"add_timestamps": True, "add_phoneme_timestamps": True}
    peer.say("c", "Hello, ", **wanted)
    peer.say("c", "world!", **wanted, **FINISHED)
    peer.say("plain", TEXT, **FINISHED)
    events = peer.until_done("c", "plain")
    offset = len(spoken_audio("Hello, ", output_format=FORMAT)) / 2 / FORMAT.sample_rate
    words = [event for event in events if isinstance(event, WordTimestamps)]
    assert [word for event in words for word in event.words] == ["Hello,", "world!"]
    starts = [start for event in words for start in event.start]
    assert starts == [plan("Hello,").words[0].start, round(offset + plan("world!").words[0].start, 6)]
    phonemes = [event for event in events if isinstance(event, PhonemeTimestamps)]
    assert "".join(sound for event in phonemes for sound in event.phonemes) == "helloworld"
    ends = [end for event in phonemes for end in event.end]
    assert ends == sorted(ends)
    assert ends[-1] > offset
    assert {event.context_id for event in words} == {event.context_id for event in phonemes} == {"c"}


def test_a_context_without_an_id_under_an_old_version(server: StandIn, peers: Peers) -> None:
    """Its events have none either."""
    peer = peers(server, "?cartesia_version=2024-06-10")
    peer.say(None, TEXT, **FINISHED)
    assert audio(peer.until_done(None), None) == spoken_audio(TEXT, output_format=FORMAT)


# Cancelling and ending.


def test_a_cancelled_context_goes_on_to_the_end_of_its_input(server: StandIn, peers: Peers) -> None:
    """What has not begun is never said, nor that it is done; the socket stays of use."""
    peer = peers(server)
    # Far more than the system buffers for who does not read: the server is still speaking when it hears the cancel.
    long = TEXT * 60
    detailed: dict[str, JsonValue] = {
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 48000}
    }
    peer.say("c", long, **detailed)
    peer.say("c", "never said", **detailed, **FINISHED)
    first = next(peer.events())
    peer.cancel("c")
    server.wait_until(lambda: server.open_contexts == 0)
    peer.say("d", TEXT, **FINISHED)
    events = [first, *peer.until_done("d")]
    assert audio(events, "d") == spoken_audio(TEXT, output_format=FORMAT)
    peer.say("e", long, **detailed, **FINISHED)
    events += peer.until_done("e")
    assert audio(events) == spoken_audio(long, output_format=RawFormat("pcm_s16le", 48000))
    assert not any(isinstance(event, Done) and event.context_id == "c" for event in events)


def test_cancelling_what_is_unknown_changes_nothing(server: StandIn, peers: Peers) -> None:
    """No answer, no error."""
    peer = peers(server)
    peer.cancel("unknown")
    peer.say("c", TEXT, **FINISHED)
    assert {event.context_id for event in peer.until_done("c")} == {"c"}


def test_an_ended_id_is_refused(server: StandIn, peers: Peers) -> None:
    """After its end as after its cancellation."""
    peer = peers(server)
    peer.say("c", TEXT, **FINISHED)
    peer.until_done("c")
    peer.say("c", TEXT)
    error = the_error(peer.until_done("c")).error
    assert (error.status_code, error.context_id) == (400, "c")
    assert "take another context_id" in str(error)


def test_a_quiet_context_expires(peers: Peers) -> None:
    """An early end, though more was to follow; then its id is of no more use."""
    with StandIn(context_expiry=0.01) as server:
        peer = peers(server)
        peer.say("c", TEXT)
        peer.say("c", TEXT)
        events = peer.until_done("c")
        assert isinstance(events[-1], Done)
        assert audio(events) in (spoken_audio(TEXT, output_format=FORMAT) * times for times in (1, 2))
        peer.say("c", TEXT)
        assert isinstance(peer.until_done("c")[-1], ErrorEvent)


def test_an_idle_socket_is_closed(peers: Peers) -> None:
    """With the code and the reason of the service; a ping is no sign of life, a context that is open none either."""
    with StandIn(idle_timeout=0.02) as server:
        peer = peers(server)
        peer.say("c", TEXT)
        peer.link.ping()
        peer.until_closed()
        assert peer.closed == Closed(1000, IDLE_REASON, None)
        peer.send()
        peer.socket.close()
        server.wait_until(lambda: not server.open_connections and not server.open_contexts)


def test_a_client_that_closes_is_answered(server: StandIn, peers: Peers) -> None:
    """And its contexts are gone."""
    peer = peers(server)
    peer.say("c", TEXT)
    server.wait_until(lambda: server.open_contexts == 1)
    peer.link.close(1000, "bye", 0.0)
    peer.until_closed()
    assert isinstance(peer.closed, Closed)
    assert (peer.closed.code, peer.closed.clean) == (1000, True)
    peer.socket.close()
    server.wait_until(lambda: not server.open_connections and not server.open_contexts)


def test_a_client_that_breaks_the_protocol_is_told(server: StandIn, peers: Peers) -> None:
    """By the close code for it."""
    peer = peers(server)
    peer.socket.sendall(b"\x83\x80\x00\x00\x00\x00")
    peer.until_closed()
    assert isinstance(peer.closed, Closed)
    assert peer.closed.code == 1002


def test_a_client_that_vanishes_is_forgotten(server: StandIn, peers: Peers) -> None:
    """In the middle of being spoken to."""
    peer = peers(server)
    peer.say("c", TEXT * 500)
    next(peer.events())
    peer.socket.close()
    server.wait_until(lambda: not server.open_connections and not server.open_contexts)


def test_leaving_the_stand_in_drops_its_sockets(peers: Peers) -> None:
    """At once, whatever they were doing."""
    with StandIn() as server:
        idle, busy, silent = peers(server), peers(server), peers(server)
        busy.say("c", TEXT * 500)
        next(busy.events())
        server.wait_until(lambda: server.open_connections == 3)
    for peer in (idle, busy, silent):
        with suppress(ConnectionResetError):
            peer.until_closed()
            assert isinstance(peer.closed, Closed)
            assert not peer.closed.clean


# What is refused.


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model_id": "sonic-99"}, 404, "model_not_found"),
        ({"voice": {"id": "nobody"}}, 404, "voice_not_found"),
        ({"pronunciation_dict_id": "x"}, 404, None),
        ({"output_format": {"container": "mp3", "sample_rate": 44100, "bit_rate": 128000}}, 400, None),
    ],
)
def test_a_bad_input_ends_its_context_alone(
    server: StandIn, peers: Peers, fields: dict[str, JsonValue], status: int, code: str | None
) -> None:
    """By an error with every field, and a composite request id."""
    peer = peers(server)
    peer.say("other", TEXT)
    peer.say("c", TEXT, **fields, **FINISHED)
    error = the_error(peer.until_done("c")).error
    assert (error.status_code, error.error_code, error.context_id) == (status, code, "c")
    assert error.request_id == "5a4d3000-0000-4000-8000-000000000001:c:5a4d3000-0000-4000-8000-000000000002"
    peer.say("other", **FINISHED)
    assert isinstance(peer.until_done("other")[-1], Done)


def test_an_error_is_a_line_of_text_in_old_times(server: StandIn, peers: Peers) -> None:
    """Under `error`."""
    peer = peers(server, "?cartesia_version=2025-11-04")
    peer.say("c", TEXT, language="xx")
    error = the_error(peer.until_done("c")).error
    assert (error.title, error.message) == ("Invalid request", "language 'xx' is not a supported language")
    assert '"error":"Invalid request: language' in peer.texts[-1]


def test_a_locked_field_that_changes_stops_the_context(server: StandIn, peers: Peers) -> None:
    """What it was saying is not said to the end."""
    peer = peers(server)
    peer.say("c", TEXT * 500)
    peer.say("c", TEXT, language="fr")
    events = peer.until_done("c")
    assert "language must be the same" in str(the_error(events).error)
    assert len(audio(events)) < len(spoken_audio(TEXT * 500, output_format=FORMAT))
    peer.say("d", TEXT, **FINISHED)
    assert {event.context_id for event in peer.until_done("d")} == {"d"}


def test_nonsense_ends_every_context(server: StandIn, peers: Peers) -> None:
    """It concerns the connection, which goes on; a binary message is nonsense, too."""
    peer = peers(server)
    peer.say("a", TEXT * 500)
    peer.say("b", TEXT * 500)
    peer.link.send_text("nonsense")
    peer.send()
    assert the_error(peer.until_done(None)).context_id is None
    server.wait_until(lambda: server.open_contexts == 0)
    peer.link.send_bytes(b"{}")
    peer.send()
    assert "not binary" in str(the_error(peer.until_done(None)).error)
    peer.say("c", TEXT, **FINISHED)
    assert {event.context_id for event in peer.until_done("c")} == {"c"}


def test_too_many_contexts_are_refused(peers: Peers) -> None:
    """429 for the key that has them, on whatever socket; until one is over."""
    with StandIn(max_contexts=2) as server:
        first, second = peers(server), peers(server)
        first.say("a", TEXT)
        first.say("b", TEXT)
        server.wait_until(lambda: server.open_contexts == 2)
        second.say("c", TEXT)
        error = the_error(second.until_done("c")).error
        assert (error.status_code, error.error_code) == (429, "concurrency_limited")
        first.say("a", **FINISHED)
        first.until_done("a")
        second.say("d", TEXT, **FINISHED)
        assert isinstance(second.until_done("d")[-1], Done)
        first.socket.close()
        server.wait_until(lambda: server.open_contexts == 0)


# What tests can see.


def test_messages_are_recorded(server: StandIn, peers: Peers) -> None:
    """In order, with the connection they came on; not shown, for they are what people say."""
    first, second = peers(server), peers(server)
    first.say("c", TEXT)
    server.wait_until(lambda: len(server.messages) == 1)
    second.cancel("c")
    second.link.send_bytes(b"x")
    second.send()
    server.wait_until(lambda: len(server.messages) == 3)
    assert [message.connection for message in server.messages] == [1, 2, 2]
    assert [message.data for message in server.messages[1:]] == ['{"context_id":"c","cancel":true}', b"x"]
    assert "Hello" not in repr(server.messages)


def test_waiting_in_vain_ends(server: StandIn) -> None:
    """With an error."""
    with pytest.raises(TimeoutError, match="in vain"):
        server.wait_until(lambda: server.open_contexts == 1, 0.01)


def test_times_are_above_zero() -> None:
    """Or there would be nothing to see."""
    with pytest.raises(LocalProtocolError, match="above 0"):
        StandIn(context_expiry=0)
    with pytest.raises(LocalProtocolError, match="above 0"):
        StandIn(idle_timeout=0)


# What goes wrong.


def conversation(peer: Peer) -> None:
    """Two contexts to speak to a faulty server with."""
    for context_id in ("a", "b"):
        peer.say(context_id, TEXT)
        peer.say(context_id, **FLUSHED)
        peer.say(context_id, TEXT, **FINISHED)


def whole(server: StandIn, peers: Peers) -> int:
    """How many messages the conversation has when nothing goes wrong."""
    peer = peers(server)
    conversation(peer)
    return len(peer.until_done("a", "b"))


def test_a_socket_drops(server: StandIn, peers: Peers) -> None:
    """After any number of messages, which all arrive; without a close frame."""
    for count in range(whole(server, peers) + 1):
        server.script(DropAfter(count))
        peer = peers(server)
        assert isinstance(peer.opened, Accepted)
        with suppress(BrokenPipeError, ConnectionResetError):
            conversation(peer)
        assert len(peer.until_closed()) == count
        assert isinstance(peer.closed, Closed)
        assert (peer.closed.code, peer.closed.clean) == (None, False)
        peer.socket.close()
    server.wait_until(lambda: server.open_contexts == 0)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_socket_is_closed_with_a_code(server: StandIn, peers: Peers, count: int) -> None:
    """And a reason."""
    server.script(CloseFrameAfter(count, 1012, "restart"))
    peer = peers(server)
    if count:
        conversation(peer)
    assert len(peer.until_closed()) == count
    assert peer.closed == Closed(1012, "restart", None)


@pytest.mark.parametrize("count", [0, 5])
def test_a_socket_falls_silent(server: StandIn, peers: Peers, count: int) -> None:
    """Nothing comes any more, not even a pong; the connection stays."""
    server.script(SilenceAfter(count))
    peer = peers(server)
    conversation(peer)
    events = peer.events()
    for _ in range(count):
        next(events)
    peer.link.ping()
    peer.send()
    peer.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        peer.next()
    assert server.open_connections == 1
    peer.socket.close()
    server.wait_until(lambda: not server.open_connections and not server.open_contexts)


def test_the_end_of_every_context_is_missing(server: StandIn, peers: Peers) -> None:
    """Everything else is there."""
    server.script(WithoutDone(), None)
    peer = peers(server)
    conversation(peer)
    server.wait_until(lambda: len(server.messages) == 6 and not server.open_contexts)
    peer.link.close(1000, "", 0.0)
    seen: list[TTSEvent] = []
    assert peer.until_closed() == seen  # a link that closes drops what still arrives
    assert b'"type":"done"' not in peer.received
    assert peer.received.count(b'"flush_done":true') == 2
    assert peer.received.count(b'"type":') == whole(server, peers) - 2


@pytest.mark.parametrize("after", [0, 3])
def test_a_context_fails_in_the_middle(server: StandIn, peers: Peers, after: int) -> None:
    """The oldest; the others go on."""
    server.script(FailMidway(after, 503, "Overloaded", "later", "x"))
    peer = peers(server)
    conversation(peer)
    events = peer.until_done("a", "b")
    error = next(event for event in events if isinstance(event, ErrorEvent)).error
    assert (error.status_code, error.title, error.error_code, error.context_id) == (503, "Overloaded", "x", "a")
    assert audio(events, "b") == spoken_audio(TEXT, TEXT, output_format=FORMAT)


@pytest.mark.parametrize("count", [0, 3])
def test_an_error_names_no_context(server: StandIn, peers: Peers, count: int) -> None:
    """It comes after so many messages, and ends all contexts."""
    server.script(ErrorWithoutContext(count, 500, "Broken", "all of it"))
    peer = peers(server)
    if count:
        conversation(peer)
    events = peer.until_done(None)
    assert len(events) == count + 1
    assert the_error(events).context_id is None
    assert the_error(events).error.title == "Broken"


def test_stale_frames(server: StandIn, peers: Peers) -> None:
    """Forty for a context nobody opened, and forty for each that was cancelled."""
    server.script(StaleFrames())
    peer = peers(server)
    peer.say("c", "One.")
    events: list[TTSEvent] = []
    for event in peer.events():
        events.append(event)
        if audio(events) == spoken_audio("One.", output_format=FORMAT):
            break
    assert [event.context_id for event in events[:40]] == [STALE_CONTEXT] * 40
    peer.cancel("c")
    peer.say("d", TEXT, **FINISHED)
    after = peer.until_done("d")
    assert sum(event.context_id == "c" for event in after) == 40
    assert audio(after, "d") == spoken_audio(TEXT, output_format=FORMAT)


def test_unknown_events(server: StandIn, peers: Peers) -> None:
    """One before each message, for the same context; before those without a context, too."""
    server.script(UnknownEvents())
    peer = peers(server)
    peer.say("c", TEXT, **FINISHED)
    events = peer.until_done("c")
    assert all(isinstance(event, UnknownEvent) for event in events[::2])
    assert {event.context_id for event in events} == {"c"}
    assert audio(events[1::2]) == spoken_audio(TEXT, output_format=FORMAT)
    peer.link.send_text("nonsense")
    peer.send()
    unknown, _ = peer.until_done(None)[-2:]
    assert unknown.context_id is None


def test_garbage_text(server: StandIn, peers: Peers) -> None:
    """In between; then everything goes on."""
    server.script(GarbageText(2, "no JSON"))
    peer = peers(server)
    peer.say("c", TEXT, **FINISHED)
    events = peer.events()
    heard = [next(events), next(events)]
    with pytest.raises(RemoteProtocolError):
        next(events)
    heard += peer.until_done("c")
    assert audio(heard) == spoken_audio(TEXT, output_format=FORMAT)


def test_fragmented_messages(server: StandIn, peers: Peers) -> None:
    """Each in several frames; they mean the same."""
    server.script(Fragmented(50))
    peer = peers(server)
    peer.say("c", TEXT, **FINISHED)
    assert audio(peer.until_done("c")) == spoken_audio(TEXT, output_format=FORMAT)
    assert peer.received.count(b"\x00\x32") > 100  # a continuation of 50 bytes


def test_pings(server: StandIn, peers: Peers) -> None:
    """One before each message, which the link answers by itself."""
    server.script(Pings())
    peer = peers(server)
    peer.say("c", TEXT, **FINISHED)
    events = peer.until_done("c")
    assert audio(events) == spoken_audio(TEXT, output_format=FORMAT)
    assert peer.received.count(b"\x89\x08stand-in") == len(events)


def test_messages_are_compressed_for_who_offers_it(server: StandIn, peers: Peers) -> None:
    """They mean the same in fewer bytes."""
    plain, small = peers(server), peers(server, deflate=True)
    for peer in (plain, small):
        peer.say("c", TEXT, **FINISHED)
        assert audio(peer.until_done("c")) == spoken_audio(TEXT, output_format=FORMAT)
    assert len(small.received) < len(plain.received) / 2


def test_a_fault_for_a_websocket_does_no_harm_to_a_request(server: StandIn) -> None:
    """It is used up all the same."""
    server.script(DropAfter(0))
    host, _, port = server.base_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), WAIT) as sock:
        sock.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nCartesia-Version: {NEWEST}\r\n\r\n".encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "fault",
    [
        DropAfter(1),
        CloseFrameAfter(1),
        SilenceAfter(1),
        StaleFrames(),
        UnknownEvents(),
        GarbageText(1),
        ErrorWithoutContext(1),
        Fragmented(),
        Pings(),
        WithoutDone(),
        FailMidway(1),
    ],
    ids=repr,
)
def test_leaving_ends_every_fault_at_once(peers: Peers, fault: Fault) -> None:
    """Nothing hangs, whatever is under way."""
    with StandIn() as server:
        server.script(fault)
        peer = peers(server)
        peer.say("c", TEXT * 500)
        peer.next()
    assert (server.open_connections, server.open_contexts) == (0, 0)


def test_over_tls(peers: Peers, server_context: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    """All the same, drops included."""
    with StandIn(ssl_context=server_context) as server:
        peer = peers(server, trust=trust)
        conversation(peer)
        events = peer.until_done("a", "b")
        assert audio(events, "b") == spoken_audio(TEXT, TEXT, output_format=FORMAT)
        server.script(DropAfter(3))
        dropped = peers(server, trust=trust)
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            conversation(dropped)
        assert len(dropped.until_closed()) == 3
        assert isinstance(dropped.closed, Closed)
        assert not dropped.closed.clean
