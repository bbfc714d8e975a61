"""A media library with real probes and transcodes, a catalog of its own, and a store of either kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recorder.depots import Depots
from recorder.jobs import JobKind
from recorder.media.library import MediaLibrary
from recorder.media.limits import MediaLimits
from signaling.jobs import SubprocessJobs
from storage.catalog import Catalog, MediaRow, UploadRow, new_media_id, new_upload_id
from storage.objects import LocalStore, MemoryStore, ObjectStore
from tests.storage.catalogs import migrated

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@dataclass
class CountedTools:
    """The real jobs. `failures` are raised first, one a call; a call waits for `hold`, if any."""

    jobs: SubprocessJobs = field(default_factory=SubprocessJobs)
    kinds: list[JobKind] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    hold: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(
        self, kind: JobKind, arguments: Sequence[str], on_progress: Callable[[float], None]
    ) -> dict[str, Any]:
        self.kinds.append(kind)
        self.begun.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
        return await self.jobs.run(kind, arguments, on_progress)


@dataclass
class Shelf:
    folder: Path
    catalog: Catalog
    store: ObjectStore
    tools: CountedTools = field(default_factory=CountedTools)
    limits: MediaLimits = field(
        default_factory=lambda: MediaLimits(
            formats=("mp4", "mov", "webm", "mkv", "avi", "m4a", "mp3", "ogg", "wav", "flac")
        )
    )
    now: datetime = NOW
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.library = self.another_library()

    def another_library(self, **more: Any) -> MediaLibrary:
        """As after a restart: the same catalog, store and disk, no memory."""
        return MediaLibrary(
            self.catalog,
            Depots({"there": self.store}, "there"),
            self.tools,
            self.folder / "scratch",
            clock=lambda: self.now,
            limits=self.limits,
            **{"sleep": self._pause, "thumbnails": False, **self.options, **more},
        )

    async def _pause(self, _seconds: float) -> None:
        await asyncio.sleep(0)

    async def upload(
        self, content: bytes | Path, name: str = "film.mp4", user: str = "ursula", **more: Any
    ) -> UploadRow:
        """An object that is whole in the store, and the session that brought it."""
        data = content if isinstance(content, bytes) else content.read_bytes()
        media_id = new_media_id()
        key = f"media/{media_id}/original{Path(name).suffix}"

        async def blocks() -> AsyncIterator[bytes]:
            yield data

        await self.store.put_stream(key, blocks(), "application/octet-stream")
        return arrived(media_id, key, name, user, len(data), **more)

    async def brought(self, content: bytes | Path, *words: Any, **more: Any) -> MediaRow:
        """A media file that is in the library."""
        return await self.library.admit(await self.upload(content, *words, **more))

    async def row(self, media_id: str) -> MediaRow:
        row = await self.catalog.media.get(media_id)
        assert row is not None
        return row

    async def keys(self, prefix: str = "media/") -> list[str]:
        return [entry.key async for entry in self.store.list(prefix)]

    async def content(self, key: str) -> bytes:
        return b"".join([block async for block in self.store.open(key)])


def arrived(
    media_id: str,
    key: str,
    name: str,
    user: str,
    size: int,
    *,
    provider: str = "there",
    course_id: str | None = None,
) -> UploadRow:
    """The session that brought an object that is whole in its store now."""
    return UploadRow(
        id=new_upload_id(),
        user_id=user,
        status="finishing",
        method="form",
        filename=name,
        content_type="video/mp4",
        size=size,
        received=size,
        provider=provider,
        storage_key=key,
        upload_id=None,
        part_size=None,
        course_id=course_id,
        metadata={"mediaId": media_id},
        media_id=None,
        error=None,
        created_at=NOW,
        expires_at=NOW,
        finished_at=None,
    )


@asynccontextmanager
async def open_shelf(folder: Path, *, remote: bool, **options: Any) -> AsyncIterator[Shelf]:
    """`remote` keeps objects where no process but this one can reach them."""
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{folder / 'catalog.db'}"
    await migrated(url)
    catalog = await Catalog.open(url)
    store: ObjectStore = MemoryStore() if remote else LocalStore(folder / "store")
    if isinstance(store, LocalStore):
        await store.prepare()
    shelf = Shelf(folder, catalog, store, options=options)
    try:
        yield shelf
    finally:
        await shelf.library.close()
        await catalog.close()
