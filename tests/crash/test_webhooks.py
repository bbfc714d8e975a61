"""Webhooks of a server that is killed, to an application that is away: told in the end, in order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from livekit.api import TokenVerifier, WebhookReceiver

from tests.rig.rest import Rest
from tests.rig.sdk import joined, tone
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import KEY, SECRET, server_token
from tests.rig.waiting import until

LIFE = ["starting", "recording", "processing", "uploading", "recorded"]


@asynccontextmanager
async def application(port: int) -> AsyncIterator[list[str]]:
    """Statuses in the order they were told, each signed as LiveKit signs."""
    told: list[str] = []
    seen: set[str] = set()
    receiver = WebhookReceiver(TokenVerifier(KEY, SECRET))

    async def take(request: web.Request) -> web.Response:
        body = await request.text()
        event = receiver.receive(body, request.headers["Authorization"])
        if event.id not in seen:  # one whose answer was lost comes again
            seen.add(event.id)
            told.append(json.loads(body)["recording"]["status"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield told
    finally:
        await runner.cleanup()


async def test_what_nobody_took_is_told_by_the_next_server(
    data_dir: Path, unused_tcp_port: int
) -> None:
    settings = {"WEBHOOK_URLS": f"http://127.0.0.1:{unused_tcp_port}/hook"}
    async with MediaserverProcess(data_dir, settings) as server:
        async with (
            Rest(server.base_url, server_token()) as rest,
            joined(server, "r", "ann") as ann,
            tone(ann, 440),
        ):
            await rest.start_recording("r")
            await rest.stop_recording("r")
        await server.kill9()
        async with application(unused_tcp_port) as told:
            await server.restart()
            # the last try before the end may have put the next one off by half a minute
            await until(lambda: len(told) >= len(LIFE), within=60, what="all has been told")
            assert told == LIFE


async def test_a_kill_in_the_middle_tells_each_change_once(
    data_dir: Path, unused_tcp_port: int
) -> None:
    settings = {"WEBHOOK_URLS": f"http://127.0.0.1:{unused_tcp_port}/hook"}
    async with (
        application(unused_tcp_port) as told,
        MediaserverProcess(data_dir, settings) as server,
    ):
        async with (
            Rest(server.base_url, server_token()) as rest,
            joined(server, "r", "ann") as ann,
            tone(ann, 440),
        ):
            recording = await rest.start_recording("r")
            await server.kill9()
        await server.restart()
        async with Rest(server.base_url, server_token()) as rest:
            row = await rest.recorded(recording)
            assert row["metadata"]["endReason"] == "crash"
        await until(lambda: told[-1:] == ["recorded"], within=30, what="its end is told")
        assert told[:2] == LIFE[:2]
        assert [each for each in told if each in LIFE[2:]] == told[2:]
