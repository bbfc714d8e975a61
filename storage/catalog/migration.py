"""Bring a database's tables to what this program expects.

A new database is made at once as `storage.catalog.tables` describes it, an older one goes through
the migrations (`storage.catalog.upgrading`): Alembic is imported only for that, it would be a large part
of every start. Tests hold that both ways lead to the same database.

Several processes may migrate one database together: the first does it, the others wait and find it
done. A migration that fails leaves the database as it was. Logging is not configured here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.catalog.address import parse_address
from storage.catalog.database import Database
from storage.catalog.tables import metadata
from storage.errors import CatalogTooNew, CatalogUnavailable

MIGRATIONS: Final = Path(__file__).parent / "migrations"
REVISIONS: Final = tuple(sorted(path.stem[1:5] for path in MIGRATIONS.glob("versions/r[0-9]*.py")))
"""Every revision in order; `r0001_what_it_is.py` is revision 0001."""

ADVISORY_LOCK: Final = (
    0x6D65646961  # "media": PostgreSQL's lock for processes that migrate together
)

# Alembic's own table, as Alembic makes it
_version = Table(
    "alembic_version",
    MetaData(naming_convention={"pk": "%(table_name)s_pkc"}),
    Column("version_num", String(32), primary_key=True),
)


async def pending_migrations(url: str) -> tuple[str, ...]:
    """The revisions that `migrate` would apply, in order; a missing SQLite file is not made.

    Raises BadCatalogUrl, CatalogUnavailable, CatalogTooNew.
    """
    address = parse_address(url)
    if address.file is not None and not address.file.exists():
        return REVISIONS
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
            if pending == REVISIONS:
                await connection.run_sync(_create)
            elif pending:
                from storage.catalog.upgrading import upgrade  # noqa: PLC0415 - Alembic is large

                await connection.run_sync(upgrade)
            return pending
    except ProgrammingError as error:
        raise CatalogUnavailable(
            f"migrating the database {address.shown} failed and changed nothing: {error.orig}"
        ) from error
    finally:
        await database.close()


async def pending_on(connection: AsyncConnection) -> tuple[str, ...]:
    """`pending_migrations` on an open connection. Raises CatalogTooNew."""
    applied = await connection.run_sync(_applied)
    if unknown := [each for each in applied if each not in REVISIONS]:
        raise CatalogTooNew(
            f"the database is at revision {', '.join(unknown)}, which this program doesn't know: "
            "it was used by a newer mediaserver; install that version again"
        )
    return tuple(each for each in REVISIONS if each > max(applied, default=""))


def _applied(connection: Connection) -> list[str]:
    """The newest revision that was applied; none in a new database."""
    if not inspect(connection).has_table(_version.name):
        return []
    return list(connection.execute(select(_version.c.version_num)).scalars())


def _create(connection: Connection) -> None:
    """All tables; where there is one already, the database's refusal."""
    metadata.create_all(connection, checkfirst=False)
    _version.create(connection, checkfirst=True)  # Alembic leaves an empty one behind
    connection.execute(insert(_version).values(version_num=REVISIONS[-1]))
