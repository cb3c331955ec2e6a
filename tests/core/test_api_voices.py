"""The voice endpoints: what each asks under each version, and what it answers."""

import copy
import inspect
import pickle
import pydoc
import types
from collections.abc import Callable
from typing import TypeVar, get_type_hints

import pytest

from cartesia_proto.api.voice_models import Accent, Embedding, Voice, VoiceMetadata
from cartesia_proto.api.voices import Voices, read_page
from cartesia_proto.call import Blocking, Call, Plan
from cartesia_proto.config import Config
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import JsonValue, LocalProtocolError, RemoteProtocolError
from cartesia_proto.flow import Attempt
from cartesia_proto.http import JsonBody, Method, Request, Response
from cartesia_proto.pages import Batch
from cartesia_proto.prepare import RequestOptions
from cartesia_proto.testing import half, run

T = TypeVar("T")
CONFIG = Config(base_url="http://localhost", credentials=ApiKey("k"), max_retries=0)

REQUESTS: list[tuple[Plan[object, object], Method, str, tuple[tuple[str, str], ...], JsonValue]] = [
    (Voices.list(), "GET", "/voices", (), None),
    (
        Voices.list(limit=5, expand=["embedding", "is_starred"], is_owner=True),
        "GET",
        "/voices",
        (("limit", "5"), ("is_owner", "true"), ("expand[]", "embedding"), ("expand[]", "is_starred")),
        None,
    ),
    (
        Voices.list(starting_after="a", ending_before="b", q="c d", is_starred=False, gender="feminine", language="en"),
        "GET",
        "/voices",
        (
            ("starting_after", "a"),
            ("ending_before", "b"),
            ("q", "c d"),
            ("is_starred", "false"),
            ("gender", "feminine"),
            ("language", "en"),
        ),
        None,
    ),
    (Voices.get("v"), "GET", "/voices/v", (), None),
    (Voices.get("a/b c", expand=["embedding"]), "GET", "/voices/a%2Fb%20c", (("expand[]", "embedding"),), None),
    (
        Voices.create("n", "d", [0.5, 1], language="en", base_voice_id="b"),
        "POST",
        "/voices",
        (),
        {"name": "n", "description": "d", "embedding": [0.5, 1], "language": "en", "base_voice_id": "b"},
    ),
    (
        Voices.create(name="n", description="d", embedding=Embedding((0.5,))),
        "POST",
        "/voices",
        (),
        {"name": "n", "description": "d", "embedding": [0.5]},
    ),
    (
        Voices.update("a/b", name="n", description="d", gender="masculine", accent="british"),
        "PATCH",
        "/voices/a%2Fb",
        (),
        {"name": "n", "description": "d", "gender": "masculine", "accent": "british"},
    ),
    (Voices.update("v"), "PATCH", "/voices/v", (), {}),
    (Voices.delete("a/b"), "DELETE", "/voices/a%2Fb", (), None),
    (
        Voices.mix([{"id": "a", "weight": 0.5}, {"embedding": [1.0], "weight": 0.5}]),
        "POST",
        "/voices/mix",
        (),
        {"voices": [{"id": "a", "weight": 0.5}, {"embedding": [1.0], "weight": 0.5}]},
    ),
    (
        Voices.localize(voice_id="v", name="n", accent="parisian", tagline="t"),
        "POST",
        "/voices/localize",
        (),
        {"voice_id": "v", "name": "n", "accent": "parisian", "tagline": "t"},
    ),
    (
        Voices.localize(
            voice_id="v", name="n", description="d", language="fr", original_speaker_gender="female", dialect="fr-CA"
        ),
        "POST",
        "/voices/localize",
        (),
        {
            "voice_id": "v",
            "name": "n",
            "description": "d",
            "language": "fr",
            "original_speaker_gender": "female",
            "dialect": "fr-CA",
        },
    ),
    (Voices.list_accents(), "GET", "/accents", (), None),
    (Voices.add_accents("a/b", accents=["british"]), "PATCH", "/voices/a%2Fb/accents", (), {"accents": ["british"]}),
    (Voices.delete_accent("x/y", id="a/b"), "DELETE", "/voices/a%2Fb/accents/x%2Fy", (), None),
]
ids = [f"{method} {path}" for _, method, path, _, _ in REQUESTS]


