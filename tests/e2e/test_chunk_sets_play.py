"""Real MediaRecorder chunks of every kind, sent out of order, play in Chromium once they are files."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser

from tests.rig.rest import Refused, Rest
from tests.rig.sdk import Participant
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token
from tests.rig.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETS = Path(__file__).parents[1] / "media_chunks"
ROOM = "lesson"

PLAY = """async (url) => {
  const video = document.createElement("video");
  const heard = (name) => new Promise((done, failed) => {
    video.addEventListener(name, done, { once: true });
    video.addEventListener("error", () => failed(video.error.message), { once: true });
  });
  const known = heard("loadedmetadata");
  video.muted = true;
  video.src = url;
  document.body.append(video);
  await known;
  const duration = video.duration;
  const found = heard("seeked");
  video.currentTime = duration / 2;
  await found;
  const middle = video.currentTime;
  const back = heard("seeked");
  video.currentTime = 0;
  await back;
  video.playbackRate = 8;
  const over = heard("ended");
  await video.play();
  await over;
  return { duration, middle, end: video.currentTime };
}"""


def chunks_of(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((SETS / name).glob("*.bin"))]


async def send(base_url: str, recording: str, name: str, chunks: list[bytes]) -> None:
    """Shuffled and each twice, by both routes in turn, then completed."""
    token = participant_token(ROOM, name)
    whose = f"{base_url}/api/v1/recordings/{recording}/chunks/{name}"
    order = [*range(len(chunks)), *range(len(chunks))]
    random.Random(name).shuffle(order)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        for place, number in enumerate(order):
            if place % 2:
                request = http.put(f"{whose}/0/{number}", data=chunks[number])
            else:
                body = {
                    "recordingId": recording,
                    "participantId": name,
                    "chunk": base64.b64encode(chunks[number]).decode(),
                    "type": "video",
                    "sequence": number,
                }
                request = http.post(f"{base_url}/video-calls/chunks/upload", json=body)
            async with request as answer:
                assert answer.status == (200 if number in order[:place] else 201)
        end = {"parts": [{"part": 0, "lastSequence": len(chunks) - 1}]}
        async with http.post(f"{whose}/complete", json=end) as answer:
            assert answer.status == 202


@pytest.mark.timeout(120)
async def test_every_kind_of_chunks_becomes_a_file_that_plays(
    tmp_path: Path, browser: Browser
) -> None:
    names = sorted(path.name for path in SETS.iterdir() if path.is_dir())
    assert len(names) == 6
    async with (
        MediaserverProcess(tmp_path / "data") as server,
        Rest(server.base_url, server_token()) as rest,
    ):
        row = await recorded(server, rest, {name: chunks_of(name) for name in names})
        files = {
            file["participantId"]: file
            for file in row["files"]
            if file["kind"] == "client" and not file["role"]
        }
        assert sorted(files) == names
        assert row["integrity"]["complete"] is True
        for client in row["integrity"]["clients"]:
            content = b"".join(chunks_of(client["participantId"]))
            assert client["parts"][0]["sha256"] == hashlib.sha256(content).hexdigest()
        page = await browser.new_page()
        await page.goto(server.base_url)
        for name, file in files.items():
            url = server.base_url + file["url"]
            async with (
                aiohttp.ClientSession() as http,
                http.get(url, headers={"Range": "bytes=100-199"}) as answer,
            ):
                assert answer.status == 206
                assert len(await answer.read()) == 100
            played = await page.evaluate(PLAY, url)
            seconds = file["durationSeconds"]
            assert seconds > 8, name
            assert played["duration"] == pytest.approx(seconds, abs=0.1), name
            assert played["middle"] == pytest.approx(seconds / 2, abs=0.1), name
            assert played["end"] == pytest.approx(seconds, abs=0.2), name
        await page.close()


async def recorded(
    server: MediaserverProcess, rest: Rest, chunks: dict[str, list[bytes]]
) -> dict[str, Any]:
    """A recording of what the participants' browsers made of themselves, and nothing else."""
    somebody = Participant("host")
    async with asyncio.timeout(20):
        await somebody.room.connect(server.ws_url, participant_token(ROOM, "host", host=True))
    try:

        async def has_call() -> bool:
            try:
                return bool(await rest.get(f"/api/v1/rooms/{ROOM}/call"))
            except Refused:
                return False

        await until(has_call, within=20, what="the call is known")
        begun = await rest.post(f"/api/v1/rooms/{ROOM}/recording/start", {"mode": "client"})
        recording = begun["recordingId"]
        for name, content in chunks.items():
            await send(server.base_url, recording, name, content)
        await rest.post(f"/api/v1/rooms/{ROOM}/recording/stop")
        return await rest.recorded(recording, within=60)
    finally:
        async with asyncio.timeout(10):
            await somebody.room.disconnect()
