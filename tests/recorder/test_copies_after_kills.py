"""Killed anywhere between the first chunk and the file, the server ends with the same recording."""

from __future__ import annotations

import asyncio

import pytest

from recorder.chunks.settling import GRACE, LIVELY
from tests.recorder.copy_house import (
    CopyHouse,
    chunks,
)


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
