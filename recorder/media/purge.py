"""What was deleted long enough ago goes for good: objects first, then the row that names them."""

from __future__ import annotations

import logging

from recorder.depots import Depots
from recorder.media.objects import keys_of
from recorder.media.owned import OwnFiles
from recorder.media.works import Works
from recorder.object_keys import media_prefix
from storage.catalog import Catalog, MediaRow
from storage.errors import CatalogUnavailable, StorageError

log = logging.getLogger(__name__)


class Trash:
    """`files` say for how long a deleted one can be restored."""

    def __init__(self, catalog: Catalog, depots: Depots, works: Works, files: OwnFiles) -> None:
        self._media = catalog.media
        self._depots = depots
        self._works = works
        self._files = files

    async def empty(self) -> int:
        """How many files are gone now. What a store refuses is met again next time.

        Raises CatalogUnavailable.
        """
        gone = 0
        for row in await self._media.purgeable(self._files.kept_since()):
            try:
                gone += await self._remove(row)
            except CatalogUnavailable:
                raise
            except StorageError as error:
                log.warning("media file %s could not be removed: %s", row.id, error)
        return gone

    async def _remove(self, row: MediaRow) -> bool:
        await self._works.end(row.id)
        async with self._works.turn(row.id):
            now = await self._media.get(row.id)
            if now is None or now.deleted_at != row.deleted_at:
                return False  # restored just now
            store = self._depots.store(row.provider)
            keys = keys_of(now) | {entry.key async for entry in store.list(media_prefix(row.id))}
            await store.delete_many(sorted(keys))
            await self._media.delete(row.id)
        log.info("media file %s of %r is removed for good", row.id, row.user_id)
        return True
