"""kill -9 while a film's other sizes are made: they are made all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.crash.test_upload_kills import complete, send
from tests.recorder.media.films import film
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token


@pytest.mark.long
async def test_killed_while_it_makes_a_ladder(data_dir: Path) -> None:
    path = film(data_dir.parent / "film.mp4", seconds=5.0)
    token = participant_token("school", "paul")
    async with MediaserverProcess(data_dir) as server:
        async with Rest(server.base_url, token) as rest:
            media = await complete(rest, await send(rest, path))
            place = f"/api/v1/media/media/{media['id']}"
            await rest.post(f"{place}/process", {"renditions": ["hls", "240p"]})
            await _until(rest, place, lambda each: each["status"] == "processing")
            await server.kill9()
        await server.restart()
        async with Rest(server.base_url, token) as rest:
            await _until(rest, place, lambda each: each["status"] == "done", each=True)
            made = await rest.get(place)
        assert made["thumbnailUrl"] is not None
        folder = data_dir / "recordings" / "media" / media["id"]
        names = {each.name for each in folder.iterdir()}
        assert {"240p.mp4", "hls.m3u8", "hls-360p.m3u8", "hls-360p.mp4"} <= names
        assert not list((data_dir / "journals" / ".media").glob("*"))


async def _until(rest: Rest, place: str, is_so: Any, *, each: bool = False) -> None:
    async with asyncio.timeout(120):
        while True:
            renditions = (await rest.get(place))["renditions"]
            assert all(one["status"] != "failed" for one in renditions), renditions
            if (all if each else any)(is_so(one) for one in renditions):
                return
            await asyncio.sleep(0.1)
