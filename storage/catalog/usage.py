"""How much there is, where and whose; and how much was sent out in which month."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import func, insert, select, update

from storage.catalog.database import Database
from storage.catalog.rows import MEDIA_LIBRARY, TrafficRow, UsageRow
from storage.catalog.tables import media, recording_files, recordings, traffic


class UsageRepository:
    """Sums over files, and the table of traffic. All methods raise CatalogUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stored(self) -> tuple[UsageRow, ...]:
        """What recordings and the media library take now, by provider and room, in this order."""
        rows = [*await self._media(), *await self._recordings()]
        return tuple(sorted(rows, key=lambda row: (row.provider, row.room)))

    async def _media(self) -> list[UsageRow]:
        """Also what is in the trash; with what was made of each file."""
        table = media.c
        statement = select(
            table.provider,
            table.size,
            table.duration_seconds,
            table.derived,
            table.captions,
            table.renditions,
        )
        found: dict[str, UsageRow] = {}
        async with self._database.read() as connection:
            async for row in await connection.stream(statement):
                known = found.get(row.provider) or UsageRow(row.provider, MEDIA_LIBRARY, 0, 0, 0.0)
                sizes = [row.size, *_made_sizes((*row.derived, *row.captions), row.renditions)]
                found[row.provider] = replace(
                    known,
                    bytes=known.bytes + sum(sizes),
                    files=known.files + len(sizes),
                    seconds=known.seconds + (row.duration_seconds or 0.0),
                )
        return list(found.values())

    async def _recordings(self) -> list[UsageRow]:
        files, rooms = recording_files.c, recordings.c
        statement = (
            select(
                files.provider,
                rooms.room,
                func.sum(files.size),
                func.count(),
                func.sum(files.duration_seconds),
            )
            .join_from(recording_files, recordings)
            .group_by(files.provider, rooms.room)
        )
        async with self._database.read() as connection:
            found = await connection.execute(statement)
            return [
                UsageRow(provider, room, int(size), count, float(seconds))
                for provider, room, size, count, seconds in found
            ]

    async def sharing(self, provider: str, key: str) -> int:
        """How many files are this very object."""
        files = recording_files.c
        statement = (
            select(func.count())
            .select_from(recording_files)
            .where(files.provider == provider, files.key == key)
        )
        async with self._database.read() as connection:
            return await connection.scalar(statement) or 0

    async def traffic(self, month: str) -> tuple[TrafficRow, ...]:
        statement = (
            select(traffic)
            .where(traffic.c.month == month)
            .order_by(traffic.c.provider, traffic.c.room)
        )
        async with self._database.read() as connection:
            found = (await connection.execute(statement)).mappings()
            return tuple(TrafficRow(**row) for row in found)

    async def add_traffic(self, month: str, sent: Mapping[tuple[str, str], int]) -> None:
        """Add bytes by (provider, room), all or none."""
        async with self._database.write() as connection:
            for (provider, room), count in sorted(sent.items()):
                key = {"month": month, "provider": provider, "room": room}
                conditions = [traffic.c[name] == value for name, value in key.items()]
                changed = await connection.execute(
                    update(traffic).where(*conditions).values(bytes=traffic.c.bytes + count)
                )
                if not changed.rowcount:
                    await connection.execute(insert(traffic).values(**key, bytes=count))


def _made_sizes(
    entries: Iterable[Mapping[str, Any]], renditions: Iterable[Mapping[str, Any]]
) -> Iterator[int]:
    """Of the objects that were made of a media file; JSON, which each database asks differently."""
    for entry in (*entries, *(file for each in renditions for file in each.get("files", ()))):
        if "size" in entry:
            yield entry["size"]
