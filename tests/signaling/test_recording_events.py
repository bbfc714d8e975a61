"""A recording's status, live: server-sent events, and the hub behind them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientResponse

from signaling.policy import room_grants
from signaling.rest import events
from signaling.watching import MOST_EACH, Watching
from storage.errors import CatalogUnavailable
from tests.signaling.house import House

START, STOP = "/api/v1/rooms/r/recording/start", "/api/v1/rooms/r/recording/stop"
PATIENCE = 10.0


class Stream:
    """An EventSource: `status` gives the next state, None at the end."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response
        self.comments = 0

    async def status(self) -> dict[str, Any] | None:
        event = ""
        async with asyncio.timeout(PATIENCE):
            async for raw in self.response.content:
                line = raw.decode().rstrip("\n")
                if line.startswith(":"):
                    self.comments += 1
                elif line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    assert event == "status"
                    return json.loads(line.removeprefix("data: "))  # type: ignore[no-any-return]
        return None

    async def until(self, status: str) -> dict[str, Any]:
        while (state := await self.status()) is not None:
            if state["status"] == status:
                return state
        raise AssertionError(f"the stream ended before {status}")


@asynccontextmanager
async def watching(home: House, recording: str, token: str) -> AsyncIterator[Stream]:
    path = f"/api/v1/recordings/{recording}/events"
    async with home.client.get(path, params={"access_token": token}) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        yield Stream(response)


async def started(home: House) -> str:
    await home.enter("r", "hanna")
    return str((await home.post(START, home.host("r"))).data["recordingId"])


async def test_it_says_what_the_status_says_at_each_change_and_ends(home: House) -> None:
    home.media.media_arrives = False
    recording = await started(home)
    async with watching(home, recording, home.host("r")) as stream:
        first = await stream.status()
        status = await home.get(f"/api/v1/recordings/{recording}/status", home.host("r"))
        assert first == status.data
        assert first["renders"] == []
        await home.post(STOP, home.host("r"))
        last = await stream.until("failed")
        assert (last["endReason"], last["error"]) == ("host", "no media was received")
        assert await stream.status() is None
    assert len(home.services.watching) == 0


async def test_of_a_recording_that_is_over_it_says_so_and_ends(home: House) -> None:
    row = await home.recorded("r")
    async with watching(home, row.id, home.host("r")) as stream:
        state = await stream.status()
        assert state is not None
        assert (state["status"], state["progress"]) == ("recorded", 1.0)
        assert await stream.status() is None


async def test_a_render_s_progress_is_told(home: House) -> None:
    recording = await started(home)
    async with watching(home, recording, home.host("r")) as stream:
        await stream.until("recording")
        render = await home.services.catalog.renders.create(recording, {}, "hanna")
        while not (state := await stream.status() or {})["renders"]:
            pass
        assert (state["renders"][0]["id"], state["renders"][0]["status"]) == (render.id, "queued")
        await home.services.catalog.renders.update(render.id, {"queued"}, progress=0.25)
        while (state := await stream.status() or {})["renders"][0]["progress"] != 0.25:
            pass


@pytest.mark.parametrize(
    ("who", "status"),
    [("nobody", 401), ("another host", 403), ("a guest of another call", 403), ("server", 200)],
)
async def test_attack_watching_what_is_not_one_s_own(home: House, who: str, status: int) -> None:
    row = await home.recorded("r", "hanna")
    token = {
        "nobody": None,
        "another host": home.host("another"),
        "a guest of another call": home.participant("r", "eve"),
        "server": home.server(),
    }[who]
    answer = await home.get(f"/api/v1/recordings/{row.id}/events", token)
    assert answer.status == status
    assert (await home.get("/api/v1/recordings/RC_none/events", home.server())).status == 404


async def test_who_took_part_may_watch(home: House) -> None:
    row = await home.recorded("r", "paul")
    async with watching(home, row.id, home.participant("r", "paul")) as stream:
        assert await stream.status() is not None


async def test_attack_watching_on_after_the_token_s_end(home: House) -> None:
    recording = await started(home)
    token = home.services.authority.mint(
        "hanna", room_grants("host", "r"), timedelta(seconds=-58.5)
    )  # in the minute of grace, so the stream is over at once
    async with watching(home, recording, token) as stream:
        while await stream.status() is not None:
            pass
    assert home.services.recordings.active("r") is not None


