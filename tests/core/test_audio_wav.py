"""WAV files: written, read, repaired, and cut into pieces."""

import io
import struct
import wave

import pytest

from cartesia_proto.audio.formats import RawFormat, WavFormat
from cartesia_proto.audio.riff import MAX_HEADER
from cartesia_proto.audio.wav import (
    FORMAT_TAGS,
    PLACEHOLDER,
    WavAligner,
    parse_wav,
    repair,
    size_patches,
    wav_header,
    wrap,
)
from cartesia_proto.errors import LocalProtocolError, RemoteProtocolError

S16 = WavFormat("pcm_s16le", 24000)
MULAW = WavFormat("pcm_mulaw", 8000)


def _chunk(identifier: bytes, content: bytes, size: int | None = None) -> bytes:
    return identifier + struct.pack("<I", len(content) if size is None else size) + content


def _fmt(
    tag: int = 1, channels: int = 1, rate: int = 24000, frame: int = 2, bits: int = 16, more: bytes = b""
) -> bytes:
    return _chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits) + more)


def _riff(*chunks: bytes, size: int | None = None, form: bytes = b"RIFF") -> bytes:
    content = b"WAVE" + b"".join(chunks)
    return form + struct.pack("<I", len(content) if size is None else size) + content


def _streamed(format: WavFormat, samples: bytes) -> bytes:
    return wav_header(format, None) + samples


def test_pcm_header() -> None:
    """A header of 16-bit samples is the classic 44 bytes."""
    assert wav_header(S16, 4) == _riff(_fmt(), _chunk(b"data", b"1234"))[:-4]
    assert len(wav_header(S16, 4)) == 44


@pytest.mark.parametrize(("encoding", "tag", "width"), [("pcm_f32le", 3, 4), ("pcm_alaw", 6, 1), ("pcm_mulaw", 7, 1)])
def test_other_headers(encoding: str, tag: int, width: int) -> None:
    """Other formats say that they have no extension, and how many samples they are."""
    format = WavFormat(encoding, 8000)
    fmt = _fmt(tag, 1, 8000, width, width * 8, more=b"\0\0")
    assert (
        wav_header(format, 8)
        == _riff(fmt, _chunk(b"fact", struct.pack("<I", 8 // width)), _chunk(b"data", bytes(8)))[:-8]
    )


@pytest.mark.parametrize("encoding", FORMAT_TAGS)
def test_wrap_and_parse(encoding: str) -> None:
    """What is wrapped is read back: encoding, rate, place and size of the samples, duration."""
    format = RawFormat(encoding, 8000)
    samples = bytes(range(format.frame_size * 3))
    file = wrap(samples + bytes(format.frame_size - 1), format)
    info = parse_wav(file)
    assert (info.encoding, info.sample_rate, info.channels, info.frame_size) == (encoding, 8000, 1, format.frame_size)
    assert info.size_declared
    assert file[info.data_offset : info.data_offset + info.data_size] == samples
    assert info.duration == 3 / 8000
    assert len(file) % 2 == 0
    assert struct.unpack_from("<I", file, 4) == (len(file) - 8,)
    assert repair(file) == file


def test_wave_opens_it() -> None:
    """The standard library reads a wrapped file of 16-bit samples, and a repaired one."""
    for file in (wrap(b"\1\2\3\4\5", S16), repair(_streamed(S16, b"\1\2\3\4\5"))):
        with wave.open(io.BytesIO(file)) as reader:
            assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, 24000)
            assert reader.getnframes() == 2
            assert reader.readframes(10) == b"\1\2\3\4"


def test_unknown_encoding() -> None:
    """What no WAV header can describe is refused, with what can."""
    with pytest.raises(LocalProtocolError, match="'of_tomorrow': ask for one of pcm_s16le"):
        wrap(b"", RawFormat("of_tomorrow", 8000))


def test_streamed_header() -> None:
    """A header for a stream has placeholders for every size; one for more than 32 bits as well."""
    header = wav_header(WavFormat("pcm_f32le", 8000), None)
    assert struct.unpack_from("<I", header, 4) == (PLACEHOLDER,)
    assert header.endswith(b"fact\4\0\0\0\xff\xff\xff\xffdata\xff\xff\xff\xff")
    assert wav_header(S16, 2**33)[40:] == b"\xff\xff\xff\xff"
    assert wav_header(S16, 2**33)[4:8] == b"\xff\xff\xff\xff"


INFO = _chunk(b"LIST", b"odd", 3) + b"\0"


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        (_streamed(S16, b"1234"), wrap(b"1234", S16)),
        (_streamed(S16, b"12345"), wrap(b"1234", S16)),
        (_streamed(S16, b""), wrap(b"", S16)),
        (_streamed(MULAW, b"123"), wrap(b"123", MULAW)),
        (_streamed(WavFormat("pcm_f32le", 8000), b"12345678"), wrap(b"12345678", WavFormat("pcm_f32le", 8000))),
        (wav_header(S16, 0)[:4] + bytes(4) + wav_header(S16, 0)[8:] + b"1234", wrap(b"1234", S16)),
        (wav_header(S16, 0)[:4] + bytes(4) + wav_header(S16, 0)[8:] + b"1", wrap(b"", S16)),
        (wrap(b"12345678", S16)[:-3], wrap(b"1234", S16)),
        (wrap(b"123", MULAW)[:-1], wrap(b"123", MULAW)),
        (
            _riff(INFO, _fmt(), INFO, _chunk(b"data", b"1234", PLACEHOLDER), size=0),
            _riff(INFO, _fmt(), INFO, _chunk(b"data", b"1234")),
        ),
        (_riff(_fmt(), _chunk(b"data", b"1234"), INFO, size=5), _riff(_fmt(), _chunk(b"data", b"1234"), INFO)),
        (_riff(_fmt(), _chunk(b"data", b""), INFO), _riff(_fmt(), _chunk(b"data", b""), INFO)),
        (
            _riff(_chunk(b"fact", b"12"), _fmt(), _chunk(b"data", b"", 9)),
            _riff(_chunk(b"fact", b"12"), _fmt(), _chunk(b"data", b"")),
        ),
    ],
)
def test_repair(broken: bytes, whole: bytes) -> None:
    """Placeholders, zeros, sizes beyond the end and odd sizes are made true; chunks before and after the data stay."""
    assert repair(broken) == whole
    assert repair(whole) == whole


