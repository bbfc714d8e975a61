"""A recording service in a house of its own: real catalog, memory store, a media plane in memory.

`FakePlane` writes real journals. `Jobs` runs the real finalize job, in a thread, and fails when told.
Nothing waits: `settled` returns when no background task is left.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mediaserver.errors import MediaError
from mediaserver.messages import (
    EVERY_KIND,
    Kind,
    RecordingFault,
    RecordingId,
    RecordingStalled,
    RecordingStarted,
    RoomId,
)
from recorder.delivery import Deliverer
from recorder.depots import Depots
from recorder.file_options import parse_file_options
from recorder.finalize import finalize
from recorder.jobs import FinalizedFile, FinalizeResult
from recorder.rendering import Renderer
from recorder.service import RecordingService
from storage.catalog import Catalog, RecordingRow
from storage.errors import CatalogUnavailable, StoreUnavailable
from storage.objects import MemoryStore, ObjectEntry, ObjectInfo, StoredObject
from tests.recorder.known_media import KnownTrack, audio_track
from tests.storage.catalogs import migrated

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class FakePlane:
    """A RecordingPlane. `tracks` is what it "receives" in every recording."""

    tracks: list[KnownTrack] = field(default_factory=list)
    started: dict[RecordingId, Path] = field(default_factory=dict)
    refuses: MediaError | None = None
    breaks: MediaError | None = None
    kinds: dict[RecordingId, frozenset[Kind]] = field(default_factory=dict)
    last_media_at: dict[RecordingId, datetime] = field(default_factory=dict)
    starting: asyncio.Event | None = None  # a start waits for it
    asked_to_start: asyncio.Event = field(default_factory=asyncio.Event)
    asked_to_stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def start_recording(
        self,
        room: RoomId,
        recording: RecordingId,
        directory: Path,
        kinds: Collection[Kind] = EVERY_KIND,
    ) -> None:
        self.asked_to_start.set()
        self.kinds[recording] = frozenset(kinds)
        if self.refuses is not None:
            raise self.refuses
        assert directory.is_dir()
        if self.starting is not None:
            await self.starting.wait()
        self.started[recording] = directory

    async def last_media(self, recording: RecordingId) -> int | None:
        at = self.last_media_at.get(recording)
        return None if at is None else round(at.timestamp() * 1e6)

    async def stop_recording(self, recording: RecordingId) -> bool:
        directory = self.started.pop(recording, None)
        self.asked_to_stop.set()
        if directory is None:
            return False
        for track in self.tracks:
            track.write(directory)
        if self.breaks is not None:
            raise self.breaks
        return bool(self.tracks)


@dataclass
class Renders:
    """What render jobs do here: a composite is the bytes of its sources, its poster a word.

    `failures` are raised first, one a call.
    """

    failures: list[Exception] = field(default_factory=list)
    specs: list[dict[str, Any]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    most_at_once: int = 0

    async def run(
        self, spec: Path, on_progress: Callable[[float], None]
    ) -> tuple[FinalizedFile, ...]:
        order = json.loads(spec.read_text())
        self.specs.append(order)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            on_progress(0.5)
            self.begun.set()
            if self.hold is not None:
                await self.hold.wait()
            if self.failures:
                raise self.failures.pop(0)
        finally:
            self.running -= 1
        output = Path(order["output"])
        content = b"".join(Path(source["path"]).read_bytes() for source in order["sources"])
        poster = output.with_suffix(".jpg")
        return (
            _made(output, content, "composite", "video/mp4"),
            _made(poster, b"picture", "thumbnail", "image/jpeg", "poster", output.name),
        )


def _made(
    path: Path, content: bytes, kind: str, content_type: str, role: str = "", of: str | None = None
) -> FinalizedFile:
    path.write_bytes(content)
    return FinalizedFile(
        path=path,
        kind=kind,
        participant_id="",
        content_type=content_type,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        duration_seconds=1.0,
        width=1280,
        height=720,
        start_seconds=0.0,
        role=role,
        derived_from=of,
    )


@dataclass
class Jobs:
    """A JobRunner. `failures` are raised first, one a call."""

    failures: list[Exception] = field(default_factory=list)
    calls: list[Path] = field(default_factory=list)
    hold: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    most_at_once: int = 0
    options: list[Mapping[str, Any]] = field(default_factory=list)
    renders: Renders = field(default_factory=Renders)

    async def finalize(
        self,
        journals: Path,
        output: Path,
        on_progress: Callable[[float], None],
        options: Mapping[str, Any],
    ) -> FinalizeResult:
        """Without pictures, unless they are asked for: no test here looks at them."""
        self.calls.append(journals)
        self.options.append(options)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            if self.hold is not None:
                on_progress(0.5)
                self.begun.set()
                await self.hold.wait()
            if self.failures:
                raise self.failures.pop(0)
            wanted = parse_file_options({"thumbnails": False, **options})
            return await asyncio.to_thread(finalize, journals, output, on_progress, wanted)
        finally:
            self.running -= 1

    async def render(
        self, spec: Path, on_progress: Callable[[float], None]
    ) -> tuple[FinalizedFile, ...]:
        return await self.renders.run(spec, on_progress)


class FlakyStore(MemoryStore):
    """Refuses the first `refusals` puts of files, and everything while it is `down`.

    `puts` counts the puts of files that it was asked for.
    """

    refusals = 0
    down = False
    reason = "the store is down"
    puts = 0

    async def put_file(
        self, key: str, path: Path, content_type: str, **options: Any
    ) -> StoredObject:
        self.puts += 1
        self._answer()
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable(self.reason)
        return await super().put_file(key, path, content_type, **options)

    async def put_stream(
        self, key: str, blocks: AsyncIterator[bytes], content_type: str, **options: Any
    ) -> StoredObject:
        self._answer()
        return await super().put_stream(key, blocks, content_type, **options)

    async def head(self, key: str) -> ObjectInfo:
        self._answer()
        return await super().head(key)

    async def digest(self, key: str) -> str:
        self._answer()
        return await super().digest(key)

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self._answer()
        async for block in super().open(key, start, end):
            yield block

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectEntry]:
        self._answer()
        async for entry in super().list(prefix):
            yield entry

    async def delete(self, key: str) -> None:
        self._answer()
        await super().delete(key)

    async def delete_many(self, keys: Collection[str]) -> None:
        self._answer()
        await super().delete_many(keys)

    def _answer(self) -> None:
        if self.down:
            raise StoreUnavailable(self.reason)


@dataclass
class House:
    folder: Path
    catalog: Catalog
    plane: FakePlane = field(default_factory=FakePlane)
    store: FlakyStore = field(default_factory=FlakyStore)
    fallback: FlakyStore | None = None
    jobs: Jobs = field(default_factory=Jobs)
    now: datetime = NOW
    pauses: list[float] = field(default_factory=list)
    heard: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.service = self.another_service()

    def another_service(self, **more: Any) -> RecordingService:
        """As after a restart: the same disk and catalog, no memory."""
        options = {"sleep": self._pause, **more}
        self.deliverer = Deliverer(
            self.catalog,
            self.depots,
            self.folder / "journals",
            clock=lambda: self.now,
            sleep=options["sleep"],
        )
        service = RecordingService(
            media=self.plane,
            catalog=self.catalog,
            deliverer=self.deliverer,
            jobs=self.jobs,
            data_dir=self.folder,
            clock=lambda: self.now,
            **options,
        )
        service.subscribe(lambda row: self.heard.append((row.id, row.status)))
        return service

    def another_renderer(self, **more: Any) -> Renderer:
        return Renderer(
            self.catalog,
            self.deliverer,
            self.jobs,
            self.folder / "journals",
            clock=lambda: self.now,
            **{"sleep": self._pause, "free": lambda _: 1 << 40, **more},
        )

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    @property
    def depots(self) -> Depots:
        """The main store is the provider "memory", the fallback, if there is one, "fallback"."""
        if self.fallback is None:
            return Depots({"memory": self.store}, "memory")
        return Depots({"memory": self.store, "fallback": self.fallback}, "memory", "fallback")

    def open_fallback(self) -> FlakyStore:
        self.fallback = FlakyStore()
        self.service = self.another_service()
        return self.fallback

    @property
    def statuses(self) -> list[str]:
        return [status for _, status in self.heard]

    def journals(self, recording_id: str) -> Path:
        return self.folder / "journals" / recording_id

    def media_arrives(self, recording_id: str, at: datetime | None = None) -> None:
        first_us = round((at or self.now).timestamp() * 1e6)
        self.service.handle(RecordingStarted(RecordingId(recording_id), first_us))

    def stall(self, recording_id: str, reason: str) -> None:
        self.service.handle(RecordingStalled(RecordingId(recording_id), reason))

    def fault(self, recording_id: str, reason: str) -> None:
        self.service.handle(RecordingFault(RecordingId(recording_id), reason))

    async def recorded(self, room: str = "blue", seconds: float = 1.0) -> RecordingRow:
        """A whole recording, from start to its end."""
        self.plane.tracks = [audio_track(seconds)]
        row = await self.service.start(room, None, "host")
        self.media_arrives(row.id)
        await self.settled()
        self.now += timedelta(seconds=seconds)
        await self.service.stop(row.id)
        await self.settled()
        return await self.row(row.id)

    def catalog_away(self, times: int) -> AbstractContextManager[None]:
        """The catalog refuses the next `times` changes of a recording."""
        return self._broken(times, done=False)

    def answers_lost(self, times: int) -> AbstractContextManager[None]:
        """The catalog makes the next `times` changes of a recording, but seems not to."""
        return self._broken(times, done=True)

    @contextmanager
    def _broken(self, times: int, *, done: bool) -> Iterator[None]:
        right = self.catalog.recordings.update

        async def update(*place: Any, **changes: Any) -> RecordingRow:
            nonlocal times
            if not times:
                return await right(*place, **changes)
            times -= 1
            if done:
                await right(*place, **changes)
            raise CatalogUnavailable("the database is away")

        self.catalog.recordings.update = update  # type: ignore[method-assign]
        try:
            yield
        finally:
            self.catalog.recordings.update = right  # type: ignore[method-assign]

    async def row(self, recording_id: str) -> RecordingRow:
        row = await self.catalog.recordings.get(recording_id)
        assert row is not None
        return row

    async def settled(self, service: RecordingService | None = None) -> None:
        await (service or self.service).idle()


async def open_house(folder: Path, *, one_clock: bool = False) -> House:
    """With `one_clock` the catalog has the house's, which stands still until a test moves it."""
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{folder / 'catalog.db'}"
    await migrated(url)
    if not one_clock:
        return House(folder, await Catalog.open(url))
    catalog = await Catalog.open(url, clock=lambda: house.now)
    house = House(folder, catalog)
    return house
