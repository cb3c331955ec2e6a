"""Unusual forms that standards have recipients accept, and nonsense that nobody waits out."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from cartesia_proto.api.tts import TTS
from cartesia_proto.call import Call
from cartesia_proto.errors import ConnectError, RemoteProtocolError

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net
    from tests.transports.scenarios.conftest import Shell

GET = Call.json("GET", "/thing")
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
WAV = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 8000}
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
ODD_CHUNKS = b'00000000000000000000000000000001 ;a="b;c"; d\r\n%s\r\n000 ; e=f\r\nX: y\r\n z\r\n\r\n'
PATIENCE = 30.0
"""Seconds: a timeout that is not meant to be met."""


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n%s",
        b"HTTP/1.1 200 \nContent-Length: 1, 1\ncontent-length: 1\n\n%s",
        b"HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\nContent-Encoding: ,identity,\r\nContent-Length:\r\n 1\r\n\r\n%s",
        b"HTTP/1.1 100\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%s",
        b"HTTP/1.1 200 OK\r\nConnection: , Keep-Alive ,\r\nTransfer-Encoding: , Chunked,\r\n\r\n" + ODD_CHUNKS,
        CHUNKED + b"\r\n" + ODD_CHUNKS,
    ],
    ids=["no-reason", "line-feeds", "folded", "interim", "empty-elements", "chunks"],
)
def test_answers_in_unusual_forms(shell: Shell, net: Net, answer: bytes) -> None:
    """Each is read, and the connection is used again."""
    server = net.serve([answer % b"1", answer % b"2"])
    client = shell.client(server)
    assert client.call(GET) == 1
    assert client.call(GET) == 2
    assert len(server.requests) == 2


def test_an_old_answer(shell: Shell, net: Net) -> None:
    """HTTP/1.0 without a length lasts to the end of the connection."""

    def answer(connection: Connection) -> None:
        connection.answer(b"HTTP/1.0 200 OK\r\n\r\n1")
        connection.finish()

    server = net.serve(answer, [net.response(200, b"2")])
    client = shell.client(server)
    assert client.call(GET) == 1
    assert client.call(GET) == 2


@pytest.mark.parametrize(
    ("nonsense", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "start line"),
        (b"220 smtp.test ESMTP ready\r\n", "start line"),
        (b"HTTP/1.1 200 OK\r\nno field\r\n", "header line"),
        (CHUNKED + b"\r\n1\n", "chunk header"),
        (CHUNKED + b"\r\nzz", "chunk header"),
        (CHUNKED + b"\r\n1\r\n1\n", "chunk footer"),
        (CHUNKED + b"\r\n0\r\nno field\r\n", "header line"),
    ],
    ids=["ssh", "smtp", "field", "line-feed", "size", "footer", "trailer"],
)
def test_nonsense_is_not_waited_out(shell: Shell, net: Net, nonsense: bytes, said: str) -> None:
    """It is refused when it is seen, though the server neither goes on nor closes."""
    server = net.serve([nonsense, b""])
    with pytest.raises(RemoteProtocolError, match=said):
        shell.client(server, timeout=PATIENCE).call(GET)
    server.wait_until_left()


@pytest.mark.parametrize("net", ["clear"], indirect=True)
def test_nonsense_of_a_proxy_is_not_waited_out(shell: Shell, net: Net) -> None:
    """What answers CONNECT with the greeting of another protocol is no proxy."""
    proxy = net.serve_clear([b"220 smtp.test ESMTP ready\r\n", b""])
    client = shell.client(None, base_url="https://api.test", proxy=proxy.url, timeout=PATIENCE, max_retries=0)
    with pytest.raises(ConnectError, match="start line"):
        client.call(GET)
    proxy.wait_until_left()


def test_an_event_stream_in_unusual_forms(shell: Shell, net: Net) -> None:
    """A mark at the start, all three line ends, comments, and chunks that cut anywhere."""
    stream = (
        b'\xef\xbb\xbf: hello\r\rretry: 5\nid\r\ndata:{"type": "chunk", "data": "AAAAAA==", "done": false,\r'
        b'data: "status_code": 206, "step_time": 1}\r\n\r\ndata: {"type": "done", "done": true,\ndata\n'
        b'data: "status_code": 200}\n\n'
    )
    chunks = b"".join(
        b"%x ;x\r\n%s\r\n" % (len(stream[i : i + 3]), stream[i : i + 3]) for i in range(0, len(stream), 3)
    )
    server = net.serve([CHUNKED + b"Content-Type: Text/Event-Stream; charset=UTF-8\r\n\r\n" + chunks + b"0\r\n\r\n"])
    events = TTS.sse(model_id="sonic-3", transcript="Hi", voice="v", output_format=RAW)
    with shell.client(server).stream(events) as heard:
        assert b"".join(event.audio for event in heard) == bytes(4)


def _part(identifier: bytes, content: bytes, size: int | None = None) -> bytes:
    return identifier + struct.pack("<I", len(content) if size is None else size) + content


FMT = _part(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16))
SAMPLES = bytes(range(100))


@pytest.mark.parametrize(
    "file",
    [
        b"RIFF\0\0\0\0WAVE" + _part(b"LIST", b"odd") + FMT + _part(b"data", SAMPLES),
        b"RIFF\xff\xff\xff\xffWAVE" + FMT + _part(b"id3 ", bytes(300_000)) + _part(b"data", SAMPLES, 0xFFFFFFFF),
        (
            b"RF64\xff\xff\xff\xffWAVE"
            + _part(b"ds64", struct.pack("<QQQI", 0, 100, 50, 0))
            + FMT
            + _part(b"data", SAMPLES, 0xFFFFFFFF)
        ),
    ],
    ids=["unpadded", "id3", "rf64"],
)
def test_wav_files_in_unusual_forms(shell: Shell, net: Net, file: bytes) -> None:
    """A stream hands on what a whole answer holds: every byte, the samples whole; and the header is understood."""
    answer = net.response(200, file, "Content-Type: audio/wav")
    client = shell.client(net.serve([answer, answer]))
    with client.stream(TTS.stream(model_id="sonic-3", transcript="Hi", voice="v", output_format=WAV)) as stream:
        assert b"".join(stream) == file
    audio = client.call(TTS.bytes(model_id="sonic-3", transcript="Hi", voice="v", output_format=WAV))
    assert audio.data == file
    assert audio.duration == 50 / 8000
    assert SAMPLES in audio.wav()
