"""The head of a response that somebody else has read, put back into the form it had on the wire.

So a link judges it as it judges every other. This module knows that form (RFC 9112 section 4). It must not know who
read the response, nor what it answers.
"""

import re
from collections.abc import Iterable
from typing import Final

_FOLD: Final = re.compile(r"[ \t]*\r?\n[ \t]*")  # RFC 9112 section 5.2: to be read as a space


def wire_head(status: int, fields: Iterable[tuple[str, str]]) -> bytes:
    """The head as it stood on the wire, but for the chunks of its body, which its reader has taken away.

    Args:
        fields: names and values of the headers, where one may be folded over several lines.
    """
    fields = [*fields]
    chunked = [value.strip().lower() for name, value in fields if name.lower() == "transfer-encoding"][:1] == [
        "chunked"
    ]
    gone = ("transfer-encoding", "content-length") if chunked else ()
    kept = [f"{name}: {_FOLD.sub(' ', value)}" for name, value in fields if name.lower() not in gone]
    return "\r\n".join([f"HTTP/1.1 {status} ", *kept, "", ""]).encode("latin-1", "replace")
