"""The first request of a process, with which comes what carries requests: wherever it is made, it works.

Each program runs in an interpreter of its own, because everything is imported here already.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.conftest import WAIT

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net

pytestmark = pytest.mark.parametrize("net", ["clear"], indirect=True)

BEGIN: Final = """
import os, signal, sys, threading
from cartesia_proto import Call
from cartesia_urllib import Cartesia
client = Cartesia(api_key="key", base_url=sys.argv[1], proxy="", max_retries=0)
assert "h11" not in sys.modules
def ask(*_):
    sys.stdout.write(f"{client.call(Call.json('GET', '/thing'))}\\n")  # in one piece
"""

THREADS: Final = """
barrier = threading.Barrier(4)
threads = [threading.Thread(target=lambda: (barrier.wait(), ask())) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
client.with_options(timeout=5).close()
try: ask()
except Exception as error: print(error)
"""

HANDLER: Final = """
signal.signal(signal.SIGINT, ask)
signal.raise_signal(signal.SIGINT)
"""

FORK: Final = """
child = os.fork()
ask()
if child: assert os.waitpid(child, 0)[1] == 0
"""

CLOSED: Final = """
for name in ("select", "socket", "_socket"):
    sys.modules[name] = None  # as where there are none
before = set(sys.modules)
client.close()
client.with_options(timeout=5).close()
print(set(sys.modules) - before)
"""

REFUSED: Final = """
client.close()
settings = {"model_id": "m", "transcript": "t", "voice": "v"}
settings["output_format"] = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
for make in (ask, client.tts.websocket, lambda: client.tts.sse(**settings)):
    try: make()
    except Exception as error: print(type(error).__name__, error)
"""

INTERRUPTED: Final = """
class Finder:
    def find_spec(self, name, path, target=None):
        if name == sys.argv[2]:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)
def attempt():
    try: ask()
    except BaseException as error: print(type(error).__name__, error)
sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, lambda *_: interrupt())
"""

CLOSING: Final = """
interrupt = client.close
attempt()
attempt()
"""

RAISING: Final = """
def interrupt(): raise KeyboardInterrupt("now")
attempt()
attempt()
"""


def output(program: str, url: str, *arguments: str) -> list[str]:
    """The lines that a program says."""
    command = [sys.executable, "-I", "-c", BEGIN + program, url, *arguments]
    ran = subprocess.run(command, capture_output=True, check=True, text=True, timeout=WAIT)  # noqa: S603 - as this one
    return ran.stdout.splitlines()


def test_in_threads_at_the_same_time(net: Net) -> None:
    """Each has its answer; all have made one set of connections, which every client made of the first closes."""

    def script(connection: Connection) -> None:
        connection.request()
        server.wait_for_requests(4)  # so that each needs a connection of its own
        connection.send(net.response(200, b"1"))

    server = net.serve_clear(*[script] * 4)
    assert output(THREADS, server.url) == ["1"] * 4 + ["the client is closed: make another"]


def test_in_a_signal_handler(net: Net) -> None:
    """It waits there as it does anywhere."""
    server = net.serve_clear([net.response(200, b"1")])
    assert output(HANDLER, server.url) == ["1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_in_both_halves_of_a_fork(net: Net) -> None:
    """A client made before, as servers that fork do it: each process makes its own connection."""
    server = net.serve_clear([net.response(200, b"1")], [net.response(200, b"1")])
    assert output(FORK, server.url) == ["1", "1"]


def test_closing_an_unused_client(net: Net) -> None:
    """Nothing is imported for it, not even what some systems lack."""
    assert output(CLOSED, net.serve_clear().url) == ["set()"]


def test_after_closing(net: Net) -> None:
    """A client that was never used is closed like any other."""
    server = net.serve_clear()
    assert output(REFUSED, server.url) == ["LocalProtocolError the client is closed: make another"] * 3


@pytest.mark.parametrize("module", ["cartesia_urllib.sending", "cartesia_urllib.network", "h11", "h11._events"])
def test_closed_by_a_signal_handler_in_the_middle_of_the_import(net: Net, module: str) -> None:
    """The request that imports is refused, as is every later one."""
    lines = output(INTERRUPTED + CLOSING, net.serve_clear().url, module)
    assert lines == ["LocalProtocolError the client is closed: make another"] * 2


@pytest.mark.parametrize("module", ["cartesia_urllib.sending", "cartesia_urllib.network", "h11", "h11._events"])
def test_an_exception_in_the_middle_of_the_import(net: Net, module: str) -> None:
    """The next request imports what is missing."""
    server = net.serve_clear([net.response(200, b"1")])
    assert output(INTERRUPTED + RAISING, server.url, module) == ["KeyboardInterrupt now", "1"]
