"""A recording service in a house of its own: real catalog, memory store, a media plane in memory.

`FakePlane` writes real journals. `Jobs` runs the real finalize job, in a thread, and fails when told.
Nothing waits: `settled` returns when no background task is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mediaserver.errors import MediaError
from mediaserver.messages import (
    RecordingFault,
    RecordingId,
    RecordingStalled,
    RecordingStarted,
    RoomId,
)
from recorder.finalize import finalize
from recorder.jobs import FinalizeResult
from recorder.service import RecordingService
from storage.catalog import Catalog, RecordingRow, migrate
from storage.errors import CatalogUnavailable, StoreUnavailable
from storage.objects import MemoryStore, StoredObject
from tests.recorder.known_media import KnownTrack, audio_track

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class FakePlane:
    """A RecordingPlane. `tracks` is what it "receives" in every recording."""

    tracks: list[KnownTrack] = field(default_factory=list)
    started: dict[RecordingId, Path] = field(default_factory=dict)
    refuses: MediaError | None = None
    breaks: MediaError | None = None

    async def start_recording(self, room: RoomId, recording: RecordingId, directory: Path) -> None:
        if self.refuses is not None:
            raise self.refuses
        assert directory.is_dir()
        self.started[recording] = directory

    async def stop_recording(self, recording: RecordingId) -> bool:
        directory = self.started.pop(recording, None)
        if directory is None:
            return False
        for track in self.tracks:
            track.write(directory)
        if self.breaks is not None:
            raise self.breaks
        return bool(self.tracks)


@dataclass
class Jobs:
    """A JobRunner. `failures` are raised first, one a call."""

    failures: list[Exception] = field(default_factory=list)
    calls: list[Path] = field(default_factory=list)
    hold: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    most_at_once: int = 0

    async def finalize(
        self, journals: Path, output: Path, on_progress: Callable[[float], None]
    ) -> FinalizeResult:
        self.calls.append(journals)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            if self.hold is not None:
                on_progress(0.5)
                self.begun.set()
                await self.hold.wait()
            if self.failures:
                raise self.failures.pop(0)
            return await asyncio.to_thread(finalize, journals, output, on_progress)
        finally:
            self.running -= 1


class FlakyStore(MemoryStore):
    """Refuses the first `refusals` puts."""

    refusals = 0

    async def put_file(self, key: str, path: Path, content_type: str) -> StoredObject:
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("the store is down")
        return await super().put_file(key, path, content_type)


@dataclass
class House:
    folder: Path
    catalog: Catalog
    plane: FakePlane = field(default_factory=FakePlane)
    store: FlakyStore = field(default_factory=FlakyStore)
    jobs: Jobs = field(default_factory=Jobs)
    now: datetime = NOW
    pauses: list[float] = field(default_factory=list)
    heard: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.service = self.another_service()

    def another_service(self, **more: Any) -> RecordingService:
        """As after a restart: the same disk and catalog, no memory."""
        options = {"sleep": self._pause, **more}
        service = RecordingService(
            media=self.plane,
            catalog=self.catalog,
            store=self.store,
            jobs=self.jobs,
            data_dir=self.folder,
            clock=lambda: self.now,
            **options,
        )
        service.subscribe(lambda row: self.heard.append((row.id, row.status)))
        return service

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

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


async def open_house(folder: Path) -> House:
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{folder / 'catalog.db'}"
    await migrate(url)
    return House(folder, await Catalog.open(url))