def test_patches() -> None:
    """The patches of a file written piece by piece make a true file of it, from its beginning and length alone."""
    samples = bytes(range(101))
    file = bytearray(_streamed(MULAW, samples))
    prefix = bytes(file[:100])
    for offset, patch in size_patches(prefix, len(file)):
        file[offset : offset + len(patch)] = patch
    assert file == wrap(samples, MULAW)


def test_patches_leave_an_incomplete_sample_outside() -> None:
    """An incomplete last sample stays in the file, beyond what its sizes cover."""
    file = _streamed(S16, b"12345")
    assert size_patches(file, len(file)) == [(4, struct.pack("<I", 40)), (40, struct.pack("<I", 4))]


def test_patches_over_4_gib() -> None:
    """Of a file too long for its sizes they stay placeholders, which readers take as to the end."""
    file = _streamed(S16, b"")
    assert size_patches(file, 2**33) == [(4, b"\xff\xff\xff\xff"), (40, b"\xff\xff\xff\xff")]


def test_extensible() -> None:
    """Of an extensible format the tag is the one in its SubFormat, where there is one."""
    more = struct.pack("<HHI", 22, 32, 4) + struct.pack("<H", 3) + bytes(14)
    info = parse_wav(_riff(_fmt(0xFFFE, 1, 8000, 4, 32, more), _chunk(b"data", b"")))
    assert (info.format_tag, info.encoding) == (3, "pcm_f32le")
    info = parse_wav(_riff(_fmt(0xFFFE, 2, 8000, 8, 32), _chunk(b"data", b"")))
    assert (info.format_tag, info.encoding, info.channels) == (0xFFFE, None, 2)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "ends before its data chunk"),
        (b"RIFF", "ends before its data chunk"),
        (b"ID3\4", "this is no WAV file"),
        (b"RIFX\0\0\0\0WAVE", "this is no WAV file"),
        (_riff(_fmt(), _chunk(b"data", b""), form=b"RF64"), "no complete ds64 chunk"),
        (
            _riff(_chunk(b"ds64", bytes(23)), b"\0", _fmt(), _chunk(b"data", b""), form=b"BW64"),
            "no complete ds64 chunk",
        ),
        (b"RIFF\0\0\0\0AVI ", "this is no WAV file"),
        (_riff(_fmt()), "ends before its data chunk"),
        (_riff(_chunk(b"JUNK", b"", PLACEHOLDER), _chunk(b"data", b"")), "no data chunk in its first 16777216 bytes"),
        (_riff(_chunk(b"data", b"")), "no complete fmt chunk"),
        (_riff(_chunk(b"fmt ", b"123"), b"\0", _chunk(b"data", b"")), "no complete fmt chunk"),
        (_riff(_fmt(channels=0), _chunk(b"data", b"")), "says 0 channels, 0 Hz"),
        (_riff(_fmt(rate=0), _chunk(b"data", b"")), "says 0 channels, 0 Hz"),
        (_riff(_fmt(frame=0), _chunk(b"data", b"")), "0 bytes per sample"),
    ],
)
def test_no_wav(file: bytes, message: str) -> None:
    """What is no WAV file, or says nothing usable of its samples, is refused with what is wrong."""
    for function in (parse_wav, repair):
        with pytest.raises(RemoteProtocolError, match=message):
            function(file)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_aligner(size: int) -> None:
    """The header comes in one piece, then whole samples, and all pieces together are the file."""
    file = _streamed(S16, bytes(range(11)))
    aligner = WavAligner()
    pieces = [aligner.align(file[start : start + size]) for start in range(0, len(file), size)]
    assert next(piece for piece in pieces if piece).startswith(wav_header(S16, None))
    assert all(len(piece) % 2 == 0 for piece in pieces)
    assert b"".join(pieces) + aligner.flush() == file
    assert aligner.flush() == b""


