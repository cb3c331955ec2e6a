"""Cartesia's voice API for ordinary, blocking programs, on the standard library's sockets.

    from cartesia_urllib import Cartesia

    with Cartesia() as client:  # the key comes from CARTESIA_API_KEY
        voices = client.voices.list()

`client` is what users make, `stream` a streamed answer; `sending` runs calls over what `network` shares and `sockets`
makes, or over a user's own opener (`foreign`). `dialling` connects a WebSocket, `pump` moves the bytes of a connection,
in turns that the core gives. ``python -m cartesia_urllib`` speaks a text into a file, with `saving`.
"""

from typing import TYPE_CHECKING

from cartesia_proto.names import on_demand
from cartesia_urllib.client import Cartesia

if TYPE_CHECKING:
    from cartesia_urllib.sockets import Connect
    from cartesia_urllib.stream import BodyStream
else:
    __getattr__, __dir__ = on_demand(globals(), BodyStream="cartesia_urllib.stream", Connect="cartesia_urllib.sockets")

__all__ = ["BodyStream", "Cartesia", "Connect"]
