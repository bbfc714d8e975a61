"""Invites: who holds a room's secret code may join. Only hashes of codes are kept."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, or_, select, update

from storage.catalog.database import Database
from storage.catalog.rows import InviteRow
from storage.catalog.tables import invites
from storage.errors import InviteExpired, InviteUnknown, InviteUsedUp


class InviteRepository:
    """The table of invites. Every method raises CatalogUnavailable and BadValue."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        *,
        code_hash: str,
        room: str,
        role: str,
        expires_at: datetime,
        created_by: str,
        max_uses: int | None = None,
    ) -> InviteRow:
        """Raises BadValue also for a hash that is there already and a `max_uses` below 1."""
        values = {
            "code_hash": code_hash,
            "room": room,
            "role": role,
            "expires_at": expires_at,
            "max_uses": max_uses,
            "uses": 0,
            "created_by": created_by,
        }
        async with self._database.write() as connection:
            statement = insert(invites).values(values).returning(invites)
            row = (await connection.execute(statement)).mappings().one()
        return InviteRow(**row)

    async def redeem(self, code_hash: str, now: datetime) -> InviteRow:
        """Count one use; atomic, so `max_uses` holds against any number of callers at once.

        An invite is good until just before `expires_at`. Raises InviteUnknown, InviteExpired,
        InviteUsedUp.
        """
        table = invites.c
        statement = (
            update(invites)
            .where(
                table.code_hash == code_hash,
                table.expires_at > now,
                or_(table.max_uses.is_(None), table.uses < table.max_uses),
            )
            .values(uses=table.uses + 1)
            .returning(invites)
        )
        async with self._database.write() as connection:
            row = (await connection.execute(statement)).mappings().first()
            if row is not None:
                return InviteRow(**row)
            expiry = await connection.scalar(
                select(table.expires_at).where(table.code_hash == code_hash)
            )
        if expiry is None:
            raise InviteUnknown("no invite has this code")
        if expiry <= now:
            raise InviteExpired(f"this invite was good until {expiry.isoformat()}")
        raise InviteUsedUp("this invite was used as often as it may be")
