"""A canary key: however a handshake or a connection fails, nothing that is shown, kept or logged shows it."""

from __future__ import annotations

import gc
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.errors import CartesiaError

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net, Script
    from tests.transports.scenarios.conftest import Shell
    from tests.transports.scenarios.websockets.conftest import Peer, Socket, Stage

KEY = "sk_car_C4n4ryKey"
TOKEN = "eyJ.C4n4ryToken"
PASSWORD = "C4n4ryPassword"
CANARY = "C4n4ry"
ENCODED = "QzRuNHJ5"  # what the same letters are at the beginning of a base64 group
CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)
TLS_ONLY = pytest.mark.parametrize("net", ["tls"], indirect=True)


class Records(logging.Handler):
    """Everything that is logged, as text and as it was given."""

    def __init__(self) -> None:
        super().__init__(1)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.texts.append(f"{record.getMessage()} {record.__dict__!r}")


@pytest.fixture
def log() -> Iterator[Records]:
    """What any logger says, at every level."""
    records, root = Records(), logging.getLogger()
    level = root.level
    root.addHandler(records)
    root.setLevel(1)
    try:
        yield records
    finally:
        root.removeHandler(records)
        root.setLevel(level)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and everything it came from."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        yield from chain(error.__context__)


def showings(value: object) -> Iterator[str]:
    """All ways in which a value shows itself."""
    yield from (repr(value), str(value), repr(getattr(value, "__dict__", None)))
    try:
        yield repr(pickle.dumps(value))
    except (TypeError, AttributeError, pickle.PicklingError) as refusal:
        yield str(refusal)


def frames(error: BaseException) -> Iterator[str]:
    """The local variables of all frames that an error passed, but for those of tests."""
    for frame in traceback.TracebackException.from_exception(error, capture_locals=True).stack:
        if "/tests/" not in frame.filename and "_pytest" not in frame.filename:
            yield f"{frame.filename}:{frame.lineno} {frame.name}: {frame.locals}"


def assert_silent(*values: object) -> None:
    """No secret shows in any of these, nor in what they came from."""
    for value in values:
        texts = list(showings(value))
        if isinstance(value, BaseException):
            texts += traceback.format_exception(value)
            texts += [text for link in chain(value) for text in (*showings(link), *frames(link))]
        assert not [text for text in texts if CANARY in text or ENCODED in text], "a secret is shown"


def fail(ws: Socket) -> CartesiaError:
    """Speak, in vain."""
    with pytest.raises(CartesiaError) as caught:
        ws.whole("Hello")
    return caught.value


def test_the_canary_would_be_seen() -> None:
    """The test of the test."""
    with pytest.raises(AssertionError, match="a secret is shown"):
        try:
            try:
                raise ValueError(KEY)
            except ValueError as inner:
                raise KeyError("outer") from inner
        except KeyError as outer:
            assert_silent(outer)


def leave(connection: Connection) -> None:
    """End the connection without a word."""
    connection.request()
    connection.close()


def repeat(connection: Connection) -> None:
    """Say what was heard, as a debugging server does."""
    seen = connection.request()
    body, secret = repr(seen.fields).encode(), (seen.header("authorization") or "").encode()
    assert CANARY.encode() in body
    connection.send(b"HTTP/1.1 401 No\r\nX-Seen: %s\r\nContent-Length: %d\r\n\r\n" % (secret, len(body)) + body)


