"""Audio: any segmentation gives the same samples, and every WAV file can be repaired."""

import io
import struct
import wave

from hypothesis import given, settings
from hypothesis import strategies as st

from cartesia_proto.audio.formats import RawFormat, WavFormat
from cartesia_proto.audio.pcm import SampleAligner
from cartesia_proto.audio.wav import FORMAT_TAGS, WavAligner, WavInfo, parse_wav, repair, size_patches, wav_header, wrap
from cartesia_proto.errors import RemoteProtocolError

EXAMPLES = settings(max_examples=100, deadline=None)

formats = st.builds(RawFormat, st.sampled_from(sorted(FORMAT_TAGS)), st.sampled_from([8000, 44100]))


@EXAMPLES
@given(st.lists(st.binary(max_size=10), max_size=10), st.integers(1, 4))
def test_aligned_samples(pieces: list[bytes], frame_size: int) -> None:
    """Every piece is whole samples, nothing is lost, and less than one sample is left."""
    aligner = SampleAligner(frame_size)
    aligned = [aligner.align(piece) for piece in pieces]
    left = aligner.flush()
    assert all(len(piece) % frame_size == 0 for piece in aligned)
    assert len(left) < frame_size
    assert b"".join(aligned) + left == b"".join(pieces)


@EXAMPLES
@given(formats, st.binary(max_size=40), st.lists(st.integers(0, 110), max_size=10))
def test_wav_in_pieces(format: RawFormat, samples: bytes, cuts: list[int]) -> None:
    """A streamed WAV file, however cut, comes as header and whole samples that together are the file."""
    file = wav_header(format, None) + samples
    places = sorted({min(cut, len(file)) for cut in cuts})
    aligner = WavAligner()
    pieces = [aligner.align(file[a:b]) for a, b in zip([0, *places], [*places, len(file)], strict=True)]
    header = len(file) - len(samples)
    handed_on = 0
    for piece in pieces:
        handed_on += len(piece)
        assert handed_on == 0 or (handed_on - header) % format.frame_size == 0
    assert b"".join(pieces) + aligner.flush() == file


@EXAMPLES
@given(formats, st.binary(max_size=40), st.sampled_from([None, 0, 1000]))
def test_repair_of_a_stream(format: RawFormat, samples: bytes, claimed: int | None) -> None:
    """A file whose sizes are placeholders, zero or too large becomes what a whole one would have been."""
    file = bytearray(wav_header(format, claimed) + samples)
    file[4:8] = struct.pack("<I", 0)
    assert repair(bytes(file)) == wrap(samples, format)
    patched = bytearray(file)
    patches = size_patches(bytes(file[:58]), len(file))
    for offset, patch in patches:
        patched[offset : offset + len(patch)] = patch
    assert patched.startswith(wrap(samples, format))


chunks = st.tuples(
    st.sampled_from([b"fmt ", b"LIST", b"fact", b"JUNK", b"ds64", b"abcd", b"data"]),
    st.binary(max_size=30),
    st.sampled_from([b"", b"\0", b"x"]),
)
sizes = st.tuples(st.integers(0, 300), st.integers(0, 60), st.integers(0, 30)).map(
    lambda numbers: b"ds64" + struct.pack("<IQQQ", 24, *numbers)
)
bodies = st.lists(
    sizes
    | chunks.map(
        lambda chunk: chunk[0] + struct.pack("<I", len(chunk[1])) + chunk[1] + (chunk[2] if len(chunk[1]) % 2 else b"")
    ),
    max_size=4,
)
fmt = st.just(wav_header(WavFormat("pcm_s16le", 8000), 0)[12:36])


def _aligned(file: bytes, cuts: list[int]) -> bytes | str:
    """What comes out of an aligner that is fed the file in pieces, or why it refused."""
    places = sorted({min(cut, len(file)) for cut in cuts})
    aligner = WavAligner()
    try:
        pieces = [aligner.align(file[a:b]) for a, b in zip([0, *places], [*places, len(file)], strict=True)]
    except RemoteProtocolError as error:
        return str(error)
    return b"".join(pieces) + aligner.flush()


def _parsed(file: bytes) -> WavInfo | str:
    """What is said of the whole file, or why it is refused."""
    try:
        return parse_wav(file)
    except RemoteProtocolError as error:
        return str(error)


@EXAMPLES
@given(
    st.tuples(bodies, st.just([]) | fmt.map(lambda chunk: [chunk]), bodies),
    st.integers(0, 200),
    st.binary(max_size=4),
    st.lists(st.integers(0, 200), max_size=4),
    st.sampled_from([b"RIFF", b"RF64"]),
)
def test_any_file(
    parts: tuple[list[bytes], list[bytes], list[bytes]], length: int, size: bytes, cuts: list[int], form: bytes
) -> None:
    """Any sequence of chunks, cut anywhere, is repaired to a fixed point that says what it has, or refused.

    Where the whole file is refused, so are its pieces, unless they end within the header; else they are the file.
    """
    before, middle, after = parts
    file = (form + size.ljust(4, b"\0") + b"WAVE" + b"".join([*before, *middle, *after]))[:length]
    aligned = _aligned(file, cuts)
    info = _parsed(file)
    if isinstance(info, str):
        assert aligned == info or (aligned == file and "ends before" in info)
        return
    assert aligned == file
    repaired = repair(file)
    assert repair(repaired) == repaired
    again = parse_wav(repaired)
    assert again.size_declared
    assert struct.unpack_from("<I", repaired, 4) == (len(repaired) - 8 if form == b"RIFF" else 0xFFFFFFFF,)
    samples = file[info.data_offset : info.data_offset + info.data_size]
    assert repaired[again.data_offset : again.data_offset + again.data_size] == samples
    assert again.data_size == info.data_size
    assert again.data_offset >= info.data_offset  # padding bytes that were missing have been put in


@EXAMPLES
@given(st.binary(max_size=41))
def test_wave_reads_what_is_wrapped(samples: bytes) -> None:
    """The standard library reads the same samples from a wrapped file."""
    with wave.open(io.BytesIO(wrap(samples, RawFormat("pcm_s16le", 8000)))) as reader:
        assert reader.readframes(100) == samples[: len(samples) // 2 * 2]
