"""Whether everything is where the catalog says: journals, files in the stores, and what has no owner.

Nothing is changed here; `recorder.repair` acts on what is found. A finding is a problem when media is
missing, in danger or can't be vouched for, and a note when it will mend itself or only takes room.
Works beside a running server: what changed while it was looked at is looked at again.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import av

from mediaserver.errors import MediaError
from mediaserver.journal import JournalCut, JournalReader
from recorder.chunks.inspection import of_chunk_folders, of_chunk_sets
from recorder.chunks.leftovers import SCRATCH as COPIES_SCRATCH
from recorder.chunks.report import CLIENT
from recorder.depots import Depots
from recorder.diskspace import free_bytes
from recorder.findings import Code, Finding
from recorder.journals import COPY_PREFIX, DELETED_PREFIX, JOURNAL_PATTERN, journal_bytes
from recorder.ledger import DeliveryState
from recorder.lifecycle import Status
from recorder.object_keys import KEY_ROOT, object_prefix
from recorder.rendering import SCRATCH
from storage.catalog import Catalog, FileRow, RecordingRow
from storage.errors import ObjectNotFound, StorageError
from storage.objects import LocalFiles, ObjectStore

PAGE = 200
MEDIA = ("video/", "audio/")
MADE_AGAIN = (f"{SCRATCH}/", f"{COPIES_SCRATCH}/")
"""Where files lie that whoever made them makes again by itself."""
LOOKS = 3  # at a recording that changes meanwhile

_RECORDING_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


SPARED = 4 << 30  # bytes of the disk that copies of objects leave to recordings


@dataclass(slots=True)
class Looked:
    """How much was looked at so far."""

    recordings: int = 0
    files: int = 0
    bytes: int = 0  # of objects that were read
    journals: int = 0


class Fsck:
    """`served`: a server runs, so what is under way is its business."""

    def __init__(
        self,
        catalog: Catalog,
        depots: Depots,
        journals_root: Path,
        *,
        deep: bool = False,
        served: bool = False,
    ) -> None:
        self._catalog = catalog
        self._depots = depots
        self._root = journals_root
        self._deep = deep
        self._served = served
        self.looked = Looked()

    async def run(self, recording_ids: Collection[str] = ()) -> AsyncIterator[Finding]:
        """Of these recordings, or of everything; an id without a row may have journals all the same.

        Raises CatalogUnavailable.
        """
        if recording_ids:
            for recording_id in recording_ids:
                async for each in self._of_one(recording_id):
                    yield each
            return
        seen: set[str] = set()
        async for row in all_recordings(self._catalog):
            seen.add(row.id)
            for each in await self._of_row(row):
                yield each
        for each in await self._of_folders(seen):
            yield each
        for each in await of_chunk_folders(self._catalog, self._root, served=self._served):
            yield each
        for provider in self._depots.stores:
            async for each in self._orphaned_objects(provider, KEY_ROOT):
                yield each

    async def _of_one(self, recording_id: str) -> AsyncIterator[Finding]:
        row = await self._catalog.recordings.get(recording_id)
        if row is None:
            for each in await self._of_orphan(recording_id):
                yield each
            return
        for each in await self._of_row(row):
            yield each
        for provider in self._depots.stores:
            async for each in self._orphaned_objects(provider, object_prefix(row.room, row.id)):
                yield each

    # --- one recording ----------------------------------------------------------------------------

    async def _of_row(self, row: RecordingRow) -> list[Finding]:
        """Again when somebody changed it meanwhile."""
        self.looked.recordings += 1
        for _ in range(LOOKS):
            found = [
                *await self._of_state(row),
                *[each async for each in self._of_objects(row)],
                *await self._of_ledger(row),
                *await of_chunk_sets(self._catalog, self._root, row.id, served=self._served),
            ]
            now = await self._catalog.recordings.get(row.id)
            if now is None or not any(each.is_problem for each in found):
                return found if now is not None else []
            if (now.status, now.files) == (row.status, row.files):
                return found
            row = now
        return found

    async def _of_state(self, row: RecordingRow) -> list[Finding]:
        folder = self._root / row.id
        kept = await asyncio.to_thread(journal_bytes, folder)
        found: list[Finding] = []
        if row.status not in {Status.RECORDED, Status.FAILED}:
            if not self._served:
                todo = "start the server, which finishes it"
                found.append(Finding(Code.UNFINISHED, row.id, "", f"it is {row.status}", todo))
            return found
        lost = (row.integrity or {}).get("failures") or []
        if row.status == Status.FAILED and kept:
            says = f"it has failed ({row.error}), and {kept} bytes of journals are kept"
            todo = f"mediaserver recordings repair {row.id}"
            found.append(Finding(Code.FAILED, row.id, "", says, todo))
        elif row.status == Status.RECORDED and not row.files:
            todo = f"mediaserver recordings repair {row.id}" if kept else "delete the recording"
            found.append(Finding(Code.NO_FILES, row.id, "", "it is recorded without files", todo))
        elif row.status == Status.RECORDED and lost:
            says = f"media is missing: {'; '.join(map(str, lost))}"
            todo = (
                "its journals are kept: keep them, or delete the recording" if kept else "nothing"
            )
            found.append(Finding(Code.INCOMPLETE, row.id, "", says, todo))
        if kept and (row.status == Status.FAILED or lost):
            found += await asyncio.to_thread(self._of_journals, row.id)
        elif await asyncio.to_thread(folder.is_dir) and not self._served:
            says = "a folder of journals that are in its files, or empty"
            todo = "the next start removes it, or mediaserver recordings repair"
            found.append(Finding(Code.LEFTOVER, row.id, row.id, says, todo))
        return found

    def _of_journals(self, recording_id: str) -> list[Finding]:
        """Every record of every journal, by its checksum."""
        found = []
        for path in sorted((self._root / recording_id).glob(JOURNAL_PATTERN)):
            self.looked.journals += 1
            try:
                reader = JournalReader(path)
                for _ in reader:
                    pass
            except JournalCut:
                code, says, todo = Code.JOURNAL_TORN, "it ends within its header", "nothing"
            except FileNotFoundError:
                continue
            except (MediaError, OSError) as error:
                code, says = Code.JOURNAL_UNREADABLE, str(error)
                todo = "restore it from a backup, or accept the loss"
            else:
                if reader.damaged:
                    code, says = Code.JOURNAL_DAMAGED, "a record in its middle is damaged"
                    todo = "restore it from a backup, or accept the loss of what follows"
                elif reader.torn:
                    code, says, todo = Code.JOURNAL_TORN, "its last record was cut off", "nothing"
                else:
                    continue
            found.append(Finding(code, recording_id, path.name, says, todo))
        return found

    async def _of_ledger(self, row: RecordingRow) -> list[Finding]:
        found = []
        for each in await self._catalog.deliveries.of(row.id):
            if each.state == DeliveryState.WAITING and not each.path.startswith(MADE_AGAIN):
                path = self._root / each.path
                if not await asyncio.to_thread(path.is_file):
                    found.append(
                        Finding(
                            Code.LOCAL_COPY_MISSING,
                            row.id,
                            each.path,
                            "it waits for storage, but its local copy is gone",
                            f"mediaserver recordings repair {row.id}",
                        )
                    )
                    continue
            if each.error is not None:
                todo = f"mediaserver recordings reupload {row.id}"
                found.append(Finding(Code.WAITING, row.id, each.file.key, each.error, todo))
        return found

    # --- objects ----------------------------------------------------------------------------------

    async def _of_objects(self, row: RecordingRow) -> AsyncIterator[Finding]:
        kept = await asyncio.to_thread(journal_bytes, self._root / row.id)
        mendable = f"mediaserver recordings repair {row.id}"
        sent = {file.id for file in row.files if file.kind == CLIENT}
        for file in row.files:
            self.looked.files += 1
            lost = (
                mendable
                if (kept and not sent & {file.id, file.derived_from}) or file.kind == "composite"
                else (
                    f"restore the object at {file.provider} from a backup, or delete the recording"
                )
            )
            try:
                store = self._depots.store(file.provider)
                problem = await self._of_object(store, file)
            except ObjectNotFound:
                problem = Code.OBJECT_MISSING, f"it is gone from {file.provider}"
            except StorageError as error:
                yield Finding(
                    Code.STORE_UNAVAILABLE,
                    row.id,
                    file.key,
                    str(error),
                    f"mediaserver storage check {file.provider}",
                )
                continue
            if problem is not None:
                yield Finding(problem[0], row.id, file.key, problem[1], lost)

    async def _of_object(self, store: ObjectStore, file: FileRow) -> tuple[Code, str] | None:
        """Raises ObjectNotFound, and what the store raises."""
        info = await store.head(file.key)
        if info.size != file.size:
            return Code.OBJECT_SIZE, f"it has {info.size} bytes, not {file.size}"
        if not self._deep:
            return None
        self.looked.bytes += file.size
        if await store.digest(file.key) != file.sha256:
            return Code.OBJECT_CHANGED, "its SHA-256 is not that of the file that was stored"
        if file.content_type.startswith(MEDIA):
            if not isinstance(store, LocalFiles) and not self._room_for(file):
                return None  # its hash was right, and recordings need the disk
            async with local_copy(store, file, self._root) as path:
                if (reason := await asyncio.to_thread(unplayable, path)) is not None:
                    return Code.OBJECT_UNPLAYABLE, reason
        return None

    def _room_for(self, file: FileRow) -> bool:
        return free_bytes(self._root.parent) - file.size > SPARED

    async def _orphaned_objects(self, provider: str, prefix: str) -> AsyncIterator[Finding]:
        """What no recording and no delivery knows of. A deletion under way may be met: asked again."""
        known = {
            each.file.key for each in await self._catalog.deliveries.in_states(set(DeliveryState))
        }
        try:
            async for entry in self._depots.store(provider).list(prefix):
                if entry.key in known or await self._catalog.usage.sharing(provider, entry.key):
                    continue
                yield Finding(
                    Code.OBJECT_ORPHANED,
                    "",
                    entry.key,
                    f"{entry.size} bytes at {provider} that no recording of this database has",
                    "delete it there, unless another server shares the place",
                )
        except StorageError as error:
            todo = f"mediaserver storage check {provider}"
            yield Finding(Code.STORE_UNAVAILABLE, "", provider, str(error), todo)

    # --- folders ----------------------------------------------------------------------------------

    async def _of_orphan(self, recording_id: str) -> list[Finding]:
        """Of an id that the catalog does not know."""
        if not _RECORDING_ID.fullmatch(recording_id) or not (self._root / recording_id).is_dir():
            says = "there is no such recording, and there are no journals of it"
            return [Finding(Code.UNKNOWN, recording_id, "", says, "check the id")]
        return await asyncio.to_thread(self._of_folder, self._root / recording_id)

    async def _of_folders(self, seen: Collection[str]) -> list[Finding]:
        found: list[Finding] = []
        for folder in await asyncio.to_thread(lambda: list(_folders(self._root))):
            if folder.name in seen or await self._catalog.recordings.get(folder.name):
                continue  # also one that began meanwhile
            found += await asyncio.to_thread(self._of_folder, folder)
        return found

    def _of_folder(self, folder: Path) -> list[Finding]:
        if folder.name.startswith(DELETED_PREFIX) or not journal_bytes(folder):
            todo = "the next start removes it, or mediaserver recordings repair"
            return [Finding(Code.LEFTOVER, "", folder.name, "a folder without journals", todo)]
        says = "journals that no recording of this database has"
        todo = f"mediaserver recordings repair {folder.name}"
        orphan = Finding(Code.JOURNALS_ORPHANED, folder.name, folder.name, says, todo)
        return [orphan, *self._of_journals(folder.name)]


async def all_recordings(catalog: Catalog) -> AsyncIterator[RecordingRow]:
    """Every recording once, newest first, also while others come."""
    seen: set[str] = set()
    page = 1
    while True:
        found = await catalog.recordings.find(page=page, limit=PAGE)
        for row in found.items:
            if row.id not in seen:
                seen.add(row.id)
                yield row
        if len(found.items) < PAGE:
            return
        page += 1


@asynccontextmanager
async def local_copy(store: ObjectStore, file: FileRow, folder: Path) -> AsyncIterator[Path]:
    """The object as a file: where it is on this machine, or a copy in `folder` for the block."""
    if isinstance(store, LocalFiles):
        yield store.path(file.key)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=folder, prefix=COPY_PREFIX, suffix=Path(file.key).suffix
    ) as target:
        async for block in store.open(file.key):
            await asyncio.to_thread(target.write, block)
        target.flush()
        yield Path(target.name)


def unplayable(path: Path) -> str | None:
    """Why a media file can't be read from its beginning to its end; None when it can."""
    packets = 0
    try:
        with av.open(str(path)) as container:
            for packet in container.demux():
                if packet.is_corrupt:
                    return f"packet {packets} is damaged"
                packets += packet.size > 0
    except (av.FFmpegError, OSError, ValueError) as error:
        return f"it can't be read: {error}"
    return None if packets else "there is no media in it"


def _folders(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        return
    for path in sorted(root.iterdir()):
        ours = _RECORDING_ID.fullmatch(path.name) or path.name.startswith(DELETED_PREFIX)
        if path.is_dir() and path.name != SCRATCH and ours:
            yield path
