"""Multipart uploads that nobody will complete: stores keep, and charge for, their parts until told.

A put that fails aborts its own upload, but the answer that named it may have been lost, or the server
killed. So a file that is kept has every other upload of its key aborted: files are delivered one at a
time. Whatever else was begun below our keys is aborted when it is `ORPHAN_AGE` old; before that it
may be another server's that shares the bucket.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from recorder.depots import Depots
from recorder.object_keys import KEY_ROOT
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
    """`local` are uploads into the local store by links, which are all this server's own."""

    def __init__(
        self, depots: Depots, local: Multipart | None = None, *, clock: Callable[[], datetime]
    ) -> None:
        self._depots = depots
        self._local = local
        self._clock = clock

    async def look(self) -> int:
        """Returns how many uploads were aborted. A store that refuses is told in the log."""
        aborted = 0
        for provider in self._depots.targets:
            store = self._depots.store(provider)
            if isinstance(store, Multipart):
                aborted += await self._abort_old(provider, store, KEY_ROOT)
        if self._local is not None:
            aborted += await self._abort_old("local", self._local, "")
        return aborted

    async def _abort_old(self, provider: str, store: Multipart, prefix: str) -> int:
        aborted = 0
        try:
            async for upload in store.unfinished(prefix):
                if self._clock() - upload.begun_at >= ORPHAN_AGE:
                    await store.abort(upload.key, upload.upload_id)
                    aborted += 1
        except StorageError as error:
            log.warning("unfinished uploads at %s: %s", provider, error)
        return aborted
