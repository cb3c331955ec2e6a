"""A call is a value; a client is a runner.

This module knows the kinds of call there are, how each becomes an operation, and how one definition of an endpoint
serves blocking and awaiting clients with exact types. It must not know any endpoint, model or transport: `api` holds
the former, `transports` the latter.

    Voices.get("a0e9…")             the value; no client, no version, no key needed
    client.voices.get("a0e9…")      the same value, run at once by that client
    client.call(value)              the same
"""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from functools import wraps
from types import TracebackType
from typing import Generic, Never, ParamSpec, Protocol, Self, TypeVar, final, overload

from attrs import field, frozen

from cartesia_proto.codecs import json as json_codec
from cartesia_proto.config import Config
from cartesia_proto.discretion import discreet
from cartesia_proto.errors import JsonValue, LocalProtocolError
from cartesia_proto.flow import Decoder, Operation, WithoutEcho, asking
from cartesia_proto.http import JsonBody, Method, Response, UnsignedRequest
from cartesia_proto.pages import AsyncPages, Batch, Page, Pages, following
from cartesia_proto.parameters import Frozen, Parameters, query_pairs
from cartesia_proto.prepare import CallOptions, RequestOptions, Route, freeze_options, prepare, terms

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)
A = TypeVar("A")
B = TypeVar("B")
A_co = TypeVar("A_co", covariant=True)
B_co = TypeVar("B_co", covariant=True)
P = ParamSpec("P")


class Stream(Protocol[E_co]):
    """What a blocking client answers to a `StreamCall`: an iterator that is also a context manager.

    The request is sent on entering or at the first item. Leaving early closes its connection at once.
    """

    def __enter__(self) -> Self:
        """Send the request."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Close."""
        ...

    def __iter__(self) -> Iterator[E_co]:
        """The stream itself; `LocalProtocolError` once it is over, as its values come once."""
        ...

    def __next__(self) -> E_co:
        """The next value; raises the call's error, or `StopIteration` after the last value or a `close`."""
        ...

    def receive_batch(self) -> Sequence[E_co]:
        """Everything that has arrived: at least one value, or none from the end on; it costs less than one by one.

        Raises:
            CartesiaError: what ended the stream early, after the values before it; it is closed.
            LocalProtocolError: another thread or task is reading the stream.
        """
        ...

    def close(self) -> None:
        """Close the connection unless it can be used again. Idempotent, never raises, from any thread."""
        ...


class AsyncStream(Protocol[E_co]):
    """What an awaiting client answers to a `StreamCall`: as `Stream`, for one task at a time."""

    def __aenter__(self) -> Coroutine[object, Never, Self]:
        """Send the request."""
        ...

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> Coroutine[object, Never, None]:
        """Close."""
        ...

    def __aiter__(self) -> AsyncIterator[E_co]:
        """The stream itself; `LocalProtocolError` once it is over, as its values come once."""
        ...

    def __anext__(self) -> Coroutine[object, Never, E_co]:
        """The next value; raises the call's error, or `StopAsyncIteration` after the last value or a close."""
        ...

    def receive_batch(self) -> Coroutine[object, Never, Sequence[E_co]]:
        """As `Stream.receive_batch`."""
        ...

    def aclose(self) -> Coroutine[object, Never, None]:
        """Close the connection unless it can be used again. Idempotent; closes even when cancelled."""
        ...


class Blocking(Protocol):
    """A client whose answers are values."""

    def call(self, plan: "Plan[B, object]") -> B:
        """Run any call: what ``client.voices.get(…)`` does with the value that ``Voices.get(…)`` makes."""
        ...

    def run_call(self, call: "Call[T]") -> T:
        """Make one request and answer with its value."""
        ...

    def run_stream(self, call: "StreamCall[E]") -> Stream[E]:
        """Answer with a stream that has not been sent yet."""
        ...


class Awaiting(Protocol):
    """A client whose answers are awaited, on any event loop."""

    def call(self, plan: "Plan[object, A]") -> A:
        """Run any call: what ``client.voices.get(…)`` does with the value that ``Voices.get(…)`` makes."""
        ...

    def run_call(self, call: "Call[T]") -> Coroutine[object, Never, T]:
        """Make one request and answer with its value."""
        ...

    def run_stream(self, call: "StreamCall[E]") -> AsyncStream[E]:
        """Answer with a stream that has not been sent yet."""
        ...

    def run_pages(self, call: "PageCall[T]") -> AsyncPages[T]:
        """Answer with a list that has not been fetched yet."""
        ...


