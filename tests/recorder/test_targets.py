"""Starts that could not be kept are refused at once; a store that is only down refuses nothing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from recorder.depots import Depots
from recorder.errors import JournalsUnwritable
from recorder.targets import BUDGET, FIRST_BUDGET, FRESH, Targets
from storage.errors import (
    BucketMissing,
    CredentialsRefused,
    EndpointWrong,
    StorageError,
    StoreFull,
    StoreUnavailable,
)
from storage.objects import LocalStore, MemoryStore
from tests.recorder.house import House


class Asked(MemoryStore):
    """A store that answers `check` as told."""

    problem: StorageError | None = None
    silent = False
    checks = 0

    async def check(self) -> None:
        self.checks += 1
        if self.silent:
            await asyncio.Event().wait()
        if self.problem is not None:
            raise self.problem


class Script:
    def __init__(self, folder: Path) -> None:
        self.main, self.fallback = Asked(), Asked()
        self.now = 0.0
        self.journals = folder / "journals"
        self.alone = self._targets(Depots({"s3": self.main}, "s3"))
        self.both = self._targets(Depots({"s3": self.main, "local": self.fallback}, "s3", "local"))

    def _targets(self, depots: Depots) -> Targets:
        return Targets(depots, self.journals, clock=lambda: self.now)


@pytest.fixture
async def script(tmp_path: Path) -> AsyncIterator[Script]:
    script = Script(tmp_path)
    yield script
    await script.alone.close()
    await script.both.close()


PERMANENT = [
    BucketMissing("no such bucket"),
    CredentialsRefused("wrong secret"),
    EndpointWrong("something else answers"),
    StoreFull("no room"),
    StoreUnavailable("the folder can't be written"),
]


@pytest.mark.parametrize("problem", PERMANENT, ids=lambda error: type(error).__name__)
async def test_what_waiting_does_not_mend_is_refused_with_its_reason(
    script: Script, problem: StorageError
) -> None:
    script.main.problem = problem
    with pytest.raises(type(problem), match=str(problem)):
        await script.alone.require()


async def test_a_store_that_is_down_refuses_nothing(script: Script) -> None:
    script.main.problem = StoreUnavailable("nothing answers there", passing=True)
    await script.alone.require()


async def test_a_fallback_that_works_is_enough(script: Script) -> None:
    script.main.problem = BucketMissing("no such bucket")
    await script.both.require()
    script.now += FRESH + 1
    script.fallback.problem = StoreUnavailable("down", passing=True)
    await script.both.require()
    script.now += FRESH + 1
    script.fallback.problem = StoreFull("no room")
    with pytest.raises(BucketMissing):
        await script.both.require()


async def test_a_fallback_is_not_asked_while_the_main_store_is_fine(script: Script) -> None:
    await script.both.require()
    assert (script.main.checks, script.fallback.checks) == (1, 0)


async def test_what_it_said_counts_for_a_while(script: Script) -> None:
    for _ in range(3):
        await script.alone.require()
    assert script.main.checks == 1
    script.main.problem = BucketMissing("gone")
    script.now += FRESH + 1
    with pytest.raises(BucketMissing):
        await script.alone.require()
    script.main.problem = None
    script.now += FRESH + 1
    await script.alone.require()


async def test_a_local_folder_is_asked_each_time(script: Script, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "recordings")
    await store.prepare()
    targets = Targets(Depots({"local": store}, "local"), script.journals, clock=lambda: 0.0)
    await targets.require()
    shutil.rmtree(tmp_path / "recordings")
    (tmp_path / "recordings").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="recordings"):
        await targets.require()
    await targets.close()
    await store.close()


async def test_many_starts_ask_once(script: Script) -> None:
    await asyncio.gather(*(script.alone.require() for _ in range(20)))
    assert script.main.checks == 1


async def test_a_store_that_says_nothing_holds_a_start_up_for_a_moment(script: Script) -> None:
    script.main.silent = True
    await asyncio.wait_for(script.alone.require(), FIRST_BUDGET + 1)
    await asyncio.wait_for(script.alone.require(), FIRST_BUDGET + 1)
    assert script.main.checks == 1, "the same check goes on"


async def test_one_that_was_fine_is_trusted_sooner(script: Script) -> None:
    await script.alone.require()
    script.now += FRESH + 1
    script.main.silent = True
    await asyncio.wait_for(script.alone.require(), (BUDGET + FIRST_BUDGET) / 2)


async def test_the_server_asks_at_its_start_and_says_what_is_wrong(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.main.problem = BucketMissing("there is no bucket b")
    await script.both.look()
    await script.both.look()
    assert caplog.messages == ["s3 can't take recordings: there is no bucket b"]
    assert script.fallback.checks == 2


async def test_a_folder_of_journals_that_can_not_be_written(script: Script) -> None:
    script.journals.parent.mkdir(exist_ok=True)
    script.journals.write_text("in the way")
    with pytest.raises(JournalsUnwritable, match="journals"):
        await script.alone.require()
    script.journals.unlink()
    await script.alone.require()
    assert list(script.journals.iterdir()) == []


async def test_a_refused_start_leaves_nothing(house: House) -> None:
    store = Asked()
    store.problem = BucketMissing("no such bucket")
    targets = Targets(Depots({"memory": store}, "memory"), house.folder / "journals")
    service = house.another_service(targets=targets)
    with pytest.raises(BucketMissing):
        await service.start("blue", None, "host")
    assert (await house.catalog.recordings.find()).total == 0
    assert house.plane.started == {}
    await service.close()
