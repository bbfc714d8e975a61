"""Client copies: what participants' browsers record themselves, from the first chunk to a file of the
recording.

The rows of `chunk_sets` and the chunks on disk are the truth. What is in memory here, which sets are
open and when something of them came last, is found again from both. The states and when a set settles
by itself are in `recorder.chunks.settling`; `recorder.chunks.assembling` makes a set into files.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakValueDictionary

from recorder.chunks import settling
from recorder.chunks.assembling import Assembler
from recorder.chunks.leftovers import sweep_chunks
from recorder.chunks.open_sets import OpenSet, OpenSets, state_of
from recorder.chunks.settling import SetStatus, Verdict
from recorder.chunks.store import ChunkStore
from recorder.delivery import Deliverer
from recorder.errors import (
    ChunksMissing,
    CopiesAwaited,
    RecordingEnded,
    SetComplete,
    UnknownRecording,
)
from recorder.jobs import Tools
from recorder.lifecycle import ACTIVE, FINAL, Status
from recorder.owned_tasks import OwnedTasks
from recorder.progress import Sleep
from storage.catalog import Catalog, ChunkSetRow, RecordingRow
from storage.errors import BadValue, CatalogUnavailable

LOOKS_APART = timedelta(seconds=30)
"""Between two looks for sets that another process has changed: `recordings repair`."""

log = logging.getLogger(__name__)


class Recordings(Protocol):
    """What copies have to say to whoever keeps recordings: a `RecordingService`."""

    def client_media_arrived(self, recording_id: str) -> None:
        """A chunk is on disk. Returns at once."""
        ...

    async def process_again(self, recording_id: str) -> None:
        """A recording that failed for want of media has some now. Raises what the catalog raises."""
        ...


class ClientCopies:
    """`timeout` is the silence after which a set that nobody completed is salvaged.

    Every task is owned here and ends with `close`.
    """

    def __init__(
        self,
        catalog: Catalog,
        chunks: ChunkStore,
        deliverer: Deliverer,
        tools: Tools,
        journals_root: Path,
        *,
        clock: Callable[[], datetime],
        timeout: timedelta,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._catalog = catalog
        self._sets = catalog.chunk_sets
        self._chunks = chunks
        self._open = OpenSets(catalog.chunk_sets, chunks, clock)
        self._root = journals_root
        self._clock = clock
        self._timeout = timeout
        self._assembler = Assembler(
            catalog,
            chunks,
            deliverer,
            tools,
            journals_root,
            turn=self.turn,
            revive=self._revive,
            clock=clock,
            sleep=sleep,
        )
        self._recordings: Recordings | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by set
        self._chores = OwnedTasks("the removal of chunks that came too late")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._news = asyncio.Event()
        self._work_left = True  # as far as is known here
        self._looked_at = clock()
        self._stopping = self._closed = False

    def connect(self, recordings: Recordings) -> None:
        self._recordings = recordings

    def watch_senders(self, is_sending: Callable[[str], bool]) -> None:
        """`is_sending` says whether a chunk of a participant is on its way, which may take long."""
        self._open.is_sending = is_sending

    def turn(self, recording_id: str) -> asyncio.Lock:
        """Held while the files of a recording are changed, or its sets' states looked at for that."""
        return self._turns.setdefault(recording_id, asyncio.Lock())

    # --- what comes from participants -------------------------------------------------------------

    async def admit(
        self,
        recording_id: str,
        participant_id: str,
        participant_name: str = "",
        *,
        again: tuple[int, int] | None = None,
    ) -> ChunkSetRow:
        """The set that a participant's chunk belongs to, a new one if there was none. It is open, or
        has the chunk `again` (part and sequence) among those that it was closed with.

        Raises UnknownRecording, RecordingEnded, SetComplete, and what the catalog raises.
        """
        known = self._open.at_hand(recording_id, participant_id)
        if known is not None and not known.closing:
            return known.row
        recording = await self._catalog.recordings.get(recording_id)
        if recording is None:
            raise UnknownRecording(f"there is no recording {recording_id}")
        row = await self._sets.find(recording_id, participant_id)
        if row is None:
            row = await self._begin_set(recording, participant_id, participant_name)
        if row.status != SetStatus.OPEN:
            if again is not None and settling.has_come(row.parts, *again):
                return row
            raise SetComplete(
                f"the chunks of {participant_id!r} are {row.status}: no more are taken"
            )
        await self._open.known(row)
        return row

    async def announce(self, row: ChunkSetRow, part: int, facts: Mapping[str, Any]) -> ChunkSetRow:
        """A part will come, or goes on: what is known of it before its first chunk.

        `facts` may hold mimeType, source, startedAt, clockOffsetMs; what is None stays as it was.
        Raises SetComplete, and what the catalog raises.
        """
        told = {name: value for name, value in facts.items() if value is not None}
        return await self._open.announce(await self._open.known(row), part, told)

    def arrived(self, row: ChunkSetRow, size: int) -> None:
        """A chunk of so many bytes is durable, 0 when it was before. Cheap; on the event loop.

        Raises SetComplete when the set was closed while the chunk came: whether it is in the file is
        not known, so it must not be acknowledged. CatalogUnavailable when not even that is known.
        """
        known = self._open.at_hand(row.recording_id, row.participant_id)
        if known is None or known.row.id != row.id or known.closing:
            if self._open.was_deleted(row.id):
                self._chores.spawn(self._chunks.remove(row.id))
            if known is None and not self._open.is_over(row.id):
                raise CatalogUnavailable("the catalog failed while the chunk came; send it again")
            raise SetComplete(f"the chunks of {row.participant_id!r} were completed meanwhile")
        known.last_activity = self._clock()
        known.bytes += size
        if known.bytes and not known.has_media:
            known.has_media = True
            if self._recordings is not None:
                self._recordings.client_media_arrived(row.recording_id)

    async def complete(self, row: ChunkSetRow, last: Mapping[int, int]) -> ChunkSetRow:
        """Nothing more will come; `last` is the last sequence of each part. Again it changes nothing.

        Raises ChunksMissing, SetComplete when another end was said before, what the catalog raises.
        """
        present = await self._sets.get(row.id)
        if present is None:
            raise UnknownRecording(f"recording {row.recording_id} is gone")
        if present.status == SetStatus.OPEN:
            known = await self._open.known(present)
            known.last_activity = self._clock()
            await self._open.require_all(known, last)
            if (closed := await self._open.close(known, last, require=True)) is not None:
                self._work_left = True
                self._tell()
                return closed
            present = await self._sets.get(row.id) or present
        said = settling.said_last(present.parts)
        if any(said.get(part, -1) < sequence for part, sequence in last.items()):
            raise SetComplete(f"the chunks of {row.participant_id!r} were completed before")
        return present

    async def chunk_state(self, row: ChunkSetRow) -> dict[str, Any]:
        """`{participantId, status, parts: [{part, received, missing, next}]}`: from the disk while the
        set is open, then as it was when it was closed.
        """
        if row.status == SetStatus.OPEN:
            received, last = await self._open.received(row.id), {}
        else:
            received, last = settling.row_received(row.parts), settling.said_last(row.parts)
        return state_of(row, settling.parts_state(received, last))

    async def chunk_states(self, recording_id: str) -> list[dict[str, Any]]:
        """Of all participants of a recording who sent something or said they would."""
        return [await self.chunk_state(row) for row in await self._sets.of(recording_id)]

    # --- what recordings ask ----------------------------------------------------------------------

    async def expected(self, recording_id: str) -> bool:
        """Is there a chunk of a recording, or somebody who just said that one will come?"""
        for row in await self._sets.of(recording_id):
            if row.status != SetStatus.OPEN:
                return True
            known = await self._open.known(row)
            if known.has_media or self._clock() - known.last_activity < settling.LIVELY:
                return True
        return False

    def last_arrival(self, recording_id: str) -> datetime | None:
        """When the latest chunk of a running recording came, as this process saw it."""
        times = [each.last_activity for each in self._open.of(recording_id) if each.has_media]
        return max(times, default=None)

    def bytes_of(self, *recording_ids: str) -> int:
        """The size of all open sets of recordings."""
        return sum(each.bytes for id in recording_ids for each in self._open.of(id))

    async def begin(self, recording_id: str) -> None:
        """The server's files of a recording are made: its complete sets can be made into files."""
        for row in await self._sets.of(recording_id):
            if row.status in settling.WORK_LEFT:
                self._begin(row.id)

    async def until_settled(self, recording_id: str, *, alone: bool) -> None:
        """Returns when nothing of an ended recording's sets is to be waited for.

        That is what is being made into files, and who is sending still; when the recording has no
        other media (`alone`), and no set has become a file, also open sets that wait to be salvaged.
        Raises CopiesAwaited when the server stops meanwhile and only such are left, or this is
        closed, and what the catalog raises.
        """
        recording = await self._catalog.recordings.get(recording_id)
        stopped_at = recording.stopped_at if recording else None
        while True:
            news = self._news
            working = live = asleep = made = False
            for row in await self._sets.of(recording_id):
                if row.status in settling.WORK_LEFT:
                    working = True
                    self._begin(row.id)
                elif row.status == SetStatus.OPEN:
                    known = await self._open.known(row)
                    facts = await self._open.facts(known, stopped_at)
                    lively = settling.is_live(facts, self._timeout, self._clock())
                    live |= lively
                    asleep |= alone and known.has_media and not lively
                else:
                    made |= row.status == SetStatus.DONE
            if not (working or live or (asleep and not made)):
                return
            if self._closed or (self._stopping and not (working or live)):
                raise CopiesAwaited(
                    f"participants of recording {recording_id} may still send chunks"
                )
            await news.wait()

    async def forget(self, recording_id: str) -> None:
        """Ends what is under way of a recording that is about to be deleted."""
        for row in await self._sets.of(recording_id):
            self._open.take_no_more(row, deleted=True)
            await self._end_task(row.id)

    # --- what the server asks ---------------------------------------------------------------------

    async def recover(self) -> None:
        """What an earlier process left is found again. Raises what the catalog raises."""
        self._open.began_at = self._clock()
        for row in await self._sets.in_states({SetStatus.ASSEMBLING}):
            await self._sets.update(row.id, {row.status}, status=SetStatus.COMPLETE, progress=0.0)
        for row in await self._sets.in_states({SetStatus.OPEN}):
            await self._open.known(row)
        await sweep_chunks(self._catalog, self._root)

    async def look(self) -> None:
        """Closes the sets that have settled, and takes up those of final recordings.

        Those of others are taken up by whoever finishes them (`until_settled`). Raises what the
        catalog raises, which is asked only when there is something to look at, or was long ago.
        """
        now = self._clock()
        if self._work_left or self._open.some or abs(now - self._looked_at) >= LOOKS_APART:
            self._work_left = False  # what is closed meanwhile says so again
            try:
                rows = await self._sets.in_states(settling.UNDER_WAY)
            except CatalogUnavailable:
                self._work_left = True
                raise
            self._work_left |= bool(rows)
            self._looked_at = now
            await self._look_at(rows)
        self._tell()

    async def _look_at(self, rows: Sequence[ChunkSetRow]) -> None:
        recordings: dict[str, RecordingRow | None] = {}
        for row in rows:
            if row.recording_id not in recordings:
                recordings[row.recording_id] = await self._catalog.recordings.get(row.recording_id)
            recording = recordings[row.recording_id]
            if recording is None or recording.status in ACTIVE:
                continue
            if row.status == SetStatus.OPEN:
                await self._settle(await self._open.known(row), recording)
            elif recording.status in FINAL:
                self._begin(row.id)

    def stop_waiting(self) -> None:
        """The server stops: who may only perhaps send something is not waited for any more."""
        self._stopping = True
        self._tell()

    async def idle(self) -> None:
        """Returns when no set is being made into files, and nothing else is under way here."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())
        await self._chores.idle()

    async def close(self) -> None:
        """Ends all tasks, and all waiting. Their sets are found again by `recover`."""
        self._closed = True
        self._tell()
        for set_id in list(self._tasks):
            await self._end_task(set_id)
        await self._chores.close()

    # --- open sets --------------------------------------------------------------------------------

    async def _begin_set(self, recording: RecordingRow, participant: str, name: str) -> ChunkSetRow:
        late = self._may_begin_late(recording)
        if recording.status in FINAL and not late:
            raise RecordingEnded(f"recording {recording.id} is {recording.status}")
        try:
            row = await self._sets.ensure(recording.id, participant, name)
        except BadValue:
            raise UnknownRecording(f"recording {recording.id} is gone") from None
        if late and self._recordings is not None:
            await self._open.known(row)
            await self._recordings.process_again(recording.id)
        return row

    def _may_begin_late(self, recording: RecordingRow) -> bool:
        """Was it stopped just now, and has failed because there was no media?"""
        if recording.status != Status.FAILED or recording.stopped_at is None or recording.files:
            return False
        return self._clock() - recording.stopped_at < settling.LATE_START

    async def _settle(self, known: OpenSet, recording: RecordingRow) -> None:
        facts = await self._open.facts(known, recording.stopped_at)
        verdict = settling.verdict(facts, self._timeout, self._clock())
        if verdict is Verdict.WAIT:
            return
        log.info("recording %s: the chunks of a participant end (%s)", recording.id, verdict)
        with suppress(ChunksMissing):  # something came just now
            await self._open.close(known, {}, require=verdict is Verdict.WHOLE)

    # --- sets that take no more -------------------------------------------------------------------

    def _begin(self, set_id: str) -> None:
        """Works on a set in the background, if nobody does."""
        if self._closed or set_id in self._tasks:
            return
        task = asyncio.create_task(self._assembler.finish(set_id), name=f"client copy {set_id}")
        self._tasks[set_id] = task
        task.add_done_callback(partial(self._ended, set_id))

    async def _revive(self, recording_id: str) -> None:
        if self._recordings is not None:
            await self._recordings.process_again(recording_id)

    def _ended(self, set_id: str, task: asyncio.Task[None]) -> None:
        """Supervises: a task that died of a bug is logged; `look` begins its set once more."""
        del self._tasks[set_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            known = isinstance(error, CatalogUnavailable)
            log.error("client copy %s died: %s", set_id, error, exc_info=None if known else error)
        self._tell()

    async def _end_task(self, set_id: str) -> None:
        task = self._tasks.get(set_id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _tell(self) -> None:
        """Wakes whoever waits in `until_settled`."""
        self._news.set()
        self._news = asyncio.Event()
