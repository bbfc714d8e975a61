"""Stored files that go from one provider to another, as the catalog sees it, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storage.catalog import Catalog, FileRow, new_file_id

UNTIL = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def file_row(key: str = "k", provider: str = "local") -> FileRow:
    return FileRow(
        id=new_file_id(),
        kind="participant",
        participant_id="alice",
        content_type="video/webm",
        size=7,
        duration_seconds=1.5,
        width=None,
        height=None,
        sha256="ab" * 32,
        key=key,
        start_seconds=0.0,
        provider=provider,
    )


async def recorded(catalog: Catalog, *files: FileRow, status: str = "recorded") -> str:
    row = await catalog.recordings.create(room="r", started_by="host", status=status)
    await catalog.recordings.set_files(row.id, files)
    return row.id


async def provider_of(catalog: Catalog, recording_id: str) -> str:
    row = await catalog.recordings.get(recording_id)
    assert row is not None
    return row.files[0].provider


async def test_files_at_a_provider(catalog: Catalog) -> None:
    first, second, elsewhere = file_row("a"), file_row("b"), file_row("c", "s3")
    older = await recorded(catalog, first, elsewhere)
    newer = await recorded(catalog, second, status="failed")
    await recorded(catalog, file_row("d"), status="uploading")
    found = await catalog.recordings.files_at("local", {"recorded", "failed"})
    assert found == ((older, first), (newer, second))
    assert await catalog.recordings.files_at("gcs", {"recorded"}) == ()


@pytest.mark.parametrize("left_until", [None, UNTIL])
async def test_a_file_moves(catalog: Catalog, left_until: datetime | None) -> None:
    file = file_row()
    recording_id = await recorded(catalog, file)
    assert await catalog.deliveries.move(recording_id, file, "s3", left_until=left_until)
    assert await provider_of(catalog, recording_id) == "s3"
    left = await catalog.deliveries.of(recording_id)
    assert [(row.id, row.state, row.path, row.file, row.due_at) for row in left] == (
        [] if left_until is None else [(file.id, "left", "", file, UNTIL)]
    )


async def test_a_file_that_is_elsewhere_does_not_move(catalog: Catalog) -> None:
    file = file_row(provider="gcs")
    recording_id = await recorded(catalog, file)
    believed = replace(file, provider="local")
    assert not await catalog.deliveries.move(recording_id, believed, "s3", left_until=UNTIL)
    assert await provider_of(catalog, recording_id) == "gcs"
    assert await catalog.deliveries.of(recording_id) == ()


@pytest.mark.parametrize("left_until", [None, UNTIL])
async def test_a_file_that_the_ledger_has_does_not_move(
    catalog: Catalog, left_until: datetime | None
) -> None:
    file = file_row()
    recording_id = await recorded(catalog, file)
    entered = await catalog.deliveries.enter(recording_id, [(file, "a.webm")])
    assert not await catalog.deliveries.move(recording_id, file, "s3", left_until=left_until)
    assert await provider_of(catalog, recording_id) == "local"
    assert await catalog.deliveries.of(recording_id) == entered


async def test_a_file_of_a_deleted_recording_does_not_move(catalog: Catalog) -> None:
    file = file_row()
    recording_id = await recorded(catalog, file)
    await catalog.recordings.delete(recording_id)
    assert not await catalog.deliveries.move(recording_id, file, "s3", left_until=UNTIL)
    assert await catalog.deliveries.in_states({"left"}) == ()


async def test_of_two_who_move_a_file_one_does(catalog: Catalog, second_catalog: Catalog) -> None:
    for _ in range(10):
        file = file_row()
        recording_id = await recorded(catalog, file)
        moves = [
            each.deliveries.move(recording_id, file, target, left_until=None)
            for each, target in ((catalog, "s3"), (second_catalog, "gcs"))
        ]
        assert sorted(await asyncio.gather(*moves)) == [False, True]


async def test_moving_and_deleting_at_once_ends(catalog: Catalog, second_catalog: Catalog) -> None:
    for _ in range(10):
        file = file_row()
        recording_id = await recorded(catalog, file)
        await asyncio.gather(
            catalog.deliveries.move(recording_id, file, "s3", left_until=UNTIL),
            second_catalog.recordings.delete(recording_id),
        )
        assert await catalog.recordings.get(recording_id) is None
        assert await catalog.deliveries.of(recording_id) == ()
