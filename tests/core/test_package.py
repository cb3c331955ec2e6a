"""The names the package hands out: all of them there, the rarer ones imported when first asked for."""

import importlib
import subprocess
import sys

import pytest

import cartesia_proto

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
