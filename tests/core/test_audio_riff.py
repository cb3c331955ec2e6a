"""Chunks of a WAV file: found in a beginning that grows, each looked at once, within limits."""

import struct
import sys
from types import FrameType

import pytest

from cartesia_proto.audio.riff import MAX_CHUNKS, MAX_HEADER, ChunkWalk, padding_is_missing
from cartesia_proto.errors import RemoteProtocolError

START = b"RIFF\0\0\0\0WAVE"


def _chunk(identifier: bytes, content: bytes, size: int | None = None) -> bytes:
    return identifier + struct.pack("<I", len(content) if size is None else size) + content


def _walked(file: bytes, size: int) -> ChunkWalk:
    """The walk through a file that comes in pieces."""
    walk = ChunkWalk()
    beginning = bytearray()
    for start in range(0, len(file), size):
        beginning += file[start : start + size]
        walk.walk(beginning)
    return walk


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("between", "unpadded"),
    [
        (b"", [12 + 24 + 9]),
        (b"\0", []),
        (b"x", []),
        (b"\xff", []),
        (_chunk(b"abcd", b"1") + b"\0", [12 + 24 + 9]),
        (b"\0" + _chunk(b"abcd", b"1"), [12 + 24 + 19]),
        (b"\xff" + _chunk(b"abcd", b"1") + b" ", []),
    ],
)
def test_padding(between: bytes, unpadded: list[int], size: int) -> None:
    """A padding byte after an odd chunk is skipped; where another chunk stands at once, there is none."""
    file = START + _chunk(b"fmt ", bytes(16)) + _chunk(b"LIST", b"1") + between + _chunk(b"data", b"12")
    walk = _walked(file, size)
    assert walk.done
    assert walk.unpadded == unpadded
    assert walk.found == {b"fmt ": (20, 16), b"data": (len(file) - 2, 2)}


@pytest.mark.parametrize("size", [1, 1000])
def test_padding_at_the_end(size: int) -> None:
    """A file that ends with the header of its data is whole, with or without padding before it."""
    file = START + _chunk(b"LIST", b"1")
    assert _walked(file + _chunk(b"data", b""), size).found == {b"data": (len(file) + 8, 0)}
    assert _walked(file + b"\0" + _chunk(b"data", b""), size).found == {b"data": (len(file) + 9, 0)}
    assert not _walked(file + b"\0" + _chunk(b"data", b"")[:-1], size).done


def test_padding_that_may_be_a_chunk() -> None:
    """Between two readings that are both possible, a chunk that is known decides."""
    assert padding_is_missing(b"dataxxxxx", 0)
    assert padding_is_missing(b"abcdefghi", 0)
    assert not padding_is_missing(b"xdataxxxx", 0)
    assert not padding_is_missing(b"\0abcdefgh", 0)
    assert not padding_is_missing(b"\xffabcdefgh", 0)


@pytest.mark.parametrize("form", [b"RIFF", b"RF64", b"BW64"])
def test_forms(form: bytes) -> None:
    """A file in any of the three forms is walked."""
    assert _walked(form + START[4:] + _chunk(b"data", b""), 1).found == {b"data": (20, 0)}


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"RIFX\0\0\0\0WAVE", "it is RIFX, whose numbers are big-endian"),
        (b"RF66\0\0\0\0WAVE", "it does not begin with RIFF"),
        (b"RIFF\0\0\0\0AVI ", "it does not begin with RIFF"),
        (b"<html>", "it does not begin with RIFF"),
        (START + _chunk(b"LIST", b"", MAX_HEADER), "no data chunk in its first 16777216 bytes"),
        (START + _chunk(b"LIST", b"", 0xFFFFFFFF), "no data chunk in its first 16777216 bytes"),
        (START + _chunk(b"LIST", b"") * MAX_CHUNKS, "no data chunk among its first 1024"),
    ],
)
def test_refused_at_once(start: bytes, message: str, size: int) -> None:
    """What cannot become a WAV file within the limits is refused when that is seen, however the file is cut."""
    with pytest.raises(RemoteProtocolError, match=message):
        _walked(start, size)


def test_the_most_that_is_walked() -> None:
    """The last chunk that is looked at may be the data, and they may begin at the last place."""
    most = START + _chunk(b"LIST", b"") * (MAX_CHUNKS - 1) + _chunk(b"data", b"")
    assert _walked(most, 1000).done
    last = START + _chunk(b"LIST", bytes(MAX_HEADER - 28)) + _chunk(b"data", b"")
    assert _walked(last, MAX_HEADER).found == {b"data": (MAX_HEADER, 0)}


def test_each_chunk_is_looked_at_once() -> None:
    """A file that comes byte by byte is not walked anew with each byte."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        del frame
        calls += event == "c_call" and getattr(argument, "__name__", "") == "unpack_from"

    file = START + _chunk(b"abcd", b"") * 300 + _chunk(b"data", b"")
    sys.setprofile(count)
    try:
        walk = _walked(file, 1)
    finally:
        sys.setprofile(None)
    assert walk.done
    assert calls == 301