async def test_a_quiet_stream_is_kept_open(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PING_SECONDS", 0.01)
    home.media.media_arrives = False
    recording = await started(home)
    async with watching(home, recording, home.host("r")) as stream:
        await stream.status()
        line = b""
        while not line.startswith(b":"):
            line = await stream.response.content.readline()
        assert line == b": ping\n"


async def test_head_gives_the_headers_only(home: House) -> None:
    recording = await started(home)
    answer = await home.request("HEAD", f"/api/v1/recordings/{recording}/events", home.server())
    assert (answer.status, answer.body) == (200, b"")
    assert len(home.services.watching) == 0


async def test_it_ends_with_the_server(home: House) -> None:
    recording = await started(home)
    async with watching(home, recording, home.host("r")) as stream:
        await stream.status()
        await home.services.watching.close()
        while await stream.status() is not None:
            pass
    answer = await home.get(f"/api/v1/recordings/{recording}/events", home.host("r"))
    assert (answer.status, answer.code) == (503, "too_many_watchers")


# --- the hub --------------------------------------------------------------------------------------


class Recording:
    """What a hub looks at, and how often."""

    def __init__(self) -> None:
        self.state: dict[str, Any] | None = {"status": "recording", "bytes": 0}
        self.looks = 0
        self.away = 0
        self.looked = asyncio.Event()

    async def look(self, _recording_id: str) -> dict[str, Any] | None:
        self.looks += 1
        self.looked.set()
        if self.away:
            self.away -= 1
            raise CatalogUnavailable("away")
        return None if self.state is None else dict(self.state)

    async def looks_once_more(self) -> None:
        self.looked.clear()
        async with asyncio.timeout(PATIENCE):
            await self.looked.wait()
            self.looked.clear()
            await self.looked.wait()


async def test_many_watchers_cost_one_look() -> None:
    recording = Recording()
    hub = Watching(recording.look, pace=3600.0)
    watches = [hub.watch("RC_1") for _ in range(1000)]
    states = {await watch.next() for watch in watches}
    assert states == {'{"status":"recording","bytes":0}'}
    assert recording.looks == 1
    for watch in watches:
        hub.leave("RC_1", watch)
    assert len(hub) == 0
    await hub.close()


async def test_a_slow_reader_costs_a_slot_and_gets_the_latest() -> None:
    recording = Recording()
    hub = Watching(recording.look, pace=0.001)
    watch = hub.watch("RC_1")
    assert recording.state is not None
    for count in range(1, 20):
        recording.state["bytes"] = count
        await recording.looks_once_more()
    assert await watch.next() == '{"status":"recording","bytes":19}'
    recording.state["status"] = "recorded"
    assert await watch.next() == '{"status":"recorded","bytes":19}'
    assert await watch.next() is None
    assert len(hub) == 0
    await hub.close()


async def test_what_does_not_change_is_not_said_again() -> None:
    recording = Recording()
    hub = Watching(recording.look, pace=0.001)
    watch = hub.watch("RC_1")
    await watch.next()
    waiting = asyncio.ensure_future(watch.next())
    for _ in range(5):
        await recording.looks_once_more()
    assert not waiting.done()
    recording.state = None
    assert await waiting is None
    await hub.close()


async def test_a_catalog_that_is_away_ends_no_stream() -> None:
    recording = Recording()
    recording.away = 3
    hub = Watching(recording.look, pace=0.001)
    assert await hub.watch("RC_1").next() == '{"status":"recording","bytes":0}'
    await hub.close()


async def test_attack_more_watchers_than_there_may_be() -> None:
    hub = Watching(Recording().look, most=2)
    hub.watch("RC_1")
    assert not hub.full
    watch = hub.watch("RC_2")
    assert hub.full
    hub.leave("RC_2", watch)
    hub.leave("RC_2", watch)
    assert not hub.full
    await hub.close()
    assert hub.full
    assert await hub.watch("RC_3").next() is None


async def test_attack_one_participant_takes_every_place() -> None:
    hub = Watching(Recording().look, pace=3600.0)
    watches = [hub.watch("RC_1", "eve") for _ in range(MOST_EACH)]
    assert hub.crowded("eve")
    assert not hub.crowded("ada")
    assert not hub.crowded("")
    hub.leave("RC_1", watches[0])
    assert not hub.crowded("eve")
    await hub.close()


async def test_a_server_watches_for_many() -> None:
    hub = Watching(Recording().look, pace=3600.0)
    for _ in range(MOST_EACH + 1):
        hub.watch("RC_1")
    assert not hub.crowded("")
    await hub.close()
