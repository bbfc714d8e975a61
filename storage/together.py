"""Several things at once, of which none is left running."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def all_of(*work: Coroutine[Any, Any, Result]) -> list[Result]:
    """The results. The first failure, or a cancellation, ends all of it before it comes out.

    Each piece is cancelled once only, so that what it does to end well is not cut short.
    """
    tasks = [asyncio.create_task(each) for each in work]
    if not tasks:
        return []
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done() and (error := task.exception()) is not None:
                raise error
        return [task.result() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
