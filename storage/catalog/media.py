"""The media library: files that users brought, their own until they delete them."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any, Unpack

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from storage.catalog.paging import check_page, equal, paged, total_of
from storage.catalog.rows import MediaChanges, MediaRow, Page
from storage.catalog.status_table import StatusTable
from storage.catalog.tables import media
from storage.errors import BadValue

ORDERS = {
    "newest": (media.c.created_at.desc(),),
    "oldest": (media.c.created_at,),
    "name": (func.lower(media.c.filename),),
    "largest": (media.c.size.desc(),),
    # what has no length yet comes last, in every database
    "longest": (media.c.duration_seconds.is_(None), media.c.duration_seconds.desc()),
}


class MediaRepository(StatusTable[MediaRow]):
    """The table of media files. Every method is one transaction; all raise CatalogUnavailable.

    A row that is deleted but not purged yet is found like any other, except by `find`.
    """

    _table = media
    _row = MediaRow
    _changeable = MediaChanges.__annotations__

    async def create(self, row: MediaRow) -> MediaRow:
        """Raises BadValue when its id is taken."""
        async with self._database.write() as connection:
            await connection.execute(insert(media).values(asdict(row)))
        return row

    async def find(
        self,
        *,
        user_id: str | None = None,
        file_type: str | None = None,
        status: str | None = None,
        tag: str | None = None,
        text: str | None = None,
        deleted: bool = False,
        deleted_since: datetime | None = None,
        order: str = "newest",
        page: int = 1,
        limit: int = 50,
    ) -> Page[MediaRow]:
        """In one of ORDERS; `text` is looked for in file names, whatever its case. Pages count from 1.
        Of those `deleted`, what was so before `deleted_since` is left out.

        Raises BadValue for an order, page or limit (1 to 1000) that can't be.
        """
        if order not in ORDERS:
            raise BadValue(f"`{order}` is not one of {', '.join(ORDERS)}")
        check_page(page, limit)
        table = media.c
        conditions = [
            table.deleted_at.is_not(None) if deleted else table.deleted_at.is_(None),
            *equal((table.user_id, user_id), (table.file_type, file_type), (table.status, status)),
        ]
        if deleted and deleted_since is not None:
            conditions.append(table.deleted_at >= deleted_since)
        if text and text.isascii():
            conditions.append(func.lower(table.filename).contains(text.lower(), autoescape=True))
        statement = select(media).where(*conditions).order_by(*ORDERS[order], table.id)
        # JSON is asked differently by each database, and few know what case is beyond ASCII
        told_here = tag is not None or not (text or "").isascii()
        async with self._database.read() as connection:
            if told_here:
                found = await _rows(connection, statement)
                rows = [row for row in found if _fits(row, tag, text)]
                first = (page - 1) * limit
                return Page(tuple(rows[first : first + limit]), len(rows))
            items = await _rows(connection, paged(statement, page, limit))
            return Page(tuple(items), await total_of(connection, statement))

    async def alike(
        self, user_id: str, *, sha256: str | None, fingerprint: str | None
    ) -> tuple[MediaRow, ...]:
        """The user's files, not deleted, with this hash, or with this fingerprint where a hash is
        not known. Oldest first.
        """
        table = media.c
        same: ColumnElement[bool] = table.fingerprint == fingerprint
        if sha256 is not None:
            same = (table.sha256 == sha256) | (same & table.sha256.is_(None))
        return await self._find(table.user_id == user_id, table.deleted_at.is_(None), same)

    async def purgeable(self, deleted_before: datetime) -> tuple[MediaRow, ...]:
        """What was deleted before that moment, oldest first."""
        return await self._find(media.c.deleted_at < deleted_before)

    async def update(
        self,
        media_id: str,
        expected_status: Collection[str] | None = None,
        **changes: Unpack[MediaChanges],
    ) -> MediaRow:
        """Change columns if the status is one of those expected (None: any). Compare-and-set.

        Raises RowNotFound, StatusConflict (nothing was changed), BadValue.
        """
        return await self._update(media_id, expected_status, changes)

    async def played(self, media_id: str, *, views: int, seconds: float) -> None:
        """Add to what was watched; nothing happens when there is no such file."""
        statement = update(media).where(media.c.id == media_id)
        async with self._database.write() as connection:
            await connection.execute(
                statement.values(
                    views=media.c.views + views,
                    seconds_watched=media.c.seconds_watched + seconds,
                )
            )

    async def delete(self, media_id: str) -> None:
        """Remove the row for good; nothing happens when there is none."""
        async with self._database.write() as connection:
            await connection.execute(delete(media).where(media.c.id == media_id))


def _fits(row: MediaRow, tag: str | None, text: str | None) -> bool:
    return (tag is None or tag in row.tags) and _folded(text or "") in _folded(row.filename)


def _folded(text: str) -> str:
    """Letters whatever their case, and whether their marks are separate (as in names of macOS)."""
    return unicodedata.normalize("NFC", text).casefold()


async def _rows(connection: Any, statement: Any) -> list[MediaRow]:
    return [MediaRow(**row) for row in (await connection.execute(statement)).mappings()]
