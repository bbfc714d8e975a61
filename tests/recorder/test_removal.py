"""A recording is removed wherever it is, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from recorder.errors import RecordingActive, StorageFailed
from recorder.lifecycle import FINAL, Status
from recorder.progress import Progress
from recorder.removal import remove
from storage.catalog import FileRow, RecordingRow
from storage.errors import CatalogUnavailable, StoreMisconfigured, StoreUnavailable
from tests.recorder.house import House
from tests.recorder.known_media import audio_track
from tests.recorder.made_files import away, blocks, contents_of, made


async def kept(house: House, *contents: bytes, room: str = "blue") -> RecordingRow:
    """A recording that is stored and, but for its folder of journals, all done."""
    row = await made(house, *contents, room=room)
    files = await house.deliverer.deliver(row.id, Progress())
    await house.catalog.recordings.set_files(row.id, files)
    await house.catalog.deliveries.enter(row.id, ())
    return await house.catalog.recordings.update(row.id, status=Status.RECORDED)


async def another_with(house: House, *files: FileRow) -> RecordingRow:
    """A recording whose files are these very objects."""
    row = await house.catalog.recordings.create(room="green", started_by="host", status="recorded")
    own = [replace(file, id=f"{file.id}-of-{row.id}") for file in files]
    return await house.catalog.recordings.set_files(row.id, own)


async def removed(house: House, row: RecordingRow) -> None:
    await remove(house.catalog, house.depots, house.folder / "journals", row)


async def test_objects_journals_and_row_go(storehouse: House) -> None:
    row, other = await kept(storehouse, b"one", b"two"), await kept(storehouse, b"other")
    await removed(storehouse, row)
    assert await storehouse.catalog.recordings.get(row.id) is None
    assert not storehouse.journals(row.id).exists()
    assert await contents_of(storehouse.store) == {other.files[0].key: b"other"}
    assert storehouse.journals(other.id).exists()


async def test_rooms_whose_names_begin_alike_are_kept_apart(storehouse: House) -> None:
    row = await kept(storehouse, b"one", room="a")
    others = [await kept(storehouse, b"other", room=room) for room in ("a/b", "ab", "A")]
    await removed(storehouse, row)
    assert set(await contents_of(storehouse.store)) == {each.files[0].key for each in others}


async def test_objects_that_no_row_knows_go_too(storehouse: House) -> None:
    """Such as what a killed server had stored already."""
    row = await kept(storehouse, b"one")
    folder = row.files[0].key.rpartition("/")[0]
    await storehouse.store.put_stream(f"{folder}/FI_left.webm", blocks(b"left"), "video/webm")
    await storehouse.store.put_stream(f"{folder}.webm", blocks(b"beside"), "video/webm")
    await removed(storehouse, row)
    assert await contents_of(storehouse.store) == {f"{folder}.webm": b"beside"}


async def test_what_is_away_goes_and_what_is_left_there(storehouse: House) -> None:
    fallback = storehouse.open_fallback()
    gone = await away(storehouse, b"away")
    left = await away(storehouse, b"left")
    (delivery,) = await storehouse.catalog.deliveries.of(left.id)
    await storehouse.store.put_stream(delivery.file.key, blocks(b"left"), "video/webm")
    await storehouse.catalog.deliveries.moved(delivery.id, "away", "left", "memory", storehouse.now)
    for row in (gone, left):
        await removed(storehouse, await storehouse.row(row.id))
    assert await contents_of(fallback) == {}
    assert await contents_of(storehouse.store) == {}
    assert await storehouse.catalog.deliveries.counts() == {}


async def test_what_the_ledger_forgot_at_the_fallback_goes_too(storehouse: House) -> None:
    """One file was away when the other's local copy was lost, and both were made again."""
    fallback = storehouse.open_fallback()
    row = await kept(storehouse, b"one")
    await fallback.put_stream(row.files[0].key, blocks(b"one"), "video/webm")
    await removed(storehouse, row)
    assert await contents_of(fallback) == {}


