"""What participants record themselves: from their first chunk to a file of the recording."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from recorder.chunks.settling import GRACE, LATE_START, LIVELY
from recorder.errors import (
    ChunksMissing,
    JobFailed,
    RecordingEnded,
    SetComplete,
    UnknownRecording,
)
from recorder.findings import Code
from recorder.finishing import NO_MEDIA
from recorder.fsck import Fsck
from recorder.repair import Repair, plan
from recorder.retention import Retention, RetentionPolicy, Rule
from storage.errors import CatalogUnavailable
from tests.recorder.copy_house import (
    FIRST_MEDIA_US,
    SECOND,
    TIMEOUT,
    CopyHouse,
    chunk,
    chunks,
    open_copy_house,
)


@pytest_asyncio.fixture
async def home(tmp_path: Path) -> AsyncIterator[CopyHouse]:
    async with open_copy_house(tmp_path / "house") as opened:
        yield opened


# --- the plain ways -------------------------------------------------------------------------------


async def test_chunks_alone_make_a_recording_also_those_that_come_after_the_stop(
    home: CopyHouse,
) -> None:
    """The client of api.md section 5: it says nothing but chunks, in a call without other media."""
    row = await home.start()
    assert row.status == "starting"
    await home.send(row, 0, 2, 1)
    row = await home.until(row, "recording")
    assert row.started_at == home.house.now
    assert (await home.service.stop(row.id)).status == "processing"
    await home.send(row, 3)
    await home.pass_by(GRACE - SECOND)
    assert (await home.house.row(row.id)).status == "processing"
    await home.pass_by(SECOND)
    row = await home.until(row, "recorded")
    (file,) = row.files
    assert (file.kind, file.participant_id) == ("client", "alice")
    assert await home.stored(file.key) == chunks(3)
    assert (row.size, row.error) == (len(chunks(3)), None)
    assert row.started_at == datetime.fromtimestamp(FIRST_MEDIA_US / 1e6, UTC)
    done = await home.set_of(row)
    assert done.status == "done"
    assert not home.kept(done).exists()
    assert home.house.statuses == ["starting", "recording", "processing", "uploading", "recorded"]


async def test_a_chunk_without_a_byte_is_no_media(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0, content=b"")
    await home.house.settled()
    assert (await home.house.row(row.id)).status == "starting"


async def test_servers_tracks_and_the_copy_are_in_one_recording(home: CopyHouse) -> None:
    row = await home.start(server_media=True)
    began = (await home.house.row(row.id)).started_at
    assert began is not None
    await home.announce(row)
    await home.send(row, 0, 1)
    home.house.now += SECOND
    await home.service.stop(row.id)
    uploading = await home.until(row, "uploading")
    await home.pass_by(LIVELY - 2 * SECOND)
    assert (await home.house.row(row.id)).status == "uploading"  # she may still send
    await home.send(uploading, 2)
    await home.complete(row, {0: 2})
    row = await home.until(row, "recorded")
    assert [file.kind for file in row.files] == ["participant", "client"]
    (spec,) = home.joiner.specs
    assert row.started_at is not None
    assert spec["recordingStartUs"] == round(row.started_at.timestamp() * 1e6)
    assert [ref["startSeconds"] for ref in spec["reference"]] == [row.files[0].start_seconds]
    assert spec["parts"]["0"] == {"mimeType": "video/webm", "lastSequence": 2}
    assert row.files[1].start_seconds == 0.5
    assert row.size == sum(file.size for file in row.files)
    assert row.integrity is not None
    kinds = [track["source"] for track in row.integrity["tracks"]]
    assert kinds == ["microphone", "client"]
    assert row.integrity["complete"] is True
    assert not home.house.journals(row.id).exists()


async def test_a_recording_does_not_wait_for_who_is_gone_and_takes_the_copy_later(
    home: CopyHouse,
) -> None:
    row = await home.start(server_media=True)
    await home.announce(row)
    await home.send(row, 0)
    home.house.now += LIVELY
    await home.service.stop(row.id)
    row = await home.until(row, "recorded")
    assert [file.kind for file in row.files] == ["participant"]
    size = row.size
    assert size is not None
    told: list[list[str]] = []
    home.catalog.recordings.announce = lambda row: (
        told.append([each.kind for each in row.files]) or []
    )
    await home.send(row, 1)
    await home.complete(row, {0: 1})
    await home.pass_by(SECOND)
    row = await home.house.row(row.id)
    assert [file.kind for file in row.files] == ["participant", "client"]
    assert row.size == size + len(chunks(1))
    assert row.duration_seconds == 4.5
    assert row.integrity is not None
    assert [each["participantId"] for each in row.integrity["clients"]] == ["alice"]
    assert told == [["participant", "client"]]


async def test_mode_client_records_nothing_on_the_server(home: CopyHouse) -> None:
    row = await home.start("client")
    assert home.house.plane.started == {}
    await home.send(row, 0)
    await home.until(row, "recording")
    assert await home.service.last_media(row.id) == home.house.now
    await home.service.stop(row.id)
    assert not home.house.plane.asked_to_stop.is_set()
    await home.pass_by(GRACE)
    assert [file.kind for file in (await home.until(row, "recorded")).files] == ["client"]
    assert home.house.jobs.calls == []


async def test_two_participants_are_on_one_time_line(home: CopyHouse) -> None:
    row = await home.start("client")
    await home.send(row, 0)
    await home.send(row, 0, who="bob")
    await home.service.stop(row.id)
    await home.pass_by(GRACE)
    row = await home.until(row, "recorded")
    assert {file.participant_id for file in row.files} == {"alice", "bob"}
    assert {file.start_seconds for file in row.files} == {0.5}
    assert row.integrity is not None
    assert len(row.integrity["tracks"]) == 2


async def test_one_who_sends_for_ever_does_not_keep_the_copies_of_others_back(
    home: CopyHouse,
) -> None:
    """The server has nothing of its own, and what is whole is something to play."""
    row = await home.start("client")
    await home.send(row, 0)
    await home.announce(row, who="eve")
    await home.send(row, 0, who="eve")
    await home.service.stop(row.id)
    await home.complete(row, {0: 0})
    for sequence in range(1, 8):
        await home.pass_by(TIMEOUT / 6)
        await home.send(row, sequence, who="eve")
    row = await home.until(row, "recorded")
    assert [file.participant_id for file in row.files] == ["alice"]
    await home.complete(row, {0: 7}, who="eve")
    await home.pass_by(SECOND)
    row = await home.house.row(row.id)
    assert [file.participant_id for file in row.files] == ["alice", "eve"]


async def test_without_any_chunk_it_has_failed(home: CopyHouse) -> None:
    row = await home.start("client")
    row = await home.service.stop(row.id)
    assert (row.status, row.error) == ("failed", NO_MEDIA)


# --- holes ----------------------------------------------------------------------------------------


async def test_a_hole_at_completion_is_told_and_salvaged_after_the_timeout(
    home: CopyHouse,
) -> None:
    row = await home.start()
    await home.send(row, 0, 1, 3)
    await home.service.stop(row.id)
    with pytest.raises(ChunksMissing) as caught:
        await home.complete(row, {0: 4})
    assert caught.value.details == {
        "participantId": "alice",
        "status": "open",
        "parts": [{"part": 0, "received": [[0, 1], [3, 3]], "missing": [2, 4], "next": 4}],
    }
    await home.pass_by(TIMEOUT - SECOND)
    assert (await home.house.row(row.id)).status == "processing"
    await home.pass_by(SECOND)
    row = await home.until(row, "recorded")
    assert await home.stored(row.files[0].key) == chunk(0) + chunk(1) + chunk(3)
    assert row.integrity is not None
    assert row.integrity["complete"] is False
    state = await home.copies.chunk_state(await home.set_of(row))
    assert state["parts"][0]["missing"] == [2]


async def test_a_hole_that_is_filled_can_be_completed(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0, 2)
    with pytest.raises(ChunksMissing):
        await home.complete(row, {0: 2})
    await home.send(row, 1)
    assert (await home.complete(row, {0: 2})).status == "complete"


async def test_completing_again_changes_nothing_and_another_end_is_refused(
    home: CopyHouse,
) -> None:
    row = await home.start()
    await home.send(row, 0, 1)
    first = await home.complete(row, {0: 1})
    assert await home.complete(row, {0: 1}) == first
    with pytest.raises(SetComplete):
        await home.complete(row, {0: 2})
    with pytest.raises(SetComplete):
        await home.send(row, 2)


async def test_chunks_behind_the_end_that_was_said_are_not_lost(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0, 1, 2)
    await home.complete(row, {0: 0})
    await home.service.stop(row.id)
    row = await home.until(row, "recorded")
    assert await home.stored(row.files[0].key) == chunks(2)


async def test_a_chunk_that_became_durable_while_the_set_was_closed_is_not_acknowledged(
    home: CopyHouse,
) -> None:
    row = await home.start()
    await home.send(row, 0)
    admitted = await home.copies.admit(row.id, "alice")
    await home.complete(row, {0: 0})
    with pytest.raises(SetComplete):
        home.copies.arrived(admitted, 5)


async def test_a_completion_that_the_catalog_refuses_leaves_the_set_open(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0)
    right = home.catalog.chunk_sets.update

    async def refuse(*_place: object, **_changes: object) -> None:
        raise CatalogUnavailable("the database is away")

    home.catalog.chunk_sets.update = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(CatalogUnavailable):
        await home.complete(row, {0: 0})
    home.catalog.chunk_sets.update = right  # type: ignore[method-assign]
    await home.send(row, 1)
    assert (await home.complete(row, {0: 1})).status == "complete"


# --- who may send ---------------------------------------------------------------------------------


async def test_there_has_to_be_a_recording(home: CopyHouse) -> None:
    with pytest.raises(UnknownRecording):
        await home.copies.admit("RC_none", "alice")


async def test_an_ended_recording_takes_no_new_set(home: CopyHouse) -> None:
    row = await home.start(server_media=True)
    await home.service.stop(row.id)
    row = await home.until(row, "recorded")
    with pytest.raises(RecordingEnded):
        await home.copies.admit(row.id, "alice")
    assert await home.catalog.chunk_sets.of(row.id) == ()


async def test_a_first_chunk_just_after_the_stop_revives_a_recording_without_media(
    home: CopyHouse,
) -> None:
    row = await home.start()
    row = await home.service.stop(row.id)
    assert row.status == "failed"
    home.house.now += LATE_START - SECOND
    await home.send(row, 0)
    assert (await home.house.row(row.id)).status == "processing"
    await home.pass_by(GRACE)
    assert len((await home.until(row, "recorded")).files) == 1


async def test_a_first_chunk_long_after_the_stop_does_not(home: CopyHouse) -> None:
    row = await home.start()
    row = await home.service.stop(row.id)
    home.house.now += LATE_START
    with pytest.raises(RecordingEnded):
        await home.send(row, 0)


async def test_who_was_announced_and_comes_back_late_revives_it_too(home: CopyHouse) -> None:
    """A tab that was offline since it began: its chunks are all in the browser."""
    row = await home.start("client")
    await home.announce(row)
    assert (await home.service.stop(row.id)).status == "processing"
    await home.pass_by(LIVELY)
    row = await home.until(row, "failed")
    await home.pass_by(TIMEOUT / 2)
    await home.send(row, 0, 1)
    await home.complete(row, {0: 1})
    row = await home.until(row, "recorded")
    assert await home.stored(row.files[0].key) == chunks(1)


async def test_who_was_announced_and_never_came_leaves_it_incomplete(home: CopyHouse) -> None:
    row = await home.start(server_media=True)
    await home.announce(row)
    await home.service.stop(row.id)
    await home.until(row, "uploading")
    await home.pass_by(LIVELY)
    await home.until(row, "recorded")
    await home.pass_by(TIMEOUT)
    row = await home.house.row(row.id)
    assert (await home.set_of(row)).status == "done"
    assert home.joiner.specs == []
    assert row.integrity is not None
    assert row.integrity["complete"] is False
    assert len(row.files) == 1


async def test_parts_that_are_announced_at_once_are_all_known(home: CopyHouse) -> None:
    row = await home.start()
    known = await home.copies.admit(row.id, "alice")
    await asyncio.gather(
        *(home.copies.announce(known, part, {"source": "camera"}) for part in range(5))
    )
    assert sorted((await home.set_of(row)).parts) == ["0", "1", "2", "3", "4"]


async def test_a_chunk_that_takes_long_to_come_keeps_its_set_open(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0)
    await home.service.stop(row.id)
    home.copies.watch_senders({"alice"}.__contains__)
    await home.pass_by(GRACE * 2)
    assert (await home.set_of(row)).status == "open"
    home.copies.watch_senders(lambda _participant: False)
    await home.pass_by(GRACE)
    assert len((await home.until(row, "recorded")).files) == 1


async def test_what_is_announced_again_keeps_when_it_began(home: CopyHouse) -> None:
    row = await home.start()
    known = await home.copies.admit(row.id, "alice")
    first = {"mimeType": "video/webm", "startedAt": "2026-01-01T00:00:00.000Z", "source": None}
    await home.copies.announce(known, 0, first)
    again = await home.copies.announce(known, 0, {"startedAt": "2026-01-01T00:05:00.000Z"})
    assert again.parts == {"0": {"mimeType": "video/webm", "startedAt": "2026-01-01T00:00:00.000Z"}}


# --- what goes wrong ------------------------------------------------------------------------------


async def test_a_part_that_becomes_no_file_keeps_its_chunks(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0, 1)
    await home.send(row, 0, part=1)
    home.joiner.spoiled = {1}
    await home.complete(row, {0: 1, 1: 0})
    await home.service.stop(row.id)
    row = await home.until(row, "recorded")
    assert len(row.files) == 1
    assert row.integrity is not None
    assert row.integrity["complete"] is False
    done = await home.set_of(row)
    assert [path.name for path in home.kept(done).iterdir()] == ["1"]
    found = [each async for each in Fsck(home.catalog, home.house.depots, home.root).run([row.id])]
    assert [each.code for each in found] == [Code.INCOMPLETE]
    home.start_again()
    await home.recover()
    assert (home.kept(done) / "1").is_dir()


async def test_what_no_job_can_make_is_kept_and_repaired_when_it_can(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0)
    home.joiner.failures = [JobFailed("it hurts")] * 3
    await home.complete(row, {0: 0})
    await home.service.stop(row.id)
    row = await home.until(row, "failed")
    broken = await home.set_of(row)
    assert (broken.status, broken.error) == ("failed", "it hurts")
    assert home.kept(broken).is_dir()
    fsck = Fsck(home.catalog, home.house.depots, home.root, served=True)
    found = [each async for each in fsck.run([row.id])]
    assert [each.code for each in found] == [Code.CHUNKS_KEPT]
    for mending in plan(found):
        assert await Repair(home.catalog, home.root).do(mending) == ""
    row = await home.until(row, "recorded")
    assert await home.stored(row.files[0].key) == chunks(0)
    assert not home.kept(broken).exists()


@pytest.mark.parametrize("spoiled", [True, False])
async def test_a_recording_that_is_final_learns_of_a_copy_that_became_no_file(
    home: CopyHouse, spoiled: bool
) -> None:
    row = await home.start(server_media=True)
    await home.announce(row)
    await home.send(row, 0)
    home.house.now += LIVELY
    await home.service.stop(row.id)
    row = await home.until(row, "recorded")
    home.joiner.spoiled = {0} if spoiled else set()
    home.joiner.failures = [] if spoiled else [JobFailed("it hurts")] * 3
    await home.complete(row, {0: 0})
    await home.pass_by(SECOND)
    row = await home.house.row(row.id)
    assert [file.kind for file in row.files] == ["participant"]
    assert row.integrity is not None
    assert row.integrity["complete"] is False
    assert row.integrity["clients"][0]["failures"][-1].endswith(
        "nothing in it can be decoded" if spoiled else "it hurts"
    )
    assert home.kept(await home.set_of(row)).is_dir()


async def test_the_chunks_stay_while_the_store_is_away(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0)
    await home.complete(row, {0: 0})
    home.house.store.refusals = 3
    await home.service.stop(row.id)
    kept = home.kept(await home.set_of(row))
    assert kept.is_dir()
    row = await home.until(row, "recorded")
    assert await home.stored(row.files[0].key) == chunks(0)
    assert not kept.exists()


async def test_servers_media_that_becomes_no_file_is_told_beside_the_copy(
    home: CopyHouse,
) -> None:
    row = await home.start(server_media=True)
    await home.send(row, 0)
    await home.complete(row, {0: 0})
    home.house.jobs.failures = [JobFailed("it hurts")] * 4
    await home.service.stop(row.id)
    row = await home.until(row, "recorded")
    assert [file.kind for file in row.files] == ["client"]
    assert row.integrity is not None
    assert row.integrity["failures"] == ["the recording could not be finished: it hurts"]
    assert home.house.journals(row.id).is_dir()


async def test_fsck_tells_of_chunks_without_a_row_and_of_rows_without_chunks(
    home: CopyHouse,
) -> None:
    row = await home.start()
    await home.send(row, 0)
    await home.send(row, 0, who="bob")
    await home.complete(row, {0: 0})
    orphan = home.kept(await home.set_of(row)).with_name("CS_nobody")
    shutil.copytree(home.kept(await home.set_of(row)), orphan)
    shutil.rmtree(home.kept(await home.set_of(row)))
    fsck = Fsck(home.catalog, home.house.depots, home.root)
    found = {each.code: each.subject async for each in fsck.run()}
    assert found[Code.CHUNKS_MISSING] == (await home.set_of(row)).id
    assert found[Code.CHUNKS_WAITING] == (await home.set_of(row, "bob")).id
    assert found[Code.CHUNKS_ORPHANED] == ".chunks/CS_nobody"
    home.start_again()
    await home.recover()
    assert orphan.is_dir()


async def test_retention_leaves_a_recording_that_somebody_may_still_send_to(
    home: CopyHouse,
) -> None:
    row = await home.start(server_media=True)
    await home.announce(row)
    home.house.now += LIVELY
    await home.service.stop(row.id)
    await home.until(row, "recorded")
    policy = RetentionPolicy(Rule(days=0.0))
    clock = lambda: home.house.now + 2 * TIMEOUT  # noqa: E731
    retention = Retention(home.catalog, home.house.depots, home.root, policy, clock=clock)
    assert await retention.due() == []
    await home.pass_by(TIMEOUT)
    assert [each.row.id for each in await retention.due()] == [row.id]


# --- the end of it --------------------------------------------------------------------------------


async def test_deleting_a_recording_removes_its_sets_and_chunks(home: CopyHouse) -> None:
    row = await home.start(server_media=True)
    await home.announce(row)
    await home.send(row, 0)
    home.house.now += LIVELY
    await home.service.stop(row.id)
    row = await home.until(row, "recorded")
    waiting = await home.set_of(row)
    admitted = await home.copies.admit(row.id, "alice")
    await home.service.delete(row.id)
    assert await home.catalog.chunk_sets.get(waiting.id) is None
    assert not home.kept(waiting).exists()
    with pytest.raises(UnknownRecording):
        await home.copies.admit(row.id, "alice")
    with pytest.raises(SetComplete):
        home.copies.arrived(admitted, 5)


async def test_a_stop_of_the_server_does_not_wait_for_who_is_gone(home: CopyHouse) -> None:
    row = await home.start()
    await home.announce(row)
    await home.send(row, 0)
    await home.service.stop(row.id)
    home.house.now += LIVELY
    assert await home.service.drain(5)
    assert (await home.house.row(row.id)).status == "processing"
    home.start_again()
    await home.recover()
    await home.send(row, 1)
    await home.complete(row, {0: 1})
    assert len((await home.until(row, "recorded")).files) == 1


async def test_what_others_wrote_into_the_metadata_is_there_after_the_stop(
    home: CopyHouse,
) -> None:
    row = await home.start(server_media=True)
    await home.catalog.recordings.update(row.id, metadata={"course": "7"})
    row = await home.service.stop(row.id)
    assert row.metadata == {"course": "7", "endReason": "host"}


# --- kills ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["tracks", "client"])
async def test_a_kill_while_chunks_come_loses_none(home: CopyHouse, mode: str) -> None:
    row = await home.start(mode)
    await home.send(row, 0, 1)
    await home.end()
    home.start_again()
    await home.recover()
    await home.send(row, 2)
    await home.pass_by(GRACE)
    row = await home.until(row, "recorded")
    assert await home.stored(row.files[0].key) == chunks(2)
    assert row.metadata["endReason"] == "crash"
    assert row.stopped_at is not None


async def test_a_kill_while_the_job_runs_begins_it_again(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0)
    await home.complete(row, {0: 0})
    home.joiner.hold = asyncio.Event()
    await home.service.stop(row.id)
    await asyncio.wait_for(home.joiner.begun.wait(), 5)
    assert (await home.set_of(row)).status == "assembling"
    await home.end()
    home.joiner.hold = None
    home.start_again()
    await home.recover()
    row = await home.until(row, "recorded")
    assert len(home.joiner.specs) == 2
    assert await home.stored(row.files[0].key) == chunks(0)


async def test_a_kill_before_the_object_is_stored_goes_on_with_the_same_file(
    home: CopyHouse,
) -> None:
    row = await home.start()
    await home.send(row, 0)
    await home.complete(row, {0: 0})
    home.house.store.down = True
    await home.service.stop(row.id)
    await home.until_set(row, "uploading")
    await home.end()
    home.house.store.down = False
    home.start_again()
    await home.recover()
    row = await home.until(row, "recorded")
    assert len(home.joiner.specs) == 1
    assert await home.stored(row.files[0].key) == chunks(0)


@pytest.mark.parametrize(
    "place", ["add_file", "done", "strike", "chunks", "files_made", "set_files", "stored"]
)
async def test_a_kill_at_any_later_step_ends_in_the_same_recording(
    home: CopyHouse, place: str
) -> None:
    row = await home.start()
    await home.send(row, 0, 1)
    await home.complete(row, {0: 1})
    reached = _hang_at(home, place)
    await home.service.stop(row.id)
    await asyncio.wait_for(reached.wait(), 5)
    await home.end()
    home.start_again()
    await home.recover()
    row = await home.until(row, "recorded")
    await home.copies.idle()
    await home.house.settled()
    assert await home.stored(row.files[0].key) == chunks(1)
    assert len(row.files) == 1
    assert row.files[0].start_seconds == 0.5
    done = await home.set_of(row)
    assert done.status == "done"
    home.start_again()
    await home.recover()
    assert not home.kept(done).exists()
    assert await home.catalog.deliveries.of(row.id) == ()


async def test_a_kill_just_before_a_failed_recording_is_revived_does_not_forget_it(
    home: CopyHouse,
) -> None:
    row = await home.start("client")
    await home.announce(row)
    await home.service.stop(row.id)
    await home.pass_by(LIVELY)
    await home.until(row, "failed")
    await home.send(row, 0)
    await home.complete(row, {0: 0})
    reached = _hang_at(home, "done")
    await home.copies.look()
    await asyncio.wait_for(reached.wait(), 5)
    await home.end()
    home.start_again()
    await home.recover()
    row = await home.until(row, "recorded")
    assert await home.stored(row.files[0].key) == chunks(0)


def _hang_at(home: CopyHouse, place: str) -> asyncio.Event:
    """The first time that somebody gets there he stays, until he is killed."""
    reached = asyncio.Event()
    targets = {
        "add_file": (home.catalog.recordings, "add_file", None),
        "done": (home.catalog.chunk_sets, "update", ("status", "done")),
        "strike": (home.catalog.deliveries, "strike", None),
        "chunks": (home.chunks, "remove", None),
        "files_made": (home.catalog.recordings, "update", ("status", "uploading")),
        "set_files": (home.catalog.recordings, "set_files", None),
        "stored": (home.catalog.recordings, "update", ("status", "recorded")),
    }
    owner, name, wanted = targets[place]
    right = getattr(owner, name)

    async def hang(*given: object, **changes: object) -> object:
        if reached.is_set() or (wanted is not None and changes.get(wanted[0]) != wanted[1]):
            return await right(*given, **changes)
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    setattr(owner, name, hang)
    return reached
