"""Tables whose rows have a status, and the one way statuses move: compare and set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, RowMapping, Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.catalog.database import Database
from storage.errors import BadValue, RowNotFound, StatusConflict

Row = TypeVar("Row")


class StatusTable(Generic[Row]):
    """What repositories of rows with `id`, `status` and `created_at` share: each names its table,
    the dataclass of its rows, and the columns that may change. All methods raise CatalogUnavailable.
    """

    _table: Table
    _row: Callable[..., Row]
    _changeable: Collection[str]

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def get(self, row_id: str) -> Row | None:
        return await self._first(self._table.c.id == row_id)

    async def in_states(self, statuses: Collection[str]) -> tuple[Row, ...]:
        """Oldest first."""
        return await self._find(self._table.c.status.in_(statuses))

    async def _first(self, *conditions: ColumnElement[bool]) -> Row | None:
        found = await self._find(*conditions)
        return found[0] if found else None

    async def _find(self, *conditions: ColumnElement[bool]) -> tuple[Row, ...]:
        """Oldest first."""
        order = (self._table.c.created_at, self._table.c.id)
        statement = select(self._table).where(*conditions).order_by(*order)
        async with self._database.read() as connection:
            found = (await connection.execute(statement)).mappings()
            return tuple(self._row(**values) for values in found)

    async def _update(
        self, row_id: str, expected: Collection[str] | None, changes: Mapping[str, Any]
    ) -> Row:
        """The row after `changes`; subclasses name and type them. Raises as `compare_and_set` does."""
        async with self._database.write() as connection:
            found = await compare_and_set(
                connection, self._table, row_id, expected, changes, self._changeable
            )
        return self._row(**found)


async def compare_and_set(
    connection: AsyncConnection,
    table: Table,
    row_id: str,
    expected: Collection[str] | None,
    changes: Mapping[str, Any],
    changeable: Collection[str],
    *,
    status: str = "status",
) -> RowMapping:
    """The row after `changes` to columns that are `changeable`, if its column `status` is one of
    those expected (None: any); without changes it is a comparison only.

    Raises RowNotFound, StatusConflict (nothing was changed), BadValue.
    """
    if unknown := sorted(changes.keys() - set(changeable)):
        raise BadValue(f"the table of {table.name} has no column {unknown[0]!r} that may be set")
    chosen = table.c.id == row_id
    statement = update(table).where(chosen).values({status: table.c[status], **changes})
    if expected is not None:
        statement = statement.where(table.c[status].in_(expected))
    changed = await connection.execute(statement)
    found = (await connection.execute(select(table).where(chosen))).mappings().first()
    if found is None:
        raise RowNotFound(f"there is no row {row_id!r} in the table of {table.name}")
    if not changed.rowcount:
        raise StatusConflict(f"{row_id} is {found[status]}", found[status])
    return found
