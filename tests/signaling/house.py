"""The HTTP side with everything real below it but the media: a script's view of the server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from recorder.delivery import Deliverer
from recorder.diskspace import DiskSpace
from recorder.jobs import FinalizedFile, FinalizeResult
from recorder.journals import journals_root
from recorder.service import CLOSE_PATIENCE
from recorder.uploads.finishing import Admission
from signaling.accesslog import AccessLog
from signaling.auth import VideoGrants
from signaling.building import Ground, build_on
from signaling.clock import now
from signaling.jobs import SubprocessJobs
from signaling.policy import RoomRole, room_grants
from signaling.rest.routes import build_application
from signaling.rest.services import Services
from signaling.settings import Settings, load_settings
from signaling.stores import open_depots
from signaling.webhooks import Outbox
from storage.catalog import Catalog, FileRow, RecordingRow, new_file_id
from storage.objects import LocalStore, ObjectStore
from storage.objects.local_signing import LocalSigner
from tests.signaling.fake_media import FakeMediaPlane
from tests.storage.catalogs import migrated

KEYS = {"key": "the secret of the house, 32 and more"}
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Guest:
    identity: str
    name: str
    hidden: bool = False


@dataclass(slots=True)
class Doors:
    """Who is in which room, without sockets."""

    rooms: dict[str, list[Guest]] = field(default_factory=dict)

    def participants(self, room: str) -> list[Guest]:
        return self.rooms.get(room, [])


class FewJobs:
    """Recordings have no media, and no render comes to an end. Other jobs run."""

    renders_at_once = 1

    def __init__(self) -> None:
        self.run = SubprocessJobs().run

    async def finalize(
        self,
        journals: Path,
        output: Path,
        on_progress: Callable[[float], None],
        options: Mapping[str, Any],
    ) -> FinalizeResult:
        return FinalizeResult(files=(), integrity={})

    async def render(
        self, spec: Path, on_progress: Callable[[float], None]
    ) -> tuple[FinalizedFile, ...]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any

    @property
    def data(self) -> Any:
        assert self.json["success"] is True, self.json
        return self.json["data"]

    @property
    def code(self) -> str:
        assert self.json["success"] is False, self.json
        return str(self.json["error"]["code"])

    @property
    def details(self) -> Any:
        return self.json["error"]["details"]


@dataclass(slots=True)
class House:
    services: Services
    client: TestClient[Any, Any]
    doors: Doors
    media: FakeMediaPlane

    # --- tokens ---------------------------------------------------------------------------------

    def server(self) -> str:
        return self.services.authority.mint(None, VideoGrants(), HOUR)

    def token(self, role: RoomRole, room: str, identity: str) -> str:
        return self.services.authority.mint(identity, room_grants(role, room), HOUR)

    def host(self, room: str, identity: str = "hanna") -> str:
        return self.token("host", room, identity)

    def participant(self, room: str, identity: str = "paul") -> str:
        return self.token("participant", room, identity)

    # --- people and recordings ------------------------------------------------------------------

    async def enter(self, room: str, identity: str, *, hidden: bool = False) -> None:
        if room not in self.doors.rooms:
            self.doors.rooms[room] = []
            await self.services.calls.room_started(room)
        self.doors.rooms[room].append(Guest(identity, identity.title(), hidden))
        await self.services.calls.participant_joined(room, identity)

    async def everybody_leaves(self, room: str) -> None:
        del self.doors.rooms[room]
        await self.services.calls.room_emptied(room)

    async def call_with(self, room: str, *identities: str) -> str:
        """A call that these took part in and that is over; its id."""
        for identity in identities:
            await self.enter(room, identity)
        call = self.services.calls.live[room]
        assert call is not None
        await self.everybody_leaves(room)
        return call.id

    async def recorded(
        self,
        room: str,
        *identities: str,
        content: bytes = b"webm bytes",
        provider: str = "local",
        **changes: Any,
    ) -> RecordingRow:
        """A finished recording of a finished call, with one file that is stored at `provider`."""
        call_id = await self.call_with(room, *identities or ("hanna",))
        recordings = self.services.catalog.recordings
        row = await recordings.create(
            room=room,
            started_by="hanna",
            call_id=call_id,
            status="recorded",
            started_at=datetime(2026, 8, 1, 9, 30, tzinfo=UTC),
            size=len(content),
            **changes,
        )
        source = self.services.settings.data_dir / "source.webm"
        source.write_bytes(content)
        file_id = new_file_id()
        key = f"recordings/r/{row.id}/{file_id}.webm"
        await self.services.depots.store(provider).put_file(key, source, "video/webm")
        file = FileRow(
            id=file_id,
            kind="participant",
            participant_id=identities[0] if identities else "hanna",
            content_type="video/webm",
            size=len(content),
            duration_seconds=2.5,
            width=640,
            height=360,
            sha256=hashlib.sha256(content).hexdigest(),
            key=key,
            start_seconds=0.0,
            provider=provider,
        )
        return await recordings.set_files(row.id, [file])

    # --- requests -------------------------------------------------------------------------------

    async def get(self, path: str, token: str | None = None, **options: Any) -> Answer:
        return await self.request("GET", path, token, **options)

    async def post(self, path: str, token: str | None = None, **options: Any) -> Answer:
        return await self.request("POST", path, token, **options)

    async def request(
        self,
        method: str,
        path: str,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        async with self.client.request(method, path, headers=sent, **options) as response:
            return await answer_of(response)


def file_path(row: RecordingRow) -> str:
    return f"/api/v1/recordings/{row.id}/files/{row.files[0].id}"


async def answer_of(response: ClientResponse) -> Answer:
    body = await response.read()
    is_json = response.content_type == "application/json" and body
    return Answer(
        response.status, response.headers, body, await response.json() if is_json else None
    )


@asynccontextmanager
async def house(
    data_dir: Path,
    stores: Mapping[str, ObjectStore] | None = None,
    *,
    admission: Admission | None = None,
    patience: float = CLOSE_PATIENCE,
    **settings: str,
) -> AsyncIterator[House]:
    """`stores` stand in for those that the settings would open, `admission` for the media library
    where uploads end. `patience` in seconds is for what is still being finished at the end.
    """
    flags = {"data_dir": str(data_dir), **settings}
    loaded = load_settings(flags, env_file=None)
    opened = _services(loaded, stores or {}, admission, patience)
    async with opened as (services, doors, media):
        app = build_application(services, (), webroot=data_dir / "webroot")
        server = TestServer(app)
        await server.start_server(
            access_log_class=AccessLog, max_line_size=65536, max_field_size=65536
        )
        client = TestClient(server)
        await client.start_server()
        try:
            yield House(services, client, doors, media)
        finally:
            await client.close()


@asynccontextmanager
async def _services(
    settings: Settings,
    stores: Mapping[str, ObjectStore],
    admission: Admission | None,
    patience: float,
) -> AsyncIterator[tuple[Services, Doors, FakeMediaPlane]]:
    """What the product builds on its ground, on ground of this house; and who is in, is at its doors."""
    async with AsyncExitStack() as stack:
        media, doors = FakeMediaPlane(), Doors()
        ground = await _ground(settings, stores, media, stack)
        built, _, _ = await build_on(ground, stack, admission)
        services = replace(built, attendance=doors)
        media.set_event_handler(services.recordings.handle)  # type: ignore[arg-type]
        services.recordings.subscribe(services.watching.changed)
        services.recordings.subscribe(services.webhooks.wake)
        services.webhooks.start()
        try:
            yield services, doors, media
        finally:
            async with asyncio.timeout(10):
                await services.webhooks.close()
                await services.watching.close()
                await services.automatic.close()
                await services.copies.close()  # nobody sends any more: recordings wait for nothing
                await services.recordings.drain(patience)
                await services.recordings.close(drained=True)
                await stack.aclose()


async def _ground(
    settings: Settings,
    stores: Mapping[str, ObjectStore],
    media: FakeMediaPlane,
    stack: AsyncExitStack,
) -> Ground:
    await migrated(settings.database)
    catalog = await Catalog.open(settings.database)
    stack.push_async_callback(catalog.close)
    catalog.recordings.announce = Outbox(settings.webhook_urls, now)
    await media.start()
    local = LocalStore(settings.recordings_dir)
    await local.prepare()
    depots = open_depots(settings)
    depots = replace(depots, stores={**depots.stores, **stores})
    journals = journals_root(settings.data_dir)
    return Ground(
        settings=settings,
        keys=KEYS,
        catalog=catalog,
        depots=depots,
        local_objects=LocalSigner(local, "", KEYS["key"].encode()),
        media=media,
        space=DiskSpace(settings.data_dir, settings.disk_low_mb << 20),
        deliverer=Deliverer(catalog, depots, journals, clock=now),
        jobs=FewJobs(),
        journals=journals,
    )
