"""Chores are done again and again, each at its own pace, whatever the others do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from recorder.keeper import Chore, Keeper
from storage.errors import CatalogUnavailable


class Night:
    """Sleeps that end when a test says so. `asleep` is set when `chores` of them sleep."""

    def __init__(self, chores: int = 1) -> None:
        self.slept: list[float] = []
        self.asleep = asyncio.Event()
        self._chores = chores
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        morning = asyncio.Event()
        self.slept.append(seconds)
        self._sleepers.append((seconds, morning))
        if len(self._sleepers) == self._chores:
            self.asleep.set()
        await morning.wait()

    async def end_for(self, seconds: float | None = None) -> None:
        """Wakes those who sleep so long, or all; back when as many sleep again."""
        woken = [each for each in self._sleepers if seconds in (None, each[0])]
        self._sleepers = [each for each in self._sleepers if each not in woken]
        self.asleep.clear()
        for _, morning in woken:
            morning.set()
        await self.asleep.wait()


@asynccontextmanager
async def kept(night: Night, *chores: Chore) -> AsyncIterator[Keeper]:
    keeper = Keeper(*chores, sleep=night.sleep)
    keeper.start()
    await night.asleep.wait()
    yield keeper
    await keeper.stop()


def counted(name: str, done: list[str]) -> Callable[[], Awaitable[None]]:
    async def do() -> None:
        done.append(name)

    return do


async def test_a_chore_is_done_at_once_and_then_after_each_pause() -> None:
    night, done = Night(), []
    async with kept(night, Chore("sweep", 5.0, counted("sweep", done))):
        assert done == ["sweep"]
        await night.end_for()
        await night.end_for()
        assert (done, night.slept) == (["sweep"] * 3, [5.0] * 3)


async def test_a_chore_may_begin_later() -> None:
    night, done = Night(), []
    async with kept(night, Chore("sweep", 5.0, counted("sweep", done), first=2.0)):
        assert (done, night.slept) == ([], [2.0])
        await night.end_for()
        assert (done, night.slept) == (["sweep"], [2.0, 5.0])


async def test_each_chore_has_its_own_pace() -> None:
    night, done = Night(chores=2), []
    chores = [Chore(name, every, counted(name, done)) for name, every in (("a", 1.0), ("b", 60.0))]
    async with kept(night, *chores):
        await night.end_for(1.0)
        await night.end_for(1.0)
    assert done == ["a", "b", "a", "a"]


@pytest.mark.parametrize("error", [CatalogUnavailable("the database is away"), RuntimeError("bug")])
async def test_a_chore_that_fails_is_told_and_done_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    failing, done = [error], []

    async def do() -> None:
        if failing:
            raise failing.pop()
        done.append("done")

    night = Night()
    async with kept(night, Chore("sweep", 5.0, do)):
        assert f"sweep: {error}" in caplog.text
        await night.end_for()
    assert done == ["done"]


@pytest.mark.parametrize(
    ("error", "traced"), [(CatalogUnavailable("away"), False), (RuntimeError("bug"), True)]
)
async def test_only_a_bug_is_told_with_where_it_is(
    error: Exception, traced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def do() -> None:
        raise error

    async with kept(Night(), Chore("sweep", 5.0, do)):
        assert ("Traceback" in caplog.text) is traced


async def test_a_chore_that_hangs_does_not_hold_up_the_others() -> None:
    night, done = Night(), []

    async def hang() -> None:
        await asyncio.Event().wait()

    sweep = Chore("sweep", 5.0, counted("sweep", done))
    async with kept(night, Chore("hang", 5.0, hang), sweep):
        await night.end_for()
    assert done == ["sweep"] * 2


async def test_stop_ends_what_is_under_way_and_comes_back_after_it() -> None:
    begun, ended = asyncio.Event(), []

    async def do() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    keeper = Keeper(Chore("long", 5.0, do))
    keeper.start()
    await begun.wait()
    await keeper.stop()
    assert ended == ["ended"]


async def test_stop_without_a_start() -> None:
    await Keeper(Chore("never", 1.0, lambda: asyncio.sleep(0))).stop()
