"""The part of README.md that a run writes: the machine, targets, tables and charts of the latest results.

This module knows between which marks that part stands. Everything else in the file is written by people.
"""

from pathlib import Path
from typing import Final

from benchmarks.measuring import Results
from benchmarks.reporting import tables
from benchmarks.targets import targets_table

README: Final = Path(__file__).with_name("README.md")
BEGIN: Final = "<!-- table -->"
END: Final = "<!-- end -->"


def render(results: Results, machine: dict[str, str], charts: list[Path]) -> str:
    """The part, in Markdown."""
    described = ", ".join(f"{name} {value}" for name, value in machine.items())
    pictures = [f"![{path.stem}]({path.relative_to(README.parent).as_posix()})" for path in charts]
    parts = [f"Measured on: {described}.", "### Targets", targets_table(results), *pictures, tables(results)]
    return "\n\n".join(parts)


def update(results: Results, machine: dict[str, str], charts: list[Path]) -> None:
    """Write it.

    Raises:
        SystemExit: the file lacks a mark.
    """
    text = README.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{README.name} needs the marks {BEGIN} and {END}, in this order")
    README.write_text(f"{before}{BEGIN}\n\n{render(results, machine, charts)}\n\n{END}{after}", "utf-8")
