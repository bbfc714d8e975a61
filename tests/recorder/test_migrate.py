"""Stored files from one provider to another: nothing is lost, nothing stays, whatever comes between."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recorder.depots import Depots
from recorder.homecoming import Homecoming
from recorder.migrate import AT_ONCE, LEASE, PATIENCE, Migration, Moved, Plan
from recorder.object_keys import object_prefix
from recorder.removal import remove
from storage.catalog import Catalog, FileRow, RecordingRow, new_file_id
from storage.errors import (
    CatalogUnavailable,
    PermissionMissing,
    StoreMisconfigured,
    StoreUnavailable,
)
from storage.objects import MemoryStore, StoredObject
from tests.recorder.house import NOW
from tests.storage.catalogs import migrated

CONTENT = bytes(range(256)) * 40


class Store(MemoryStore):
    """`refusals` are raised first, one a call of any kind that changes or reads an object; `meanwhile`
    runs once, at the end of a put."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[Exception] = []
        self.damages = False
        self.meanwhile: Any = None
        self.under_way = self.most_at_once = 0

    async def put_stream(
        self, key: str, blocks: AsyncIterator[bytes], content_type: str, **options: Any
    ) -> StoredObject:
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            self._may_refuse()
            await asyncio.sleep(0)
            if self.damages:
                stored = await super().put_stream(key, _damaged(blocks), content_type, **options)
            else:
                stored = await super().put_stream(key, blocks, content_type, **options)
        finally:
            self.under_way -= 1
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            await happens()
        return stored

    async def delete(self, key: str) -> None:
        self._may_refuse()
        await super().delete(key)

    def _may_refuse(self) -> None:
        if self.refusals:
            raise self.refusals.pop(0)

    async def keys(self) -> list[str]:
        return [entry.key async for entry in self.list()]


