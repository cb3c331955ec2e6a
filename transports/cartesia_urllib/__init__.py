"""Cartesia's voice API for ordinary, blocking programs, on the standard library's sockets.

    from cartesia_urllib import Cartesia

    with Cartesia() as client:  # the key comes from CARTESIA_API_KEY
        voices = client.voices.list()

`client` runs calls, `stream` is a streamed answer, `sending` one attempt, `opener` and `foreign` what carries it,
`connection` and `sockets` what is beneath. ``python -m cartesia_urllib`` speaks a text into a file, with `saving`.
"""

from cartesia_urllib.client import Cartesia

__all__ = ["Cartesia"]
