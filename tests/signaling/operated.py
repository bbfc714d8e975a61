"""A data folder as a server leaves it behind, for commands to work on."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from recorder.journals import journals_root
from recorder.object_keys import object_prefix
from storage.catalog import Catalog, FileRow, RecordingRow, new_file_id
from storage.objects import LocalStore
from tests.storage.catalogs import migrated


@dataclass(frozen=True, slots=True)
class Estate:
    """The folder is `data` in the working directory of the commands."""

    data: Path
    url: str
    catalog: Catalog

    @property
    def films(self) -> Path:
        return self.data / "recordings"

    async def recorded(
        self, room: str = "blue", *contents: bytes, days_old: float = 0.0, status: str = "recorded"
    ) -> RecordingRow:
        """A recording whose files are in the local store."""
        row = await self._recording(room, contents, days_old, status)
        store = LocalStore(self.films)
        for file, content in zip(row.files, contents, strict=True):
            await store.put_stream(file.key, _stream(content), file.content_type)
        await store.close()
        return row

    async def waiting(self, *contents: bytes) -> RecordingRow:
        """A recording whose finished files nobody has stored yet."""
        row = await self._recording("blue", contents, 0.0, "uploading")
        output = journals_root(self.data) / row.id / "output"
        output.mkdir(parents=True)
        entries = []
        for number, (file, content) in enumerate(zip(row.files, contents, strict=True)):
            path = output / f"{number}.webm"
            path.write_bytes(content)
            entries.append((file, str(path.relative_to(journals_root(self.data)))))
        await self.catalog.recordings.set_files(row.id, ())
        await self.catalog.deliveries.enter(row.id, entries)
        return row

    async def row(self, recording_id: str) -> RecordingRow:
        row = await self.catalog.recordings.get(recording_id)
        assert row is not None
        return row

    async def providers(self) -> set[str]:
        """Where the files of all recordings are."""
        found = await self.catalog.recordings.find(limit=1000)
        return {file.provider for row in found.items for file in row.files}

    def local_objects(self) -> list[Path]:
        return [path for path in self.films.rglob("*.webm") if path.is_file()]

    async def _recording(
        self, room: str, contents: tuple[bytes, ...], days_old: float, status: str
    ) -> RecordingRow:
        ended = datetime.now(UTC) - timedelta(days=days_old)
        row = await self.catalog.recordings.create(
            room=room,
            started_by="hanna",
            status=status,
            stopped_at=ended,
            size=sum(map(len, contents)),
        )
        files = [_file(object_prefix(room, row.id), content) for content in contents]
        return await self.catalog.recordings.set_files(row.id, files)


@asynccontextmanager
async def estate(folder: Path) -> AsyncIterator[Estate]:
    """A migrated database and nothing else in `folder`."""
    data = folder / "data"
    data.mkdir()
    url = f"sqlite:///{data}/mediaserver.db"
    await migrated(url)
    catalog = await Catalog.open(url)
    yield Estate(data, url, catalog)
    await catalog.close()


async def _stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _file(prefix: str, content: bytes) -> FileRow:
    file_id = new_file_id()
    return FileRow(
        id=file_id,
        kind="participant",
        participant_id="ada",
        content_type="video/webm",
        size=len(content),
        duration_seconds=90.0,
        width=640,
        height=360,
        sha256=hashlib.sha256(content).hexdigest(),
        key=f"{prefix}{file_id}.webm",
        start_seconds=0.0,
    )
