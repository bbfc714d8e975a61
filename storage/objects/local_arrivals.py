"""Bytes on their way into the local store: from a file, from a stream, or from files already in it.

A stream is written by many short calls, so that a client that dawdles holds no thread; what is held
of it in memory is one piece. Files already in the store are copied by the kernel, which on file
systems that share blocks (xfs, btrfs) copies nothing at all.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import ExitStack, aclosing, asynccontextmanager
from functools import partial
from io import FileIO
from itertools import repeat
from pathlib import Path
from typing import cast

from storage.objects import disk
from storage.objects.ranges import BLOCK_BYTES
from storage.objects.sources import SourceFile, opened, pieces
from storage.objects.store import ObjectInfo, OnProgress, StoredObject
from storage.objects.threads import Cancelled, Threads

PIECE_BYTES = 1 << 20  # of a stream: what is written, and hashed, by one call
STEP_BYTES = 8 << 20  # of a file: as often a put can be cancelled, and says how far it is
KERNEL_STEP_BYTES = 64 << 20
# What copy_file_range says where the file systems or the kernel can't do it (man 2, "ERRORS").
NOT_IN_THE_KERNEL = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


class Arrival:
    """One put under way. Every method blocks on the disk; one is called at a time.

    `close` has to be called whatever happened: what was not placed by then is removed.
    """

    def __init__(self, root: Path) -> None:
        self.size = 0
        self._root = root
        self._digest = hashlib.sha256()
        self._open = ExitStack()

    def begin(self) -> None:
        """Raises StoreUnavailable, StoreFull."""
        with disk.translated(f"writing into the folder {self._root}"):
            self._file, self._path = self._open.enter_context(disk.incoming(self._root))

    def write(self, block: bytes) -> None:
        """Raises StoreUnavailable, StoreFull."""
        with disk.translated(f"writing into the folder {self._root}"):
            disk.write_all(self._file, block)
        self._digest.update(block)
        self.size += len(block)

    def take(self, source: SourceFile) -> None:
        """Write what comes next of a file. Raises SourceUnreadable, StoreUnavailable, StoreFull."""
        end = min(self.size + STEP_BYTES, source.size)
        while self.size < end:
            self.write(source.read(self.size, min(BLOCK_BYTES, end - self.size)))

    def open_source(self, path: Path) -> SourceFile:
        """A file that is open as long as this put. Raises SourceUnreadable."""
        return self._open.enter_context(opened(path))

    def sha256(self) -> bytes:
        return self._digest.digest()

    def place(self, key: str, content_type: str, metadata: Mapping[str, str]) -> StoredObject:
        """Raises BadKey, StoreUnavailable, StoreFull."""
        info = disk.finish(self._root, key, self._file, self._path, content_type, metadata)
        return StoredObject(
            key,
            info.size,
            info.modified_at,
            content_type,
            self._digest.hexdigest(),
            metadata=info.metadata,
        )

    def place_at(self, path: Path) -> None:
        """A place of the store's own, in a folder that exists. Raises OSError."""
        os.fsync(self._file.fileno())
        self._path.rename(path)
        disk.sync_folders(path.parent, path.parent)

    def close(self) -> None:
        self._open.close()


@asynccontextmanager
async def arriving(threads: Threads, root: Path) -> AsyncIterator[Arrival]:
    """A put that has begun, and that is over at the end of the block, whatever ended it."""
    arrival = Arrival(root)
    try:
        await threads.run(arrival.begin)
        yield arrival
    finally:
        await threads.run(arrival.close)


async def receive(
    threads: Threads,
    arrival: Arrival,
    blocks: AsyncIterator[bytes],
    on_progress: OnProgress | None = None,
) -> None:
    """Write a stream. Raises what it raises, and StoreUnavailable, StoreFull."""
    whole = cast(AsyncGenerator[bytes, None], pieces(blocks, repeat(PIECE_BYTES)))
    async with aclosing(whole):
        async for piece in whole:
            await threads.run(partial(arrival.write, piece))
            if on_progress:
                on_progress(arrival.size)


def copy(root: Path, source: str, target: str, cancelled: Cancelled) -> ObjectInfo:
    """Raises BadKey, ObjectNotFound, StoreUnavailable, StoreFull. Blocks on the disk."""
    disk.locate(root, target)
    with disk.open_object(root, source) as reading, disk.translated(f"copying {source!r}"):
        info = disk.describe(source, reading.fileno())
        with disk.incoming(root) as (writing, temporary):
            append(reading.fileno(), writing, info.size, cancelled)
            return disk.finish(root, target, writing, temporary, info.content_type, info.metadata)


def append(reading: int, writing: FileIO, count: int, cancelled: Cancelled) -> None:
    """Copy the first `count` bytes of an open file behind what was written. Raises OSError."""
    offset, in_kernel = 0, True
    while offset < count:
        if cancelled():
            raise disk.Interrupted
        left = count - offset
        if in_kernel:
            try:
                done = os.copy_file_range(
                    reading, writing.fileno(), min(left, KERNEL_STEP_BYTES), offset
                )
            except OSError as error:
                if error.errno not in NOT_IN_THE_KERNEL:
                    raise
                in_kernel = False
                continue
        else:
            block = os.pread(reading, min(left, BLOCK_BYTES), offset)
            disk.write_all(writing, block)
            done = len(block)
        if not done:
            raise OSError(errno.EIO, "a file became shorter while it was copied")
        offset += done
