"""The wheel holds the five import packages and nothing else, and its metadata caps no dependency."""

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.build import build_wheel

TREE = Path(__file__).resolve().parents[2]
HOMES = {
    "cartesia_proto": TREE,
    "cartesia_urllib": TREE / "transports",
    "cartesia_asyncio": TREE / "transports",
    "cartesia_trio": TREE / "transports",
    "cartesia_standin": TREE / "transports",
}
MAX_SIZE = 420_000
"""Bytes, docstrings included. More than that is a sign that something crept in."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    """The wheel of this tree, built in this process: no network, no build environment."""
    directory = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(TREE)  # where a build backend is called (PEP 517)
        name = build_wheel(str(directory))
    with ZipFile(directory / name) as built:
        yield built


@pytest.fixture
def described(wheel: ZipFile) -> Message:
    """The metadata of the wheel."""
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_the_five_packages_and_nothing_else_are_installed(wheel: ZipFile) -> None:
    """No tests, no benchmarks, and above all no package with the generic name `transports`."""
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    (information,) = [top for top in tops if top.endswith(".dist-info")]
    assert tops - {information} == set(HOMES)


@pytest.mark.parametrize("package", HOMES)
def test_each_package_is_whole(wheel: ZipFile, package: str) -> None:
    """Every module of the tree and the marker of PEP 561 are there, and no other file."""
    home = HOMES[package]
    modules = {path.relative_to(home).as_posix() for path in (home / package).rglob("*.py")}
    packed = {name for name in wheel.namelist() if name.startswith(f"{package}/")}
    assert packed == modules | {f"{package}/py.typed"}


def test_the_licence_is_there(wheel: ZipFile) -> None:
    """A wheel is passed on without its tree."""
    assert [name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE")]


def test_it_is_small(wheel: ZipFile) -> None:
    """People embed it."""
    assert wheel.filename is not None
    assert Path(wheel.filename).stat().st_size < MAX_SIZE


def test_no_dependency_is_capped(described: Message) -> None:
    """Lower bounds only: this library is never a party to a dependency fight."""
    requirements = described.get_all("Requires-Dist", [])
    names = [re.split(r"[^\w-]", requirement)[0] for requirement in requirements if "extra ==" not in requirement]
    assert sorted(names) == ["attrs", "cattrs", "h11", "wsproto"]
    for requirement in requirements:
        assert not re.search(r"<|~=|!=|===|==\s*\d", requirement.partition(";")[0]), requirement


def test_the_metadata_says_what_the_readme_says(described: Message) -> None:
    """Python, licence, extras and the long description."""
    assert described["Requires-Python"] == ">=3.11"
    assert described["License-Expression"] == "MIT"
    assert set(described.get_all("Provides-Extra", [])) >= {"trio", "speed", "test", "bench"}
    assert described.get_payload() == (TREE / "README.md").read_text(encoding="utf-8")
