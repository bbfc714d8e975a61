"""What `recorder.fsck` found, mended: nothing that has media in it is ever removed here.

An action changes the catalog and leaves the work to whoever finishes recordings: the server that
runs takes it up by itself (`RecordingService.look`, `recorder.rendering`); without one the command
line does it with `recorder.reupload`.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from recorder.chunks.places import chunks_root
from recorder.chunks.settling import SetStatus
from recorder.errors import NothingToRender, TooManyRenders
from recorder.findings import Code, Finding
from recorder.journals import DELETED_PREFIX, journal_bytes
from recorder.lifecycle import FINAL, Status, Step, after
from recorder.recovery import adopt
from recorder.rendering import REPAIRED, RenderStatus, request
from storage.catalog import Catalog, RecordingRow
from storage.errors import RowNotFound, StatusConflict

LOST_OBJECT = frozenset(
    {Code.OBJECT_MISSING, Code.OBJECT_SIZE, Code.OBJECT_CHANGED, Code.OBJECT_UNPLAYABLE}
)


class Action(StrEnum):
    ADOPT = "adopt"  # journals get a row, and are finished
    FINISH = "finish"  # a recording is made from its journals once more
    RENDER = "render"  # a composite is made once more from its recording
    DELIVER = "deliver"  # what waits for storage is due now
    ASSEMBLE = "assemble"  # a participant's chunks are made into files once more
    REMOVE = "remove"  # a folder in which there is nothing


@dataclass(frozen=True, slots=True)
class Mending:
    """`subject` is a recording's id, a render's file id with RENDER, a chunk set's id with ASSEMBLE, a
    folder's name with REMOVE.
    """

    action: Action
    recording_id: str
    subject: str
    because: str


def plan(findings: Sequence[Finding], made: Sequence[str] = ()) -> list[Mending]:
    """What helps against the findings, each thing once. `made` are the keys of composites. Pure."""
    found: dict[tuple[Action, str], Mending] = {}

    def add(action: Action, finding: Finding, subject: str) -> None:
        because = f"{finding.subject}: {finding.says}" if finding.subject else finding.says
        found.setdefault((action, subject), Mending(action, finding.recording_id, subject, because))

    for each in findings:
        match each.code:
            case Code.JOURNALS_ORPHANED:
                add(Action.ADOPT, each, each.recording_id)
            case Code.FAILED | Code.NO_FILES | Code.LOCAL_COPY_MISSING:
                add(Action.FINISH, each, each.recording_id)
            case code if code in LOST_OBJECT:
                remake = Action.RENDER if each.subject in made else Action.FINISH
                add(remake, each, each.subject if remake is Action.RENDER else each.recording_id)
            case Code.WAITING:
                add(Action.DELIVER, each, each.recording_id)
            case Code.CHUNKS_KEPT:
                add(Action.ASSEMBLE, each, each.subject)
            case Code.LEFTOVER:
                add(Action.REMOVE, each, each.subject)
            case _:
                pass
    return list(found.values())


class Repair:
    def __init__(self, catalog: Catalog, journals_root: Path) -> None:
        self._catalog = catalog
        self._root = journals_root

    async def do(self, mending: Mending) -> str:  # noqa: PLR0911  one for each action
        """Why it could not be done; "" when it was. Raises what the catalog raises."""
        if mending.action is Action.REMOVE:
            return await asyncio.to_thread(self._remove_empty, self._root / mending.subject)
        if mending.action is Action.ADOPT:
            return await self._adopt(mending.subject)
        row = await self._catalog.recordings.get(mending.recording_id)
        if row is None:
            return "the recording is gone"
        try:
            if mending.action is Action.FINISH:
                return await self._finish(row)
            if mending.action is Action.RENDER:
                return await self._render(row, mending.subject)
            if mending.action is Action.ASSEMBLE:
                return await self._assemble(mending.subject)
            await self._catalog.deliveries.hurry(row.id)
        except (RowNotFound, StatusConflict) as error:
            return f"somebody changed it meanwhile: {error}"
        return ""

    async def _adopt(self, recording_id: str) -> str:
        if await adopt(self._catalog, self._root / recording_id):
            return ""
        return "there is nothing to finish in its folder"

    async def _finish(self, row: RecordingRow) -> str:
        if not await asyncio.to_thread(journal_bytes, self._root / row.id):
            return "no journals of it are kept"
        if row.status in FINAL:
            again = after(Status(row.status), Step.RETRIED)
            await self._catalog.recordings.update(row.id, {row.status}, status=again, error=None)
        return ""

    async def _assemble(self, set_id: str) -> str:
        """The server that runs, or the next one, makes its files."""
        await self._catalog.chunk_sets.update(
            set_id,
            {SetStatus.FAILED},
            status=SetStatus.COMPLETE,
            progress=0.0,
            error=None,
            finished_at=None,
        )
        return ""

    async def _render(self, row: RecordingRow, key: str) -> str:
        """The same once more; `Renderer` forgets the file that is gone when the new one is there."""
        lost = next((file for file in row.files if file.key == key), None)
        renders = await self._catalog.renders.of(row.id)
        options = next((each.options for each in renders if lost and each.file_id == lost.id), {})
        if any(each.status not in _FINAL_RENDERS for each in renders):
            return ""  # on its way already
        try:
            await request(self._catalog, row.id, options, REPAIRED)
        except (NothingToRender, TooManyRenders) as error:
            return str(error)
        return ""

    def _remove_empty(self, folder: Path) -> str:
        """Only what was buried, or has no file with a byte in it."""
        if not folder.is_dir() or folder.parent not in {self._root, chunks_root(self._root)}:
            return "it is gone"
        if not folder.name.startswith(DELETED_PREFIX) and any(
            path.is_file() and path.stat().st_size for path in folder.rglob("*")
        ):
            return "it is not empty; the next start looks at it"
        shutil.rmtree(folder, ignore_errors=True)
        return ""


_FINAL_RENDERS = frozenset({RenderStatus.DONE, RenderStatus.FAILED, RenderStatus.CANCELLED})
