"""Request bodies: JSON objects and multipart forms, by their content type.

This module knows which of the two an endpoint takes and how to refuse anything else. It must not know any field. A
wrong content type is a 400: the protocol has no 415 (section 6.2).
"""

from typing import final

from attrs import field, frozen

from cartesia_proto.codecs import json
from cartesia_proto.codecs.multipart import MultipartDecoder, header_parameters
from cartesia_proto.errors import RemoteProtocolError
from cartesia_proto.http import ContentPart, Headers, TextPart
from cartesia_proto.server.fields import Fields, Texts, kind_of
from cartesia_proto.server.problems import invalid


@final
@frozen
class ReceivedForm:
    """A multipart form that has arrived."""

    texts: Texts
    files: tuple[ContentPart, ...] = field(repr=False)

    def file(self, name: str) -> bytes | None:
        """The content of a file, or None if absent.

        Raises:
            Problem: 400; it is there twice, or empty, or stands there as text.
        """
        contents = [part.content for part in self.files if part.name == name]
        if self.texts.texts(name):
            raise invalid(f"{name} must be a file: its part needs a filename")
        if len(contents) > 1:
            raise invalid(f"the file {name} was given {len(contents)} times")
        if contents and not contents[0]:
            raise invalid(f"the file {name} is empty")
        return contents[0] if contents else None

    def required_file(self, name: str) -> bytes:
        """The content of a file that must be there."""
        content = self.file(name)
        if content is None:
            raise invalid(f"the file {name} is required")
        return content


def read_json(headers: Headers, body: bytes) -> Fields:
    """A body that must be a JSON object.

    Raises:
        Problem: 400; the content type is not ``application/json`` in UTF-8, or the body is no JSON object.
    """
    content_type = headers.get("content-type") or ""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise invalid("the Content-Type must be application/json")
    if header_parameters(content_type).get("charset", "utf-8").lower() != "utf-8":
        raise invalid("a JSON body must be in UTF-8")
    try:
        value = json.loads(body)
    except RemoteProtocolError as error:
        raise invalid(f"the body is no acceptable JSON: {error}") from None
    if not isinstance(value, dict):
        raise invalid(f"the body must be a JSON object, not {kind_of(value)}")
    return Fields(value)


def read_form(headers: Headers, body: bytes) -> ReceivedForm:
    """A body that must be a multipart form.

    Raises:
        Problem: 400; the content type is another, or the form is malformed.
    """
    try:
        decoder = MultipartDecoder(headers.get("content-type") or "", len(body))
        parts = decoder.receive_data(body)
        decoder.receive_eof()
    except RemoteProtocolError as error:
        raise invalid(str(error)) from None
    texts = Texts(tuple((part.name, part.text) for part in parts if isinstance(part, TextPart)))
    return ReceivedForm(texts, tuple(part for part in parts if isinstance(part, ContentPart)))
