"""The chart: what a message costs against the size of its chunk, a line for each contender.

This module knows matplotlib, of the `bench` extra, and imports it where it draws. matplotlib may have types or not, be
there or not: what is used of it is declared here.
"""

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from benchmarks.measuring import Results
from benchmarks.timing import CPU


class Axes(Protocol):
    """What is drawn on."""

    def plot(self, x: list[int], y: list[float], **options: object) -> object: ...
    def fill_between(self, x: list[int], low: list[float], high: list[float], **options: object) -> object: ...
    def set_xscale(self, value: str, **options: object) -> object: ...
    def set_yscale(self, value: str) -> object: ...
    def set_xticks(self, ticks: list[int], labels: list[str]) -> object: ...
    def set_xlabel(self, label: str) -> object: ...
    def set_ylabel(self, label: str) -> object: ...
    def set_title(self, label: str) -> object: ...
    def grid(self, **options: object) -> object: ...
    def legend(self, **options: object) -> object: ...


class Figure(Protocol):
    """What is saved."""

    def savefig(self, path: Path, **options: object) -> None: ...


class Matplotlib(Protocol):
    """What makes figures."""

    def subplots(self, **options: object) -> tuple[Figure, Axes]: ...
    def close(self, figure: Figure) -> None: ...


def draw(results: Results, benchmark: str, group: str, path: Path) -> bool:
    """Draw a chart as SVG; False where there is nothing to be drawn.

    Raises:
        SystemExit: matplotlib is not installed.
    """
    lines = _lines(results, benchmark, group)
    if not lines:
        return False
    try:
        import_module("matplotlib").use("svg")
    except ImportError:
        raise SystemExit("the chart needs matplotlib: pip install '.[bench]', or pass --no-chart") from None
    pyplot = cast("Matplotlib", import_module("matplotlib.pyplot"))
    figure, axes = pyplot.subplots(figsize=(11, 6.5), layout="constrained")
    sizes: list[int] = []
    for index, (contender, points) in enumerate(lines.items()):
        sizes = sorted(points)
        medians = [sorted(points[size])[len(points[size]) // 2] for size in sizes]
        ours = contender.startswith("cartesia_")
        line = {"linewidth": 2.5 if ours else 1.2, "linestyle": "-" if ours else "--", "color": f"C{index % 10}"}
        axes.plot(sizes, medians, label=contender, marker="os^vDPX"[index // 10 + (3 if ours else 0)], **line)
        low, high = [min(points[size]) for size in sizes], [max(points[size]) for size in sizes]
        axes.fill_between(sizes, low, high, alpha=0.12, color=f"C{index % 10}", linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{size} B" if size < 1024 else f"{size // 1024} KiB" for size in sizes])
    axes.set_xlabel("audio in a message")
    axes.set_ylabel(CPU)
    axes.set_title(f"{benchmark}, {group}: processor time of the client, median and range of all rounds")
    axes.grid(which="both", alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)
    return True


def _lines(results: Results, benchmark: str, group: str) -> dict[str, dict[int, list[float]]]:
    """For each contender its figures by size, the dearest first, as the lines lie."""
    lines: dict[str, dict[int, list[float]]] = {}
    for key, values in results.figures.items():
        if (key.benchmark, key.group, key.quantity) == (benchmark, group, CPU) and key.point.isdecimal():
            lines.setdefault(key.contender, {})[int(key.point)] = values
    return dict(sorted(lines.items(), key=lambda line: -max(min(values) for values in line[1].values())))
