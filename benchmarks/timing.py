"""The stopwatch of a contender: what is repeated, for how long, and what the processor spent on it.

This module knows how a plan becomes a point. It must not know any library, nor on what runtime it is awaited: whoever
measures hands over what is to be repeated. Time is the processor's, of the whole process with all its threads.
"""

import gc
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, final

from benchmarks.plans import Checker, Job, Plan, Point

CPU: Final = "CPU µs per message"
CPU_PER_CONTEXT: Final = "CPU µs per context"
CPU_PER_REQUEST: Final = "CPU µs per request"
BUSY: Final = "busy %"
"""Processor time by the clock on the wall: 100 says that the contender never waited for the server."""
RATE: Final = "messages per second"
SERVER_CPU: Final = "server CPU µs per message"
CALLS: Final = "calls per core"
HELD: Final = "pace held %"
"""Messages that came, of those that were due: less than 100 says that the contender could not keep up."""
ROUND_TRIP: Final = "µs per request"
FIRST_BYTE: Final = "µs to the first byte"
IDLE_MEMORY: Final = "bytes per idle connection"
CONTEXT_MEMORY: Final = "bytes per open context"

SETTLING: Final = 1.0
"""Seconds for which paced contexts run before they are looked at."""

Speak: TypeAlias = Callable[[Plan], None]
"""Does once what a plan says."""

AsyncSpeak: TypeAlias = Callable[[Plan], Awaitable[None]]
"""The same, awaited."""


@final
class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        gc.collect()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    @property
    def wall(self) -> float:
        """Seconds on the wall."""
        return time.perf_counter() - self._wall

    @property
    def cpu(self) -> float:
        """Seconds of the processor."""
        return time.process_time() - self._cpu

    def point(self, name: str, quantity: str, times: int) -> Point:
        """What each of so many cost."""
        cpu, wall = self.cpu, self.wall
        return Point(name, {quantity: cpu / times * 1e6, BUSY: cpu / wall * 100.0, RATE: times / wall})


def repeat(job: Job, speak: Speak) -> list[Point]:
    """Do each plan once to warm up, then again and again for the seconds of the job."""
    points: list[Point] = []
    for plan in job.plans:
        speak(plan)
        watch, times = Stopwatch(), 0
        while not times or watch.wall < job.seconds:
            speak(plan)
            times += 1
        points.append(_point(watch, plan, times))
    return points


async def repeat_awaiting(job: Job, speak: AsyncSpeak) -> list[Point]:
    """The same on any runtime."""
    points: list[Point] = []
    for plan in job.plans:
        await speak(plan)
        watch, times = Stopwatch(), 0
        while not times or watch.wall < job.seconds:
            await speak(plan)
            times += 1
        points.append(_point(watch, plan, times))
    return points


def _point(watch: Stopwatch, plan: Plan, times: int) -> Point:
    if plan.mode == "gathered":
        return watch.point(str(plan.contexts), CPU_PER_CONTEXT, times * plan.contexts)
    return watch.point(str(plan.size), CPU, times * plan.count)


@final
class Window:
    """Looks at paced contexts for a while.

    Args:
        checkers: of all contexts, which count what comes.
    """

    def __init__(self, plan: Plan, seconds: float, checkers: Sequence[Checker]) -> None:
        self._plan = plan
        self._seconds = seconds
        self._checkers = checkers

    def look(self) -> Point:
        """From a thread of its own."""
        time.sleep(SETTLING)
        before, watch = self._count, Stopwatch()
        time.sleep(self._seconds)
        return self._point(watch, before)

    async def look_awaiting(self, sleep: Callable[[float], Awaitable[object]]) -> Point:
        """From a task of its own."""
        await sleep(SETTLING)
        before, watch = self._count, Stopwatch()
        await sleep(self._seconds)
        return self._point(watch, before)

    @property
    def _count(self) -> int:
        return sum(checker.count for checker in self._checkers)

    def _point(self, watch: Stopwatch, before: int) -> Point:
        cpu, wall, count = watch.cpu, watch.wall, self._count - before
        due = self._plan.contexts * wall / self._plan.interval
        each = cpu / max(count, 1)
        return Point(
            paced_name(self._plan),
            {
                CPU: each * 1e6,
                CALLS: self._plan.interval / each,
                HELD: count / due * 100.0,
                BUSY: cpu / wall * 100.0,
            },
        )


def paced_plan(plan: Plan, seconds: float) -> Plan:
    """The plan with as many chunks as are needed while it is looked at."""
    count = int((SETTLING + seconds + 1.0) / plan.interval)
    return Plan("paced", plan.size, count, plan.contexts, plan.connections, plan.interval, plan.spaced)


def paced_name(plan: Plan) -> str:
    """What a paced plan is called in tables."""
    if plan.contexts == plan.connections:
        return f"{plan.connections} connections"
    return f"{plan.contexts} contexts on {plan.connections}"


def request_point(watch: Stopwatch, waits: Sequence[int]) -> Point:
    """What requests cost.

    Args:
        waits: of each, nanoseconds from the call to when the server received its first byte.
    """
    cpu, wall, times = watch.cpu, watch.wall, len(waits)
    median = sorted(waits)[times // 2]
    return Point(
        "voices.get",
        {CPU_PER_REQUEST: cpu / times * 1e6, ROUND_TRIP: wall / times * 1e6, FIRST_BYTE: median / 1e3},
    )


def memory_point(before: int, connected: int, connections: int, opened: int, contexts: int) -> Point:
    """What connections and contexts hold on to, from traced bytes before, between and after."""
    return Point(
        "traced",
        {IDLE_MEMORY: (connected - before) / connections, CONTEXT_MEMORY: (opened - connected) / contexts},
    )


def traced() -> int:
    """Bytes that Python holds just now."""
    gc.collect()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
