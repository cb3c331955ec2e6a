"""Calls as values, and one definition of an endpoint for blocking and awaiting clients."""

import copy
import inspect
import pickle
import pydoc
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from types import TracebackType
from typing import Generic, Never, Self, TypeVar, get_type_hints

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.audio.formats import RawFormat
from cartesia_proto.call import (
    UNDOCUMENTED,
    AsyncStream,
    Awaiting,
    Blocking,
    C_co,
    Call,
    PageCall,
    Plan,
    Resource,
    Stream,
    StreamCall,
    endpoint,
    parse_json,
)
from cartesia_proto.config import Config
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import (
    AuthenticationError,
    IncompleteStream,
    JsonValue,
    LocalProtocolError,
    NotFoundError,
    RemoteProtocolError,
)
from cartesia_proto.flow import Attempt, Done, Operation
from cartesia_proto.http import Headers, Method, Response, UnsignedRequest
from cartesia_proto.pages import AsyncPages, Batch, Page, Pages
from cartesia_proto.parameters import Parameters, query_pairs
from cartesia_proto.prepare import RequestOptions, Route, freeze_options
from cartesia_proto.testing import half, run

T = TypeVar("T")
E = TypeVar("E")
A = TypeVar("A")
B = TypeVar("B")
CANARY = "CANARY0123456789"
CONFIG = Config(base_url="http://localhost", credentials=ApiKey(CANARY), max_retries=0)


def render(parameters: Parameters, version: str) -> UnsignedRequest:
    """An endpoint's request."""
    return UnsignedRequest("GET", f"/{parameters.text('id')}/{version}", query_pairs(parameters.without("id")))


def parse_text(response: Response, version: str) -> str:
    """The body, with the version it was asked under."""
    return f"{response.body.decode()} ({version})"


def read_letters(response: Response, version: str) -> Batch[str]:
    """One item for each letter; nothing follows."""
    del version
    return Batch(tuple(response.body.decode()), has_more=False)


class LetterDecoder:
    """Each byte is an event until the dot."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.finished = False

    def receive_data(self, data: bytes) -> list[str]:
        """The letters."""
        self.finished = b"." in data
        return list(data.decode())

    def receive_eof(self) -> list[str]:
        """The end."""
        if not self.finished:
            raise IncompleteStream("no dot")
        return []


def decode_letters(head: Response, config: Config, version: str) -> LetterDecoder:
    """The decoder."""
    assert head.body == b""
    assert config is CONFIG
    return LetterDecoder(version)


ROUTE = Route(render)


class Things(Resource[C_co]):
    """A resource with an endpoint of every kind."""

    __slots__ = ()

    @endpoint
    @staticmethod
    def get(id: str, *, limit: int | None = None, request_options: RequestOptions | None = None) -> Call[str]:
        """Fetch a thing."""
        return Call(ROUTE, Parameters(id=id, limit=limit), freeze_options(request_options), parse=parse_text)

    @endpoint
    @staticmethod
    def watch(id: str) -> StreamCall[str]:
        """Watch a thing."""
        return StreamCall(ROUTE, Parameters(id=id), decoder=decode_letters)

    @endpoint
    @staticmethod
    def list() -> PageCall[str]:
        """List things."""
        return PageCall(ROUTE, Parameters(id="things"), read=read_letters)


@endpoint
def bare() -> Call[str]:
    """An endpoint that is no staticmethod."""
    return Call(ROUTE, Parameters(id="bare"), parse=parse_text)


class Letters(Generic[E]):
    """A stream of a fake client: remembers what it is of."""

    def __init__(self, call: StreamCall[E]) -> None:
        self.call = call

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Leave."""

    def __iter__(self) -> Iterator[E]:
        """The stream."""
        return self

    def __next__(self) -> E:
        """Nothing."""
        raise StopIteration

    def receive_batch(self) -> list[E]:
        """Nothing."""
        return []

    def close(self) -> None:
        """Close."""


