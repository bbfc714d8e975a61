"""A server with little but its signed links, and a client that holds some."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, FormData, web
from yarl import URL

from recorder.diskspace import DiskSpace
from signaling.accesslog import AccessLog
from signaling.http_guard import GuardedRunner
from signaling.metrics import Counters
from signaling.playback import Playback
from signaling.rest.routes import build_application
from signaling.settings import Settings, load_settings
from signaling.stores import open_depots
from storage.objects import LocalStore, SignedForm, SignedRequest
from storage.objects.local_signing import LocalSigner
from tests.rig.waiting import until
from tests.signaling.house import Answer, answer_of
from tests.storage.local_links.holding import Clock

SECRET = b"the secret of the house"
LIFE = timedelta(minutes=10)
WEBM = "video/webm"
SMALLEST = 5 << 20
CONTENT = bytes(range(256)) * 1000


class NoCopies:
    """Nobody sends what their browser recorded."""

    def watch_senders(self, is_sending: Callable[[str], bool]) -> None:
        pass


class NoSessions:
    """All forms are of nobody's upload."""

    async def expect_form(self, storage_key: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class FewServices:
    """As much of `Services` as these routes use."""

    local_objects: LocalSigner
    settings: Settings
    playback: Playback
    counters: Counters
    copies: NoCopies
    space: DiskSpace
    uploads: NoSessions = field(default_factory=NoSessions)
    upload_origins: tuple[str, ...] = ()


@dataclass(slots=True)
class Desk:
    """The server, and a client that holds links."""

    store: LocalStore
    signer: LocalSigner
    clock: Clock
    counters: Counters
    space: DiskSpace
    url: str
    client: ClientSession

    async def send(self, request: SignedRequest, data: Any = None, **headers: str) -> Answer:
        """The request as it was signed, but for what is said here."""
        said = {name: value for name, value in request.headers.items() if name == "Content-Type"}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask(request.method, request.url, data, said)

    async def post(self, form: SignedForm, file: Any = CONTENT, **changed: str | None) -> Answer:
        """The form with its file last; a field changed to None is left out."""
        data = FormData()
        for name, value in ({**form.fields, **changed}).items():
            if value is not None:
                data.add_field(name, value)
        data.add_field("file", file, filename="a.webm")
        return await self.ask("POST", form.url, data)

    async def ask(
        self, method: str, url: str, data: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        asked = self.client.request(method, URL(url, encoded=True), data=data, headers=headers)
        async with asked as response:
            return await answer_of(response)

    async def raw(self, sent: bytes) -> bytes:
        """The head of the answer to just these bytes."""
        reader, writer = await asyncio.open_connection(*self.address())
        try:
            writer.write(sent)
            return await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.close()

    async def stall(self, sent: bytes) -> None:
        """Send just these bytes, and cut the connection when the server is at them."""
        _, writer = await asyncio.open_connection(*self.address())
        writer.write(sent)
        await until(self.receiving, within=5, what="the body began to arrive")
        writer.close()
        await until(lambda: not self.receiving(), within=5, what="the body was given up")

    def target(self, request: SignedRequest) -> bytes:
        return request.url.removeprefix(self.url).encode()

    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    async def put(self, key: str, content: bytes = CONTENT, content_type: str = WEBM) -> None:
        async def blocks() -> AsyncIterator[bytes]:
            yield content

        await self.store.put_stream(key, blocks(), content_type)

    async def contents(self) -> dict[str, bytes]:
        return {
            entry.key: self.store.path(entry.key).read_bytes() async for entry in self.store.list()
        }

    def receiving(self) -> bool:
        """Is a body arriving?"""
        return any(path.is_file() for path in (self.store.root / ".incoming").iterdir())

    def incoming(self) -> list[str]:
        return [path.name for path in (self.store.root / ".incoming").iterdir()]


@asynccontextmanager
async def opened_desk(folder: Path) -> AsyncIterator[Desk]:
    store, clock = LocalStore(folder / "store"), Clock()
    await store.prepare()
    signer = LocalSigner(store, lambda: url, SECRET, clock=clock)
    settings = load_settings({"data_dir": str(folder)}, env_file=None)
    playback, space = Playback(settings, open_depots(settings)), DiskSpace(folder, 1)
    services: Any = FewServices(signer, settings, playback, Counters(), NoCopies(), space)
    runner = GuardedRunner(
        build_application(services, (), webroot=folder / "webroot"),
        access_log_class=AccessLog,
        max_line_size=65536,
        max_field_size=65536,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}".format(*runner.addresses[0])
    async with ClientSession(auto_decompress=False) as client:
        yield Desk(store, signer, clock, services.counters, space, url, client)
    await runner.cleanup()
    await store.close()


async def refused(answer: Answer, code: str, desk: Desk) -> None:
    assert (answer.status, answer.code) == (403, code)
    assert desk.incoming() == []
