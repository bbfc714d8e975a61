"""Participants' own recordings at the real server, as the clients of api.md section 5 send them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.crash.counted_calls import filming
from tests.rig.rest import FINAL, Refused, Rest
from tests.rig.sdk import Participant
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token
from tests.rig.waiting import until

pytestmark = pytest.mark.long

CHUNKS = [
    path.read_bytes()
    for path in sorted((Path(__file__).parents[1] / "media_chunks" / "webm_vp8").glob("*.bin"))
]
ROOM = "lesson"


@contextlib.asynccontextmanager
async def present(server: MediaserverProcess, identity: str) -> AsyncIterator[None]:
    """Somebody in the call who publishes nothing."""
    who = Participant(identity)
    async with asyncio.timeout(20):
        await who.room.connect(server.ws_url, participant_token(ROOM, identity))
    try:
        async with Rest(server.base_url, server_token()) as rest:
            await until(lambda: _has_call(rest), within=20, what="the call is known")
        yield
    finally:
        async with asyncio.timeout(10):
            await who.room.disconnect()


async def _has_call(rest: Rest) -> bool:
    try:
        return bool(await rest.get(f"/api/v1/rooms/{ROOM}/call"))
    except Refused:
        return False


async def post_chunk(http: aiohttp.ClientSession, rest: Rest, recording: str, number: int) -> None:
    body = {
        "recordingId": recording,
        "participantId": "paul",
        "chunk": base64.b64encode(CHUNKS[number]).decode(),
        "type": "video",
        "timestamp": number * 1000,
        "sequence": number,
    }
    async with http.post(rest.base_url + "/video-calls/chunks/upload", json=body) as answer:
        assert answer.status == 201, await answer.text()


async def without_body(http: aiohttp.ClientSession, rest: Rest, action: str) -> Any:
    async with http.post(
        f"{rest.base_url}/video-calls/{ROOM}/recording/{action}",
        headers={"Content-Type": "application/json"},
    ) as answer:
        told = await answer.json()
        assert answer.status == 200, told
        return told["data"]


def session(identity: str, *, host: bool = False) -> aiohttp.ClientSession:
    token = participant_token(ROOM, identity, host=host)
    return aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"})


def of_kind(row: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [file for file in row["files"] if file["kind"] == kind and not file["role"]]


async def test_chunks_from_a_page_in_a_call_where_nobody_publishes(tmp_path: Path) -> None:
    """Start without a body, chunks without waiting, stop before the last one has arrived."""
    async with (
        MediaserverProcess(tmp_path / "data") as server,
        present(server, "paul"),
        Rest(server.base_url, server_token()) as rest,
        session("paul", host=True) as http,
    ):
        recording = (await without_body(http, rest, "start"))["recordingId"]
        last = len(CHUNKS) - 1
        await asyncio.gather(*(post_chunk(http, rest, recording, n) for n in range(last)))
        assert (await without_body(http, rest, "stop"))["recordingId"] == recording
        await post_chunk(http, rest, recording, last)
        seen = []

        async def final() -> bool:
            told = await rest.get(f"/video-calls/recording/{recording}/status")
            seen.append(told["status"])
            return told["status"] in FINAL

        await until(final, within=45, every=0.5, what="the recording is final")
        assert list(dict.fromkeys(seen)) in (
            ["processing", "recorded"],
            ["processing", "uploading", "recorded"],
        )
        row = await rest.get(f"/api/v1/recordings/{recording}")
        (file,) = of_kind(row, "client")
        assert row["integrity"]["complete"] is True
        assert (await rest.bytes(file["url"]))[0] == 200


async def test_servers_tracks_and_a_copy_are_one_recording(tmp_path: Path) -> None:
    async with (
        MediaserverProcess(tmp_path / "data") as server,
        Rest(server.base_url, server_token()) as rest,
        filming(server, ROOM),
        present(server, "paul"),
        session("paul") as http,
    ):
        recording = await rest.start_recording(ROOM)
        begin = f"{rest.base_url}/api/v1/recordings/{recording}/chunks/paul"
        async with http.post(begin, json={"source": "camera"}) as answer:
            assert answer.status == 200
        for number in range(len(CHUNKS)):
            await post_chunk(http, rest, recording, number)
        await rest.post(f"/api/v1/rooms/{ROOM}/recording/stop")
        await rest.recording_in(recording, {"uploading"}, within=20)
        end = {"parts": [{"part": 0, "lastSequence": len(CHUNKS) - 1}]}
        async with http.post(f"{begin}/complete", json=end) as answer:
            assert answer.status == 202
        row = await rest.recorded(recording, within=45)
        assert [file["participantId"] for file in of_kind(row, "participant")] == ["alice"]
        (copy,) = of_kind(row, "client")
        assert copy["participantId"] == "paul"
        # its chunks came at once: their media ended before the last of them arrived
        assert copy["startSeconds"] + copy["durationSeconds"] <= row["durationSeconds"]


async def test_sigterm_leaves_who_may_still_send_to_the_next_start(tmp_path: Path) -> None:
    async with MediaserverProcess(tmp_path / "data") as server:
        async with (
            present(server, "paul"),
            Rest(server.base_url, server_token()) as rest,
            session("paul", host=True) as http,
        ):
            recording = (await without_body(http, rest, "start"))["recordingId"]
            await post_chunk(http, rest, recording, 0)
        await server.stop()
        await server.restart()
        async with Rest(server.base_url, server_token()) as rest, session("paul") as http:
            for number in range(1, len(CHUNKS)):
                await post_chunk(http, rest, recording, number)
            row = await rest.recorded(recording, within=45)
            assert len(of_kind(row, "client")) == 1
            assert row["integrity"]["complete"] is True
