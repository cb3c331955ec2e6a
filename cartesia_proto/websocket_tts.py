"""Text to speech of a client that has WebSockets: the resource, and one method more.

This module knows how a WebSocket is asked for. It must not know what one is: a transport makes it. Nothing of wsproto
is imported before the first one is asked for.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar, final

from cartesia_proto.api.tts import TTS
from cartesia_proto.call import C_co
from cartesia_proto.config import INBOX_BYTES, PING_INTERVAL, PING_TIMEOUT

if TYPE_CHECKING:
    from cartesia_proto.conversation import WebSocketOptions

WebSocketT_co = TypeVar("WebSocketT_co", covariant=True)


@final
class WebSocketTTS(TTS[C_co], Generic[C_co, WebSocketT_co]):
    """Text to speech."""

    __slots__ = ("_make",)

    def __init__(self, client: C_co, make: "Callable[[WebSocketOptions], WebSocketT_co]") -> None:
        super().__init__(client)
        self._make = make

    def websocket(
        self,
        *,
        ping_interval: float = PING_INTERVAL,
        ping_timeout: float = PING_TIMEOUT,
        deflate: bool = False,
        inbox_limit: int = INBOX_BYTES,
    ) -> WebSocketT_co:
        """A WebSocket for many contexts at once, which is connected when it is first needed.

        Args:
            ping_interval: seconds without a byte after which, while anybody reads, a ping is sent; ``math.inf`` for no
                keep-alive.
            ping_timeout: seconds without a byte after a ping after which the connection is lost; ``math.inf`` for
                never.
            deflate: offer to compress messages.
            inbox_limit: bytes that may wait for one context's reader before that context fails. As much again may have
                been taken by a reader that iterates, which takes what waits all at once.

        Raises:
            LocalProtocolError: a value is not above zero, or the client is closed.

        Source: protocol section 4.
        """
        from cartesia_proto.conversation import WebSocketOptions  # noqa: PLC0415 - see the module docstring

        return self._make(WebSocketOptions(ping_interval, ping_timeout, deflate, inbox_limit))
