"""Chunks as they come: kept for good before anybody is told so, each under its number, once.

The truth is on the disk (`recorder.chunks.files`): a set is looked through when it is first asked for,
and what is in memory of it then is the ranges of its numbers. Any order, any repetition: the same bytes
again are as good as the first time, other bytes are refused.

Files are written by threads of the store's own. Names that came at about the same time are flushed
together: one flush of a folder serves every chunk whose name was in it when the flush began.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

from recorder.chunks import files
from recorder.chunks.files import ArrivingFile, Digest, Outcome, PartOnDisk, SetOnDisk
from recorder.chunks.made_at import note_made_at
from recorder.chunks.places import check_numbers, set_folder
from recorder.chunks.ranges import RangeSet
from recorder.chunks.syncs import MergedSyncs
from recorder.diskspace import DiskSpace
from recorder.errors import ChunksTooMany, ChunkTooLarge, JournalsUnwritable, SetComplete
from storage.objects.threads import Threads

THREADS: Final = 8
PIECE_BYTES: Final = 1 << 20  # of a chunk: what is held in memory, and written by one call
DISK_LOOKS_APART: Final = 0.25  # seconds; what comes meanwhile is far less than the low mark
MOST_OPEN: Final = 256  # sets whose ranges are kept in memory
MOST_CHUNKS: Final = 1_000_000  # of a set: two days at a chunk each 200 ms


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """In bytes: of a chunk, and of all that one participant sends of one recording."""

    chunk_bytes: int
    set_bytes: int
    chunks: int = MOST_CHUNKS


@dataclass(frozen=True, slots=True)
class Kept:
    """A chunk that is durable; `size` in bytes."""

    outcome: Outcome
    size: int


@dataclass(slots=True, weakref_slot=True, eq=False)
class _OpenSet:
    """`size` and `count` are of what is durable, `coming_*` of what is being placed."""

    disk: SetOnDisk
    size: int
    count: int
    coming_bytes: int = 0
    coming: int = 0
    gone: bool = False
    quiet: asyncio.Event = field(default_factory=asyncio.Event)  # nothing is being placed


class ArrivingChunk:
    """A chunk while it comes: at most PIECE_BYTES of it are in memory. `check_disk` is asked as it
    grows, and raises DiskLow: how long it gets may be unknown, and many may come at once.
    """

    def __init__(
        self, file: ArrivingFile, threads: Threads, limit: int, check_disk: Callable[[], None]
    ) -> None:
        self.size = 0
        self._file = file
        self._threads = threads
        self._limit = limit
        self._check_disk = check_disk
        self._held: list[bytes] = []
        self._held_bytes = 0

    async def write(self, block: bytes) -> None:
        """Raises ChunkTooLarge, DiskLow, JournalsUnwritable."""
        self.size += len(block)
        if self.size > self._limit:
            raise too_large(self._limit)
        if self._held_bytes + len(block) > PIECE_BYTES:
            self._check_disk()
            await self._threads.run(self._flush)
        self._held.append(block)
        self._held_bytes += len(block)

    def place(self, disk: SetOnDisk, part: int, sequence: int, *, durable: bool) -> Path:
        """The folder that it is in. Blocks. Raises what `ArrivingFile.place` raises."""
        self._flush()
        folder = disk.folder_of(part, sequence)
        self._file.place(folder / str(sequence), durable=durable)
        return folder

    def require_same(self, path: Path) -> None:
        """Blocks. Raises what `ArrivingFile.require_same` raises."""
        self._flush()
        self._file.require_same(path)

    def _flush(self) -> None:
        held, self._held, self._held_bytes = b"".join(self._held), [], 0
        self._file.write(held)  # as one: each call of the system waits for the interpreter's lock


class ChunkStore:
    """`root` is `recorder.chunks.places.chunks_root`; this process alone works on it."""

    def __init__(self, root: Path, limits: ChunkLimits, space: DiskSpace | None = None) -> None:
        self.limits = limits
        self._root = root
        self._space = space
        self._look_at = 0.0
        self._threads = Threads("chunks", THREADS)
        self._making = Lock()
        self._syncs = MergedSyncs(self._run_sync)
        self._recent: OrderedDict[str, _OpenSet] = OrderedDict()
        self._open: WeakValueDictionary[str, _OpenSet] = WeakValueDictionary()
        self._scans: dict[str, asyncio.Task[_OpenSet]] = {}
        self._swept: asyncio.Task[None] | None = None

    async def receive(
        self,
        set_id: str,
        part: int,
        sequence: int,
        blocks: AsyncIterator[bytes],
        digests: Sequence[Digest] = (),
        *,
        announced: int | None = None,
        closed: bool = False,
    ) -> Kept:
        """Keep one chunk. `announced` is its size in bytes, where it is known beforehand. A set that is
        `closed` keeps nothing, but says whether it has the same: its first answer may have been lost.

        Raises BadChunkNumber, ChunkConflict, DigestMismatch, ChunkTooLarge, ChunksTooMany, DiskLow,
        JournalsUnwritable, SetComplete when the set was removed meanwhile or is closed and has no chunk
        of that number, and what `blocks` raises; nothing of the chunk is kept then.
        """
        check_numbers(part, sequence)
        opened = await self._opened(set_id)
        if closed:
            _require_kept(opened, part, sequence)
        if announced is not None:
            if announced > self.limits.chunk_bytes:
                raise too_large(self.limits.chunk_bytes)
            self._check_room(opened, part, sequence, announced)
        async with self.arriving(digests, announced or 0) as chunk:
            async for block in blocks:
                await chunk.write(block)
            keep = self._compare if closed else self._keep
            return await keep(chunk, opened, part, sequence)

    @asynccontextmanager
    async def arriving(
        self, digests: Sequence[Digest] = (), announced: int = 0
    ) -> AsyncIterator[ArrivingChunk]:
        """A chunk of which only its bytes are known yet; `keep` keeps it, else it is gone afterwards.

        Raises DiskLow, JournalsUnwritable.
        """
        self._check_disk(announced)
        await self._sweep_once()
        file = ArrivingFile(self._root, digests)
        try:
            yield ArrivingChunk(
                file, self._threads, self.limits.chunk_bytes, partial(self._check_disk, 0)
            )
        finally:
            if file.is_open:
                await self._threads.run(file.close)

    async def keep(
        self, chunk: ArrivingChunk, set_id: str, part: int, sequence: int, *, closed: bool = False
    ) -> Kept:
        """Gives a chunk that has come its number. Raises as `receive`."""
        check_numbers(part, sequence)
        opened = await self._opened(set_id)
        keep = self._compare if closed else self._keep
        return await keep(chunk, opened, part, sequence)

    async def note_made_at(
        self, set_id: str, part: int, sequence: int, milliseconds: float
    ) -> None:
        """When a chunk that is kept was made, by its page's clock."""
        folder = set_folder(self._root, set_id) / str(part)
        await self._threads.run(partial(note_made_at, folder, sequence, milliseconds))

    async def state(self, set_id: str) -> dict[int, RangeSet]:
        """Which sequences of which parts are durable. Raises JournalsUnwritable."""
        parts = (await self._opened(set_id)).disk.parts
        return {part: parts[part].received.copy() for part in sorted(parts) if parts[part].received}

    async def sizes(self, set_id: str) -> dict[int, int]:
        """Bytes of each part. Raises JournalsUnwritable."""
        parts = (await self._opened(set_id)).disk.parts
        return {part: parts[part].size for part in sorted(parts) if parts[part].received}

    async def bytes_of(self, set_id: str) -> int:
        """What a set takes. Raises JournalsUnwritable."""
        return (await self._opened(set_id)).size

    async def last_arrival(self, set_id: str) -> datetime | None:
        """When the latest chunk came; None before the first. Raises JournalsUnwritable."""
        seconds = (await self._opened(set_id)).disk.last_arrival
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

    async def remove(self, set_id: str) -> None:
        """Removes every chunk of a set; what is being received of it is refused at its end.

        Raises JournalsUnwritable, and then all of it is still there.
        """
        opened = await self._opened(set_id)
        opened.gone = True
        try:
            if opened.coming:
                await opened.quiet.wait()
            await self._threads.run_cancellable(partial(files.remove, self._root, set_id))
        finally:
            self._open.pop(set_id, None)
            self._recent.pop(set_id, None)

    def close(self) -> None:
        self._threads.close()

    async def _keep(self, chunk: ArrivingChunk, opened: _OpenSet, part: int, sequence: int) -> Kept:
        self._check_room(opened, part, sequence, chunk.size)
        with _being_placed(opened, chunk.size):
            durable, failures = _has(opened, part, sequence), self._syncs.failures
            folder = await self._threads.run(
                partial(chunk.place, opened.disk, part, sequence, durable=durable)
            )
            if durable or _has(opened, part, sequence):
                return Kept("same", chunk.size)
            await self._syncs.sync(folder)
            if self._syncs.failures != failures:
                raise JournalsUnwritable("the disk failed while the chunk came; send it again")
            stored = _note(opened, part, sequence, chunk.size)
        return Kept("stored" if stored else "same", chunk.size)

    async def _compare(
        self, chunk: ArrivingChunk, opened: _OpenSet, part: int, sequence: int
    ) -> Kept:
        _require_kept(opened, part, sequence)
        await self._threads.run(partial(chunk.require_same, opened.disk.path_of(part, sequence)))
        return Kept("same", chunk.size)

    def _check_disk(self, announced: int) -> None:
        """Raises DiskLow. Asking the disk takes as long as all else that is done for a small chunk."""
        now = time.monotonic()
        if self._space is None or (now < self._look_at and announced <= PIECE_BYTES):
            return
        self._space.check_arrival(announced)
        self._look_at = now + DISK_LOOKS_APART

    def _check_room(self, opened: _OpenSet, part: int, sequence: int, size: int) -> None:
        """Raises SetComplete, ChunksTooMany."""
        if opened.gone:
            raise SetComplete("the chunks of this participant were removed meanwhile")
        if _has(opened, part, sequence):
            return
        limits = self.limits
        if opened.size + opened.coming_bytes + size > limits.set_bytes:
            raise ChunksTooMany(
                f"one participant may send {limits.set_bytes} bytes of one recording",
                code="chunks_too_many_bytes",
                details={"limitBytes": limits.set_bytes},
            )
        if opened.count + opened.coming >= limits.chunks:
            raise ChunksTooMany(
                f"one participant may send {limits.chunks} chunks of one recording",
                details={"limitChunks": limits.chunks},
            )

    async def _opened(self, set_id: str) -> _OpenSet:
        if (found := self._open.get(set_id)) is not None:
            self._keep_open(set_id, found)
            return found
        if (task := self._scans.get(set_id)) is None:
            task = asyncio.create_task(self._scan(set_id))
            self._scans[set_id] = task
            task.add_done_callback(lambda _: self._scans.pop(set_id, None))
        return await asyncio.shield(task)

    async def _scan(self, set_id: str) -> _OpenSet:
        disk = await self._threads.run(partial(files.scan, self._root, set_id, self._making))
        opened = _OpenSet(
            disk,
            size=sum(part.size for part in disk.parts.values()),
            count=sum(part.received.total for part in disk.parts.values()),
        )
        self._open[set_id] = opened
        self._keep_open(set_id, opened)
        return opened

    def _keep_open(self, set_id: str, opened: _OpenSet) -> None:
        """Those asked for last stay open, and those that somebody sends to."""
        self._recent[set_id] = opened
        self._recent.move_to_end(set_id)
        if len(self._recent) > MOST_OPEN:
            self._recent.popitem(last=False)

    async def _sweep_once(self) -> None:
        if self._swept is None:
            self._swept = asyncio.create_task(self._threads.run(partial(files.sweep, self._root)))
        try:
            await asyncio.shield(self._swept)
        except Exception:
            self._swept = None
            raise

    async def _run_sync(self, folder: Path) -> None:
        await self._threads.run(partial(files.sync, self._root, folder))


