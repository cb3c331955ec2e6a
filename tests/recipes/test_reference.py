"""reference.md says what the docstrings say, and there is a docstring wherever one is due."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("make_reference.py")


def test_the_reference_is_current_and_every_public_name_is_documented() -> None:
    """What the script would write is what stands there, and it found nothing without a docstring."""
    check = subprocess.run([sys.executable, SCRIPT, "--check"], check=False, capture_output=True, text=True)  # noqa: S603 - our own script
    assert check.stderr == ""
    assert check.returncode == 0
