"""Stopping in order (requirement R19): nobody new comes in, recordings are finished and stored, then
everything ends. The HTTP side answers until then, so that starts are refused in so many words and
whoever watches sees the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final, Protocol

from signaling.rest.services import Services
from storage.errors import StorageError

log: Final = logging.getLogger(__name__)

LEAVE_PATIENCE: Final = 6.0  # seconds for telling participants
WEBHOOK_PATIENCE: Final = (
    3.0  # seconds for telling the last changes; the rest is told at the next start
)


class Doors(Protocol):
    async def close(self) -> None:
        """Sends everybody away and lets nobody in."""
        ...


async def drain(services: Services, doors: Doors) -> None:
    """Takes `MEDIASERVER_DRAIN_SECONDS` at most, and a few more for saying goodbye.

    What is not finished by then, the next start finds again. Recordings end before the rooms do, so
    that they say why.
    """
    log.info("stopping: nobody new comes in, recordings are finished")
    services.lifecycle.draining = True
    loop = asyncio.get_running_loop()
    deadline = loop.time() + services.settings.drain_seconds
    await services.automatic.close()
    await services.recordings.stop_all()
    try:
        await asyncio.wait_for(doors.close(), LEAVE_PATIENCE)
    except TimeoutError:
        log.warning("some participants could not be told that the server stops")
    if not await services.recordings.drain(max(0.0, deadline - loop.time())):
        log.warning("recordings are not finished; the next start goes on with them")
    await services.webhooks.quiet(WEBHOOK_PATIENCE)
    await services.watching.close()
    await services.recordings.close(drained=True)
    await services.calls.close()
    with contextlib.suppress(StorageError):
        await services.catalog.calls.end_all_running()
