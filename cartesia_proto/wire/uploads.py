"""The files of a request while it is sent: how long each one is, and that exactly so many bytes of it are sent.

Actors: a shell, which opens files and reads them in whatever thread may wait; and one `Recording` for each file.

* A call opens its files once, before it connects. Every attempt sends them from their beginning: after a retry, a
  redirect, or on the connection that replaces a stale one.
* The length is what the system tells of the file when it is opened. A file of which it tells 0, or that cannot be read
  twice (a pipe, a device, most of ``/proc``), is read whole when it is opened, and has the length that was read.
  A ``chunked`` request would need no length, but the protocol shows none, so that no server is known to accept it.
* A file that turns out shorter or longer than its length is refused before its last piece is handed out. The request
  is then incomplete, so that no server takes it for one.
* An empty file is no recording, and is refused. This module opens nothing: it reads what it is given.
"""

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import BinaryIO, Final, Self, final

from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.http import FilePart, Upload

PIECE: Final = 64 * 1024
"""Bytes of a body written at once: the write timeout holds for each piece. At first, asyncio reads as much at once."""

SPOOLED: Final = 64 * 1024 * 1024
"""Bytes that a file without a length may have, since memory holds them. Our choice: clips are 5 to 20 seconds long
(protocol section 2.5.7), and this is six minutes of pcm_f32le at 44.1 kHz."""


@final
class Recording:
    """One file of a request; `open` comes before all else, and `close`, in any thread, at any time.

    Args:
        opener: opens the file, and returns it with the size that the system tells of it. May wait.

    Attributes:
        size: bytes that are sent of it.
        left: bytes of it that were not handed out since it was rewound.
    """

    __slots__ = ("_closed", "_file", "_opener", "_path", "left", "size")

    def __init__(self, part: FilePart, opener: Callable[[str], tuple[BinaryIO, int]]) -> None:
        self._path = part.path
        self._opener = opener
        self._file: BinaryIO | None = None
        self._closed = False
        self.size: int = 0
        self.left: int = 0

    def open(self) -> None:
        """Open the file, and read it whole if only that can tell its length. May wait, as long as a pipe's writer does.

        Raises:
            OSError: it cannot be opened or read.
            LocalProtocolError: the path is none; or the file is empty, or has no length and more than `SPOOLED` bytes.
                It is closed in all cases.
        """
        try:
            file, size = self._opener(self._path)
        except ValueError as error:  # a null character, or one that the system's encoding does not have
            raise LocalProtocolError(f"{self._path!r} is no path: {error}") from None
        if not (size and file.seekable()):
            with file:
                file, size = self._spooled(file)
        self.size = size
        self._file = file
        if self._closed:  # whoever waited for this has given up meanwhile: see `close`
            file.close()

    def _spooled(self, file: BinaryIO) -> tuple[BinaryIO, int]:
        spool = BytesIO()
        while piece := file.read(PIECE):
            spool.write(piece)
            if spool.tell() > SPOOLED:
                raise LocalProtocolError(f"{self._path!r} has no length of its own and more than {SPOOLED} bytes")
        if not spool.tell():
            raise LocalProtocolError(f"{self._path!r} is empty: there is no recording to send")
        return spool, spool.tell()

    def rewind(self) -> None:
        """Begin anew."""
        self._opened().seek(0)
        self.left = self.size

    def read(self) -> bytes:
        """The next piece, while some bytes are `left`.

        Raises:
            LocalProtocolError: the file became shorter or longer since it was opened.
            OSError: it cannot be read.
        """
        file = self._opened()
        piece = file.read(min(self.left, PIECE))
        self.left -= len(piece)
        longer = not self.left and bool(file.read(1))
        if longer or not piece:
            fault = "longer" if longer else "shorter"
            raise LocalProtocolError(
                f"{self._path!r} became {fault} than the {self.size} bytes declared while it was sent"
            )
        return piece

    def close(self) -> None:
        """Close the file; one that another thread is opening just now is closed by that thread. Idempotent."""
        self._closed = True  # first: `open` looks at it after it has set the file
        if self._file is not None:
            self._file.close()

    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise AssertionError("a file is opened before it is read")
        return self._file

    def __enter__(self) -> Self:
        """The recording itself, not opened yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def pieces_of(body: Upload, files: Sequence[Recording]) -> Iterator[bytes | Recording]:
    """The pieces of a body in order. A recording comes again and again, to be read, until nothing of it is left."""
    unread = iter(files)
    for piece in body.pieces:
        if isinstance(piece, FilePart):
            file = next(unread)
            file.rewind()
            while file.left:
                yield file
        else:
            for start in range(0, len(piece), PIECE):
                yield piece[start : start + PIECE]


@final
class ReadBody:
    """All bytes of a body, for a library that takes an iterable and reads it itself: iterated anew, it begins anew.

    Attributes:
        failure: by which reading a file failed, if it did. Such a library may take it for one of the connection.
    """

    def __init__(self, body: Upload, files: Sequence[Recording]) -> None:
        self.failure: OSError | None = None
        self._body = body
        self._files = files

    def __iter__(self) -> Iterator[bytes]:
        """The pieces.

        Raises:
            LocalProtocolError, OSError: as `Recording.read`.
        """
        try:
            for piece in pieces_of(self._body, self._files):
                yield piece if isinstance(piece, bytes) else piece.read()
        except OSError as error:
            self.failure = error
            raise
