"""Recordings that a server finds stopped but unfinished at its start: journals, and a row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from storage.catalog import Catalog, migrate
from tests.crash.outages import all_recorded
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import server_token

WriteJournals = Callable[[Path], object]
"""Writes the journals of one recording into a folder."""


async def leave(data_dir: Path, recordings: Mapping[str, WriteJournals]) -> dict[str, str]:
    """A stopped recording in each of these rooms; their ids by room."""
    data_dir.mkdir(mode=0o700, parents=True)
    url = f"sqlite:///{data_dir / 'mediaserver.db'}"
    await migrate(url)
    catalog = await Catalog.open(url)
    ids = {}
    for room, write in recordings.items():
        row = await catalog.recordings.create(room=room, started_by="host", status="processing")
        await asyncio.to_thread(write, data_dir / "journals" / row.id)
        ids[room] = row.id
    await catalog.close()
    return ids


@asynccontextmanager
async def finished(
    data_dir: Path, recordings: Mapping[str, WriteJournals], *, within: float
) -> AsyncIterator[tuple[MediaserverProcess, dict[str, str]]]:
    """A server that has finished them all; and their ids by room."""
    ids = await leave(data_dir, recordings)
    async with MediaserverProcess(data_dir) as server:
        async with Rest(server.base_url, server_token()) as rest:
            await all_recorded(rest, len(ids), within=within)
        yield server, ids