@pytest.mark.parametrize("version", ["2024-06-10", "2024-11-13", "2026-08-14"])
@pytest.mark.parametrize(("call", "method", "path", "query", "body"), REQUESTS, ids=ids)
def test_requests(
    call: Plan[object, object],
    method: Method,
    path: str,
    query: tuple[tuple[str, str], ...],
    body: JsonValue,
    version: str,
) -> None:
    """Method, path, query and body; what is not given is absent."""
    request = call.route.render(call.parameters, version)
    assert (request.method, request.path, request.query) == (method, path, query)
    assert request.body == (None if body is None else JsonBody(body))
    assert request.accept == ("*/*" if path == "/voices/a%2Fb" and method == "DELETE" else "application/json")


@pytest.mark.parametrize("call", [row[0] for row in REQUESTS], ids=ids)
def test_calls_are_values(call: Plan[object, object]) -> None:
    """Comparable, hashable, and the same after a pickle or a copy."""
    for again in (pickle.loads(pickle.dumps(call)), copy.deepcopy(call)):
        assert again == call
        assert hash(again) == hash(call)
    assert len({row[0] for row in REQUESTS}) == len(REQUESTS)


def request_of(call: Call[object], version: str) -> Request:
    """The first request under a client's version."""
    step = call.operation(CONFIG.with_options(version=version), half).start()
    assert isinstance(step, Attempt)
    return step.request


@pytest.mark.parametrize(
    ("call", "old", "new"),
    [
        (Voices.list().page(), "2024-06-10", "2026-08-14"),
        (Voices.get("v"), "2024-06-10", "2026-08-14"),
        (Voices.update("v"), "2024-06-10", "2026-08-14"),
        (Voices.delete("v"), "2024-06-10", "2026-08-14"),
        (Voices.localize(voice_id="v", name="n"), "2024-06-10", "2026-08-14"),
        (Voices.create("n", "d", [1.0]), "2024-06-10", "2024-11-13"),
        (Voices.mix([]), "2024-06-10", "2024-11-13"),
        (Voices.list_accents(), "2026-08-14", "2026-08-14"),
        (Voices.add_accents("v", accents=[]), "2026-08-14", "2026-08-14"),
        (Voices.delete_accent("a", id="v"), "2026-08-14", "2026-08-14"),
    ],
)
def test_versions(call: Call[object], old: str, new: str) -> None:
    """The client's version where it has the endpoint, else the nearest that has."""
    assert request_of(call, "2024-06-10").headers.get("cartesia-version") == old
    assert request_of(call, "2026-08-14").headers.get("cartesia-version") == new


def test_an_explicit_null() -> None:
    """Resetting the gender takes an explicit null."""
    call = Voices.update("v", name="n", request_options={"additional_body_parameters": {"gender": None}})
    assert request_of(call, "2026-08-14").body == b'{"name":"n","gender":null}'


def test_brackets_in_the_query_are_encoded() -> None:
    """As the official SDK does."""
    assert request_of(Voices.list(expand=["a", "b"]).page(), "2026-08-14").url.endswith(
        "/voices?expand%5B%5D=a&expand%5B%5D=b"
    )


BY_ID: list[Callable[[str], object]] = [
    Voices.get,
    Voices.update,
    Voices.delete,
    lambda id: Voices.add_accents(id, accents=[]),
    lambda id: Voices.delete_accent("a", id=id),
    lambda id: Voices.delete_accent(id, id="v"),
]


@pytest.mark.parametrize("id", ["", ".", ".."])
@pytest.mark.parametrize("build", BY_ID)
def test_refused_ids(build: Callable[[str], object], id: str) -> None:
    """An id that would name another resource is refused when the call is made."""
    with pytest.raises(LocalProtocolError, match="it would name another resource"):
        build(id)


def answered(call: Call[T], body: bytes, status: int = 200) -> T:
    """The value for one response."""
    return run(call.operation(CONFIG, half), [Response(status, body=body)]).value


def test_answers() -> None:
    """Each endpoint's answer has its type."""
    voice = b'{"id":"v","name":"n","new":1}'
    for call in (
        Voices.get("v"),
        Voices.create("n", "d", [1.0]),
        Voices.update("v"),
        Voices.add_accents("v", accents=["a"]),
        Voices.delete_accent("a", id="v"),
    ):
        answer = answered(call, voice, 201)
        assert answer == Voice("v", "n", extra={"new": 1})
        assert answer is not None
        assert answer["name"] == answer.name
    assert answered(Voices.localize(voice_id="v", name="n"), voice) == VoiceMetadata("v", "n", extra={"new": 1})
    assert answered(Voices.mix([]), b'{"embedding":[1,2]}') == Embedding((1.0, 2.0))
    assert answered(Voices.list_accents(), b'{"accents":[{"id":"a"}]}') == (Accent("a"),)
    for status, body in ((204, b""), (200, b""), (202, b"\n")):
        for change in (Voices.update("v"), Voices.add_accents("v", accents=["a"]), Voices.delete_accent("a", id="v")):
            assert answered(change, body, status) is None
    delete: Call[object] = Voices.delete("v")
    assert answered(delete, b"", 204) is None


