"""Objects as plain files below a folder of this machine: the default store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path

from storage.objects import disk, local_arrivals, local_parts
from storage.objects.keys import check_key, check_metadata
from storage.objects.local_arrivals import arriving
from storage.objects.ranges import BLOCK_BYTES, check_range
from storage.objects.store import ObjectEntry, ObjectInfo, OnProgress, StoredObject
from storage.objects.threads import Threads

LIST_BATCH = 256
THREADS = 8  # calls are short but for copies, digests and flushes


class LocalStore:
    """An ObjectStore, LocalFiles and Checkable: key "a/b.webm" is the file `<root>/a/b.webm`.

    The folder `<root>/.incoming` is the store's own. Several processes may share a root. Metadata
    and content types need a file system with extended attributes (`storage.objects.
    local_attributes`). `root` and `threads` are for what works on the same files
    (`storage.objects.local_signing`).
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.threads = Threads("local-store", THREADS)

    async def prepare(self) -> int:
        """Call once at start: make the folder, sweep leftovers of interrupted puts, try to write.

        Returns how many leftovers there were. Unfinished uploads in parts are no leftovers: ask
        `Multipart.unfinished` for them. Raises StoreUnavailable, StoreFull.
        """
        swept = await self.threads.run(lambda: disk.sweep(self.root))
        swept += await self.threads.run(lambda: local_parts.sweep(self.root))
        await self.check()
        return swept

    async def check(self) -> None:
        await self.threads.run(lambda: disk.probe(self.root))

    async def close(self) -> None:
        self.threads.close()

    def path(self, key: str) -> Path:
        return disk.locate(self.root, key)

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
        pairs = await self._checked(key, metadata)
        async with arriving(self.threads, self.root) as arrival:
            source = await self.threads.run(lambda: arrival.open_source(path))
            while True:
                await self.threads.run(lambda: arrival.take(source))
                if on_progress:
                    on_progress(arrival.size)
                if arrival.size == source.size:
                    break
            return await self.threads.run(lambda: arrival.place(key, content_type, pairs))

    async def put_stream(
        self,
        key: str,
        blocks: AsyncIterator[bytes],
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> StoredObject:
        pairs = await self._checked(key, metadata)
        async with arriving(self.threads, self.root) as arrival:
            await local_arrivals.receive(self.threads, arrival, blocks, on_progress)
            return await self.threads.run(lambda: arrival.place(key, content_type, pairs))

    async def head(self, key: str) -> ObjectInfo:
        return await self.threads.run(lambda: disk.head(self.root, key))

    async def digest(self, key: str) -> str:
        return await self.threads.run_cancellable(
            lambda cancelled: disk.digest(self.root, key, cancelled)
        )

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        check_range(start, end)
        with ExitStack() as stack, disk.translated(f"reading {key!r}"):
            # entered in the thread: whoever is cancelled meanwhile leaves no open file behind
            file = await self.threads.run(
                lambda: stack.enter_context(disk.open_object(self.root, key))
            )
            file.seek(start)
            left = BLOCK_BYTES if end is None else end - start
            while block := await self.threads.run(partial(file.read, min(left, BLOCK_BYTES))):
                if end is not None:
                    left -= len(block)
                yield block

    async def copy(self, source: str, target: str) -> ObjectInfo:
        return await self.threads.run_cancellable(
            lambda cancelled: local_arrivals.copy(self.root, source, target, cancelled)
        )

    async def delete(self, key: str) -> None:
        await self.delete_many((key,))

    async def delete_many(self, keys: Collection[str]) -> None:
        await self.threads.run_cancellable(
            lambda cancelled: disk.delete(self.root, keys, cancelled)
        )

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectEntry]:
        objects = disk.walk(self.root, prefix)
        while batch := await self.threads.run(lambda: self._next_of(objects)):
            for entry in batch:
                yield entry

    def _next_of(self, objects: Iterator[ObjectEntry]) -> tuple[ObjectEntry, ...]:
        with disk.translated(f"listing the folder {self.root}"):
            return tuple(islice(objects, LIST_BATCH))

    async def _checked(self, key: str, metadata: Mapping[str, str] | None) -> dict[str, str]:
        """Before anything is written. Raises BadKey, BadMetadata."""
        check_key(key)
        pairs = check_metadata(metadata)
        await self.threads.run(lambda: disk.locate(self.root, key))
        return pairs
