"""How far the finishing of a recording is, and how long to wait after something failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

FIRST_PAUSE = 1.0  # seconds; doubles with each attempt
LONGEST_PAUSE = 30.0

Sleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Progress:
    """How far the present stage is, 0..1, and what went wrong while the recording ran.

    `let_pass` is set once it is over or has to wait, for room, the store or the catalog.
    """

    fraction: float = 0.0
    faults: list[str] = field(default_factory=list)
    let_pass: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, fraction: float) -> None:
        self.fraction = fraction


def pause(attempt: int) -> float:
    """Seconds to wait after attempt number `attempt`, from 0."""
    return min(FIRST_PAUSE * 2.0 ** min(attempt, 16), LONGEST_PAUSE)
