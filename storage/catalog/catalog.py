"""The catalog: the one truth about recordings, media files, what is on its way, calls and invites."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from storage.catalog.address import parse_address
from storage.catalog.calls import CallRepository
from storage.catalog.chunk_sets import ChunkSetRepository
from storage.catalog.database import Database
from storage.catalog.deliveries import DeliveryRepository
from storage.catalog.folder import FolderRepository
from storage.catalog.invites import InviteRepository
from storage.catalog.media import MediaRepository
from storage.catalog.migration import pending_on
from storage.catalog.recordings import RecordingRepository
from storage.catalog.renders import RenderRepository
from storage.catalog.rooms import RoomRepository
from storage.catalog.uploads import UploadRepository
from storage.catalog.usage import UsageRepository
from storage.catalog.webhooks import WebhookRepository
from storage.errors import CatalogOutdated

OUTDATED = "the database {} is older than this program: run mediaserver migrate"


def _now() -> datetime:
    return datetime.now(UTC)


class Catalog:
    """The repositories of one database. Made by `open`, ended by `close`."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self.recordings = RecordingRepository(database, clock)
        self.deliveries = DeliveryRepository(database, clock)
        self.usage = UsageRepository(database)
        self.renders = RenderRepository(database, clock)
        self.chunk_sets = ChunkSetRepository(database, clock)
        self.uploads = UploadRepository(database, clock)
        self.media = MediaRepository(database, clock)
        self.rooms = RoomRepository(database, clock)
        self.webhooks = WebhookRepository(database, clock)
        self.calls = CallRepository(database, clock)
        self.invites = InviteRepository(database)
        self.folder = FolderRepository(database)

    @classmethod
    async def open(cls, url: str, *, clock: Callable[[], datetime] = _now) -> Catalog:
        """Connect to a migrated database that can be written; changes nothing in it.

        Raises BadCatalogUrl, CatalogUnavailable, CatalogOutdated, CatalogTooNew.
        """
        address = parse_address(url)
        if address.file is not None and not address.file.exists():
            raise CatalogOutdated(OUTDATED.format(address.shown))
        database = await Database.open(address)
        try:
            async with database.write() as connection:  # SQLite: fails here when read-only
                if await pending_on(connection):
                    raise CatalogOutdated(OUTDATED.format(address.shown))
        except BaseException:
            await database.close()
            raise
        return cls(database, clock)

    async def close(self) -> None:
        await self._database.close()

    async def check(self) -> None:
        """Raises CatalogUnavailable unless the database answers."""
        await self._database.check()
