"""Placeholder speech: a timeline as samples, piece by piece.

This module knows how words become sound at a pitch and a rate, and how samples are handed on in even chunks. It must
not know encodings, containers or endpoints. The result depends on nothing but its arguments, and sample `n` is at
`n / rate` seconds: the words begin and end exactly where the timeline says.
"""

from array import array
from collections.abc import Iterable, Iterator
from typing import Final

from cartesia_standin.sounds import FULL_SCALE, LEVELS, NOMINAL_PEAK, piece
from cartesia_standin.timeline import Sound, Timeline, Word

MIN_PITCH: Final = 80.0
MAX_PITCH: Final = 260.0
"""Hz between which voices lie: about those of adult speakers."""

ATTACK: Final = 3
"""Steps of loudness that a sound gains with each piece, and loses at its end."""


def pitch_of(embedding: tuple[float, ...]) -> float:
    """The pitch in Hz of the voice with this embedding; its first number, from -1 to 1, is the one that counts."""
    place = (max(-1.0, min(1.0, embedding[0])) + 1) / 2
    return MIN_PITCH + place * (MAX_PITCH - MIN_PITCH)


def sample_count(timeline: Timeline, rate: int) -> int:
    """How many samples a timeline has at a rate in Hz."""
    return round(timeline.duration * rate)


def samples(timeline: Timeline, pitch: float, rate: int) -> Iterator["array[int]"]:
    """The samples of a timeline, a letter or a pause at a time.

    Args:
        pitch: in Hz.
        rate: in Hz.
    """
    position = 0
    for word in timeline.words:
        for sound in word.sounds:
            start = round(sound.start * rate)
            if start > position:
                yield _silence(start - position)
            position = max(start, position)
            voiced = _voiced(sound, word, pitch, rate, round(sound.end * rate) - position)
            position += len(voiced)
            yield voiced
    yield _silence(sample_count(timeline, rate) - position)


def _silence(count: int) -> "array[int]":
    return array("h", bytes(2 * count))


def _voiced(sound: Sound, word: Word, pitch: float, rate: int, count: int) -> "array[int]":
    """As many whole periods as fit; the silence that is left is shorter than one."""
    length = round(rate / (pitch * word.pitch))
    peak = min(round(NOMINAL_PEAK * word.volume), FULL_SCALE // 2)
    periods = max(0, count // length)
    voiced = array("h")
    for index in range(periods):
        level = min(LEVELS, (index + 1) * ATTACK, (periods - index) * ATTACK)
        voiced += piece(sound.symbol, rate, length, peak * level // LEVELS, index)
    return voiced


def chunks(pieces: Iterable["array[int]"], size: int) -> Iterator["array[int]"]:
    """The same samples in chunks of `size`, the last one shorter."""
    pending = array("h")
    for part in pieces:
        pending += part
        while len(pending) >= size:
            yield pending[:size]
            del pending[:size]
    if pending:
        yield pending
