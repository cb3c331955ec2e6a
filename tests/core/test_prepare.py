"""From parameters to a signed request: what beats what, and what never gets out."""

import copy
import pickle
import traceback
from collections.abc import Mapping
from typing import cast

import pytest

from cartesia_proto.codecs import json
from cartesia_proto.config import USER_AGENT, Config, Limits
from cartesia_proto.credentials import AccessToken, ApiKey
from cartesia_proto.errors import JsonValue, LocalProtocolError
from cartesia_proto.flow import Terms
from cartesia_proto.http import (
    ContentPart,
    Form,
    Headers,
    JsonBody,
    Method,
    Request,
    TextPart,
    UnsignedRequest,
    Upload,
)
from cartesia_proto.parameters import Parameters
from cartesia_proto.prepare import CallOptions, RequestOptions, Route, freeze_options, prepare, terms
from cartesia_proto.testing import half

CANARY = "CANARY0123456789"
KEYED = Config(base_url="https://h.example/base", credentials=ApiKey(CANARY))


def render(parameters: Parameters, version: str) -> UnsignedRequest:
    """An endpoint that asks for what its parameters say."""
    body = parameters.get("body")
    method: Method = "POST" if body is not None else "GET"
    return UnsignedRequest(
        method,
        f"/x/{version}",
        (("a b", "c"),) if "query" in parameters else (),
        None if body is None else JsonBody(Parameters(body=body).as_json()["body"]),
    )


def render_form(parameters: Parameters, version: str) -> UnsignedRequest:
    """An endpoint with a form."""
    del parameters, version
    return UnsignedRequest(
        "POST", "/form", body=Form((TextPart("a", "1"), ContentPart("clip", b"x"))), accept="audio/wav"
    )


def ask(
    options: RequestOptions | None = None,
    config: Config = KEYED,
    route: Route | None = None,
    **parameters: object,
) -> Request:
    """A prepared request."""
    return prepare(route or Route(render), Parameters(parameters), freeze_options(options), config, half)


def revealed(request: Request) -> dict[str, str]:
    """The headers of a request with their true values, names in lower case."""
    return {name.lower(): value for name, value in request.headers.reveal()}


def test_a_whole_request() -> None:
    """Absolute, with every header that is due, signed, and with its body encoded."""
    request = ask(body={"é": [1, None]}, query=True)
    assert request.method == "POST"
    assert request.url == "https://h.example/base/x/2026-08-14?a%20b=c"
    assert request.body == '{"é":[1,null]}'.encode()
    assert revealed(request) == {
        "user-agent": USER_AGENT,
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "cartesia-version": "2026-08-14",
        "authorization": f"Bearer {CANARY}",
    }


def test_without_a_body() -> None:
    """No body, no content type."""
    request = ask()
    assert request.body == b""
    assert "content-type" not in request.headers


def test_a_form() -> None:
    """A form is encoded with a boundary drawn from the chance that was handed in."""
    first = prepare(Route(render_form), Parameters(), CallOptions(), KEYED, lambda: 0.1)
    second = prepare(Route(render_form), Parameters(), CallOptions(), KEYED, lambda: 0.9)
    assert isinstance(first.body, Upload)
    content_type = first.headers.get("content-type")
    assert content_type is not None
    assert content_type.startswith("multipart/form-data; boundary=")
    assert content_type != second.headers.get("content-type")
    assert first.headers.get("accept") == "audio/wav"


