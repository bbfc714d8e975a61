"""What every object store can do, and the values it speaks in.

Keys are any Unicode text that `storage.objects.keys.check_key` accepts; a key is never
interpreted beyond its "/" separators. As on a disk, a key can't be both an object and a folder:
while "a/b" exists, "a" is refused with BadKey, and the other way round.

An object appears, and is replaced, whole or not at all, also when the process is killed on the
way; whoever is reading the old bytes reads them to their end. All errors are `StorageError`s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows about an object without reading it.

    `size` in bytes, `modified_at` in UTC. `content_type` is what the object was put with, or a
    guess from the key where the medium can't keep it.
    """

    key: str
    size: int
    content_type: str
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class StoredObject(ObjectInfo):
    """An object that was just put. `sha256` (hex) is of the bytes that were written."""

    sha256: str


class ObjectStore(Protocol):
    async def put_file(self, key: str, path: Path, content_type: str) -> StoredObject:
        """Store a copy of a local file; returns once it is durable. Replaces what was there.

        Raises BadKey, SourceUnreadable, StoreFull, StoreUnavailable. After a cancelled or failed
        put there is the old object, or the whole new one, and nothing else is left behind.
        """
        ...

    async def head(self, key: str) -> ObjectInfo:
        """Raises BadKey, ObjectNotFound, StoreUnavailable."""
        ...

    async def digest(self, key: str) -> str:
        """SHA-256 (hex) of the bytes as they rest in the store now: they are read back for it.

        Raises BadKey, ObjectNotFound, StoreUnavailable.
        """
        ...

    def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes `[start:end]` in blocks of bounded size; past the end there are none.

        Raises, at the first block, BadKey, BadRange, ObjectNotFound, StoreUnavailable.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none. Raises BadKey, StoreUnavailable."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """Every object whose key starts with `prefix` (plain text, not a folder), sorted by key.

        Objects put or deleted while the list runs may or may not be in it. Raises StoreUnavailable.
        """
        ...


class LocalFiles(Protocol):
    """An optional ability: objects that are plain files of this machine."""

    def path(self, key: str) -> Path:
        """Where the object is, for reading only; says nothing about whether it exists.

        Raises BadKey.
        """
        ...


class Checkable(Protocol):
    """An optional ability: say now, rather than at the first put, whether puts can work."""

    async def check(self) -> None:
        """Raises StoreUnavailable or StoreFull with one sentence that says what is wrong."""
        ...
