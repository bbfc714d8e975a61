"""Changing one row if its status is what the caller believes: the one way states move."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import RowMapping, Table, select, update

from storage.catalog.database import Database
from storage.errors import BadValue, RowNotFound, StatusConflict


async def compare_and_set(
    database: Database,
    table: Table,
    row_id: str,
    expected_status: Collection[str] | None,
    changes: Mapping[str, Any],
    allowed: Collection[str],
) -> RowMapping:
    """The row after `changes`, made in one transaction if its status is one of those expected (None:
    any); without changes it is a comparison only. `allowed` are the columns that may change.

    Raises RowNotFound, StatusConflict (nothing was changed), BadValue, CatalogUnavailable.
    """
    if unknown := sorted(changes.keys() - set(allowed)):
        raise BadValue(f"the table of {table.name} has no column {unknown[0]!r} that may be set")
    chosen = table.c.id == row_id
    statement = update(table).where(chosen).values({"status": table.c.status, **changes})
    if expected_status is not None:
        statement = statement.where(table.c.status.in_(expected_status))
    async with database.write() as connection:
        changed = await connection.execute(statement)
        found = (await connection.execute(select(table).where(chosen))).mappings().first()
    if found is None:
        raise RowNotFound(f"there is no row {row_id!r} in the table of {table.name}")
    if not changed.rowcount:
        raise StatusConflict(f"{row_id} is {found['status']}", found["status"])
    return found
