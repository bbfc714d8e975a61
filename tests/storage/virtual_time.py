"""A clock for retriers that no test has to wait for."""

from __future__ import annotations

from collections.abc import Callable

from storage.objects import Retrier, RetryPolicy


class VirtualTime:
    """A clock that only waiting, or a test, moves on. `pauses` are all waits so far, in seconds.

    `on_pause` is called at each wait: a test may mend there what was broken.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []
        self.on_pause: Callable[[], None] | None = None

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        if self.on_pause is not None:
            self.on_pause()

    def retrier(self, policy: RetryPolicy | None = None, dice: float = 0.5) -> Retrier:
        return Retrier(policy, clock=self.clock, sleep=self.sleep, dice=lambda: dice)
