"""Lists that come in pages: the cursor, the end, and the walk of a blocking client."""

from typing import TypeVar

import pytest

from cartesia_proto.call import Call, PageCall, PageReader, Plan, Stream, StreamCall
from cartesia_proto.config import Config
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import JsonValue, RemoteProtocolError, ServerError
from cartesia_proto.flow import Outcome
from cartesia_proto.http import Response, UnsignedRequest
from cartesia_proto.pages import Batch, Page, Pages, following
from cartesia_proto.parameters import Parameters, query_pairs
from cartesia_proto.prepare import Route
from cartesia_proto.testing import half, run

T = TypeVar("T")
E = TypeVar("E")
B = TypeVar("B")


def render(parameters: Parameters, version: str) -> UnsignedRequest:
    """A list endpoint."""
    del version
    return UnsignedRequest("GET", "/things", query_pairs(parameters))


def read_things(response: Response, version: str) -> Batch[str]:
    """A page written as ``ids|has_more``, the ids in one word."""
    del version
    letters, _, more = response.body.decode().partition("|")
    first, last = (letters[0], letters[-1]) if letters else (None, None)
    return Batch(tuple(letters), first, last, {"true": True, "false": False}.get(more))


def things(**parameters: JsonValue) -> PageCall[str]:
    """The list call."""
    return PageCall(Route(render), Parameters(parameters), read=read_things)


class FakeClient:
    """A blocking client that answers from a script and notes what was asked."""

    def __init__(self, *answers: Outcome) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def call(self, plan: "Plan[B, object]") -> B:
        """Run any call."""
        return plan.run_blocking(self)

    def run_call(self, call: Call[T]) -> T:
        """Make one request."""
        config = Config(credentials=ApiKey("k"), max_retries=0)
        transcript = run(call.operation(config, half), [self.answers.pop(0)])
        self.asked.append(transcript.attempts[0].request.url.partition("?")[2])
        return transcript.value

    def run_stream(self, call: StreamCall[E]) -> Stream[E]:
        """Nobody streams here."""
        raise AssertionError(call)


def ok(text: str) -> Response:
    """A page."""
    return Response(200, body=text.encode())


@pytest.mark.parametrize(
    ("parameters", "batch", "after"),
    [
        ({}, Batch(("a", "b"), "a", "b", has_more=True), {"starting_after": "b"}),
        ({}, Batch(("a", "b"), "a", "b"), {"starting_after": "b"}),
        ({}, Batch(("a", "b"), "a", "b", has_more=True, next_page="n"), {"starting_after": "n"}),
        ({"limit": 2}, Batch(("a",), "a", "a"), {"limit": 2, "starting_after": "a"}),
        ({"starting_after": "x"}, Batch(("a", "b"), "a", "b"), {"starting_after": "b"}),
        ({"ending_before": "x"}, Batch(("a", "b"), "a", "b", next_page="n"), {"ending_before": "a"}),
        ({"ending_before": None}, Batch(("a", "b"), "a", "b"), {"ending_before": None, "starting_after": "b"}),
        ({}, Batch(("a",), "a", "a", has_more=False), None),
        ({}, Batch(("a",), "a", "a", has_more=False, next_page="n"), None),
        ({"ending_before": "x"}, Batch(("a",), "a", "a", has_more=False), None),
        ({}, Batch[str](()), None),
        ({}, Batch[str]((), has_more=True, next_page="n"), None),
        ({}, Batch(("a",), has_more=True), None),
    ],
)
def test_following(parameters: dict[str, object], batch: Batch[str], after: dict[str, object] | None) -> None:
    """Forward from the last item or the server's cursor, backward from the first; the end where the server says so."""
    assert following(Parameters(parameters), batch) == (None if after is None else Parameters(after))


