"""``python -m cartesia_urllib`` as a process of its own, against the stand-in on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from cartesia_proto.audio import wav
from cartesia_proto.audio.formats import WavFormat
from cartesia_standin import DEFAULT_VOICE_ID, CutAfter, Stall, StandIn, Status
from cartesia_urllib.__main__ import DEFAULT_MODEL, DEFAULT_VOICE, main
from tests.conftest import WAIT

HELLO: Final = "Hello, world!"


def environment(**variables: str) -> dict[str, str]:
    """The environment of this process without a key, a base URL or a proxy of its own."""
    ours = ("CARTESIA_", "PYTHONIOENCODING")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")} | variables


def command(*arguments: str) -> list[str]:
    """A command line for `subprocess`."""
    return [sys.executable, "-m", "cartesia_urllib", *arguments]


def run(
    directory: Path, *arguments: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    return subprocess.run(  # noqa: S603 - our own command
        command(*arguments),
        input=stdin,
        capture_output=True,
        cwd=directory,
        env=environment(**(variables or {})),
        timeout=WAIT,
        check=False,
    )


def reach(server: StandIn) -> dict[str, str]:
    """The variables that lead to a stand-in in this process."""
    return {"CARTESIA_API_KEY": server.api_key, "CARTESIA_BASE_URL": server.base_url}


def names(directory: Path) -> list[str]:
    """Everything in a directory, hidden or not."""
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A stand-in in this process."""
    with StandIn() as server:
        yield server


def test_hello(tmp_path: Path) -> None:
    """One command writes a WAV file that opens in `wave`, with true sizes, and says so in one line."""
    done = run(tmp_path, HELLO, "-o", "hello.wav", "--standin")
    assert (done.returncode, done.stderr) == (0, b"")
    with wave.open(str(tmp_path / "hello.wav")) as file:
        parameters = file.getparams()
        samples = file.readframes(parameters.nframes)
    assert parameters[:3] == (1, 2, 44100)
    assert any(samples)
    assert wav.parse_wav((tmp_path / "hello.wav").read_bytes()).size_declared
    assert names(tmp_path) == ["hello.wav"]
    seconds = f"{parameters.nframes / 44100:.2f} seconds of placeholder speech from the stand-in"
    assert done.stdout.decode() == f"wrote hello.wav: {seconds}{os.linesep}"


def test_the_arguments_arrive(tmp_path: Path, server: StandIn) -> None:
    """Text from standard input, voice, model, language, format and rate are what is asked for."""
    done = run(
        tmp_path,
        *("-", "-o", "out.raw", "--voice", "694f9389-aac1-45b6-b726-9d9369183238", "--model", "sonic-3"),
        *("--language", "de", "--format", "raw", "--sample-rate", "8000"),
        stdin=b"Guten Tag.\n",
        variables=reach(server),
    )
    assert (done.returncode, done.stderr) == (0, b"")
    [request] = server.requests
    body = request.body.decode()
    for part in ("Guten Tag.", "694f9389-aac1-45b6-b726-9d9369183238", '"sonic-3"', '"de"', '"raw"', "8000", "s16le"):
        assert part in body
    size = (tmp_path / "out.raw").stat().st_size
    assert f"wrote out.raw: {size / 16000:.2f} seconds" in done.stdout.decode()


def test_the_defaults(tmp_path: Path, server: StandIn) -> None:
    """The default voice is one that the stand-in has, too; an existing file is replaced."""
    (tmp_path / "hello.wav").write_bytes(b"old")
    assert run(tmp_path, HELLO, "-o", "hello.wav", variables=reach(server)).returncode == 0
    assert DEFAULT_VOICE == DEFAULT_VOICE_ID
    body = server.requests[0].body.decode()
    assert DEFAULT_VOICE in body
    assert f'"{DEFAULT_MODEL}"' in body
    assert (tmp_path / "hello.wav").read_bytes().startswith(b"RIFF")


def test_without_a_key(tmp_path: Path) -> None:
    """The error names both ways out."""
    done = run(tmp_path, HELLO, "-o", "hello.wav")
    assert done.returncode == 2
    assert b"CARTESIA_API_KEY" in done.stderr
    assert b"--standin" in done.stderr
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "arguments", [["--standin"], [HELLO, "--standin"], [HELLO, "-o", "x", "--standin", "--format", "x"]]
)
def test_misuse(tmp_path: Path, arguments: list[str]) -> None:
    """What is missing or unknown is named; the exit status is that of misuse."""
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert b"error: " in done.stderr