class AsyncLetters(Generic[E]):
    """The awaiting twin."""

    def __init__(self, call: StreamCall[E]) -> None:
        self.call = call

    async def __aenter__(self) -> Self:
        """Enter."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Leave."""

    def __aiter__(self) -> AsyncIterator[E]:
        """The stream."""
        return self

    async def __anext__(self) -> E:
        """Nothing."""
        raise StopAsyncIteration

    async def receive_batch(self) -> list[E]:
        """Nothing."""
        return []

    async def aclose(self) -> None:
        """Close."""


class Listed(Generic[T]):
    """A list of a fake awaiting client."""

    def __init__(self, call: PageCall[T], client: "AwaitingClient") -> None:
        self.call = call
        self.client = client

    async def __aiter__(self) -> AsyncIterator[T]:
        """Walk."""
        for item in (await self).items:
            yield item

    def __await__(self) -> Generator[object, Never, Page[T]]:
        """The first page."""
        return self.client.run_call(self.call.page()).__await__()


class BlockingClient:
    """A blocking client that gives every call the same answer."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def call(self, plan: Plan[B, object]) -> B:
        """Run any call."""
        return plan.run_blocking(self)

    def run_call(self, call: Call[T]) -> T:
        """Make one request."""
        return run(call.operation(CONFIG, half), [Response(200, body=self.body)]).value

    def run_stream(self, call: StreamCall[E]) -> Stream[E]:
        """A stream."""
        return Letters(call)


class AwaitingClient:
    """An awaiting client that gives every call the same answer, at once."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def call(self, plan: Plan[object, A]) -> A:
        """Run any call."""
        return plan.run_awaiting(self)

    async def run_call(self, call: Call[T]) -> T:
        """Make one request."""
        return run(call.operation(CONFIG, half), [Response(200, body=self.body)]).value

    def run_stream(self, call: StreamCall[E]) -> AsyncStream[E]:
        """A stream."""
        return AsyncLetters(call)

    def run_pages(self, call: PageCall[T]) -> AsyncPages[T]:
        """A list."""
        return Listed(call, self)


def result(coroutine: Coroutine[object, Never, T]) -> T:
    """What a coroutine that never waits returns."""
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what an event loop does first
    value: T = stop.value.value
    return value


def finish(operation: Operation[T], response: Response) -> T:
    """The result after one attempt."""
    assert isinstance(operation.start(), Attempt)
    step = operation.resume(response)
    assert isinstance(step, Done)
    return step.value


def test_class_access_builds_a_value() -> None:
    """On the class an endpoint is its builder: no client, no version, no key."""
    call = Things.get("a", limit=5)
    assert call == Call(ROUTE, Parameters(id="a", limit=5), parse=parse_text)
    assert call != Things.get("b", limit=5)
    assert call.options == freeze_options(None)


CALLS: list[Plan[object, object]] = [
    Things.get("a"),
    Things.watch("a"),
    Things.list(),
    Things.list().page(),
    Call.json("GET", "/x"),
]


@pytest.mark.parametrize("call", CALLS)
def test_calls_are_values(call: Plan[object, object]) -> None:
    """Comparable, hashable, frozen, and the same after a pickle or a copy."""
    for again in (pickle.loads(pickle.dumps(call)), copy.copy(call), copy.deepcopy(call)):
        assert again == call
        assert hash(again) == hash(call)
    with pytest.raises(AttributeError):
        call.parameters = Parameters()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # what must fail


def test_a_secret_option_is_not_pickled() -> None:
    """A call with a secret header copies but refuses pickling, and does not show it."""
    call = Things.get("a", request_options={"additional_headers": {"Authorization": CANARY}})
    assert CANARY not in f"{call}{call!r}"
    assert copy.copy(call) == copy.deepcopy(call) == call
    assert hash(call) == hash(copy.copy(call))
    with pytest.raises(TypeError, match="refuses to be pickled") as caught:
        pickle.dumps(call)
    assert CANARY not in str(caught.value)


