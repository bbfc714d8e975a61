"""What becomes of a file that came in: looked into, compared with those that are there, entered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from weakref import WeakValueDictionary

from recorder.depots import Depots
from recorder.media.inspection import Inspection
from recorder.media.objects import PICTURES, columns_of
from storage.catalog import MediaRow, UploadRow
from storage.catalog.media import MediaRepository


class Intake:
    """`thumbnails`: whether pictures are wanted of films."""

    def __init__(
        self,
        media: MediaRepository,
        depots: Depots,
        inspection: Inspection,
        clock: Callable[[], datetime],
        *,
        thumbnails: bool,
    ) -> None:
        self._media = media
        self._depots = depots
        self._inspection = inspection
        self._clock = clock
        self._thumbnails = thumbnails
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def admit(self, upload: UploadRow) -> MediaRow:
        """Looks into an object that is whole in its store and makes it the user's media file.

        The same upload again gives the same row. The row's id is `upload.metadata["mediaId"]`.

        Raises FileRefused for what can't be kept (the caller removes the object); JobPostponed and
        StorageError when it can't be told now, and the same call may work later.
        """
        media_id: str = upload.metadata["mediaId"]
        turn = self._turns.setdefault(media_id, asyncio.Lock())
        async with turn:
            row = await self._media.get(media_id)
            return row if row is not None else await self._enter(media_id, upload)

    async def _enter(self, media_id: str, upload: UploadRow) -> MediaRow:
        provider, key = upload.provider, upload.storage_key
        size = (await self._depots.store(provider).head(key)).size
        facts = await self._inspection.facts(provider, key, size, upload.filename)
        fingerprint, sha256 = await self._inspection.fingerprint(provider, key, size)
        alike = await self._media.alike(upload.user_id, sha256=sha256, fingerprint=fingerprint)
        wanted = self._thumbnails and facts.file_type == "video"
        row = MediaRow(
            id=media_id,
            user_id=upload.user_id,
            status="ready",
            filename=upload.filename,
            size=size,
            provider=provider,
            storage_key=key,
            sha256=sha256,
            fingerprint=fingerprint,
            duplicate_of=next((each.id for each in alike), None),
            tags=[],
            captions=[],
            derived=[{"role": PICTURES}] if wanted else [],
            renditions=[],
            attachments=[{"courseId": upload.course_id}] if upload.course_id else [],
            views=0,
            seconds_watched=0.0,
            error=None,
            created_at=self._clock(),
            deleted_at=None,
            **columns_of(facts),
        )
        return await self._media.create(row)