FAILURES: dict[str, Script] = {
    "refused": [b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"],
    "repeated": repeat,
    "busy": [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"],
    "redirected": [b"HTTP/1.1 302 Found\r\nLocation: http://other.test/?k=1\r\nContent-Length: 0\r\n\r\n"],
    "garbage": [b"\0garbage\r\n\r\n"],
    "unaccepted": [b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"],
    **{
        name: [f"HTTP/1.1 101 {KEY}\r\n{name}: {KEY}\r\nX: {KEY}\r\n\r\n".encode()]
        for name in ("Upgrade", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions")
    },
    "gone": leave,
    "silent": [b""],
}


@CLEAR_ONLY
@pytest.mark.parametrize("script", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize(("key", "token"), [(KEY, None), (None, TOKEN)], ids=["key", "token"])
def test_handshakes(
    shell: Shell, net: Net, stage: Stage, log: Records, script: Script, key: str | None, token: str | None
) -> None:
    """None of the ways in which one can fail."""
    client = shell.client(net.serve(script), api_key=key, token=token, timeout=0.2, max_retries=0)
    ws = stage.websocket(client)
    assert_silent(fail(ws), ws, vars(ws), client.native, log.texts)


def test_connections_that_end(shell: Shell, stage: Stage, log: Records) -> None:
    """Nor any of the ways in which a context can."""

    def script(peer: Peer) -> None:
        peer.hear()
        peer.close(1011, "broken")

    client = shell.client(stage.serve(script), api_key=KEY)
    with stage.websocket(client) as ws:
        context = ws.send("Hello")
        heard = stage.listen(context)
        assert heard.error is not None
        assert_silent(heard.error, context, context.terminal, vars(ws), log.texts)


def closing(peer: Peer) -> None:
    """A goodbye."""
    peer.close(1008, f"no such key: {KEY}")


def closing_later(peer: Peer) -> None:
    """The same to who spoke."""
    peer.hear()
    closing(peer)


def failing(peer: Peer) -> None:
    """An error of one context."""
    peer.say(error(str(peer.hear()["context_id"])))


def failing_all(peer: Peer) -> None:
    """An error of all of them."""
    peer.hear()
    peer.say(error())


def babbling(peer: Peer) -> None:
    """What is no event at all."""
    peer.hear()
    peer.say(f"no such key: {KEY}")


def error(id: str | None = None) -> str:
    """An error event that says the key wherever it may say anything (protocol section 4.4)."""
    words = {name: f"{name} {KEY}" for name in ("title", "message", "error", "error_code", "request_id", "doc_url")}
    context = {} if id is None else {"context_id": id}
    return json.dumps({"type": "error", "done": True, "status_code": 401, "later": [KEY], **context, **words})


@pytest.mark.parametrize(
    ("script", "at_once"),
    [(closing, True), (closing_later, False), (failing, False), (failing_all, False), (babbling, False)],
)
def test_a_peer_that_repeats_the_key(
    shell: Shell, stage: Stage, log: Records, script: Callable[[Peer], None], at_once: bool
) -> None:
    """In its goodbye, also where that comes in one packet with the 101, in its errors, and in what is none."""
    client = shell.client(stage.serve(script, at_once=at_once), api_key=KEY)
    with stage.websocket(client) as ws:
        context = ws.send("Hello")
        with pytest.raises(CartesiaError, match=r"\*\*\*") as caught:
            list(context)
        assert_silent(caught.value, context, context.terminal, ws, vars(ws), client.native, log.texts)


@TLS_ONLY
def test_tls_fails(shell: Shell, stage: Stage, net: Net, log: Records) -> None:
    """Nobody trusts the authority."""
    client = shell.client(net.serve([]), api_key=KEY, ssl_context=None)
    assert_silent(fail(stage.websocket(client)), client.native, log.texts)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", b"\0garbage\r\n\r\n"])
def test_the_proxy_fails(shell: Shell, net: Net, stage: Stage, log: Records, answer: bytes) -> None:
    """It has a password of its own."""
    proxy = net.serve_clear([answer])
    url = f"http://me:{PASSWORD}@127.0.0.1:{proxy.port}"
    client = shell.client(net.serve(), api_key=KEY, proxy=url, max_retries=0)
    assert_silent(fail(stage.websocket(client)), client.native, log.texts)


def test_nothing_is_logged_when_all_is_well(shell: Shell, stage: Stage, log: Records) -> None:
    """Neither credentials nor what was said or heard."""

    def script(peer: Peer) -> None:
        id = str(peer.hear()["context_id"])
        peer.say(stage.chunk(id, b"C4n4ry.."), stage.done(id))

    with stage.websocket(shell.client(stage.serve(script), api_key=KEY)) as ws:
        assert ws.whole("Hello, C4n4ry").data == b"C4n4ry.."
    gc.collect()
    assert_silent(log.texts)