async def test_an_object_that_is_another_recordings_file_stays(storehouse: House) -> None:
    row = await kept(storehouse, b"shared", b"own")
    shared = row.files[0]
    other = await another_with(storehouse, shared)
    await removed(storehouse, row)
    assert await contents_of(storehouse.store) == {shared.key: b"shared"}
    await removed(storehouse, other)
    assert await contents_of(storehouse.store) == {}


async def test_an_object_that_is_only_another_recordings_file_stays(storehouse: House) -> None:
    """It lies below this one's prefix, but is this one's file no more."""
    row = await kept(storehouse, b"shared", b"own")
    shared, own = row.files
    other = await another_with(storehouse, shared)
    row = await storehouse.catalog.recordings.set_files(row.id, [own])
    await removed(storehouse, row)
    assert await contents_of(storehouse.store) == {shared.key: b"shared"}
    assert (await storehouse.row(other.id)).files[0].key == shared.key


async def test_two_files_of_one_recording_that_are_one_object(storehouse: House) -> None:
    row = await kept(storehouse, b"one")
    twice = [row.files[0], replace(row.files[0], id="FI_again")]
    row = await storehouse.catalog.recordings.set_files(row.id, twice)
    await removed(storehouse, row)
    assert await contents_of(storehouse.store) == {}


@pytest.mark.parametrize("status", [status for status in Status if status not in FINAL])
async def test_what_is_on_its_way_is_not_removed(storehouse: House, status: Status) -> None:
    row = await storehouse.catalog.recordings.create(room="a", started_by="host", status=status)
    with pytest.raises(RecordingActive, match=row.id):
        await removed(storehouse, row)
    assert await storehouse.catalog.recordings.get(row.id) == row


async def test_a_failed_recording_goes_with_its_journals(storehouse: House) -> None:
    row = await storehouse.catalog.recordings.create(room="a", started_by="host", status="failed")
    audio_track(0.2).write(storehouse.journals(row.id))
    await removed(storehouse, row)
    assert list((storehouse.folder / "journals").iterdir()) == []


# --- what fails can be done again -------------------------------------------------------------------


def the_store_is_down(house: House) -> Callable[[], None]:
    house.store.down = True

    def undo() -> None:
        house.store.down = False

    return undo


def the_journals_stay(house: House) -> Callable[[], None]:
    root = house.folder / "journals"
    aside = root.rename(house.folder / "aside")
    root.write_text("in the way")

    def undo() -> None:
        root.unlink()
        aside.rename(root)

    return undo


def the_catalog_is_away(house: House) -> Callable[[], None]:
    async def refuse(*_place: Any) -> None:
        raise CatalogUnavailable("the database is away")

    house.catalog.recordings.delete = refuse  # type: ignore[method-assign]

    def undo() -> None:
        del house.catalog.recordings.delete

    return undo


@pytest.mark.parametrize(
    ("fails", "error"),
    [
        (the_store_is_down, StoreUnavailable),
        (the_journals_stay, StorageFailed),
        (the_catalog_is_away, CatalogUnavailable),
    ],
)
async def test_a_removal_that_fails_keeps_the_row_and_is_done_again(
    storehouse: House, fails: Callable[[House], Callable[[], None]], error: type[Exception]
) -> None:
    row = await kept(storehouse, b"one")
    undo = fails(storehouse)
    with pytest.raises(error):
        await removed(storehouse, row)
    undo()
    assert await storehouse.catalog.recordings.get(row.id) == row
    await removed(storehouse, row)
    assert await storehouse.catalog.recordings.get(row.id) is None
    assert await contents_of(storehouse.store) == {}


async def test_a_provider_without_settings_is_named_and_nothing_forgotten(
    storehouse: House,
) -> None:
    row = await kept(storehouse, b"one")
    elsewhere = [replace(row.files[0], provider="gcs")]
    row = await storehouse.catalog.recordings.set_files(row.id, elsewhere)
    with pytest.raises(StoreMisconfigured, match="gcs"):
        await removed(storehouse, row)
    assert await storehouse.catalog.recordings.get(row.id) == row
