"""Every Python block of README.md and CONTRIBUTING.md is a whole program, and runs against the stand-in."""

import gc
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from cartesia_standin import StandIn

TREE = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@frozen
class Program:
    """One block of code, and where it stands."""

    document: str
    line: int
    code: str


def programs() -> Iterator[Program]:
    """The blocks of all documents."""
    for document in DOCUMENTS:
        text = (TREE / document).read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            yield Program(document, text.count("\n", 0, block.start(1)), block.group(1))


PROGRAMS = list(programs())


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    """The stand-in."""
    with StandIn() as running:
        yield running


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: f"{program.document}:{program.line}")
def test_the_program_runs(program: Program, standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands there, in an empty directory, with the stand-in's address and key in the environment."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("CARTESIA_BASE_URL", standin.base_url)
    monkeypatch.setenv("CARTESIA_API_KEY", standin.api_key)
    monkeypatch.chdir(tmp_path)
    code = compile("\n" * program.line + program.code, program.document, "exec")
    exec(code, {"__name__": "__main__"})  # noqa: S102 - our own documents
    gc.collect()  # a connection that was forgotten instead of closed warns here, and a warning is an error


def test_there_are_programs() -> None:
    """The pattern that finds them finds as many blocks as there are."""
    fences = sum((TREE / document).read_text(encoding="utf-8").count("```python") for document in DOCUMENTS)
    assert len(PROGRAMS) == fences >= 10
