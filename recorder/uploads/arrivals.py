"""How much of each upload has come, and how fast: in memory, from whatever tells of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from recorder.uploads.meter import Meter, UploadProgress
from recorder.uploads.stores import UploadStores
from storage.catalog import UploadRow
from storage.errors import ObjectNotFound, StoreUnavailable, UploadGone

LOOK_EVERY: Final = 2.0  # seconds between two looks into the store for how much has come


class Arrivals:
    """Of sessions that go on; `forget` those that are over. Times are the loop's."""

    def __init__(self, stores: UploadStores) -> None:
        self._stores = stores
        self._meters: dict[str, Meter] = {}
        self._looked_at: dict[str, float] = {}
        self._forms: dict[str, UploadRow] = {}  # by the key that they put

    def expect(self, row: UploadRow) -> None:
        """A session begins."""
        self._meters[row.id] = Meter(_seconds())
        if row.method == "form":
            self._forms[row.storage_key] = row

    def forget(self, row: UploadRow) -> None:
        self._meters.pop(row.id, None)
        self._looked_at.pop(row.id, None)
        self._forms.pop(row.storage_key, None)

    def expects(self, storage_key: str) -> bool:
        """Has a form with this key been signed here, and is its session not over?"""
        return storage_key in self._forms

    def of(self, row: UploadRow) -> int:
        """Bytes."""
        return self._meter(row).received

    def tell(self, row: UploadRow, received: int) -> None:
        """So many bytes are here, in all."""
        self._meter(row).tell(_seconds(), received)

    def tell_of_form(self, storage_key: str, received: int) -> None:
        """The same of a form by the key that it puts; of any other key, nothing happens."""
        if (row := self._forms.get(storage_key)) is not None:
            self.tell(row, received)

    async def progress(self, row: UploadRow) -> UploadProgress:
        """What goes past this server is asked for in the store, now and then."""
        now, meter = _seconds(), self._meter(row)
        if row.status in ("done", "finishing"):
            meter.tell(now, row.size)
        elif row.status == "open" and now - self._looked_at.get(row.id, 0.0) >= LOOK_EVERY:
            self._looked_at[row.id] = now
            with suppress(StoreUnavailable):  # then what is known already has to do
                if (found := await self.at_store(row)) > meter.received:
                    meter.tell(now, found)
        if row.method == "multipart":  # what came since the last look does not look like a stall
            now = max(self._looked_at.get(row.id, 0.0), meter.told_at)
        progress = meter.progress(now, row.size)
        if row.status not in ("open", "finishing"):
            self.forget(row)
        return progress

    async def at_store(self, row: UploadRow) -> int:
        """Bytes; 0 where the store can't tell. Raises StoreUnavailable."""
        with suppress(ObjectNotFound, UploadGone):
            match row.method:
                case "multipart":
                    return sum(part.size for part in await self._stores.parts(row) or ())
                case "form":
                    return (await self._stores.store(row.provider).head(row.storage_key)).size
        return 0

    def _meter(self, row: UploadRow) -> Meter:
        if row.id not in self._meters:
            self._meters[row.id] = Meter(_seconds(), row.received)
        return self._meters[row.id]


def _seconds() -> float:
    return asyncio.get_running_loop().time()
