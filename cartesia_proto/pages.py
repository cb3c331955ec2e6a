"""Lists that come in pages.

This module knows how one page leads to the next (protocol section 2.0, pagination) and how a blocking client walks
them. It must not know any endpoint, nor fetch: clients do. The awaiting clients' walk has a colour, so it lives in
their transports behind the protocol `AsyncPages`.
"""

from collections import deque
from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Generic, Never, Protocol, TypeVar, final

from attrs import field, frozen

from cartesia_proto.errors import RemoteProtocolError
from cartesia_proto.parameters import Frozen, Parameters

if TYPE_CHECKING:
    from cartesia_proto.call import Blocking, PageCall

T = TypeVar("T")


@frozen
class Batch(Generic[T]):
    """What one response to a list request said.

    Attributes:
        items: in the order they came.
        first_id, last_id: of the first and last item; None when there are none.
        has_more: None where the response did not say.
        next_page: the cursor the server names, where it names one.
    """

    items: tuple[T, ...]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool | None = None
    next_page: str | None = None


@frozen
class Page(Generic[T]):
    """One page of a list. Not iterable, so that a page is never mistaken for the whole list.

    Attributes:
        items: what this page holds.
        next: the call for the page after it, or None at the end.
    """

    items: tuple[T, ...]
    next: "PageCall[T] | None"


@frozen
class Pages(Page[T]):
    """The first page of a list, also iterable over the items of all pages, each fetched when it is reached.

    Iterating may raise what any call raises; iterating again starts over from the first page.
    """

    _client: "Blocking" = field(repr=False, eq=False)

    def __iter__(self) -> Iterator[T]:
        walk: Progress[T] = Progress(None)
        walk.take(self)
        yield from walk.items
        while walk.next is not None:
            walk.items.clear()
            walk.take(self._client.run_call(walk.next.page()))
            yield from walk.items


@final
class Progress(Generic[T]):
    """Where one walk over the items of all pages stands, and has been: pages may point at each other.

    It keeps each page's cursor: an id, of some tens of bytes where its page had a hundred items, and never longer than
    the request line that carried it.

    Args:
        first: the call for the first page, unless that is there.

    Attributes:
        next: the call for the next page, None at the end.
        items: those that were not handed out.
    """

    def __init__(self, first: "PageCall[T] | None") -> None:
        self.next: PageCall[T] | None = first
        self.items: deque[T] = deque()
        self._cursors: set[tuple[Frozen, Frozen]] = set()

    def take(self, page: Page[T]) -> None:
        """Go on with a page that was fetched.

        Raises:
            RemoteProtocolError: it leads where another page has led before; nothing was noted.
        """
        if page.next is not None:
            asked = page.next.parameters
            cursor = asked.get("starting_after"), asked.get("ending_before")
            if cursor in self._cursors:
                raise RemoteProtocolError("the list goes in circles: a page leads to one that was fetched before")
            self._cursors.add(cursor)
        self.items.extend(page.items)
        self.next = page.next


class AsyncPages(Protocol[T]):
    """A list not yet fetched: ``async for`` walks the items of all pages, ``await`` fetches the first page alone."""

    def __aiter__(self) -> AsyncIterator[T]:
        """Walk all items, fetching pages as they are reached."""
        ...

    def __await__(self) -> Generator[object, Never, Page[T]]:
        """Fetch the first page."""
        ...


def following(parameters: Parameters, batch: Batch[T]) -> Parameters | None:
    """The parameters that ask for the page after a batch, or None at the end.

    The list ends when the server says so, else at an empty page. The cursor is the id of the last item, of the first
    when paging backwards with `ending_before` (protocol section 2.0).

    Raises:
        RemoteProtocolError: the server answered with the page it was asked to go past; following it would never end.
    """
    name, cursor = ("starting_after", batch.next_page or batch.last_id)
    if parameters.get("ending_before") is not None:
        name, cursor = ("ending_before", batch.first_id)
    if batch.has_more is False or cursor is None or not batch.items:
        return None
    if parameters.get(name) == cursor:
        raise RemoteProtocolError(f"the list does not advance: the page after {cursor!r} ends with {cursor!r} again")
    return parameters.replaced(**{name: cursor})
