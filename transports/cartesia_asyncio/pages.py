"""Lists that come in pages, walked on asyncio.

This module knows how a walk goes from page to page. It must not know how one leads to the next: `pages` of the
core does.
"""

from typing import Generic, Self, TypeVar, final

from cartesia_proto.call import Awaiting, PageCall
from cartesia_proto.pages import Progress

T = TypeVar("T")


@final
class Walk(Generic[T]):
    """One walk over the items of all pages. After a failure, the next item is asked for again."""

    def __init__(self, client: Awaiting, first: PageCall[T]) -> None:
        self._client = client
        self._walked = Progress(first)

    def __aiter__(self) -> Self:
        """The walk itself."""
        return self

    async def __anext__(self) -> T:
        """The next item.

        Raises:
            CartesiaError: its page could not be fetched.
        """
        while not self._walked.items:
            if self._walked.next is None:
                raise StopAsyncIteration
            self._walked.take(await self._client.run_call(self._walked.next.page()))
        return self._walked.items.popleft()