def test_voices(tmp_path: Path, server: StandIn) -> None:
    """One line for each voice, over all pages; in a terminal's encoding, whatever it is."""
    done = run(tmp_path, "--voices", variables={**reach(server), "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode("ascii").splitlines()
    assert any(line.startswith(DEFAULT_VOICE) for line in lines)
    assert len({line.split()[0] for line in lines}) == len(lines) > 3


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break differently there")
def test_voices_into_a_pipe_that_breaks(tmp_path: Path, server: StandIn) -> None:
    """A reader that has had enough is no error, and nobody complains."""
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(  # noqa: S603 - our own command
        command("--voices"), stdout=writing, stderr=subprocess.PIPE, cwd=tmp_path, env=environment(**reach(server))
    ) as process:
        os.close(writing)
        _, stderr = process.communicate(timeout=WAIT)
    assert (process.returncode, stderr) == (0, b"")


def test_an_error_is_one_line(tmp_path: Path, server: StandIn) -> None:
    """No traceback, no key, no file; control characters of others do not reach the terminal."""
    server.script(Status(402, {"Content-Type": "text/plain"}, b"out of\x1b[31m\ncredits"))
    done = run(tmp_path, HELLO, "-o", "hello.wav", variables=reach(server))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: 402")
    assert done.stderr.count(b"\n") == 1
    assert b"\x1b" not in done.stderr
    assert server.api_key.encode() not in done.stderr
    assert names(tmp_path) == []


@pytest.mark.parametrize("output", ["nowhere/hello.wav", "."])
def test_where_nothing_can_be_written(tmp_path: Path, server: StandIn, output: str) -> None:
    """That shows before anything is asked, and paid for."""
    done = run(tmp_path, HELLO, "-o", output, variables=reach(server))
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert server.requests == ()


def test_a_body_that_is_cut(tmp_path: Path, server: StandIn) -> None:
    """Half a file is no file; what was there before stays."""
    (tmp_path / "hello.wav").write_bytes(b"old")
    server.script(CutAfter(20_000))
    done = run(tmp_path, HELLO, "-o", "hello.wav", variables=reach(server))
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert names(tmp_path) == ["hello.wav"]
    assert (tmp_path / "hello.wav").read_bytes() == b"old"


def test_no_audio_at_all(tmp_path: Path, server: StandIn) -> None:
    """A file with nothing to hear is not written."""
    header = wav.wav_header(WavFormat("pcm_s16le", 44100), None)
    server.script(Status(200, {"Content-Type": "audio/wav"}, header))
    done = run(tmp_path, HELLO, "-o", "hello.wav", variables=reach(server))
    assert (done.returncode, done.stderr.strip()) == (1, b"error: the server sent no audio")
    assert names(tmp_path) == []


def test_mp3(tmp_path: Path, server: StandIn) -> None:
    """The body is written as it comes; its length in seconds follows from the bit rate."""
    server.script(Status(200, {"Content-Type": "audio/mpeg"}, b"\xff" * 32_000))
    done = run(tmp_path, HELLO, "-o", "hello.mp3", "--format", "mp3", variables=reach(server))
    assert done.returncode == 0
    assert (tmp_path / "hello.mp3").read_bytes() == b"\xff" * 32_000
    assert "wrote hello.mp3: 2.00 seconds" in done.stdout.decode()


def test_standard_input_that_is_no_text(tmp_path: Path) -> None:
    """One line, too."""
    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    done = run(tmp_path, "-", "-o", "x.wav", "--standin", stdin=b"\xff\xfe", variables=strict)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert done.stderr.count(b"\n") == 1
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no terminals to open, and signals are others there")
@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_interrupted_on_a_terminal(tmp_path: Path, server: StandIn, number: signal.Signals, status: int) -> None:
    """While audio streams the terminal shows how much; an interruption leaves nothing behind."""
    server.script(Stall(60_000))
    ours, theirs = os.openpty()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, ours)
        process = stack.enter_context(
            subprocess.Popen(  # noqa: S603 - our own command
                command(HELLO, "-o", "hello.wav"),
                stderr=theirs,
                stdout=subprocess.PIPE,
                cwd=tmp_path,
                env=environment(**reach(server)),
            )
        )
        os.close(theirs)
        timer = threading.Timer(WAIT, process.kill)
        stack.callback(timer.cancel)
        timer.start()
        shown = b""
        while b"s of audio, the first after" not in shown:
            shown += os.read(ours, 1024)
        [partial] = names(tmp_path)
        assert partial.startswith(".hello.wav.")
        process.send_signal(number)
        process.communicate(timeout=WAIT)
        assert process.returncode == status
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no terminals to open there")
def test_progress_on_a_terminal(tmp_path: Path, server: StandIn) -> None:
    """Standard error ends with the whole length; the last line goes to standard output."""
    ours, theirs = os.openpty()
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command(HELLO, "-o", "hello.wav"),
            stdout=subprocess.PIPE,
            stderr=theirs,
            cwd=tmp_path,
            env=environment(**reach(server)),
            timeout=WAIT,
            check=False,
        )
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0
    seconds = float(done.stdout.split()[2])
    assert shown.rstrip().rpartition("\r")[2].startswith(f"{seconds:.1f} s of audio, the first after 0")


def test_within_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`main` takes arguments and answers with the exit status."""
    path = tmp_path / "hello.wav"
    assert main([HELLO, "-o", str(path), "--standin"]) == 0
    assert capsys.readouterr().out.startswith(f"wrote {path}: ")
