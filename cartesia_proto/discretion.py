"""The one door through which a peer's words and a caller's secrets pass on their way into exceptions.

A peer may repeat the credentials it was sent: in a header, a status line, an error, a goodbye. A traceback with locals
shows what the frames of this library hold. Therefore:

* `hide_secrets` is the one function that hides secrets in a text, in each of their `spellings`.
* A `Discreet` block rewrites every `CartesiaError` that leaves it, and clears the frames that the error passed.
* `discreet` makes a function that is given secrets leave none in the frames of what it raises.
* `Unshown` bytes show nothing, whoever asks. `holds_secrets` classes always have a repr and a discreet constructor.

It must not know which texts are secret: requests and sessions do.
"""

import contextlib
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Final, ParamSpec, TypeVar, final
from urllib.parse import quote

from cartesia_proto.errors import CartesiaError

P = ParamSpec("P")
T = TypeVar("T")

REDACTED: Final = "***"

SHORTEST_ECHO: Final = 8
"""Characters from which on a secret is looked for in what a server says. Our choice: real ones have tens, and a shorter
one could be a word of any honest sentence."""

CUT: Final = "…"
"""Ends a text that was cut, wherever a quotation is shortened."""

_SUSPENDS: Final = 0x20 | 0x80 | 0x200
"""What marks the code of generators, coroutines and both in one: `inspect` has names for it, and is slow to import."""


def spellings(secret: str) -> Iterator[str]:
    """A secret as it is, percent-encoded, and as ``repr`` and JSON (of two kinds) write it; the longest first."""
    json = secret.replace("\\", r"\\").replace('"', r"\"")
    written = {secret, quote(secret, safe=""), quote(secret), repr(secret)[1:-1], json, json.replace("/", r"\/")}
    return iter(sorted(written, key=len, reverse=True))


def words_of(value: str) -> Iterator[str]:
    """The words of a secret header; of ``Basic …`` also what was encoded in it, and the password (RFC 7617)."""
    kind = ""
    for word in value.split():
        yield word
        if kind.lower() == "basic":
            with contextlib.suppress(ValueError):
                text = a2b_base64(word).decode()
                yield from (text, text.partition(":")[2])
        kind = word


def hide_secrets(text: str, secrets: Iterable[str]) -> str:
    """A text in which secrets of at least `SHORTEST_ECHO` characters show as ``***``, also one that was cut in two."""
    for secret in secrets:
        if len(secret) < SHORTEST_ECHO:
            continue
        for spelling in spellings(secret):
            text = text.replace(spelling, REDACTED)
            if CUT in text and spelling[:SHORTEST_ECHO] in text:
                for length in range(len(spelling) - 1, SHORTEST_ECHO - 1, -1):
                    text = text.replace(spelling[:length] + CUT, REDACTED + CUT)
    return text


@final
class Unshown(bytes):
    """Bytes for the wire, of which only the number shows: the head of a request holds credentials."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"

    __str__ = __repr__


def forget_locals(error: BaseException) -> None:
    """Clear the local variables of the functions that an error, or one it came from, passed. Running ones keep theirs.

    Line numbers stay, so that a traceback reads as before. Generators and coroutines keep their variables, too: one
    that caught an error and kept it may only be suspended, and clearing its frame would close it (up to Python 3.12).
    """
    for link in _chain(error):
        step = link.__traceback__
        while step is not None:
            if not step.tb_frame.f_code.co_flags & _SUSPENDS:
                with contextlib.suppress(RuntimeError):  # it is still running
                    step.tb_frame.clear()
            step = step.tb_next


def _chain(error: BaseException) -> list[BaseException]:
    """An error and all that it came from, each once."""
    found = [error]
    for link in found:
        found += [cause for cause in (link.__cause__, link.__context__) if cause is not None and cause not in found]
    return found


@final
class Discreet:
    """A block that no error leaves with a secret in it: ``with Discreet(request.without_secrets): …``.

    Args:
        hide: answers with a text in which the secrets do not show.
    """

    __slots__ = ("_hide",)

    def __init__(self, hide: Callable[[str], str]) -> None:
        self._hide = hide

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Rewrite the error; drop one that it came from if that shows a secret, since others cannot be rewritten."""
        if isinstance(error, Exception):
            self.clean(error)

    def clean(self, error: Exception) -> None:
        """Do the same for an error that was caught."""
        forget_locals(error)
        for link in _chain(error):
            if isinstance(link, CartesiaError):
                link.rewrite(self._hide)
            suppressed = link.__suppress_context__ and link.__cause__ is None
            if suppressed or self._shows(link.__context__):
                link.__context__ = None  # a suppressed one is never shown, but it may hold a whole body
            if self._shows(link.__cause__):
                link.__cause__ = None

    def _shows(self, error: BaseException | None) -> bool:
        """Whether an error that is not ours to rewrite has a secret in it."""
        if error is None or isinstance(error, CartesiaError):
            return False
        held = [str(value) for value in (error, *error.args, *vars(error).values())]
        return any(self._hide(text) != text for text in held)


def discreet(function: Callable[P, T]) -> Callable[P, T]:
    """The function, of whose arguments no traceback shows the values: not in its frames, nor in those it calls."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            forget_locals(error)
            del args, kwargs
            raise

    return call


def holds_secrets(kind: type[T]) -> type[T]:
    """The class, whose constructor is `discreet`, and whose instances have a repr also where it has refused them."""
    shown = kind.__repr__

    @wraps(shown)
    def __repr__(self: T) -> str:  # noqa: N807 - put in place of the one there is
        try:
            return shown(self)
        except AttributeError:
            return f"<{kind.__name__}, never made>"

    kind.__repr__ = __repr__  # type: ignore[method-assign,assignment]  # to a checker it is another method
    kind.__init__ = discreet(kind.__init__)  # type: ignore[method-assign]  # as above
    return kind
