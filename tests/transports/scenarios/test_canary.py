"""A canary key and a canary proxy password: whatever fails, nothing that can be shown or kept shows them."""

from __future__ import annotations

import base64
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.call import Call
from cartesia_proto.config import Config, configure
from cartesia_proto.credentials import AccessToken, ApiKey
from cartesia_proto.errors import (
    AuthenticationError,
    CartesiaError,
    ConnectError,
    IncompleteStream,
    LocalProtocolError,
    RemoteProtocolError,
    TimeoutError,
)
from cartesia_proto.flow import Attempt
from cartesia_proto.http import Response
from cartesia_proto.testing import half, run
from cartesia_proto.wire.proxy import Proxy
from tests.conftest import WAIT

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Client, Shell

KEY = "sk_car_C4n4ryKey"
PASSWORD = "C4n4ryPass/word"
ENCODED = "C4n4ryPass%2Fword"
BASIC = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
SECRETS = ("C4n4ry", BASIC, base64.b64encode(KEY.encode()).decode())
POST = Call.json("POST", "/things", body={"a": 1})
TLS_ONLY = pytest.mark.parametrize("net", ["tls"], indirect=True)


class Records(logging.Handler):
    """Keeps everything that is logged, as text and as it was given."""

    def __init__(self) -> None:
        super().__init__(1)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.texts.append(f"{record.getMessage()} {record.__dict__!r}")


@pytest.fixture
def log() -> Iterator[Records]:
    """Everything that any logger says, at every level."""
    records, root = Records(), logging.getLogger()
    level = root.level
    root.addHandler(records)
    root.setLevel(1)
    try:
        yield records
    finally:
        root.removeHandler(records)
        root.setLevel(level)


def showings(value: object) -> Iterator[str]:
    """All ways in which a value shows itself."""
    yield repr(value)
    yield str(value)
    yield f"{value}"
    yield repr(getattr(value, "__dict__", None))
    try:
        yield repr(pickle.dumps(value))
    except (TypeError, AttributeError, pickle.PicklingError) as refusal:  # refusing is fine, in words that keep it
        yield str(refusal)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and everything it came from."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        yield from chain(error.__context__)


def assert_silent(*values: object) -> None:
    """No secret shows in any of these, nor in what they came from."""
    for value in values:
        texts = list(showings(value))
        if isinstance(value, BaseException):
            texts += traceback.format_exception(value)
            texts += [text for link in chain(value) for text in showings(link)]
        for text in texts:
            assert not [secret for secret in SECRETS if secret in text], "a secret is shown"


def fail(client: Client, kind: type[CartesiaError]) -> CartesiaError:
    """Make a call that fails."""
    with pytest.raises(kind) as caught:
        client.call(POST)
    return caught.value


def test_the_canary_would_be_seen() -> None:
    """The test of the test: a secret in an exception's cause, a dictionary or a pickle is found."""
    try:
        try:
            raise ValueError(KEY)
        except ValueError as inner:
            raise KeyError("outer") from inner
    except KeyError as outer:
        with pytest.raises(AssertionError, match="a secret is shown"):
            assert_silent(outer)
    with pytest.raises(AssertionError, match="a secret is shown"):
        assert_silent({"header": f"Basic {BASIC}"})


def test_connecting_fails(shell: Shell, net: Net, log: Records) -> None:
    """Nobody listens."""
    client = shell.client(base_url=f"http://127.0.0.1:{net.unused_port()}", api_key=KEY, max_retries=0)
    assert_silent(fail(client, ConnectError), client.native, log.texts)


@TLS_ONLY
def test_tls_fails(shell: Shell, net: Net, log: Records) -> None:
    """Nobody trusts the authority."""
    client = shell.client(net.serve([]), api_key=KEY, ssl_context=None)
    assert_silent(fail(client, ConnectError), client.native, log.texts)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", b"\0garbage\r\n\r\n", b""])
def test_the_proxy_fails(shell: Shell, net: Net, log: Records, answer: bytes) -> None:
    """It refuses the password, babbles, or closes."""

    def script(connection: Connection) -> None:
        connection.answer(answer)
        connection.close()

    proxy = net.serve_clear(script)
    url = f"http://me:{ENCODED}@127.0.0.1:{proxy.port}"
    client = shell.client(net.serve(), api_key=KEY, proxy=url, max_retries=0)
    kind = ConnectError if net.secure or b"407" in answer else CartesiaError
    assert_silent(fail(client, kind), client.native, log.texts)


def test_the_proxy_is_not_there(shell: Shell, net: Net, log: Records) -> None:
    """The message names it by host and port alone."""
    client = shell.client(
        net.serve(), api_key=KEY, proxy=f"http://me:{ENCODED}@127.0.0.1:{net.unused_port()}", max_retries=0
    )
    assert_silent(fail(client, ConnectError), client.native, log.texts)


