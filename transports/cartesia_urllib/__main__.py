"""The command line: speaks a text into a file, or lists voices.

    python -m cartesia_urllib "Hello, world!" -o hello.wav

This module knows arguments, what is shown and exit statuses: 0 done, 1 failed, 2 misused, 130 interrupted. It must not
know how audio is fetched or files are kept whole: the client and `saving` do.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, final

from cartesia_proto import CartesiaError, Mp3Format, OutputFormat, RawFormat, WavFormat
from cartesia_proto.credentials import API_KEY_VARIABLE
from cartesia_urllib.client import Cartesia
from cartesia_urllib.saving import AudioFile, whole_file

DEFAULT_MODEL: Final = "sonic-3.5"
"""The newest model that the vendor's own documents name; of sonic-3.6 third parties tell (protocol section 8.1)."""

DEFAULT_VOICE: Final = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
"""A public voice that programs often use as their default (protocol section 8.3)."""

SAMPLE_RATE: Final = 44100
"""Hz; among the rates of every container (protocol section 7.1), and that of compact discs."""

BIT_RATE: Final = 128_000
"""Bits per second of mp3; one of those there are (protocol section 7.1)."""

NO_KEY: Final = (
    f"there is no API key: set {API_KEY_VARIABLE} to one of yours, or add --standin to try without a key or a network "
    "(placeholder speech, not the real voice)"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    try:
        return _run(_arguments(argv))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain when it exits
        return 0
    except (CartesiaError, OSError, UnicodeDecodeError) as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        return 1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cartesia_urllib",
        description="Speak a text with the Cartesia API and write the audio to a file.",
        epilog=f"The API key is read from {API_KEY_VARIABLE}.",
    )
    parser.add_argument("text", nargs="?", help="what to say; - reads it from standard input")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write the audio")
    parser.add_argument("--standin", action="store_true", help="use a stand-in within this process: placeholder speech")
    parser.add_argument("--voices", action="store_true", help="list the voices there are, and do nothing else")
    parser.add_argument("--voice", default=DEFAULT_VOICE, metavar="ID", help="who says it (default: %(default)s)")
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="ID", help="default: %(default)s")
    parser.add_argument("--language", metavar="CODE", help="of the text, such as en; by default the model's own guess")
    parser.add_argument("--format", choices=("wav", "raw", "mp3"), default="wav", help="default: %(default)s, 16 bits")
    parser.add_argument("--sample-rate", type=int, metavar="HZ", default=SAMPLE_RATE, help="default: %(default)s")
    arguments = parser.parse_args(argv)
    if not arguments.voices and arguments.text is None:
        parser.error("there is no text to say (- reads it from standard input); --voices lists voices instead")
    if not arguments.voices and arguments.output is None:
        parser.error("say where to write the audio: -o hello.wav")
    if not arguments.standin and not os.environ.get(API_KEY_VARIABLE):
        parser.error(NO_KEY)
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    with _client(standin=arguments.standin) as client:
        if arguments.voices:
            _list_voices(client)
        else:
            _speak(client, arguments)
    return 0


@contextlib.contextmanager
def _client(*, standin: bool) -> Generator[Cartesia, None, None]:
    if not standin:
        with Cartesia() as client:
            yield client
        return
    from cartesia_standin import StandIn  # noqa: PLC0415 - an event loop and a server, which only this needs

    with StandIn() as server, Cartesia(api_key=server.api_key, base_url=server.base_url, proxy="") as client:
        yield client


def _list_voices(client: Cartesia) -> None:
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names in any script, any terminal
    for voice in client.voices.list(limit=100):
        print(_one_line(f"{voice.id}  {voice.language:<3}  {voice.name}"))
    sys.stdout.flush()


def _speak(client: Cartesia, arguments: argparse.Namespace) -> None:
    text = sys.stdin.read().strip() if arguments.text == "-" else arguments.text
    format = _format(arguments.format, arguments.sample_rate)
    with whole_file(arguments.output) as file:
        audio = AudioFile(file, format)
        stream = client.tts.stream(
            model_id=arguments.model,
            transcript=text,
            voice=arguments.voice,
            language=arguments.language,
            output_format=format,
        )
        with stream:
            _receive(stream, audio)
        audio.finish()
    kind = " of placeholder speech from the stand-in" if arguments.standin else ""
    print(f"wrote {arguments.output}: {audio.seconds:.2f} seconds{kind}")


def _format(name: str, sample_rate: int) -> OutputFormat:
    match name:
        case "raw":
            return RawFormat("pcm_s16le", sample_rate)
        case "mp3":
            return Mp3Format(sample_rate, BIT_RATE)
        case _:
            return WavFormat("pcm_s16le", sample_rate)


def _receive(pieces: Iterable[bytes], audio: AudioFile) -> None:
    """Write what arrives, and show it on a terminal."""
    progress = _Progress(shown=sys.stderr.isatty())
    try:
        for piece in pieces:
            audio.write(piece)
            progress.show(audio.seconds)
    finally:
        progress.end()


@final
class _Progress:
    """One line on a terminal: seconds of audio so far, and how long the first took to come."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._started = time.perf_counter()
        self._first: float | None = None

    def show(self, seconds: float) -> None:
        """Show how much has arrived, once there is some."""
        if not self._shown or not seconds:
            return
        if self._first is None:
            self._first = time.perf_counter() - self._started
        line = f"\r{seconds:.1f} s of audio, the first after {self._first:.2f} s"
        print(line, end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._first is not None:
            print(file=sys.stderr)


def _one_line(text: str) -> str:
    """A text of others, fit for a terminal: no line breaks, no control sequences."""
    return "".join(character if character.isprintable() else " " for character in text)


def _terminate(number: int, frame: FrameType | None) -> None:
    """Unwind, so that no temporary file stays behind."""
    del frame
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(main())
