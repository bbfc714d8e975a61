"""Waiting for what another process does: polled, bounded, and with a reason when it never comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def until(
    probe: Callable[[], Any],
    *,
    within: float,
    every: float = 0.05,
    what: str,
) -> Any:
    """The first truthy value of `probe`, asked every `every` seconds for `within` seconds.

    `probe` may be async. Raises AssertionError naming `what` and the last value seen.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        found = probe()
        value = await found if isinstance(found, Awaitable) else found
        if value:
            return value
        if loop.time() >= deadline:
            raise AssertionError(f"not within {within:g} s: {what} (last seen: {value!r})")
        await asyncio.sleep(every)
