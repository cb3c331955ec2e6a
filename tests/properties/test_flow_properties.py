"""Whatever happens to a request, its operation ends; however a body is cut, its decoder says the same."""

from typing import TypeAlias

from hypothesis import example, given, settings
from hypothesis import strategies as st

from cartesia_proto import TTS, Config, Done, Headers, Limits, RawFormat, Response, SpeechEvent
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import (
    ApiError,
    CartesiaError,
    ConnectError,
    ConnectionLost,
    IncompleteStream,
    LocalProtocolError,
    Phase,
    RemoteProtocolError,
    TimeoutError,
    TransportError,
)
from cartesia_proto.flow import MAX_REDIRECTS, Attempt, Decoder, Failure, How, Operation, Outcome, Terms, exchange
from cartesia_proto.http import Method, Request
from cartesia_proto.retry import MAX_SERVER_DELAY
from cartesia_proto.testing import half, split

METHODS: list[Method] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
HOWS: list[How] = ["whole", "stream", "upgrade"]
PHASES: list[Phase] = ["connect", "handshake", "write", "read", "stall"]
TEXT = st.text(st.characters(codec="latin-1"), max_size=20)
LOCATIONS = st.sampled_from(
    ["/a", "b?c", "//h.example/x", "https://h.example/y", "https://evil.example/", "http://[", ""]
)
WAITS = st.sampled_from(["0", "7", "60", "61", "soon", "Sun, 06 Nov 1994 08:49:37 GMT"])
HEADERS = st.lists(
    st.one_of(
        st.tuples(st.just("Location"), LOCATIONS | TEXT),
        st.tuples(st.sampled_from(["Retry-After", "retry-after-ms"]), WAITS | TEXT),
        st.tuples(st.sampled_from(["Date", "Content-Type", "X-Request-Id"]), WAITS | TEXT),
    ),
    max_size=4,
).map(Headers.received)
RESPONSES = st.builds(Response, st.integers(100, 599), HEADERS, st.binary(max_size=40))
ERRORS: st.SearchStrategy[TransportError | RemoteProtocolError] = st.one_of(
    st.builds(ConnectError, st.just("x")),
    st.builds(ConnectionLost, st.just("x")),
    st.builds(IncompleteStream, st.just("x")),
    st.builds(RemoteProtocolError, st.just("x")),
    st.builds(TimeoutError, st.just("x"), phase=st.sampled_from(PHASES)),
)
FAILURES = st.builds(Failure, ERRORS, st.integers(0, 2))
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(RESPONSES, FAILURES)


@settings(max_examples=100, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    outcomes=st.lists(OUTCOMES, min_size=20, max_size=20),
    max_retries=st.integers(0, 4),
    chance=st.floats(0, 1, exclude_max=True),
    how=st.sampled_from(HOWS),
)
def test_every_request_ends(method: Method, outcomes: list[Outcome], max_retries: int, chance: float, how: How) -> None:
    """A result or a CartesiaError within 1 + retries + redirects attempts; never to another origin, never for long."""
    request = Request(method, "https://h.example/start", Headers())
    operation = Operation(exchange(request, Terms(1.0, max_retries, 10, 10, lambda: chance), how))
    step = operation.start()
    attempts: list[Attempt] = []
    try:
        while isinstance(step, Attempt):
            attempts.append(step)
            step = operation.resume(outcomes[len(attempts) - 1])
    except (ApiError, TransportError, RemoteProtocolError):
        pass
    else:
        last = outcomes[len(attempts) - 1]
        assert step == Done(last)
        assert isinstance(last, Response)
        assert last.ok or (how == "upgrade" and last.status == 101)
    assert len(attempts) <= 1 + max_retries + MAX_REDIRECTS
    for attempt, outcome in zip(attempts, outcomes, strict=False):
        assert attempt.request.origin == request.origin
        assert attempt.request.method == method
        assert 0 <= attempt.delay <= MAX_SERVER_DELAY
        if isinstance(outcome, Failure) and outcome.received:
            assert attempt is attempts[-1]