def test_a_blocking_client_answers_with_values() -> None:
    """Value, stream and iterable page."""
    client = BlockingClient(b"ab")
    things: Things[Blocking] = Things(client)
    assert things.get("x") == "ab (2026-08-14)"
    assert client.call(Things.get("x")) == things.get("x")
    stream = things.watch("x")
    assert isinstance(stream, Letters)
    assert stream.call == Things.watch("x")
    pages = things.list()
    assert isinstance(pages, Pages)
    assert list(pages) == ["a", "b"]


def test_an_awaiting_client_answers_with_awaitables() -> None:
    """Coroutine, stream, and a list not yet fetched."""
    client = AwaitingClient(b"ab")
    things: Things[Awaiting] = Things(client)
    assert result(things.get("x")) == "ab (2026-08-14)"
    stream = things.watch("x")
    assert isinstance(stream, AsyncLetters)
    assert stream.call == Things.watch("x")
    pages = things.list()
    assert isinstance(pages, Listed)
    assert result(client.run_call(pages.call.page())) == Page(("a", "b"), None)


def test_bound_methods_look_like_their_builders() -> None:
    """Signature, name, documentation and hints are the builder's."""
    bound = Things(BlockingClient(b"")).get
    assert inspect.signature(bound) == inspect.signature(Things.get)
    assert get_type_hints(bound) == get_type_hints(Things.get)
    assert bound.__doc__ == Things.get.__doc__ == vars(Things)["get"].__doc__ == "Fetch a thing."
    shown = "".join(pydoc.plain(pydoc.render_doc(bound)).split())  # from 3.13 on it breaks a long signature into lines
    assert shown.count("get(id:str,*,limit:int|None=None") == 1


def test_runner_and_slots() -> None:
    """A resource knows its client and nothing else."""
    client = BlockingClient(b"")
    things = Things(client)
    assert things.runner is client
    assert not hasattr(things, "__dict__")


def test_a_plain_function_is_an_endpoint_too() -> None:
    """A staticmethod is for the checkers' sake alone."""
    built = bare.__get__(None, object)
    assert built() == Call(ROUTE, Parameters(id="bare"), parse=parse_text)


def test_operation_of_a_call() -> None:
    """The request, then the parsed value under the version it was asked with."""
    call = Things.get(
        "a", limit=5, request_options={"version": "2024-06-10", "max_retries": 1, "timeout_in_seconds": 9}
    )
    operation = call.operation(CONFIG, half)
    attempt = operation.start()
    assert isinstance(attempt, Attempt)
    assert attempt.request.url == "http://localhost/a/2024-06-10?limit=5"
    assert attempt.request.headers.reveal()[-1] == ("X-API-Key", CANARY)
    assert (attempt.how, attempt.timeout) == ("whole", 9.0)
    retry = operation.resume(Response(503))
    assert isinstance(retry, Attempt)
    assert operation.resume(Response(200, body=b"x")) == Done("x (2024-06-10)")


def test_a_failing_parse_ends_the_operation() -> None:
    """What a parser raises is the call's error."""
    operation = Call.json("GET", "/x").operation(CONFIG, half)
    operation.start()
    with pytest.raises(RemoteProtocolError, match="no acceptable JSON"):
        operation.resume(Response(200, body=b"<html>"))
    with pytest.raises(LocalProtocolError, match="is over"):
        operation.resume(Response(200))


def test_missing_credentials_fail_at_the_call() -> None:
    """Before anything is sent."""
    for call in (Things.get("a"), Things.watch("a")):
        with pytest.raises(LocalProtocolError, match="needs credentials"):
            call.operation(Config(), half)


def test_operation_of_a_stream() -> None:
    """The head of a success gives the decoder; any other status is the call's error."""
    call = Things.watch("a")
    operation = call.operation(CONFIG, half)
    attempt = operation.start()
    assert isinstance(attempt, Attempt)
    assert attempt.how == "stream"
    step = operation.resume(Response(200))
    assert isinstance(step, Done)
    decoder = step.value
    assert decoder.receive_data(b"ab.") == ["a", "b", "."]
    assert decoder.finished
    refused = call.operation(CONFIG, half)
    refused.start()
    with pytest.raises(NotFoundError):
        refused.resume(Response(404))


METHODS: list[Method] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


