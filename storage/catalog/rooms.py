"""What hosts have set for their rooms. What the settings are is the business of the floors above."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from storage.catalog.database import ConstraintViolated, Database
from storage.catalog.tables import room_settings

ATTEMPTS = 3  # two who set the same room for the first time


class RoomRepository:
    """The table of room settings. All methods raise CatalogUnavailable and BadValue."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def settings(self, room: str) -> dict[str, Any]:
        """What was set last; empty for a room that nobody has set anything for."""
        statement = select(room_settings.c.settings).where(room_settings.c.room == room)
        async with self._database.read() as connection:
            return dict(await connection.scalar(statement) or {})

    async def set(self, room: str, settings: Mapping[str, Any]) -> None:
        values = {"settings": dict(settings), "updated_at": self._clock()}
        chosen = room_settings.c.room == room
        for attempt in range(ATTEMPTS):
            try:
                async with self._database.write() as connection:
                    changed = await connection.execute(
                        update(room_settings).where(chosen).values(values)
                    )
                    if not changed.rowcount:
                        await connection.execute(insert(room_settings).values(room=room, **values))
                return
            except ConstraintViolated:
                if attempt + 1 == ATTEMPTS:
                    raise
