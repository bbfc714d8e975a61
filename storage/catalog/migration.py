"""Bring a database's tables to what this program expects: Alembic, run inside this process.

Alembic keeps its context in module globals, so let one `migrate` run at a time in a process.
Several processes may migrate one database together: the first does it, the others wait and find it
done. A migration that fails leaves the database as it was. Logging is not configured here.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.catalog.address import parse_address
from storage.catalog.database import Database
from storage.errors import CatalogTooNew, CatalogUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x6D65646961  # "media": PostgreSQL's lock for processes that migrate together


async def pending_migrations(url: str) -> tuple[str, ...]:
    """The revisions that `migrate` would apply, in order; a missing SQLite file is not made.

    Raises BadCatalogUrl, CatalogUnavailable, CatalogTooNew.
    """
    address = parse_address(url)
    if address.file is not None and not address.file.exists():
        return _revisions_after(())
    database = await Database.open(address)
    try:
        async with database.read() as connection:
            return await pending_on(connection)
    finally:
        await database.close()


async def migrate(url: str) -> tuple[str, ...]:
    """Bring the database to the newest revision, making it where it is a missing SQLite file.

    Returns the revisions that were applied, in order. Raises as `pending_migrations` does.
    """
    address = parse_address(url)
    database = await Database.open(address)
    try:
        async with database.write() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
            pending = await pending_on(connection)
            if pending:
                await connection.run_sync(_upgrade)
            return pending
    except ProgrammingError as error:
        raise CatalogUnavailable(
            f"migrating the database {address.shown} failed and changed nothing: {error.orig}"
        ) from error
    finally:
        await database.close()


async def pending_on(connection: AsyncConnection) -> tuple[str, ...]:
    """`pending_migrations` on an open connection. Raises CatalogTooNew."""
    return _revisions_after(await connection.run_sync(_applied))


def _applied(connection: Connection) -> tuple[str, ...]:
    return MigrationContext.configure(connection).get_current_heads()


def _revisions_after(applied: tuple[str, ...]) -> tuple[str, ...]:
    script = ScriptDirectory.from_config(_config())
    try:
        revisions = list(script.iterate_revisions("head", applied or "base"))
    except RevisionError as error:
        raise CatalogTooNew(
            f"the database is at revision {', '.join(applied)}, which this program doesn't know: "
            "it was used by a newer mediaserver; install that version again"
        ) from error
    return tuple(revision.revision for revision in reversed(revisions))


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