@frozen
class Plan(ABC, Generic[B_co, A_co]):
    """The base of all calls: what is asked, and what a blocking and an awaiting client answer.

    Frozen, comparable, hashable, and picklable unless a header in its options, or a parameter, looks like a secret.
    """

    route: Route
    parameters: Parameters = Parameters()
    options: CallOptions = CallOptions()

    @abstractmethod
    def run_blocking(self, client: Blocking) -> B_co:
        """Let a blocking client run this."""

    @abstractmethod
    def run_awaiting(self, client: Awaiting) -> A_co:
        """Let an awaiting client run this."""


@final
@frozen
class Call(Plan[T_co, Coroutine[object, Never, T_co]]):
    """A call that answers with one value.

    Attributes:
        parse: reads the value from a 2xx response under an API version; a module-level function or a frozen value.
    """

    parse: Callable[[Response, str], T_co] = field(kw_only=True)

    def run_blocking(self, client: Blocking) -> T_co:
        """The value."""
        return client.run_call(self)

    def run_awaiting(self, client: Awaiting) -> Coroutine[object, Never, T_co]:
        """A coroutine of the value."""
        return client.run_call(self)

    def operation(self, config: Config, random: Callable[[], float]) -> Operation[T_co]:
        """What to do to get the value, step by step.

        Args:
            random: chance in [0, 1), for delays and form boundaries.

        Raises:
            LocalProtocolError: there are no credentials, or the parameters do not fit the version.
        """
        request = prepare(self.route, self.parameters, self.options, config, random)
        version = self.route.version(config, self.options)
        how = terms(self.route, self.options, config, random)
        return Operation(asking(request, how, "whole", lambda response: self.parse(response, version)))

    @staticmethod
    @discreet
    def json(
        method: Method,
        path: str,
        *,
        body: JsonValue = None,
        query: "Parameters | dict[str, object] | None" = None,
        request_options: RequestOptions | None = None,
    ) -> "Call[JsonValue]":
        """Call an endpoint that this library does not know.

        Args:
            path: percent-encoded, begins with a slash.
            body: sent as JSON unless None; a None inside is sent as null.
            query: as `additional_query_parameters` of the request options.

        Returns:
            The parsed JSON of the answer, None where it has no body.

        Raises:
            LocalProtocolError: the path is no path, or a value cannot be sent.
        """
        parameters = Parameters(method=method, path=_check_path(path), body=body, query=query or {})
        return Call(UNDOCUMENTED, parameters, freeze_options(request_options), parse=parse_json)


def _check_path(path: str) -> str:
    if not path.startswith("/") or not path.isascii() or any(not "!" <= c <= "~" or c in "?#" for c in path):
        shown = re.split("[?#]", path)[0]  # what follows may be a secret
        raise LocalProtocolError(
            f"{shown!r} is no path: it must begin with a slash and be percent-encoded, without query"
        )
    return path


def render_undocumented(parameters: Parameters, version: str) -> UnsignedRequest:
    """Ask just what the parameters say, under any version."""
    del version
    body: Frozen = parameters["body"]
    method: Method = parameters.text("method")  # type: ignore[assignment]  # typed where the call was made
    return UnsignedRequest(
        method,
        parameters.text("path"),
        query_pairs(parameters.mapping("query")),
        None if body is None else JsonBody(Parameters(body=body).as_explicit_json()["body"]),
    )


UNDOCUMENTED = Route(render_undocumented)
"""The route of `Call.json`."""


def parse_json(response: Response, version: str) -> JsonValue:
    """The JSON of a body, None for an empty one.

    Raises:
        RemoteProtocolError: the body is no JSON.
    """
    del version
    return json_codec.read_lenient(response.body) if response.body.strip() else None


