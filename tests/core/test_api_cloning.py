"""Cloning: two forms behind one name, each with its own request and answer."""

import copy
import inspect
import pickle
import pydoc
from pathlib import Path
from typing import get_type_hints

import pytest

from cartesia_proto.api.cloning import CLONE, CLONE_CLIP, CloneEndpoint, clone
from cartesia_proto.api.voice_models import Embedding, VoiceMetadata
from cartesia_proto.api.voices import Voices
from cartesia_proto.call import Blocking, Call
from cartesia_proto.config import Config
from cartesia_proto.credentials import ApiKey
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.http import ContentPart, FilePart, Form, Response, TextPart, Upload
from cartesia_proto.prepare import CallOptions
from cartesia_proto.testing import half, run

CONFIG = Config(credentials=ApiKey("k"), max_retries=1)


@pytest.mark.parametrize(("enhance", "sent"), [(True, "true"), (False, "false")])
def test_by_file_path(enhance: bool, sent: str) -> None:
    """A path asks the clip endpoint of 2024-06-10; a string is a path here, as in the 1.x SDK."""
    for path in ("a/clip.wav", Path("a/clip.wav")):
        call = Voices.clone(filepath=path, enhance=enhance)
        request = call.route.render(call.parameters, "2024-06-10")
        assert (request.method, request.path) == ("POST", "/voices/clone/clip")
        assert request.body == Form((TextPart("enhance", sent), FilePart("clip", "a/clip.wav")))
        assert call.route.version(CONFIG, CallOptions()) == "2024-06-10"
    assert Voices.clone(filepath="a") == Voices.clone(filepath="a", enhance=True)


def test_the_embedding() -> None:
    """Its answer is a sequence of floats, asked for with the key as that version knows it."""
    call = Voices.clone(filepath="a/clip.wav")
    transcript = run(call.operation(CONFIG, half), [Response(503), Response(200, body=b'{"embedding":[1,2]}')])
    assert transcript.value == Embedding((1.0, 2.0))
    first, second = (attempt.request for attempt in transcript.attempts)
    assert first.headers.get("cartesia-version") == "2024-06-10"
    assert "x-api-key" in first.headers
    assert isinstance(second.body, Upload)
    assert second == first
    assert second.body.files == (FilePart("clip", "a/clip.wav"),)


def test_by_clip() -> None:
    """A clip and a name ask the clone endpoint of every version; fields first, then the clip."""
    call = Voices.clone(
        clip=("c.mp3", b"x", "audio/mpeg"),
        name="Ada",
        language="en",
        description="calm",
        mode="similarity",
        enhance=False,
        transcript="hello",
        base_voice_id="b",
        accent="british",
    )
    request = call.route.render(call.parameters, "2026-08-14")
    assert (request.method, request.path) == ("POST", "/voices/clone")
    assert isinstance(request.body, Form)
    *fields, clip = request.body.parts
    assert clip == ContentPart("clip", b"x", "c.mp3", "audio/mpeg")
    assert {(part.name, part.text) for part in fields if isinstance(part, TextPart)} == {
        ("name", "Ada"),
        ("language", "en"),
        ("description", "calm"),
        ("mode", "similarity"),
        ("enhance", "false"),
        ("transcript", "hello"),
        ("base_voice_id", "b"),
        ("accent", "british"),
    }
    assert len(fields) == 8
    assert call.route.version(CONFIG, CallOptions()) == "2026-08-14"


def test_what_is_not_given_is_not_sent() -> None:
    """Name and clip alone."""
    call = Voices.clone(clip=Path("c.wav"), name="Ada")
    body = call.route.render(call.parameters, "").body
    assert body == Form((TextPart("name", "Ada"), FilePart("clip", "c.wav")))


def test_the_metadata() -> None:
    """Its answer is the new voice's metadata."""
    call = Voices.clone(clip=b"x", name="Ada")
    voice = run(call.operation(CONFIG, half), [Response(200, body=b'{"id":"v","name":"Ada"}')]).value
    assert voice == VoiceMetadata("v", "Ada")
    assert (call.route, Voices.clone(filepath="a").route) == (CLONE, CLONE_CLIP)


def test_calls_are_values() -> None:
    """Both forms compare, hash, copy and pickle; a clip is frozen."""
    clip = bytearray(b"x")
    calls: list[Call[Embedding] | Call[VoiceMetadata]] = [
        Voices.clone(filepath=Path("a")),
        Voices.clone(clip=clip, name="Ada", request_options={"max_retries": 1}),
    ]
    clip[:] = b"y"
    assert calls[1] == Voices.clone(clip=b"x", name="Ada", request_options={"max_retries": 1})
    for call in calls:
        again = pickle.loads(pickle.dumps(call))
        assert again == copy.deepcopy(call) == call
        assert hash(again) == hash(call)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "needs one recording"),
        ({"name": "Ada"}, "needs one recording"),
        ({"filepath": "a", "clip": b"x", "name": "Ada"}, "needs one recording"),
        ({"clip": b"x"}, "needs the new voice's name"),
        ({"filepath": "a", "name": "Ada"}, "name goes with clip=, not with filepath="),
        ({"filepath": "a", "mode": "similarity"}, "mode goes with clip="),
        ({"clip": "a/clip.wav", "name": "Ada"}, "wrap a path given as a string in Path"),
    ],
)
def test_misuse(arguments: dict[str, str], complaint: str) -> None:
    """A mixture of the two forms is refused, with what to do."""
    with pytest.raises(LocalProtocolError, match=complaint):
        clone(**arguments)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the mistakes under test


class Client:
    """A client that hands back the call it was to run."""

    def call(self, plan: object) -> object:
        """Not run."""
        return plan


def test_bound() -> None:
    """On a resource it builds and runs, with the builder's signature and help."""
    voices: Voices[Blocking] = Voices(Client())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # it runs nothing
    bound: object = voices.clone(filepath="a")
    assert bound == Voices.clone(filepath="a")
    assert inspect.signature(voices.clone) == inspect.signature(clone)
    assert get_type_hints(clone)["return"] == Call[Embedding] | Call[VoiceMetadata]
    assert (
        pydoc.plain(pydoc.render_doc(voices.clone)).splitlines()[2:]
        == pydoc.plain(pydoc.render_doc(clone)).splitlines()[2:]
    )
    assert CloneEndpoint.__doc__ == clone.__doc__
