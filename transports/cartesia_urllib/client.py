"""The blocking client.

This module knows how a client is put together and how it runs calls. It must not know policy: when to try again, what
to follow and what an answer means is the core's. What carries a request is imported by the functions that need it
(`network` in `__init__`, `run_call` and their like), so that it comes with the first request and not with the client.
Nor is anything imported for annotations: `typing.get_type_hints` wants `ssl`, `urllib` and `Connect` in its `localns`.
"""

import os
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from cartesia_proto import Call, StreamCall
from cartesia_proto.clients import BlockingClient, Shared, check_opener
from cartesia_proto.config import configure
from cartesia_proto.discretion import discreet
from cartesia_proto.wire.proxy import choose_proxy

if TYPE_CHECKING:
    import ssl
    import urllib.request

    from cartesia_proto.blocking import Multiplexer
    from cartesia_proto.conversation import WebSocketOptions
    from cartesia_urllib.network import Network
    from cartesia_urllib.sockets import Connect
    from cartesia_urllib.stream import BodyStream

E = TypeVar("E")
T = TypeVar("T")


class Cartesia(BlockingClient):
    """A client of the Cartesia API whose answers are values; any number of threads may share it.

    Args:
        api_key: by default `CARTESIA_API_KEY` of the environment. Calls that need no credentials work without.
        token: a short-lived access token in place of a key.
        base_url: by default `CARTESIA_BASE_URL`, else the vendor's.
        version: the API version, ``YYYY-MM-DD``.
        timeout: seconds for each single connect (to all addresses of a name together), handshake, write and read;
            ``math.inf`` waits for ever. Default 60.
        max_retries: attempts after the first. Default 2.
        headers: sent with every request.
        ssl_context: by default one that verifies, made when it is first needed. One that offers ``h2`` by ALPN is of no
            use: HTTP/1.1 is spoken.
        proxy: ``http://user:password@host:port``; None takes the environment's, an empty string none at all. It is
            asked for what is not encrypted itself, and for tunnels to all else.
        local_address: the address to connect from.
        connect: makes the unencrypted connection to a host and port (those of the proxy, if there is one) in place of
            `socket.create_connection`; called for every new connection.
        opener: sends the requests in place of our own opener, with whatever handlers it has. Errors and redirects of
            its own making are accepted; credentials are headers it does not carry along to where it is redirected. It
            excludes `ssl_context`, `proxy`, `local_address` and `connect`.

    After a fork the child has connections of its own; what was open is its parent's, and ends in the child as lost.

    The environment is read here and never again.

    What carries requests is imported with the first one. A signal handler may close the client at any time, but it must
    not make the first request of a kind: it may have interrupted that very import.

    Raises:
        LocalProtocolError: an argument, or what the environment has in its place, is malformed or excluded by another.
    """

    __slots__ = ("_network",)

    @discreet
    def __init__(
        self,
        *,
        api_key: str | None = None,
        token: str | None = None,
        base_url: str | None = None,
        version: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        ssl_context: "ssl.SSLContext | None" = None,
        proxy: str | None = None,
        local_address: str | None = None,
        connect: "Connect | None" = None,
        opener: "urllib.request.OpenerDirector | None" = None,
    ) -> None:
        if opener is not None:
            check_opener(ssl_context=ssl_context, proxy=proxy, local_address=local_address, connect=connect)
        config = configure(os.environ, api_key=api_key, token=token, base_url=base_url).with_options(
            timeout=timeout, max_retries=max_retries, version=version, headers=headers
        )
        super().__init__(config, random.random)
        via = choose_proxy(proxy, config.base_url, os.environ)

        def network() -> "Network":
            from cartesia_urllib.network import Network  # noqa: PLC0415 - see the module docstring
            from cartesia_urllib.sockets import Connector  # noqa: PLC0415 - as above

            return Network(Connector(via, ssl_context, local_address, connect, config.limits), opener)

        self._network: Shared[Network] = Shared(network)

    def run_call(self, call: Call[T]) -> T:
        """Make one request and answer with its value. Raises as `call`."""
        from cartesia_urllib.sending import run  # noqa: PLC0415 - see the module docstring
        from cartesia_urllib.sockets import Interrupter  # noqa: PLC0415 - as above

        return run(self._network(), call.operation(self._config, self._random), Interrupter())[0]

    def run_stream(self, call: StreamCall[E]) -> "BodyStream[E]":
        """Answer with a stream that has not been sent yet.

        Raises:
            LocalProtocolError: the client is closed, or the call lacks something it needs.
        """
        from cartesia_urllib.stream import BodyStream  # noqa: PLC0415 - see the module docstring

        return BodyStream(self._network(), call.operation(self._config, self._random))

    def _multiplexer(self, options: "WebSocketOptions") -> "Multiplexer":
        from cartesia_urllib.dialling import multiplexer  # noqa: PLC0415 - wsproto is not needed before

        return multiplexer(self._network(), self._config, options)

    def close(self) -> None:
        """Close every connection, those in use too: their calls and streams fail. Idempotent, from any thread.

        From now on every call raises `LocalProtocolError`.
        """
        if (network := self._network.close()) is not None:
            network.close()