@final
@frozen
class StreamCall(Plan[Stream[E_co], "AsyncStream[E_co]"]):
    """A call that answers piece by piece.

    Attributes:
        decoder: makes the decoder of the body from the head of a 2xx response, the configuration (for its limits) and
            the API version; a module-level function or a frozen value.
    """

    decoder: Callable[[Response, Config, str], Decoder[E_co]] = field(kw_only=True)

    def run_blocking(self, client: Blocking) -> Stream[E_co]:
        """A stream not yet sent."""
        return client.run_stream(self)

    def run_awaiting(self, client: Awaiting) -> AsyncStream[E_co]:
        """A stream not yet sent."""
        return client.run_stream(self)

    def operation(self, config: Config, random: Callable[[], float]) -> Operation[Decoder[E_co]]:
        """What to do until the body begins, step by step; the result decodes the body.

        Raises:
            LocalProtocolError: as for `Call.operation`.
        """
        request = prepare(self.route, self.parameters, self.options, config, random)
        version = self.route.version(config, self.options)
        how = terms(self.route, self.options, config, random)

        def decoder(head: Response) -> Decoder[E_co]:
            return WithoutEcho(self.decoder(head, config, version), request)

        return Operation(asking(request, how, "stream", decoder))


@final
@frozen
class PageCall(Plan[Pages[T], AsyncPages[T]]):
    """A call that lists.

    Attributes:
        read: reads one page from a 2xx response under an API version.
    """

    read: Callable[[Response, str], Batch[T]] = field(kw_only=True)

    def run_blocking(self, client: Blocking) -> Pages[T]:
        """The first page, iterable over all."""
        first = client.run_call(self.page())
        return Pages(first.items, first.next, client)

    def run_awaiting(self, client: Awaiting) -> AsyncPages[T]:
        """A list not yet fetched."""
        return client.run_pages(self)

    def page(self) -> Call[Page[T]]:
        """The call for this one page."""
        return Call(self.route, self.parameters, self.options, parse=PageReader(self))


@final
@frozen
class PageReader(Generic[T]):
    """Reads one page of a list; a frozen value, so that the call holding it compares and pickles."""

    call: PageCall[T]

    def __call__(self, response: Response, version: str) -> Page[T]:
        """The page, and the call for the next one."""
        batch = self.call.read(response, version)
        after = following(self.call.parameters, batch)
        next_call = None if after is None else PageCall(self.call.route, after, self.call.options, read=self.call.read)
        return Page(batch.items, next_call)


C_co = TypeVar("C_co", bound=Blocking | Awaiting, covariant=True)


class Resource(Generic[C_co]):
    """A group of endpoints reached through one client. Users receive resources and never make them."""

    __slots__ = ("_client",)

    def __init__(self, client: C_co) -> None:
        self._client = client

    @property
    def runner(self) -> C_co:
        """The client that runs this resource's calls."""
        return self._client


PLAN_co = TypeVar("PLAN_co", bound=Plan[object, object], covariant=True)


class endpoint(Generic[P, PLAN_co]):  # noqa: N801 - a decorator
    """Turns the builder of a call into an endpoint.

    On the class it is the builder: ``Voices.get(…)`` is a value. On a resource it builds and runs: what a blocking
    client answers, or what an awaiting one does. Overloads do not survive here: both checkers keep the first, silently.
    """

    def __init__(self, builder: Callable[P, PLAN_co]) -> None:
        self._builder = discreet(builder.__func__ if isinstance(builder, staticmethod) else builder)
        self.__doc__ = builder.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[P, PLAN_co]: ...

    @overload
    def __get__(self: "endpoint[P, Plan[B, object]]", instance: Resource[Blocking], owner: type) -> Callable[P, B]: ...

    @overload
    def __get__(self: "endpoint[P, Plan[object, A]]", instance: Resource[Awaiting], owner: type) -> Callable[P, A]: ...

    def __get__(self, instance: Resource[Blocking | Awaiting] | None, owner: type) -> Callable[P, object]:
        """The builder, or the builder and a run in one."""
        return bind(self._builder, instance)


def bind(
    builder: Callable[P, Plan[object, object]], instance: Resource[Blocking | Awaiting] | None
) -> Callable[P, object]:
    """A builder as it is where there is no instance, else the builder and a run in one, with the same signature."""
    if instance is None:
        return builder

    @wraps(builder)
    def run(*arguments: P.args, **named: P.kwargs) -> object:
        try:
            plan = builder(*arguments, **named)
        finally:
            del arguments, named  # a traceback with locals would show them, such as a header of the caller's own
        return instance.runner.call(plan)

    return run
