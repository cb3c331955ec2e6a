"""The command line that every benchmark has: options, rounds, a table, a file and a chart.

This module knows what is common to running one benchmark and running all. It must not know what any measures: each
hands over a function that takes settings and answers with results.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from attrs import evolve

from benchmarks import chart
from benchmarks.measuring import Results, Settings
from benchmarks.reporting import tables, write_json

RESULTS: Final = Path("benchmarks") / "results"
"""Where results go, from the root of the repository."""

Run: TypeAlias = Callable[[Settings], Results]
"""A whole benchmark."""

QUICK: Final = Settings(rounds=1, seconds=0.05, quick=True)


def parser(description: str) -> argparse.ArgumentParser:
    """The options of every benchmark."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--rounds", type=int, help="turns of each contender (default 5, or 1 with --quick)")
    options.add_argument("--seconds", type=float, help="for which each plan is repeated (default 0.4)")
    options.add_argument("--quick", action="store_true", help="one short round, to see whether everything works")
    options.add_argument("--spaced", action="store_true", help="messages with spaces, as Python writes JSON by default")
    options.add_argument("--output", type=Path, help=f"the JSON file; charts are put beside it (default in {RESULTS})")
    options.add_argument("--no-chart", action="store_true", help="draw nothing; needs no matplotlib")
    return options


def settings(arguments: argparse.Namespace) -> Settings:
    """What the options come to."""
    chosen = evolve(QUICK if arguments.quick else Settings(), spaced=arguments.spaced)
    if arguments.rounds is not None:
        chosen = evolve(chosen, rounds=max(arguments.rounds, 1))
    return chosen if arguments.seconds is None else evolve(chosen, seconds=arguments.seconds)


def finish(results: Results, output: Path, summary: str = "", *, draws: bool) -> int:
    """Write and show what came of it, charts last, for they may lack matplotlib; the exit status."""
    write_json(results, output)
    print("\n\n".join(filter(None, (tables(results), summary))), flush=True)
    written = [output, *(draw_all(results, output.parent) if draws else ())]
    print(f"\nWritten: {', '.join(map(str, written))}", file=sys.stderr)
    return 1 if results.failures else 0


def draw_all(results: Results, folder: Path) -> list[Path]:
    """A chart for each variety of each benchmark that has sizes."""
    groups = dict.fromkeys((key.benchmark, key.group) for key in results.figures)
    paths = {(benchmark, group): folder / f"{benchmark}-{group.replace(' ', '-')}.svg" for benchmark, group in groups}
    return [path for (benchmark, group), path in paths.items() if chart.draw(results, benchmark, group, path)]


def main(name: str, description: str, run: Run) -> None:
    """Run one benchmark from the command line."""
    arguments = parser(description).parse_args()
    results = run(settings(arguments))
    sys.exit(finish(results, arguments.output or RESULTS / f"{name}.json", draws=not arguments.no_chart))


def run_all(runs: Mapping[str, Run], chosen: Settings, names: Sequence[str]) -> Results:
    """Several benchmarks as one."""
    results = Results()
    for name in names or runs:
        results.update(runs[name](chosen))
    return results
