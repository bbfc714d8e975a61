"""Composites that were asked for, each until it is a file of its recording, or never will be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Unpack

from sqlalchemy import insert

from storage.catalog.ids import new_render_id
from storage.catalog.rows import RenderChanges, RenderRow
from storage.catalog.status_table import StatusTable
from storage.catalog.tables import renders


class RenderRepository(StatusTable[RenderRow]):
    """The table of renders. Every method is one transaction; all raise CatalogUnavailable."""

    _table = renders
    _row = RenderRow
    _changeable = RenderChanges.__annotations__

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

    async def of(self, recording_id: str) -> tuple[RenderRow, ...]:
        """The recording's renders, oldest first."""
        return await self._find(renders.c.recording_id == recording_id)

    async def update(
        self, render_id: str, expected_status: Collection[str], **changes: Unpack[RenderChanges]
    ) -> RenderRow:
        """Change columns if the status is one of those expected. Compare-and-set.

        Raises RowNotFound, StatusConflict (nothing was changed), BadValue.
        """
        return await self._update(render_id, expected_status, changes)
