"""What to say, with which voice, in which shape: the part of a request that HTTP and WebSocket share.

This module knows how `voice` is written under each API version (protocol section 2.3.1), and accepts every spelling the
official SDKs taught their users. It must not know endpoints, formats of answers, or how a request travels.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol, TypeAlias, final, runtime_checkable

from attrs import frozen

from cartesia_proto.errors import JsonValue, LocalProtocolError
from cartesia_proto.parameters import Frozen, Parameters

MODE_UNTIL: Final = "2026-08-14"
"""From this version on a voice id goes without `mode` (protocol section 1.5)."""

CONTROLS: Final = "__experimental_controls"
"""The wire's own key for experimental controls (protocol section 2.3.1)."""

CONTROL_SPELLINGS: Final = (
    CONTROLS,
    "experimental_controls",
    "_experimental_voice_controls",
    "experimental_voice_controls",
)
"""The wire's key, and those of the 2.x and 1.x SDKs (protocol section 2.3.1)."""

ControlSpeed: TypeAlias = Literal["slowest", "slow", "normal", "fast", "fastest"] | str | float
"""A name, or a number from -1.0 (slowest) to 1.0 (fastest); protocol section 8.3."""


@final
@frozen
class ExperimentalControls:
    """Speed and emotion, for API versions up to 2024-11-13 and models up to ``sonic-2-2025-03-07``.

    Attributes:
        speed: a name, or a number from -1.0 to 1.0 with 0 as normal.
        emotion: tags such as ``positivity:high``, or a single one.
    """

    speed: ControlSpeed | None = None
    emotion: str | Sequence[str] | None = None


@final
@frozen
class VoiceById:
    """A voice of the catalogue, or one of your own."""

    id: str
    experimental_controls: ExperimentalControls | None = None


@final
@frozen
class VoiceByEmbedding:
    """A voice given by its 192 numbers, for API versions up to 2024-11-13."""

    embedding: Sequence[float]
    experimental_controls: ExperimentalControls | None = None


@final
@frozen
class GenerationConfig:
    """How to say it, for sonic-3 and newer (protocol section 2.3).

    Attributes:
        volume: 0.5 to 2.0, 1.0 as normal.
        speed: 0.6 to 1.5, 1.0 as normal.
        emotion: such as ``calm``; protocol section 8.3 lists those known.
    """

    volume: float | None = None
    speed: float | None = None
    emotion: str | None = None


@runtime_checkable
class Identified(Protocol):
    """A voice as an endpoint answers it: whatever else is known of it, its id says which it is."""

    @property
    def id(self) -> str:
        """Which one."""
        ...


VoiceLike: TypeAlias = str | VoiceById | VoiceByEmbedding | Identified | Mapping[str, object]
"""A voice id, a value of ours, a voice that an endpoint answered, or a mapping exactly as the API documents it."""


def check_voice(voice: VoiceLike) -> str | Parameters:
    """Freeze a voice; of one that an endpoint answered, its id alone.

    Raises:
        LocalProtocolError: it is empty, or names both an id and an embedding, which no version gives a meaning.
    """
    frozen_voice: str | Parameters
    match voice:
        case str():
            frozen_voice = voice
        case Identified() if not isinstance(voice, VoiceById | Mapping):
            frozen_voice = Parameters(id=voice.id).text("id")
        case _:
            frozen_voice = Parameters(voice=voice).mapping("voice")
    fields = Parameters(id=frozen_voice) if isinstance(frozen_voice, str) else frozen_voice
    named = [name for name in ("id", "embedding") if fields.get(name)]
    if not named:
        raise LocalProtocolError("voice names neither an id nor an embedding")
    if len(named) > 1:
        raise LocalProtocolError("voice names both an id and an embedding: give one of them")
    return frozen_voice


def voice_on_wire(voice: Frozen, version: str) -> dict[str, JsonValue]:
    """A voice in the shape that an API version understands.

    An id goes with ``mode`` before 2026-08-14 and alone from then on; an embedding always says its mode. Experimental
    controls travel under the wire's own key, a lone emotion as a list of one.
    """
    if isinstance(voice, str):
        return voice_on_wire(Parameters(id=voice), version)
    fields = Parameters(voice=voice).mapping("voice")
    plain = fields.without("mode", *CONTROL_SPELLINGS).as_json()
    if fields.get("embedding"):
        plain = {"mode": "embedding", **plain}
    elif version < MODE_UNTIL:
        plain = {"mode": "id", **plain}
    controls = next((fields[name] for name in CONTROL_SPELLINGS if fields.get(name) is not None), None)
    return plain if controls is None else {**plain, CONTROLS: controls_on_wire(controls)}


def controls_on_wire(controls: Frozen) -> dict[str, JsonValue]:
    """Experimental controls as the wire has them; a lone string is an emotion.

    Raises:
        LocalProtocolError: they are neither a mapping nor a string.
    """
    if isinstance(controls, str):
        return {"emotion": [controls]}
    fields = Parameters(experimental_controls=controls).mapping("experimental_controls").as_json()
    if isinstance(fields.get("emotion"), str):
        fields["emotion"] = [fields["emotion"]]
    return fields
