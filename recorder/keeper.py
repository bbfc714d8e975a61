"""What has to be looked after again and again while the server runs, each thing at its own pace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from recorder.errors import RecorderError
from recorder.progress import Sleep
from storage.errors import StorageError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """`every` in seconds, from the end of one round to the beginning of the next; `first` from the
    start to the first round.
    """

    name: str
    every: float
    do: Callable[[], Awaitable[object]]
    first: float = 0.0


class Keeper:
    """Runs chores side by side from `start` to `stop`. One that fails is told and done again."""

    def __init__(self, *chores: Chore, sleep: Sleep = asyncio.sleep) -> None:
        self._chores = chores
        self._sleep = sleep
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._run(chore), name=chore.name) for chore in self._chores
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, chore: Chore) -> None:
        if chore.first:
            await self._sleep(chore.first)
        while True:
            try:
                await chore.do()
            except Exception as error:  # supervises: a chore must not end with a bug
                expected = isinstance(error, RecorderError | StorageError | OSError)
                log.warning("%s: %s", chore.name, error, exc_info=not expected)
            await self._sleep(chore.every)
