"""Calls: the sessions of a room, each from its first participant until the room is empty."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, insert, select, update

from storage.catalog.database import ConstraintViolated, Database
from storage.catalog.ids import new_call_id
from storage.catalog.rows import CallRow
from storage.catalog.tables import call_participants, calls
from storage.errors import CatalogUnavailable, RowNotFound

RACE_ATTEMPTS = 10


class CallRepository:
    """The table of calls. Every method raises CatalogUnavailable and BadValue."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def open(self, room: str) -> CallRow:
        """The running call of the room, or a new one. Of callers at the same time all get one."""
        for _ in range(RACE_ATTEMPTS):
            if (running := await self.current(room)) is not None:
                return running
            row = CallRow(new_call_id(), room, self._clock(), None, ())
            values = {"id": row.id, "room": room, "started_at": row.started_at}
            try:
                async with self._database.write() as connection:
                    await connection.execute(insert(calls).values(values))
            except ConstraintViolated:
                continue  # somebody else opened it just now; and may have ended it since
            return row
        raise CatalogUnavailable(f"the call of room {room!r} ends as fast as it is opened")

    async def current(self, room: str) -> CallRow | None:
        return await self._first((calls.c.room == room) & calls.c.ended_at.is_(None))

    async def get(self, call_id: str) -> CallRow | None:
        return await self._first(calls.c.id == call_id)

    async def end(self, call_id: str) -> CallRow:
        """Idempotent: the first end counts. Raises RowNotFound."""
        statement = (
            update(calls)
            .where(calls.c.id == call_id, calls.c.ended_at.is_(None))
            .values(ended_at=self._clock())
        )
        async with self._database.write() as connection:
            await connection.execute(statement)
        return await self._existing(call_id)

    async def add_participant(self, call_id: str, identity: str) -> CallRow:
        """Idempotent: the first join counts. Raises RowNotFound."""
        values = {"call_id": call_id, "identity": identity, "joined_at": self._clock()}
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(call_participants).values(values))
        except ConstraintViolated:
            pass  # known already, or there is no such call: the next line tells
        return await self._existing(call_id)

    async def end_all_running(self) -> tuple[str, ...]:
        """End what a dead process left running; returns the ids."""
        statement = (
            update(calls)
            .where(calls.c.ended_at.is_(None))
            .values(ended_at=self._clock())
            .returning(calls.c.id)
        )
        async with self._database.write() as connection:
            return tuple((await connection.scalars(statement)).all())

    async def _existing(self, call_id: str) -> CallRow:
        if (row := await self.get(call_id)) is None:
            raise RowNotFound(f"there is no call {call_id!r}")
        return row

    async def _first(self, condition: ColumnElement[Any]) -> CallRow | None:
        people = call_participants.c
        async with self._database.read() as connection:
            row = (await connection.execute(select(calls).where(condition))).mappings().first()
            if row is None:
                return None
            statement = (
                select(people.identity)
                .where(people.call_id == row["id"])
                .order_by(people.joined_at, people.identity)
            )
            return CallRow(**row, participants=tuple(await connection.scalars(statement)))
