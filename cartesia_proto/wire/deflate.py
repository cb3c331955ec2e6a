"""permessage-deflate (RFC 7692): how two sides agree on it, and the extension that wsproto runs once they have.

This module knows the extension's parameters and the compression of one connection. It must not know the handshake that
carries the parameters. It is told how long a message may become, and inflates no more than that.

wsproto brings an extension of its own, which is not used: a control frame between two fragments makes it forget that
the message is compressed, parameters that are no numbers raise out of it, and once a peer has ended a deflate stream
(which section 7.2.3.4 allows) it keeps whatever follows in memory and never inflates again.
"""

import re
import sys
import zlib
from typing import Final, TypeAlias, final

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, ParseFailed, RsvBits

from cartesia_proto.errors import RemoteProtocolError

NAME: Final = "permessage-deflate"
"""RFC 7692 section 7."""

_LARGEST_WINDOW: Final = 15
"""Bits; an inflater with this window reads what was made with any smaller one (RFC 7692 section 7.1.2)."""

_WINDOWS: Final = re.compile(r"[89]|1[0-5]")
"""What a window may have (RFC 7692 section 7.1.2.1). zlib makes no raw stream with 8."""

_FLUSH_TAIL: Final = b"\x00\x00\xff\xff"
"""What a sync flush ends with and a message leaves out (RFC 7692 section 7.2.1)."""

MOST_STREAMS: Final = 64
"""Deflate streams that one frame may end. A peer that flushes by ending its stream needs one for each flush (RFC 7692
section 7.2.3.4); but one can be made of two bytes, and each costs an inflater and a copy of the rest. Our choice."""

Parameters: TypeAlias = dict[str, str | None]
"""Of one offer or answer; a parameter may be without a value."""


@final
class Deflate(Extension):
    """The compression of one connection, in both directions; every data frame that is sent is compressed.

    Args:
        window: bits of our own compressor's window, 9 to 15.
        forget_sent: our compressor begins anew with each message.
        forget_received: so does the peer's.

    Attributes:
        limit: bytes that a compressed message may have once it is inflated; the link sets it.
    """

    name = NAME

    def __init__(
        self, *, window: int = _LARGEST_WINDOW, forget_sent: bool = False, forget_received: bool = False
    ) -> None:
        self._window = window
        self._forget_sent = forget_sent
        self._forget_received = forget_received
        self._deflater = zlib.compressobj(wbits=-window)
        self._inflater = zlib.decompressobj(-_LARGEST_WINDOW)
        self._control = False  # the frame that is arriving is a control frame
        self.limit: int = sys.maxsize - 1  # one more is asked for than may come
        self._compressed = False  # the message that is arriving is compressed
        self._room = 0  # bytes that may still come of it
        self._ended = 0  # streams, in the frame that is arriving

    @property
    def answer(self) -> str:
        """What a server that agreed answers to the offer."""
        said = [NAME]
        said += ["server_no_context_takeover"] if self._forget_sent else []
        said += ["client_no_context_takeover"] if self._forget_received else []
        said += [f"server_max_window_bits={self._window}"] if self._window != _LARGEST_WINDOW else []
        return "; ".join(said)

    # What wsproto calls.

    def enabled(self) -> bool:
        """Always: it is only made where both sides agreed."""
        return True

    def offer(self) -> bool:
        """To be offered without parameters."""
        return True

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> RsvBits:
        """Learn what kind of frame arrives; the first bit is the extension's, on the first frame of a message."""
        del proto, payload_length
        self._control = opcode.iscontrol()
        self._ended = 0
        if opcode in {Opcode.TEXT, Opcode.BINARY}:
            self._compressed = rsv.rsv1
            self._room = self.limit
        elif rsv.rsv1:
            raise ParseFailed("a frame that cannot be compressed says that it is")
        return RsvBits(rsv1=True, rsv2=False, rsv3=False)

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes:
        """Inflate what belongs to a compressed message."""
        del proto
        return data if self._control or not self._compressed else self._inflate(data)

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | None:  # noqa: FBT001 - wsproto's signature
        """Inflate what a message leaves out."""
        del proto
        if self._control or not self._compressed or not fin:
            return None
        tail = self._inflate(_FLUSH_TAIL)
        if self._forget_received:
            self._inflater = zlib.decompressobj(-_LARGEST_WINDOW)
        return tail

    def frame_outbound(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        data: bytes,
        fin: bool,  # noqa: FBT001 - wsproto's signature
    ) -> tuple[RsvBits, bytes]:
        """Compress a data frame."""
        del proto
        if opcode.iscontrol():
            return rsv, data
        compressed = self._deflater.compress(data)
        if fin:
            compressed += self._deflater.flush(zlib.Z_SYNC_FLUSH)
            compressed = compressed.removesuffix(_FLUSH_TAIL)
        if fin and self._forget_sent:
            self._deflater = zlib.compressobj(wbits=-self._window)
        return rsv._replace(rsv1=opcode is not Opcode.CONTINUATION), compressed

    def _inflate(self, data: bytes) -> bytes:
        try:
            inflated = [self._inflate_some(data)]
            while self._inflater.eof:  # the peer ended its stream (section 7.2.3.4): another begins behind it
                self._count_stream()
                data = self._inflater.unused_data
                self._inflater = zlib.decompressobj(-_LARGEST_WINDOW)
                inflated.append(self._inflate_some(data))
        except zlib.error:
            raise ParseFailed("a compressed message that cannot be inflated") from None
        return b"".join(inflated)

    def _inflate_some(self, data: bytes) -> bytes:
        """Inflate all of it, or find out by one byte too many that the message is too long."""
        piece = self._inflater.decompress(data, self._room + 1)
        self._room -= len(piece)
        if self._room < 0:
            words = f"a message is longer than the limit of {self.limit} bytes"
            raise ParseFailed(words, CloseReason.MESSAGE_TOO_BIG)
        return piece

    def _count_stream(self) -> None:
        self._ended += 1
        if self._ended > MOST_STREAMS:
            words = f"a compressed frame ends more than {MOST_STREAMS} deflate streams"
            raise ParseFailed(words, CloseReason.MESSAGE_TOO_BIG)


