"""From a call's parameters to a signed request.

This module knows the order of precedence between what a call says, what its client says and where an endpoint exists:
version, credentials, headers, query and body. It must not know any endpoint or model, nor what happens to the request.
Requests stay unsigned until the last step here, so that everything before can be shown, compared and pickled.
"""

from collections.abc import Callable, Mapping
from typing import Literal, TypedDict, assert_never, cast, final

from attrs import evolve, field, frozen

from cartesia_proto.codecs import json
from cartesia_proto.config import (
    USER_AGENT,
    VERSION_HEADER,
    Config,
    Limits,
    check_headers,
    check_max_retries,
    check_timeout,
    check_version,
)
from cartesia_proto.discretion import discreet
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.flow import Terms
from cartesia_proto.http import Form, Headers, JsonBody, Request, UnsignedRequest, Upload, encode_query
from cartesia_proto.parameters import Parameters, form_parts, query_pairs


class RequestOptions(TypedDict, total=False):
    """What any call may ask beyond its endpoint's parameters, as the older SDK's `request_options`.

    Keys:
        max_retries: attempts after the first.
        timeout_in_seconds: for each single connect, handshake, write and read.
        additional_headers: added to the request, replacing those of the same name. Secret-looking ones are hidden.
        additional_query_parameters: added to the query.
        additional_body_parameters: added to the body; here None is sent as an explicit null.
        version: the API version of this one call.
    """

    max_retries: int
    timeout_in_seconds: float
    additional_headers: Mapping[str, str]
    additional_query_parameters: Mapping[str, object]
    additional_body_parameters: Mapping[str, object]
    version: str


def _version(value: str | None) -> str | None:
    return None if value is None else check_version(value)


def _timeout(value: float | None) -> float | None:
    return None if value is None else check_timeout(value)


def _max_retries(value: int | None) -> int | None:
    return None if value is None else check_max_retries(value)


@final
@frozen
class CallOptions:
    """`RequestOptions` as a frozen value."""

    max_retries: int | None = field(default=None, converter=_max_retries)
    timeout_in_seconds: float | None = field(default=None, converter=_timeout)
    additional_headers: Headers = Headers()
    additional_query_parameters: Parameters = Parameters()
    additional_body_parameters: Parameters = Parameters()
    version: str | None = field(default=None, converter=_version)


@discreet
def freeze_options(options: RequestOptions | None) -> CallOptions:
    """Freeze what a caller asked for.

    Raises:
        LocalProtocolError: an option is unknown or malformed; the message names it.
    """
    given = cast("Mapping[str, object]", options or {})
    unknown = sorted(given.keys() - RequestOptions.__annotations__.keys())
    if unknown:
        known = ", ".join(RequestOptions.__annotations__)
        raise LocalProtocolError(f"request_options has no {unknown[0]!r}; it has {known}")
    asked: RequestOptions = options or {}
    return CallOptions(
        max_retries=asked.get("max_retries"),
        timeout_in_seconds=asked.get("timeout_in_seconds"),
        additional_headers=check_headers(asked.get("additional_headers") or {}),
        additional_query_parameters=_mapping(given, "additional_query_parameters"),
        additional_body_parameters=_mapping(given, "additional_body_parameters"),
        version=asked.get("version"),
    )


def _mapping(given: Mapping[str, object], name: str) -> Parameters:
    return Parameters({name: given.get(name)}).mapping(name)


Render = Callable[[Parameters, str], UnsignedRequest]
"""An endpoint's parameters under an API version, as the request that asks for them."""


@final
@frozen
class Route:
    """How an endpoint asks: a constant, one for each endpoint.

    Attributes:
        render: a module-level function, so that calls compare and pickle.
        since, until: the first and last API version that has the endpoint.
        answer: what a success carries, which decides how large it may be.
        public: whether it may be asked without credentials.
    """

    render: Render
    since: str = ""
    until: str = "9999-12-31"
    answer: Literal["json", "audio"] = "json"
    public: bool = False

    def version(self, config: Config, options: CallOptions) -> str:
        """The call's own version, else the client's where it has the endpoint, else the nearest that has."""
        return options.version or min(max(config.version, self.since), self.until)

    def success_limit(self, limits: Limits) -> int:
        """Bytes that a success read whole may have."""
        return limits.json if self.answer == "json" else limits.audio


def prepare(
    route: Route, parameters: Parameters, options: CallOptions, config: Config, random: Callable[[], float]
) -> Request:
    """The signed request of a call.

    Args:
        random: chance in [0, 1), for the boundary of a form.

    Raises:
        LocalProtocolError: the endpoint needs credentials and there are none, or an option does not fit its body.
    """
    version = route.version(config, options)
    unsigned = route.render(parameters, version)
    content_type, body = _encode(_with_additional(unsigned.body, options.additional_body_parameters), random)
    headers = Headers(
        [
            ("User-Agent", USER_AGENT),
            ("Accept", unsigned.accept),
            ("Accept-Encoding", "identity"),
            *([("Content-Type", content_type)] if content_type else []),
            (VERSION_HEADER, version),
        ]
    )
    return Request(
        method=unsigned.method,
        url=_url(config.base_url, unsigned, options),
        headers=_sign(headers.merged(config.headers), route, config, options, version),
        body=body,
    )


def terms(route: Route, options: CallOptions, config: Config, random: Callable[[], float]) -> Terms:
    """Under which terms a call is made: its own options before its client's configuration."""
    return Terms(
        timeout=config.timeout if options.timeout_in_seconds is None else options.timeout_in_seconds,
        max_retries=config.max_retries if options.max_retries is None else options.max_retries,
        success_limit=route.success_limit(config.limits),
        error_limit=config.limits.error,
        random=random,
    )


def _url(base_url: str, unsigned: UnsignedRequest, options: CallOptions) -> str:
    query = encode_query((*unsigned.query, *query_pairs(options.additional_query_parameters)))
    return base_url + unsigned.path + (f"?{query}" if query else "")


def _sign(headers: Headers, route: Route, config: Config, options: CallOptions, version: str) -> Headers:
    if config.credentials is not None:
        headers = headers.merged(config.credentials.headers(version))
    headers = headers.merged(options.additional_headers)
    if not (route.public or "authorization" in headers or "x-api-key" in headers):
        raise LocalProtocolError(
            "this call needs credentials: pass api_key= or token= to the client, or set CARTESIA_API_KEY"
        )
    return headers


def _with_additional(body: JsonBody | Form | None, additional: Parameters) -> JsonBody | Form | None:
    if not additional:
        return body
    match body:
        case Form():
            return evolve(body, parts=(*form_parts(additional), *body.parts))
        case JsonBody(value=dict() as fields):
            return JsonBody({**fields, **additional.as_explicit_json()})
        case None:
            return JsonBody(additional.as_explicit_json())
        case JsonBody():
            raise LocalProtocolError("additional_body_parameters need a body that is an object or a form")
        case _:
            assert_never(body)


def _encode(body: JsonBody | Form | None, random: Callable[[], float]) -> tuple[str | None, bytes | Upload]:
    match body:
        case None:
            return None, b""
        case JsonBody(value=value):
            return "application/json", json.dumps(value)
        case Form():
            from cartesia_proto.codecs import multipart  # noqa: PLC0415 - few calls send forms

            return multipart.encode(body, random)
        case _:
            assert_never(body)