def test_pages_of_voices() -> None:
    """Cursor ids come from the items; the bare array of 2024-06-10 is the whole list."""
    a, b = Voice("a"), Voice("b")
    page = b'{"data":[{"id":"a"},{"id":"b"}],"has_more":true,"next_page":"n"}'
    assert read_page(Response(200, body=page), "") == Batch((a, b), "a", "b", has_more=True, next_page="n")
    assert read_page(Response(200, body=b'{"data":[]}'), "") == Batch[Voice](())
    assert read_page(Response(200, body=b'[{"id":"a"},{"id":"b"}]'), "") == Batch((a, b), "a", "b", has_more=False)
    first = answered(Voices.list(limit=2).page(), b'{"data":[{"id":"a"},{"id":"b"}],"has_more":true}')
    assert first.items == (a, b)
    assert first.next == Voices.list(limit=2, starting_after="b")
    assert answered(Voices.list().page(), b'[{"id":"a"}]').next is None
    with pytest.raises(RemoteProtocolError, match="does not advance"):
        answered(Voices.list(starting_after="b").page(), b'{"data":[{"id":"b"}],"has_more":true}')


def test_later_changes_do_not_reach_a_call() -> None:
    """Lists and mappings mean what they meant when the call was made."""
    numbers, accents, voices = [1.0], ["a"], [{"id": "v", "weight": 1.0}]
    options: RequestOptions = {"max_retries": 1}
    calls = [
        Voices.create("n", "d", numbers, request_options=options),
        Voices.add_accents("v", accents=accents),
        Voices.mix(voices),
    ]
    numbers.append(2.0)
    accents.append("b")
    voices[0]["weight"] = 2.0
    options["max_retries"] = 5
    assert calls == [
        Voices.create("n", "d", [1.0], request_options={"max_retries": 1}),
        Voices.add_accents("v", accents=["a"]),
        Voices.mix([{"id": "v", "weight": 1.0}]),
    ]


class Client:
    """A client that hands back the call it was to run."""

    def call(self, plan: object) -> object:
        """Not run."""
        return plan


NAMES = [
    name
    for name, value in vars(Voices).items()
    if not name.startswith("_")
    and name != "clone"
    and isinstance(getattr(Voices, name), types.FunctionType)
    and value is not None
]


def test_every_endpoint_is_known_here() -> None:
    """An endpoint that is added must be added to the tables above."""
    assert {*NAMES, "clone"} == {name for name in vars(Voices) if not name.startswith("_")}
    assert {row[0].route for row in REQUESTS} == {
        getattr(Voices, name)(**MINIMAL.get(name, {})).route for name in NAMES
    }


MINIMAL: dict[str, dict[str, object]] = {
    "get": {"id": "v"},
    "create": {"name": "n", "description": "d", "embedding": [1.0]},
    "update": {"id": "v"},
    "delete": {"id": "v"},
    "mix": {"voices": []},
    "localize": {"voice_id": "v", "name": "n"},
    "add_accents": {"id": "v", "accents": []},
    "delete_accent": {"accent": "a", "id": "v"},
}


@pytest.mark.parametrize("name", NAMES)
def test_bound_methods_look_like_their_builders(name: str) -> None:
    """Hints resolve; signature and help are the builder's; the bound method runs the builder's call."""
    voices: Voices[Blocking] = Voices(Client())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # it runs nothing
    builder, bound = getattr(Voices, name), getattr(voices, name)
    hints = get_type_hints(builder)
    assert issubclass(hints["return"].__origin__, Plan)
    assert hints["request_options"] == RequestOptions | None
    assert inspect.signature(bound) == inspect.signature(builder)
    assert (
        pydoc.plain(pydoc.render_doc(bound)).splitlines()[2:] == pydoc.plain(pydoc.render_doc(builder)).splitlines()[2:]
    )
    assert "Source: protocol section 2.5" in builder.__doc__
    assert bound(**MINIMAL.get(name, {})) == builder(**MINIMAL.get(name, {}))
