"""The facade of recordings: start, stop, finish, delete, and what is true after a crash.

One recording at most runs in a room; the catalog's unique index decides, so two starts at the same
instant, or from two processes, give one recording. What may follow what is in `recorder.lifecycle`.
What the media plane reports is written down however long the catalog is away.
Every background task is owned here and ends with `close`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from mediaserver.errors import MediaError
from mediaserver.facade import RecordingPlane
from mediaserver.messages import RecordingFault, RecordingStalled, RecordingStarted
from recorder.being_finished import BeingFinished
from recorder.capture import Capture
from recorder.chunks.copies import ClientCopies
from recorder.delivery import Deliverer
from recorder.diskspace import DiskSpace
from recorder.draining import drain
from recorder.errors import AlreadyRecording, MediaRefused, RecorderError, UnknownRecording
from recorder.finishing import NO_MEDIA, Finisher
from recorder.jobs import JobRunner
from recorder.journals import journals_root
from recorder.lifecycle import ACTIVE, END_REASON, FINAL, EndReason, Status, Step
from recorder.owned_tasks import OwnedTasks
from recorder.progress import Progress, Sleep, pause
from recorder.recovery import unfinished
from recorder.removal import remove
from recorder.targets import Targets
from storage.catalog import Catalog, RecordingRow
from storage.errors import (
    CatalogUnavailable,
    DuplicateActive,
    RowNotFound,
    StatusConflict,
    StorageError,
)

CLIENT_MODE = "client"  # of recordings that participants' browsers make, not the server
CLOSE_PATIENCE = 10.0  # seconds for finishing after the last recording was stopped

log = logging.getLogger(__name__)

RecordingEvent = RecordingStarted | RecordingFault | RecordingStalled


@dataclass(slots=True)
class _Live:
    """A recording that this process started. The lock orders start, first media, and stop."""

    row: RecordingRow
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    end_reason: EndReason | None = None
    stop_waits: bool = False  # a stop that could not be written down is being tried again
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
        targets: Targets | None = None,
        copies: ClientCopies | None = None,
        sleep: Sleep = asyncio.sleep,
        close_patience: float = CLOSE_PATIENCE,
    ) -> None:
        self._catalog = catalog
        self._depots = deliverer.depots
        self._root = journals_root(data_dir)
        self._capture = Capture(media, self._root)
        self._clock = clock
        self._space = space
        self._targets = targets
        self._sleep = sleep
        self._close_patience = close_patience
        self._copies = copies
        if copies is not None:
            copies.connect(self)
        self._finisher = Finisher(
            catalog, deliverer, jobs, self._root, self._changed, sleep, copies
        )
        self._live: dict[str, _Live] = {}  # by recording id, until final
        self._callbacks: list[Callable[[RecordingRow], None]] = []
        self._tasks = OwnedTasks("a recording's task")  # its recording is found at the next boot
        self._finishing = BeingFinished(self._finisher, self._tasks, self._forget)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def subscribe(self, callback: Callable[[RecordingRow], None]) -> None:
        """`callback` hears of every change of status, on the event loop. It must not raise."""
        self._callbacks.append(callback)

    def active(self, room: str) -> RecordingRow | None:
        """The recording of a room that is `starting` or `recording`, from memory."""
        for live in self._live.values():
            if live.row.room == room and live.row.status in ACTIVE:
                return live.row
        return None

    def running(self) -> list[RecordingRow]:
        """Every recording that is `starting` or `recording`, from memory."""
        return [live.row for live in self._live.values() if live.row.status in ACTIVE]

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

    def progress(self, recording_id: str) -> float:
        """How far the present stage of a recording in `processing` or `uploading` is, 0..1."""
        return self._finishing.fraction(recording_id)

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
        live = self._live[row.id] = _Live(row)
        async with live.lock:
            self._changed(row)
            if mode == CLIENT_MODE:
                return live.row
            try:
                await self._capture.start(row)
            except (MediaError, OSError) as error:
                reason = f"recording could not be started: {error}"
                live.end_reason = EndReason.REFUSED
                await self._gave_up(live, reason)
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
            return await self._stop(live, reason)
        except CatalogUnavailable:
            self._stop_when_written(live, reason)
            raise

    async def _stop(self, live: _Live, reason: EndReason) -> RecordingRow:
        async with live.lock:
            if live.row.status not in ACTIVE:
                return live.row
            live.end_reason = live.end_reason or reason
            had_media = await self._end_media(live)
            while True:
                try:
                    return await self._note_stopped(live, had_media=had_media)
                except (RowNotFound, StatusConflict):
                    await self._adopt(live)
                    if live.row.status not in ACTIVE:
                        return live.row

    async def _end_media(self, live: _Live) -> bool:
        """True when there is media on disk, or a participant is about to send some."""
        recording_id = live.row.id
        if live.row.mode != CLIENT_MODE and await self._capture.stop(recording_id):
            return True
        return self._copies is not None and await self._copies.expected(recording_id)

    async def _note_stopped(self, live: _Live, *, had_media: bool) -> RecordingRow:
        now = self._clock()
        if had_media:
            live.row = await self._finisher.step(
                live.row, Step.STOPPED, stopped_at=now, metadata=await self._ended(live)
            )
            self._finish_soon(live)
            return live.row
        return await self._gave_up(live, "; ".join(live.progress.faults) or NO_MEDIA)

    async def _gave_up(self, live: _Live, reason: str) -> RecordingRow:
        row = await self._finisher.step(
            live.row,
            Step.GAVE_UP,
            error=reason,
            stopped_at=self._clock(),
            metadata=await self._ended(live),
        )
        await self._capture.discard_empty(row.id)
        return row

    async def _ended(self, live: _Live) -> dict[str, Any]:
        """The metadata of a recording that ends now, with what others wrote there while it ran."""
        present = live.row
        with suppress(
            CatalogUnavailable
        ):  # the change that follows meets it too, and is tried again
            present = await self._catalog.recordings.get(live.row.id) or present
        known = {END_REASON: str(live.end_reason)} if live.end_reason else {}
        return {**present.metadata, **known}

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
        self._finishing.claim(live.row.id, live.progress)
        self._finishing.begin(live.row.id)

    async def stop_room(self, room: str) -> RecordingRow | None:
        """Ends what runs in `room`, or gives its latest recording. None when there never was one."""
        async with self._turn(room):
            row = self.active(room)
            if row is not None:
                return await self.stop(row.id)
        found = await self._catalog.recordings.find(rooms={room}, page=1, limit=1)
        return found.items[0] if found.items else None

    def client_media_arrived(self, recording_id: str) -> None:
        """A participant's first chunk is on disk: media, as good as that of the first journal."""
        live = self._live.get(recording_id)
        if live is not None and live.row.status == Status.STARTING:
            now = self._clock()
            self._tasks.spawn(self._until_written(live, lambda: self._note_started(live, now)))

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

    def handle(self, event: RecordingEvent) -> None:
        """Takes what the media plane says about recordings. Returns at once."""
        live = self._live.get(event.recording_id)
        if live is None:
            return
        match event:
            case RecordingStarted(first_media_us=first_us):
                started_at = datetime.fromtimestamp(first_us / 1e6, UTC)
                self._tasks.spawn(
                    self._until_written(live, lambda: self._note_started(live, started_at))
                )
            case RecordingFault(reason=reason):
                self._note_fault(live, reason)
                if live.row.status == Status.STARTING:
                    self._stop_unwritable(live)
            case RecordingStalled(reason=reason):
                self._note_fault(live, reason)
                self._stop_unwritable(live)

    def _stop_unwritable(self, live: _Live) -> None:
        low = self._space is not None and self._space.is_low()
        self._stop_when_written(live, EndReason.LOW_DISK if low else EndReason.WRITE_FAILED)

    def _stop_when_written(self, live: _Live, reason: EndReason) -> None:
        if not live.stop_waits:
            live.stop_waits = True
            self._tasks.spawn(self._stop_at_last(live, reason))

    async def _stop_at_last(self, live: _Live, reason: EndReason) -> None:
        try:
            await self._until_written(live, lambda: self._stop_if_live(live, reason))
        finally:
            live.stop_waits = False

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

    async def stop_all(self, reason: EndReason = EndReason.SHUTDOWN) -> None:
        """Ends everything that runs; what can't be written down is in the log."""
        await asyncio.gather(*(self._stop_quietly(row.id, reason) for row in self.running()))

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

    async def idle(self) -> None:
        """Returns when nothing is being started, stopped or finished in the background."""
        await self._tasks.idle()

    def _changed(self, row: RecordingRow) -> None:
        live = self._live.get(row.id)
        if live is not None:
            live.row = row
            if row.status in FINAL:
                del self._live[row.id]
        for callback in self._callbacks:
            callback(row)

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

    async def _stop_if_live(self, live: _Live, reason: EndReason) -> None:
        if live.row.id in self._live:
            await self._stop(live, reason)

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

    async def _stop_quietly(self, recording_id: str, reason: EndReason) -> None:
        try:
            await self.stop(recording_id, reason)
        except (RecorderError, StorageError) as error:
            log.error("recording %s could not be stopped: %s", recording_id, error)

    def _forget(self, recording_id: str) -> None:
        self._live.pop(recording_id, None)

    def _turn(self, room: str) -> asyncio.Lock:
        return self._turns.setdefault(room, asyncio.Lock())
