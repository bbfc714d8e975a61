"""Copies that become no file, stores and jobs that fail, and what is said of that."""

from __future__ import annotations

import shutil

import pytest

from recorder.chunks.copies import LOOKS_APART
from recorder.chunks.settling import LIVELY
from recorder.errors import (
    JobFailed,
)
from recorder.findings import Code
from recorder.fsck import Fsck
from recorder.repair import Repair, plan
from recorder.retention import Retention, RetentionPolicy, Rule
from tests.recorder.copy_house import (
    SECOND,
    TIMEOUT,
    CopyHouse,
    chunks,
)


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


async def test_a_part_with_the_header_of_another_is_offered_and_keeps_its_chunks(
    home: CopyHouse,
) -> None:
    row = await home.start()
    await home.send(row, 0, 1)
    await home.send(row, 1, part=1)
    home.joiner.lent = {1: 0}
    await home.service.stop(row.id)
    await home.pass_by(TIMEOUT)
    row = await home.until(row, "recorded")
    assert len(row.files) == 2
    assert row.integrity is not None
    assert row.integrity["complete"] is False
    done = await home.set_of(row)
    assert [path.name for path in home.kept(done).iterdir()] == ["1"]
    home.start_again()
    await home.recover()
    assert (home.kept(done) / "1").is_dir()
    await home.service.delete(row.id)
    assert not home.kept(done).exists()


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
    await home.copies.look()  # nothing to do
    for mending in plan(found):
        assert await Repair(home.catalog, home.root).do(mending) == ""
    home.house.now += LOOKS_APART
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
