"""From a transcript to what is said when.

This module knows words, pauses and the inline tags of protocol section 2.3.2, and gives every letter its time. It must
not know what a letter sounds like, nor sample rates: times are in seconds, to the microsecond, and the same
at every rate.

``<break/>``, ``<speed/>`` and ``<volume/>`` are honoured; other tags are dropped, and what stands between them is said.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, final

from attrs import evolve, field, frozen

LEAD: Final = 0.05
"""Seconds of silence before the first word."""

TAIL: Final = 0.1
"""Seconds of silence after the last word."""

GAP: Final = 0.06
"""Seconds between two words."""

PAUSES: Final = ((".!?…。।", 0.35), (",;:—、", 0.18))
"""Seconds more after a word that ends in one of these, or in a full-width form of it."""

VOWEL: Final = 0.09
CONSONANT: Final = 0.06
SYLLABLE: Final = 0.2
"""Seconds of a vowel, of a consonant, and of a digit or a character that stands for a syllable or word."""

MAX_BREAK: Final = 30.0
"""Seconds of the longest single pause; our choice, so that a mistyped number cannot ask for a day of silence."""

_TAG: Final = re.compile(r"<[^<>]*>")
_BREAK: Final = re.compile(r"""<break\s+time=["'](\d{1,9}(?:\.\d{1,9})?)(ms|s)["']\s*/?>""")
_RATIO: Final = re.compile(r"""<(speed|volume)\s+ratio=["'](\d{1,9}(?:\.\d{1,9})?)["']\s*/?>""")
_WORD: Final = re.compile(r"[぀-ヿ㐀-鿿豈-﫿][^\w\s]*|[^\s぀-ヿ㐀-鿿豈-﫿]+")
"""A character of Chinese or Japanese is a word of its own, with the punctuation after it (protocol section 4.4)."""


@final
@frozen
class Sound:
    """One letter: its lower-case base form, and when it is heard, in seconds."""

    symbol: str
    start: float
    end: float


@final
@frozen
class Word:
    """One word as it stands in the transcript, and when it is heard, in seconds.

    Attributes:
        pitch, volume: factors.
    """

    text: str
    start: float
    end: float
    sounds: tuple[Sound, ...] = field(repr=False)
    pitch: float = 1.0
    volume: float = 1.0


@final
@frozen
class Timeline:
    """Everything that is said, and how long it takes in all, in seconds."""

    words: tuple[Word, ...]
    duration: float

    def cut(self, duration: float | None) -> "Timeline":
        """No more than the first `duration` seconds of it, or all."""
        if duration is None or duration >= self.duration:
            return self
        words = tuple(_cut_word(word, duration) for word in self.words if word.start < duration)
        return Timeline(words, duration)


def _cut_word(word: Word, duration: float) -> Word:
    sounds = tuple(evolve(sound, end=min(sound.end, duration)) for sound in word.sounds if sound.start < duration)
    return evolve(word, end=min(word.end, duration), sounds=sounds)


def plan(transcript: str, speed: float = 1.0, volume: float = 1.0) -> Timeline:
    """Give every word its time.

    Args:
        speed, volume: factors, on top of those of tags.
    """
    words: list[Word] = []
    now, rate, loudness = round(LEAD / speed, 6), speed, volume
    for piece in _pieces(transcript):
        match piece:
            case _Pause(seconds):
                now = round(now + seconds, 6)
            case _Ratio("speed", factor):
                rate = speed * factor
            case _Ratio(_, factor):
                loudness = volume * factor
            case str():
                word = _word(piece, now, rate, loudness, len(words))
                words += [word] if word.sounds else []
                now = round(word.end + _pause_after(piece) / rate, 6)
    return Timeline(tuple(words), round(now + TAIL / speed, 6))


@final
@frozen
class _Pause:
    seconds: float


@final
@frozen
class _Ratio:
    what: str
    factor: float


def _pieces(transcript: str) -> Iterator[str | _Pause | _Ratio]:
    """Words, pauses and changes of speed or volume, in order."""
    position = 0
    for tag in _TAG.finditer(transcript):
        yield from _WORD.findall(transcript[position : tag.start()])
        position = tag.end()
        if pause := _BREAK.fullmatch(tag[0]):
            yield _Pause(min(float(pause[1]) / (1000 if pause[2] == "ms" else 1), MAX_BREAK))
        elif ratio := _RATIO.fullmatch(tag[0]):
            yield _Ratio(ratio[1], max(0.5, min(2.0, float(ratio[2]))))
    yield from _WORD.findall(transcript[position:])


def _word(text: str, start: float, rate: float, volume: float, index: int) -> Word:
    sounds: list[Sound] = []
    now = start
    for symbol in _symbols(text):
        end = round(now + _length(symbol) / rate, 6)
        sounds.append(Sound(symbol, now, end))
        now = end
    return Word(text, start, now, tuple(sounds), _pitch(text, index), volume)


def _symbols(text: str) -> list[str]:
    """The letters and digits of a word in lower case, without their accents."""
    plain = unicodedata.normalize("NFD", text).lower()
    return [character for character in plain if character.isalnum()]


def _length(symbol: str) -> float:
    if symbol in "aeiouy":
        return VOWEL
    return CONSONANT if "a" <= symbol <= "z" else SYLLABLE


def _pause_after(text: str) -> float:
    return GAP + next((seconds for marks, seconds in PAUSES if _last(text) in marks), 0.0)


def _last(text: str) -> str:
    """The last character; of a full-width form, the usual one."""
    return unicodedata.normalize("NFKC", text[-1])


def _pitch(text: str, index: int) -> float:
    """A tune: a little up and down, falling at the end of a sentence, rising at the end of a question."""
    match _last(text):
        case "?":
            return 1.15
        case "." | "!" | "。":
            return 0.9
        case _:
            return (1.06, 1.0, 1.03, 0.97)[index % 4]
