"""How an upload session begins: held against the limits, given a key, entered into the catalog."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from recorder.diskspace import DiskSpace
from recorder.errors import DiskLow, TooManyUploads
from recorder.object_keys import incoming_key, original_key
from recorder.uploads.limits import Announced, UploadLimits
from recorder.uploads.stores import UploadStores
from storage.catalog import UploadRow, new_media_id
from storage.catalog.uploads import UNDER_WAY, UploadRepository
from storage.errors import StorageError
from storage.objects import FormSigner, Multipart

Method = Literal["form", "multipart", "stream", "tus"]

SHORTEST_WAIT: Final = 5.0  # seconds that too many uploads are asked to wait, and the longest
LONGEST_WAIT: Final = 60.0


class Beginning:
    """New sessions go to `provider`. One at a time is counted and entered, so limits hold."""

    def __init__(
        self,
        rows: UploadRepository,
        stores: UploadStores,
        provider: str,
        clock: Callable[[], datetime],
        space: DiskSpace | None,
    ) -> None:
        self._rows = rows
        self._stores = stores
        self._provider = provider
        self._clock = clock
        self._space = space
        self._turn = asyncio.Lock()

    async def begin(
        self,
        limits: UploadLimits,
        user: str,
        file: Announced,
        *,
        course_id: str | None,
        method: Method | None,
        metadata: Mapping[str, Any],
    ) -> UploadRow:
        """`metadata["room"]` is the room whose guest the user may be, where there is one.

        Raises TooManyUploads, DiskLow, and what the store raises.
        """
        chosen = method or self._method(file.size, limits)
        self._check_space(chosen, file.size)
        row = await self._enter(limits, user, file, chosen, course_id, metadata)
        return await self._begin_parts(row) if chosen == "multipart" else row

    def _method(self, size: int, limits: UploadLimits) -> Method:
        signer = self._stores.signer(self._provider)
        if size > limits.largest_form:
            return "multipart" if isinstance(signer, Multipart) else "stream"
        return "form" if isinstance(signer, FormSigner) else "stream"

    def _check_space(self, method: Method, size: int) -> None:
        if self._space is None or not (self._provider == "local" or method == "tus"):
            return
        try:
            self._space.check(size)
        except DiskLow:
            raise DiskLow(
                f"there is too little room on the server's disk for a file of {size} bytes"
            ) from None

    async def _enter(
        self,
        limits: UploadLimits,
        user: str,
        file: Announced,
        method: Method,
        course_id: str | None,
        metadata: Mapping[str, Any],
    ) -> UploadRow:
        media_id = new_media_id()
        outlasting = method == "form" or (
            method == "multipart" and not self._stores.forgets_links(self._provider)
        )
        key = (incoming_key if outlasting else original_key)(media_id, file.extension)
        async with self._turn:
            await self._check_room(limits, metadata.get("room"))
            row = await self._rows.create(
                user_id=user,
                method=method,
                filename=file.filename,
                content_type=file.content_type,
                size=file.size,
                provider=self._provider,
                storage_key=key,
                expires_at=self._clock() + limits.timeout,
                part_size=limits.part_size(file.size) if method == "multipart" else None,
                course_id=course_id,
                metadata={**metadata, "mediaId": media_id, "extension": file.extension},
                at_most=limits.at_once,
            )
        if row is None:
            mine = await self._rows.of_user(user, UNDER_WAY)
            details = {"limit": limits.at_once, "underWay": [each.id for each in mine]}
            raise TooManyUploads(
                f"{limits.at_once} uploads are under way, more are not allowed"
                " (MAX_CONCURRENT_UPLOADS): complete or abort one",
                retry_after=self._wait(mine),
                details=details,
            )
        return row

    async def _check_room(self, limits: UploadLimits, room: str | None) -> None:
        """Whoever holds an invite can be as many guests as they like: these share a limit."""
        if room is None:
            return
        rows = [
            row for row in await self._rows.in_states(UNDER_WAY) if row.metadata.get("room") == room
        ]
        if len(rows) >= limits.at_once_in_room:
            raise TooManyUploads(
                f"{len(rows)} uploads of people in this room are under way, more are not allowed"
                " (MAX_CONCURRENT_UPLOADS): try again later",
                retry_after=self._wait(rows),
                details={"limit": limits.at_once_in_room, "room": room},
            )

    def _wait(self, rows: Sequence[UploadRow]) -> float:
        ends = [(row.expires_at - self._clock()).total_seconds() for row in rows]
        return min(max(min(ends, default=0.0), SHORTEST_WAIT), LONGEST_WAIT)

    async def _begin_parts(self, row: UploadRow) -> UploadRow:
        signer = self._stores.signer(row.provider)
        assert isinstance(signer, Multipart)
        try:
            upload_id = await signer.begin(row.storage_key, row.content_type)
        except StorageError:
            await self._rows.update(row.id, {"open"}, status="aborted", finished_at=self._clock())
            raise
        return await self._rows.update(row.id, {"open"}, upload_id=upload_id)
