"""Webhooks: what receivers are told of a recording, in order, however often they fail."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from livekit.api import TokenVerifier, WebhookReceiver
from livekit.protocol.egress import EgressStatus
from livekit.protocol.webhook import WebhookEvent

from recorder.lifecycle import EndReason
from signaling.webhooks import REFUSALS, Outbox, Webhooks, pause
from tests.recorder.house import NOW, House, open_house
from tests.recorder.known_media import audio_track

KEY, SECRET = "key", "the secret of the house, 32 and more"
PATIENCE = 10.0


@dataclass
class Receiver:
    """An application's end. `answers` are statuses, used up one a request; 200 after them."""

    answers: list[int] = field(default_factory=list)
    requests: list[tuple[web.Request, str]] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append((request, await request.text()))
        self.heard.set()
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.requests]

    def verified(self) -> list[WebhookEvent]:
        """As LiveKit's own SDK reads them."""
        receiver = WebhookReceiver(TokenVerifier(KEY, SECRET))
        return [
            receiver.receive(body, request.headers["Authorization"])
            for request, body in self.requests
        ]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self.heard.clear()
                await self.heard.wait()


@dataclass
class Script:
    house: House
    receiver: Receiver
    server: TestServer
    sender: Webhooks

    @property
    def url(self) -> str:
        return str(self.server.make_url("/hook"))

    def another(self, *urls: str, pause: Callable[[int], float] = lambda _: 0.0) -> Webhooks:
        """As after a restart."""
        return Webhooks(
            self.house.catalog.webhooks,
            urls or (self.url,),
            {KEY: SECRET},
            clock=lambda: self.house.now,
            pause=pause,
        )

    async def outbox(self) -> int:
        return await self.house.catalog.webhooks.count()


@pytest.fixture
async def script(tmp_path: Path) -> AsyncIterator[Script]:
    house, receiver = await open_house(tmp_path / "house", one_clock=True), Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    async with TestServer(app) as server:
        script = Script(house, receiver, server, None)  # type: ignore[arg-type]
        house.catalog.recordings.announce = Outbox([script.url], lambda: house.now)
        script.sender = script.another()
        yield script
        await script.sender.close()
    await house.service.close()
    await house.catalog.close()


def start(script: Script) -> None:
    script.house.service.subscribe(script.sender.wake)
    script.sender.start()


async def test_each_change_in_order_as_livekit_s_own_receiver_reads_it(script: Script) -> None:
    start(script)
    row = await script.house.recorded()
    assert await script.sender.quiet(PATIENCE)
    events = script.receiver.verified()
    assert [(each.event, EgressStatus.Name(each.egress_info.status)) for each in events] == [
        ("egress_started", "EGRESS_STARTING"),
        ("egress_updated", "EGRESS_ACTIVE"),
        ("egress_updated", "EGRESS_ENDING"),
        ("egress_updated", "EGRESS_ENDING"),
        ("egress_ended", "EGRESS_COMPLETE"),
    ]
    assert len({each.id for each in events}) == 5
    last = events[-1].egress_info
    assert (last.egress_id, last.room_name, last.error) == (row.id, "blue", "")
    assert last.started_at == round(NOW.timestamp()) * 10**9
    assert last.ended_at - last.started_at == 10**9
    (file,) = last.file_results
    assert (file.filename, file.size) == (row.files[0].key, row.files[0].size)
    assert await script.outbox() == 0
    for request, _ in script.receiver.requests:
        assert request.headers["Content-Type"] == "application/webhook+json"


async def test_what_livekit_has_no_words_for(script: Script) -> None:
    start(script)
    row = await script.house.recorded()
    assert await script.sender.quiet(PATIENCE)
    told = script.receiver.told
    assert [each["recording"]["status"] for each in told] == script.house.statuses
    assert told[0]["egressInfo"]["status"] == "EGRESS_STARTING"
    last = told[-1]["recording"]
    assert (last["id"], last["room"], last["endReason"]) == (row.id, "blue", "host")
    assert last["files"][0]["sha256"] == row.files[0].sha256


@pytest.mark.parametrize(
    ("reason", "media", "status"),
    [
        (EndReason.MAX_DURATION, True, "EGRESS_LIMIT_REACHED"),
        (EndReason.ROOM_EMPTY, True, "EGRESS_COMPLETE"),
        (EndReason.HOST, False, "EGRESS_ABORTED"),
        (EndReason.NO_MEDIA, False, "EGRESS_FAILED"),
    ],
)
async def test_how_it_ended(script: Script, reason: EndReason, media: bool, status: str) -> None:
    script.house.plane.tracks = [audio_track(1.0)] if media else []
    row = await script.house.service.start("blue", None, "host")
    await script.house.service.stop(row.id, reason)
    await script.house.settled()
    start(script)
    assert await script.sender.quiet(PATIENCE)
    last = script.receiver.verified()[-1].egress_info
    assert (EgressStatus.Name(last.status), last.details) == (status, str(reason))
    assert last.error == ("" if media else "no media was received")


