"""kill -9 between `complete` and its answer: the second one gives the file, and there is one file."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token
from tests.rig.uploads import write_film

UPLOADS = "/api/v1/media/upload"


async def send(rest: Rest, path: Path) -> Any:
    """A session whose file has arrived."""
    content = path.read_bytes()
    begun = await rest.post(
        f"{UPLOADS}/initiate",
        {"filename": "talk.mp4", "fileSize": len(content), "contentType": "video/mp4"},
    )
    form = aiohttp.FormData(begun["fields"])
    form.add_field("file", content, filename="talk.mp4")
    async with aiohttp.ClientSession() as http, http.post(begun["uploadUrl"], data=form) as answer:
        assert answer.status == 204
    return begun


async def complete(rest: Rest, begun: Any) -> Any:
    body = {"sessionKey": begun["sessionKey"], "storageKey": begun["storageKey"]}
    return await rest.post(f"{UPLOADS}/complete", body)


@pytest.mark.parametrize(
    "delays",
    [
        (0.02, 0.3),
        pytest.param(
            tuple(0.01 * step for step in range(0, 100, 4)),
            marks=[pytest.mark.long, pytest.mark.timeout(600)],
        ),
    ],
    ids=["2 kills", "25 kills"],
)
async def test_killed_while_it_completes_a_file_is_there_once(
    data_dir: Path, delays: tuple[float, ...]
) -> None:
    """Each time at another moment: while the bytes are copied, looked into, written down."""
    path = write_film(data_dir.parent / "film.mp4", frames=5)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    media_ids = []
    settings = {"MAX_CONCURRENT_UPLOADS": "100"}
    async with MediaserverProcess(data_dir, settings) as server:
        for delay in delays:
            token = participant_token("school", "paul")
            async with Rest(server.base_url, token) as rest:
                begun = await send(rest, path)
                asking = asyncio.create_task(complete(rest, begun))
                await asyncio.sleep(delay)
                await server.kill9()
                with suppress(aiohttp.ClientError, OSError):
                    await asking
            await server.restart()
            async with Rest(server.base_url, token) as rest:
                media = await complete(rest, begun)
                assert (await complete(rest, begun))["id"] == media["id"]
                media_ids.append(media["id"])
                found = await rest.get("/api/v1/media/user/media", limit="200")
                assert sorted(each["id"] for each in found["items"]) == sorted(media_ids)
        kept = sorted((data_dir / "recordings/media").glob("*/original.mp4"))
        assert [hashlib.sha256(each.read_bytes()).hexdigest() for each in kept] == [digest] * len(
            media_ids
        )
