"""The HTTP side with everything real below it but the media: a script's view of the server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from recorder.chunks.copies import ClientCopies
from recorder.chunks.places import chunks_root
from recorder.chunks.store import ChunkLimits, ChunkStore
from recorder.delivery import Deliverer
from recorder.diskspace import DiskSpace
from recorder.errors import JobFailed
from recorder.jobs import FinalizedFile, FinalizeResult
from recorder.journals import journals_root
from recorder.media.library import MediaLibrary
from recorder.media.limits import MediaLimits
from recorder.rendering import Renderer
from recorder.service import CLOSE_PATIENCE, RecordingService
from recorder.targets import Targets
from recorder.uploads.finishing import Admission
from recorder.uploads.service import Uploads
from recorder.uploads.spool import Spool
from recorder.uploads.tus import TusUploads
from signaling.accesslog import AccessLog
from signaling.auth import TokenAuthority, VideoGrants
from signaling.automatic import AutomaticRecording
from signaling.calls import CallLog
from signaling.jobs import SubprocessJobs
from signaling.links import LinkSigner
from signaling.live import LiveStreams
from signaling.metrics import Counters
from signaling.playback import Playback
from signaling.policy import RoomRole, room_grants
from signaling.rest.events import status_by_id
from signaling.rest.routes import build_application
from signaling.rest.services import Lifecycle, Services
from signaling.room_settings import RoomBook
from signaling.settings import Settings, load_settings
from signaling.stores import open_depots, upload_limits, upload_origins
from signaling.traffic import Traffic
from signaling.watching import Watching
from signaling.webhooks import Outbox, Webhooks
from storage.catalog import Catalog, FileRow, RecordingRow, migrate, new_file_id
from storage.objects import LocalStore, ObjectStore
from storage.objects.local_signing import LocalSigner
from tests.signaling.fake_media import FakeMediaPlane

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


@dataclass(slots=True)
class NoJobs:
    """Recordings have no media, and every render waits for `let_render`, and fails."""

    let_render: asyncio.Event = field(default_factory=asyncio.Event)
    rendering: int = 0

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
        self.rendering += 1
        try:
            await self.let_render.wait()
        finally:
            self.rendering -= 1
        raise JobFailed("there is nobody here who renders")


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
            return await _answer(response)


def file_path(row: RecordingRow) -> str:
    return f"/api/v1/recordings/{row.id}/files/{row.files[0].id}"


async def _answer(response: ClientResponse) -> Answer:
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
    await migrate(settings.database)
    catalog = await Catalog.open(settings.database)
    media, doors = FakeMediaPlane(), Doors()
    await media.start()
    store = LocalStore(settings.recordings_dir)
    await store.prepare()
    depots = open_depots(settings)
    depots = replace(depots, stores={**depots.stores, **stores})
    space = DiskSpace(settings.data_dir, settings.disk_low_mb << 20)
    root, jobs = journals_root(settings.data_dir), NoJobs()
    deliverer = Deliverer(catalog, depots, root, clock=_now)
    chunks = ChunkStore(
        chunks_root(root),
        ChunkLimits(
            settings.recording_chunk_max_mb << 20,
            round(settings.recording_chunks_max_gb * (1 << 30)),
        ),
        space,
    )
    copies = ClientCopies(
        catalog,
        chunks,
        deliverer,
        SubprocessJobs(),
        root,
        clock=_now,
        timeout=timedelta(seconds=settings.upload_session_timeout),
    )
    recordings = RecordingService(
        media=media,
        catalog=catalog,
        deliverer=deliverer,
        jobs=jobs,
        data_dir=settings.data_dir,
        clock=_now,
        space=space,
        targets=Targets(depots, root),
        copies=copies,
        close_patience=patience,
    )
    calls, room_book, lifecycle = CallLog(catalog, recordings), RoomBook(catalog.rooms), Lifecycle()
    catalog.recordings.announce = Outbox(settings.webhook_urls, _now)
    media.set_event_handler(recordings.handle)  # type: ignore[arg-type]
    local_objects = LocalSigner(store, "", KEYS["key"].encode())
    library = MediaLibrary(
        catalog,
        depots,
        SubprocessJobs(),
        root / ".media",
        clock=_now,
        limits=MediaLimits(formats=settings.allowed_video_formats),
    )
    uploads = Uploads(
        catalog,
        depots,
        admission or library,
        upload_limits(settings),
        clock=_now,
        local=local_objects,
        space=space,
    )
    local_objects.on_arrival = uploads.form_arrived
    services = Services(
        settings=settings,
        authority=TokenAuthority(KEYS),
        links=LinkSigner(KEYS),
        catalog=catalog,
        depots=depots,
        local_objects=local_objects,
        playback=Playback(settings, depots),
        traffic=Traffic(catalog, _now),
        space=space,
        media=media,
        recordings=recordings,
        chunks=chunks,
        copies=copies,
        live=LiveStreams(settings.data_dir, space, keep_free=0),
        renderer=Renderer(catalog, deliverer, jobs, root, clock=_now),
        uploads=uploads,
        upload_origins=upload_origins(settings),
        tus=TusUploads(uploads, catalog.uploads, Spool(root / ".uploads"), space),
        library=library,
        calls=calls,
        room_book=room_book,
        automatic=AutomaticRecording(
            calls, recordings, room_book, stopping=lambda: lifecycle.draining
        ),
        watching=Watching(lambda recording_id: status_by_id(services, recording_id)),
        webhooks=Webhooks(catalog.webhooks, settings.webhook_urls, KEYS, clock=_now),
        attendance=doors,
        counters=Counters(),
        lifecycle=lifecycle,
    )
    recordings.subscribe(services.watching.changed)
    recordings.subscribe(services.webhooks.wake)
    services.webhooks.start()
    try:
        yield services, doors, media
    finally:
        async with asyncio.timeout(10):
            await services.webhooks.close()
            await services.watching.close()
            await services.automatic.close()
            await services.uploads.close()
            await services.library.close()
            await services.renderer.close()
            await services.live.close()
            await copies.close()
            await recordings.close()
            chunks.close()
        await catalog.close()


def _now() -> datetime:
    return datetime.now(UTC)