@pytest.mark.parametrize(
    ("parameters", "batch"),
    [
        ({"starting_after": "b"}, Batch(("a", "b"), "a", "b", has_more=True)),
        ({"starting_after": "n"}, Batch(("a", "b"), "a", "b", next_page="n")),
        ({"ending_before": "a"}, Batch(("a", "b"), "a", "b")),
    ],
)
def test_a_list_that_does_not_advance(parameters: dict[str, object], batch: Batch[str]) -> None:
    """The page one asked to go past would be fetched for ever."""
    with pytest.raises(RemoteProtocolError, match="does not advance"):
        following(Parameters(parameters), batch)


def test_first_page() -> None:
    """The first page has its items and the call for the next; it is fetched at once, and alone."""
    client = FakeClient(ok("ab|true"))
    pages = client.call(things(limit=2))
    assert pages.items == ("a", "b")
    assert pages.next == things(limit=2, starting_after="b")
    assert client.asked == ["limit=2"]


def test_iteration_walks_all_pages() -> None:
    """Each page is fetched when it is reached; iterating again starts over."""
    client = FakeClient(ok("ab|true"), ok("cd|"), ok(""), ok("c|false"))
    pages = client.call(things())
    walk = iter(pages)
    assert [next(walk), next(walk)] == ["a", "b"]
    assert client.asked == [""]
    assert list(walk) == ["c", "d"]
    assert client.asked == ["", "starting_after=b", "starting_after=d"]
    assert list(pages) == ["a", "b", "c"]


def test_backward() -> None:
    """Paging backward goes on before the first item of each page."""
    client = FakeClient(ok("cd|true"), ok("ab|false"))
    assert list(client.call(things(ending_before="e"))) == ["c", "d", "a", "b"]
    assert client.asked == ["ending_before=e", "ending_before=c"]


def test_a_failure_on_the_way() -> None:
    """What a later page fails with is raised where it happens, after the items before it."""
    client = FakeClient(ok("a|true"), Response(500), ok("a|true"))
    walk = iter(client.call(things()))
    assert next(walk) == "a"
    with pytest.raises(ServerError):
        next(walk)
    stuck = FakeClient(ok("a|true"), ok("a|true"))
    with pytest.raises(RemoteProtocolError, match="does not advance"):
        list(stuck.call(things()))


@pytest.mark.parametrize("parameters", [{}, {"starting_after": "d"}])
def test_pages_that_point_at_each_other(parameters: dict[str, JsonValue]) -> None:
    """Each leads on, but not on and on: a page that was there is not handed out again."""
    client = FakeClient(*[ok("ab|true"), ok("cd|true")] * 3)
    walk, heard = iter(client.call(things(**parameters))), list[str]()
    with pytest.raises(RemoteProtocolError, match="goes in circles"):
        heard.extend(walk)
    assert heard == ["a", "b", "c", "d"]
    assert len(client.asked) == 3


def test_pages_that_point_back() -> None:
    """Backward the same; and a longer circle, which begins later."""
    client = FakeClient(*[ok("ab|"), ok("cd|")] * 3)
    with pytest.raises(RemoteProtocolError, match="goes in circles"):
        list(client.call(things(ending_before="x")))
    assert len(client.asked) == 3
    client = FakeClient(*(ok(f"{letter}|true") for letter in "abcdecde"))
    with pytest.raises(RemoteProtocolError, match="goes in circles"):
        list(client.call(things()))
    assert len(client.asked) == 6


def test_walking_again() -> None:
    """Each walk begins anew."""
    client = FakeClient(ok("a|true"), ok("b|false"), ok("b|false"))
    pages = client.call(things())
    assert (list(pages), list(pages)) == (["a", "b"], ["a", "b"])


def test_one_page_is_not_iterable() -> None:
    """A plain page is never mistaken for the whole list."""
    page = FakeClient(ok("a|true")).call(things().page())
    assert type(page) is Page
    assert not hasattr(page, "__iter__")
    assert not hasattr(page, "__len__")
    assert page == Page(("a",), things(starting_after="a"))


def test_pages_compare_by_what_they_hold() -> None:
    """The client that fetched them does not count, and is not shown."""
    one, two = (Pages(("a",), None, FakeClient()) for _ in range(2))
    assert one == two
    assert "FakeClient" not in repr(one)
    assert things().page().parse == PageReader(things())
