"""PROTOCOL.md: every section that a docstring or a comment cites is there."""

import re
from pathlib import Path
from typing import Final

TREE: Final = Path(__file__).resolve().parents[2]
PROTOCOL: Final = TREE / "cartesia_proto" / "PROTOCOL.md"
CITATION: Final = re.compile(r"protocol\s+sections?\s+((?:\d+(?:\.\d+)*(?:\s*(?:,|and|to)\s*)?)+)", re.IGNORECASE)


def sections() -> set[str]:
    """The numbers of all headings."""
    return set(re.findall(r"^#+ (\d+(?:\.\d+)*)\.? ", PROTOCOL.read_text("utf-8"), re.MULTILINE))


def cited(text: str) -> set[str]:
    """The numbers that a text cites; a citation may be broken over lines."""
    flat = re.sub(r"\n\s*(?:#:?\s*)?", " ", text)
    return {number for found in CITATION.findall(flat) for number in re.findall(r"\d+(?:\.\d+)*", found)}


def test_citations_are_found() -> None:
    """However a citation is written."""
    assert cited("see (protocol section 2.5.1), and Protocol sections 2.3, 2.4\n    and 3. What") == {
        "2.5.1",
        "2.3",
        "2.4",
        "3",
    }
    assert cited("RFC 9110 section 4.1") == set()


def test_every_cited_section_is_there() -> None:
    """In the packages, their tests, the benchmarks and the documents."""
    there = sections()
    assert {"1", "4.5", "2.5.9"} <= there
    missing: dict[str, set[str]] = {}
    count = 0
    for path in sorted((*TREE.rglob("*.py"), *TREE.glob("*.md"))):
        if not any(part.startswith(".") for part in path.relative_to(TREE).parts) and path != Path(__file__):
            numbers = cited(path.read_text("utf-8"))
            count += len(numbers)
            if numbers - there:
                missing[str(path.relative_to(TREE))] = numbers - there
    assert missing == {}
    assert count > 100
