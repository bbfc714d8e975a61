"""The media library in the catalog, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from storage.catalog import Catalog, MediaRow
from storage.errors import BadValue, RowNotFound, StatusConflict
from tests.storage.media_rows import NOON, media_row


async def kept(catalog: Catalog, user: str = "ursula", **changes: Any) -> MediaRow:
    """A row with something in every column."""
    row = media_row(
        user_id=user,
        size=(5 << 40) + 1,
        bitrate=5_000_000_000,
        frame_rate=29.97,
        sha256="ab" * 32,
        fingerprint="cd" * 32,
        tags=["maths", "ärger"],
        captions=[{"language": "de", "key": "k"}],
        derived=[{"role": "poster"}],
        renditions=[{"name": "720p", "status": "queued"}],
        attachments=[{"courseId": "c 7"}],
        views=3,
        seconds_watched=1.5,
    )
    return await catalog.media.create(replace(row, **changes))


async def test_a_file_is_found_as_it_was_kept(catalog: Catalog, second_catalog: Catalog) -> None:
    row = await kept(catalog)
    assert await second_catalog.media.get(row.id) == row
    assert await catalog.media.get("MF_other") is None
    with pytest.raises(BadValue):
        await catalog.media.create(row)


async def test_files_are_found_by_what_they_are(catalog: Catalog) -> None:
    one = await kept(catalog, filename="100 % Algebra_1.mp4")
    two = await kept(catalog, filename="Song.mp3", file_type="audio", tags=[], status="failed")
    await kept(catalog, "otto")
    gone = await kept(catalog, deleted_at=NOON)

    async def ids(**filters: Any) -> set[str]:
        found = await catalog.media.find(user_id="ursula", **filters)
        assert found.total == len(found.items)
        return {row.id for row in found.items}

    assert await ids() == {one.id, two.id}
    assert await ids(file_type="audio") == await ids(status="failed") == {two.id}
    assert await ids(tag="ärger") == {one.id}
    assert await ids(text="% ALGEBRA_") == {one.id}
    assert await ids(text="%%") == set()  # not a pattern
    assert await ids(deleted=True) == await ids(deleted=True, deleted_since=NOON) == {gone.id}
    assert await ids(deleted=True, deleted_since=NOON + timedelta(seconds=1)) == set()
    assert (await catalog.media.find()).total == 3


async def test_names_are_searched_whatever_their_alphabet(catalog: Catalog) -> None:
    for name in ("Übung 1.mp4", "U\u0308BUNG 2.mp4", "Лекция.mp4", "Ubung.mp4"):
        await kept(catalog, filename=name)
    for text, expected in (("übung", 2), ("лекЦИЯ", 1), ("ü", 2), ("UBUNG", 1)):
        found = await catalog.media.find(user_id="ursula", text=text, limit=1)
        assert (found.total, len(found.items)) == (expected, 1), text


async def test_pages_of_a_sorted_list(catalog: Catalog) -> None:
    rows = [
        await kept(
            catalog,
            filename=name,
            size=size,
            duration_seconds=seconds,
            created_at=NOON + timedelta(hours=hour),
        )
        for hour, (name, size, seconds) in enumerate(
            [("b.mp4", 1, None), ("A.mp4", 3, 2.0), ("c.mp4", 2, 9.0)]
        )
    ]
    b, a, c = (row.id for row in rows)

    async def order(order: str, **options: Any) -> list[str]:
        found = await catalog.media.find(order=order, **options)
        assert found.total == 3
        return [row.id for row in found.items]

    assert await order("newest") == [c, a, b]
    assert await order("oldest") == [b, a, c]
    assert await order("name") == [a, b, c]
    assert await order("largest") == [a, c, b]
    assert await order("longest") == [c, a, b]
    assert await order("name", page=2, limit=2) == [c]
    assert await order("name", page=2, limit=2, tag="maths") == [c]
    for wrong in ({"page": 0}, {"limit": 0}, {"limit": 1001}, {"order": "luck"}):
        with pytest.raises(BadValue):
            await catalog.media.find(**wrong)  # type: ignore[arg-type]


async def test_a_change_is_made_only_from_the_status_expected(catalog: Catalog) -> None:
    row = await kept(catalog, status="processing")
    changed = await catalog.media.update(row.id, {"processing"}, status="ready", width=1, tags=[])
    assert changed == replace(row, status="ready", width=1, tags=[])
    with pytest.raises(StatusConflict):
        await catalog.media.update(row.id, {"processing"}, status="failed")
    with pytest.raises(BadValue):
        await catalog.media.update(row.id, None, status="lost")
    with pytest.raises(BadValue):
        await catalog.media.update(row.id, None, user_id="mallory")  # type: ignore[call-arg]
    with pytest.raises(RowNotFound):
        await catalog.media.update("MF_other", None, status="ready")
    assert await catalog.media.get(row.id) == changed


async def test_a_twin_is_the_same_hash_or_where_there_is_none_the_same_samples(
    catalog: Catalog,
) -> None:
    hashed = await kept(catalog)
    large = await kept(catalog, sha256=None)
    await kept(catalog, "otto")
    await kept(catalog, deleted_at=NOON)
    await kept(catalog, sha256="ef" * 32)  # samples agree, the whole does not

    async def alike(sha256: str | None, fingerprint: str | None) -> list[str]:
        found = await catalog.media.alike("ursula", sha256=sha256, fingerprint=fingerprint)
        return [row.id for row in found]

    assert set(await alike("ab" * 32, "cd" * 32)) == {hashed.id, large.id}
    assert await alike("00" * 32, "11" * 32) == []
    assert hashed.id in await alike(None, "cd" * 32)


async def test_what_was_watched_adds_up(catalog: Catalog) -> None:
    row = await kept(catalog)
    await catalog.media.played(row.id, views=1, seconds=2.25)
    await catalog.media.played(row.id, views=0, seconds=1.0)
    await catalog.media.played("MF_other", views=1, seconds=1.0)
    found = await catalog.media.get(row.id)
    assert found is not None
    assert (found.views, found.seconds_watched) == (4, 4.75)


async def test_what_was_deleted_long_ago_can_be_purged(catalog: Catalog) -> None:
    old = await kept(catalog, deleted_at=NOON)
    await kept(catalog, deleted_at=NOON + timedelta(days=2))
    await kept(catalog)
    purgeable = await catalog.media.purgeable(NOON + timedelta(days=1))
    assert [row.id for row in purgeable] == [old.id]
    await catalog.media.delete(old.id)
    await catalog.media.delete(old.id)
    assert await catalog.media.get(old.id) is None
    assert await catalog.media.purgeable(NOON + timedelta(days=1)) == ()
