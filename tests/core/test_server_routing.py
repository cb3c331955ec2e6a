"""From request lines to endpoints."""

import pytest

from cartesia_proto.server.problems import Problem
from cartesia_proto.server.routing import Endpoint, RouteMatch, find_route
from cartesia_proto.server.versions import VERSIONS

OLDEST, NEWEST = VERSIONS[0], VERSIONS[-1]


@pytest.mark.parametrize(
    ("method", "target", "version", "endpoint", "ids"),
    [
        ("GET", "/", NEWEST, Endpoint.STATUS, ()),
        ("POST", "/tts/bytes", OLDEST, Endpoint.TTS_BYTES, ()),
        ("POST", "/tts/sse", NEWEST, Endpoint.TTS_SSE, ()),
        ("GET", "/tts/websocket", OLDEST, Endpoint.TTS_WEBSOCKET, ()),
        ("POST", "/infill/bytes", OLDEST, Endpoint.INFILL, ()),
        ("GET", "/voices", NEWEST, Endpoint.LIST_VOICES, ()),
        ("GET", "/voices/", NEWEST, Endpoint.LIST_VOICES, ()),
        ("POST", "/voices", "2024-11-13", Endpoint.CREATE_VOICE, ()),
        ("POST", "/voices/clone", NEWEST, Endpoint.CLONE_VOICE, ()),
        ("POST", "/voices/clone/clip", OLDEST, Endpoint.CLONE_CLIP, ()),
        ("POST", "/voices/mix", OLDEST, Endpoint.MIX_VOICES, ()),
        ("POST", "/voices/localize", NEWEST, Endpoint.LOCALIZE_VOICE, ()),
        ("GET", "/voices/a%2Fb%20%C3%A9", NEWEST, Endpoint.GET_VOICE, ("a/b é",)),
        ("PATCH", "/voices/v", NEWEST, Endpoint.UPDATE_VOICE, ("v",)),
        ("DELETE", "/voices/v", NEWEST, Endpoint.DELETE_VOICE, ("v",)),
        ("PATCH", "/voices/v/accents", NEWEST, Endpoint.ADD_ACCENTS, ("v",)),
        ("DELETE", "/voices/v/accents/a%2B", NEWEST, Endpoint.DELETE_ACCENT, ("v", "a+")),
        ("GET", "/accents", NEWEST, Endpoint.LIST_ACCENTS, ()),
    ],
)
def test_every_endpoint_is_found(
    method: str, target: str, version: str, endpoint: Endpoint, ids: tuple[str, ...]
) -> None:
    """With the ids of its path, decoded after the path was split."""
    assert find_route(method, target, version) == RouteMatch(endpoint, ids, ())


def test_the_query_is_decoded_in_order() -> None:
    """Names may repeat, and a plus is a space."""
    found = find_route("GET", "/voices?expand%5B%5D=a&expand[]=b&q=two+words&empty=", NEWEST)
    assert found.query == (("expand[]", "a"), ("expand[]", "b"), ("q", "two words"), ("empty", ""))


@pytest.mark.parametrize(
    ("method", "target", "version", "said"),
    [
        ("GET", "/nothing", NEWEST, "no such path"),
        ("GET", "/voices//accents", NEWEST, "no such path"),
        ("POST", "/voices", NEWEST, "existed until 2024-11-13"),
        ("POST", "/voices/clone/clip", "2024-11-13", "existed until 2024-06-10"),
        ("POST", "/voices/mix", "2025-04-16", "existed until 2024-11-13"),
        ("GET", "/accents", "2026-03-01", "exists since 2026-08-14"),
    ],
)
def test_what_is_not_there_is_not_found(method: str, target: str, version: str, said: str) -> None:
    """404; where another version has it, the message says which."""
    with pytest.raises(Problem, match=said) as refused:
        find_route(method, target, version)
    assert refused.value.status == 404


@pytest.mark.parametrize(("target", "allow"), [("/tts/bytes", ("POST",)), ("/voices/v", ("DELETE", "GET", "PATCH"))])
def test_a_wrong_method_is_not_allowed(target: str, allow: tuple[str, ...]) -> None:
    """405 with the right ones."""
    with pytest.raises(Problem) as refused:
        find_route("PUT", target, NEWEST)
    assert (refused.value.status, refused.value.allow) == (405, allow)


@pytest.mark.parametrize(
    ("target", "said"),
    [("/voices/%zz", "path"), ("/voices/%ff", "path"), ("/voices?q=%4", "query"), ("/voices?q=%ff", "query")],
)
def test_a_broken_escape_is_a_bad_request(target: str, said: str) -> None:
    """400, in the path as in the query."""
    with pytest.raises(Problem, match=said) as refused:
        find_route("GET", target, NEWEST)
    assert refused.value.status == 400


@pytest.mark.parametrize("origin", ["http://api.test", "HTTPS://api.test:443", "http://[::1]:80"])
def test_the_target_may_be_a_whole_url(origin: str) -> None:
    """As a client writes it to a proxy, and may write it to any server (RFC 9112 section 3.2.2)."""
    found = find_route("GET", f"{origin}/voices/a?expand[]=b", NEWEST)
    assert found == RouteMatch(Endpoint.GET_VOICE, ("a",), (("expand[]", "b"),))
    assert find_route("GET", origin, NEWEST) == find_route("GET", "/", NEWEST)
    assert find_route("GET", f"{origin}?a=b", NEWEST) == find_route("GET", "/?a=b", NEWEST)


def test_the_query_is_not_shown() -> None:
    """It may carry a secret."""
    assert "canary" not in repr(find_route("GET", "/voices?api_key=canary", NEWEST))
