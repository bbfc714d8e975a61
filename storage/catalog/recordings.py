"""Recordings and their files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Unpack

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.catalog.database import ConstraintViolated, Database
from storage.catalog.ids import new_recording_id
from storage.catalog.paging import check_page, equal, paged, total_of
from storage.catalog.rows import FileRow, Page, RecordingChanges, RecordingRow, WebhookRow
from storage.catalog.status_table import compare_and_set
from storage.catalog.tables import ACTIVE_STATUSES, recording_files, recordings, webhooks
from storage.errors import BadValue, DuplicateActive, RowNotFound, StatusConflict

RACE_ATTEMPTS = 10
IDS_PER_QUERY = 500  # databases bound the parameters of one statement
FILE_COLUMNS = [
    column for column in recording_files.c if column.name not in ("recording_id", "position")
]


Announce = Callable[[RecordingRow], Sequence[WebhookRow]]
"""What the outbox has to hold because a recording got to its status. Must not raise."""


class RecordingRepository:
    """The table of recordings. Every method is one transaction; all raise CatalogUnavailable.

    When `announce` is set, what it makes of a row is in the outbox of webhooks with the change of
    status itself: neither is there without the other, whatever dies when.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self.announce: Announce | None = None

    async def create(
        self,
        *,
        room: str,
        started_by: str,
        mode: str = "tracks",
        id: str | None = None,
        created_at: datetime | None = None,
        options: Mapping[str, Any] | None = None,
        **columns: Unpack[RecordingChanges],
    ) -> RecordingRow:
        """A new row: status "starting" and provider "local" unless `columns` say otherwise.

        Raises DuplicateActive when the row would be active and the room has an active one: of any
        number of starts at the same time, also from other processes, one wins. Raises BadValue.
        """
        values: dict[str, Any] = {
            "id": id or new_recording_id(),
            "room": room,
            "started_by": started_by,
            "mode": mode,
            "status": "starting",
            "provider": "local",
            "metadata": {},
            "created_at": created_at or self._clock(),
            "options": dict(options or {}),
            **_known(columns),
        }
        for _ in range(RACE_ATTEMPTS):
            try:
                async with self._database.write() as connection:
                    await connection.execute(insert(recordings).values(values))
                    row = await _one(connection, values["id"])
                    await self._put_out(connection, row)
                    return row
            except ConstraintViolated:
                if values["status"] not in ACTIVE_STATUSES:
                    raise
                await self._refuse_second(room)
        raise BadValue(f"recording {values['id']} can't be created: its id is taken")

    async def get(self, recording_id: str) -> RecordingRow | None:
        async with self._database.read() as connection:
            found = await _rows(connection, _by_id(recording_id))
            return found[0] if found else None

    async def find(
        self,
        *,
        rooms: Collection[str] | None = None,
        call_id: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page: int = 1,
        limit: int = 50,
    ) -> Page[RecordingRow]:
        """Newest first. `rooms` of None means all, `since <= created_at < until`, pages count
        from 1. Raises BadValue for a page or limit (1 to 1000) that can't be.
        """
        check_page(page, limit)
        table = recordings.c
        conditions = equal((table.call_id, call_id), (table.status, status))
        if rooms is not None:
            conditions.append(table.room.in_(rooms))
        if since is not None:
            conditions.append(table.created_at >= since)
        if until is not None:
            conditions.append(table.created_at < until)
        statement = select(recordings).where(*conditions)
        newest = statement.order_by(table.created_at.desc(), table.id.desc())
        async with self._database.read() as connection:
            items = await _rows(connection, paged(newest, page, limit))
            return Page(items, await total_of(connection, statement))

    async def in_states(self, statuses: Collection[str]) -> tuple[RecordingRow, ...]:
        """All recordings in one of these statuses, oldest first."""
        statement = select(recordings).where(recordings.c.status.in_(statuses))
        async with self._database.read() as connection:
            return await _rows(
                connection, statement.order_by(recordings.c.created_at, recordings.c.id)
            )

    async def files_at(
        self, provider: str, statuses: Collection[str]
    ) -> tuple[tuple[str, FileRow], ...]:
        """The files at a provider of recordings in one of these statuses, with the recordings' ids.

        Oldest recordings first.
        """
        table = recordings.c
        statement = (
            select(recording_files.c.recording_id, *FILE_COLUMNS)
            .join_from(recording_files, recordings)
            .where(recording_files.c.provider == provider, table.status.in_(statuses))
            .order_by(table.created_at, table.id, recording_files.c.position)
        )
        async with self._database.read() as connection:
            found = await connection.execute(statement)
            return tuple((recording_id, FileRow(*fields)) for recording_id, *fields in found)

    async def update(
        self,
        recording_id: str,
        expected_status: Collection[str] | None = None,
        **changes: Unpack[RecordingChanges],
    ) -> RecordingRow:
        """Change columns if the status is one of those expected (None: any). Compare-and-set.

        Raises RowNotFound, StatusConflict (nothing was changed), DuplicateActive, BadValue.
        """
        try:
            async with self._database.write() as connection:
                await compare_and_set(
                    connection,
                    recordings,
                    recording_id,
                    expected_status,
                    changes,
                    RecordingChanges.__annotations__,
                )
                row = await _one(connection, recording_id)
                if "status" in changes:
                    await self._put_out(connection, row)
        except ConstraintViolated:
            if (present := await self.get(recording_id)) is not None:
                await self._refuse_second(present.room)
            raise
        return row

    async def set_files(self, recording_id: str, files: Sequence[FileRow]) -> RecordingRow:
        """Replace the recording's files, all or none. Raises RowNotFound, BadValue."""
        rows = [
            {"recording_id": recording_id, "position": position, **asdict(file)}
            for position, file in enumerate(files)
        ]
        async with self._database.write() as connection:
            await _one(connection, recording_id)
            await connection.execute(
                delete(recording_files).where(recording_files.c.recording_id == recording_id)
            )
            if rows:
                await connection.execute(insert(recording_files), rows)
            return await _one(connection, recording_id)

    async def add_file(self, recording_id: str, file: FileRow) -> RecordingRow:
        """One file more, at the end, its size added to the recording's; instead of the one with its
        id if there is one. Raises RowNotFound, BadValue.
        """
        async with self._database.write() as connection:
            row = await _one(connection, recording_id)
            others = [each for each in row.files if each.id != file.id]
            places = select(func.max(recording_files.c.position)).where(
                recording_files.c.recording_id == recording_id
            )
            last = await connection.scalar(places)
            await connection.execute(
                delete(recording_files).where(
                    recording_files.c.recording_id == recording_id,
                    recording_files.c.id == file.id,
                )
            )
            await connection.execute(
                insert(recording_files),
                [
                    {
                        "recording_id": recording_id,
                        "position": 0 if last is None else last + 1,
                        **asdict(file),
                    }
                ],
            )
            await connection.execute(
                update(recordings)
                .where(recordings.c.id == recording_id)
                .values(size=sum(each.size for each in others) + file.size)
            )
            return await _one(connection, recording_id)

    async def delete(
        self, recording_id: str, expected_status: Collection[str] | None = None
    ) -> None:
        """Remove the row and its files' rows; nothing happens when there is none.

        Raises StatusConflict when the status is none of those expected (None: any).
        """
        statement = delete(recordings).where(recordings.c.id == recording_id)
        if expected_status is not None:
            statement = statement.where(recordings.c.status.in_(expected_status))
        async with self._database.write() as connection:
            await connection.execute(statement)
            left = await _rows(connection, _by_id(recording_id))
        if left:
            raise StatusConflict(f"recording {recording_id} is {left[0].status}", left[0].status)

    async def _put_out(self, connection: AsyncConnection, row: RecordingRow) -> None:
        if self.announce is not None and (rows := self.announce(row)):
            await connection.execute(insert(webhooks), [asdict(each) for each in rows])

    async def _refuse_second(self, room: str) -> None:
        """Raises DuplicateActive if the room has an active recording now."""
        statement = select(recordings.c.id).where(
            recordings.c.room == room, recordings.c.status.in_(ACTIVE_STATUSES)
        )
        async with self._database.read() as connection:
            existing = await connection.scalar(statement)
        if existing is not None:
            raise DuplicateActive(room, existing)


