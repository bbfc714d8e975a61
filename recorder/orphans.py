"""Multipart uploads that nobody will complete: stores keep, and charge for, their parts until told.

A put that fails aborts its own upload, but the answer that named it may have been lost, or the server
killed. So a file that is kept has every other upload of its key aborted: files are delivered one at a
time. Whatever else was begun below our keys is aborted when it is `ORPHAN_AGE` old; before that it
may be another server's that shares the bucket.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta

from recorder.depots import Depots
from recorder.object_keys import KEY_ROOT, MEDIA_ROOT
from storage.errors import StorageError
from storage.objects import Multipart, ObjectStore

ORPHAN_AGE = timedelta(days=2)

log = logging.getLogger(__name__)


async def abort_strays(store: ObjectStore, key: str) -> None:
    """Abort every upload of a key. What the store refuses is left to `Orphans`."""
    if not isinstance(store, Multipart):
        return
    try:
        strays = [upload async for upload in store.unfinished(key) if upload.key == key]
        for upload in strays:
            await store.abort(key, upload.upload_id)
    except StorageError as error:
        log.warning("unfinished uploads of %s: %s", key, error)


class Orphans:
    """`local` are uploads into the local store by links, which are all this server's own. `alive`
    gives the ids of uploads that users still send, which may take longer than `ORPHAN_AGE`.
    """

    def __init__(
        self,
        depots: Depots,
        local: Multipart | None = None,
        *,
        clock: Callable[[], datetime],
        alive: Callable[[], Awaitable[Collection[str]]] | None = None,
    ) -> None:
        self._depots = depots
        self._local = local
        self._clock = clock
        self._alive = alive

    async def look(self) -> int:
        """Returns how many uploads were aborted. A store that refuses is told in the log."""
        aborted = 0
        alive = await self._alive() if self._alive is not None else ()
        for provider in self._depots.targets:
            store = self._depots.store(provider)
            if isinstance(store, Multipart):
                for root in (KEY_ROOT, MEDIA_ROOT):
                    aborted += await self._abort_old(provider, store, root, alive)
        if self._local is not None:
            aborted += await self._abort_old("local", self._local, "", alive)
        return aborted

    async def _abort_old(
        self, provider: str, store: Multipart, prefix: str, alive: Collection[str]
    ) -> int:
        aborted = 0
        try:
            async for upload in store.unfinished(prefix):
                old = self._clock() - upload.begun_at >= ORPHAN_AGE
                if old and upload.upload_id not in alive:
                    await store.abort(upload.key, upload.upload_id)
                    aborted += 1
        except StorageError as error:
            log.warning("unfinished uploads at %s: %s", provider, error)
        return aborted
