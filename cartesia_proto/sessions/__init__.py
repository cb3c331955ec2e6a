"""Conversations: machines for what a peer may say unprompted.

This layer speaks in messages, so that a browser's WebSocket, aiohttp or `websockets` can carry it. It knows who may say
what, when. It must not know bytes on a wire, clocks, or who waits for an event: `wire` and the transports do.
"""