@pytest.mark.parametrize("method", METHODS)
def test_undocumented_endpoints(method: Method) -> None:
    """Any method, path and query, under the client's version, with credentials."""
    call = Call.json(method, "/foo/a%2Fb", query={"x": [1, 2]}, request_options={"additional_headers": {"X-A": "1"}})
    attempt = call.operation(CONFIG, half).start()
    assert isinstance(attempt, Attempt)
    assert attempt.request.method == method
    assert attempt.request.url == "http://localhost/foo/a%2Fb?x=1&x=2"
    assert attempt.request.headers.get("x-a") == "1"
    assert attempt.request.body == b""
    assert call.route is UNDOCUMENTED


BODIES: list[tuple[JsonValue, bytes]] = [
    ({"a": None, "b": [None, {"c": None}]}, b'{"a":null,"b":[null,{"c":null}]}'),
    ({}, b"{}"),
    ([], b"[]"),
    (False, b"false"),
    (0, b"0"),
    ("", b'""'),
    (None, b""),
]


@pytest.mark.parametrize(("body", "sent"), BODIES)
def test_undocumented_bodies(body: JsonValue, sent: bytes) -> None:
    """A body is sent as it is, nulls included; None is no body."""
    attempt = Call.json("POST", "/foo", body=body).operation(CONFIG, half).start()
    assert isinstance(attempt, Attempt)
    assert attempt.request.body == sent


def test_undocumented_bodies_are_frozen() -> None:
    """Changing the body afterwards does not change the call."""
    inner: list[JsonValue] = [1]
    body: dict[str, JsonValue] = {"a": inner}
    call = Call.json("POST", "/foo", body=body)
    inner.append(2)
    body["b"] = 1
    assert call == Call.json("POST", "/foo", body={"a": [1]})


def test_undocumented_answers() -> None:
    """The parsed JSON, None for an empty body."""
    answer = finish(Call.json("GET", "/foo").operation(CONFIG, half), Response(200, Headers(), b'{"a":[1,null]}'))
    assert answer == {"a": [1, None]}
    assert parse_json(Response(204), "") is parse_json(Response(200, body=b" \n"), "") is None
    assert parse_json(Response(200, body=b'\xef\xbb\xbf["\\ud83d", NaN]'), "") == ["\ufffd", None]


@pytest.mark.parametrize("path", ["foo", "", "/a b", "/a?b=c", "/a#b", "/é", "/a\r\nX: 1", "https://evil.example/"])
def test_no_path(path: str) -> None:
    """A path begins with a slash and is percent-encoded; the query is an argument of its own."""
    with pytest.raises(LocalProtocolError, match="is no path"):
        Call.json("GET", path)


@pytest.mark.parametrize("path", ["/a?api_key=C4n4ry", "a#access_token=C4n4ry"])
def test_what_follows_a_path_is_not_repeated(path: str) -> None:
    """It may be a secret."""
    with pytest.raises(LocalProtocolError, match="a' is no path") as caught:
        Call.json("GET", path)
    assert "C4n4ry" not in str(caught.value)


def test_a_key_that_an_event_stream_repeats_is_not_shown() -> None:
    """An error event that echoes the request's key raises an error without it."""
    call = TTS.sse(model_id="m", transcript="Hi", voice="v", output_format=RawFormat("pcm_s16le", 8000))
    operation = call.operation(Config(credentials=ApiKey("sk_car_canary42")), half)
    operation.start()
    done = operation.resume(Response(200))
    assert isinstance(done, Done)
    decoder = done.value
    assert not decoder.finished
    event = b'data: {"type":"error","status_code":401,"message":"no sk_car_canary42","doc":["sk_car_canary42"]}\n\n'
    assert decoder.receive_data(event) == []
    with pytest.raises(AuthenticationError) as data_read:
        decoder.receive_data(b"")
    with pytest.raises(AuthenticationError) as end_read:
        decoder.receive_eof()
    for error in (data_read.value, end_read.value):
        assert error.message == "no ***"
        assert "canary" not in f"{error!r}{error.__dict__}{error.__context__}"
