"""What is made of media files in the background: another look, pictures, renditions.

The row says what is still to be done, so whoever finds it there does it: `look` after something failed,
`recover` after the server was killed. One thing of a file is done at a time.

    status processing    -> looked into again: ready, or failed with the reason
    derived: pictures    -> made, and the entry replaced by poster, strip and cues
    renditions: queued --a slot is free--> processing --made, stored, read back--> done
                  ^                           |   |
                  +---- has to wait ----------+   +---> failed, cancelled
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, cast
from weakref import WeakValueDictionary

from recorder.attempts import Meaning, Meanings, Setback, until_over
from recorder.delivery import read_back
from recorder.depots import Depots
from recorder.errors import DiskFull, FileRefused, JobFailed, JobPostponed, StorageFailed
from recorder.jobs import Tools
from recorder.media.inspection import Inspection
from recorder.media.objects import MADE, PICTURES, columns_of, stored_file
from recorder.object_keys import media_prefix
from recorder.owned_tasks import NamedTasks
from recorder.progress import Sleep, noted
from storage.catalog import Catalog, MediaChanges, MediaRow
from storage.errors import ObjectNotFound, RowNotFound, StorageError
from storage.objects import LocalFiles

QUEUED: Final = "queued"
PROCESSING: Final = "processing"
UPLOADING: Final = "uploading"
DONE: Final = "done"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
UNDER_WAY: Final = frozenset({QUEUED, PROCESSING, UPLOADING})

JOB_RETRIES: Final = 1

MEANINGS: Final[Meanings] = {
    Meaning.REFUSED: (ObjectNotFound, FileRefused),
    Meaning.WAITS: (JobPostponed, StorageFailed, StorageError),
    Meaning.FAILED: (JobFailed, OSError),
}

Change = Callable[[MediaRow], MediaChanges]
Rendition = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Work:
    """What is done for a file; `step` as in `next_step`, None while that is not known."""

    media_id: str
    step: str | None = None


class Works:
    """Every task is owned here and ends with `close`."""

    def __init__(
        self,
        catalog: Catalog,
        depots: Depots,
        tools: Tools,
        inspection: Inspection,
        scratch: Path,
        *,
        clock: Callable[[], datetime],
        threads: int,
        spare: int,
        free: Callable[[Path], int],
        sleep: Sleep,
    ) -> None:
        self._media = catalog.media
        self._depots = depots
        self._tools = tools
        self._inspection = inspection
        self._scratch = scratch
        self._clock = clock
        self._threads = threads
        self._spare = spare
        self._free = free
        self._sleep = sleep
        self._waiting: set[str] = set()  # files with perhaps something to do
        self._tasks = NamedTasks("media file", died=self._waiting.add)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # --- rows -------------------------------------------------------------------------------------

    async def edit(self, media_id: str, change: Change) -> MediaRow:
        """The row after `change`, which no other change comes between. Raises RowNotFound, and what
        `change` and the catalog raise.
        """
        async with self.turn(media_id):
            row = await self._row(media_id)
            changes = change(row)
            return await self._media.update(media_id, None, **changes) if changes else row

    def turn(self, media_id: str) -> asyncio.Lock:
        """Whoever holds it is the only one to change the row."""
        return self._turns.setdefault(media_id, asyncio.Lock())

    async def _row(self, media_id: str) -> MediaRow:
        row = await self._media.get(media_id)
        if row is None:
            raise RowNotFound(f"media file {media_id} is gone")
        return row

    async def _change_rendition(self, media_id: str, name: str, **changes: Any) -> None:
        def change(row: MediaRow) -> MediaChanges:
            found = rendition_of(row.renditions, name)
            if found is None or found["status"] not in UNDER_WAY:
                raise RowNotFound(f"rendition {name} of {media_id} is not wanted any more")
            return {"renditions": replaced(row.renditions, {**found, **changes})}

        await self.edit(media_id, change)

    # --- tasks ------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """What an earlier process left. Raises what the catalog raises."""
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
        for row in await self._media.in_states(("ready", "processing")):
            if next_step(row) is not None:
                self._waiting.add(row.id)
        await self.look()

    async def look(self) -> None:
        """Begins what failed, or died of a bug, once more."""
        for media_id in list(self._waiting):
            self.begin(media_id)

    def begin(self, media_id: str) -> None:
        """Does what the row says in the background, if nobody does."""
        self._waiting.add(media_id)
        self._tasks.begin(media_id, self._run)

    async def end(self, media_id: str) -> None:
        """Ends what is done for a file; its scratch folder is gone then."""
        self._waiting.discard(media_id)
        await self._tasks.end(media_id)
        await asyncio.to_thread(_remove, self._scratch / media_id)

    async def idle(self) -> None:
        """Returns when nothing is done here."""
        await self._tasks.idle()

    async def close(self) -> None:
        """Ends all tasks. What they did is found again by `recover`."""
        await self._tasks.close()

    async def _run(self, media_id: str) -> None:
        """Returns when nothing is left to do, or the row is gone."""
        while media_id in self._waiting:
            work = _Work(media_id)
            await until_over(
                partial(self._attempt, work),
                MEANINGS,
                partial(self._note, work),
                retries=JOB_RETRIES,
                sleep=self._sleep,
            )

    async def _attempt(self, work: _Work) -> None:
        """Does one step, if there is one; who waits on then has perhaps more to do."""
        work.step = None
        # first: what is wished for from here on is seen by `_run`
        self._waiting.discard(work.media_id)
        row = await self._media.get(work.media_id)
        work.step = None if row is None else next_step(row)
        if row is None or work.step is None:
            return
        self._waiting.add(work.media_id)
        try:
            await self._do(row, work.step)
        except RowNotFound as error:  # the file, or the rendition, is not wanted any more
            log.info("%s", error)

    async def _note(self, work: _Work, setback: Setback) -> bool:
        """Why a step failed, or what it waits for. True when there is nothing more to do for it."""
        log.warning("media file %s, %s: %s", work.media_id, work.step, setback.error)
        reason = f"waiting: {setback.error}" if setback.waits else str(setback.error)
        try:
            match work.step:
                case None:  # not even that is known
                    pass
                case "look":
                    if setback.final:
                        await self.edit(
                            work.media_id, lambda _: {"status": "failed", "error": reason}
                        )
                case "pictures":
                    if setback.final:
                        await self.edit(work.media_id, lambda row: {"derived": without_mark(row)})
                case rendition:
                    status = FAILED if setback.final else QUEUED
                    await self._change_rendition(
                        work.media_id, rendition, status=status, progress=0.0, error=reason
                    )
        except RowNotFound:
            return True
        except StorageError as error:
            log.warning("media file %s: %s", work.media_id, error)
            return False
        return setback.final

    async def _do(self, row: MediaRow, step: str) -> None:
        folder = self._scratch / row.id
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        try:
            match step:
                case "look":
                    await self._look_into(row)
                case "pictures":
                    await self._make_pictures(row, folder)
                case _:
                    await self._make_rendition(row, step, folder)
        finally:
            await asyncio.to_thread(_remove, folder)

    # --- the steps --------------------------------------------------------------------------------

    async def _look_into(self, row: MediaRow) -> None:
        facts = await self._inspection.facts(row.provider, row.storage_key, row.size, row.filename)
        changes = cast(MediaChanges, {**columns_of(facts), "status": "ready", "error": None})
        await self.edit(row.id, lambda _: changes)

    async def _make_pictures(self, row: MediaRow, folder: Path) -> None:
        format = await self._inspection.format_of(row)
        made = await self._inspection.pictures(row, format, folder)
        entries = []
        for role, (width, height) in made.items():
            name, content_type = MADE[role]
            entry: dict[str, Any] = {"role": role, "name": name, "contentType": content_type}
            entry |= {"width": width, "height": height}
            entries.append(await self._store(row, folder / name, name, entry))
        await self.edit(row.id, lambda now: {"derived": [*_kept(now), *entries]})

    async def _make_rendition(self, row: MediaRow, name: str, folder: Path) -> None:
        format = await self._inspection.format_of(row)
        await self._change_rendition(row.id, name, status=PROCESSING, progress=0.0, error=None)
        source = await self._source(row, folder)
        order = {
            "name": name,
            "source": str(source),
            "format": format,
            "size": row.size,
            "width": row.width,
            "height": row.height,
            "durationSeconds": row.duration_seconds or 0.0,
            "output": str(folder),
            "threads": self._threads,
            # a small film may become large files: noise that its decoder adds takes no bytes in it
            "mostBytes": await asyncio.to_thread(self._free, folder) - self._spare,
        }
        spec = folder / "transcode.json"
        await asyncio.to_thread(spec.write_text, json.dumps(order))
        async with noted(partial(self._note_progress, row.id, name)) as progress:
            result = await self._tools.run("transcode", ["--spec", str(spec)], progress.tell)
        await self._change_rendition(row.id, name, status=UPLOADING)
        files = [
            await self._store(row, Path(file["path"]), Path(file["path"]).name, file)
            for file in result["files"]
        ]
        main = {key: files[0].get(key) for key in ("contentType", "key", "width", "height")}
        size = sum(file["size"] for file in files)
        await self._change_rendition(
            row.id,
            name,
            **main,
            status=DONE,
            progress=1.0,
            size=size,
            files=files,
            finishedAt=self._clock().isoformat(),
        )

    async def _source(self, row: MediaRow, folder: Path) -> Path:
        """The file on this disk. Raises DiskFull, and what the store raises."""
        store = self._depots.store(row.provider)
        local = isinstance(store, LocalFiles)
        # what is made of it is not larger, all sizes together
        needed = row.size * (1 if local else 2)
        free = await asyncio.to_thread(self._free, folder)
        if free < needed + self._spare:
            raise DiskFull(
                f"it takes {needed >> 20} MiB, and {self._spare >> 20} MiB have to stay free; there"
                f" are {free >> 20} MiB"
            )
        if isinstance(store, LocalFiles):
            await store.head(row.storage_key)
            return store.path(row.storage_key).absolute()
        path = folder / "source"
        with path.open("wb") as target:
            async for block in store.open(row.storage_key):
                await asyncio.to_thread(target.write, block)
        if path.stat().st_size != row.size:
            raise StorageFailed(f"object {row.storage_key} is not what was stored")
        return path

    async def _store(
        self, row: MediaRow, path: Path, name: str, entry: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The entry of an object that is in the store, and was read back there."""
        store, key = self._depots.store(row.provider), media_prefix(row.id) + name
        sent = await store.put_file(key, path, entry["contentType"], sha256=entry.get("sha256"))
        kept = {each: value for each, value in entry.items() if each != "path"}
        kept |= {"key": key, "size": sent.size, "sha256": sent.sha256}
        await read_back(store, stored_file(row, kept))
        if (
            await self._media.get(row.id) is None
        ):  # purged meanwhile, and its objects before this one
            await store.delete(key)
            raise RowNotFound(f"media file {row.id} is gone")
        return kept

    async def _note_progress(self, media_id: str, name: str, fraction: float) -> None:
        try:
            await self._change_rendition(media_id, name, progress=round(fraction, 3))
        except StorageError as error:
            log.info("%s", error)


