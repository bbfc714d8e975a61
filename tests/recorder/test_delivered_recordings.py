"""Recordings whose files wait for a store or are lost, and servers that are killed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from itertools import count
from typing import Any

import pytest

from recorder.finishing import OUTPUT_NAME
from recorder.lifecycle import Status
from storage.catalog import DeliveryRow, RecordingRow
from storage.errors import CatalogUnavailable
from tests.recorder.house import House
from tests.recorder.known_media import audio_track
from tests.recorder.made_files import (
    Doom,
    digests_in,
    ledger,
    local_copies,
    made,
    promised,
    states,
)


async def in_processing(house: House, room: str = "blue", *, both: bool = True) -> str:
    """What a server that was killed after a stop leaves behind: a row and journals."""
    row = await house.catalog.recordings.create(
        room=room, started_by="host", status=Status.PROCESSING
    )
    audio_track(0.2).write(house.journals(row.id))
    if both:
        audio_track(0.2, participant="bob").write(house.journals(row.id))
    return row.id


async def stored_whole(house: House, recording_id: str, files: int) -> RecordingRow:
    """Asserts that the catalog, the stores and the disk agree that all of it is stored."""
    row = await house.row(recording_id)
    assert (row.status, row.error, len(row.files)) == ("recorded", None, files)
    assert row.size == sum(file.size for file in row.files)
    for file in row.files:
        store = house.depots.store(file.provider)
        assert (await store.head(file.key)).size == file.size
        assert await store.digest(file.key) == file.sha256
    assert not house.journals(recording_id).exists()
    return row


async def test_the_recording_says_what_it_waits_for_and_then_no_more(storehouse: House) -> None:
    said = []

    async def sleep(_seconds: float) -> None:
        row = await storehouse.row(recording_id)
        said.append((row.status, row.error))

    storehouse.store.refusals = 2
    service = storehouse.another_service(sleep=sleep)
    recording_id = await in_processing(storehouse, both=False)
    await service.recover()
    await storehouse.settled(service)
    assert said == [("uploading", "waiting for storage: the store is down")] * 2
    await stored_whole(storehouse, recording_id, 1)
    assert await ledger(storehouse, recording_id) == ()


@pytest.mark.parametrize("harm", ["changed", "gone"])
@pytest.mark.parametrize("catalog_away", [False, True])
async def test_a_lost_file_is_made_again_from_the_journals(
    storehouse: House, harm: str, catalog_away: bool
) -> None:
    """Also when the catalog is away at that very moment."""
    right = storehouse.catalog.deliveries.strike

    async def refuse(_ids: Collection[str]) -> None:
        storehouse.catalog.deliveries.strike = right  # type: ignore[method-assign]
        raise CatalogUnavailable("the database is away")

    async def sleep(_seconds: float) -> None:
        if storehouse.store.down:
            storehouse.store.down = False
            (path,) = local_copies(storehouse, recording_id)
            path.write_bytes(b"other bytes") if harm == "changed" else path.unlink()
            if catalog_away:
                storehouse.catalog.deliveries.strike = refuse  # type: ignore[method-assign]

    storehouse.store.down = True
    service = storehouse.another_service(sleep=sleep)
    recording_id = await in_processing(storehouse, both=False)
    await service.recover()
    await storehouse.settled(service)
    row = await stored_whole(storehouse, recording_id, 1)
    assert await digests_in(storehouse.store) == promised(row)
    assert len(storehouse.jobs.calls) == 2


@pytest.mark.parametrize("harm", ["changed", "gone"])
async def test_a_lost_file_without_journals_has_failed_with_the_reason(
    storehouse: House, harm: str
) -> None:
    async def sleep(_seconds: float) -> None:
        storehouse.store.down = False
        for path in storehouse.journals(row.id).glob("*.journal"):
            path.unlink()
        (path,) = local_copies(storehouse, row.id)
        path.write_bytes(b"other bytes") if harm == "changed" else path.unlink()

    storehouse.store.down = True
    service = storehouse.another_service(sleep=sleep)
    row = await made(storehouse)
    await service.recover()
    await storehouse.settled(service)
    row = await storehouse.row(row.id)
    assert row.status == "failed"
    assert OUTPUT_NAME in (row.error or "")
    assert await ledger(storehouse, row.id) == ()


async def test_what_has_failed_is_over_also_when_the_catalog_is_away_then(
    storehouse: House, caplog: pytest.LogCaptureFixture
) -> None:
    row = await made(storehouse)
    local_copies(storehouse, row.id)[0].write_bytes(b"other bytes")

    async def refuse(*_place: Any) -> tuple[DeliveryRow, ...]:
        raise CatalogUnavailable("the database is away")

    storehouse.catalog.deliveries.enter = refuse  # type: ignore[method-assign]
    await storehouse.service.recover()
    await storehouse.settled()
    del storehouse.catalog.deliveries.enter
    assert (await storehouse.row(row.id)).status == "failed"
    assert "died" not in caplog.text
    service = storehouse.another_service()
    await service.recover()
    assert await ledger(storehouse, row.id) == ()


@pytest.mark.parametrize("what", ["of", "strike"])
async def test_what_is_stored_is_struck_however_long_the_catalog_is_away(
    storehouse: House, what: str
) -> None:
    row = await made(storehouse)
    right, refusals = getattr(storehouse.catalog.deliveries, what), 3

    async def refuse(*place: Any) -> Any:
        nonlocal refusals
        recorded = (await storehouse.row(row.id)).status == "recorded"
        refusals -= recorded
        if recorded and refusals >= 0:
            raise CatalogUnavailable("the database is away")
        return await right(*place)

    setattr(storehouse.catalog.deliveries, what, refuse)
    await storehouse.service.recover()
    await storehouse.settled()
    delattr(storehouse.catalog.deliveries, what)
    await stored_whole(storehouse, row.id, 1)
    assert await ledger(storehouse, row.id) == ()


@pytest.mark.parametrize("after", [False, True], ids=["before a change", "after a change"])
async def test_a_server_that_is_killed_anywhere_goes_on_with_the_truth(
    storehouse: House, after: bool
) -> None:
    for fatal in count(1):
        recording_id = await in_processing(storehouse, f"room {fatal}")
        doom = Doom(fatal, after=after)
        with doom.over(storehouse):
            await killed(storehouse, doom)
        if not doom.came.is_set():
            break
        service = storehouse.another_service()
        await service.recover()
        await storehouse.settled(service)
        row = await stored_whole(storehouse, recording_id, 2)
        stored = await digests_in(storehouse.store)
        assert {key: stored[key] for key in stored if f"/{row.id}/" in key} == promised(row)
        assert await ledger(storehouse, recording_id) == ()
    await stored_whole(storehouse, recording_id, 2)
    assert fatal > 9  # entered, uploading, two put, two noted, set, recorded, struck


@pytest.mark.parametrize("after", [False, True], ids=["before a change", "after a change"])
async def test_killed_anywhere_while_the_main_store_is_down(storehouse: House, after: bool) -> None:
    fallback = storehouse.open_fallback()
    storehouse.store.down = True
    for fatal in count(1):
        recording_id = await in_processing(storehouse, f"room {fatal}")
        doom = Doom(fatal, after=after)
        with doom.over(storehouse):
            await killed(storehouse, doom)
        if not doom.came.is_set():
            break
        service = storehouse.another_service()
        await service.recover()
        await storehouse.settled(service)
        row = await stored_whole(storehouse, recording_id, 2)
        stored = await digests_in(fallback)
        assert {key: stored[key] for key in stored if f"/{row.id}/" in key} == promised(row)
        assert await states(storehouse, recording_id) == ["away", "away"]
    assert fatal > 9


async def killed(house: House, doom: Doom) -> None:
    """A service that recovers until its end, or the world's; then it is thrown away."""
    service = house.another_service(close_patience=0.0)
    await service.recover()
    ended = asyncio.create_task(service.idle())
    came = asyncio.create_task(doom.came.wait())
    await asyncio.wait({ended, came}, return_when=asyncio.FIRST_COMPLETED)
    for task in (ended, came):
        task.cancel()
    doom.past = doom.came.is_set()
    await service.close()
