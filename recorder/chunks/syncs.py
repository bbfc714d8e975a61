"""Flushes of folders, shared by all who wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path


class MergedSyncs:
    """`run` flushes one folder. A flush serves whoever asked before it began.

    `failures` counts flushes that failed. One that failed may have taken other names with it than
    those of who asked for it, so that a flush says nothing of names that were given before a failure.
    """

    def __init__(self, run: Callable[[Path], Awaitable[None]]) -> None:
        self._run = run
        self.failures = 0
        self._running: dict[Path, asyncio.Task[None]] = {}
        self._next: dict[Path, asyncio.Task[None]] = {}

    async def sync(self, folder: Path) -> None:
        """Back when a flush that began after this call is done. Raises what it raised."""
        if (task := self._next.get(folder)) is None:
            task = asyncio.create_task(self._flush(folder, self._running.get(folder)))
            self._next[folder] = task
        await asyncio.shield(task)

    async def _flush(self, folder: Path, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        this = self._running[folder] = self._next.pop(folder)
        try:
            await self._run(folder)
        except BaseException:
            self.failures += 1
            raise
        finally:
            if self._running.get(folder) is this:
                del self._running[folder]
