"""What ends a recording although nobody asked: too long, no media, too little room.

`verdict` decides from plain facts; `Reaper.look` gathers them about everything that runs and ends what
has to end. It is a chore of a few seconds' pace, so limits that change meanwhile count at once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mediaserver.errors import MediaError
from recorder.diskspace import DiskSpace
from recorder.errors import RecorderError
from recorder.lifecycle import EndReason
from recorder.service import RecordingService
from storage.catalog import RecordingRow
from storage.errors import StorageError

AUTOMATIC = "automatic"
"""`started_by` of recordings that a room's settings ask for, and their option, which no token can
bring: those wait for media to come back.
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one room. None is without limit."""

    longest: timedelta | None = None
    no_media: timedelta | None = None


LimitsOf = Callable[[str], Awaitable[Limits]]


def verdict(
    row: RecordingRow, limits: Limits, last_media: datetime | None, now: datetime
) -> EndReason | None:
    """Why a recording has to end now, or None. `last_media` is when the latest media came."""
    began = row.started_at or row.created_at
    if limits.longest is not None and row.started_at and now - began >= limits.longest:
        return EndReason.MAX_DURATION
    if limits.no_media is None or row.options.get(AUTOMATIC):
        return None
    quiet_since = max(began, last_media) if last_media else began
    return EndReason.NO_MEDIA if now - quiet_since >= limits.no_media else None


class Reaper:
    """`limits_of` says what holds for a room; without its answer nothing ends for that. `spare` gives
    back the disk that others use and can do without; recordings end only if that was not enough.
    """

    def __init__(
        self,
        recordings: RecordingService,
        space: DiskSpace,
        limits_of: LimitsOf,
        *,
        clock: Callable[[], datetime],
        spare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._recordings = recordings
        self._space = space
        self._limits_of = limits_of
        self._clock = clock
        self._spare = spare

    async def look(self) -> None:
        running = self._recordings.running()
        if running and await self._exhausted():
            log.error("the disk is nearly full: all recordings end while they can be finished")
            for row in running:
                await self._end(row, EndReason.LOW_DISK)
            return
        for row in running:
            reason = await self._verdict(row)
            if reason is not None:
                await self._end(row, reason)

    async def _exhausted(self) -> bool:
        """Is there too little room, also without what can be spared?"""
        needed = await self._recordings.journal_bytes()
        if not self._space.exhausted(needed):
            return False
        if self._spare is None:
            return True
        await self._spare()
        return self._space.exhausted(needed)

    async def _verdict(self, row: RecordingRow) -> EndReason | None:
        try:
            limits = await self._limits_of(row.room)
            last = await self._recordings.last_media(row.id)
        except (MediaError, StorageError) as error:
            log.debug("recording %s is not judged now: %s", row.id, error)
            return None
        return verdict(row, limits, last, self._clock())

    async def _end(self, row: RecordingRow, reason: EndReason) -> None:
        log.info("recording %s ends: %s", row.id, reason)
        try:
            await self._recordings.stop(row.id, reason)
        except (RecorderError, StorageError) as error:
            log.error("recording %s could not be ended yet: %s", row.id, error)
