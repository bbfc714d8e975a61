"""The facade of recordings: start, stop, finish, delete, and what is true after a crash.

One recording at most runs in a room; the catalog's unique index decides, so two starts at the same
instant, or from two processes, give one recording. What may follow what is in `recorder.lifecycle`.
What the media plane reports is written down however long the catalog is away.
Every background task is owned here and ends with `close`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mediaserver.errors import MediaError
from mediaserver.facade import RecordingPlane
from mediaserver.messages import (
    RecordingFault,
    RecordingId,
    RecordingStalled,
    RecordingStarted,
    RoomId,
)
from recorder.delivery import Deliverer
from recorder.diskspace import DiskSpace
from recorder.errors import (
    AlreadyRecording,
    MediaRefused,
    RecorderError,
    UnknownRecording,
)
from recorder.finishing import NO_MEDIA, Finisher
from recorder.jobs import JobRunner
from recorder.journals import (
    discard_empty,
    journal_bytes,
    journals_root,
    make_folder,
)
from recorder.lifecycle import ACTIVE, FINAL, Status, Step
from recorder.progress import Progress, Sleep, pause
from recorder.recovery import unfinished
from recorder.removal import remove
from storage.catalog import Catalog, RecordingRow
from storage.errors import (
    CatalogUnavailable,
    DuplicateActive,
    RowNotFound,
    StatusConflict,
    StorageError,
)

CLOSE_PATIENCE = 10.0  # seconds for finishing after the last recording was stopped

log = logging.getLogger(__name__)


RecordingEvent = RecordingStarted | RecordingFault | RecordingStalled


@dataclass(slots=True)
class _Live:
    """A recording that this process started. The lock orders start, first media, and stop."""

    row: RecordingRow
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    progress: Progress = field(default_factory=Progress)


class RecordingService:
    def __init__(
        self,
        *,
        media: RecordingPlane,
        catalog: Catalog,
        deliverer: Deliverer,
        jobs: JobRunner,
        data_dir: Path,
        clock: Callable[[], datetime],
        space: DiskSpace | None = None,
        sleep: Sleep = asyncio.sleep,
        close_patience: float = CLOSE_PATIENCE,
    ) -> None:
        self._media = media
        self._catalog = catalog
        self._depots = deliverer.depots
        self._root = journals_root(data_dir)
        self._clock = clock
        self._space = space
        self._sleep = sleep
        self._close_patience = close_patience
        self._finisher = Finisher(catalog, deliverer, jobs, self._root, self._changed, sleep)
        self._live: dict[str, _Live] = {}  # by recording id, until final
        self._progress: dict[str, Progress] = {}  # of those being finished
        self._callbacks: list[Callable[[RecordingRow], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def subscribe(self, callback: Callable[[RecordingRow], None]) -> None:
        """`callback` hears of every change of status, on the event loop. It must not raise."""
        self._callbacks.append(callback)

    def active(self, room: str) -> RecordingRow | None:
        """The recording of a room that is `starting` or `recording`, from memory."""
        for live in self._live.values():
            if live.row.room == room and live.row.status in ACTIVE:
                return live.row
        return None

    def progress(self, recording_id: str) -> float:
        """How far the present stage of a recording in `processing` or `uploading` is, 0..1."""
        progress = self._progress.get(recording_id)
        return progress.fraction if progress else 0.0

    async def recover(self) -> None:
        """Finishes, one at a time and in the background, what an earlier process left behind.

        One that has to wait (for room, the store, the catalog) does not hold up those behind it.
        Call it before the first `start`. Raises what the catalog raises.
        """
        ids = await unfinished(self._catalog, self._finisher, self._root)
        self._spawn(self._finish_all(ids))

    async def start(
        self, room: str, call_id: str | None, started_by: str, mode: str = "tracks"
    ) -> RecordingRow:
        """A recording in `starting`; `recording` follows when media is on disk.

        Raises AlreadyRecording, DiskLow, MediaRefused, and what the catalog raises.
        """
        if self._space is not None:
            self._space.check()
        try:
            row = await self._catalog.recordings.create(
                room=room,
                call_id=call_id,
                started_by=started_by,
                mode=mode,
                provider=self._depots.main,
            )
        except DuplicateActive as error:
            raise AlreadyRecording(error.existing_id) from error
        live = self._live[row.id] = _Live(row)
        async with live.lock:
            self._changed(row)
            directory = self._root / row.id
            try:
                await asyncio.to_thread(make_folder, directory)
                await self._media.start_recording(RoomId(room), RecordingId(row.id), directory)
            except (MediaError, OSError) as error:
                reason = f"recording could not be started: {error}"
                await self._finisher.step(row, Step.GAVE_UP, error=reason, stopped_at=self._clock())
                await asyncio.to_thread(discard_empty, directory)
                raise MediaRefused(reason) from error
            return live.row

    async def stop(self, recording_id: str) -> RecordingRow:
        """Ends a recording; back when its journals are closed. Again, it changes nothing.

        Raises UnknownRecording, and what the catalog raises.
        """
        live = self._live.get(recording_id)
        if live is None:
            row = await self._catalog.recordings.get(recording_id)
            if row is None:
                raise UnknownRecording(f"there is no recording {recording_id}")
            return row
        async with live.lock:
            if live.row.status not in ACTIVE:
                return live.row
            had_media = await self._stop_media(recording_id)
            while True:
                try:
                    return await self._note_stopped(live, had_media=had_media)
                except (RowNotFound, StatusConflict):
                    await self._adopt(live)
                    if live.row.status not in ACTIVE:
                        return live.row

    async def _note_stopped(self, live: _Live, *, had_media: bool) -> RecordingRow:
        recording_id, now = live.row.id, self._clock()
        if had_media:
            live.row = await self._finisher.step(live.row, Step.STOPPED, stopped_at=now)
            self._finish_soon(live)
            return live.row
        reason = "; ".join(live.progress.faults) or NO_MEDIA
        row = await self._finisher.step(live.row, Step.GAVE_UP, error=reason, stopped_at=now)
        await asyncio.to_thread(discard_empty, self._root / recording_id)
        return row

    async def _adopt(self, live: _Live) -> None:
        """Believes the catalog about a recording that is not what it was here.

        Somebody else changed it, or an answer of the database was lost on the way.
        """
        row = await self._catalog.recordings.get(live.row.id)
        gone = row is None
        live.row = row or replace(live.row, status=Status.FAILED)
        log.warning("recording %s is %s", live.row.id, "gone" if gone else live.row.status)
        self._changed(live.row)
        if gone:
            raise UnknownRecording(f"recording {live.row.id} is gone")
        if live.row.status not in ACTIVE | FINAL:
            self._finish_soon(live)

    def _finish_soon(self, live: _Live) -> None:
        self._progress[live.row.id] = live.progress
        self._spawn(self._finish(live.row.id))

    async def stop_room(self, room: str) -> RecordingRow | None:
        """Ends what runs in `room`, or gives its latest recording. None when there never was one."""
        row = self.active(room)
        if row is not None:
            return await self.stop(row.id)
        found = await self._catalog.recordings.find(rooms={room}, page=1, limit=1)
        return found.items[0] if found.items else None

    def handle(self, event: RecordingEvent) -> None:
        """Takes what the media plane says about recordings. Returns at once."""
        live = self._live.get(event.recording_id)
        if live is None:
            return
        match event:
            case RecordingStarted(first_media_us=first_us):
                started_at = datetime.fromtimestamp(first_us / 1e6, UTC)
                self._spawn(self._until_written(live, lambda: self._note_started(live, started_at)))
            case RecordingFault(reason=reason):
                self._note_fault(live, reason)
                if live.row.status == Status.STARTING:
                    self._spawn(self._until_written(live, lambda: self._stop_if_live(live)))
            case RecordingStalled(reason=reason):
                self._note_fault(live, reason)
                self._spawn(self._until_written(live, lambda: self._stop_if_live(live)))

    async def delete(self, recording_id: str) -> None:
        """Removes objects, journals and row; see `recorder.removal`.

        Raises UnknownRecording, RecordingActive, and what storage raises.
        """
        row = await self._catalog.recordings.get(recording_id)
        if row is None:
            raise UnknownRecording(f"there is no recording {recording_id}")
        await remove(self._catalog, self._depots, self._root, row)

    async def close(self) -> None:
        """Stops what runs, waits a while for what is being finished, ends all tasks.

        What is not finished by then is found again by `recover`.
        """
        try:
            for recording_id in list(self._live):
                await self._stop_quietly(recording_id)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.idle(), self._close_patience)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Returns when nothing is being started, stopped or finished in the background."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _changed(self, row: RecordingRow) -> None:
        live = self._live.get(row.id)
        if live is not None:
            live.row = row
            if row.status in FINAL:
                del self._live[row.id]
        for callback in self._callbacks:
            callback(row)

    async def _stop_media(self, recording_id: str) -> bool:
        """True when there is media on disk. A media plane in trouble leaves that to the disk."""
        try:
            had_media = await self._media.stop_recording(RecordingId(recording_id))
        except MediaError as error:
            log.warning("recording %s: %s", recording_id, error)
            had_media = False
        if had_media:
            return True
        return bool(await asyncio.to_thread(journal_bytes, self._root / recording_id))

    def _note_fault(self, live: _Live, reason: str) -> None:
        log.error("recording %s: %s", live.row.id, reason)
        if reason not in live.progress.faults:
            live.progress.faults.append(reason)

    async def _note_started(self, live: _Live, at: datetime) -> None:
        async with live.lock:
            try:
                if live.row.status == Status.STARTING:
                    await self._finisher.step(live.row, Step.MEDIA_ON_DISK, started_at=at)
                elif live.row.started_at is None and live.row.status not in FINAL:
                    live.row = await self._catalog.recordings.update(live.row.id, started_at=at)
            except (RowNotFound, StatusConflict):
                await self._adopt(live)

    async def _stop_if_live(self, live: _Live) -> None:
        if live.row.id in self._live:
            await self.stop(live.row.id)

    async def _until_written(
        self, live: _Live, write: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Does `write` again until the catalog has taken it."""
        attempts = 0
        while True:
            try:
                return await write()
            except CatalogUnavailable as error:
                log.error("recording %s: its news wait for the catalog: %s", live.row.id, error)
            except (RecorderError, StorageError) as error:
                return log.error("recording %s: %s", live.row.id, error)
            await self._sleep(pause(attempts))
            attempts += 1

    async def _stop_quietly(self, recording_id: str) -> None:
        try:
            await self.stop(recording_id)
        except (RecorderError, StorageError) as error:
            log.error("recording %s could not be stopped: %s", recording_id, error)

    async def _finish_all(self, ids: list[str]) -> None:
        """A bug that one recording brings to light does not stop those behind it."""
        for recording_id in ids:
            progress = self._progress[recording_id] = Progress()
            self._spawn(self._finish(recording_id))
            await progress.let_pass.wait()

    async def _finish(self, recording_id: str) -> None:
        progress = self._progress[recording_id]
        try:
            await self._finisher.finish(recording_id, progress)
        finally:
            progress.let_pass.set()
            self._progress.pop(recording_id, None)
            self._live.pop(recording_id, None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Supervises: a task that died of a bug is logged; its recording is found at the next boot."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a recording task died", exc_info=error)
