"""Recordings from start to their end, as the control side lives them."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta

import pytest

from mediaserver.errors import MediaError, WorkerGone
from recorder.errors import (
    AlreadyRecording,
    DiskFull,
    JobFailed,
    MediaRefused,
    RecordingActive,
    StorageFailed,
    UnknownRecording,
)
from recorder.finishing import JOB_RETRIES, NO_MEDIA, NOTHING_PLAYS, OUTPUT_NAME
from recorder.lifecycle import EndReason
from storage.catalog import RecordingRow
from storage.errors import BadKey, CatalogUnavailable, ObjectNotFound
from storage.objects import StoredObject
from tests.recorder.house import NOW, House
from tests.recorder.known_media import audio_track, video_track

ALL = ["starting", "recording", "processing", "uploading", "recorded"]


async def bytes_of(house: House, key: str) -> bytes:
    return b"".join([block async for block in house.store.open(key)])


async def test_a_recording_goes_through_all_its_states(house: House) -> None:
    row = await house.recorded()
    assert house.statuses == ALL
    assert (row.status, row.room, row.started_by, row.error) == ("recorded", "blue", "host", None)
    assert row.started_at == NOW
    assert row.stopped_at == NOW + timedelta(seconds=1)
    assert row.duration_seconds == pytest.approx(1.0, abs=0.03)
    assert row.integrity is not None
    assert row.integrity["complete"] is True


async def test_its_files_are_stored_as_they_were_made_and_the_journals_go(house: House) -> None:
    row = await house.recorded(room="a/b ..")
    (file,) = row.files
    assert file.key == f"recordings/a%2Fb%20../{row.id}/{file.id}.webm"
    data = await bytes_of(house, file.key)
    assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (file.kind, file.participant_id, file.content_type) == (
        "participant",
        "alice",
        "audio/webm",
    )
    assert row.size == file.size
    assert not house.journals(row.id).exists()


@pytest.mark.parametrize("room", ["..", ".", "ä" * 200, "a" * 2000, "../../etc/passwd"])
async def test_every_room_name_makes_a_key(house: House, room: str) -> None:
    row = await house.recorded(room=room)
    assert row.status == "recorded"
    segments = row.files[0].key.split("/")
    assert len(segments) == 4
    assert not {"", ".", ".."} & set(segments)
    await house.service.delete(row.id)
    assert [stored async for stored in house.store.list()] == []


async def test_recording_is_said_only_when_media_is_on_disk(house: House) -> None:
    row = await house.service.start("blue", "CA_1", "host", "tracks")
    assert (row.status, row.call_id, row.started_at) == ("starting", "CA_1", None)
    await house.settled()
    assert (await house.row(row.id)).status == "starting"
    house.media_arrives(row.id)
    await house.settled()
    active = house.service.active("blue")
    assert active is not None
    assert (active.status, active.started_at) == ("recording", NOW)
    house.media_arrives(row.id)
    await house.settled()
    assert house.statuses == ["starting", "recording"]


async def test_a_room_has_one_recording_at_a_time(house: House) -> None:
    row = await house.service.start("blue", None, "host")
    with pytest.raises(AlreadyRecording) as caught:
        await house.service.start("blue", None, "host")
    assert caught.value.recording_id == row.id
    other = await house.service.start("green", None, "host")
    assert other.id != row.id


async def test_starts_at_the_same_instant_give_one_recording(house: House) -> None:
    results = await asyncio.gather(
        *(house.service.start("blue", None, "host") for _ in range(10)), return_exceptions=True
    )
    assert sum(not isinstance(result, Exception) for result in results) == 1
    assert sum(isinstance(result, AlreadyRecording) for result in results) == 9
    assert len(house.plane.started) == 1


async def test_a_start_that_the_media_plane_refuses_has_failed(house: House) -> None:
    house.plane.refuses = MediaError("no such room")
    with pytest.raises(MediaRefused, match="no such room"):
        await house.service.start("blue", None, "host")
    assert house.statuses == ["starting", "failed"]
    assert house.service.active("blue") is None
    ((recording_id, _), _) = house.heard
    assert "no such room" in ((await house.row(recording_id)).error or "")
    assert not house.journals(recording_id).exists()


async def test_a_start_without_a_place_for_journals_has_failed(house: House) -> None:
    (house.folder / "journals").write_text("in the way")
    with pytest.raises(MediaRefused):
        await house.service.start("blue", None, "host")
    assert house.statuses == ["starting", "failed"]


async def test_stop_again_changes_nothing(house: House) -> None:
    row = await house.recorded()
    count = len(house.heard)
    assert (await house.service.stop(row.id)).status == "recorded"
    again = await house.service.stop_room("blue")
    assert again is not None
    assert again.id == row.id
    assert len(house.heard) == count


async def test_stops_at_the_same_instant_stop_once(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    row = await house.service.start("blue", None, "host")
    stopped = await asyncio.gather(*(house.service.stop(row.id) for _ in range(5)))
    assert {stop.id for stop in stopped} == {row.id}
    await house.settled()
    assert house.statuses == ["starting", "processing", "uploading", "recorded"]


async def test_what_never_was_can_not_be_stopped(house: House) -> None:
    with pytest.raises(UnknownRecording):
        await house.service.stop("RC_unknown")
    assert await house.service.stop_room("blue") is None


async def test_start_stop_start_leaves_no_orphan(house: House) -> None:
    for _ in range(20):
        row = await house.service.start("blue", None, "host")
        assert (await house.service.stop_room("blue")) is not None
        assert house.service.active("blue") is None
        assert (await house.row(row.id)).error == NO_MEDIA
    assert list((house.folder / "journals").iterdir()) == []
    assert house.plane.started == {}


async def test_without_any_media_it_has_failed(house: House) -> None:
    row = await house.service.start("blue", None, "host")
    row = await house.service.stop(row.id)
    assert (row.status, row.error) == ("failed", NO_MEDIA)
    assert row.stopped_at == NOW
    assert house.jobs.calls == []


async def test_with_packets_but_no_picture_it_has_failed(house: House) -> None:
    track = video_track()
    del track.entries[:5], track.entries[10:]
    house.plane.tracks = [track]
    row = await house.service.start("blue", None, "host")
    assert (await house.service.stop(row.id)).status == "processing"
    await house.settled()
    row = await house.row(row.id)
    assert (row.status, row.error) == ("failed", NOTHING_PLAYS)
    assert list(house.journals(row.id).glob("*.journal"))


async def test_a_stop_before_the_news_of_the_first_media_keeps_it(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    row = await house.service.start("blue", None, "host")
    stop = asyncio.create_task(house.service.stop(row.id))
    house.jobs.hold = asyncio.Event()
    assert (await stop).status == "processing"
    house.media_arrives(row.id)
    house.jobs.hold.set()
    await house.settled()
    row = await house.row(row.id)
    assert row.status == "recorded"
    assert row.started_at is not None


async def test_a_media_worker_that_died_leaves_its_journals(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    house.plane.breaks = WorkerGone("gone")
    row = await house.service.start("blue", None, "host")
    await house.service.stop(row.id)
    await house.settled()
    assert (await house.row(row.id)).status == "recorded"


async def test_a_failed_job_is_tried_again(house: House) -> None:
    house.jobs.failures = [JobFailed("killed"), JobFailed("killed again")]
    row = await house.recorded()
    assert row.status == "recorded"
    assert house.pauses == [1.0, 2.0]


async def test_a_job_that_always_fails_keeps_the_journals(house: House) -> None:
    house.jobs.failures = [JobFailed("it hurts")] * (JOB_RETRIES + 1)
    row = await house.recorded()
    assert row.status == "failed"
    assert "it hurts" in (row.error or "")
    assert len(house.jobs.calls) == JOB_RETRIES + 1
    assert list(house.journals(row.id).glob("*.journal"))


async def test_a_store_that_is_down_is_waited_for(house: House) -> None:
    house.store.refusals = 8
    row = await house.recorded()
    assert row.status == "recorded"
    assert house.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert len(house.jobs.calls) == 1
    assert house.statuses == ALL
    assert [stored.key async for stored in house.store.list()] == [row.files[0].key]


async def test_an_object_that_does_not_read_back_is_stored_again(house: House) -> None:
    right, wrong = house.store.digest, ["not it"]

    async def digest(key: str) -> str:
        return wrong.pop() if wrong else await right(key)

    house.store.digest = digest  # type: ignore[method-assign]
    row = await house.recorded()
    assert row.status == "recorded"
    assert house.pauses == [1.0]


async def test_a_store_that_will_never_take_it_fails_it(house: House) -> None:
    async def refuse(key: str, path: object, content_type: str, **_options: object) -> StoredObject:
        raise BadKey("no such key")

    house.store.put_file = refuse  # type: ignore[method-assign]
    row = await house.recorded()
    assert row.status == "failed"
    assert "no such key" in (row.error or "")
    assert list(house.journals(row.id).glob("*.journal"))


async def test_one_bad_journal_is_named_and_kept(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    row = await house.service.start("blue", None, "host")
    (house.journals(row.id) / "TR_bad.journal").write_bytes(b"this is no journal at all")
    await house.service.stop(row.id)
    await house.settled()
    row = await house.row(row.id)
    assert (row.status, len(row.files)) == ("recorded", 1)
    assert row.integrity is not None
    assert row.integrity["complete"] is False
    assert "TR_bad" in row.integrity["failures"][0]
    assert {path.name for path in house.journals(row.id).iterdir()} == {
        "TR_bad.journal",
        "TR_alice_microphone.journal",
    }


async def test_only_bad_journals_fail_it(house: House) -> None:
    row = await house.service.start("blue", None, "host")
    (house.journals(row.id) / "TR_bad.journal").write_bytes(b"this is no journal at all")
    await house.service.stop(row.id)
    await house.settled()
    row = await house.row(row.id)
    assert row.status == "failed"
    assert "TR_bad" in (row.error or "")


async def test_a_fault_before_any_media_ends_it_with_its_reason(house: House) -> None:
    row = await house.service.start("blue", None, "host")
    house.fault(row.id, "disk full")
    await house.settled()
    row = await house.row(row.id)
    assert (row.status, row.error) == ("failed", "disk full")


async def test_a_fault_later_is_in_the_report(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    row = await house.service.start("blue", None, "host")
    house.media_arrives(row.id)
    await house.settled()
    house.fault(row.id, "disk full")
    house.fault("RC_unknown", "nobody listens")
    await house.service.stop(row.id)
    await house.settled()
    row = await house.row(row.id)
    assert row.status == "recorded"
    assert row.integrity is not None
    assert row.integrity["failures"] == ["disk full"]
    assert row.integrity["complete"] is False


async def test_delete_removes_everything(house: House) -> None:
    row = await house.recorded()
    await house.service.delete(row.id)
    assert await house.catalog.recordings.get(row.id) is None
    with pytest.raises(ObjectNotFound):
        await house.store.head(row.files[0].key)
    with pytest.raises(UnknownRecording):
        await house.service.delete(row.id)


async def test_delete_waits_for_the_end(house: House) -> None:
    row = await house.service.start("blue", None, "host")
    with pytest.raises(RecordingActive):
        await house.service.delete(row.id)


async def test_progress_is_that_of_the_job(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    house.jobs.hold = asyncio.Event()
    row = await house.service.start("blue", None, "host")
    assert house.service.progress(row.id) == 0.0
    await house.service.stop(row.id)
    await house.jobs.begun.wait()
    assert house.service.progress(row.id) == 0.5
    house.jobs.hold.set()
    await house.settled()
    assert house.service.progress(row.id) == 0.0


async def test_close_stops_and_finishes(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    row = await house.service.start("blue", None, "host")
    await house.service.close()
    assert (await house.row(row.id)).status == "recorded"


async def test_close_leaves_what_takes_too_long_to_the_next_start(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    house.jobs.hold = asyncio.Event()
    service = house.another_service(close_patience=0.0)
    row = await service.start("blue", None, "host")
    await service.close()
    assert (await house.row(row.id)).status == "processing"
    house.jobs.hold = None
    await house.service.recover()
    await house.settled()
    assert (await house.row(row.id)).status == "recorded"


async def test_a_catalog_that_is_away_is_waited_for(house: House) -> None:
    right, refusals = house.catalog.recordings.get, 3

    async def get(recording_id: str) -> RecordingRow | None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise CatalogUnavailable("the database is away")
        return await right(recording_id)

    house.jobs.failures = [JobFailed("it hurts")] * (JOB_RETRIES + 1)
    house.catalog.recordings.get = get  # type: ignore[method-assign]
    row = await house.recorded()
    assert row.status == "failed"


async def test_a_stop_that_the_catalog_refuses_can_be_done_again(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    row = await house.service.start("blue", None, "host")
    with house.catalog_away(1), pytest.raises(CatalogUnavailable):
        await house.service.stop(row.id)
    assert (await house.service.stop(row.id)).status == "processing"
    await house.settled()
    assert (await house.row(row.id)).status == "recorded"


async def test_a_stop_that_the_catalog_refuses_is_written_down_when_it_is_back(
    house: House,
) -> None:
    """Nobody asks again: its media has ended, so it must not seem to run on."""
    house.plane.tracks = [audio_track(1.0)]
    row = await house.service.start("blue", None, "host")
    with house.catalog_away(4):
        for _ in range(2):
            with pytest.raises(CatalogUnavailable):
                await house.service.stop(row.id, EndReason.LOW_DISK)
        await house.settled()
    assert house.pauses == [1.0, 2.0], "one task tries again, however often it is asked"
    found = await house.row(row.id)
    assert found.status == "recorded"
    assert found.metadata["endReason"] == "low_disk"


async def test_a_fault_stops_it_however_long_the_catalog_is_away(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    row = await house.service.start("blue", None, "host")
    with house.catalog_away(6):
        house.fault(row.id, "a reason to stop")
        await house.settled()
    assert house.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert (await house.row(row.id)).status == "recorded"


async def test_the_first_media_is_noted_however_long_the_catalog_is_away(house: House) -> None:
    row = await house.service.start("blue", None, "host")
    with house.catalog_away(3):
        house.media_arrives(row.id)
        await house.settled()
    active = house.service.active("blue")
    assert active is not None
    assert active.status == "recording"
    assert (await house.row(row.id)).status == "recording"
    assert house.statuses == ["starting", "recording"]


async def test_its_start_is_when_the_first_media_came(house: House) -> None:
    row = await house.service.start("blue", None, "host")
    house.now += timedelta(seconds=3)
    house.media_arrives(row.id, NOW + timedelta(seconds=2, microseconds=7))
    await house.settled()
    assert (await house.row(row.id)).started_at == NOW + timedelta(seconds=2, microseconds=7)


async def test_a_lost_answer_of_the_catalog_is_found_out(house: House) -> None:
    """The change was made, only its answer did not come back."""
    house.plane.tracks = [audio_track(1.0)]
    row = await house.service.start("blue", None, "host")
    with house.answers_lost(1):
        house.media_arrives(row.id)
        await house.settled()
    active = house.service.active("blue")
    assert active is not None
    assert active.status == "recording"
    with house.answers_lost(1), pytest.raises(CatalogUnavailable):
        await house.service.stop(row.id)
    assert (await house.service.stop(row.id)).status == "processing"
    await house.settled()
    assert (await house.row(row.id)).status == "recorded"


@pytest.mark.parametrize("theirs", ["failed", "recorded"])
async def test_a_stop_believes_the_catalog_about_what_somebody_else_ended(
    house: House, theirs: str
) -> None:
    row = await house.service.start("blue", None, "host")
    house.media_arrives(row.id)
    await house.settled()
    await house.catalog.recordings.update(row.id, status=theirs)
    assert (await house.service.stop(row.id)).status == theirs
    assert house.plane.started == {}
    assert house.service.active("blue") is None
    assert house.statuses == ["starting", "recording", theirs]


async def test_a_stop_of_what_somebody_else_deleted(house: House) -> None:
    row = await house.service.start("blue", None, "host")
    await house.catalog.recordings.delete(row.id)
    with pytest.raises(UnknownRecording):
        await house.service.stop(row.id)
    assert house.plane.started == {}
    assert house.service.active("blue") is None


async def test_without_any_journal_left_to_write_it_stops(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    row = await house.service.start("blue", None, "host")
    house.media_arrives(row.id)
    await house.settled()
    house.fault(row.id, "disk full")
    await house.settled()
    assert (await house.row(row.id)).status == "recording"
    house.stall(row.id, "disk full")
    await house.settled()
    row = await house.row(row.id)
    assert (row.status, len(row.files)) == ("recorded", 1)
    assert row.integrity is not None
    assert row.integrity["failures"] == ["disk full"]
    assert row.integrity["complete"] is False


async def test_a_full_disk_is_waited_for(house: House) -> None:
    waiting: list[tuple[str, str | None]] = []

    async def pause(seconds: float) -> None:
        row = await house.row(started.id)
        waiting.append((row.status, row.error))
        assert not output.exists()

    house.jobs.failures = [DiskFull("no room left on device")] * (JOB_RETRIES + 3)
    house.plane.tracks = [audio_track(1.0)]
    service = house.another_service(sleep=pause)
    started = await service.start("blue", None, "host")
    output = house.journals(started.id) / OUTPUT_NAME
    output.mkdir()
    await service.stop(started.id)
    await house.settled(service)
    assert waiting == [("processing", waiting[0][1])] * (JOB_RETRIES + 3)
    assert "no room left on device" in (waiting[0][1] or "")
    row = await house.row(started.id)
    assert (row.status, row.error) == ("recorded", None)


async def test_its_length_reaches_to_the_end_of_the_last_file(house: House) -> None:
    house.plane.tracks = [audio_track(2.0), audio_track(2.0, shift=20.0, participant="bob")]
    row = await house.service.start("blue", None, "host")
    await house.service.stop(row.id)
    await house.settled()
    assert (await house.row(row.id)).duration_seconds == pytest.approx(22.0, abs=0.05)


@pytest.mark.parametrize("place", ["first record", "middle"])
async def test_one_damaged_byte_costs_no_media(house: House, place: str) -> None:
    row = await house.service.start("blue", None, "host")
    path = audio_track(4.0).write(house.journals(row.id))
    data = bytearray(path.read_bytes())
    first = 16 + int.from_bytes(data[8:12], "big")
    data[first + 20 if place == "first record" else len(data) // 2] ^= 1
    path.write_bytes(data)
    await house.service.stop(row.id)
    await house.settled()
    row = await house.row(row.id)
    assert path.read_bytes() == data
    if place == "first record":
        assert row.status == "failed"
        assert "damaged" in (row.error or "")
    else:
        assert row.status == "recorded"
        assert row.integrity is not None
        assert row.integrity["complete"] is False
        assert "damaged" in row.integrity["failures"][0]


async def test_a_journal_with_bytes_in_it_is_never_removed_for_want_of_media(house: House) -> None:
    row = await house.service.start("blue", None, "host")
    path = audio_track(4.0).write(house.journals(row.id))
    data = path.read_bytes()
    path.write_bytes(data[: 16 + int.from_bytes(data[8:12], "big") + 20])
    await house.service.stop(row.id)
    await house.settled()
    assert (await house.row(row.id)).error == NO_MEDIA
    assert path.exists()


async def test_what_is_finished_is_forgotten_also_when_somebody_else_finished_it(
    house: House,
) -> None:
    house.plane.tracks = [audio_track(1.0)]
    house.jobs.hold = asyncio.Event()
    row = await house.service.start("blue", None, "host")
    await house.service.stop(row.id)
    await house.jobs.begun.wait()
    await house.catalog.recordings.update(row.id, status="failed", error="by somebody else")
    house.jobs.hold.set()
    await house.settled()
    assert (await house.service.stop(row.id)).error == "by somebody else"


async def test_a_deletion_that_can_not_be_made_sure_keeps_the_row(house: House) -> None:
    house.jobs.failures = [JobFailed("it hurts")] * (JOB_RETRIES + 1)
    row = await house.recorded()
    root = house.folder / "journals"
    aside = root.rename(house.folder / "aside")
    root.write_text("in the way")
    with pytest.raises(StorageFailed):
        await house.service.delete(row.id)
    assert (await house.row(row.id)).status == "failed"
    root.unlink()
    aside.rename(root)
    await house.service.delete(row.id)
    assert await house.catalog.recordings.get(row.id) is None
    assert list(root.iterdir()) == []


async def test_a_deleted_row_ends_its_task(house: House) -> None:
    house.plane.tracks = [audio_track(1.0)]
    house.jobs.hold = asyncio.Event()
    row = await house.service.start("blue", None, "host")
    await house.service.stop(row.id)
    await house.jobs.begun.wait()
    await house.catalog.recordings.delete(row.id)
    house.jobs.hold.set()
    await house.settled()
    assert house.statuses[-1] == "processing"
