"""Objects in memory: the store for tests and for trying things out. Held to the same contract."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

from storage.errors import ObjectNotFound, SourceUnreadable
from storage.objects.keys import check_key, folder_conflict, folders_of
from storage.objects.ranges import BLOCK_BYTES, check_range
from storage.objects.store import ObjectInfo, StoredObject


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """An ObjectStore that forgets everything with the process."""

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._objects: dict[str, tuple[ObjectInfo, bytes]] = {}

    async def check(self) -> None:
        """Nothing can be wrong with it."""

    async def put_file(self, key: str, path: Path, content_type: str) -> StoredObject:
        check_key(key)
        try:
            content = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise SourceUnreadable(f"{path} can't be read: {error.strerror}") from error
        below = key + "/"
        if any(folder in self._objects for folder in folders_of(key)) or any(
            other.startswith(below) for other in self._objects
        ):
            raise folder_conflict(key)
        info = ObjectInfo(key, len(content), content_type, self._clock())
        self._objects[key] = (info, content)
        digest = hashlib.sha256(content).hexdigest()
        return StoredObject(key, info.size, content_type, info.modified_at, digest)

    async def head(self, key: str) -> ObjectInfo:
        return self._object(key)[0]

    async def digest(self, key: str) -> str:
        return hashlib.sha256(self._object(key)[1]).hexdigest()

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        check_range(start, end)
        content = memoryview(self._object(key)[1])[start:end]
        for offset in range(0, len(content), BLOCK_BYTES):
            yield bytes(content[offset : offset + BLOCK_BYTES])

    async def delete(self, key: str) -> None:
        check_key(key)
        self._objects.pop(key, None)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        for key in sorted(key for key in self._objects if key.startswith(prefix)):
            if found := self._objects.get(key):
                yield found[0]

    def _object(self, key: str) -> tuple[ObjectInfo, bytes]:
        check_key(key)
        try:
            return self._objects[key]
        except KeyError:
            raise ObjectNotFound(f"there is no object {key!r}") from None
