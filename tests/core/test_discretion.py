"""The one door for a peer's words and a caller's secrets: what shows in texts, errors, frames and reprs."""

import base64
import traceback
from collections.abc import Callable, Coroutine, Generator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_proto.config import Config, configure
from cartesia_proto.credentials import AccessToken, ApiKey, Secret, choose_credentials
from cartesia_proto.discretion import (
    CUT,
    REDACTED,
    SHORTEST_ECHO,
    Discreet,
    Unshown,
    discreet,
    forget_locals,
    hide_secrets,
    spellings,
    words_of,
)
from cartesia_proto.errors import CartesiaError, LocalProtocolError, RemoteProtocolError
from cartesia_proto.http import Headers, Request, Response
from cartesia_proto.prepare import freeze_options
from cartesia_proto.sessions.handshake import CredentialsIn, websocket_request
from cartesia_proto.sessions.tts import TTSSession
from cartesia_proto.testing import half
from cartesia_proto.wire.proxy import Proxy, choose_proxy

KEY = "sk_car_C4n4ry/'\"\\Key"
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=SHORTEST_ECHO, max_size=40)


def hide(text: str) -> str:
    """The text without the key."""
    return hide_secrets(text, [KEY])


def shown(error: BaseException) -> str:
    """What a traceback with locals shows of an error and all it came from, but for the tests' own frames."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in report.stack if not frame.name.startswith("test_")]
    came_from = [shown(cause) for cause in (error.__cause__, error.__context__) if cause is not None]
    return "\n".join([str(error), *(f"in {frame.name}: {frame.locals}" for frame in frames), *came_from])


@given(VISIBLE, st.text(), st.text())
def test_no_spelling_of_a_secret_shows(secret: str, before: str, after: str) -> None:
    """Whatever stands around it."""
    for spelling in spellings(secret):
        assert spelling not in hide_secrets(before + spelling + after, [secret]).replace(REDACTED, "\0")


def test_spellings() -> None:
    """In URLs, in reprs, in JSON of two kinds."""
    for text in (KEY, "sk_car_C4n4ry%2F%27%22%5CKey", repr(KEY), '"sk_car_C4n4ry/\'\\"\\\\Key"', r"C4n4ry\/'\"\\Key"):
        assert "C4n4ry" not in hide(f"a {text}").replace(r"C4n4ry\/'\"\\Key", "C4n4ry" * ("sk" in text))
    assert hide_secrets("short secret", ["secret", "short s"]) == "short secret"


@pytest.mark.parametrize("length", range(SHORTEST_ECHO, len(KEY)))
def test_a_secret_that_was_cut(length: int) -> None:
    """A quotation may end within it."""
    assert hide(f"not {KEY[:length]}{CUT}: no") == f"not {REDACTED}{CUT}: no"
    assert hide(f"sk_car_C and more{CUT}") == f"sk_car_C and more{CUT}"


def test_words_of_secret_headers() -> None:
    """Of Basic, what was encoded too, and what is no Basic as it is."""
    encoded = base64.b64encode(b"me:pass word").decode()
    assert [*words_of(f"basic {encoded}")] == ["basic", encoded, "me:pass word", "pass word"]
    assert [*words_of("Basic !!!!!")] == ["Basic", "!!!!!", "", ""]
    assert [*words_of("Basic a")] == ["Basic", "a"]
    assert [*words_of("Bearer key")] == ["Bearer", "key"]


def test_unshown_bytes() -> None:
    """They are bytes all the same."""
    data = Unshown(b"Authorization")
    assert (repr(data), str(data), f"{data}") == ("<13 bytes>",) * 3
    assert data == b"Authorization"
    assert bytes(memoryview(data)) == b"Authorization"


def fail(said: str, kind: type[Exception] = RemoteProtocolError) -> None:
    """Raise, with a local variable."""
    held = said.upper()
    raise kind(f"the server sent {said!r} and {len(held)}")


def test_what_leaves_a_discreet_block() -> None:
    """The same error, rewritten, with lines and without locals."""
    with pytest.raises(RemoteProtocolError) as caught, Discreet(hide):
        fail(KEY)
    assert "***" in str(caught.value)
    assert "4n4ry" not in shown(caught.value).lower()
    assert "in fail" in shown(caught.value)


def test_what_an_error_came_from() -> None:
    """Is rewritten or, where it is of others and shows a secret, left out."""

    def raise_from(kind: type[Exception], said: str) -> None:
        try:
            fail(said, kind)
        except Exception as error:
            raise CartesiaError("later") from error

    for kind, said, kept in (
        (RemoteProtocolError, KEY, True),
        (OSError, KEY, False),
        (OSError, "nothing", True),
    ):
        with pytest.raises(CartesiaError) as caught, Discreet(hide):
            raise_from(kind, said)
        assert (caught.value.__cause__ is not None) is kept
        assert (caught.value.__context__ is not None) is kept
        assert "C4n4ry" not in shown(caught.value)
    with pytest.raises(KeyboardInterrupt), Discreet(hide):
        raise KeyboardInterrupt(KEY)
    with Discreet(hide):
        pass


def test_forgetting_leaves_what_runs() -> None:
    """Running functions keep their variables; suspended generators and coroutines live on."""

    def suspended() -> Generator[BaseException, None, str]:
        held = "kept"
        try:
            fail(KEY)
        except RemoteProtocolError as error:
            yield error
        return held

    generator = suspended()
    error = next(generator)
    mine = "mine"
    forget_locals(error)
    assert mine == "mine"
    with pytest.raises(StopIteration) as stopped:
        next(generator)
    assert stopped.value.value == "kept"


@discreet
def given_a_secret(secret: str, *, wrong: bool = True) -> str:
    """Refuse it, or not."""
    if wrong:
        fail(secret.lower(), ValueError)
    return secret


def test_discreet_functions() -> None:
    """Their results are as before, and so are their errors; their arguments do not show."""
    assert given_a_secret(KEY, wrong=False) == KEY
    calls: list[Callable[[], str]] = [
        lambda: given_a_secret(KEY),
        lambda: given_a_secret(secret=KEY),
        lambda: given_a_secret(KEY, bogus=1),  # type: ignore[call-arg]
    ]
    for call in calls:
        with pytest.raises((ValueError, TypeError)) as caught:
            call()
        assert "C4n4ry" not in shown(caught.value)
    assert given_a_secret.__doc__ == "Refuse it, or not."


REFUSALS: list[Callable[[], object]] = [
    lambda: ApiKey("C4n4ry\n" * 2),
    lambda: AccessToken("C4n4ry é"),
    lambda: Headers([("Authorization", "C4n4ry\n")]),
    lambda: Headers().merged([("Authorization", "C4n4ry\n")]),
    lambda: Config().with_options(headers={"X-API-Key": "C4n4ry\n"}),
    lambda: configure({"CARTESIA_API_KEY": "C4n4ry\n"}),
    lambda: configure({"CARTESIA_API_KEY": "C4n4ry"}, base_url="nowhere:x"),
    lambda: choose_credentials("C4n4ry", "C4n4ry", {"CARTESIA_API_KEY": "C4n4ry"}),
    lambda: freeze_options({"additional_headers": {"Cookie": "C4n4ry\n"}}),
    lambda: choose_proxy("http://me:C4n4ry@h:x", "http://h", {"http_proxy": "C4n4ry"}),
    lambda: Proxy.from_url("http://me:C4n4ry@h:x"),
    lambda: Config(base_url="http://me:C4n4ry@h"),
    lambda: Config(base_url="C4n4ry://h"),
    lambda: Request("GET", "http://me:C4n4ry@h/", Headers()),
    lambda: TTSSession(Config(credentials=ApiKey("key")), half).handshake(cast("CredentialsIn", "C4n4ry")),
    lambda: websocket_request(Config(credentials=ApiKey("key")), cast("CredentialsIn", "C4n4ry")),
]


@pytest.mark.parametrize("refused", REFUSALS, ids=range(len(REFUSALS)))
def test_what_is_refused_does_not_show(refused: Callable[[], object]) -> None:
    """In no frame that the refusal passed."""
    with pytest.raises(LocalProtocolError) as caught:
        refused()
    assert "C4n4ry" not in shown(caught.value)


@pytest.mark.parametrize("kind", [ApiKey, AccessToken, Secret, Headers, Config, Request, Proxy])
def test_what_was_never_made_has_a_repr(kind: type[object]) -> None:
    """Its constructor refused what it was given, or was never called."""
    assert repr(kind.__new__(kind)) in (f"<{kind.__name__}, never made>", REDACTED)
    assert repr(Config()).startswith("Config(")


def test_a_server_that_repeats_secrets_in_headers() -> None:
    """They are hidden in every head, in bodies of errors alone, and what repeats none stays as it is."""
    request = Request("GET", "http://h/?token=tttttttt", Headers([("Authorization", f"Bearer {'k' * 9}")]))
    clean = Response(200, Headers([("A", "b")]), b"kkkkkkkkk")
    assert request.without_echo(clean) is clean
    echo = Response(200, Headers.received([("A", "tttttttt"), ("Cookie", "kkkkkkkkk!")]), b"kkkkkkkkk")
    safe = request.without_echo(echo)
    assert dict(safe.headers.reveal()) == {"A": "***", "Cookie": "***!"}
    assert safe.body == b"kkkkkkkkk"
    assert request.without_echo(Response(400, body=b"kkkkkkkkk")).body == b"***"


def test_coroutines_are_left_alone() -> None:
    """One that caught an error and waits is not closed."""

    class Pause:
        def __await__(self) -> Generator[None, None, None]:
            """Wait once."""
            yield

    async def waiting(errors: list[Exception]) -> str:
        try:
            fail(KEY)
        except RemoteProtocolError as error:
            errors.append(error)
        await Pause()
        return "done"

    errors: list[Exception] = []
    coroutine: Coroutine[None, None, str] = waiting(errors)
    coroutine.send(None)
    forget_locals(errors[0])
    with pytest.raises(StopIteration, match="done"):
        coroutine.send(None)
