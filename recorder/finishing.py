"""From closed journals to a recording in storage, whatever fails on the way.

A job that fails is tried again a few times, then the recording has failed and its journals stay. A
store or catalog that can't be reached, and a full disk, are waited for: the recording is `uploading`
or `processing` for so long, and that is the truth. Nothing local is removed before the objects were
read back, and no journal with a byte in it unless its media is in a file.

What participants recorded themselves (`recorder.chunks`) is waited for as long as they are at it, and
becomes part of the recording. One of which the server has no media is made of that alone.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Unpack

from recorder.attempts import Meaning, Meanings, Setback, until_over
from recorder.chunks.assembling import PARTICIPANT, zero_us_of
from recorder.chunks.copies import ClientCopies
from recorder.chunks.report import client_files, first_media_us, with_copies
from recorder.chunks.settling import UNDER_WAY
from recorder.delivery import Deliverer
from recorder.errors import CopiesAwaited, JobFailed, JobPostponed, LocalCopyLost, NoMedia
from recorder.jobs import FinalizeResult, JobRunner
from recorder.journals import discard_empty, journal_bytes
from recorder.ledger import DeliveryState
from recorder.lifecycle import FINAL, Status, Step, after
from recorder.progress import Progress, Sleep
from storage.catalog import Catalog, ChunkSetRow, FileRow, RecordingChanges, RecordingRow
from storage.errors import CatalogUnavailable, RowNotFound, StatusConflict, StorageError

NO_MEDIA = "no media was received"
NOTHING_PLAYS = "nothing that was received can be played"  # its journals stay, for a closer look
JOB_RETRIES = 3
COMPOSITE = "composite"  # the mode of a recording that is rendered by itself
OUTPUT_NAME = "output"
MEANINGS: Final[Meanings] = {
    Meaning.WAITS: (JobPostponed, CatalogUnavailable),
    Meaning.FAILED: (JobFailed, OSError),
    Meaning.REFUSED: (NoMedia, LocalCopyLost, StorageError),
}

log = logging.getLogger(__name__)

Changed = Callable[[RecordingRow], None]


class Finisher:
    """Takes recordings from `processing` to their end. `changed` hears of every new status.

    Without `copies` nobody here makes participants' chunks into files: what is there of them is kept.
    """

    def __init__(
        self,
        catalog: Catalog,
        deliverer: Deliverer,
        jobs: JobRunner,
        journals_root: Path,
        changed: Changed,
        sleep: Sleep = asyncio.sleep,
        copies: ClientCopies | None = None,
    ) -> None:
        self._catalog = catalog
        self._copies = copies
        self._deliverer = deliverer
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
        """Returns when the recording is `recorded` or `failed`, or its row is gone; or when the server
        stops and all that is left is to wait for participants.
        """
        try:
            await until_over(
                partial(self._attempt, recording_id, progress),
                MEANINGS,
                partial(self._note, recording_id, progress),
                retries=JOB_RETRIES,
                sleep=self._sleep,
            )
        except CopiesAwaited as error:
            log.info("%s; the next start goes on", error)

    async def _attempt(self, recording_id: str, progress: Progress) -> None:
        try:
            await self._bring_on(recording_id, progress)
        except (RowNotFound, StatusConflict) as error:
            log.warning("recording %s is finished by someone else: %s", recording_id, error)

    async def _note(self, recording_id: str, progress: Progress, setback: Setback) -> bool:
        """True when there is nothing more to do for it. Raises CopiesAwaited."""
        log.warning("recording %s: %s", recording_id, setback.error)
        final, reason = setback.final, str(setback.error)
        match setback.error:
            case JobPostponed():
                await self._wait_for_room(recording_id, reason)
            case LocalCopyLost():  # made again, as often as the journals allow
                final = not await self._make_again(recording_id)
            case JobFailed() | OSError():
                reason = f"the recording could not be finished: {reason}"
            case StorageError():
                reason = f"the recording could not be stored: {reason}"
        if final and await self._give_up(recording_id, reason, progress):
            return True
        progress.let_pass.set()
        return False

    async def _wait_for_room(self, recording_id: str, reason: str) -> None:
        """Gives back what the job took, and tells in the row why it stays in `processing`."""
        output = self._root / recording_id / OUTPUT_NAME
        await asyncio.to_thread(shutil.rmtree, output, ignore_errors=True)
        with suppress(StorageError):  # then the log has to do
            await self._catalog.recordings.update(
                recording_id, {Status.PROCESSING}, error=f"waiting to be finished: {reason}"
            )

    async def _bring_on(self, recording_id: str, progress: Progress) -> None:
        """To its end, from where it is. Raises RowNotFound, StatusConflict when someone else did it."""
        row = await self._catalog.recordings.get(recording_id)
        if row is None or row.status == Status.FAILED:
            return
        if row.status == Status.RECORDED:  # but not cleared: the catalog went away in between
            await clear(self._catalog, self._root, row)
            return
        mine = await self._ledger_of(row)
        if row.status != Status.UPLOADING or not await self._deliverer.can_go_on(row.id, mine):
            row = await self._make_files(row, progress)
            mine = await self._ledger_of(row)
        progress.tell(0.0)
        progress.let_pass.set()  # the next one's job may run while this one's files travel
        if self._copies is not None:
            await self._copies.begin(row.id)
        files = await self._deliverer.deliver(row.id, progress, mine)
        if self._copies is not None:
            await self._copies.until_settled(row.id, alone=False)
        async with self._turn(row.id):
            row = await self._store(row, files)
        await clear(self._catalog, self._root, row)

    async def _ledger_of(self, row: RecordingRow) -> set[str]:
        """Ids of the files in the ledger that were made of journals."""
        ledger = await self._catalog.deliveries.of(row.id)
        return {each.id for each in ledger if each.path.startswith(f"{row.id}/")}

    def _turn(self, recording_id: str) -> AbstractAsyncContextManager[Any]:
        return nullcontext() if self._copies is None else self._copies.turn(recording_id)

    async def _store(self, row: RecordingRow, files: tuple[FileRow, ...]) -> RecordingRow:
        """In `recorded`, with these files, those of participants, and composites made before."""
        # as it is now: a render or a participant's copy may have become its file meanwhile
        present = await self._catalog.recordings.get(row.id) or row
        sets = await self._catalog.chunk_sets.of(row.id)
        zero_us = zero_us_of(present)
        copies = client_files(present.files, sets, zero_us)
        mine = {file.id for file in (*files, *copies)}
        files += (*await self._composites(present, mine), *copies)
        await self._catalog.recordings.set_files(row.id, files)
        if row.mode == COMPOSITE and any(file.kind == PARTICIPANT for file in files):
            await self._want_composite(row)
        changes = RecordingChanges(
            size=sum(file.size for file in files),
            duration_seconds=max(file.start_seconds + file.duration_seconds for file in files),
            error=None,
        )
        if sets:
            changes["integrity"] = with_copies(present.integrity, sets, zero_us)
        return await self.step(row, Step.STORED, **changes)

    async def _make_files(self, row: RecordingRow, progress: Progress) -> RecordingRow:
        """Back with files in the ledger and the recording in `uploading`."""
        if row.status != Status.PROCESSING:
            row = await self.step(row, Step.RECOVERED)
        journals = self._root / row.id
        if not journals.is_dir():
            raise NoMedia(NO_MEDIA)
        result = await self._jobs.finalize(
            journals, journals / OUTPUT_NAME, progress.tell, row.options
        )
        if not result.files:
            if result.failures:
                raise JobFailed("; ".join(result.failures))
            if result.last_arrival_us is not None:
                raise NoMedia(NOTHING_PLAYS)
            raise NoMedia("; ".join(progress.faults) or NO_MEDIA)
        await self._deliverer.enter(row.room, row.id, result.files)
        changes = _times(row, result, await self._catalog.chunk_sets.of(row.id))
        changes["integrity"] = _integrity(result, progress.faults)
        changes["error"] = None
        return await self.step(row, Step.FILES_MADE, **changes)

    async def _composites(self, row: RecordingRow, made: Collection[str]) -> tuple[FileRow, ...]:
        """What was rendered from a recording that is now made once more; it stays."""
        renders = await self._catalog.renders.of(row.id)
        composites = {render.file_id for render in renders if render.file_id is not None}
        return tuple(
            file
            for file in row.files
            if file.id not in made and composites & {file.id, file.derived_from}
        )

    async def _want_composite(self, row: RecordingRow) -> None:
        """Asks for the composite that the recording was started for, once; `recorder.rendering`
        makes it when the recording is `recorded`.
        """
        if not await self._catalog.renders.of(row.id):
            await self._catalog.renders.create(row.id, row.options, row.started_by)

    async def _make_again(self, recording_id: str) -> bool:
        """False when there is nothing to make the files from."""
        if not await asyncio.to_thread(journal_bytes, self._root / recording_id):
            return False
        await self._forget_files(recording_id)
        return True

    async def _forget_files(self, recording_id: str) -> None:
        with suppress(CatalogUnavailable):  # then the next attempt, or the next start, comes to it
            await forget_files(self._catalog, recording_id)

    async def _await_copies(self, row: RecordingRow, progress: Progress) -> None:
        """Before a recording of which the server has nothing that plays is given up: participants may
        have what does. Raises CopiesAwaited.
        """
        if self._copies is not None:
            progress.let_pass.set()
            await self._copies.until_settled(row.id, alone=True)
            return
        sets = await self._catalog.chunk_sets.of(row.id)
        if any(each.status in UNDER_WAY for each in sets):
            raise CopiesAwaited(f"recording {row.id} waits for what its participants recorded")

    async def _make_of_copies(self, row: RecordingRow, reason: str) -> bool:
        """A recording of what participants recorded, when nothing of the server's media became a file
        for `reason`. False when there is nothing of theirs either.
        """
        sets = await self._catalog.chunk_sets.of(row.id)
        if not client_files(row.files, sets, None):
            return False
        if row.status == Status.UPLOADING:
            row = await self.step(row, Step.RECOVERED)
        changes = _times_of_copies(row, sets)
        lost = {} if reason == NO_MEDIA else {"failures": [reason]}
        changes["integrity"] = {"audioVideoOffsetMs": None, "complete": not lost, **lost}
        changes["error"] = None
        row = await self.step(row, Step.FILES_MADE, **changes)
        row = await self._store(row, ())
        await clear(self._catalog, self._root, row)
        return True

    async def _give_up(self, recording_id: str, reason: str, progress: Progress) -> bool:
        """False when that could not be written down. Raises CopiesAwaited."""
        try:
            row = await self._catalog.recordings.get(recording_id)
            if row is None or row.status in FINAL:
                return True
            await self._await_copies(row, progress)
            async with self._turn(row.id):
                row = await self._catalog.recordings.get(recording_id)
                if row is None or row.status in FINAL or await self._make_of_copies(row, reason):
                    return True
                await self.step(row, Step.GAVE_UP, error=reason)
        except RowNotFound:
            return True
        except StatusConflict:
            return False
        except CatalogUnavailable as error:
            log.warning("recording %s: %s", recording_id, error)
            return False
        await self._forget_files(recording_id)
        if reason == NO_MEDIA:
            await asyncio.to_thread(discard_empty, self._root / recording_id)
        return True


async def clear(catalog: Catalog, root: Path, row: RecordingRow) -> None:
    """Remove the local copies of a recording that is stored, and then what the ledger says of them.

    Journals of media that did not become a file stay: they are all there is of it. So do lines of the
    ledger about files that are not the recording's yet: a render is on its way.
    """
    lost_some = (row.integrity or {}).get("failures")
    leftover = root / row.id / OUTPUT_NAME if lost_some else root / row.id
    await asyncio.to_thread(shutil.rmtree, leftover, ignore_errors=True)
    mine = {file.id for file in row.files}
    rows = await catalog.deliveries.of(row.id)
    await catalog.deliveries.strike(
        [each.id for each in rows if each.state == DeliveryState.STORED and each.id in mine]
    )


async def forget_files(catalog: Catalog, recording_id: str) -> None:
    """Strikes the files that were made of a recording's journals from the ledger."""
    ledger = await catalog.deliveries.of(recording_id)
    await catalog.deliveries.strike(
        [each.id for each in ledger if each.path.startswith(f"{recording_id}/")]
    )


