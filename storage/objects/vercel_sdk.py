"""The official SDK, bound to one store: what it does in one request is left to it.

The SDK finds the session to use in a context variable. All calls of a store therefore run as tasks
in one context of the store's own, in which its session was entered once: connections are kept, and
neither another session of the process nor the environment (tokens, addresses, proxies) matters.
"""

from __future__ import annotations

import asyncio
import contextvars
import ssl
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TypeVar

import httpx2
from vercel.api import session
from vercel.blob import BlobCredentials, BlobError, BlobServiceOptions

from storage.objects.vercel_address import BlobAddress
from storage.objects.vercel_errors import sdk_refusal

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0

Result = TypeVar("Result")


class BlobSdk:
    """Runs calls of `vercel.blob`. Connections are made at the first call and kept."""

    def __init__(self, address: BlobAddress) -> None:
        self._address = address
        self._context = contextvars.copy_context()
        self._stack = AsyncExitStack()
        self._entering: asyncio.Task[None] | None = None

    async def __call__(
        self, doing: str, call: Callable[[], Coroutine[object, object, Result]]
    ) -> Result:
        """What `call` returns. `doing` completes "could not ...". Raises StorageError."""
        if self._entering is None:
            self._entering = self._task(self._enter())
        await asyncio.shield(self._entering)
        try:
            return await self._task(call())
        except BlobError as error:
            refused = sdk_refusal(doing, self._address.api_host, error)
        raise refused

    async def close(self) -> None:
        await self._task(self._stack.aclose())

    async def _enter(self) -> None:
        client = await asyncio.to_thread(_client)  # reads some hundred certificates
        options = BlobServiceOptions(
            base_url=self._address.api_url, credentials_factory=self._credentials
        )
        await self._stack.enter_async_context(
            session(service_options=[options], httpx_client_factory=lambda: client)
        )

    def _task(self, work: Coroutine[object, object, Result]) -> asyncio.Task[Result]:
        return asyncio.get_running_loop().create_task(work, context=self._context)

    def _credentials(self) -> BlobCredentials:
        return BlobCredentials(self._address.token, self._address.store)


def _client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
        trust_env=False,
        verify=ssl.create_default_context(),  # trusts what the other client does: the system's
    )
