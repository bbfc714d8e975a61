"""What waits for storage, tried once by somebody who waits for the outcome."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recorder.depots import Depots
from recorder.errors import DiskFull, JobFailed, NothingToRetry, UnknownRecording
from recorder.finishing import JOB_RETRIES, OUTPUT_NAME
from recorder.progress import Progress
from recorder.reupload import Outcome, Reupload, waiting_recordings
from storage.catalog import RecordingRow
from storage.objects import MemoryStore
from tests.recorder.house import FlakyStore, House
from tests.recorder.known_media import KnownTrack, audio_track

REFUSED = 1_000_000


async def stuck(house: House, *tracks: KnownTrack) -> RecordingRow:
    """A recording whose files no store has taken, and whose server is gone."""
    waits = asyncio.Event()

    async def for_ever(_seconds: float) -> None:
        waits.set()
        await asyncio.Event().wait()

    service = house.another_service(sleep=for_ever, close_patience=0.0)
    house.store.refusals = REFUSED
    house.plane.tracks = list(tracks) or [audio_track(1.0)]
    row = await service.start("blue", None, "host")
    house.now += timedelta(seconds=1)
    await service.stop(row.id)
    await waits.wait()
    await service.close()
    house.store.refusals = 0
    return await house.row(row.id)


def reupload(house: House, depots: Depots | None = None, **options: Any) -> Reupload:
    return Reupload(
        house.catalog,
        depots or Depots({"memory": house.store}, "memory"),
        house.jobs,
        house.folder / "journals",
        clock=lambda: datetime.now(UTC),  # as the catalog's
        **options,
    )


async def waiting(house: House, recording_id: str | None = None) -> list[str]:
    return await waiting_recordings(house.catalog, house.folder / "journals", recording_id)


async def once(house: House, row: RecordingRow, depots: Depots | None = None) -> Outcome:
    async with asyncio.timeout(20):
        return await reupload(house, depots).once(row.id, Progress())


# --- what waits -----------------------------------------------------------------------------------


async def test_what_waits_is_found_oldest_first(house: House) -> None:
    await house.recorded()
    rows = [await stuck(house), await stuck(house)]
    assert [row.status for row in rows] == ["uploading", "uploading"]
    assert await waiting(house) == [row.id for row in rows]
    assert await waiting(house, rows[1].id) == [rows[1].id]


async def test_of_a_stored_recording_nothing_waits(house: House) -> None:
    row = await house.recorded()
    assert await waiting(house) == []
    assert await waiting(house, row.id) == []


async def test_an_unknown_recording(house: House) -> None:
    with pytest.raises(UnknownRecording):
        await waiting(house, "RC_nothing")


async def test_a_failed_recording_needs_something_else(house: House) -> None:
    house.jobs.failures = [JobFailed("broken")] * (JOB_RETRIES + 1)
    row = await house.recorded()
    with pytest.raises(NothingToRetry, match=f"mediaserver recordings retry {row.id}"):
        await waiting(house, row.id)
    for journal in house.journals(row.id).iterdir():
        journal.unlink()
    with pytest.raises(NothingToRetry, match="no journals"):
        await waiting(house, row.id)


# --- trying ---------------------------------------------------------------------------------------


async def test_what_waited_is_stored_and_the_local_copies_go(house: House) -> None:
    row = await stuck(house, audio_track(1.0), audio_track(1.0, participant="bob"))
    progress = Progress()
    outcome = await reupload(house).once(row.id, progress)
    assert outcome == Outcome(row.id, "recorded")
    assert progress.fraction == 1.0
    found = await house.row(row.id)
    assert len(found.files) == 2
    assert {file.provider for file in found.files} == {"memory"}
    assert not house.journals(row.id).exists()
    assert await waiting(house) == []
    assert len(house.jobs.calls) == 1  # the files were made once, before


async def test_a_store_that_refuses_still_is_tried_once_a_file(house: House) -> None:
    row = await stuck(house, audio_track(1.0), audio_track(1.0, participant="bob"))
    house.store.refusals = REFUSED
    outcome = await once(house, row)
    assert outcome.status == "uploading"
    assert "the store is down" in outcome.problem
    assert REFUSED - house.store.refusals == 2
    assert await waiting(house) == [row.id]
    house.store.refusals = 0
    assert await once(house, row) == Outcome(row.id, "recorded")


async def test_what_one_file_lacks_does_not_hold_up_the_other(house: House) -> None:
    row = await stuck(house, audio_track(1.0), audio_track(1.0, participant="bob"))
    house.store.refusals = 1
    assert (await once(house, row)).status == "uploading"
    states = sorted(each.state for each in await house.catalog.deliveries.of(row.id))
    assert states == ["stored", "waiting"]


async def test_files_that_were_lost_are_made_again(house: House) -> None:
    row = await stuck(house)
    for file in (house.journals(row.id) / OUTPUT_NAME).iterdir():
        file.unlink()
    assert await once(house, row) == Outcome(row.id, "recorded")
    assert len(house.jobs.calls) == 2


async def test_files_that_can_not_be_made_again_for_now_are_waited_for_no_longer(
    house: House,
) -> None:
    row = await stuck(house)
    for file in (house.journals(row.id) / OUTPUT_NAME).iterdir():
        file.unlink()
    house.jobs.failures = [DiskFull("no room")] * 100
    outcome = await once(house, row)
    assert outcome.status == "processing"
    assert "no room" in outcome.problem


async def test_while_the_main_store_is_down_the_fallback_takes_them(house: House) -> None:
    row = await stuck(house)
    main, spare = FlakyStore(), MemoryStore()
    main.refusals = REFUSED
    depots = Depots({"main": main, "spare": spare}, "main", "spare")

    async def down(*_arguments: Any, **_options: Any) -> Any:
        await main.put_file("k", house.folder / "catalog.db", "video/webm")

    right, main.put_stream = main.put_stream, down  # type: ignore[method-assign]
    outcome = await once(house, row, depots)
    assert outcome.status == "recorded"
    assert "the store is down" in outcome.problem
    assert (await house.row(row.id)).files[0].provider == "spare"
    assert await waiting(house) == [row.id]

    main.refusals, main.put_stream = 0, right  # type: ignore[method-assign]
    assert await once(house, row, depots) == Outcome(row.id, "recorded")
    assert (await house.row(row.id)).files[0].provider == "main"
    assert [entry.key async for entry in spare.list()] == []


async def test_a_recording_deleted_meanwhile(house: House) -> None:
    row = await stuck(house)
    await house.catalog.recordings.delete(row.id)
    assert await once(house, row) == Outcome(row.id, "gone")
