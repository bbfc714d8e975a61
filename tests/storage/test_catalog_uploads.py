"""Upload sessions in the catalog, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage.catalog import Catalog, UploadRow
from storage.errors import BadValue, RowNotFound, StatusConflict

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def begun(catalog: Catalog, user: str = "paul", **changes: Any) -> UploadRow:
    row = await catalog.uploads.create(
        **{
            "user_id": user,
            "method": "form",
            "filename": "talk.mp4",
            "content_type": "video/mp4",
            "size": 5 << 40,
            "provider": "s3",
            "storage_key": "media/m/original.mp4",
            "expires_at": NOW + HOUR,
            **changes,
        }
    )
    assert row is not None
    return row


async def test_a_session_is_found_as_it_was_begun(
    catalog: Catalog, second_catalog: Catalog
) -> None:
    row = await begun(catalog, metadata={"mediaId": "MF_1"}, part_size=5 << 20, course_id="c 7")
    assert (row.status, row.received, row.media_id, row.error) == ("open", 0, None, None)
    assert await second_catalog.uploads.get(row.id) == row
    assert await catalog.uploads.get("UP_other") is None


async def test_a_user_has_at_most_so_many_sessions_under_way(catalog: Catalog) -> None:
    first, second = await begun(catalog, at_most=2), await begun(catalog, at_most=2)
    await catalog.uploads.update(second.id, {"open"}, status="finishing")
    refused = await catalog.uploads.create(
        user_id="paul",
        method="form",
        filename="talk.mp4",
        content_type="video/mp4",
        size=1,
        provider="s3",
        storage_key="media/n/original.mp4",
        expires_at=NOW,
        at_most=2,
    )
    assert refused is None
    assert len(await catalog.uploads.of_user("paul", ("open", "finishing"))) == 2
    await begun(catalog, "vera", at_most=2)  # somebody else's count for themselves
    await catalog.uploads.update(first.id, {"open"}, status="aborted")
    await begun(catalog, at_most=2)


async def test_a_state_changes_only_from_the_one_that_was_expected(catalog: Catalog) -> None:
    row = await begun(catalog)
    done = await catalog.uploads.update(row.id, {"open"}, status="finishing", received=7)
    assert (done.status, done.received) == ("finishing", 7)
    with pytest.raises(StatusConflict) as conflict:
        await catalog.uploads.update(row.id, {"open"}, status="aborted")
    assert conflict.value.status == "finishing"
    assert await catalog.uploads.get(row.id) == done
    with pytest.raises(RowNotFound):
        await catalog.uploads.update("UP_other", None, received=1)
    with pytest.raises(BadValue):
        await catalog.uploads.update(row.id, None, size=1)  # type: ignore[call-arg]


async def test_only_open_sessions_expire(catalog: Catalog) -> None:
    late, early = await begun(catalog), await begun(catalog, expires_at=NOW)
    gone = await begun(catalog, expires_at=NOW)
    await catalog.uploads.update(gone.id, {"open"}, status="aborted")
    assert await catalog.uploads.expired(NOW) == (early,)
    assert {row.id for row in await catalog.uploads.expired(NOW + HOUR)} == {late.id, early.id}


async def test_sessions_that_are_over_are_found_by_when_their_time_is_up(catalog: Catalog) -> None:
    rows = [await begun(catalog, expires_at=NOW + hours * HOUR) for hours in (-1, 0, 1, 2)]
    for row in rows[:3]:
        await catalog.uploads.update(row.id, {"open"}, status="failed")
    found = await catalog.uploads.ended(("failed", "done"), NOW, NOW + 2 * HOUR)
    assert {row.id for row in found} == {rows[1].id, rows[2].id}
    assert await catalog.uploads.ended(("done",), NOW, NOW + 2 * HOUR) == ()


async def test_sessions_that_are_long_over_are_forgotten(catalog: Catalog) -> None:
    rows = [await begun(catalog, expires_at=NOW + hours * HOUR) for hours in (-1, -1, 1)]
    for row in rows[1:]:
        await catalog.uploads.update(row.id, {"open"}, status="failed")
    assert await catalog.uploads.forget(("failed", "done"), NOW) == 1
    left = [await catalog.uploads.get(row.id) is not None for row in rows]
    assert left == [True, False, True]
