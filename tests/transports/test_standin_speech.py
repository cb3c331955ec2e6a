"""Placeholder speech: its times, its samples and their encodings."""

from array import array
from itertools import pairwise

import pytest

from cartesia_proto.audio.formats import ENCODINGS, SAMPLE_RATES
from cartesia_standin.encodings import alaw, encode, mulaw
from cartesia_standin.speech import MAX_PITCH, MIN_PITCH, chunks, pitch_of, sample_count, samples
from cartesia_standin.timeline import LEAD, TAIL, Timeline, plan

TEXT = "Hello, world! Äpfel kosten 42. Really?"
TIMELINE = plan(TEXT)


def spoken(timeline: Timeline, pitch: float = 120.0, rate: int = 8000) -> "array[int]":
    """All samples of a timeline."""
    whole = array("h")
    for piece in samples(timeline, pitch, rate):
        whole += piece
    return whole


def loud(whole: "array[int]", rate: int, start: float, end: float) -> bool:
    """Whether anything is heard between two times."""
    return any(whole[round(start * rate) : round(end * rate)])


# When things are said.


def test_words_stand_as_they_do_in_the_text() -> None:
    """With their punctuation, in order, one after another."""
    assert [word.text for word in TIMELINE.words] == TEXT.split()
    assert TIMELINE.words[0].start == LEAD
    assert all(first.end < second.start for first, second in pairwise(TIMELINE.words))
    assert TIMELINE.duration > TIMELINE.words[-1].end


def test_sounds_fill_their_word() -> None:
    """Letter after letter, without accents and case; punctuation has no sound."""
    for word in TIMELINE.words:
        assert word.sounds[0].start == word.start
        assert word.sounds[-1].end == word.end
        assert all(first.end == second.start for first, second in pairwise(word.sounds))
    assert "".join(sound.symbol for sound in TIMELINE.words[2].sounds) == "apfel"


def test_longer_texts_take_longer() -> None:
    """Letter by letter."""
    assert plan("a").duration < plan("aa").duration < plan("aa aa").duration < plan("aa. aa").duration


def test_punctuation_makes_pauses() -> None:
    """The end of a sentence a longer one, in full-width form too."""

    def gap(text: str) -> float:
        first, second = plan(text).words
        return second.start - first.end

    assert gap("a a") < gap("a, a") < gap("a. a")
    assert gap("啊\uff01啊") == pytest.approx(gap("a! a"))


@pytest.mark.parametrize("speed", [0.6, 1.5])
def test_speed_is_honoured(speed: float) -> None:
    """As a factor on everything but explicit breaks."""
    assert plan(TEXT, speed).duration == pytest.approx(TIMELINE.duration / speed, abs=1e-4)


def test_chinese_and_japanese_characters_are_words() -> None:
    """With the punctuation after them."""
    assert [word.text for word in plan("你好。 はいok").words] == ["你", "好。", "は", "い", "ok"]


@pytest.mark.parametrize(
    ("tag", "seconds"),
    [
        ('<break time="1s"/>', 1.0),
        ("<break time='200ms' />", 0.2),
        ('<break time="1.5s">', 1.5),
        ('<break time="99999s"/>', 30.0),
        ("<break/>", 0.0),
        ("<emotion value='sad'/>", 0.0),
    ],
)
def test_breaks_are_honoured_and_no_tag_is_said(tag: str, seconds: float) -> None:
    """Up to a limit."""
    timeline = plan(f"one {tag}two")
    assert [word.text for word in timeline.words] == ["one", "two"]
    assert timeline.duration == pytest.approx(plan("one two").duration + seconds)


def test_speed_and_volume_change_from_a_tag_on() -> None:
    """For the words after it."""
    first, second, third = plan('aa <speed ratio="2.0"/>aa <volume ratio="0.5"/>aa').words
    assert second.end - second.start == pytest.approx((first.end - first.start) / 2)
    assert (first.volume, second.volume, third.volume) == (1.0, 1.0, 0.5)


@pytest.mark.parametrize("text", ["...", "— !", "😀"])
def test_what_has_no_sound_is_silence(text: str) -> None:
    """No words, but audio all the same."""
    timeline = plan(text)
    assert timeline.words == ()
    assert timeline.duration >= LEAD + TAIL
    assert not any(spoken(timeline))


def test_a_cut_timeline_ends_where_it_is_cut() -> None:
    """In the middle of a word; words after it are gone."""
    word = TIMELINE.words[1]
    middle = (word.start + word.end) / 2
    short = TIMELINE.cut(middle)
    assert short.duration == middle
    assert [kept.text for kept in short.words] == ["Hello,", "world!"]
    assert short.words[1].end == short.words[1].sounds[-1].end == middle
    assert TIMELINE.cut(None) is TIMELINE.cut(1000.0) is TIMELINE


# What it sounds like.


