"""What commands work on: the database, the stores, and whether a server has them in hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from recorder.depots import Depots
from signaling.settings import Settings
from signaling.stores import open_depots
from storage.catalog import Catalog, ServerLock
from storage.errors import CatalogInUse


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Catalog, Depots]]:
    """The database and all configured stores. Raises what they raise."""
    catalog = await Catalog.open(settings.database)
    try:
        depots = open_depots(settings)
        try:
            yield catalog, depots
        finally:
            await depots.close()
    finally:
        await catalog.close()


@asynccontextmanager
async def sole_user(settings: Settings) -> AsyncIterator[bool]:
    """False when a server runs; otherwise none starts during the block."""
    lock = ServerLock(settings.database)
    try:
        await lock.take(patience=0)
    except CatalogInUse:
        yield False
        return
    try:
        yield True
    finally:
        await lock.release()
