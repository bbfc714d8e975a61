"""One set of chunks that is complete, on its way to files of the recording.

In the order in which nothing can be lost: the job makes files and reads them to their end, the files
are stored and read back, they become the recording's, and only then the chunks go. Killed anywhere,
the row and the ledger say where to go on; every step may be done twice.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Unpack

from recorder.attempts import Meaning, Meanings, Setback, until_over
from recorder.chunks.leftovers import SCRATCH, chunks_folder, done_with, forget_made_parts
from recorder.chunks.report import nothing_came, set_report, with_copies
from recorder.chunks.settling import WORK_LEFT, SetStatus, row_received
from recorder.chunks.store import ChunkStore
from recorder.delivery import Deliverer
from recorder.errors import JobFailed, JobPostponed, LocalCopyLost, StorageFailed
from recorder.file_options import parse_file_options
from recorder.jobs import FinalizeResult, Tools
from recorder.ledger import DeliveryState
from recorder.lifecycle import Status
from recorder.progress import Progress, Sleep, noted_in
from storage.catalog import (
    Catalog,
    ChunkSetChanges,
    ChunkSetRow,
    DeliveryRow,
    FileRow,
    RecordingRow,
)
from storage.errors import CatalogUnavailable, RowNotFound, StatusConflict, StorageError
from storage.objects import LocalFiles

JOB_RETRIES = 2
PARTICIPANT = "participant"  # the kind of the server's file of all that came from one source
MEANINGS: Final[Meanings] = {
    Meaning.WAITS: (JobPostponed, StorageFailed, CatalogUnavailable, RowNotFound),
    Meaning.FAILED: (JobFailed, LocalCopyLost, StorageError, OSError),
}

log = logging.getLogger(__name__)

Turn = Callable[[str], asyncio.Lock]


class Assembler:
    """`turn` gives the lock under which a recording's files change; `revive` has a recording that has
    failed processed again.
    """

    def __init__(
        self,
        catalog: Catalog,
        chunks: ChunkStore,
        deliverer: Deliverer,
        tools: Tools,
        journals_root: Path,
        *,
        turn: Turn,
        revive: Callable[[str], Awaitable[None]],
        clock: Callable[[], datetime],
        sleep: Sleep,
    ) -> None:
        self._catalog = catalog
        self._sets = catalog.chunk_sets
        self._chunks = chunks
        self._deliverer = deliverer
        self._tools = tools
        self._root = journals_root
        self._turn = turn
        self._revive = revive
        self._clock = clock
        self._sleep = sleep

    async def finish(self, set_id: str) -> None:
        """Back when the set is `done` or `failed`, or its row is gone."""
        await until_over(
            partial(self._attempt, set_id),
            MEANINGS,
            partial(self._note, set_id),
            retries=JOB_RETRIES,
            sleep=self._sleep,
        )

    async def _attempt(self, set_id: str) -> None:
        try:
            await self._bring_on(set_id)
        except StatusConflict as error:
            log.info("client copy %s: %s", set_id, error)
        except RowNotFound as error:
            if await self._sets.get(set_id) is not None:
                raise  # the ledger forgot its files
            log.info("client copy %s: %s", set_id, error)
            await self._remove_all(set_id)

    async def _bring_on(self, set_id: str) -> None:
        """To its end, from where it is. Raises RowNotFound, StatusConflict when it is not wanted."""
        row = await self._sets.get(set_id)
        if row is None or row.status not in WORK_LEFT:
            return
        recording = await self._recording(row)
        ids: Sequence[str] = [each.id for each in await self._ledger_of(row)]
        if row.status != SetStatus.UPLOADING or not await self._deliverer.can_go_on(
            recording.id, ids
        ):
            row, ids = await self._assemble(row, recording)
            if row.status == SetStatus.FAILED:
                return
        async with self._told(row) as progress:
            files = await self._deliverer.deliver(recording.id, progress, ids) if ids else ()
        await self._hand_over(row, files)
        await self._clear(row)

    async def _recording(self, row: ChunkSetRow) -> RecordingRow:
        recording = await self._catalog.recordings.get(row.recording_id)
        if recording is None:
            raise RowNotFound(f"recording {row.recording_id} is gone")
        return recording

    # --- chunks to files --------------------------------------------------------------------------

    async def _assemble(
        self, row: ChunkSetRow, recording: RecordingRow
    ) -> tuple[ChunkSetRow, Sequence[str]]:
        """In `uploading`, with the ids of its files that are in the ledger then."""
        if not any(row_received(row.parts).values()):
            return await self._step(row, SetStatus.UPLOADING, integrity=nothing_came(row)), ()
        row = await self._step(row, SetStatus.ASSEMBLING, progress=0.0, error=None)
        scratch = self._root / SCRATCH / row.id
        spec = await self._spec(row, recording, scratch / "output")
        await asyncio.to_thread(_prepare, scratch, spec)
        async with self._told(row) as progress:
            said = await self._tools.run(
                "assemble", ["--spec", str(scratch / "spec.json")], progress.tell
            )
        result = FinalizeResult.from_json(said)
        ids = await self._deliverer.add(recording.room, recording.id, result.files)
        starts = {id: file.start_seconds for id, file in zip(ids, result.files, strict=True)}
        zero_us = spec["recordingStartUs"] or result.first_media_us
        report = set_report(result.integrity, result.failures, zero_us, starts)
        if not result.files and result.failures:
            failed = replace(row, integrity=report, error="; ".join(result.failures))
            return await self._fail(failed), ids
        return await self._step(row, SetStatus.UPLOADING, progress=0.0, integrity=report), ids

    async def _spec(
        self, row: ChunkSetRow, recording: RecordingRow, output: Path
    ) -> dict[str, Any]:
        """What the job is told; see `recorder.assemble`."""
        settled = recording.status in {Status.UPLOADING, Status.RECORDED}
        wanted = parse_file_options(recording.options)
        parts = {
            name: {key: value for key, value in facts.items() if key != "received"}
            for name, facts in row.parts.items()
        }
        return {
            "folder": str(chunks_folder(self._root, row.id)),
            "output": str(output),
            "participantId": row.participant_id,
            "participantName": row.participant_name,
            # before that nobody knows where the time line of participants' copies alone begins
            "recordingStartUs": zero_us_of(recording) if settled else None,
            "parts": parts,
            "reference": await self._references(row, recording),
            "thumbnails": wanted.thumbnails,
            "hlsMinutes": wanted.hls_minutes,
        }

    async def _references(self, row: ChunkSetRow, recording: RecordingRow) -> list[dict[str, Any]]:
        """The server's own files of the participant's camera and microphone that are on this machine:
        where the same is heard in both, it happened at the same time.
        """
        found: dict[str, tuple[FileRow, Path]] = {}
        for file in recording.files:
            if file.provider not in self._deliverer.depots.stores:
                continue
            store = self._deliverer.depots.store(file.provider)
            if isinstance(store, LocalFiles):
                found[file.id] = file, store.path(file.key).absolute()
        for each in await self._catalog.deliveries.of(recording.id):
            if not each.path.startswith("."):  # those in hidden folders are no journals' output
                found[each.id] = each.file, self._root / each.path
        chosen = [
            (file, path)
            for file, path in found.values()
            if file.participant_id == row.participant_id
            and (file.kind, file.role) == (PARTICIPANT, "")
        ]
        here = await asyncio.to_thread(lambda: [path.is_file() for _, path in chosen])
        return [
            {"path": str(path), "startSeconds": file.start_seconds}
            for (file, path), present in zip(chosen, here, strict=True)
            if present
        ]

    # --- files to the recording -------------------------------------------------------------------

    async def _hand_over(self, row: ChunkSetRow, files: Sequence[FileRow]) -> None:
        """The files become the recording's, and the set is done. Raises RowNotFound when the
        recording was deleted meanwhile, and its objects before these were stored.
        """
        async with self._turn(row.recording_id):
            try:
                recording = await self._recording(row)
                for file in files:
                    recording = await self._catalog.recordings.add_file(recording.id, file)
            except RowNotFound:
                for file in files:
                    await self._deliverer.depots.store(file.provider).delete(file.key)
                raise
            if recording.status == Status.RECORDED:
                await self._tell_recording(recording, replace(row, status=SetStatus.DONE))
            elif recording.status == Status.FAILED and files:
                await self._revive(recording.id)  # before the last word, or a kill could forget it
            await self._step(row, SetStatus.DONE, progress=1.0, error=None)

    async def _tell_recording(self, recording: RecordingRow, over: ChunkSetRow) -> None:
        """A recording that was `recorded` without this set knows of it; webhooks are told as if it
        got to that status only now.
        """
        others = await self._sets.of(recording.id)
        sets = [over if each.id == over.id else each for each in others]
        ends = [file.start_seconds + file.duration_seconds for file in recording.files]
        await self._catalog.recordings.update(
            recording.id,
            {Status.RECORDED},
            status=Status.RECORDED,
            integrity=with_copies(recording.integrity, sets, zero_us_of(recording)),
            duration_seconds=max(ends, default=None),
        )

    async def _clear(self, row: ChunkSetRow) -> None:
        """The set is done: what it was made of goes, unless something of it is in no file."""
        present = await self._sets.get(row.id)
        if present is not None and done_with(present):
            await self._chunks.remove(row.id)
        elif present is not None:
            await asyncio.to_thread(forget_made_parts, self._root, present)
        await asyncio.to_thread(shutil.rmtree, self._root / SCRATCH / row.id, ignore_errors=True)
        await self._catalog.deliveries.strike(
            [each.id for each in await self._ledger_of(row) if each.state == DeliveryState.STORED]
        )

    async def _remove_all(self, set_id: str) -> None:
        await self._chunks.remove(set_id)
        await asyncio.to_thread(shutil.rmtree, self._root / SCRATCH / set_id, ignore_errors=True)

    # --- what is written down ---------------------------------------------------------------------

    async def _step(
        self, row: ChunkSetRow, to: SetStatus, **changes: Unpack[ChunkSetChanges]
    ) -> ChunkSetRow:
        """Raises RowNotFound, StatusConflict when `row` is outdated."""
        if to not in WORK_LEFT:
            changes["finished_at"] = self._clock()
        changes["status"] = to
        return await self._sets.update(row.id, {row.status}, **changes)

    async def _note(self, set_id: str, setback: Setback) -> bool:
        """Why it failed, or what it waits for. True when there is nothing more to do for it."""
        log.warning("client copy %s: %s", set_id, setback.error)
        waiting = f"waiting: {setback.error}"
        files_are_good = setback.waits and not isinstance(setback.error, RowNotFound)
        try:
            row = await self._sets.get(set_id)
            if row is None or row.status not in WORK_LEFT:
                return True
            if setback.final:
                await self._fail(replace(row, error=str(setback.error)))
            elif row.status == SetStatus.UPLOADING and files_are_good:
                await self._step(row, SetStatus.UPLOADING, error=waiting)
            else:
                await self._step(row, SetStatus.COMPLETE, progress=0.0, error=waiting)
        except (StatusConflict, RowNotFound):
            return True
        except CatalogUnavailable as error:
            log.warning("client copy %s: %s", set_id, error)
            return False
        return setback.final

    async def _fail(self, row: ChunkSetRow) -> ChunkSetRow:
        """A set that becomes no file, for `row.error`: its chunks stay, its scratch and lines of the
        ledger go. Raises what `_step` raises.
        """
        async with self._turn(row.recording_id):
            recording = await self._catalog.recordings.get(row.recording_id)
            if recording is not None and recording.status == Status.RECORDED:
                await self._tell_recording(recording, replace(row, status=SetStatus.FAILED))
            failed = await self._step(
                row, SetStatus.FAILED, integrity=row.integrity, error=row.error
            )
        await asyncio.to_thread(shutil.rmtree, self._root / SCRATCH / row.id, ignore_errors=True)
        await self._catalog.deliveries.strike([each.id for each in await self._ledger_of(row)])
        return failed

    async def _ledger_of(self, row: ChunkSetRow) -> list[DeliveryRow]:
        """The set's files that are in the ledger."""
        mine = f"{SCRATCH}/{row.id}/"
        rows = await self._catalog.deliveries.of(row.recording_id)
        return [each for each in rows if each.path.startswith(mine)]

    def _told(self, row: ChunkSetRow) -> AbstractAsyncContextManager[Progress]:
        return noted_in(self._sets.update, row.id, row.status)


def zero_us_of(recording: RecordingRow) -> int | None:
    """Where a recording's time line begins: unix time in microseconds."""
    started_at = recording.started_at
    return None if started_at is None else round(started_at.timestamp() * 1e6)


def _prepare(scratch: Path, spec: dict[str, Any]) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    (scratch / "spec.json").write_text(json.dumps(spec))