@pytest.mark.parametrize("rate", SAMPLE_RATES)
def test_speech_is_as_long_as_planned_at_every_rate(rate: int) -> None:
    """To the sample."""
    whole = spoken(TIMELINE, rate=rate)
    assert len(whole) == sample_count(TIMELINE, rate) == round(TIMELINE.duration * rate)


@pytest.mark.parametrize("rate", SAMPLE_RATES)
def test_words_are_heard_where_the_timeline_says(rate: int) -> None:
    """And between them there is silence."""
    whole = spoken(TIMELINE, rate=rate)
    ends = [0.0, *(word.end for word in TIMELINE.words)]
    starts = [*(word.start for word in TIMELINE.words), TIMELINE.duration]
    assert all(loud(whole, rate, word.start, word.end) for word in TIMELINE.words)
    assert not any(loud(whole, rate, end, start) for end, start in zip(ends, starts, strict=True))


def test_every_letter_and_digit_is_heard() -> None:
    """Voiceless ones too, and those of other scripts."""
    for symbol in "abcdefghijklmnopqrstuvwxyz0123456789ж好":
        assert any(spoken(plan(symbol))), symbol


def test_the_same_text_sounds_the_same_and_voices_differ() -> None:
    """Nothing depends on chance; the pitch does make a difference."""
    assert spoken(TIMELINE) == spoken(plan(TEXT))
    assert spoken(TIMELINE, 120.0) != spoken(TIMELINE, 200.0)


@pytest.mark.parametrize(("volume", "peak"), [(0.5, 4096), (1.0, 8192), (2.0, 16384)])
def test_volume_is_honoured_up_to_half_of_full_scale(volume: float, peak: int) -> None:
    """Loud, never harsh."""
    whole = spoken(plan("aaa", volume=volume), rate=44100)
    assert max(*whole, -min(whole)) == pytest.approx(peak, abs=2)


@pytest.mark.parametrize(
    ("first", "pitch"), [(-1.0, MIN_PITCH), (1.0, MAX_PITCH), (0.0, (MIN_PITCH + MAX_PITCH) / 2), (9.0, MAX_PITCH)]
)
def test_the_first_number_of_an_embedding_is_its_pitch(first: float, pitch: float) -> None:
    """So that a mixed voice lies between its parts."""
    assert pitch_of((first, 0.5)) == pitch


@pytest.mark.parametrize("size", [1, 7, 800, 10**6])
def test_chunks_are_even_and_lose_nothing(size: int) -> None:
    """All but the last have the size asked for."""
    timeline = plan("Hi.")
    cut = list(chunks(samples(timeline, 120.0, 8000), size))
    assert sum(cut, array("h")) == spoken(timeline)
    assert {len(chunk) for chunk in cut[:-1]} <= {size}
    assert 0 < len(cut[-1]) <= size


# How it is written.


@pytest.mark.parametrize(
    ("sample", "byte"),
    [
        (0, 0xFF),
        (-1, 0x7E),
        (32767, 0x80),
        (-32768, 0x00),
        (1000, 0xCE),
        (-1000, 0x4E),
        (8, 0xFE),
        (132, 0xEF),
        (16000, 0x90),
    ],
)
def test_mulaw_has_the_known_values(sample: int, byte: int) -> None:
    """Those of the reference implementation of G.711."""
    assert mulaw(sample) == byte


@pytest.mark.parametrize(
    ("sample", "byte"),
    [
        (0, 0xD5),
        (-1, 0x55),
        (32767, 0xAA),
        (-32768, 0x2A),
        (1000, 0xFA),
        (-1000, 0x7A),
        (16, 0xD4),
        (256, 0xC5),
        (16000, 0xBA),
    ],
)
def test_alaw_has_the_known_values(sample: int, byte: int) -> None:
    """Those of the reference implementation of G.711."""
    assert alaw(sample) == byte


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("pcm_s16le", b"\x00\x00\x00\x40\xff\xff\x00\x80"),
        ("pcm_f32le", b"\x00\x00\x00\x00\x00\x00\x00\x3f\x00\x00\x00\xb8\x00\x00\x80\xbf"),
        ("pcm_mulaw", b"\xff\x8f\x7e\x00"),
        ("pcm_alaw", b"\xd5\xa5\x55\x2a"),
    ],
)
def test_samples_become_the_bytes_of_each_encoding(encoding: str, data: bytes) -> None:
    """0, a half, the least negative and the most negative one."""
    assert encode(array("h", [0, 16384, -1, -32768]), encoding) == data


def test_all_encodings_are_known_and_no_others() -> None:
    """What the server lets through can be written."""
    assert all(encode(array("h", [1]), encoding) for encoding in ENCODINGS)
    with pytest.raises(ValueError, match="'pcm_s24le' is no encoding"):
        encode(array("h"), "pcm_s24le")
