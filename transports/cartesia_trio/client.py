"""The client on trio.

This module knows what a client is made of and how it runs each kind of call. It must not know any endpoint (`Api` has
them), nor how bytes move (`connection` does). What carries a request is imported by the functions that need it
(`network` in `__init__`, `run_call` and their like), so that it comes with the first request and not with the client.
Nor is anything imported for annotations: `typing.get_type_hints` wants `ssl` and `Connect` in its `localns`.
"""

import os
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self, TypeVar

import trio

from cartesia_proto.call import Call, PageCall, StreamCall
from cartesia_proto.clients import AwaitingClient, PageList, Shared, check_ways_out
from cartesia_proto.config import configure
from cartesia_proto.discretion import discreet
from cartesia_proto.wire.proxy import choose_proxy
from cartesia_trio.pages import Walk
from cartesia_trio.runs import checkpoint

if TYPE_CHECKING:
    import ssl

    from cartesia_proto.conversation import WebSocketOptions
    from cartesia_proto.lines import Multiplexer
    from cartesia_trio.connection import Connect
    from cartesia_trio.network import Network
    from cartesia_trio.stream import BodyStream

E = TypeVar("E")
T = TypeVar("T")


class AsyncCartesia(AwaitingClient):
    """The Cartesia voice API on trio.

    Any number of tasks may share one client; it belongs to the run of trio it is first used in. A cancellation
    anywhere closes the connection it met and leaves the client usable. Leaving it as an async context manager closes
    it. Every await is a checkpoint.

    Args:
        api_key, token: at most one of them; by default `CARTESIA_API_KEY` of the environment.
        base_url: by default `CARTESIA_BASE_URL` of the environment, else the vendor's.
        version: the API version, ``YYYY-MM-DD``.
        timeout: seconds for each single connect (to all addresses of a name together), handshake, write and read,
            never for a whole answer; ``math.inf`` waits for ever.
        max_retries: attempts after the first.
        headers: sent with every request.
        ssl_context: what encrypts connections; by default one that verifies, made in another thread at the first
            encrypted connection. One that offers ``h2`` by ALPN is of no use: HTTP/1.1 is spoken.
        proxy: ``http://user:password@host:port``; by default what the environment's proxy variables name; an empty
            string for none. It is asked for what is not encrypted itself, and for tunnels to all else.
        local_address: the address connections leave from.
        connect: called with host and port for every new connection; answers with an unencrypted `trio.abc.Stream`.
            Excludes `local_address`.

    It may be closed in any run of trio or none, and so may all that it made; where its own run goes on, that closes
    them soon after. After a fork the child has connections of its own: what was open is its parent's, and ends in the
    child as lost.

    The environment is read here, once.

    What carries requests is imported with the first one: some tens of milliseconds in which no other task runs. A
    program that minds imports `cartesia_trio.stream` when it starts, and `cartesia_trio.multiplexer` if it uses
    WebSockets. What reads voices and other JSON still comes with the first of them.

    Raises:
        LocalProtocolError: an argument or a variable is malformed; the message names it and never shows a secret.
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
    ) -> None:
        check_ways_out(local_address, connect)
        config = configure(os.environ, api_key=api_key, token=token, base_url=base_url).with_options(
            timeout=timeout, max_retries=max_retries, version=version, headers=headers
        )
        super().__init__(config, random.random)
        via = choose_proxy(proxy, config.base_url, os.environ)

        def network() -> "Network":
            from cartesia_trio.network import Network  # noqa: PLC0415 - see the module docstring

            return Network(via, ssl_context, local_address, connect, config.limits)

        self._network: Shared[Network] = Shared(network)

    async def run_call(self, call: Call[T]) -> T:
        """Make one request and answer with its value.

        Raises:
            CartesiaError: no usable answer came; the client stays usable, unless it is closed.
            OSError: a file to be sent cannot be opened or read.
        """
        from cartesia_trio.sending import run  # noqa: PLC0415 - see the module docstring

        return await run(self._network(), call.operation(self._config, self._random))

    def run_stream(self, call: StreamCall[E]) -> "BodyStream[E]":
        """Answer with a stream that has not been sent yet.

        Raises:
            LocalProtocolError: the client is closed, there are no credentials, or the parameters do not fit the
                version.
        """
        from cartesia_trio.stream import BodyStream  # noqa: PLC0415 - see the module docstring

        return BodyStream(self._network(), call.operation(self._config, self._random))

    def run_pages(self, call: PageCall[T]) -> PageList[T]:
        """Answer with a list that has not been fetched yet."""
        return PageList(self, call, Walk)

    def _multiplexer(self, options: "WebSocketOptions") -> "Multiplexer":
        from cartesia_trio.multiplexer import Multiplexer  # noqa: PLC0415 - wsproto is not needed before

        return Multiplexer(self._network(), self._config, options)

    async def aclose(self) -> None:
        """Close every connection at once, those of running calls and open streams too, also when cancelled. Idempotent.

        Every later call on this client, or on one that shares its connections, raises `LocalProtocolError`.
        """
        if (network := self._network.close()) is not None:
            await network.aclose()
        await checkpoint()

    async def __aenter__(self) -> Self:
        """The client itself."""
        await trio.lowlevel.checkpoint()
        return self
