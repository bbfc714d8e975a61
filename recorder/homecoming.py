"""Files that went to the fallback store while the main one was down come home when it is back.

An object is copied, read back at home, and only then the catalog says so, in the ledger and in the
recording at once; the fallback's copy goes last. It stays for as long as links to it may be in use.
What is not the file any more never replaces anything: its copy is not completed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

from recorder.delivery import read_back, see_whole
from recorder.depots import Depots
from recorder.errors import StorageFailed
from recorder.ledger import DeliveryState
from recorder.lifecycle import Status
from recorder.places import require_apart
from recorder.progress import pause
from storage.catalog import Catalog, DeliveryRow, FileRow
from storage.errors import (
    CatalogUnavailable,
    RowNotFound,
    StatusConflict,
    StorageError,
    StoreUnavailable,
)
from storage.objects import ObjectStore, OnProgress

log = logging.getLogger(__name__)


async def move_object(
    source: ObjectStore,
    target: ObjectStore,
    file: FileRow,
    on_progress: OnProgress | None = None,
) -> None:
    """Copy an object from one store to another and read it back there.

    Raises StorageFailed, and what the stores raise.
    """
    await target.put_stream(
        file.key, _verified(source.open(file.key), file), file.content_type, on_progress=on_progress
    )
    await read_back(target, file)


async def _verified(blocks: AsyncIterator[bytes], file: FileRow) -> AsyncIterator[bytes]:
    """The same blocks. Raises StorageFailed, rather than to end, when they are not the file."""
    size, digest = 0, hashlib.sha256()
    async for block in blocks:
        size += len(block)
        digest.update(block)
        yield block
    if (size, digest.hexdigest()) != (file.size, file.sha256):
        raise StorageFailed(f"object {file.key} ({size} bytes) is not what was stored")


class Homecoming:
    """`links_last` is how long a link that was handed out for the fallback may be in use."""

    def __init__(
        self,
        catalog: Catalog,
        depots: Depots,
        *,
        clock: Callable[[], datetime],
        links_last: timedelta = timedelta(0),
    ) -> None:
        self._catalog = catalog
        self._ledger = catalog.deliveries
        self._depots = depots
        self._clock = clock
        self._links_last = links_last
        self._apart: set[tuple[str, str]] = set()  # pairs of providers that are two places

    async def look(self) -> None:
        """One round over what is away and due. Raises CatalogUnavailable.

        What a store refuses is told in the log, and due again later. What else is at that provider
        waits for the next round: it would fail too.
        """
        failing: set[str] = set()
        for row in await self._ledger.in_states({DeliveryState.AWAY, DeliveryState.LEFT}):
            if row.due_at > self._clock() or row.file.provider in failing:
                continue
            try:
                if row.state == DeliveryState.AWAY:
                    await self._bring(row)
                else:
                    await self._clear(row)
            except CatalogUnavailable:
                raise
            except (RowNotFound, StatusConflict) as error:
                log.info("%s: %s", row.file.key, error)
            except (StorageError, StorageFailed) as error:
                await self._postpone(row, error)
                if isinstance(error, StoreUnavailable):
                    failing.add(row.file.provider)

    async def _bring(self, row: DeliveryRow) -> None:
        recording = await self._catalog.recordings.get(row.recording_id)
        if recording is None or recording.status != Status.RECORDED:
            return  # not all of its files are kept yet
        if row.id not in {file.id for file in recording.files}:
            return  # a render's, which is about to be one of its files
        if row.file.provider == self._depots.main:  # the settings made it a home
            await self._ledger.strike([row.id])
            return
        await self._see_apart(row.file.provider, self._depots.main)
        main, key = self._depots.store(self._depots.main), row.file.key
        await move_object(self._depots.store(row.file.provider), main, row.file)
        try:
            row = await self._ledger.moved(
                row.id,
                DeliveryState.AWAY,
                DeliveryState.LEFT,
                self._depots.main,
                self._clock() + self._links_last,
            )
        except (RowNotFound, StatusConflict):
            # deleted, or brought home by somebody else, meanwhile
            if not await self._catalog.usage.sharing(self._depots.main, key):
                await main.delete(key)
            raise
        log.info("%s came home from %s", key, row.file.provider)
        if not self._links_last:
            await self._clear(row)

    async def _clear(self, row: DeliveryRow) -> None:
        """Remove what the fallback still has, unless it is another recording's file too.

        Only while the row still says so, the file is whole where the catalog says it is now, and that
        is another place.
        """
        now = await self._ledger.get(row.id)
        if now is None or now.state != DeliveryState.LEFT:
            return
        recording = await self._catalog.recordings.get(row.recording_id)
        for file in recording.files if recording else ():
            if file.id == row.id and file.provider != row.file.provider:
                await self._see_apart(row.file.provider, file.provider)
                await see_whole(self._depots.store(file.provider), file)
        if not await self._catalog.usage.sharing(row.file.provider, row.file.key):
            await self._depots.store(row.file.provider).delete(row.file.key)
        await self._ledger.strike([row.id])

    async def _see_apart(self, provider: str, home: str) -> None:
        """Raises StoreMisconfigured when both are one place; asked once while the server runs."""
        if (provider, home) not in self._apart:
            await require_apart(
                home, self._depots.store(home), provider, self._depots.store(provider)
            )
            self._apart.add((provider, home))

    async def _postpone(self, row: DeliveryRow, error: Exception) -> None:
        log.warning("%s stays at %s: %s", row.file.key, row.file.provider, error)
        try:
            await self._ledger.update(
                row.id,
                row.state,
                attempts=row.attempts + 1,
                due_at=self._clock() + timedelta(seconds=pause(row.attempts)),
                error=str(error),
            )
        except (RowNotFound, StatusConflict) as gone:
            log.info("%s: %s", row.file.key, gone)
