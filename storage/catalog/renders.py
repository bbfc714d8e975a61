"""Composites that were asked for, each until it is a file of its recording, or never will be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Unpack

from sqlalchemy import insert, select

from storage.catalog.compare_and_set import compare_and_set
from storage.catalog.database import Database
from storage.catalog.ids import new_render_id
from storage.catalog.rows import RenderChanges, RenderRow
from storage.catalog.tables import renders


class RenderRepository:
    """The table of renders. Every method is one transaction; all raise CatalogUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def create(
        self, recording_id: str, options: Mapping[str, Any], requested_by: str
    ) -> RenderRow:
        """A new row in "queued". Raises BadValue when there is no such recording."""
        row = RenderRow(
            id=new_render_id(),
            recording_id=recording_id,
            status="queued",
            options=dict(options),
            requested_by=requested_by,
            progress=0.0,
            error=None,
            file_id=None,
            created_at=self._clock(),
            finished_at=None,
        )
        values = {name: getattr(row, name) for name in RenderRow.__slots__}
        async with self._database.write() as connection:
            await connection.execute(insert(renders).values(values))
        return row

    async def get(self, render_id: str) -> RenderRow | None:
        statement = select(renders).where(renders.c.id == render_id)
        async with self._database.read() as connection:
            found = (await connection.execute(statement)).mappings().first()
            return RenderRow(**found) if found else None

    async def of(self, recording_id: str) -> tuple[RenderRow, ...]:
        """The recording's renders, oldest first."""
        return await self._find(renders.c.recording_id == recording_id)

    async def in_states(self, statuses: Collection[str]) -> tuple[RenderRow, ...]:
        """Oldest first."""
        return await self._find(renders.c.status.in_(statuses))

    async def update(
        self, render_id: str, expected_status: Collection[str], **changes: Unpack[RenderChanges]
    ) -> RenderRow:
        """Change columns if the status is one of those expected. Compare-and-set.

        Raises RowNotFound, StatusConflict (nothing was changed), BadValue.
        """
        found = await compare_and_set(
            self._database,
            renders,
            render_id,
            expected_status,
            changes,
            RenderChanges.__annotations__,
        )
        return RenderRow(**found)

    async def _find(self, condition: Any) -> tuple[RenderRow, ...]:
        statement = select(renders).where(condition).order_by(renders.c.created_at, renders.c.id)
        async with self._database.read() as connection:
            found = (await connection.execute(statement)).mappings()
            return tuple(RenderRow(**row) for row in found)
