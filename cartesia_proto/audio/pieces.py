"""An audio body as it arrives, in whole samples.

This module knows that the pieces of an HTTP body are cut anywhere (protocol section 7.2), and that an error page is no
audio. It must not know endpoints, nor hold more than one incomplete sample or header.
"""

from typing import Final, assert_never, final

from cartesia_proto.audio.formats import Mp3Format, OutputFormat, RawFormat, WavFormat
from cartesia_proto.audio.pcm import SampleAligner
from cartesia_proto.audio.wav import WavAligner
from cartesia_proto.errors import RemoteProtocolError
from cartesia_proto.http import Response

NOT_AUDIO: Final = ("text/", "application/json", "application/xml")
"""Media types that cannot be audio; every other is accepted, as the API promises none (protocol section 7.1)."""

TEXT_SUFFIXES: Final = ("+json", "+xml")
"""So do these say of others, such as `application/problem+json` (RFC 6839, RFC 9457)."""


def check_audio(head: Response) -> None:
    """Refuse a success whose body is a text.

    Raises:
        RemoteProtocolError: its media type says so, as a gateway's page would.
    """
    media_type = (head.headers.get("content-type") or "").lower()
    if media_type.startswith(NOT_AUDIO) or media_type.partition(";")[0].rstrip().endswith(TEXT_SUFFIXES):
        raise RemoteProtocolError(f"expected audio, but the server sent {media_type}")


def _aligner(format: OutputFormat) -> SampleAligner | WavAligner:
    match format:
        case RawFormat() | Mp3Format():
            return SampleAligner(format.frame_size)
        case WavFormat():
            return WavAligner()
        case _:
            assert_never(format)


@final
class AudioPieces:
    """Decodes an audio body into pieces that end on sample boundaries; joined, they are the body."""

    __slots__ = ("_aligner",)

    def __init__(self, format: OutputFormat) -> None:
        self._aligner = _aligner(format)

    @property
    def finished(self) -> bool:
        """Never: only the end of the body ends it."""
        return False

    def receive_data(self, data: bytes) -> list[bytes]:
        """The whole samples that these bytes complete: one piece, or none."""
        piece = self._aligner.align(data)
        return [piece] if piece else []

    def receive_eof(self) -> list[bytes]:
        """What is left of an incomplete last sample or header, so that no byte is lost."""
        rest = self._aligner.flush()
        return [rest] if rest else []
