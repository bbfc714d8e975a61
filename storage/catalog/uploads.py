"""Upload sessions: files on their way into a store by their users."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Unpack

from sqlalchemy import delete, func, insert, select

from storage.catalog.ids import new_upload_id
from storage.catalog.rows import UploadChanges, UploadRow
from storage.catalog.status_table import StatusTable
from storage.catalog.tables import uploads

UNDER_WAY = ("open", "finishing")


class UploadRepository(StatusTable[UploadRow]):
    """The table of uploads. Every method is one transaction; all raise CatalogUnavailable."""

    _table = uploads
    _row = UploadRow
    _changeable = UploadChanges.__annotations__

    async def create(
        self,
        *,
        user_id: str,
        method: str,
        filename: str,
        content_type: str,
        size: int,
        provider: str,
        storage_key: str,
        expires_at: datetime,
        id: str | None = None,
        upload_id: str | None = None,
        part_size: int | None = None,
        course_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        at_most: int | None = None,
    ) -> UploadRow | None:
        """A new row in `open`; None, and nothing is there, when the user has `at_most` under way."""
        row = UploadRow(
            id=id or new_upload_id(),
            user_id=user_id,
            status="open",
            method=method,
            filename=filename,
            content_type=content_type,
            size=size,
            received=0,
            provider=provider,
            storage_key=storage_key,
            upload_id=upload_id,
            part_size=part_size,
            course_id=course_id,
            metadata=dict(metadata or {}),
            media_id=None,
            error=None,
            created_at=self._clock(),
            expires_at=expires_at,
            finished_at=None,
        )
        mine = select(func.count()).where(
            uploads.c.user_id == user_id, uploads.c.status.in_(UNDER_WAY)
        )
        async with self._database.write() as connection:
            if at_most is not None and int(await connection.scalar(mine) or 0) >= at_most:
                return None
            await connection.execute(insert(uploads).values(asdict(row)))
        return row

    async def of_user(self, user_id: str, statuses: Collection[str]) -> tuple[UploadRow, ...]:
        """Oldest first."""
        return await self._find(uploads.c.user_id == user_id, uploads.c.status.in_(statuses))

    async def expired(self, now: datetime) -> tuple[UploadRow, ...]:
        """What is `open` and should be over by `now`, oldest first."""
        return await self._find(uploads.c.status == "open", uploads.c.expires_at <= now)

    async def ended(
        self, statuses: Collection[str], after: datetime, before: datetime
    ) -> tuple[UploadRow, ...]:
        """What is in one of these and would have expired between two moments, oldest first."""
        return await self._find(
            uploads.c.status.in_(statuses),
            uploads.c.expires_at >= after,
            uploads.c.expires_at < before,
        )

    async def forget(self, statuses: Collection[str], before: datetime) -> int:
        """Remove what is in one of these and would have expired before that moment; how many."""
        gone = delete(uploads).where(uploads.c.status.in_(statuses), uploads.c.expires_at < before)
        async with self._database.write() as connection:
            return (await connection.execute(gone)).rowcount

    async def update(
        self,
        session_id: str,
        expected_status: Collection[str] | None,
        **changes: Unpack[UploadChanges],
    ) -> UploadRow:
        """Change columns if the status is one of those expected (None: any). Compare-and-set.

        Raises RowNotFound, StatusConflict (nothing was changed), BadValue.
        """
        return await self._update(session_id, expected_status, changes)