def test_aligner_cut_short() -> None:
    """A file that ends within its header is handed on as it is."""
    aligner = WavAligner()
    assert aligner.align(b"RIFF1") == b""
    assert aligner.flush() == b"RIFF1"
    assert aligner.flush() == b""


def _aligned(file: bytes, size: int) -> bytes:
    aligner = WavAligner()
    pieces = [aligner.align(file[start : start + size]) for start in range(0, len(file), size)]
    return b"".join(pieces) + aligner.flush()


DS64 = struct.pack("<QQQI", 100, 4, 2, 0)
SAMPLES = b"1234"


@pytest.mark.parametrize(
    "file",
    [
        _riff(_fmt(), _chunk(b"LIST", b"odd"), _chunk(b"data", SAMPLES)),
        _riff(_fmt(), _chunk(b"abcd", b"o"), _chunk(b"LIST", b"odd"), _chunk(b"data", SAMPLES)),
        _riff(_chunk(b"iXML", b"odd"), _fmt(), _chunk(b"data", SAMPLES)),
        _riff(_fmt(), _chunk(b"LIST", b"odd"), b"\0", _chunk(b"data", SAMPLES)),
        _riff(_fmt(), _chunk(b"LIST", b"odd"), b"x", _chunk(b"data", SAMPLES)),
        _riff(_fmt(), _chunk(b"LIST", b"odd"), b"\xff", _chunk(b"abcd", b""), _chunk(b"data", SAMPLES)),
        _riff(_fmt(), _chunk(b"id3 ", bytes(20_000)), _chunk(b"data", SAMPLES)),
        _riff(_chunk(b"JUNK", bytes(28)), _chunk(b"bext", bytes(602)), _fmt(more=b"\0\0"), _chunk(b"data", SAMPLES)),
        _riff(_chunk(b"JUNK", bytes(3_000_000)), _fmt(), _chunk(b"data", SAMPLES, 0x7FFFFFFF)),
        _riff(_chunk(b"ds64", DS64), _fmt(), _chunk(b"data", SAMPLES, PLACEHOLDER), size=PLACEHOLDER, form=b"RF64"),
        _riff(_chunk(b"ds64", DS64), _fmt(), _chunk(b"data", SAMPLES), size=PLACEHOLDER, form=b"BW64"),
        _riff(_chunk(b"ds64", bytes(28)), _fmt(), _chunk(b"data", SAMPLES, PLACEHOLDER), form=b"RF64"),
        _riff(_chunk(b"ds64", b"\xff" * 28), _fmt(), _chunk(b"data", SAMPLES, PLACEHOLDER), form=b"RF64"),
    ],
)
def test_legacy_headers(file: bytes) -> None:
    """Missing and odd padding bytes, long tags before the samples and sizes of 64 bits: whole and in pieces alike."""
    info = parse_wav(file)
    assert file[info.data_offset :] == SAMPLES
    assert (info.data_size, info.encoding) == (4, "pcm_s16le")
    repaired = repair(file)
    again = parse_wav(repaired)
    assert again.size_declared
    assert repaired[again.data_offset :] == SAMPLES
    assert repair(repaired) == repaired
    assert _aligned(file, 1 if len(file) < 30_000 else 65536) == _aligned(file, len(file)) == file


