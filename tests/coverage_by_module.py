"""Proves that each module of the core is covered, to the last branch, by the test file that bears its name.

A module that only the tests of others reach has no tests. ``cartesia_proto/codecs/sse.py`` belongs to
``tests/core/test_codecs_sse.py``, a package's ``__init__`` to the file named after the package, and the outermost one
to ``tests/core/test_package.py``.

    python tests/coverage_by_module.py               all modules
    python tests/coverage_by_module.py codecs/sse    those whose path contains one of the words
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

TESTS: Final = Path(__file__).resolve().parent / "core"

WITHOUT: Final = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
"""Plugins of pytest that only cost time here: the second takes longer to load than most of these files to run."""


def core() -> Path:
    """The folder of the package under test, wherever it is installed."""
    spec = find_spec("cartesia_proto")
    if spec is None or spec.origin is None:
        raise SystemExit("cartesia_proto is not installed")
    return Path(spec.origin).parent


def test_file(module: Path) -> Path:
    """The test file of a module, given its path inside the package."""
    parts = module.with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return TESTS / f"test_{'_'.join(parts) or 'package'}.py"


def has_code(path: Path) -> bool:
    """Whether a module is more than its docstring."""
    return any(line.startswith(("import ", "from ", "def ", "class ")) for line in path.read_text("utf-8").splitlines())


def problem(module: Path) -> str | None:
    """What is wrong with the coverage of a module, or None."""
    tests = test_file(module)
    if not tests.exists():
        return f"{module}: there is no tests/core/{tests.name}"
    with TemporaryDirectory() as directory:
        environment = os.environ | {"COVERAGE_FILE": str(Path(directory) / "data")}
        run = _python(["-m", "coverage", "run", "-m", "pytest", "-q", *WITHOUT, str(tests)], environment)
        if run.returncode:
            return f"{module}: tests/core/{tests.name} fails\n{run.stdout}{run.stderr}"
        report = _python(["-m", "coverage", "report", f"--include={core() / module}"], environment)
        return f"{module}: by tests/core/{tests.name}\n{report.stdout}" if report.returncode else None


def _python(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # -P keeps the tree this runs in off sys.path, so that the installed package is measured.
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)  # noqa: S603 - our own


def main(words: list[str]) -> int:
    """Measure; the exit status."""
    home = core()
    modules = sorted(path.relative_to(home) for path in home.rglob("*.py") if has_code(path))
    chosen = [module for module in modules if not words or any(word in str(module) for word in words)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [found for found in pool.map(problem, chosen) if found is not None]
    print("\n".join(problems) or f"{len(chosen)} modules, each covered whole by its own test file")
    return 1 if problems or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
