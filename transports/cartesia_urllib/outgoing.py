"""A request as it goes out: its files open, its secrets where no redirect takes them.

This module knows files, and what a request looks like to `urllib.request`. It must not know who sends it.
"""

import contextlib
import os
import urllib.request
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, final

from cartesia_proto.credentials import Secret
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.flow import Attempt
from cartesia_proto.http import FilePart, Upload
from cartesia_proto.wire.exchange import PIECE, upload
from cartesia_urllib.sockets import Interrupter

NO_LENGTH_WHEN_EMPTY: Final = frozenset({"GET", "HEAD", "DELETE"})
"""Methods whose request without a body says nothing about a length (RFC 9110 section 8.6)."""


@final
class OpenedBody:
    """The body of a request with its files open: pieces to send, any number of times over."""

    def __init__(self, body: Upload, files: Sequence[BinaryIO]) -> None:
        self._body = body
        self._files = [(file, os.fstat(file.fileno()).st_size) for file in files]
        self.length: int = body.length(size for _, size in self._files)

    def __iter__(self) -> Iterator[bytes]:
        files = iter(self._files)
        for piece in self._body.pieces:
            if isinstance(piece, FilePart):
                yield from _read(*next(files))
            else:
                yield piece


def _read(file: BinaryIO, size: int) -> Iterator[bytes]:
    """So many bytes of a file, as its length was announced."""
    file.seek(0)
    while size:
        piece = file.read(min(size, PIECE))
        if not piece:
            raise LocalProtocolError(f"{file.name} became shorter by {size} bytes while it was sent")
        size -= len(piece)
        yield piece


@final
class OutgoingRequest(urllib.request.Request):
    """A request as openers take it. Secrets are headers that no redirect of a user's own opener carries along.

    Attributes:
        attempt: what it is part of.
        body: the pieces to send; iterated anew each time the request is sent.
        interrupter: ends waits while the request is under way.
    """

    def __init__(self, attempt: Attempt, body: OpenedBody, interrupter: Interrupter) -> None:
        request = attempt.request
        super().__init__(request.url, data=body if body.length else None, method=request.method)
        self.attempt = attempt
        self.body = body
        self.interrupter = interrupter
        for name, value in request.headers:
            if isinstance(value, Secret):
                self.add_unredirected_header(name, value.reveal())
            else:
                self.add_header(name, value)
        if body.length or request.method not in NO_LENGTH_WHEN_EMPTY:
            self.add_unredirected_header("Content-Length", str(body.length))


@contextlib.contextmanager
def outgoing(attempt: Attempt, interrupter: Interrupter) -> Generator[OutgoingRequest, None, None]:
    """The request of an attempt, with its files open as long as it may be sent.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    body = upload(attempt.request)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(Path(part.path).open("rb")) for part in body.files]
        yield OutgoingRequest(attempt, OpenedBody(body, files), interrupter)
