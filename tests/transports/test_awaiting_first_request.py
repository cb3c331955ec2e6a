"""The first request of a process on asyncio and on trio, with which comes what carries requests.

Each program runs in an interpreter of its own, because everything is imported here already.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from cartesia_standin import DEFAULT_VOICE_ID, StandIn
from tests.conftest import WAIT

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net

ASYNCIO: Final = """
import asyncio
async def together(*jobs): await asyncio.gather(*(job() for job in jobs))
def run(main): asyncio.run(main())
"""

TRIO: Final = """
import trio
async def together(*jobs):
    async with trio.open_nursery() as nursery:
        for job in jobs: nursery.start_soon(job)
run = trio.run
"""

BEGIN: Final = """
import importlib, sys
from cartesia_proto import Call
package = sys.argv[1]
make = importlib.import_module(package).AsyncCartesia
client = make(api_key=sys.argv[2], base_url=sys.argv[3], proxy="", max_retries=0)
assert f"{package}.network" not in sys.modules
settings = {"model_id": "sonic-3", "voice": sys.argv[4], "transcript": "Hello"}
settings["output_format"] = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
async def ask():
    print(await client.call(Call.json("GET", "/thing")))
async def attempt():
    try: await ask()
    except BaseException as error: print(type(error).__name__, error)
"""

TASKS: Final = """
async def main():
    await together(*[ask] * 4)
    await client.with_options(timeout=5).aclose()
    await attempt()
run(main)
"""

CLOSED: Final = """
async def main():
    before = set(sys.modules)
    await client.aclose()
    async with client.with_options(timeout=5): pass
    print(set(sys.modules) - before)
    for make in (client.tts.websocket, lambda: client.tts.sse(**settings)):
        try: make()
        except Exception as error: print(type(error).__name__, error)
    await attempt()
run(main)
"""

INTERRUPTED: Final = """
class Finder:
    def find_spec(self, name, path, target=None):
        if name == sys.argv[5]:
            sys.meta_path.remove(self)
            raise KeyboardInterrupt("now")
async def main():
    sys.meta_path.insert(0, Finder())
    await attempt()
    await attempt()
    await client.aclose()
run(main)
"""

PREPARED: Final = """
importlib.import_module(f"{package}.stream")
importlib.import_module(f"{package}.multiplexer")
async def main():
    tts = client.tts
    before = set(sys.modules)
    await tts.bytes(**settings)
    async for _ in tts.sse(**settings): pass
    async with tts.websocket() as ws:
        async for _ in ws.send(**settings): pass
    await client.aclose()
    print(*(name for name in set(sys.modules) - before if name.partition(".")[0] not in sys.stdlib_module_names))
run(main)
"""

CLEAR_ONLY = pytest.mark.parametrize("net", ["clear"], indirect=True)


@pytest.fixture(params=["asyncio", "trio"])
def runtime(request: pytest.FixtureRequest) -> str:
    """The name of each awaiting runtime in turn."""
    name: str = request.param
    return name


def output(runtime: str, program: str, url: str, module: str = "", key: str = "key") -> list[str]:
    """The lines that a program says."""
    source = BEGIN + (ASYNCIO if runtime == "asyncio" else TRIO) + program
    command = [sys.executable, "-I", "-c", source, f"cartesia_{runtime}", key, url, DEFAULT_VOICE_ID, module]
    ran = subprocess.run(command, capture_output=True, check=True, text=True, timeout=WAIT)  # noqa: S603 - as this one
    return ran.stdout.splitlines()


@CLEAR_ONLY
def test_in_tasks_at_the_same_time(runtime: str, net: Net) -> None:
    """Each has its answer; all have one set of connections, which every client made of the first closes."""

    def script(connection: Connection) -> None:
        connection.request()
        server.wait_for_requests(4)  # so that each needs a connection of its own
        connection.send(net.response(200, b"1"))

    server = net.serve_clear(*[script] * 4)
    lines = output(runtime, TASKS, server.url)
    assert lines == ["1"] * 4 + ["LocalProtocolError the client is closed: make another"]


@CLEAR_ONLY
def test_closing_an_unused_client(runtime: str, net: Net) -> None:
    """Nothing is imported for it; whatever is asked later is refused."""
    lines = output(runtime, CLOSED, net.serve_clear().url)
    assert lines == ["set()"] + ["LocalProtocolError the client is closed: make another"] * 3


@CLEAR_ONLY
@pytest.mark.parametrize("module", ["sending", "network", "h11", "h11._events"])
def test_an_exception_in_the_middle_of_the_import(runtime: str, net: Net, module: str) -> None:
    """The next request imports what is missing."""
    server = net.serve_clear([net.response(200, b"1")])
    name = module if module.startswith("h11") else f"cartesia_{runtime}.{module}"
    assert output(runtime, INTERRUPTED, server.url, name) == ["KeyboardInterrupt now", "1"]


def test_imported_before(runtime: str) -> None:
    """By the two modules that the class names: the first requests import no more than how to read their answers."""
    with StandIn() as server:
        (line,) = output(runtime, PREPARED, server.base_url, key=server.api_key)
    allowed = ("cartesia_proto.audio.", "cartesia_proto.codecs.")
    assert [name for name in line.split() if not name.startswith(allowed)] == []
