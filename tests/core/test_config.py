"""What holds for every request of one client: defaults, their sources, and what is refused."""

import copy
import math
import pickle
import traceback
from typing import Any, cast

import pytest

from cartesia_proto.config import (
    DEFAULT_BASE_URL,
    Config,
    Limits,
    check_headers,
    check_version,
    choose_base_url,
    configure,
)
from cartesia_proto.credentials import AccessToken, ApiKey
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.http import Headers

CANARY = "CANARY0123456789"


def test_defaults() -> None:
    """The documented defaults hold where nothing is said."""
    config = Config()
    assert config.base_url == "https://api.cartesia.ai"
    assert config.version == "2026-08-14"
    assert config.credentials is None
    assert (config.timeout, config.max_retries) == (60.0, 2)
    assert (config.headers, config.limits) == (Headers(), Limits())


@pytest.mark.parametrize(
    ("given", "base_url"),
    [
        ("https://api.cartesia.ai", "https://api.cartesia.ai"),
        ("https://proxy.example/x/", "https://proxy.example/x"),
        ("  https://proxy.example/x//  ", "https://proxy.example/x"),
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("api.cartesia.ai", "https://api.cartesia.ai"),
        ("api.example:8443/base", "https://api.example:8443/base"),
        ("localhost:8765", "http://localhost:8765"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("[::1]:80", "http://[::1]:80"),
        ("localhost.example", "https://localhost.example"),
        ("HTTPS://API.Example:443/X", "https://api.example:443/X"),
        ("https://api.example.", "https://api.example."),
        ("bücher.example", "https://xn--bcher-kva.example"),
        ("http://[FE80::0:1%eth0]:80", "http://[fe80::1%25eth0]:80"),
        ("http://[fe80::1%25eth0]", "http://[fe80::1%25eth0]"),
    ],
)
def test_base_url(given: str, base_url: str) -> None:
    """A bare host gets its scheme, http for loopback alone; trailing slashes go."""
    assert Config(base_url=given).base_url == base_url


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("", "no http or https URL"),
        ("http://", "no http or https URL"),
        ("https:///path", "no http or https URL"),
        ("ftp://host", "no http or https URL"),
        ("https://host:port", "no http or https URL"),
        ("https://host:0", "no http or https URL"),
        ("https://host:99999", "no http or https URL"),
        ("[::1", "no http or https URL"),
        ("https://[::1", "no http or https URL"),
        ("https://host/a b", "no http or https URL"),
        ("https://host/\x7f", "no http or https URL"),
        ("https://hôst/pâth", "no http or https URL"),
        ("https://host\t/path", "no http or https URL"),
        ("https://a..b", "base_url: the host has an empty label"),
        (f"https://{CANARY}!", "base_url: the host has a character"),
        ("https://[fe80::1%25eth/0]", "no http or https URL"),
        ("https://host\r\nX-Evil: 1", "no http or https URL"),
        (f"user:{CANARY}@h\u2100st", "no http or https URL"),
        (f"https://user:{CANARY}@host", "user name or password"),
        (f"{CANARY}@host", "user name or password"),
        (f"https://host/?api_key={CANARY}", "query or fragment"),
        ("https://host/#top", "query or fragment"),
        ("https://host/x?", "query or fragment"),
        ("https://host#", "query or fragment"),
    ],
)
def test_unusable_base_url(given: str, complaint: str) -> None:
    """What is no plain HTTP URL is refused without being repeated, since it may hold a secret."""
    with pytest.raises(LocalProtocolError, match=complaint) as caught:
        Config(base_url=given)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("version", ["2024-06-10", "2026-04-03"])
def test_version(version: str) -> None:
    """Any date of the form YYYY-MM-DD is a version."""
    assert check_version(version) == version
    assert Config(version=version).version == version


@pytest.mark.parametrize("version", ["", "v1", "2024-6-10", "20240610", "2024-W24-1", "2024-13-01", "2024-06-10\n"])
def test_no_version(version: str) -> None:
    """What is no such date is refused and named."""
    with pytest.raises(LocalProtocolError, match="no date of the form YYYY-MM-DD"):
        Config(version=version)


def test_timeout() -> None:
    """A timeout is above zero; waiting for ever is allowed."""
    assert Config(timeout=1).timeout == 1.0
    assert Config(timeout=math.inf).timeout == math.inf
    for wrong in (0, -1, math.nan):
        with pytest.raises(LocalProtocolError, match="above 0 seconds"):
            Config(timeout=wrong)


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("timeout", "20", "a timeout must be above 0 seconds, not '20'"),
        ("timeout", True, "a timeout must be above 0 seconds, not True"),
        ("max_retries", "2", "max_retries must be 0 or more, not '2'"),
        ("max_retries", 2.5, "max_retries must be 0 or more, not 2.5"),
        ("version", 20260814, "version 20260814 is no date"),
    ],
)
def test_values_of_a_wrong_type(option: str, value: object, complaint: str) -> None:
    """From a file or the environment, say; the message names the option."""
    with pytest.raises(LocalProtocolError, match=complaint):
        configure({}, **cast("dict[str, Any]", {option: value}))


