"""Background tasks of one owner, one for each name."""

from __future__ import annotations

import asyncio

import pytest

from recorder.owned_tasks import NamedTasks


class Works:
    def __init__(self) -> None:
        self.begun: list[str] = []
        self.died: list[str] = []
        self.go_on = asyncio.Event()
        self.tasks = NamedTasks("work", died=self.died.append)

    async def work(self, name: str) -> None:
        self.begun.append(name)
        await self.go_on.wait()
        if name == "broken":
            raise KeyError("a bug")


async def test_a_name_has_one_task_at_a_time() -> None:
    works = Works()
    for name in ("a", "a", "b"):
        works.tasks.begin(name, works.work)
    works.go_on.set()
    await works.tasks.idle()
    assert works.begun == ["a", "b"]
    assert "a" not in works.tasks
    works.tasks.begin("a", works.work)
    await works.tasks.idle()
    assert works.begun == ["a", "b", "a"]


async def test_a_task_that_is_ended_is_gone_and_has_not_died() -> None:
    works = Works()
    works.tasks.begin("a", works.work)
    await works.tasks.end("a")
    await works.tasks.end("nobody")
    assert "a" not in works.tasks
    assert works.died == []


async def test_one_that_dies_of_a_bug_is_told_and_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    works = Works()
    works.tasks.begin("broken", works.work)
    works.go_on.set()
    await works.tasks.idle()
    assert works.died == ["broken"]
    assert "the work on work broken died" in caplog.text


async def test_none_begins_after_the_end() -> None:
    works = Works()
    works.tasks.begin("a", works.work)
    await works.tasks.close()
    works.tasks.begin("b", works.work)
    assert "a" not in works.tasks
    assert "b" not in works.tasks
