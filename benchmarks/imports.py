"""What it costs to begin: milliseconds, modules and memory of imports, up to ``client.tts`` and up to a first request.

    python -m benchmarks.imports

Each in a fresh interpreter, beside the official SDK and beside the runtimes alone. Everything is imported once before,
so that compiling is not measured. The first request goes to a port that refuses it at once: what was left to be
imported until then counts too. Memory is how much the peak of the process grew, as Linux tells it in ``/proc``.
"""

import json
import subprocess
import sys
from typing import Final

from benchmarks.measuring import Contender, Results, Settings, environment, progress
from benchmarks.plans import Point
from benchmarks.running import main

NAME: Final = "imports"
GROUP: Final = "fresh interpreter"
POINT: Final = "import"

WALL: Final = "ms"
CPU_TIME: Final = "CPU ms"
MODULES: Final = "modules"
MEMORY: Final = "MB"

TURNS: Final = 3
"""Measurements in each round: an import takes little time."""

_PROGRAM: Final = """\
import sys
from time import perf_counter, process_time
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
modules, memory = len(sys.modules), peak()
wall, cpu = perf_counter(), process_time()
{statement}
wall, cpu = perf_counter() - wall, process_time() - cpu
print([wall * 1e3, cpu * 1e3, len(sys.modules) - modules, (peak() - memory) * 1024 / 1e6])
"""

PROTO: Final = "cartesia_proto"
URLLIB: Final = "cartesia_urllib, client.tts"
ASYNCIO: Final = "cartesia_asyncio, client.tts"
TRIO: Final = "cartesia_trio, client.tts"
BARE_ASYNCIO: Final = "asyncio, ssl"
BARE_TRIO: Final = "trio"
OFFICIAL: Final = "official SDK, client.tts"
OFFICIAL_ASYNCIO: Final = "official SDK, asyncio, client.tts"

REFUSING: Final = "http://127.0.0.1:9"
"""The port of a service that hardly any machine runs today (RFC 863)."""


def _asked(imported: str, asking: str) -> str:
    """Import and make a client, and ask for a voice, which must be refused."""
    return f"""\
{imported}
try:
    {asking.format(client=f"Client(api_key='k', base_url='{REFUSING}', max_retries=0)")}
except Exception as error:
    assert "Connect" in type(error).__name__, error
else:
    raise AssertionError("somebody answered")"""


_BLOCKING: Final = "{client}.voices.get('v')"
_ASYNCIO: Final = "import asyncio; asyncio.run({client}.voices.get('v'))"
_TRIO: Final = "import trio; trio.run({client}.voices.get, 'v')"

CONTENDERS: Final = (
    Contender(PROTO, "import cartesia_proto"),
    Contender(URLLIB, "from cartesia_urllib import Cartesia; Cartesia(api_key='k').tts"),
    Contender(ASYNCIO, "from cartesia_asyncio import AsyncCartesia; AsyncCartesia(api_key='k').tts"),
    Contender(TRIO, "from cartesia_trio import AsyncCartesia; AsyncCartesia(api_key='k').tts", ("trio",)),
    Contender(BARE_ASYNCIO, "import asyncio, ssl"),
    Contender(BARE_TRIO, "import trio", ("trio",)),
    Contender(OFFICIAL, "from cartesia import Cartesia; Cartesia(api_key='k').tts", ("cartesia",)),
    Contender(OFFICIAL_ASYNCIO, "from cartesia import AsyncCartesia; AsyncCartesia(api_key='k').tts", ("cartesia",)),
    Contender("cartesia_urllib, a request", _asked("from cartesia_urllib import Cartesia as Client", _BLOCKING)),
    Contender("cartesia_asyncio, a request", _asked("from cartesia_asyncio import AsyncCartesia as Client", _ASYNCIO)),
    Contender(
        "cartesia_trio, a request", _asked("from cartesia_trio import AsyncCartesia as Client", _TRIO), ("trio",)
    ),
    Contender("official SDK, a request", _asked("from cartesia import Cartesia as Client", _BLOCKING), ("cartesia",)),
    Contender(
        "official SDK, asyncio, a request",
        _asked("from cartesia import AsyncCartesia as Client", _ASYNCIO),
        ("cartesia",),
    ),
)
"""Here the function is what is executed."""


def _measure(statement: str) -> Point:
    program = _PROGRAM.format(statement=statement)
    command = [sys.executable, "-c", program]
    done = subprocess.run(  # noqa: S603 - our own program
        command, env=environment(None), capture_output=True, check=True, text=True
    )
    wall, cpu, modules, memory = json.loads(done.stdout)
    return Point(POINT, {WALL: wall, CPU_TIME: cpu, MODULES: modules, MEMORY: memory})


def run(settings: Settings) -> Results:
    """All imports, taking turns."""
    results = Results()
    results.left_out.update({one.name: f"not installed: {', '.join(one.missing)}" for one in CONTENDERS if one.missing})
    contenders = [contender for contender in CONTENDERS if not contender.missing]
    for contender in contenders:
        _measure(contender.function)
    rounds = settings.rounds if settings.quick else settings.rounds * TURNS
    for number in range(rounds):
        for contender in contenders:
            progress(f"{NAME} · round {number + 1}/{rounds} · {contender.name}")
            results.add(NAME, GROUP, contender.name, [_measure(contender.function)])
    return results


if __name__ == "__main__":
    main(NAME, "Imports: milliseconds, modules and memory up to client.tts.", run)
