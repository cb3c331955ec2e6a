"""The files of a request: their lengths, what is read of them, and what is refused."""

from collections.abc import Callable
from io import BytesIO, UnsupportedOperation
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.http import FilePart, Upload
from cartesia_proto.wire import uploads
from cartesia_proto.wire.uploads import PIECE, ReadBody, Recording, pieces_of

PART = FilePart("clip", "a/clip.wav")


class Pipe(BytesIO):
    """What can be read once."""

    def seekable(self) -> bool:
        """No."""
        return False

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Refused."""
        raise UnsupportedOperation("seek")


class Broken(BytesIO):
    """What cannot be read."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Fail."""
        raise OSError(5, "Input/output error")


def opened(file: BinaryIO, size: int) -> Recording:
    """An open recording."""
    recording = Recording(PART, lambda _: (file, size))
    recording.open()
    return recording


def content(recording: Recording) -> bytes:
    """All of it, from its beginning."""
    recording.rewind()
    pieces: list[bytes] = []
    while recording.left:
        pieces.append(recording.read())
        assert 0 < len(pieces[-1]) <= PIECE
    return b"".join(pieces)


@given(st.integers(1, 3 * PIECE), st.integers(1, 3))
def test_a_file_is_read_as_often_as_it_is_sent(size: int, times: int) -> None:
    """In pieces, each time from its beginning."""
    data = bytes(size)
    with opened(BytesIO(data), size) as recording:
        assert recording.size == size
        assert all(content(recording) == data for _ in range(times))


@pytest.mark.parametrize(("file", "size"), [(BytesIO(b"RIFFdata"), 0), (Pipe(b"RIFFdata"), 0), (Pipe(b"RIFFdata"), 3)])
def test_a_file_without_a_length(file: BinaryIO, size: int) -> None:
    """It is read whole when it is opened, and closed; then it can be sent again and again."""
    recording = opened(file, size)
    assert file.closed
    assert recording.size == 8
    assert content(recording) == content(recording) == b"RIFFdata"


@pytest.mark.parametrize("file", [BytesIO(), Pipe()])
def test_an_empty_file(file: BinaryIO) -> None:
    """It is no recording."""
    with pytest.raises(LocalProtocolError, match=r"'a/clip\.wav' is empty"):
        opened(file, 0)
    assert file.closed


def test_a_file_without_a_length_and_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of it is held than there may be."""
    monkeypatch.setattr(uploads, "SPOOLED", 100)
    assert opened(BytesIO(bytes(100)), 0).size == 100
    with pytest.raises(LocalProtocolError, match="has no length of its own and more than 100 bytes"):
        opened(BytesIO(bytes(101)), 0)


@pytest.mark.parametrize("size", [1, 47, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
@pytest.mark.parametrize(("change", "fault"), [(1, "longer"), (PIECE, "longer"), (-1, "shorter")])
def test_a_file_that_changed(size: int, change: int, fault: str) -> None:
    """Its last piece is never handed out, so nobody can take the request for whole."""
    recording = opened(BytesIO(bytes(size + change)), size)
    recording.rewind()
    received = 0
    with pytest.raises(LocalProtocolError, match=f"became {fault} than the {size} bytes declared"):
        while recording.left:
            received += len(recording.read())
    assert received < size


def test_reading_fails() -> None:
    """The system's error goes on."""
    recording = opened(Broken(b"1234"), 4)
    recording.rewind()
    with pytest.raises(OSError, match="Input/output"):
        recording.read()
    pipe = Broken(b"1234")
    with pytest.raises(OSError, match="Input/output"):
        opened(pipe, 0)
    assert pipe.closed


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_what_is_no_path(path: str) -> None:
    """The system cannot even be asked."""

    def refuse(given: str) -> tuple[BinaryIO, int]:
        Path(given).open("rb").close()
        raise AssertionError("it was opened")

    with pytest.raises(LocalProtocolError, match="is no path"):
        Recording(FilePart("clip", path), refuse).open()


def test_closing() -> None:
    """Before and after opening, twice, and while another thread opens."""
    file = BytesIO(b"1234")
    with opened(file, 4) as recording:
        assert not file.closed
    assert file.closed
    recording.close()
    given_up: list[Recording] = []
    late = BytesIO(b"1234")

    def open_late(path: str) -> tuple[BinaryIO, int]:
        assert path == PART.path
        given_up[0].close()
        return late, 4

    given_up.append(Recording(PART, open_late))
    given_up[0].open()
    assert late.closed


def test_reading_before_opening() -> None:
    """A mistake of ours."""
    with pytest.raises(AssertionError, match="opened before"):
        Recording(PART, lambda _: (BytesIO(), 1)).rewind()


def test_the_pieces_of_a_body() -> None:
    """Bytes and files in their order; long ones are cut."""
    body = Upload((bytes(PIECE + 1), PART, b"between", PART, b""))
    files = [opened(BytesIO(bytes(PIECE + 2)), PIECE + 2), opened(Pipe(b"1"), 0)]
    lengths = [len(piece if isinstance(piece, bytes) else piece.read()) for piece in pieces_of(body, files)]
    assert lengths == [PIECE, 1, PIECE, 2, 7, 1]


def test_a_body_that_others_read() -> None:
    """It begins anew as often as it is asked."""
    body = ReadBody(Upload((b"a", PART, b"c")), [opened(BytesIO(b"bb"), 2)])
    assert list(body) == list(body) == [b"a", b"bb", b"c"]
    assert body.failure is None


@pytest.mark.parametrize(
    ("make", "kind"), [(lambda: Broken(b"bb"), OSError), (lambda: BytesIO(b"b"), LocalProtocolError)]
)
def test_a_body_that_others_cannot_read(make: Callable[[], BinaryIO], kind: type[Exception]) -> None:
    """The system's error is kept, as whoever reads may make another of it."""
    body = ReadBody(Upload((b"a", PART)), [opened(make(), 2)])
    with pytest.raises(kind) as caught:
        list(body)
    assert body.failure is (caught.value if kind is OSError else None)
