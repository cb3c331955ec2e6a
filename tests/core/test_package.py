"""The names the package hands out: all of them there, the rarer ones imported when first asked for."""

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import cartesia_proto
from tests.conftest import WAIT

PACKAGE = sys.modules["cartesia_proto"]
ON_DEMAND = [
    *("Api", "Status", "TTS", "Voices", "Voice", "VoiceMetadata", "Accent", "Embedding"),
    *("TTSSession", "TTSContext", "ContextSettings", "State", "Cancelled", "Failed", "ContextEnded", "Timing"),
    *("SpokenInput", "UnspokenPlan", "Inboxes", "WebSocketRequest", "connecting"),
]


@pytest.mark.parametrize("name", ON_DEMAND)
def test_names_on_demand(name: str) -> None:
    """Each is the very class of its module, and afterwards an ordinary name of the package."""
    PACKAGE.__dict__.pop(name, None)
    value = getattr(cartesia_proto, name)
    assert value is getattr(importlib.import_module(value.__module__), name)
    assert PACKAGE.__dict__[name] is value


def test_unknown_name() -> None:
    """A name that is not there fails as in any module."""
    name = "Cartesia"
    with pytest.raises(AttributeError, match="module 'cartesia_proto' has no attribute 'Cartesia'"):
        getattr(cartesia_proto, name)


def offered(package: str) -> set[str]:
    """The names that a package's source hands out: imported under their own name, at once or for type checkers."""
    source = importlib.util.find_spec(package)
    assert source is not None
    assert source.origin is not None
    tree = ast.parse(Path(source.origin).read_text("utf-8"))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module is not None]
    names = {alias.asname or alias.name for node in imported for alias in node.names}
    return names - {"TYPE_CHECKING", "on_demand", "__version__"}


@pytest.mark.parametrize("package", ["cartesia_proto", "cartesia_urllib", "cartesia_asyncio", "cartesia_trio"])
def test_what_is_offered_is_said(package: str) -> None:
    """By ``__all__``, which ``import *`` obeys, and by `dir`, before any of it is imported; and all of it is there."""
    said: list[str] = importlib.import_module(package).__all__
    assert set(said) == offered(package)
    assert len(said) == len(set(said))
    code = f"""
import {package}
later = set({package}.__all__) - set(vars({package}))
print(len(later), set({package}.__all__) <= set(dir({package})))
from {package} import *
print(set({package}.__all__) - set(globals()), "import_module" in globals())
"""
    command = [sys.executable, "-I", "-c", code]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=WAIT)  # noqa: S603 - as this one
    later, complete, missing, stray = ran.stdout.split()
    assert int(later) > 0
    assert (complete, missing, stray) == ("True", "set()", "False")


def test_imported_names_are_public() -> None:
    """What is imported at once needs no second import, and keeps the version."""
    for name in ("Call", "Config", "ApiKey", "CartesiaError", "Operation", "Attempt", "Headers", "RawFormat", "Audio"):
        assert name in PACKAGE.__dict__
    assert cartesia_proto.__version__.count(".") == 2


def test_import_is_small() -> None:
    """No resource, no link and no loop is loaded with the package, not even by the names that are asked for later."""
    code = """
import sys, cartesia_proto
later = ["cartesia_proto.api", "cartesia_proto.wire", "cartesia_proto.sessions"]
before = [name for name in sys.modules if name.startswith(tuple(later))]
cartesia_proto.Voices
print(before, "cartesia_proto.api.voices" in sys.modules)
"""
    command = [sys.executable, "-I", "-c", code]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this very interpreter
    assert ran.stdout == "[] True\n"