def read_answer(value: str) -> Deflate:
    """What the server answered to an offer without parameters.

    Raises:
        RemoteProtocolError: it is another extension, more than one, or has parameters that were not offered.
    """
    answers = _extensions(value)
    if len(answers) != 1 or answers[0][0] != NAME or answers[0][1] is None:
        raise _not_offered()
    parameters = answers[0][1]
    window = parameters.pop("server_max_window_bits", str(_LARGEST_WINDOW)) or ""
    client, server = _flag(parameters, "client_no_context_takeover"), _flag(parameters, "server_no_context_takeover")
    if parameters or not _WINDOWS.fullmatch(window):
        raise _not_offered()
    return Deflate(forget_sent=client, forget_received=server)


def _not_offered() -> RemoteProtocolError:
    return RemoteProtocolError(
        "the server's handshake answers with an extension, or a parameter of one, that was not offered",
        scope="connection",
    )


def accept_offer(value: str) -> Deflate | None:
    """The first offer of a client that can be met, or None."""
    met = (_meet(parameters) for name, parameters in _extensions(value) if name == NAME and parameters is not None)
    return next((deflate for deflate in met if deflate is not None), None)


def _meet(parameters: Parameters) -> Deflate | None:
    window = parameters.pop("server_max_window_bits", str(_LARGEST_WINDOW)) or ""
    hint = parameters.pop("client_max_window_bits", None) or str(_LARGEST_WINDOW)  # any is fine for our inflater
    client, server = _flag(parameters, "client_no_context_takeover"), _flag(parameters, "server_no_context_takeover")
    if parameters or not _WINDOWS.fullmatch(window) or not _WINDOWS.fullmatch(hint) or window == "8":
        return None
    return Deflate(window=int(window), forget_sent=server, forget_received=client)


def _flag(parameters: Parameters, name: str) -> bool:
    """Take a parameter out that has no value; one that has is left in and thereby refused."""
    present = parameters.get(name, "") is None
    if present:
        del parameters[name]
    return present


def _extensions(value: str) -> list[tuple[str, Parameters | None]]:
    """A Sec-WebSocket-Extensions header (RFC 6455 section 9.1); parameters are None where one stands twice."""
    return [_extension(part) for part in value.split(",") if part.strip(" \t")]


def _extension(text: str) -> tuple[str, Parameters | None]:
    name, *rest = (part.strip(" \t") for part in text.split(";"))
    parameters: Parameters = {}
    for parameter in rest:
        key, equals, value = (part.strip(" \t") for part in parameter.partition("="))
        if key in parameters:
            return name, None
        parameters[key] = value.strip('"') if equals else None
    return name, parameters
