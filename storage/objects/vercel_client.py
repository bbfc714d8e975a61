"""One Vercel Blob store and the two clients that speak to it; both repeat what failed in passing."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Final, TypeVar

from storage.objects.retry import Retrier
from storage.objects.vercel_address import BlobAddress
from storage.objects.vercel_bodies import Body
from storage.objects.vercel_http import Answer, BlobHttp
from storage.objects.vercel_sdk import BlobSdk

CACHE_SECONDS: Final = 60
"""How long caches may keep an object: the least that Vercel takes."""

Result = TypeVar("Result")


class BlobClient:
    """Every call here is idempotent: puts may replace, and what they leave unnamed is nothing."""

    def __init__(self, address: BlobAddress, retrier: Retrier) -> None:
        self.address = address
        self.retrier = retrier
        self.http = BlobHttp(address)
        self._sdk = BlobSdk(address)

    async def sdk(
        self, doing: str, call: Callable[[], Coroutine[object, object, Result]]
    ) -> Result:
        """A call of `vercel.blob`. `doing` completes "could not ..." in the StorageErrors raised."""
        return await self.retrier(lambda: self._sdk(doing, call))

    async def call(
        self,
        doing: str,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        fields: object = None,
    ) -> Answer:
        """A request to the API, as in `BlobHttp.call`."""
        return await self.retrier(
            lambda: self.http.call(
                doing, method, path, query, headers=headers, body=body, fields=fields
            )
        )

    async def close(self) -> None:
        await self.http.close()
        await self._sdk.close()
