"""What the other tests import is what a user installs.

pytest runs in importlib mode, which keeps this tree off `sys.path`; these tests prove that nothing else puts it there.
A developer's editable install points into the tree on purpose, and is the one exception.
"""

import json
from importlib import import_module, metadata
from pathlib import Path
from sysconfig import get_path

import pytest

PACKAGES = ("cartesia_proto", "cartesia_urllib", "cartesia_asyncio", "cartesia_trio", "cartesia_standin")
TREE = Path(__file__).resolve().parents[2]


def is_editable() -> bool:
    """Whether the distribution was installed with ``pip install -e`` (PEP 610)."""
    record = json.loads(metadata.distribution("cartesia-proto").read_text("direct_url.json") or "{}")
    return bool(record.get("dir_info", {}).get("editable", False))


@pytest.mark.parametrize("name", PACKAGES)
def test_the_package_that_is_tested_is_the_installed_one(name: str) -> None:
    """Each package comes from site-packages; from this tree only where the install is editable."""
    origin = import_module(name).__file__
    assert origin is not None
    home = TREE if is_editable() else Path(get_path("purelib")).resolve()
    assert Path(origin).resolve().is_relative_to(home)
    if not is_editable():
        assert not any(Path(origin).resolve().is_relative_to(TREE / part) for part in ("cartesia_proto", "transports"))


def test_the_version_is_that_of_the_distribution() -> None:
    """`__version__` and the metadata of the wheel have one source."""
    assert import_module("cartesia_proto").__version__ == metadata.version("cartesia-proto")
