"""What tests of Vercel Blob have at hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from storage.objects import Retrier, RetryPolicy
from storage.objects.vercel_blob import VercelBlobStore
from tests.rig.faults import Answer, FaultProxy
from tests.storage.stores import IMPATIENT

HOUR = timedelta(hours=1)
SECRET = "s3cretS3CRET"
STRANGER = f"vercel_blob_rw_RigStore_{SECRET}"


@asynccontextmanager
async def opened(
    token: str, url: str, *, access: str = "private", retrier: Retrier | None = None
) -> AsyncIterator[VercelBlobStore]:
    store = VercelBlobStore(
        token, api_url=url, access=access, retrier=retrier or Retrier(IMPATIENT)
    )
    yield store
    await store.close()


class Naps:
    """A retrier's waits: written down, and over at once. `meanwhile` is what happens in them."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.seconds: list[float] = []
        self._meanwhile = meanwhile

    @property
    def retrier(self) -> Retrier:
        return Retrier(RetryPolicy(), sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self._meanwhile()


def parts_sent(proxy: FaultProxy) -> list[str]:
    """The numbers of the parts in the order of their requests."""
    sent = (request.headers.get("x-mpu-part-number") for request in list(proxy.requests))
    return [number for number in sent if number is not None]


def error_answer(status: int, code: str, **more: str) -> Answer:
    """An error as the API words it; its words quote what nobody else should see."""
    said = {"error": {"code": code, "message": f"with your token {STRANGER}"}}
    return Answer(status, body=json.dumps(said).encode(), **more)


def url_of(server: asyncio.Server) -> str:
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
