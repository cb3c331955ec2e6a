"""Writes reference.md: every public name of the five packages with its signature and docstring.

It reads the sources, never the running objects, so the text is the same on every version of Python: a signature stands
as its author wrote it. Public is what has no leading underscore in its name or in that of a module, class or package
around it; a variable, when a docstring follows it or a package hands it out.

    python tests/recipes/make_reference.py            writes reference.md
    python tests/recipes/make_reference.py --check    fails where reference.md is not what would be written
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent, indent
from typing import Final, TypeAlias

from attrs import field, frozen

TREE: Final = Path(__file__).resolve().parents[2]
REFERENCE: Final = TREE / "reference.md"
PACKAGES: Final = {
    "cartesia_proto": TREE,
    "cartesia_urllib": TREE / "transports",
    "cartesia_asyncio": TREE / "transports",
    "cartesia_trio": TREE / "transports",
    "cartesia_standin": TREE / "transports",
}
HEADING: Final = """\
# Reference

Every public name, made from the docstrings by `tests/recipes/make_reference.py`; a test keeps it current. "Protocol
section N" in a docstring names a section of `cartesia_proto/PROTOCOL.md`.

What most programs need stands in the packages themselves; the README says where to begin.
"""

Definition: TypeAlias = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Variable: TypeAlias = ast.Assign | ast.AnnAssign


@frozen
class Module:
    """One source file.

    Attributes:
        name: as it is imported.
        tree: its statements.
        source: its text as lines of UTF-8, which is what the columns of `ast` count in.
    """

    name: str
    tree: ast.Module = field(repr=False)
    source: tuple[bytes, ...] = field(repr=False)

    def text(self, start: ast.stmt | ast.expr, end: ast.stmt | ast.expr) -> str:
        """The source from the beginning of one node to the end of another, unindented."""
        lines = list(self.source[start.lineno - 1 : end.end_lineno])
        lines[-1] = lines[-1][: end.end_col_offset]
        lines[0] = b" " * start.col_offset + lines[0][start.col_offset :]
        return dedent(b"".join(lines).decode())


@frozen
class Entry:
    """One public name of a module.

    Attributes:
        code: its signature and docstring, and those of what is public in it.
        undocumented: the qualified names in it that lack a docstring.
    """

    module: str
    name: str
    code: str = field(repr=False)
    undocumented: tuple[str, ...]


def modules(package: str) -> Iterator[Module]:
    """The public modules of a package: itself first, then in the order of their paths."""
    home = PACKAGES[package]
    for path in sorted((home / package).rglob("*.py"), key=lambda path: (path.parent.parts, path.stem)):
        parts = path.relative_to(home).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts):
            source = path.read_bytes()
            yield Module(".".join(parts), ast.parse(source), tuple(source.splitlines(keepends=True)))


def entries(module: Module, wanted: frozenset[str]) -> Iterator[Entry]:
    """What a module defines for others, in the order of its source.

    Args:
        wanted: names that a package hands out, which are public whether or not they are documented.
    """
    for statement, after in following(module.tree.body):
        match statement:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() if not statement.name.startswith("_"):
                yield Entry(module.name, statement.name, *described(module, statement, statement.name))
            case ast.Assign() | ast.AnnAssign() if (name := variable_name(statement)) and (after or name in wanted):
                yield Entry(module.name, name, variable_code(module, statement, after), () if after else (name,))
            case _:
                pass


def following(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, ast.Expr | None]]:
    """Each statement with the string that documents it, where one stands right behind it."""
    for statement, after in zip(body, [*body[1:], None], strict=True):
        yield statement, after if isinstance(after, ast.Expr) and is_string(after.value) else None


def is_string(expression: ast.expr) -> bool:
    """Whether an expression is a plain string."""
    return isinstance(expression, ast.Constant) and isinstance(expression.value, str)


def variable_name(statement: Variable) -> str:
    """The public name an assignment defines, or nothing."""
    target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
    return target.id if isinstance(target, ast.Name) and not target.id.startswith("_") else ""


def variable_code(module: Module, statement: Variable, after: ast.Expr | None) -> str:
    """An assignment and its docstring."""
    return module.text(statement, statement) + (f"\n{module.text(after, after)}" if after else "")


def described(module: Module, statement: Definition, name: str) -> tuple[str, tuple[str, ...]]:
    """A class or function as a stub with docstrings, and the names in it that have none."""
    docstring = module.text(statement.body[0], statement.body[0]) if ast.get_docstring(statement) is not None else ""
    code = f"{signature(module, statement)}:"
    missing: tuple[str, ...] = () if docstring or is_overload(statement) else (name,)
    inner = [docstring] if docstring else []
    if isinstance(statement, ast.ClassDef):
        for member, gaps in members(module, statement, name):
            inner.append(member)
            missing += gaps
    return (f"{code}\n{indent(chr(10).join(inner), '    ')}" if inner else f"{code} ..."), missing


def members(module: Module, statement: ast.ClassDef, owner: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is public in a class: its fields, then a stub of each of its methods."""
    gap = "\n" if ast.get_docstring(statement) is not None else ""
    for member, after in following(statement.body):
        match member:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() if is_shown(member):
                code, gaps = described(module, member, f"{owner}.{member.name}")
                yield f"\n{code}", () if member.name.startswith("__") else gaps
            case ast.AnnAssign() | ast.Assign() if variable_name(member):
                yield f"{gap}{variable_code(module, member, after)}", ()
                gap = ""
            case _:
                pass


