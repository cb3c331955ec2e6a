"""What was to be reached, and what was: the targets, each measured against its peer in the same rounds.

This module knows which figures a target compares and how far apart they are to be. It must not know how they came
about. A ratio is the median of the ratios of the rounds; all targets are of 4 KiB messages, in clear.
"""

from typing import Final, Literal, TypeAlias, final

from attrs import frozen

from benchmarks import body, imports, paced, sse, websocket
from benchmarks.measuring import Key, Results
from benchmarks.reporting import number, table
from benchmarks.timing import CPU

POINT: Final = "4096"

Want: TypeAlias = Literal["at least", "at most"]


@final
@frozen
class Target:
    """A ratio that was to be reached.

    Attributes:
        path: what is measured.
        over, under: the figures that are divided.
        base: if there is one, it is taken off the first: what is paid even without us.
        want, limit: how large the ratio is to be.
        against: whose figure the other is.
    """

    path: str
    over: Key
    under: Key
    want: Want
    limit: float
    against: str
    base: Key | None = None

    def measured(self, results: Results) -> float | None:
        """The ratio, None where a figure is missing."""
        if self.base is None:
            return results.ratio(self.over, self.under)
        ours, base, peer = (results.median(key) for key in (self.over, self.base, self.under))
        return None if ours is None or base is None or peer is None else (ours - base) / peer

    def row(self, results: Results) -> list[str]:
        """The target as a row of a table."""
        value = self.measured(results)
        verdict = "-" if value is None else "not met"
        if value is not None and (value >= self.limit if self.want == "at least" else value <= self.limit):
            verdict = "met"
        shown = "not measured" if value is None else f"{number(value)}x"
        return [self.path, self.against, f"{self.want} {self.limit:.3g}x", shown, verdict]


def _cpu(benchmark: str, contender: str, group: str = websocket.CLEAR, point: str = POINT) -> Key:
    return Key(benchmark, group, CPU, contender, point)


def _faster(
    benchmark: str, ours: str, peer: str, limit: float, group: str = websocket.CLEAR, point: str = POINT
) -> Target:
    """We are to cost so many times less."""
    path = f"{benchmark}, {group}: {ours}"
    over, under = _cpu(benchmark, peer, group, point), _cpu(benchmark, ours, group, point)
    return Target(path, over, under, "at least", limit, peer)


def _near(
    benchmark: str, ours: str, floor: str, limit: float, group: str = websocket.CLEAR, point: str = POINT
) -> Target:
    """We are to cost at most so many times what the floor costs."""
    path = f"{benchmark}, {group}: {ours}"
    over, under = _cpu(benchmark, ours, group, point), _cpu(benchmark, floor, group, point)
    return Target(path, over, under, "at most", limit, floor)


def _websocket() -> list[Target]:
    name = websocket.NAME
    pairs = (
        (websocket.URLLIB, websocket.OFFICIAL, websocket.FLOOR),
        (websocket.ASYNCIO, websocket.OFFICIAL_ASYNCIO, websocket.FLOOR_ASYNCIO),
    )
    targets: list[Target] = []
    for ours, official, floor in pairs:
        targets += [
            _faster(name, ours, official, 8.0),
            _faster(name, ours, websocket.AIOHTTP, 1.0),
            _near(name, ours, floor, 1.6),
        ]
    targets.append(_faster(name, websocket.TRIO_BATCHES, websocket.OFFICIAL_ASYNCIO, 5.0))
    bare = (
        (websocket.URLLIB, websocket.OFFICIAL),
        (websocket.ASYNCIO, websocket.OFFICIAL_ASYNCIO),
        (websocket.TRIO_BATCHES, websocket.OFFICIAL_ASYNCIO),
    )
    for ours, official in bare:
        targets += [
            _faster(name, ours, official, 2.5, websocket.WITHOUT_SPEED),
            _faster(name, ours, websocket.AIOHTTP_STANDARD, 1.0, websocket.WITHOUT_SPEED),
        ]
    return targets


def _streams() -> list[Target]:
    pairs = (
        (websocket.URLLIB, websocket.OFFICIAL, sse.HTTPX),
        (websocket.ASYNCIO, websocket.OFFICIAL_ASYNCIO, sse.HTTPX_ASYNCIO),
        (websocket.TRIO, websocket.OFFICIAL_ASYNCIO, sse.HTTPX_ASYNCIO),
    )
    batches = (websocket.TRIO_BATCHES, websocket.OFFICIAL_ASYNCIO, sse.HTTPX_ASYNCIO)
    targets: list[Target] = []
    for ours, official, httpx in (*pairs, batches):
        targets += [
            _faster(sse.NAME, ours, official, 6.0),
            _faster(sse.NAME, ours, httpx, 1.0),
            _faster(sse.NAME, ours, sse.AIOHTTP, 1.0),
        ]
    return [*targets, *(_faster(body.NAME, ours, official, 2.0) for ours, official, _ in pairs)]


def _paced() -> list[Target]:
    where = {"group": paced.CONNECTIONS, "point": "400 connections"}
    return [
        _faster(paced.NAME, websocket.ASYNCIO, websocket.OFFICIAL_ASYNCIO, 1.8, **where),
        _near(paced.NAME, websocket.ASYNCIO, websocket.FLOOR_ASYNCIO, 1.25, **where),
    ]


def _imports() -> list[Target]:
    targets: list[Target] = []
    for quantity in (imports.CPU_TIME, imports.WALL, imports.MODULES):

        def key(name: str, quantity: str = quantity) -> Key:
            return Key(imports.NAME, imports.GROUP, quantity, name, imports.POINT)

        rows = (
            (imports.URLLIB, None, imports.OFFICIAL),
            (imports.ASYNCIO, imports.BARE_ASYNCIO, imports.OFFICIAL_ASYNCIO),
            (imports.TRIO, imports.BARE_TRIO, imports.OFFICIAL_ASYNCIO),
        )
        for ours, bare, official in rows:
            path = f"{quantity} to import {ours}" + (f", less those of {bare}" if bare else "")
            base = None if bare is None else key(bare)
            targets.append(Target(path, key(ours), key(official), "at most", 1 / 3, official, base))
    return targets


def targets_table(results: Results) -> str:
    """Every target, what was measured, and whether it is met."""
    targets = [*_websocket(), *_streams(), *_paced(), *_imports()]
    return table(["path", "against", "target", "measured", ""], [target.row(results) for target in targets])
