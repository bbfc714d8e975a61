"""What requests to Vercel Blob send: bytes in memory, and parts of a file, read while they go."""

from __future__ import annotations

import asyncio
from typing import Protocol

from storage.objects.sources import SourceFile
from storage.objects.threads import Threads


class Body(Protocol):
    """The bytes that a request sends. They are read again when it is repeated."""

    @property
    def size(self) -> int: ...

    async def read(self, offset: int, count: int) -> bytes | memoryview:
        """Raises SourceUnreadable."""
        ...


class Bytes:
    """A Body of bytes in memory."""

    def __init__(self, content: bytes | bytearray) -> None:
        self._content = memoryview(content)

    @property
    def size(self) -> int:
        return len(self._content)

    async def read(self, offset: int, count: int) -> memoryview:
        return self._content[offset : offset + count]


class FileReads:
    """The reads of one file. `ended` is for who closes it: a request that was given up, or answered
    before it was sent, ends without the read that it had begun."""

    def __init__(self, source: SourceFile, threads: Threads) -> None:
        self.source = source
        self._threads = threads
        self._running: set[asyncio.Task[bytes]] = set()

    async def read(self, offset: int, count: int) -> bytes:
        reading = asyncio.create_task(
            self._threads.run(lambda: self.source.read(offset, count)), name="read a file"
        )
        self._running.add(reading)
        reading.add_done_callback(self._running.discard)
        return await reading

    async def ended(self) -> None:
        """Back when no thread reads any more."""
        if self._running:
            await asyncio.wait(set(self._running))


class FilePart:
    """A Body of `size` bytes of a file from `offset`."""

    def __init__(self, reads: FileReads, offset: int, size: int) -> None:
        self._reads = reads
        self._offset = offset
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    async def read(self, offset: int, count: int) -> bytes:
        return await self._reads.read(self._offset + offset, count)