def too_large(limit: int) -> ChunkTooLarge:
    return ChunkTooLarge(
        f"a chunk may have {limit} bytes; let the recorder cut shorter ones",
        details={"limitBytes": limit},
    )


def _has(opened: _OpenSet, part: int, sequence: int) -> bool:
    found = opened.disk.parts.get(part)
    return found is not None and found.received.has(sequence)


def _require_kept(opened: _OpenSet, part: int, sequence: int) -> None:
    """Raises SetComplete."""
    if opened.gone or not _has(opened, part, sequence):
        raise SetComplete("the chunks of this participant are complete: no more are taken")


def _note(opened: _OpenSet, part: int, sequence: int, size: int) -> bool:
    """The chunk is durable now; False when another request with the same one was first."""
    found = opened.disk.parts.setdefault(part, PartOnDisk())
    if not found.received.add(sequence):
        return False
    found.size += size
    opened.size += size
    opened.count += 1
    opened.disk.last_arrival = time.time()
    return True


@contextmanager
def _being_placed(opened: _OpenSet, size: int) -> Iterator[None]:
    opened.coming += 1
    opened.coming_bytes += size
    opened.quiet.clear()
    try:
        yield
    finally:
        opened.coming -= 1
        opened.coming_bytes -= size
        if not opened.coming:
            opened.quiet.set()