def is_shown(member: Definition) -> bool:
    """Whether a member is public, or special and worth a word."""
    if member.name.startswith("__"):
        return ast.get_docstring(member) is not None or member.name in ("__init__", "__call__")
    return not member.name.startswith("_")


def is_overload(statement: Definition) -> bool:
    """Whether this is one of the signatures of a function that is documented once."""
    return any(isinstance(decorator, ast.Name) and decorator.id == "overload" for decorator in statement.decorator_list)


def signature(module: Module, statement: Definition) -> str:
    """Decorators, and everything up to the colon."""
    decorators = "".join(f"@{module.text(one, one)}\n" for one in statement.decorator_list)
    if not isinstance(statement, ast.ClassDef):
        if statement.returns is None:
            raise SystemExit(f"{module.name}: {statement.name} has no return type")
        return decorators + module.text(statement, statement.returns)
    bases = [module.text(base, base) for base in statement.bases]
    bases += [f"{keyword.arg}={module.text(keyword.value, keyword.value)}" for keyword in statement.keywords]
    return f"{decorators}class {statement.name}" + (f"({', '.join(bases)})" if bases else "")


def handed_out(module: Module) -> dict[str, str]:
    """The names a package takes from its modules in order to hand them out, each with the module that defines it."""
    names: dict[str, str] = {}
    for statement in ast.walk(module.tree):
        if isinstance(statement, ast.ImportFrom) and statement.module:
            names |= {alias.name: statement.module for alias in statement.names if alias.asname == alias.name}
    return names


def index(package: Module) -> str:
    """The names a package hands out, each with a link to where it stands."""
    links = " ·\n".join(f"[`{name}`](#{home}.{name})" for name, home in handed_out(package).items())
    return f"`from {package.name} import …`\n\n{links}\n" if links else ""


def render(entry: Entry) -> str:
    """One name."""
    return (
        f'<a id="{entry.module}.{entry.name}"></a>\n\n'
        f"#### `{entry.module}.{entry.name}`\n\n```python\n{entry.code}\n```\n"
    )


@frozen
class Reference:
    """The whole.

    Attributes:
        text: what reference.md should hold.
        undocumented: the qualified names of what is public and has no docstring.
    """

    text: str = field(repr=False)
    undocumented: tuple[str, ...]


def make_reference() -> Reference:
    """Read the five packages."""
    parts = [HEADING]
    undocumented: list[str] = []
    for package in PACKAGES:
        found = list(modules(package))
        names = {name for module in found for name in handed_out(module)}
        parts.append(f"## {package}\n")
        for module in found:
            docstring = ast.get_docstring(module.tree) or ""
            undocumented += [] if docstring else [module.name]
            handing = index(module) if module.name == package else ""
            public = list(entries(module, frozenset(names)))
            undocumented += [f"{module.name}.{name}" for entry in public for name in entry.undocumented]
            if module.name == package or public:
                parts += [f"### Module `{module.name}`\n", f"```text\n{docstring}\n```\n"]
                parts += [handing] if handing else []
                parts += [render(entry) for entry in public]
    return Reference("\n".join(parts), tuple(undocumented))


def main(arguments: list[str]) -> int:
    """Write or check; the exit status."""
    reference = make_reference()
    for name in reference.undocumented:
        print(f"{name} has no docstring", file=sys.stderr)
    if arguments == ["--check"]:
        current = REFERENCE.exists() and REFERENCE.read_text(encoding="utf-8") == reference.text
        if not current:
            print("reference.md is not current: run python tests/recipes/make_reference.py", file=sys.stderr)
        return 1 if reference.undocumented or not current else 0
    REFERENCE.write_text(reference.text, encoding="utf-8")
    return 1 if reference.undocumented else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
