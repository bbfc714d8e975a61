"""Blocking SDKs, in threads of their own, so that one store that hangs takes no other's threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")

Cancelled = Callable[[], bool]


class Threads:
    """At most `count` blocking calls at a time; more wait their turn."""

    def __init__(self, name: str, count: int) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, call: Callable[[], Result]) -> Result:
        """What `call` returns or raises. A cancelled caller comes back when the call has ended.

        Without that a cancelled put would go on unseen and might replace what a later one stored.
        """
        return await _to_its_end(self._executor, call)

    async def run_cancellable(self, call: Callable[[Cancelled], Result]) -> Result:
        """The same for a call that can be told to end early."""
        cancelled = threading.Event()
        return await _to_its_end(self._executor, lambda: call(cancelled.is_set), cancelled)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


async def _to_its_end(
    executor: ThreadPoolExecutor | None,
    call: Callable[[], Result],
    cancelled: threading.Event | None = None,
) -> Result:
    running = asyncio.get_running_loop().run_in_executor(executor, call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if cancelled is not None:
            cancelled.set()
        while not running.done():
            with suppress(asyncio.CancelledError):  # again: that makes the call end no sooner
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # seen: what became of the call no longer matters
        raise