@pytest.mark.parametrize(
    ("since", "until", "client", "call", "version"),
    [
        ("", "9999-12-31", "2026-08-14", None, "2026-08-14"),
        ("", "2024-11-13", "2026-08-14", None, "2024-11-13"),
        ("", "2024-11-13", "2024-06-10", None, "2024-06-10"),
        ("2026-08-14", "9999-12-31", "2024-06-10", None, "2026-08-14"),
        ("2025-04-16", "2025-11-04", "2025-06-01", None, "2025-06-01"),
        ("2025-04-16", "2025-11-04", "2024-06-10", None, "2025-04-16"),
        ("2025-04-16", "2025-11-04", "2026-08-14", None, "2025-11-04"),
        ("2025-04-16", "2025-11-04", "2025-06-01", "2024-06-10", "2024-06-10"),
        ("", "2024-11-13", "2024-06-10", "2027-01-01", "2027-01-01"),
    ],
)
def test_version_precedence(since: str, until: str, client: str, call: str | None, version: str) -> None:
    """The call's own version, else the client's where it has the endpoint, else the nearest that has."""
    route = Route(render, since=since, until=until)
    options: RequestOptions = {} if call is None else {"version": call}
    config = Config(version=client, credentials=ApiKey("k"))
    request = ask(options, config, route)
    assert route.version(config, freeze_options(options)) == version
    assert request.headers.get("cartesia-version") == version
    assert request.url.endswith(f"/x/{version}")


@pytest.mark.parametrize(
    ("version", "name", "value"),
    [("2025-04-15", "x-api-key", CANARY), ("2025-04-16", "authorization", f"Bearer {CANARY}")],
)
def test_a_key_is_sent_as_the_version_knows_it(version: str, name: str, value: str) -> None:
    """Signed by the version that holds for the call, not by the client's."""
    headers = revealed(ask({"version": version}))
    assert headers[name] == value
    assert len({"x-api-key", "authorization"} & headers.keys()) == 1


def test_a_token_is_always_bearer() -> None:
    """Under every version."""
    config = Config(credentials=AccessToken(CANARY))
    for version in ("2024-06-10", "2026-08-14"):
        headers = revealed(ask({"version": version}, config))
        assert headers["authorization"] == f"Bearer {CANARY}"
        assert "x-api-key" not in headers


def test_missing_credentials() -> None:
    """They are missed at the first call that needs them, with both ways out; a public endpoint needs none."""
    with pytest.raises(LocalProtocolError, match=r"api_key= or token= .* CARTESIA_API_KEY"):
        ask(config=Config())
    request = ask(config=Config(), route=Route(render, public=True))
    assert not {"authorization", "x-api-key"} & revealed(request).keys()
    for name in ("Authorization", "x-api-key"):
        assert revealed(ask({"additional_headers": {name: "own"}}, Config()))[name.lower()] == "own"


def test_header_precedence() -> None:
    """The call's headers replace the client's, and those the library's own."""
    config = KEYED.with_options(headers={"User-Agent": "mine", "X-A": "client", "X-B": "client"})
    headers = revealed(ask({"additional_headers": {"x-a": "call", "authorization": "Bearer other"}}, config))
    assert (headers["user-agent"], headers["x-a"], headers["x-b"]) == ("mine", "call", "client")
    assert headers["authorization"] == "Bearer other"


def test_additional_query() -> None:
    """Added after the endpoint's own; lists repeat, None is left out."""
    query = {"n": 5, "expand[]": ["a", "b"], "none": None, "on": True}
    assert ask({"additional_query_parameters": query}, query=True).url.endswith(
        "?a%20b=c&n=5&expand%5B%5D=a&expand%5B%5D=b&on=true"
    )


ADDITIONAL: list[tuple[object, Mapping[str, object], JsonValue]] = [
    ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    ({"a": 1}, {"a": 2}, {"a": 2}),
    ({"a": 1}, {"gender": None}, {"a": 1, "gender": None}),
    ({"a": 1}, {"b": {"c": None, "d": [None]}}, {"a": 1, "b": {"c": None, "d": [None]}}),
    (None, {"a": None}, {"a": None}),
    ({"a": 1}, {}, {"a": 1}),
]


@pytest.mark.parametrize(("body", "additional", "sent"), ADDITIONAL)
def test_additional_body(body: object, additional: Mapping[str, object], sent: JsonValue) -> None:
    """Added to the body, replacing what is there; None is sent as an explicit null at every depth."""
    request = ask({"additional_body_parameters": additional}, body=body)
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == sent
    assert request.headers.get("content-type") == "application/json"


