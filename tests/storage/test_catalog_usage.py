"""What is stored where, and what was sent out, on both databases."""

from __future__ import annotations

import asyncio

import pytest

from storage.catalog import MEDIA_LIBRARY, Catalog, FileRow, TrafficRow, UsageRow, new_file_id
from storage.errors import BadValue
from tests.storage.media_rows import NOON, media_row

BIG = 5_000_000_000
MONTH = "2026-11"


def file_row(provider: str, *, size: int = BIG, key: str = "k", seconds: float = 1.5) -> FileRow:
    return FileRow(
        id=new_file_id(),
        kind="participant",
        participant_id="alice",
        content_type="video/webm",
        size=size,
        duration_seconds=seconds,
        width=None,
        height=None,
        sha256="ab" * 32,
        key=key,
        start_seconds=0.0,
        provider=provider,
    )


async def recorded(catalog: Catalog, room: str, *files: FileRow) -> str:
    row = await catalog.recordings.create(room=room, started_by="host", status="recorded")
    await catalog.recordings.set_files(row.id, files)
    return row.id


# --- stored ---------------------------------------------------------------------------------------


async def test_nothing_is_stored(catalog: Catalog) -> None:
    assert await catalog.usage.stored() == ()
    await recorded(catalog, "a")
    assert await catalog.usage.stored() == ()


async def test_stored_sums_by_provider_and_room(catalog: Catalog) -> None:
    await recorded(catalog, "b", file_row("s3"), file_row("local", size=7))
    await recorded(catalog, "b", file_row("s3", seconds=3600.0))
    await recorded(catalog, "a", file_row("s3", size=0, seconds=0.0))
    assert await catalog.usage.stored() == (
        UsageRow("local", "b", 7, 1, 1.5),
        UsageRow("s3", "a", 0, 1, 0.0),
        UsageRow("s3", "b", 2 * BIG, 2, 3601.5),
    )


async def test_what_was_deleted_is_not_counted(catalog: Catalog) -> None:
    recording_id = await recorded(catalog, "a", file_row("s3"))
    await catalog.recordings.delete(recording_id)
    assert await catalog.usage.stored() == ()


async def test_the_media_library_is_counted_with_what_was_made_of_it_and_its_trash(
    catalog: Catalog,
) -> None:
    made = [{"role": "poster", "key": "p", "size": 20}, {"role": "pictures"}]
    done = {"name": "hls", "status": "done", "size": 300, "files": [{"size": 100}, {"size": 200}]}
    queued = {"name": "720p", "status": "queued"}
    await catalog.media.create(
        media_row(size=BIG, derived=made, captions=[{"size": 3}], renditions=[done, queued])
    )
    await catalog.media.create(media_row(duration_seconds=None, deleted_at=NOON))
    await catalog.media.create(media_row(provider="local"))
    await recorded(catalog, "a", file_row("s3"))
    assert await catalog.usage.stored() == (
        UsageRow("local", MEDIA_LIBRARY, 7, 1, 60.0),
        UsageRow("s3", MEDIA_LIBRARY, BIG + 20 + 3 + 300 + 7, 6, 60.0),
        UsageRow("s3", "a", BIG, 1, 1.5),
    )


# --- sharing --------------------------------------------------------------------------------------


async def test_files_of_one_object_are_counted(catalog: Catalog) -> None:
    first = await recorded(catalog, "a", file_row("s3", key="shared"), file_row("s3", key="own"))
    await recorded(catalog, "b", file_row("s3", key="shared"), file_row("local", key="shared"))
    assert await catalog.usage.sharing("s3", "shared") == 2
    assert await catalog.usage.sharing("s3", "own") == 1
    assert await catalog.usage.sharing("local", "own") == 0
    await catalog.recordings.delete(first)
    assert await catalog.usage.sharing("s3", "shared") == 1


# --- traffic --------------------------------------------------------------------------------------


async def test_traffic_adds_up_by_month_provider_and_room(catalog: Catalog) -> None:
    usage = catalog.usage
    await usage.add_traffic(MONTH, {("s3", "b"): BIG, ("local", "b"): 1, ("s3", "a"): 2})
    await usage.add_traffic(MONTH, {("s3", "b"): BIG})
    await usage.add_traffic("2026-12", {("s3", "b"): 5})
    assert await usage.traffic(MONTH) == (
        TrafficRow(MONTH, "local", "b", 1),
        TrafficRow(MONTH, "s3", "a", 2),
        TrafficRow(MONTH, "s3", "b", 2 * BIG),
    )
    assert await usage.traffic("2026-12") == (TrafficRow("2026-12", "s3", "b", 5),)
    assert await usage.traffic("2027-01") == ()


async def test_no_traffic_is_no_row(catalog: Catalog) -> None:
    await catalog.usage.add_traffic(MONTH, {})
    assert await catalog.usage.traffic(MONTH) == ()


async def test_traffic_is_added_all_or_none(catalog: Catalog) -> None:
    await catalog.usage.add_traffic(MONTH, {("local", "a"): 1})
    with pytest.raises(BadValue):
        await catalog.usage.add_traffic(MONTH, {("local", "a"): 1, ("s3", "a"): 1 << 64})
    assert await catalog.usage.traffic(MONTH) == (TrafficRow(MONTH, "local", "a", 1),)


async def test_additions_at_the_same_time_lose_nothing(
    catalog: Catalog, second_catalog: Catalog
) -> None:
    await catalog.usage.add_traffic(MONTH, {("s3", "a"): 1})
    both = (catalog, second_catalog)
    await asyncio.gather(
        *(both[number % 2].usage.add_traffic(MONTH, {("s3", "a"): 1}) for number in range(20))
    )
    assert await catalog.usage.traffic(MONTH) == (TrafficRow(MONTH, "s3", "a", 21),)