@pytest.mark.parametrize("url", [f"socks5://me:{ENCODED}@h", f"http://me:{ENCODED}@h:port", f"http://me:{PASSWORD}@h"])
def test_the_proxys_url_is_wrong(shell: Shell, net: Net, log: Records, url: str) -> None:
    """The message repeats nothing of it."""
    with pytest.raises(LocalProtocolError) as caught:
        shell.client(net.serve(), api_key=KEY, proxy=url).call(POST)
    assert_silent(caught.value, log.texts)


def test_the_proxys_url_in_the_environment_is_wrong(
    shell: Shell, net: Net, log: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the variable."""
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:{ENCODED}@h:port")
    with pytest.raises(LocalProtocolError, match="_proxy") as caught:
        shell.client(net.serve(), api_key=KEY, proxy=None).call(POST)
    assert_silent(caught.value, log.texts)


def answers(net: Net) -> list[tuple[Callable[[Connection], None], type[CartesiaError]]]:
    """What servers do wrong, and the error it ends in."""

    def refuse(connection: Connection) -> None:
        connection.answer(net.response(401, b'{"title": "Unauthorized", "message": "no"}'))

    def stall(connection: Connection) -> None:
        connection.request()

    def cut(connection: Connection) -> None:
        connection.answer(net.response(200, b"12345")[:-1])
        connection.close()

    def babble(connection: Connection) -> None:
        connection.answer(b"\0garbage\r\n\r\n")

    return [
        (refuse, AuthenticationError),
        (stall, TimeoutError),
        (cut, IncompleteStream),
        (babble, RemoteProtocolError),
    ]


@pytest.mark.parametrize("which", range(4), ids=["401", "timeout", "cut", "garbage"])
def test_the_server_fails(shell: Shell, net: Net, log: Records, which: int) -> None:
    """A refused key, a timeout, a cut body, garbage; through a proxy, so that both secrets are in play."""
    script, kind = answers(net)[which]
    url = f"http://me:{ENCODED}@127.0.0.1:{net.proxy().port}"
    client = shell.client(net.serve(script), api_key=KEY, proxy=url, timeout=WAIT, max_retries=0)
    client = client.with_options(timeout=0.3) if kind is TimeoutError else client
    assert_silent(fail(client, kind), client.native, log.texts)


def test_a_server_that_repeats_the_key_in_a_header(shell: Shell, net: Net) -> None:
    """The headers of an answer are not part of the error."""
    server = net.serve([net.response(400, b"no", f"Authorization: Bearer {KEY}")])
    assert_silent(fail(shell.client(server, api_key=KEY), CartesiaError))


@pytest.mark.parametrize("body", [KEY.encode(), f'{{"title": "No", "message": "not {KEY}"}}'.encode()])
def test_a_server_that_repeats_the_key_in_its_body(shell: Shell, net: Net, log: Records, body: bytes) -> None:
    """What an error quotes of the request shows as ``***``."""
    client = shell.client(net.serve([net.response(401, body)]), api_key=KEY)
    error = fail(client, AuthenticationError)
    assert "***" in str(error)
    assert_silent(error, client.native, log.texts)


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}é", f"{KEY} x", f"{KEY}\x7f"])
def test_a_key_that_no_header_can_carry(shell: Shell, log: Records, key: str) -> None:
    """Refused where it is given, as key and as token."""
    with pytest.raises(LocalProtocolError) as caught:
        shell.client(api_key=key)
    with pytest.raises(LocalProtocolError) as caught_token:
        shell.client(api_key=None, token=key)
    assert_silent(caught.value, caught_token.value, log.texts)


def test_a_key_in_headers_of_ones_own(shell: Shell, net: Net, log: Records) -> None:
    """Additional headers that look like secrets are treated as such."""
    call = Call.json("GET", "/", request_options={"additional_headers": {"X-API-Key": KEY}})
    client = shell.client(net.serve([net.response(401, b"no")]), api_key=None, headers={"Authorization": KEY})
    with pytest.raises(AuthenticationError) as caught:
        client.call(call)
    assert_silent(call, caught.value, client.native, log.texts)


def test_the_core_alone() -> None:
    """Values of the core hide what they hold and refuse to be pickled with it."""
    config = configure({"CARTESIA_API_KEY": KEY})
    operation = POST.operation(config, half)
    attempt = operation.start()
    assert isinstance(attempt, Attempt)
    operation.abandon()
    proxy = Proxy.from_url(f"http://me:{ENCODED}@h:1")
    request = attempt.request
    values = (ApiKey(KEY), AccessToken(KEY), config, operation, attempt, request, request.headers, proxy)
    assert_silent(*values, proxy.headers(), Config(credentials=AccessToken(KEY)))
    for value in values:
        with pytest.raises(TypeError):
            pickle.dumps(value)
    transcript = run(POST.operation(config, half), [Response(401, body=b"no")])
    assert_silent(transcript, transcript.result)
