"""What all tests share: how long a wait may last, which examples properties get, and what Ctrl-C does.

Test files import `WAIT` from here as ``tests.conftest``, the name under which pytest loads this file; all else that
they share are fixtures.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import settings

WAIT: Final = 120.0
"""Seconds after which a wait has failed, in every test; also the timeout of clients that are not to run into one.

Our choice. What is waited for takes milliseconds on an idle machine, but may take many seconds on one that is busy with
other things, and a wait that ends early fails a test that has no fault; one that hangs may as well do so for minutes.
"""

# The same examples in each run, so that a test fails for whoever changed something; the other profile seeks new ones.
settings.register_profile("same", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile("same")


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt in this process, and ends or interrupts those it starts.

    So it is by default, but not where a shell started the tests in the background: such a process, and its children,
    ignore SIGINT, and a test that sends it would wait for ever.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
