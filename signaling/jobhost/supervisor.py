"""Keeps the host of jobs running: starts it, starts it again when it ends, ends it when it hangs."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from recorder.progress import Sleep
from signaling.jobs import job_environment

LONGEST_SILENCE: Final = 30.0  # seconds; a host says something every two
FIRST_PAUSE: Final = 0.2  # seconds before a host is started again; doubles while it keeps ending
LONGEST_PAUSE: Final = 30.0
SETTLED: Final = 30.0  # a host that lived this long is a good one
STOP_PATIENCE: Final = 6.0  # seconds; it ends its jobs first

log: Final = logging.getLogger(__name__)


class HostProcess:
    """`on_end` is called whenever the host is gone, and awaited before the next one is started."""

    def __init__(
        self,
        arguments: Sequence[str],
        on_end: Callable[[], Awaitable[None]],
        *,
        longest_silence: float = LONGEST_SILENCE,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._arguments = arguments
        self._on_end = on_end
        self._longest_silence = longest_silence
        self._sleep = sleep
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """None while there is no host."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and alive else None

    def start(self) -> None:
        self._task = asyncio.create_task(self._supervise(), name="job host")

    async def stop(self) -> None:
        """Back when the host is gone, and its jobs with it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _supervise(self) -> None:
        pause, now = FIRST_PAUSE, asyncio.get_running_loop().time
        while True:
            began = now()
            try:
                await self._live()
            except OSError as error:
                log.error("the job host can't be started: %s", error)
            await self._on_end()
            pause = FIRST_PAUSE if now() - began >= SETTLED else min(2 * pause, LONGEST_PAUSE)
            await self._sleep(pause)

    async def _live(self) -> None:
        """From the start of one host to its end. Raises OSError when it can't be started."""
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "signaling.jobhost",
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=job_environment(os.environ),
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(self._longest_silence) as silence:
                while await process.stdout.read(4096):
                    silence.reschedule(asyncio.get_running_loop().time() + self._longest_silence)
        except TimeoutError:
            log.error("the job host says nothing for %g s and is ended", self._longest_silence)
            process.kill()
        status = await process.wait()
        log.error("the job host ended with status %d; it is started again", status)
