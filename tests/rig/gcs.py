"""A Google Cloud Storage for tests: an emulator, and before it a front that verifies signatures.

The service account is a throwaway: the rig hands out its key as JSON and knows only the public half.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack, contextmanager

from aiohttp import web

from tests.rig.gcs_emulator import BUCKET, Emulator, running_emulator
from tests.rig.gcs_front import GcsFront
from tests.rig.gcs_incoming import Manners
from tests.rig.gcs_signatures import ServiceAccount


class GcsRig:
    """A running one. `endpoint` is for requests without credentials; `credentials_json` signs.

    `emulator_url` is the emulator without the front: no generations, no signatures.
    """

    def __init__(self, emulator: str) -> None:
        self.bucket = BUCKET
        self.endpoint = ""
        self.credentials_json = ""
        self.emulator_url = emulator
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gcs-front")
        self._front: GcsFront | None = None
        self._ending = AsyncExitStack()

    @property
    def manners(self) -> Manners:
        return self.front.manners

    @property
    def front(self) -> GcsFront:
        assert self._front is not None, "start the rig first"
        return self._front

    @property
    def cancelled_sessions(self) -> int:
        """How many resumable uploads were cancelled since the last `wipe`."""
        return sum(session.cancelled for session in list(self.front.sessions.values()))

    def wipe(self) -> None:
        """No objects, no uploads, and good manners."""
        self._call(self.front.wipe())

    def start(self) -> None:
        self._thread.start()
        self._call(self._start())

    def close(self) -> None:
        self._call(self._ending.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        emulator = Emulator(self.emulator_url)
        self._ending.push_async_callback(emulator.close)
        runner = web.ServerRunner(web.Server(self._handle))
        await runner.setup()
        self._ending.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.endpoint = f"http://{host}:{port}"
        account = ServiceAccount.made(f"{self.endpoint}/token")
        self.credentials_json = account.credentials
        self._front = GcsFront(emulator, account)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self.front.handle(request)

    def _call(self, work: Awaitable[None]) -> None:
        async def await_it() -> None:
            await work

        asyncio.run_coroutine_threadsafe(await_it(), self._loop).result(timeout=30)


@contextmanager
def gcs_rig() -> Iterator[GcsRig]:
    with running_emulator() as emulator:
        rig = GcsRig(emulator)
        rig.start()
        try:
            yield rig
        finally:
            rig.close()
