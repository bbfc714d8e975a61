"""What the media plane does for recordings: starts and stops that leave nothing half done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mediaserver.errors import MediaError, WorkerGone
from mediaserver.facade import RecordingPlane
from mediaserver.messages import EVERY_KIND, Kind, RecordingId, RoomId
from recorder.journals import discard_empty, journal_bytes, make_folder
from storage.catalog import RecordingRow

START_PATIENCE = 4.0  # seconds; R5 allows a start 5

log = logging.getLogger(__name__)


class Capture:
    """Journals of recordings, below `root`."""

    def __init__(self, media: RecordingPlane, root: Path) -> None:
        self._media = media
        self._root = root
        self._undoing: set[asyncio.Task[None]] = set()

    def folder(self, recording_id: str) -> Path:
        return self._root / recording_id

    async def start(self, row: RecordingRow) -> None:
        """Raises MediaError, OSError; then nothing is recorded, also if the worker was only late."""
        folder, recording = self.folder(row.id), RecordingId(row.id)
        await asyncio.to_thread(make_folder, folder, folder.parent.parent)
        try:
            async with asyncio.timeout(START_PATIENCE):
                await self._media.start_recording(
                    RoomId(row.room), recording, folder, _kinds(row.options)
                )
        except TimeoutError:
            self._undo(recording)
            raise WorkerGone("the media plane does not answer") from None
        except MediaError:
            self._undo(recording)
            raise

    async def stop(self, recording_id: str) -> bool:
        """True when there is media on disk. A media plane in trouble leaves that to the disk."""
        try:
            had_media = await self._media.stop_recording(RecordingId(recording_id))
        except MediaError as error:
            log.warning("recording %s: %s", recording_id, error)
            had_media = False
        return had_media or bool(await self.bytes_of(recording_id))

    async def last_media(self, recording_id: str) -> datetime | None:
        """When the latest media on disk came; None before the first. Raises MediaError."""
        last_us = await self._media.last_media(RecordingId(recording_id))
        return None if last_us is None else datetime.fromtimestamp(last_us / 1e6, UTC)

    async def bytes_of(self, *recording_ids: str) -> int:
        """The size of all their journals."""
        folders = [self.folder(each) for each in recording_ids]
        return await asyncio.to_thread(lambda: sum(map(journal_bytes, folders)))

    async def discard_empty(self, recording_id: str) -> None:
        """Removes the folder of a recording without media."""
        await asyncio.to_thread(discard_empty, self.folder(recording_id))

    async def close(self) -> None:
        for task in self._undoing:
            task.cancel()
        await asyncio.gather(*self._undoing, return_exceptions=True)

    def _undo(self, recording: RecordingId) -> None:
        async def undo() -> None:
            with suppress(MediaError):  # gone, and its recordings with it
                await self._media.stop_recording(recording)
            await self.discard_empty(recording)

        task = asyncio.get_running_loop().create_task(undo())
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)


def _kinds(options: Mapping[str, Any]) -> frozenset[Kind]:
    return frozenset({"audio"}) if options.get("audioOnly") else EVERY_KIND
