"""What may be read of a response: its encoding, and how much of its body.

This module knows the policy on bodies that are read whole: a success over its limit is refused, an error is cut, so
that its status is never lost. A success whose body is compressed is refused, an error is inflated if it is what
gateways send, else kept if it is text after all. It must not know how the bytes arrived, which `exchange` does, nor
what they mean.
"""

import re
import zlib
from contextlib import suppress
from typing import Final, final

from attrs import evolve

from cartesia_proto.errors import RemoteProtocolError
from cartesia_proto.http import Response

_ANY_HEADER: Final = 32 + zlib.MAX_WBITS
"""Has zlib find out whether a body is gzip or deflate (zlib manual, inflateInit2)."""

_TEXT: Final = re.compile(rb"[^\x00-\x08\x0e-\x1f]*+")
"""Bytes without such control characters as no text has."""


def content_coding(head: Response) -> str | None:
    """The codings of Content-Encoding other than ``identity``, None where there are none (RFC 9110 section 8.4).

    They are a list, over all fields of the name; empty elements do not count (RFC 9110 section 5.6.1.2).
    """
    values = ",".join(str(value) for name, value in head.headers if name.lower() == "content-encoding")
    codings = [coding for element in values.split(",") if (coding := element.strip()).lower() not in ("", "identity")]
    return ", ".join(codings) or None


def check_head(head: Response) -> None:
    """Refuse a 2xx response whose body is compressed: this library asks for ``identity`` alone and inflates nothing.

    A response that is no success passes: its status is never lost, and `BodyCollector` makes of its body what it can.

    Raises:
        RemoteProtocolError: the response has a Content-Encoding other than ``identity``; the message names it.
    """
    coding = content_coding(head)
    if head.ok and coding is not None:
        raise RemoteProtocolError(
            f"the response has Content-Encoding {coding[:40]!r}, which was not asked for: only identity is accepted"
        )


@final
class BodyCollector:
    """Collects the body of a response that is read whole; made once its head has arrived.

    Args:
        head: the response with an empty body.
        success_limit: how many bytes the body of a 2xx response may have.
        error_limit: how many bytes of any other response's body are kept.

    Attributes:
        full: nothing more will be kept; reading may stop and the connection be closed. Only ever true for a response
            that is no success.

    Raises:
        RemoteProtocolError: the head is refused, see `check_head`.
    """

    def __init__(self, head: Response, success_limit: int, error_limit: int) -> None:
        check_head(head)
        self._head = head
        self._limit = success_limit if head.ok else error_limit
        self._body = bytearray()
        self.full: bool = False

    def receive_data(self, data: bytes) -> None:
        """Add bytes of the body, with the transfer coding already removed.

        Raises:
            RemoteProtocolError: a 2xx body went over its limit; the message names the limit. What was collected is
                of no further use.
        """
        if self.full:
            return
        self._body += data
        if len(self._body) <= self._limit:
            return
        if self._head.ok:
            raise RemoteProtocolError(f"the response body is longer than the limit of {self._limit} bytes")
        del self._body[self._limit :]
        self.full = True

    def finish(self) -> Response:
        """The response with what was collected as its body."""
        coded = content_coding(self._head) is not None  # of an error
        body = readable(bytes(self._body), self._limit) if coded else bytes(self._body)
        return evolve(self._head, body=body)


def readable(body: bytes, limit: int) -> bytes:
    """What can be read of an error's body that says it is compressed: it may be so or not, and may be cut.

    Args:
        limit: how many bytes it may have once it is inflated.
    """
    inflate = zlib.decompressobj(_ANY_HEADER)
    inflated = bytearray()
    with suppress(zlib.error):
        for place in range(len(body)):  # byte by byte: of a piece with a fault, zlib answers nothing
            if len(inflated) >= limit:
                break
            inflated += inflate.decompress(body[place : place + 1], limit - len(inflated))
    return bytes(inflated) or (body if _TEXT.fullmatch(body) else b"")