def test_additional_form_fields() -> None:
    """A form gets them as fields, before its file."""
    request = ask({"additional_body_parameters": {"b": {"c": True}}}, route=Route(render_form))
    assert isinstance(request.body, Upload)
    body = b"".join(piece for piece in request.body.pieces if isinstance(piece, bytes))
    assert body.index(b'name="b[c]"\r\n\r\ntrue') < body.index(b'name="clip"')


def test_additional_body_without_an_object() -> None:
    """There is no place for them in a list."""
    with pytest.raises(LocalProtocolError, match="an object or a form"):
        ask({"additional_body_parameters": {"a": 1}}, body=[1])


def test_unknown_option() -> None:
    """A typo is told, with the names there are."""
    with pytest.raises(LocalProtocolError, match=r"no 'timeout'; it has max_retries, timeout_in_seconds"):
        freeze_options(cast("RequestOptions", {"timeout": 5}))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"max_retries": -1}, "max_retries must be 0 or more"),
        ({"timeout_in_seconds": 0}, "above 0 seconds"),
        ({"version": "new"}, "no date of the form"),
        ({"additional_headers": {"X-A": "a\r\nX-Evil: 1"}}, "line break"),
        ({"additional_headers": {"X-A\r\n": "a"}}, "a header name has a forbidden character"),
        ({"additional_headers": {"Host": "evil"}}, "set by the library itself"),
        ({"additional_headers": {"Cartesia-Version": "2024-06-10"}}, "give that as version="),
        ({"additional_query_parameters": {1: 2}}, "the keys of additional_query_parameters must be strings, not int"),
        ({"additional_body_parameters": {1: 2}}, "the keys of additional_body_parameters must be strings, not int"),
        ({"additional_body_parameters": [1]}, "additional_body_parameters must be a mapping"),
    ],
)
def test_malformed_options(options: RequestOptions, complaint: str) -> None:
    """A malformed option is refused when the call is made, not when it is sent."""
    with pytest.raises(LocalProtocolError, match=complaint):
        freeze_options(options)


def test_options_are_frozen() -> None:
    """Changing what was handed over does not change the call."""
    query, body, headers = {"a": [1]}, {"b": [1]}, {"X-A": "1"}
    given: RequestOptions = {
        "additional_query_parameters": query,
        "additional_body_parameters": body,
        "additional_headers": headers,
        "max_retries": 1,
        "timeout_in_seconds": 1,
        "version": "2024-06-10",
    }
    options = freeze_options(given)
    query["a"].append(2)
    body["c"] = []
    headers["X-B"] = "2"
    assert options == CallOptions(
        max_retries=1,
        timeout_in_seconds=1.0,
        additional_headers=Headers([("X-A", "1")]),
        additional_query_parameters=Parameters(a=[1]),
        additional_body_parameters=Parameters(b=[1]),
        version="2024-06-10",
    )
    assert pickle.loads(pickle.dumps(options)) == options
    assert hash(options) == hash(copy.deepcopy(options))
    assert freeze_options(None) == freeze_options({}) == CallOptions()


def test_terms() -> None:
    """The call's own timeout and retries, also when they are 0, else the client's; limits by what is answered."""
    config = Config(timeout=7, max_retries=3, limits=Limits(json=10, audio=20, error=5))
    assert terms(Route(render), CallOptions(), config, half) == Terms(7.0, 3, 10, 5, half)
    own = freeze_options({"max_retries": 0, "timeout_in_seconds": 0.5})
    assert terms(Route(render, answer="audio"), own, config, half) == Terms(0.5, 0, 20, 5, half)


def test_canary() -> None:
    """No value on the way shows a secret, whether it came as a key or in an option; none of them pickles one."""
    options = freeze_options(
        {
            "additional_headers": {"Authorization": f"Bearer {CANARY}"},
            "additional_query_parameters": {"access_token": CANARY},
        }
    )
    request = prepare(Route(render), Parameters(), options, KEYED, half)
    for value in (options, request, KEYED):
        assert CANARY not in f"{value} {value!r}"
        assert copy.copy(value) == copy.deepcopy(value) == value
        with pytest.raises(TypeError, match="refuses to be pickled") as caught:
            pickle.dumps(value)
        assert CANARY not in "".join(traceback.format_exception(caught.value))
