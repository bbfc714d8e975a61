"""The connection to a database: pool, transactions, and its errors turned into ours.

SQLite runs in WAL mode, so readers never wait. A transaction that writes begins with BEGIN
IMMEDIATE: one that began as a reader could not become a writer after somebody else wrote
(SQLITE_BUSY_SNAPSHOT). Inside one process writers queue fairly on a lock of ours rather than
polling SQLite's; between processes `busy_timeout` lets them wait.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from storage.catalog.address import Address
from storage.errors import BadValue, CatalogUnavailable

BUSY_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_S = 10
COMMAND_TIMEOUT_S = 60

# FULL: what a client was told is kept must survive a power cut, not only a crash of ours
PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)

INSUFFICIENT_PRIVILEGE = "42501"  # PostgreSQL, appendix A
DATA_EXCEPTION = "22"


class ConstraintViolated(BadValue):
    """The database refused a row; repositories know what it means, or let it out as BadValue."""


class Database:
    """Transactions on one database. Bound to the event loop it is first used in."""

    def __init__(self, address: Address) -> None:
        self._shown = address.shown
        self._engine = _engine(address)
        if address.file is None:
            self._reading = self._engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._writing = self._engine
            self._turn: asyncio.Lock | None = None
        else:
            self._reading = self._engine.execution_options(begin="BEGIN")
            self._writing = self._engine.execution_options(begin="BEGIN IMMEDIATE")
            self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, address: Address) -> Database:
        """Raises CatalogUnavailable where SQLite can't open the file; PostgreSQL is not asked yet.

        aiosqlite leaves a thread behind a connection that can't be opened, which complains on
        stderr when the loop is closed before it has ended; so the file is tried without it first.
        """
        if address.file is not None:
            await asyncio.to_thread(_try_file, address.file)
        return cls(address)

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one state of the database throughout."""
        with translated(self._shown):
            async with self._reading.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed at the end, or rolled back by an exception."""
        with translated(self._shown):
            if self._turn is None:
                async with self._writing.begin() as connection:
                    yield connection
            else:
                async with self._turn, self._writing.begin() as connection:
                    yield connection

    async def session(self) -> AsyncConnection:
        """A connection outside of transactions, for what lasts as long as it; whoever asks ends it.

        Errors of what is done with it are not translated.
        """
        with translated(self._shown):
            connection = await self._engine.connect()
            return await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def check(self) -> None:
        """Raises CatalogUnavailable unless the database answers."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))


@contextmanager
def translated(shown: str) -> Iterator[None]:
    """Turn what drivers and SQLAlchemy say into this package's errors.

    A statement that the database doesn't understand is our own bug and passes as it is.
    """
    try:
        yield
    except IntegrityError as error:
        raise ConstraintViolated(f"the catalog refused a row: {_reason(error)}") from error
    except DBAPIError as error:
        sqlstate = getattr(error.orig, "sqlstate", None) or ""
        cause = error.orig.__cause__ if error.orig else None
        if sqlstate.startswith(DATA_EXCEPTION) or isinstance(cause, ValueError):
            raise BadValue(f"the catalog can't hold a value: {_reason(error)}") from error
        if isinstance(error, ProgrammingError) and sqlstate != INSUFFICIENT_PRIVILEGE:
            raise
        raise CatalogUnavailable(_sentence(shown, _reason(error))) from error
    except StatementError as error:  # a column type refused what it was given
        raise BadValue(f"the catalog can't hold a value: {error.orig}") from error
    except (OverflowError, UnicodeError) as error:
        raise BadValue(f"the catalog can't hold a value: {error}") from error
    except (OSError, PoolTimeout) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it does not answer in time"
        raise CatalogUnavailable(_sentence(shown, reason)) from error


def _sentence(shown: str, reason: str) -> str:
    return (
        f"the database {shown} can't be used ({reason}); "
        "check that it is there and that this user may read and write it"
    )


def _reason(error: SQLAlchemyError) -> str:
    """The first line of what the database itself said."""
    original: BaseException | None = getattr(error, "orig", None)
    said = str((original.__cause__ if original else None) or original or error)
    return said.partition("\n")[0].strip()


def _engine(address: Address) -> AsyncEngine:
    if address.file is None:
        try:
            return create_async_engine(
                address.url,
                pool_pre_ping=True,  # the server may have been restarted meanwhile
                connect_args={"timeout": CONNECT_TIMEOUT_S, "command_timeout": COMMAND_TIMEOUT_S},
            )
        except ModuleNotFoundError as error:
            raise CatalogUnavailable(
                f"PostgreSQL needs the Python package {error.name}: pip install {error.name}"
            ) from error
    # isolation_level None: sqlite3 begins no transactions by itself, `_begin` does
    engine = create_async_engine(address.url, connect_args={"isolation_level": None})
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _try_file(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file)) as connection:
            for pragma in PRAGMAS:
                connection.execute(pragma)
    except sqlite3.Error as error:
        raise CatalogUnavailable(_sentence(str(file), str(error))) from error


def _set_pragmas(connection: Any, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    try:
        for pragma in PRAGMAS:
            cursor.execute(pragma)
    finally:
        cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
