"""Background tasks of one owner, which end with it: any number, or one for each name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class OwnedTasks:
    """`what` names one of them in the log."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._tasks: set[asyncio.Task[Any]] = set()

    def __bool__(self) -> bool:
        """Is there one that has not ended?"""
        return bool(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Does `work` in the background. Nobody hears of its errors but the log."""
        self.own(work).add_done_callback(self._supervised)

    def own(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """The same for whoever awaits it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def idle(self) -> None:
        """Returns when there is none."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _supervised(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s died", self._what, exc_info=error)


class NamedTasks:
    """One task at most for each name of a `what`. One that dies of a bug is in the log, and `died` hears
    of it.
    """

    def __init__(self, what: str, died: Callable[[str], None] = lambda _: None) -> None:
        self._what = what
        self._died = died
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    def begin(self, name: str, work: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """Does `work(name)` in the background, if nothing is done under that name, until `close`."""
        if self._closed or name in self._tasks:
            return
        task = asyncio.create_task(work(name), name=f"{self._what} {name}")
        self._tasks[name] = task
        task.add_done_callback(partial(self._ended, name))

    async def end(self, name: str) -> None:
        """Back when nothing is done under that name."""
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def idle(self) -> None:
        """Returns when there is none."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def close(self) -> None:
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._tasks[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the work on %s %s died", self._what, name, exc_info=error)
            self._died(name)
