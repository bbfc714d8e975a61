"""How many bytes of recordings this server sent: counted here, written down now and then."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from storage.catalog import Catalog


class Traffic:
    """What was counted since the last `flush` is lost when the process is killed; it is an estimate."""

    def __init__(self, catalog: Catalog, clock: Callable[[], datetime]) -> None:
        self._catalog = catalog
        self._clock = clock
        self._sent: Counter[tuple[str, str]] = Counter()
        self._turn = asyncio.Lock()

    def add(self, provider: str, room: str, count: int) -> None:
        if count:
            self._sent[provider, room] += count

    async def flush(self) -> None:
        """Raises CatalogUnavailable, and then nothing was lost."""
        async with self._turn:
            if not self._sent:
                return
            taken, self._sent = self._sent, Counter()
            try:
                await self._catalog.usage.add_traffic(month_of(self._clock()), taken)
            except BaseException:
                self._sent += taken
                raise


def month_of(moment: datetime) -> str:
    return f"{moment:%Y-%m}"
