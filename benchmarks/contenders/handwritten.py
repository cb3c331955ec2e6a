"""What somebody writes who does without a client: loops on aiohttp, websockets and httpx-sse.

Each exists twice, with json and base64, and with orjson and pybase64; the latter takes messages as bytes where its
library can give them, as one does who cares. None checks anything but what kind of message it has.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

from benchmarks.contenders.paced import AsyncConnection, paced_on_asyncio
from benchmarks.messages import request
from benchmarks.peers import (
    AiohttpSession,
    AiohttpWebSocket,
    AsyncWebSocket,
    Decoding,
    aiohttp_session,
    async_connect_sse,
    async_httpx_client,
    async_websockets_connect,
    connect_sse,
    httpx_client,
    speedy,
    standard,
    websockets_connect,
)
from benchmarks.plans import BodyChecker, Checker, Job, Plan, Point
from benchmarks.timing import repeat, repeat_awaiting


def _ask(plan: Plan) -> str:
    return json.dumps(request(transcript=plan.command, context_id=str(uuid4())))


def _run_aiohttp(measure: Callable[[AiohttpSession], Awaitable[list[Point]]]) -> list[Point]:
    async def main() -> list[Point]:
        async with aiohttp_session() as session:
            return await measure(session)

    return asyncio.run(main())


async def _hear_aiohttp(ws: AiohttpWebSocket, decoding: Decoding, plan: Plan, checker: Checker) -> None:
    loads, decode = decoding.loads, decoding.decode
    await ws.send_str(_ask(plan))
    async for message in ws:
        fields = loads(message.data)
        if fields["type"] == "done":
            break
        checker.check(decode(fields["data"]))
    checker.finish()


def _aiohttp_websocket(job: Job, decoding: Decoding, *, decode_text: bool) -> list[Point]:
    async def measure(session: AiohttpSession) -> list[Point]:
        async with session.ws_connect(f"{job.origin}/tts/websocket", decode_text=decode_text) as ws:
            return await repeat_awaiting(job, lambda plan: _hear_aiohttp(ws, decoding, plan, Checker(plan)))

    return _run_aiohttp(measure)


def aiohttp_websocket_standard(job: Job) -> list[Point]:
    """aiohttp, json, base64."""
    return _aiohttp_websocket(job, standard(), decode_text=True)


def aiohttp_websocket_speedy(job: Job) -> list[Point]:
    """aiohttp, orjson, pybase64."""
    return _aiohttp_websocket(job, speedy(), decode_text=False)


def aiohttp_paced(job: Job) -> list[Point]:
    """Paced contexts, each on a connection of its own."""

    async def measure(session: AiohttpSession) -> list[Point]:
        async def connect(stack: AsyncExitStack) -> AsyncConnection:
            url = f"{job.origin}/tts/websocket"
            ws = await stack.enter_async_context(session.ws_connect(url, decode_text=False))
            return lambda plan, checker: _hear_aiohttp(ws, speedy(), plan, checker)

        return await paced_on_asyncio(job, connect)

    return _run_aiohttp(measure)


async def _hear_websockets(ws: AsyncWebSocket, plan: Plan, decoding: Decoding, *, decode: bool | None) -> None:
    checker = Checker(plan)
    await ws.send(_ask(plan))
    while True:
        fields = decoding.loads(await ws.recv(decode=decode))
        if fields["type"] == "done":
            break
        checker.check(decoding.decode(fields["data"]))
    checker.finish()


def _websockets(job: Job, decoding: Decoding, *, decode: bool | None) -> list[Point]:
    async def main() -> list[Point]:
        async with async_websockets_connect(f"{job.websocket_origin}/tts/websocket") as ws:
            return await repeat_awaiting(job, lambda plan: _hear_websockets(ws, plan, decoding, decode=decode))

    return asyncio.run(main())


def websockets_standard(job: Job) -> list[Point]:
    """The library websockets on asyncio, json, base64."""
    return _websockets(job, standard(), decode=None)


def websockets_speedy(job: Job) -> list[Point]:
    """The library websockets on asyncio, orjson, pybase64."""
    return _websockets(job, speedy(), decode=False)


def websockets_blocking_speedy(job: Job) -> list[Point]:
    """The library websockets, blocking, orjson, pybase64."""
    decoding = speedy()
    with websockets_connect(f"{job.websocket_origin}/tts/websocket") as ws:

        def speak(plan: Plan) -> None:
            checker = Checker(plan)
            ws.send(_ask(plan))
            while True:
                fields = decoding.loads(ws.recv(decode=False))
                if fields["type"] == "done":
                    break
                checker.check(decoding.decode(fields["data"]))
            checker.finish()

        return repeat(job, speak)


def _aiohttp_sse(job: Job, decoding: Decoding) -> list[Point]:
    async def measure(session: AiohttpSession) -> list[Point]:
        async def speak(plan: Plan) -> None:
            checker = Checker(plan)
            left = b""
            async with session.post(f"{job.origin}/tts/sse", json=request(transcript=plan.command)) as response:
                async for data in response.content.iter_any():
                    *events, left = (left + data).split(b"\n\n")
                    for event in events:
                        fields = decoding.loads(event[6:])  # without "data: "
                        if fields["type"] == "chunk":
                            checker.check(decoding.decode(fields["data"]))
            checker.finish()

        return await repeat_awaiting(job, speak)

    return _run_aiohttp(measure)


def aiohttp_sse_standard(job: Job) -> list[Point]:
    """Events split by hand, json, base64."""
    return _aiohttp_sse(job, standard())


def aiohttp_sse_speedy(job: Job) -> list[Point]:
    """Events split by hand, orjson, pybase64."""
    return _aiohttp_sse(job, speedy())


def aiohttp_body(job: Job) -> list[Point]:
    """Pieces of audio as they come."""

    async def measure(session: AiohttpSession) -> list[Point]:
        async def speak(plan: Plan) -> None:
            checker = BodyChecker(plan)
            async with session.post(f"{job.origin}/tts/bytes", json=request(transcript=plan.command)) as response:
                async for piece in response.content.iter_any():
                    checker.check(piece)
            checker.finish()

        return await repeat_awaiting(job, speak)

    return _run_aiohttp(measure)


def _httpx_sse(job: Job, decoding: Decoding) -> list[Point]:
    with httpx_client() as client:

        def speak(plan: Plan) -> None:
            checker = Checker(plan)
            with connect_sse(client, f"{job.origin}/tts/sse", request(transcript=plan.command)) as source:
                for event in source.iter_sse():
                    fields = decoding.loads(event.data)
                    if fields["type"] == "chunk":
                        checker.check(decoding.decode(fields["data"]))
            checker.finish()

        return repeat(job, speak)


def httpx_sse_standard(job: Job) -> list[Point]:
    """httpx-sse, json, base64."""
    return _httpx_sse(job, standard())


def httpx_sse_speedy(job: Job) -> list[Point]:
    """httpx-sse, orjson, pybase64."""
    return _httpx_sse(job, speedy())


def httpx_sse_asyncio_speedy(job: Job) -> list[Point]:
    """httpx-sse on asyncio, orjson, pybase64."""
    decoding = speedy()

    async def main() -> list[Point]:
        async with async_httpx_client() as client:

            async def speak(plan: Plan) -> None:
                checker = Checker(plan)
                body = request(transcript=plan.command)
                async with async_connect_sse(client, f"{job.origin}/tts/sse", body) as source:
                    async for event in source.aiter_sse():
                        fields = decoding.loads(event.data)
                        if fields["type"] == "chunk":
                            checker.check(decoding.decode(fields["data"]))
                checker.finish()

            return await repeat_awaiting(job, speak)

    return asyncio.run(main())
