"""Rounds: every contender in a process of its own, one after the other, again and again, and what comes of it.

This module knows processes, turns and statistics. It must not know what is measured. Contenders take turns within each
round, beginning with another each time, so that what slows the machine down slows all of them down; a ratio compares
figures of one round, and the median of these ratios is what counts.
"""

import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, final

from attrs import define, evolve, field, frozen

from benchmarks.plans import Job, Plan, Point

PATIENCE: Final = 120.0
"""Seconds after which a contender counts as stuck."""

SPEED: Final = ("orjson", "pybase64")
"""The modules of the `speed` extra."""


_EXCEPTION: Final = re.compile(r"[\w.]+: ")
"""How the line of a traceback begins that names what was raised."""


@final
@frozen
class Settings:
    """How thoroughly to measure.

    Attributes:
        rounds: turns of each contender.
        seconds: for which each plan is repeated, at least.
        quick: fewer and smaller plans, to see whether everything works.
        spaced: JSON with spaces.
    """

    rounds: int = 5
    seconds: float = 0.4
    quick: bool = False
    spaced: bool = False


@final
@frozen
class Contender:
    """Somebody who is measured.

    Attributes:
        name: in tables and charts.
        function: in ``benchmarks.contenders``, such as ``floor.websocket_blocking``.
        needs: modules without which it is left out.
        hidden: modules that it must not find.
    """

    name: str
    function: str
    needs: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """What it needs and is not installed."""
        return [name for name in self.needs if find_spec(name) is None]


@final
@frozen
class Key:
    """What a figure is a figure of.

    Attributes:
        benchmark: such as ``websocket``.
        group: its variety, such as ``clear``.
        quantity: what is measured, with its unit.
        contender, point: who, and at what.
    """

    benchmark: str
    group: str
    quantity: str
    contender: str
    point: str


@define
class Results:
    """Figures of every round, and who had none.

    Attributes:
        figures: one for each round.
        left_out: contenders that are not installed, and what they lack.
        failures: contenders that broke down, and how.
    """

    figures: dict[Key, list[float]] = field(factory=dict[Key, list[float]])
    left_out: dict[str, str] = field(factory=dict[str, str])
    failures: list[str] = field(factory=list[str])

    def add(self, benchmark: str, group: str, contender: str, points: Iterable[Point]) -> None:
        """Add what a contender measured in a round."""
        for point in points:
            for quantity, value in point.quantities.items():
                self.figures.setdefault(Key(benchmark, group, quantity, contender, point.name), []).append(value)

    def update(self, other: "Results") -> None:
        """Add everything of another benchmark's."""
        self.figures.update(other.figures)
        self.left_out.update(other.left_out)
        self.failures += other.failures

    def median(self, key: Key) -> float | None:
        """The median of a figure, None where there is none."""
        values = self.figures.get(key)
        return statistics.median(values) if values else None

    def ratio(self, over: Key, under: Key) -> float | None:
        """The median of the ratios of two figures, round by round; None where one is missing."""
        pairs = list(zip(self.figures.get(over, ()), self.figures.get(under, ()), strict=False))
        return statistics.median(first / second for first, second in pairs) if pairs else None


@final
@frozen
class Origins:
    """Where the server is, in clear and encrypted, and the file with its authority."""

    clear: str
    encrypted: str
    authority: Path


@contextmanager
def serving() -> Generator[Origins, None, None]:
    """A server in a process of its own, with a certificate that was made for it.

    Raises:
        SystemExit: trustme is not installed.
    """
    try:
        import trustme  # noqa: PLC0415 - of the bench extra; only who runs a server needs it
    except ImportError:
        raise SystemExit("the server needs a certificate: pip install '.[bench]', for trustme") from None
    with TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "authority.pem")
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "benchmarks.server", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with process:
            if process.stdin is None or process.stdout is None:
                raise AssertionError("both are pipes")
            origins: dict[str, str] = json.loads(process.stdout.readline())
            try:
                yield Origins(origins["http"], origins["https"], folder / "authority.pem")
            finally:
                process.stdin.close()


def environment(origins: Origins | None) -> dict[str, str]:
    """The environment of a contender: no proxies, no credentials, and the server's authority to be trusted.

    What is compiled is kept for the next process, as it is for users: else imports of what pip has not compiled, such
    as ourselves where we are installed to be edited, are measured with their compilation.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith("_PROXY")
        and not name.startswith("CARTESIA_")
        and name != "PYTHONDONTWRITEBYTECODE"
    }
    return kept if origins is None else {**kept, "SSL_CERT_FILE": str(origins.authority)}


def run_job(job: Job, origins: Origins | None) -> list[Point]:
    """Do a job in a process of its own.

    Raises:
        RuntimeError: it broke down or got stuck; the message has its last words.
    """
    try:
        process = subprocess.run(
            [sys.executable, "-m", "benchmarks.worker"],
            input=job.to_json(),
            env=environment(origins),
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"it was stuck after {PATIENCE:g} seconds") from None
    if process.returncode:
        raise RuntimeError(last_words(process.stderr) or f"exit status {process.returncode}")
    return [Point(**fields) for fields in json.loads(process.stdout)]


def last_words(errors: str) -> str:
    """The last line of a traceback that names an exception; those of exception groups are framed."""
    lines = [line.strip(" |+-") for line in reversed(errors.splitlines())]
    return next((line for line in lines if _EXCEPTION.match(line)), next(filter(None, lines), ""))


def progress(words: str) -> None:
    """Tell who watches what is being done."""
    print(words, file=sys.stderr, flush=True)


def compete(
    benchmark: str,
    groups: Mapping[str, Sequence[Contender]],
    plans: Sequence[Plan],
    settings: Settings,
    origins: Origins | None,
) -> Results:
    """Measure every contender in every round.

    Args:
        groups: contenders by the variety of the benchmark; whatever group is named ``TLS`` is encrypted.
    """
    results = Results()
    turns = [(group, contender) for group, contenders in groups.items() for contender in contenders]
    for _, contender in turns:
        if contender.missing:
            results.left_out[contender.name] = f"not installed: {', '.join(contender.missing)}"
    turns = [(group, contender) for group, contender in turns if not contender.missing]
    for number in range(settings.rounds):
        first = number * len(turns) // settings.rounds
        for index, (group, contender) in enumerate(turns[first:] + turns[:first], 1):
            progress(
                f"{benchmark} · round {number + 1}/{settings.rounds} · {index}/{len(turns)} · {group}: {contender.name}"
            )
            job = _job(contender, group, plans, settings, origins)
            try:
                points = run_job(job, origins)
            except RuntimeError as error:
                results.failures.append(f"{benchmark}, {group}, {contender.name}: {error}")
                progress(f"  failed: {error}")
            else:
                results.add(benchmark, group, contender.name, points)
    return results


def _job(contender: Contender, group: str, plans: Sequence[Plan], settings: Settings, origins: Origins | None) -> Job:
    module, _, function = contender.function.rpartition(".")
    job = Job(f"benchmarks.contenders.{module}", function, seconds=settings.seconds, hidden=contender.hidden)
    job = evolve(job, tls=group == "TLS", plans=tuple(evolve(plan, spaced=settings.spaced) for plan in plans))
    return job if origins is None else evolve(job, clear=origins.clear, encrypted=origins.encrypted)
