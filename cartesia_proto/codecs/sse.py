"""Server-sent events from bytes in any segmentation.

This module knows section 9.2.6 of the HTML standard ("Interpreting an event stream"), and how much a peer may make us
hold. It must not know what the data of an event means.

Lines are split before UTF-8 is decoded; bytes that are no UTF-8 become U+FFFD, as the standard has it. Work is linear
in the number of bytes, however they are cut.
"""

from typing import Final, final

from attrs import frozen

from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""Dropped at the very start of a stream, and only there (HTML standard section 9.2.6)."""


@frozen
class ServerSentEvent:
    """One dispatched event.

    Attributes:
        event: its type, ``message`` where the stream named none.
        data: its data lines, joined by line feeds.
        id: the last event id seen so far in the stream, which persists from event to event.
    """

    event: str
    data: str
    id: str


@final
class SSEDecoder:
    """Turns the bytes of one event stream into events; fed by a stream decoder such as `speech.TTSDecoder`.

    Args:
        line_limit: bytes of one line, without its end.
        event_limit: bytes of the data of one event, over all its lines.

    What exceeds a limit ends the stream: every event before it is returned, and the next and every later call raises
    the same `RemoteProtocolError`. Nothing beyond the limits is ever held.
    """

    def __init__(self, line_limit: int, event_limit: int) -> None:
        self._line_limit = line_limit
        self._event_limit = event_limit
        self._line = bytearray()
        self._after_carriage_return = False
        self._first_line = True
        self._ended = False
        self._failure: RemoteProtocolError | None = None
        self._event = b""
        self._data = bytearray()  # every data line with a line feed after it
        self._id = b""

    @property
    def pending(self) -> bool:
        """Whether a line or an event was begun that an end of the stream, now, would discard."""
        return bool(self._line or self._data)

    def receive_data(self, data: bytes) -> list[ServerSentEvent]:
        """The events that these bytes complete.

        Raises:
            RemoteProtocolError: an earlier call met a line or an event over its limit.
            LocalProtocolError: the stream has ended.
        """
        self._check()
        if self._ended:
            raise LocalProtocolError("the event stream has ended: receive_eof was called")
        if self._after_carriage_return and data:  # a line feed now belongs to the line end before it
            data = data.removeprefix(b"\n")
            self._after_carriage_return = False
        self._after_carriage_return = self._after_carriage_return or data.endswith(b"\r")
        events: list[ServerSentEvent] = []
        for piece in data.splitlines(keepends=True):
            self._receive_piece(piece, events)
            if self._failure is not None:
                self._line.clear()
                self._data.clear()
                break
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

    def _receive_piece(self, piece: bytes, events: list[ServerSentEvent]) -> None:
        """A line, or as much of one as has arrived."""
        content = piece.rstrip(b"\r\n")
        self._line += content
        if len(self._line) > self._line_limit:
            self._failure = RemoteProtocolError(f"a line of the event stream exceeds {self._line_limit} bytes")
        elif len(content) < len(piece):
            line = bytes(self._line)
            self._line.clear()
            self._receive_line(line, events)

    def _receive_line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line:
            self._dispatch(events)
            return
        name, _, value = line.partition(b":")
        self._receive_field(name, value.removeprefix(b" "))

    def _receive_field(self, name: bytes, value: bytes) -> None:
        match name:
            case b"data":
                self._receive_data_line(value)
            case b"event":
                self._event = value
            case b"id" if b"\0" not in value:
                self._id = value
            case _:  # a comment (an empty name), `retry`, or a field of tomorrow
                pass

    def _receive_data_line(self, value: bytes) -> None:
        self._data += value + b"\n"
        if len(self._data) - 1 > self._event_limit:  # the last line feed is not part of the data
            self._failure = RemoteProtocolError(f"the data of an event exceeds {self._event_limit} bytes")

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        if self._data:
            event, data = _text(self._event) or "message", _text(self._data[:-1])
            events.append(ServerSentEvent(event=event, data=data, id=_text(self._id)))
        self._event = b""
        self._data.clear()


def _text(value: bytes | bytearray) -> str:
    return value.decode("utf-8", "replace")
