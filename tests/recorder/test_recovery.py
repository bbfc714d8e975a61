"""After a crash everything ends in a state that is true."""

from __future__ import annotations

import asyncio
import errno
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recorder.errors import JobFailed, NothingToRetry, UnknownRecording
from recorder.finishing import JOB_RETRIES, NO_MEDIA
from recorder.lifecycle import Status
from recorder.recovery import STARTED_BY_RECOVERY, UNKNOWN_ROOM, retry
from tests.recorder.house import NOW, House
from tests.recorder.known_media import START_US, audio_track


async def left_behind(house: House, status: str, room: str = "blue", *, media: bool = True) -> str:
    """A row, and journals without an end, as `kill -9` leaves them."""
    started_at = None if status == "starting" else NOW
    row = await house.catalog.recordings.create(
        room=room, started_by="host", status=status, started_at=started_at
    )
    if media:
        audio_track(1.0).write(house.journals(row.id), end=False)
    return row.id


async def recover(house: House) -> None:
    await house.service.recover()
    await house.settled()


@pytest.mark.parametrize("status", ["starting", "recording", "processing", "uploading"])
async def test_whatever_it_was_doing_is_finished(house: House, status: str) -> None:
    recording_id = await left_behind(house, status)
    await recover(house)
    row = await house.row(recording_id)
    assert (row.status, len(row.files)) == ("recorded", 1)
    first = datetime.fromtimestamp(START_US / 1e6, UTC)
    assert row.stopped_at is not None
    assert (row.stopped_at - first).total_seconds() == pytest.approx(1.0, abs=0.03)
    if status == "starting":
        assert row.started_at is not None
        assert (row.started_at - first).total_seconds() == pytest.approx(0.02, abs=0.01)
    else:
        assert row.started_at == NOW
    assert row.integrity is not None
    assert row.integrity["complete"] is False
    assert not house.journals(recording_id).exists()


@pytest.mark.parametrize("status", ["starting", "recording", "processing", "uploading"])
async def test_without_media_it_has_failed(house: House, status: str) -> None:
    recording_id = await left_behind(house, status, media=False)
    await recover(house)
    row = await house.row(recording_id)
    assert (row.status, row.error) == ("failed", NO_MEDIA)


async def test_the_room_can_be_recorded_again_at_once(house: House) -> None:
    house.jobs.hold = asyncio.Event()
    recording_id = await left_behind(house, "recording")
    await house.service.recover()
    assert (await house.row(recording_id)).status == "processing"
    assert (await house.service.start("blue", None, "host")).status == "starting"
    house.jobs.hold.set()
    await house.settled()


async def test_several_are_finished_one_at_a_time(house: House) -> None:
    ids = [await left_behind(house, "recording", f"room {n}") for n in range(3)]
    await recover(house)
    assert [(await house.row(recording_id)).status for recording_id in ids] == ["recorded"] * 3
    assert house.jobs.most_at_once == 1
    assert len(house.jobs.calls) == 3


async def test_journals_without_a_row_get_one(house: House) -> None:
    audio_track(1.0).write(house.journals("RC_orphan"), end=False)
    await recover(house)
    row = await house.row("RC_orphan")
    assert (row.status, row.room, row.started_by) == ("recorded", "blue", STARTED_BY_RECOVERY)
    assert row.started_at is not None


async def test_unreadable_journals_without_a_row_fail_and_stay(house: House) -> None:
    folder = house.journals("RC_orphan")
    folder.mkdir(parents=True)
    (folder / "TR_1.journal").write_bytes(b"this is no journal at all")
    await recover(house)
    row = await house.row("RC_orphan")
    assert (row.status, row.room) == ("failed", UNKNOWN_ROOM)
    assert (folder / "TR_1.journal").exists()


async def test_empty_directories_and_strange_names(house: House) -> None:
    house.journals("RC_empty").mkdir(parents=True)
    strange = house.journals("what is this")
    strange.mkdir()
    (house.folder / "journals" / "file").write_text("")
    await recover(house)
    assert not house.journals("RC_empty").exists()
    assert strange.exists()
    assert house.heard == []


async def test_journals_of_a_finished_recording_are_cleared_away(house: House) -> None:
    row = await house.recorded()
    audio_track(1.0).write(house.journals(row.id))
    await recover(house)
    assert not house.journals(row.id).exists()
    assert (await house.row(row.id)).status == "recorded"


@pytest.mark.parametrize("integrity", [None, {"failures": ["TR_1.journal: damaged"]}])
async def test_journals_that_are_all_there_is_stay(
    house: House, integrity: dict[str, list[str]] | None
) -> None:
    status = Status.FAILED if integrity is None else Status.RECORDED
    row = await house.catalog.recordings.create(
        room="blue", started_by="host", status=status, integrity=integrity
    )
    audio_track(1.0).write(house.journals(row.id))
    await recover(house)
    assert house.journals(row.id).exists()
    assert house.jobs.calls == []


async def test_what_is_cut_twice_is_stored_once(house: House) -> None:
    recording_id = await left_behind(house, "recording")
    await recover(house)
    keys = [stored.key async for stored in house.store.list()]
    audio_track(1.0).write(house.journals(recording_id), end=False)
    await house.catalog.recordings.update(recording_id, status="uploading")
    second = house.another_service()
    await second.recover()
    await house.settled(second)
    await second.close()
    assert [stored.key async for stored in house.store.list()] == keys
    assert (await house.row(recording_id)).status == "recorded"


async def test_nothing_left_behind_is_nothing_to_do(house: House, tmp_path: Path) -> None:
    await recover(house)
    assert house.jobs.calls == []


async def test_a_bug_in_one_does_not_stop_those_behind_it(house: House) -> None:
    ids = [await left_behind(house, "recording", room) for room in ("a", "b")]
    house.jobs.failures = [OSError(errno.EAGAIN, "Resource temporarily unavailable")]
    await recover(house)
    assert [(await house.row(recording_id)).status for recording_id in ids] == ["recorded"] * 2


async def test_a_recording_that_dies_of_a_bug_is_left_for_the_next_start(house: House) -> None:
    ids = [await left_behind(house, "recording", room) for room in ("a", "b")]
    house.jobs.failures = [RuntimeError("a bug")]
    await recover(house)
    statuses = [(await house.row(recording_id)).status for recording_id in ids]
    assert statuses == ["processing", "recorded"]


async def test_a_deletion_cut_short_is_ended_and_nothing_comes_back(house: House) -> None:
    grave = house.journals(".deleted-RC_gone")
    audio_track(1.0).write(grave)
    await recover(house)
    assert not grave.exists()
    assert (await house.catalog.recordings.find()).total == 0


async def test_a_failed_recording_is_finished_by_the_start_after_a_retry(house: House) -> None:
    house.jobs.failures = [JobFailed("it hurts")] * (JOB_RETRIES + 1)
    failed = await house.recorded()
    assert failed.status == "failed"
    row = await retry(house.catalog, house.folder, failed.id)
    assert (row.status, row.error) == ("processing", None)
    await recover(house)
    row = await house.row(failed.id)
    assert (row.status, row.started_at, row.stopped_at) == (
        "recorded",
        failed.started_at,
        failed.stopped_at,
    )
    assert not house.journals(failed.id).exists()


async def test_what_can_not_be_retried(house: House) -> None:
    recorded = await house.recorded()
    empty = await left_behind(house, "failed", media=False)
    for recording_id in (recorded.id, empty):
        with pytest.raises(NothingToRetry):
            await retry(house.catalog, house.folder, recording_id)
    with pytest.raises(UnknownRecording):
        await retry(house.catalog, house.folder, "RC_unknown")
