"""Composites: asked for, rendered by a job, delivered like every other file, then the recording's.

    queued --a slot is free--> rendering --files made--> uploading --stored, in the recording--> done
      ^  |                       |  |                     |  |
      |  +------ gave up --------+--+------ gave up ------+--+--> failed
      |  +------ cancelled ------+--+------ cancelled ----+--+--> cancelled
      |                          |                        |
      +--- has to wait, or the server was killed ---------+  (uploading goes on where its files are)

The catalog has a row for each, changed by compare-and-set, so a server that was killed, or another
process that only writes a row in `queued`, needs nothing else: `look` takes up whatever waits. What
a render works with is in its scratch folder below the journals; without the row that goes too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final, Unpack

from recorder.attempts import Meaning, Meanings, Setback, until_over
from recorder.composite.spec import RenderOptions, RenderSpec, parse_options
from recorder.delivery import Deliverer
from recorder.diskspace import free_bytes
from recorder.errors import (
    BadRenderOptions,
    JobFailed,
    JobPostponed,
    LocalCopyLost,
    NothingToRender,
    StorageFailed,
    TooManyRenders,
    UnknownRecording,
    UnknownRender,
)
from recorder.jobs import JobRunner
from recorder.ledger import DeliveryState
from recorder.lifecycle import FINAL, Status
from recorder.owned_tasks import NamedTasks
from recorder.progress import Progress, Sleep, noted_in
from recorder.render_sources import Sources, source_files
from storage.catalog import Catalog, DeliveryRow, RecordingRow, RenderChanges, RenderRow
from storage.errors import (
    CatalogUnavailable,
    ObjectNotFound,
    RowNotFound,
    StatusConflict,
    StorageError,
)

SCRATCH = ".renders"
REPAIRED = "repair"  # who asked for what replaces a lost composite
MOST_WAITING = 5  # renders of one recording that are not final
JOB_RETRIES = 2
FETCHED = 0.2  # of a render's progress, when its sources come from elsewhere

log = logging.getLogger(__name__)


class RenderStatus(StrEnum):
    QUEUED = "queued"
    RENDERING = "rendering"
    UPLOADING = "uploading"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNDER_WAY = frozenset({RenderStatus.QUEUED, RenderStatus.RENDERING, RenderStatus.UPLOADING})

MEANINGS: Final[Meanings] = {
    Meaning.REFUSED: (NothingToRender, BadRenderOptions, ObjectNotFound),
    Meaning.WAITS: (JobPostponed, StorageFailed, StorageError),
    Meaning.FAILED: (JobFailed, LocalCopyLost, OSError),
}


class Renderer:
    """`at_once` renders are made at a time, each with `threads` threads; `spare` bytes of the disk stay
    free. Every task is owned here and ends with `close`.
    """

    def __init__(
        self,
        catalog: Catalog,
        deliverer: Deliverer,
        jobs: JobRunner,
        journals_root: Path,
        *,
        clock: Callable[[], datetime],
        at_once: int = 1,
        threads: int = 2,
        spare: int = 0,
        free: Callable[[Path], int] = free_bytes,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._catalog = catalog
        self._renders = catalog.renders
        self._deliverer = deliverer
        self._jobs = jobs
        self._scratch = journals_root / SCRATCH
        self._sources = Sources(deliverer.depots, spare, free)
        self._clock = clock
        self._threads = threads
        self._sleep = sleep
        self._slots = asyncio.Semaphore(at_once)
        self._tasks = NamedTasks("render")

    # --- what others ask for ----------------------------------------------------------------------

    async def request(self, recording_id: str, options: Mapping[str, Any], by: str) -> RenderRow:
        """A render in `queued`, begun as soon as others leave room.

        Raises BadRenderOptions, UnknownRecording, NothingToRender, TooManyRenders, and what the
        catalog raises.
        """
        row = await request(self._catalog, recording_id, options, by)
        self.begin(row.id)
        return row

    async def cancel(self, recording_id: str, render_id: str) -> RenderRow:
        """Ends a render that is under way; back when nothing of it is left. One that is final stays
        what it is. Raises UnknownRender, and what the catalog raises.
        """
        row = await self._renders.get(render_id)
        if row is None or row.recording_id != recording_id:
            raise UnknownRender(f"recording {recording_id} has no render {render_id}")
        while row.status in UNDER_WAY:
            try:
                row = await self._step(row, RenderStatus.CANCELLED)
            except StatusConflict:  # it moved on just now
                row = await self._renders.get(render_id) or row
                continue
            await self._tasks.end(render_id)
            await self._discard(row)
        return row

    async def forget(self, recording_id: str) -> None:
        """Cancels all renders of a recording that is about to be deleted."""
        for row in await self._renders.of(recording_id):
            await self.cancel(recording_id, row.id)

    async def recover(self) -> None:
        """What an earlier process left: taken up again. Raises what the catalog raises."""
        for row in await self._renders.in_states({RenderStatus.RENDERING}):
            await self._step(row, RenderStatus.QUEUED, progress=0.0)
        known = {row.id for row in await self._renders.in_states(UNDER_WAY)}
        await asyncio.to_thread(_sweep, self._scratch, known)
        await self.look()

    async def look(self) -> None:
        """Takes up every render that waits and whose recording has its files. Raises as `recover`."""
        for row in await self._renders.in_states(UNDER_WAY):
            if row.id in self._tasks:
                continue
            recording = await self._catalog.recordings.get(row.recording_id)
            if recording is not None and recording.status in FINAL:
                self.begin(row.id)

    async def idle(self) -> None:
        """Returns when no render is under way here."""
        await self._tasks.idle()

    async def close(self) -> None:
        """Ends all tasks. Their renders are found again by `recover`."""
        await self._tasks.close()

    # --- one render -------------------------------------------------------------------------------

    def begin(self, render_id: str) -> None:
        """Works on a render in the background, if nobody does. One whose task died of a bug is begun
        once more by `look`.
        """
        self._tasks.begin(render_id, self._run)

    async def _run(self, render_id: str) -> None:
        """Returns when the render is final, or its row is gone."""
        await until_over(
            partial(self._attempt, render_id),
            MEANINGS,
            partial(self._note, render_id),
            retries=JOB_RETRIES,
            sleep=self._sleep,
        )

    async def _attempt(self, render_id: str) -> None:
        try:
            await self._bring_on(render_id)
        except (RowNotFound, StatusConflict) as error:
            log.info("render %s: %s", render_id, error)
            await asyncio.to_thread(_remove, self._scratch / render_id)

    async def _bring_on(self, render_id: str) -> None:
        """To its end, from where it is. Raises RowNotFound, StatusConflict when it is not wanted."""
        row = await self._renders.get(render_id)
        if row is None or row.status not in UNDER_WAY:
            raise RowNotFound(f"render {render_id} is not wanted any more")
        recording = await self._recording(row)
        files: Collection[str] = [each.id for each in await self._ledger_of(row)]
        if row.status != RenderStatus.UPLOADING or not await self._deliverer.can_go_on(
            recording.id, files
        ):
            async with self._slots:
                row, files = await self._render(row, recording)
        await self._upload(row, recording, files)

    async def _recording(self, row: RenderRow) -> RecordingRow:
        recording = await self._catalog.recordings.get(row.recording_id)
        if recording is None:
            raise RowNotFound(f"recording {row.recording_id} is gone")
        if recording.status != Status.RECORDED:
            raise NothingToRender(f"recording {recording.id} is {recording.status}")
        return recording

    async def _render(
        self, row: RenderRow, recording: RecordingRow
    ) -> tuple[RenderRow, Collection[str]]:
        """In `uploading`, with the ids of the files that are in the ledger then."""
        options = parse_options(row.options)
        row = await self._step(row, RenderStatus.RENDERING, progress=0.0, error=None)
        folder = self._scratch / row.id
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        begins = 0.0

        def tell_fetched(fraction: float) -> None:
            nonlocal begins
            begins = FETCHED
            progress.tell(FETCHED * fraction)

        async with self._told(row) as progress:
            sources = await self._sources.bring(
                source_files(recording, options), folder, tell_fetched
            )
            spec = RenderSpec(sources, folder / _name(row, options), options, threads=self._threads)
            await asyncio.to_thread(_write_spec, folder / "spec.json", spec)
            files = await self._jobs.render(
                folder / "spec.json",
                lambda fraction: progress.tell(begins + (1 - begins) * fraction),
            )
        ids = await self._deliverer.add(recording.room, recording.id, files)
        return await self._step(row, RenderStatus.UPLOADING, progress=0.0), ids

    async def _upload(self, row: RenderRow, recording: RecordingRow, ids: Collection[str]) -> None:
        async with self._told(row) as progress:
            files = await self._deliverer.deliver(recording.id, progress, ids)
        try:
            for file in files:
                await self._catalog.recordings.add_file(recording.id, file)
        except RowNotFound:  # deleted meanwhile, and its objects before these were stored
            for file in files:
                await self._deliverer.depots.store(file.provider).delete(file.key)
            raise
        composite = next((file.id for file in files if file.kind == "composite"), None)
        if row.requested_by == REPAIRED:
            await self._forget_lost(recording.id)
        # before the last word, which whoever waits for it may take for leave to end
        await asyncio.to_thread(_remove, self._scratch / row.id)
        await self._step(row, RenderStatus.DONE, progress=1.0, file_id=composite, error=None)
        await self._catalog.deliveries.strike(
            [each.id for each in await self._ledger_of(row) if each.state == DeliveryState.STORED]
        )

    async def _forget_lost(self, recording_id: str) -> None:
        """Composites whose objects are gone leave the recording: there is another one now."""
        recording = await self._catalog.recordings.get(recording_id)
        files = recording.files if recording else ()
        lost = set()
        for file in files:
            if file.kind == "composite":
                try:
                    await self._deliverer.depots.store(file.provider).head(file.key)
                except ObjectNotFound:
                    lost.add(file.id)
        if lost:
            kept = [file for file in files if not lost & {file.id, file.derived_from}]
            await self._catalog.recordings.set_files(recording_id, kept)

    # --- what is written down ---------------------------------------------------------------------

    async def _step(
        self, row: RenderRow, to: RenderStatus, **changes: Unpack[RenderChanges]
    ) -> RenderRow:
        """Raises RowNotFound, StatusConflict when `row` is outdated."""
        if to not in UNDER_WAY:
            changes["finished_at"] = self._clock()
        changes["status"] = to
        return await self._renders.update(row.id, {row.status}, **changes)

    async def _note(self, render_id: str, setback: Setback) -> bool:
        """Why it failed, or what it waits for: its files, if they are made and not lost. True when
        there is nothing more to do for it.
        """
        log.warning("render %s: %s", render_id, setback.error)
        waiting = f"waiting: {setback.error}"
        try:
            row = await self._renders.get(render_id)
            if row is None or row.status not in UNDER_WAY:
                return True
            if setback.final:
                await self._step(row, RenderStatus.FAILED, error=str(setback.error))
                await self._discard(row)
            elif row.status == RenderStatus.UPLOADING and not isinstance(
                setback.error, LocalCopyLost
            ):
                await self._step(row, RenderStatus.UPLOADING, error=waiting)
            else:
                await self._step(row, RenderStatus.QUEUED, progress=0.0, error=waiting)
        except (StatusConflict, RowNotFound):
            return True
        except CatalogUnavailable as error:
            log.warning("render %s: %s", render_id, error)
            return False
        return setback.final

    def _told(self, row: RenderRow) -> AbstractAsyncContextManager[Progress]:
        return noted_in(self._renders.update, row.id, row.status)

    # --- what is left behind ----------------------------------------------------------------------

    async def _ledger_of(self, row: RenderRow) -> list[DeliveryRow]:
        """The render's files that are in the ledger."""
        mine = f"{SCRATCH}/{row.id}/"
        rows = await self._catalog.deliveries.of(row.recording_id)
        return [each for each in rows if each.path.startswith(mine)]

    async def _discard(self, row: RenderRow) -> None:
        """Removes what a render that became no file left: scratch, objects, lines of the ledger.

        What a store refuses now is found by `mediaserver recordings fsck`.
        """
        await asyncio.to_thread(_remove, self._scratch / row.id)
        ledger = await self._ledger_of(row)
        recording = await self._catalog.recordings.get(row.recording_id)
        kept = {file.id for file in recording.files} if recording else set()
        for each in ledger:
            if each.id in kept:
                continue
            for provider in self._deliverer.depots.targets:
                try:
                    await self._deliverer.depots.store(provider).delete(each.file.key)
                except StorageError as error:
                    log.warning("%s stays at %s: %s", each.file.key, provider, error)
        await self._catalog.deliveries.strike([each.id for each in ledger])


