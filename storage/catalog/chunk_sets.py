"""What participants' browsers recorded: a row for each participant of a recording who sends chunks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Unpack

from sqlalchemy import insert

from storage.catalog.database import ConstraintViolated
from storage.catalog.ids import new_chunk_set_id
from storage.catalog.rows import ChunkSetChanges, ChunkSetRow
from storage.catalog.status_table import StatusTable
from storage.catalog.tables import chunk_sets
from storage.errors import BadValue


class ChunkSetRepository(StatusTable[ChunkSetRow]):
    """The table of chunk sets. Every method is one transaction; all raise CatalogUnavailable."""

    _table = chunk_sets
    _row = ChunkSetRow
    _changeable = ChunkSetChanges.__annotations__

    async def ensure(
        self, recording_id: str, participant_id: str, participant_name: str = ""
    ) -> ChunkSetRow:
        """The set of a participant of a recording: a new one in `open` if there was none.

        Of any number of callers at the same time one makes it. Raises BadValue when there is no
        such recording.
        """
        row = ChunkSetRow(
            id=new_chunk_set_id(),
            recording_id=recording_id,
            participant_id=participant_id,
            participant_name=participant_name,
            status="open",
            parts={},
            progress=0.0,
            integrity=None,
            error=None,
            created_at=self._clock(),
            finished_at=None,
        )
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(chunk_sets).values(asdict(row)))
        except ConstraintViolated:
            if (found := await self.find(recording_id, participant_id)) is not None:
                return found
            raise BadValue(f"there is no recording {recording_id!r}") from None
        return row

    async def find(self, recording_id: str, participant_id: str) -> ChunkSetRow | None:
        return await self._first(
            chunk_sets.c.recording_id == recording_id,
            chunk_sets.c.participant_id == participant_id,
        )

    async def of(self, recording_id: str) -> tuple[ChunkSetRow, ...]:
        """The recording's sets, oldest first."""
        return await self._find(chunk_sets.c.recording_id == recording_id)

    async def update(
        self,
        set_id: str,
        expected_status: Collection[str] | None,
        **changes: Unpack[ChunkSetChanges],
    ) -> ChunkSetRow:
        """Change columns if the status is one of those expected (None: any). Compare-and-set.

        Raises RowNotFound, StatusConflict (nothing was changed), BadValue.
        """
        return await self._update(set_id, expected_status, changes)
