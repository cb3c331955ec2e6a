"""One file per resource: models beside endpoints.

`Api` is the base of every client: a property per resource, imported on first access, because defining the models of a
resource costs milliseconds that most programs need not spend. This layer knows what to ask and what answers mean. It
must not know how anything travels: transports subclass `Api` and say how they run a call.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING

from attrs import frozen

from cartesia_proto.call import C_co, Call, Resource, endpoint
from cartesia_proto.convert import Model, read_response
from cartesia_proto.http import Response, UnsignedRequest
from cartesia_proto.parameters import Parameters
from cartesia_proto.prepare import RequestOptions, Route, freeze_options

if TYPE_CHECKING:
    from cartesia_proto.api.tts import TTS
    from cartesia_proto.api.voices import Voices


@frozen
class Status(Model):
    """What ``GET /`` answers (protocol section 2.2).

    Attributes:
        ok: whether the service is up, where it says so.
        version: the gateway's current default API version.
        status: the form of it documented in 2024.
    """

    ok: bool | None = None
    version: str | None = None
    status: str | None = None


def render_status(parameters: Parameters, version: str) -> UnsignedRequest:
    """``GET /`` (protocol section 2.2)."""
    del parameters, version
    return UnsignedRequest("GET", "/")


def parse_status(response: Response, version: str) -> Status:
    """The status object."""
    del version
    return read_response(response, Status)


STATUS = Route(render_status, public=True)


class Api(Resource[C_co]):
    """The base of every client: its resources, and nothing about how calls travel."""

    __slots__ = ()

    def __init__(self) -> None:
        """Clients are their own runners; nothing is stored, so no reference cycle arises."""

    @property
    @abstractmethod
    def runner(self) -> C_co:
        """The client itself."""

    @property
    def tts(self) -> "TTS[C_co]":
        """Text to speech."""
        from cartesia_proto.api.tts import TTS  # noqa: PLC0415 - on first access, see the module docstring

        return TTS(self.runner)

    @property
    def voices(self) -> "Voices[C_co]":
        """Voices: list, clone, mix, localize, change."""
        from cartesia_proto.api.voices import Voices  # noqa: PLC0415 - on first access, see the module docstring

        return Voices(self.runner)

    @endpoint
    @staticmethod
    def status(*, request_options: RequestOptions | None = None) -> Call[Status]:
        """Ask whether the service is up, and which version it speaks by default. Needs no credentials.

        Raises:
            CartesiaError: no usable answer came; the client stays usable.

        Source: protocol section 2.2 (``GET /``).
        """
        return Call(STATUS, options=freeze_options(request_options), parse=parse_status)
