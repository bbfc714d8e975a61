"""Open sets of chunks, as this process knows them: found again from the catalog and the disk when it
does not.

A set is closed in an order that loses nothing: first no chunk of it is acknowledged any more, then it
is looked at what came, then its row changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recorder.chunks import settling
from recorder.chunks.settling import Facts, SetStatus
from recorder.chunks.store import ChunkStore
from recorder.errors import ChunksMissing, SetComplete
from storage.catalog import ChunkSetRepository, ChunkSetRow
from storage.errors import RowNotFound, StatusConflict

REMEMBERED = 10_000  # sets that take no more, to which a chunk may still be on its way


@dataclass(slots=True)
class OpenSet:
    """`turn` orders what changes its row."""

    row: ChunkSetRow
    last_activity: datetime
    bytes: int = 0
    has_media: bool = False
    closing: bool = False  # what comes now may be too late for the file
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class OpenSets:
    def __init__(
        self, sets: ChunkSetRepository, chunks: ChunkStore, clock: Callable[[], datetime]
    ) -> None:
        self._sets = sets
        self._chunks = chunks
        self._clock = clock
        self.is_sending: Callable[[str], bool] = lambda _participant: False
        self.began_at = clock()
        self._open: dict[tuple[str, str], OpenSet] = {}  # by recording and participant
        self._over: dict[str, bool] = {}  # by set, oldest first: was it deleted?

    def at_hand(self, recording_id: str, participant_id: str) -> OpenSet | None:
        """Without asking anybody."""
        return self._open.get((recording_id, participant_id))

    def of(self, recording_id: str) -> list[OpenSet]:
        """Those of a recording that are at hand."""
        return [each for (id, _), each in self._open.items() if id == recording_id]

    @property
    def some(self) -> bool:
        """Is any set open?"""
        return bool(self._open)

    def is_over(self, set_id: str) -> bool:
        """Is it known to take no more?"""
        return set_id in self._over

    def was_deleted(self, set_id: str) -> bool:
        return self._over.get(set_id, False)

    async def known(self, row: ChunkSetRow) -> OpenSet:
        """The set of a row that was open when it was read."""
        known = self.at_hand(row.recording_id, row.participant_id)
        if known is not None and known.row.id == row.id:
            return known
        arrival = await self._chunks.last_arrival(row.id)
        size = sum((await self._chunks.sizes(row.id)).values())
        # who was sending when an earlier process ended gets time to find this one
        last = max(filter(None, (row.created_at, arrival, self.began_at)))
        known = OpenSet(row, last, size, has_media=size > 0)
        if row.id in self._over:  # closed while the disk was asked
            known.closing = True
            return known
        return self._open.setdefault((row.recording_id, row.participant_id), known)

    async def announce(self, known: OpenSet, part: int, told: Mapping[str, Any]) -> ChunkSetRow:
        """Notes what is told of a part; what was told of it before stays.

        Raises SetComplete, and what the catalog raises.
        """
        async with known.turn:
            present = known.row.parts.get(str(part))
            # the clock of a client that goes on may be another one, its recorder's start is not
            merged = {**told, **(present or {})}
            if merged != present:
                parts = {**known.row.parts, str(part): merged}
                try:
                    known.row = await self._sets.update(known.row.id, {SetStatus.OPEN}, parts=parts)
                except (RowNotFound, StatusConflict) as error:
                    raise SetComplete(str(error)) from error
            known.last_activity = self._clock()
            return known.row

    async def received(self, set_id: str) -> dict[int, settling.Ranges]:
        return dict(await self._chunks.state(set_id))

    async def facts(self, known: OpenSet, stopped_at: datetime | None) -> Facts:
        """Of a recording whose stop nobody noted, this process's start counts as the stop."""
        whole = settling.is_whole(await self.received(known.row.id))
        if self.is_sending(known.row.participant_id):
            known.last_activity = self._clock()
        return Facts(bool(known.row.parts), whole, known.last_activity, stopped_at or self.began_at)

    async def require_all(self, known: OpenSet, last: Mapping[int, int]) -> None:
        """Raises ChunksMissing when something up to `last` of each part did not come."""
        _require(known.row, await self.received(known.row.id), last)

    async def close(
        self, known: OpenSet, last: Mapping[int, int], *, require: bool
    ) -> ChunkSetRow | None:
        """The set is `complete` and takes no more; None when somebody else closed it.

        Raises ChunksMissing, when `require` is set: it stays open then; and what the catalog raises:
        whether it is open is not known then.
        """
        async with known.turn:
            known.closing = True  # first: what is acknowledged until here is on the disk
            row = known.row
            try:
                received = await self.received(row.id)
                if require:
                    _require(row, received, last)
            except BaseException:
                known.closing = False
                raise
            ends = settling.last_sequences(received, last)
            try:
                closed = await self._sets.update(
                    row.id,
                    {SetStatus.OPEN},
                    status=SetStatus.COMPLETE,
                    parts=settling.closed_parts(row.parts, received, ends),
                    progress=0.0,
                )
            except (RowNotFound, StatusConflict):
                closed = None
            except BaseException:  # it may be written down all the same: the row has to be asked
                self._open.pop((row.recording_id, row.participant_id), None)
                raise
            self.take_no_more(row)
            return closed

    def take_no_more(self, row: ChunkSetRow, *, deleted: bool = False) -> None:
        self._open.pop((row.recording_id, row.participant_id), None)
        self._over[row.id] = deleted
        if len(self._over) > REMEMBERED:
            del self._over[next(iter(self._over))]


def state_of(row: ChunkSetRow, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """What the contract calls the chunk state."""
    return {"participantId": row.participant_id, "status": row.status, "parts": parts}


def _require(row: ChunkSetRow, received: settling.Received, last: Mapping[int, int]) -> None:
    state = settling.parts_state(received, settling.last_sequences(received, last))
    if settling.has_holes(state):
        raise ChunksMissing("not all chunks have come", state_of(row, state))
