"""The architecture, proven on the syntax trees of what is installed: who may import whom, what the core never does."""

import ast
import io
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

CORE: Final = "cartesia_proto"
SHELLS: Final = ("cartesia_urllib", "cartesia_asyncio", "cartesia_trio")
PACKAGES: Final = (CORE, *SHELLS, "cartesia_standin")

FORBIDDEN: Final = frozenset(
    "socket ssl select selectors threading asyncio trio time random logging os secrets email http queue concurrent "
    "multiprocessing subprocess".split()
)
"""What does I/O, knows a runtime, waits, or gives another answer each time it is asked."""

HOMES: Final = {
    "h11": "wire",
    "wsproto": "wire",
    "cattrs": "convert",
    "orjson": "codecs.json",
    "pybase64": "codecs.json",
}
"""The one place of the core that may import each of these."""

LAYERS: Final = {
    "base": "errors discretion credentials hosts http config names",
    "call": "call flow retry pages convert parameters prepare speech",
    "codecs": "codecs",
    "audio": "audio",
    "api": "api",
    "sessions": "sessions",
    "wire": "wire",
    "conversation": "performing reading opening sharing outbox conversation contexts awaiting clients websocket_tts "
    "traffic waiters exclusion multiplexer lines blocking",
    "server": "server",
    "testing": "testing",
}
"""The first part of a module's name, inside the package, by layer."""

ALLOWED: Final = {
    "base": "base",
    "audio": "audio base",
    "codecs": "codecs audio base",
    "call": "call codecs audio base",
    "api": "api call codecs audio base",
    "sessions": "sessions call codecs audio base",
    "wire": "wire codecs base",
    "conversation": "conversation wire sessions api call codecs audio base",
    "server": "server wire codecs audio base",
    "testing": "testing server conversation wire sessions api call codecs audio base",
    "package": "conversation wire sessions api call codecs audio base",
}
"""What each layer may import; imports for type checkers count as well."""

EXCEPTIONS: Final = frozenset({("wire", "cartesia_proto.flow")})
"""Single modules that a layer may import beside: the wire's exchange carries out a flow's attempts."""


COMMAND_LINE: Final = frozenset({"cartesia_urllib.__main__", "cartesia_urllib.saving"})
"""Modules that belong to a command line."""


