"""Server-sent events from bytes in any segmentation.

This module knows section 9.2.6 of the HTML standard ("Interpreting an event stream"), and how much a peer may make us
hold. It must not know what the data of an event means.

Lines are split before UTF-8 is decoded; bytes that are no UTF-8 become U+FFFD, as the standard has it. Work is linear
in the number of bytes, however they are cut.

Theory of operation. Nearly every event is one line of data and a blank line. Where such a message stands whole in what
was received, it is offered to its reader where it lies, without having been a line or an event. All else goes line by
line, and so does a message that its reader leaves. A property test holds the two equal.
"""

import sys
from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar, final

from attrs import frozen

from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""Dropped at the very start of a stream, and only there (HTML standard section 9.2.6)."""

TURN: Final = 500
"""How many lines or whole messages are read at once where others are to have their turn. Our choice: a few milliseconds
of work. Each costs the same however short it is, so the bytes of one read are no bound."""

_DATA: Final = b"data: "
"""How the service begins a line of data (protocol section 3.1); the standard allows the space to be missing."""

_LINE_FEED: Final = ord("\n")

T = TypeVar("T")

ReadMessage: TypeAlias = Callable[[bytes, memoryview, int, int], T | None]
"""What reads messages: given bytes, a view of all of them, and where in them a message begins and ends, it answers with
what that is, or with None to leave it."""


@frozen
class ServerSentEvent:
    """One dispatched event.

    Attributes:
        event: its type, ``message`` where the stream named none.
        data: its data lines, joined by line feeds, as they were received.
        id: the last event id seen so far in the stream, which persists from event to event.
    """

    event: str
    data: bytes
    id: str

    @property
    def text(self) -> str:
        """The data, decoded; where it is no UTF-8 there are replacement characters."""
        return _text(self.data)


@final
class SSEDecoder:
    """Turns the bytes of one event stream into events; fed by a stream decoder such as `speech.TTSDecoder`.

    Args:
        line_limit: bytes of one line, without its end.
        event_limit: bytes of the data of one event, over all its lines.

    What exceeds a limit ends the stream: every event before it is returned, and the next and every later call raises
    the same `RemoteProtocolError`. Nothing beyond the limits is ever held, and it is held as bytes, in one piece: an
    object for each line would take twenty times the memory of a short line.
    """

    def __init__(self, line_limit: int, event_limit: int) -> None:
        self._line_limit = line_limit
        self._event_limit = event_limit
        self._message_limit = min(line_limit - len(_DATA), event_limit)
        self._unread: bytes = b""  # received, with line feeds, and left for another turn
        self._line: bytearray = bytearray()  # the beginning of one, as far as it has arrived
        self._after_carriage_return = False
        self._first_line = True
        self._ended = False
        self._failure: RemoteProtocolError | None = None
        self._event = b""
        self._data: bytes | bytearray | None = None  # every data line of the event, joined; mostly there is only one
        self._id = ""  # decoded once: the events that follow share it, however long it is

    @property
    def pending(self) -> bool:
        """Whether a line or an event was begun that an end of the stream, now, would discard."""
        return bool(self._line) or self._data is not None

    @property
    def laden(self) -> bool:
        """Whether there is more to be read of what was received: enough was read for one turn."""
        return bool(self._unread)

    def receive_data(self, data: bytes) -> list[ServerSentEvent]:
        """The events that these bytes complete.

        Raises:
            RemoteProtocolError: an earlier call met a line or an event over its limit.
            LocalProtocolError: the stream has ended.
        """
        return self.read_messages(data, _leave)

    def read_messages(self, data: bytes, read: ReadMessage[T], most: int = sys.maxsize) -> list[T | ServerSentEvent]:
        """The events that these bytes complete: as read, the messages in one line that are offered and not left.

        Args:
            most: how many lines, and how many events, are read; what is left, the next call goes on with.

        Raises:
            RemoteProtocolError, LocalProtocolError: as `receive_data`.
        """
        self._check()
        if self._ended:
            raise LocalProtocolError("the event stream has ended: receive_eof was called")
        data, self._unread = self._unread + self._with_line_feeds(data), b""
        events: list[T | ServerSentEvent] = []
        position = lines = 0
        while self._failure is None:
            if lines >= most or len(events) >= most:
                self._unread = data[position:]
                break
            lines += 1
            if self._data is None and not (self._first_line or self._line or self._event):
                position = self._read_whole(data, position, read, events, most)
            end = data.find(b"\n", position)
            if end < 0:
                self._line += data[position:]
                self._check_line(self._line)
                break
            sent = self._receive_line(self._take_begun() + data[position:end])
            if sent is not None:
                events.append(sent)
            position = end + 1
        return events

    def receive_eof(self) -> None:
        """The stream has ended; an event without its blank line is discarded, as the standard says.

        Raises:
            RemoteProtocolError: as `receive_data`.
        """
        self._check()
        self._ended = True

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def _with_line_feeds(self, data: bytes) -> bytes:
        """The same lines with a line feed after each, whatever the three kinds of ends were."""
        if self._after_carriage_return and data:  # a line feed now belongs to the line end before it
            data = data.removeprefix(b"\n")
            self._after_carriage_return = False
        if b"\r" not in data:
            return data
        self._after_carriage_return = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _read_whole(
        self, data: bytes, position: int, read: ReadMessage[T], events: list[T | ServerSentEvent], most: int
    ) -> int:
        """Offer messages that stand whole here until one is left; answer with the place behind those that were read."""
        view = memoryview(data)
        limit = self._message_limit
        before_last = len(data) - 1
        while data.startswith(_DATA, position) and len(events) < most:
            start = position + len(_DATA)
            end = data.find(b"\n", start, before_last)
            if not start <= end <= start + limit or data[end + 1] != _LINE_FEED:
                break
            message = read(data, view, start, end)
            if message is None:
                break
            events.append(message)
            position = end + 2
        return position

    def _take_begun(self) -> bytes:
        begun = bytes(self._line)
        self._line.clear()
        return begun

    def _check_line(self, line: bytes | bytearray) -> None:
        if len(line) > self._line_limit:
            self._fail(f"a line of the event stream exceeds {self._line_limit} bytes")

    def _fail(self, words: str) -> None:
        self._failure = RemoteProtocolError(words)
        self._line.clear()
        self._data = None

    def _receive_line(self, line: bytes) -> ServerSentEvent | None:
        """The event that a line dispatches, if it does."""
        self._check_line(line)
        if self._failure is not None:
            return None
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        if line.startswith(_DATA):  # nearly every one
            self._receive_data_line(line[len(_DATA) :])
            return None
        name, _, value = line.partition(b":")
        self._receive_field(name, value.removeprefix(b" "))
        return None

    def _receive_field(self, name: bytes, value: bytes) -> None:
        match name:
            case b"data":
                self._receive_data_line(value)
            case b"event":
                self._event = value
            case b"id" if b"\0" not in value:
                self._id = _text(value)
            case _:  # a comment (an empty name), `retry`, or a field of tomorrow
                pass

    def _receive_data_line(self, value: bytes) -> None:
        if self._data is None:
            self._data = value
        else:
            self._data = self._data if isinstance(self._data, bytearray) else bytearray(self._data)
            self._data += b"\n"
            self._data += value
        if len(self._data) > self._event_limit:
            self._fail(f"the data of an event exceeds {self._event_limit} bytes")

    def _dispatch(self) -> ServerSentEvent | None:
        event, self._event = self._event, b""
        data, self._data = self._data, None
        return None if data is None else ServerSentEvent(_text(event) or "message", bytes(data), self._id)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _leave(data: bytes, view: memoryview, start: int, end: int) -> ServerSentEvent | None:
    """Read no message, so that every one becomes an event."""
    del data, view, start, end
    return None
