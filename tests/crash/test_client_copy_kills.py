"""`kill -9` while participants send what they recorded themselves, and while it becomes a file.

Whatever was acknowledged is in the recording's file afterwards, byte for byte as the sender's: the sum
over the ordered chunks is in `integrity`. Nobody publishes here, so the recording is that alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.crash.test_random_kills import SETTLED, seed
from tests.rig.rest import FINAL, Refused, Rest
from tests.rig.sdk import Participant
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token
from tests.rig.waiting import until

CHUNKS = [
    path.read_bytes()
    for path in sorted((Path(__file__).parents[1] / "media_chunks" / "webm_vp8").glob("*.bin"))
]
WHOLE = hashlib.sha256(b"".join(CHUNKS)).hexdigest()
ROOM = "own copies"


@contextlib.asynccontextmanager
async def present(server: MediaserverProcess) -> AsyncIterator[None]:
    """Somebody is in the call, and publishes nothing."""
    who = Participant("paul")
    async with asyncio.timeout(20):
        await who.room.connect(server.ws_url, participant_token(ROOM, "paul"))
    try:
        yield
    finally:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(10):
                await who.room.disconnect()


async def send(rest: Rest, recording: str, sequence: int) -> int:
    """Until it is acknowledged; how often that took."""
    path = f"/api/v1/recordings/{recording}/chunks/paul/0/{sequence}"
    token = participant_token(ROOM, "paul")
    for attempt in range(1, 200):
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
                session.put(rest.base_url + path, data=CHUNKS[sequence]) as answer,
            ):
                assert answer.status in {200, 201}, await answer.text()
                return attempt
        await asyncio.sleep(0.1)
    raise AssertionError(f"chunk {sequence} was never acknowledged")


async def complete(rest: Rest, recording: str) -> None:
    path = f"/api/v1/recordings/{recording}/chunks/paul/complete"
    await rest.post(path, {"parts": [{"part": 0, "lastSequence": len(CHUNKS) - 1}]})


async def set_status(rest: Rest, recording: str) -> str:
    told = await rest.get(f"/api/v1/recordings/{recording}/status")
    return str(told["chunks"][0]["status"])


async def started(rest: Rest) -> str:
    row = await rest.post(f"/api/v1/rooms/{ROOM}/recording/start", {"mode": "client"})
    return str(row["recordingId"])


async def check(rest: Rest, recording: str, folder: Path, back: float) -> None:
    """The recording is `recorded` within the time that it has, and has every chunk."""
    left = max(1.0, SETTLED - (time.monotonic() - back))
    row = await rest.recording_in(recording, FINAL, within=left)
    assert row["status"] == "recorded", row
    (file,) = [each for each in row["files"] if not each["role"]]
    assert file["kind"] == "client"
    (client,) = row["integrity"]["clients"]
    (part,) = client["parts"]
    assert (part["sha256"], part["missing"], part["chunks"]) == (WHOLE, [], len(CHUNKS))
    assert row["integrity"]["complete"] is True
    status, _, body = await rest.bytes(file["url"])
    assert (status, hashlib.sha256(body).hexdigest()) == (200, file["sha256"])
    chunks = folder / "data" / "journals" / ".chunks"
    await until(lambda: not list(chunks.glob("CS_*")), within=10, what="the chunks are gone")


async def test_a_kill_while_the_file_is_made_of_chunks(tmp_path: Path) -> None:
    async with MediaserverProcess(tmp_path / "data") as server:
        async with present(server), Rest(server.base_url, server_token()) as rest:
            recording = await started(rest)
            await asyncio.gather(*(send(rest, recording, n) for n in range(len(CHUNKS))))
            await complete(rest, recording)
            await rest.post(f"/api/v1/rooms/{ROOM}/recording/stop")

            async def assembling() -> bool:
                return await set_status(rest, recording) == "assembling"

            await until(assembling, within=20, every=0.02, what="the job runs")
            await server.kill9()
        await server.restart()
        async with Rest(server.base_url, server_token()) as rest:
            await check(rest, recording, tmp_path, time.monotonic())


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_kills_at_random_moments_from_the_first_chunk_to_the_stored_file(
    tmp_path: Path,
) -> None:
    dice = random.Random(seed())
    async with MediaserverProcess(tmp_path / "data") as server:
        for _ in range(10):
            async with present(server), Rest(server.base_url, server_token()) as rest:
                recording = await started(rest)
                work = asyncio.create_task(_send_all(rest, recording))
                for _ in range(2):
                    await asyncio.sleep(dice.uniform(0.05, 4))
                    await server.kill9()
                    await server.restart()
                back = time.monotonic()
                await work
                await check(rest, recording, tmp_path, back)


async def _send_all(rest: Rest, recording: str) -> None:
    for sequence in range(len(CHUNKS)):
        await send(rest, recording, sequence)
        await asyncio.sleep(0.05)
    stop = f"/api/v1/rooms/{ROOM}/recording/stop"
    await _until_answered(lambda: complete(rest, recording))
    await _until_answered(lambda: rest.post(stop))


async def _until_answered(ask: Callable[[], Awaitable[Any]]) -> None:
    """The server may be dead, or not ready yet."""
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, Busy):
            return await _asked(ask)
        await asyncio.sleep(0.1)


class Busy(Exception):
    """An answer that asks to come again."""


async def _asked(ask: Callable[[], Awaitable[Any]]) -> None:
    try:
        await ask()
    except Refused as refused:
        if refused.status < 500:
            raise
        raise Busy from refused
