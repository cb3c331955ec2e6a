"""What is settled when a context is opened: checked once, written as the version has it, and locked."""

import pytest

from cartesia_proto.api.voice_models import Voice
from cartesia_proto.audio.formats import Mp3Format, RawFormat, WavFormat
from cartesia_proto.errors import JsonValue, LocalProtocolError
from cartesia_proto.sessions.settings import ContextSettings, lock_settings
from cartesia_proto.speech import GenerationConfig, VoiceByEmbedding, VoiceById

S16 = RawFormat("pcm_s16le", 8000)
S16_ON_WIRE: JsonValue = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
NEEDED: dict[str, object] = {"model_id": "m", "voice": "v", "output_format": S16}


def test_the_least() -> None:
    """Three settings are needed; what is left out or None is not sent."""
    locked = lock_settings("2026-08-14", {**NEEDED, "language": None, "context_id": None, "stall_timeout": None})
    assert locked.version == "2026-08-14"
    assert locked.fields == {"model_id": "m", "voice": {"id": "v"}, "output_format": S16_ON_WIRE}
    assert (locked.format, locked.context_id, locked.stall_timeout) == (S16, None, None)


def test_all_there_is() -> None:
    """Sent as they were given, but for the two that are not for the server."""
    plain: dict[str, JsonValue] = {
        "language": "de",
        "locale": "de-AT",
        "normalization": "off",
        "add_timestamps": True,
        "add_phoneme_timestamps": False,
        "use_normalized_timestamps": True,
        "max_buffer_delay_ms": 0,
        "pronunciation_dict_id": "p",
        "speed": "slow",
        "duration": 2.5,
    }
    others = {"generation_config": GenerationConfig(speed=0.9), "context_id": "c", "stall_timeout": 5}
    settings = {**NEEDED, **plain, **others}
    assert settings.keys() == ContextSettings.__annotations__.keys()
    locked = lock_settings("2026-08-14", settings)
    assert locked.fields == {
        **plain,
        "model_id": "m",
        "voice": {"id": "v"},
        "output_format": S16_ON_WIRE,
        "generation_config": {"speed": 0.9},
    }
    assert (locked.context_id, locked.stall_timeout) == ("c", 5.0)


@pytest.mark.parametrize(
    ("version", "voice", "on_wire"),
    [
        ("2026-03-01", "v", {"mode": "id", "id": "v"}),
        ("2026-08-14", VoiceById("v"), {"id": "v"}),
        ("2026-08-14", {"mode": "id", "id": "v"}, {"id": "v"}),
        ("2024-11-13", VoiceByEmbedding([0.5]), {"mode": "embedding", "embedding": [0.5]}),
        ("2024-11-13", Voice("v", "Ada", embedding=(0.5,)), {"mode": "id", "id": "v"}),
    ],
)
def test_voices(version: str, voice: object, on_wire: JsonValue) -> None:
    """In the shape of the version (protocol section 2.3.1)."""
    assert lock_settings(version, {**NEEDED, "voice": voice}).fields["voice"] == on_wire


def test_formats() -> None:
    """As a value, or as a mapping of the API."""
    for asked in (S16, S16_ON_WIRE):
        locked = lock_settings("2026-08-14", {**NEEDED, "output_format": asked})
        assert (locked.format, locked.fields["output_format"]) == (S16, S16_ON_WIRE)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"voice": {"id": "v", "embedding": [1.0]}}, "voice names both"),
        ({"voice": None}, "voice names neither"),
        ({"voice": 5}, "voice must be a mapping, not int"),
        ({"output_format": WavFormat("pcm_s16le", 8000)}, "container raw only"),
        ({"output_format": Mp3Format(44100, 128000)}, "container raw only"),
        ({"output_format": {"container": "mp3", "sample_rate": 44100, "bit_rate": 128000}}, "container raw only"),
        ({"output_format": {"container": "raw"}}, "lacks the field 'sample_rate'"),
        ({"output_format": "raw_pcm_s16le_8000"}, "output_format must be a mapping, not str"),
        ({"stall_timeout": 0.0}, "stall_timeout must be above 0 seconds"),
        ({"stall_timeout": -1}, "stall_timeout must be above 0 seconds"),
        ({"stall_timeout": float("nan")}, "stall_timeout must be above 0 seconds"),
        ({"stall_timeout": True}, "stall_timeout must be above 0 seconds"),
        ({"stall_timeout": "5"}, "stall_timeout must be above 0 seconds"),
        ({"context_id": 5}, "context_id must be a string, not int"),
        ({"language": {1}}, "language is a set"),
        ({"voice_id": "v"}, "a context has no setting 'voice_id'; it has model_id, voice"),
        ({"transcript": "Hello"}, "a context has no setting 'transcript'"),
    ],
)
def test_what_is_refused(changed: dict[str, object], message: str) -> None:
    """The error names the setting."""
    with pytest.raises(LocalProtocolError, match=message):
        lock_settings("2026-08-14", {**NEEDED, **changed})


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_missing(name: str) -> None:
    """The error names it."""
    given = {key: value for key, value in NEEDED.items() if key != name}
    with pytest.raises(LocalProtocolError, match=f"a context needs {name}"):
        lock_settings("2026-08-14", given)
