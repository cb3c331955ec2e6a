"""Audio formats as values: containers, encodings, rates, and how the API writes them.

This module knows protocol section 7 and how many bytes a sample takes. It must not know what the bytes look like:
`pcm` and `wav` do. Encodings and rates are open: what is unknown today passes through, with samples of unknown width.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, TypeAlias

from attrs import Attribute, field, frozen

from cartesia_proto.errors import JsonValue, LocalProtocolError

Encoding: TypeAlias = Literal["pcm_f32le", "pcm_s16le", "pcm_mulaw", "pcm_alaw"] | str
"""How one sample is written (protocol section 7.1)."""

Container: TypeAlias = Literal["raw", "wav", "mp3"] | str
"""What the samples are wrapped in (protocol section 7.1)."""

SAMPLE_WIDTHS: Final[Mapping[str, int]] = {
    "pcm_f32le": 4,
    "pcm_s16le": 2,
    "pcm_mulaw": 1,
    "pcm_alaw": 1,
    "pcm_s32le": 4,
    "pcm_f16le": 2,
}
"""Bytes of one sample (protocol section 7.2; the last two are for speech to text alone, section 7.4)."""

ENCODINGS: Final = ("pcm_f32le", "pcm_s16le", "pcm_mulaw", "pcm_alaw")
"""Encodings of speech output (protocol section 7.1)."""

SAMPLE_RATES: Final = (8000, 16000, 22050, 24000, 44100, 48000)
"""Rates of speech output, in Hz (protocol section 7.1)."""

BIT_RATES: Final = (32000, 64000, 96000, 128000, 192000)
"""Rates of mp3 output, in bits per second (protocol section 7.1)."""


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise LocalProtocolError(f"output_format.{name} must be a string that is not empty, not {value!r}")
    return value


def _positive(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise LocalProtocolError(f"output_format.{name} must be an integer above 0, not {value!r}")
    return value


def _check_text(_: object, attribute: "Attribute[str]", value: object) -> None:
    _text(attribute.name, value)


def _check_positive(_: object, attribute: "Attribute[int]", value: object) -> None:
    _positive(attribute.name, value)


def frame_size(encoding: str) -> int:
    """Bytes of one sample, which are whole frames because all audio is mono; 1 where the encoding is unknown."""
    return SAMPLE_WIDTHS.get(encoding, 1)


@frozen
class RawFormat:
    """Samples alone, mono, without a header.

    Args:
        encoding: how one sample is written.
        sample_rate: in Hz.

    Raises:
        LocalProtocolError: the encoding is empty or the rate is no integer above 0.
    """

    container: ClassVar[Literal["raw"]] = "raw"

    encoding: Encoding = field(validator=_check_text)
    sample_rate: int = field(validator=_check_positive)

    @property
    def frame_size(self) -> int:
        """Bytes of one sample; 1 where the encoding is unknown."""
        return frame_size(self.encoding)

    def as_wire(self) -> dict[str, JsonValue]:
        """The JSON object of protocol section 7.1."""
        return {"container": self.container, "encoding": self.encoding, "sample_rate": self.sample_rate}


@frozen
class WavFormat:
    """Samples in a WAV file, mono. Arguments and errors as `RawFormat`."""

    container: ClassVar[Literal["wav"]] = "wav"

    encoding: Encoding = field(validator=_check_text)
    sample_rate: int = field(validator=_check_positive)

    @property
    def frame_size(self) -> int:
        """Bytes of one sample; 1 where the encoding is unknown."""
        return frame_size(self.encoding)

    def as_wire(self) -> dict[str, JsonValue]:
        """The JSON object of protocol section 7.1."""
        return {"container": self.container, "encoding": self.encoding, "sample_rate": self.sample_rate}


@frozen
class Mp3Format:
    """An mp3 file; `/tts/bytes`, infill and voice changer only.

    Args:
        sample_rate: in Hz.
        bit_rate: in bits per second.

    Raises:
        LocalProtocolError: a rate is no integer above 0.
    """

    container: ClassVar[Literal["mp3"]] = "mp3"

    sample_rate: int = field(validator=_check_positive)
    bit_rate: int = field(validator=_check_positive)

    @property
    def frame_size(self) -> int:
        """Always 1: an mp3 stream may be cut anywhere."""
        return 1

    def as_wire(self) -> dict[str, JsonValue]:
        """The JSON object of protocol section 7.1."""
        return {"container": self.container, "sample_rate": self.sample_rate, "bit_rate": self.bit_rate}


OutputFormat: TypeAlias = RawFormat | WavFormat | Mp3Format
"""A closed union: a container of tomorrow needs code here, an encoding does not."""

_FIELDS: Final = ("container", "encoding", "sample_rate", "bit_rate")


def parse_output_format(fields: Mapping[str, object]) -> OutputFormat:
    """An output format from a mapping as the API documents it; a field that is None counts as absent.

    `bit_rate` beside raw and wav, and `encoding` beside mp3, are dropped: old versions allowed and ignored them.

    Raises:
        LocalProtocolError: a field is missing, unknown, or of a wrong type; the message names it.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    if unknown := [name for name in given if name not in _FIELDS]:
        raise LocalProtocolError(
            f"output_format has the unknown field {unknown[0]!r}: it may have {', '.join(_FIELDS)}"
        )
    container = _text("container", _required(given, "container"))
    if container not in ("raw", "wav", "mp3"):
        raise LocalProtocolError(f"output_format.container is {container!r}: expected raw, wav or mp3")
    sample_rate = _positive("sample_rate", _required(given, "sample_rate"))
    if container == "mp3":
        return Mp3Format(sample_rate, _positive("bit_rate", _required(given, "bit_rate")))
    encoding = _text("encoding", _required(given, "encoding"))
    return RawFormat(encoding, sample_rate) if container == "raw" else WavFormat(encoding, sample_rate)


def _required(given: Mapping[str, object], name: str) -> object:
    if name not in given:
        of_container = f" of container {given['container']!r}" if "container" in given else ""
        raise LocalProtocolError(f"output_format{of_container} lacks the field {name!r}")
    return given[name]


NAMED_FORMATS: Final[Mapping[str, RawFormat]] = {
    f"raw_{encoding}_{rate}": RawFormat(encoding, rate)
    for encoding, rates in (
        ("pcm_f32le", (44100, 24000, 22050, 16000, 8000)),
        ("pcm_s16le", (44100, 24000, 22050, 16000, 8000)),
        ("pcm_mulaw", (8000,)),
        ("pcm_alaw", (8000,)),
    )
    for rate in rates
}
"""The names of the official SDKs 1.x and 2.x (protocol section 7.5)."""


def get_output_format(name: str) -> RawFormat:
    """A format by its name in the official SDKs, such as ``raw_pcm_f32le_44100``.

    Raises:
        LocalProtocolError: there is no such name; the message lists those there are.
    """
    if name not in NAMED_FORMATS:
        raise LocalProtocolError(f"no output format is named {name!r}: expected one of {', '.join(NAMED_FORMATS)}")
    return NAMED_FORMATS[name]
