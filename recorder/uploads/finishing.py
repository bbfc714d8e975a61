"""From bytes in a store to a file of the media library, once, whoever asks and how often.

    open ── parts are there ──► finishing ── size is right, the library takes it ──► done
                                    └── of another size, or refused: all removed ──► failed

Each step can be done again, so what a killed process had begun is finished by the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from recorder.errors import (
    BadUpload,
    FileRefused,
    RecorderError,
    UploadDiffers,
    UploadError,
    UploadIncomplete,
    UploadOver,
)
from recorder.uploads.formats import UNKNOWN_TYPES, bare_type, format_of_type
from recorder.uploads.parts import Plan
from recorder.uploads.stores import UploadStores, kept_key
from storage.catalog import Catalog, MediaRow, UploadRow
from storage.errors import (
    BadParts,
    ObjectNotFound,
    StatusConflict,
    StorageError,
    UploadGone,
)
from storage.objects import Multipart, ObjectInfo, Part

OVER: Final = ("done", "failed", "aborted", "expired")
# Links are dead when a session is over; what was begun in time may still come in for a while.
SWEEP_AFTER: Final = timedelta(hours=1)
GIVE_UP_AFTER: Final = timedelta(days=1)
SWEEP_UNTIL: Final = timedelta(days=14)

Listener = Callable[[UploadRow], Awaitable[None]]

log = logging.getLogger(__name__)


class Admission(Protocol):
    """What the media library does for uploads."""

    async def admit(self, upload: UploadRow) -> MediaRow:
        """Take the object at `upload.storage_key` as media file `upload.metadata["mediaId"]`.

        Raises FileRefused for what it doesn't take; anything else is tried again.
        """
        ...


class Finisher:
    """`over` hears of each session that ends here."""

    def __init__(
        self,
        catalog: Catalog,
        stores: UploadStores,
        library: Admission,
        clock: Callable[[], datetime],
        over: Listener,
    ) -> None:
        self._rows = catalog.uploads
        self._media = catalog.media
        self._stores = stores
        self._library = library
        self._clock = clock
        self._over = over
        self._tasks: dict[str, asyncio.Task[MediaRow]] = {}

    async def finish(
        self, row: UploadRow, parts: Sequence[Part] | None = None, *, file: Path | None = None
    ) -> MediaRow:
        """`file` is put into the store first. A caller that is cancelled leaves the work going on.

        Whoever comes while it is under way gets the same answer.
        """
        task = self._tasks.get(row.id)
        if task is None:
            task = asyncio.create_task(self._finish(row.id, parts, file), name=f"finish {row.id}")
            self._tasks[row.id] = task
            task.add_done_callback(lambda ended: self._ended(row.id, ended))
        return await asyncio.shield(task)

    def is_at(self, session_id: str) -> bool:
        """Is this session being finished just now?"""
        return session_id in self._tasks

    async def resume(self) -> None:
        """Finish what a killed process, or a store that was away, left in the middle."""
        for row in await self._rows.in_states({"finishing"}):
            if row.id in self._tasks:
                continue
            try:
                await self.finish(row)
            except (RecorderError, StorageError) as error:
                log.warning("upload %s is not finished yet: %s", row.id, error)
                if self._clock() > row.expires_at + GIVE_UP_AFTER:
                    await self._refuse(
                        row,
                        UploadDiffers(f"it could not be finished: {error}", code="not_finished"),
                    )

    async def sweep(self) -> None:
        """Remove once more what sessions brought that are over: it may have come late. Of those that
        are done, what was copied. After `SWEEP_UNTIL` nobody remembers the session.
        """
        now = self._clock()
        await self._rows.forget(OVER, now - SWEEP_UNTIL)
        for row in await self._rows.ended(OVER, now - SWEEP_UNTIL, now - SWEEP_AFTER):
            if "swept" in row.metadata:
                continue
            if row.status != "done":
                swept = await self._stores.remove(row)
            else:
                swept = await self._remove_incoming(row)
            if swept:
                await self._rows.update(
                    row.id, {row.status}, metadata={**row.metadata, "swept": True}
                )

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- the steps --------------------------------------------------------------------------------

    async def _finish(
        self, session_id: str, parts: Sequence[Part] | None, file: Path | None
    ) -> MediaRow:
        row = await self._rows.get(session_id)
        match row:
            case None:
                raise UploadOver("the upload session is gone")
            case UploadRow(status="done"):
                return await self._done(row)
            case UploadRow(status="failed"):
                raise _told_before(row)
            case UploadRow(status="aborted" | "expired"):
                raise UploadOver(
                    f"the upload session is {row.status}", details={"status": row.status}
                )
            case UploadRow(status="open"):
                row = await self._settle(row, parts, file)
        try:
            return await self._admit(row)
        except (UploadDiffers, FileRefused) as refusal:
            await self._refuse(row, refusal)
            raise

    async def _settle(
        self, row: UploadRow, parts: Sequence[Part] | None, file: Path | None
    ) -> UploadRow:
        """See that all has come; from then on the client has no say. Raises UploadIncomplete."""
        metadata = row.metadata
        if row.method == "multipart":
            chosen = await self._all_parts(row, parts)
            listed = [[part.number, part.etag, part.size] for part in chosen]
            metadata = {**metadata, "parts": listed}
        elif file is not None:
            await self._stores.store(row.provider).put_file(row.storage_key, file, row.content_type)
        else:
            await self._head(row)
        try:
            return await self._rows.update(row.id, {"open"}, status="finishing", metadata=metadata)
        except StatusConflict as conflict:
            if file is not None:
                await self._stores.remove(row)
            raise UploadOver(f"the upload session is {conflict.status}") from None

    async def _all_parts(self, row: UploadRow, given: Sequence[Part] | None) -> tuple[Part, ...]:
        """The parts as the store has them, or as the client says where the store can't tell."""
        assert row.part_size is not None
        plan = Plan(row.size, row.part_size)
        plan.check_named(given or ())
        try:
            listed = await self._stores.parts(row)
        except UploadGone:
            raise UploadOver("the store has given up this upload: begin anew") from None
        if listed is None:
            if not given or not all(part.etag for part in given):
                raise BadUpload(
                    "`parts` has to name each part with the etag of the store's answer",
                    code="bad_parts",
                )
            return tuple(
                replace(part, size=plan.size_of(part.number)) for part in plan.check(given)
            )
        chosen = plan.check(listed)
        known = {part.number: _bare(part.etag) for part in chosen}
        for part in given or ():
            if part.etag and known.get(part.number) != _bare(part.etag):
                raise BadUpload(
                    f"part {part.number} in the store has another etag", code="bad_parts"
                )
        return chosen

    async def _admit(self, row: UploadRow) -> MediaRow:
        media = await self._media.get(row.metadata["mediaId"])
        if media is None:
            info = await self._assembled(row) if row.method == "multipart" else None
            _see_it_fits(row, info or await self._head(row))
            kept = kept_key(row)
            if kept != row.storage_key:
                _see_it_fits(
                    row, await self._stores.store(row.provider).copy(row.storage_key, kept)
                )
            media = await self._library.admit(replace(row, storage_key=kept))
        row = await self._rows.update(
            row.id,
            {"finishing"},
            status="done",
            media_id=media.id,
            received=row.size,
            finished_at=self._clock(),
        )
        await self._over(row)
        return media

    async def _assembled(self, row: UploadRow) -> ObjectInfo:
        signer = self._stores.signer(row.provider)
        assert isinstance(signer, Multipart)
        assert row.upload_id is not None
        parts = [Part(*each) for each in row.metadata["parts"]]
        try:
            return await signer.complete(row.storage_key, row.upload_id, parts)
        except (BadParts, UploadGone) as error:
            # one that was completed by a process that then died is told by its object
            if (found := await self._found(row)) is not None:
                return found
            if isinstance(error, UploadGone):
                raise UploadDiffers(
                    "the store has given up this upload: begin anew", code="upload_gone"
                ) from None
            await self._rows.update(row.id, {"finishing"}, status="open")
            raise BadUpload(f"the store refuses the parts: {error}", code="bad_parts") from None

    async def _found(self, row: UploadRow) -> ObjectInfo | None:
        try:
            return await self._stores.store(row.provider).head(row.storage_key)
        except ObjectNotFound:
            return None

    async def _head(self, row: UploadRow) -> ObjectInfo:
        found = await self._found(row)
        if found is None:
            raise UploadIncomplete("the file has not arrived: send it, then complete")
        return found

    async def _done(self, row: UploadRow) -> MediaRow:
        media = await self._media.get(row.media_id or "")
        if media is None:
            raise UploadOver("the media file that came of this upload was deleted")
        return media

    async def _refuse(self, row: UploadRow, refusal: UploadError) -> None:
        log.info("upload %s is refused: %s", row.id, refusal)
        await self._stores.remove(row)
        row = await self._rows.update(
            row.id,
            {"finishing"},
            status="failed",
            error=_written(refusal),
            finished_at=self._clock(),
        )
        await self._over(row)

    async def _remove_incoming(self, row: UploadRow) -> bool:
        if row.storage_key == kept_key(row):
            return True
        try:
            await self._stores.store(row.provider).delete(row.storage_key)
        except StorageError as error:
            log.warning("the incoming object of upload %s is still there: %s", row.id, error)
            return False
        return True

    def _ended(self, session_id: str, task: asyncio.Task[MediaRow]) -> None:
        self._tasks.pop(session_id, None)
        if not task.cancelled():
            task.exception()  # told to whoever waited, if anybody still did