async def test_one_that_fails_is_told_again_before_the_next(script: Script) -> None:
    script.receiver.answers = [500, 503, 429, 302]
    start(script)
    await script.house.recorded()
    await script.receiver.until(lambda: len(script.receiver.requests) == 9)
    statuses = [each["recording"]["status"] for each in script.receiver.told]
    assert statuses == ["starting"] * 4 + script.house.statuses
    assert {each[0].path for each in script.receiver.requests} == {"/hook"}, "no redirects"


async def test_what_was_not_told_is_told_after_a_restart(script: Script) -> None:
    """Nobody sends; the server ends; the next one tells all of it."""
    await script.house.recorded()
    assert await script.outbox() == 5
    start(script)
    assert await script.sender.quiet(PATIENCE)
    assert len(script.receiver.requests) == 5


async def test_the_next_try_is_when_it_is_due_and_not_before(script: Script) -> None:
    script.receiver.answers = [500]
    script.sender = script.another(pause=lambda _attempt: 60.0)
    start(script)
    await script.house.service.start("blue", None, "host")
    await script.receiver.until(lambda: len(script.receiver.requests) == 1)
    assert await script.sender.quiet(PATIENCE)
    assert await script.sender.quiet(PATIENCE)
    assert len(script.receiver.requests) == 1
    script.house.now += timedelta(seconds=60)
    assert await script.sender.quiet(PATIENCE)
    assert len(script.receiver.requests) == 2


async def test_a_refusal_does_not_block_the_others_for_ever(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.receiver.answers = [400] * REFUSALS
    start(script)
    await script.house.recorded()
    await script.receiver.until(lambda: len(script.receiver.requests) == REFUSALS + 4)
    assert script.receiver.told[-1]["recording"]["status"] == "recorded"
    assert "is given up: status 400" in caplog.text


async def test_after_a_day_it_is_dropped_with_a_word(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    await script.house.service.start("blue", None, "host")
    script.house.now += timedelta(hours=24)
    start(script)
    assert await script.sender.quiet(PATIENCE)
    assert script.receiver.requests == []
    assert "24 hours" in caplog.text


async def test_what_an_address_of_before_never_took_is_dropped_after_a_day(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    await script.house.service.start("blue", None, "host")
    await script.sender.expire()
    assert await script.outbox() == 1
    script.house.now += timedelta(hours=24, seconds=1)
    await script.sender.expire()
    assert await script.outbox() == 0
    assert "1 webhooks were not taken" in caplog.text


async def test_one_address_that_is_down_holds_up_no_other(
    script: Script, unused_tcp_port: int
) -> None:
    down = f"http://127.0.0.1:{unused_tcp_port}/hook"
    script.house.catalog.recordings.announce = Outbox([down, script.url], lambda: NOW)
    script.sender = script.another(down, script.url, pause=lambda _attempt: 3600.0)
    start(script)
    await script.house.recorded()
    await script.receiver.until(lambda: len(script.receiver.requests) == 5)
    assert await script.sender.quiet(PATIENCE)
    assert await script.outbox() == 5


async def test_attack_secrets_of_an_address_are_not_logged(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.receiver.answers = [500]
    secret = script.url + "/very-secret-path?token=very-secret"
    script.house.catalog.recordings.announce = Outbox([secret], lambda: NOW)
    script.sender = script.another(secret)
    with caplog.at_level(logging.DEBUG, "signaling"):
        start(script)
        await script.house.service.start("blue", None, "host")
        await script.receiver.until(lambda: len(script.receiver.requests) == 2)
        assert await script.sender.quiet(PATIENCE)
    assert "status 500" in caplog.text
    assert "very-secret" not in caplog.text
    assert SECRET not in caplog.text


async def test_a_change_that_is_not_made_is_not_told(script: Script) -> None:
    row = await script.house.service.start("blue", None, "host")
    recordings = script.house.catalog.recordings
    with pytest.raises(Exception, match="is starting"):
        await recordings.update(row.id, {"recorded"}, status="failed")
    await recordings.update(row.id, error="no change of status")
    assert await script.outbox() == 1


async def test_without_addresses_the_outbox_stays_empty(script: Script, tmp_path: Path) -> None:
    script.house.catalog.recordings.announce = Outbox([], lambda: NOW)
    await script.house.recorded()
    assert await script.outbox() == 0
    idle = Webhooks(script.house.catalog.webhooks, [], {KEY: SECRET}, clock=lambda: NOW)
    idle.start()
    idle.wake()
    assert await idle.quiet(PATIENCE)
    await idle.close()


def test_pauses_grow_to_five_minutes() -> None:
    assert [pause(attempt) for attempt in (1, 2, 3, 8, 9, 1000)] == [2, 4, 8, 256, 300, 300]


async def test_order_holds_when_the_clock_stands_still(script: Script) -> None:
    outbox = Outbox(["http://a", "http://b"], lambda: NOW)
    row = await script.house.service.start("blue", None, "host")
    moments = [each.created_at for _ in range(3) for each in outbox(row)]
    assert moments == sorted(moments)
    assert len(set(moments)) == 3
