"""What our own clients are asked, the same on all of them."""

from typing import Final, TypedDict

from cartesia_proto import RawFormat

VOICE: Final = "a0e99841-438c-4a64-b679-ae501e7d6091"


class Settings(TypedDict):
    """Arguments that every speech request has."""

    model_id: str
    voice: str
    output_format: RawFormat


SETTINGS: Final[Settings] = {
    "model_id": "sonic-3",
    "voice": VOICE,
    "output_format": RawFormat("pcm_s16le", 24000),
}
