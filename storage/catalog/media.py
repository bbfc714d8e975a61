"""The media library: files that users brought, their own until they delete them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any, Unpack

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from storage.catalog.compare_and_set import compare_and_set
from storage.catalog.database import Database
from storage.catalog.rows import MediaChanges, MediaRow, Page
from storage.catalog.tables import media
from storage.errors import BadValue

MAX_PAGE_SIZE = 1000
ORDERS = {
    "newest": (media.c.created_at.desc(),),
    "oldest": (media.c.created_at,),
    "name": (func.lower(media.c.filename),),
    "largest": (media.c.size.desc(),),
    # what has no length yet comes last, in every database
    "longest": (media.c.duration_seconds.is_(None), media.c.duration_seconds.desc()),
}


class MediaRepository:
    """The table of media files. Every method is one transaction; all raise CatalogUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def create(self, row: MediaRow) -> MediaRow:
        """Raises BadValue when its id is taken."""
        async with self._database.write() as connection:
            await connection.execute(insert(media).values(asdict(row)))
        return row

    async def get(self, media_id: str) -> MediaRow | None:
        """Also one that is deleted but not purged yet."""
        found = await self._find(media.c.id == media_id)
        return found[0] if found else None

    async def find(
        self,
        *,
        user_id: str | None = None,
        file_type: str | None = None,
        status: str | None = None,
        tag: str | None = None,
        text: str | None = None,
        deleted: bool = False,
        order: str = "newest",
        page: int = 1,
        limit: int = 50,
    ) -> Page[MediaRow]:
        """In one of ORDERS; `text` is looked for in file names, whatever its case. Pages count from 1.

        Raises BadValue for an order, page or limit (1 to 1000) that can't be.
        """
        if order not in ORDERS:
            raise BadValue(f"`{order}` is not one of {', '.join(ORDERS)}")
        if page < 1 or not 1 <= limit <= MAX_PAGE_SIZE:
            raise BadValue(f"page {page} of {limit} is not possible")
        table = media.c
        conditions: list[ColumnElement[bool]] = [
            table.deleted_at.is_not(None) if deleted else table.deleted_at.is_(None)
        ]
        if user_id is not None:
            conditions.append(table.user_id == user_id)
        if file_type is not None:
            conditions.append(table.file_type == file_type)
        if status is not None:
            conditions.append(table.status == status)
        if text:
            conditions.append(func.lower(table.filename).contains(text.lower(), autoescape=True))
        statement = select(media).where(*conditions).order_by(*ORDERS[order], table.id)
        async with self._database.read() as connection:
            if tag is not None:  # JSON is asked differently by each database, and tags are few
                rows = [row for row in await _rows(connection, statement) if tag in row.tags]
                first = (page - 1) * limit
                return Page(tuple(rows[first : first + limit]), len(rows))
            total = await connection.scalar(select(func.count()).select_from(statement.subquery()))
            chosen = statement.limit(limit).offset((page - 1) * limit)
            return Page(tuple(await _rows(connection, chosen)), total or 0)

    async def in_states(self, statuses: Collection[str]) -> tuple[MediaRow, ...]:
        """Oldest first, deleted ones too."""
        return await self._find(media.c.status.in_(statuses))

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
        found = await compare_and_set(
            self._database, media, media_id, expected_status, changes, MediaChanges.__annotations__
        )
        return MediaRow(**found)

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

    async def _find(self, *conditions: Any) -> tuple[MediaRow, ...]:
        statement = select(media).where(*conditions).order_by(media.c.created_at, media.c.id)
        async with self._database.read() as connection:
            return tuple(await _rows(connection, statement))


async def _rows(connection: Any, statement: Any) -> list[MediaRow]:
    return [MediaRow(**row) for row in (await connection.execute(statement)).mappings()]
