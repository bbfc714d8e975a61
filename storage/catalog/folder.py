"""Which data folder a database belongs to: its journals are the other half of the truth."""

from __future__ import annotations

from sqlalchemy import delete, insert, select

from storage.catalog.database import Database
from storage.catalog.tables import data_folder


class FolderRepository:
    """The table of one row. All methods raise CatalogUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def identity(self) -> str | None:
        """None until a server was started with this database."""
        async with self._database.read() as connection:
            found: str | None = await connection.scalar(select(data_folder.c.id))
            return found

    async def set_identity(self, identity: str) -> None:
        """The database belongs to this folder from now on."""
        async with self._database.write() as connection:
            await connection.execute(delete(data_folder))
            await connection.execute(insert(data_folder).values(id=identity))