def modules(package: str) -> list[tuple[str, Path]]:
    """Every module of an installed package with its full name; none where it is not installed."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return []
    root = Path(spec.origin).parent
    found: list[tuple[str, Path]] = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found.append((".".join((package, *(part for part in parts if part != "__init__"))), path))
    return found


EVERY_MODULE: Final = [pytest.param(name, path, id=name) for package in PACKAGES for name, path in modules(package)]
CORE_MODULES: Final = [pytest.param(name, path, id=name) for name, path in modules(CORE)]


KNOWN: Final = frozenset(name for package in PACKAGES for name, _ in modules(package))


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path) -> Iterator[str]:
    """The full name of everything a module imports, anywhere in it; of ``from a import b`` both a and a.b."""
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                assert node.level == 0, f"{path}: a relative import"
                assert node.module is not None
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            case _:
                pass


def module_of(name: str) -> str:
    """The module that an imported name lives in: the longest beginning of it that is one."""
    while name not in KNOWN:
        name, _, last = name.rpartition(".")
        assert last
    return name


def layer_of(module: str) -> str:
    """The layer of a module of the core."""
    inside = module.removeprefix(CORE).strip(".")
    if not inside:
        return "package"
    (layer,) = (layer for layer, names in LAYERS.items() if inside.split(".")[0] in names.split())
    return layer


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_looked_at(package: str) -> None:
    """Each is installed, and its modules are found."""
    assert package in dict(modules(package))


@pytest.mark.parametrize(("name", "path"), CORE_MODULES)
def test_forbidden_imports(name: str, path: Path) -> None:
    """The core imports nothing that does I/O, knows a runtime, or is not the same each time."""
    assert not {imported.split(".")[0] for imported in imports(path)} & FORBIDDEN, name


@pytest.mark.parametrize(("name", "path"), CORE_MODULES)
def test_other_libraries_have_one_home(name: str, path: Path) -> None:
    """Whatever is neither ours, nor attrs, nor of the standard library is imported in one place."""
    for imported in imports(path):
        top = imported.split(".")[0]
        if top in {CORE, "attrs"} or top in sys.stdlib_module_names:
            continue
        home = f"{CORE}.{HOMES[top]}"
        assert name == home or name.startswith(f"{home}."), f"{name} imports {imported}"


@pytest.mark.parametrize(("name", "path"), CORE_MODULES)
def test_edges_between_layers(name: str, path: Path) -> None:
    """Each layer imports what lies below it."""
    layer = layer_of(name)
    for imported in imports(path):
        if imported.split(".")[0] != CORE:
            continue
        target = module_of(imported)
        if layer_of(target) == "package":
            assert layer == "testing", f"{name} imports {imported} from the package itself"
        elif (layer, target) not in EXCEPTIONS:
            assert layer_of(target) in ALLOWED[layer].split(), f"{name} ({layer}) imports {target} ({layer_of(target)})"


@pytest.mark.parametrize(("name", "path"), CORE_MODULES)
def test_the_core_has_no_colour_and_no_console(name: str, path: Path) -> None:
    """No coroutine is defined or awaited, no file opened, nothing printed or asked."""
    for node in ast.walk(parsed(path)):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith), name
        if isinstance(node, ast.comprehension):
            assert not node.is_async, name
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("open", "print", "input"), f"{name}, line {node.lineno}"


@pytest.mark.parametrize("package", SHELLS)
def test_shells_do_not_know_the_server_half(package: str) -> None:
    """Only the stand-in, the testing kit and tests do."""
    for name, path in modules(package):
        for imported in imports(path):
            assert not f"{imported}.".startswith(f"{CORE}.server."), f"{name} imports {imported}"


@pytest.mark.parametrize("package", SHELLS)
def test_shells_do_not_know_each_other(package: str) -> None:
    """Each can be installed, read and replaced alone; a command line may start the stand-in."""
    for name, path in modules(package):
        others = set(PACKAGES) - {CORE, package} - ({"cartesia_standin"} if name in COMMAND_LINE else set[str]())
        assert not {imported.split(".")[0] for imported in imports(path)} & others, name


def documentation(path: Path) -> set[int]:
    """The numbers of the lines that docstrings stand on."""
    lines: set[int] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def code_lines(path: Path) -> int:
    """Lines that are neither blank, nor comment, nor docstring."""
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline):
        if token.type not in ignored:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - documentation(path))


LARGEST: Final = 800
"""Lines of code that a shell may have."""


@pytest.mark.parametrize("package", SHELLS)
def test_shells_are_small(package: str) -> None:
    """A shell without its command line stays within its lines of code."""
    total = sum(code_lines(path) for name, path in modules(package) if name not in COMMAND_LINE)
    assert 0 < total <= LARGEST, total


@pytest.mark.parametrize(("name", "path"), EVERY_MODULE)
def test_modules_can_be_read(name: str, path: Path) -> None:
    """At most 400 lines, and a docstring of 3 to 20 that says what the module knows."""
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 400, name
    documented = ast.get_docstring(ast.parse(text))
    assert documented is not None, name
    assert 3 <= len(documented.splitlines()) <= 20, name


def test_the_counting_counts(tmp_path: Path) -> None:
    """Blank lines, comments and docstrings are no code; a call in several lines is several."""
    path = tmp_path / "module.py"
    source = [
        '"""Doc',
        "",
        'string."""',
        "# comment",
        "x = [",
        "    1,  # one",
        "",
        "    2,",
        "]",
        "def f():",
        "    return x",
    ]
    path.write_text("\n".join(source) + "\n")
    assert code_lines(path) == 6
    assert list(imports(path)) == []


UNWANTED: Final = frozenset(
    "asyncio ssl socket select selectors logging email http.client urllib.request h11 wsproto cattrs".split()
)
"""What only carries requests, reads answers, or belongs to a runtime."""


def loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after some code."""
    command = [sys.executable, "-I", "-c", f"import sys; {code}; print(*sys.modules)"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this very interpreter
    return set(ran.stdout.split())


def test_import_loads_little() -> None:
    """``import cartesia_proto`` in a fresh interpreter loads no loop, no sockets, no links and no converter."""
    modules = loaded("import cartesia_proto")
    assert CORE in modules
    assert not UNWANTED & modules


@pytest.mark.parametrize(
    ("package", "client", "runtime"),
    [
        ("cartesia_urllib", "Cartesia", "sys"),
        ("cartesia_asyncio", "AsyncCartesia", "sys"),
        ("cartesia_trio", "AsyncCartesia", "trio"),
    ],
)
def test_making_a_client_loads_little(package: str, client: str, runtime: str) -> None:
    """Up to ``client.tts``, nothing is loaded that carries requests, but for what the runtime itself loads."""
    modules = loaded(f"from {package} import {client}; {client}(api_key='key').tts")
    assert f"{CORE}.api.tts" in modules
    assert not (UNWANTED - loaded(f"import {runtime}")) & modules
    assert not {f"{CORE}.wire.exchange", f"{package}.network", f"{package}.sending"} & modules
