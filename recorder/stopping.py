"""How live recordings end: media first, then the row, whatever others did to it meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from recorder.being_finished import BeingFinished
from recorder.capture import Capture
from recorder.chunks.copies import ClientCopies
from recorder.errors import UnknownRecording
from recorder.finishing import NO_MEDIA, Finisher
from recorder.lifecycle import ACTIVE, END_REASON, FINAL, EndReason, Status, Step
from recorder.live_recordings import CLIENT_MODE, Live, LiveRecordings
from storage.catalog import Catalog, RecordingRow
from storage.errors import CatalogUnavailable, RowNotFound, StatusConflict

log = logging.getLogger(__name__)


class Stopper:
    """All raise UnknownRecording where the row is gone, and what the catalog raises."""

    def __init__(
        self,
        catalog: Catalog,
        capture: Capture,
        recordings: LiveRecordings,
        finisher: Finisher,
        finishing: BeingFinished,
        copies: ClientCopies | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._catalog = catalog
        self._capture = capture
        self._recordings = recordings
        self._finisher = finisher
        self._finishing = finishing
        self._copies = copies
        self._clock = clock

    async def stop(self, live: Live, reason: EndReason) -> RecordingRow:
        """Back when its journals are closed and the row says so. The first `reason` counts."""
        async with live.lock:
            if live.row.status not in ACTIVE:
                return live.row
            live.end_reason = live.end_reason or reason
            had_media = await self._end_media(live)
            while True:
                try:
                    return await self._note_stopped(live, had_media=had_media)
                except (RowNotFound, StatusConflict):
                    await self.adopt(live)
                    if live.row.status not in ACTIVE:
                        return live.row

    async def give_up(self, live: Live, reason: str) -> RecordingRow:
        """It has no media, and will not have any: `failed`, for this reason. Its lock is held."""
        row = await self._finisher.step(
            live.row,
            Step.GAVE_UP,
            error=reason,
            stopped_at=self._clock(),
            metadata=await self._ended(live),
        )
        await self._capture.discard_empty(row.id)
        return row

    async def adopt(self, live: Live) -> None:
        """Believes the catalog about a recording that is not what it was here.

        Somebody else changed it, or an answer of the database was lost on the way.
        """
        row = await self._catalog.recordings.get(live.row.id)
        gone = row is None
        live.row = row or replace(live.row, status=Status.FAILED)
        log.warning("recording %s is %s", live.row.id, "gone" if gone else live.row.status)
        self._recordings.changed(live.row)
        if gone:
            raise UnknownRecording(f"recording {live.row.id} is gone")
        if live.row.status not in ACTIVE | FINAL:
            self._finish_soon(live)

    async def _end_media(self, live: Live) -> bool:
        """True when there is media on disk, or a participant is about to send some."""
        recording_id = live.row.id
        if live.row.mode != CLIENT_MODE and await self._capture.stop(recording_id):
            return True
        return self._copies is not None and await self._copies.expected(recording_id)

    async def _note_stopped(self, live: Live, *, had_media: bool) -> RecordingRow:
        now = self._clock()
        if had_media:
            live.row = await self._finisher.step(
                live.row, Step.STOPPED, stopped_at=now, metadata=await self._ended(live)
            )
            self._finish_soon(live)
            return live.row
        return await self.give_up(live, "; ".join(live.progress.faults) or NO_MEDIA)

    async def _ended(self, live: Live) -> dict[str, Any]:
        """The metadata of a recording that ends now, with what others wrote there while it ran."""
        present = live.row
        with suppress(CatalogUnavailable):  # the change that follows meets it too, and is repeated
            present = await self._catalog.recordings.get(live.row.id) or present
        known = {END_REASON: str(live.end_reason)} if live.end_reason else {}
        return {**present.metadata, **known}

    def _finish_soon(self, live: Live) -> None:
        self._finishing.claim(live.row.id, live.progress)
        self._finishing.begin(live.row.id)
