"""From closed journals to a recording in storage, whatever fails on the way.

A job that fails is tried again a few times, then the recording has failed and its journals stay. A
store or catalog that can't be reached, and a full disk, are waited for: the recording is `uploading`
or `processing` for so long, and that is the truth. Nothing local is removed before the objects were
read back, and no journal with a byte in it unless its media is in a file.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Unpack

from recorder.delivery import deliver
from recorder.errors import JobFailed, JobPostponed, NoMedia, StorageFailed
from recorder.jobs import FinalizedFile, FinalizeResult, JobRunner
from recorder.journals import discard_empty
from recorder.lifecycle import FINAL, Status, Step, after
from storage.catalog import Catalog, FileRow, RecordingChanges, RecordingRow
from storage.errors import (
    CatalogUnavailable,
    RowNotFound,
    StatusConflict,
    StorageError,
    StoreUnavailable,
)
from storage.objects import ObjectStore

NO_MEDIA = "no media was received"
NOTHING_PLAYS = "nothing that was received can be played"  # its journals stay, for a closer look
JOB_RETRIES = 3
FIRST_PAUSE = 1.0  # seconds; doubles with each attempt
LONGEST_PAUSE = 30.0
OUTPUT_NAME = "output"

log = logging.getLogger(__name__)

Changed = Callable[[RecordingRow], None]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Progress:
    """How far finishing is, 0..1, and what went wrong while the recording ran.

    `let_pass` is set once it is over or has to wait, for room, the store or the catalog.
    """

    fraction: float = 0.0
    faults: list[str] = field(default_factory=list)
    let_pass: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, fraction: float) -> None:
        self.fraction = fraction


class Finisher:
    """Takes recordings from `processing` to their end. `changed` hears of every new status."""

    def __init__(
        self,
        catalog: Catalog,
        store: ObjectStore,
        jobs: JobRunner,
        journals_root: Path,
        changed: Changed,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._jobs = jobs
        self._root = journals_root
        self._changed = changed
        self._sleep = sleep

    async def step(
        self, row: RecordingRow, step: Step, **changes: Unpack[RecordingChanges]
    ) -> RecordingRow:
        """Moves a recording on, in the catalog and for everybody who listens.

        Raises BadTransition, and what the catalog raises: StatusConflict when `row` is outdated.
        """
        changes["status"] = after(Status(row.status), step)
        row = await self._catalog.recordings.update(row.id, {row.status}, **changes)
        self._changed(row)
        return row

    async def finish(self, recording_id: str, progress: Progress) -> None:
        """Returns when the recording is `recorded` or `failed`, or its row is gone."""
        attempts = failures = 0
        while True:
            try:
                await self._attempt(recording_id, progress)
                return
            except (RowNotFound, StatusConflict) as error:
                log.warning("recording %s is finished by someone else: %s", recording_id, error)
                return
            except NoMedia as error:
                reason = str(error)
            except JobPostponed as error:
                reason = ""
                await self._wait_for_room(recording_id, str(error))
            except (JobFailed, OSError) as error:
                failures += 1
                reason = f"the recording could not be finished: {error}"
                log.warning("recording %s: attempt %d: %s", recording_id, failures, error)
                if failures <= JOB_RETRIES:
                    reason = ""
            except CatalogUnavailable as error:
                reason = ""
                log.warning("recording %s waits for the catalog: %s", recording_id, error)
            except StorageError as error:
                reason = f"the recording could not be stored: {error}"
            if reason and await self._give_up(recording_id, reason):
                return
            progress.let_pass.set()
            await self._sleep(pause(attempts))
            attempts += 1

    async def _wait_for_room(self, recording_id: str, reason: str) -> None:
        """Gives back what the job took, and tells in the row why it stays in `processing`."""
        log.warning("recording %s waits: %s", recording_id, reason)
        output = self._root / recording_id / OUTPUT_NAME
        await asyncio.to_thread(shutil.rmtree, output, ignore_errors=True)
        with suppress(StorageError):  # then the log has to do
            await self._catalog.recordings.update(
                recording_id, {Status.PROCESSING}, error=f"waiting to be finished: {reason}"
            )

    async def _attempt(self, recording_id: str, progress: Progress) -> None:
        row = await self._catalog.recordings.get(recording_id)
        if row is None or row.status in FINAL:
            return
        if row.status != Status.PROCESSING:
            row = await self.step(row, Step.RECOVERED)
        journals = self._root / recording_id
        if not journals.is_dir():
            raise NoMedia(NO_MEDIA)
        result = await self._jobs.finalize(journals, journals / OUTPUT_NAME, progress.tell)
        if not result.files:
            if result.failures:
                raise JobFailed("; ".join(result.failures))
            if result.last_arrival_us is not None:
                raise NoMedia(NOTHING_PLAYS)
            raise NoMedia("; ".join(progress.faults) or NO_MEDIA)
        changes = _times(row, result)
        changes["integrity"] = _integrity(result, progress.faults)
        changes["error"] = None
        row = await self.step(row, Step.FILES_MADE, **changes)
        files = [await self._deliver(row, file, progress) for file in result.files]
        await self._catalog.recordings.set_files(row.id, files)
        await self.step(
            row,
            Step.STORED,
            size=sum(file.size for file in files),
            duration_seconds=max(file.start_seconds + file.duration_seconds for file in files),
        )
        # Journals of media that did not become a file stay: they are all there is of it.
        leftover = journals / OUTPUT_NAME if result.failures else journals
        await asyncio.to_thread(shutil.rmtree, leftover, ignore_errors=True)

    async def _deliver(self, row: RecordingRow, file: FinalizedFile, progress: Progress) -> FileRow:
        """Stores one file, however long the store is away."""
        attempts = 0
        while True:
            try:
                return await deliver(self._store, row.room, row.id, file)
            except (StoreUnavailable, StorageFailed) as error:
                log.warning("recording %s waits for the store: %s", row.id, error)
            progress.let_pass.set()
            await self._sleep(pause(attempts))
            attempts += 1

    async def _give_up(self, recording_id: str, reason: str) -> bool:
        """False when that could not be written down."""
        try:
            row = await self._catalog.recordings.get(recording_id)
            if row is None or row.status in FINAL:
                return True
            await self.step(row, Step.GAVE_UP, error=reason)
        except StatusConflict:
            return False
        except CatalogUnavailable as error:
            log.warning("recording %s: %s", recording_id, error)
            return False
        if reason == NO_MEDIA:
            await asyncio.to_thread(discard_empty, self._root / recording_id)
        return True


def pause(attempt: int) -> float:
    """Seconds to wait after attempt number `attempt`, from 0."""
    return min(FIRST_PAUSE * 2.0 ** min(attempt, 16), LONGEST_PAUSE)


def _times(row: RecordingRow, result: FinalizeResult) -> RecordingChanges:
    """What a recording that nobody could stop in order learns from its journals."""
    changes = RecordingChanges()
    if row.started_at is None and result.first_media_us is not None:
        changes["started_at"] = _datetime(result.first_media_us)
    if row.stopped_at is None and result.last_arrival_us is not None:
        changes["stopped_at"] = _datetime(result.last_arrival_us)
    return changes


def _integrity(result: FinalizeResult, faults: Sequence[str]) -> dict[str, Any]:
    integrity = dict(result.integrity)
    if reasons := [*faults, *result.failures]:
        integrity |= {"complete": False, "failures": reasons}
    return integrity


def _datetime(unix_us: int) -> datetime:
    return datetime.fromtimestamp(unix_us / 1e6, UTC)
