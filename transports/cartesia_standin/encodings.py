"""Samples as the bytes of each encoding.

This module knows ITU-T G.711 and the linear encodings of protocol section 7.2. It must not know what the samples say.
Samples are signed 16-bit integers throughout; G.711 tables are computed once, from its definition, when first needed.
"""

import sys
from array import array
from collections.abc import Callable
from functools import cache
from typing import Final

_MULAW_BIAS: Final = 33
"""Added to the magnitude of a 14-bit sample, so that a segment is a power of two (G.711 section 3.2)."""

_MULAW_CLIP: Final = 8158
"""The largest magnitude of mu-law in 14 bits."""


def encode(samples: "array[int]", encoding: str) -> bytes:
    """The bytes of samples in one of the four encodings of speech output.

    Args:
        samples: of type ``h``.
    """
    match encoding:
        case "pcm_s16le":
            return _little_endian(samples)
        case "pcm_f32le":
            return _little_endian(array("f", map(_float_table().__getitem__, samples)))
        case "pcm_mulaw":
            return bytes(map(_mulaw_table().__getitem__, samples))
        case "pcm_alaw":
            return bytes(map(_alaw_table().__getitem__, samples))
        case _:
            raise ValueError(f"{encoding!r} is no encoding of speech output")


def _little_endian(samples: "array[int] | array[float]") -> bytes:
    if sys.byteorder == "big":
        samples = samples[:]
        samples.byteswap()
    return samples.tobytes()


def _table(value: "Callable[[int], int]") -> bytes:
    """What each sample becomes, at its own index; negative indices count from the end, so they fit by themselves."""
    return bytes(value(sample) for sample in (*range(32768), *range(-32768, 0)))


@cache
def _float_table() -> "array[float]":
    return array("f", (sample / 32768 for sample in (*range(32768), *range(-32768, 0))))


@cache
def _mulaw_table() -> bytes:
    return _table(mulaw)


@cache
def _alaw_table() -> bytes:
    return _table(alaw)


def mulaw(sample: int) -> int:
    """One 16-bit sample as a mu-law byte, of 14 bits' precision (G.711 table 2: all bits inverted)."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample >> 2), _MULAW_CLIP) + _MULAW_BIAS
    segment = magnitude.bit_length() - 6
    mantissa = (magnitude >> (segment + 1)) & 0x0F
    return ~(sign | (segment << 4) | mantissa) & 0xFF


def alaw(sample: int) -> int:
    """One 16-bit sample as an A-law byte, of 13 bits' precision (G.711 table 1: even bits inverted)."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = (sample if sample >= 0 else ~sample) >> 4
    segment = max(0, magnitude.bit_length() - 4)
    mantissa = (magnitude >> max(0, segment - 1)) & 0x0F
    return (sign | (segment << 4) | mantissa) ^ 0x55
