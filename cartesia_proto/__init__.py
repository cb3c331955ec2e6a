"""The Cartesia voice API as a protocol: requests out, values in, and no I/O.

The names below stand in reading order. What a program may not need — resources, byte links — is imported when it is
first asked for, so that ``import cartesia_proto`` stays small: no event loop, no ssl, no h11, no wsproto.
"""

from typing import TYPE_CHECKING

from cartesia_proto.audio.audio import Audio as Audio
from cartesia_proto.audio.formats import Mp3Format as Mp3Format
from cartesia_proto.audio.formats import OutputFormat as OutputFormat
from cartesia_proto.audio.formats import RawFormat as RawFormat
from cartesia_proto.audio.formats import WavFormat as WavFormat
from cartesia_proto.audio.formats import get_output_format as get_output_format
from cartesia_proto.call import AsyncStream as AsyncStream
from cartesia_proto.call import Awaiting as Awaiting
from cartesia_proto.call import Blocking as Blocking
from cartesia_proto.call import Call as Call
from cartesia_proto.call import PageCall as PageCall
from cartesia_proto.call import Plan as Plan
from cartesia_proto.call import Resource as Resource
from cartesia_proto.call import Stream as Stream
from cartesia_proto.call import StreamCall as StreamCall
from cartesia_proto.call import endpoint as endpoint
from cartesia_proto.codecs.events import AudioChunk as AudioChunk
from cartesia_proto.codecs.events import FlushDone as FlushDone
from cartesia_proto.codecs.events import PhonemeTimestamps as PhonemeTimestamps
from cartesia_proto.codecs.events import SpeechEvent as SpeechEvent
from cartesia_proto.codecs.events import UnknownEvent as UnknownEvent
from cartesia_proto.codecs.events import WordTimestamps as WordTimestamps
from cartesia_proto.config import Config as Config
from cartesia_proto.config import Limits as Limits
from cartesia_proto.config import __version__ as __version__
from cartesia_proto.credentials import AccessToken as AccessToken
from cartesia_proto.credentials import ApiKey as ApiKey
from cartesia_proto.credentials import Secret as Secret
from cartesia_proto.errors import ApiError as ApiError
from cartesia_proto.errors import AuthenticationError as AuthenticationError
from cartesia_proto.errors import BadRequestError as BadRequestError
from cartesia_proto.errors import CartesiaError as CartesiaError
from cartesia_proto.errors import ConflictError as ConflictError
from cartesia_proto.errors import ConnectError as ConnectError
from cartesia_proto.errors import ConnectionLost as ConnectionLost
from cartesia_proto.errors import IncompleteStream as IncompleteStream
from cartesia_proto.errors import JsonValue as JsonValue
from cartesia_proto.errors import LocalProtocolError as LocalProtocolError
from cartesia_proto.errors import NotFoundError as NotFoundError
from cartesia_proto.errors import PaymentRequiredError as PaymentRequiredError
from cartesia_proto.errors import PermissionDeniedError as PermissionDeniedError
from cartesia_proto.errors import RateLimitError as RateLimitError
from cartesia_proto.errors import RemoteProtocolError as RemoteProtocolError
from cartesia_proto.errors import ServerError as ServerError
from cartesia_proto.errors import TimeoutError as TimeoutError
from cartesia_proto.errors import TransportError as TransportError
from cartesia_proto.errors import UnprocessableEntityError as UnprocessableEntityError
from cartesia_proto.flow import Attempt as Attempt
from cartesia_proto.flow import Decoder as Decoder
from cartesia_proto.flow import Done as Done
from cartesia_proto.flow import Failure as Failure
from cartesia_proto.flow import Operation as Operation
from cartesia_proto.flow import Outcome as Outcome
from cartesia_proto.http import ContentPart as ContentPart
from cartesia_proto.http import FilePart as FilePart
from cartesia_proto.http import Headers as Headers
from cartesia_proto.http import Request as Request
from cartesia_proto.http import Response as Response
from cartesia_proto.http import Upload as Upload
from cartesia_proto.names import on_demand
from cartesia_proto.pages import AsyncPages as AsyncPages
from cartesia_proto.pages import Page as Page
from cartesia_proto.pages import Pages as Pages
from cartesia_proto.prepare import RequestOptions as RequestOptions
from cartesia_proto.speech import ExperimentalControls as ExperimentalControls
from cartesia_proto.speech import GenerationConfig as GenerationConfig
from cartesia_proto.speech import VoiceByEmbedding as VoiceByEmbedding
from cartesia_proto.speech import VoiceById as VoiceById

