"""Connections that dawdle, and request lines that hold a token."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from signaling.http_guard import KEEPALIVE_SECONDS, GuardedRunner
from signaling.logs import OneLineFormatter

PATIENCE = 5.0
HEAD = b"GET /late HTTP/1.1\r\nHost: x\r\n"


async def late(request: web.Request) -> web.Response:
    """Answers when the deadline for heads is long over."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, over.set)
    await over.wait()
    return web.Response(text=f"{len(await request.read())} bytes")


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, over.set)
    await over.wait()
    async for message in socket:
        await socket.send_bytes(message.data)
    return socket


@asynccontextmanager
async def listening(head_timeout: float = 0.1) -> AsyncIterator[int]:
    app = web.Application()
    app.add_routes([web.get("/late", late), web.post("/late", late), web.get("/echo", echo)])
    runner = GuardedRunner(app, head_timeout=head_timeout, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def conversation(port: int, *parts: bytes) -> bytes:
    """What comes back until the server closes. Between two parts a response is awaited."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    async with asyncio.timeout(PATIENCE):
        for number, part in enumerate(parts):
            if number:
                heard += await reader.readuntil(b"0 bytes")
            writer.write(part)
        heard += await reader.read()
    writer.close()
    return heard


@pytest.mark.parametrize("part", [b"", b"GE", HEAD], ids=["silence", "two letters", "half a head"])
async def test_attack_a_head_that_never_ends(part: bytes) -> None:
    async with listening() as port:
        assert await conversation(port, part) == b""


async def test_attack_the_second_head_never_ends() -> None:
    async with listening() as port:
        assert (await conversation(port, HEAD + b"\r\n", HEAD)).endswith(b"0 bytes")


async def test_a_slow_answer_and_a_socket_are_left_alone() -> None:
    async with listening() as port, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{port}"
        # The body follows while the request is already being handled.
        async with http.post(f"{url}/late", data=b"x" * 10, expect100=True) as answer:
            assert await answer.text() == "10 bytes"
        async with http.ws_connect(f"{url}/echo") as socket:
            await socket.send_bytes(b"still here")
            assert (await socket.receive(PATIENCE)).data == b"still here"


async def test_idle_connections_are_kept_for_the_keepalive_time() -> None:
    app = web.Application()
    runner = GuardedRunner(app)
    await runner.setup()
    assert runner.server is not None
    assert runner.server().keepalive_timeout == KEEPALIVE_SECONDS
    await runner.cleanup()


async def test_attack_a_token_in_a_malformed_request_line(caplog: pytest.LogCaptureFixture) -> None:
    line = b"GET /rtc/v1?access_token=SECRETTOKEN\x01 HTTP/1.1\r\nHost: x\r\n\r\n"
    caplog.set_level(logging.INFO)
    async with listening() as port:
        answer = await conversation(port, line)
    assert answer.startswith(b"HTTP/1.0 400") or answer.startswith(b"HTTP/1.1 400")
    assert b"SECRETTOKEN" not in answer
    assert b'"code": "unreadable_request"' in answer
    caplog.handler.setFormatter(OneLineFormatter("%(message)s"))
    written = "\n".join(caplog.handler.format(record) for record in caplog.records)
    assert "unreadable request from 127.0.0.1" in written
    assert "Traceback" not in written
    assert "SECRETTOKEN" not in written
    assert logging.getLogger("aiohttp.server").propagate  # so the root's formatter has it


@pytest.mark.parametrize("packing", [b"br", b"zstd"])
async def test_packings_that_nobody_can_undo_are_refused_as_such(packing: bytes) -> None:
    head = b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Encoding: " + packing
    async with listening(PATIENCE) as port:
        answer = await conversation(port, head + b"\r\n\r\nx")
    assert answer.split()[1] == b"415"
    assert b'"code": "unsupported_media_type"' in answer