def _known(columns: RecordingChanges) -> Mapping[str, Any]:
    if unknown := sorted(columns.keys() - RecordingChanges.__annotations__.keys()):
        raise BadValue(f"a recording has no column {unknown[0]!r} that may be set")
    return dict(columns)


def _by_id(recording_id: str) -> Select[Any]:
    return select(recordings).where(recordings.c.id == recording_id)


async def _one(connection: AsyncConnection, recording_id: str) -> RecordingRow:
    found = await _rows(connection, _by_id(recording_id))
    if not found:
        raise RowNotFound(f"there is no recording {recording_id!r}")
    return found[0]


async def _rows(connection: AsyncConnection, statement: Select[Any]) -> tuple[RecordingRow, ...]:
    """The recordings that a statement selects, each with its files."""
    found = (await connection.execute(statement)).mappings().all()
    files: dict[str, list[FileRow]] = defaultdict(list)
    for first in range(0, len(found), IDS_PER_QUERY):
        ids = [row["id"] for row in found[first : first + IDS_PER_QUERY]]
        chosen = (
            select(recording_files.c.recording_id, *FILE_COLUMNS)
            .where(recording_files.c.recording_id.in_(ids))
            .order_by(recording_files.c.recording_id, recording_files.c.position)
        )
        for recording_id, *fields in await connection.execute(chosen):
            files[recording_id].append(FileRow(*fields))
    return tuple(
        RecordingRow(**{**row, "options": row["options"] or {}, "files": tuple(files[row["id"]])})
        for row in found
    )
