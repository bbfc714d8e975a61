"""The life of a recording as its users see it: real server, real media worker, LiveKit's own SDK."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from livekit import rtc

from tests.rig.rest import FINAL, Refused, Rest
from tests.rig.sdk import Participant, hears, joined, tone
from tests.rig.server import MediaserverProcess, members
from tests.rig.tokens import server_token
from tests.rig.waiting import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("server_unharmed"),
]

Server = MediaserverProcess
AUDIO = rtc.TrackKind.KIND_AUDIO
NO_STORE = {
    "RECORDING_STORAGE_PROVIDER": "s3",
    "RECORDING_S3_BUCKET": "bucket",
    "RECORDING_S3_ACCESS_KEY_ID": "nobody",
    "RECORDING_S3_SECRET_ACCESS_KEY": "answers there",
    "RECORDING_S3_ENDPOINT": "http://127.0.0.1:1",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(server: Server) -> AsyncIterator[Rest]:
    async with Rest(server.base_url, server_token()) as caller:
        yield caller


def notices(who: Participant) -> list[tuple[str, str]]:
    """Recording and status of each notice that a participant got, in order."""
    said = []
    for event in who.events:
        if event.name == "data_received" and event.arguments[0].topic == "recording":
            assert event.arguments[0].participant is None, "the server has no identity"
            told = json.loads(event.arguments[0].data)
            assert set(told) == {"recordingId", "status"}, "nothing else is everybody's business"
            said.append((told["recordingId"], told["status"]))
    return said


async def settings(rest: Rest, room: str, **changes: Any) -> None:
    await rest.call("PUT", f"/api/v1/rooms/{room}/settings", changes)


# --- what participants hear -----------------------------------------------------------------------


async def test_everybody_in_the_room_hears_what_becomes_of_it(
    server: Server, rest: Rest, room: str
) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        async with tone(ann, 440):
            track = await bob.subscribed("ann", AUDIO)
            await hears(track, 440)
            recording = await rest.start_recording(room)
            await until(lambda: bob.room.is_recording, within=20, what="the room says so")
            await rest.stop_recording(room)
        for who in (ann, bob):
            await who.heard("data_received", lambda data: b'"recorded"' in data.data)
            assert notices(who) == [
                (recording, status)
                for status in ("starting", "recording", "processing", "uploading", "recorded")
            ]
        assert not bob.room.is_recording


# --- what ends it ---------------------------------------------------------------------------------


@pytest.mark.long
async def test_the_maximum_duration_counts_also_when_it_is_lowered_meanwhile(
    server: Server, rest: Rest, room: str
) -> None:
    async with joined(server, room, "ann") as ann, tone(ann, 440):
        recording = await rest.start_recording(room)
        await settings(rest, room, maxDurationMinutes=1)
        done = await rest.recorded(recording, within=80)
    assert done["metadata"]["endReason"] == "max_duration"
    assert 59 <= done["durationSeconds"] <= 64


async def test_a_room_that_is_recorded_by_itself(server: Server, rest: Rest, room: str) -> None:
    await settings(rest, room, automaticRecording=True, audioOnly=True)

    async def running() -> str | None:
        found = await rest.get("/api/v1/recordings", room=room, status="recording")
        return found["items"][0]["id"] if found["items"] else None

    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        async with tone(ann, 440):
            recording = await until(running, within=10, what="it is recorded")
            row = await rest.get(f"/api/v1/recordings/{recording}")
            assert (row["startedBy"], row["options"]["audioOnly"]) == ("automatic", True)
            stopped = await rest.stop_recording(room)
            assert stopped["metadata"]["endReason"] == "host"
        async with tone(bob, 880):
            await hears(await ann.subscribed("bob", AUDIO), 880)
    # whatever starts with bob's track would have started before ann heard it
    assert (await rest.get("/api/v1/recordings", room=room))["total"] == 1


# --- starts and stops -----------------------------------------------------------------------------

ROUNDS = 100


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_start_stop_start_stop_a_hundred_times_leaves_no_orphan(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data_dir = tmp_path_factory.mktemp("hasty") / "data"
    async with (
        Server(data_dir) as server,
        Rest(server.base_url, server_token()) as rest,
        joined(server, "hasty", "ann") as ann,
        tone(ann, 440),
    ):
        before = set(members(server.pid))
        started: list[str] = []
        for number in range(ROUNDS):
            began = time.monotonic()
            answer = await rest.post("/api/v1/rooms/hasty/recording/start")
            await asyncio.sleep(max(0.0, (number % 11) / 100 - (time.monotonic() - began)))
            stopped = await rest.post("/api/v1/rooms/hasty/recording/stop")
            assert stopped["recordingId"] == answer["recordingId"]
            started.append(answer["recordingId"])
        rows = [await rest.recording_in(each, FINAL, within=120) for each in started]
        assert len(set(started)) == ROUNDS
        everything = await rest.get("/api/v1/recordings", limit="200")
        assert everything["total"] == ROUNDS
        for row in rows:
            assert row["metadata"]["endReason"] == "host"
            assert row["status"] == "recorded" or row["error"] == "no media was received", row
        kept = {row["id"] for row in rows if (row["integrity"] or {}).get("failures")}
        left = {path.name for path in (data_dir / "journals").iterdir() if path.is_dir()}
        assert left - kept <= {".renders"}
        files = list((data_dir / "recordings").rglob("*.webm"))
        assert len(files) == sum(len(row["files"]) for row in rows)
        await until(lambda: set(members(server.pid)) <= before, within=20, what="no job is left")
        metrics = (await rest.bytes("/metrics"))[2].decode()
        assert "mediaserver_media_recordings 0" in metrics
        assert "mediaserver_media_peers 1" in metrics


# --- stopping the server --------------------------------------------------------------------------


async def test_sigterm_refuses_starts_finishes_what_runs_and_ends(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data_dir = tmp_path_factory.mktemp("drained") / "data"
    server = Server(data_dir)
    await server.start()
    async with (
        Rest(server.base_url, server_token()) as rest,
        joined(server, "r", "ann") as ann,
        joined(server, "r", "bob") as bob,
        tone(ann, 440),
    ):
        recording = await rest.start_recording("r")
        watched = asyncio.create_task(rest.bytes(f"/api/v1/recordings/{recording}/events"))
        await hears(await bob.subscribed("ann", AUDIO), 440)  # there is something to finish
        os.kill(server.pid, signal.SIGTERM)
        refusal = None
        while refusal is None:
            try:
                await rest.post("/api/v1/rooms/r/recording/start")
            except Refused as error:
                refusal = error if error.code == "stopping" else None
        assert refusal.status == 503
        _, _, seen = await watched
        await until(lambda: not server.alive, within=20, what="the server has ended")
        assert await server.stop() == 0
    assert b'"status":"recorded"' in seen
    await server.restart()
    async with Rest(server.base_url, server_token()) as rest:
        row = await rest.get(f"/api/v1/recordings/{recording}")
        assert (row["status"], row["metadata"]["endReason"]) == ("recorded", "shutdown")
    await server.stop()
    server.assert_unharmed()


async def test_what_takes_longer_than_the_drain_is_found_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A store that is down keeps the drain waiting for its second; the next server has another."""
    data_dir = tmp_path_factory.mktemp("cut") / "data"
    async with Server(data_dir, {"MEDIASERVER_DRAIN_SECONDS": "1", **NO_STORE}) as server:
        async with (
            Rest(server.base_url, server_token()) as rest,
            joined(server, "r", "ann") as ann,
            tone(ann, 440),
        ):
            recording = await rest.start_recording("r")
            assert await server.stop() == 0
        assert f"the next start goes on: {recording}" in server.text()
    async with Server(data_dir) as server, Rest(server.base_url, server_token()) as rest:
        row = await rest.recorded(recording)
        assert row["metadata"]["endReason"] == "shutdown"


async def test_a_second_sigterm_ends_it_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A store that is down keeps the drain waiting; the second signal does not."""
    data_dir = tmp_path_factory.mktemp("twice") / "data"
    server = Server(data_dir, {"MEDIASERVER_DRAIN_SECONDS": "600", **NO_STORE})
    await server.start()
    async with (
        Rest(server.base_url, server_token()) as rest,
        joined(server, "r", "ann") as ann,
        tone(ann, 440),
    ):
        recording = await rest.start_recording("r")
        os.kill(server.pid, signal.SIGTERM)
        await until(lambda: f"s left: {recording}" in server.text(), within=20, what="it says so")
        os.kill(server.pid, signal.SIGTERM)
        await until(lambda: not server.alive, within=20, what="the server has ended")
    await server.kill9()
    server.assert_unharmed()