def _see_it_fits(row: UploadRow, info: ObjectInfo) -> None:
    """Raises UploadDiffers unless the object is what was announced."""
    if info.size != row.size:
        raise UploadDiffers(
            f"{row.size} bytes were announced and {info.size} came: nothing is kept",
            details={"announcedBytes": row.size, "receivedBytes": info.size},
        )
    kind = bare_type(info.content_type)
    if kind not in UNKNOWN_TYPES and format_of_type(kind) is None:
        raise UploadDiffers(
            f"{row.content_type} was announced and {kind[:80]} came: nothing is kept",
            code="content_type_mismatch",
        )


def _written(refusal: UploadError) -> dict[str, Any]:
    return {
        "code": refusal.code,
        "message": str(refusal),
        "details": dict(refusal.details or {}),
        "status": getattr(refusal, "status", None),
    }


def _told_before(row: UploadRow) -> UploadError:
    """The refusal that ended this session."""
    said = row.error or {}
    code, message = said.get("code", "upload_error"), said.get("message", "the upload failed")
    details = said.get("details") or None
    if said.get("status"):
        return FileRefused(message, code=code, status=said["status"], details=details)
    return UploadDiffers(message, code=code, details=details)


def _bare(etag: str) -> str:
    return etag.strip().removeprefix("W/").strip('"').lower()
