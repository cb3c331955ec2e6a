"""How much of something each key may have at once, such as contexts or sockets (protocol section 4.6).

This module counts. It must not know what is counted, nor who tells whom that there is too much of it. What nobody
limits is counted as well: the total is for tests.
"""

from collections import Counter
from typing import final

from cartesia_proto.credentials import Credentials
from cartesia_proto.server.problems import too_many


@final
class Quota:
    """What is in use, by credentials.

    Args:
        what: its name in the plural.
        limit: how many each key or token may have at once; None any number.

    Attributes:
        total: how many are in use, of all credentials.
    """

    def __init__(self, what: str, limit: int | None) -> None:
        self._what = what
        self._limit = limit
        self._used: Counter[Credentials | None] = Counter()
        self.total: int = 0

    def take(self, credentials: Credentials | None) -> None:
        """Take one more.

        Raises:
            Problem: 429, there are as many as there may be.
        """
        if self._limit is not None and self._used[credentials] >= self._limit:
            raise too_many(f"this key has {self._limit} {self._what} already, as many as it may have at once")
        self._used[credentials] += 1
        self.total += 1

    def give_back(self, credentials: Credentials | None) -> None:
        """Give one back that was taken."""
        self.total -= 1
        self._used[credentials] -= 1
        if not self._used[credentials]:
            del self._used[credentials]
