"""What a letter sounds like, as one short piece of a wave that is repeated.

This module knows harmonics and formants, so that vowels differ and voices have a pitch, and noise for voiceless
consonants. It is a placeholder for speech: audible, deterministic and cheap, never to be taken for the real voice. It
must not know words or times.

Every piece begins and ends near zero, so pieces can follow each other without a click.
"""

import math
from array import array
from functools import lru_cache
from typing import Final

FULL_SCALE: Final = 32767

NOMINAL_PEAK: Final = FULL_SCALE // 4
"""The loudest sample at volume 1; at 2, the largest volume there is, it is half of full scale."""

LEVELS: Final = 8
"""Steps of loudness in which a sound rises and falls."""

_VOWELS: Final = {
    "a": (800, 1200, 2500),
    "e": (500, 1900, 2600),
    "i": (300, 2300, 3000),
    "o": (500, 900, 2500),
    "u": (320, 800, 2300),
    "y": (300, 1800, 2200),
}
"""Formants in Hz, rounded from Peterson and Barney, "Control Methods Used in a Study of the Vowels", 1952."""

_HUM: Final = (250, 1100, 2200)
_VOICELESS: Final = frozenset("cfhkpqstx")
_BANDWIDTH: Final = 120.0
"""Of a formant, in Hz."""

_NOISES: Final = 4
"""Different pieces of noise, so that it does not buzz."""


def piece(symbol: str, rate: int, length: int, peak: int, index: int) -> "array[int]":
    """One period of the sound of a letter, or a piece of noise as long.

    Args:
        rate: in Hz.
        length: in samples; for a voice, its period.
        peak: the loudest sample.
        index: how many pieces of this sound went before.
    """
    if symbol in _VOICELESS:
        return _scaled_noise(length, peak, index % _NOISES)
    return _scaled(_formants(symbol), rate, length, peak)


def _formants(symbol: str) -> tuple[int, int, int]:
    if symbol in _VOWELS:
        return _VOWELS[symbol]
    if "a" <= symbol <= "z":
        return _HUM
    return _VOWELS["aeiou"[ord(symbol[0]) % 5]]


@lru_cache(maxsize=4096)
def _scaled(formants: tuple[int, int, int], rate: int, length: int, peak: int) -> "array[int]":
    return array("h", [round(value * peak) for value in _period(formants, rate, length)])


@lru_cache(maxsize=512)
def _period(formants: tuple[int, int, int], rate: int, length: int) -> tuple[float, ...]:
    """One period of a voice with these formants, its peak at 1; the harmonics end below 4 kHz and half the rate."""
    sine = [math.sin(2 * math.pi * index / length) for index in range(length)]
    wave = [0.0] * length
    for harmonic in range(1, length * min(4000, rate * 45 // 100) // rate + 1):
        weight = _weight(harmonic * rate / length, formants)
        wave = [value + weight * sine[harmonic * index % length] for index, value in enumerate(wave)]
    peak = max(map(abs, wave))
    return tuple(value / peak for value in wave)


def _weight(frequency: float, formants: tuple[int, int, int]) -> float:
    """How strong a harmonic is: near a formant strong, higher ones weaker."""
    distances = [(frequency - formant) / _BANDWIDTH for formant in formants]
    return sum(1 / (order * (1 + distance**2)) for order, distance in enumerate(distances, 1))


@lru_cache(maxsize=1024)
def _scaled_noise(length: int, peak: int, variant: int) -> "array[int]":
    """Noise from a linear congruential generator (Numerical Recipes, 3rd edition, section 7.1.1), at half the peak."""
    samples = array("h")
    state = variant + 1
    for _ in range(length):
        state = (1664525 * state + 1013904223) & 0xFFFFFFFF
        samples.append(((state >> 16) - 32768) * peak // 65536)
    return samples
