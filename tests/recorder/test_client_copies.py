"""What participants record themselves: from their first chunk to a file of the recording."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import pytest

from recorder.chunks.settling import GRACE, LIVELY
from recorder.errors import (
    SetComplete,
    UnknownRecording,
)
from recorder.finishing import NO_MEDIA
from storage.catalog import ChunkSetRow, RecordingRow, WebhookRow
from storage.errors import CatalogUnavailable
from tests.recorder.copy_house import (
    FIRST_MEDIA_US,
    SECOND,
    TIMEOUT,
    CopyHouse,
    chunks,
)

# --- the plain ways ----------------------------------------------------------------------------------


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

    def announce(row: RecordingRow) -> list[WebhookRow]:
        told.append([each.kind for each in row.files])
        return []

    home.catalog.recordings.announce = announce
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


# --- the end of it -----------------------------------------------------------------------------------


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


# --- what the database is asked --------------------------------------------------------------------


async def test_while_nobody_records_the_catalog_is_left_alone(home: CopyHouse) -> None:
    """The server looks once a second; after the first time it knows that there is nothing."""
    row = await home.start()
    await home.send(row, 0)
    await home.complete(row, {0: 0})
    await home.service.stop(row.id)
    await home.until(row, "recorded")
    await home.copies.look()
    asked = counted(home)
    for _ in range(5):
        await home.copies.look()
    assert asked == []
    later = await home.start("client")
    await home.send(later, 0)
    await home.copies.look()
    assert len(asked) == 1


async def test_a_look_that_the_catalog_refused_is_done_again(home: CopyHouse) -> None:
    row = await home.start()
    await home.send(row, 0)
    await home.complete(row, {0: 0})
    right = home.catalog.chunk_sets.in_states

    async def refuse(_statuses: object) -> None:
        raise CatalogUnavailable("the database is away")

    home.catalog.chunk_sets.in_states = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(CatalogUnavailable):
        await home.copies.look()
    home.catalog.chunk_sets.in_states = right  # type: ignore[method-assign]
    asked = counted(home)
    await home.copies.look()
    assert len(asked) == 1


def counted(home: CopyHouse) -> list[object]:
    """Grows whenever the catalog is asked for sets that are under way."""
    right = home.catalog.chunk_sets.in_states
    asked: list[object] = []

    async def count(statuses: Collection[str]) -> tuple[ChunkSetRow, ...]:
        asked.append(statuses)
        return await right(statuses)

    home.catalog.chunk_sets.in_states = count  # type: ignore[method-assign]
    return asked
