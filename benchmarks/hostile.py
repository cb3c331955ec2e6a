"""What inputs cost that were made to cost more than they weigh: seconds of CPU and megabytes beside the input itself.

    python -m benchmarks.hostile
    python -m benchmarks.hostile --against /another/clone/.venv/bin/python

Each input is fed to the core in a process of its own, by the program `benchmarks.contenders.hostile`; on Linux only.
The library is the one that is installed for the interpreter. With ``--against``, the one of another interpreter takes
its turn after each, so that figures from before and after a change are pairs.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.contenders.hostile import INPUTS
from benchmarks.measuring import PATIENCE, Results, Settings, environment, last_words, progress
from benchmarks.plans import Point
from benchmarks.running import RESULTS, finish, parser, settings

NAME: Final = "hostile"
HERE: Final = "installed here"
OTHER: Final = "against"
POINT: Final = "input"

CPU_TIME: Final = "CPU s"
MEMORY: Final = "MB"

PROGRAM: Final = Path(__file__).with_name("contenders") / "hostile.py"


def _measure(python: str, name: str) -> Point:
    """Feed one input.

    Raises:
        RuntimeError: it broke the program, or took too long.
    """
    command = [python, "-I", str(PROGRAM), name]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, env=environment(None), capture_output=True, check=False, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"it was stuck after {PATIENCE:g} seconds") from None
    if done.returncode:
        raise RuntimeError(last_words(done.stderr) or f"exit status {done.returncode}")
    cost = json.loads(done.stdout)
    progress(f"  {cost['seconds']:.2f} s, {cost['bytes'] / 1e6:.0f} MB: {cost['ended']}")
    return Point(POINT, {CPU_TIME: cost["seconds"], MEMORY: cost["bytes"] / 1e6})


def compare(chosen: Settings, pythons: Mapping[str, str]) -> Results:
    """Every input in every round, by each interpreter in turn."""
    results = Results()
    for number in range(chosen.rounds):
        for name in INPUTS:
            for group, python in pythons.items():
                progress(f"{NAME} · round {number + 1}/{chosen.rounds} · {group}: {name}")
                try:
                    results.add(NAME, group, name, [_measure(python, name)])
                except RuntimeError as error:
                    results.failures.append(f"{NAME}, {group}, {name}: {error}")
                    progress(f"  failed: {error}")
    return results


def run(chosen: Settings) -> Results:
    """All inputs, here."""
    return compare(chosen, {HERE: sys.executable})


def main() -> int:
    """Run from the command line; the exit status."""
    options = parser("Hostile inputs: CPU seconds and megabytes.")
    options.add_argument("--against", metavar="PYTHON", help="an interpreter with another state of the library")
    arguments = options.parse_args()
    pythons = {HERE: sys.executable} | ({OTHER: arguments.against} if arguments.against else {})
    output = arguments.output or RESULTS / f"{NAME}.json"
    return finish(compare(settings(arguments), pythons), output, draws=False)


if __name__ == "__main__":
    sys.exit(main())
