"""Who may send chunks to which recording, and until when."""

from __future__ import annotations

import asyncio

import pytest

from recorder.chunks.settling import GRACE, LATE_START, LIVELY
from recorder.errors import (
    RecordingEnded,
    UnknownRecording,
)
from tests.recorder.copy_house import (
    SECOND,
    TIMEOUT,
    CopyHouse,
    chunks,
)


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
