"""Taking a recording away: its objects wherever they are, its journals, the chunks that participants
sent, its row, in this order.

What fails can be done again, since the row goes last, and only when the journals' folder is gone:
recovery would bring it back. An object that is another recording's file too stays.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from recorder.chunks.leftovers import forget_chunks
from recorder.depots import Depots
from recorder.errors import RecordingActive, StorageFailed
from recorder.journals import bury
from recorder.lifecycle import FINAL
from recorder.object_keys import object_prefix
from storage.catalog import Catalog, RecordingRow


async def remove(catalog: Catalog, depots: Depots, journals_root: Path, row: RecordingRow) -> None:
    """Raises RecordingActive, StorageFailed, and what storage raises."""
    while True:
        if row.status not in FINAL:
            raise RecordingActive(f"recording {row.id} is {row.status}")
        await _remove_objects(catalog, depots, row)
        now = await catalog.recordings.get(row.id)
        if now is None:
            return
        if now.status in FINAL and now.files == row.files:
            break
        row = now  # somebody moved a file meanwhile, or has the recording finished once more
    try:
        await asyncio.to_thread(bury, journals_root / row.id)
    except OSError as error:
        raise StorageFailed(f"the journals of {row.id} can't be removed: {error}") from error
    for each in await catalog.chunk_sets.of(row.id):
        try:
            await asyncio.to_thread(forget_chunks, journals_root, each.id)
        except OSError as error:
            raise StorageFailed(f"the chunks of {row.id} can't be removed: {error}") from error
    await catalog.recordings.delete(row.id, FINAL)


async def _remove_objects(catalog: Catalog, depots: Depots, row: RecordingRow) -> None:
    for provider in await _providers_of(catalog, depots, row):
        store = depots.store(provider)
        mine = Counter(file.key for file in row.files if file.provider == provider)
        keys = set(mine)
        async for stored in store.list(object_prefix(row.room, row.id)):
            keys.add(stored.key)
        sharing = catalog.usage.sharing
        own = [key for key in sorted(keys) if await sharing(provider, key) <= mine[key]]
        await store.delete_many(own)


async def _providers_of(catalog: Catalog, depots: Depots, row: RecordingRow) -> list[str]:
    """Wherever an object of the recording may be, also one that nothing knows of any more: a server
    was killed when it had just stored it, or made the file again.
    """
    ledger = await catalog.deliveries.of(row.id)
    held = {file.provider for file in row.files} | {each.file.provider for each in ledger}
    return sorted((held | set(depots.targets)) - {""})
