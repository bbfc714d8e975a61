"""What waits in the ledger, tried once and now, by somebody who waits for the outcome.

The server itself tries for ever. Here its own parts (`recorder.finishing`, `recorder.delivery`,
`recorder.homecoming`) do the work, but where they would wait for a better moment they are ended, and
the rows say what they wait for. For when no server runs: whoever uses this holds the server's lock.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from recorder.delivery import Deliverer
from recorder.depots import Depots
from recorder.errors import NothingToRetry, UnknownRecording
from recorder.finishing import JOB_RETRIES, Finisher
from recorder.homecoming import Homecoming
from recorder.jobs import JobRunner
from recorder.journals import journal_bytes
from recorder.ledger import DeliveryState
from recorder.lifecycle import Status
from recorder.progress import Progress
from storage.catalog import Catalog, DeliveryRow

AWAITED = frozenset({DeliveryState.WAITING, DeliveryState.STORED, DeliveryState.AWAY})
"""What is not where it belongs; of `left` only a copy is too many."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one recording. `problem` is what it waits for, "" when nothing of it waits any more."""

    recording_id: str
    status: str
    problem: str = ""


async def waiting_recordings(
    catalog: Catalog, journals_root: Path, recording_id: str | None
) -> list[str]:
    """Ids of recordings of which something waits, oldest first: of all, or of one if it is so.

    Raises UnknownRecording, NothingToRetry for a failed one, which needs something else, and what
    the catalog raises.
    """
    rows = await catalog.deliveries.in_states(AWAITED)
    ids = list(dict.fromkeys(row.recording_id for row in rows))
    if recording_id is None:
        return ids
    row = await catalog.recordings.get(recording_id)
    if row is None:
        raise UnknownRecording(f"there is no recording {recording_id}")
    if row.status == Status.FAILED:
        kept = await asyncio.to_thread(journal_bytes, journals_root / recording_id)
        raise NothingToRetry(
            f"recording {recording_id} has failed ({row.error}) and has no files to store; "
            + (
                f"its journals are kept: `mediaserver recordings retry {recording_id}`"
                if kept
                else "no journals of it are kept either"
            )
        )
    return [recording_id] if recording_id in ids else []


class Reupload:
    """`links_last` as in `recorder.homecoming`."""

    def __init__(
        self,
        catalog: Catalog,
        depots: Depots,
        jobs: JobRunner,
        journals_root: Path,
        *,
        clock: Callable[[], datetime],
        links_last: timedelta = timedelta(0),
    ) -> None:
        self._catalog = catalog
        self._jobs = jobs
        self._root = journals_root
        self._deliverer = Deliverer(
            catalog, depots, journals_root, clock=clock, sleep=self._file_sleeps
        )
        self._homecoming = Homecoming(catalog, depots, clock=clock, links_last=links_last)
        self._main = depots.main
        self._resting: asyncio.Queue[bool] = asyncio.Queue()  # whole recording, or a file

    async def once(self, recording_id: str, progress: Progress) -> Outcome:
        """One attempt at everything of a recording that is due. Raises what the catalog raises."""
        await self._catalog.deliveries.hurry(recording_id)
        row = await self._catalog.recordings.get(recording_id)
        if row is not None and row.status in {Status.PROCESSING, Status.UPLOADING}:
            await self._finish(recording_id, progress)
        await self._homecoming.look()
        row = await self._catalog.recordings.get(recording_id)
        if row is None:
            return Outcome(recording_id, "gone")
        if row.status != Status.RECORDED:
            return Outcome(row.id, row.status, row.error or f"it is {row.status}")
        left = await self._awaited(recording_id)
        problem = next((each.error for each in left if each.error), None)
        if left and problem is None:
            problem = f"{left[0].file.key} waits for {self._main}"
        return Outcome(row.id, row.status, problem or "")

    async def _finish(self, recording_id: str, progress: Progress) -> None:
        """Back when it is finished, or when all that is left to do would have to wait."""
        self._resting = asyncio.Queue()
        waits = asyncio.create_task(self._until_all_waits(recording_id))
        work = asyncio.create_task(self._finisher().finish(recording_id, progress))
        try:
            await asyncio.wait({work, waits}, return_when=asyncio.FIRST_COMPLETED)
            for ended in (work, waits):
                if ended.done():
                    ended.result()
        finally:
            for task in (work, waits):
                task.cancel()
            await asyncio.gather(work, waits, return_exceptions=True)

    def _finisher(self) -> Finisher:
        """It may pause a few times: files that were lost are made again so, and jobs done again."""
        times = itertools.count()

        async def sleep(_seconds: float) -> None:
            if next(times) > JOB_RETRIES:
                await self._rest(whole=True)

        return Finisher(
            self._catalog, self._deliverer, self._jobs, self._root, lambda _: None, sleep
        )

    async def _file_sleeps(self, _seconds: float) -> None:
        await self._rest(whole=False)

    async def _rest(self, *, whole: bool) -> None:
        """Says that the whole recording, or a file, has to wait, and never returns: it is ended."""
        self._resting.put_nowait(whole)
        await asyncio.Event().wait()

    async def _until_all_waits(self, recording_id: str) -> None:
        while not await self._resting.get():
            rows = await self._catalog.deliveries.of(recording_id)
            if all(row.attempts for row in rows if row.state == DeliveryState.WAITING):
                return

    async def _awaited(self, recording_id: str) -> list[DeliveryRow]:
        rows = await self._catalog.deliveries.of(recording_id)
        return [row for row in rows if row.state in AWAITED]
