"""One server at a time on a database: two would each take the other's recordings for crashed ones.

PostgreSQL: an advisory lock of a session that lives as long as the server. SQLite: a lock on a file
beside the database. Both go with the process that holds them, however it ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import time
from contextlib import suppress
from typing import IO

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.catalog.address import parse_address
from storage.catalog.database import Database, translated
from storage.errors import CatalogInUse, CatalogUnavailable

# advisory lock of PostgreSQL (the one below is that of `storage.catalog.migration`), suffix of a file
LOCKS = {"server": (0x6D65646962, ".lock"), "mover": (0x6D65646963, ".mover-lock")}
PATIENCE = 5.0  # seconds: a server that was just killed takes a moment to let go
POLL = 0.05  # seconds
CHECK_EVERY = 10.0  # seconds; a session ends when PostgreSQL is restarted

log = logging.getLogger(__name__)


class ServerLock:
    """Held from `take` to `release`. `role` is "server", or "mover" for who moves objects between
    stores. Raises BadCatalogUrl.
    """

    def __init__(self, url: str, role: str = "server") -> None:
        self._address = parse_address(url)
        self._number, self._suffix = LOCKS[role]
        self._file: IO[bytes] | None = None
        self._database: Database | None = None
        self._session: AsyncConnection | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def take(self, *, patience: float = PATIENCE) -> None:
        """Raises CatalogInUse when another server has it, and CatalogUnavailable."""
        deadline = time.monotonic() + patience
        try:
            while not await self._try():
                if time.monotonic() >= deadline:
                    raise CatalogInUse(
                        f"another mediaserver uses the database {self._address.shown}; "
                        "stop it or give this one a database of its own"
                    )
                await asyncio.sleep(POLL)
        except BaseException:
            await self.release()
            raise
        if self._address.file is None:
            self._keeper = asyncio.create_task(self._keep())

    async def release(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._end_session()
        if self._database is not None:
            await self._database.close()
        if self._file is not None:
            self._file.close()

    async def check(self) -> bool:
        """Is it ours? Takes it again when the database has forgotten. Raises CatalogUnavailable."""
        if self._session is not None:
            try:
                await self._session.execute(text("SELECT 1"))
                return True
            except (SQLAlchemyError, OSError):
                await self._end_session()
        return await self._try()

    async def _try(self) -> bool:
        if self._address.file is not None:
            return await asyncio.to_thread(self._try_file)
        if self._database is None:
            self._database = await Database.open(self._address)
        session = await self._database.session()
        with translated(self._address.shown):
            taken = await session.scalar(text(f"SELECT pg_try_advisory_lock({self._number})"))
        if taken:
            self._session = session
        else:
            await session.close()
        return bool(taken)

    def _try_file(self) -> bool:
        assert self._address.file is not None
        if self._file is None:
            file = self._address.file.resolve()
            with translated(self._address.shown):
                self._file = file.with_name(file.name + self._suffix).open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    async def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(SQLAlchemyError, OSError):
                await session.invalidate()  # the session ends, and its lock with it
                await session.close()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY)
            try:
                if not await self.check():
                    log.error("another mediaserver took the database %s", self._address.shown)
            except CatalogUnavailable as error:
                log.warning("%s", error)