if TYPE_CHECKING:
    from cartesia_proto.api import Api as Api
    from cartesia_proto.api import Status as Status
    from cartesia_proto.api.tts import TTS as TTS
    from cartesia_proto.api.voice_models import Accent as Accent
    from cartesia_proto.api.voice_models import Embedding as Embedding
    from cartesia_proto.api.voice_models import Voice as Voice
    from cartesia_proto.api.voice_models import VoiceMetadata as VoiceMetadata
    from cartesia_proto.api.voices import Voices as Voices
    from cartesia_proto.awaiting import AsyncTTSWebSocket as AsyncTTSWebSocket
    from cartesia_proto.awaiting import AsyncTTSWebSocketContext as AsyncTTSWebSocketContext
    from cartesia_proto.blocking import TTSWebSocket as TTSWebSocket
    from cartesia_proto.blocking import TTSWebSocketContext as TTSWebSocketContext
    from cartesia_proto.sessions.context import TTSContext as TTSContext
    from cartesia_proto.sessions.events import Cancelled as Cancelled
    from cartesia_proto.sessions.events import ContextEnded as ContextEnded
    from cartesia_proto.sessions.events import ContextEvent as ContextEvent
    from cartesia_proto.sessions.events import Failed as Failed
    from cartesia_proto.sessions.events import SpokenInput as SpokenInput
    from cartesia_proto.sessions.events import TerminalEvent as TerminalEvent
    from cartesia_proto.sessions.events import Timing as Timing
    from cartesia_proto.sessions.events import UnspokenPlan as UnspokenPlan
    from cartesia_proto.sessions.handshake import WebSocketRequest as WebSocketRequest
    from cartesia_proto.sessions.handshake import connecting as connecting
    from cartesia_proto.sessions.inboxes import Inboxes as Inboxes
    from cartesia_proto.sessions.settings import ContextSettings as ContextSettings
    from cartesia_proto.sessions.states import State as State
    from cartesia_proto.sessions.tts import TTSSession as TTSSession
else:
    __getattr__, __dir__ = on_demand(
        globals(),
        Api="cartesia_proto.api",
        Status="cartesia_proto.api",
        TTS="cartesia_proto.api.tts",
        Voices="cartesia_proto.api.voices",
        Voice="cartesia_proto.api.voice_models",
        VoiceMetadata="cartesia_proto.api.voice_models",
        Accent="cartesia_proto.api.voice_models",
        Embedding="cartesia_proto.api.voice_models",
        TTSWebSocket="cartesia_proto.blocking",
        TTSWebSocketContext="cartesia_proto.blocking",
        AsyncTTSWebSocket="cartesia_proto.awaiting",
        AsyncTTSWebSocketContext="cartesia_proto.awaiting",
        TTSSession="cartesia_proto.sessions.tts",
        TTSContext="cartesia_proto.sessions.context",
        ContextSettings="cartesia_proto.sessions.settings",
        State="cartesia_proto.sessions.states",
        ContextEvent="cartesia_proto.sessions.events",
        TerminalEvent="cartesia_proto.sessions.events",
        Cancelled="cartesia_proto.sessions.events",
        Failed="cartesia_proto.sessions.events",
        ContextEnded="cartesia_proto.sessions.events",
        Timing="cartesia_proto.sessions.events",
        SpokenInput="cartesia_proto.sessions.events",
        UnspokenPlan="cartesia_proto.sessions.events",
        Inboxes="cartesia_proto.sessions.inboxes",
        WebSocketRequest="cartesia_proto.sessions.handshake",
        connecting="cartesia_proto.sessions.handshake",
    )

__all__ = [
    "TTS",
    "Accent",
    "AccessToken",
    "Api",
    "ApiError",
    "ApiKey",
    "AsyncPages",
    "AsyncStream",
    "AsyncTTSWebSocket",
    "AsyncTTSWebSocketContext",
    "Attempt",
    "Audio",
    "AudioChunk",
    "AuthenticationError",
    "Awaiting",
    "BadRequestError",
    "Blocking",
    "Call",
    "Cancelled",
    "CartesiaError",
    "Config",
    "ConflictError",
    "ConnectError",
    "ConnectionLost",
    "ContentPart",
    "ContextEnded",
    "ContextEvent",
    "ContextSettings",
    "Decoder",
    "Done",
    "Embedding",
    "ExperimentalControls",
    "Failed",
    "Failure",
    "FilePart",
    "FlushDone",
    "GenerationConfig",
    "Headers",
    "Inboxes",
    "IncompleteStream",
    "JsonValue",
    "Limits",
    "LocalProtocolError",
    "Mp3Format",
    "NotFoundError",
    "Operation",
    "Outcome",
    "OutputFormat",
    "Page",
    "PageCall",
    "Pages",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PhonemeTimestamps",
    "Plan",
    "RateLimitError",
    "RawFormat",
    "RemoteProtocolError",
    "Request",
    "RequestOptions",
    "Resource",
    "Response",
    "Secret",
    "ServerError",
    "SpeechEvent",
    "SpokenInput",
    "State",
    "Status",
    "Stream",
    "StreamCall",
    "TTSContext",
    "TTSSession",
    "TTSWebSocket",
    "TTSWebSocketContext",
    "TerminalEvent",
    "TimeoutError",
    "Timing",
    "TransportError",
    "UnknownEvent",
    "UnprocessableEntityError",
    "UnspokenPlan",
    "Upload",
    "Voice",
    "VoiceByEmbedding",
    "VoiceById",
    "VoiceMetadata",
    "Voices",
    "WavFormat",
    "WebSocketRequest",
    "WordTimestamps",
    "connecting",
    "endpoint",
    "get_output_format",
]
