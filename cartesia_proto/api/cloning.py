"""Cloning a voice, in its two forms, each with its own type.

``clone(filepath=…)`` asks the clip endpoint of version 2024-06-10 and answers an `Embedding`; ``clone(clip=…, name=…)``
asks the clone endpoint of every version and answers a `VoiceMetadata`. Overloads do not survive a `ParamSpec`, so the
two endpoints are joined by a descriptor of their own. This module must not know how the rest of the voices work.
"""

from collections.abc import Coroutine
from typing import Never, Protocol, overload

from cartesia_proto.api.voice_models import Embedding, VoiceMetadata, parse_embedding, parse_metadata
from cartesia_proto.call import Awaiting, Blocking, Call, Resource, bind
from cartesia_proto.discretion import discreet
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.http import FilePart, Form, SupportsPath, UnsignedRequest
from cartesia_proto.parameters import FileInput, Parameters, file_part, form_parts
from cartesia_proto.prepare import RequestOptions, Route, freeze_options


class CloneBuilder(Protocol):
    """What ``Voices.clone`` is on the class: arguments in, a call out."""

    @overload
    def __call__(
        self, *, filepath: str | SupportsPath, enhance: bool = True, request_options: RequestOptions | None = None
    ) -> Call[Embedding]: ...

    @overload
    def __call__(
        self,
        *,
        clip: FileInput,
        name: str,
        language: str | None = None,
        description: str | None = None,
        mode: str | None = None,
        enhance: bool | None = None,
        transcript: str | None = None,
        base_voice_id: str | None = None,
        accent: str | None = None,
        request_options: RequestOptions | None = None,
    ) -> Call[VoiceMetadata]: ...


class BlockingClone(Protocol):
    """What ``client.voices.clone`` is on a blocking client."""

    @overload
    def __call__(
        self, *, filepath: str | SupportsPath, enhance: bool = True, request_options: RequestOptions | None = None
    ) -> Embedding: ...

    @overload
    def __call__(
        self,
        *,
        clip: FileInput,
        name: str,
        language: str | None = None,
        description: str | None = None,
        mode: str | None = None,
        enhance: bool | None = None,
        transcript: str | None = None,
        base_voice_id: str | None = None,
        accent: str | None = None,
        request_options: RequestOptions | None = None,
    ) -> VoiceMetadata: ...


class AwaitingClone(Protocol):
    """What ``client.voices.clone`` is on an awaiting client."""

    @overload
    def __call__(
        self, *, filepath: str | SupportsPath, enhance: bool = True, request_options: RequestOptions | None = None
    ) -> Coroutine[object, Never, Embedding]: ...

    @overload
    def __call__(
        self,
        *,
        clip: FileInput,
        name: str,
        language: str | None = None,
        description: str | None = None,
        mode: str | None = None,
        enhance: bool | None = None,
        transcript: str | None = None,
        base_voice_id: str | None = None,
        accent: str | None = None,
        request_options: RequestOptions | None = None,
    ) -> Coroutine[object, Never, VoiceMetadata]: ...


@discreet
def clone(
    *,
    filepath: str | SupportsPath | None = None,
    clip: FileInput | None = None,
    name: str | None = None,
    language: str | None = None,
    description: str | None = None,
    mode: str | None = None,
    enhance: bool | None = None,
    transcript: str | None = None,
    base_voice_id: str | None = None,
    accent: str | None = None,
    request_options: RequestOptions | None = None,
) -> Call[Embedding] | Call[VoiceMetadata]:
    """Clone a voice from a recording.

    Args:
        filepath: the recording, for an embedding (version 2024-06-10, whatever the client's version).
        clip: the recording, for a voice of your own: bytes, a path, or ``(filename, bytes[, content type])``.
        name, language, description: of the new voice; the service asks for name and language.
        mode: ``similarity`` or ``stability`` (up to version 2024-11-13).
        enhance: clean the recording first (up to version 2025-04-16; for `filepath` true unless said otherwise).
        transcript: what the recording says (early versions, similarity only).
        base_voice_id: a voice to derive from.
        accent: a catalogue id (from version 2026-08-14).

    Returns:
        With `filepath` an `Embedding`, a sequence of 192 floats; with `clip` a `VoiceMetadata`.

    Raises:
        LocalProtocolError: neither or both of `filepath` and `clip` were given, or a clip without a name.
        CartesiaError: no usable answer came; the client stays usable.

    Source: protocol section 2.5.7 (``POST /voices/clone/clip``, ``POST /voices/clone``).
    """
    if (filepath is None) == (clip is None):
        raise LocalProtocolError("clone needs one recording: filepath= for an embedding, or clip= for a voice")
    named = Parameters(
        name=name,
        language=language,
        description=description,
        mode=mode,
        transcript=transcript,
        base_voice_id=base_voice_id,
        accent=accent,
    )
    options = freeze_options(request_options)
    if filepath is not None:
        if named.as_json():
            raise LocalProtocolError(f"{next(iter(named.as_json()))} goes with clip=, not with filepath=")
        clip_only = Parameters(clip=FilePart("clip", filepath), enhance=True if enhance is None else enhance)
        return Call(CLONE_CLIP, clip_only, options, parse=parse_embedding)
    if clip is None or name is None:
        raise LocalProtocolError("clone(clip=…) needs the new voice's name")
    whole = named.replaced(clip=file_part("clip", clip), enhance=enhance)
    return Call(CLONE, whole, options, parse=parse_metadata)


def render_clone_clip(parameters: Parameters, version: str) -> UnsignedRequest:
    """``POST /voices/clone/clip`` (protocol section 2.5.7, form A)."""
    del version
    return UnsignedRequest("POST", "/voices/clone/clip", body=Form(form_parts(parameters)))


def render_clone(parameters: Parameters, version: str) -> UnsignedRequest:
    """``POST /voices/clone`` (protocol section 2.5.7, form B)."""
    del version
    return UnsignedRequest("POST", "/voices/clone", body=Form(form_parts(parameters)))


CLONE_CLIP = Route(render_clone_clip, until="2024-06-10")
CLONE = Route(render_clone)


class CloneEndpoint:
    """`clone` as an endpoint: the builder on the class, build and run on a resource."""

    __doc__ = clone.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> CloneBuilder: ...

    @overload
    def __get__(self, instance: Resource[Blocking], owner: type) -> BlockingClone: ...

    @overload
    def __get__(self, instance: Resource[Awaiting], owner: type) -> AwaitingClone: ...

    def __get__(self, instance: Resource[Blocking | Awaiting] | None, owner: type) -> object:
        """The builder, or the builder and a run in one."""
        return bind(clone, instance)
