"""Stores far away, in memory: one that fails when told, and one that signs links."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from storage.errors import StoreUnavailable
from storage.objects import MemoryStore, ObjectInfo, SignedRequest

S3_SETTINGS = {"recording_storage_provider": "s3", "recording_s3_bucket": "bucket"}


class FarStore(MemoryStore):
    """Is no local files, and signs nothing: what is asked of it goes through this server.

    While it is `down` it refuses everything; `breaks_after` so many blocks it does while it is read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.breaks_after: int | None = None
        self.opened = 0

    async def head(self, key: str) -> ObjectInfo:
        self._answer()
        return await super().head(key)

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self.opened += 1
        self._answer()
        given = 0
        async for block in super().open(key, start, end):
            if given == self.breaks_after:
                raise StoreUnavailable("the store is down")
            given += 1
            yield block

    def _answer(self) -> None:
        if self.down:
            raise StoreUnavailable("the store is down")


class SigningStore(FarStore):
    """A Signer, too, whose links say what they are for. `asked` has the options of the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, Any] = {}

    async def sign_get(
        self,
        key: str,
        life: timedelta,
        *,
        file_name: str | None = None,
        content_type: str | None = None,
        download: bool = False,
    ) -> SignedRequest:
        self._answer()
        self.asked = {
            "life": life,
            "file_name": file_name,
            "content_type": content_type,
            "download": download,
        }
        url = f"https://bucket.example/{key}?signature=1"
        return SignedRequest("GET", url, datetime.now(UTC) + life)

    async def sign_put(
        self, key: str, life: timedelta, content_type: str, size: int | None = None
    ) -> SignedRequest:
        raise StoreUnavailable("nothing is put by links here")
