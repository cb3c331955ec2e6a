"""Errors and answers that are odd: whatever is wrong with one costs no more than it must."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Final

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.api.voice_models import Voice
from cartesia_proto.api.voices import Voices
from cartesia_proto.call import Call
from cartesia_proto.errors import (
    ApiError,
    BadRequestError,
    ConnectError,
    NotFoundError,
    RateLimitError,
    RemoteProtocolError,
)

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell

GET = Call.json("GET", "/thing")
EVENTS = TTS.sse(
    model_id="sonic-3",
    transcript="Hi",
    voice="v",
    output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
)
SAID: Final = b'{"title":"T","message":"no such voice","error_code":"voice_not_found","request_id":"r-1"}'
MORE: Final = SAID[:-1] + b',"x":%b}'
LONG: Final = MORE % (b'"' + b"y" * 300_000 + b'"')


def sized(body: bytes, *fields: bytes) -> bytes:
    """A body and its length, behind more fields."""
    return b"".join(field + b"\r\n" for field in (*fields, b"Content-Length: %d" % len(body))) + b"\r\n" + body


ODD: Final = {
    "gzip that is none": sized(SAID, b"Content-Encoding: gzip"),
    "gzip": sized(gzip.compress(SAID, mtime=0), b"Content-Encoding: gzip"),
    "gzip cut": sized(gzip.compress(SAID, mtime=0)[:-4], b"Content-Encoding: gzip"),
    "an unknown coding": sized(SAID, b"Content-Encoding: klingon"),
    "a wrong charset": sized(SAID, b"Content-Type: application/json; charset=utf-16"),
    "a wrong type": sized(SAID, b"Content-Type: audio/wav"),
    "a mark": sized(b"\xef\xbb\xbf" + SAID),
    "no UTF-8": sized(MORE % b'"\xff"'),
    "a lone surrogate": sized(MORE % b'"\\ud800"'),
    "NaN": sized(MORE % b"NaN"),
    "depth": sized(MORE % (b"[" * 500 + b"]" * 500)),
    "a list": sized(b"[" + SAID + b"]"),
    "an object within": sized(b'{"error":' + SAID + b"}"),
    "too long": sized(LONG),
    "short of its length": b"Content-Length: 5000\r\n\r\n" + SAID,
    "beyond its length": b"Content-Length: %d\r\n\r\n" % (len(SAID) - 1) + SAID,
    "no length": b"\r\n" + SAID,
    "chunks without an end": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(SAID), SAID),
    "chunks and garbage": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\nzz\r\n" % (len(SAID), SAID),
}


@pytest.mark.parametrize("how", ["whole", "stream"])
@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_an_odd_error(shell: Shell, net: Net, answer: bytes, how: str) -> None:
    """It is the error of its status, with all that can be read of it."""

    def script(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 404 Not Found\r\n" + answer)
        connection.finish()

    client = shell.client(net.serve(script), max_retries=0)
    with pytest.raises(NotFoundError) as caught:
        _ask(client.call(GET) if how == "whole" else list(client.stream(EVENTS)))
    error = caught.value
    assert (error.title, error.message, error.error_code) == ("T", "no such voice", "voice_not_found")
    assert error.request_id == "r-1"


def _ask(answer: object) -> None:
    raise AssertionError(f"an error came as {answer!r}")


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: x\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 5\r\nContent-Length: 7\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"no colon\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
    ],
)
def test_an_error_with_a_malformed_frame(shell: Shell, net: Net, fields: bytes) -> None:
    """Its status is never lost; the connection is not used again."""

    def script(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 429 Too Many\r\n" + fields + b"\r\n" + SAID)
        connection.finish()

    client = shell.client(net.serve(script, [net.response(200, b"2")]), max_retries=0)
    with pytest.raises(RateLimitError):
        client.call(GET)
    assert client.call(GET) == 2


@pytest.mark.parametrize(
    "fields", [b"Content-Length: x\r\n", b"Content-Encoding: gzip\r\n", b"Transfer-Encoding: gzip\r\n", b"no colon\r\n"]
)
def test_an_odd_refusal_of_a_proxy(shell: Shell, net: Net, fields: bytes) -> None:
    """It is one, with its status: no byte of the request has left, and trying again makes no sense."""

    def refuse(connection: Connection) -> None:
        connection.answer(b"HTTP/1.1 403 Forbidden\r\n" + fields + b"\r\n\x1f\x8bno")
        connection.finish()

    proxy = net.serve_clear(refuse)
    with pytest.raises(ConnectError, match="status 403") as caught:
        shell.client(base_url="https://origin.test", proxy=proxy.url).call(GET)
    assert not caught.value.retryable
    proxy.wait_until_left()


VOICES: Final = (
    b'{"data":[{"id":"a","name":"half \\ud83d"},{"id":"b","name":7,"embedding":[NaN]},{"name":"no id"},'
    b'{"id":"c","x":%b,"description":"\xff"}]}' % (b"[" * 300 + b"]" * 300)
)


def test_one_broken_voice(shell: Shell, net: Net) -> None:
    """It does not cost its page, nor does any field that nobody needs."""
    server = net.serve([net.response(200, b"\xef\xbb\xbf" + VOICES), net.response(200, b'{"data":[]}')])
    a, b, c = shell.client(server).items(Voices.list())
    assert (a.name, b.name, c.description) == ("half \ufffd", "", "\ufffd")
    assert b.extra == {"name": 7, "embedding": [None]}


def test_changes_without_a_body(shell: Shell, net: Net) -> None:
    """A success without a body is one, where its value can be done without."""
    server = net.serve([b"HTTP/1.1 204 No Content\r\n\r\n"] * 3 + [net.response(200), net.response(200, b'{"id":"v"}')])
    client = shell.client(server)
    assert client.call(Voices.delete_accent("british", id="v")) is None
    assert client.call(Voices.update("v", name="n")) is None
    client.call(Voices.delete("v"))
    assert client.call(Voices.add_accents("v", accents=["british"])) is None
    assert client.call(Voices.delete_accent("british", id="v")) == Voice("v")
    assert server.opened == 1


def test_a_value_that_is_needed(shell: Shell, net: Net) -> None:
    """Without it there is no answer."""
    client = shell.client(net.serve([b"HTTP/1.1 204 No Content\r\n\r\n"]))
    with pytest.raises(RemoteProtocolError):
        client.call(Voices.get("v"))


CHUNK: Final = b'data: {"type":"chunk","data":"AAECAw==","done":false,"status_code":206,"step_time":1.5}\n\n'
DONE: Final = b'data: {"type":"done","done":true,"status_code":200}\n\n'


def events(shell: Shell, net: Net, body: bytes) -> bytes:
    """The audio of an event stream."""
    head = b"Content-Type: text/event-stream"
    answer = b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: %d\r\n\r\n" % (head, len(body))
    client = shell.client(net.serve([answer + body]), max_retries=0)
    return b"".join(event.audio for event in client.stream(EVENTS))


@pytest.mark.parametrize(
    "odd",
    [
        b"data:\n\n",
        b"data\n\n",
        b"data: \t\n\n",
        b"event: ping\ndata: pong\n\n",
        b'data: {"type":"timestamps","word_timestamps":{"words":["\\ud83d"],"start":[NaN],"end":[0]}}\n\n',
        b'data: {"type":"timestamps","word_timestamps":{"words":["a","b"],"start":[0],"end":[1]}}\n\n',
        b'data: {"type":"chunk","data":null,"status_code":206.0}\n\n',
        b'data: {"type":"later","x":"\xff","y":' + b"[" * 300 + b"]" * 300 + b"}\n\n",
        b'data: \xef\xbb\xbf{"type":"chunk","data":"","step_time":"fast"}\n\n',
    ],
)
def test_an_odd_event(shell: Shell, net: Net, odd: bytes) -> None:
    """It breaks no stream."""
    assert events(shell, net, odd + CHUNK + odd + CHUNK + DONE) == bytes(range(4)) * 2


@pytest.mark.parametrize(
    "odd",
    [
        b'event: error\ndata: {"status_code":400,"message":"m","error_code":"c","x":\n\n',
        b'data: {"type":"error","status_code":400,"message":"m","error_code":"c","x":NaN,"y":"\\ud83d"}\n\n',
        b'data: {"type":"error","status_code":400.0,"message":"m","error_code":"c","x":"\xff"}\n\n',
        b'data: {"type":"error","status_code":400,"error":{"message":"m","error_code":"c"}}\n\n',
    ],
)
def test_an_odd_error_event(shell: Shell, net: Net, odd: bytes) -> None:
    """It says what can be read of it."""
    with pytest.raises(BadRequestError) as caught:
        events(shell, net, CHUNK + odd)
    error: ApiError = caught.value
    assert (error.message, error.error_code) == ("m", "c")
