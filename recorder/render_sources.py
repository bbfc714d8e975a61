"""What a composite is made of: the recording's files, on this disk for as long as the job reads them."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from recorder.composite.spec import RenderOptions, RenderSource
from recorder.depots import Depots
from recorder.errors import BadRenderOptions, DiskFull, NothingToRender, StorageFailed
from storage.catalog import FileRow, RecordingRow
from storage.objects import LocalFiles

PARTICIPANT = "participant"  # the kind of file that has all a participant sent from one source
PARTIAL_SUFFIX = ".part"


def source_files(row: RecordingRow, options: RenderOptions) -> tuple[FileRow, ...]:
    """The files to render, in the recording's order.

    Raises NothingToRender when there is none, BadRenderOptions when `options.focus` has none.
    """
    files = tuple(file for file in row.files if file.kind == PARTICIPANT and not file.role)
    if not files:
        raise NothingToRender(f"recording {row.id} has no media to render")
    if options.focus is not None and options.focus not in {file.participant_id for file in files}:
        raise BadRenderOptions("focus", "must be the id of a participant of the recording")
    return files


class Sources:
    """Brings files into a folder; those of a store on this machine stay where they are.

    `spare` are the bytes of the disk that have to stay free.
    """

    def __init__(self, depots: Depots, spare: int, free: Callable[[Path], int]) -> None:
        self._depots = depots
        self._spare = spare
        self._free = free

    async def bring(
        self, files: Sequence[FileRow], folder: Path, on_progress: Callable[[float], None]
    ) -> tuple[RenderSource, ...]:
        """`on_progress` hears the fraction of what has to be fetched, and nothing if nothing has to.

        Raises DiskFull when the composite may not fit beside what is fetched, ObjectNotFound,
        StorageFailed when an object is not what was stored, and what the stores raise.
        """
        missing = [file for file in files if not self._here(file, folder).exists()]
        fetched = sum(file.size for file in missing if not self._is_local(file))
        # the composite is about as large as what it is made of
        await self._require_room(folder, fetched + sum(file.size for file in files))
        done = 0
        for file in missing:
            if self._is_local(file):  # gone: let the store say so
                await self._depots.store(file.provider).head(file.key)
                continue
            before = done

            def tell(count: int, before: int = before) -> None:
                on_progress((before + count) / max(1, fetched))

            await self._fetch(file, self._here(file, folder), tell)
            done += file.size
        return tuple(_source(file, self._here(file, folder)) for file in files)

    def _is_local(self, file: FileRow) -> bool:
        return isinstance(self._depots.store(file.provider), LocalFiles)

    def _here(self, file: FileRow, folder: Path) -> Path:
        store = self._depots.store(file.provider)
        if isinstance(store, LocalFiles):
            return store.path(file.key).absolute()
        return folder / f"{file.id}{Path(file.key).suffix}"

    async def _require_room(self, folder: Path, needed: int) -> None:
        free = await asyncio.to_thread(self._free, folder)
        if free < needed + self._spare:
            raise DiskFull(
                f"rendering needs {needed >> 20} MiB, and {self._spare >> 20} MiB have to stay free;"
                f" there are {free >> 20} MiB"
            )

    async def _fetch(self, file: FileRow, path: Path, on_bytes: Callable[[int], None]) -> None:
        """Whole, and what was stored, when it has its name."""
        partial, digest, size = path.with_name(path.name + PARTIAL_SUFFIX), hashlib.sha256(), 0

        def write(target: BinaryIO, block: bytes) -> None:
            target.write(block)
            digest.update(block)

        with partial.open("wb") as target:
            async for block in self._depots.store(file.provider).open(file.key):
                await asyncio.to_thread(write, target, block)
                size += len(block)
                on_bytes(size)
        if (size, digest.hexdigest()) != (file.size, file.sha256):
            raise StorageFailed(f"object {file.key} ({size} bytes) is not what was stored")
        os.replace(partial, path)


def _source(file: FileRow, path: Path) -> RenderSource:
    return RenderSource(
        path=path,
        participant_id=file.participant_id,
        participant_name=file.participant_name,
        source=file.source or "camera",
        start_seconds=file.start_seconds,
        content_type=file.content_type,
    )