def _times(
    row: RecordingRow, result: FinalizeResult, sets: Sequence[ChunkSetRow]
) -> RecordingChanges:
    """What a recording that nobody could stop in order learns from its journals.

    Where its time line begins is what journals say, also if a chunk came sooner than they did.
    """
    changes = RecordingChanges()
    if (row.started_at is None or sets) and result.first_media_us is not None:
        changes["started_at"] = _datetime(result.first_media_us)
    if row.stopped_at is None and result.last_arrival_us is not None:
        changes["stopped_at"] = _datetime(result.last_arrival_us)
    return changes


def _times_of_copies(row: RecordingRow, sets: Sequence[ChunkSetRow]) -> RecordingChanges:
    """The time line of a recording that has nothing else begins with the first of its copies."""
    changes = RecordingChanges()
    first_us = first_media_us(sets)
    if first_us is None:
        return changes
    changes["started_at"] = _datetime(first_us)
    if row.stopped_at is None:
        files = client_files(row.files, sets, first_us)
        seconds = max(file.start_seconds + file.duration_seconds for file in files)
        changes["stopped_at"] = _datetime(first_us + round(seconds * 1e6))
    return changes


def _integrity(result: FinalizeResult, faults: Sequence[str]) -> dict[str, Any]:
    integrity = dict(result.integrity)
    if reasons := [*faults, *result.failures]:
        integrity |= {"complete": False, "failures": reasons}
    return integrity


def _datetime(unix_us: int) -> datetime:
    return datetime.fromtimestamp(unix_us / 1e6, UTC)