def test_max_retries() -> None:
    """No retries is fine, fewer is not."""
    assert Config(max_retries=0).max_retries == 0
    with pytest.raises(LocalProtocolError, match="max_retries must be 0 or more, not -1"):
        Config(max_retries=-1)


@pytest.mark.parametrize("given", [5, b"https://host", ["https://host"]])
def test_a_base_url_of_another_kind(given: object) -> None:
    """It is named, and what it is."""
    with pytest.raises(LocalProtocolError, match=f"base_url must be a string, not {type(given).__name__}"):
        configure({}, base_url=given)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the mistake


@pytest.mark.parametrize("given", [5, "X-A: 1", [("X-A", CANARY)], {"X-A"}])
def test_headers_of_another_kind(given: object) -> None:
    """They are named, and what they are; not what is in them."""
    words = f"headers are given as a mapping of names to values, not as {type(given).__name__}"
    with pytest.raises(LocalProtocolError, match=words) as caught:
        configure({}, headers=given)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the mistake
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("name", [5, None, CANARY.encode()])
def test_header_names_of_another_kind(name: object) -> None:
    """A name is a string, and is not repeated where it is none."""
    with pytest.raises(LocalProtocolError, match=f"a header name must be a string, not {type(name).__name__}"):
        configure({}, headers={name: "x"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "Content-Type"])
def test_framing_headers_are_ours(name: str) -> None:
    """What frames the message or describes its body is not the caller's."""
    with pytest.raises(LocalProtocolError, match=f"header {name} is set by the library"):
        check_headers({name: "x"})


def test_the_version_is_no_header() -> None:
    """The version decides more than its header, so there is one way to give it."""
    with pytest.raises(LocalProtocolError, match="give that as version="):
        check_headers({"cartesia-version": "2024-06-10"})


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\x00b"])
def test_header_injection(value: str) -> None:
    """A line break in a header's value is refused before anything is sent."""
    with pytest.raises(LocalProtocolError, match="line break or another control character"):
        check_headers({"X-Custom": value})
    with pytest.raises(LocalProtocolError, match="a header name has a forbidden character"):
        check_headers({value: "x"})


def test_with_options() -> None:
    """Other defaults on the same credentials and base URL; what is None stays, headers are added."""
    config = Config(base_url="http://localhost", credentials=ApiKey("k"), headers=Headers([("X-A", "1"), ("X-B", "1")]))
    assert config.with_options() == config
    other = config.with_options(timeout=5, max_retries=0, version="2024-06-10", headers={"x-b": "2"})
    assert (other.timeout, other.max_retries, other.version) == (5.0, 0, "2024-06-10")
    assert other.headers == Headers([("X-A", "1"), ("x-b", "2")])
    assert (other.base_url, other.credentials) == (config.base_url, config.credentials)
    with pytest.raises(LocalProtocolError, match="max_retries"):
        config.with_options(max_retries=-1)


def test_configure() -> None:
    """Explicit beats environment beats default."""
    environ = {"CARTESIA_API_KEY": "key", "CARTESIA_BASE_URL": "http://localhost:1"}
    from_environment = configure(environ)
    assert (from_environment.base_url, from_environment.credentials) == ("http://localhost:1", ApiKey("key"))
    explicit = configure(
        environ,
        token="token",
        base_url="http://localhost:2",
        version="2025-04-16",
        timeout=1,
        max_retries=7,
        headers={"X-A": "1"},
    )
    assert explicit == Config(
        base_url="http://localhost:2",
        version="2025-04-16",
        credentials=AccessToken("token"),
        timeout=1,
        max_retries=7,
        headers=Headers([("X-A", "1")]),
    )
    assert configure({}) == Config()
    assert configure({}, api_key="k").credentials == ApiKey("k")
    with pytest.raises(LocalProtocolError, match="both"):
        configure({}, api_key="k", token="t")


def test_choose_base_url() -> None:
    """An empty variable is none."""
    assert choose_base_url(None, {}) == DEFAULT_BASE_URL
    assert choose_base_url(None, {"CARTESIA_BASE_URL": ""}) == DEFAULT_BASE_URL
    assert choose_base_url("a", {"CARTESIA_BASE_URL": "b"}) == "a"


def test_secrets_stay_inside() -> None:
    """A configuration with credentials, or a secret header, shows neither and refuses pickling; copies work."""
    for config in (
        Config(credentials=ApiKey(CANARY)),
        Config(credentials=AccessToken(CANARY)),
        configure({}, headers={"Authorization": f"Bearer {CANARY}"}),
    ):
        assert CANARY not in f"{config} {config!r}"
        assert copy.copy(config) == copy.deepcopy(config) == config
        with pytest.raises(TypeError, match="refuses to be pickled"):
            pickle.dumps(config)
    plain = configure({}, headers={"X-A": "1"})
    assert pickle.loads(pickle.dumps(plain)) == plain
    assert hash(plain) == hash(configure({}, headers={"X-A": "1"}))