async def request(
    catalog: Catalog, recording_id: str, options: Mapping[str, Any], by: str
) -> RenderRow:
    """A row in `queued`; the server that runs, or the next one, takes it up. Raises as
    `Renderer.request` does.
    """
    wanted = parse_options(options)
    recording = await catalog.recordings.get(recording_id)
    if recording is None:
        raise UnknownRecording(f"there is no recording {recording_id}")
    if recording.status != Status.RECORDED:
        raise NothingToRender(f"recording {recording_id} is {recording.status}, not recorded yet")
    source_files(recording, wanted)
    waiting = [row for row in await catalog.renders.of(recording_id) if row.status in UNDER_WAY]
    if len(waiting) >= MOST_WAITING:
        raise TooManyRenders(f"{len(waiting)} renders of recording {recording_id} wait already")
    return await catalog.renders.create(recording_id, wanted.to_json(), by)


def _name(row: RenderRow, options: RenderOptions) -> str:
    """The render's own, so that every composite of a recording is a file with an id of its own."""
    return f"{row.id}.m4a" if options.audio_only else f"{row.id}.mp4"


def _write_spec(path: Path, spec: RenderSpec) -> None:
    path.write_text(json.dumps(spec.to_json()))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(scratch: Path, known: Collection[str]) -> None:
    """Removes the folders of renders that nobody waits for."""
    if scratch.is_dir():
        for folder in scratch.iterdir():
            if folder.name not in known:
                _remove(folder)