async def _damaged(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for block in blocks:
        yield bytes(len(block))


@dataclass
class Town:
    """Two providers, "old" and "new", and recordings."""

    catalog: Catalog
    folder: Path
    old: Store = field(default_factory=Store)
    new: Store = field(default_factory=Store)

    @property
    def depots(self) -> Depots:
        return Depots({"old": self.old, "new": self.new}, "new")

    async def recorded(
        self, *contents: bytes, status: str = "recorded", key: str | None = None
    ) -> RecordingRow:
        """A recording with files at "old"."""
        row = await self.catalog.recordings.create(room="blue", started_by="host", status=status)
        files = []
        for content in contents or (CONTENT,):
            file_id = new_file_id()
            place = key or f"{object_prefix('blue', row.id)}{file_id}.webm"
            await self.old.put_stream(place, _stream(content), "video/webm")
            files.append(_file(file_id, place, content))
        return await self.catalog.recordings.set_files(row.id, files)

    async def run(self, **options: Any) -> tuple[Plan, Moved]:
        migration = Migration(self.catalog, self.depots, "old", "new", clock=lambda: NOW, **options)
        await migration.check_places()
        await migration.clear_interrupted()
        plan, moved = await migration.plan(), Moved()
        await migration.run(plan, moved)
        return plan, moved

    async def places(self) -> list[str]:
        """Where the catalog has files, one word for each."""
        found = []
        for provider in ("old", "new"):
            files = await self.catalog.recordings.files_at(provider, {"recorded", "failed"})
            found += [provider] * len(files)
        return found

    async def ledger(self) -> list[str]:
        states = {"waiting", "stored", "away", "left"}
        return [row.state for row in await self.catalog.deliveries.in_states(states)]


async def _stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _file(file_id: str, key: str, content: bytes) -> FileRow:
    return FileRow(
        id=file_id,
        kind="participant",
        participant_id="alice",
        content_type="video/webm",
        size=len(content),
        duration_seconds=1.0,
        width=None,
        height=None,
        sha256=hashlib.sha256(content).hexdigest(),
        key=key,
        start_seconds=0.0,
        provider="old",
    )


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    url = f"sqlite:///{tmp_path}/catalog.db"
    await migrated(url)
    catalog = await Catalog.open(url)
    yield Town(catalog, tmp_path)
    await catalog.close()


async def content_of(store: Store, key: str) -> bytes:
    return b"".join([block async for block in store.open(key)])


# --- as it should be ------------------------------------------------------------------------------


async def test_files_move_with_their_bytes_and_nothing_stays(town: Town) -> None:
    rows = [await town.recorded(CONTENT, b"", CONTENT[:7]) for _ in range(3)]
    plan, moved = await town.run()
    assert (plan.files, plan.bytes) == (9, 3 * (len(CONTENT) + 7))
    assert (moved.files, moved.bytes, moved.failures) == (9, plan.bytes, [])
    for file in (file for row in rows for file in row.files):
        content = await content_of(town.new, file.key)
        assert hashlib.sha256(content).hexdigest() == file.sha256
    assert await town.places() == ["new"] * 9
    assert (await town.old.keys(), await town.ledger()) == ([], [])


async def test_a_few_at_a_time(town: Town) -> None:
    for _ in range(3 * AT_ONCE):
        await town.recorded()
    await town.run()
    assert town.new.most_at_once == AT_ONCE


async def test_keep_leaves_the_objects(town: Town) -> None:
    await town.recorded()
    _, moved = await town.run(keep=True)
    assert moved.files == 1
    assert await town.old.keys() == await town.new.keys()
    assert (await town.places(), await town.ledger()) == (["new"], [])


async def test_a_plan_changes_nothing(town: Town) -> None:
    await town.recorded()
    plan = await Migration(town.catalog, town.depots, "old", "new", clock=lambda: NOW).plan()
    assert (plan.files, plan.unsettled) == (1, 0)
    assert (await town.places(), await town.new.keys()) == (["old"], [])


@pytest.mark.parametrize("status", ["starting", "recording", "processing", "uploading"])
async def test_what_is_not_finished_is_not_touched(town: Town, status: str) -> None:
    await town.recorded(status=status)
    plan, _ = await town.run()
    assert plan.files == 0
    assert len(await town.old.keys()) == 1


@pytest.mark.parametrize("state", ["stored", "away", "left"])
async def test_what_the_server_has_in_hand_is_left_alone(town: Town, state: str) -> None:
    row = await town.recorded()
    (entered,) = await town.catalog.deliveries.enter(row.id, [(row.files[0], "a.webm")])
    await town.catalog.deliveries.update(entered.id, "waiting", state=state, file=row.files[0])
    plan, _ = await town.run()
    assert (plan.files, plan.unsettled) == (0, 1)
    assert (len(await town.old.keys()), await town.ledger()) == (1, [state])


async def test_an_object_of_two_recordings_moves_once_and_for_both(town: Town) -> None:
    await town.recorded(key="recordings/shared")
    await town.recorded(key="recordings/shared")
    plan, moved = await town.run()
    assert (len(plan.moves), plan.files, moved.files) == (1, 2, 2)
    assert moved.bytes == plan.bytes == len(CONTENT)
    assert (await town.places(), await town.old.keys()) == (["new", "new"], [])


async def test_an_object_that_is_another_file_too_stays_for_it(town: Town) -> None:
    await town.recorded(key="recordings/shared")
    await town.recorded(key="recordings/shared", status="uploading")
    _, moved = await town.run()
    assert (moved.files, moved.failures) == (1, [])
    assert await town.old.keys() == await town.new.keys() == ["recordings/shared"]
    assert await town.ledger() == []


async def test_attack_two_names_of_one_place(town: Town) -> None:
    row = await town.recorded()
    town.new = town.old
    with pytest.raises(StoreMisconfigured, match="same place"):
        await town.run()
    assert await town.old.keys() == [row.files[0].key]


# --- what goes wrong ------------------------------------------------------------------------------


async def test_an_object_that_arrived_damaged_is_not_believed(town: Town) -> None:
    row = await town.recorded()
    migration = Migration(town.catalog, town.depots, "old", "new", clock=lambda: NOW)
    town.new.damages = True
    moved = Moved()
    await migration.run(await migration.plan(), moved)
    (failure,) = moved.failures
    assert failure.key == row.files[0].key
    assert (moved.files, moved.bytes) == (0, 0)
    assert (await town.places(), await town.new.keys()) == (["old"], [])
    town.new.damages = False
    assert (await town.run())[1].files == 1


async def test_an_object_that_is_lost_fails_alone(town: Town) -> None:
    lost, _ = await town.recorded(), await town.recorded()
    await town.old.delete(lost.files[0].key)
    _, moved = await town.run()
    assert [failure.key for failure in moved.failures] == [lost.files[0].key]
    assert (moved.files, moved.untried) == (1, 0)


async def test_a_store_that_is_down_ends_the_run(town: Town) -> None:
    for _ in range(20):
        await town.recorded()
    migration = Migration(town.catalog, town.depots, "old", "new", clock=lambda: NOW)
    town.new.refusals = [StoreUnavailable("down", passing=True)] * 100
    moved = Moved()
    await migration.run(await migration.plan(), moved)
    assert PATIENCE <= len(moved.failures) < PATIENCE + AT_ONCE
    assert moved.untried == 20 - len(moved.failures)
    assert await town.places() == ["old"] * 20


async def test_one_refusal_in_passing_does_not_end_the_run(town: Town) -> None:
    for _ in range(6):
        await town.recorded()
    migration = Migration(town.catalog, town.depots, "old", "new", clock=lambda: NOW)
    town.new.refusals = [StoreUnavailable("down", passing=True)]
    moved = Moved()
    await migration.run(await migration.plan(), moved)
    assert (moved.files, len(moved.failures), moved.untried) == (5, 1, 0)


async def test_an_object_that_can_not_be_removed_is_told_and_removed_by_the_next_run(
    town: Town,
) -> None:
    await town.recorded()
    town.old.refusals = [PermissionMissing("may not delete")]
    _, moved = await town.run()
    assert [failure.reason for failure in moved.failures] == ["may not delete"]
    assert (await town.places(), len(await town.old.keys())) == (["new"], 1)
    await town.run()
    assert (await town.old.keys(), await town.ledger()) == ([], [])


async def test_a_recording_deleted_while_its_file_travels_leaves_nothing(town: Town) -> None:
    row = await town.recorded()
    migration = Migration(town.catalog, town.depots, "old", "new", clock=lambda: NOW)
    town.new.meanwhile = lambda: remove(town.catalog, town.depots, town.folder, row)
    moved = Moved()
    await migration.run(await migration.plan(), moved)
    assert (moved.files, moved.gone, moved.failures) == (0, 1, [])
    assert await town.old.keys() == await town.new.keys() == []


async def test_a_recording_deleted_before_its_turn_is_no_failure(town: Town) -> None:
    row = await town.recorded()
    migration = Migration(town.catalog, town.depots, "old", "new", clock=lambda: NOW)
    plan, moved = await migration.plan(), Moved()
    await remove(town.catalog, town.depots, town.folder, row)
    await migration.run(plan, moved)
    assert (moved.gone, moved.failures) == (1, [])
    assert await town.new.keys() == []


async def test_a_catalog_that_is_away_ends_the_run_with_its_error(town: Town) -> None:
    await town.recorded()
    migration = Migration(town.catalog, town.depots, "old", "new", clock=lambda: NOW)
    plan = await migration.plan()

    async def away(*_: Any, **__: Any) -> bool:
        raise CatalogUnavailable("the database is away")

    town.catalog.deliveries.move = away  # type: ignore[method-assign]
    with pytest.raises(CatalogUnavailable):
        await migration.run(plan, Moved())
    assert len(await town.old.keys()) == 1


# --- interrupted ----------------------------------------------------------------------------------


async def interrupted(town: Town) -> None:
    """As after a kill between the switch in the catalog and the removal at the old provider."""
    row = await town.recorded()
    file = row.files[0]
    await town.new.put_stream(file.key, _stream(CONTENT), file.content_type)
    left_until = NOW + LEASE
    assert await town.catalog.deliveries.move(row.id, file, "new", left_until=left_until)


async def test_the_next_run_removes_what_a_killed_one_left(town: Town) -> None:
    await interrupted(town)
    await town.recorded()
    _, moved = await town.run()
    assert (moved.files, moved.failures) == (1, [])
    assert (await town.old.keys(), await town.ledger()) == ([], [])
    assert await town.places() == ["new", "new"]


async def test_the_server_removes_it_too_but_only_after_the_lease(town: Town) -> None:
    await interrupted(town)
    now = NOW
    homecoming = Homecoming(town.catalog, town.depots, clock=lambda: now)
    await homecoming.look()
    assert len(await town.old.keys()) == 1
    now += LEASE + timedelta(seconds=1)
    await homecoming.look()
    assert (await town.old.keys(), await town.ledger()) == ([], [])


async def test_deleting_the_recording_takes_both_copies(town: Town) -> None:
    await interrupted(town)
    (file_at,) = await town.catalog.recordings.files_at("new", {"recorded"})
    row = await town.catalog.recordings.get(file_at[0])
    assert row is not None
    await remove(town.catalog, town.depots, town.folder, row)
    assert await town.old.keys() == await town.new.keys() == []
    assert await town.ledger() == []


async def test_copies_that_wait_for_links_to_end_are_not_taken_for_those_of_a_killed_run(
    town: Town,
) -> None:
    row = await town.recorded()
    (entered,) = await town.catalog.deliveries.enter(row.id, [(row.files[0], "a.webm")])
    await town.catalog.deliveries.update(entered.id, "waiting", state="left", file=row.files[0])
    await town.run()
    assert len(await town.old.keys()) == 1


async def test_a_cancelled_run_leaves_whole_files_and_can_go_on(town: Town) -> None:
    for _ in range(10):
        await town.recorded()
    migration = Migration(town.catalog, town.depots, "old", "new", clock=lambda: NOW)
    plan, moved = await migration.plan(), Moved()
    reached = asyncio.Event()

    async def stay() -> None:
        reached.set()
        await asyncio.Event().wait()

    town.new.meanwhile = stay  # one is copied, and never gets further; the others go on
    running = asyncio.create_task(migration.run(plan, moved))
    await reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "old" in await town.places()
    _, rest = await town.run()
    assert rest.failures == []
    assert await town.places() == ["new"] * 10
    assert (await town.old.keys(), await town.ledger()) == ([], [])
