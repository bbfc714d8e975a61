"""What is reported of live recordings, written down however long the catalog is away.

The media plane and participants say when first media is on disk, and what goes wrong; whoever stops a
recording while the catalog is away has its stop written down here when it is back.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

from mediaserver.messages import RecordingFault, RecordingStalled, RecordingStarted
from recorder.attempts import Meaning, Meanings, Setback, until_over
from recorder.diskspace import DiskSpace
from recorder.errors import RecorderError
from recorder.finishing import Finisher
from recorder.lifecycle import FINAL, EndReason, Status, Step
from recorder.live_recordings import Live, LiveRecordings
from recorder.owned_tasks import OwnedTasks
from recorder.progress import Sleep
from recorder.stopping import Stopper
from storage.catalog import Catalog
from storage.errors import CatalogUnavailable, RowNotFound, StatusConflict, StorageError

RecordingEvent = RecordingStarted | RecordingFault | RecordingStalled

MEANINGS: Final[Meanings] = {
    Meaning.WAITS: (CatalogUnavailable,),
    Meaning.REFUSED: (RecorderError, StorageError),
}

log = logging.getLogger(__name__)


class News:
    """Writes in the background, in tasks of `tasks`."""

    def __init__(
        self,
        catalog: Catalog,
        recordings: LiveRecordings,
        finisher: Finisher,
        stopper: Stopper,
        tasks: OwnedTasks,
        space: DiskSpace | None,
        clock: Callable[[], datetime],
        sleep: Sleep,
    ) -> None:
        self._catalog = catalog
        self._recordings = recordings
        self._finisher = finisher
        self._stopper = stopper
        self._tasks = tasks
        self._space = space
        self._clock = clock
        self._sleep = sleep

    def handle(self, event: RecordingEvent) -> None:
        """Takes what the media plane says. Returns at once."""
        live = self._recordings.get(event.recording_id)
        if live is None:
            return
        match event:
            case RecordingStarted(first_media_us=first_us):
                self._write_started(live, datetime.fromtimestamp(first_us / 1e6, UTC))
            case RecordingFault(reason=reason):
                live.note_fault(reason)
                if live.row.status == Status.STARTING:
                    self._stop_unwritable(live)
            case RecordingStalled(reason=reason):
                live.note_fault(reason)
                self._stop_unwritable(live)

    def client_media_arrived(self, recording_id: str) -> None:
        """A participant's first chunk is on disk: media, as good as that of the first journal."""
        live = self._recordings.get(recording_id)
        if live is not None and live.row.status == Status.STARTING:
            self._write_started(live, self._clock())

    def stop_when_written(self, live: Live, reason: EndReason) -> None:
        """Stops it, and again until that is written down. Returns at once."""
        if not live.stop_waits:
            live.stop_waits = True
            self._tasks.spawn(self._stop_at_last(live, reason))

    def _write_started(self, live: Live, at: datetime) -> None:
        self._tasks.spawn(self._until_written(live, partial(self._note_started, live, at)))

    async def _note_started(self, live: Live, at: datetime) -> None:
        async with live.lock:
            try:
                if live.row.status == Status.STARTING:
                    await self._finisher.step(live.row, Step.MEDIA_ON_DISK, started_at=at)
                elif live.row.started_at is None and live.row.status not in FINAL:
                    live.row = await self._catalog.recordings.update(live.row.id, started_at=at)
            except (RowNotFound, StatusConflict):
                await self._stopper.adopt(live)

    def _stop_unwritable(self, live: Live) -> None:
        low = self._space is not None and self._space.is_low()
        self.stop_when_written(live, EndReason.LOW_DISK if low else EndReason.WRITE_FAILED)

    async def _stop_at_last(self, live: Live, reason: EndReason) -> None:
        try:
            await self._until_written(live, partial(self._stop_if_live, live, reason))
        finally:
            live.stop_waits = False

    async def _stop_if_live(self, live: Live, reason: EndReason) -> None:
        if live.row.id in self._recordings:
            await self._stopper.stop(live, reason)

    async def _until_written(self, live: Live, write: Callable[[], Awaitable[None]]) -> None:
        async def note(setback: Setback) -> bool:
            text = "recording %s: its news wait for the catalog: %s"
            log.error(text if setback.waits else "recording %s: %s", live.row.id, setback.error)
            return setback.final

        await until_over(write, MEANINGS, note, sleep=self._sleep)
