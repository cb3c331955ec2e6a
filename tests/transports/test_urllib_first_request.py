"""The first request of a process, with which comes what carries requests: wherever it is made, it works.

Each program runs in an interpreter of its own, because everything is imported here already.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.transports.conftest import Connection, Net

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
client.close()
try: ask()
except Exception as error: print(error)
"""


def output(program: str, url: str) -> list[str]:
    """The lines that a program says."""
    command = [sys.executable, "-I", "-c", BEGIN + program, url]
    ran = subprocess.run(command, capture_output=True, check=True, text=True)  # noqa: S603 - this very interpreter
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


def test_after_closing(net: Net) -> None:
    """A client that was never used is closed like any other."""
    server = net.serve_clear()
    assert output(CLOSED, server.url) == ["the client is closed: make another"]
