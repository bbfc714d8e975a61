"""Objects in memory: the store for tests and for trying things out. Held to the same contract."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from storage.errors import ObjectNotFound, SourceUnreadable
from storage.objects.keys import check_key, check_metadata, folder_conflict, folders_of
from storage.objects.ranges import BLOCK_BYTES, check_range
from storage.objects.store import ObjectEntry, ObjectInfo, OnProgress, StoredObject


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """An ObjectStore that forgets everything with the process."""

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._objects: dict[str, tuple[ObjectInfo, bytes]] = {}

    async def check(self) -> None:
        """Nothing can be wrong with it."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def put_file(
        self,
        key: str,
        path: Path,
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
        sha256: str | None = None,  # noqa: ARG002  (found out in passing)
    ) -> StoredObject:
        check_key(key)
        pairs = check_metadata(metadata)
        try:
            content = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise SourceUnreadable(f"{path} can't be read: {error.strerror}") from error
        return self._put(key, content, content_type, pairs, on_progress)

    async def put_stream(
        self,
        key: str,
        blocks: AsyncIterator[bytes],
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> StoredObject:
        check_key(key)
        pairs = check_metadata(metadata)
        content = b"".join([block async for block in blocks])
        return self._put(key, content, content_type, pairs, on_progress)

    async def head(self, key: str) -> ObjectInfo:
        return self._object(key)[0]

    async def digest(self, key: str) -> str:
        return hashlib.sha256(self._object(key)[1]).hexdigest()

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        check_range(start, end)
        content = memoryview(self._object(key)[1])[start:end]
        for offset in range(0, len(content), BLOCK_BYTES):
            yield bytes(content[offset : offset + BLOCK_BYTES])

    async def copy(self, source: str, target: str) -> ObjectInfo:
        check_key(target)
        info, content = self._object(source)
        self._put(target, content, info.content_type, info.metadata, None)
        return self._object(target)[0]

    async def delete(self, key: str) -> None:
        check_key(key)
        self._objects.pop(key, None)

    async def delete_many(self, keys: Collection[str]) -> None:
        for key in keys:
            check_key(key)
        for key in keys:
            self._objects.pop(key, None)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectEntry]:
        for key in sorted(key for key in self._objects if key.startswith(prefix)):
            if found := self._objects.get(key):
                yield ObjectEntry(key, found[0].size, found[0].modified_at)

    def _put(
        self,
        key: str,
        content: bytes,
        content_type: str,
        metadata: Mapping[str, str],
        on_progress: OnProgress | None,
    ) -> StoredObject:
        below = key + "/"
        if any(folder in self._objects for folder in folders_of(key)) or any(
            other.startswith(below) for other in self._objects
        ):
            raise folder_conflict(key)
        info = ObjectInfo(key, len(content), self._clock(), content_type, metadata=metadata)
        self._objects[key] = (info, content)
        if on_progress:
            on_progress(len(content))
        digest = hashlib.sha256(content).hexdigest()
        return StoredObject(
            key, info.size, info.modified_at, content_type, digest, metadata=metadata
        )

    def _object(self, key: str) -> tuple[ObjectInfo, bytes]:
        check_key(key)
        try:
            return self._objects[key]
        except KeyError:
            raise ObjectNotFound(f"there is no object {key!r}") from None
