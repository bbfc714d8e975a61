"""The facade of recordings: start, stop, finish, delete, and what is true after a crash.

One recording at most runs in a room; the catalog's unique index decides, so two starts at the same
instant, or from two processes, give one recording. What may follow what is in `recorder.lifecycle`.
What has been started is in `recorder.live_recordings`, and ends as in `recorder.stopping`;
what is reported of it meanwhile is written down by `recorder.news`, however long the catalog is away.
Every background task is owned here and ends with `close`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from mediaserver.errors import MediaError
from mediaserver.facade import RecordingPlane
from recorder.being_finished import BeingFinished
from recorder.capture import Capture
from recorder.chunks.copies import ClientCopies
from recorder.delivery import Deliverer
from recorder.diskspace import DiskSpace
from recorder.draining import drain
from recorder.errors import AlreadyRecording, MediaRefused, RecorderError, UnknownRecording
from recorder.finishing import Finisher
from recorder.jobs import JobRunner
from recorder.journals import journals_root
from recorder.lifecycle import FINAL, EndReason, Status, Step
from recorder.live_recordings import CLIENT_MODE, LiveRecordings
from recorder.news import News, RecordingEvent
from recorder.owned_tasks import OwnedTasks
from recorder.progress import Sleep
from recorder.recovery import unfinished
from recorder.removal import remove
from recorder.stopping import Stopper
from recorder.targets import Targets
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
        targets: Targets | None = None,
        copies: ClientCopies | None = None,
        sleep: Sleep = asyncio.sleep,
        close_patience: float = CLOSE_PATIENCE,
    ) -> None:
        self._catalog = catalog
        self._depots = deliverer.depots
        self._root = journals_root(data_dir)
        self._capture = Capture(media, self._root)
        self._space = space
        self._targets = targets
        self._close_patience = close_patience
        self._copies = copies
        if copies is not None:
            copies.connect(self)
        self._live = live = LiveRecordings()
        self._finisher = Finisher(catalog, deliverer, jobs, self._root, live.changed, sleep, copies)
        self._tasks = OwnedTasks("a recording's task")  # its recording is found at the next boot
        self._finishing = BeingFinished(self._finisher, self._tasks, live.forget)
        self._stopper = Stopper(
            catalog, self._capture, live, self._finisher, self._finishing, copies, clock
        )
        self._news = News(
            catalog, live, self._finisher, self._stopper, self._tasks, space, clock, sleep
        )
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # --- what runs --------------------------------------------------------------------------------

    def subscribe(self, callback: Callable[[RecordingRow], None]) -> None:
        """`callback` hears of every change of status, on the event loop. It must not raise."""
        self._live.subscribe(callback)

    def active(self, room: str) -> RecordingRow | None:
        """The recording of a room that is `starting` or `recording`, from memory."""
        return self._live.active(room)

    def running(self) -> list[RecordingRow]:
        """Every recording that is `starting` or `recording`, from memory."""
        return self._live.running()

    def progress(self, recording_id: str) -> float:
        """How far the present stage of a recording in `processing` or `uploading` is, 0..1."""
        return self._finishing.fraction(recording_id)

    async def last_media(self, recording_id: str) -> datetime | None:
        """When the latest media on disk came, a participant's own too; None before the first.

        Raises MediaError.
        """
        sent = self._copies.last_arrival(recording_id) if self._copies is not None else None
        live = self._live.get(recording_id)
        if live is not None and live.row.mode == CLIENT_MODE:
            return sent
        received = await self._capture.last_media(recording_id)
        return max(filter(None, (received, sent)), default=None)

    async def journal_bytes(self) -> int:
        """What the recordings that run have written so far, and their participants have sent."""
        ids = [row.id for row in self.running()]
        sent = self._copies.bytes_of(*ids) if self._copies is not None else 0
        return await self._capture.bytes_of(*ids) + sent

    # --- start and stop ---------------------------------------------------------------------------

    async def start(
        self,
        room: str,
        call_id: str | None,
        started_by: str,
        mode: str = "tracks",
        options: Mapping[str, Any] | None = None,
    ) -> RecordingRow:
        """A recording in `starting`; `recording` follows when media is on disk.

        With `audioOnly` among the options no video is written; in the mode "client" nothing is, and
        media is what participants send of their own. Starts and stops of a room happen one
        after the other, in the order they were asked for. Raises AlreadyRecording, DiskLow,
        JournalsUnwritable, MediaRefused, what a store raises that will not take files, and what the
        catalog raises.
        """
        async with self._turn(room):
            if (running := self.active(room)) is not None:
                raise AlreadyRecording(running.id)
            await self._require_room()
            start = self._tasks.own(self._start(room, call_id, started_by, mode, options or {}))
            return await asyncio.shield(start)  # a caller that goes away leaves no half of it

    async def _require_room(self) -> None:
        if self._space is not None:
            self._space.check(await self.journal_bytes())
        if self._targets is not None:
            await self._targets.require()

    async def _start(
        self,
        room: str,
        call_id: str | None,
        started_by: str,
        mode: str,
        options: Mapping[str, Any],
    ) -> RecordingRow:
        try:
            row = await self._catalog.recordings.create(
                room=room,
                call_id=call_id,
                started_by=started_by,
                mode=mode,
                provider=self._depots.main,
                options=options,
            )
        except DuplicateActive as error:
            raise AlreadyRecording(error.existing_id) from error
        live = self._live.add(row)
        async with live.lock:
            self._live.changed(row)
            if mode == CLIENT_MODE:
                return live.row
            try:
                await self._capture.start(row)
            except (MediaError, OSError) as error:
                reason = f"recording could not be started: {error}"
                live.end_reason = EndReason.REFUSED
                await self._stopper.give_up(live, reason)
                raise MediaRefused(reason) from error
            return live.row

    async def stop(self, recording_id: str, reason: EndReason = EndReason.HOST) -> RecordingRow:
        """Ends a recording; back when its journals are closed. Again, it changes nothing.

        The first `reason` is the one that its metadata keeps. Raises UnknownRecording, and what the
        catalog raises; a stop that CatalogUnavailable interrupts is written down by itself when the
        catalog is back, for its media has ended.
        """
        live = self._live.get(recording_id)
        if live is None:
            row = await self._catalog.recordings.get(recording_id)
            if row is None:
                raise UnknownRecording(f"there is no recording {recording_id}")
            return row
        try:
            return await self._stopper.stop(live, reason)
        except CatalogUnavailable:
            self._news.stop_when_written(live, reason)
            raise

    async def stop_room(self, room: str) -> RecordingRow | None:
        """Ends what runs in `room`, or gives its latest recording. None when there never was one."""
        async with self._turn(room):
            row = self.active(room)
            if row is not None:
                return await self.stop(row.id)
        found = await self._catalog.recordings.find(rooms={room}, page=1, limit=1)
        return found.items[0] if found.items else None

    def _turn(self, room: str) -> asyncio.Lock:
        return self._turns.setdefault(room, asyncio.Lock())

    # --- what is reported -------------------------------------------------------------------------

    def handle(self, event: RecordingEvent) -> None:
        """Takes what the media plane says about recordings. Returns at once."""
        self._news.handle(event)

    def client_media_arrived(self, recording_id: str) -> None:
        """A participant's first chunk is on disk: media, as good as that of the first journal."""
        self._news.client_media_arrived(recording_id)

    # --- what is over -----------------------------------------------------------------------------

    async def recover(self) -> None:
        """Finishes, one at a time and in the background, what an earlier process left behind.

        One that has to wait (for room, the store, the catalog) does not hold up those behind it.
        Call it before the first `start`. Raises what the catalog raises.
        """
        self._finishing.begin_in_turn(await unfinished(self._catalog, self._finisher, self._root))

    async def look(self) -> None:
        """Takes up what another process (`mediaserver recordings repair`) wants finished.

        Not what died of a bug here: that waits for the next start. Raises what the catalog raises.
        """
        rows = await self._catalog.recordings.in_states({Status.PROCESSING, Status.UPLOADING})
        self._finishing.begin_found([row.id for row in rows if row.id not in self._live])

    async def process_again(self, recording_id: str) -> None:
        """A recording that failed for want of media has some now, or will. Raises what the catalog
        raises; whoever else changed it meanwhile knows better.
        """
        row = await self._catalog.recordings.get(recording_id)
        if row is None or row.status != Status.FAILED or row.id in self._finishing:
            return
        self._finishing.claim(row.id)
        try:
            await self._finisher.step(row, Step.RETRIED, error=None)
        except BaseException as error:
            self._finishing.release(row.id)
            if isinstance(error, RowNotFound | StatusConflict):
                return
            raise
        self._finishing.begin(row.id)

    async def delete(self, recording_id: str) -> None:
        """Removes objects, journals and row; see `recorder.removal`.

        Raises UnknownRecording, RecordingActive, and what storage raises.
        """
        row = await self._catalog.recordings.get(recording_id)
        if row is None:
            raise UnknownRecording(f"there is no recording {recording_id}")
        if row.status in FINAL and self._copies is not None:
            await self._copies.forget(row.id)
        await remove(self._catalog, self._depots, self._root, row)

    # --- the end of the process -------------------------------------------------------------------

    async def stop_all(self, reason: EndReason = EndReason.SHUTDOWN) -> None:
        """Ends everything that runs; what can't be written down is in the log."""
        await asyncio.gather(*(self._stop_quietly(row.id, reason) for row in self.running()))

    async def _stop_quietly(self, recording_id: str, reason: EndReason) -> None:
        try:
            await self.stop(recording_id, reason)
        except (RecorderError, StorageError) as error:
            log.error("recording %s could not be stopped: %s", recording_id, error)

    async def drain(self, patience: float) -> bool:
        """Ends what runs and waits for what is being finished; see `recorder.draining`."""
        if self._copies is not None:
            self._copies.stop_waiting()
        return await drain(self, patience)

    def unfinished(self) -> list[str]:
        """What there is still to do, for people."""
        running = [row.id for row in self.running()]
        rest = ["the last changes are written down"] if self._tasks else []
        return [*running, *self._finishing.shares()] or rest

    async def idle(self) -> None:
        """Returns when nothing is being started, stopped or finished in the background."""
        await self._tasks.idle()

    async def close(self, *, drained: bool = False) -> None:
        """Ends all tasks, after a drain of its own unless there was one.

        What is not finished by then is found again by `recover`.
        """
        try:
            if not drained:
                await self.drain(self._close_patience)
        finally:
            await self._tasks.close()
            await self._capture.close()
            if self._targets is not None:
                await self._targets.close()
