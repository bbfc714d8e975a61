"""What `recorder.fsck` says about participants' chunks. Nothing is changed here."""

from __future__ import annotations

import asyncio
from pathlib import Path

from recorder.chunks.leftovers import done_with, folders, kept_bytes
from recorder.chunks.settling import UNDER_WAY, WORK_LEFT, SetStatus, row_received
from recorder.findings import Code, Finding
from recorder.journals import DELETED_PREFIX
from storage.catalog import Catalog, ChunkSetRow


async def of_chunk_sets(
    catalog: Catalog, journals_root: Path, recording_id: str, *, served: bool
) -> list[Finding]:
    """`served`: a server runs, so what is under way is its business. Raises what the catalog raises."""
    found = []
    for row in await catalog.chunk_sets.of(recording_id):
        kept = await asyncio.to_thread(kept_bytes, journals_root, row.id)
        if (finding := _of_set(row, kept, served=served)) is not None:
            found.append(finding)
    return found


def _of_set(row: ChunkSetRow, kept: int, *, served: bool) -> Finding | None:
    whose = f"chunks of {row.participant_id}"
    if row.status in WORK_LEFT and not kept and any(row_received(row.parts).values()):
        says = f"the {whose} are {row.status}, but gone from the disk"
        todo = "restore them from a backup, or accept the loss"
        return Finding(Code.CHUNKS_MISSING, row.recording_id, row.id, says, todo)
    if row.status in UNDER_WAY and not served:
        todo = "start the server, which makes a file of them"
        says = f"the {whose} are {row.status}, {kept} bytes"
        return Finding(Code.CHUNKS_WAITING, row.recording_id, row.id, says, todo)
    if row.status == SetStatus.FAILED and kept:
        says = f"the {whose} became no file ({row.error}); {kept} bytes of them are kept"
        todo = f"mediaserver recordings repair {row.recording_id}"
        return Finding(Code.CHUNKS_KEPT, row.recording_id, row.id, says, todo)
    if row.status == SetStatus.DONE and kept and not done_with(row):
        reasons = "; ".join(map(str, (row.integrity or {}).get("failures", ())))
        says = f"not all {whose} became a file ({reasons}); {kept} bytes of them are kept"
        todo = "keep them, or delete the recording"
        return Finding(Code.INCOMPLETE, row.recording_id, row.id, says, todo)
    return None


async def of_chunk_folders(catalog: Catalog, journals_root: Path, *, served: bool) -> list[Finding]:
    """Folders whose set the catalog does not know, or is done with."""
    found = []
    for folder in await asyncio.to_thread(lambda: list(folders(journals_root))):
        row = await catalog.chunk_sets.get(folder.name)
        if folder.name.startswith(DELETED_PREFIX) or (row is not None and done_with(row)):
            if not served:
                says, todo = "chunks that nobody needs any more", "the next start removes them"
                found.append(Finding(Code.LEFTOVER, "", f".chunks/{folder.name}", says, todo))
        elif row is None and await asyncio.to_thread(folder.is_dir):
            says = "chunks of a participant that no recording of this database has"
            todo = "restore the database they belong to, or remove the folder"
            subject = f".chunks/{folder.name}"
            found.append(Finding(Code.CHUNKS_ORPHANED, "", subject, says, todo))
    return found
