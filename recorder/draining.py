"""Waiting for recordings to come to their end before the process does, with a word about it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

from recorder.progress import pause

STOP_PATIENCE = 10.0  # seconds for closing journals, also when nothing else is waited for
SAY_EVERY = 5.0  # seconds between two lines in the log

log = logging.getLogger(__name__)


class Ending(Protocol):
    """What can be brought to its end: a `RecordingService`."""

    async def stop_all(self) -> None: ...

    async def idle(self) -> None: ...

    def unfinished(self) -> list[str]:
        """What there still is to do, for people; empty when there is nothing."""
        ...


async def drain(recordings: Ending, patience: float) -> bool:
    """Stops what runs and waits up to `patience` seconds for what is being finished.

    True when all is done. A stop that could not be written down is tried again.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    with suppress(TimeoutError):
        await asyncio.wait_for(recordings.stop_all(), max(patience, STOP_PATIENCE))
    attempts = 0
    while left := recordings.unfinished():
        rest = deadline - loop.time()
        if rest <= 0:
            log.warning("not finished, the next start goes on: %s", ", ".join(left))
            return False
        try:
            await asyncio.wait_for(recordings.idle(), min(rest, SAY_EVERY))
        except TimeoutError:
            log.info("stopping, %.0f s left: %s", rest, ", ".join(left))
            continue
        if recordings.unfinished():
            await asyncio.sleep(min(rest, pause(attempts)))
            attempts += 1
            await recordings.stop_all()
    return True
