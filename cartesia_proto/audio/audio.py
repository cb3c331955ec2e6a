"""A piece of finished audio: its bytes with the format they are in.

This module knows what can be said about such bytes and how to make a WAV file of them. It must not know how they came,
and it never opens a file: saving is ``Path("hello.wav").write_bytes(audio.wav())``. What knows WAV files is imported
when one is met.
"""

from typing import assert_never

from attrs import field, frozen

from cartesia_proto.audio import pcm
from cartesia_proto.audio.formats import SAMPLE_WIDTHS, Mp3Format, OutputFormat, RawFormat, WavFormat
from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError


@frozen
class Audio:
    """Audio that has arrived whole.

    Attributes:
        data: the bytes as the server sent them.
        format: the format that was asked for.
        file_id: under which the server saved it, where `save` asked for that (protocol section 2.3).
    """

    data: bytes = field(repr=lambda data: f"<{len(data)} bytes>")
    format: OutputFormat
    file_id: str | None = None

    @property
    def duration(self) -> float | None:
        """In seconds; None where the bytes do not tell: mp3, an encoding of tomorrow, a malformed WAV file."""
        match self.format:
            case RawFormat() if self.format.encoding in SAMPLE_WIDTHS:
                return pcm.duration(len(self.data), self.format)
            case WavFormat():
                return _wav_duration(self.data)
            case _:
                return None

    def wav(self) -> bytes:
        """The bytes of a WAV file with true sizes: raw samples get a header, a streamed WAV file is repaired.

        An incomplete last sample is dropped.

        Raises:
            LocalProtocolError: the audio is mp3, or raw in an encoding that WAV cannot hold.
            RemoteProtocolError: the server called something a WAV file that is none.
        """
        from cartesia_proto.audio import wav  # noqa: PLC0415 - see the module docstring

        match self.format:
            case RawFormat():
                return wav.wrap(self.data, self.format)
            case WavFormat():
                return wav.repair(self.data)
            case Mp3Format():
                raise LocalProtocolError("this audio is mp3: write .data to a file, or ask for container wav or raw")
            case _:
                assert_never(self.format)

    def __bytes__(self) -> bytes:
        return self.data

    def __len__(self) -> int:
        return len(self.data)


def _wav_duration(data: bytes) -> float | None:
    from cartesia_proto.audio import wav  # noqa: PLC0415 - see the module docstring

    try:
        return wav.parse_wav(data).duration
    except RemoteProtocolError:
        return None
