"""The ledger of deliveries: every finished file until its object was read back and is at home."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Unpack

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.catalog.database import ConstraintViolated, Database
from storage.catalog.rows import DeliveryChanges, DeliveryRow, FileRow
from storage.catalog.status_table import compare_and_set
from storage.catalog.tables import deliveries, recording_files
from storage.errors import RowNotFound


class _NotThere(Exception):
    """Rolls a transaction back. Never leaves the module."""


class DeliveryRepository:
    """The table of deliveries. Every method is one transaction; all raise CatalogUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def enter(
        self, recording_id: str, files: Sequence[tuple[FileRow, str]], *, below: str = ""
    ) -> tuple[DeliveryRow, ...]:
        """Write down files and their local paths as `waiting`, due now, instead of what the
        recording had in the ledger, as far as its local paths begin with `below`.

        Raises BadValue when there is no such recording.
        """
        now = self._clock()
        rows = [
            DeliveryRow(file.id, recording_id, "waiting", path, file, 0, now, None, now)
            for file, path in files
        ]
        async with self._database.write() as connection:
            await connection.execute(
                delete(deliveries).where(
                    deliveries.c.recording_id == recording_id,
                    deliveries.c.path.startswith(below, autoescape=True),
                )
            )
            if rows:
                await connection.execute(insert(deliveries), [asdict(row) for row in rows])
        return tuple(rows)

    async def add(self, recording_id: str, file: FileRow, path: str) -> DeliveryRow:
        """One file more in `waiting`, due now; instead of its row if there is one.

        Raises BadValue when there is no such recording.
        """
        now = self._clock()
        row = DeliveryRow(file.id, recording_id, "waiting", path, file, 0, now, None, now)
        async with self._database.write() as connection:
            await connection.execute(delete(deliveries).where(deliveries.c.id == row.id))
            await connection.execute(insert(deliveries).values(asdict(row)))
        return row

    async def of(self, recording_id: str) -> tuple[DeliveryRow, ...]:
        """The recording's deliveries in the order of their local paths."""
        return await self._find(deliveries.c.recording_id == recording_id)

    async def in_states(self, states: Collection[str]) -> tuple[DeliveryRow, ...]:
        return await self._find(deliveries.c.state.in_(states))

    async def get(self, delivery_id: str) -> DeliveryRow | None:
        found = await self._find(deliveries.c.id == delivery_id)
        return found[0] if found else None

    async def update(
        self, delivery_id: str, expected_state: str, **changes: Unpack[DeliveryChanges]
    ) -> DeliveryRow:
        """Change columns if the state is the expected one. Raises RowNotFound, StatusConflict."""
        async with self._database.write() as connection:
            return await _update(connection, delivery_id, expected_state, changes)

    async def moved(
        self, delivery_id: str, expected_state: str, state: str, provider: str, due_at: datetime
    ) -> DeliveryRow:
        """The recording's file is at `provider` from now on; the ledger keeps where it was.

        Raises RowNotFound, also when the recording has no such file (any more), StatusConflict.
        """
        async with self._database.write() as connection:
            changes = DeliveryChanges(state=state, attempts=0, due_at=due_at, error=None)
            row = await _update(connection, delivery_id, expected_state, changes)
            changed = await connection.execute(
                update(recording_files)
                .where(recording_files.c.id == row.file.id)
                .values(provider=provider)
            )
            if not changed.rowcount:
                raise RowNotFound(f"there is no file {row.file.id!r}")
            return row

    async def move(
        self, recording_id: str, file: FileRow, provider: str, *, left_until: datetime | None
    ) -> bool:
        """The file, which was at `file.provider`, is at `provider` from now on. Compare-and-set:
        False, and nothing was changed, when it is there no more or the ledger has it.

        With `left_until` the ledger remembers, as `left` and without a local path, that the object
        at `file.provider` has to go, by then at the latest.
        """
        now = self._clock()
        row = DeliveryRow(file.id, recording_id, "left", "", file, 0, left_until or now, None, now)
        here = (
            recording_files.c.id == file.id,
            recording_files.c.provider == file.provider,
        )
        try:
            async with self._database.write() as connection:
                # first: it waits for, and fails after, the removal of the recording
                await connection.execute(insert(deliveries).values(asdict(row)))
                changed = await connection.execute(
                    update(recording_files).where(*here).values(provider=provider)
                )
                if not changed.rowcount:
                    raise _NotThere
                if left_until is None:
                    await connection.execute(delete(deliveries).where(deliveries.c.id == row.id))
        except (ConstraintViolated, _NotThere):
            return False
        return True

    async def hurry(self, recording_id: str | None = None) -> int:
        """Make what waits (of one recording, or all) due now; returns how many rows that are.

        Not what is `left`: it stays for as long as links to it are good.
        """
        conditions: list[ColumnElement[bool]] = [deliveries.c.state.in_(("waiting", "away"))]
        if recording_id is not None:
            conditions.append(deliveries.c.recording_id == recording_id)
        async with self._database.write() as connection:
            changed = await connection.execute(
                update(deliveries).where(*conditions).values(due_at=self._clock(), attempts=0)
            )
            return changed.rowcount

    async def strike(self, delivery_ids: Collection[str]) -> None:
        """Remove rows; those that are not there don't matter."""
        async with self._database.write() as connection:
            await connection.execute(delete(deliveries).where(deliveries.c.id.in_(delivery_ids)))

    async def counts(self) -> Mapping[str, int]:
        """How many deliveries there are in each state that has some."""
        statement = select(deliveries.c.state, func.count()).group_by(deliveries.c.state)
        async with self._database.read() as connection:
            rows = await connection.execute(statement)
            return {str(state): int(count) for state, count in rows}

    async def _find(self, condition: ColumnElement[bool]) -> tuple[DeliveryRow, ...]:
        order = (deliveries.c.created_at, deliveries.c.recording_id, deliveries.c.path)
        statement = select(deliveries).where(condition).order_by(*order)
        async with self._database.read() as connection:
            return tuple(map(_row, (await connection.execute(statement)).mappings()))


async def _update(
    connection: AsyncConnection, delivery_id: str, expected_state: str, changes: DeliveryChanges
) -> DeliveryRow:
    values: dict[str, Any] = {**changes}
    if "file" in changes:
        values["file"] = asdict(changes["file"])
    found = await compare_and_set(
        connection,
        deliveries,
        delivery_id,
        {expected_state},
        values,
        DeliveryChanges.__annotations__,
        status="state",
    )
    return _row(found)


def _row(values: Mapping[Any, Any]) -> DeliveryRow:
    return DeliveryRow(**{**values, "file": FileRow(**values["file"])})
