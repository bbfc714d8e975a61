"""Doing again what failed in passing: bounded in count and in time, with jitter, as the store asks.

Only `StoreUnavailable` that is `passing` is done again, and a call that is not idempotent only when
the store certainly did nothing. The pause before attempt n + 1 is random between half and all of
`first_pause * 2**n` ("equal jitter"), at most `longest_pause`, and never less than the store's own
`retry_after`. A wait that would pass the end of `total` is not begun: the error comes out at once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

from storage.errors import StoreUnavailable

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` counts the first one. Times in seconds."""

    attempts: int = 7
    first_pause: float = 0.25
    longest_pause: float = 10.0
    total: float = 60.0

    def pause(self, failures: int, error: StoreUnavailable, dice: float) -> float:
        """How long to wait after the `failures`-th failure; `dice` is in [0, 1)."""
        longest = min(self.first_pause * 2.0 ** min(failures - 1, 32), self.longest_pause)
        return max(longest * (0.5 + dice / 2), error.retry_after or 0.0)


class Retrier:
    """A policy with a clock (seconds, monotonic), a way to wait, and dice."""

    def __init__(
        self,
        policy: RetryPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy or RetryPolicy()
        self._clock = clock
        self._sleep = sleep
        self._dice = dice

    async def __call__(
        self, attempt: Callable[[], Awaitable[Result]], *, idempotent: bool = True
    ) -> Result:
        """What `attempt` returns. Raises what its last try raised."""
        began, failures = self._clock(), 0
        while True:
            try:
                return await attempt()
            except StoreUnavailable as error:
                failures += 1
                if not error.passing or not (idempotent or error.undone):
                    raise
                await self.wait(error, failures, began)

    def now(self) -> float:
        """For `wait`: when the first attempt began."""
        return self._clock()

    async def wait(self, error: StoreUnavailable, failures: int, began: float) -> None:
        """Wait before another attempt. Raises `error` when there is none left."""
        pause = self.policy.pause(failures, error, self._dice())
        late = self._clock() - began + pause > self.policy.total
        if not error.passing or failures >= self.policy.attempts or late:
            raise error
        await self._sleep(pause)


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """The header `Retry-After` (RFC 9110, 10.2.3): seconds or a date. `now` is unix time.

    None when it says nothing that can be understood.
    """
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
