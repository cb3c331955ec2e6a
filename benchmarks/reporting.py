"""What a run came to, for people and programs: tables, a JSON file, and the machine it ran on.

This module knows how figures are written. It must not know what they mean, nor how they came about.
"""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from attrs import asdict, evolve

from benchmarks.measuring import Key, Results
from benchmarks.timing import BUSY, CPU, RATE, SERVER_CPU

PACKAGES: Final = (
    "cartesia-proto", "cartesia", "aiohttp", "websockets", "httpx", "httpx-sse", "orjson", "pybase64", "trio", "attrs",
    "cattrs", "h11", "wsproto",
)  # fmt: skip
"""Whose versions a report names."""


def machine() -> dict[str, str]:
    """The machine and everything whose version matters."""
    described = {
        "date": datetime.now(UTC).date().isoformat(),
        "CPU": _cpu_model(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for name in PACKAGES:
        try:
            described[name] = version(name)
        except PackageNotFoundError:
            described[name] = "not installed"
    return described


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text("utf-8").splitlines() if information.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def number(value: float) -> str:
    """A figure with three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, aligned for those who read it as it is."""
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    aligned = [
        "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |"
        for row in (heading, *rows)
    ]
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([aligned[0], rule, *aligned[1:]])


def _ordered(names: Sequence[str]) -> list[str]:
    """Names once each, in their order."""
    return list(dict.fromkeys(names))


def tables(results: Results) -> str:
    """A table for each benchmark, variety and quantity: contenders down, points across."""
    parts: list[str] = []
    for benchmark, group, quantity in _ordered_sections(results):
        keys = [
            key for key in results.figures if (key.benchmark, key.group, key.quantity) == (benchmark, group, quantity)
        ]
        points = _ordered([key.point for key in keys])
        rows = [
            [contender, *(_cell(results, Key(benchmark, group, quantity, contender, point)) for point in points)]
            for contender in _ordered([key.contender for key in keys])
        ]
        rows.sort(key=lambda row: _first_median(results, Key(benchmark, group, quantity, row[0], points[-1])))
        parts.append(f"### {benchmark}, {group}: {quantity}\n\n{table(['', *points], rows)}")
    parts.append(server_table(results))
    parts += [f"Left out: {name}, {why}." for name, why in results.left_out.items()]
    parts += [f"FAILED: {failure}" for failure in results.failures]
    return "\n\n".join(filter(None, parts))


def server_table(results: Results) -> str:
    """How much faster the server goes where bytes are thrown away than the fastest client and floor could take them."""
    rows: list[list[str]] = []
    for key in results.figures:
        if key.quantity == RATE and (spent := results.median(evolve(key, quantity=SERVER_CPU))) is not None:
            rivals = [
                other for other in results.figures if other == evolve(key, quantity=CPU, contender=other.contender)
            ]
            floors = [rival for rival in rivals if rival.contender.startswith("floor")]
            rates = [_fastest(results, [rival for rival in rivals if rival not in floors]), _fastest(results, floors)]
            rate = results.median(key) or 0.0
            times = [f"{number(other)} ({number(rate / other)}x)" if other else "-" for other in rates]
            rows.append([f"{key.group}, {key.point}", number(rate), *times, number(spent)])
    heading = ["", "thrown away, messages/s", "fastest client, a core", "fastest floor, a core", SERVER_CPU]
    return f"### How fast the server goes\n\n{table(heading, rows)}" if rows else ""


def _fastest(results: Results, keys: Sequence[Key]) -> float:
    """Messages per second of the cheapest, had it a core to itself."""
    return max((1e6 / cpu for key in keys if (cpu := results.median(key))), default=0.0)


def _shown(key: Key) -> bool:
    """Whether a figure is worth a table: what only shows that a run was sound stays in the file."""
    return not (key.quantity in {RATE, SERVER_CPU} or (key.quantity == BUSY and key.benchmark != "paced"))


def _ordered_sections(results: Results) -> list[tuple[str, str, str]]:
    sections = dict.fromkeys((key.benchmark, key.group, key.quantity) for key in results.figures if _shown(key))
    benchmarks = _ordered([section[0] for section in sections])
    return sorted(sections, key=lambda section: (benchmarks.index(section[0]), section[2], section[1]))


def _first_median(results: Results, key: Key) -> float:
    median = results.median(key)
    return float("inf") if median is None else median


def _cell(results: Results, key: Key) -> str:
    values = results.figures.get(key)
    if not values:
        return "-"
    spread = f" ({number(min(values))}-{number(max(values))})" if len(values) > 1 else ""
    return number(statistics.median(values)) + spread


def write_json(results: Results, path: Path) -> None:
    """Every figure of every round."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figures = [{**asdict(key), "rounds": values} for key, values in results.figures.items()]
    document = {
        "machine": machine(),
        "left_out": results.left_out,
        "failures": results.failures,
        "figures": figures,
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_json(path: Path) -> tuple[Results, dict[str, str]]:
    """The figures of an earlier run, and the machine it ran on."""
    document = json.loads(path.read_text("utf-8"))
    results = Results(left_out=document["left_out"], failures=document["failures"])
    for fields in document["figures"]:
        rounds: list[float] = fields.pop("rounds")
        results.figures[Key(**fields)] = rounds
    return results, document["machine"]
