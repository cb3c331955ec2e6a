"""Names that a package hands out without having imported what they name.

This module knows how a package imports a name when somebody asks for it (PEP 562), and how it tells of it before. It
must not know any name: each package lists its own.
"""

from collections.abc import Callable
from importlib import import_module
from typing import cast


def on_demand(
    namespace: dict[str, object], /, **modules: str
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The ``__getattr__`` and the ``__dir__`` of a package, which assigns them where type checkers do not look.

    A name that was asked for is an ordinary one afterwards. Type checkers, who would take any misspelt name for one of
    these, are told by an import under ``TYPE_CHECKING``.

    Args:
        namespace: the package's ``globals()``, with ``__all__`` in it.
        modules: where to find each name that is not imported yet.
    """

    def get(name: str) -> object:
        """Import what is only needed now."""
        if name not in modules:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        namespace[name] = getattr(import_module(modules[name]), name)
        return namespace[name]

    def names() -> list[str]:
        """What there is, imported or not."""
        return sorted({*namespace, *cast("list[str]", namespace["__all__"])})

    return get, names
