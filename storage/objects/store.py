"""What every object store can do, and the values it speaks in.

Keys are any text that `storage.objects.keys.check_key` accepts, the same on every store, so that
objects can move; a key is never interpreted beyond its "/" separators.

An object appears, and is replaced, whole or not at all, also when the process is killed on the
way. Whoever is reading while it is replaced gets the old bytes to their end or `ObjectChanged`,
never a mixture. A store repeats by itself, within bounds, what may be repeated and failed in
passing (`storage.objects.retry`); what comes out after that is a `StorageError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

OnProgress = Callable[[int], None]
"""Hears, on the event loop, how many bytes of a put the store has taken so far. Never less than
before; after a put of `size` bytes the last call says `size`."""


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """What a list says about an object: `size` in bytes, `modified_at` in UTC."""

    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class ObjectInfo(ObjectEntry):
    """What a store knows about an object without reading it.

    `content_type` is what the object was put with, or a guess from the key where the medium can't
    keep it. `metadata` is what it was put with, where the medium has a place for it.
    """

    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True)
class StoredObject(ObjectInfo):
    """An object that was just put. `sha256` (hex) is of the bytes that were sent."""

    sha256: str


class Reader(Protocol):
    async def head(self, key: str) -> ObjectInfo:
        """Raises BadKey, ObjectNotFound, StoreUnavailable."""
        ...

    async def digest(self, key: str) -> str:
        """SHA-256 (hex) of the bytes as they rest in the store now: they are read back for it.

        Raises BadKey, ObjectNotFound, ObjectChanged, StoreUnavailable.
        """
        ...

    def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes `[start:end]` in blocks of bounded size; past the end there are none.

        Raises, at the first block, BadKey, BadRange, ObjectNotFound, StoreUnavailable, and later
        ObjectChanged, StoreUnavailable: a cut is mended by asking for the rest.
        """
        ...

    def list(self, prefix: str = "") -> AsyncIterator[ObjectEntry]:
        """Every object whose key starts with `prefix` (plain text, not a folder), sorted by key.

        Objects put or deleted while the list runs may or may not be in it. Raises StoreUnavailable.
        """
        ...


class Writer(Protocol):
    async def put_file(
        self,
        key: str,
        path: Path,
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
        sha256: str | None = None,
    ) -> StoredObject:
        """Store a copy of a local file; returns once it is durable. Replaces what was there.

        `sha256` is the file's as far as the caller knows, who reads the object back to be sure: a
        store that would have to read the file a second time for it says the same, others say what
        they sent.

        `metadata` are a few short ASCII pairs (`storage.objects.keys.check_metadata`). Raises
        BadKey, BadMetadata, SourceUnreadable, StoreFull, StoreUnavailable. After a cancelled or
        failed put there is the old object, or the whole new one, and nothing else is left behind
        that `Multipart.unfinished` does not find.
        """
        ...

    async def put_stream(
        self,
        key: str,
        blocks: AsyncIterator[bytes],
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> StoredObject:
        """The same from blocks of any size; what is held of them in memory is bounded.

        Whatever `blocks` raises ends the put and comes out of it.
        """
        ...

    async def copy(self, source: str, target: str) -> ObjectInfo:
        """Copy within the store, content type and metadata too. Replaces what was there.

        Raises BadKey, ObjectNotFound, StoreFull, StoreUnavailable.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none. Raises BadKey, StoreUnavailable."""
        ...

    async def delete_many(self, keys: Collection[str]) -> None:
        """Remove objects in as few calls as the store needs. Raises as `delete` does.

        All keys are checked first; after another error some objects may be gone.
        """
        ...


class ObjectStore(Reader, Writer, Protocol):
    async def close(self) -> None:
        """Give back connections and threads. Nothing may be called afterwards."""
        ...


@runtime_checkable
class LocalFiles(Protocol):
    """An optional ability: objects that are plain files of this machine."""

    def path(self, key: str) -> Path:
        """Where the object is, for reading only; says nothing about whether it exists.

        Raises BadKey.
        """
        ...


@runtime_checkable
class Checkable(Protocol):
    """An optional ability: say now, rather than at the first put, whether puts can work."""

    async def check(self) -> None:
        """Raises StoreUnavailable or a kind of it with one sentence that says what is wrong."""
        ...
