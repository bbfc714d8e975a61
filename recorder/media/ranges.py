"""A stored object as a file of a process that knows no store: ranges through a socket of this machine.

The parent asks the store, which repeats what fails in passing, so the process that meets hostile bytes
needs no credentials, no links and no network. Its end is `recorder.media.remote_file`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from recorder.media.remote_file import FAILED, LARGEST, LENGTH, REQUEST
from storage.errors import StorageError
from storage.objects import ObjectStore

READ_ON: Final = 1 << 20
"""What lies so far ahead is reached by reading on, rather than by asking the store anew."""


class ObjectRanges:
    """Serves one object. `failure` is what the store raised, and then nothing more is served."""

    def __init__(self, store: ObjectStore, key: str, size: int) -> None:
        self._store = store
        self._key = key
        self._size = size
        self._blocks: AsyncIterator[bytes] | None = None
        self._held = b""  # read from the store, and not asked for yet
        self._at = 0  # where that begins
        self.failure: StorageError | None = None
        self.sent = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the other side closes."""
        try:
            while True:
                offset, count = REQUEST.unpack(await reader.readexactly(REQUEST.size))
                data = await self._read(offset, min(count, LARGEST))
                writer.write(LENGTH.pack(len(data)) + data)
                self.sent += len(data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except StorageError as error:
            self.failure = error
            with contextlib.suppress(ConnectionError):
                writer.write(LENGTH.pack(FAILED))
        finally:
            writer.close()

    async def _read(self, offset: int, count: int) -> bytes:
        end = min(offset + count, self._size)
        if offset >= end:
            return b""
        if self._blocks is None or not 0 <= offset - self._at <= len(self._held) + READ_ON:
            await self.close()
            self._blocks, self._held, self._at = self._store.open(self._key, offset), b"", offset
        while self._at + len(self._held) < end:
            block = await anext(self._blocks, b"")
            if not block:
                break
            self._held += block
            self._skip_to(offset)
        self._skip_to(offset)
        data = self._held[: end - offset]
        self._skip_to(offset + len(data))
        return data

    def _skip_to(self, offset: int) -> None:
        step = min(offset - self._at, len(self._held))
        self._held, self._at = self._held[step:], self._at + step

    async def close(self) -> None:
        """Gives the store's answer back."""
        blocks, self._blocks = self._blocks, None
        if blocks is not None and (close := getattr(blocks, "aclose", None)) is not None:
            await close()


@asynccontextmanager
async def served(
    store: ObjectStore, key: str, size: int
) -> AsyncIterator[tuple[Path, ObjectRanges]]:
    """Where a process of this user can reach the object, by `RemoteFile`."""
    ranges = ObjectRanges(store, key, size)
    # a folder for this user only, and a short name: a socket's address has 108 bytes at most
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="media-"))
    address = folder / "ranges"
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(ranges.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    try:
        server = await asyncio.start_unix_server(connected, address)
        try:
            yield address, ranges
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await ranges.close()
    finally:
        await asyncio.to_thread(_remove, address)


def _remove(address: Path) -> None:
    address.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.rmdir(address.parent)
