"""Folders of chunks that nobody needs any more. All functions but `sweep_chunks` block on the disk."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from recorder.chunks.places import SET_ID, chunks_root, set_folder
from recorder.chunks.settling import UNDER_WAY, SetStatus
from recorder.journals import DELETED_PREFIX, bury
from storage.catalog import Catalog, ChunkSetRow

SCRATCH = ".copies"
"""Below the journals' root: what assembly works with, a folder for each set."""

log = logging.getLogger(__name__)


def chunks_folder(journals_root: Path, set_id: str) -> Path:
    return set_folder(chunks_root(journals_root), set_id)


def forget_chunks(journals_root: Path, set_id: str) -> None:
    """Removes all that the disk has of a set. Raises OSError, and then its chunks are all there."""
    bury(chunks_folder(journals_root, set_id))
    shutil.rmtree(journals_root / SCRATCH / set_id, ignore_errors=True)


def forget_made_parts(journals_root: Path, row: ChunkSetRow) -> None:
    """Removes the chunks of the parts that became a file, of a set of which another did not. Those of a
    part with the header of another stay: it is salvaged as well as it goes, and perhaps not all of it.
    """
    for part in (row.integrity or {}).get("parts", ()):
        if part.get("container") is not None and part.get("headerOf") is None:
            folder = chunks_folder(journals_root, row.id) / str(int(part["part"]))
            shutil.rmtree(folder, ignore_errors=True)


def kept_bytes(journals_root: Path, set_id: str) -> int:
    """The size of the chunks of a set that are on the disk."""
    folder = chunks_folder(journals_root, set_id)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def folders(journals_root: Path) -> Iterator[Path]:
    """Of all sets that the disk has chunks of, and of those whose removal was interrupted."""
    place = chunks_root(journals_root)
    if place.is_dir():
        for path in sorted(place.iterdir()):
            if SET_ID.fullmatch(path.name) or path.name.startswith(DELETED_PREFIX):
                yield path


def done_with(row: ChunkSetRow) -> bool:
    """Are the chunks of a set in files that were read back, all of them?"""
    return row.status == SetStatus.DONE and not (row.integrity or {}).get("failures")


async def sweep_chunks(catalog: Catalog, journals_root: Path) -> None:
    """Ends the removals that were interrupted. What no row knows of stays: `fsck` tells of it."""
    for folder in await asyncio.to_thread(lambda: list(folders(journals_root))):
        if folder.name.startswith(DELETED_PREFIX):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            continue
        row = await catalog.chunk_sets.get(folder.name)
        if row is not None and done_with(row):
            await asyncio.to_thread(forget_chunks, journals_root, row.id)
    known = {row.id for row in await catalog.chunk_sets.in_states(UNDER_WAY)}
    await asyncio.to_thread(_sweep_scratch, journals_root / SCRATCH, known)


def _sweep_scratch(scratch: Path, known: Collection[str]) -> None:
    if scratch.is_dir():
        for folder in scratch.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
