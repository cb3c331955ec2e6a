"""TLS records, of which TLS hands over one at a time.

This module knows how large they are, and how those that have arrived are read at once, because a turn of a task or a
thread costs more than a record. It must not know sockets, nor what TLS itself does.
"""

from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Final

TLS_RECORD: Final = 16 * 1024
"""Bytes of plaintext in a full record (RFC 8446 section 5.1): its sender had more to say, where a shorter one is all
there was."""


def gather(read: Callable[[int], bytes], most: int, none_left: type[Exception]) -> bytes:
    """Read all records that have arrived, up to so many bytes in all.

    Args:
        read: reads at most so many bytes of one record.
        none_left: what it raises where none has arrived. Behind the first record that is no failure, nor is anything
            that it is the base of: the next call raises it again.
    """
    gathered = BytesIO()
    left = most - gathered.write(read(min(most, TLS_RECORD)))
    with suppress(none_left):
        while left and (more := read(min(left, TLS_RECORD))):
            left -= gathered.write(more)
    return gathered.getvalue()
