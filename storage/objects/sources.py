"""Where the bytes of a put come from: files read in places, and streams cut into pieces."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from storage.errors import SourceUnreadable, StoreUnavailable
from storage.objects.ranges import BLOCK_BYTES
from storage.objects.threads import Cancelled

Block = TypeVar("Block", bytes, memoryview)


class SourceFile:
    """A regular file that may be read in several places at once. Every method blocks on the disk."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size
        self._descriptor = descriptor

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes, which have to be there. Raises SourceUnreadable."""
        with self._readable():
            block = os.pread(self._descriptor, count, offset)
        return self._all_of(block, count)

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fills the buffer, as `read` does."""
        with self._readable():
            count = os.preadv(self._descriptor, [buffer], offset)
        self._all_of(buffer[:count], len(buffer))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceUnreadable(f"{self.path} can't be read: {error.strerror}") from error

    def _all_of(self, block: Block, count: int) -> Block:
        if len(block) != count:
            raise SourceUnreadable(f"{self.path} became shorter while it was read")
        return block

    def slice(self, offset: int, length: int) -> FileSlice:
        return FileSlice(self, offset, length)

    def blocks(self) -> Iterator[memoryview]:
        """Each is good until the next one is asked for."""
        return self.slice(0, self.size).blocks()

    def sha256(self, cancelled: Cancelled) -> str:
        """In hex; worth nothing when it was cancelled."""
        digest = hashlib.sha256()
        for block in self.blocks():
            if cancelled():
                break
            digest.update(block)
        return digest.hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[SourceFile]:
    """Raises SourceUnreadable, also for what is no regular file. Blocks on the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SourceUnreadable(f"{path} can't be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SourceUnreadable(f"{path} can't be read: it is no regular file")
        yield SourceFile(path, descriptor, status.st_size)
    finally:
        os.close(descriptor)


class FileSlice(io.RawIOBase):
    """A part of a source as a file of its own, for SDKs: seekable, and nothing is read ahead."""

    def __init__(self, source: SourceFile, offset: int, length: int) -> None:
        self._source = source
        self._offset = offset
        self._length = length
        self._position = 0

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._length - self._position)
        count = left if size is None or size < 0 else min(size, left)
        block = self._source.read(self._offset + self._position, count) if count else b""
        self._position += count
        return block

    def blocks(self) -> Iterator[memoryview]:
        """What is left of it. Each block is good until the next one is asked for: all are in one
        buffer, since memory that is new each time costs a good part of what sending it does.
        """
        buffer = memoryview(bytearray(min(BLOCK_BYTES, self._length)))
        while left := self._length - self._position:
            block = buffer[: min(left, len(buffer))]
            self._source.read_into(block, self._offset + self._position)
            self._position += len(block)
            yield block


async def pieces(blocks: AsyncIterator[bytes], sizes: Iterator[int]) -> AsyncIterator[bytearray]:
    """The same bytes in pieces of just these sizes, the last one smaller. None is empty, unless the
    stream is: that is one empty piece. One piece is held at a time.

    Raises StoreUnavailable for a stream that is longer than all sizes together.
    """
    size, piece, empty = next(sizes), bytearray(), True
    async for block in blocks:
        view = memoryview(block)
        while view:
            taken = view[: size - len(piece)]
            piece += taken
            view = view[len(taken) :]
            if len(piece) == size:
                yield piece
                size, piece, empty = next(sizes, 0), bytearray(), False
            if view and not size:
                raise StoreUnavailable("the stream is longer than what goes in parts")
    if piece or empty:
        yield piece
