"""Recordings in the catalog, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain
from typing import Any

import pytest

from storage.catalog import (
    Catalog,
    FileRow,
    RecordingRow,
    new_call_id,
    new_file_id,
    new_recording_id,
)
from storage.errors import BadValue, DuplicateActive, RowNotFound, StatusConflict

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
STATUSES = ("starting", "recording", "processing", "uploading", "recorded", "failed")


def file_row(number: int = 1, **changes: object) -> FileRow:
    fields: dict[str, object] = {
        "id": new_file_id(),
        "kind": "participant",
        "participant_id": f"alice-{number}",
        "content_type": "video/webm",
        "size": 5_000_000_000,
        "duration_seconds": 20.125,
        "width": 1280,
        "height": 720,
        "sha256": "ab" * 32,
        "key": f"recordings/room/{number}.webm",
        "start_seconds": 0.5,
        "participant_name": "Alice A.",
        "source": "camera",
    }
    return FileRow(**(fields | changes))  # type: ignore[arg-type]


async def finished(catalog: Catalog, room: str, created_at: datetime = NOON) -> RecordingRow:
    return await catalog.recordings.create(
        room=room, started_by="host", status="recorded", created_at=created_at
    )


async def ids(catalog: Catalog, **filters: object) -> list[str]:
    page = await catalog.recordings.find(**filters)  # type: ignore[arg-type]
    return [row.id for row in page.items]


@pytest.mark.parametrize(("make", "prefix"), [(new_recording_id, "RC_"), (new_call_id, "CA_")])
def test_ids_are_sixteen_random_characters(make: object, prefix: str) -> None:
    assert callable(make)
    made = {make() for _ in range(100)}
    assert len(made) == 100
    assert {(one[:3], len(one)) for one in made} == {(prefix, 19)}


async def test_a_new_recording_has_defaults(catalog: Catalog) -> None:
    before = datetime.now(UTC)
    row = await catalog.recordings.create(room="physics", started_by="host")
    assert row == RecordingRow(
        id=row.id,
        room="physics",
        call_id=None,
        status="starting",
        mode="tracks",
        started_by="host",
        started_at=None,
        stopped_at=None,
        duration_seconds=None,
        size=None,
        provider="local",
        error=None,
        metadata={},
        integrity=None,
        created_at=row.created_at,
        files=(),
    )
    assert row.id.startswith("RC_")
    assert before <= row.created_at <= datetime.now(UTC)
    assert await catalog.recordings.get(row.id) == row


async def test_every_column_comes_back_as_it_went_in(catalog: Catalog) -> None:
    row = await catalog.recordings.create(
        id="RC_mine",
        room="🎓 физика",
        started_by="host",
        mode="composite",
        created_at=NOON,
        call_id="CA_1",
        status="failed",
        started_at=NOON + timedelta(microseconds=1),
        stopped_at=NOON + timedelta(seconds=20),
        duration_seconds=19.999999,
        size=9_000_000_000,
        provider="s3",
        error="the disk was full",
        metadata={"title": "Ωmega", "nested": [1, 2.5, None, {"a": "\0"}]},
        integrity={"complete": False, "tracks": []},
    )
    files = (file_row(1), file_row(2, width=None, height=None))
    assert (await catalog.recordings.set_files(row.id, files)).files == files
    found = await catalog.recordings.get("RC_mine")
    assert found is not None
    assert found.files == files
    assert found.room == "🎓 физика"
    assert found.metadata == {"title": "Ωmega", "nested": [1, 2.5, None, {"a": "\0"}]}
    assert found.integrity == {"complete": False, "tracks": []}
    assert (found.size, found.duration_seconds) == (9_000_000_000, 19.999999)
    assert found.started_at == NOON + timedelta(microseconds=1)
    assert found.stopped_at == NOON + timedelta(seconds=20)


async def test_times_come_back_in_utc(catalog: Catalog) -> None:
    tokyo = timezone(timedelta(hours=9))
    row = await finished(catalog, "a", NOON.astimezone(tokyo))
    assert row.created_at == NOON
    assert row.created_at.tzinfo is UTC


async def test_what_is_not_there(catalog: Catalog) -> None:
    assert await catalog.recordings.get("RC_none") is None
    await catalog.recordings.delete("RC_none")
    with pytest.raises(RowNotFound):
        await catalog.recordings.update("RC_none", None, status="failed")
    with pytest.raises(RowNotFound):
        await catalog.recordings.set_files("RC_none", [file_row()])


HOSTILE_COLUMNS = {
    "naive_time": {"started_at": datetime(2026, 1, 1)},
    "nul_in_text": {"error": "a\0b"},
    "lone_surrogate": {"error": "a\udce9"},
    "size_over_64_bits": {"size": 1 << 64},
    "not_json": {"metadata": {"a": object()}},
    "unknown_status": {"status": "paused"},
    "unknown_column": {"colour": "red"},
    "column_that_never_changes": {"room": "other"},
    "another_id": {"id": "RC_other"},
}


@pytest.mark.parametrize("columns", HOSTILE_COLUMNS.values(), ids=HOSTILE_COLUMNS.keys())
async def test_a_value_that_no_column_can_hold_is_refused(
    catalog: Catalog, columns: dict[str, Any]
) -> None:
    row = await finished(catalog, "a")
    with pytest.raises(BadValue):
        await catalog.recordings.update(row.id, None, **columns)
    assert await catalog.recordings.get(row.id) == row


async def test_the_same_id_twice_is_refused(catalog: Catalog) -> None:
    await catalog.recordings.create(id="RC_1", room="a", started_by="host", status="recorded")
    for status in ("recorded", "starting"):
        with pytest.raises(BadValue):
            await catalog.recordings.create(id="RC_1", room="b", started_by="host", status=status)


# --- one active recording in a room ---------------------------------------------------------------


@pytest.mark.parametrize("status", ["starting", "recording"])
async def test_a_second_start_is_told_the_first(catalog: Catalog, status: str) -> None:
    first = await catalog.recordings.create(room="a", started_by="host", status=status)
    with pytest.raises(DuplicateActive) as caught:
        await catalog.recordings.create(room="a", started_by="other")
    assert caught.value.existing_id == first.id
    await catalog.recordings.create(room="b", started_by="host")


@pytest.mark.parametrize("status", STATUSES[2:])
async def test_a_stopped_recording_is_no_obstacle(catalog: Catalog, status: str) -> None:
    await catalog.recordings.create(room="a", started_by="host", status=status)
    await catalog.recordings.create(room="a", started_by="host")


async def test_of_many_starts_at_once_one_wins(catalog: Catalog, second_catalog: Catalog) -> None:
    both = (catalog, second_catalog)
    started = await asyncio.gather(
        *(
            both[number % 2].recordings.create(room="a", started_by=f"host-{number}")
            for number in range(20)
        ),
        return_exceptions=True,
    )
    (winner,) = [row for row in started if isinstance(row, RecordingRow)]
    losers = [error for error in started if isinstance(error, DuplicateActive)]
    assert [error.existing_id for error in losers] == [winner.id] * 19
    assert await catalog.recordings.in_states(["starting"]) == (winner,)


async def test_an_ended_recording_cannot_become_a_second_active_one(catalog: Catalog) -> None:
    old = await finished(catalog, "a")
    new = await catalog.recordings.create(room="a", started_by="host")
    with pytest.raises(DuplicateActive) as caught:
        await catalog.recordings.update(old.id, None, status="recording")
    assert caught.value.existing_id == new.id
    assert await catalog.recordings.get(old.id) == old


# --- compare-and-set ------------------------------------------------------------------------------


async def test_an_expected_status_lets_the_change_through(catalog: Catalog) -> None:
    row = await catalog.recordings.create(room="a", started_by="host")
    changed = await catalog.recordings.update(
        row.id, {"starting", "recording"}, status="processing", stopped_at=NOON
    )
    assert (changed.status, changed.stopped_at) == ("processing", NOON)
    assert await catalog.recordings.get(row.id) == changed


@pytest.mark.parametrize("expected", [{"recording"}, {"processing", "recorded"}, set()])
async def test_another_status_changes_nothing(catalog: Catalog, expected: set[str]) -> None:
    row = await catalog.recordings.create(room="a", started_by="host")
    with pytest.raises(StatusConflict) as caught:
        await catalog.recordings.update(row.id, expected, status="failed", error="no")
    assert caught.value.status == "starting"
    assert await catalog.recordings.get(row.id) == row


async def test_columns_can_be_emptied(catalog: Catalog) -> None:
    row = await catalog.recordings.create(
        room="a", started_by="host", error="x", integrity={"complete": True}
    )
    changed = await catalog.recordings.update(row.id, error=None, integrity=None)
    assert (changed.error, changed.integrity) == (None, None)


async def test_an_update_of_nothing_only_compares(catalog: Catalog) -> None:
    row = await catalog.recordings.create(room="a", started_by="host")
    assert await catalog.recordings.update(row.id, {"starting"}) == row
    with pytest.raises(StatusConflict):
        await catalog.recordings.update(row.id, {"failed"})


async def test_of_many_compare_and_sets_one_wins(catalog: Catalog, second_catalog: Catalog) -> None:
    row = await catalog.recordings.create(room="a", started_by="host", status="recording")
    both = (catalog, second_catalog)
    results = await asyncio.gather(
        *(
            both[number % 2].recordings.update(
                row.id, {"recording"}, status="processing", error=str(number)
            )
            for number in range(20)
        ),
        return_exceptions=True,
    )
    (winner,) = [result for result in results if isinstance(result, RecordingRow)]
    losers = [error for error in results if isinstance(error, StatusConflict)]
    assert [error.status for error in losers] == ["processing"] * 19
    assert await catalog.recordings.get(row.id) == winner


# --- files ----------------------------------------------------------------------------------------


async def test_set_files_replaces_and_keeps_the_order(catalog: Catalog) -> None:
    row = await finished(catalog, "a")
    await catalog.recordings.set_files(row.id, [file_row(1)])
    files = [file_row(3), file_row(1), file_row(2)]
    assert (await catalog.recordings.set_files(row.id, files)).files == tuple(files)
    assert (await catalog.recordings.set_files(row.id, [])).files == ()


async def test_set_files_is_all_or_nothing(catalog: Catalog) -> None:
    row = await finished(catalog, "a")
    kept = (file_row(1),)
    await catalog.recordings.set_files(row.id, kept)
    twice = file_row(2)
    with pytest.raises(BadValue):
        await catalog.recordings.set_files(row.id, [twice, twice])
    found = await catalog.recordings.get(row.id)
    assert found is not None
    assert found.files == kept


async def test_files_go_with_their_recording(catalog: Catalog) -> None:
    files = [file_row(1)]
    for _ in range(2):  # the same file ids are free again
        row = await finished(catalog, "a")
        await catalog.recordings.set_files(row.id, files)
        await catalog.recordings.delete(row.id)
        assert await catalog.recordings.get(row.id) is None


async def test_a_reader_sees_a_row_with_the_files_that_belong_to_it(
    catalog: Catalog, second_catalog: Catalog
) -> None:
    row = await finished(catalog, "a")
    versions = [(file_row(1),), (file_row(2), file_row(3)), ()]

    async def write() -> None:
        for version in versions * 5:
            await catalog.recordings.set_files(row.id, version)

    async def read() -> Sequence[RecordingRow | None]:
        return [await second_catalog.recordings.get(row.id) for _ in range(15)]

    _, *seen = await asyncio.gather(write(), read(), read())
    assert {found.files for reader in seen for found in reader if found} <= set(versions)


# --- finding --------------------------------------------------------------------------------------


async def test_find_returns_pages_newest_first(catalog: Catalog) -> None:
    rows = [await finished(catalog, "a", NOON + timedelta(hours=hour)) for hour in range(5)]
    newest_first = [row.id for row in reversed(rows)]
    assert await ids(catalog) == newest_first
    assert await ids(catalog, page=1, limit=2) == newest_first[:2]
    assert await ids(catalog, page=3, limit=2) == newest_first[4:]
    assert await ids(catalog, page=4, limit=2) == []
    assert (await catalog.recordings.find(page=4, limit=2)).total == 5


async def test_equal_times_do_not_repeat_or_lose_rows_between_pages(catalog: Catalog) -> None:
    rows = {(await finished(catalog, "a")).id for _ in range(7)}
    paged = [await ids(catalog, page=page, limit=3) for page in (1, 2, 3)]
    assert sorted(chain.from_iterable(paged)) == sorted(rows)


@pytest.mark.parametrize(("page", "limit"), [(0, 10), (-1, 10), (1, 0), (1, 1001)])
async def test_an_impossible_page_is_refused(catalog: Catalog, page: int, limit: int) -> None:
    with pytest.raises(BadValue):
        await catalog.recordings.find(page=page, limit=limit)


async def test_find_filters(catalog: Catalog) -> None:
    create = catalog.recordings.create
    hours = [NOON + timedelta(hours=hour) for hour in range(4)]
    await create(id="1", room="a", started_by="h", status="recorded", created_at=hours[0])
    await create(
        id="2", room="a", started_by="h", status="failed", created_at=hours[1], call_id="CA_1"
    )
    await create(
        id="3", room="b", started_by="h", status="recorded", created_at=hours[2], call_id="CA_2"
    )
    await create(id="4", room="c", started_by="h", created_at=hours[3])

    assert await ids(catalog, rooms={"a", "b"}) == ["3", "2", "1"]
    assert await ids(catalog, rooms={"none"}) == []
    assert await ids(catalog, rooms=set()) == []
    assert await ids(catalog, call_id="CA_1") == ["2"]
    assert await ids(catalog, status="recorded") == ["3", "1"]
    assert await ids(catalog, since=hours[1], until=hours[3]) == ["3", "2"]
    assert await ids(catalog, rooms={"a"}, status="recorded", until=hours[3]) == ["1"]
    assert await ids(catalog, rooms=["a' OR '1'='1", "%"]) == []
    assert (await catalog.recordings.find(rooms={"a"}, limit=1)).total == 2


async def test_found_rows_carry_their_files(catalog: Catalog) -> None:
    rows = [await finished(catalog, "a", NOON + timedelta(hours=hour)) for hour in range(3)]
    with_files = [
        await catalog.recordings.set_files(row.id, [file_row(number), file_row(number + 1)])
        for number, row in enumerate(rows)
    ]
    assert list((await catalog.recordings.find()).items) == with_files[::-1]
    assert list(await catalog.recordings.in_states({"recorded"})) == with_files


async def test_in_states_returns_all_of_them_oldest_first(catalog: Catalog) -> None:
    for number, status in enumerate(STATUSES):
        await catalog.recordings.create(
            id=status,
            room=status,
            started_by="host",
            status=status,
            created_at=NOON - timedelta(hours=number),
        )
    found = await catalog.recordings.in_states(["starting", "recording", "failed"])
    assert [row.id for row in found] == ["failed", "recording", "starting"]
    assert await catalog.recordings.in_states([]) == ()


# --- the database underneath ----------------------------------------------------------------------


async def test_many_writers_and_readers_all_get_their_turn(
    catalog: Catalog, second_catalog: Catalog
) -> None:
    async def life(number: int, on: Catalog) -> None:
        row = await on.recordings.create(room=f"room-{number}", started_by="host")
        await on.recordings.update(row.id, {"starting"}, status="recording")
        assert (await on.recordings.find(rooms={row.room})).total == 1
        await on.recordings.set_files(row.id, [file_row(number)])

    await asyncio.gather(
        *(life(number, catalog if number % 2 else second_catalog) for number in range(30))
    )
    assert len(await catalog.recordings.in_states({"recording"})) == 30


async def test_a_cancelled_write_does_not_block_the_next(catalog: Catalog) -> None:
    for ticks in range(12):
        writing = asyncio.ensure_future(finished(catalog, "a"))
        for _ in range(ticks):
            await asyncio.sleep(0)  # cancel it a step later each time
        writing.cancel()
        await asyncio.wait([writing])
    row = await catalog.recordings.create(room="b", started_by="host")
    assert await catalog.recordings.get(row.id) == row
