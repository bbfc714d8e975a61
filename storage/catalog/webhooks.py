"""The outbox of webhooks: an event is a row for each address until that address has taken it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, func, insert, select, update

from storage.catalog.database import Database
from storage.catalog.ids import new_webhook_id
from storage.catalog.rows import WebhookRow
from storage.catalog.tables import webhooks


class WebhookRepository:
    """The table of webhooks. Every method is one transaction; all raise CatalogUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def add(self, urls: Sequence[str], body: str) -> None:
        """One row for each address, due now."""
        now = self._clock()
        rows = [WebhookRow(new_webhook_id(), url, body, 0, now, None, now) for url in urls]
        if not rows:
            return
        async with self._database.write() as connection:
            await connection.execute(insert(webhooks), [asdict(row) for row in rows])

    async def waiting(self, url: str, limit: int) -> tuple[WebhookRow, ...]:
        """What an address has not taken yet, oldest first."""
        statement = (
            select(webhooks)
            .where(webhooks.c.url == url)
            .order_by(webhooks.c.created_at, webhooks.c.id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            found = (await connection.execute(statement)).mappings()
            return tuple(WebhookRow(**row) for row in found)

    async def failed(self, webhook_id: str, due_at: datetime, error: str) -> None:
        statement = (
            update(webhooks)
            .where(webhooks.c.id == webhook_id)
            .values(attempts=webhooks.c.attempts + 1, due_at=due_at, error=error)
        )
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def strike(self, webhook_id: str) -> None:
        """It was taken, or nobody will take it any more."""
        async with self._database.write() as connection:
            await connection.execute(delete(webhooks).where(webhooks.c.id == webhook_id))

    async def strike_before(self, moment: datetime) -> int:
        """Remove what is older than `moment`; how many that were."""
        async with self._database.write() as connection:
            removed = await connection.execute(
                delete(webhooks).where(webhooks.c.created_at < moment)
            )
            return removed.rowcount

    async def count(self) -> int:
        async with self._database.read() as connection:
            return await connection.scalar(select(func.count()).select_from(webhooks)) or 0
