"""Objects as plain files below a folder of this machine: the default store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from storage.objects import disk
from storage.objects.ranges import BLOCK_BYTES, check_range
from storage.objects.store import ObjectInfo, StoredObject

LIST_BATCH = 256

Result = TypeVar("Result")


class LocalStore:
    """An ObjectStore, LocalFiles and Checkable: key "a/b.webm" is the file `<root>/a/b.webm`.

    The folder `<root>/.incoming` is the store's own. Several processes may share a root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    async def prepare(self) -> int:
        """Call once at start: make the folder, sweep leftovers of interrupted puts, try to write.

        Returns how many leftovers there were. Raises StoreUnavailable, StoreFull.
        """
        swept = await asyncio.to_thread(disk.sweep, self._root)
        await self.check()
        return swept

    async def check(self) -> None:
        await asyncio.to_thread(disk.probe, self._root)

    def path(self, key: str) -> Path:
        return disk.locate(self._root, key)

    async def put_file(self, key: str, path: Path, content_type: str) -> StoredObject:
        return await _interruptible(
            lambda cancelled: disk.put(self._root, key, path, content_type, cancelled)
        )

    async def head(self, key: str) -> ObjectInfo:
        return await asyncio.to_thread(disk.head, self._root, key)

    async def digest(self, key: str) -> str:
        return await _interruptible(lambda cancelled: disk.digest(self._root, key, cancelled))

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        check_range(start, end)
        file = await asyncio.to_thread(disk.open_object, self._root, key)
        # leaving closes the file; its own lock makes that wait for a read that still runs
        with file, disk.translated(f"reading {key!r}"):
            file.seek(start)
            left = BLOCK_BYTES if end is None else end - start
            while block := await asyncio.to_thread(file.read, min(left, BLOCK_BYTES)):
                if end is not None:
                    left -= len(block)
                yield block

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(disk.delete, self._root, key)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        objects = disk.walk(self._root, prefix)
        while batch := await asyncio.to_thread(self._next_of, objects):
            for info in batch:
                yield info

    def _next_of(self, objects: Iterator[ObjectInfo]) -> tuple[ObjectInfo, ...]:
        with disk.translated(f"listing the folder {self._root}"):
            return tuple(islice(objects, LIST_BATCH))


async def _interruptible(work: Callable[[disk.Cancelled], Result]) -> Result:
    """Run long blocking work in a thread; a cancellation stops it, and waits until it has stopped.

    Without that a cancelled put would go on unseen, and might replace what a later one stored.
    """
    cancelled = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, cancelled.is_set))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cancelled.set()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # seen: what became of the work no longer matters
        raise