def test_rf64_keeps_chunks_behind_the_data() -> None:
    """The size in the ds64 chunk holds, so what stands behind the samples is not taken for samples."""
    ds64 = _chunk(b"ds64", DS64)
    file = _riff(ds64, _fmt(), _chunk(b"data", SAMPLES, PLACEHOLDER), INFO, size=PLACEHOLDER, form=b"RF64")
    info = parse_wav(file)
    assert (info.data_size, info.size_declared) == (4, True)
    true = struct.pack("<QQQI", len(file) - 8, 4, 2, 0)
    assert repair(file) == file.replace(DS64, true)


def test_repair_puts_missing_padding_in() -> None:
    """Other readers find the samples of a repaired file: every chunk of an odd size is padded, the samples' as well."""
    odd = _chunk(b"LIST", b"odd")
    file = _riff(odd, _fmt(8000, 1, 8000, 1, 8), odd, _chunk(b"data", b"123"), odd, b"\0")
    padded = _riff(odd, b"\0", _fmt(8000, 1, 8000, 1, 8), odd, b"\0", _chunk(b"data", b"123"), b"\0", odd, b"\0")
    assert repair(file) == padded
    with wave.open(io.BytesIO(repair(_riff(odd, _fmt(), odd, _chunk(b"data", SAMPLES))))) as reader:
        assert reader.readframes(10) == SAMPLES


def test_missing_padding_and_no_samples() -> None:
    """That the size of RIFF says a size of 0 to be true stays so when padding is put in."""
    file = _riff(_fmt(), _chunk(b"LIST", b"odd"), _chunk(b"data", b""), _chunk(b"abcd", b"12"))
    repaired = repair(file)
    assert parse_wav(file).data_size == parse_wav(repaired).data_size == 0
    assert repaired == _riff(_fmt(), _chunk(b"LIST", b"odd"), b"\0", _chunk(b"data", b""), _chunk(b"abcd", b"12"))


@pytest.mark.parametrize("size", [1, 1000, 100_000])
@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"<html>", "this is no WAV file"),
        (
            _riff(_fmt(), _chunk(b"LIST", b"", MAX_HEADER)),
            "no data chunk in its first 16777216 bytes",
        ),
        (_riff(_chunk(b"data", b"")), "no complete fmt chunk"),
    ],
)
def test_aligner_refuses(file: bytes, message: str, size: int) -> None:
    """What is no WAV file, or has too long a header, is refused however it is cut, and nothing of it is handed on."""
    aligner = WavAligner()

    def feed() -> None:
        for start in range(0, len(file), size):
            assert aligner.align(file[start : start + size]) == b""

    with pytest.raises(RemoteProtocolError, match=message):
        feed()
