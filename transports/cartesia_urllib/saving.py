"""Audio into a file that appears under its name only when it is whole.

This module knows temporary files, and what must be put right in a WAV file that was streamed. It must not know where
the audio comes from nor how its arrival is shown.
"""

import contextlib
import secrets
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, assert_never, final

from cartesia_proto import Mp3Format, OutputFormat, RawFormat, RemoteProtocolError, WavFormat
from cartesia_proto.audio import pcm, wav


@contextlib.contextmanager
def whole_file(path: Path) -> Generator[BinaryIO, None, None]:
    """A file to write; it gets its name when the block is left well, and is removed when it is left otherwise.

    Until then it stands beside the place it is meant for, hidden, so that the last step is a mere change of name.

    Raises:
        OSError: it cannot be written there, or something that is no ordinary file has the name.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no directory {path.parent}")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is there already and is no ordinary file")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("x+b") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@final
class AudioFile:
    """Writes pieces of audio as they arrive, and tells how long they last.

    Args:
        file: to be written and read.
        format: of the audio; pieces end on sample boundaries, and the header of a WAV file is in the first.
    """

    def __init__(self, file: BinaryIO, format: OutputFormat) -> None:
        self._file = file
        self._format = format
        self._size = 0
        self._header_size = 0

    @property
    def seconds(self) -> float:
        """How much audio was written; of mp3 as its bit rate has it."""
        audio_size = self._size - self._header_size
        match self._format:
            case RawFormat() | WavFormat():
                return pcm.duration(audio_size, self._format)
            case Mp3Format():
                return audio_size * 8 / self._format.bit_rate
            case _:
                assert_never(self._format)

    def write(self, piece: bytes) -> None:
        """Write a piece.

        Raises:
            OSError: it cannot be written.
            RemoteProtocolError: it should begin a WAV file and does not.
        """
        if isinstance(self._format, WavFormat) and not self._size:
            self._header_size = wav.parse_wav(piece).data_offset
        self._file.write(piece)
        self._size += len(piece)

    def finish(self) -> None:
        """Set the sizes in the header of a WAV file, which the server could not know.

        Raises:
            OSError: they cannot be written.
            RemoteProtocolError: no audio came.
        """
        if self._size == self._header_size:
            raise RemoteProtocolError("the server sent no audio")
        if isinstance(self._format, WavFormat):
            self._file.seek(0)
            for offset, patch in wav.size_patches(self._file.read(self._header_size), self._size):
                self._file.seek(offset)
                self._file.write(patch)
