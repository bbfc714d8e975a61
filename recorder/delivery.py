"""Finished files into storage, believed only when they were read back.

Each file is a row of the ledger (`recorder.ledger`) and is tried again for ever, with a backoff that
the row remembers over restarts. A main store that failed is left alone for a while when there is a
fallback, so that a recording waits for the first attempt only and not every file for its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from recorder.depots import Depots
from recorder.errors import LocalCopyLost, StorageFailed
from recorder.jobs import FinalizedFile
from recorder.ledger import DeliveryState, kept_at
from recorder.lifecycle import Status
from recorder.local_files import sha256_of
from recorder.object_keys import file_id_of, object_prefix
from recorder.orphans import abort_strays
from recorder.progress import LONGEST_PAUSE, Progress, Sleep, pause
from storage.catalog import Catalog, DeliveryRow, FileRow
from storage.errors import (
    ObjectChanged,
    ObjectNotFound,
    RowNotFound,
    SourceUnreadable,
    StatusConflict,
    StoreUnavailable,
    UploadGone,
)
from storage.objects import ObjectStore, OnProgress
from storage.objects.parts import STREAM_PART
from storage.together import all_of

AT_ONCE = 4  # files under way; each goes in several parts at once
REST = timedelta(seconds=30)  # that a main store which failed is left alone

_TRY_AGAIN = (StoreUnavailable, StorageFailed, ObjectNotFound, ObjectChanged, UploadGone)

log = logging.getLogger(__name__)


async def keep(
    store: ObjectStore, path: Path, file: FileRow, on_progress: OnProgress | None = None
) -> None:
    """Put a local file under its key, and read it back. Doing it again replaces the object.

    Raises StorageFailed when the object is not what it should be, LocalCopyLost when the file is
    not, and what the store raises.
    """
    try:
        stored = await store.put_file(
            file.key, path, file.content_type, on_progress=on_progress, sha256=file.sha256
        )
    except SourceUnreadable as error:
        raise LocalCopyLost(str(error)) from error
    if (stored.size, stored.sha256) != (file.size, file.sha256):
        raise LocalCopyLost(f"{path} is not what it was when it was made")
    try:
        await read_back(store, file)
    except StorageFailed:
        if not await asyncio.to_thread(_is_whole, path, file):
            raise LocalCopyLost(f"{path} is not what it was when it was made") from None
        raise


async def read_back(store: ObjectStore, file: FileRow) -> None:
    """Sees that the object is what the row says, and that nothing of its upload is left.

    Raises StorageFailed, and what the store raises.
    """
    info, digest = await store.head(file.key), await store.digest(file.key)
    if (info.size, digest) != (file.size, file.sha256):
        raise StorageFailed(f"object {file.key} ({info.size} bytes) is not what was stored")
    if file.size > STREAM_PART:  # smaller ones never go in parts
        await abort_strays(store, file.key)


async def see_whole(store: ObjectStore, file: FileRow) -> None:
    """Raises StorageFailed when the object is not there in its size, and what the store raises."""
    try:
        info = await store.head(file.key)
    except ObjectNotFound as error:
        raise StorageFailed(f"object {file.key} is gone from where it was just stored") from error
    if info.size != file.size:
        raise StorageFailed(f"object {file.key} ({info.size} bytes) is not what was stored")


class Deliverer:
    """Takes finished files to where they belong. `spool` is what local paths are relative to."""

    def __init__(
        self,
        catalog: Catalog,
        depots: Depots,
        spool: Path,
        *,
        clock: Callable[[], datetime],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.depots = depots
        self._ledger = catalog.deliveries
        self._recordings = catalog.recordings
        self._spool = spool
        self._clock = clock
        self._sleep = sleep
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._resting_until: datetime | None = None
        self._waiting: dict[str, asyncio.Event] = {}  # by row; set to try at once

    async def enter(self, room: str, recording_id: str, files: Sequence[FinalizedFile]) -> None:
        """Write files made of journals into the ledger instead of those made of them before; their
        own paths say where they are.
        """
        rows = [
            (_file_row(room, recording_id, file), str(file.path.relative_to(self._spool)))
            for file in files
        ]
        await self._ledger.enter(recording_id, rows, below=f"{recording_id}/")

    async def can_go_on(self, recording_id: str, only: Collection[str] | None = None) -> bool:
        """Is all of a recording in the ledger, and what is not stored yet on the disk?"""
        rows = [
            row for row in await self._ledger.of(recording_id) if only is None or row.id in only
        ]
        waiting = [self._spool / row.path for row in rows if row.state == DeliveryState.WAITING]
        return bool(rows) and await asyncio.to_thread(lambda: all(map(Path.is_file, waiting)))

    async def add(
        self, room: str, recording_id: str, files: Sequence[FinalizedFile]
    ) -> tuple[str, ...]:
        """Write more files of a recording into the ledger; their ids."""
        ids = []
        for file in files:
            row = _file_row(room, recording_id, file)
            await self._ledger.add(recording_id, row, str(file.path.relative_to(self._spool)))
            ids.append(row.id)
        return tuple(ids)

    async def deliver(
        self, recording_id: str, progress: Progress, only: Collection[str] | None = None
    ) -> tuple[FileRow, ...]:
        """All files of a recording (or those with ids in `only`), however long the stores are away;
        the rows say where each is.

        Raises LocalCopyLost, what the catalog raises, and BadKey.
        """
        rows = [
            row for row in await self._ledger.of(recording_id) if only is None or row.id in only
        ]
        meter = _Meter(rows, progress)
        stored = await all_of(*(self._until_stored(row, meter, progress) for row in rows))
        return tuple(row.file for row in stored)

    async def look_for_hurry(self) -> None:
        """Wakes those who wait for rows that somebody set to be tried at once in the catalog."""
        if not self._waiting:
            return
        for row in await self._ledger.in_states({DeliveryState.WAITING}):
            if row.id in self._waiting and not row.attempts:
                self._waiting[row.id].set()

    async def _until_stored(
        self, row: DeliveryRow, meter: _Meter, progress: Progress
    ) -> DeliveryRow:
        while row.state == DeliveryState.WAITING:
            await self._until_due(row, progress)
            try:
                async with self._slots:
                    file = await self._store(row, partial(meter.tell, row.id))
            except _TRY_AGAIN as error:
                row = await self._note_failure(row, error)
                continue
            meter.tell(row.id, row.file.size)
            state = kept_at(file.provider, self.depots)
            row = await self._ledger.update(
                row.id, DeliveryState.WAITING, state=state, file=file, attempts=0, error=None
            )
        return row

    async def _store(self, row: DeliveryRow, on_progress: OnProgress) -> FileRow:
        """To the first store that keeps it. Raises what the preferred one raised."""
        problem: Exception | None = None
        for provider in self._targets():
            try:
                await keep(
                    self.depots.store(provider), self._spool / row.path, row.file, on_progress
                )
            except _TRY_AGAIN as error:
                log.warning("%s: %s has not kept it: %s", row.file.key, provider, error)
                if provider == self.depots.main and isinstance(error, StoreUnavailable):
                    self._resting_until = self._clock() + REST
                problem = problem or error
                continue
            if provider == self.depots.main:
                self._resting_until = None
            return replace(row.file, provider=provider)
        assert problem is not None
        raise problem

    def _targets(self) -> tuple[str, ...]:
        targets = self.depots.targets
        if self._resting_until is not None and self._clock() < self._resting_until:
            return tuple(reversed(targets))
        return targets

    async def _note_failure(self, row: DeliveryRow, error: Exception) -> DeliveryRow:
        with suppress(StatusConflict, RowNotFound):
            await self._recordings.update(
                row.recording_id, {Status.UPLOADING}, error=f"waiting for storage: {error}"
            )
        return await self._ledger.update(
            row.id,
            DeliveryState.WAITING,
            attempts=row.attempts + 1,
            due_at=self._clock() + timedelta(seconds=pause(row.attempts)),
            error=str(error),
        )

    async def _until_due(self, row: DeliveryRow, progress: Progress) -> None:
        left = (row.due_at - self._clock()).total_seconds()
        if left <= 0 or not row.attempts:
            return
        progress.let_pass.set()
        hurry = self._waiting[row.id] = asyncio.Event()
        # whatever the row says: a clock that was wrong when it was written can't delay it for long
        sleeping = asyncio.ensure_future(self._sleep(min(left, LONGEST_PAUSE)))
        hurried = asyncio.ensure_future(hurry.wait())
        try:
            await asyncio.wait([sleeping, hurried], return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._waiting[row.id]
            sleeping.cancel()
            hurried.cancel()


class _Meter:
    """Bytes of several files at once -> the fraction of all of them."""

    def __init__(self, rows: Sequence[DeliveryRow], progress: Progress) -> None:
        self._done = {row.id: row.file.size for row in rows if row.state != DeliveryState.WAITING}
        self._total = max(1, sum(row.file.size for row in rows))
        self._progress = progress

    def tell(self, delivery_id: str, done: int) -> None:
        self._done[delivery_id] = done
        self._progress.tell(min(1.0, sum(self._done.values()) / self._total))


def _is_whole(path: Path, file: FileRow) -> bool:
    try:
        return sha256_of(path) == file.sha256
    except OSError:
        return False


def _file_row(room: str, recording_id: str, file: FinalizedFile) -> FileRow:
    """The same file gets the same id and key whenever it is made."""
    file_id = file_id_of(recording_id, file.path.name)
    return FileRow(
        id=file_id,
        kind=file.kind,
        participant_id=file.participant_id,
        content_type=file.content_type,
        size=file.size,
        duration_seconds=file.duration_seconds,
        width=file.width,
        height=file.height,
        sha256=file.sha256,
        key=f"{object_prefix(room, recording_id)}{file_id}{file.path.suffix}",
        start_seconds=file.start_seconds,
        participant_name=file.participant_name,
        source=file.source,
        provider="",
        role=file.role,
        derived_from=(
            file_id_of(recording_id, file.derived_from) if file.derived_from is not None else None
        ),
    )