def next_step(row: MediaRow) -> str | None:
    """ "look", "pictures" or the name of a rendition; None when nothing is to be done."""
    if row.deleted_at is not None or row.status == "failed":
        return None
    if row.status == "processing":
        return "look"
    if any(entry["role"] == PICTURES for entry in row.derived):
        return "pictures"
    return next((each["name"] for each in row.renditions if each["status"] in UNDER_WAY), None)


def queued(name: str, now: datetime) -> Rendition:
    """A rendition that is wanted and not there yet."""
    requested = {"requestedAt": now.isoformat(), "finishedAt": None}
    return {"name": name, "status": QUEUED, "progress": 0.0, "error": None, **requested}


def rendition_of(renditions: Sequence[Rendition], name: str) -> Rendition | None:
    return next((each for each in renditions if each["name"] == name), None)


def replaced(renditions: Sequence[Rendition], rendition: Rendition) -> list[Rendition]:
    """The same with `rendition` in place of that of its name, or behind them."""
    by_name = {each["name"]: each for each in renditions}
    by_name[rendition["name"]] = rendition
    return list(by_name.values())


def without_mark(row: MediaRow) -> list[dict[str, Any]]:
    return [entry for entry in row.derived if entry["role"] != PICTURES]


def _kept(row: MediaRow) -> list[dict[str, Any]]:
    return [entry for entry in row.derived if entry["role"] not in {*MADE, PICTURES}]


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
