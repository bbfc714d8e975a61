"""A hundred thousand chunks through a real server: what is in memory of them is next to nothing."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import aiohttp
import pytest

from tests.rig.rest import Rest
from tests.rig.sdk import joined
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token

CHUNKS = 100_000
MOST = 30 << 20  # bytes
AT_ONCE = 24
SHUFFLED = 5000  # so far from its place a chunk may come


def resident(pid: int) -> int:
    """Bytes of the server's main process that are in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.long
@pytest.mark.timeout(3000)
async def test_a_hundred_thousand_chunks(data_dir: Path) -> None:
    dice = random.Random(5)
    order = sorted(range(CHUNKS), key=lambda number: number + dice.uniform(0, SHUFFLED))
    token = {"Authorization": f"Bearer {participant_token('many', 'paul')}"}
    async with (
        MediaserverProcess(data_dir) as server,
        Rest(server.base_url, server_token()) as rest,
        aiohttp.ClientSession(headers=token) as http,
        joined(server, "many", "paul"),
    ):
        started = await rest.post("/api/v1/rooms/many/recording/start", {"mode": "client"})
        path = f"{server.base_url}/api/v1/recordings/{started['recordingId']}/chunks/paul"

        async def send(numbers: list[int]) -> None:
            left = iter(numbers)

            async def work() -> None:
                for number in left:
                    async with http.put(f"{path}/0/{number}", data=b"%d" % number) as answer:
                        assert answer.status == 201, await answer.text()

            await asyncio.gather(*(work() for _ in range(AT_ONCE)))

        warm = CHUNKS // 20
        await send(order[:warm])
        before, peak = resident(server.pid), 0
        for start in range(warm, CHUNKS, 5000):
            await send(order[start : start + 5000])
            peak = max(peak, resident(server.pid))
        print(f"{(peak - before) / (1 << 20):.1f} MiB for {CHUNKS - warm} chunks")
        assert peak - before < MOST
        async with http.get(path) as answer:
            state = (await answer.json())["data"]
        assert state["parts"][0]["received"] == [[0, CHUNKS - 1]]
        await server.kill9()  # numbers are no media: there is nothing to finish