CALLS = st.lists(st.sampled_from(["start", "resume", "abandon"]), max_size=8)


@settings(max_examples=100, deadline=None)
@given(calls=CALLS, outcomes=st.lists(OUTCOMES, min_size=8, max_size=8))
def test_an_operation_takes_any_calls(calls: list[str], outcomes: list[Outcome]) -> None:
    """Any sequence of calls is answered, or refused with a CartesiaError; once over it stays over."""
    operation = Operation(
        exchange(Request("GET", "https://h.example/", Headers()), Terms(1.0, 2, 10, 10, half), "whole")
    )
    state = "new"
    for call, outcome in zip(calls, outcomes, strict=False):
        legal = {"start": state == "new", "resume": state == "waiting", "abandon": True}[call]
        try:
            if call == "abandon":
                operation.abandon()
                state = "over"
                continue
            step = operation.start() if call == "start" else operation.resume(outcome)
        except LocalProtocolError:
            assert not legal
        except CartesiaError:
            assert legal
            state = "over"
        else:
            assert legal
            state = "waiting" if isinstance(step, Attempt) else "over"


Told: TypeAlias = tuple[list[SpeechEvent], str | None]
"""The events of a body, and what it failed with."""

FRAMES = st.sampled_from(
    [
        b'data: {"type":"chunk","data":"YWJj","done":false,"step_time":1}\n\n',
        b'data:{"data":"YWJjZA==","done":false}\r\n\r\n',
        b'data: {"type":"timestamps","word_timestamps":{"words":["\xc3\xa9"],"start":[0],"end":[1]}}\r\r',
        b'data: {"type":"tomorrow"}\n\n',
        b": comment\n\n",
        b"retry: 5\nid: 7\n",
        b'data: {"type":"done","done":true}\n\n',
        b'data: {"done":true,"data":"YWI="}\n\n',
        b'event: error\ndata: {"status_code":429,"title":"Too many"}\n\n',
        b'data: {"error":"No: voice","done":true}\n\n',
        b"data: no json\n\n",
        b'data: {"type":"chunk","data":5}\n\n',
        b'data: {"type":"chunk",',
        b"\xef\xbb\xbf",
        b"data: " + b"x" * 300 + b"\n\n",
        b"data: " + b"x" * 150 + b"\n",
    ]
)
BODIES = st.lists(FRAMES | st.binary(max_size=10), max_size=6).map(b"".join)


def decoder(version: str) -> Decoder[SpeechEvent]:
    """The decoder that the call itself makes for its response."""
    call = TTS.sse(
        model_id="m",
        transcript="t",
        voice="v",
        output_format=RawFormat("pcm_s16le", 8000),
        request_options={"version": version},
    )
    config = Config(credentials=ApiKey("k"), limits=Limits(sse_line=200, sse_event=250))
    operation = call.operation(config, half)
    operation.start()
    step = operation.resume(Response(200))
    assert isinstance(step, Done)
    return step.value


def told(pieces: list[bytes], version: str) -> Told:
    """What the decoder says of a body in these pieces, asked the way a transport asks."""
    made = decoder(version)
    events: list[SpeechEvent] = []
    try:
        for piece in pieces:
            events += made.receive_data(piece)
            events += made.receive_data(b"")
            if made.finished:
                break
        else:
            events += made.receive_eof()
    except CartesiaError as error:
        return events, f"{type(error).__name__}: {error}"
    return events, None


@settings(max_examples=100, deadline=None)
@given(
    body=BODIES, sizes=st.lists(st.integers(0, 40), max_size=20), version=st.sampled_from(["2024-11-13", "2026-08-14"])
)
@example(body=b'data: {"type":"chunk","data":"YWJj"}\n\ndata: no json\n\n', sizes=[1] * 60, version="2026-08-14")
def test_any_segmentation_of_an_event_stream(body: bytes, sizes: list[int], version: str) -> None:
    """The same events and the same end, however the bytes were cut."""
    assert told(split(body, sizes), version) == told([body], version)
