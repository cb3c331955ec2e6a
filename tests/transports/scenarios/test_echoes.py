"""A peer that repeats the key wherever it may say anything: nothing that an error shows, keeps or passes has it."""

from __future__ import annotations

import base64
import json
import pickle
import traceback
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.api.voices import Voices
from cartesia_proto.call import Call
from cartesia_proto.errors import CartesiaError, ConnectError, LocalProtocolError, TimeoutError
from cartesia_proto.prepare import RequestOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Client, Shell

KEY = "sk_car_C4n4ry/'\"Key"
LONG = "x" * 960
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
GET = Voices.get("v")
SPEAK = TTS.bytes(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
PIECES = TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
EVENTS = TTS.sse(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
PAGES = Voices.list(limit=1)


def reply(status: str, *fields: str, body: str = "") -> bytes:
    """A response."""
    data = body.encode()
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(data)}", "", ""]
    return "\r\n".join(lines).encode() + data


JSON = "Content-Type: application/json"
SSE = "Content-Type: text/event-stream"
ERROR = dict.fromkeys(("title", "message", "error", "error_code", "request_id", "doc_url", "later"), f"{LONG} {KEY}")
ANSWERS: dict[str, bytes] = {
    "reason": reply(f"400 {KEY}"),
    "coding": reply("200 OK", f"Content-Encoding: {KEY}"),
    "long coding": reply("200 OK", f"Content-Encoding: {'x' * 25}{KEY}"),
    "coding of an error": reply("400 No", f"Content-Encoding: {KEY}", body=KEY),
    "type": reply("200 OK", f"Content-Type: {KEY}", body="{}"),
    "media type": reply("200 OK", f"Content-Type: application/json; x={KEY}", body="{"),
    "name": reply("401 No", f"X-{quote(KEY)}: x"),
    "request id": reply("500 No", f"X-Request-Id: {KEY}", f"Retry-After: {KEY}"),
    "transfer coding": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {KEY}\r\n\r\n".encode(),
    "length": f"HTTP/1.1 200 OK\r\nContent-Length: {KEY}\r\n\r\n".encode(),
    "status line": f"HTTP/1.1 {KEY}\r\n\r\n".encode(),
    "header line": f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode(),
    "chunk": f"HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n".encode(),
    "no http": f"{KEY}\r\n\r\n".encode(),
    "away": reply("307 Away", f"Location: https://else.test/{quote(KEY)}?a={quote(KEY)}#{KEY}"),
    "no url": reply("307 Away", f"Location: http://[{KEY}"),
    "text": reply("401 No", body=f"no such key: {KEY}"),
    "long text": reply("401 No", body=f"Title: {LONG}{'y' * 30}{KEY}"),
    "page": reply("502 No", "Content-Type: text/html", body=f"<html><title>{KEY}</title></html>"),
    "error": reply("401 No", JSON, body=json.dumps(ERROR)),
    "escaped error": reply("401 No", JSON, body=json.dumps(ERROR).replace("sk_", "\\u0073k_")),
    "error within": reply("422 No", JSON, body=json.dumps({"detail": [{"loc": [KEY], KEY: {"a": KEY}}]})),
    "encoded": reply("404 No", body=f"no page at /?key={quote(KEY, safe='')}"),
    "no json": reply("200 OK", JSON, body=f'{{"id": {KEY}}}'),
    "other json": reply("200 OK", JSON, body=json.dumps([KEY])),
    "wrong field": reply("200 OK", JSON, body=json.dumps({"id": {KEY: KEY}, "name": [KEY]})),
    "no advance": reply("200 OK", JSON, body=json.dumps({"data": [KEY], "has_more": KEY, "next_page": KEY})),
    "cut": reply("200 OK", JSON, body=json.dumps(KEY))[:-3],
    "bad event": reply("200 OK", SSE, body=f"event: {KEY}\ndata: {{{KEY}\n\n"),
    "wrong event": reply("200 OK", SSE, body=f"data: {json.dumps({'type': 'chunk', 'data': {KEY: 1}})}\n\n"),
    "bad audio": reply("200 OK", SSE, body=f"data: {json.dumps({'type': 'chunk', 'data': KEY})}\n\n"),
    "error event": reply("200 OK", SSE, body=f"data: {json.dumps({'type': 'error', **ERROR})}\n\n"),
    "no end": reply("200 OK", SSE, body=f": {KEY}\n\n"),
}


def chain(error: BaseException | None, seen: list[BaseException]) -> list[BaseException]:
    """An error and all it came from."""
    if error is not None and error not in seen:
        seen.append(error)
        chain(error.__cause__, seen)
        chain(error.__context__, seen)
    return seen


def frames(error: BaseException) -> Iterator[str]:
    """The local variables of all frames that an error passed, but for those of tests."""
    for link in chain(error, []):
        report = traceback.TracebackException.from_exception(link, capture_locals=True)
        for frame in report.stack:
            if "/tests/" not in frame.filename and "_pytest" not in frame.filename:
                yield f"{frame.filename}:{frame.lineno} {frame.name}: {frame.locals}"


def assert_silent(error: BaseException) -> None:
    """The key does not show, in no form."""
    texts = [*frames(error)]
    for link in chain(error, []):
        texts += [str(link), repr(link), repr(vars(link)), repr(link.args), repr(getattr(link, "__notes__", []))]
        texts.append(repr(pickle.dumps(link)))
    assert not [text for text in texts if "C4n4ry" in text]


def ask(client: Client, how: str) -> None:
    """Ask in vain."""
    match how:
        case "value":
            client.call(GET)
        case "audio":
            client.call(SPEAK)
        case "pieces":
            with client.stream(PIECES) as pieces:
                list(pieces)
        case "events":
            with client.stream(EVENTS) as events:
                list(events)
        case _:
            client.items(PAGES)
    raise LocalProtocolError("it was not in vain")


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("how", ["value", "audio", "pieces", "events", "pages"])
def test_a_peer_that_repeats_the_key(shell: Shell, net: Net, how: str, answer: bytes) -> None:
    """In any answer to any kind of call."""

    def script(connection: Connection) -> None:
        connection.answer(answer)
        connection.finish()

    client = shell.client(net.serve(script), api_key=KEY, max_retries=0)
    with pytest.raises(CartesiaError) as caught:
        ask(client, how)
    assert_silent(caught.value)


PASSWORD = "C4n4ry:pass word/%"
BASIC = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
SPELT = f"{PASSWORD} {quote(PASSWORD)} {BASIC} {json.dumps(PASSWORD)} me:{quote(PASSWORD, safe='')}"


@pytest.mark.parametrize(
    "answer",
    [
        reply(f"407 {SPELT}", f"Proxy-Authenticate: {SPELT}", body=SPELT),
        reply("502 No", "Content-Type: text/html", body=f"<html><title>{SPELT}</title></html>"),
        reply("403 No", JSON, body=json.dumps({"title": PASSWORD, "message": SPELT, BASIC: [SPELT]})),
        reply("200 OK", f"Content-Encoding: {BASIC}"),
        reply("200 OK", f"Content-Type: text/{BASIC}"),
        reply("200 OK", JSON, body=json.dumps({"id": {BASIC: PASSWORD}})),
        reply("307 Away", f"Location: https://me:{quote(PASSWORD)}@else.test/?q={BASIC}"),
        f"HTTP/1.1 {BASIC}\r\n{PASSWORD}\r\n\r\n".encode(),
    ],
)
@pytest.mark.parametrize("how", ["value", "events"])
def test_a_proxy_that_repeats_its_password(shell: Shell, net: Net, how: str, answer: bytes) -> None:
    """Asked for the resource itself, or to connect."""

    def script(connection: Connection) -> None:
        connection.answer(answer)
        connection.close()

    proxy = f"http://me:{quote(PASSWORD, safe='')}@127.0.0.1:{net.serve_clear(script).port}"
    client = shell.client(net.serve(), api_key="sk_car_other", proxy=proxy, max_retries=0)
    with pytest.raises(CartesiaError) as caught:
        ask(client, how)
    assert_silent(caught.value)
    assert not [text for text in (*frames(caught.value), str(caught.value)) if BASIC in text]


def stay_silent(connection: Connection) -> None:
    """Take the request and say nothing."""
    connection.request()
    connection.wait_until_left()


def never_read(connection: Connection) -> None:
    """Take not even the request."""
    connection.request()
    connection.close()


@pytest.mark.parametrize("script", [stay_silent, never_read])
@pytest.mark.parametrize("how", ["value", "pieces", "events"])
def test_no_frame_holds_the_key(shell: Shell, net: Net, script: Callable[[Connection], None], how: str) -> None:
    """Whichever way the connection fails."""
    client = shell.client(net.serve(script), api_key=KEY, max_retries=0, timeout=0.3)
    with pytest.raises(CartesiaError) as caught:
        ask(client, how)
    assert_silent(caught.value)


def test_writing_fails(shell: Shell, net: Net) -> None:
    """The peer takes nothing: time runs out while the head, or what follows, is written."""
    call = Call.json("POST", "/", body="x" * 30_000_000, request_options={"additional_headers": {"X-Token": KEY}})

    def script(connection: Connection) -> None:
        connection.socket.recv(1)
        connection.wait_until_left()

    client = shell.client(net.serve(script), api_key=KEY, max_retries=0, timeout=0.3)
    with pytest.raises(CartesiaError) as caught:
        client.call(call)
    assert_silent(caught.value)


@pytest.mark.parametrize("value", [f"{KEY}\n", f"{KEY}é"])
def test_what_callers_give_in_vain(shell: Shell, net: Net, value: str) -> None:
    """Keys, tokens, headers and proxies that are refused, and a client that refuses others beside them."""
    wrong = RequestOptions(additional_headers={"Authorization": value})
    right = RequestOptions(additional_headers={"Authorization": KEY})
    server = net.serve()
    client = shell.client(server, api_key=KEY)
    for misuse in (
        lambda: shell.client(server, api_key=value),
        lambda: shell.client(server, api_key=None, token=value),
        lambda: shell.client(server, api_key=KEY, token=KEY),
        lambda: shell.client(server, headers={"X-API-Key": value}),
        lambda: shell.client(server, api_key=KEY, timeout=-1.0),
        lambda: shell.client(server, proxy=f"http://me:{quote(KEY)}@h:port"),
        lambda: client.with_options(headers={"Cookie": value}),
        lambda: Voices.get("v", request_options=wrong),
        lambda: client.native.voices.get("v", request_options=wrong),
        lambda: client.native.voices.get("..", request_options=right),
        lambda: client.native.voices.clone(clip=b"", name="n", request_options=right),
        lambda: Call.json("GET", "/", request_options=wrong),
    ):
        with pytest.raises(LocalProtocolError) as caught:
            misuse()
        assert_silent(caught.value)


def test_an_endpoint_that_fails(shell: Shell, net: Net) -> None:
    """What was given to it does not show in the frames that its error passed."""
    client = shell.client(base_url=f"http://127.0.0.1:{net.unused_port()}", api_key=None, max_retries=0)
    with pytest.raises((ConnectError, TimeoutError)) as caught:
        client.call(Voices.get("v", request_options=RequestOptions(additional_headers={"Authorization": KEY})))
    assert_silent(caught.value)
